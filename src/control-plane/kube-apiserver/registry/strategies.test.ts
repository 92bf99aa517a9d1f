import assert from 'node:assert/strict'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { loadAll } from 'js-yaml'
import { servedResources } from '../../../lib/api/generated/resources.ts'
import type { JsonObject } from '../../../lib/base/json.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'
import { objectVariants } from './object-variants.ts'
import { createStrategies } from './strategies.ts'
import type { ResourceStrategy, StrategyContext } from './strategy.ts'

const table = createStrategies()
const context: StrategyContext = { user: { name: 'jane', uid: 'u-1', groups: ['dev'], extra: {} }, nowMs: 1_700_000_000_000, dryRun: false, warn() {} }
const uid = '11111111-2222-4333-8444-555555555555'

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const member of Object.values(value)) deepFreeze(member)
  }
  return value
}

const valid = loadAll(readFileSync(join(import.meta.dirname, 'testdata/valid-objects.yaml'), 'utf8')) as ApiObject[]

function strategyFor(object: { apiVersion?: string, kind?: string }): ResourceStrategy {
  const [group, version] = (object.apiVersion ?? '').includes('/') ? (object.apiVersion ?? '').split('/') : ['', object.apiVersion]
  const info = servedResources.find((candidate) => candidate.group === group && candidate.version === version && candidate.kind === object.kind)
  const strategy = info && table.get(`${info.group}/${info.resource}`)
  assert.ok(strategy, `a strategy for ${object.apiVersion} ${object.kind}`)
  return strategy
}

function named(object: ApiObject): ApiObject {
  const { metadata } = object
  return { ...object, metadata: { ...metadata, name: metadata.name || `${metadata.generateName ?? ''}abcde`, uid: metadata.uid || uid } }
}

function created(object: ApiObject): ApiObject {
  const strategy = strategyFor(object)
  return deepFreeze(strategy.prepareForCreate(deepFreeze(strategy.applyDefaults(deepFreeze(named(object)))), context))
}

test('every served resource has a strategy', () => {
  for (const info of servedResources) assert.ok(table.has(`${info.group}/${info.resource}`), info.resource)
})

test('typical manifests are right', () => {
  for (const object of valid) {
    const name = `${object.kind} ${object.metadata.name}`
    assert.deepEqual(strategyFor(object).validateCreate(created(object), context), [], name)
  }
})

test('defaulting is idempotent, and the same object comes back when nothing changes', () => {
  for (const object of valid) {
    const strategy = strategyFor(object)
    const once = deepFreeze(strategy.applyDefaults(deepFreeze(named(object))))
    assert.equal(strategy.applyDefaults(once), once, `${object.kind} ${object.metadata.name}`)
  }
})

test('an update that changes nothing is right and counts no generation', () => {
  for (const object of valid) {
    const strategy = strategyFor(object)
    const old = created(object)
    const next = deepFreeze(strategy.prepareForUpdate(strategy.applyDefaults(old), old, context))
    assert.deepEqual(strategy.validateUpdate(next, old, context), [], `${object.kind} ${object.metadata.name}`)
    assert.equal(strategy.desiredStateChanged?.(next, old), false, `${object.kind} ${object.metadata.name}`)
    if (strategy.status) assert.deepEqual(strategy.status.validateUpdate(strategy.status.prepareForUpdate(next, old, context), old, context), [], `${object.kind} status`)
  }
})

test('at least 5,000 wrong objects are refused, each with the field that is wrong; none makes a strategy throw', () => {
  let refused = 0
  for (const object of valid) {
    const strategy = strategyFor(object)
    const old = created(object)
    for (const variant of objectVariants(object as unknown as JsonObject)) {
      if (variant.object.metadata === undefined) continue
      const wrong = variant.object as unknown as ApiObject
      const where = `${object.kind} ${object.metadata.name}: ${variant.description}`
      try {
        const defaulted = strategy.applyDefaults(deepFreeze(wrong))
        assert.equal(strategy.applyDefaults(defaulted), defaulted, 'idempotent')
        const errors = strategy.validateCreate(strategy.prepareForCreate(defaulted, context), context)
        for (const error of errors) assert.ok(error.body.length > 0 && !error.field.includes('undefined'), JSON.stringify(error))
        if (errors.length > 0) refused++
        strategy.validateUpdate(strategy.prepareForUpdate(defaulted, old, context), old, context)
        strategy.warnings?.(defaulted, undefined, context)
        strategy.selectableFields(defaulted)
      } catch (error) {
        throw new Error(where, { cause: error })
      }
    }
  }
  assert.ok(refused >= 5000, `${refused} objects were refused`)
})

const golden = resolve(import.meta.dirname, '../../../../../shared/reference/wire/golden')
test('defaulting the golden object of each kind is idempotent', { skip: existsSync(golden) ? false : `${golden} is not on this machine` }, () => {
  let seen = 0
  for (const file of readdirSync(golden).filter((name) => name.endsWith('.json'))) {
    const object = JSON.parse(readFileSync(join(golden, file), 'utf8')) as ApiObject
    const [group, version] = (object.apiVersion ?? '').includes('/') ? (object.apiVersion ?? '').split('/') : ['', object.apiVersion]
    const info = servedResources.find((candidate) => candidate.group === group && candidate.version === version && candidate.kind === object.kind)
    const strategy = info && table.get(`${info.group}/${info.resource}`)
    if (!strategy || strategy.info !== info) continue
    seen++
    const once = deepFreeze(strategy.applyDefaults(deepFreeze(object)))
    assert.deepEqual(strategy.applyDefaults(once), once, file)
    strategy.validateCreate(once, context)
  }
  assert.ok(seen > 50, `${seen} kinds`)
})

test('creating sets what the server sets', () => {
  const of = (kind: string): JsonObject => created(valid.find((object) => object.kind === kind) as ApiObject) as unknown as JsonObject
  assert.deepEqual(of('Pod').status, { phase: 'Pending', qosClass: 'Burstable' })
  assert.deepEqual(of('Namespace').spec, { finalizers: ['kubernetes'] })
  assert.deepEqual(of('Namespace').status, { phase: 'Active' })
  assert.deepEqual(of('Secret').data, { token: 'YWJj' })
  const job = of('Job').spec as JsonObject
  assert.deepEqual(job.selector, { matchLabels: { 'batch.kubernetes.io/controller-uid': '5f7cbf7e-0000-4000-8000-000000000000' } })
  const request = of('CertificateSigningRequest').spec as JsonObject
  assert.equal(request.username, 'jane')
})

test('a pod gets ten seconds to stop when it runs and none when it does not', () => {
  const pods = table.get('/pods')
  const pod = created(valid[0] as ApiObject) as ApiObject & { spec: object, status: object }
  assert.equal(pods?.gracePeriodSeconds?.(pod), 0)
  const running = { ...pod, spec: { ...pod.spec, nodeName: 'node-1' } } as ApiObject
  assert.equal(pods?.gracePeriodSeconds?.(running), 10)
  assert.equal(pods?.gracePeriodSeconds?.({ ...running, status: { phase: 'Succeeded' } } as ApiObject), 0)
})

import { test } from 'node:test'
import assert from 'node:assert/strict'
import type { JsonObject, JsonValue } from '../../base/json.ts'
import { decodeJson } from '../json-codec.ts'
import { applyServerSide, resetFieldsOf, trackUpdate } from './apply.ts'
import { fieldSetOf, formatPath, parseFieldsV1 } from './field-set.ts'

const typeId = 'io.k8s.api.apps.v1.Deployment'
const apiVersion = 'apps/v1'
const nowMs = Date.parse('2026-01-01T00:00:00Z')
const normal = (object: JsonObject): JsonObject => { const decoded = decodeJson(typeId, object); assert.ok(decoded.ok, decoded.ok ? '' : decoded.error); return decoded.object }
const config = (spec: JsonObject, metadata: JsonObject = {}): JsonObject => ({ apiVersion, kind: 'Deployment', metadata: { name: 'web', ...metadata }, spec })
const applyTo = (live: JsonObject | undefined, applied: JsonObject, manager: string, force = false) => applyServerSide({ typeId, apiVersion, live, applied, manager, force, nowMs })
const apply = (live: JsonObject | undefined, applied: JsonObject, manager: string, force = false): JsonObject => { const result = applyTo(live, applied, manager, force); assert.ok(result.ok, result.ok ? '' : result.status.message); return normal(result.object) }
const managersOf = (object: JsonObject): JsonObject[] => ((object['metadata'] as JsonObject)['managedFields'] ?? []) as JsonObject[]
const at = (value: JsonValue | undefined, ...path: readonly (string | number)[]): JsonValue | undefined => path.reduce<JsonValue | undefined>((node, key) => (typeof node === 'object' && node !== null ? (node as { readonly [key: string]: JsonValue })[key] : undefined), value)
const containers = (...list: JsonObject[]): JsonObject => ({ template: { spec: { containers: list } } })

test('field sets round-trip and print', () => {
  const fields = { 'f:metadata': { 'f:labels': { '.': {}, 'f:app': {} } }, 'f:spec': { 'f:containers': { 'k:{"name":"a"}': { '.': {}, 'f:image': {} } }, 'f:finalizers': { 'v:"x"': {} } } }
  assert.deepEqual(parseFieldsV1(fields)?.toFieldsV1(), fields)
  assert.deepEqual(parseFieldsV1({ 'f:l': { 'k:{"b":1,"a":2}': {} } })?.toFieldsV1(), { 'f:l': { 'k:{"a":2,"b":1}': {} } })
  assert.equal(parseFieldsV1({ 'x:y': {} }), undefined)
  assert.equal(formatPath(['f:spec', 'f:ports', 'k:{"containerPort":80,"protocol":"TCP"}', 'v:"x"', 'i:3']), '.spec.ports[containerPort=80,protocol="TCP"][="x"][3]')
  assert.deepEqual(fieldSetOf([['a', 'b'], ['a']]).difference(fieldSetOf([['a']])).toFieldsV1(), { 'f:a': { 'f:b': {} } })
})

test('creating by apply owns what the configuration says', () => {
  const object = apply(undefined, config({ replicas: 3, selector: { matchLabels: { app: 'web' } }, ...containers({ name: 'c', image: 'i:1', ports: [{ containerPort: 80 }] }) }, { labels: { app: 'web' } }), 'tool')
  assert.deepEqual(managersOf(object), [{
    manager: 'tool', operation: 'Apply', apiVersion, time: '2026-01-01T00:00:00Z', fieldsType: 'FieldsV1',
    fieldsV1: {
      'f:metadata': { 'f:labels': { 'f:app': {} } },
      'f:spec': {
        'f:replicas': {}, 'f:selector': {},
        'f:template': { 'f:spec': { 'f:containers': { 'k:{"name":"c"}': { '.': {}, 'f:image': {}, 'f:name': {}, 'f:ports': { 'k:{"containerPort":80,"protocol":"TCP"}': { '.': {}, 'f:containerPort': {} } } } } } },
      },
    },
  }])
})

test('conflicts, force, shared ownership', () => {
  const first = apply(undefined, config({ replicas: 3 }), 'a')
  const refused = applyTo(first, config({ replicas: 5, minReadySeconds: 1 }), 'b')
  assert.ok(!refused.ok)
  assert.equal(refused.status.code, 409)
  assert.equal(refused.status.message, 'Apply failed with 1 conflict: conflict with "a": .spec.replicas')
  assert.deepEqual(refused.status.details, { causes: [{ reason: 'FieldManagerConflict', message: 'conflict with "a"', field: '.spec.replicas' }] })
  const forced = apply(first, config({ replicas: 5 }), 'b', true)
  assert.equal(at(forced, 'spec', 'replicas'), 5)
  assert.deepEqual(managersOf(forced).map((entry) => entry['manager']), ['b'])
  const shared = apply(first, config({ replicas: 3 }), 'b')
  assert.deepEqual(managersOf(shared).map((entry) => entry['manager']).sort(), ['a', 'b'])
})

test('what is applied no more goes, unless somebody else owns it', () => {
  const first = apply(undefined, config({ replicas: 3, ...containers({ name: 'x', image: '1' }, { name: 'y', image: '1' }) }, { labels: { a: '1', b: '1' } }), 'tool')
  const other = normal(trackUpdate({ typeId, apiVersion, old: first, object: { ...first, spec: { ...(first['spec'] as JsonObject), minReadySeconds: 7 } }, manager: 'hand', nowMs }))
  const second = apply(other, config({ ...containers({ name: 'y', image: '2' }) }, { labels: { b: '1' } }), 'tool')
  assert.equal(at(second, 'spec', 'replicas'), undefined)
  assert.equal(at(second, 'spec', 'minReadySeconds'), 7)
  assert.deepEqual(at(second, 'metadata', 'labels'), { b: '1' })
  assert.deepEqual((at(second, 'spec', 'template', 'spec', 'containers') as JsonObject[]).map((c) => [c['name'], c['image']]), [['y', '2']])
})

test('an object that nobody manages belongs to before-first-apply', () => {
  const refused = applyTo(normal(config({ replicas: 3 }, { uid: 'u' })), config({ replicas: 4 }), 'tool')
  assert.ok(!refused.ok)
  assert.equal(refused.status.message, 'Apply failed with 1 conflict: conflict with "before-first-apply" using apps/v1: .spec.replicas')
})

test('kubectl may take over what it applied on the client side', () => {
  const last = JSON.stringify(config({ replicas: 3 }))
  const live = normal(trackUpdate({ typeId, apiVersion, old: undefined, object: normal(config({ replicas: 3 }, { annotations: { 'kubectl.kubernetes.io/last-applied-configuration': last } })), manager: 'kubectl-client-side-apply', nowMs }))
  const result = apply(live, config({ replicas: 4 }), 'kubectl')
  assert.equal(at(result, 'spec', 'replicas'), 4)
  assert.equal(JSON.parse(String(at(result, 'metadata', 'annotations', 'kubectl.kubernetes.io/last-applied-configuration'))).spec.replicas, 4)
  assert.equal(applyTo(live, config({ replicas: 4 }), 'other').ok, false)
})

test('bad configurations', () => {
  const status = (applied: JsonObject) => { const result = applyTo(undefined, applied, 'x'); assert.ok(!result.ok); return [result.status.code, result.status.message] }
  assert.deepEqual(status({ ...config({}), apiVersion: 'apps/v2' }), [400, 'Incorrect version specified in apply patch. Specified patch version: apps/v2, expected: apps/v1'])
  assert.deepEqual(status(config({}, { managedFields: [] })), [400, 'metadata.managedFields must be nil'])
  assert.match(String(status(config({ replicaz: 1 }))[1]), /\.spec\.replicaz: field not declared in schema/)
  assert.match(String(status(config(containers({ name: 'a' }, { name: 'a' })))[1]), /duplicate entries for key \[name="a"\]/)
})

test('ordinary writes: create, change, status, reset', () => {
  const created = normal(trackUpdate({ typeId, apiVersion, old: undefined, object: normal(config({ replicas: 1, ...containers({ name: 'c', image: '1' }) }, { labels: { a: '1' } })), manager: 'kubectl-create', resetFields: resetFieldsOf(['status']), nowMs }))
  assert.deepEqual(managersOf(created)[0]?.['fieldsV1'], {
    'f:metadata': { 'f:labels': { '.': {}, 'f:a': {} } },
    'f:spec': { 'f:replicas': {}, 'f:template': { 'f:spec': { 'f:containers': { '.': {}, 'k:{"name":"c"}': { '.': {}, 'f:image': {}, 'f:name': {}, 'f:resources': {} } } } } },
  })
  const status = normal(trackUpdate({ typeId, apiVersion, old: created, object: { ...created, status: { replicas: 1 } }, manager: 'kube-controller-manager', subresource: 'status', resetFields: resetFieldsOf(['spec']), nowMs: nowMs + 5000 }))
  assert.deepEqual(managersOf(status)[1], { manager: 'kube-controller-manager', operation: 'Update', apiVersion, time: '2026-01-01T00:00:05Z', fieldsType: 'FieldsV1', fieldsV1: { 'f:status': { 'f:replicas': {} } }, subresource: 'status' })
  const same = trackUpdate({ typeId, apiVersion, old: status, object: status, manager: 'x', nowMs: nowMs + 9000 })
  assert.deepEqual(managersOf(normal(same)), managersOf(status))
  const reset = trackUpdate({ typeId, apiVersion, old: status, object: { ...status, metadata: { ...(status['metadata'] as JsonObject), managedFields: [{}] } }, manager: 'x', nowMs })
  assert.deepEqual(managersOf(reset), [])
  const untracked = normal(config({ replicas: 1 }))
  assert.deepEqual(managersOf(trackUpdate({ typeId, apiVersion, old: untracked, object: normal(config({ replicas: 2 })), manager: 'x', nowMs })), [])
})

test('more than ten updaters: the oldest become ancient-changes', () => {
  let object = normal(trackUpdate({ typeId, apiVersion, old: undefined, object: normal(config({}, { labels: { l0: '' } })), manager: 'm0', nowMs }))
  for (let i = 1; i <= 12; i++) {
    const metadata = object['metadata'] as JsonObject
    object = normal(trackUpdate({ typeId, apiVersion, old: object, object: { ...object, metadata: { ...metadata, labels: { ...(metadata['labels'] as JsonObject), [`l${i}`]: '' } } }, manager: `m${i}`, nowMs: nowMs + i * 1000 }))
  }
  assert.equal(managersOf(object).length, 10)
  assert.equal(managersOf(object)[0]?.['manager'], 'ancient-changes')
})

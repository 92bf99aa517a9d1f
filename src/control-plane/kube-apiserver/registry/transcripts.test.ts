// What the strategies say to right and wrong objects, case by case. `UPDATE_TRANSCRIPTS=1` writes what is said now into the files, to be read and judged.
import assert from 'node:assert/strict'
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadAll } from 'js-yaml'
import { servedResources } from '../../../lib/api/generated/resources.ts'
import type { JsonObject } from '../../../lib/base/json.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'
import { createStrategies } from './strategies.ts'
import type { ResourceStrategy, StrategyContext } from './strategy.ts'
import { patched, readTranscript, writeTranscript } from './transcript-cases.ts'
import type { TranscriptCase } from './transcript-cases.ts'

const table = createStrategies()
const context: StrategyContext = { user: { name: 'jane', uid: 'u-1', groups: ['dev'], extra: {} }, nowMs: 1_700_000_000_000, dryRun: false, warn() {} }
const folder = join(import.meta.dirname, 'testdata')
const bases = new Map<string, ApiObject>()
for (const object of loadAll(readFileSync(join(folder, 'valid-objects.yaml'), 'utf8')) as ApiObject[]) {
  const name = `${object.kind} ${object.metadata.name ?? object.metadata.generateName}`
  bases.set(bases.has(name) ? `${object.apiVersion} ${name}` : name, object)
}

function strategyFor(object: ApiObject): ResourceStrategy {
  const at = (object.apiVersion ?? '').lastIndexOf('/')
  const group = (object.apiVersion ?? '').slice(0, Math.max(at, 0))
  const info = servedResources.find((candidate) => candidate.group === group && candidate.version === object.apiVersion?.slice(at + 1) && candidate.kind === object.kind)
  const strategy = info && table.get(`${info.group}/${info.resource}`)
  assert.ok(strategy, `a strategy for ${object.apiVersion} ${object.kind}`)
  return strategy
}

function said({ base, verb, old, patches, line }: TranscriptCase): readonly string[] {
  const found = bases.get(base)
  assert.ok(found, `a valid object of the name ${base}`)
  const strategy = strategyFor(found)
  const { generateName = '', name = `${generateName}abcde`, uid = '11111111-2222-4333-8444-555555555555' } = found.metadata
  const start = { ...found, metadata: { ...found.metadata, name, ...(verb !== 'create' && { uid }) } }
  const from = (object: unknown, by: readonly string[]): ApiObject => strategy.applyDefaults(patched(object as JsonObject, by) as unknown as ApiObject)
  const before = from(start, old)
  const forUpdate = verb === 'update' ? strategy : verb === 'status' ? strategy.status : strategy.subresources?.[verb]
  assert.ok(verb === 'create' || forUpdate, line)
  // What is stored has gone through creation, but keeps the status that the case gives it.
  const stored = { ...strategy.prepareForCreate(before, context), ...('status' in before && { status: before.status }) } as ApiObject
  const final = verb === 'create' ? strategy.prepareForCreate(from(start, [...old, ...patches]), context) : forUpdate?.prepareForUpdate(from(stored, patches), stored, context) ?? stored
  const errors = verb === 'create' ? strategy.validateCreate(final, context) : forUpdate?.validateUpdate(final, stored, context) ?? []
  const warnings = verb === 'create' || verb === 'update' ? strategy.warnings?.(final, verb === 'create' ? undefined : stored, context) ?? [] : []
  const lines = errors.map((error) => `${error.type} ${error.field}: ${error.body}`.replaceAll('\n', '\\n'))
  return [...(lines.length === 0 ? ['ok'] : lines), ...warnings.map((warning) => `warning: ${warning}`)]
}

for (const file of readdirSync(folder).filter((name) => name.endsWith('.txt'))) {
  const path = join(folder, file)
  const text = readFileSync(path, 'utf8')
  if (process.env.UPDATE_TRANSCRIPTS) writeFileSync(path, writeTranscript(text, said))
  else {
    test(file, () => {
      for (const line of readTranscript(text)) assert.deepEqual(said(line), line.expected, `${line.base}: ${line.line}`)
    })
  }
}

// A large object's fields: the work grows as the object does, and none of its pieces holds others up. Work is counted, not timed: every step of a walk
// looks something up in a Map or a Set, or puts something there.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import type { JsonObject } from '../../base/json.ts'
import { trackUpdateSteps, type TrackOptions } from './apply.ts'

/** Calls of Map's and Set's functions meanwhile. */
function countLookups(work: () => void): number {
  let count = 0
  const owners: readonly [object: object, name: string][] = [[Map.prototype, 'get'], [Map.prototype, 'set'], [Map.prototype, 'has'], [Set.prototype, 'add'], [Set.prototype, 'has']]
  const originals = owners.map(([object, name]) => Object.getOwnPropertyDescriptor(object, name))
  for (const [i, [object, name]] of owners.entries()) {
    const original = originals[i]?.value as (...args: unknown[]) => unknown // cast: they are functions
    Object.defineProperty(object, name, { ...originals[i], value(...args: unknown[]) { count++; return Reflect.apply(original, this, args) } })
  }
  try { work() } finally {
    for (const [i, [object, name]] of owners.entries()) Object.defineProperty(object, name, originals[i] ?? {})
  }
  return count
}

interface Work { readonly result: JsonObject; readonly total: number; readonly largestPiece: number; readonly pieces: number }

function workOf(options: TrackOptions): Work {
  const steps = trackUpdateSteps(options)
  let total = 0
  let largestPiece = 0
  for (let pieces = 1; ; pieces++) {
    let step: IteratorResult<undefined, JsonObject> | undefined
    const count = countLookups(() => { step = steps.next() })
    total += count
    largestPiece = Math.max(largestPiece, count)
    if (step?.done) return { result: step.value, total, largestPiece, pieces }
  }
}

const options = { typeId: 'io.k8s.api.core.v1.Pod', apiVersion: 'v1', nowMs: 0 }
const pod = (count: number, value: string): JsonObject => ({
  kind: 'Pod', apiVersion: 'v1', metadata: { name: 'a', annotations: Object.fromEntries(Array.from({ length: count }, (_, i) => [`key-${i}`, value])) },
  spec: { containers: [{ name: 'c', image: 'i', env: Array.from({ length: count }, (_, i) => ({ name: `V${i}`, value })) }] },
})

for (const [title, measure] of [
  ['created', (count: number) => workOf({ ...options, manager: 'one', old: undefined, object: pod(count, '1') })],
  ['updated by another', (count: number) => {
    const { result } = workOf({ ...options, manager: 'one', old: undefined, object: pod(count, '1') })
    return workOf({ ...options, manager: 'two', old: result, object: pod(count, '2') })
  }],
] as const) {
  test(`a large object is ${title}: as much work per item as for a small one, in pieces`, () => {
    const [small, large] = [measure(2000), measure(16_000)]
    assert.ok(large.total < small.total * 8.1, `${small.total} for 2,000 items, ${large.total} for 16,000`)
    // An item of two fields, and a key: some fifteen lookups each way.
    assert.ok(large.total / 16_000 < 60, `${large.total / 16_000} lookups an item`)
    assert.ok(large.pieces > 16_000 / 500, `${large.pieces} pieces`)
    // Sorting a level, and what was owned before, are one piece each.
    assert.ok(large.largestPiece < large.total / (title === 'created' ? 10 : 2), `${large.largestPiece} of ${large.total} lookups in one piece`)
  })
}

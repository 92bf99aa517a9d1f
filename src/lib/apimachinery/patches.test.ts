import { test } from 'node:test'
import assert from 'node:assert/strict'
import type { JsonValue } from '../base/json.ts'
import { applyJsonPatch, maxJsonPatchOperations } from './json-patch.ts'
import { applyMergePatch, createMergePatch, createThreeWayMergePatch } from './merge-patch.ts'
import { PatchError } from './patch-error.ts'

const refused = (document: JsonValue, patch: JsonValue, reason: string, message?: RegExp) => {
  assert.throws(() => applyJsonPatch(document, patch), (error) => error instanceof PatchError && error.reason === reason && (message === undefined || message.test(error.message)))
}

test('JSON patch', () => {
  const document = Object.freeze({ a: Object.freeze({ 'b/c': 1, 'd~': 2 }), list: Object.freeze([1, 2, 3]) })
  const cases: readonly (readonly [JsonValue, JsonValue])[] = [
    [[{ op: 'add', path: '/a/x', value: [1] }], { a: { 'b/c': 1, 'd~': 2, x: [1] }, list: [1, 2, 3] }],
    [[{ op: 'replace', path: '/a/b~1c', value: 5 }, { op: 'remove', path: '/a/d~0' }], { a: { 'b/c': 5 }, list: [1, 2, 3] }],
    [[{ op: 'add', path: '/list/1', value: 9 }, { op: 'add', path: '/list/-', value: 8 }, { op: 'remove', path: '/list/0' }], { a: { 'b/c': 1, 'd~': 2 }, list: [9, 2, 3, 8] }],
    [[{ op: 'remove', path: '/list/-1' }], { a: { 'b/c': 1, 'd~': 2 }, list: [1, 2] }],
    [[{ op: 'move', from: '/a', path: '/z' }], { z: { 'b/c': 1, 'd~': 2 }, list: [1, 2, 3] }],
    [[{ op: 'copy', from: '/list', path: '/a' }, { op: 'add', path: '/a/0', value: 0 }], { a: [0, 1, 2, 3], list: [1, 2, 3] }],
    [[{ op: 'test', path: '/a/b~1c', value: 1 }, { op: 'test', path: '/nothing', value: null }], { a: { 'b/c': 1, 'd~': 2 }, list: [1, 2, 3] }],
  ]
  for (const [patch, expected] of cases) assert.deepEqual(applyJsonPatch(document, patch), expected)
})

test('JSON patches that are refused', () => {
  refused({ a: 1 }, [{ op: 'test', path: '/a', value: 2 }], 'Invalid', /^testing value \/a failed: test failed$/)
  refused({}, [{ op: 'remove', path: '/a' }], 'Invalid', /nonexistent key: a/)
  refused({}, [{ op: 'replace', path: '/a', value: 1 }], 'Invalid', /doc is missing key: \/a/)
  refused({}, [{ op: 'add', path: '/a/b', value: 1 }], 'Invalid', /doc is missing path/)
  refused({ a: [] }, [{ op: 'add', path: '/a/2', value: 1 }], 'Invalid', /invalid index/)
  refused({}, [{ op: 'add', path: '/__proto__/x', value: 1 }], 'Invalid', /__proto__/)
  refused({}, [{ op: 'jump', path: '/a' }], 'Invalid')
  refused({}, [{ op: 'add', path: '/a' }], 'Invalid', /no value/)
  refused({}, { op: 'add' }, 'BadRequest')
  refused({}, ['add'], 'BadRequest')
  refused({}, Array.from({ length: maxJsonPatchOperations + 1 }, () => ({ op: 'test', path: '/a', value: null })), 'RequestEntityTooLarge', /maximum operations in a JSON patch is 10000, got 10001/)
  refused({ a: 'x'.repeat(2 ** 21) }, [{ op: 'copy', from: '/a', path: '/b' }, { op: 'copy', from: '/a', path: '/c' }], 'Invalid', /accumulated size/)
  assert.equal(({} as { x?: number }).x, undefined)
})

test('merge patch: the RFC’s own table', () => {
  const cases: readonly (readonly [JsonValue, JsonValue, JsonValue])[] = [
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }], [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }], [{ a: 'b' }, { a: null }, {}], [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }], [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }], [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }], [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }], [['a', 'b'], ['c', 'd'], ['c', 'd']], [{ a: 'b' }, ['c'], ['c']],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }], [[1, 2], { a: 'b', c: null }, { a: 'b' }], [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ]
  for (const [document, patch, expected] of cases) assert.deepEqual(applyMergePatch(document, patch), expected)
})

test('making merge patches', () => {
  const from = { a: 1, b: { c: 1, d: 2 }, e: [1] }
  const to = { a: 1, b: { c: 3 }, e: [1, 2], f: {} }
  assert.deepEqual(createMergePatch(from, to), { b: { c: 3, d: null }, e: [1, 2], f: {} })
  assert.deepEqual(applyMergePatch(from, createMergePatch(from, to)), to)
  assert.deepEqual(createThreeWayMergePatch({ a: 1, gone: 1 }, { a: 2 }, { a: 1, gone: 1, theirs: 1 }), { a: 2, gone: null })
})

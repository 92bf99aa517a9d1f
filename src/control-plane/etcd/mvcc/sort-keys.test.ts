import { test } from 'node:test'
import assert from 'node:assert/strict'
import { randomInteger, seededRandom } from '../../../lib/base/random.ts'
import { MvccStore } from './mvcc-store.ts'

test('a store that is loaded has its keys in the order of their bytes: common beginnings, zeros, keys that are the beginning of others', () => {
  const random = seededRandom(5)
  const pieces = ['/registry/pods/', '/registry/', 'k', '\0', '\0\0', 'ÿ', 'a', 'abcd', 'abcdefgh', '']
  const texts = new Set<string>()
  while (texts.size < 4000) {
    let text = ''
    for (let n = randomInteger(random, 6); n >= 0; n--) text += pieces[randomInteger(random, pieces.length)] ?? ''
    texts.add(text + (random.float() < 0.7 ? String.fromCharCode(randomInteger(random, 256), randomInteger(random, 3)) : ''))
  }
  const store = new MvccStore({ attach: () => {}, detach: () => {} })
  const restoring = store.beginRestore(0)
  let revision = 1
  for (const key of texts) restoring.add({ key, createRevision: ++revision, modRevision: revision, subRevision: 0, version: 1, lease: 0n, value: new Uint8Array(0) })
  for (const _ of restoring.finish(revision)) void _
  const sorted = [...texts].sort()
  assert.deepEqual(store.list({ from: '', end: undefined, single: false }, 0, 0).map(({ text }) => text), sorted)
  for (const [from, end] of [['/registry/', '/registry0'], ['k', 'l'], ['\0', '\0\0'], ['ÿ', undefined]] as const) {
    const expected = sorted.filter((text) => text >= from && (end === undefined || text < end))
    assert.deepEqual(store.list({ from, end, single: false }, 0, 0).map(({ text }) => text), expected)
    assert.equal(store.count({ from, end, single: false }, 0), expected.length)
  }
})

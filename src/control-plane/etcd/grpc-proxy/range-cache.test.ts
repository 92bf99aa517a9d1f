import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KeyNamespace } from './key-namespace.ts'
import { revisionOf } from './kv-proxy.ts'
import { overlaps, RangeCache, type KeyRange } from './range-cache.ts'
import { encodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'

const range = (key: string, end?: string): KeyRange => ({ key: Buffer.from(key), ...(end === undefined ? {} : { rangeEnd: Buffer.from(end) }) })
const answer = (text: string): Uint8Array => Buffer.from(text)
const textOf = (found: Uint8Array | 'compacted' | undefined): string | undefined => (typeof found === 'object' ? Buffer.from(found).toString() : found)

test('ranges overlap where they have a key in common', () => {
  assert.ok(overlaps(range('a'), range('a')))
  assert.ok(!overlaps(range('a'), range('b')))
  assert.ok(overlaps(range('a', 'c'), range('b')))
  assert.ok(!overlaps(range('a', 'c'), range('c')))
  assert.ok(overlaps(range('b', '\0'), range('x', 'y')))
  assert.ok(!overlaps(range('b', '\0'), range('a')))
  assert.ok(overlaps(range('a', 'c'), range('b', 'd')))
})

test('answers are kept until their keys are written, those of a revision until it is compacted', () => {
  const cache = new RangeCache()
  const keep = (name: string, of: KeyRange, revision = 0): void => cache.end(cache.begin(of), name, revision, answer(name))
  keep('point', range('b'))
  keep('interval', range('a', 'c'))
  keep('elsewhere', range('x'))
  keep('past', range('a', 'c'), 7)
  cache.invalidate(range('b'))
  assert.deepEqual(['point', 'interval'].map((name) => cache.find(name, 0)), [undefined, undefined])
  assert.equal(textOf(cache.find('elsewhere', 0)), 'elsewhere')
  assert.equal(textOf(cache.find('past', 7)), 'past')
  cache.compact(8)
  assert.equal(cache.find('past', 7), 'compacted')
  assert.equal(cache.find('never asked', 8), undefined)
})

test('an answer that was on its way while its keys were written is not kept', () => {
  const cache = new RangeCache()
  const fill = cache.begin(range('a', 'z'))
  cache.invalidate(range('m'))
  cache.end(fill, 'old', 0, answer('old'))
  assert.equal(cache.find('old', 0), undefined)
})

test('the cache is bounded, and the answer that was used least recently goes first', () => {
  const cache = new RangeCache()
  for (let i = 0; i < 3000; i++) {
    cache.end(cache.begin(range(`k${i}`)), `k${i}`, 0, answer('x'))
    cache.find('k0', 0)
  }
  assert.equal(cache.size, 2048)
  assert.ok(cache.find('k0', 0))
  assert.equal(cache.find('k1', 0), undefined)
  const large = new RangeCache()
  for (let i = 0; i < 30; i++) large.end(large.begin(range(`k${i}`)), `k${i}`, 0, Buffer.alloc(3 * 1024 * 1024))
  assert.ok(large.size < 25)
})

test('a namespace ends where everything ends for its clients', () => {
  const namespace = new KeyNamespace('app/')
  const text = ({ key = new Uint8Array(0), rangeEnd = new Uint8Array(0) }: { readonly key?: Uint8Array; readonly rangeEnd?: Uint8Array }): readonly string[] => [Buffer.from(key).toString(), Buffer.from(rangeEnd).toString()]
  assert.deepEqual(text(namespace.range({ key: Buffer.from('a') })), ['app/a', ''])
  assert.deepEqual(text(namespace.range({ key: Buffer.from('a'), rangeEnd: Buffer.from('b') })), ['app/a', 'app/b'])
  assert.deepEqual(text(namespace.range({ key: Buffer.from('\0'), rangeEnd: Buffer.from('\0') })), ['app/\0', 'app0'])
  assert.throws(() => namespace.put({ value: Buffer.from('x') }), { message: 'etcdserver: key is not provided' })
  const nested = namespace.txn({ success: [{ requestTxn: { compare: [{ key: Buffer.from('c') }], failure: [{ requestDeleteRange: { key: Buffer.from('d') } }] } }] })
  assert.equal(Buffer.from(nested.success?.[0]?.requestTxn?.failure?.[0]?.requestDeleteRange?.key ?? []).toString(), 'app/d')
  assert.deepEqual(namespace.leaseAnswer({ keys: [Buffer.from('app/x'), Buffer.from('other/y')] }).keys?.map((key) => Buffer.from(key).toString()), ['x'])
})

test('the revision of an answer is read without the rest of it', () => {
  assert.equal(revisionOf(encodeProto3(etcdTable, 'RangeResponse', { header: { clusterId: 5n, memberId: 6n, revision: 123456, raftTerm: 3 }, count: 9 })), 123456)
  assert.equal(revisionOf(new Uint8Array(0)), 0)
})

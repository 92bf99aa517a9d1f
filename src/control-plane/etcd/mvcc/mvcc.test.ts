import { test } from 'node:test'
import assert from 'node:assert/strict'
import { LeaseBook } from '../lease/lease-book.ts'
import { keyRange, keyText } from './key-text.ts'
import { MvccStore } from './mvcc-store.ts'
import { readRange } from './range.ts'
import { checkTxn } from './request-checks.ts'
import { runTransaction } from './transaction.ts'
import { WatchHub } from './watch-hub.ts'
import type { EtcdKeyValue, EtcdOperation, EtcdTxnRequest } from '../../../lib/etcd-api/operations.ts'

const b = (text: string): Uint8Array => Buffer.from(text)
const t = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
const put = (key: string, value: string): EtcdOperation => ({ type: 'put', key: b(key), value: b(value) })
const del = (key: string, rangeEnd?: string): EtcdOperation => ({ type: 'deleteRange', key: b(key), ...(rangeEnd === undefined ? {} : { rangeEnd: b(rangeEnd) }) })
const only = (...success: EtcdOperation[]): EtcdTxnRequest => ({ compare: [], success, failure: [] })
const show = (kv: EtcdKeyValue): string => `${t(kv.key)}=${t(kv.value)} c${kv.createRevision} m${kv.modRevision} v${kv.version}`
const newStore = (): MvccStore => new MvccStore(new LeaseBook(1))
const run = (store: MvccStore, ...ops: EtcdOperation[]): number => runTransaction(store, only(...ops), () => true).revision
const all = (store: MvccStore, revision = 0): string[] => readRange(store, { key: b('\0'), rangeEnd: b('\0'), revision }).kvs.map(show)

test('every change is a revision that can be read later; a tombstone ends a life', () => {
  const store = newStore()
  assert.equal(store.revision, 1)
  assert.equal(run(store, put('a', '1')), 2)
  assert.equal(run(store, put('a', '2'), put('b', '1')), 3)
  assert.equal(run(store, del('a')), 4)
  assert.equal(run(store, del('a')), 4, 'deleting nothing is no revision')
  assert.equal(run(store, put('a', '3')), 5)
  assert.deepEqual(all(store), ['a=3 c5 m5 v1', 'b=1 c3 m3 v1'])
  assert.deepEqual(all(store, 4), ['b=1 c3 m3 v1'])
  assert.deepEqual(all(store, 3), ['a=2 c2 m3 v2', 'b=1 c3 m3 v1'])
  assert.throws(() => all(store, 6), { reason: 'OutOfRange' })
})

test('nested transactions decide by the state before them', () => {
  const store = newStore()
  run(store, put('a', '1'))
  const response = runTransaction(store, {
    compare: [{ key: b('a'), target: 'MOD', result: 'EQUAL', number: 2 }],
    success: [put('x', '1'), { type: 'txn', compare: [{ key: b('x'), target: 'CREATE', result: 'EQUAL', number: 0 }], success: [put('y', 'then')], failure: [put('y', 'else')] }, { type: 'range', key: b('y') }],
    failure: [],
  }, () => true)
  assert.equal(response.succeeded, true)
  assert.deepEqual(all(store), ['a=1 c2 m2 v1', 'x=1 c3 m3 v1', 'y=then c3 m3 v1'])
  const read = response.results[2]
  assert.ok(read?.type === 'range' && read.kvs.length === 1 && read.revision === 3, 'a read sees the writes before it')
})

test('compares: absent keys, values, ranges', () => {
  const store = newStore()
  run(store, put('k1', 'b'), put('k2', 'c'))
  const holds = (compare: EtcdTxnRequest['compare'][number]): boolean => runTransaction(store, { compare: [compare], success: [], failure: [] }, () => true).succeeded
  assert.equal(holds({ key: b('no'), target: 'VERSION', result: 'EQUAL', number: 0 }), true)
  assert.equal(holds({ key: b('no'), target: 'VALUE', result: 'NOT_EQUAL', value: b('x') }), false)
  assert.equal(holds({ key: b('k1'), target: 'VALUE', result: 'LESS', value: b('ba') }), true)
  assert.equal(holds({ key: b('k'), rangeEnd: b('l'), target: 'VALUE', result: 'GREATER', value: b('a') }), true)
  assert.equal(holds({ key: b('k'), rangeEnd: b('l'), target: 'VALUE', result: 'GREATER', value: b('b') }), false)
  assert.equal(holds({ key: b('k1'), target: 'LEASE', result: 'EQUAL', lease: 0n }), true)
})

test('a refused transaction changes nothing', () => {
  const store = newStore()
  run(store, put('a', '1'))
  assert.throws(() => runTransaction(store, only(put('b', '1'), { type: 'put', key: b('c'), value: b(''), lease: 7n }), () => false), { reason: 'NotFound' })
  assert.throws(() => runTransaction(store, only(put('b', '1'), { type: 'range', key: b('a'), revision: 99 }), () => true), { reason: 'OutOfRange' })
  assert.deepEqual(all(store), ['a=1 c2 m2 v1'])
  assert.throws(() => checkTxn(only(put('a', '1'), put('a', '2')), 128), /duplicate key/)
  assert.throws(() => checkTxn(only(del('a', 'c'), put('b', '2')), 128), /duplicate key/)
  assert.doesNotThrow(() => checkTxn(only({ type: 'txn', compare: [], success: [put('a', '1')], failure: [put('a', '2')] }), 128))
  assert.throws(() => checkTxn(only(...Array.from({ length: 129 }, (_, i) => put(`k${i}`, ''))), 128), /too many operations/)
})

test('limit, count, sorting, keys only', () => {
  const store = newStore()
  for (const [k, v] of [['a', '3'], ['b', '1'], ['c', '2'], ['d', '9']] as const) run(store, put(k, v))
  run(store, del('d'))
  const page = readRange(store, { key: b('a'), rangeEnd: b('z'), limit: 2 })
  assert.deepEqual([page.kvs.map((kv) => t(kv.key)), page.more, page.count], [['a', 'b'], true, 3])
  assert.equal(readRange(store, { key: b('a'), rangeEnd: b('z'), countOnly: true, revision: 5 }).count, 4)
  assert.deepEqual(readRange(store, { key: b('a'), rangeEnd: b('z'), sortTarget: 'VALUE', sortOrder: 'DESCEND', limit: 2 }).kvs.map((kv) => t(kv.key)), ['a', 'c'])
  assert.deepEqual(readRange(store, { key: b('a'), rangeEnd: b('z'), minModRevision: 4 }).kvs.map((kv) => t(kv.key)), ['c'])
  assert.equal(readRange(store, { key: b('a'), keysOnly: true }).kvs[0]?.value.length, 0)
})

test('compaction frees old versions and tombstones, and readers keep what they hold', () => {
  const store = newStore()
  const value = 'v'.repeat(10_000)
  for (let i = 0; i < 200; i++) run(store, put('hot', value + i))
  run(store, put('gone', 'x'))
  run(store, del('gone'))
  const held = store.get('hot', 50)
  const used = store.sizeInUseBytes
  store.compact(store.revision)
  assert.throws(() => all(store, 100), { reason: 'Compacted' })
  while (store.scrub(10, 100_000)) { /* in pieces */ }
  assert.ok(store.sizeInUseBytes < used / 50, 'old values are freed')
  assert.equal(store.keyCount, 1)
  assert.equal(t(held!.value), `${value}48`)
  assert.deepEqual(all(store, store.revision).length, 1)
  assert.throws(() => store.compact(5), { reason: 'Compacted' })
})

test('slabs that are mostly dead are emptied, their live values moved', () => {
  const store = newStore()
  for (let i = 0; i < 400; i++) run(store, put(`k${i % 40 === 0 ? i : 'hot'}`, `${i}`.padEnd(20_000, '.')))
  const before = store.sizeBytes
  store.compact(store.revision)
  while (store.scrub(100, 50_000)) { /* in pieces */ }
  assert.ok(store.sizeBytes < before / 3)
  assert.ok(t(store.get('k40')!.value).startsWith('40...'))
})

test('the ordered index against a sorted list', () => {
  const store = newStore()
  const model = new Map<string, string>()
  let seed = 7
  const next = (n: number): number => { seed = (seed * 1103515245 + 12345) & 0x7fffffff; return seed % n }
  for (let i = 0; i < 6000; i++) {
    const key = `k${next(3000)}`
    if (next(3) === 0) { run(store, del(key)); model.delete(key) } else { run(store, put(key, `${i}`)); model.set(key, `${i}`) }
    if (i % 1000 === 999) { store.compact(store.revision); while (store.scrub(500, 1000)) { /* in pieces */ } }
  }
  const expected = [...model].sort(([x], [y]) => (x < y ? -1 : 1))
  assert.deepEqual(readRange(store, { key: b('\0'), rangeEnd: b('\0') }).kvs.map((kv) => [t(kv.key), t(kv.value)]), expected)
  const middle = expected.filter(([k]) => k >= 'k1' && k < 'k25')
  const page = readRange(store, { key: b('k1'), rangeEnd: b('k25'), limit: 10 })
  assert.deepEqual([page.count, page.kvs.length], [middle.length, 10])
})

test('watches: past and future starts, one call per revision, previous values, compaction, pause', () => {
  const store = newStore()
  const queue: (() => void)[] = []
  const settle = (): void => { for (let next = queue.shift(); next; next = queue.shift()) next() }
  const hub = new WatchHub(store, (f) => queue.push(f), (f) => queue.push(f))
  const commit = (...ops: EtcdOperation[]): void => { run(store, ...ops); hub.dispatch(); settle() }
  const observe = (log: string[]): Parameters<WatchHub['watch']>[1] => ({
    created: (revision) => log.push(`created ${revision}`),
    events: (events, revision) => log.push(`@${revision} ${events.map((e) => `${e.type} ${t(e.kv.key)}=${t(e.kv.value)}${e.prevKv ? ` was ${t(e.prevKv.value)}` : ''}`).join(', ')}`),
    closed: (end) => log.push(`closed ${end.compactRevision ?? ''}`),
  })
  commit(put('a', '1'))
  commit(put('a', '2'), put('b', '1'), put('z', '1'))
  const past: string[] = []
  const now: string[] = []
  const future: string[] = []
  const paused: string[] = []
  hub.watch({ key: b('a'), rangeEnd: b('c'), startRevision: 2, prevKv: true }, observe(past))
  hub.watch({ key: b('a') }, observe(now))
  hub.watch({ key: b('a'), startRevision: 6 }, observe(future))
  const slow = hub.watch({ key: b('a') }, observe(paused))
  settle()
  slow.pause()
  commit(del('a'))
  commit(put('z', '2'))
  commit(put('a', '9'))
  slow.requestProgress()
  settle()
  slow.resume()
  settle()
  assert.deepEqual(past, ['created 3', '@3 PUT a=1, PUT a=2 was 1, PUT b=1', '@4 DELETE a= was 2', '@6 PUT a=9'])
  assert.deepEqual(now, ['created 3', '@4 DELETE a=', '@6 PUT a=9'])
  assert.deepEqual(future, ['created 3', '@6 PUT a=9'])
  assert.deepEqual(paused, ['created 3', '@6 DELETE a=, PUT a=9', '@6 '], 'progress is told after what was missed')
  store.compact(5)
  while (store.scrub(10, 1000)) { /* in pieces */ }
  const late: string[] = []
  hub.watch({ key: b('a'), startRevision: 3 }, observe(late))
  settle()
  assert.deepEqual(late, ['created 6', 'closed 5'])
})

test('keys are bytes: every byte value orders and matches', () => {
  const store = newStore()
  for (let i = 255; i >= 0; i--) runTransaction(store, only({ type: 'put', key: Uint8Array.of(0x70, i), value: Uint8Array.of(i) }), () => true)
  const kvs = readRange(store, { key: b('p'), rangeEnd: b('q') }).kvs
  assert.deepEqual(kvs.map((kv) => kv.key[1]), Array.from({ length: 256 }, (_, i) => i))
  assert.equal(keyRange(b('p'), Uint8Array.of(0)).end, undefined)
  assert.equal(keyText(Uint8Array.of(255)).length, 1)
})

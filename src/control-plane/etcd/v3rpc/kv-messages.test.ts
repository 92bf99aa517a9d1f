import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { encodeWith, type MessageEncoder } from '../../../lib/base/protobuf/exact-writer.ts'
import { decodeProto3, encodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { WireError, WireReader } from '../../../lib/base/protobuf/wire-reader.ts'
import { EtcdError } from '../../../lib/etcd-api/etcd-error.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import type { WatchRequest } from '../../../lib/etcd-api/generated/types.ts'
import type { EtcdOperationResult, EtcdTxnResponse } from '../../../lib/etcd-api/operations.ts'
import { deleteRangeFromWire, putFromWire, rangeFromWire, rangeToWire, txnFromWire, txnResponseToWire } from '../../../lib/etcd-api/wire-conversion.ts'
import { MvccStore } from '../mvcc/mvcc-store.ts'
import { isLongRange, readRange, readRangeInPieces } from '../mvcc/range.ts'
import { deleteRangeAnswer, encodeEvents, putAnswer, rangeAnswer, rangePieces, rangeSizeInPieces, rangeStreamAnswer, txnAnswer, WatchHead } from './kv-answers.ts'
import { readDeleteRangeRequest, readPutRequest, readRangeRequest, readTxnRequest, readWatchRequest } from './kv-requests.ts'

const seed = { seed: 20261123, numRuns: 400 }
const bytes = fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.uint8Array({ minLength: 120, maxLength: 140 })).map((b) => Buffer.from(b))
const number = fc.oneof(fc.nat(300), fc.maxSafeInteger())
const id = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
const lease = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
const partly = (shape: { readonly [name: string]: fc.Arbitrary<unknown> }): fc.Arbitrary<object> => fc.record(shape, { requiredKeys: [] })

const headerOf = partly({ clusterId: id, memberId: id, raftTerm: number })
const keyValue = fc.record({ key: bytes, createRevision: number, modRevision: number, version: number, value: bytes, lease })
const rangeResult = { revision: fc.nat(), kvs: fc.array(keyValue, { maxLength: 3 }), more: fc.boolean(), count: number }
const range = partly({
  key: bytes, rangeEnd: bytes, limit: number, revision: fc.integer(), sortOrder: fc.constantFrom('NONE', 'ASCEND', 'DESCEND'), sortTarget: fc.constantFrom('KEY', 'VERSION', 'CREATE', 'MOD', 'VALUE'), serializable: fc.boolean(),
  keysOnly: fc.boolean(), countOnly: fc.boolean(), minModRevision: number, maxModRevision: number, minCreateRevision: number, maxCreateRevision: number,
})
const put = partly({ key: bytes, value: bytes, lease, prevKv: fc.boolean(), ignoreValue: fc.boolean(), ignoreLease: fc.boolean() })
const deleteRange = partly({ key: bytes, rangeEnd: bytes, prevKv: fc.boolean() })
const compare = partly({
  result: fc.constantFrom('EQUAL', 'GREATER', 'LESS', 'NOT_EQUAL'), target: fc.constantFrom('VERSION', 'CREATE', 'MOD', 'VALUE', 'LEASE'), key: bytes, rangeEnd: bytes, version: number, createRevision: number, modRevision: number, value: bytes, lease,
})
const { txn } = fc.letrec((tie) => ({
  operation: fc.oneof({ maxDepth: 2 }, fc.record({ requestRange: range }), fc.record({ requestPut: put }), fc.record({ requestDeleteRange: deleteRange }), fc.record({ requestTxn: tie('txn') })),
  txn: partly({ compare: fc.array(compare, { maxLength: 2 }), success: fc.array(tie('operation'), { maxLength: 2 }), failure: fc.array(tie('operation'), { maxLength: 2 }) }),
}))
const { txnResult } = fc.letrec((tie) => ({
  result: fc.oneof({ maxDepth: 2 }, fc.record({ type: fc.constant('range'), ...rangeResult }), fc.record({ type: fc.constant('put'), prevKv: keyValue }, { requiredKeys: ['type'] }),
    fc.record({ type: fc.constant('deleteRange'), deleted: number, prevKvs: fc.array(keyValue, { maxLength: 2 }) }, { requiredKeys: ['type', 'deleted'] }),
    (tie('txnResult') as fc.Arbitrary<object>).map((r) => ({ type: 'txn', ...r }))),
  txnResult: fc.record({ revision: fc.nat(), succeeded: fc.boolean(), results: fc.array(tie('result'), { maxLength: 3 }) }),
}))
const watchRequest = fc.oneof(
  fc.record({ createRequest: partly({ key: bytes, rangeEnd: bytes, startRevision: fc.integer(), progressNotify: fc.boolean(), filters: fc.subarray(['NOPUT', 'NODELETE']), prevKv: fc.boolean(), watchId: fc.nat(), fragment: fc.boolean() }) }),
  fc.record({ cancelRequest: partly({ watchId: fc.integer() }) }), fc.record({ progressRequest: fc.constant({}) }), fc.constant({}))

/** Without what is zero, as proto3 leaves it out; `type` is the reader's own addition. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value ?? {}, (name, v: unknown) => {
  if (name === 'type' || v === false || v === 0 || v === 0n || v === 'NONE' || v === 'KEY' || (v instanceof Uint8Array && v.length === 0)) return undefined
  if (v !== null && typeof v === 'object' && 'type' in v && v.type === 'Buffer') return Buffer.from(v as unknown as Uint8Array).toString('hex') || undefined
  return typeof v === 'bigint' ? `${v}n` : v
}))
const hex = (encoded: Uint8Array): string => Buffer.from(encoded).toString('hex')

test('requests are read as the table reads them', () => {
  const same = <M extends object>(type: string, read: (r: WireReader) => unknown, convert: (m: M) => unknown, arbitrary: fc.Arbitrary<unknown>): void => {
    fc.assert(fc.property(arbitrary, (message) => {
      const encoded = encodeProto3(etcdTable, type, message as object)
      assert.deepEqual(plain(read(new WireReader(encoded))), plain(convert(decodeProto3<M>(etcdTable, type, encoded))))
    }), seed)
  }
  same('RangeRequest', readRangeRequest, rangeFromWire, range)
  same('PutRequest', readPutRequest, putFromWire, put)
  same('DeleteRangeRequest', readDeleteRangeRequest, deleteRangeFromWire, deleteRange)
  same('TxnRequest', readTxnRequest, txnFromWire, txn)
  same('WatchRequest', readWatchRequest, (m: WatchRequest) => {
    if (m.createRequest) { const { filters = [], ...rest } = m.createRequest; return { ...rest, noPut: filters.includes('NOPUT'), noDelete: filters.includes('NODELETE') } }
    return m.cancelRequest ?? (m.progressRequest ? {} : {})
  }, watchRequest)
})

test('a watch request without a question asks nothing; the last of several counts', () => {
  assert.equal(readWatchRequest(new WireReader(new Uint8Array(0))), undefined)
  const both = Buffer.concat([encodeProto3(etcdTable, 'WatchRequest', { createRequest: { key: Buffer.from('a') } }), encodeProto3(etcdTable, 'WatchRequest', { progressRequest: {} })])
  assert.deepEqual(readWatchRequest(new WireReader(both)), { type: 'progress' })
})

test('any bytes are read or refused, nothing else', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (input) => {
    for (const read of [readRangeRequest, readPutRequest, readDeleteRangeRequest, readTxnRequest, readWatchRequest]) {
      try { read(new WireReader(input)) } catch (error) { assert.ok(error instanceof WireError || error instanceof EtcdError) }
    }
  }), { ...seed, numRuns: 3000 })
})

test('numbers of a newer client: any unknown result holds, an unknown target is equal', () => {
  const read = (result: number, target: number): unknown => {
    const { compare: [first] } = readTxnRequest(new WireReader(Uint8Array.of(10, 4, 8, result, 16, target)))
    return first && 'number' in first ? [first.target, first.result, first.number] : undefined
  }
  assert.deepEqual(read(9, 2), ['VERSION', 'GREATER', -1], 'every version is greater')
  assert.deepEqual(read(0, 9), ['VERSION', 'GREATER', -1])
  assert.deepEqual(read(1, 9), ['VERSION', 'LESS', 0], 'no version is less')
})

test('answers are written as the table writes them', () => {
  const same = <T, H extends object>(type: string, encoder: MessageEncoder<never>, convert: (body: T, header: H) => object, body: fc.Arbitrary<unknown>): void => {
    fc.assert(fc.property(headerOf, fc.nat(), body, (header, revision, value) => {
      const whole = { ...header, revision } as unknown as H
      assert.equal(hex(encodeWith(encoder, { ...whole, body: value } as never)), hex(encodeProto3(etcdTable, type, convert(value as T, whole))))
    }), seed)
  }
  same('RangeResponse', rangeAnswer, rangeToWire, fc.record(rangeResult))
  same('PutResponse', putAnswer, (body: object, header: object) => ({ header, ...body }), fc.record({ prevKv: keyValue }, { requiredKeys: [] }))
  same('DeleteRangeResponse', deleteRangeAnswer, (body: object, header: object) => ({ header, ...body }), fc.record({ deleted: number, prevKvs: fc.array(keyValue, { maxLength: 3 }) }, { requiredKeys: ['deleted'] }))
  same<EtcdTxnResponse, object>('TxnResponse', txnAnswer, txnResponseToWire, txnResult)
  const head = new WatchHead()
  const event = fc.record({ type: fc.constantFrom('PUT', 'DELETE'), kv: keyValue, prevKv: keyValue }, { requiredKeys: ['type', 'kv'] })
  fc.assert(fc.property(fc.record({ header: headerOf, watchId: fc.integer(), fragment: fc.boolean(), events: fc.array(event, { maxLength: 3 }) }), ({ header, watchId, fragment, events }) => {
    head.begin(header)
    head.finish(watchId + 1, true)
    assert.equal(hex(Buffer.concat([head.finish(watchId, fragment), encodeEvents(events as never)])), hex(encodeProto3(etcdTable, 'WatchResponse', { header, watchId, fragment, events })))
  }), seed)
})

test('stored records are written as the key-values they are', () => {
  const store = new MvccStore({ attach: () => {}, detach: () => {} })
  const text = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, i) => (i * 37) % 256))
  for (const [key, value] of [[1, 0], [30, 5], [300, 2000]] as const) { store.put(text(key), text(value), BigInt(value)); store.commit() }
  const body = readRange(store, { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) })
  assert.equal(body.kvs.length, 3)
  assert.equal(hex(encodeWith(rangeAnswer, { revision: 4, body })), hex(encodeProto3(etcdTable, 'RangeResponse', rangeToWire(body, { revision: 4 }))))
  const results: readonly EtcdOperationResult[] = [{ type: 'put', prevKv: body.kvs[1]! }]
  const txnBody: EtcdTxnResponse = { revision: 4, succeeded: true, results }
  assert.equal(hex(encodeWith(txnAnswer, { revision: 4, body: txnBody })), hex(encodeProto3(etcdTable, 'TxnResponse', txnResponseToWire(txnBody, { revision: 4 }))))
})

test('long ranges: read and written in pieces they are the same, and of the revision at which they were asked', async () => {
  const store = new MvccStore({ attach: () => {}, detach: () => {} })
  const keys = 9000
  for (let i = 0; i < keys; i++) { store.put(Buffer.from(`/k/${(i * 7919) % keys}`), Buffer.alloc(i % 97, 'v'), 0n); if (i % 10 === 0) store.commit() }
  store.put(Buffer.from('/k/large'), Buffer.alloc(300_000, 'l'), 5n)
  store.commit()
  const old = store.revision
  for (let i = 0; i < 2000; i++) { store.deleteRange({ from: `/k/${i}`, end: `/k/${i}\0`, single: true }); store.put(Buffer.from(`/k/new-${i}`), Buffer.from('n'), 0n); store.commit() }
  const whole = { key: Buffer.from('/k/'), rangeEnd: Buffer.from('/k0') }
  let changes = 0
  const asked = [whole, { ...whole, revision: old }, { ...whole, revision: old, limit: 5000 }, { ...whole, limit: 6000, sortOrder: 'DESCEND' }, { ...whole, sortTarget: 'VALUE', sortOrder: 'ASCEND' }, { ...whole, minModRevision: 300, limit: 100 },
    { ...whole, revision: old, countOnly: true }, { ...whole, keysOnly: true }] as const
  for (const request of asked) {
    assert.ok(isLongRange(store, request))
    const plainAnswer = readRange(store, request)
    let pauses = 0
    const pause = async (): Promise<void> => {
      pauses++
      // Whatever happens meanwhile.
      store.put(Buffer.from(`/k/${changes++}`), Buffer.from('changed'), 0n)
      store.deleteRange({ from: `/k/9${changes}`, end: undefined, single: true })
      store.commit()
      store.scrub(1000, 1000)
    }
    const inPieces = await readRangeInPieces(store, request, pause)
    assert.ok(pauses > 3)
    assert.deepEqual({ ...inPieces, kvs: inPieces.kvs.map((kv) => hex(kv.key)) }, { ...plainAnswer, kvs: plainAnswer.kvs.map((kv) => hex(kv.key)) })
    const answer = { clusterId: 7n, revision: inPieces.revision, body: inPieces }
    const pieces = copies(rangePieces(answer))
    const expected = encodeWith(rangeAnswer, { clusterId: 7n, revision: inPieces.revision, body: plainAnswer })
    assert.equal(await rangeSizeInPieces(answer, async () => {}), expected.length)
    assert.ok(Buffer.concat(pieces).equals(expected))
  }
  for (const request of [{ key: Buffer.from('/k/') }, { ...whole, limit: 500 }, { ...whole, countOnly: true }]) assert.ok(!isLongRange(store, request))
  await assert.rejects(readRangeInPieces(store, { ...whole, revision: store.revision + 1 }, async () => {}), EtcdError)
})

/** Each piece is valid until the next. */
function copies(pieces: Iterable<Uint8Array>): Buffer[] {
  const all: Buffer[] = []
  for (const piece of pieces) all.push(Buffer.from(piece))
  return all
}

test('messages of a streamed range are written as the table writes them', () => {
  fc.assert(fc.property(headerOf, fc.record(rangeResult), fc.boolean(), (header, body, isLast) => {
    const { kvs, more, count, revision } = body
    const message = { rangeResponse: isLast ? { header: { ...header, revision }, kvs, more, count } : { kvs } }
    assert.equal(hex(encodeWith(rangeStreamAnswer, { last: isLast ? { ...header, revision, body } : undefined, kvs })), hex(encodeProto3(etcdTable, 'RangeStreamResponse', message)))
  }), seed)
})

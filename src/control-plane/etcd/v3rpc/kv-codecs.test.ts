import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { decodeProto3, encodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { WireError, WireReader } from '../../../lib/base/protobuf/wire-reader.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import { encodeEvents, encodePutResponse, encodeRangeResponse, encodeTxnResponse, encodeWatchHead, readPut, readRange, readTxn } from './kv-codecs.ts'

const seed = { seed: 20261123, numRuns: 400 }
const bytes = fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.uint8Array({ minLength: 120, maxLength: 140 })).map((b) => Buffer.from(b))
const number = fc.oneof(fc.nat(300), fc.maxSafeInteger())
const id = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
const lease = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
const partly = (shape: { readonly [name: string]: fc.Arbitrary<unknown> }): fc.Arbitrary<object> => fc.record(shape, { requiredKeys: [] })

const keyValue = partly({ key: bytes, createRevision: number, modRevision: number, version: number, value: bytes, lease })
const header = partly({ clusterId: id, memberId: id, revision: number, raftTerm: number })
const rangeResponse = partly({ header, kvs: fc.array(keyValue, { maxLength: 3 }), more: fc.boolean(), count: number })
const putResponse = partly({ header, prevKv: keyValue })
const range = partly({
  key: bytes, rangeEnd: bytes, limit: number, revision: fc.integer(), sortOrder: fc.constantFrom('NONE', 'ASCEND', 'DESCEND'), sortTarget: fc.constantFrom('KEY', 'VERSION', 'CREATE', 'MOD', 'VALUE'), serializable: fc.boolean(),
  keysOnly: fc.boolean(), countOnly: fc.boolean(), minModRevision: number, maxModRevision: number, minCreateRevision: number, maxCreateRevision: number,
})
const put = partly({ key: bytes, value: bytes, lease, prevKv: fc.boolean(), ignoreValue: fc.boolean(), ignoreLease: fc.boolean() })
const compare = partly({
  result: fc.constantFrom('EQUAL', 'GREATER', 'LESS', 'NOT_EQUAL'), target: fc.constantFrom('VERSION', 'CREATE', 'MOD', 'VALUE', 'LEASE'), key: bytes, rangeEnd: bytes, version: number, createRevision: number, modRevision: number, value: bytes, lease,
})
const { txn } = fc.letrec((tie) => ({
  operation: fc.oneof({ maxDepth: 2 }, fc.record({ requestRange: range }), fc.record({ requestPut: put }), fc.record({ requestDeleteRange: partly({ key: bytes, rangeEnd: bytes, prevKv: fc.boolean() }) }), fc.record({ requestTxn: tie('txn') })),
  txn: partly({ compare: fc.array(compare, { maxLength: 2 }), success: fc.array(tie('operation'), { maxLength: 2 }), failure: fc.array(tie('operation'), { maxLength: 2 }) }),
}))
const { txnResponse } = fc.letrec((tie) => ({
  member: fc.oneof({ maxDepth: 2 }, fc.record({ responseRange: rangeResponse }), fc.record({ responsePut: putResponse }), fc.record({ responseDeleteRange: partly({ header, deleted: number, prevKvs: fc.array(keyValue, { maxLength: 2 }) }) }),
    fc.record({ responseTxn: tie('txnResponse') })),
  txnResponse: partly({ header, succeeded: fc.boolean(), responses: fc.array(tie('member'), { maxLength: 3 }) }),
}))

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value, (_, v: unknown) => (typeof v === 'bigint' ? `${v}n` : v instanceof Uint8Array ? Buffer.from(v).toString('hex') : v)))

test('requests are read as the table reads them', () => {
  const same = (type: string, read: (r: WireReader) => object, arbitrary: fc.Arbitrary<unknown>): void => {
    fc.assert(fc.property(arbitrary, (message) => {
      const encoded = encodeProto3(etcdTable, type, message as object)
      assert.deepEqual(plain(read(new WireReader(encoded))), plain(decodeProto3(etcdTable, type, encoded)))
    }), seed)
  }
  same('RangeRequest', readRange, range)
  same('PutRequest', readPut, put)
  same('TxnRequest', readTxn, txn)
})

test('any bytes are read or refused, nothing else', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (input) => {
    for (const read of [readRange, readPut, readTxn]) {
      try { read(new WireReader(input)) } catch (error) { assert.ok(error instanceof WireError) }
    }
  }), { ...seed, numRuns: 3000 })
})

test('answers are written as the table writes them', () => {
  const same = (type: string, encode: (m: never) => Uint8Array, arbitrary: fc.Arbitrary<unknown>): void => {
    fc.assert(fc.property(arbitrary, (message) => {
      assert.equal(Buffer.from(encode(message as never)).toString('hex'), Buffer.from(encodeProto3(etcdTable, type, message as object)).toString('hex'))
    }), seed)
  }
  same('RangeResponse', encodeRangeResponse, rangeResponse)
  same('PutResponse', encodePutResponse, putResponse)
  same('TxnResponse', encodeTxnResponse, txnResponse)
  const event = fc.record({ type: fc.constantFrom('PUT', 'DELETE'), kv: keyValue, prevKv: keyValue }, { requiredKeys: ['type', 'kv'] })
  same('WatchResponse', (m: { header: object; watchId: number; fragment: boolean; events: never[] }) => Buffer.concat([encodeWatchHead(m.header, m.watchId, m.fragment), encodeEvents(m.events)]),
    fc.record({ header, watchId: fc.integer(), fragment: fc.boolean(), events: fc.array(event, { maxLength: 3 }) }))
})

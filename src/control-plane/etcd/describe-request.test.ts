// What the log says of slow requests, against lines that the original (3.7.3) wrote.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { etcdTable } from '../../lib/etcd-api/generated/table.ts'
import { encodeProto3 } from '../../lib/base/protobuf/proto3.ts'
import { SimulatedClock } from '../../lib/testing/simulated-clock.ts'
import { recordingLogger } from '../../lib/testing/recording-logger.ts'
import { describeEntry, describeOperation, formatGoDuration } from './describe-request.ts'
import { RequestStats } from './v3rpc/request-stats.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text)

test('requests as the original describes them, without values and passwords', () => {
  assert.equal(describeEntry({ type: 'put', key: bytes('foo'), value: bytes('secret') }), 'header:<> put:<key:"foo" value_size:6 >')
  assert.equal(describeOperation({ type: 'put', key: bytes('bi\tn"\u0001'), value: bytes('x'), prevKv: true }), 'key:"bi\\tn\\"\\001" value_size:1 prev_kv:true ')
  assert.equal(describeOperation({ type: 'range', key: bytes('a'), rangeEnd: bytes('z'), revision: 5, sortOrder: 'DESCEND', sortTarget: 'MOD', serializable: true, keysOnly: true }),
    'key:"a" range_end:"z" revision:5 sort_order:DESCEND sort_target:MOD serializable:true keys_only:true')
  assert.equal(describeEntry({
    type: 'txn', compare: [{ key: bytes('foo'), target: 'MOD', result: 'GREATER', number: 0 }, { key: bytes('k'), target: 'VALUE', result: 'EQUAL', value: bytes('hidden') }],
    success: [{ type: 'put', key: bytes('foo'), value: bytes('v2') }, { type: 'range', key: bytes('foo') }, { type: 'deleteRange', key: bytes('zzz') }], failure: [{ type: 'range', key: bytes('foo') }],
  }), 'header:<> txn:<compare:<result:GREATER target:MOD key:"foo" mod_revision:0 target:VALUE key:"k" value_size:6 > success:<request_put:<key:"foo" value_size:2 > request_range:{key:"foo"} request_delete_range:{key:"zzz"}> failure:<request_range:{key:"foo"}>>')
  assert.equal(describeEntry({ type: 'leaseGrant', id: 0x145ea206cfcdec08n, ttlSeconds: 60 }), 'header:<> lease_grant:<ttl:60-second id:145ea206cfcdec08>')
  assert.equal(describeEntry({ type: 'auth', change: { authUserAdd: { name: 'a', password: 'geheim' } } } as never), 'header:{} auth_user_add:{}')
  assert.deepEqual([0, 0.000143, 0.143894, 1.802048, 1000, 1500.5, 61_000, 3_600_000].map(formatGoDuration), ['0s', '143ns', '143.894µs', '1.802048ms', '1s', '1.5005s', '1m1s', '1h0m0s'])
})

test('who took longer than the two durations is told of, with counts and sizes', () => {
  const { logger, lines } = recordingLogger()
  let slowReads = 0
  const stats = new RequestStats({ clock: new SimulatedClock(), logger, warningMs: 300, warningApplyMs: 100, onSlowRead: () => { slowReads++ } })
  assert.equal(stats.fromMs, 100)
  const range = encodeProto3(etcdTable, 'RangeRequest', { key: bytes('foo'), rangeEnd: bytes('fop'), limit: 5 })
  const kv = { key: bytes('foo'), value: bytes('secret'), createRevision: 2, modRevision: 2, version: 1, lease: 0n }
  const found = { sizeBytes: 50, message: { clusterId: 1n, memberId: 2n, revision: 3, body: { revision: 3, kvs: [kv], more: false, count: 1 } } }
  stats.finished({ path: '/etcdserverpb.KV/Range', remote: '127.0.0.1:1', tookMs: 150, request: range, answer: found })
  assert.deepEqual(lines.splice(0), [{ level: 'warn', message: 'apply request took too long', values: {
    took: '150ms', 'expected-duration': '100ms', prefix: 'read-only range ', request: 'key:"foo" range_end:"fop" limit:5', response: 'range_response_count:1 size:27',
  } }])
  assert.equal(slowReads, 1)
  const put = encodeProto3(etcdTable, 'PutRequest', { key: bytes('foo'), value: bytes('secret') })
  stats.finished({ path: '/etcdserverpb.KV/Put', remote: '127.0.0.1:1', tookMs: 301, request: put, answer: { sizeBytes: 27, message: { body: {} } } })
  const { 'start time': begun, ...rest } = lines[0]?.values ?? {}
  assert.match(String(begun), /^\d{4}-\d\d-\d\dT.*000Z$/)
  assert.deepEqual(rest, {
    'time spent': '301ms', remote: '127.0.0.1:1', 'response type': '/etcdserverpb.KV/Put', 'request count': 1, 'request size': 13, 'response count': 0, 'response size': 27, 'request content': 'key:"foo" value_size:6 ',
  })
  lines.length = 0
  const txn = encodeProto3(etcdTable, 'TxnRequest', { success: [{ requestPut: { key: bytes('foo'), value: bytes('v2') } }, { requestRange: { key: bytes('foo') } }, { requestDeleteRange: { key: bytes('zzz') } }] })
  stats.finished({ path: '/etcdserverpb.KV/Txn', remote: 'r', tookMs: 400, request: txn, answer: { sizeBytes: 72, message: { body: { revision: 3, succeeded: true, results: [] } } } })
  assert.deepEqual(lines.map(({ message, values }) => [message, values['request count'], values['request size']]), [['request stats', 3, 25]], 'it writes: it is told of where it is applied')
  lines.length = 0
  stats.finished({ path: '/etcdserverpb.Lease/LeaseGrant', remote: 'r', tookMs: 400, request: put, answer: undefined })
  assert.deepEqual([lines[0]?.values['request count'], lines[0]?.values['response size']], [-1, -1])
})

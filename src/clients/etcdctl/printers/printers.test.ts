// What the printers make of one answer each; the full comparison with the original is test/interop/etcdctl-ours.test.ts.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { decodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import { printers, type OutputFormat } from './index.ts'
import { UnsupportedFormat, type Printable } from './printable.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text)
const header = { clusterId: 2n ** 63n + 1n, memberId: 10n, revision: 7, raftTerm: 2 }
const kv = { key: bytes('a'), value: bytes('<1>'), createRevision: 2, modRevision: 3, version: 2, lease: 2n ** 62n + 1n }

function show(format: OutputFormat, printable: Printable, hex = false): string {
  return Buffer.concat(printers[format](printable, { hex }).out.map((piece) => (typeof piece === 'string' ? Buffer.from(piece) : piece))).toString('latin1')
}

test('keys and values go out as the bytes they are', () => {
  const response = { header, kvs: [{ key: Uint8Array.of(0xff, 0), value: Uint8Array.of(0x80) }], count: 1 }
  assert.equal(show('simple', { kind: 'get', response }), '\xff\0\n\x80\n')
  assert.equal(show('simple', { kind: 'get', response, valueOnly: true }), '\x80\n')
  assert.equal(show('simple', { kind: 'get', response }, true), '\\xff\\x00\n\\x80\n')
  assert.match(show('fields', { kind: 'get', response }), /"Key" : "\\xff\\x00"\n/)
})

test('64-bit numbers stay exact in JSON, zero values are left out', () => {
  const json = show('json', { kind: 'get', response: { header, kvs: [kv], count: 1, more: false } })
  assert.equal(json, '{"header":{"cluster_id":9223372036854775809,"member_id":10,"revision":7,"raft_term":2},"kvs":[{"key":"YQ==","create_revision":2,"mod_revision":3,"version":2,"value":"PDE+","lease":4611686018427387905}],"count":1}\n')
})

test('leases and watches have forms of their own', () => {
  assert.equal(show('json', { kind: 'leaseGrant', response: { header: { revision: 1 }, ID: 5n, TTL: 60 } }), '{"revision":1,"ID":5,"TTL":60,"Error":""}\n')
  assert.equal(show('json', { kind: 'leaseTimeToLive', response: { ID: 5n, TTL: -1 }, withKeys: false }), '{"id":5,"ttl":-1,"granted-ttl":0,"keys":null}\n')
  assert.equal(show('simple', { kind: 'leaseTimeToLive', response: { ID: 5n, TTL: -1 }, withKeys: true }), 'lease 0000000000000005 already expired\n')
  assert.equal(show('simple', { kind: 'leaseTimeToLive', response: { ID: 5n, TTL: 3, grantedTTL: 9, keys: [bytes('a'), bytes('b')] }, withKeys: true }), 'lease 0000000000000005 granted with TTL(9s), remaining(3s), attached keys([a b])\n')
  assert.equal(show('json', { kind: 'watch', response: { events: [{ type: 'DELETE', kv: { key: bytes('a') } }] } }), '{"Header":null,"Events":[{"type":1,"kv":{"key":"YQ=="}}],"CompactRevision":0,"Canceled":false,"Created":false,"CancelReason":""}\n')
})

test('transactions nest', () => {
  const response = { header: { revision: 4 }, succeeded: true, responses: [{ responsePut: { prevKv: kv } }, { responseTxn: { responses: [{ responseDeleteRange: { deleted: 1 } }] } }] }
  assert.equal(show('simple', { kind: 'txn', response }), 'SUCCESS\n\nOK\na\n<1>\n\nFAILURE\n\n1\n')
  assert.match(show('json', { kind: 'txn', response }), /"responses":\[\{"Response":\{"response_put":.*\{"Response":\{"response_txn":\{"responses":\[\{"Response":\{"response_delete_range":\{"deleted":1\}\}\}\]\}\}\}\]\}\n$/)
})

test('protobuf is the message itself; of leases only the header', () => {
  const text = show('protobuf', { kind: 'get', response: { header, kvs: [kv], count: 1 } })
  assert.deepEqual(decodeProto3<{ kvs: { lease: bigint }[] }>(etcdTable, 'RangeResponse', Buffer.from(text, 'latin1')).kvs[0]?.lease, kv.lease)
  assert.deepEqual(decodeProto3(etcdTable, 'ResponseHeader', Buffer.from(show('protobuf', { kind: 'leaseGrant', response: { header, ID: 1n } }), 'latin1')), header)
})

test('what a format has no form for is refused', () => {
  const user: Printable = { kind: 'userList', response: { users: ['a'] } }
  assert.throws(() => show('table', user), UnsupportedFormat)
  assert.throws(() => show('fields', user), UnsupportedFormat)
  assert.throws(() => show('protobuf', { kind: 'endpointHealth', endpoints: [] }), UnsupportedFormat)
})

test('tables: headings in the middle, cells to the right', () => {
  const drawn = Buffer.from(show('table', { kind: 'endpointHealth', endpoints: [{ endpoint: '127.0.0.1:1', health: true, took: '1ms' }] }), 'latin1').toString('utf8')
  assert.equal(drawn, [
    '┌─────────────┬────────┬──────┬───────┐', '│  ENDPOINT   │ HEALTH │ TOOK │ ERROR │', '├─────────────┼────────┼──────┼───────┤', '│ 127.0.0.1:1 │   true │  1ms │       │', '└─────────────┴────────┴──────┴───────┘', '',
  ].join('\n'))
})

test('a database of no size is no division by zero', () => {
  assert.match(show('simple', { kind: 'endpointStatus', endpoints: [{ endpoint: 'x', status: { version: '3.7.0' } }] }), /^x, 0, 3\.7\.0, , 0 B, 0 B, 0%, 0 B, true/)
})

test('permissions: a single key, a range, a prefix, no end', () => {
  const perm = [
    { key: bytes('k') }, { permType: 'READWRITE' as const, key: bytes('p'), rangeEnd: bytes('q') }, { permType: 'WRITE' as const, key: bytes('a'), rangeEnd: Uint8Array.of(0) }, { key: bytes('a'), rangeEnd: bytes('c') },
  ]
  assert.equal(show('simple', { kind: 'roleGet', response: { perm }, role: 'r' }), 'Role r\nKV Read:\n\tk\n\t[p, q) (prefix p)\n\t[a, c)\nKV Write:\n\t[p, q) (prefix p)\n\t[a, <open ended>\n')
})

// Requests as the log keeps them: etcdserverpb.InternalRaftRequest, so that tools and members that know etcd can read them.
import { WireReader } from '../../../lib/base/protobuf/wire-reader.ts'
import { WireWriter } from '../../../lib/base/protobuf/wire-writer.ts'
import { decodeProto3, encodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { unreachable } from '../../../lib/base/assert.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import type { AlarmType, InternalRaftRequest } from '../../../lib/etcd-api/generated/types.ts'
import type { EtcdCompare, EtcdDeleteRangeRequest, EtcdOperation, EtcdPutRequest, EtcdRangeRequest, EtcdTxnRequest } from '../../../lib/etcd-api/operations.ts'
import { deleteRangeFromWire, putFromWire, txnFromWire } from '../../../lib/etcd-api/wire-conversion.ts'
import { authChangeFields } from '../auth/auth-store.ts'
import type { LoggedRequest } from '../state-machine.ts'
import { decodeV2Request, encodeV2Request } from '../v2/v2-request.ts'
import { isOldRequest, readOldRequest } from './old-request.ts'

const compareTargets = { VERSION: 0, CREATE: 1, MOD: 2, VALUE: 3, LEASE: 4 } as const
const compareResults = { EQUAL: 0, GREATER: 1, LESS: 2, NOT_EQUAL: 3 } as const
const sortOrders = { NONE: 0, ASCEND: 1, DESCEND: 2 } as const
const sortTargets = { KEY: 0, VERSION: 1, CREATE: 2, MOD: 3, VALUE: 4 } as const
const alarmTypes = { NONE: 0, NOSPACE: 1, CORRUPT: 2 } as const
const alarmActions = { ACTIVATE: 1, DEACTIVATE: 2 } as const

/** etcdserverpb.Request of the second API; 3.7 has no such field any more. */
const v2Field = 2

/** Appends the request to `w`, by hand: this runs for every write. `id`, a varint, tells requests apart. */
export function writeRequest(w: WireWriter, id: Uint8Array, request: LoggedRequest): void {
  const { caller } = request
  w.tag(100, 2)
  if (caller) w.nested((n) => { n.tag(1, 0); n.raw(id); text(n, 2, caller.username); number(n, 3, caller.authRevision) })
  else { w.varint(1 + id.length); w.tag(1, 0); w.raw(id) }
  switch (request.type) {
    case 'put': w.tag(4, 2); w.nested((n) => writePut(n, request)); return
    case 'deleteRange': w.tag(5, 2); w.nested((n) => writeDeleteRange(n, request)); return
    case 'txn': w.tag(6, 2); w.nested((n) => writeTxn(n, request)); return
    case 'compaction': w.tag(7, 2); w.nested((n) => { number(n, 1, request.revision); flag(n, 2, request.physical) }); return
    case 'leaseGrant': w.tag(8, 2); w.nested((n) => { number(n, 1, request.ttlSeconds); big(n, 2, request.id) }); return
    case 'leaseRevoke': w.tag(9, 2); w.nested((n) => big(n, 1, request.id)); return
    case 'alarm': w.tag(10, 2); w.nested((n) => { number(n, 1, alarmActions[request.action]); big(n, 2, request.memberId); number(n, 3, alarmTypes[request.alarm]) }); return
    // Rare ones, by table.
    case 'auth': w.raw(byTable(request.change)); return
    case 'authenticate': w.raw(byTable({ authenticate: { name: request.name, simpleToken: request.simpleToken } })); return
    case 'v2': w.tag(v2Field, 2); w.bytes(encodeV2Request(request.request)); return
    case 'clusterMemberAttrSet': w.raw(byTable({ clusterMemberAttrSet: { memberID: request.memberId, memberAttributes: { name: request.name, clientUrls: request.clientUrls } } })); return
    case 'clusterVersionSet': w.raw(byTable({ clusterVersionSet: { ver: request.version } })); return
    case 'downgradeInfoSet': w.raw(byTable({ downgradeInfoSet: { enabled: request.enabled, ver: request.version } })); return
    case 'leaseCheckpoint': w.raw(byTable({ leaseCheckpoint: { checkpoints: request.checkpoints.map(({ id, remainingTtlSeconds }) => ({ ID: id, remainingTTL: remainingTtlSeconds })) } })); return
    default: unreachable(request)
  }
}

function byTable(request: InternalRaftRequest): Uint8Array { return encodeProto3(etcdTable, 'InternalRaftRequest', request) }

function text(w: WireWriter, field: number, value: string): void {
  if (value !== '') { w.tag(field, 2); w.string(value) }
}
function number(w: WireWriter, field: number, value: number | undefined): void {
  if (value) { w.tag(field, 0); w.varint(value) }
}
function big(w: WireWriter, field: number, value: bigint | undefined): void {
  if (value) { w.tag(field, 0); w.bigVarint(value) }
}
function flag(w: WireWriter, field: number, value: boolean | undefined): void {
  if (value) { w.tag(field, 0); w.varint(1) }
}
function bytes(w: WireWriter, field: number, value: Uint8Array | undefined): void {
  if (value !== undefined && value.length > 0) { w.tag(field, 2); w.bytes(value) }
}

function writePut(w: WireWriter, m: EtcdPutRequest): void {
  bytes(w, 1, m.key)
  bytes(w, 2, m.value)
  big(w, 3, m.lease)
  flag(w, 4, m.prevKv)
  flag(w, 5, m.ignoreValue)
  flag(w, 6, m.ignoreLease)
}

function writeDeleteRange(w: WireWriter, m: EtcdDeleteRangeRequest): void {
  bytes(w, 1, m.key)
  bytes(w, 2, m.rangeEnd)
  flag(w, 3, m.prevKv)
}

function writeRange(w: WireWriter, m: EtcdRangeRequest): void {
  bytes(w, 1, m.key)
  bytes(w, 2, m.rangeEnd)
  number(w, 3, m.limit)
  number(w, 4, m.revision)
  number(w, 5, m.sortOrder && sortOrders[m.sortOrder])
  number(w, 6, m.sortTarget && sortTargets[m.sortTarget])
  flag(w, 7, m.serializable)
  flag(w, 8, m.keysOnly)
  flag(w, 9, m.countOnly)
  number(w, 10, m.minModRevision)
  number(w, 11, m.maxModRevision)
  number(w, 12, m.minCreateRevision)
  number(w, 13, m.maxCreateRevision)
}

function writeTxn(w: WireWriter, m: EtcdTxnRequest): void {
  for (const compare of m.compare) { w.tag(1, 2); w.nested((n) => writeCompare(n, compare)) }
  for (const operation of m.success) { w.tag(2, 2); w.nested((n) => writeOperation(n, operation)) }
  for (const operation of m.failure) { w.tag(3, 2); w.nested((n) => writeOperation(n, operation)) }
}

function writeCompare(w: WireWriter, m: EtcdCompare): void {
  number(w, 1, compareResults[m.result])
  number(w, 2, compareTargets[m.target])
  bytes(w, 3, m.key)
  switch (m.target) {
    case 'VERSION': w.tag(4, 0); w.varint(m.number); break
    case 'CREATE': w.tag(5, 0); w.varint(m.number); break
    case 'MOD': w.tag(6, 0); w.varint(m.number); break
    case 'VALUE': w.tag(7, 2); w.bytes(m.value); break
    case 'LEASE': w.tag(8, 0); w.bigVarint(m.lease); break
    default: unreachable(m)
  }
  bytes(w, 64, m.rangeEnd)
}

function writeOperation(w: WireWriter, operation: EtcdOperation): void {
  switch (operation.type) {
    case 'range': w.tag(1, 2); w.nested((n) => writeRange(n, operation)); return
    case 'put': w.tag(2, 2); w.nested((n) => writePut(n, operation)); return
    case 'deleteRange': w.tag(3, 2); w.nested((n) => writeDeleteRange(n, operation)); return
    case 'txn': w.tag(4, 2); w.nested((n) => writeTxn(n, operation)); return
    default: unreachable(operation)
  }
}

/** The request in an entry's data; undefined when it is none that changes something here. @throws WireError */
export function readRequest(data: Uint8Array): LoggedRequest | undefined {
  if (isOldRequest(data)) return readOldRequest(data)
  const m = decodeProto3<InternalRaftRequest>(etcdTable, 'InternalRaftRequest', data)
  const body = readBody(m, data)
  const { username = '', authRevision = 0 } = m.header ?? {}
  return body && authRevision > 0 ? { ...body, caller: { username, authRevision } } : body
}

function readBody(m: InternalRaftRequest, data: Uint8Array): LoggedRequest | undefined {
  if (m.put) return { type: 'put', ...putFromWire(m.put) }
  if (m.deleteRange) return { type: 'deleteRange', ...deleteRangeFromWire(m.deleteRange) }
  if (m.txn) return { type: 'txn', ...txnFromWire(m.txn) }
  if (m.compaction) return { type: 'compaction', revision: m.compaction.revision ?? 0, physical: m.compaction.physical ?? false }
  if (m.leaseGrant) return { type: 'leaseGrant', id: m.leaseGrant.ID ?? 0n, ttlSeconds: m.leaseGrant.TTL ?? 0 }
  if (m.leaseRevoke) return { type: 'leaseRevoke', id: m.leaseRevoke.ID ?? 0n }
  if (m.alarm) {
    const alarm: AlarmType = m.alarm.alarm ?? 'NONE'
    const { action } = m.alarm
    if (alarm !== 'NONE' && (action === 'ACTIVATE' || action === 'DEACTIVATE')) return { type: 'alarm', action, memberId: m.alarm.memberID ?? 0n, alarm }
  }
  if (m.authenticate) return { type: 'authenticate', name: m.authenticate.name ?? '', simpleToken: m.authenticate.simpleToken ?? '' }
  for (const field of authChangeFields) if (m[field]) return { type: 'auth', change: { [field]: m[field] } }
  if (m.clusterMemberAttrSet) {
    const { memberID = 0n, memberAttributes } = m.clusterMemberAttrSet
    return { type: 'clusterMemberAttrSet', memberId: memberID, name: memberAttributes?.name ?? '', clientUrls: memberAttributes?.clientUrls ?? [] }
  }
  if (m.clusterVersionSet) return { type: 'clusterVersionSet', version: m.clusterVersionSet.ver ?? '' }
  if (m.downgradeInfoSet) return { type: 'downgradeInfoSet', enabled: m.downgradeInfoSet.enabled ?? false, version: m.downgradeInfoSet.ver ?? '' }
  if (m.leaseCheckpoint) return { type: 'leaseCheckpoint', checkpoints: (m.leaseCheckpoint.checkpoints ?? []).map(({ ID = 0n, remainingTTL = 0 }) => ({ id: ID, remainingTtlSeconds: remainingTTL })) }
  const v2 = readField(data, v2Field)
  return v2 ? { type: 'v2', request: decodeV2Request(v2) } : undefined
}

/** The length-delimited field `field` of a message, when it has one. */
function readField(data: Uint8Array, field: number): Uint8Array | undefined {
  const r = new WireReader(data)
  while (!r.done) {
    const tag = r.tag()
    if (tag === field * 8 + 2) return r.bytes()
    r.skip(tag % 8)
  }
  return undefined
}

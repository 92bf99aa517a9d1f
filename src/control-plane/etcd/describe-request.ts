// Requests as the log shows them when they are slow: as protobuf's text form, with the sizes of values in place of the values, and nothing that
// is secret. Upstream: etcd/api/etcdserverpb/raft_internal_stringer.go, etcd/server/etcdserver/txn/util.go
import type { EtcdCompare, EtcdOperation, EtcdOperationResult, EtcdPutRequest, EtcdRangeRequest, EtcdTxnRequest } from '../../lib/etcd-api/operations.ts'
import { unreachable } from '../../lib/base/assert.ts'
import { encodeProto3 } from '../../lib/base/protobuf/proto3.ts'
import { etcdTable } from '../../lib/etcd-api/generated/table.ts'
import { requestTypeOf } from './observe-applied.ts'
import type { AppliedResult, LoggedRequest } from './state-machine.ts'
import { deleteRangeAnswer, putAnswer, txnAnswer, type Answer } from './v3rpc/kv-answers.ts'

type Fields = readonly (readonly [name: string, value: string | number | bigint | boolean | Uint8Array | undefined])[]

/** What is not set is not said; texts that are in capitals are values of enumerations. */
function fieldsOf(fields: Fields): string {
  return fields.flatMap(([name, value]) => {
    if (value === undefined || value === false || value === 0 || value === 0n || value === '' || (value instanceof Uint8Array && value.length === 0)) return []
    return [`${name}:${value instanceof Uint8Array ? quoteBytes(value) : String(value)}`]
  }).join(' ')
}

/** As Go's protobuf quotes bytes. */
function quoteBytes(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) {
    const escaped = escapes.get(byte)
    if (escaped !== undefined) text += escaped
    else text += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, '0')}`
  }
  return `"${text}"`
}

const escapes: ReadonlyMap<number, string> = new Map([[0x09, '\\t'], [0x0a, '\\n'], [0x0d, '\\r'], [0x22, '\\"'], [0x5c, '\\\\']])

export function describeRange(r: EtcdRangeRequest): string {
  return fieldsOf([
    ['key', r.key], ['range_end', r.rangeEnd], ['limit', r.limit], ['revision', r.revision], ['sort_order', r.sortOrder === 'NONE' ? undefined : r.sortOrder], ['sort_target', r.sortTarget === 'KEY' ? undefined : r.sortTarget],
    ['serializable', r.serializable], ['keys_only', r.keysOnly], ['count_only', r.countOnly], ['min_mod_revision', r.minModRevision], ['max_mod_revision', r.maxModRevision], ['min_create_revision', r.minCreateRevision],
    ['max_create_revision', r.maxCreateRevision],
  ])
}

function describePut(r: EtcdPutRequest): string {
  return `${fieldsOf([['key', r.key], ['value_size', r.value.length], ['lease', r.lease], ['prev_kv', r.prevKv], ['ignore_value', r.ignoreValue], ['ignore_lease', r.ignoreLease]])} `
}

const comparedNames = { MOD: 'mod_revision', CREATE: 'create_revision', VERSION: 'version' } as const

function describeCompare(c: EtcdCompare): string {
  const head: Fields = [['result', c.result === 'EQUAL' ? undefined : c.result], ['target', c.target === 'VERSION' ? undefined : c.target], ['key', c.key]]
  if (c.target === 'VALUE') return `${fieldsOf([...head, ['value_size', c.value.length], ['range_end', c.rangeEnd]])} `
  const compared = c.target === 'LEASE' ? `lease:${c.lease}` : `${comparedNames[c.target]}:${c.number}`
  return [fieldsOf(head), compared, fieldsOf([['range_end', c.rangeEnd]])].filter((part) => part !== '').join(' ')
}

/** The request of a client: what its own message holds. */
export function describeOperation(operation: EtcdOperation): string {
  switch (operation.type) {
    case 'put': return describePut(operation)
    case 'range': return describeRange(operation)
    case 'deleteRange': return fieldsOf([['key', operation.key], ['range_end', operation.rangeEnd], ['prev_kv', operation.prevKv]])
    case 'txn': return describeTxn(operation)
    default: return unreachable(operation)
  }
}

function describeInTxn(operation: EtcdOperation): string {
  switch (operation.type) {
    case 'put': return `request_put:<${describePut(operation)}>`
    case 'txn': return `request_txn:<${describeTxn(operation)}>`
    case 'range': return `request_range:{${describeOperation(operation)}}`
    case 'deleteRange': return `request_delete_range:{${describeOperation(operation)}}`
    default: return unreachable(operation)
  }
}

export function describeTxn({ compare, success, failure }: EtcdTxnRequest): string {
  return `compare:<${compare.map(describeCompare).join(' ')}> success:<${success.map(describeInTxn).join(' ')}> failure:<${failure.map(describeInTxn).join(' ')}>`
}

/** An entry of the log. The id in its header is left out: applying does not know it. */
export function describeEntry(request: LoggedRequest): string {
  switch (request.type) {
    case 'put': return `header:<> put:<${describePut(request)}>`
    case 'txn': return `header:<> txn:<${describeTxn(request)}>`
    case 'deleteRange': return `header:{} delete_range:{${describeOperation(request)}}`
    case 'compaction': return `header:{} compaction:{${fieldsOf([['revision', request.revision], ['physical', request.physical]])}}`
    case 'leaseGrant': return `header:<> lease_grant:<ttl:${request.ttlSeconds}-second id:${hex(request.id)}>`
    case 'leaseRevoke': return `header:<> lease_revoke:<id:${hex(request.id)}>`
    case 'authenticate': return `header:<> authenticate:<name:${request.name} simple_token:>`
    case 'alarm': return `header:{} alarm:{${fieldsOf([['action', request.action === 'ACTIVATE' ? 'ACTIVATE' : 'DEACTIVATE'], ['memberID', request.memberId], ['alarm', request.alarm]])}}`
    // They may hold passwords, or mean nothing to clients.
    case 'auth': case 'v2': case 'clusterMemberAttrSet': case 'clusterVersionSet': case 'downgradeInfoSet': case 'leaseCheckpoint': return `header:{} ${snakeCase(requestTypeOf(request))}:{}`
    default: return unreachable(request)
  }
}

function hex(id: bigint): string { return BigInt.asUintN(64, id).toString(16).padStart(16, '0') }
function snakeCase(name: string): string { return name.replace(/(?<=.)[A-Z]/g, '_$&').toLowerCase() }

/** `size:23`, of the answer without the ids of the cluster and the member; empty when the request was refused. */
export function describeResult(request: LoggedRequest, result: AppliedResult | undefined, storeRevision: number): string {
  if (result === undefined) return ''
  const header = { revision: storeRevision }
  if (result.type === 'leaseGrant') return `size:${encodeProto3(etcdTable, 'LeaseGrantResponse', { header, ID: result.id, TTL: result.ttlSeconds }).length}`
  if (result.type !== 'txn') return `size:${putAnswer.size({ ...header, body: {} })}`
  const { revision, results: [first] } = result.response
  const headed = <T>(body: T): Answer<T> => ({ revision, body })
  if (request.type === 'put' && first?.type === 'put') return `size:${putAnswer.size(headed(first))}`
  if (request.type === 'deleteRange' && first?.type === 'deleteRange') return `size:${deleteRangeAnswer.size(headed(first))}`
  return `size:${txnAnswer.size(headed(result.response))}`
}

/** What a read-only transaction found. */
export function describeRead(results: readonly EtcdOperationResult[], sizeBytes: number): string {
  return `responses:<${results.flatMap((result) => (result.type === 'range' ? [`range_response_count:${result.kvs.length}`] : [])).join(' ')}> size:${sizeBytes}`
}

/** A duration as Go writes it: `143.894µs`, `1.5ms`, `2.25s`, `1m30s`. */
export function formatGoDuration(ms: number): string {
  const trimmed = (value: number, digits: number): string => String(Number(value.toFixed(digits)))
  const ns = Math.round(ms * 1e6)
  if (ns === 0) return '0s'
  if (ns < 1000) return `${ns}ns`
  if (ns < 1_000_000) return `${trimmed(ns / 1000, 3)}µs`
  if (ns < 1_000_000_000) return `${trimmed(ns / 1e6, 6)}ms`
  const seconds = ns / 1e9
  const hours = Math.floor(seconds / 3600)
  const minutes = Math.floor((seconds % 3600) / 60)
  return `${hours > 0 ? `${hours}h` : ''}${hours > 0 || minutes > 0 ? `${minutes}m` : ''}${trimmed(seconds % 60, 9)}s`
}

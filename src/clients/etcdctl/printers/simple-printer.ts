// `-w simple`: sentences and bare keys and values, one per line. Keys and values go out as the bytes they are.
// Upstream: etcdctl/ctlv3/command/printer_simple.go
import { unreachable } from '../../../lib/base/assert.ts'
import type { AuthRoleGetResponse, KeyValue, ResponseOp, StoredPermission, TxnResponse, WatchResponse } from '../../../lib/etcd-api/generated/types.ts'
import { prefixEnd } from '../client/key-ranges.ts'
import { hex16, hexEscaped } from '../go-format.ts'
import type { Printable, Printer, PrinterOptions } from './printable.ts'
import { hashTable, memberTable, statusTable, type Table } from './tables.ts'

type Piece = string | Uint8Array
const empty = new Uint8Array(0)

export const printSimple: Printer = (printable, options) => {
  if (printable.kind === 'endpointHealth') {
    const healthy = printable.endpoints.filter((e) => !e.error).map((e) => `${e.endpoint} is healthy: successfully committed proposal: took = ${e.took}\n`)
    const unhealthy = printable.endpoints.filter((e) => e.error).map((e) => `${e.endpoint} is unhealthy: failed to commit proposal: ${e.error}\n`)
    return { out: healthy, err: unhealthy.join('') }
  }
  return { out: simplePieces(printable, options) }
}

function simplePieces(p: Exclude<Printable, { readonly kind: 'endpointHealth' }>, options: PrinterOptions): Piece[] {
  switch (p.kind) {
    case 'get': return (p.response.kvs ?? []).flatMap((kv) => keyValuePieces(kv, options, p.valueOnly))
    case 'put': return ['OK\n', ...(p.response.prevKv ? keyValuePieces(p.response.prevKv, options) : [])]
    case 'del': return [`${p.response.deleted ?? 0}\n`, ...(p.response.prevKvs ?? []).flatMap((kv) => keyValuePieces(kv, options))]
    case 'txn': return txnPieces(p.response, options)
    case 'watch': return watchPieces(p.response, options)
    case 'leaseGrant': return [`lease ${hex16(p.response.ID)} granted with TTL(${p.response.TTL ?? 0}s)\n`]
    case 'leaseRevoke': return [`lease ${hex16(p.id)} revoked\n`]
    case 'leaseKeepAlive': return [`lease ${hex16(p.response.ID)} keepalived with TTL(${p.response.TTL ?? 0})\n`]
    case 'leaseTimeToLive': {
      const { ID, TTL = 0, grantedTTL = 0, keys = [] } = p.response
      if (grantedTTL === 0 && TTL === -1) return [`lease ${hex16(ID)} already expired\n`]
      const head = `lease ${hex16(ID)} granted with TTL(${grantedTTL}s), remaining(${TTL}s)`
      return p.withKeys ? [`${head}, attached keys([`, ...keys.flatMap((key, i): Piece[] => (i === 0 ? [key] : [' ', key])), '])\n'] : [`${head}\n`]
    }
    case 'leases': return [`found ${p.response.leases?.length ?? 0} leases\n`, ...(p.response.leases ?? []).map((lease) => `${hex16(lease.ID)}\n`)]
    case 'memberAdd': return [`Member ${idOf(p.response.member?.ID)} added${p.response.member?.isLearner ? ' as learner ' : ' '}to cluster ${idOf(p.response.header?.clusterId)}\n`]
    case 'memberRemove': return [`Member ${idOf(p.id)} removed from cluster ${idOf(p.response.header?.clusterId)}\n`]
    case 'memberUpdate': return [`Member ${idOf(p.id)} updated in cluster ${idOf(p.response.header?.clusterId)}\n`]
    case 'memberPromote': return [`Member ${idOf(p.id)} promoted in cluster ${idOf(p.response.header?.clusterId)}\n`]
    case 'memberList': return rowPieces(memberTable(p.response))
    case 'endpointStatus': return rowPieces(statusTable(p.endpoints))
    case 'endpointHashKv': return rowPieces(hashTable(p.endpoints))
    case 'moveLeader': return [`Leadership transferred from ${p.from.toString(16)} to ${p.to.toString(16)}\n`]
    case 'downgrade': return [`Downgrade ${p.action} success, cluster version ${p.response.version ?? ''}\n`]
    case 'alarm': return (p.response.alarms ?? []).map((alarm) => `${[...(alarm.memberID ? [`memberID:${alarm.memberID}`] : []), ...(alarm.alarm && alarm.alarm !== 'NONE' ? [`alarm:${alarm.alarm}`] : [])].join(' ')}\n`)
    case 'roleAdd': return [`Role ${p.role} created\n`]
    case 'roleGet': return rolePieces(p.role, p.response)
    case 'roleDelete': return [`Role ${p.role} deleted\n`]
    case 'roleList': return (p.response.roles ?? []).map((role) => `${role}\n`)
    case 'roleGrantPermission': return [`Role ${p.role} updated\n`]
    case 'roleRevokePermission':
      if (p.end === '') return [`Permission of key ${p.key} is revoked from role ${p.role}\n`]
      return [`Permission of range [${p.key}, ${p.end === '\0' ? '<open ended>' : `${p.end})`} is revoked from role ${p.role}\n`]
    case 'userAdd': return [`User ${p.user} created\n`]
    case 'userGet': return [`User: ${p.user}\nRoles:${(p.response.roles ?? []).map((role) => ` ${role}`).join('')}\n`]
    case 'userList': return (p.response.users ?? []).map((user) => `${user}\n`)
    case 'userChangePassword': return ['Password updated\n']
    case 'userGrantRole': return [`Role ${p.role} is granted to user ${p.user}\n`]
    case 'userRevokeRole': return [`Role ${p.role} is revoked from user ${p.user}\n`]
    case 'userDelete': return [`User ${p.user} deleted\n`]
    case 'authStatus': return [`Authentication Status: ${p.response.enabled ?? false}\nAuthRevision: ${p.response.authRevision ?? 0}\n`]
    default: return unreachable(p)
  }
}

function idOf(id: bigint | undefined): string { return (id ?? 0n).toString(16).padStart(16) }
function rowPieces(table: Table): Piece[] { return table.rows.map((row) => `${row.join(', ')}\n`) }

function keyValuePieces(kv: KeyValue, options: PrinterOptions, valueOnly = false): Piece[] {
  const { key = empty, value = empty } = kv
  const shown = (bytes: Uint8Array): Piece => (options.hex ? hexEscaped(bytes) : bytes)
  return valueOnly ? [shown(value), '\n'] : [shown(key), '\n', shown(value), '\n']
}

function txnPieces(response: TxnResponse, options: PrinterOptions): Piece[] {
  return [response.succeeded ? 'SUCCESS\n' : 'FAILURE\n', ...(response.responses ?? []).flatMap((r): Piece[] => ['\n', ...operationPieces(r, options)])]
}

function operationPieces(operation: ResponseOp, options: PrinterOptions): Piece[] {
  if (operation.responseRange) return simplePieces({ kind: 'get', response: operation.responseRange }, options)
  if (operation.responsePut) return simplePieces({ kind: 'put', response: operation.responsePut }, options)
  if (operation.responseDeleteRange) return simplePieces({ kind: 'del', response: operation.responseDeleteRange }, options)
  return operation.responseTxn ? txnPieces(operation.responseTxn, options) : []
}

function watchPieces(response: WatchResponse, options: PrinterOptions): Piece[] {
  return (response.events ?? []).flatMap((event): Piece[] => [
    `${event.type ?? 'PUT'}\n`, ...(event.prevKv ? keyValuePieces(event.prevKv, options) : []), ...keyValuePieces(event.kv ?? {}, options),
  ])
}

function rolePieces(role: string, { perm = [] }: AuthRoleGetResponse): Piece[] {
  const everything = '\t[, <open ended>\n'
  if (role === 'root' && perm.length === 0) return [`Role ${role}\nKV Read:\n${everything}KV Write:\n${everything}`]
  const linesOf = (mode: 'READ' | 'WRITE'): Piece[] => perm.filter((p) => (p.permType ?? 'READ') === mode || p.permType === 'READWRITE').flatMap(permissionPieces)
  return [`Role ${role}\nKV Read:\n`, ...linesOf('READ'), 'KV Write:\n', ...linesOf('WRITE')]
}

function permissionPieces({ key = empty, rangeEnd = empty }: StoredPermission): Piece[] {
  if (rangeEnd.length === 0) return ['\t', key, '\n']
  const open = rangeEnd.length === 1 && rangeEnd[0] === 0
  const isPrefix = key.length > 0 && Buffer.compare(prefixEnd(key), rangeEnd) === 0
  return ['\t[', key, ', ', ...(open ? ['<open ended>'] : [rangeEnd, ')']), ...(isPrefix ? [' (prefix ', key, ')'] : []), '\n']
}

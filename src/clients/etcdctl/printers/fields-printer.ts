// `-w fields`: one `"Name" : value` per line, strings in Go's quotes. Upstream: etcdctl/ctlv3/command/printer_fields.go
import type { KeyValue, ResponseHeader, ResponseOp } from '../../../lib/etcd-api/generated/types.ts'
import { hex16, quote } from '../go-format.ts'
import { UnsupportedFormat, type Printable, type Printer } from './printable.ts'

const empty = new Uint8Array(0)

export const printFields: Printer = (printable, { hex }) => ({ out: linesOf(printable, hex).map((line) => `${line}\n`) })

function linesOf(p: Printable, hex: boolean): string[] {
  const header = (h: ResponseHeader | undefined): string[] => [
    `"ClusterID" : ${idOf(h?.clusterId, hex)}`, `"MemberID" : ${idOf(h?.memberId, hex)}`, ...(h?.revision ? [`"Revision" : ${h.revision}`] : []), `"RaftTerm" : ${h?.raftTerm ?? 0}`,
  ]
  const leaseId = (id: bigint | undefined): string => `"ID" : ${hex ? hex16(id) : (id ?? 0n)}`
  switch (p.kind) {
    case 'get': return [...header(p.response.header), ...(p.response.kvs ?? []).flatMap((kv) => keyValueLines('', kv, hex)), `"More" : ${p.response.more ?? false}`, `"Count" : ${p.response.count ?? 0}`]
    case 'put': return [...header(p.response.header), ...(p.response.prevKv ? keyValueLines('Prev', p.response.prevKv, hex) : [])]
    case 'del': return [...header(p.response.header), `"Deleted" : ${p.response.deleted ?? 0}`, ...(p.response.prevKvs ?? []).flatMap((kv) => keyValueLines('Prev', kv, hex))]
    case 'txn': return [...header(p.response.header), `"Succeeded" : ${p.response.succeeded ?? false}`, ...(p.response.responses ?? []).flatMap((r) => operationLines(r, hex))]
    case 'watch':
      return [...header(p.response.header), ...(p.response.events ?? []).flatMap((event) => [
        `"Type" : ${event.type ?? 'PUT'}`, ...(event.prevKv ? keyValueLines('Prev', event.prevKv, hex) : []), ...keyValueLines('', event.kv ?? {}, hex),
      ])]
    case 'leaseGrant': case 'leaseKeepAlive': return [...header(p.response.header), leaseId(p.response.ID), `"TTL" : ${p.response.TTL ?? 0}`]
    case 'leaseTimeToLive':
      return [...header(p.response.header), leaseId(p.response.ID), `"TTL" : ${p.response.TTL ?? 0}`, `"GrantedTTL" : ${p.response.grantedTTL ?? 0}`, ...(p.response.keys ?? []).map((key) => `"Key" : ${quote(key)}`)]
    case 'leases': return [...header(p.response.header), ...(p.response.leases ?? []).map((lease) => leaseId(lease.ID))]
    case 'memberList':
      return [...header(p.response.header), ...(p.response.members ?? []).flatMap((member) => [
        `"ID" : ${idOf(member.ID, hex)}`, `"Name" : ${quote(member.name ?? '')}`, ...(member.peerURLs ?? []).map((url) => `"PeerURL" : ${quote(url)}`),
        ...(member.clientURLs ?? []).map((url) => `"ClientURL" : ${quote(url)}`), `"IsLearner" : ${member.isLearner ?? false}`, '',
      ])]
    case 'endpointHealth': return p.endpoints.flatMap((e) => [`"Endpoint" : ${quote(e.endpoint)}`, `"Health" : ${e.health}`, `"Took" : ${e.took}`, `"Error" : ${e.error ?? ''}`, ''])
    case 'endpointStatus':
      return p.endpoints.flatMap(({ endpoint, status: s }) => [
        ...header(s.header), `"Version" : ${quote(s.version ?? '')}`, `"StorageVersion" : ${quote(s.storageVersion ?? '')}`, `"DBSize" : ${s.dbSize ?? 0}`, `"DBSizeInUse" : ${s.dbSizeInUse ?? 0}`,
        `"DBSizeQuota" : ${s.dbSizeQuota ?? 0}`, `"Leader" : ${s.leader ?? 0n}`, `"IsLearner" : ${s.isLearner ?? false}`, `"RaftIndex" : ${s.raftIndex ?? 0}`, `"RaftAppliedIndex" : ${s.raftAppliedIndex ?? 0}`,
        `"Errors" : [${(s.errors ?? []).join(' ')}]`, `"Endpoint" : ${quote(endpoint)}`, `"DowngradeTargetVersion" : ${quote(s.downgradeInfo?.targetVersion ?? '')}`,
        `"DowngradeEnabled" : ${s.downgradeInfo?.enabled ?? false}`, '',
      ])
    case 'endpointHashKv': return p.endpoints.flatMap(({ endpoint, hash }) => [...header(hash.header), `"Endpoint" : ${quote(endpoint)}`, `"Hash" : ${hash.hash ?? 0}`, `"HashRevision" : ${hash.hashRevision ?? 0}`, ''])
    case 'alarm': return [...header(p.response.header), ...(p.response.alarms ?? []).flatMap((alarm) => [`"MemberID" : ${idOf(alarm.memberID, hex)}`, `"AlarmType" : ${alarm.alarm ?? 'NONE'}`, ''])]
    case 'roleGet':
      return [...header(p.response.header), ...(p.response.perm ?? []).flatMap((perm) => [
        `"PermType" :  ${perm.permType ?? 'READ'}`, `"Key" : ${quote(perm.key ?? empty)}`, `"RangeEnd" : ${quote(perm.rangeEnd ?? empty)}`,
      ])]
    case 'roleList': return [...header(p.response.header), `"Roles" :${(p.response.roles ?? []).map((role) => ` ${quote(role)}`).join('')}`]
    case 'leaseRevoke': case 'roleAdd': case 'roleDelete': case 'roleGrantPermission': case 'roleRevokePermission': case 'userAdd': case 'userChangePassword': case 'userGrantRole': case 'userRevokeRole':
    case 'userDelete': return header(p.response.header)
    default: throw new UnsupportedFormat('fields not supported as output format')
  }
}

function idOf(id: bigint | undefined, hex: boolean): string { return (id ?? 0n).toString(hex ? 16 : 10) }

function keyValueLines(prefix: '' | 'Prev', kv: KeyValue, hex: boolean): string[] {
  return [
    `"${prefix}Key" : ${quote(kv.key ?? empty)}`, `"${prefix}CreateRevision" : ${kv.createRevision ?? 0}`, `"${prefix}ModRevision" : ${kv.modRevision ?? 0}`, `"${prefix}Version" : ${kv.version ?? 0}`,
    `"${prefix}Value" : ${quote(kv.value ?? empty)}`, `"${prefix}Lease" : ${hex ? hex16(kv.lease) : (kv.lease ?? 0n)}`,
  ]
}

function operationLines(operation: ResponseOp, hex: boolean): string[] {
  if (operation.responseRange) return linesOf({ kind: 'get', response: operation.responseRange }, hex)
  if (operation.responsePut) return linesOf({ kind: 'put', response: operation.responsePut }, hex)
  if (operation.responseDeleteRange) return linesOf({ kind: 'del', response: operation.responseDeleteRange }, hex)
  return operation.responseTxn ? linesOf({ kind: 'txn', response: operation.responseTxn }, hex) : []
}

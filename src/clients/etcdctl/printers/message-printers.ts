// `-w json` and `-w protobuf`: the server's answer as its message, by the wire table.
//
// JSON has the shapes that Go's encoder gives the client library's types: bytes in base64, enums as numbers, 64-bit numbers as numbers, zero
// values left out. Leases and watches have forms of their own there. Upstream: etcdctl/ctlv3/command/printer_json.go, printer_protobuf.go
import { encodeProto3, type Proto3Field } from '../../../lib/base/protobuf/proto3.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import type { Member, ResponseHeader, TxnResponse } from '../../../lib/etcd-api/generated/types.ts'
import { messageNames, UnsupportedFormat, type Printable, type Printer } from './printable.ts'

type Message = { readonly [field: string]: unknown }

export const printProtobuf: Printer = (p) => {
  const name = messageNames[p.kind]
  if (name === undefined || !('response' in p)) throw new UnsupportedFormat('protobuf not supported as output format')
  // The client library's lease answers are not messages: of those that hold a header the encoder sees the header alone, and nothing else of a revocation.
  if (p.kind === 'leaseRevoke') throw new UnsupportedFormat('marshal unsupported for type *clientv3.LeaseRevokeResponse')
  if (p.kind === 'leaseGrant' || p.kind === 'leaseKeepAlive' || p.kind === 'leaseTimeToLive' || p.kind === 'leases') return { out: [encodeProto3(etcdTable, 'ResponseHeader', p.response.header ?? {})] }
  if (p.kind === 'watch') {
    const { header, events, compactRevision, canceled, created } = p.response
    return { out: [encodeProto3(etcdTable, name, { header, events, compactRevision, canceled, created })] }
  }
  return { out: [encodeProto3(etcdTable, name, p.response)] }
}

export const printJson: Printer = (p, { hex }) => ({ out: [`${jsonOf(p, hex)}\n`] })

function jsonOf(p: Printable, hex: boolean): string {
  switch (p.kind) {
    case 'endpointHealth':
      return listJson(p.endpoints.map((e) => `{"endpoint":${stringJson(e.endpoint)},"health":${e.health},"took":${stringJson(e.took)}${e.error ? `,"error":${stringJson(e.error)}` : ''}}`))
    case 'endpointStatus': return listJson(p.endpoints.map((e) => `{"Endpoint":${stringJson(e.endpoint)},"Status":${messageJson('StatusResponse', e.status)}}`))
    case 'endpointHashKv': return listJson(p.endpoints.map((e) => `{"Endpoint":${stringJson(e.endpoint)},"HashKV":${messageJson('HashKVResponse', e.hash)}}`))
    case 'leaseGrant': return withHeader(p.response.header, [`"ID":${p.response.ID ?? 0n}`, `"TTL":${p.response.TTL ?? 0}`, `"Error":${stringJson(p.response.error ?? '')}`])
    case 'leaseKeepAlive': return withHeader(p.response.header, [`"ID":${p.response.ID ?? 0n}`, `"TTL":${p.response.TTL ?? 0}`])
    case 'leaseTimeToLive': {
      const { header, ID = 0n, TTL = 0, grantedTTL = 0, keys } = p.response
      return withHeader(header, [`"id":${ID}`, `"ttl":${TTL}`, `"granted-ttl":${grantedTTL}`, `"keys":${keys?.length ? `[${keys.map((key) => `"${base64(key)}"`).join(',')}]` : 'null'}`])
    }
    case 'leases': return withHeader(p.response.header, [`"leases":[${(p.response.leases ?? []).map((lease) => `{"id":${lease.ID ?? 0n}}`).join(',')}]`])
    case 'watch': {
      const { header, events, compactRevision = 0, canceled = false, created = false, cancelReason = '' } = p.response
      const list = events?.length ? `[${events.map((event) => messageJson('Event', event)).join(',')}]` : events ? '[]' : 'null'
      const head = header ? messageJson('ResponseHeader', header) : 'null'
      return `{"Header":${head},"Events":${list},"CompactRevision":${compactRevision},"Canceled":${canceled},"Created":${created},"CancelReason":${stringJson(cancelReason)}}`
    }
    case 'txn': return txnJson(p.response)
    case 'memberAdd': case 'memberRemove': case 'memberUpdate': case 'memberPromote': case 'memberList': {
      if (!hex) break
      const member = 'member' in p.response && p.response.member ? [`"member":${hexMember(p.response.member)}`] : p.kind === 'memberAdd' ? ['"member":null'] : []
      return `{${[`"header":${hexHeader(p.response.header)}`, ...member, `"members":[${(p.response.members ?? []).map(hexMember).join(',')}]`].join(',')}}`
    }
    default: break
  }
  const name = messageNames[p.kind]
  if (name === undefined || !('response' in p)) throw new UnsupportedFormat('json not supported as output format')
  return messageJson(name, p.response)
}

function listJson(items: readonly string[]): string { return items.length === 0 ? 'null' : `[${items.join(',')}]` }

/** A client library's struct that embeds the header: its fields stand beside the others. */
function withHeader(header: ResponseHeader | undefined, members: readonly string[]): string {
  return `{${[...fieldsJson('ResponseHeader', header ?? {}), ...members].join(',')}}`
}

function txnJson({ header, succeeded, responses = [] }: TxnResponse): string {
  const operations = responses.map((r) => {
    const inner = r.responseRange ? `"response_range":${messageJson('RangeResponse', r.responseRange)}`
      : r.responsePut ? `"response_put":${messageJson('PutResponse', r.responsePut)}`
        : r.responseDeleteRange ? `"response_delete_range":${messageJson('DeleteRangeResponse', r.responseDeleteRange)}`
          : r.responseTxn ? `"response_txn":${txnJson(r.responseTxn)}` : ''
    return `{"Response":{${inner}}}`
  })
  const members = [...(header ? [`"header":${messageJson('ResponseHeader', header)}`] : []), ...(succeeded ? ['"succeeded":true'] : []), ...(operations.length > 0 ? [`"responses":[${operations.join(',')}]`] : [])]
  return `{${members.join(',')}}`
}

function hexHeader(header: ResponseHeader | undefined): string {
  if (!header) return 'null'
  const { clusterId = 0n, memberId = 0n, revision, raftTerm } = header
  return `{"cluster_id":"${clusterId.toString(16)}","member_id":"${memberId.toString(16)}"${revision ? `,"revision":${revision}` : ''}${raftTerm ? `,"raft_term":${raftTerm}` : ''}}`
}

function hexMember(member: Member): string {
  return `{${[`"ID":"${(member.ID ?? 0n).toString(16)}"`, ...fieldsJson('Member', { ...member, ID: undefined })].join(',')}}`
}

// ---- messages by their table ----

function messageJson(type: string, message: object): string {
  return `{${fieldsJson(type, message).join(',')}}`
}

function fieldsJson(type: string, message: object): string[] {
  return (etcdTable[type] ?? []).flatMap((field) => {
    const value = (message as Message)[field.name] // cast: tables describe plain objects
    if (value === undefined || value === null) return []
    const name = jsonName(type, field.name)
    if (field.list) {
      const items = value as readonly unknown[] // cast: list fields hold arrays
      return items.length === 0 ? [] : [`"${name}":[${items.map((item) => valueJson(field, item)).join(',')}]`]
    }
    const text = valueJson(field, value)
    return text === '0' || text === '""' || text === 'false' ? [] : [`"${name}":${text}`]
  })
}

function valueJson(field: Proto3Field, value: unknown): string {
  switch (field.type) {
    case 'string': return stringJson(String(value))
    case 'bytes': return `"${base64(value as Uint8Array)}"` // cast: bytes fields hold byte arrays
    case 'enum': return String(typeof value === 'string' ? (field.enumValues?.[value] ?? 0) : value)
    case 'bool': case 'int32': case 'int64': case 'uint32': case 'uint64': case 'double': case 'float': return String(value)
    default: return messageJson(field.type, value as object) // cast: message fields hold objects
  }
}

const snakeNames: { readonly [name: string]: string } = {
  clusterId: 'cluster_id', memberId: 'member_id', prevKv: 'prev_kv', prevKvs: 'prev_kvs', createRevision: 'create_revision', modRevision: 'mod_revision', compactRevision: 'compact_revision',
  hashRevision: 'hash_revision', rangeEnd: 'range_end', 'ResponseHeader.raftTerm': 'raft_term',
}

/** etcd's own names in JSON: some of its fields are written with underscores, some as here. */
function jsonName(type: string, name: string): string { return snakeNames[`${type}.${name}`] ?? snakeNames[name] ?? name }

function base64(bytes: Uint8Array): string { return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64') }

/** A string as Go's encoder writes it: with <, > and & escaped. */
function stringJson(text: string): string {
  return JSON.stringify(text.toWellFormed()).replace(/[<>&\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

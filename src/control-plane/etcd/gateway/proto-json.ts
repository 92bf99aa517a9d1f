// Protobuf messages as JSON the way etcd's gateway speaks it: the proto files' own field names, bytes in base64, 64-bit integers as strings, enums
// by name, zero values left out. Reading is in read-proto-json.ts. Upstream: protobuf.dev/programming-guides/json
import type { JsonObject, JsonValue } from '../../../lib/base/json.ts'
import type { Proto3Field, Proto3Table } from '../../../lib/base/protobuf/proto3.ts'

/** Fields that are camelCase in etcd's proto files; all others have underscores there. */
const camelCased = new Set([
  'authRevision', 'clientURLs', 'dbSize', 'dbSizeInUse', 'dbSizeQuota', 'downgradeInfo', 'grantedTTL', 'hashedPassword', 'isLearner', 'keyPermission', 'memberID', 'peerURLs', 'permType',
  'raftAppliedIndex', 'raftIndex', 'storageVersion', 'targetID', 'targetVersion',
])

/** The name of a field in the proto file. */
export function protoName(message: string, field: string): string {
  if (camelCased.has(field) || (field === 'raftTerm' && message === 'StatusResponse')) return field
  return field.replace(/(?<=[a-z0-9])[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

const integers64 = new Set(['int64', 'uint64'])

export function toProtoJson(table: Proto3Table, type: string, message: object): JsonObject {
  const out: { [name: string]: JsonValue } = {}
  for (const field of table[type] ?? []) {
    const value: unknown = Reflect.get(message, field.name)
    if (value === undefined || value === null) continue
    const name = protoName(type, field.name)
    if (field.list) {
      if (Array.isArray(value) && value.length > 0) out[name] = value.map((item: unknown) => valueToJson(table, field, item))
    } else if (field.oneof !== undefined || !isZero(field, value)) out[name] = valueToJson(table, field, value)
  }
  return out
}

function isZero(field: Proto3Field, value: unknown): boolean {
  if (field.type === 'enum') return value === 0 || (typeof value === 'string' && field.enumValues?.[value] === 0)
  return value === 0 || value === 0n || value === '' || value === false || (value instanceof Uint8Array && value.length === 0)
}

function valueToJson(table: Proto3Table, field: Proto3Field, value: unknown): JsonValue {
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.length).toString('base64')
  if (integers64.has(field.type)) return String(field.type === 'uint64' && typeof value === 'bigint' ? BigInt.asUintN(64, value) : value)
  if (typeof value === 'object' && value !== null) return toProtoJson(table, field.type, value)
  return value as JsonValue // cast: strings, booleans and numbers are left
}

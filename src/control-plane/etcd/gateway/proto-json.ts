// Protobuf messages as JSON the way etcd's gateway speaks it: the proto files' own field names, bytes in base64, 64-bit integers as strings, enums
// by name, zero values left out. Reading also takes camelCase names, numbers for strings and the other base64 alphabet; it passes over
// unknown fields. Upstream: protobuf.dev/programming-guides/json
import type { JsonObject, JsonValue } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import type { Proto3Field, Proto3Table } from '../../../lib/base/protobuf/proto3.ts'
import { GrpcError } from '../../../lib/net/grpc/status.ts'

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
const integers32 = new Set(['int32', 'uint32'])

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

/** @throws GrpcError InvalidArgument */
export function fromProtoJson(table: Proto3Table, type: string, json: JsonValue): object {
  if (!isJsonObject(json)) throw bad(`unexpected token ${JSON.stringify(json)}`)
  const message: { [name: string]: unknown } = {}
  for (const field of table[type] ?? []) {
    const value = json[protoName(type, field.name)] ?? json[field.name]
    if (value === undefined || value === null) continue
    if (!field.list) message[field.name] = valueFromJson(table, type, field, value)
    else if (Array.isArray(value)) message[field.name] = value.map((item: JsonValue) => valueFromJson(table, type, field, item))
    else throw bad(`unexpected token ${JSON.stringify(value)}`)
  }
  return message
}

function bad(what: string): GrpcError { return new GrpcError('InvalidArgument', `proto: ${what}`) }

function valueFromJson(table: Proto3Table, message: string, field: Proto3Field, value: JsonValue): unknown {
  const invalid = (): GrpcError => bad(`invalid value for ${field.type} field ${protoName(message, field.name)}: ${JSON.stringify(value)}`)
  if (field.type === 'bytes') {
    if (typeof value !== 'string' || !/^[A-Za-z0-9+/_-]*={0,2}$/.test(value)) throw invalid()
    return Buffer.from(value, 'base64')
  }
  if (integers64.has(field.type) || integers32.has(field.type)) {
    if (!/^-?\d+$/.test(String(value)) || (typeof value !== 'string' && typeof value !== 'number')) throw invalid()
    return field.big ? BigInt(value) : Number(value)
  }
  switch (field.type) {
    case 'string': if (typeof value !== 'string') throw invalid(); return value
    case 'bool': if (typeof value !== 'boolean') throw invalid(); return value
    case 'enum': {
      const known = typeof value === 'string' ? value : Object.entries(field.enumValues ?? {}).find(([, number]) => number === value)?.[0] ?? value
      if (typeof known === 'string' && field.enumValues?.[known] === undefined) throw invalid()
      return known
    }
    default: return fromProtoJson(table, field.type, value)
  }
}

// Objects as Kubernetes protobuf and back. The dialect is gogo's proto2: scalars and structs that Go holds by value are always written, zero or not;
// pointers, lists and maps only when there is something; fields in order of number, map entries in order of key, so that equal objects give equal bytes.
// A whole object travels in an envelope: `k8s\0`, then runtime.Unknown with apiVersion and kind; items of lists have none.
// Upstream: apimachinery/pkg/runtime/serializer/protobuf, api/*/generated.pb.go
import { parseExactJson, stringifyExactJson } from '../base/exact-json.ts'
import type { JsonObject, JsonValue } from '../base/json.ts'
import { WireError, WireReader } from '../base/protobuf/wire-reader.ts'
import { WireWriter } from '../base/protobuf/wire-writer.ts'
import { formatDurationNanoseconds, parseDurationNanoseconds } from '../apimachinery/duration.ts'
import { canonicalQuantity } from '../apimachinery/quantity.ts'
import { decodeBase64, encodeBase64 } from './base64.ts'
import { assembleObject, messagePlan, zeroMessage, type FieldPlan, type MessagePlan } from './message-plan.ts'
import { formatInstant, formatMicroInstant, parseInstant } from './timestamp.ts'
import { typeIdOfApiVersion } from './type-lookup.ts'

/** The bytes are no Kubernetes protobuf of this type. */
export class ProtobufError extends Error {
  override readonly name = 'ProtobufError'
}

export const protobufMediaType = 'application/vnd.kubernetes.protobuf'
const prefix = [0x6b, 0x38, 0x73, 0x00] as const
const maxDepth = 500
const textEncoder = new TextEncoder()
const textDecoder = new TextDecoder('utf-8')
type Fields = { readonly [field: string]: unknown }

/** True when the bytes begin as an enveloped object does. */
export function hasProtobufPrefix(bytes: Uint8Array): boolean { return prefix.every((byte, i) => bytes[i] === byte) }

/** The object in its envelope. kind and apiVersion are the object's own. */
export function encodeProtobuf(typeId: string, object: JsonObject): Uint8Array {
  const { apiVersion, kind } = object
  return encodeProtobufEnvelope(typeof apiVersion === 'string' ? apiVersion : '', typeof kind === 'string' ? kind : '', encodeProtobufMessage(typeId, object))
}

/** An envelope around the bytes of a message. */
export function encodeProtobufEnvelope(apiVersion: string, kind: string, raw: Uint8Array): Uint8Array {
  const writer = new WireWriter(raw.length + 64)
  writer.raw(Uint8Array.from(prefix))
  writer.tag(1, 2)
  writer.nested((w) => { w.tag(1, 2); w.string(apiVersion); w.tag(2, 2); w.string(kind) })
  writer.tag(2, 2); writer.bytes(raw)
  writer.tag(3, 2); writer.string('')
  writer.tag(4, 2); writer.string('')
  return writer.finish()
}

/** The message alone, as it lies in lists and in envelopes. */
export function encodeProtobufMessage(typeId: string, object: JsonObject): Uint8Array {
  const writer = new WireWriter(1024)
  writeMessage(messagePlan(typeId), object, writer)
  return writer.finish()
}

/** One frame's payload of a protobuf watch: a bare WatchEvent whose object is an enveloped object's bytes. */
export function encodeProtobufWatchEvent(type: string, envelopedObject: Uint8Array): Uint8Array {
  const writer = new WireWriter(envelopedObject.length + 32)
  writer.tag(1, 2); writer.string(type)
  writer.tag(2, 2)
  writer.nested((w) => { w.tag(1, 2); w.bytes(envelopedObject) })
  return writer.finish()
}

/** Reads such a payload. @throws ProtobufError */
export function decodeProtobufWatchEvent(bytes: Uint8Array): { readonly type: string; readonly object: Uint8Array } {
  return guarded(() => {
    let type = ''
    let object: Uint8Array = new Uint8Array()
    const reader = new WireReader(bytes)
    while (!reader.done) {
      const tag = reader.tag()
      if (tag === 10) type = reader.string()
      else if (tag === 18) object = readRaw(reader.nested())
      else reader.skip(tag & 7)
    }
    return { type, object }
  })
}

export interface ProtobufEnvelope {
  readonly apiVersion: string
  readonly kind: string
  readonly raw: Uint8Array
  readonly contentType: string
}

/** Opens an envelope. @throws ProtobufError */
export function decodeProtobufEnvelope(bytes: Uint8Array): ProtobufEnvelope {
  if (!hasProtobufPrefix(bytes)) throw new ProtobufError('provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]')
  if (bytes.length === prefix.length) throw new ProtobufError('empty body')
  return guarded(() => {
    const reader = new WireReader(bytes, prefix.length)
    let apiVersion = ''
    let kind = ''
    let raw: Uint8Array = new Uint8Array()
    let contentType = ''
    while (!reader.done) {
      const tag = reader.tag()
      if (tag === 10) {
        const typeMeta = reader.nested()
        while (!typeMeta.done) {
          const inner = typeMeta.tag()
          if (inner === 10) apiVersion = typeMeta.string()
          else if (inner === 18) kind = typeMeta.string()
          else typeMeta.skip(inner & 7)
        }
      } else if (tag === 18) raw = reader.bytes()
      else if (tag === 34) contentType = reader.string()
      else reader.skip(tag & 7)
    }
    return { apiVersion, kind, raw, contentType }
  })
}

/** Reads an enveloped object of the named type, or of the type that its envelope names. @throws ProtobufError */
export function decodeProtobuf(bytes: Uint8Array, typeId?: string): JsonObject {
  const envelope = decodeProtobufEnvelope(bytes)
  const type = typeId ?? typeIdOfApiVersion(envelope.apiVersion, envelope.kind)
  if (type === undefined) throw new ProtobufError(`no kind ${JSON.stringify(envelope.kind)} is registered for version ${JSON.stringify(envelope.apiVersion)}`)
  return decodeProtobufMessage(type, envelope.raw, envelope)
}

/** Reads the bytes of a message. `typeMeta` gives the object its kind and apiVersion. @throws ProtobufError */
export function decodeProtobufMessage(typeId: string, raw: Uint8Array, typeMeta?: { readonly apiVersion: string; readonly kind: string }): JsonObject {
  return guarded(() => readMessage(messagePlan(typeId), [new WireReader(raw)], 0, typeMeta) as JsonObject) // cast: built from JSON values
}

/** The wire's own errors leave this module as ProtobufError. */
function guarded<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof WireError) throw new ProtobufError(error.message === 'unexpected EOF' ? error.message : `proto: ${error.message}`, { cause: error })
    throw error
  }
}

function byKey(a: readonly [string, unknown], b: readonly [string, unknown]): number { return a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0 }

function writeMessage(plan: MessagePlan, object: Fields, writer: WireWriter): void {
  for (const field of plan.protoFields) {
    if (field.inline) {
      writer.tag(field.number, 2)
      writer.nested((w) => writeMessage(messagePlan(field.type), object, w))
      continue
    }
    const value = object[field.name]
    if (field.shape === 'list') {
      if (Array.isArray(value)) for (const item of value) writeValue(field, item, writer)
    } else if (field.shape === 'map') {
      if (typeof value !== 'object' || value === null) continue
      for (const [key, item] of Object.entries(value).sort(byKey)) {
        writer.tag(field.number, 2)
        writer.nested((w) => {
          w.tag(1, 2)
          w.string(key)
          writeValue(field, item, w, 2)
        })
      }
    } else if (value !== undefined && value !== null) writeValue(field, value, writer)
    else if (!field.pointer) writeZero(field, writer)
  }
}

/** What an absent field that Go holds by value writes. */
function writeZero(field: FieldPlan, writer: WireWriter): void {
  switch (field.kind) {
    case 'bytes': case 'listOf': return
    case 'string': writer.tag(field.number, 2); writer.string(''); return
    case 'bool': case 'int32': case 'int64': case 'uint32': case 'uint64': writer.tag(field.number, 0); writer.varint(0); return
    case 'double': writer.tag(field.number, 1); writer.double(0); return
    case 'message': writeValue(field, zeroMessage(field.type), writer); return
    case 'Quantity': writeValue(field, '0', writer); return
    case 'IntOrString': writeValue(field, 0, writer); return
    case 'Duration': writeValue(field, '0s', writer); return
    case 'Time': case 'MicroTime': case 'RawExtension': case 'JSON': case 'FieldsV1': writer.tag(field.number, 2); writer.varint(0); return
    case 'JSONSchemaPropsOrArray': case 'JSONSchemaPropsOrBool': case 'JSONSchemaPropsOrStringArray': writeValue(field, {}, writer)
  }
}

/** One value with its tag; `number` is 2 for the values of maps. */
function writeValue(field: FieldPlan, value: unknown, writer: WireWriter, number = field.number): void {
  switch (field.kind) {
    case 'string': writer.tag(number, 2); writer.string(String(value)); return
    case 'bytes': writer.tag(number, 2); writer.bytes(decodeBase64(String(value))); return
    case 'bool': writer.tag(number, 0); writer.varint(value === true ? 1 : 0); return
    case 'int32': case 'int64': case 'uint32': case 'uint64':
      writer.tag(number, 0)
      if (typeof value === 'bigint') writer.bigVarint(value)
      else writer.varint(Number(value))
      return
    case 'double': writer.tag(number, 1); writer.double(Number(value)); return
    default:
      writer.tag(number, 2)
      writer.nested((w) => writeNested(field, value, w))
  }
}

function writeNested(field: FieldPlan, value: unknown, w: WireWriter): void {
  switch (field.kind) {
    case 'message': writeMessage(messagePlan(field.type), value as Fields, w); return // cast: message fields hold objects
    case 'listOf': for (const item of value as readonly string[]) { w.tag(1, 2); w.string(item) } return // cast: named lists hold strings
    case 'Quantity': w.tag(1, 2); w.string(canonicalQuantity(String(value)) ?? String(value)); return
    case 'RawExtension': case 'JSON': case 'FieldsV1': w.tag(1, 2); w.bytes(textEncoder.encode(stringifyExactJson(value))); return
    case 'Time': case 'MicroTime': {
      const instant = parseInstant(String(value))
      if (instant === undefined) return
      w.tag(1, 0); w.varint(instant.seconds)
      w.tag(2, 0); w.varint(field.kind === 'MicroTime' ? instant.microseconds * 1000 : 0)
      return
    }
    case 'Duration': w.tag(1, 0); w.bigVarint(parseDurationNanoseconds(String(value)) ?? 0n); return
    case 'IntOrString':
      w.tag(1, 0); w.varint(typeof value === 'string' ? 1 : 0)
      w.tag(2, 0); w.varint(typeof value === 'number' ? value : 0)
      w.tag(3, 2); w.string(typeof value === 'string' ? value : '')
      return
    case 'JSONSchemaPropsOrArray':
      if (Array.isArray(value)) for (const item of value) writeSchemaProps(2, item as Fields, w) // cast: schemas are objects
      else writeSchemaProps(1, value as Fields, w) // cast: schemas are objects
      return
    case 'JSONSchemaPropsOrBool':
      w.tag(1, 0); w.varint(value === false ? 0 : 1)
      if (typeof value === 'object') writeSchemaProps(2, value as Fields, w) // cast: schemas are objects
      return
    case 'JSONSchemaPropsOrStringArray':
      if (Array.isArray(value)) for (const item of value) { w.tag(2, 2); w.string(String(item)) }
      else writeSchemaProps(1, value as Fields, w) // cast: schemas are objects
      return
    default: throw new ProtobufError(`no nested form for ${field.kind}`)
  }
}

const schemaPropsPlan = (): MessagePlan => messagePlan('io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps')

function writeSchemaProps(number: number, value: Fields, writer: WireWriter): void {
  writer.tag(number, 2)
  writer.nested((w) => writeMessage(schemaPropsPlan(), value, w))
}

/** Several readers: an embedded struct may come in pieces, which count together. */
function readMessage(plan: MessagePlan, readers: readonly WireReader[], depth: number, typeMeta?: { readonly apiVersion: string; readonly kind: string }): { [field: string]: unknown } {
  if (depth > maxDepth) throw new WireError('exceeded max depth')
  const values: unknown[] = Array.from({ length: plan.jsonFields.length })
  for (const reader of readers) readFields(plan, plan, reader, values, depth)
  return assembleObject(plan, values, typeMeta?.kind, typeMeta?.apiVersion)
}

/** Reads the fields of `plan` into the slots of `outer`, in whose JSON they stand. */
function readFields(plan: MessagePlan, outer: MessagePlan, reader: WireReader, values: unknown[], depth: number): void {
  while (!reader.done) {
    const tag = reader.tag()
    const wireType = tag & 7
    const field = plan.protoByNumber.get(Math.floor(tag / 8))
    if (field === undefined) { reader.skip(wireType); continue }
    if (field.inline) {
      if (wireType !== 2) throw new WireError(`wrong wireType = ${wireType} for field ${field.schema.goField ?? field.name}`)
      readFields(messagePlan(field.type), outer, reader.nested(), values, depth + 1)
      continue
    }
    const slot = outer.indexByName.get(field.name)! // cast: every field of an inline struct has a slot in the outer message
    if (field.shape === 'list') {
      const list = (values[slot] ??= []) as unknown[] // cast: slots of lists hold arrays
      list.push(readValue(field, wireType, reader, depth))
    } else if (field.shape === 'map') {
      const map = (values[slot] ??= {}) as { [key: string]: unknown } // cast: slots of maps hold objects
      const [key, value] = readEntry(field, reader.nested(), depth)
      if (key === '__proto__') Object.defineProperty(map, key, { value, enumerable: true, configurable: true, writable: true })
      else map[key] = value
    } else values[slot] = readValue(field, wireType, reader, depth)
  }
}

function readEntry(field: FieldPlan, reader: WireReader, depth: number): readonly [string, unknown] {
  let key = ''
  let value: unknown
  while (!reader.done) {
    const tag = reader.tag()
    if (tag === 10) key = reader.string()
    else if (tag >> 3 === 2) value = readValue(field, tag & 7, reader, depth)
    else reader.skip(tag & 7)
  }
  return [key, value ?? zeroMapValue(field)]
}

function zeroMapValue(field: FieldPlan): unknown {
  switch (field.kind) {
    case 'string': case 'bytes': return ''
    case 'message': return zeroMessage(field.type)
    case 'Quantity': return '0'
    case 'listOf': return []
    case 'int32': case 'int64': case 'uint32': case 'uint64': case 'double': return 0
    case 'bool': return false
    default: return null
  }
}

const wireTypeOf = (field: FieldPlan): number => {
  switch (field.kind) {
    case 'bool': case 'int32': case 'int64': case 'uint32': case 'uint64': return 0
    case 'double': return 1
    default: return 2
  }
}

function readValue(field: FieldPlan, wireType: number, reader: WireReader, depth: number): unknown {
  if (wireType !== wireTypeOf(field)) throw new WireError(`wrong wireType = ${wireType} for field ${field.schema.goField ?? field.name}`)
  switch (field.kind) {
    case 'string': return reader.string()
    case 'bytes': return encodeBase64(reader.bytes())
    case 'bool': return reader.varint() !== 0
    case 'int32': case 'uint32': return reader.signedVarint()
    case 'int64': case 'uint64': return reader.exactSignedVarint()
    case 'double': return reader.double()
    case 'message': return readMessage(messagePlan(field.type), [reader.nested()], depth + 1)
    case 'Quantity': return readStrings(reader.nested()).at(-1) ?? '0'
    case 'listOf': return readStrings(reader.nested())
    case 'Time': case 'MicroTime': return readTime(field.kind, reader.nested())
    case 'Duration': return formatDurationNanoseconds(BigInt.asIntN(64, readVarints(reader.nested()).get(1) ?? 0n))
    case 'IntOrString': return readIntOrString(reader.nested())
    case 'RawExtension': case 'JSON': case 'FieldsV1': return readFreeForm(readRaw(reader.nested()))
    case 'JSONSchemaPropsOrArray': {
      const [one, many] = readSchemas(reader.nested(), depth)
      return many.length > 0 ? many : one
    }
    case 'JSONSchemaPropsOrBool': return readSchemaOrBool(reader.nested(), depth)
    case 'JSONSchemaPropsOrStringArray': return readSchemaOrStrings(reader.nested(), depth)
  }
}

/** Field 1, repeated or not, of a message of strings. */
function readStrings(reader: WireReader): string[] {
  const strings: string[] = []
  while (!reader.done) {
    const tag = reader.tag()
    if (tag === 10) strings.push(reader.string())
    else reader.skip(tag & 7)
  }
  return strings
}

function readVarints(reader: WireReader): Map<number, bigint> {
  const found = new Map<number, bigint>()
  while (!reader.done) {
    const tag = reader.tag()
    if ((tag & 7) === 0) found.set(tag >> 3, reader.bigVarint())
    else reader.skip(tag & 7)
  }
  return found
}

function readTime(kind: 'Time' | 'MicroTime', reader: WireReader): string | undefined {
  const parts = readVarints(reader)
  if (parts.size === 0) return undefined
  const seconds = Number(BigInt.asIntN(64, parts.get(1) ?? 0n))
  const nanoseconds = Number(BigInt.asIntN(32, parts.get(2) ?? 0n))
  // Years 1 to 9999, which is what RFC 3339 can say.
  if (seconds < -62135596800 || seconds > 253402300799) throw new WireError('time out of range')
  return kind === 'Time' ? formatInstant({ seconds, microseconds: 0 }) : formatMicroInstant({ seconds, microseconds: Math.floor(nanoseconds / 1000) })
}

function readIntOrString(reader: WireReader): number | string {
  let isString = false
  let number = 0
  let text = ''
  while (!reader.done) {
    const tag = reader.tag()
    if (tag === 8) isString = reader.varint() === 1
    else if (tag === 16) number = reader.signedVarint()
    else if (tag === 26) text = reader.string()
    else reader.skip(tag & 7)
  }
  return isString ? text : number
}

function readRaw(reader: WireReader): Uint8Array {
  let raw: Uint8Array = new Uint8Array()
  while (!reader.done) {
    const tag = reader.tag()
    if (tag === 10) raw = reader.bytes()
    else reader.skip(tag & 7)
  }
  return raw
}

/** Free-form content is JSON, or an enveloped object. */
function readFreeForm(raw: Uint8Array): JsonValue | undefined {
  if (raw.length === 0) return undefined
  if (hasProtobufPrefix(raw)) return decodeProtobuf(raw)
  try {
    return parseExactJson(textDecoder.decode(raw))
  } catch (error) {
    throw new ProtobufError('free-form content is no JSON', { cause: error })
  }
}

/** Field 1 a schema, field 2 schemas. */
function readSchemas(reader: WireReader, depth: number): readonly [unknown, unknown[]] {
  let one: unknown
  const many: unknown[] = []
  while (!reader.done) {
    const tag = reader.tag()
    if (tag === 10) one = readMessage(schemaPropsPlan(), [reader.nested()], depth + 1)
    else if (tag === 18) many.push(readMessage(schemaPropsPlan(), [reader.nested()], depth + 1))
    else reader.skip(tag & 7)
  }
  return [one, many]
}

function readSchemaOrBool(reader: WireReader, depth: number): unknown {
  let allows = false
  let one: unknown
  while (!reader.done) {
    const tag = reader.tag()
    if (tag === 8) allows = reader.varint() !== 0
    else if (tag === 18) one = readMessage(schemaPropsPlan(), [reader.nested()], depth + 1)
    else reader.skip(tag & 7)
  }
  return one ?? allows
}

function readSchemaOrStrings(reader: WireReader, depth: number): unknown {
  let one: unknown
  const strings: string[] = []
  while (!reader.done) {
    const tag = reader.tag()
    if (tag === 10) one = readMessage(schemaPropsPlan(), [reader.nested()], depth + 1)
    else if (tag === 18) strings.push(reader.string())
    else reader.skip(tag & 7)
  }
  return strings.length > 0 ? strings : one
}

// Encodes and decodes proto3 messages by table. CRI and etcd speak proto3; the Kubernetes API's own dialect (which always writes scalars)
// has its codec in lib/api.
//
// In TypeScript a message is a plain object with camelCase names in which an absent field means its zero value, as proto3 says. Decoding
// leaves zero values out; encoding does too. 64-bit integers are bigint when their field says so (`big`), else number.
import { WireReader } from './wire-reader.ts'
import { WireWriter } from './wire-writer.ts'

export type Proto3Scalar = 'string' | 'bytes' | 'bool' | 'int32' | 'int64' | 'uint32' | 'uint64' | 'double' | 'float' | 'enum'

export type Proto3Field = {
  readonly name: string
  readonly number: number
  /** A scalar, or the full name of a message in the same table. */
  readonly type: string
  readonly list?: boolean
  /** A map from this scalar type to `type`. */
  readonly mapKey?: string
  /** For type `enum`: names and numbers. In TypeScript the value is the name; a number that has no name stays a number. */
  readonly enumValues?: { readonly [name: string]: number }
  /** 64-bit integer that may exceed 2^53: held as bigint. */
  readonly big?: boolean
  /** Name of the oneof it belongs to: a member that is set is written even when it is zero. */
  readonly oneof?: string
}

export type Proto3Table = { readonly [message: string]: readonly Proto3Field[] }
type Message = { [field: string]: unknown }

const scalars = new Set<string>(['string', 'bytes', 'bool', 'int32', 'int64', 'uint32', 'uint64', 'double', 'float', 'enum'])
const wireTypes: { readonly [type: string]: number } = { string: 2, bytes: 2, bool: 0, int32: 0, int64: 0, uint32: 0, uint64: 0, enum: 0, double: 1, float: 5 }

/** Encodes `message`, a value of the named type. */
export function encodeProto3(table: Proto3Table, type: string, message: object): Uint8Array {
  const writer = new WireWriter()
  writeMessage(table, type, message as Message, writer) // cast: tables describe plain objects
  return writer.finish()
}

/** Decodes bytes of the named type. @throws WireError */
export function decodeProto3<T>(table: Proto3Table, type: string, bytes: Uint8Array): T {
  return readMessage(table, type, new WireReader(bytes)) as T // cast: the caller names the type that the table describes
}

function writeMessage(table: Proto3Table, type: string, message: Message, writer: WireWriter): void {
  for (const field of table[type]!) { // cast: generated tables are closed under their references
    const value = message[field.name]
    if (value === undefined || value === null) continue
    if (field.mapKey !== undefined) {
      for (const [key, item] of Object.entries(value as Message)) { // cast: map fields hold objects
        writer.tag(field.number, 2)
        writer.nested((w) => {
          writeValue(table, { name: 'key', number: 1, type: field.mapKey! }, field.mapKey === 'string' ? key : field.mapKey === 'bool' ? key === 'true' : Number(key), w) // cast: checked above
          writeValue(table, { ...field, number: 2 }, item, w)
        })
      }
    } else if (field.list) {
      const items = value as readonly unknown[] // cast: list fields hold arrays
      if (items.length === 0) continue
      if (wireTypes[field.type] !== undefined && wireTypes[field.type] !== 2) {
        writer.tag(field.number, 2)
        writer.nested((w) => { for (const item of items) writeScalar(field, item, w) })
      } else for (const item of items) writeValue(table, field, item, writer)
    } else if (field.oneof !== undefined || !isZero(field, value)) writeValue(table, field, value, writer)
  }
}

function isZero(field: Proto3Field, value: unknown): boolean {
  if (field.type === 'enum' && typeof value === 'string') return field.enumValues?.[value] === 0
  return value === 0 || value === '' || value === false || value === 0n || (value instanceof Uint8Array && value.length === 0)
}

function writeValue(table: Proto3Table, field: Proto3Field, value: unknown, writer: WireWriter): void {
  if (scalars.has(field.type)) {
    writer.tag(field.number, wireTypes[field.type]!) // cast: every scalar has a wire type
    writeScalar(field, value, writer)
  } else {
    writer.tag(field.number, 2)
    writer.nested((w) => writeMessage(table, field.type, value as Message, w)) // cast: message fields hold objects
  }
}

function writeScalar(field: Proto3Field, value: unknown, writer: WireWriter): void {
  switch (field.type) {
    case 'string': writer.string(String(value)); return
    case 'bytes': writer.bytes(value as Uint8Array); return // cast: bytes fields hold byte arrays
    case 'bool': writer.varint(value ? 1 : 0); return
    case 'double': writer.double(Number(value)); return
    case 'float': writer.float(Number(value)); return
    case 'enum': writer.varint(typeof value === 'string' ? (field.enumValues?.[value] ?? 0) : Number(value)); return
    default: if (typeof value === 'bigint') writer.bigVarint(value); else writer.varint(Number(value))
  }
}

function readMessage(table: Proto3Table, type: string, reader: WireReader): Message {
  const fields = fieldsByNumber(table, type)
  const message: Message = {}
  while (!reader.done) {
    const tag = reader.tag()
    const wireType = tag % 8
    const field = fields[Math.floor(tag / 8)]
    if (!field) { reader.skip(wireType); continue }
    if (field.mapKey !== undefined) {
      const entry = reader.nested()
      let key = ''
      let item: unknown
      while (!entry.done) {
        const entryTag = entry.tag()
        if (entryTag >> 3 === 1) key = String(readScalar({ name: 'key', number: 1, type: field.mapKey }, entry))
        else if (entryTag >> 3 === 2) item = readValue(table, field, entry)
        else entry.skip(entryTag & 7)
      }
      Object.defineProperty((message[field.name] ??= {}) as Message, key, { value: item ?? zeroOf(field), enumerable: true, writable: true, configurable: true }) // cast: made just here; defineProperty keeps a key "__proto__" harmless
    } else if (field.list) {
      const items = (message[field.name] ??= []) as unknown[] // cast: made just here
      if (wireType === 2 && wireTypes[field.type] !== undefined && wireTypes[field.type] !== 2) {
        const packed = reader.nested()
        while (!packed.done) items.push(readScalar(field, packed))
      } else items.push(readValue(table, field, reader))
    } else message[field.name] = readValue(table, field, reader)
  }
  return message
}

function zeroOf(field: Proto3Field): unknown {
  switch (field.type) {
    case 'string': return ''
    case 'bytes': return new Uint8Array(0)
    case 'bool': return false
    case 'enum': return Object.entries(field.enumValues ?? {}).find(([, n]) => n === 0)?.[0] ?? 0
    default: return scalars.has(field.type) ? (field.big ? 0n : 0) : {}
  }
}

function readValue(table: Proto3Table, field: Proto3Field, reader: WireReader): unknown {
  return scalars.has(field.type) ? readScalar(field, reader) : readMessage(table, field.type, reader.nested())
}

function readScalar(field: Proto3Field, reader: WireReader): unknown {
  switch (field.type) {
    case 'string': return reader.string()
    case 'bytes': return reader.bytes()
    case 'bool': return reader.bigVarint() !== 0n
    case 'double': return reader.double()
    case 'float': return reader.float()
    case 'uint64': return field.big ? reader.bigVarint() : reader.varint()
    case 'enum': {
      const number = reader.signedVarint()
      return Object.entries(field.enumValues ?? {}).find(([, n]) => n === number)?.[0] ?? number
    }
    default: return field.big ? BigInt.asIntN(64, reader.bigVarint()) : reader.signedVarint()
  }
}

const indexes = new WeakMap<Proto3Table, Map<string, readonly (Proto3Field | undefined)[]>>()

function fieldsByNumber(table: Proto3Table, type: string): readonly (Proto3Field | undefined)[] {
  let index = indexes.get(table)
  if (!index) indexes.set(table, (index = new Map()))
  let fields = index.get(type)
  if (!fields) {
    const sparse: (Proto3Field | undefined)[] = []
    for (const field of table[type]!) sparse[field.number] = field // cast: generated tables are closed under their references
    index.set(type, (fields = sparse))
  }
  return fields
}

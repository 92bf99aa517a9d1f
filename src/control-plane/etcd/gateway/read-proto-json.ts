// JSON of a request as a protobuf message: camelCase names and the proto files' own, numbers for strings, both base64 alphabets; unknown fields and
// enum names are passed over. What can't be read is refused in the words and with the place that the original's clients see.
// Upstream: google.golang.org/protobuf/encoding/protojson/decode.go
import type { Proto3Field, Proto3Table } from '../../../lib/base/protobuf/proto3.ts'
import { GrpcError } from '../../../lib/net/grpc/status.ts'
import type { JsonDocument, JsonNode } from './json-node.ts'
import { protoName } from './proto-json.ts'

/** Full names of unions that only one field of may be given; by message and our name of the union. */
const unionNames: { readonly [message: string]: string } = {
  Compare: 'etcdserverpb.Compare.target_union', RequestOp: 'etcdserverpb.RequestOp.request', ResponseOp: 'etcdserverpb.ResponseOp.response', WatchRequest: 'etcdserverpb.WatchRequest.request_union',
}

const integers: { readonly [type: string]: readonly [smallest: bigint, largest: bigint] } = {
  int64: [-(2n ** 63n), 2n ** 63n - 1n], uint64: [0n, 2n ** 64n - 1n], int32: [-(2n ** 31n), 2n ** 31n - 1n], uint32: [0n, 2n ** 32n - 1n],
}
/** Digits of a number that is written out: none that has more fits. */
const mostDigits = 40

/** @throws GrpcError InvalidArgument */
export function readProtoJson(table: Proto3Table, type: string, { text, root }: JsonDocument): object { return new ProtoJsonReader(table, text).message(type, root) }

class ProtoJsonReader {
  readonly #table: Proto3Table
  readonly #text: string

  constructor(table: Proto3Table, text: string) {
    this.#table = table
    this.#text = text
  }

  #error(at: number, message: string, kind = ''): GrpcError {
    const before = this.#text.slice(0, at)
    const line = before.split('\n').length
    const column = [...before.slice(before.lastIndexOf('\n') + 1)].length + 1
    return new GrpcError('InvalidArgument', `proto: ${kind}(line ${line}:${column}): ${message}`)
  }

  #unexpected(node: JsonNode): GrpcError { return this.#error(node.at, `unexpected token ${node.raw}`, 'syntax error ') }

  message(type: string, node: JsonNode): object {
    if (node.kind !== 'object') throw this.#unexpected(node)
    const fields = this.#table[type] ?? []
    const message: { [name: string]: unknown } = {}
    const seen = new Set<Proto3Field>()
    const unions = new Set<string>()
    for (const { at, raw, name, value } of node.members) {
      const field = fields.find((known) => known.name === name) ?? fields.find((known) => protoName(type, known.name) === name)
      if (!field) continue
      if (seen.has(field)) throw this.#error(at, `duplicate field ${raw}`)
      seen.add(field)
      if (value.kind === 'null') continue
      if (field.list) { message[field.name] = this.#list(field, value); continue }
      // A field that says whether it is set is a union of its own.
      const union = field.oneof !== undefined && unionNames[type] !== undefined ? field.oneof : undefined
      if (union !== undefined) {
        if (unions.has(union)) throw this.#error(at, `error parsing ${raw}, oneof ${unionNames[type] ?? union} is already set`)
        unions.add(union)
      }
      const read = this.#value(field, value)
      if (read !== undefined) message[field.name] = read
    }
    return message
  }

  #list(field: Proto3Field, node: JsonNode): unknown[] {
    if (node.kind !== 'array') throw this.#unexpected(node)
    return node.items.map((item) => this.#value(field, item)).filter((item) => item !== undefined)
  }

  #value(field: Proto3Field, node: JsonNode): unknown {
    const invalid = (): GrpcError => this.#error(node.at, `invalid value for ${field.type} field ${field.name}: ${node.raw}`)
    const range = integers[field.type]
    if (range) {
      const value = integerOf(node, range)
      if (value === undefined) throw invalid()
      return field.big ? value : Number(value)
    }
    switch (field.type) {
      case 'bytes': {
        const bytes = node.kind === 'string' ? decodeBase64(node.text) : undefined
        if (!bytes) throw invalid()
        return bytes
      }
      case 'string': if (node.kind !== 'string') throw invalid(); return node.text
      case 'bool': if (node.kind !== 'true' && node.kind !== 'false') throw invalid(); return node.kind === 'true'
      case 'enum': {
        if (node.kind === 'string') return Object.hasOwn(field.enumValues ?? {}, node.text) ? node.text : undefined
        const number = node.kind === 'number' ? integerOf(node, integers['int32'] ?? [0n, 0n]) : undefined
        if (number === undefined) throw invalid()
        return Object.entries(field.enumValues ?? {}).find(([, known]) => BigInt(known) === number)?.[0] ?? Number(number)
      }
      default: return this.message(field.type, node)
    }
  }
}

/** A whole number within the range, however it is written (`1e2`, `"7"`, `3.0`); undefined when it is none. */
function integerOf(node: JsonNode, [smallest, largest]: readonly [bigint, bigint]): bigint | undefined {
  const text = node.kind === 'number' ? node.raw : node.kind === 'string' ? node.text : ''
  const match = /^(-?)(0|[1-9]\d*)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text)
  if (!match) return undefined
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match
  const digits = `${whole}${fraction}`.replace(/^0+/, '').replace(/0+$/, '')
  if (digits === '') return 0n
  const scale = Number(exponent) - fraction.length + (`${whole}${fraction}`.length - `${whole}${fraction}`.replace(/0+$/, '').length)
  if (scale < 0 || digits.length + scale > mostDigits) return undefined
  const value = BigInt(`${sign}${digits}${'0'.repeat(scale)}`)
  return value < smallest || value > largest ? undefined : value
}

/** Either alphabet, with or without padding; newlines are passed over, as Go does. Undefined when it is none. */
function decodeBase64(text: string): Uint8Array | undefined {
  const compact = text.replaceAll(/[\r\n]/g, '')
  const isUrl = /[-_]/.test(text)
  const alphabet = isUrl ? /^[A-Za-z0-9_-]*$/ : /^[A-Za-z0-9+/]*$/
  const padded = text.length % 4 === 0
  const body = padded ? compact.replace(/={1,2}$/, '') : compact
  if (!alphabet.test(body) || body.length % 4 === 1 || (padded && compact.length % 4 !== 0)) return undefined
  return Buffer.from(body, isUrl ? 'base64url' : 'base64')
}

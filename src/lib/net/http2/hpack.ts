// HPACK, the compression of headers. The decoder keeps the dynamic table that the peer fills; the encoder here uses the static table and
// plain literals only, so that what it writes never depends on what was written before. Upstream: RFC 7541
import { decodeHuffman } from './huffman.ts'

/** Names (and values, where there is one) by index from 1. */
const staticTable: readonly (readonly [name: string, value: string])[] = [
  [':authority', ''], [':method', 'GET'], [':method', 'POST'], [':path', '/'], [':path', '/index.html'], [':scheme', 'http'], [':scheme', 'https'], [':status', '200'], [':status', '204'], [':status', '206'],
  [':status', '304'], [':status', '400'], [':status', '404'], [':status', '500'], ['accept-charset', ''], ['accept-encoding', 'gzip, deflate'], ['accept-language', ''], ['accept-ranges', ''], ['accept', ''],
  ['access-control-allow-origin', ''], ['age', ''], ['allow', ''], ['authorization', ''], ['cache-control', ''], ['content-disposition', ''], ['content-encoding', ''], ['content-language', ''], ['content-length', ''],
  ['content-location', ''], ['content-range', ''], ['content-type', ''], ['cookie', ''], ['date', ''], ['etag', ''], ['expect', ''], ['expires', ''], ['from', ''], ['host', ''], ['if-match', ''], ['if-modified-since', ''],
  ['if-none-match', ''], ['if-range', ''], ['if-unmodified-since', ''], ['last-modified', ''], ['link', ''], ['location', ''], ['max-forwards', ''], ['proxy-authenticate', ''], ['proxy-authorization', ''], ['range', ''],
  ['referer', ''], ['refresh', ''], ['retry-after', ''], ['server', ''], ['set-cookie', ''], ['strict-transport-security', ''], ['transfer-encoding', ''], ['user-agent', ''], ['vary', ''], ['via', ''], ['www-authenticate', ''],
]
/** What an entry counts beside its characters. */
const entryOverhead = 32

export type HeaderField = readonly [name: string, value: string]

/** The header block can't be decoded: the connection is lost, for both sides' tables differ now. */
export class HpackError extends Error {
  override readonly name = 'HpackError'
}

export interface DecodedHeaders {
  readonly fields: readonly HeaderField[]
  /** The list was larger than allowed; `fields` is not complete. */
  readonly tooLarge: boolean
}

export class HpackDecoder {
  readonly #maxListBytes: number
  readonly #largestTableBytes: number
  /** Newest last; the index counts from the end. */
  #entries: HeaderField[] = []
  #tableBytes = 0
  #maxTableBytes: number
  /** Goes up with each change of the table: what a block means can be kept while it stays. */
  generation = 0

  constructor(options: { readonly maxListBytes: number; readonly maxTableBytes?: number }) {
    this.#maxListBytes = options.maxListBytes
    this.#largestTableBytes = options.maxTableBytes ?? 4096
    this.#maxTableBytes = this.#largestTableBytes
  }

  get tableBytes(): number { return this.#tableBytes }
  get entries(): readonly HeaderField[] { return this.#entries }

  /** @throws HpackError */
  decode(bytes: Uint8Array, start = 0, end = bytes.length): DecodedHeaders {
    const fields: HeaderField[] = []
    let listBytes = 0
    const reader = new BlockReader(bytes, start, end)
    let begun = false
    while (!reader.done) {
      const first = reader.peek()
      let field: HeaderField
      if (first >= 0x80) field = this.#at(reader.integer(7))
      else if (first >= 0x40) {
        field = this.#literal(reader, 6)
        this.#add(field)
      } else if (first >= 0x20) {
        const size = reader.integer(5)
        if (begun || size > this.#largestTableBytes) throw new HpackError('illegal change of the table size')
        this.#maxTableBytes = size
        this.#evict(size)
        this.generation++
        continue
      } else field = this.#literal(reader, 4)
      begun = true
      listBytes += field[0].length + field[1].length + entryOverhead
      if (listBytes <= this.#maxListBytes) fields.push(field)
    }
    return { fields, tooLarge: listBytes > this.#maxListBytes }
  }

  #literal(reader: BlockReader, prefixBits: number): HeaderField {
    const index = reader.integer(prefixBits)
    const name = index === 0 ? reader.text() : this.#at(index)[0]
    return [name, reader.text()]
  }

  #at(index: number): HeaderField {
    const field = index <= staticTable.length ? staticTable[index - 1] : this.#entries[this.#entries.length - (index - staticTable.length)]
    if (!field) throw new HpackError(`no header has index ${index}`)
    return field
  }

  #add(field: HeaderField): void {
    const size = field[0].length + field[1].length + entryOverhead
    this.generation++
    this.#evict(this.#maxTableBytes - size)
    if (size > this.#maxTableBytes) return
    this.#entries.push(field)
    this.#tableBytes += size
  }

  /** Drops the oldest until at most `room` bytes are left. */
  #evict(room: number): void {
    let count = 0
    while (count < this.#entries.length && this.#tableBytes > room) {
      const [name, value] = this.#entries[count++]! // cast: bounded by the loop
      this.#tableBytes -= name.length + value.length + entryOverhead
    }
    if (count > 0) this.#entries.splice(0, count)
  }
}

class BlockReader {
  readonly #bytes: Uint8Array
  readonly #end: number
  #at: number

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes
    this.#at = start
    this.#end = end
  }

  get done(): boolean { return this.#at >= this.#end }

  peek(): number {
    if (this.done) throw new HpackError('the header block ends early')
    return this.#bytes[this.#at]! // cast: in range
  }

  /** An integer whose first `prefixBits` bits are the low ones of the next byte. */
  integer(prefixBits: number): number {
    const mask = 2 ** prefixBits - 1
    let value = this.peek() & mask
    this.#at++
    if (value < mask) return value
    for (let scale = 1; ; scale *= 128) {
      const byte = this.peek()
      this.#at++
      value += (byte & 0x7f) * scale
      if (value > 2 ** 31) throw new HpackError('integer too large')
      if (byte < 0x80) return value
      if (scale > 2 ** 28) throw new HpackError('integer too long')
    }
  }

  text(): string {
    const coded = this.peek() >= 0x80
    const length = this.integer(7)
    if (length > this.#end - this.#at) throw new HpackError('the header block ends early')
    const start = this.#at
    this.#at += length
    if (coded) {
      const text = decodeHuffman(this.#bytes, start, this.#at)
      if (text === undefined) throw new HpackError('invalid Huffman code')
      return text
    }
    let text = ''
    for (let i = start; i < this.#at; i++) text += String.fromCharCode(this.#bytes[i]!) // cast: in range
    return text
  }
}

/** A header block without effect on the peer's table. Names are lower-case; characters above 255 are not allowed. */
export function encodeHeaders(fields: readonly HeaderField[]): Buffer {
  const parts: Buffer[] = []
  for (const [name, value] of fields) {
    const whole = staticTable.findIndex(([n, v]) => n === name && v === value && v !== '')
    if (whole >= 0) { parts.push(Buffer.of(0x80 | (whole + 1))); continue }
    const named = staticTable.findIndex(([n]) => n === name)
    parts.push(encodeInteger(0, 4, named + 1))
    if (named < 0) parts.push(encodeText(name))
    parts.push(encodeText(value))
  }
  return Buffer.concat(parts)
}

function encodeText(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1')
  return Buffer.concat([encodeInteger(0, 7, bytes.length), bytes])
}

export function encodeInteger(flags: number, prefixBits: number, value: number): Buffer {
  const mask = 2 ** prefixBits - 1
  if (value < mask) return Buffer.of(flags | value)
  const out = [flags | mask]
  let rest = value - mask
  while (rest > 0x7f) {
    out.push((rest % 128) | 0x80)
    rest = Math.floor(rest / 128)
  }
  out.push(rest)
  return Buffer.from(out)
}

// Writes protobuf into room that is known to be large enough: sizes are counted first, so that a message is written once, straight to where
// it leaves from (the output buffer of a connection, for instance). `wire-writer.ts` is the one that grows.

/** How a type of message is encoded: `size` first, then at once `write`, which writes exactly that many bytes. */
export interface MessageEncoder<T> {
  size(message: T): number
  write(message: T, out: ExactWriter): void
}

/** What Node's byte arrays have beside the standard. */
interface WithLatin1 { latin1Write?(text: string, offset: number, length: number): number }
interface WithCopy { copy?(target: Uint8Array, targetStart: number, start: number, end: number): number }

export class ExactWriter {
  bytes: Uint8Array
  at: number

  constructor(bytes: Uint8Array = noBytes, at = 0) {
    this.bytes = bytes
    this.at = at
  }

  /** An integer in [-2^53, 2^53]. */
  varint(value: number): void {
    const { bytes } = this
    let { at } = this
    let v = value
    if (v < 0) { this.big(BigInt(v)); return }
    while (v > 0x7fff_ffff) {
      bytes[at++] = (v % 128) | 0x80
      v = Math.floor(v / 128)
    }
    while (v > 0x7f) {
      bytes[at++] = (v & 0x7f) | 0x80
      v >>>= 7
    }
    bytes[at++] = v
    this.at = at
  }

  big(value: bigint): void {
    let v = BigInt.asUintN(64, value)
    while (v > 0x7fn) {
      this.bytes[this.at++] = Number(v & 0x7fn) | 0x80
      v >>= 7n
    }
    this.bytes[this.at++] = Number(v)
  }

  /** A field that is left out when it is zero. Tags here and below are below 128. */
  number(tag: number, value: number | undefined): void { if (value) { this.bytes[this.at++] = tag; this.varint(value) } }
  bigNumber(tag: number, value: bigint | undefined): void { if (value) { this.bytes[this.at++] = tag; this.big(value) } }

  blob(tag: number, value: Uint8Array): void {
    if (value.length === 0) return
    this.nested(tag, value.length)
    this.raw(value)
  }

  /** Bytes that a text holds one per character. */
  latin1(tag: number, text: string): void {
    const { length } = text
    if (length === 0) return
    this.nested(tag, length)
    const bytes: Uint8Array & WithLatin1 = this.bytes
    if (length > 24 && bytes.latin1Write) bytes.latin1Write(text, this.at, length)
    else for (let i = 0; i < length; i++) bytes[this.at + i] = text.charCodeAt(i)
    this.at += length
  }

  /** Tag and length of something that follows. */
  nested(tag: number, size: number): void { this.bytes[this.at++] = tag; this.varint(size) }

  raw(value: Uint8Array): void {
    const { length } = value
    // For a few bytes a loop is faster than `set`.
    if (length > 24) this.bytes.set(value, this.at)
    else for (let i = 0; i < length; i++) this.bytes[this.at + i] = value[i]! // cast: bounded by the loop
    this.at += length
  }

  /** The bytes [start, end) of `value`. */
  part(value: Uint8Array & WithCopy, start: number, end: number): void {
    if (value.copy) value.copy(this.bytes, this.at, start, end)
    else this.bytes.set(value.subarray(start, end), this.at)
    this.at += end - start
  }
}

const noBytes = new Uint8Array(0)

export function varintSize(value: number): number {
  if (value < 0) return 10
  if (value < 0x80) return 1
  if (value < 0x4000) return 2
  if (value < 0x20_0000) return 3
  if (value < 0x1000_0000) return 4
  let size = 5
  for (let v = Math.floor(value / 0x1000_0000); v > 0x7f; v = Math.floor(v / 128)) size++
  return size
}

export function bigSize(value: bigint): number {
  let size = 1
  for (let v = BigInt.asUintN(64, value); v > 0x7fn; v >>= 7n) size++
  return size
}

/** Of a field with a tag below 128, left out when zero. */
export function numberSize(value: number | undefined): number { return value ? 1 + varintSize(value) : 0 }
export function bytesSize(length: number): number { return length === 0 ? 0 : 1 + varintSize(length) + length }
/** Of a field that holds a message of `size` bytes. */
export function nestedSize(size: number): number { return 1 + varintSize(size) + size }

/** The message in a buffer of its own. */
export function encodeWith<T>(encoder: MessageEncoder<T>, message: T, allocate: (size: number) => Uint8Array = (size) => new Uint8Array(size)): Uint8Array {
  const out = new ExactWriter(allocate(encoder.size(message)))
  encoder.write(message, out)
  return out.bytes
}

// Writes protobuf's wire format: varints, fixed-width numbers and length-delimited bytes into one growing buffer.
// Source: protobuf.dev/programming-guides/encoding.

const textEncoder = new TextEncoder()

export class WireWriter {
  readonly #capacity: number
  #bytes: Uint8Array
  /** Where what was not taken begins. */
  #start = 0
  #end = 0
  /** Of the last nested message. */
  #lengthBytes = 1

  constructor(capacity = 256) {
    this.#capacity = capacity
    this.#bytes = new Uint8Array(capacity)
  }

  /** Of what was written and not taken. */
  get length(): number { return this.#end - this.#start }

  /** What has been written, as a view: copy it before writing on. */
  finish(): Uint8Array { return this.#bytes.subarray(this.#start, this.#end) }

  /** The same for good: it is never written to again, and the next message goes behind it or into a new buffer. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(this.#start, this.#end)
    this.#start = this.#end
    return taken
  }

  /** Starts over with the same buffer: what `finish` gave becomes invalid. */
  reset(): void { this.#end = this.#start }

  #reserve(count: number): void {
    if (this.#end + count <= this.#bytes.length) return
    const { length } = this
    const grown = new Uint8Array(Math.max(this.#capacity, length * 2, length + count))
    grown.set(this.#bytes.subarray(this.#start, this.#end))
    this.#bytes = grown
    this.#start = 0
    this.#end = length
  }

  tag(field: number, wireType: number): void { this.varint(field * 8 + wireType) }

  /** An integer in [-2^53, 2^53]; negative ones take ten bytes, as protobuf's int32 and int64 do. */
  varint(value: number): void {
    if (value < 0) { this.bigVarint(BigInt(value)); return }
    this.#reserve(10)
    while (value > 0x7f) {
      this.#bytes[this.#end++] = (value % 128) | 0x80
      value = Math.floor(value / 128)
    }
    this.#bytes[this.#end++] = value
  }

  bigVarint(value: bigint): void {
    this.#reserve(10)
    let v = BigInt.asUintN(64, value)
    while (v > 0x7fn) {
      this.#bytes[this.#end++] = Number(v & 0x7fn) | 0x80
      v >>= 7n
    }
    this.#bytes[this.#end++] = Number(v)
  }

  fixed32(value: number): void {
    this.#reserve(4)
    new DataView(this.#bytes.buffer, this.#bytes.byteOffset).setUint32(this.#end, value >>> 0, true)
    this.#end += 4
  }

  double(value: number): void {
    this.#reserve(8)
    new DataView(this.#bytes.buffer, this.#bytes.byteOffset).setFloat64(this.#end, value, true)
    this.#end += 8
  }

  float(value: number): void {
    this.#reserve(4)
    new DataView(this.#bytes.buffer, this.#bytes.byteOffset).setFloat32(this.#end, value, true)
    this.#end += 4
  }

  /** Bytes as they are, without a length. */
  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.#end)
    this.#end += bytes.length
  }

  /** Bytes behind their length. */
  bytes(bytes: Uint8Array): void {
    this.varint(bytes.length)
    this.raw(bytes)
  }

  string(text: string): void {
    // Most strings are short ASCII: one byte of length, written in place.
    if (text.length < 43) {
      this.#reserve(1 + text.length * 3)
      const { written } = textEncoder.encodeInto(text, this.#bytes.subarray(this.#end + 1))
      this.#bytes[this.#end] = written
      this.#end += 1 + written
      return
    }
    this.bytes(textEncoder.encode(text))
  }

  /** A nested message: `write` fills it, its length goes in front. */
  nested(write: (writer: WireWriter) => void): void {
    // From the start of what was not taken: the buffer may become another one.
    const { length } = this
    // Room for a length as long as the last one was; a message whose length takes more or less is moved.
    const guess = this.#lengthBytes
    this.#reserve(guess)
    this.#end += guess
    write(this)
    const size = this.length - length - guess
    let lengthBytes = 1
    for (let v = size; v > 0x7f; v = Math.floor(v / 128)) lengthBytes++
    if (lengthBytes > guess) this.#reserve(lengthBytes - guess)
    const at = this.#start + length
    if (lengthBytes !== guess) {
      this.#bytes.copyWithin(at + lengthBytes, at + guess, this.#end)
      this.#end += lengthBytes - guess
      this.#lengthBytes = lengthBytes
    }
    let v = size
    for (let i = 0; i < lengthBytes; i++) {
      this.#bytes[at + i] = i < lengthBytes - 1 ? (v % 128) | 0x80 : v
      v = Math.floor(v / 128)
    }
  }
}

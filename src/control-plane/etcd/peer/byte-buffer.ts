// A growing buffer that frames are written into, and given away whole: one write to the socket for everything that a tick has said.

export class ByteBuffer {
  #bytes: Buffer
  #length = 0
  readonly #capacity: number

  constructor(capacity = 4096) {
    this.#capacity = capacity
    this.#bytes = Buffer.allocUnsafe(capacity)
  }

  get length(): number { return this.#length }

  /** Makes room: each writing below relies on it. */
  reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + count))
    this.#bytes.copy(grown, 0, 0, this.#length)
    this.#bytes = grown
  }

  /** What was written; the buffer begins anew and never touches it again. */
  take(): Buffer {
    const taken = this.#bytes.subarray(0, this.#length)
    // A rest that is large enough serves on.
    if (this.#bytes.length - this.#length >= this.#capacity / 2) this.#bytes = this.#bytes.subarray(this.#length)
    else this.#bytes = Buffer.allocUnsafe(this.#capacity)
    this.#length = 0
    return taken
  }

  byte(value: number): void { this.#bytes[this.#length++] = value }

  /** An integer in [0, 2^53). */
  varint(value: number): void {
    let v = value
    while (v > 0x7f) {
      this.#bytes[this.#length++] = (v % 128) | 0x80
      v = Math.floor(v / 128)
    }
    this.#bytes[this.#length++] = v
  }

  /** A 64-bit id as a varint. */
  id(value: bigint): void {
    let low = Number(value & 0xffffffffn)
    let high = Number((value >> 32n) & 0xffffffffn)
    while (high > 0 || low > 0x7f) {
      this.#bytes[this.#length++] = (low & 0x7f) | 0x80
      low = ((low >>> 7) | (high << 25)) >>> 0
      high >>>= 7
    }
    this.#bytes[this.#length++] = low
  }

  /** Eight bytes, the highest first. An integer in [0, 2^53). */
  uint64(value: number): void {
    this.#bytes.writeUInt32BE(Math.floor(value / 2 ** 32), this.#length)
    this.#bytes.writeUInt32BE(value % 2 ** 32, this.#length + 4)
    this.#length += 8
  }

  /** Bytes behind their length. */
  block(bytes: Uint8Array): void {
    this.varint(bytes.length)
    this.#bytes.set(bytes, this.#length)
    this.#length += bytes.length
  }
}

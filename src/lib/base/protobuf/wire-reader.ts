// Reads protobuf's wire format. Every read is bounded by the buffer: malformed input throws WireError, it never reads past the end.

/** The bytes are not valid protobuf. */
export class WireError extends Error {
  override readonly name = 'WireError'
}

const textDecoder = new TextDecoder('utf-8')

export class WireReader {
  readonly #bytes: Uint8Array
  #end: number
  #position: number

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.#bytes = bytes
    this.#position = start
    this.#end = end
  }

  /** Another reader of what is left. */
  copy(): WireReader { return new WireReader(this.#bytes, this.#position, this.#end) }

  get done(): boolean { return this.#position >= this.#end }
  get position(): number { return this.#position }

  /** The next field's number and wire type, packed as protobuf packs them: `number * 8 + wireType`. */
  tag(): number {
    const tag = this.varint()
    if (tag < 8) throw new WireError(`illegal tag ${tag}`)
    return tag
  }

  #byte(): number {
    if (this.#position >= this.#end) throw new WireError('unexpected EOF')
    return this.#bytes[this.#position++]! // cast: bounded by the line above
  }

  /** An unsigned varint as a number; above 2^53 it loses precision, so 64-bit ids go through `bigVarint`. */
  varint(): number {
    // Most are one byte.
    if (this.#position < this.#end) {
      const first = this.#bytes[this.#position]! // cast: in range
      if (first < 0x80) { this.#position++; return first }
    }
    let value = 0
    let scale = 1
    for (let i = 0; i < 10; i++) {
      const byte = this.#byte()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
      scale *= 128
    }
    throw new WireError('varint longer than ten bytes')
  }

  /** A varint as protobuf's int32 or int64 mean it: sign included. */
  signedVarint(): number {
    const start = this.#position
    const value = this.varint()
    if (value < 2 ** 53) return value
    this.#position = start
    return Number(BigInt.asIntN(64, this.bigVarint()))
  }

  /** The same, exact: a bigint where a number would lose digits. */
  exactSignedVarint(): number | bigint {
    const start = this.#position
    const value = this.varint()
    if (value < 2 ** 53) return value
    this.#position = start
    const exact = BigInt.asIntN(64, this.bigVarint())
    return Number.isSafeInteger(Number(exact)) ? Number(exact) : exact
  }

  /** A bool: anything but zero is true. */
  flag(): boolean {
    let bits = 0
    for (let i = 0; i < 10; i++) {
      const byte = this.#byte()
      // The tenth byte has one bit left.
      bits |= i === 9 ? byte & 1 : byte & 0x7f
      if (byte < 0x80) return bits !== 0
    }
    throw new WireError('varint longer than ten bytes')
  }

  bigVarint(): bigint {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#byte()
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asUintN(64, value)
    }
    throw new WireError('varint longer than ten bytes')
  }

  #take(count: number): number {
    if (count > this.#end - this.#position) throw new WireError('unexpected EOF')
    const start = this.#position
    this.#position += count
    return start
  }

  fixed32(): number { const at = this.#take(4); return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + at, 4).getUint32(0, true) }
  float(): number { const at = this.#take(4); return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + at, 4).getFloat32(0, true) }
  double(): number { const at = this.#take(8); return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + at, 8).getFloat64(0, true) }

  /** A view of the bytes behind their length: copy it to keep it beyond the buffer's life. */
  bytes(): Uint8Array {
    const length = this.varint()
    const at = this.#take(length)
    return this.#bytes.subarray(at, at + length)
  }

  string(): string {
    const length = this.varint()
    const at = this.#take(length)
    // Short ASCII is faster by hand than through the decoder.
    if (length < 24) {
      let out = ''
      for (let i = at; i < at + length; i++) {
        const c = this.#bytes[i]! // cast: inside the taken range
        if (c > 0x7f) return textDecoder.decode(this.#bytes.subarray(at, at + length))
        out += String.fromCharCode(c)
      }
      return out
    }
    return textDecoder.decode(this.#bytes.subarray(at, at + length))
  }

  /** A reader over the nested message that comes next. */
  nested(): WireReader {
    const length = this.varint()
    const at = this.#take(length)
    return new WireReader(this.#bytes, at, at + length)
  }

  /** Goes into the nested message that comes next, without a reader of its own: `done` at its end. Give the result to `leave`. */
  enter(): number {
    const length = this.varint()
    if (length > this.#end - this.#position) throw new WireError('unexpected EOF')
    const end = this.#end
    this.#end = this.#position + length
    return end
  }

  /** Back to the message around, behind the nested one. */
  leave(end: number): void {
    this.#position = this.#end
    this.#end = end
  }

  skip(wireType: number): void {
    switch (wireType) {
      case 0: this.flag(); return
      case 1: this.#take(8); return
      case 2: this.#take(this.varint()); return
      case 5: this.#take(4); return
      default: throw new WireError(`illegal wire type ${wireType}`)
    }
  }
}

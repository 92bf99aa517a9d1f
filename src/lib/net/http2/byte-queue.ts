// Bytes of one stream that wait for the peer's window, in one growing buffer: no object per message, however many wait.

const smallest = 4096

export class ByteQueue {
  #bytes: Buffer | undefined
  #start = 0
  #end = 0

  get length(): number { return this.#end - this.#start }

  /** Room for `count` bytes at the end, to be filled now. */
  reserve(count: number): Buffer {
    const bytes = this.#roomFor(count)
    const at = this.#end
    this.#end += count
    return bytes.subarray(at, at + count)
  }

  #roomFor(count: number): Buffer {
    const { length } = this
    if (this.#bytes && this.#end + count <= this.#bytes.length) return this.#bytes
    if (this.#bytes && length + count <= this.#bytes.length / 2) this.#bytes.copyWithin(0, this.#start, this.#end)
    else {
      const grown = Buffer.allocUnsafe(Math.max(smallest, 2 * (length + count)))
      if (this.#bytes) this.#bytes.copy(grown, 0, this.#start, this.#end)
      this.#bytes = grown
    }
    this.#start = 0
    this.#end = length
    return this.#bytes
  }

  /** Moves the first `count` bytes to `target` at `at`. */
  shift(target: Uint8Array, at: number, count: number): void {
    if (!this.#bytes) return
    target.set(this.#bytes.subarray(this.#start, this.#start + count), at)
    this.#start += count
    if (this.#start === this.#end) { this.#bytes = undefined; this.#start = 0; this.#end = 0 }
  }

  clear(): void { this.#bytes = undefined; this.#start = 0; this.#end = 0 }
}

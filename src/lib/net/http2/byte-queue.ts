// Bytes of one stream that wait for the peer's window, in a few chunks: no object per message, however many wait, and nothing is moved when
// more comes.

const smallestChunk = 4096
const largestChunk = 256 * 1024

interface Chunk { readonly bytes: Buffer; end: number }

export class ByteQueue {
  #chunks: Chunk[] = []
  /** Of the first chunk, what has gone already. */
  #start = 0
  #length = 0
  #nextSize = smallestChunk

  get length(): number { return this.#length }

  /** Room for `count` bytes at the end, to be filled now. */
  reserve(count: number): Buffer {
    let chunk = this.#chunks[this.#chunks.length - 1]
    if (chunk === undefined || chunk.end + count > chunk.bytes.length) {
      chunk = { bytes: Buffer.allocUnsafeSlow(Math.max(count, this.#nextSize)), end: 0 }
      this.#nextSize = Math.min(largestChunk, this.#nextSize * 4)
      this.#chunks.push(chunk)
    }
    const at = chunk.end
    chunk.end += count
    this.#length += count
    return chunk.bytes.subarray(at, at + count)
  }

  /** Moves the first `count` bytes, which must be there, to `target` at `at`. */
  shift(target: Uint8Array, at: number, count: number): void {
    for (let left = count, to = at; left > 0;) {
      const chunk = this.#chunks[0]
      if (chunk === undefined) return
      const size = Math.min(left, chunk.end - this.#start)
      target.set(chunk.bytes.subarray(this.#start, this.#start + size), to)
      this.#start += size
      this.#length -= size
      to += size
      left -= size
      if (this.#start < chunk.end) continue
      this.#chunks.shift()
      this.#start = 0
    }
    if (this.#length === 0) this.clear()
  }

  clear(): void {
    this.#chunks = []
    this.#start = 0
    this.#length = 0
    this.#nextSize = smallestChunk
  }
}

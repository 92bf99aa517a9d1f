// Bytes of one stream that wait for the peer's window, in a few chunks: no object per message, however many wait, and nothing is moved when
// more comes.
import { giveBackBuffer, takeBuffer } from './buffer-pool.ts'

/** The first chunk of a stream, of which many wait with little. */
const firstChunkBytes = 4096

interface Chunk { readonly bytes: Buffer; end: number }

export class ByteQueue {
  #chunks: Chunk[] = []
  /** Of the first chunk, what has gone already. */
  #start = 0
  #length = 0

  get length(): number { return this.#length }

  /** The parts, behind each other, are copied. */
  push(head: Uint8Array, body: Uint8Array, tail: Uint8Array): void {
    this.#add(head)
    this.#add(body)
    this.#add(tail)
  }

  #add(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length;) {
      let chunk = this.#chunks[this.#chunks.length - 1]
      if (chunk === undefined || chunk.end === chunk.bytes.length) {
        chunk = { bytes: chunk === undefined && bytes.length <= firstChunkBytes ? Buffer.allocUnsafeSlow(firstChunkBytes) : takeBuffer(), end: 0 }
        this.#chunks.push(chunk)
      }
      const count = Math.min(bytes.length - from, chunk.bytes.length - chunk.end)
      chunk.bytes.set(count === bytes.length ? bytes : bytes.subarray(from, from + count), chunk.end)
      chunk.end += count
      from += count
    }
    this.#length += bytes.length
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
      giveBackBuffer(chunk.bytes)
    }
    if (this.#length === 0) this.clear()
  }

  clear(): void {
    for (const { bytes } of this.#chunks) giveBackBuffer(bytes)
    this.#chunks = []
    this.#start = 0
    this.#length = 0
  }
}

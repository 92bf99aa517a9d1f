// Where frames are written before they go to the socket: one buffer, and one socket write for everything of a turn of the event loop.
//
// The buffer goes back to the pool as soon as the socket took all of it at once, which is the usual case: a connection that has nothing to say
// holds none. Else the next frames go behind what is still being written, and into another buffer when that one is full.
import { giveBackBuffer, pooledBytes, takeBuffer } from './buffer-pool.ts'

/** What a socket of node:net or node:tls is here. */
export interface OutputSocket {
  readonly writableLength: number
  readonly destroyed: boolean
  write(bytes: Buffer, written?: (error?: Error | null) => void): boolean
  end(): void
  destroy(): void
}

/** With more than this waiting in the socket, data stays in the streams. */
const blockedAboveBytes = 1024 * 1024
const noBuffer = Buffer.alloc(0)

export class OutputStage {
  readonly #socket: OutputSocket
  readonly #defer: (run: () => void) => void
  readonly #flush = (): void => { this.#planned = false; this.flush() }
  /** Buffers that are being written, one entry a write: writes end in their order. */
  readonly #writing: (Buffer | undefined)[] = []
  readonly #written = (error?: Error | null): void => {
    const buffer = this.#writing.shift()
    // After an error nobody knows who still reads it.
    if (!error && buffer !== undefined && buffer !== this.bytes && this.#writing[0] !== buffer) giveBackBuffer(buffer)
  }
  bytes: Buffer = noBuffer
  #start = 0
  #used = 0
  #planned = false
  #isClosed = false

  constructor(socket: OutputSocket, defer: (run: () => void) => void) {
    this.#socket = socket
    this.#defer = defer
  }

  get isBlocked(): boolean { return this.#socket.writableLength > blockedAboveBytes }

  /** Offset in `bytes` where `count` bytes can and must be written now. */
  take(count: number): number {
    if (this.#used + count > this.bytes.length) {
      this.flush()
      if (this.#used + count > this.bytes.length) {
        const full = this.bytes
        this.bytes = count <= pooledBytes ? takeBuffer() : Buffer.allocUnsafeSlow(count)
        if (!this.#writing.includes(full)) giveBackBuffer(full)
        this.#start = 0
        this.#used = 0
      }
    }
    const at = this.#used
    this.#used += count
    if (!this.#planned) {
      this.#planned = true
      this.#defer(this.#flush)
    }
    return at
  }

  write(bytes: Uint8Array): void {
    const at = this.take(bytes.length)
    this.bytes.set(bytes, at)
  }

  flush(): void {
    if (this.#used === this.#start || this.#isClosed || this.#socket.destroyed) return
    const { bytes } = this
    this.#writing.push(bytes)
    this.#socket.write(bytes.subarray(this.#start, this.#used), this.#written)
    this.#start = this.#used
    if (this.#socket.writableLength > 0) return
    // Nothing of what was written before is under way either; the calls that say so are still to come.
    this.#writing.forEach((buffer, i) => { if (buffer === bytes) this.#writing[i] = undefined })
    giveBackBuffer(bytes)
    this.bytes = noBuffer
    this.#start = 0
    this.#used = 0
  }

  /** Sends what is there; what is written from now on goes nowhere. */
  close(): void {
    this.flush()
    this.#isClosed = true
  }
}

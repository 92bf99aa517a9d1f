// Where frames are written before they go to the socket: one buffer, and one socket write for everything of a turn of the event loop.
//
// The buffer is used again as soon as the socket took all of it at once, which is the usual case; else the next frames go behind what is
// still being written, and into a new buffer when that one is full.

/** What a socket of node:net or node:tls is here. */
export interface OutputSocket {
  readonly writableLength: number
  readonly destroyed: boolean
  write(bytes: Buffer): boolean
  end(): void
  destroy(): void
}

const stageBytes = 128 * 1024
/** With more than this waiting in the socket, data stays in the streams. */
const blockedAboveBytes = 1024 * 1024

export class OutputStage {
  readonly #socket: OutputSocket
  readonly #defer: (run: () => void) => void
  readonly #flush = (): void => { this.#planned = false; this.flush() }
  bytes: Buffer = Buffer.allocUnsafeSlow(stageBytes)
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
        this.bytes = Buffer.allocUnsafeSlow(Math.max(stageBytes, count))
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
    this.#socket.write(this.bytes.subarray(this.#start, this.#used))
    if (this.#socket.writableLength === 0) this.#used = 0
    this.#start = this.#used
  }

  /** Sends what is there; what is written from now on goes nowhere. */
  close(): void {
    this.flush()
    this.#isClosed = true
  }
}

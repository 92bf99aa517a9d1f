// One request and its response on an HTTP/2 connection, as the server's handlers see it.
import type { ByteQueue } from './byte-queue.ts'
import type { AnswerFrames } from './answer-frames.ts'
import type { RequestHeaders } from './request-headers.ts'
import type { Http2ServerConnection } from './server-connection.ts'

/** Takes what happens on a stream. */
export interface StreamConsumer {
  /** A piece of the body: a view that stays valid. */
  data(chunk: Buffer): void
  /** The body is complete. */
  requestEnded(): void
  /** What waited has been sent. */
  drain(): void
  /** Nothing more happens; called once. */
  closed(): void
}

export class Http2ServerStream {
  readonly connection: Http2ServerConnection
  readonly id: number
  readonly headers: RequestHeaders
  consumer: StreamConsumer | undefined
  /** Bytes that the peer lets us send, and that it may send. */
  sendWindow: number
  receiveWindow: number
  /** Taken from the peer and not yet given back to its window. */
  consumedBytes = 0
  receivedBytes = 0
  readonly expectedBytes: number | undefined
  /** Made when something has to wait. */
  pending: ByteQueue | undefined
  /** Header block that ends the stream when what is pending has been sent; an empty one ends it with an empty DATA frame. */
  trailers: Buffer | undefined
  headersSent = false
  remoteEnded = false
  localEnded = false
  isClosed = false
  #isPaused = false
  #inbox: Buffer[] | undefined
  #endWaits = false

  constructor(connection: Http2ServerConnection, id: number, headers: RequestHeaders, sendWindow: number, receiveWindow: number) {
    this.connection = connection
    this.id = id
    this.headers = headers
    this.sendWindow = sendWindow
    this.receiveWindow = receiveWindow
    const length = headers['content-length']
    this.expectedBytes = typeof length === 'string' && /^\d{1,15}$/.test(length) ? Number(length) : undefined
  }

  /** Bytes that wait for the peer. */
  get queuedBytes(): number { return this.pending === undefined ? 0 : this.pending.length }

  /** Sends a header block (once, before data). */
  sendHeaders(block: Buffer, endStream = false): void { if (!this.isClosed && !this.localEnded) this.connection.sendHeaders(this, block, endStream) }
  /** Sends `head` and `body` behind each other as data. Both are copied. */
  sendData(head: Uint8Array, body: Uint8Array, tail?: Uint8Array): void { if (!this.isClosed && !this.localEnded && !this.trailers) this.connection.sendData(this, head, body, tail) }
  /**
   * Room for the whole of a short answer, whose headers and trailers are written now and whose `size` bytes of data the caller writes at once:
   * into the connection's `outputBytes` from the offset that is returned. -1 when it can't be sent in one piece now.
   */
  reserveWhole(frames: AnswerFrames, size: number): number { return this.isClosed || this.localEnded || this.headersSent ? -1 : this.connection.reserveWhole(this, frames, size) }
  /** Ends the stream, with trailers when the block is not empty. */
  finish(trailers: Buffer): void { if (!this.isClosed && !this.localEnded && !this.trailers) this.connection.finish(this, trailers) }
  reset(code: number): void { if (!this.isClosed) this.connection.resetStream(this.id, code) }

  pause(): void { this.#isPaused = true }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    const inbox = this.#inbox ?? []
    while (!this.#isPaused && inbox.length > 0 && !this.isClosed) this.#give(inbox.shift()!) // cast: not empty
    if (this.#endWaits && !this.#isPaused && inbox.length === 0 && !this.isClosed) { this.#endWaits = false; this.consumer?.requestEnded() }
  }

  /** For the connection: a piece of the body has come. */
  take(chunk: Buffer): void {
    if (this.#isPaused || this.#hasUnread) (this.#inbox ??= []).push(chunk)
    else this.#give(chunk)
  }

  #give(chunk: Buffer): void {
    this.connection.release(this, chunk.length)
    this.consumer?.data(chunk)
  }

  /** For the connection: the body is complete. */
  takeEnd(): void {
    if (this.#isPaused || this.#hasUnread) this.#endWaits = true
    else this.consumer?.requestEnded()
  }

  get #hasUnread(): boolean { return this.#inbox !== undefined && this.#inbox.length > 0 }

  /** For the connection: what nobody has read, whose window is to be given back. */
  dropInbox(): number {
    if (this.#inbox === undefined) return 0
    let bytes = 0
    for (const chunk of this.#inbox) bytes += chunk.length
    this.#inbox = undefined
    return bytes
  }
}

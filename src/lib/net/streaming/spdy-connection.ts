// A SPDY/3.1 connection over any byte stream, as much of the protocol as kubectl and the kubelet speak: streams opened by either side, half-closed
// by FIN, reset, pings answered. Nobody uses its flow control; a slow reader of one stream holds back the connection once it has 4 MiB waiting.
// Upstream: moby/spdystream
import { Duplex } from 'node:stream'
import { HeaderDeflater, HeaderInflater } from './spdy-headers.ts'
import type { SpdyHeaders } from './spdy-headers.ts'

const version = 3
const synStream = 1, synReply = 2, rstStream = 3, settings = 4, ping = 6, goAway = 7, headersFrame = 8
const flagFin = 1
const mostFrameBytes = 16 * 2 ** 20
const mostBuffered = 4 * 2 ** 20
const mostStreams = 1000
const dataPiece = 32 * 1024

export class SpdyError extends Error {
  override readonly name = 'SpdyError'
}

export interface SpdyOptions {
  readonly role: 'client' | 'server'
  /** A stream that the peer opened; it is answered by `reply` or refused by `reset`. */
  readonly onStream?: (stream: SpdyStream) => void
}

export class SpdyStream extends Duplex {
  readonly id: number
  readonly headers: SpdyHeaders
  readonly #connection: SpdyConnection
  #waitingBytes = 0
  /** Resolves when the peer answered a stream that we opened; rejects when it refused. */
  readonly replied: Promise<void>
  readonly #reply = Promise.withResolvers<void>()
  #isReset = false

  constructor(connection: SpdyConnection, id: number, headers: SpdyHeaders) {
    super({ allowHalfOpen: true, emitClose: true })
    this.#connection = connection
    this.id = id
    this.headers = headers
    this.replied = this.#reply.promise
    this.replied.catch(() => {})
    // What breaks a stream breaks its connection's users through their own streams; an unheard error must not end the process.
    this.on('error', () => {})
  }

  header(name: string): string | undefined { return this.headers.get(name)?.[0] }

  /** Accepts a stream that the peer opened. */
  reply(): void { this.#connection.sendReply(this.id) }

  /** Ends the stream both ways at once. Status 5: cancelled; 3: refused. */
  reset(status = 5): void {
    if (this.#isReset) return
    this.#isReset = true
    this.#connection.sendReset(this.id, status)
    this.destroy()
  }

  /** @internal */ accepted(): void { this.#reply.resolve() }
  /** @internal */ receive(data: Buffer): void {
    if (this.destroyed) return
    this.#waitingBytes += data.length
    this.push(data)
    if (this.#waitingBytes > mostBuffered) this.#connection.hold(this)
  }
  /** @internal */ receiveEnd(): void { if (!this.destroyed) this.push(null) }
  /** @internal */ receiveReset(status: number): void {
    this.#isReset = true
    this.#reply.reject(new SpdyError(`stream reset with status ${status}`))
    this.destroy(new SpdyError(`stream reset with status ${status}`))
  }

  override _read(): void {
    this.#waitingBytes = this.readableLength
    if (this.#waitingBytes <= mostBuffered / 2) this.#connection.release(this)
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void { this.#connection.sendData(this.id, chunk, false, done) }

  override _final(done: (error?: Error | null) => void): void { this.#connection.sendData(this.id, Buffer.alloc(0), true, done) }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#reply.reject(error ?? new SpdyError('stream closed'))
    this.#connection.forget(this)
    done(error)
  }
}

export class SpdyConnection {
  readonly #transport: Duplex
  readonly #options: SpdyOptions
  readonly #streams = new Map<number, SpdyStream>()
  readonly #held = new Set<SpdyStream>()
  readonly #deflater = new HeaderDeflater()
  readonly #inflater = new HeaderInflater()
  readonly #closed = Promise.withResolvers<void>()
  #nextId: number
  #isClosed = false
  #resume: (() => void) | undefined

  constructor(transport: Duplex, options: SpdyOptions) {
    this.#transport = transport
    this.#options = options
    this.#nextId = options.role === 'client' ? 1 : 2
    transport.on('error', () => {})
    void this.#read()
  }

  /** Resolves when the connection is over, however that came. */
  get closed(): Promise<void> { return this.#closed.promise }

  /** Opens a stream; `fin` half-closes it at once. Await `replied` before relying on it. */
  open(headers: { readonly [name: string]: string }, fin = false): SpdyStream {
    const id = this.#nextId
    this.#nextId += 2
    const map: SpdyHeaders = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), [value]]))
    const stream = new SpdyStream(this, id, map)
    this.#streams.set(id, stream)
    const head = Buffer.alloc(10)
    head.writeUInt32BE(id)
    this.#sendControl(synStream, fin ? flagFin : 0, Buffer.concat([head, this.#deflater.deflate(map)]))
    return stream
  }

  /** Says goodbye and ends the transport after what was written. */
  close(): void {
    if (this.#isClosed) return
    const body = Buffer.alloc(8)
    this.#sendControl(goAway, 0, body)
    this.#transport.end()
    this.#finish()
  }

  /** @internal */ sendReply(id: number): void {
    const head = Buffer.alloc(4)
    head.writeUInt32BE(id)
    this.#sendControl(synReply, 0, Buffer.concat([head, this.#deflater.deflate(new Map())]))
  }

  /** @internal */ sendReset(id: number, status: number): void {
    const body = Buffer.alloc(8)
    body.writeUInt32BE(id)
    body.writeUInt32BE(status, 4)
    this.#sendControl(rstStream, 0, body)
  }

  /** @internal */ sendData(id: number, data: Buffer, fin: boolean, done: (error?: Error | null) => void): void {
    if (this.#isClosed || !this.#transport.writable) { done(this.#isClosed ? new SpdyError('connection closed') : null); return }
    if (data.length === 0 && !fin) { done(); return }
    for (let at = 0; at === 0 || at < data.length; at += dataPiece) {
      const piece = data.subarray(at, at + dataPiece)
      const last = at + dataPiece >= data.length
      const head = Buffer.alloc(8)
      head.writeUInt32BE(id)
      head.writeUInt32BE(piece.length, 4)
      head[4] = last && fin ? flagFin : 0
      this.#transport.cork()
      this.#transport.write(head)
      if (last) this.#transport.write(piece, (error) => done(error ?? null))
      else this.#transport.write(piece)
      this.#transport.uncork()
    }
  }

  /** @internal */ hold(stream: SpdyStream): void { this.#held.add(stream) }
  /** @internal */ release(stream: SpdyStream): void {
    if (this.#held.delete(stream) && this.#held.size === 0) { this.#resume?.(); this.#resume = undefined }
  }
  /** @internal */ forget(stream: SpdyStream): void {
    this.#streams.delete(stream.id)
    this.release(stream)
  }

  #sendControl(type: number, flags: number, body: Buffer): void {
    if (this.#isClosed || !this.#transport.writable) return
    const head = Buffer.alloc(8)
    head.writeUInt16BE(0x8000 | version)
    head.writeUInt16BE(type, 2)
    head.writeUInt32BE(body.length, 4)
    head[4] = flags
    this.#transport.cork()
    this.#transport.write(head)
    this.#transport.write(body)
    this.#transport.uncork()
  }

  #finish(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    // Streams end as if the peer had closed them: what was received before is still read.
    for (const stream of this.#streams.values()) {
      if (stream.readableEnded) stream.destroy()
      else stream.receiveEnd()
    }
    this.#inflater[Symbol.dispose]()
    this.#closed.resolve()
  }

  async #read(): Promise<void> {
    let pending: Buffer = Buffer.alloc(0)
    try {
      for await (const chunk of this.#transport) {
        pending = pending.length === 0 ? chunk as Buffer : Buffer.concat([pending, chunk as Buffer]) // cast: no encoding is set
        for (;;) {
          if (pending.length < 8) break
          const length = pending.readUInt32BE(4) & 0xffffff
          if (length > mostFrameBytes) throw new SpdyError('frame too large')
          if (pending.length < 8 + length) break
          const frame = pending.subarray(0, 8 + length)
          pending = pending.subarray(8 + length)
          await this.#handle(frame)
          if (this.#held.size > 0 && !this.#isClosed) await new Promise<void>((resolve) => { this.#resume = resolve })
        }
        if (this.#isClosed) break
      }
    } catch {
      // A broken connection, or a peer that doesn't speak the protocol: either way it is over.
      this.#transport.destroy()
    }
    this.#finish()
    this.#transport.end()
  }

  async #handle(frame: Buffer): Promise<void> {
    const flags = frame[4] ?? 0
    const body = frame.subarray(8)
    if ((frame[0] ?? 0) < 0x80) {
      const stream = this.#streams.get(frame.readUInt32BE(0) & 0x7fffffff)
      if (!stream) return
      if (body.length > 0) stream.receive(body)
      if (flags & flagFin) stream.receiveEnd()
      return
    }
    if ((frame.readUInt16BE(0) & 0x7fff) !== version) throw new SpdyError('unsupported version')
    const id = body.length >= 4 ? body.readUInt32BE(0) & 0x7fffffff : 0
    switch (frame.readUInt16BE(2)) {
      case synStream: {
        const headers = await this.#inflater.inflate(body.subarray(10))
        const isPeers = id % 2 === (this.#options.role === 'server' ? 1 : 0)
        if (!isPeers || this.#streams.has(id) || this.#streams.size >= mostStreams || !this.#options.onStream) { this.sendReset(id, 3); return }
        const stream = new SpdyStream(this, id, headers)
        this.#streams.set(id, stream)
        if (flags & flagFin) stream.receiveEnd()
        this.#options.onStream(stream)
        return
      }
      case synReply:
        await this.#inflater.inflate(body.subarray(4))
        this.#streams.get(id)?.accepted()
        if (flags & flagFin) this.#streams.get(id)?.receiveEnd()
        return
      case headersFrame:
        await this.#inflater.inflate(body.subarray(4))
        if (flags & flagFin) this.#streams.get(id)?.receiveEnd()
        return
      case rstStream: this.#streams.get(id)?.receiveReset(body.length >= 8 ? body.readUInt32BE(4) : 0); return
      case ping: {
        // Odd ids are the client's pings: what isn't ours is echoed.
        const fromPeer = (body.readUInt32BE(0) % 2 === 1) === (this.#options.role === 'server')
        if (fromPeer) this.#sendControl(ping, 0, body)
        return
      }
      case goAway: this.#finish(); return
      case settings: return
      default: return
    }
  }
}

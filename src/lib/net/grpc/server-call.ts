// One call at the server: reads its messages, writes its answers, ends with a status. Cancellation, deadline and a closing server abort its
// signal; after the end everything else is ignored.
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import type { Clock, Timer } from '../../base/clock.ts'
import { frameMessage, MessageReader } from './message-frames.ts'
import { codeNumber, encodeStatusMessage, GrpcError, parseTimeout, statusOfError, type GrpcStatus } from './status.ts'

export interface GrpcServerCall {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  /** Common name of the client's verified certificate. */
  readonly clientCommonName: string | undefined
  /** Aborted when the client cancels, the deadline passes, the connection breaks or the server closes; not by a normal end. */
  readonly signal: AbortSignal
  /** Bytes that wait for the client. A sender should stop at some bound and go on when `onDrain` is called. */
  readonly queuedBytes: number
  onDrain: (() => void) | undefined
  /** Queues one message. The bytes are copied. */
  send(message: Uint8Array): void
  /** Ends with OK. */
  end(): void
  /** Ends with the status of `error`. */
  fail(error: unknown): void
  /** Stop and go on taking the client's messages. */
  pause(): void
  resume(): void
}

/** Takes what a client streams. */
export interface GrpcStreamSink {
  message(bytes: Uint8Array): void
  /** The client has sent everything. */
  end(): void
}

export type GrpcHandler =
  | { readonly unary: (request: Uint8Array, call: GrpcServerCall) => Uint8Array | Promise<Uint8Array> }
  | { readonly stream: (call: GrpcServerCall) => GrpcStreamSink }

export interface ServerCallOptions {
  readonly stream: ServerHttp2Stream
  readonly headers: IncomingHttpHeaders
  readonly clock: Clock
  readonly maxMessageBytes: number
  /** Every call that has not ended; a server that closes fails them. */
  readonly open: Set<ServerCall>
  readonly onEnd?: (path: string, code: string) => void
}

/** The name in the certificate with which the other side of the socket has proved itself; undefined without one. */
export function commonNameOf(socket: unknown): string | undefined {
  const { authorized, getPeerCertificate } = (socket ?? {}) as Partial<TLSSocket> // cast: a socket without TLS has neither
  if (!authorized || typeof getPeerCertificate !== 'function') return undefined
  const name = Reflect.apply(getPeerCertificate, socket, []).subject?.CN
  return Array.isArray(name) ? String(name[0]) : name
}

const responseHeaders = { ':status': 200, 'content-type': 'application/grpc' } as const
const okTrailers = { 'grpc-status': '0', 'grpc-message': '' } as const

export class ServerCall implements GrpcServerCall {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  onDrain: (() => void) | undefined
  readonly #stream: ServerHttp2Stream
  readonly #options: ServerCallOptions
  #abort: AbortController | undefined
  #abortedBy: unknown
  #isAborted = false
  #deadline: Timer | undefined
  #ended = false
  #status: GrpcStatus | undefined

  constructor(options: ServerCallOptions) {
    this.#options = options
    this.#stream = options.stream
    this.headers = options.headers
    this.path = options.headers[':path'] ?? ''
  }

  get signal(): AbortSignal {
    if (!this.#abort) {
      this.#abort = new AbortController()
      if (this.#isAborted) this.#abort.abort(this.#abortedBy)
    }
    return this.#abort.signal
  }

  get queuedBytes(): number { return this.#stream.writableLength }
  get clientCommonName(): string | undefined { return commonNameOf(this.#stream.session?.socket) }

  run(handler: GrpcHandler): void {
    const { clock, open } = this.#options
    open.add(this)
    const stream = this.#stream
    stream.on('close', () => {
      open.delete(this)
      this.#deadline?.[Symbol.dispose]()
      if (!this.#ended) {
        this.#ended = true
        this.#options.onEnd?.(this.path, 'Canceled')
        this.#cancel(new GrpcError('Canceled', 'context canceled'))
      }
    })
    const timeout = this.headers['grpc-timeout']
    const timeoutMs = typeof timeout === 'string' ? parseTimeout(timeout) : undefined
    if (timeoutMs !== undefined) {
      this.#deadline = clock.setTimer(timeoutMs, () => {
        const error = new GrpcError('DeadlineExceeded', 'context deadline exceeded')
        this.#cancel(error)
        this.fail(error)
      }, { keepAlive: false })
    }
    if ('unary' in handler) this.#runUnary(handler.unary)
    else this.#runStream(handler.stream)
  }

  #runUnary(handle: (request: Uint8Array, call: GrpcServerCall) => Uint8Array | Promise<Uint8Array>): void {
    let request: Uint8Array | undefined
    const reader = new MessageReader(this.#options.maxMessageBytes, (message) => {
      if (request !== undefined) throw new GrpcError('Internal', 'more than one message in a unary request')
      request = message
    })
    this.#read(reader, () => {
      if (request === undefined) { this.fail(new GrpcError('Internal', 'no message in a unary request')); return }
      void this.#answer(handle, request)
    })
  }

  async #answer(handle: (request: Uint8Array, call: GrpcServerCall) => Uint8Array | Promise<Uint8Array>, request: Uint8Array): Promise<void> {
    try {
      this.send(await handle(request, this))
      this.end()
    } catch (error) {
      this.fail(error)
    }
  }

  #runStream(open: (call: GrpcServerCall) => GrpcStreamSink): void {
    try {
      const sink = open(this)
      if (!this.#ended && !this.#stream.headersSent) this.#respond()
      this.#stream.on('drain', () => this.onDrain?.())
      this.#read(new MessageReader(this.#options.maxMessageBytes, (message) => { if (!this.#ended) sink.message(message) }), () => { if (!this.#ended) sink.end() })
    } catch (error) {
      this.fail(error)
    }
  }

  #read(reader: MessageReader, onEnd: () => void): void {
    const stream = this.#stream
    stream.on('data', (chunk: Buffer) => {
      try {
        reader.push(chunk)
      } catch (error) {
        this.fail(error)
      }
    })
    stream.on('end', () => {
      if (this.#ended || this.#isAborted) return
      if (reader.isComplete) onEnd()
      else this.fail(new GrpcError('Internal', 'the request ends inside a message'))
    })
  }

  #respond(): void {
    this.#stream.respond(responseHeaders, { waitForTrailers: true })
    this.#stream.on('wantTrailers', () => this.#stream.sendTrailers(this.#status === undefined ? okTrailers : { 'grpc-status': String(codeNumber(this.#status.code)), 'grpc-message': encodeStatusMessage(this.#status.message) }))
  }

  send(message: Uint8Array): void {
    if (this.#ended || this.#stream.destroyed) return
    if (!this.#stream.headersSent) this.#respond()
    this.#stream.write(frameMessage(message))
  }

  /** Ends the call because the server does. */
  close(reason: GrpcError): void {
    this.#cancel(reason)
    this.fail(reason)
  }

  end(): void { this.#finish(undefined) }
  fail(error: unknown): void { this.#finish(statusOfError(error)) }

  #finish(status: GrpcStatus | undefined): void {
    if (this.#ended) return
    this.#ended = true
    this.#deadline?.[Symbol.dispose]()
    this.#options.onEnd?.(this.path, status?.code ?? 'OK')
    const stream = this.#stream
    if (stream.destroyed) return
    this.#status = status
    if (stream.headersSent) stream.end()
    else if (status) stream.respond({ ...responseHeaders, 'grpc-status': String(codeNumber(status.code)), 'grpc-message': encodeStatusMessage(status.message) }, { endStream: true })
    else { this.#respond(); stream.end() }
    // What the client still sends is dropped, or the stream would never close.
    stream.resume()
  }

  #cancel(reason: unknown): void {
    if (this.#isAborted) return
    this.#isAborted = true
    this.#abortedBy = reason
    this.#abort?.abort(reason)
  }

  pause(): void { this.#stream.pause() }
  resume(): void { this.#stream.resume() }
}

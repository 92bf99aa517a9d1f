// One call at the server: reads its messages, writes its answers, ends with a status. Cancellation, deadline and a closing server abort its
// signal; after the end everything else is ignored.
import type { IncomingHttpHeaders } from 'node:http2'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Clock, Timer } from '../../base/clock.ts'
import { WireReader } from '../../base/protobuf/wire-reader.ts'
import { ExactWriter, type MessageEncoder } from '../../base/protobuf/exact-writer.ts'
import { AnswerFrames } from '../http2/answer-frames.ts'
import { encodeHeaders } from '../http2/hpack.ts'
import type { Http2ServerStream, StreamConsumer } from '../http2/server-stream.ts'
import { MessageReader } from './message-frames.ts'
import { codeNumber, encodeStatusMessage, GrpcError, parseTimeout, statusOfError, type GrpcStatus } from './status.ts'

export interface GrpcServerCall {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  /** Common name of the client's verified certificate. */
  readonly clientCommonName: string | undefined
  /** Both ends of the connection, as `127.0.0.1:2379`; absent when it came another way. */
  readonly remoteAddress?: string
  readonly localAddress?: string
  /** Aborted when the client cancels, the deadline passes, the connection breaks or the server closes; not by a normal end. */
  readonly signal: AbortSignal
  /** Aborted when the connection breaks; shared by its calls, where a signal for each would cost more than the call. */
  readonly connectionSignal?: AbortSignal
  /** Bytes that wait for the client. A sender should stop at some bound and go on when `onDrain` is called. */
  readonly queuedBytes: number
  onDrain: (() => void) | undefined
  /** Queues one message. The bytes are copied. */
  send(message: Uint8Array): void
  /** Queues one message that consists of two parts. */
  sendParts?(head: Uint8Array, tail: Uint8Array): void
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

/** A unary call on the fast path: answered by calling `answer` or `fail`, once, now or later; without a promise and without a buffer for the answer. */
export interface DirectCall {
  readonly headers: IncomingHttpHeaders
  readonly clientCommonName: string | undefined
  readonly connectionSignal: AbortSignal
  /** Ends with OK and `message`, which is encoded at once to where it leaves from. */
  answer<T>(encoder: MessageEncoder<T>, message: T): void
  /** Ends with OK and one message of `size` bytes, made piece by piece as the client takes them. The pieces are copied. */
  answerInPieces(size: number, pieces: Iterator<Uint8Array>, message?: unknown): void
  fail(error: unknown): void
}

/** A direct call as its observer sees it. */
export interface ObservedCall extends DirectCall {
  /** The message of its request. */
  readonly requestBytes: Uint8Array
  readonly remoteAddress: string
  readonly localAddress: string
}

/** Counts the calls of one method. */
export interface CallObserver {
  /** Wants to know when calls began; else they all began at 0. */
  readonly timed: boolean
  started(call: ObservedCall, requestBytes: number): void
  /** @param beganMs by the server's clock @param message what was encoded */
  answered(answerBytes: number, beganMs: number, call: ObservedCall, message: unknown): void
  failed(beganMs: number, code: string, call: ObservedCall, why: string): void
}

export type GrpcHandler =
  | {
    readonly unary: (request: Uint8Array, call: GrpcServerCall) => Uint8Array | Promise<Uint8Array>
    /** Does the same as `unary`; used for calls over HTTP/2. */
    readonly direct?: (request: WireReader, call: DirectCall) => void
    /** Told of direct calls; others count themselves. */
    readonly observer?: CallObserver
  }
  | { readonly stream: (call: GrpcServerCall) => GrpcStreamSink }

export interface ServerCallOptions {
  readonly clock: Clock
  readonly maxMessageBytes: number
  readonly connectionSignal: AbortSignal
  readonly socket: Socket
  readonly onEnd: ((path: string, code: string) => void) | undefined
}

/** The name in the certificate with which the other side of the socket has proved itself; undefined without one. */
export function commonNameOf(socket: unknown): string | undefined {
  const { authorized, getPeerCertificate } = (socket ?? {}) as Partial<TLSSocket> // cast: a socket without TLS has neither
  if (!authorized || typeof getPeerCertificate !== 'function') return undefined
  const name = Reflect.apply(getPeerCertificate, socket, []).subject?.CN
  return Array.isArray(name) ? String(name[0]) : name
}

const responseHeaders = encodeHeaders([[':status', '200'], ['content-type', 'application/grpc']])
const okTrailers = encodeHeaders([['grpc-status', '0'], ['grpc-message', '']])
const okFrames = new AnswerFrames(responseHeaders, okTrailers)
const headBytes = 5
/** What the length in front of a message can say. */
const largestMessage = 2 ** 32 - 1
/** Of an answer in pieces: bytes that may wait for the client, and that are made in one turn. */
const queuedPieces = 256 * 1024
const turnBytes = 256 * 1024
const nothing = Buffer.alloc(0)
/** Writes the answers of direct calls, one at a time. */
const out = new ExactWriter()
const nowhere = new Uint8Array(0)
const noBytes = new Uint8Array(0)
/** Head of the message that is being sent: written and copied in one go. */
const messageHead = new Uint8Array(headBytes)

export class ServerCall implements GrpcServerCall, ObservedCall, StreamConsumer {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  onDrain: (() => void) | undefined
  readonly #stream: Http2ServerStream
  readonly #options: ServerCallOptions
  #abort: AbortController | undefined
  #abortedBy: unknown
  #isAborted = false
  #deadline: Timer | undefined
  #ended = false
  #handler: GrpcHandler | undefined
  #reader: MessageReader | undefined
  /** The message of a unary call, from `#requestAt` on. */
  #request: Uint8Array | undefined
  #requestAt = 0
  #sink: GrpcStreamSink | undefined
  #observer: CallObserver | undefined
  #beganMs = 0

  constructor(stream: Http2ServerStream, options: ServerCallOptions) {
    this.#options = options
    this.#stream = stream
    this.headers = stream.headers as IncomingHttpHeaders // cast: the same shape, read-only here
    this.path = this.headers[':path'] ?? ''
  }

  get signal(): AbortSignal {
    if (!this.#abort) {
      this.#abort = new AbortController()
      if (this.#isAborted) this.#abort.abort(this.#abortedBy)
    }
    return this.#abort.signal
  }

  get connectionSignal(): AbortSignal { return this.#options.connectionSignal }
  get clientCommonName(): string | undefined { return commonNameOf(this.#options.socket) }
  get queuedBytes(): number { return this.#stream.queuedBytes }
  get requestBytes(): Uint8Array { return this.#request?.subarray(this.#requestAt) ?? noBytes }
  get remoteAddress(): string { const { remoteAddress, remotePort } = this.#options.socket; return formatAddress(remoteAddress, remotePort) }
  get localAddress(): string { const { localAddress, localPort } = this.#options.socket; return formatAddress(localAddress, localPort) }

  run(handler: GrpcHandler): void {
    this.#handler = handler
    this.#stream.consumer = this
    const timeout = this.headers['grpc-timeout']
    const timeoutMs = typeof timeout === 'string' ? parseTimeout(timeout) : undefined
    if (timeoutMs !== undefined) {
      this.#deadline = this.#options.clock.setTimer(timeoutMs, () => {
        const error = new GrpcError('DeadlineExceeded', 'context deadline exceeded')
        this.#cancel(error)
        this.fail(error)
      }, { keepAlive: false })
    }
    if ('stream' in handler) this.#openStream(handler.stream)
  }

  #openStream(open: (call: GrpcServerCall) => GrpcStreamSink): void {
    try {
      this.#sink = open(this)
      if (!this.#ended && !this.#stream.headersSent) this.#stream.sendHeaders(responseHeaders)
    } catch (error) {
      this.fail(error)
    }
  }

  // ---- what the stream tells ----

  data(chunk: Buffer): void {
    if (this.#ended) return
    // The usual unary request: its one message in one piece.
    if (!this.#reader && !this.#sink && !this.#request && chunk.length >= headBytes && chunk[0] === 0 && chunk.readUInt32BE(1) === chunk.length - headBytes && chunk.length <= this.#options.maxMessageBytes) {
      this.#request = chunk
      this.#requestAt = headBytes
      return
    }
    try {
      this.#reader ??= new MessageReader(this.#options.maxMessageBytes, (message) => this.#message(message))
      this.#reader.push(chunk)
    } catch (error) {
      this.fail(error)
    }
  }

  #message(message: Uint8Array): void {
    if (this.#ended) return
    if (this.#sink) { this.#sink.message(message); return }
    if (this.#request) throw new GrpcError('Internal', 'more than one message in a unary request')
    this.#request = message
  }

  end(): void {
    this.#finish(undefined)
  }

  requestEnded(): void {
    if (this.#ended || this.#isAborted) return
    if (this.#reader && !this.#reader.isComplete) { this.fail(new GrpcError('Internal', 'the request ends inside a message')); return }
    if (this.#sink) {
      try { this.#sink.end() } catch (error) { this.fail(error) }
      return
    }
    const handler = this.#handler
    if (!this.#request) this.fail(new GrpcError('Internal', 'no message in a unary request'))
    else if (handler && 'unary' in handler) {
      if (handler.direct) this.#runDirect(handler.direct, handler.observer, this.#request)
      else void this.#answer(handler.unary, this.#request.subarray(this.#requestAt))
    }
  }

  #runDirect(run: (request: WireReader, call: DirectCall) => void, observer: CallObserver | undefined, request: Uint8Array): void {
    if (observer) {
      this.#observer = observer
      if (observer.timed) this.#beganMs = this.#options.clock.monotonic()
      observer.started(this, request.length - this.#requestAt)
    }
    try {
      run(new WireReader(request, this.#requestAt), this)
    } catch (error) {
      this.fail(error)
    }
  }

  drain(): void { this.onDrain?.() }

  closed(): void {
    this.#deadline?.[Symbol.dispose]()
    if (this.#ended) return
    this.#ended = true
    this.#observer?.failed(this.#beganMs, 'Canceled', this, 'context canceled')
    this.#options.onEnd?.(this.path, 'Canceled')
    this.#cancel(new GrpcError('Canceled', 'context canceled'))
  }

  async #answer(handle: (request: Uint8Array, call: GrpcServerCall) => Uint8Array | Promise<Uint8Array>, request: Uint8Array): Promise<void> {
    try {
      const answer = await handle(request, this)
      if (this.#ended) return
      this.#ended = true
      this.#deadline?.[Symbol.dispose]()
      this.#options.onEnd?.(this.path, 'OK')
      this.#sendWhole(answer)
    } catch (error) {
      this.fail(error)
    }
  }

  #sendWhole(answer: Uint8Array): void {
    const stream = this.#stream
    stream.sendHeaders(responseHeaders)
    stream.sendData(headOf(answer.length), answer)
    stream.finish(okTrailers)
  }

  // ---- what handlers do ----

  answer<T>(encoder: MessageEncoder<T>, message: T): void {
    if (this.#ended) return
    this.#ended = true
    this.#deadline?.[Symbol.dispose]()
    const size = encoder.size(message)
    this.#options.onEnd?.(this.path, 'OK')
    const stream = this.#stream
    const at = stream.reserveWhole(okFrames, headBytes + size)
    if (at < 0) {
      out.bytes = Buffer.allocUnsafe(size)
      out.at = 0
      encoder.write(message, out)
      const whole = out.bytes
      out.bytes = nowhere
      this.#sendWhole(whole)
      this.#observer?.answered(size, this.#beganMs, this, message)
      return
    }
    const bytes = stream.connection.outputBytes
    bytes[at] = 0
    bytes[at + 1] = size >>> 24
    bytes[at + 2] = (size >>> 16) & 0xff
    bytes[at + 3] = (size >>> 8) & 0xff
    bytes[at + 4] = size & 0xff
    out.bytes = bytes
    out.at = at + headBytes
    encoder.write(message, out)
    // Not before it is written: an encoder's sizes hold until then.
    this.#observer?.answered(size, this.#beganMs, this, message)
  }

  send(message: Uint8Array): void { this.sendParts(message, noBytes) }

  sendParts(head: Uint8Array, tail: Uint8Array): void {
    if (this.#ended) return
    if (!this.#stream.headersSent) this.#stream.sendHeaders(responseHeaders)
    this.#stream.sendData(headOf(head.length + tail.length), head, tail)
  }

  /** Ends the call because the server does. */
  close(reason: GrpcError): void {
    this.#cancel(reason)
    this.fail(reason)
  }

  answerInPieces(size: number, pieces: Iterator<Uint8Array>, message?: unknown): void {
    if (this.#ended) return
    if (size > largestMessage) { this.fail(new GrpcError('ResourceExhausted', `grpc: trying to send message larger than max (${size} vs. ${largestMessage})`)); return }
    this.#observer?.answered(size, this.#beganMs, this, message)
    // From here on only the client can end it.
    this.#observer = undefined
    const stream = this.#stream
    let head = Buffer.from(headOf(size))
    const pump = (): void => {
      this.onDrain = undefined
      if (this.#ended) return
      for (let bytes = 0; bytes < turnBytes;) {
        if (stream.queuedBytes > queuedPieces) { this.onDrain = pump; return }
        const { value, done } = pieces.next()
        if (done) { this.#finish(undefined); return }
        if (!stream.headersSent) stream.sendHeaders(responseHeaders)
        stream.sendData(head, value)
        head = nothing
        bytes += value.length
      }
      setImmediate(pump)
    }
    pump()
  }

  fail(error: unknown): void { this.#finish(statusOfError(error)) }

  #finish(status: GrpcStatus | undefined): void {
    if (this.#ended) return
    this.#ended = true
    this.#deadline?.[Symbol.dispose]()
    this.#observer?.failed(this.#beganMs, status?.code ?? 'OK', this, status?.message ?? '')
    this.#options.onEnd?.(this.path, status?.code ?? 'OK')
    const stream = this.#stream
    if (stream.isClosed) return
    if (status && !stream.headersSent) { stream.sendHeaders(encodeHeaders([[':status', '200'], ['content-type', 'application/grpc'], ...statusTrailers(status)]), true); return }
    if (!stream.headersSent) stream.sendHeaders(responseHeaders)
    stream.finish(status ? encodeHeaders(statusTrailers(status)) : okTrailers)
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

/** As Go writes it: nameless for unix sockets. */
function formatAddress(host: string | undefined, port: number | undefined): string {
  if (host === undefined || port === undefined) return '@'
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function headOf(length: number): Uint8Array {
  messageHead[1] = length >>> 24
  messageHead[2] = (length >>> 16) & 0xff
  messageHead[3] = (length >>> 8) & 0xff
  messageHead[4] = length & 0xff
  return messageHead
}

function statusTrailers(status: GrpcStatus): readonly (readonly [string, string])[] {
  return [['grpc-status', String(codeNumber(status.code))], ['grpc-message', encodeStatusMessage(status.message)]]
}

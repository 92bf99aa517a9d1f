// A gRPC client connection: one HTTP/2 session to one target, made when first needed and again when it has broken.
//
//   using channel = new GrpcChannel({ target: 'unix:///run/containerd/containerd.sock', clock })
//   const runtime = createGrpcClient<RuntimeService>(channel, { name: 'runtime.v1.RuntimeService', methods: runtimeServiceMethods, table: criTable })
//   await runtime.version({}, signal)
//
// Calls end with GrpcError; a target that can't be reached is Unavailable. Nothing is retried here.
import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2'
import { connect as connectSocket, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Clock, Timer } from '../../base/clock.ts'
import { frameMessage, MessageReader } from './message-frames.ts'
import { codeName, codeOfHttpStatus, decodeStatusMessage, formatTimeout, GrpcError, GrpcNotSentError } from './status.ts'

export interface ClientTls {
  readonly ca?: string | Buffer
  readonly cert?: string | Buffer
  readonly key?: string | Buffer
  readonly serverName?: string
  readonly insecureSkipVerify?: boolean
}

export interface GrpcChannelOptions {
  /** `unix:///path`, `unix:path`, `unixs:` with TLS, `http://host:port`, `https://host:port` or `host:port`. */
  readonly target: string
  readonly clock: Clock
  readonly tls?: ClientTls
  /** Largest message that is accepted, bytes. Default: 64 MiB. */
  readonly maxMessageBytes?: number
  readonly connectTimeoutMs?: number
  /** While there are calls, ask the server this often whether it is still there, and give the connection up when it doesn't answer in 10 s. */
  readonly keepAliveMs?: number
  /** Instead of the 10 s. */
  readonly keepAliveTimeoutMs?: number
  /** Ask also while there are no calls. Servers that do not expect it take that for an attack. */
  readonly keepAliveWithoutCalls?: boolean
  /** A connection that stood has ended. */
  readonly onDisconnect?: (error: Error | undefined) => void
  readonly userAgent?: string
}

export interface GrpcCallOptions {
  readonly signal: AbortSignal
  /** The server is told; the call ends with DeadlineExceeded. */
  readonly timeoutMs?: number
  readonly metadata?: { readonly [name: string]: string }
}

/** What happens to a call, in order: its messages, however many, then one end. */
export interface GrpcCallObserver {
  message(bytes: Uint8Array): void
  /** `error` undefined: status OK. */
  end(error: GrpcError | undefined): void
}

export interface GrpcClientCall {
  readonly queuedBytes: number
  send(message: Uint8Array): void
  /** Everything is sent. */
  finish(): void
  cancel(reason?: unknown): void
  pause(): void
  resume(): void
}

const defaultMaxMessageBytes = 64 * 1024 * 1024
const windowBytes = 16 * 1024 * 1024
const pingTimeoutMs = 10_000

export class GrpcChannel implements Disposable {
  readonly #options: GrpcChannelOptions
  readonly #clock: Clock
  readonly #authority: string
  readonly #socketPath: string | undefined
  #session: ClientHttp2Session | undefined
  /** When `#session` stands. */
  #ready: Promise<void> | undefined
  #isReady = false
  #openCalls = 0
  readonly #calls = new WeakMap<ClientHttp2Session, Set<ClientCall>>()
  #connectError: Error | undefined
  #closed = false

  constructor(options: GrpcChannelOptions) {
    this.#options = options
    this.#clock = options.clock
    const unix = /^unix(s?):(?:\/\/)?(.+)$/.exec(options.target)
    this.#socketPath = unix?.[2]
    const withScheme = /^https?:\/\//.test(options.target) ? options.target : `${options.tls ? 'https' : 'http'}://${options.target}`
    this.#authority = unix ? `${unix[1] === 's' ? 'https' : 'http'}://localhost` : withScheme
  }

  get target(): string { return this.#options.target }

  /** A connection stands; calls go out at once. */
  get isReady(): boolean { return this.#isReady && this.#session !== undefined && !this.#session.destroyed && !this.#session.closed }

  /** Connects unless it is connected, and waits until the server has said that it speaks HTTP/2. @throws GrpcError Unavailable */
  ready(): Promise<void> {
    if (this.#closed) return Promise.reject(new GrpcError('Canceled', 'grpc: the client connection is closing'))
    try {
      this.#connect()
    } catch (error) {
      return Promise.reject(new GrpcError('Unavailable', messageOf(error), { cause: error }))
    }
    return this.#ready ?? Promise.resolve()
  }

  /** One message there, one back. */
  unary(path: string, request: Uint8Array, options: GrpcCallOptions): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      let answer: Uint8Array | undefined
      const call = this.call(path, options, {
        message: (bytes) => { answer = bytes },
        end: (error) => {
          if (error) reject(error)
          else if (answer === undefined) reject(new GrpcError('Internal', 'the answer has no message'))
          else resolve(answer)
        },
      })
      call.send(request)
      call.finish()
    })
  }

  /** Opens a call. `observer.end` is called exactly once, never before this returns. */
  call(path: string, options: GrpcCallOptions, observer: GrpcCallObserver): GrpcClientCall {
    const { signal } = options
    if (this.#closed || signal.aborted) {
      const error = signal.aborted ? canceled(signal) : new GrpcError('Canceled', 'grpc: the client connection is closing')
      queueMicrotask(() => observer.end(error))
      return deadCall
    }
    const headers: OutgoingHttpHeaders = {
      [constants.HTTP2_HEADER_METHOD]: 'POST', [constants.HTTP2_HEADER_PATH]: path, 'content-type': 'application/grpc', te: 'trailers',
      'user-agent': this.#options.userAgent ?? 'grpc-k8ts/1.0', ...(options.timeoutMs === undefined ? {} : { 'grpc-timeout': formatTimeout(options.timeoutMs) }), ...options.metadata,
    }
    try {
      const session = this.#connect()
      const stream = session.request(headers, { endStream: false })
      this.#openCalls++
      const calls = this.#calls.get(session)
      const call: ClientCall = new ClientCall(stream, options, observer, this.#clock, this.#options.maxMessageBytes ?? defaultMaxMessageBytes, () => this.#connectError, () => { this.#openCalls--; calls?.delete(call) })
      calls?.add(call)
      return call
    } catch (error) {
      // The session ended between the check and the request.
      queueMicrotask(() => observer.end(new GrpcNotSentError('Unavailable', messageOf(error), { cause: error })))
      return deadCall
    }
  }

  #connect(): ClientHttp2Session {
    if (this.#session && !this.#session.destroyed && !this.#session.closed) return this.#session
    this.#connectError = undefined
    const { tls, connectTimeoutMs = 10_000 } = this.#options
    // Told by the socket as well: a session whose socket fails while its first frames are written neither ends nor says anything.
    let onSocketEnd: (error?: Error) => void = () => {}
    const observed = <S extends Socket>(socket: S): S => {
      socket.on('error', (error: Error) => { onSocketEnd(error); socket.destroy() })
      socket.once('close', () => { onSocketEnd() })
      return socket
    }
    const session = connect(this.#authority, {
      settings: { enablePush: false, initialWindowSize: windowBytes },
      maxSessionMemory: 1024,
      createConnection: (url) => {
        const path = this.#socketPath
        if (path !== undefined && url.protocol !== 'https:') return observed(connectSocket(path))
        const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
        if (url.protocol !== 'https:') return observed(connectSocket({ host, port: Number(url.port || 80), noDelay: true }))
        return observed(connectTls({
          ...(path === undefined ? { host, port: Number(url.port || 443) } : { path }), ALPNProtocols: ['h2'], ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }), ...(tls?.serverName ? { servername: tls.serverName } : {}),
          ...(tls?.ca ? { ca: tls.ca } : {}), ...(tls?.cert ? { cert: tls.cert } : {}), ...(tls?.key ? { key: tls.key } : {}), rejectUnauthorized: !tls?.insecureSkipVerify,
        }))
      },
    })
    const timer: Timer = this.#clock.setTimer(connectTimeoutMs, () => session.destroy(new Error('connection timed out')), { keepAlive: false })
    session.on('connect', () => {
      // Closed while it was being connected.
      if (session.destroyed) return
      session.setLocalWindowSize(windowBytes)
      this.#keepAlive(session)
    })
    const calls = new Set<ClientCall>()
    this.#calls.set(session, calls)
    let stood = false
    this.#isReady = false
    this.#ready = new Promise((resolve, reject) => {
      session.once('remoteSettings', () => {
        timer[Symbol.dispose]()
        stood = true
        if (this.#session === session) this.#isReady = true
        resolve()
      })
      let hasEnded = false
      const end = (): void => {
        if (hasEnded) return
        hasEnded = true
        timer[Symbol.dispose]()
        if (this.#session === session) this.#session = undefined
        for (const call of calls) call.connectionEnded()
        const cause = this.#connectError
        if (stood) this.#options.onDisconnect?.(cause)
        else reject(new GrpcError('Unavailable', `connection error: desc = "${cause?.message ?? 'the server closed the connection'}"`, { cause }))
      }
      session.once('close', end)
      onSocketEnd = (error) => {
        if (this.#session === session) this.#connectError ??= error
        // The session has its turn first, to say it in its own way.
        setImmediate(() => { if (!session.destroyed) session.destroy(); end() })
      }
    })
    this.#ready.catch(() => { /* calls are told as well */ })
    session.on('error', (error) => { if (this.#session === session || this.#session === undefined) this.#connectError = error })
    session.on('goaway', () => { if (this.#session === session) this.#session = undefined })
    session.on('close', () => {
      timer[Symbol.dispose]()
      if (this.#session === session) this.#session = undefined
    })
    this.#session = session
    return session
  }

  #keepAlive(session: ClientHttp2Session): void {
    const { keepAliveMs, keepAliveTimeoutMs = pingTimeoutMs, keepAliveWithoutCalls = false } = this.#options
    if (keepAliveMs === undefined) return
    let timer: Timer
    const wait = (): void => { timer = this.#clock.setTimer(keepAliveMs, ask, { keepAlive: false }) }
    const ask = (): void => {
      if (session.destroyed) return
      // Servers take pings without calls for an attack.
      if (this.#openCalls === 0 && !keepAliveWithoutCalls) { wait(); return }
      timer = this.#clock.setTimer(keepAliveTimeoutMs, () => session.destroy(new Error('the server does not answer')), { keepAlive: false })
      session.ping(() => { timer[Symbol.dispose](); if (!session.destroyed) wait() })
    }
    wait()
    session.on('close', () => timer[Symbol.dispose]())
  }

  [Symbol.dispose](): void {
    this.#closed = true
    this.#session?.destroy()
    this.#session = undefined
  }
}

function messageOf(error: unknown): string { return error instanceof Error ? error.message : String(error) }

function canceled(signal: AbortSignal): GrpcError {
  const timeout = signal.reason instanceof Error && signal.reason.name === 'TimeoutError'
  return new GrpcError(timeout ? 'DeadlineExceeded' : 'Canceled', timeout ? 'context deadline exceeded' : 'context canceled', { cause: signal.reason })
}

const deadCall: GrpcClientCall = { queuedBytes: 0, send: () => {}, finish: () => {}, cancel: () => {}, pause: () => {}, resume: () => {} }

class ClientCall implements GrpcClientCall {
  readonly #stream: ClientHttp2Stream
  readonly #observer: GrpcCallObserver
  readonly #signal: AbortSignal
  readonly #onAbort: () => void
  readonly #connectError: () => Error | undefined
  readonly #onEnd: () => void
  #deadline: Timer | undefined
  #trailers: IncomingHttpHeaders = {}
  #httpStatus = 0
  /** An answer that could not be read. */
  #unreadable: GrpcError | undefined
  #failure: GrpcError | undefined
  #ended = false

  constructor(stream: ClientHttp2Stream, options: GrpcCallOptions, observer: GrpcCallObserver, clock: Clock, maxMessageBytes: number, connectError: () => Error | undefined, onEnd: () => void) {
    this.#stream = stream
    this.#connectError = connectError
    this.#onEnd = onEnd
    this.#observer = observer
    this.#signal = options.signal
    this.#onAbort = () => this.#stop(canceled(options.signal))
    options.signal.addEventListener('abort', this.#onAbort, { once: true })
    if (options.timeoutMs !== undefined) this.#deadline = clock.setTimer(options.timeoutMs, () => this.#stop(new GrpcError('DeadlineExceeded', 'context deadline exceeded')), { keepAlive: false })
    const reader = new MessageReader(maxMessageBytes, (bytes) => { if (!this.#ended) observer.message(bytes) })
    // Node tells of headers a tick late: when they come in one piece with the data, the data is told first.
    let early: Buffer[] = []
    stream.on('response', (headers) => {
      this.#httpStatus = Number(headers[':status'] ?? 0)
      if (headers['grpc-status'] !== undefined) this.#trailers = headers
      const chunks = early
      early = []
      for (const chunk of chunks) read(chunk)
    })
    stream.on('trailers', (trailers) => { this.#trailers = trailers })
    const read = (chunk: Buffer): void => {
      if (this.#httpStatus === 0) { early.push(chunk); return }
      if (this.#httpStatus !== 200) return
      try {
        reader.push(chunk)
      } catch (error) {
        this.#unreadable = error instanceof GrpcError ? error : new GrpcError('Internal', messageOf(error), { cause: error })
        this.#stop(this.#unreadable)
      }
    }
    stream.on('data', read)
    stream.on('error', (error) => { this.#failure ??= failureOf(error, connectError()) })
    stream.on('close', () => this.#end(connectError()))
  }

  get queuedBytes(): number { return this.#stream.writableLength }
  send(message: Uint8Array): void { if (!this.#stream.destroyed && !this.#stream.writableEnded) this.#stream.write(frameMessage(message)) }
  finish(): void { if (!this.#stream.destroyed) this.#stream.end() }
  cancel(reason?: unknown): void { this.#stop(new GrpcError('Canceled', 'context canceled', { cause: reason })) }
  pause(): void { this.#stream.pause() }
  resume(): void { this.#stream.resume() }

  /** Ends the call from this side. */
  #stop(error: GrpcError): void {
    if (this.#ended) return
    this.#failure ??= error
    this.#stream.close(constants.NGHTTP2_CANCEL)
    this.#stream.resume()
    this.connectionEnded()
  }

  /** The stream may say more in this turn; but a stream of a broken session may say nothing at all. */
  connectionEnded(): void { setImmediate(() => { this.#end(this.#connectError()) }) }

  #end(connectError: Error | undefined): void {
    if (this.#ended) return
    this.#ended = true
    this.#signal.removeEventListener('abort', this.#onAbort)
    this.#deadline?.[Symbol.dispose]()
    this.#onEnd()
    this.#observer.end(this.#outcome(connectError))
  }

  #outcome(connectError: Error | undefined): GrpcError | undefined {
    // The server may have ended well all the same.
    if (this.#unreadable) return this.#unreadable
    const status = this.#trailers['grpc-status']
    // Without an id it has never left this machine.
    if (status === undefined && this.#stream.id === undefined && this.#failure?.code !== 'Canceled' && this.#failure?.code !== 'DeadlineExceeded') {
      return new GrpcNotSentError('Unavailable', this.#failure?.message ?? `connection error: desc = "${connectError?.message ?? 'not connected'}"`, { cause: connectError ?? this.#failure })
    }
    if (status === undefined && this.#stream.rstCode === constants.NGHTTP2_REFUSED_STREAM) return new GrpcNotSentError('Unavailable', 'the server refused the stream')
    if (status !== undefined) {
      if (status === '0') return undefined
      return new GrpcError(codeName(Number(status)), decodeStatusMessage(String(this.#trailers['grpc-message'] ?? '')))
    }
    if (this.#failure) return this.#failure
    if (this.#httpStatus !== 0 && this.#httpStatus !== 200) return new GrpcError(codeOfHttpStatus(this.#httpStatus), `unexpected HTTP status code received from server: ${this.#httpStatus}`)
    return resetError(this.#stream.rstCode, connectError)
  }
}

function failureOf(error: Error, connectError: Error | undefined): GrpcError {
  const code = (error as { readonly code?: unknown }).code // cast: reading a property that may be absent
  if (connectError || code !== 'ERR_HTTP2_STREAM_ERROR') {
    const cause = connectError ?? error
    return new GrpcError('Unavailable', `connection error: desc = "${cause.message}"`, { cause })
  }
  return new GrpcError('Internal', error.message, { cause: error })
}

function resetError(code: number | undefined, connectError: Error | undefined): GrpcError {
  if (connectError) return new GrpcError('Unavailable', `connection error: desc = "${connectError.message}"`, { cause: connectError })
  switch (code) {
    case constants.NGHTTP2_CANCEL: return new GrpcError('Canceled', 'the server cancelled the stream')
    case constants.NGHTTP2_NO_ERROR: case undefined: return new GrpcError('Unavailable', 'the connection ended before the status')
    case constants.NGHTTP2_ENHANCE_YOUR_CALM: return new GrpcError('ResourceExhausted', 'the server asks to send less')
    case constants.NGHTTP2_INADEQUATE_SECURITY: return new GrpcError('PermissionDenied', 'inadequate security')
    default: return new GrpcError('Internal', `stream terminated by RST_STREAM with error code ${code}`)
  }
}

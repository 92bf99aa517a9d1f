// A gRPC server over HTTP/2: cleartext, TLS or a unix socket; HTTP/1.1 and plain HTTP/2 requests on the same port go to `onHttp`.
// HTTP/2 is the codec of lib/net/http2, HTTP/1.1 Node's own.
//
//   await using server = await serveGrpc({
//     clock, listen: [{ path: '/run/k8ts/cri.sock' }],
//     handlers: [...serviceHandlers({ name: 'runtime.v1.RuntimeService', methods: runtimeServiceMethods, table: criTable }, runtime)],
//   })
//
// `serviceHandlers` (service-handlers.ts) adapts an object whose methods are `(request, signal) => Promise | AsyncIterable`. An error with a
// `code` or `reason` that names a gRPC code ('NotFound' …) becomes that status. Handlers that need the raw stream implement GrpcHandler.
import { unlinkSync, chmodSync } from 'node:fs'
import { createServer as createHttp1Server, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createNetServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createServer as createTlsServer, type SecureContextOptions, type TLSSocket } from 'node:tls'
import type { Clock, Timer } from '../../base/clock.ts'
import { errorCodes } from '../http2/frame-format.ts'
import { encodeHeaders } from '../http2/hpack.ts'
import type { KeepAlivePolicy } from '../http2/keep-alive.ts'
import { serveHttp2Connection } from '../http2/serve-connection.ts'
import type { Http2ServerConnection } from '../http2/server-connection.ts'
import type { Http2ServerStream } from '../http2/server-stream.ts'
import { commonNameOf, ServerCall, type GrpcHandler, type ServerCallOptions } from './server-call.ts'
import { GrpcError } from './status.ts'

export type { CallObserver, DirectCall, GrpcHandler, GrpcServerCall, GrpcStreamSink, ObservedCall } from './server-call.ts'

export type ListenAddress = { readonly host: string; readonly port: number; /** Others may listen there too. */ readonly reusePort?: boolean } | { readonly path: string; readonly mode?: number }

export interface ServerTls {
  readonly cert: string | Buffer
  readonly key: string | Buffer
  /** Authorities for client certificates. */
  readonly ca?: string | Buffer
  readonly requireClientCertificate?: boolean
  /** Versions and ciphers, when others than Node's. */
  readonly limits?: Pick<SecureContextOptions, 'minVersion' | 'maxVersion' | 'ciphers'>
  /** Looks at a client whose certificate is signed as it should be. Gives why it is refused, undefined when it is welcome; never rejects. */
  readonly checkClient?: (socket: TLSSocket) => Promise<string | undefined>
  /** Is given a function to call with renewed certificates; ended with the server. */
  readonly onRenewed?: (use: (context: SecureContextOptions) => void) => Disposable
}

/** A request that is not gRPC. */
export interface PlainRequest {
  readonly method: string
  /** Path with query. */
  readonly path: string
  readonly headers: { readonly [name: string]: string | readonly string[] | undefined }
  /** The body, at most `maxBodyBytes`. */
  readonly body: Buffer
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal
  /** Common name of the client's verified certificate. */
  readonly clientCommonName: string | undefined
}

/** Where a streamed answer goes. */
export interface PlainSink {
  write(text: string): void
  /** Bytes that wait for the client. A sender should stop at some bound and go on when `onDrain` is called. */
  readonly queuedBytes: number
  onDrain: (() => void) | undefined
}

export interface PlainResponse {
  readonly status: number
  readonly headers?: { readonly [name: string]: string }
  readonly body: string
  /** In place of `body`, when it is no text. */
  readonly bytes?: Uint8Array
  /** More to send after `body`; the answer ends when it resolves. */
  readonly stream?: (sink: PlainSink) => Promise<void>
}

export interface GrpcServerOptions {
  readonly clock: Clock
  readonly listen: readonly ListenAddress[]
  readonly tls?: ServerTls
  /** Each with its path, such as `/runtime.v1.RuntimeService/Version`. */
  readonly handlers: Iterable<readonly [path: string, handler: GrpcHandler]>
  /** Largest message that is accepted, bytes. Default 16 MiB. */
  readonly maxMessageBytes?: number
  /** Largest body of a request that is not gRPC, bytes. Default 1 MiB. */
  readonly maxBodyBytes?: number
  readonly onHttp?: (request: PlainRequest) => PlainResponse | Promise<PlainResponse>
  /** Takes over connections whose client asks for another protocol (WebSocket). Without it such a request is a plain one. */
  readonly onUpgrade?: (request: IncomingMessage, socket: Duplex, head: Buffer, clientCommonName: string | undefined) => void
  /** Calls that a connection may have open at once; at most 100,000, which is the default. */
  readonly maxConcurrentStreams?: number
  readonly keepAlive?: KeepAlivePolicy
  /** Told how each call ended. */
  readonly onCallEnd?: (path: string, code: string) => void
}

export interface GrpcServer extends AsyncDisposable {
  /** Where it listens, in the order of `listen`; a port 0 is filled in. */
  readonly addresses: readonly ListenAddress[]
}

const stopping = new GrpcError('Unavailable', 'the server is stopping')
const defaultMaxMessageBytes = 16 * 1024 * 1024
const plainBodyBytes = 1024 * 1024
const noBytes = Buffer.alloc(0)
/** How often connections are looked at, and how long one may wait before its first byte. */
const checkMs = 5000
const shortestCheckMs = 100
const mostStreams = 100_000
const firstByteMs = 10_000

/** Starts to listen on every address; fails when one of them can't be had. */
export async function serveGrpc(options: GrpcServerOptions): Promise<GrpcServer> {
  const handlers: ReadonlyMap<string, GrpcHandler> = new Map(options.handlers)
  let closing = false
  const maxMessageBytes = options.maxMessageBytes ?? defaultMaxMessageBytes
  const connections = new Set<Http2ServerConnection>()
  const sockets = new Set<Socket>()

  const onStream = (stream: Http2ServerStream, callOptions: ServerCallOptions): void => {
    const contentType = stream.headers['content-type']
    if (typeof contentType !== 'string' || !contentType.startsWith('application/grpc')) { answerPlainHttp2(stream, callOptions.socket, options); return }
    const call = new ServerCall(stream, callOptions)
    const handler = handlers.get(call.path)
    if (closing) call.fail(stopping)
    else if (handler) call.run(handler)
    else {
      const [, service = '', method = ''] = call.path.split('/')
      const known = [...handlers.keys()].some((other) => other.startsWith(`/${service}/`))
      call.fail(new GrpcError('Unimplemented', known ? `unknown method ${method} for service ${service}` : `unknown service ${service}`))
    }
  }
  const onHttp2 = (socket: Socket, first?: Buffer): void => {
    const abort = new AbortController()
    const callOptions: ServerCallOptions = { clock: options.clock, maxMessageBytes, connectionSignal: abort.signal, socket, onEnd: options.onCallEnd }
    const connection = serveHttp2Connection(socket, {
      clock: options.clock,
      maxConcurrentStreams: Math.min(options.maxConcurrentStreams || mostStreams, mostStreams), keepAlive: options.keepAlive,
      onStream: (stream) => onStream(stream, callOptions),
      onClose: () => { connections.delete(connection); abort.abort(new GrpcError('Canceled', 'context canceled')) },
    })
    connections.add(connection)
    if (first) connection.push(first)
    if (closing) connection.shutdown()
  }
  const onHttp1 = (request: IncomingMessage, response: ServerResponse): void => { answerPlainHttp1(request, response, options).catch(() => response.destroy()) }

  const http1 = createHttp1Server({ requestTimeout: 30_000, headersTimeout: 10_000 }, onHttp1)
  const { onUpgrade } = options
  if (onUpgrade) http1.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => onUpgrade(request, socket, head, commonNameOf(socket)))
  const accept: Accept = { http2: onHttp2, http1: (socket) => { http1.emit('connection', socket) }, clock: options.clock, sockets }
  const listeners = options.listen.map((address) => ({ address, server: options.tls ? createTlsListener(options.tls, accept) : createListener(accept) }))
  let checking: Timer
  const { intervalMs = Infinity, timeoutMs = Infinity } = options.keepAlive ?? {}
  const everyMs = Math.max(shortestCheckMs, Math.min(checkMs, intervalMs / 2, timeoutMs / 2))
  const check = (): void => {
    for (const connection of connections) connection.check()
    checking = options.clock.setTimer(everyMs, check, { keepAlive: false })
  }
  checking = options.clock.setTimer(everyMs, check, { keepAlive: false })

  const addresses: ListenAddress[] = []
  const close = async (): Promise<void> => {
    closing = true
    checking[Symbol.dispose]()
    for (const connection of connections) for (const { consumer } of connection.streams) if (consumer instanceof ServerCall) consumer.close(stopping)
    const closed = listeners.map(({ server }) => new Promise<void>((resolve) => { server.close(() => resolve()) }))
    for (const connection of connections) connection.shutdown()
    // Statuses of ended calls are written in the turns that follow.
    await new Promise<void>((resolve) => { setImmediate(resolve) })
    for (const socket of sockets) socket.destroy()
    await Promise.all(closed)
  }
  try {
    for (const { address, server } of listeners) addresses.push(await listen(server, address))
  } catch (error) {
    closing = true
    checking[Symbol.dispose]()
    for (const { server } of listeners) server.close()
    throw error
  }
  return { addresses, [Symbol.asyncDispose]: close }
}

interface Accept {
  readonly http2: (socket: Socket, first?: Buffer) => void
  readonly http1: (socket: Socket) => void
  readonly clock: Clock
  readonly sockets: Set<Socket>
}

function createListener(accept: Accept): Server {
  return createNetServer({ noDelay: true }, (socket) => {
    track(socket, accept.sockets)
    sniff(socket, accept)
  })
}

function createTlsListener(tls: ServerTls, accept: Accept): Server {
  const { cert, key, ca, requireClientCertificate = false, checkClient } = tls
  const take = (socket: TLSSocket): void => {
    if (socket.alpnProtocol === 'h2') accept.http2(socket)
    else if (socket.alpnProtocol === 'http/1.1') accept.http1(socket)
    else sniff(socket, accept)
  }
  const server = createTlsServer({
    cert, key, ...(ca === undefined ? {} : { ca }), requestCert: ca !== undefined, rejectUnauthorized: requireClientCertificate, ALPNProtocols: ['h2', 'http/1.1'], minVersion: 'TLSv1.2', ...tls.limits,
    handshakeTimeout: 10_000, noDelay: true,
  }, (socket) => {
    track(socket, accept.sockets)
    if (!checkClient) { take(socket); return }
    void checkClient(socket).then((refusal) => { if (refusal !== undefined) socket.destroy(); else if (!socket.destroyed) take(socket) })
  })
  const renewing = tls.onRenewed?.((context) => server.setSecureContext(context))
  server.once('close', () => renewing?.[Symbol.dispose]())
  server.on('tlsClientError', () => {})
  // Also while it shakes hands: who ends would wait for it.
  server.on('connection', (socket: Socket) => track(socket, accept.sockets))
  return server
}

/** Tells by the first bytes whether a connection speaks HTTP/2 or HTTP/1.1. */
function sniff(socket: Socket, accept: Accept): void {
  const timer = accept.clock.setTimer(firstByteMs, () => socket.destroy(), { keepAlive: false })
  socket.once('close', () => timer[Symbol.dispose]())
  socket.once('data', (chunk: Buffer) => {
    timer[Symbol.dispose]()
    socket.pause()
    // "PRI * HTTP/2.0" begins every HTTP/2 connection; no HTTP/1.1 method begins so.
    if (chunk.subarray(0, 3).toString('latin1') === 'PRI') { accept.http2(socket, chunk); return }
    socket.unshift(chunk)
    accept.http1(socket)
    socket.resume()
  })
}

function track(socket: Socket, sockets: Set<Socket>): void {
  sockets.add(socket)
  socket.on('error', () => socket.destroy())
  socket.on('close', () => sockets.delete(socket))
}

function listen(server: Server, address: ListenAddress): Promise<ListenAddress> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    const listening = (): void => {
      server.off('error', reject)
      server.on('error', () => {})
      if ('path' in address) {
        if (address.mode !== undefined) chmodSync(address.path, address.mode)
        resolve(address)
        return
      }
      const bound = server.address()
      resolve({ host: address.host, port: bound !== null && typeof bound === 'object' ? bound.port : address.port })
    }
    if ('path' in address) {
      // A socket file that a dead process left would make listening fail.
      try { unlinkSync(address.path) } catch { /* there was none */ }
      server.listen({ path: address.path }, listening)
    } else server.listen({ host: address.host, port: address.port, ...(address.reusePort ? { reusePort: true } : {}) }, listening)
  })
}

const notFound: PlainResponse = { status: 404, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: '404 page not found\n' }

async function readPlainBody(source: AsyncIterable<Buffer>, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of source) {
    bytes += chunk.length
    if (bytes > maxBytes) throw new GrpcError('ResourceExhausted', 'body too large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

type Asked = Omit<PlainRequest, 'body'>

async function plainAnswer(asked: Asked, source: AsyncIterable<Buffer>, options: GrpcServerOptions): Promise<PlainResponse> {
  if (!options.onHttp) return notFound
  try {
    return await options.onHttp({ ...asked, body: await readPlainBody(source, options.maxBodyBytes ?? plainBodyBytes) })
  } catch (error) {
    const tooLarge = error instanceof GrpcError && error.code === 'ResourceExhausted'
    return { status: tooLarge ? 413 : 500, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: `${tooLarge ? 'request body too large' : 'internal error'}\n` }
  }
}

async function answerPlainHttp1(request: IncomingMessage, response: ServerResponse, options: GrpcServerOptions): Promise<void> {
  const gone = new AbortController()
  response.on('error', () => {})
  response.on('close', () => gone.abort(new GrpcError('Canceled', 'context canceled')))
  const method = request.method ?? 'GET'
  const answer = await plainAnswer({ method, path: request.url ?? '/', headers: request.headers, signal: gone.signal, clientCommonName: commonNameOf(request.socket) }, request, options)
  response.writeHead(answer.status, answer.headers)
  await sendPlainHttp1(response, method, answer)
}

async function sendPlainHttp1(target: ServerResponse, method: string, answer: PlainResponse): Promise<void> {
  if (method === 'HEAD') { target.end(); return }
  if (!answer.stream) { target.end(answer.bytes ?? answer.body); return }
  // Heads go out before the first event: those who wait want to know that they do.
  target.flushHeaders()
  if (answer.body !== '') target.write(answer.body)
  try {
    const sink: PlainSink = { write: (text) => { if (!target.destroyed && !target.writableEnded) target.write(text) }, get queuedBytes() { return target.writableLength }, onDrain: undefined }
    target.on('drain', () => sink.onDrain?.())
    await answer.stream(sink)
  } finally {
    if (!target.writableEnded) target.end()
  }
}

function answerPlainHttp2(stream: Http2ServerStream, socket: Socket, options: GrpcServerOptions): void {
  const { headers } = stream
  const method = String(headers[':method'])
  const limit = options.maxBodyBytes ?? plainBodyBytes
  const gone = new AbortController()
  const chunks: Buffer[] = []
  let bytes = 0
  const sink: PlainSink = { write: (text) => stream.sendData(Buffer.from(text), noBytes), get queuedBytes() { return stream.queuedBytes }, onDrain: undefined }
  const respond = async (): Promise<void> => {
    const asked = { method, path: String(headers[':path']), headers, signal: gone.signal, clientCommonName: commonNameOf(socket) }
    const answer = await plainAnswer(asked, once(Buffer.concat(chunks)), options)
    const onlyHeaders = method === 'HEAD' || (answer.body === '' && !answer.bytes && !answer.stream)
    stream.sendHeaders(encodeHeaders([[':status', String(answer.status)], ...Object.entries(answer.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value] as const)]), onlyHeaders)
    if (onlyHeaders) return
    if (answer.bytes) stream.sendData(answer.bytes, noBytes)
    else if (answer.body !== '') sink.write(answer.body)
    try {
      await answer.stream?.(sink)
    } finally {
      stream.finish(noBytes)
    }
  }
  stream.consumer = {
    // One byte too many is kept, so that the answer is the one for that.
    data: (chunk) => { if (bytes <= limit) { bytes += chunk.length; chunks.push(chunk) } },
    requestEnded: () => { respond().catch(() => stream.reset(errorCodes.internalError)) },
    drain: () => sink.onDrain?.(),
    closed: () => gone.abort(new GrpcError('Canceled', 'context canceled')),
  }
}

async function* once(chunk: Buffer): AsyncGenerator<Buffer> { yield chunk }

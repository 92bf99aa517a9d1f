// A gRPC server over HTTP/2: cleartext, TLS or a unix socket; HTTP/1.1 and plain HTTP/2 requests on the same port go to `onHttp`.
//
//   await using server = await serveGrpc({
//     clock, listen: [{ path: '/run/k8ts/cri.sock' }],
//     handlers: [...serviceHandlers({ name: 'runtime.v1.RuntimeService', methods: runtimeServiceMethods, table: criTable }, runtime)],
//   })
//
// `serviceHandlers` (service-handlers.ts) adapts an object whose methods are `(request, signal) => Promise | AsyncIterable`. An error with a
// `code` or `reason` that names a gRPC code ('NotFound' …) becomes that status. Handlers that need the raw stream implement GrpcHandler.
import { unlinkSync, chmodSync } from 'node:fs'
import { createServer as createHttp1Server, type IncomingMessage, type Server as Http1Server, type ServerResponse } from 'node:http'
import { createServer as createHttp2Server, constants, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import { createServer as createNetServer, type Server, type Socket } from 'node:net'
import type { Writable } from 'node:stream'
import { createServer as createTlsServer } from 'node:tls'
import type { Clock } from '../../base/clock.ts'
import { commonNameOf, ServerCall, type GrpcHandler } from './server-call.ts'
import { GrpcError } from './status.ts'

export type { GrpcHandler, GrpcServerCall, GrpcStreamSink } from './server-call.ts'

export type ListenAddress = { readonly host: string; readonly port: number } | { readonly path: string; readonly mode?: number }

export interface ServerTls {
  readonly cert: string | Buffer
  readonly key: string | Buffer
  /** Authorities for client certificates. */
  readonly ca?: string | Buffer
  readonly requireClientCertificate?: boolean
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
const connectionWindowBytes = 16 * 1024 * 1024
const streamWindowBytes = 1024 * 1024
/** Megabytes that one session may hold; the default of 10 stalls a connection with thousands of watch streams. */
const sessionMemoryMegabytes = 1024
const settings = { maxConcurrentStreams: 100_000, initialWindowSize: streamWindowBytes, maxHeaderListSize: 1024 * 1024, enablePush: false } as const

/** Starts to listen on every address; fails when one of them can't be had. */
export async function serveGrpc(options: GrpcServerOptions): Promise<GrpcServer> {
  const handlers = new Map(options.handlers)
  const openCalls = new Set<ServerCall>()
  let closing = false
  const maxMessageBytes = options.maxMessageBytes ?? defaultMaxMessageBytes
  const sessions = new Set<ServerHttp2Session>()
  const sockets = new Set<Socket>()

  const onStream = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void => {
    stream.on('error', () => {}) // the stream's end tells the call
    const path = headers[':path'] ?? ''
    if (!String(headers['content-type'] ?? '').startsWith('application/grpc')) { answerPlainHttp2(stream, headers, options).catch(() => stream.destroy()); return }
    const handler = handlers.get(path)
    const call = new ServerCall({ stream, headers, clock: options.clock, maxMessageBytes, open: openCalls, ...(options.onCallEnd ? { onEnd: options.onCallEnd } : {}) })
    if (closing) call.fail(stopping)
    else if (handler) call.run(handler)
    else {
      const [, service = '', method = ''] = path.split('/')
      const known = [...handlers.keys()].some((other) => other.startsWith(`/${service}/`))
      call.fail(new GrpcError('Unimplemented', known ? `unknown method ${method} for service ${service}` : `unknown service ${service}`))
    }
  }
  const guard = (server: Http2Server): void => {
    server.on('stream', onStream)
    server.on('session', (session) => {
      sessions.add(session)
      session.setLocalWindowSize(connectionWindowBytes)
      session.on('error', () => session.destroy())
      session.on('close', () => sessions.delete(session))
      if (closing) session.destroy()
    })
    server.on('sessionError', () => {})
    server.on('error', () => {})
  }
  const onHttp1 = (request: IncomingMessage, response: ServerResponse): void => { answerPlainHttp1(request, response, options).catch(() => response.destroy()) }

  // One HTTP/2 and one HTTP/1.1 server take the connections of all listeners. A 'request' listener on the HTTP/2 one must not exist: it would
  // bring Node's compatibility layer in, which answers every stream a second time.
  const http2 = createHttp2Server({ settings, maxSessionMemory: sessionMemoryMegabytes })
  guard(http2)
  const http1 = createHttp1Server({ requestTimeout: 30_000, headersTimeout: 10_000 }, onHttp1)
  const listeners = options.listen.map((address) => ({ address, server: options.tls ? createTlsListener(options.tls, http2, http1, sockets) : createListener(http2, http1, sockets) }))

  const addresses: ListenAddress[] = []
  const close = async (): Promise<void> => {
    closing = true
    for (const call of openCalls) call.close(stopping)
    const closed = listeners.map(({ server }) => new Promise<void>((resolve) => { server.close(() => resolve()) }))
    // Statuses of ended calls are written in the turns that follow.
    await new Promise<void>((resolve) => { setImmediate(resolve) })
    for (const session of sessions) session.destroy()
    for (const socket of sockets) socket.destroy()
    await Promise.all(closed)
  }
  try {
    for (const { address, server } of listeners) addresses.push(await listen(server, address))
  } catch (error) {
    closing = true
    for (const { server } of listeners) server.close()
    throw error
  }
  return { addresses, [Symbol.asyncDispose]: close }
}

function createListener(http2: Http2Server, http1: Http1Server, sockets: Set<Socket>): Server {
  return createNetServer({ noDelay: true }, (socket) => {
    track(socket, sockets)
    sniff(socket, http2, http1)
  })
}

function createTlsListener(tls: ServerTls, http2: Http2Server, http1: Http1Server, sockets: Set<Socket>): Server {
  const { cert, key, ca, requireClientCertificate = false } = tls
  const server = createTlsServer({
    cert, key, ...(ca === undefined ? {} : { ca }), requestCert: ca !== undefined, rejectUnauthorized: requireClientCertificate, ALPNProtocols: ['h2', 'http/1.1'], minVersion: 'TLSv1.2', handshakeTimeout: 10_000, noDelay: true,
  }, (socket) => {
    track(socket, sockets)
    if (socket.alpnProtocol === 'h2') http2.emit('connection', socket)
    else if (socket.alpnProtocol === 'http/1.1') http1.emit('connection', socket)
    else sniff(socket, http2, http1)
  })
  server.on('tlsClientError', () => {})
  return server
}

/** Tells by the first bytes whether a connection speaks HTTP/2 or HTTP/1.1. */
function sniff(socket: Socket, http2: Http2Server, http1: Http1Server): void {
  socket.once('data', (chunk: Buffer) => {
    socket.pause()
    socket.unshift(chunk)
    // "PRI * HTTP/2.0" begins every HTTP/2 connection; no HTTP/1.1 method begins so.
    const target = chunk.subarray(0, 3).toString('latin1') === 'PRI' ? http2 : http1
    target.emit('connection', socket)
    if (target === http1) socket.resume()
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
    } else server.listen({ host: address.host, port: address.port }, listening)
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
  await send(response, method, answer)
}

async function answerPlainHttp2(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, options: GrpcServerOptions): Promise<void> {
  const gone = new AbortController()
  stream.on('close', () => gone.abort(new GrpcError('Canceled', 'context canceled')))
  const method = headers[':method'] ?? 'GET'
  const answer = await plainAnswer({ method, path: headers[':path'] ?? '/', headers, signal: gone.signal, clientCommonName: commonNameOf(stream.session?.socket) }, stream, options)
  if (stream.destroyed || stream.closed) return
  stream.respond({ [constants.HTTP2_HEADER_STATUS]: answer.status, ...answer.headers })
  await send(stream, method, answer)
}

async function send(target: Writable, method: string, answer: PlainResponse): Promise<void> {
  if (method === 'HEAD') { target.end(); return }
  if (!answer.stream) { target.end(answer.body); return }
  // Heads go out before the first event: those who wait want to know that they do.
  if ('flushHeaders' in target && typeof target.flushHeaders === 'function') target.flushHeaders()
  if (answer.body !== '') target.write(answer.body)
  try {
    const sink: PlainSink = { write: (text) => { if (!target.destroyed && !target.writableEnded) target.write(text) }, get queuedBytes() { return target.writableLength }, onDrain: undefined }
    target.on('drain', () => sink.onDrain?.())
    await answer.stream(sink)
  } finally {
    if (!target.writableEnded) target.end()
  }
}

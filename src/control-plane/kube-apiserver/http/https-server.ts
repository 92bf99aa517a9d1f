// HTTPS, HTTP/1.1 and HTTP/2 on one port. Turns requests into calls, finds out who calls, and hands answers to answer-writer.ts.
//
// Rules it keeps: limits on everything a client can grow (streams, headers, body, time); an error handler on every server, session and socket; client
// certificates are asked for, never demanded: one that doesn't verify is a bad credential, not a failed handshake.
// Upstream: apiserver/pkg/server/{config,secure_serving}.go
import { X509Certificate } from 'node:crypto'
import { constants, createSecureServer } from 'node:http2'
import type { Http2ServerRequest, Http2Session } from 'node:http2'
import type { IncomingMessage } from 'node:http'
import type { Writable } from 'node:stream'
import type { AddressInfo, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { randomUuid } from '../../../lib/base/random.ts'
import type { Authenticator, PeerCertificate } from '../authentication/authenticator.ts'
import { badRequest, entityTooLarge, timedOut, unauthorized } from '../endpoints/api-errors.ts'
import type { ApiCall, CallBody } from '../endpoints/api-call.ts'
import { isLongRunning, parseRequestInfo } from '../endpoints/request-info.ts'
import type { ServerContext } from '../endpoints/server-context.ts'
import { errorAnswer } from '../filters/request-handler.ts'
import type { RequestHandler } from '../filters/request-handler.ts'
import type { ServerCertificate } from '../server-options.ts'
import { parseGoDuration } from '../../../lib/component-base/flags.ts'
import { writeAnswer } from './answer-writer.ts'
import { joinConnections, writeRawAnswer } from './tunnel.ts'

export interface ListenOptions { readonly address: string; readonly port: number }

export interface Listening extends AsyncDisposable {
  readonly address: string
  readonly port: number
}

export interface HttpsServerOptions {
  readonly server: ServerContext
  readonly handle: RequestHandler
  readonly authenticator: Authenticator
  readonly tls: ServerCertificate
  readonly clientCa?: string
  /** Certificates of front proxies are taken by the handshake too; a user's must still be of `clientCa`. */
  readonly requestHeaderCa?: string
  readonly requestTimeoutMs: number
  readonly ended: AbortSignal
  /** Headers that depend on who calls (priority and fairness). */
  callHeaders?(call: ApiCall): { readonly [name: string]: string }
}

export type HttpRequest = IncomingMessage | Http2ServerRequest
/** What HTTP/1 and HTTP/2 responses have in common. */
export interface HttpResponse extends Writable {
  statusCode: number
  setHeader(name: string, value: string | readonly string[]): unknown
  flushHeaders(): void
}

const maxBodyBytes = 3 * 1024 * 1024
const maxHeaderBytes = 1024 * 1024
const maxHeaders = 16_384
const maxStreams = 250
const sessionMemoryMb = 512
const handshakeTimeoutMs = 10_000
const idleTimeoutMs = 90_000

export async function startHttpsServer(options: HttpsServerOptions, listen: ListenOptions): Promise<Listening> {
  const { server: context } = options
  const certificates = new WeakMap<object, PeerCertificate | null>()
  const issuers = (options.clientCa?.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []).map((pem) => new X509Certificate(pem))
  // With two authorities the handshake's word doesn't say which of them it was.
  const isUserCertificate = (der: Uint8Array): boolean => {
    if (options.requestHeaderCa === undefined) return true
    const certificate = new X509Certificate(der)
    return issuers.some((issuer) => certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey))
  }
  const sockets = new Set<Socket>()
  const sessions = new Set<Http2Session>()
  const listener = createSecureServer({
    cert: options.tls.certificate, key: options.tls.key, allowHTTP1: true, requestCert: options.clientCa !== undefined || options.requestHeaderCa !== undefined, rejectUnauthorized: false, minVersion: 'TLSv1.2', handshakeTimeout: handshakeTimeoutMs,
    ...((options.clientCa ?? options.requestHeaderCa) !== undefined && { ca: [options.clientCa, options.requestHeaderCa].filter((pem) => pem !== undefined) }),
    maxHeaderListPairs: maxHeaders, maxSessionMemory: sessionMemoryMb, maxSettings: 32, maxSessionInvalidFrames: 100, maxSessionRejectedStreams: 100,
    settings: { maxConcurrentStreams: maxStreams, maxHeaderListSize: maxHeaderBytes, initialWindowSize: 1024 * 1024, enablePush: false },
  })
  // Go takes 1 MiB of headers, any number of them, and keeps idle connections for 90 s; the HTTP/1 side reads these properties.
  Object.assign(listener, { maxHeaderSize: maxHeaderBytes, maxHeadersCount: maxHeaders, keepAliveTimeout: idleTimeoutMs })
  const quiet = (): void => { /* the connection is gone; whoever waits for it hears of its close */ }
  listener.on('error', (error: Error) => { context.logger.error('HTTPS server', error) })
  listener.on('tlsClientError', (_error: Error, socket: TLSSocket) => { socket.destroy() })
  listener.on('clientError', (error: Error & { readonly code?: string }, socket: Socket) => {
    const status = error.code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request'
    if (socket.writable) socket.end(`HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n${status}`)
    else socket.destroy()
  })
  listener.on('sessionError', quiet)
  listener.on('unknownProtocol', (socket: Socket) => { socket.destroy() })
  listener.on('connection', (socket: Socket) => { sockets.add(socket); socket.setNoDelay(true); socket.on('error', quiet); socket.on('close', () => { sockets.delete(socket) }) })
  listener.on('secureConnection', (socket: TLSSocket) => { socket.on('error', quiet); certificates.set(socket, peerCertificate(socket, isUserCertificate)) })
  listener.on('session', (session: Http2Session) => {
    sessions.add(session)
    session.on('error', quiet)
    session.on('close', () => { sessions.delete(session) })
    certificates.set(session, peerCertificate(session.socket as TLSSocket, isUserCertificate)) // cast: sessions of a TLS server
  })

  const certificateOf = (request: HttpRequest): PeerCertificate | undefined => {
    const key = 'stream' in request ? request.stream.session : request.socket
    return (key && certificates.get(key)) ?? undefined
  }

  listener.on('request', (request: HttpRequest, response: HttpResponse) => {
    request.on('error', quiet)
    response.on('error', quiet)
    const done = new AbortController()
    response.on('close', () => { done.abort() })
    const call = callOf(options, request, certificateOf(request), done.signal, () => readBody(request))
    serve(options, call, request, response, done).catch((error: unknown) => {
      context.logger.error('Writing an answer failed', error)
      response.destroy()
    })
  })

  listener.on('upgrade', (request: IncomingMessage, socket: TLSSocket, head: Buffer) => {
    socket.on('error', quiet)
    const done = new AbortController()
    socket.on('close', () => { done.abort() })
    const call = callOf(options, request, certificateOf(request), done.signal, async () => ({ kind: 'none' }))
    const upgrade = async (): Promise<void> => {
      const answer = 'user' in call ? await options.handle(call) : errorAnswer(call.error, context.logger)
      if (answer.type === 'tunnel') joinConnections(request, socket, head, answer.target)
      else await writeRawAnswer(socket, answer)
    }
    upgrade().catch((error: unknown) => { context.logger.error('Upgrade failed', error); socket.destroy() })
  })

  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject)
    listener.listen(listen.port, listen.address, () => { listener.off('error', reject); resolve() })
  })
  const bound = listener.address() as AddressInfo // cast: it listens on an IP address
  let closed: Promise<void> | undefined
  const close = (): Promise<void> => {
    closed ??= new Promise((resolve) => {
      listener.close(() => { resolve() })
      for (const session of sessions) session.destroy(undefined, constants.NGHTTP2_NO_ERROR)
      for (const socket of sockets) socket.destroy()
    })
    return closed
  }
  options.ended.addEventListener('abort', () => { void close() }, { once: true })
  return { address: bound.address, port: bound.port, [Symbol.asyncDispose]: close }
}

type UnauthenticatedCall = { readonly error: Error; readonly headers: { readonly [name: string]: string }; readonly query: URLSearchParams; readonly method: string }

function callOf(options: HttpsServerOptions, request: HttpRequest, certificate: PeerCertificate | undefined, signal: AbortSignal, body: () => Promise<CallBody>): ApiCall | UnauthenticatedCall {
  const headers: { [name: string]: string } = {}
  for (const [name, value] of Object.entries(request.headers)) if (value !== undefined && !name.startsWith(':')) headers[name] = Array.isArray(value) ? value.join(', ') : value
  const url = request.url ?? '/'
  const at = url.indexOf('?')
  const query = new URLSearchParams(at < 0 ? '' : url.slice(at + 1))
  const method = request.method ?? 'GET'
  const path = decodePath(at < 0 ? url : url.slice(0, at))
  if (path === undefined) return { error: badRequest('the request path is no valid URL path'), headers, query, method }
  const user = options.authenticator.authenticate({ certificate, bearerToken: bearerToken(headers), headers })
  if (!user) return { error: unauthorized(), headers, query, method }
  delete headers['authorization']
  for (const name of Object.keys(headers)) if (name.startsWith('x-remote-')) delete headers[name]
  return { method, info: parseRequestInfo(method, path, query), query, headers, user, signal, nowMs: options.server.clock.now(), inProcess: false, warnings: [], readBody: body }
}

function bearerToken(headers: { readonly [name: string]: string }): string | undefined {
  const match = /^bearer +(\S+)$/i.exec((headers['authorization'] ?? '').trim())
  if (match) return match[1]
  // Browsers can't set headers on WebSockets; the token comes as a subprotocol.
  const protocol = (headers['sec-websocket-protocol'] ?? '').split(',').map((p) => p.trim()).find((p) => p.startsWith('base64url.bearer.authorization.k8s.io.'))
  return protocol === undefined ? undefined : Buffer.from(protocol.slice('base64url.bearer.authorization.k8s.io.'.length), 'base64url').toString()
}

function decodePath(path: string): string | undefined {
  try { return decodeURIComponent(path) } catch { return undefined }
}

async function serve(options: HttpsServerOptions, call: ApiCall | UnauthenticatedCall, request: HttpRequest, response: HttpResponse, done: AbortController): Promise<void> {
  const { server } = options
  response.setHeader('audit-id', typeof call.headers['audit-id'] === 'string' && call.headers['audit-id'] !== '' ? call.headers['audit-id'] : randomUuid(server.random))
  response.setHeader('cache-control', 'no-cache, private')
  if (!('user' in call)) { await writeAnswer({ server, response, answer: errorAnswer(call.error, server.logger), call: undefined, headers: call.headers, query: call.query, method: call.method, done }); return }
  for (const [name, value] of Object.entries(options.callHeaders?.(call) ?? {})) response.setHeader(name, value)
  let deadline: Disposable | undefined
  let timed: ApiCall = call
  if (!isLongRunning(call.info)) {
    const limit = deadlineMs(call.query.get('timeout'), options.requestTimeoutMs)
    if (limit === undefined) {
      await writeAnswer({ server, response, answer: errorAnswer(badRequest('invalid timeout specified in the request URL'), server.logger), call, headers: call.headers, query: call.query, method: call.method, done })
      return
    }
    const late = new AbortController()
    deadline = server.clock.setTimer(limit, () => { late.abort() }, { keepAlive: false })
    call.signal.addEventListener('abort', () => { late.abort() }, { once: true })
    timed = { ...call, signal: late.signal, readBody: () => untilAborted(call.readBody(), late.signal) }
  }
  try {
    const answer = await options.handle(timed)
    if (done.signal.aborted && answer.type !== 'watch') return
    await writeAnswer({ server, response, answer, call: timed, headers: call.headers, query: call.query, method: call.method, done })
  } finally {
    deadline?.[Symbol.dispose]()
    if (!request.readableEnded) request.resume()
  }
}

/** A body that doesn't come in time isn't waited for. */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => { reject(timedOut('request did not complete within the allotted timeout')) }
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => { signal.removeEventListener('abort', onAbort) })
  })
}

/** undefined: unreadable. */
function deadlineMs(text: string | null, most: number): number | undefined {
  if (text === null || text === '') return most
  const asked = parseGoDuration(text)
  return asked === undefined ? undefined : asked <= 0 ? most : Math.min(asked, most)
}

async function readBody(request: HttpRequest): Promise<CallBody> {
  const tooLarge = (): Error => entityTooLarge(`limit is ${maxBodyBytes}`)
  if (Number(request.headers['content-length'] ?? 0) > maxBodyBytes) throw tooLarge()
  const chunks: Uint8Array[] = []
  let size = 0
  await new Promise<void>((resolve, reject) => {
    request.on('data', (chunk: Uint8Array) => {
      size += chunk.length
      if (size > maxBodyBytes) { request.removeAllListeners('data'); request.resume(); reject(tooLarge()) } else chunks.push(chunk)
    })
    request.on('end', resolve)
    request.on('close', resolve)
    request.on('error', reject)
  })
  if (size === 0) return { kind: 'none' }
  const mediaType = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? ''
  return { kind: 'bytes', bytes: chunks.length === 1 ? chunks[0] ?? new Uint8Array() : Buffer.concat(chunks, size), mediaType }
}

function peerCertificate(socket: TLSSocket, isUserCertificate: (der: Uint8Array) => boolean): PeerCertificate | null {
  const certificate = socket.getPeerCertificate()
  if (!certificate || Object.keys(certificate).length === 0) return null
  // cast: several organizations come as an array, which the types don't say
  const { CN, O } = (certificate.subject ?? {}) as { readonly CN?: string | readonly string[]; readonly O?: string | readonly string[] }
  const list = (value: string | readonly string[] | undefined): readonly string[] => (value === undefined ? [] : typeof value === 'string' ? [value] : value)
  return {
    verified: socket.authorized && isUserCertificate(certificate.raw), commonName: list(CN).at(-1) ?? '', organizations: list(O),
    extendedKeyUsages: certificate.ext_key_usage ?? [], fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(), der: certificate.raw,
  }
}

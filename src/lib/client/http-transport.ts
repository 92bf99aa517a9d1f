// An ApiTransport over the network: HTTP/2 over TLS on one connection (many watches share it), HTTP/1.1 where the server is plain http.
//
// Rule it keeps: a broken connection ends the requests on it with TransportError and the next request opens a new one; an idle connection is
// pinged, so that a server that vanished without a word is noticed (client-go: after 30 s of silence, 15 s for the answer).
import { readFileSync } from 'node:fs'
import * as http from 'node:http'
import * as http2 from 'node:http2'
import type { Clock } from '../base/clock.ts'
import { TransportError } from './transport.ts'
import type { ApiRequest, ApiResponse, ApiTransport, TransportErrorReason } from './transport.ts'
import { decodeWatchStream } from './watch-stream.ts'

export interface HttpTransportOptions {
  /** `https://host:port` with an optional path in front of every request. */
  readonly server: string
  readonly clock: Clock
  readonly userAgent: string
  /** PEM. */
  readonly certificateAuthority?: string
  readonly clientCertificate?: string
  readonly clientKey?: string
  readonly token?: string
  /** Read again when the token is about to expire; wins over `token`. */
  readonly tokenFile?: string
  readonly username?: string
  readonly password?: string
  readonly insecureSkipTlsVerify?: boolean
  readonly tlsServerName?: string
  /** Headers of every request, such as Impersonate-User. */
  readonly headers?: { readonly [name: string]: string | readonly string[] }
}

const pingAfterIdleMs = 30_000
const pingTimeoutMs = 15_000
const tokenRereadMs = 60_000

export interface HttpTransport extends ApiTransport, Disposable {}

export function createHttpTransport(options: HttpTransportOptions): HttpTransport {
  const url = new URL(options.server)
  const prefix = url.pathname.replace(/\/$/, '')
  const plain = url.protocol === 'http:'
  let session: http2.ClientHttp2Session | undefined
  let tokenRead: { readonly text: string; readonly at: number } | undefined
  const agent = plain ? new http.Agent({ keepAlive: true }) : undefined

  const bearerToken = (): string | undefined => {
    if (!options.tokenFile) return options.token
    if (!tokenRead || options.clock.monotonic() - tokenRead.at > tokenRereadMs) tokenRead = { text: readFileSync(options.tokenFile, 'utf8').trim(), at: options.clock.monotonic() }
    return tokenRead.text
  }

  const headersFor = (request: ApiRequest): Record<string, string | string[]> => {
    const headers: Record<string, string | string[]> = { accept: 'application/json', 'user-agent': options.userAgent }
    for (const [name, value] of Object.entries(options.headers ?? {})) headers[name.toLowerCase()] = typeof value === 'string' ? value : [...value]
    const token = bearerToken()
    if (token) headers['authorization'] = `Bearer ${token}`
    else if (options.username !== undefined) headers['authorization'] = `Basic ${Buffer.from(`${options.username}:${options.password ?? ''}`).toString('base64')}`
    if (request.body !== undefined) headers['content-type'] = 'application/json'
    return { ...headers, ...request.headers }
  }

  const connect = (): http2.ClientHttp2Session => {
    if (session && !session.closed && !session.destroyed) return session
    const opened = http2.connect(url.origin, {
      ...(options.certificateAuthority ? { ca: options.certificateAuthority } : {}), ...(options.clientCertificate ? { cert: options.clientCertificate } : {}), ...(options.clientKey ? { key: options.clientKey } : {}),
      ...(options.tlsServerName ? { servername: options.tlsServerName } : {}), rejectUnauthorized: !options.insecureSkipTlsVerify,
      // Watches are long-lived streams: the default session memory stalls silently near two thousand of them.
      maxSessionMemory: 1000, settings: { initialWindowSize: 4 * 1024 * 1024, enablePush: false },
    })
    opened.setMaxListeners(0)
    opened.on('connect', () => opened.setLocalWindowSize(32 * 1024 * 1024))
    opened.on('error', (cause) => { failures.set(opened, cause); forget(opened) })
    opened.on('goaway', () => forget(opened))
    opened.on('close', () => forget(opened))
    session = opened
    watchOver(opened)
    return opened
  }
  /** What broke a session: its streams only say that they were cancelled. */
  const failures = new WeakMap<http2.ClientHttp2Session, unknown>()
  const forget = (gone: http2.ClientHttp2Session): void => { if (session === gone) session = undefined }
  const watchOver = (watched: http2.ClientHttp2Session): void => {
    options.clock.setTimer(pingAfterIdleMs, () => {
      if (watched.destroyed || watched.closed) return
      const limit = options.clock.setTimer(pingTimeoutMs, () => watched.destroy(new Error('no answer to a ping')), { keepAlive: false })
      const sent = watched.ping(() => { limit[Symbol.dispose](); watchOver(watched) })
      if (!sent) limit[Symbol.dispose]()
    }, { keepAlive: false })
  }

  /** @param retries how often a request that certainly was not processed may be sent again, over another connection */
  const requestOverHttp2 = (request: ApiRequest, retries = 3): Promise<ApiResponse> => new Promise((resolve, reject) => {
    if (request.signal.aborted) { reject(request.signal.reason); return }
    const opened = connect()
    const body = request.body === undefined ? undefined : request.body instanceof Uint8Array ? request.body : Buffer.from(JSON.stringify(request.body))
    let stream: http2.ClientHttp2Stream
    try {
      stream = opened.request({ ':method': request.method, ':path': `${prefix}${request.path}`, ...headersFor(request) }, { endStream: body === undefined })
    } catch (cause) {
      forget(opened)
      reject(new TransportError('ConnectionReset', `cannot reach ${url.host}`, { cause }))
      return
    }
    let answered = false
    // A server that closes a connection says so while requests are on their way; what it has not begun may be asked again, whatever it is.
    const fail = (error: TransportError): void => {
      const wasRefused = stream.id === undefined || stream.rstCode === http2.constants.NGHTTP2_REFUSED_STREAM
      if (!wasRefused || answered || retries === 0 || failures.has(opened)) { reject(error); return }
      forget(opened)
      requestOverHttp2(request, retries - 1).then(resolve, reject)
    }
    const onAbort = (): void => stream.close(http2.constants.NGHTTP2_CANCEL)
    request.signal.addEventListener('abort', onAbort, { once: true })
    stream.on('close', () => {
      request.signal.removeEventListener('abort', onAbort)
      if (request.signal.aborted) reject(request.signal.reason)
      // Once the answer has begun, its body tells how it ended: the stream can be closed before its last piece is taken.
      else if (!answered && !failed) fail(new TransportError('ConnectionReset', `${url.host} closed the connection before it answered (code ${stream.rstCode})`))
    })
    let failed = false
    stream.on('error', (cause) => {
      failed = true
      if (request.signal.aborted) reject(request.signal.reason)
      else fail(toTransportError(failures.get(opened) ?? cause, url.host))
    })
    stream.on('response', (raw) => {
      answered = true
      const headers = flatten(raw)
      resolveBody(request, Number(raw[':status']), headers, stream).then(resolve, (cause: unknown) => reject(request.signal.aborted ? request.signal.reason : toTransportError(cause, url.host)))
    })
    if (body !== undefined) stream.end(body)
  })

  const requestOverHttp1 = (request: ApiRequest): Promise<ApiResponse> => new Promise((resolve, reject) => {
    const body = request.body === undefined ? undefined : request.body instanceof Uint8Array ? request.body : Buffer.from(JSON.stringify(request.body))
    const sent = http.request({ host: url.hostname, port: url.port || 80, method: request.method, path: `${prefix}${request.path}`, headers: headersFor(request), ...(agent ? { agent } : {}), signal: request.signal }, (answer) => {
      resolveBody(request, answer.statusCode ?? 0, flatten(answer.headers), answer).then(resolve, (cause: unknown) => reject(toTransportError(cause, url.host)))
    })
    sent.on('error', (cause) => reject(request.signal.aborted ? request.signal.reason : toTransportError(cause, url.host)))
    sent.end(body)
  })

  return {
    request: (request) => (plain ? requestOverHttp1(request) : requestOverHttp2(request)),
    [Symbol.dispose]() {
      session?.destroy()
      agent?.destroy()
    },
  }
}

function flatten(raw: http.IncomingHttpHeaders | http2.IncomingHttpHeaders): { readonly [name: string]: string } {
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(raw)) if (value !== undefined && !name.startsWith(':')) headers[name] = Array.isArray(value) ? value.join(', ') : String(value)
  return headers
}

async function resolveBody(request: ApiRequest, status: number, headers: { readonly [name: string]: string }, stream: AsyncIterable<Uint8Array>): Promise<ApiResponse> {
  const query = new URLSearchParams(request.path.split('?')[1] ?? '')
  const isTrue = (name: string): boolean => ['true', '1'].includes(query.get(name) ?? '')
  if (status === 200 && isTrue('watch') && (headers['content-type'] ?? '').startsWith('application/json')) return { status, headers, body: { kind: 'events', events: decodeWatchStream(stream) } }
  if (status === 200 && isTrue('follow')) return { status, headers, body: { kind: 'stream', stream } }
  const pieces: Uint8Array[] = []
  for await (const piece of stream) pieces.push(piece)
  return { status, headers, body: { kind: 'bytes', bytes: pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces) } } // cast: checked length
}

function toTransportError(cause: unknown, host: string): TransportError {
  if (cause instanceof TransportError) return cause
  // A stream that was cancelled says why in its cause.
  const origin = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
  const code = origin instanceof Error && 'code' in origin ? String(origin.code) : ''
  const reasons: { readonly [code: string]: TransportErrorReason } = { ECONNREFUSED: 'ConnectionRefused', ECONNRESET: 'ConnectionReset', EPIPE: 'ConnectionReset', ETIMEDOUT: 'Timeout', ERR_HTTP2_STREAM_CANCEL: 'ConnectionReset', ERR_HTTP2_SESSION_ERROR: 'ConnectionReset' }
  const reason = reasons[code] ?? (/CERT|TLS|SSL|SIGNATURE/.test(code) ? 'TlsFailure' : 'Unknown')
  return new TransportError(reason, `cannot reach ${host}: ${origin instanceof Error ? origin.message : String(origin)}`, { cause })
}

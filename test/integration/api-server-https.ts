// The API server over real HTTPS: HTTP/1.1 and HTTP/2 with raw bytes, client certificates and tokens. What arrives is what a client on the wire sees.
import assert from 'node:assert/strict'
import { request as httpsRequest } from 'node:https'
import { connect as connectHttp2 } from 'node:http2'
import type { ClientHttp2Session } from 'node:http2'
import { connect as connectTls } from 'node:tls'
import { createAuthority, issueCertificate } from '../../src/lib/net/pki/certificates.ts'
import type { CertifiedKey } from '../../src/lib/net/pki/certificates.ts'
import { seededRandom } from '../../src/lib/base/random.ts'
import type { ApiServerOptions, Listening } from '../../src/control-plane/kube-apiserver/api-server.ts'
import { startWorld } from './api-server-world.ts'
import type { Loose, World } from './api-server-world.ts'

/** TLS looks at the machine's clock, whatever the cluster's says. */
const validity = { notBeforeMs: Date.UTC(2020, 0, 1), notAfterMs: Date.UTC(2045, 0, 1) }

export const adminToken = 'admin-token'
export const nobodyToken = 'nobody-token'

export interface HttpsRequest {
  readonly method?: string
  readonly path: string
  readonly headers?: { readonly [name: string]: string }
  /** Objects go as JSON, with its content type. */
  readonly body?: string | Uint8Array | object
  /** Null: none. The admin's unless told. */
  readonly token?: string | null
  readonly certificate?: CertifiedKey
  readonly http2?: boolean
  /** Of another server of the same world, over HTTP/1.1. */
  readonly port?: number
}

export interface HttpsAnswer {
  readonly status: number
  readonly headers: { readonly [name: string]: string | readonly string[] | undefined }
  readonly bytes: Buffer
  readonly text: string
  /** The body as JSON; undefined when it isn't. */
  readonly json: Loose
}

export interface HttpsWorld extends AsyncDisposable {
  readonly world: World
  readonly port: number
  readonly caPem: string
  /** A client certificate of this cluster's authority. */
  clientCertificate(commonName: string, organizations?: readonly string[], authority?: CertifiedKey): CertifiedKey
  send(request: HttpsRequest): Promise<HttpsAnswer>
  /** Fails unless the status is as said. */
  ask(status: number, request: HttpsRequest): Promise<Loose>
  /** A watch over HTTP/1.1, chunk by chunk. */
  watch(request: HttpsRequest): Promise<HttpsWatch>
  /** Writes these bytes after the TLS handshake and gives everything that comes back until the server closes. */
  raw(bytes: string | Uint8Array): Promise<string>
}

export interface HttpsWatch extends Disposable {
  readonly status: number
  readonly headers: HttpsAnswer['headers']
  /** The next event of a JSON watch; undefined at the end. */
  next(): Promise<Loose>
  /** The next length-prefixed frame of a protobuf watch. */
  nextFrame(): Promise<Buffer | undefined>
}

export async function startHttpsWorld(more: Partial<ApiServerOptions> = {}): Promise<HttpsWorld> {
  const random = seededRandom(7)
  const authority = createAuthority('kubernetes', validity, random)
  const serving = issueCertificate(authority, 'kubernetes', { subject: { commonName: 'kube-apiserver' }, names: ['localhost', '127.0.0.1'], usages: ['server'], random, ...validity })
  const world = await startWorld({
    tls: { certificate: serving.certificatePem, key: serving.keyPem }, clientCa: authority.certificatePem,
    tokens: [{ token: adminToken, user: { name: 'admin', uid: '', groups: ['system:masters'], extra: {} } }, { token: nobodyToken, user: { name: 'nobody', uid: '', groups: [], extra: {} } }], ...more,
  })
  const listening: Listening = await world.api.listen({ address: '127.0.0.1', port: 0 })
  const { port } = listening
  const ca = authority.certificatePem
  const sessions = new Map<string, ClientHttp2Session>()

  const headersOf = ({ headers = {}, body, token = adminToken }: HttpsRequest): { [name: string]: string } => ({
    ...(body !== undefined && typeof body === 'object' && !(body instanceof Uint8Array) && { 'content-type': 'application/json' }), ...(token !== null && { authorization: `Bearer ${token}` }), ...headers,
  })
  const bytesOf = ({ body }: HttpsRequest): Buffer | undefined => (body === undefined ? undefined : typeof body === 'string' ? Buffer.from(body) : body instanceof Uint8Array ? Buffer.from(body) : Buffer.from(JSON.stringify(body)))
  const answerOf = (status: number, headers: HttpsAnswer['headers'], chunks: readonly Buffer[]): HttpsAnswer => {
    const bytes = Buffer.concat(chunks)
    const text = bytes.toString()
    let json: Loose
    try { json = JSON.parse(text) } catch { json = undefined }
    return { status, headers, bytes, text, json }
  }
  const sendHttp1 = (request: HttpsRequest): Promise<HttpsAnswer> => new Promise((resolve, reject) => {
    const body = bytesOf(request)
    const outgoing = httpsRequest({
      host: '127.0.0.1', port: request.port ?? port, ca, agent: false, method: request.method ?? 'GET', path: request.path, headers: { ...headersOf(request), ...(body && { 'content-length': body.length }) },
      ...(request.certificate && { cert: request.certificate.certificatePem, key: request.certificate.keyPem }), maxHeaderSize: 1024 * 1024,
    }, (answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => { chunks.push(chunk) })
      answer.on('end', () => { resolve(answerOf(answer.statusCode ?? 0, answer.headers, chunks)) })
      answer.on('error', reject)
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
  const sendHttp2 = (request: HttpsRequest): Promise<HttpsAnswer> => new Promise((resolve, reject) => {
    const key = request.certificate?.certificatePem ?? ''
    let session = sessions.get(key)
    if (!session || session.closed || session.destroyed) {
      sessions.set(key, session = connectHttp2(`https://127.0.0.1:${port}`, { ca, ...(request.certificate && { cert: request.certificate.certificatePem, key: request.certificate.keyPem }) }))
      session.on('error', reject)
    }
    const body = bytesOf(request)
    const stream = session.request({ ':method': request.method ?? 'GET', ':path': request.path, ...headersOf(request) }, { endStream: body === undefined })
    let status = 0
    let headers: HttpsAnswer['headers'] = {}
    const chunks: Buffer[] = []
    stream.on('response', (received) => { status = Number(received[':status']); headers = received as HttpsAnswer['headers'] })
    stream.on('data', (chunk: Buffer) => { chunks.push(chunk) })
    stream.on('end', () => { resolve(answerOf(status, headers, chunks)) })
    stream.on('error', (error) => { if (status === 0) reject(error); else resolve(answerOf(status, headers, chunks)) })
    if (body) stream.end(body)
  })
  const send = (request: HttpsRequest): Promise<HttpsAnswer> => (request.http2 ? sendHttp2(request) : sendHttp1(request))

  return {
    world, port, caPem: ca, send,
    clientCertificate: (commonName, organizations = [], by = authority) => issueCertificate(by, 'kubernetes', { subject: { commonName, organizations }, usages: ['client'], random, ...validity }),
    async ask(status, request) {
      const answer = await send(request)
      assert.equal(answer.status, status, answer.text)
      return answer.json
    },
    watch: (request) => new Promise((resolve, reject) => {
      const outgoing = httpsRequest({ host: '127.0.0.1', port: request.port ?? port, ca, agent: false, method: 'GET', path: request.path, headers: headersOf(request) }, (answer) => {
        let held = Buffer.alloc(0)
        let ended = false
        let wake: (() => void) | undefined
        const more = (): void => { const w = wake; wake = undefined; w?.() }
        answer.on('data', (chunk: Buffer) => { held = Buffer.concat([held, chunk]); more() })
        for (const event of ['end', 'error', 'close']) answer.on(event, () => { ended = true; more() })
        const take = async (piece: () => Buffer | undefined): Promise<Buffer | undefined> => {
          for (;;) {
            const found = piece()
            if (found) return found
            if (ended) return undefined
            await new Promise<void>((go) => { wake = go })
          }
        }
        resolve({
          status: answer.statusCode ?? 0, headers: answer.headers,
          async next() {
            const line = await take(() => {
              const at = held.indexOf(0x0a)
              if (at < 0) return undefined
              const piece = held.subarray(0, at)
              held = held.subarray(at + 1)
              return piece
            })
            return line && JSON.parse(line.toString())
          },
          nextFrame: () => take(() => {
            if (held.length < 4) return undefined
            const size = held.readUInt32BE(0)
            if (held.length < 4 + size) return undefined
            const piece = held.subarray(4, 4 + size)
            held = held.subarray(4 + size)
            return piece
          }),
          [Symbol.dispose]() { outgoing.destroy() },
        })
      })
      outgoing.on('error', reject)
      outgoing.end()
    }),
    raw: (bytes) => new Promise((resolve, reject) => {
      const socket = connectTls({ host: '127.0.0.1', port, ca, servername: 'localhost', ALPNProtocols: ['http/1.1'] }, () => { socket.write(bytes) })
      let text = ''
      socket.on('data', (chunk: Buffer) => { text += chunk.toString('latin1') })
      socket.on('close', () => { resolve(text) })
      socket.on('error', (error) => { if (text === '') reject(error) })
    }),
    async [Symbol.asyncDispose]() {
      for (const session of sessions.values()) session.destroy()
      await listening[Symbol.asyncDispose]()
      await world[Symbol.asyncDispose]()
    },
  }
}

// The client's side of a connection that the server closes while requests are on their way.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { createSecureServer, type ServerHttp2Session } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { realClock } from '../async/real-clock.ts'
import type { JsonObject } from '../base/json.ts'
import { seededRandom } from '../base/random.ts'
import { createAuthority, issueCertificate } from '../net/pki/certificates.ts'
import { createHttpTransport } from './http-transport.ts'
import { TransportError } from './transport.ts'

const validity = { notBeforeMs: Date.UTC(2020, 0, 1), notAfterMs: Date.UTC(2045, 0, 1) }

/** A server that treats its first connections badly: as soon as they are there, or with the first request. */
async function serverThat(bad: { readonly onSession?: (session: ServerHttp2Session) => void; readonly onRequest?: (session: ServerHttp2Session) => void }, firsts: number): Promise<AsyncDisposable & { readonly url: string; readonly ca: string; readonly answered: () => number }> {
  const random = seededRandom(1)
  const authority = createAuthority('test', validity, random)
  const own = issueCertificate(authority, 'test', { subject: { commonName: 'server' }, usages: ['server'], names: ['localhost'], ...validity, random })
  let sessions = 0
  let answered = 0
  const server = createSecureServer({ cert: own.certificatePem, key: own.keyPem })
  const open = new Set<ServerHttp2Session>()
  server.on('session', (session) => {
    open.add(session)
    session.on('error', () => {})
    if (sessions++ < firsts) bad.onSession?.(session)
  })
  server.on('stream', (stream) => {
    stream.on('error', () => {})
    if (sessions <= firsts && bad.onRequest && stream.session) { bad.onRequest(stream.session as ServerHttp2Session); return } // cast: of a server
    answered++
    stream.respond({ ':status': 200, 'content-type': 'application/json' })
    stream.end('{}')
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const { port } = server.address() as AddressInfo // cast: it listens on TCP
  return { url: `https://localhost:${port}`, ca: authority.certificatePem, answered: () => answered, async [Symbol.asyncDispose]() { for (const session of open) session.destroy(); await new Promise((resolve) => { server.close(resolve) }) } }
}

const request = (signal: AbortSignal): { readonly method: 'POST'; readonly path: string; readonly body: JsonObject; readonly signal: AbortSignal } => ({ method: 'POST', path: '/x', body: {}, signal })

test('a request that a closing server has not begun goes over the next connection', async () => {
  await using server = await serverThat({ onSession: (session) => session.goaway(0, 0) }, 2)
  using transport = createHttpTransport({ server: server.url, clock: realClock, userAgent: 'test', certificateAuthority: server.ca })
  const answers = await Promise.all([1, 2, 3].map(() => transport.request(request(new AbortController().signal))))
  assert.deepEqual(answers.map((answer) => answer.status), [200, 200, 200])
})

test('a connection that breaks is an error: the request may have been processed', async () => {
  await using server = await serverThat({ onRequest: (session) => session.destroy() }, 1)
  using transport = createHttpTransport({ server: server.url, clock: realClock, userAgent: 'test', certificateAuthority: server.ca })
  await assert.rejects(transport.request(request(new AbortController().signal)), TransportError)
  assert.equal(server.answered(), 0)
})

import { test } from 'node:test'
import assert from 'node:assert/strict'
import { realClock } from '../../async/real-clock.ts'
import { seededRandom } from '../../base/random.ts'
import { createAuthority, issueCertificate } from '../pki/certificates.ts'
import { GrpcChannel } from './grpc-channel.ts'
import { serveGrpc } from './grpc-server.ts'

const random = seededRandom(3)
const validity = { notBeforeMs: Date.UTC(2020, 0, 1), notAfterMs: Date.UTC(2045, 0, 1) }
const authority = createAuthority('ca', validity, random)
const serving = issueCertificate(authority, 'ca', { subject: { commonName: 'server' }, names: ['127.0.0.1'], usages: ['server'], random, ...validity })

async function serve(requireClientCertificate: boolean): Promise<AsyncDisposable & { readonly target: string }> {
  const tls = { cert: serving.certificatePem, key: serving.keyPem, ...(requireClientCertificate && { ca: authority.certificatePem, requireClientCertificate }) }
  const server = await serveGrpc({ clock: realClock, listen: [{ host: '127.0.0.1', port: 0 }], tls, handlers: [['/test/Echo', { unary: (request) => request }]] })
  const address = server.addresses[0]
  assert.ok(address && 'port' in address)
  return { target: `https://127.0.0.1:${address.port}`, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

// Over TLS an answer may be read while something is being written: its data then comes before Node has told of its headers.
test('many calls at once over TLS: no answer is lost', { timeout: 30_000 }, async () => {
  await using server = await serve(false)
  using channel = new GrpcChannel({ target: server.target, clock: realClock, tls: { ca: authority.certificatePem } })
  const { signal } = new AbortController()
  await Promise.all(Array.from({ length: 40 }, async (_, lane) => {
    for (let i = 0; i < 100; i++) assert.equal((await channel.unary('/test/Echo', Buffer.alloc(1000, lane), { signal }))[999], lane)
  }))
})

// With TLS 1.3 the refusal comes after the handshake, while the first frames are being written; Node's session then never says that it has ended.
test('a server that does not accept the client ends the connection and its calls', { timeout: 10_000 }, async () => {
  await using server = await serve(true)
  let disconnects = 0
  using channel = new GrpcChannel({ target: server.target, clock: realClock, tls: { ca: authority.certificatePem }, onDisconnect: () => { disconnects++ } })
  const { signal } = new AbortController()
  await assert.rejects(channel.ready(), { code: 'Unavailable' })
  await assert.rejects(channel.unary('/test/Echo', Buffer.from('x'), { signal }), { code: 'Unavailable' })
  await assert.rejects(channel.ready(), { code: 'Unavailable' })
  assert.deepEqual([channel.isReady, disconnects], [false, 0], 'it never stood')
})

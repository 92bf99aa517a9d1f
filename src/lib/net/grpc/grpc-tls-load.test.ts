import { test } from 'node:test'
import assert from 'node:assert/strict'
import { realClock } from '../../async/real-clock.ts'
import { seededRandom } from '../../base/random.ts'
import { createAuthority, issueCertificate } from '../pki/certificates.ts'
import { GrpcChannel } from './grpc-channel.ts'
import { serveGrpc } from './grpc-server.ts'

// Over TLS an answer may be read while something is being written: its data then comes before Node has told of its headers.
test('many calls at once over TLS: no answer is lost', { timeout: 30_000 }, async () => {
  const random = seededRandom(3)
  const validity = { notBeforeMs: Date.UTC(2020, 0, 1), notAfterMs: Date.UTC(2045, 0, 1) }
  const authority = createAuthority('ca', validity, random)
  const serving = issueCertificate(authority, 'ca', { subject: { commonName: 'server' }, names: ['127.0.0.1'], usages: ['server'], random, ...validity })
  await using server = await serveGrpc({ clock: realClock, listen: [{ host: '127.0.0.1', port: 0 }], tls: { cert: serving.certificatePem, key: serving.keyPem }, handlers: [['/test/Echo', { unary: (request) => request }]] })
  const address = server.addresses[0]
  assert.ok(address && 'port' in address)
  using channel = new GrpcChannel({ target: `https://127.0.0.1:${address.port}`, clock: realClock, tls: { ca: authority.certificatePem } })
  const { signal } = new AbortController()
  await Promise.all(Array.from({ length: 40 }, async (_, lane) => {
    for (let i = 0; i < 100; i++) assert.equal((await channel.unary('/test/Echo', Buffer.alloc(1000, lane), { signal }))[999], lane)
  }))
})

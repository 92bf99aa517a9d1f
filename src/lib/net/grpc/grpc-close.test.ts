// A server that ends waits for nobody: not for connections that are still shaking hands, which are none of its streams yet.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { realClock } from '../../async/real-clock.ts'
import { seededRandom } from '../../base/random.ts'
import { createAuthority, issueCertificate } from '../pki/certificates.ts'
import { serveGrpc } from './grpc-server.ts'

const random = seededRandom(3)
const validity = { notBeforeMs: Date.UTC(2020, 0, 1), notAfterMs: Date.UTC(2045, 0, 1) }
const authority = createAuthority('ca', validity, random)
const { certificatePem: cert, keyPem: key } = issueCertificate(authority, 'ca', { subject: { commonName: 'server' }, names: ['127.0.0.1'], usages: ['server'], random, ...validity })

for (const secure of [false, true]) {
  test(`a ${secure ? 'TLS ' : ''}connection that has said nothing yet is cut when the server ends`, { timeout: 5000 }, async () => {
    const server = await serveGrpc({ clock: realClock, listen: [{ host: '127.0.0.1', port: 0 }], ...(secure && { tls: { cert, key } }), handlers: [] })
    const address = server.addresses[0]
    assert.ok(address && 'port' in address)
    const socket = connect(address.port, '127.0.0.1')
    await once(socket, 'connect')
    // The server has accepted it, too.
    const second = connect(address.port, '127.0.0.1')
    await once(second, 'connect')
    second.destroy()
    await once(second, 'close')
    const closed = once(socket, 'close')
    socket.on('error', () => {})
    await server[Symbol.asyncDispose]()
    await closed
  })
}

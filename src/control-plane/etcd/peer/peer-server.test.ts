// A member that ends waits for nobody who is only about to connect.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { realClock } from '../../../lib/async/real-clock.ts'
import { realRandom } from '../../../lib/async/real-random.ts'
import { silentLogger } from '../../../lib/component-base/log.ts'
import { createAuthority, issueCertificate } from '../../../lib/net/pki/certificates.ts'
import type { MemberRoutes } from './member-routes.ts'
import { PeerServer } from './peer-server.ts'
import { PeerTls } from './peer-tls.ts'
import type { RaftRoutes } from './raft-routes.ts'

test('a connection that has not shaken hands yet is cut when the member ends', { timeout: 10_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'peer-server-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const validity = { notBeforeMs: realClock.now() - 60_000, notAfterMs: realClock.now() + 3_600_000 }
  const pair = issueCertificate(createAuthority('peers', validity, realRandom), 'peers', { subject: { commonName: 'm' }, names: ['127.0.0.1'], usages: ['server', 'client'], random: realRandom, ...validity })
  const files = { certFile: join(folder, 'm.pem'), keyFile: join(folder, 'm-key.pem') }
  writeFileSync(files.certFile, pair.certificatePem)
  writeFileSync(files.keyFile, pair.keyPem)
  const nobody = { serve: () => Promise.reject(new Error('nobody asks')) }
  const server = await PeerServer.listen({
    listenUrls: ['https://127.0.0.1:0'], tls: await PeerTls.load(files), clock: realClock, logger: silentLogger, readTimeoutMs: 5000,
    raft: nobody as unknown as RaftRoutes, members: nobody as unknown as MemberRoutes, // cast: not asked
  })
  const [port = 0] = server.ports
  const sockets = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')]
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  const [silent, leaving] = sockets
  assert.ok(silent && leaving)
  // When this one is gone the server has accepted both.
  leaving.destroy()
  await once(leaving, 'close')
  silent.on('error', () => {})
  const closed = once(silent, 'close')
  await server[Symbol.asyncDispose]()
  await closed
})

// What TLS between members refuses beyond a wrong signature, and that certificates change while members run.
import { test, type TestContext } from 'node:test'
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { tmpdir } from 'node:os'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { realClock } from '../../../lib/async/real-clock.ts'
import { realRandom } from '../../../lib/async/real-random.ts'
import { createAuthority, issueCertificate } from '../../../lib/net/pki/certificates.ts'
import { derInteger, derOid, derSequence, derTime } from '../../../lib/net/pki/der-writer.ts'
import { PeerClient } from './peer-client.ts'
import { PeerTls, selfSignedCertificate, type PeerTlsOptions } from './peer-tls.ts'
import { isRevoked, normalizeSerial, readRevokedSerials } from './revoked-serials.ts'

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'peer-tls-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

const validity = (): { readonly notBeforeMs: number; readonly notAfterMs: number } => ({ notBeforeMs: realClock.now() - 60_000, notAfterMs: realClock.now() + 3_600_000 })

function write(folder: string, authority: ReturnType<typeof createAuthority>, name: string, commonName: string): PeerTlsOptions {
  const pair = issueCertificate(authority, 'peers', { subject: { commonName }, names: ['127.0.0.1'], usages: ['server', 'client'], random: realRandom, ...validity() })
  const options = { certFile: join(folder, `${name}.pem`), keyFile: join(folder, `${name}-key.pem`), trustedCaFile: join(folder, 'ca.pem') }
  writeFileSync(options.certFile, pair.certificatePem)
  writeFileSync(options.keyFile, pair.keyPem)
  writeFileSync(options.trustedCaFile, authority.certificatePem)
  return options
}

/** A list without a signature: nobody looks at it. */
function revocationList(serials: readonly string[], pem: boolean): Buffer {
  const revoked = serials.map((serial) => derSequence(derInteger(Buffer.from(serial, 'hex')), derTime(realClock.now())))
  const algorithm = derSequence(derOid('1.2.840.10045.4.3.2'))
  const body = derSequence(derInteger(Uint8Array.of(1)), algorithm, derSequence(), derTime(realClock.now()), derTime(realClock.now()), ...(revoked.length > 0 ? [derSequence(...revoked)] : []))
  const list = Buffer.from(derSequence(body, algorithm))
  return pem ? Buffer.from(`-----BEGIN X509 CRL-----\n${list.toString('base64')}\n-----END X509 CRL-----\n`) : list
}

interface TestServer extends AsyncDisposable { readonly url: string; renew(): void }

async function listen(tls: PeerTls): Promise<TestServer> {
  const verdicts = new WeakMap<object, Promise<string | undefined>>()
  const server = createServer(tls.serverOptions(), (request, response) => {
    void verdicts.get(request.socket)?.then((refusal) => { response.end(refusal ?? (request.socket as TLSSocket).getPeerX509Certificate()?.subject ?? 'nobody') }) // cast: an https server
  })
  server.on('secureConnection', (socket) => { verdicts.set(socket, tls.checkClient(socket)) })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, renew: () => server.setSecureContext(tls.serverContext()),
    [Symbol.asyncDispose]: async () => { server.closeAllConnections(); await new Promise((resolve) => { server.close(resolve) }) },
  }
}

async function ask(url: string, tls: PeerTls): Promise<string> {
  using client = new PeerClient({ clock: realClock, tls })
  return (await client.ask(url, '/', { method: 'GET', timeoutMs: 5000 })).body.toString()
}

test('revoked certificates are refused on both sides', async (t) => {
  const folder = folderOf(t)
  const authority = createAuthority('peers', validity(), realRandom)
  const good = write(folder, authority, 'good', 'good')
  const bad = write(folder, authority, 'bad', 'bad')
  const serial = new X509Certificate(readFileSync(bad.certFile ?? '')).serialNumber
  for (const pem of [false, true]) {
    const crlFile = join(folder, 'revoked.crl')
    writeFileSync(crlFile, revocationList(['00c0ffee', serial], pem))
    const strict = await PeerTls.load({ ...good, crlFile })
    await using server = await listen(strict)
    assert.equal(await ask(server.url, await PeerTls.load(good)), 'CN=good')
    assert.equal(await ask(server.url, await PeerTls.load(bad)), 'the certificate is revoked')
    await using revoked = await listen(await PeerTls.load(bad))
    await assert.rejects(ask(revoked.url, strict), /revoked/)
  }
})

test('revocation lists: damaged ones are refused, serials compare by value', () => {
  const list = revocationList(['00ff01', '7f'], false)
  assert.deepEqual([...readRevokedSerials(list)], ['FF01', '7F'])
  assert.deepEqual([...readRevokedSerials(revocationList([], true))], [])
  assert.equal(normalizeSerial('000a'), 'A')
  for (let cut = 0; cut < list.length; cut++) assert.throws(() => readRevokedSerials(list.subarray(0, cut)), { name: 'RevocationListError' })
  assert.throws(() => readRevokedSerials(Buffer.from('not a list')), { name: 'RevocationListError' })
})

test('a list made by OpenSSL is understood', (t) => {
  const folder = folderOf(t)
  const openssl = (...args: readonly string[]): void => { execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' }) }
  try { openssl('version') } catch { t.skip('no openssl'); return }
  writeFileSync(join(folder, 'index.txt'), '')
  writeFileSync(join(folder, 'crlnumber'), '01\n')
  writeFileSync(join(folder, 'ca.cnf'), '[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=crlnumber\ndefault_md=sha256\ndefault_crl_days=1\n[req]\ndistinguished_name=n\nprompt=no\n[n]\nCN=test\n')
  openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'key.pem', '-out', 'cert.pem', '-config', 'ca.cnf', '-set_serial', '0x00DEADBEEF01')
  openssl('ca', '-config', 'ca.cnf', '-revoke', 'cert.pem', '-keyfile', 'key.pem', '-cert', 'cert.pem')
  openssl('ca', '-config', 'ca.cnf', '-gencrl', '-keyfile', 'key.pem', '-cert', 'cert.pem', '-out', 'crl.pem')
  const serials = readRevokedSerials(readFileSync(join(folder, 'crl.pem')))
  assert.deepEqual([...serials], ['DEADBEEF01'])
  assert.ok(isRevoked(new X509Certificate(readFileSync(join(folder, 'cert.pem'))), serials))
})

test('allowed names are asked of both sides', async (t) => {
  const folder = folderOf(t)
  const authority = createAuthority('peers', validity(), realRandom)
  const [a, b] = [write(folder, authority, 'a', 'first'), write(folder, authority, 'b', 'second')]
  await using server = await listen(await PeerTls.load({ ...a, allowedCommonNames: ['first', 'third'] }))
  assert.equal(await ask(server.url, await PeerTls.load(b)), 'client certificate authentication failed')
  assert.equal(await ask(server.url, await PeerTls.load({ ...a, allowedCommonNames: ['first'] })), 'CN=first')
  await assert.rejects(ask(server.url, await PeerTls.load({ ...a, allowedCommonNames: ['second'] })), /allowed names/)
  await assert.rejects(ask(server.url, await PeerTls.load({ ...a, allowedHostnames: ['etcd.example'] })), /allowed names/)
  assert.equal(await ask(server.url, await PeerTls.load({ ...a, allowedHostnames: ['127.0.0.1'] })), 'CN=first')
  await assert.rejects(PeerTls.load({ ...a, allowedCommonNames: ['x'], allowedHostnames: ['y'] }), { name: 'PeerTlsError' })
  await assert.rejects(PeerTls.load({ certFile: 'x' }), { name: 'PeerTlsError' })
})

test('self-signed certificates: made once, believed by all that have one', async (t) => {
  const folder = join(folderOf(t), 'fixtures', 'peer')
  const files = await selfSignedCertificate(folder, ['127.0.0.1:2380', '[::1]:2380', 'host.example'], 1, realClock, realRandom)
  assert.equal(statSync(files.keyFile).mode & 0o777, 0o600)
  const certificate = new X509Certificate(readFileSync(files.certFile))
  assert.ok(certificate.checkIP('127.0.0.1') && certificate.checkIP('::1') && certificate.checkHost('host.example'))
  const before = readFileSync(files.certFile, 'utf8')
  await selfSignedCertificate(folder, ['127.0.0.1'], 1, realClock, realRandom)
  assert.equal(readFileSync(files.certFile, 'utf8'), before)
  const tls = await PeerTls.load({ ...files, isSelfSigned: true })
  await using server = await listen(tls)
  assert.equal(await ask(server.url, tls), 'nobody')
  await assert.rejects(ask(server.url, await PeerTls.load({})), /self.signed|verify|certificate/)
})

test('renewed certificates are taken up; a half-written one is not', async (t) => {
  const folder = folderOf(t)
  const authority = createAuthority('peers', validity(), realRandom)
  const options = write(folder, authority, 'member', 'before')
  const tls = await PeerTls.load(options)
  await using server = await listen(tls)
  assert.equal(await ask(server.url, tls), 'CN=before')
  assert.equal(await tls.refresh(), false)
  const next = createAuthority('peers', validity(), realRandom)
  write(folder, next, 'member', 'after')
  assert.equal(await tls.refresh(), true)
  server.renew()
  assert.equal(await ask(server.url, tls), 'CN=after')
  rmSync(options.keyFile ?? '')
  await assert.rejects(tls.refresh())
  assert.equal(await ask(server.url, tls), 'CN=after')
})

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { realRandom } from '../../../lib/async/real-random.ts'
import { createAuthority } from '../../../lib/net/pki/certificates.ts'
import { createApiClient } from '../../../lib/client/resource-client.ts'
import { certificateSigningRequests } from '../../../lib/client/resource-keys.ts'
import { silentLogger } from '../../../lib/component-base/log.ts'
import { FakeApiServer } from '../../../lib/testing/fake-api-server.ts'
import { SimulatedClock } from '../../../lib/testing/simulated-clock.ts'
import { startControllerManager } from '../controller-manager.ts'
import { CertificateRequestError, parseCertificateRequest } from './certificate-request.ts'

/** A request made by openssl, so that reading it is tested against somebody else's writing. */
function makeRequest(subject: string, names?: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'k8ts-csr-'))
  try {
    const path = (name: string): string => join(folder, name)
    writeFileSync(path('config'), `[req]\ndistinguished_name=dn\n${names ? 'req_extensions=ext\n' : ''}[dn]\n[ext]\nsubjectAltName=${names ?? 'DNS:x'}\n`)
    execFileSync('openssl', ['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', path('key'), '-subj', subject, '-config', path('config'), '-out', path('csr')], { stdio: 'pipe' })
    return readFileSync(path('csr'), 'utf8')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const hasOpenssl = ((): boolean => { try { execFileSync('openssl', ['version'], { stdio: 'pipe' }); return true } catch { return false } })()

test('a request is read as openssl wrote it, and one whose signature is wrong is refused', { skip: !hasOpenssl && 'no openssl here' }, () => {
  const pem = makeRequest('/O=system:nodes/CN=system:node:n1', 'DNS:n1,IP:10.0.0.1,IP:fd00::1')
  const { publicKey: _key, ...names } = parseCertificateRequest(pem)
  assert.deepEqual(names, { commonName: 'system:node:n1', organizations: ['system:nodes'], dnsNames: ['n1'], ipAddresses: ['10.0.0.1', 'fd00:0:0:0:0:0:0:1'], emailAddresses: [], uris: [] })
  const bytes = Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64')
  for (let i = 0; i < bytes.length; i += 7) {
    const broken = Buffer.from(bytes)
    broken[i] = (broken[i] ?? 0) ^ 0x41
    assert.throws(() => parseCertificateRequest(`-----BEGIN CERTIFICATE REQUEST-----\n${broken.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`), CertificateRequestError, `byte ${i}`)
  }
})

test("a kubelet's request is approved when it may, signed, and swept away after an hour", { skip: !hasOpenssl && 'no openssl here' }, async () => {
  const clock = new SimulatedClock()
  const server = new FakeApiServer({ clock })
  const request = server.request.bind(server)
  server.request = async (sent) => (sent.path.endsWith('/subjectaccessreviews')
    ? { status: 201, headers: {}, body: { kind: 'object', object: { status: { allowed: JSON.stringify(sent.body).includes('system:bootstrap:good') } } } } : request(sent))
  const stop = new AbortController()
  const ca = createAuthority('kubernetes', { notBeforeMs: clock.now() - 1000, notAfterMs: clock.now() + 10 * 365 * 86_400_000 }, realRandom)
  const manager = startControllerManager({
    client: createApiClient(server, { userAgent: 'test' }), clock, random: realRandom, logger: silentLogger, controllers: ['csrapproving', 'csrsigning', 'csrcleaner'],
    settings: { clusterSigning: { certificate: ca.certificatePem, key: ca.keyPem, durationMs: 365 * 86_400_000 } },
  }, stop.signal)
  const pem = makeRequest('/O=system:nodes/CN=system:node:n1')
  const post = (name: string, username: string): unknown => server.seed(certificateSigningRequests, {
    metadata: { name }, spec: { request: Buffer.from(pem).toString('base64'), signerName: 'kubernetes.io/kube-apiserver-client-kubelet', usages: ['digital signature', 'client auth'], username, expirationSeconds: 3600 },
  })
  post('good', 'system:bootstrap:good')
  post('bad', 'somebody')
  await clock.advance(1_000)
  const good = server.get(certificateSigningRequests, '', 'good')
  assert.equal(good?.status?.conditions?.[0]?.reason, 'AutoApproved')
  const certificate = new X509Certificate(Buffer.from(good?.status?.certificate ?? '', 'base64'))
  assert.equal(certificate.subject, 'O=system:nodes\nCN=system:node:n1')
  assert.ok(certificate.checkIssued(new X509Certificate(ca.certificatePem)))
  assert.equal(certificate.validToDate.getTime(), clock.now() - 1_000 + 3_600_000)
  assert.equal(server.get(certificateSigningRequests, '', 'bad')?.status?.conditions, undefined)
  await clock.advance(3_700_000)
  assert.equal(server.get(certificateSigningRequests, '', 'good'), undefined)
  assert.ok(server.get(certificateSigningRequests, '', 'bad'))
  stop.abort()
  await manager.done
})

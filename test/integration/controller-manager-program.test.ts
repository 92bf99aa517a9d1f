// kube-controller-manager as a process of its own: over HTTPS, with a client certificate, a lease, and a service account for each controller.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { sleep } from '../../src/lib/base/clock.ts'
import { createApiClient } from '../../src/lib/client/resource-client.ts'
import { configMaps, deployments, leases, pods, serviceAccounts } from '../../src/lib/client/resource-keys.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import { createAuthority, generateKeyPair, issueCertificate } from '../../src/lib/net/pki/certificates.ts'
import { openEtcd } from '../../src/control-plane/etcd/embedded.ts'
import { startApiServer } from '../../src/control-plane/kube-apiserver/api-server.ts'
import { deployment } from './fake-cluster.ts'

test('the program runs its controllers over HTTPS under their service accounts and gives its lease back', { timeout: 30_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'k8ts-kcm-'))
  const stop = new AbortController()
  const { signal } = stop
  await using stack = new AsyncDisposableStack()
  stack.defer(() => { stop.abort(); rmSync(folder, { recursive: true, force: true }) })
  const clock = realClock
  const validity = { notBeforeMs: clock.now() - 60_000, notAfterMs: clock.now() + 3_600_000 }
  const authority = createAuthority('test-ca', validity, realRandom)
  const serving = issueCertificate(authority, 'test-ca', { subject: { commonName: 'kube-apiserver' }, names: ['127.0.0.1'], usages: ['server'], random: realRandom, ...validity })
  const own = issueCertificate(authority, 'test-ca', { subject: { commonName: 'system:kube-controller-manager' }, usages: ['client'], random: realRandom, ...validity })
  const accountKey = generateKeyPair()
  const etcd = stack.use(await openEtcd({ disk: 'memory', clock, random: realRandom, logger: silentLogger }))
  const server = stack.use(await startApiServer({
    etcd: etcd.client, clock, random: realRandom, logger: silentLogger, clientCa: authority.certificatePem, tls: { certificate: serving.certificatePem, key: serving.keyPem },
    serviceAccounts: { issuers: ['https://kubernetes.default.svc'], signingKey: accountKey.keyPem },
  }, signal))
  const { port } = await server.listen({ address: '127.0.0.1', port: 0 })
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  const kubeconfig = join(folder, 'kubeconfig')
  writeFileSync(kubeconfig, JSON.stringify({
    apiVersion: 'v1', kind: 'Config', 'current-context': 'c', contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
    clusters: [{ name: 'c', cluster: { server: `https://127.0.0.1:${port}`, 'certificate-authority-data': base64(authority.certificatePem) } }],
    users: [{ name: 'u', user: { 'client-certificate-data': base64(own.certificatePem), 'client-key-data': base64(own.keyPem) } }],
  }))
  writeFileSync(join(folder, 'ca.crt'), authority.certificatePem)
  writeFileSync(join(folder, 'sa.key'), accountKey.keyPem)
  const program = `import { run } from ${JSON.stringify(join(import.meta.dirname, '../../src/cmd/kube-controller-manager.ts'))}; process.exitCode = await run(process.argv.slice(1))`
  const child = spawn(process.execPath, ['--disable-proto=delete', '--input-type=module', '-e', program, '--', `--kubeconfig=${kubeconfig}`, '--use-service-account-credentials', '--secure-port', '0',
    `--root-ca-file=${join(folder, 'ca.crt')}`, `--service-account-private-key-file=${join(folder, 'sa.key')}`, '--controllers=*,-ttl'], { stdio: ['ignore', 'ignore', 'pipe'] })
  const log: string[] = []
  child.stderr.setEncoding('utf8').on('data', (text: string) => log.push(text))
  stack.defer(() => { child.kill('SIGKILL') })
  const admin = createApiClient(server.transport({ name: 'admin', uid: '', groups: ['system:masters', 'system:authenticated'], extra: {} }), { userAgent: 'admin' })
  const until = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
    for (let i = 0; i < 400; i++) { if (await holds()) return; await sleep(clock, 50, signal) }
    assert.fail(`${what}\n${log.join('')}`)
  }
  await admin.resource(deployments).create('default', deployment('web', 2), signal)
  await until('two pods', async () => (await admin.resource(pods).list('default', {}, signal)).items.length === 2)
  await until('the certificate', async () => (await admin.resource(configMaps).list('default', {}, signal)).items.some((map) => map.metadata.name === 'kube-root-ca.crt'))
  const accounts = (await admin.resource(serviceAccounts).list('kube-system', {}, signal)).items.map((account) => account.metadata.name)
  assert.ok(accounts.includes('replicaset-controller') && accounts.includes('deployment-controller'), accounts.join())
  assert.ok((await admin.resource(leases).get('kube-system', 'kube-controller-manager', signal)).spec.holderIdentity)
  child.kill('SIGTERM')
  const [code] = await once(child, 'exit')
  assert.equal(code, 0, log.join(''))
  assert.equal((await admin.resource(leases).get('kube-system', 'kube-controller-manager', signal)).spec.holderIdentity ?? '', '')
  assert.doesNotMatch(log.join(''), /^E/m)
})

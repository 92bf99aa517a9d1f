// kube-apiserver as a program: what its --etcd-… flags do, and what it says when they can't work.
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request as httpsRequest } from 'node:https'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { openEtcd, type EmbeddedEtcd } from '../../src/control-plane/etcd/embedded.ts'
import { serveEtcd } from '../../src/control-plane/etcd/v3rpc/serve-etcd.ts'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { seededRandom } from '../../src/lib/base/random.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import { createAuthority, issueCertificate, type CertifiedKey } from '../../src/lib/net/pki/certificates.ts'

const signal = new AbortController().signal
const main = resolve(import.meta.dirname, '../../src/cmd/main.ts')
const validity = { notBeforeMs: Date.UTC(2020, 0, 1), notAfterMs: Date.UTC(2045, 0, 1) }
const random = seededRandom(21)
let folder = ''
let stack = new AsyncDisposableStack()
let secure = ''
let plain = ''
let etcd: EmbeddedEtcd
let events: EmbeddedEtcd
const files: { ca: string; otherCa: string; cert: string; key: string; otherCert: string; otherKey: string } = { ca: '', otherCa: '', cert: '', key: '', otherCert: '', otherKey: '' }

interface Program extends AsyncDisposable { readonly exited: Promise<number>; readonly output: () => string }

function start(flags: readonly string[]): Program {
  const child = spawn(process.execPath, ['--disable-proto=delete', main, 'kube-apiserver', '--bind-address', '127.0.0.1', '--advertise-address', '127.0.0.1', '--cert-dir', join(folder, 'certs'), ...flags], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => { output += chunk.toString() })
  child.stderr.on('data', (chunk: Buffer) => { output += chunk.toString() })
  const exited = new Promise<number>((done) => { child.once('close', (code) => { done(code ?? -1) }) })
  return { exited, output: () => output, async [Symbol.asyncDispose]() { child.kill('SIGKILL'); await exited } }
}

/** It has to end with this; a test that waits for ever fails by its time limit. */
async function refused(flags: readonly string[], message: RegExp): Promise<void> {
  await using program = start(flags)
  const code = await Promise.race([program.exited, delay(20_000, undefined, { ref: false }).then(() => { throw new Error(`it still runs:\n${program.output()}`) })])
  assert.match(program.output(), message)
  assert.equal(code, 1)
}

const tls = (): readonly string[] => ['--etcd-servers', secure, '--etcd-cafile', files.ca, '--etcd-certfile', files.cert, '--etcd-keyfile', files.key]

// All in one: in a run without isolation, hooks outside of a suite belong to every file.
describe('kube-apiserver’s flags for etcd', () => {
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'k8ts-etcd-flags-'))
    const file = (name: string, text: string): string => { writeFileSync(join(folder, name), text); return join(folder, name) }
    const authority = createAuthority('etcd-ca', validity, random)
    const other = createAuthority('other-ca', validity, random)
    const issue = (by: CertifiedKey, byName: string, commonName: string, usages: readonly ('server' | 'client')[]): CertifiedKey => issueCertificate(by, byName, { subject: { commonName }, names: ['127.0.0.1'], usages: [...usages], random, ...validity })
    const serving = issue(authority, 'etcd-ca', 'etcd', ['server'])
    const client = issue(authority, 'etcd-ca', 'kube-apiserver', ['client'])
    const stranger = issue(other, 'other-ca', 'stranger', ['client'])
    Object.assign(files, {
      ca: file('ca.crt', authority.certificatePem), otherCa: file('other-ca.crt', other.certificatePem), cert: file('client.crt', client.certificatePem), key: file('client.key', client.keyPem),
      otherCert: file('other.crt', stranger.certificatePem), otherKey: file('other.key', stranger.keyPem),
    })
    const open = async (): Promise<EmbeddedEtcd> => stack.use(await openEtcd({ disk: 'memory', clock: realClock, random: realRandom, logger: silentLogger }))
    etcd = await open()
    events = await open()
    const serve = async (of: EmbeddedEtcd, tls: boolean): Promise<string> => {
      const server = stack.use(await serveEtcd(of, { clock: realClock, listen: [{ host: '127.0.0.1', port: 0 }], ...(tls && { tls: { cert: serving.certificatePem, key: serving.keyPem, ca: authority.certificatePem, requireClientCertificate: true } }) }))
      const address = server.addresses[0]
      return `${tls ? 'https' : 'http'}://127.0.0.1:${address && 'port' in address ? address.port : 0}`
    }
    secure = await serve(etcd, true)
    plain = await serve(events, false)
  })

  after(async () => {
    await stack.disposeAsync()
    stack = new AsyncDisposableStack()
    rmSync(folder, { recursive: true, force: true })
  })

  describe('what can’t work is said, with what to do', { timeout: 120_000, concurrency: 3 }, () => {
    const cases: readonly (readonly [string, () => readonly string[], RegExp])[] = [
      ['no servers', () => [], /Error: --etcd-servers must be specified\n/],
      ['another backend', () => ['--etcd-servers', plain, '--storage-backend', 'etcd2'], /--storage-backend invalid, allowed values: etcd3\. If not specified, it will default to 'etcd3'/],
      ['another media type', () => ['--etcd-servers', plain, '--storage-media-type', 'text/plain'], /--storage-media-type "text\/plain" invalid, allowed values: application\/json/],
      ['a reload of nothing', () => ['--etcd-servers', plain, '--encryption-provider-config-automatic-reload'], /--encryption-provider-config-automatic-reload must be set with --encryption-provider-config/],
      ['no encryption configuration', () => ['--etcd-servers', plain, '--encryption-provider-config', '/none/encryption.yaml'], /--encryption-provider-config: \/none\/encryption\.yaml: error reading encryption provider configuration file .*ENOENT/],
      ['a wrong encryption configuration', () => ['--etcd-servers', plain, '--encryption-provider-config', files.ca], /--encryption-provider-config: .*ca\.crt: error decoding encryption provider configuration/],
      ['a cache size that is none', () => ['--etcd-servers', plain, '--watch-cache-sizes', 'pods=0'], /--watch-cache-sizes: invalid value of watch cache size: pods=0/],
      ['an override that is none', () => ['--etcd-servers', plain, '--etcd-servers-overrides', 'events=http://x'], /--etcd-servers-overrides invalid, must be of format: group\/resource#servers/],
      ['Services without their addresses', () => ['--etcd-servers', plain, '--etcd-servers-overrides', `/services#${secure}`], /networking\.k8s\.io\/ipaddresses are written together/],
      ['a file that is not there', () => ['--etcd-servers', secure, '--etcd-cafile', '/none/ca.crt'], /--etcd-cafile: \/none\/ca\.crt can't be read \(ENOENT\): give the path/],
      ['a file of another kind', () => ['--etcd-servers', secure, '--etcd-cafile', files.ca, '--etcd-certfile', files.key, '--etcd-keyfile', files.key], /--etcd-certfile: there is no CERTIFICATE in /],
      ['a certificate without its key', () => ['--etcd-servers', secure, '--etcd-certfile', files.cert], /--etcd-certfile and --etcd-keyfile belong together/],
      ['a key of another certificate', () => ['--etcd-servers', secure, '--etcd-cafile', files.ca, '--etcd-certfile', files.cert, '--etcd-keyfile', files.otherKey], /belongs to another certificate .*: give the files that were made together/],
      ['no authority', () => ['--etcd-servers', secure, '--etcd-certfile', files.cert, '--etcd-keyfile', files.key], /--etcd-cafile is not given\): give the authority that signed etcd's certificate in --etcd-cafile/],
      ['another authority', () => ['--etcd-servers', secure, '--etcd-cafile', files.otherCa, '--etcd-certfile', files.cert, '--etcd-keyfile', files.key], /--etcd-cafile is .*other-ca\.crt\): give the authority that signed/],
      ['TLS where none is spoken', () => ['--etcd-servers', plain.replace('http:', 'https:'), '--etcd-cafile', files.ca], /does not speak TLS there .*: write http:\/\/ in --etcd-servers/],
      ['files for TLS, and an address without', () => ['--etcd-servers', plain, '--etcd-cafile', files.ca], /would be spoken to in the clear: write https:\/\//],
    ]
    for (const [title, flags, message] of cases) test(title, { timeout: 60_000 }, () => refused(flags(), message))

    // A server may say why it refuses a certificate (that is the end), or only close the connection (which is waited out, with a warning).
    for (const [title, more] of [['no client certificate', []], ['a client certificate of strangers', ['cert']]] as const) {
      test(title, { timeout: 60_000 }, async () => {
        await using program = start(['--etcd-servers', secure, '--etcd-cafile', files.ca, ...(more.length > 0 ? ['--etcd-certfile', files.otherCert, '--etcd-keyfile', files.otherKey] : [])])
        const said = more.length > 0 ? /(may|does) not accept this server's certificate \(.*--etcd-certfile is .*other\.crt\)/ : /(may|does) not accept this server's certificate \(.*no --etcd-certfile is given\)/
        for (let i = 0; !said.test(program.output()); i++) {
          if (i === 300) assert.fail(program.output())
          await delay(100)
        }
      })
    }
  })

  describe('what they do', { timeout: 120_000 }, () => {
    const get = (port: number, path: string, method = 'GET', body?: object): Promise<{ readonly status: number; readonly text: string }> => new Promise((done, failed) => {
      const outgoing = httpsRequest({ host: '127.0.0.1', port, path, method, rejectUnauthorized: false, headers: { 'content-type': 'application/json' } }, (answer) => {
        let text = ''
        answer.on('data', (chunk: Buffer) => { text += chunk.toString() })
        answer.on('end', () => { done({ status: answer.statusCode ?? 0, text }) })
      })
      outgoing.on('error', failed)
      outgoing.end(body && JSON.stringify(body))
    })

    test('a prefix, an etcd of its own for events, time limits, metrics; an endpoint that is dead comes first', { timeout: 60_000 }, async () => {
      const port = await freePort()
      const encryption = join(folder, 'encryption.yaml')
      writeFileSync(encryption, `kind: EncryptionConfiguration\napiVersion: apiserver.config.k8s.io/v1\nresources:\n- {resources: [secrets], providers: [{aescbc: {keys: [{name: one, secret: ${Buffer.alloc(32, 1).toString('base64')}}]}}]}\n`)
      await using program = start([
        '--secure-port', String(port), '--etcd-servers', `https://127.0.0.1:1,${secure}`, '--etcd-cafile', files.ca, '--etcd-certfile', files.cert, '--etcd-keyfile', files.key,
        '--etcd-prefix', 'cluster-one/', '--etcd-servers-overrides', `/events#${plain}`, '--storage-backend', 'etcd3', '--storage-media-type', 'application/vnd.kubernetes.protobuf', '--etcd-healthcheck-timeout', '1s', '--etcd-readycheck-timeout', '1s',
        '--etcd-db-metric-poll-interval', '1s', '--etcd-count-metric-poll-period', '0', '--lease-reuse-duration-seconds', '5', '--event-ttl', '1h', '--watch-cache', '--default-watch-cache-size', '100', '--watch-cache-sizes', 'pods#1000',
        '--encryption-provider-config', encryption, '--encryption-provider-config-automatic-reload', '--delete-collection-workers', '3', '--enable-garbage-collector=false',
      ])
      for (let i = 0; ; i++) {
        const ready = await get(port, '/readyz').catch(() => undefined)
        if (ready?.status === 200) break
        if (i === 200) assert.fail(program.output())
        await delay(100)
      }
      for (const check of ['/healthz/etcd', '/livez/etcd', '/readyz/etcd-readiness', '/healthz/etcd-override-0', '/readyz/etcd-override-readiness-0', '/livez/kms-providers']) assert.deepEqual(await get(port, check), { status: 200, text: 'ok' }, check)
      assert.equal((await get(port, '/api/v1/namespaces/default/configmaps', 'POST', { metadata: { name: 'a' } })).status, 201)
      assert.equal((await get(port, '/api/v1/namespaces/default/events', 'POST', { metadata: { name: 'e' }, involvedObject: { namespace: 'default' }, reason: 'r', message: 'm', type: 'Normal' })).status, 201)
      assert.match((await get(port, '/apis/events.k8s.io/v1/namespaces/default/events')).text, /"name":"e"/)
      const keys = async (of: EmbeddedEtcd, prefix: string): Promise<readonly string[]> => (await of.client.range({ key: Buffer.from(prefix), rangeEnd: Buffer.from(`${prefix}~`), keysOnly: true }, signal)).kvs.map((kv) => Buffer.from(kv.key).toString())
      assert.deepEqual(await keys(etcd, '/cluster-one/configmaps/default/a'), ['/cluster-one/configmaps/default/a'])
      assert.deepEqual(await keys(events, '/'), ['/cluster-one/events/default/e'], 'events, and nothing else')
      assert.deepEqual(await keys(etcd, '/registry'), [])
      const { kvs } = await events.client.range({ key: Buffer.from('/cluster-one/events/default/e') }, signal)
      assert.equal((await events.client.leaseTimeToLive(kvs[0]?.lease ?? 0n, signal)).grantedTtlSeconds, 3605)
      const metrics = (await get(port, '/metrics')).text
      assert.match(metrics, /apiserver_storage_size_bytes\{storage_cluster_id="etcd-0"\} \d+\napiserver_storage_size_bytes\{storage_cluster_id="etcd-1"\} \d+\n/)
      assert.doesNotMatch(metrics, /apiserver_storage_objects/)
      assert.equal(Buffer.from(kvs[0]?.value ?? []).toString('latin1', 0, 4), 'k8s\0')
      assert.equal((await get(port, '/api/v1/namespaces/default/secrets', 'POST', { metadata: { name: 's', finalizers: ['example.com/a'] }, stringData: { a: 'canary' } })).status, 201)
      const secret = Buffer.from((await etcd.client.range({ key: Buffer.from('/cluster-one/secrets/default/s') }, signal)).kvs[0]?.value ?? []).toString('latin1')
      assert.ok(secret.startsWith('k8s:enc:aescbc:v1:one:') && !secret.includes('canary') && !secret.includes('example.com'))
      assert.match((await get(port, '/api/v1/namespaces/default/secrets/s')).text, /"a":"Y2FuYXJ5"/)
      // Nobody collects: what waits for a collector is not left to it.
      assert.doesNotMatch((await get(port, '/api/v1/namespaces/default/secrets/s?propagationPolicy=Foreground', 'DELETE')).text, /foregroundDeletion/)
    })

    test('an etcd that is not there yet is waited for', { timeout: 60_000 }, async () => {
      const [port, etcdPort] = [await freePort(), await freePort()]
      await using program = start(['--secure-port', String(port), '--etcd-servers', `http://127.0.0.1:${etcdPort}`])
      for (let i = 0; !program.output().includes('etcd does not answer; waiting for it'); i++) {
        if (i === 200) assert.fail(program.output())
        await delay(100)
      }
      await using late = await serveEtcd(events, { clock: realClock, listen: [{ host: '127.0.0.1', port: etcdPort }] })
      void late
      for (let i = 0; (await get(port, '/readyz').catch(() => undefined))?.status !== 200; i++) {
        if (i === 200) assert.fail(program.output())
        await delay(100)
      }
    })

    test('everything over TLS, as kubeadm gives it', { timeout: 60_000 }, async () => {
      const port = await freePort()
      await using program = start(['--secure-port', String(port), ...tls()])
      for (let i = 0; (await get(port, '/readyz').catch(() => undefined))?.status !== 200; i++) {
        if (i === 200) assert.fail(program.output())
        await delay(100)
      }
      assert.equal((await get(port, '/api/v1/namespaces/default/configmaps', 'POST', { metadata: { name: 'b' } })).status, 201)
      assert.equal((await etcd.client.range({ key: Buffer.from('/registry/configmaps/default/b') }, signal)).count, 1)
    })
  })
})

function freePort(): Promise<number> {
  return new Promise((done, failed) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => { if (address !== null && typeof address === 'object') done(address.port); else failed(new Error('no port')) })
    })
  })
}

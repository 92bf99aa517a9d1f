// `etcd` as a program: the original's flags, TLS with client certificates, kill -9 and restart, and data folders exchanged with the original.
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { createAuthority, issueCertificate } from '../../src/lib/net/pki/certificates.ts'
import { freePort } from './free-port.ts'

const root = resolve(import.meta.dirname, '../..')
/** From source, so that it doesn't depend on a bundle of all programs. */
const ours = [process.execPath, '--disable-proto=delete', '--disable-warning=ExperimentalWarning', join(root, 'src/cmd/main.ts'), 'etcd'] as const
const originalEtcd = resolve(import.meta.dirname, '.bin/etcd')
const etcdctl = [resolve(import.meta.dirname, '.bin/etcdctl'), '/usr/bin/etcdctl'].find((path) => existsSync(path))
if (!etcdctl && process.env['CI']) throw new Error('no etcdctl: run test/interop/build-originals.sh')

interface Run { readonly code: number; readonly out: string; readonly err: string }
const children = new Set<ChildProcess>()
let folder = ''
before(() => { folder = mkdtempSync(join(tmpdir(), 'k8ts-etcd-program-')) })
after(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

function runFile(file: string, args: readonly string[]): Promise<Run> {
  return new Promise((done) => { execFile(file, args, { timeout: 20_000, env: file === '/usr/bin/etcdctl' ? { ...process.env, ETCDCTL_API: '3' } : process.env }, (error, out, err) => done({ code: error ? Number(error.code ?? 1) : 0, out, err })) })
}

async function ctl(...args: readonly string[]): Promise<string> {
  assert.ok(etcdctl)
  const run = await runFile(etcdctl, args)
  assert.equal(run.code, 0, `etcdctl ${args.join(' ')}: ${run.err}`)
  return run.out
}

async function start(command: readonly string[], args: readonly string[], ready: () => Promise<unknown>): Promise<ChildProcess> {
  const [file = '', ...first] = command
  const child = spawn(file, [...first, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  children.add(child)
  let log = ''
  child.stderr?.on('data', (chunk: Buffer) => { log += chunk.toString() })
  for (let i = 0; ; i++) {
    try {
      await ready()
      return child
    } catch (error) {
      if (i === 60 || child.exitCode !== null) throw new Error(`it did not get ready: ${log}`, { cause: error })
      await new Promise((done) => setTimeout(done, 100))
    }
  }
}

function stop(child: ChildProcess, by: NodeJS.Signals): Promise<number | null> {
  return new Promise((done) => {
    child.once('exit', (code) => { children.delete(child); done(code) })
    child.kill(by)
  })
}

test('--version and --help end with 0; a wrong flag with 1', async () => {
  const [file, ...name] = ours
  const version = await runFile(file, [...name, '--version'])
  assert.equal(version.code, 0)
  assert.match(version.out, /^etcd Version: 3\.7\.\d+\n/)
  const help = await runFile(file, [...name, '--help'])
  assert.equal(help.code, 0)
  assert.match(help.out, /--listen-client-urls/)
  const wrong = await runFile(file, [...name, '--no-such-flag'])
  assert.equal(wrong.code, 1)
  assert.match(wrong.err, /unknown flag: --no-such-flag/)
  const several = await runFile(file, [...name, '--initial-cluster', 'a=http://127.0.0.1:1,b=http://127.0.0.1:2'])
  assert.equal(several.code, 1)
})

describe('with etcdctl', { skip: etcdctl ? false : 'no etcdctl found' }, () => {
  test('TLS with client certificates; kill -9 loses nothing; a normal end is 0', async () => {
    const now = Date.now()
    const validity = { notBeforeMs: now - 60_000, notAfterMs: now + 3_600_000 }
    const authority = createAuthority('etcd-ca', validity, realRandom)
    const file = (name: string, text: string): string => { const path = join(folder, name); writeFileSync(path, text, { mode: 0o600 }); return path }
    const server = issueCertificate(authority, 'etcd-ca', { subject: { commonName: 'etcd' }, names: ['127.0.0.1', 'localhost'], usages: ['server', 'client'], random: realRandom, ...validity })
    const client = issueCertificate(authority, 'etcd-ca', { subject: { commonName: 'kube-apiserver' }, usages: ['client'], random: realRandom, ...validity })
    const [ca, cert, key, clientCert, clientKey] = [file('ca.crt', authority.certificatePem), file('s.crt', server.certificatePem), file('s.key', server.keyPem), file('c.crt', client.certificatePem), file('c.key', client.keyPem)]
    const port = await freePort()
    const metrics = await freePort()
    const url = `https://127.0.0.1:${port}`
    const flags = ['--name', 'one', `--data-dir=${join(folder, 'tls')}`, '-listen-client-urls', url, '--advertise-client-urls', url, '--cert-file', cert, '--key-file', key, '--trusted-ca-file', ca, '--client-cert-auth',
      '--listen-metrics-urls', `http://127.0.0.1:${metrics}`, '--listen-peer-urls', 'http://127.0.0.1:0']
    const access = ['--endpoints', url, '--cacert', ca, '--cert', clientCert, '--key', clientKey]
    const first = await start(ours, flags, () => ctl(...access, 'endpoint', 'health'))
    for (let i = 0; i < 5; i++) assert.equal(await ctl(...access, 'put', `k${i}`, `v${i}`), 'OK\n')
    const health = await fetch(`http://127.0.0.1:${metrics}/health`)
    assert.deepEqual([health.status, await health.text()], [200, '{"health":"true","reason":""}'])
    assert.match(await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text(), /^etcd_server_has_leader 1$/m)
    const stranger = await runFile(etcdctl ?? '', ['--endpoints', url, '--cacert', ca, '--command-timeout=2s', 'get', 'k0'])
    assert.notEqual(stranger.code, 0, 'nobody without a certificate gets in')
    await stop(first, 'SIGKILL')
    const second = await start(ours, flags, () => ctl(...access, 'endpoint', 'health'))
    assert.equal(await ctl(...access, 'get', '--prefix', 'k', '--print-value-only'), 'v0\nv1\nv2\nv3\nv4\n')
    const twice = await runFile(ours[0], [...ours.slice(1), ...flags])
    assert.equal(twice.code, 1)
    assert.match(twice.err, /in use/)
    assert.equal(await stop(second, 'SIGTERM'), 0)
  })

  test('the original etcd opens our data folder, and we open the original\'s', { skip: existsSync(originalEtcd) ? false : 'the original etcd is not built' }, async () => {
    const [port, peer] = [await freePort(), await freePort()]
    const [url, peerUrl] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${peer}`]
    const flags = ['--data-dir', join(folder, 'shared'), '--listen-client-urls', url, '--advertise-client-urls', url, '--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl, '--initial-cluster', `default=${peerUrl}`]
    const put = (key: string): Promise<string> => ctl('--endpoints', url, 'put', key, 'x')
    const keys = async (): Promise<string> => (await ctl('--endpoints', url, 'get', '', '--prefix', '--keys-only')).replaceAll('\n\n', ' ')
    const health = (): Promise<string> => ctl('--endpoints', url, '--command-timeout=1s', 'endpoint', 'health')
    const first = await start(ours, flags, health)
    await put('a')
    await ctl('--endpoints', url, 'lease', 'grant', '1000')
    await stop(first, 'SIGKILL')
    const second = await start([originalEtcd], [...flags, '--log-level', 'error'], health)
    await put('b')
    assert.equal(await keys(), 'a b ')
    assert.match(await ctl('--endpoints', url, 'lease', 'list'), /found 1 leases/)
    await stop(second, 'SIGKILL')
    const third = await start(ours, flags, health)
    await put('c')
    assert.equal(await keys(), 'a b c ')
    await stop(third, 'SIGTERM')
  })

  const etcdutl = resolve(import.meta.dirname, '.bin/etcdutl')
  test('snapshot save: etcdutl restores it, and the original etcd runs on it', { skip: existsSync(etcdutl) && existsSync(originalEtcd) ? false : 'the original etcd and etcdutl are not built in test/interop/.bin' }, async () => {
    const [port, peer] = [await freePort(), await freePort()]
    const [url, peerUrl] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${peer}`]
    const health = (): Promise<string> => ctl('--endpoints', url, '--command-timeout=1s', 'endpoint', 'health')
    const hash = async (): Promise<string | undefined> => (await ctl('--endpoints', url, 'endpoint', 'hashkv')).split(', ')[1]?.trim()
    const flags = ['--listen-client-urls', url, '--advertise-client-urls', url]
    const first = await start(ours, ['--data-dir', join(folder, 'source'), '--listen-peer-urls', 'http://127.0.0.1:0', ...flags], health)
    for (let i = 0; i < 12; i++) await ctl('--endpoints', url, 'put', `key${i % 9}`, 'x'.repeat(i === 3 ? 30_000 : 900))
    await ctl('--endpoints', url, 'del', 'key1')
    await ctl('--endpoints', url, 'compaction', '--physical', '6')
    const file = join(folder, 'snapshot.db')
    await ctl('--endpoints', url, 'snapshot', 'save', file)
    const wanted = await hash()
    await stop(first, 'SIGTERM')
    const restored = join(folder, 'restored')
    const restore = await runFile(etcdutl, ['snapshot', 'restore', file, '--data-dir', restored, '--initial-cluster', `default=${peerUrl}`, '--initial-advertise-peer-urls', peerUrl])
    assert.equal(restore.code, 0, restore.err)
    const second = await start([originalEtcd], ['--data-dir', restored, ...flags, '--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl, '--initial-cluster', `default=${peerUrl}`, '--log-level', 'error'], health)
    assert.equal(await hash(), wanted, 'the same hash of all revisions')
    assert.equal((await ctl('--endpoints', url, 'get', 'key3', '--print-value-only')).length, 30_001)
    await stop(second, 'SIGKILL')
  })
})

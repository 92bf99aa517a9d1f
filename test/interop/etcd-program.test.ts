// etcd as a program: where it listens, whom it lets in, how it tells systemd, what it makes of data of a cluster that is gone. The same flags for the
// original, which plays the scenes first.
import assert from 'node:assert/strict'
import { execFile, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { createAuthority, issueCertificate, type CertifiedKey } from '../../src/lib/net/pki/certificates.ts'
import { TestCluster } from './etcd-cluster.ts'
import { freePort, hasOriginals, originalEtcd, originalEtcdctl, type Run } from './etcd-pair.ts'

const main = resolve(import.meta.dirname, '../../src/cmd/main.ts')
const kinds = ['original', 'ours'] as const
type Kind = (typeof kinds)[number]

interface Program extends AsyncDisposable {
  readonly folder: string
  readonly peerUrl: string
  output(): string
  ctl(endpoint: string, args: readonly string[]): Promise<Run>
  ended: Promise<number | null>
}

/** Starts one member in a folder of its own; `flags` are told the folder. */
async function start(kind: Kind, flags: (folder: string) => readonly string[], environment: { readonly [name: string]: string } = {}, given?: string): Promise<Program> {
  const folder = given ?? mkdtempSync(join(tmpdir(), 'k8ts-etcd-'))
  const peerUrl = `http://127.0.0.1:${await freePort()}`
  const [program, ...before] = kind === 'original' ? [originalEtcd] : [process.execPath, '--disable-proto=delete', '--disable-warning=ExperimentalWarning', main, 'etcd']
  const own = environment['ETCD_CONFIG_FILE'] ? [] : ['--name=a', `--data-dir=${folder}/data`, ...flags(folder)]
  const peers = own.some((flag) => flag.startsWith('--listen-peer-urls')) || own.length === 0 ? [] : [`--listen-peer-urls=${peerUrl}`, `--initial-advertise-peer-urls=${peerUrl}`, `--initial-cluster=a=${peerUrl}`]
  const child = spawn(program, [...before, ...own, ...peers], { env: { PATH: process.env['PATH'] ?? '', ...environment }, cwd: folder })
  const said: string[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => said.push(chunk.toString()))
  const ended = new Promise<number | null>((done) => { child.once('exit', (code) => done(code)) })
  return {
    folder, peerUrl, output: () => said.join(''), ended,
    ctl: (endpoint, args) => new Promise((done) => { execFile(originalEtcdctl, ['--endpoints', endpoint, ...args], { timeout: 10_000 }, (error, out, err) => done({ code: error ? Number(error.code ?? 1) : 0, out, err })) }),
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL')
      await ended
      if (given === undefined) rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function eventually(attempt: () => Promise<void>): Promise<void> {
  const until = Date.now() + 15_000
  for (;;) {
    try { await attempt(); return } catch (error) { if (Date.now() > until) throw error }
    await new Promise((done) => setTimeout(done, 100))
  }
}

function makeCertificates(folder: string): void {
  const validity = { notBeforeMs: Date.now() - 3_600_000, notAfterMs: Date.now() + 86_400_000 }
  const authority = createAuthority('test', validity, realRandom)
  const write = (name: string, pair: CertifiedKey): void => {
    writeFileSync(join(folder, `${name}.crt`), pair.certificatePem)
    writeFileSync(join(folder, `${name}.key`), pair.keyPem)
  }
  write('ca', authority)
  for (const name of ['server', 'alice', 'mallory']) write(name, issueCertificate(authority, 'test', { subject: { commonName: name }, names: ['127.0.0.1', `${name}.test`], usages: ['server', 'client'], random: realRandom, ...validity }))
}

for (const kind of kinds) {
  test(`${kind}: several client URLs, unix sockets, HTTP beside gRPC, metrics`, { skip: !hasOriginals }, async () => {
    const [grpc, more, http, metrics] = await Promise.all([freePort(), freePort(), freePort(), freePort()])
    // The original takes what follows unix:// for an address, and makes a file of that name.
    await using etcd = await start(kind, () => [`--listen-client-urls=http://127.0.0.1:${grpc},http://127.0.0.1:${more},unix://etcd.sock`, `--advertise-client-urls=http://127.0.0.1:${grpc}`,
      `--listen-client-http-urls=http://127.0.0.1:${http}`, `--listen-metrics-urls=http://127.0.0.1:${metrics}`, '--metrics=extensive'])
    await eventually(async () => { assert.equal((await etcd.ctl(`127.0.0.1:${grpc}`, ['put', 'a', 'b'])).code, 0, etcd.output()) })
    assert.equal((await etcd.ctl(`127.0.0.1:${more}`, ['get', 'a', '--print-value-only'])).out, 'b\n')
    assert.equal((await etcd.ctl(`unix://${etcd.folder}/etcd.sock`, ['get', 'a', '--print-value-only'])).out, 'b\n')
    assert.equal(await (await fetch(`http://127.0.0.1:${http}/health`)).text(), '{"health":"true","reason":""}')
    assert.notEqual((await etcd.ctl(`127.0.0.1:${http}`, ['get', 'a', '--command-timeout=1s'])).code, 0, 'no gRPC there')
    await assert.rejects(async () => { const answer = await fetch(`http://127.0.0.1:${grpc}/health`); if (!answer.ok) throw new Error(String(answer.status)) }, 'no HTTP where gRPC is')
    assert.match(await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text(), /grpc_server_handling_seconds_bucket/)
    assert.match(await (await fetch(`http://127.0.0.1:${http}/v3/kv/range`, { method: 'POST', body: '{"key":"YQ=="}' })).text(), /"value":"Yg=="/)
  })

  test(`${kind}: only clients with the right certificate get in; pages and hosts that are not named stay out`, { skip: !hasOriginals }, async () => {
    const [secure, plain] = await Promise.all([freePort(), freePort()])
    await using etcd = await start(kind, (folder) => {
      makeCertificates(folder)
      return [`--listen-client-urls=https://127.0.0.1:${secure},http://127.0.0.1:${plain}`, `--advertise-client-urls=https://127.0.0.1:${secure}`, `--cert-file=${folder}/server.crt`, `--key-file=${folder}/server.key`,
        `--trusted-ca-file=${folder}/ca.crt`, '--client-cert-auth', '--client-cert-allowed-hostname=alice.test', '--tls-min-version=TLS1.3', '--host-whitelist=good.test', '--cors=http://page.test:80']
    })
    const as = (name: string | undefined, args: readonly string[]): Promise<Run> => etcd.ctl(`https://127.0.0.1:${secure}`,
      [`--cacert=${etcd.folder}/ca.crt`, ...(name === undefined ? [] : [`--cert=${etcd.folder}/${name}.crt`, `--key=${etcd.folder}/${name}.key`]), '--command-timeout=2s', ...args])
    await eventually(async () => { assert.equal((await as('alice', ['put', 'a', 'b'])).code, 0, etcd.output()) })
    assert.notEqual((await as('mallory', ['get', 'a'])).code, 0, 'a name that is not allowed')
    assert.notEqual((await as(undefined, ['get', 'a'])).code, 0, 'no certificate')
    const ask = (host: string, origin?: string): Promise<{ readonly status: number | undefined; readonly allowed: string | undefined }> => new Promise((done, failed) => {
      request({ host: '127.0.0.1', port: plain, path: '/version', headers: { host, ...(origin ? { origin } : {}) } }, (answer) => {
        answer.resume()
        done({ status: answer.statusCode, allowed: answer.headers['access-control-allow-origin'] })
      }).on('error', failed).end()
    })
    assert.equal((await ask('good.test')).status, 200)
    assert.equal((await ask('bad.test')).status, 421)
    assert.equal((await ask('good.test', 'http://page.test:80')).allowed, 'http://page.test:80')
    assert.equal((await ask('good.test', 'http://other.test:80')).allowed, undefined)
  })

  test(`${kind}: makes certificates by itself, reads a configuration file, tells systemd when it serves`, { skip: !hasOriginals }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'k8ts-etcd-'))
    const port = await freePort()
    const peer = await freePort()
    writeFileSync(join(folder, 'etcd.yaml'), `name: from-file
data-dir: ${folder}/data
listen-client-urls: https://127.0.0.1:${port}
advertise-client-urls: https://127.0.0.1:${port}
listen-peer-urls: https://127.0.0.1:${peer}
initial-advertise-peer-urls: https://127.0.0.1:${peer}
initial-cluster: from-file=https://127.0.0.1:${peer}
client-transport-security: {auto-tls: true}
peer-transport-security: {auto-tls: true}
log-outputs: [${folder}/etcd.log]
watch-progress-notify-interval: 5000000000
`)
    const listener = spawn('python3', ['-c', `import socket\ns=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\ns.bind("${folder}/notify")\ns.settimeout(20)\nprint(s.recv(100).decode(),flush=True)`])
    let notified = ''
    listener.stdout.on('data', (chunk: Buffer) => { notified += chunk.toString() })
    const heard = new Promise<void>((done) => { listener.once('exit', () => done()) })
    try {
      await eventually(async () => { await Promise.resolve(); assert.ok(existsSync(join(folder, 'notify'))) })
      await using etcd = await start(kind, () => [], { ETCD_CONFIG_FILE: join(folder, 'etcd.yaml'), ETCD_NAME: 'not-this', NOTIFY_SOCKET: join(folder, 'notify') }, folder)
      await heard
      assert.equal(notified, 'READY=1\n', etcd.output() + readFileSync(join(folder, 'etcd.log'), 'utf8'))
      const list = await etcd.ctl(`https://127.0.0.1:${port}`, ['--insecure-skip-tls-verify', 'member', 'list'])
      assert.match(list.out, /started, from-file, /, list.err)
      for (const which of ['client', 'peer']) assert.match(readFileSync(join(folder, 'data', 'fixtures', which, 'cert.pem'), 'utf8'), /BEGIN CERTIFICATE/)
      const lines = readFileSync(join(folder, 'etcd.log'), 'utf8').trim().split('\n').map((line) => JSON.parse(line) as { level: string; ts: string; msg: string })
      assert.ok(lines.every(({ level, ts, msg }) => level && ts && msg))
      assert.ok(lines.some(({ msg }) => msg.includes('ready to serve client requests')))
    } finally {
      listener.kill()
      rmSync(folder, { recursive: true, force: true })
    }
  })

  test(`${kind}: a member whose cluster is lost goes on alone with its data`, { skip: !hasOriginals }, async () => {
    await using cluster = await TestCluster.start([kind, kind, kind], { secure: false })
    const [first, second, third] = cluster.members
    assert.ok(first && second && third)
    await cluster.ok(['put', 'kept', 'v'])
    await cluster.healthy()
    await Promise.all([second, third].map((member) => cluster.end(member, 'SIGKILL')))
    await cluster.end(first, 'SIGKILL')
    cluster.run(first, ['--force-new-cluster'])
    await cluster.healthy([first])
    assert.equal(await cluster.ok(['get', 'kept', '--print-value-only']), 'v\n')
    assert.equal((await cluster.ok(['member', 'list'])).trim().split('\n').length, 1)
    await cluster.ok(['put', 'new', 'v'])
    await cluster.end(first, 'SIGKILL')
    cluster.run(first)
    await cluster.healthy([first])
    assert.equal(await cluster.ok(['get', 'new', '--print-value-only']), 'v\n', 'and does not fall back')
  })
}

/** A revocation list of the authority in `folder`, with one of its certificates on it. */
function revoke(folder: string, name: string): void {
  writeFileSync(join(folder, 'ca.cnf'), `[ca]\ndefault_ca=d\n[d]\ndatabase=${folder}/index.txt\ncrlnumber=${folder}/crlnumber\ndefault_md=sha256\ndefault_crl_days=1\n`)
  writeFileSync(join(folder, 'index.txt'), '')
  writeFileSync(join(folder, 'crlnumber'), '01\n')
  const ca = ['ca', '-config', join(folder, 'ca.cnf'), '-cert', join(folder, 'ca.crt'), '-keyfile', join(folder, 'ca.key')]
  execFileSync('openssl', [...ca, '-revoke', join(folder, `${name}.crt`)], { stdio: 'ignore' })
  execFileSync('openssl', [...ca, '-gencrl', '-out', join(folder, 'crl.pem')], { stdio: 'ignore' })
}

const hasOpenssl = existsSync('/usr/bin/openssl')

for (const kind of kinds) {
  test(`${kind}: who is on the revocation list stays out`, { skip: !hasOriginals || !hasOpenssl }, async () => {
    const port = await freePort()
    await using etcd = await start(kind, (folder) => {
      makeCertificates(folder)
      revoke(folder, 'mallory')
      execFileSync('openssl', ['crl', '-in', join(folder, 'crl.pem'), '-outform', 'DER', '-out', join(folder, 'crl.der')])
      return [`--listen-client-urls=https://127.0.0.1:${port}`, `--advertise-client-urls=https://127.0.0.1:${port}`, `--cert-file=${folder}/server.crt`, `--key-file=${folder}/server.key`, `--trusted-ca-file=${folder}/ca.crt`,
        '--client-cert-auth', `--client-crl-file=${folder}/crl.der`, '--cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256', '--tls-max-version=TLS1.2']
    })
    const as = (name: string): Promise<Run> => etcd.ctl(`https://127.0.0.1:${port}`, [`--cacert=${etcd.folder}/ca.crt`, `--cert=${etcd.folder}/${name}.crt`, `--key=${etcd.folder}/${name}.key`, '--command-timeout=2s', 'get', 'a'])
    await eventually(async () => { assert.equal((await as('alice')).code, 0, etcd.output()) })
    assert.notEqual((await as('mallory')).code, 0)
  })
}

test('a discovery service brings an original and ours together', { skip: !hasOriginals }, async () => {
  const port = await freePort()
  await using service = await start('original', () => [`--listen-client-urls=http://127.0.0.1:${port}`, `--advertise-client-urls=http://127.0.0.1:${port}`])
  await eventually(async () => { assert.equal((await service.ctl(`127.0.0.1:${port}`, ['put', '/_etcd/registry/t/_config/size', '2'])).code, 0) })
  const [one, two, peerOne, peerTwo] = await Promise.all([freePort(), freePort(), freePort(), freePort()])
  const member = (kind: Kind, name: string, client: number, peer: number): Promise<Program> => start(kind, () => [`--name=${name}`, `--listen-client-urls=http://127.0.0.1:${client}`, `--advertise-client-urls=http://127.0.0.1:${client}`,
    `--listen-peer-urls=http://127.0.0.1:${peer}`, `--initial-advertise-peer-urls=http://127.0.0.1:${peer}`, '--discovery-token=t', `--discovery-endpoints=http://127.0.0.1:${port}`])
  await using original = await member('original', 'x', one, peerOne)
  await using ours = await member('ours', 'y', two, peerTwo)
  await eventually(async () => { assert.equal((await ours.ctl(`127.0.0.1:${one},127.0.0.1:${two}`, ['endpoint', 'health'])).code, 0, `${ours.output()}${original.output().slice(-1500)}`) })
  assert.match((await ours.ctl(`127.0.0.1:${two}`, ['member', 'list'])).out, /, x, [^]*, y, |, y, [^]*, x, /)
  await using late = await member('ours', 'z', await freePort(), await freePort())
  assert.equal(await late.ended, 1)
  assert.match(late.output(), /discovery: cluster is full/)
})

// `etcd grpc-proxy start` of the original and ours, in front of the same original server: the original etcdctl gets the same answers from both.
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { checkGrpcProxyFlags, grpcProxyFlags } from '../../src/cmd/etcd/grpc-proxy-flags.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { parseFlags } from '../../src/lib/component-base/flags.ts'
import { createAuthority, issueCertificate } from '../../src/lib/net/pki/certificates.ts'
import { memberNamed, oursCommand, start, type Running } from './etcd-folder.ts'
import { freePort, hasOriginals, originalEtcd, originalEtcdctl, run, type Run } from './etcd-pair.ts'

type Kind = 'original' | 'ours'
const kinds: readonly Kind[] = ['original', 'ours']

interface Proxy extends AsyncDisposable { readonly address: string; readonly output: () => string }

async function startProxy(kind: Kind, endpoint: string, flags: readonly string[] = [], ready?: (address: string) => Promise<boolean>): Promise<Proxy> {
  const address = `127.0.0.1:${await freePort()}`
  const [program = '', ...before] = kind === 'original' ? [originalEtcd] : oursCommand
  const child: ChildProcess = spawn(program, [...before, 'grpc-proxy', 'start', `--endpoints=${endpoint}`, `--listen-addr=${address}`, `--advertise-client-url=${address}`, ...flags], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data: Buffer) => { output = (output + data.toString()).slice(-6000) })
  const exited = new Promise<void>((done) => { child.once('exit', () => done()) })
  const end = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
    await exited
  }
  const isReady = ready ?? (async () => (await fetch(`http://${address}/health`)).ok)
  for (let i = 0; ; i++) {
    if (await isReady(address).catch(() => false)) break
    if (i === 100 || child.exitCode !== null) { await end(); throw new Error(`the proxy (${kind}) did not start: ${output}`) }
    await new Promise((done) => setTimeout(done, 100))
  }
  return { address, output: () => output, [Symbol.asyncDispose]: end }
}

interface Front extends AsyncDisposable { readonly server: Running; readonly proxies: { readonly [K in Kind]: Proxy } }

async function openFront(flags: (kind: Kind) => readonly string[] = () => []): Promise<Front> {
  await using stack = new AsyncDisposableStack()
  const folder = mkdtempSync(join(tmpdir(), 'k8ts-grpc-proxy-'))
  stack.defer(() => rmSync(folder, { recursive: true, force: true }))
  const server = stack.use(await start([originalEtcd, '--log-level', 'error'], join(folder, 'data'), await memberNamed('m')))
  const [original, ours] = await Promise.all(kinds.map((kind) => startProxy(kind, server.url.replace('http://', ''), flags(kind))))
  assert.ok(original && ours)
  stack.use(original)
  stack.use(ours)
  const owned = stack.move()
  return { server, proxies: { original, ours }, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

function hide(text: string): string {
  return text.split('\n').filter((line) => !line.startsWith('{"level"')).join('\n').replaceAll(/127\.0\.0\.1:\d+/g, 'ADDRESS').replaceAll(/\b[0-9a-f]{14,16}\b/g, 'ID').replaceAll(/took (= )?[\d.µmns]+/g, 'took')
    .replaceAll(/("?(?:Revision|revision|RaftTerm|raft_term|cluster_id|member_id|create_revision|mod_revision|hash|compact_revision|hash_revision|raftIndex|raftAppliedIndex|dbSize|dbSizeInUse|raftTerm|leader|ClusterID|MemberID|CreateRevision|ModRevision|ID)"? ?: ?)\d+/g, '$1N')
}

const ctl = (address: string, args: readonly string[], input = ''): Promise<Run> => run(originalEtcdctl, ['--endpoints', address, ...args], input)

/** Of a command that goes on until it is stopped. */
function firstWords(address: string, args: readonly string[]): Promise<string> {
  return new Promise((done, failed) => {
    let output = ''
    const child = spawn(originalEtcdctl, ['--endpoints', address, ...args], { stdio: ['ignore', 'pipe', 'inherit'], timeout: 20_000 })
    child.stdout.on('data', (data: Buffer) => { output += data.toString(); if (output.split('\n').length > 2) child.kill('SIGINT') })
    child.once('error', failed).once('exit', () => done(output))
  })
}

test('etcdctl gets the same from both: keys, transactions, leases, users, maintenance', { skip: !hasOriginals }, async () => {
  await using front = await openFront()
  const both = async (args: readonly string[], input = ''): Promise<void> => {
    const [theirs, ours] = await Promise.all([ctl(front.proxies.original.address, args, input), ctl(front.proxies.ours.address, args, input)])
    assert.deepEqual({ code: ours.code, out: hide(ours.out), err: hide(ours.err) }, { code: theirs.code, out: hide(theirs.out), err: hide(theirs.err) }, `etcdctl ${args.join(' ')}`)
  }
  // Each of these leaves behind what it has found, so that the second proxy finds the same.
  for (let i = 0; i < 5; i++) await ctl(front.server.url, ['put', `k${i}`, `v${i}`])
  const commands: readonly (readonly string[])[] = [
    ['get', 'k0'], ['get', 'k', '--prefix', '--limit=3'], ['get', 'k', '--prefix', '--keys-only'], ['get', 'k', '--prefix', '--count-only', '-w', 'fields'], ['get', 'k0', '--consistency=s', '-w', 'fields'], ['get', 'k0', '--consistency=s', '-w', 'fields'],
    ['get', '', '--from-key', '--sort-by=MODIFY', '--order=DESCEND'], ['get', 'k0', '--rev=100000'], ['get', 'k0', '--rev=-1'], ['get', ''], ['put', 'k0', 'x'], ['put', 'k0', 'x', '--prev-kv'], ['put', 'k9', '--ignore-value'],
    ['put', 'k1', 'x', '--lease=1234'], ['del', 'nothing', '--prefix'], ['get', 'k0', '--rev=1'], ['get', 'k0', '--rev=1', '--consistency=s'], ['compaction', '1'],
    ['lease', 'list'], ['lease', 'timetolive', '1234', '--keys'], ['lease', 'revoke', '1234'], ['lease', 'keep-alive', '--once', '1234'],
    ['user', 'list'], ['user', 'get', 'nobody'], ['role', 'list'], ['role', 'get', 'none'], ['auth', 'status', '-w', 'fields'], ['alarm', 'list'], ['alarm', 'disarm'], ['endpoint', 'health'], ['endpoint', 'hashkv', '-w', 'json'],
    ['member', 'list', '-w', 'json'], ['member', 'remove', '1234'], ['move-leader', '1234'], ['downgrade', 'validate', '3.6'], ['downgrade', 'cancel'], ['defrag'],
  ]
  await ctl(front.server.url, ['compaction', '3'])
  for (const args of commands) await both(args)
  await both(['txn'], 'val("k0") = "x"\n\nput k0 x\nget k0\n\nget k1\n\n')
  await both(['txn'], 'ver("none") > "3"\n\nput k0 x\n\nget k1\ndel none\n\n')
  for (const kind of kinds) {
    const { address } = front.proxies[kind]
    const lease = /lease (\S+) granted/.exec((await ctl(address, ['lease', 'grant', '100'])).out)?.[1] ?? ''
    assert.equal((await ctl(address, ['lease', 'keep-alive', '--once', lease])).out, `lease ${lease} keepalived with TTL(100)\n`, kind)
    assert.equal((await ctl(address, ['put', 'leased', '1', `--lease=${lease}`])).code, 0, kind)
    assert.match((await ctl(address, ['lease', 'timetolive', lease, '--keys'])).out, /attached keys\(\[leased\]\)/, kind)
    assert.equal((await ctl(address, ['lease', 'revoke', lease])).out, `lease ${lease} revoked\n`, kind)
    assert.match((await ctl(address, ['lock', 'a', 'echo', 'locked'])).out, /^locked\n/, kind)
    assert.match(await firstWords(address, ['elect', 'e', 'me']), /e\/[0-9a-f]+\nme\n/, kind)
    assert.equal((await ctl(address, ['snapshot', 'save', join(tmpdir(), `k8ts-proxy-snapshot-${kind}-${process.pid}`)])).code, 0, kind)
    rmSync(join(tmpdir(), `k8ts-proxy-snapshot-${kind}-${process.pid}`), { force: true })
    for (const [path, says] of [['/health', '{"health":"true","reason":""}'], ['/proxy/health', '{"health":"true","reason":""}'], ['/nothing', '404 page not found\n']] as const) assert.equal(await (await fetch(`http://${address}${path}`)).text(), says, `${kind} ${path}`)
    const [members, own] = [await (await fetch(`http://${address}/metrics`)).text(), await (await fetch(`http://${address}/proxy/metrics`)).text()]
    assert.match(members, /^etcd_server_has_leader 1$/m)
    for (const name of ['cache_hits_total', 'cache_keys_total', 'cache_misses_total', 'events_coalescing_total', 'watchers_coalescing_total']) assert.match(own, new RegExp(`^etcd_grpc_proxy_${name} \\d`, 'm'), `${kind} ${name}`)
    assert.match(own, /^grpc_server_handled_total\{grpc_code="OK",grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"\} \d/m, kind)
  }
})

test('many etcdctl watch through each: all see the same; at the server ours has one watch', { skip: !hasOriginals }, async () => {
  await using front = await openFront()
  for (let i = 0; i < 3; i++) await ctl(front.server.url, ['put', 'w', `before ${i}`])
  const watchers = async (): Promise<number> => Number(/^etcd_debugging_mvcc_watcher_total (\d+)$/m.exec(await (await fetch(`${front.server.url}/metrics`)).text())?.[1])
  const without = await watchers()
  const ended = new AbortController()
  const outputs: string[] = []
  const children = Array.from({ length: 12 }, (_, i) => {
    const address = front.proxies[i % 2 === 0 ? 'ours' : 'original'].address
    const child = spawn(originalEtcdctl, ['--endpoints', address, 'watch', 'w', ...(i % 4 < 2 ? ['--rev=3', '--prev-kv'] : ['--rev=2'])], { stdio: ['ignore', 'pipe', 'inherit'], signal: ended.signal })
    child.on('error', () => {})
    outputs[i] = ''
    child.stdout.on('data', (data: Buffer) => { outputs[i] += data.toString() })
    return child
  })
  for (let i = 0; i < 5; i++) await ctl(front.server.url, ['put', 'w', `then ${i}`])
  await ctl(front.server.url, ['del', 'w'])
  const until = Date.now() + 20_000
  while (!outputs.every((output) => output.includes('DELETE\n'))) {
    assert.ok(Date.now() < until, outputs.join('\n--\n'))
    await new Promise((done) => setTimeout(done, 100))
  }
  // The original's keep their last apart or not, as it comes.
  for (let i = 0; i < 12; i += 4) {
    assert.equal(outputs[i], outputs[i + 1], 'from the second revision on, with what was before')
    assert.equal(outputs[i + 2], outputs[i + 3])
  }
  await front.proxies.original[Symbol.asyncDispose]()
  while (await watchers() > 1) {
    assert.ok(Date.now() < until, `${await watchers()} watches, ${without} before`)
    await new Promise((done) => setTimeout(done, 100))
  }
  assert.equal(await watchers(), 1, 'six clients, two of them with another start')
  ended.abort()
  await Promise.all(children.map((child) => new Promise((done) => { if (child.exitCode !== null || child.signalCode !== null) done(undefined); else child.once('exit', done) })))
})

test('a namespace, and one group of proxies: both write the same keys and list each other', { skip: !hasOriginals }, async () => {
  await using front = await openFront(() => ['--namespace=ns/', '--resolver-prefix=___grpc_proxy_endpoint', '--resolver-ttl=30'])
  for (const kind of kinds) await ctl(front.proxies[kind].address, ['put', `by ${kind}`, kind])
  for (const kind of kinds) {
    const { address } = front.proxies[kind]
    assert.equal((await ctl(address, ['get', 'by', '--prefix'])).out, 'by original\noriginal\nby ours\nours\n', kind)
    assert.equal((await ctl(address, ['del', 'nothing', '--from-key', '--prev-kv'])).code, 0)
    const until = Date.now() + 10_000
    for (;;) {
      const { members } = JSON.parse((await ctl(address, ['member', 'list', '-w', 'json'])).out) as { members: { name: string; clientURLs: string[] }[] }
      if (members.length === 2) {
        assert.deepEqual(members.map(({ clientURLs: [url] }) => url).sort(), kinds.map((one) => front.proxies[one].address).sort(), kind)
        break
      }
      assert.ok(Date.now() < until, `${kind} lists ${JSON.stringify(members)}`)
      await new Promise((done) => setTimeout(done, 200))
    }
  }
  const stored = (await ctl(front.server.url, ['get', 'ns/___grpc', '--prefix'])).out.replaceAll(/127\.0\.0\.1:\d+/g, 'ADDRESS').trim().split('\n')
  assert.equal(stored.length, 4)
  assert.deepEqual(stored.slice(0, 2), stored.slice(2))
})

test('TLS to clients with a certificate made by the proxy, and wrong flags: both refuse the same', { skip: !hasOriginals }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'k8ts-grpc-proxy-tls-'))
  try {
    await using server = await start([originalEtcd, '--log-level', 'error'], join(folder, 'data'), await memberNamed('m'))
    for (const kind of kinds) {
      const tls = ['--insecure-transport=false', '--insecure-skip-tls-verify']
      await using proxy = await startProxy(kind, server.url.replace('http://', ''), ['--auto-tls', `--data-dir=${join(folder, kind)}`], async (address) => (await ctl(address, [...tls, 'endpoint', 'health'])).code === 0)
      assert.equal((await ctl(proxy.address, [...tls, 'put', 'k', kind])).out, 'OK\n')
    }
    const validity = { notBeforeMs: Date.now() - 3_600_000, notAfterMs: Date.now() + 86_400_000 }
    const authority = createAuthority('test', validity, realRandom)
    const named = issueCertificate(authority, 'test', { subject: { commonName: 'somebody' }, names: ['localhost'], usages: ['client'], random: realRandom, ...validity })
    for (const [name, text] of [['ca.crt', authority.certificatePem], ['named.crt', named.certificatePem], ['named.key', named.keyPem]] as const) writeFileSync(join(folder, name), text)
    const refused: readonly (readonly [says: string, flags: readonly string[]])[] = [
      ['invalid resolver-ttl 0', ['--resolver-prefix=x']], ['invalid resolver-prefix ""', ['--resolver-ttl=5']], ['selfSignedCertValidity is invalid,it should be greater than 0', ['--auto-tls', '--self-signed-cert-validity=0']],
      ['min version (TLS1.3) is greater than max version (TLS1.2)', ['--tls-min-version=TLS1.3', '--tls-max-version=TLS1.2']], ['cipher suites cannot be configured when only TLS1.3 is enabled', ['--tls-min-version=TLS1.3', '--listen-cipher-suites=TLS_AES_128_GCM_SHA256']],
      ['cert has non empty Common Name (somebody)', [`--cert=${join(folder, 'named.crt')}`, `--key=${join(folder, 'named.key')}`, `--cacert=${join(folder, 'ca.crt')}`]], ['unknown flag: --nonsense', ['--nonsense']],
    ]
    for (const [says, flags] of refused) {
      const { code, out, err } = await run(originalEtcd, ['grpc-proxy', 'start', `--listen-addr=127.0.0.1:${await freePort()}`, ...flags])
      assert.notEqual(code, 0, says)
      assert.ok((out + err).includes(says), out + err)
      // What is wrong with the flags themselves is found without a process.
      const refuses = (): void => checkGrpcProxyFlags(parseFlags(grpcProxyFlags, flags).flags)
      if (!flags.some((flag) => flag.startsWith('--cert'))) assert.throws(refuses, (error: Error) => error.message === says)
      else {
        const ours = await run(oursCommand[0] ?? '', [...oursCommand.slice(1), 'grpc-proxy', 'start', `--listen-addr=127.0.0.1:${await freePort()}`, ...flags])
        assert.ok(ours.code !== 0 && ours.err.includes(says), ours.err)
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

// Flags that show at a running member: what it logs of slow requests, profiles, spans, limits of connections, unix sockets, the lock on its data.
// The original plays the scenes first, where it can.
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, constants, type ClientHttp2Session } from 'node:http2'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, test } from 'node:test'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { WireReader } from '../../src/lib/base/protobuf/wire-reader.ts'
import { exportPath } from '../../src/lib/component-base/tracing/otlp.ts'
import { serveGrpc } from '../../src/lib/net/grpc/grpc-server.ts'
import { freePort, hasOriginals, originalEtcd, originalEtcdctl, type Run } from './etcd-pair.ts'

const main = resolve(import.meta.dirname, '../../src/cmd/main.ts')
const node = [process.execPath, '--disable-proto=delete', '--disable-warning=ExperimentalWarning', main] as const
const kinds = ['original', 'ours'] as const
type Kind = (typeof kinds)[number]
const skip = !hasOriginals

interface Program extends AsyncDisposable {
  readonly folder: string
  readonly url: string
  readonly pid: number
  output(): string
  ready(): Promise<void>
}

async function start(kind: Kind, flags: readonly string[], options: { readonly folder?: string; readonly peers?: readonly string[] } = {}): Promise<Program> {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'k8ts-flags-'))
  const url = `http://127.0.0.1:${await freePort()}`
  const peer = `http://127.0.0.1:${await freePort()}`
  const peers = options.peers ?? ['--name=a', `--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=${peer}`, `--initial-cluster=a=${peer}`, '--data-dir=data']
  const clients = flags.some((flag) => flag.startsWith('--listen-client-urls')) ? [] : [`--listen-client-urls=${url}`, `--advertise-client-urls=${url}`]
  const [program, ...before] = kind === 'original' ? [originalEtcd] : [...node, 'etcd']
  const child = spawn(program, [...before, ...peers, ...clients, ...flags], { cwd: folder, env: { PATH: process.env['PATH'] ?? '' } })
  const said: string[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => said.push(chunk.toString()))
  const ended = new Promise<void>((done) => { child.once('exit', () => done()) })
  const program_: Program = {
    folder, url, pid: child.pid ?? 0, output: () => said.join(''),
    ready: () => eventually(() => { assert.ok(said.join('').includes('ready to serve client requests'), said.join('').slice(-2000)) }),
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL')
      await ended
      if (options.folder === undefined) rmSync(folder, { recursive: true, force: true })
    },
  }
  return program_
}

async function eventually(attempt: () => void | Promise<void>): Promise<void> {
  const until = Date.now() + 60_000
  for (;;) {
    try { await attempt(); return } catch (error) { if (Date.now() > until) throw error }
    await new Promise((done) => setTimeout(done, 50))
  }
}

function run(program: string, args: readonly string[], options: { readonly cwd?: string; readonly input?: string } = {}): Promise<Run> {
  return new Promise((done) => {
    const child = execFile(program, args, { timeout: 15_000, maxBuffer: 1 << 24, ...(options.cwd && { cwd: options.cwd }) }, (error, out, err) => done({ code: error ? Number(error.code ?? 1) : 0, out, err }))
    child.stdin?.on('error', () => {}).end(options.input ?? '')
  })
}

interface Line { readonly msg: string; readonly [field: string]: unknown }

function linesOf(program: Program): readonly Line[] { return program.output().split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Line) }

interface SeenSpan { readonly name: string; readonly kind: number; readonly traceId: string; readonly parentId: string; readonly keys: readonly string[] }

/** A collector: reads what comes by OTLP. */

async function collector(seen: SeenSpan[], resources: Set<string>): Promise<AsyncDisposable & { readonly address: string }> {
  const parts = (bytes: Uint8Array, field: number): Uint8Array[] => {
    const found: Uint8Array[] = []
    for (const r = new WireReader(bytes); !r.done;) {
      const tag = r.tag()
      if (tag === field * 8 + 2) found.push(r.bytes())
      else r.skip(tag % 8)
    }
    return found
  }
  const numberOf = (bytes: Uint8Array, field: number): number => {
    for (const r = new WireReader(bytes); !r.done;) {
      const tag = r.tag()
      if (tag === field * 8) return r.varint()
      r.skip(tag % 8)
    }
    return 0
  }
  const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString()
  const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex')
  const server = await serveGrpc({ clock: realClock, listen: [{ host: '127.0.0.1', port: 0 }], handlers: [[exportPath, {
    unary: (request) => {
      for (const resource of parts(request, 1)) {
        for (const pair of parts(parts(resource, 1)[0] ?? new Uint8Array(0), 1)) resources.add(`${text(parts(pair, 1)[0])}=${text(parts(parts(pair, 2)[0] ?? new Uint8Array(0), 1)[0])}`)
        for (const scope of parts(resource, 2)) for (const span of parts(scope, 2)) {
          seen.push({ name: text(parts(span, 5)[0]), kind: numberOf(span, 6), traceId: hex(parts(span, 1)[0]), parentId: hex(parts(span, 4)[0]), keys: parts(span, 9).map((pair) => text(parts(pair, 1)[0])).sort() })
        }
      }
      return new Uint8Array(0)
    },
  }]] })
  const [address] = server.addresses
  assert.ok(address && 'port' in address)
  return { address: `127.0.0.1:${address.port}`, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

function callGrpc(url: string, path: string, body: Buffer, traceparent: string | undefined): Promise<void> {
  return new Promise((done, fail) => {
    const session = connect(url)
    session.once('error', fail)
    const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers', ...(traceparent === undefined ? {} : { traceparent }) })
    stream.resume()
    stream.once('error', fail).once('close', () => { session.close(); done() })
    stream.end(body)
  })
}

// Side by side: most of their time they wait for programs to start.
describe('flags of a running member', { skip, concurrency: 3 }, () => {
  test('slow requests are told of alike', async () => {
    const told = await Promise.all(kinds.map(async (kind) => {
      await using program = await start(kind, ['--warning-apply-duration=1ns', '--warning-unary-request-duration=1ns'])
      await program.ready()
      const ctl = (args: readonly string[], input?: string): Promise<Run> => run(originalEtcdctl, ['--endpoints', program.url, ...args], input === undefined ? {} : { input })
      await ctl(['put', 'foo', 'secret'])
      await ctl(['get', 'foo', '--prefix', '--limit=5'])
      await ctl(['txn'], 'mod("foo") > "0"\n\nput foo v2\nget foo\ndel zzz\n\nget foo\n\n')
      await ctl(['txn'], 'val("foo") = "secret"\n\nget foo\n\nget foo\n\n')
      await ctl(['get', 'a', 'z', '--sort-by=MODIFY', '--order=DESCEND', '--consistency=s', '--keys-only'])
      await ctl(['del', 'foo', '--prev-kv'])
      await ctl(['lease', 'grant', '60'])
      await ctl(['compact', '3'])
      await eventually(() => { assert.ok(linesOf(program).some((line) => line['response type'] === '/etcdserverpb.KV/Compact')) })
      // Spaces are as Go's protobuf pleases; ids, times and what depends on them differ.
      const plain = (value: unknown): string => String(value).replace(/ +/g, ' ').trim().replace(/header:([<{])[^>}]*[>}] ?/, 'header:$1').replace(/id:[0-9a-f]{16}/, 'id')
      const lines = linesOf(program)
      const stats = lines.filter(({ msg }) => msg === 'request stats').map((line) => [line['response type'], line['request count'], line['request size'], line['response count'], plain(line['request content'])])
      const applied = lines.filter(({ msg, request }) => msg === 'apply request took too long' && !/cluster_|auth|alarm/.test(String(request)))
        .map((line) => [plain(line['prefix']), plain(line['request']), line['expected-duration'], plain(line['response']).replace(/size:\d+$/, 'size')])
      const fields = (message: string): readonly string[] => Object.keys(lines.find(({ msg }) => msg === message) ?? {}).filter((name) => name !== 'caller').sort()
      return { stats, applied, fields: [fields('request stats'), fields('apply request took too long')] }
    }))
    const [theirs, ours] = told
    assert.ok((theirs?.stats.length ?? 0) >= 8 && (theirs?.applied.length ?? 0) >= 7)
    assert.deepEqual(ours, theirs)
  })

  test('profiles that `go tool pprof` reads', async () => {
    await using program = await start('ours', ['--enable-pprof'])
    await program.ready()
    const read = async (path: string): Promise<string> => {
      const profile = join(program.folder, 'profile')
      const response = await fetch(`${program.url}/debug/pprof/${path}`)
      assert.equal(response.status, 200, path)
      writeFileSync(profile, Buffer.from(await response.arrayBuffer()))
      const { code, out, err } = await run('go', ['tool', 'pprof', '-raw', profile])
      assert.equal(code, 0, err)
      return out
    }
    // Something to see.
    const load = (async () => { for (let i = 0; i < 300; i++) await fetch(`${program.url}/v3/kv/put`, { method: 'POST', body: JSON.stringify({ key: btoa(`k${i}`), value: 'eA==' }) }) })()
    const cpu = await read('profile?seconds=1')
    await load
    assert.match(cpu, /samples\/count cpu\/nanoseconds/)
    assert.match(cpu, /Locations\n[\s\S]*(run-member|server|gateway|node:)/)
    assert.match(await read('heap'), /inuse_objects\/count inuse_space\/bytes/)
    assert.match(await read('goroutine'), /goroutine\/count/)
    assert.equal((await run('go', ['tool', 'pprof', '-top', join(program.folder, 'profile')])).code, 0)
    assert.match(await (await fetch(`${program.url}/debug/pprof/`)).text(), /profile/)
    await using closed = await start('ours', [])
    await closed.ready()
    assert.equal((await fetch(`${closed.url}/debug/pprof/`)).status, 404, 'not unless it is asked for')
  })

  test('spans of gRPC calls reach a collector, as parts of their callers\' traces', async () => {
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
    const parentId = '00f067aa0ba902b7'
    const found = await Promise.all(kinds.map(async (kind) => {
      const seen: SeenSpan[] = []
      const resources = new Set<string>()
      await using receiver = await collector(seen, resources)
      await using program = await start(kind, ['--enable-distributed-tracing', `--distributed-tracing-address=${receiver.address}`, '--distributed-tracing-service-name=s', '--distributed-tracing-instance-id=i', '--distributed-tracing-sampling-rate=0'])
      await program.ready()
      // An empty key is refused by both: a call that ends with an error.
      for (const body of [Buffer.from('00000000060a016b120176', 'hex'), Buffer.from('0000000000', 'hex')]) await callGrpc(program.url, '/etcdserverpb.KV/Put', body, `00-${traceId}-${parentId}-01`)
      await callGrpc(program.url, '/etcdserverpb.KV/Put', Buffer.from('00000000060a016b120176', 'hex'), undefined)
      await eventually(() => { assert.equal(seen.filter(({ name, kind: spanKind }) => name === 'etcdserverpb.KV/Put' && spanKind === 2).length, 2) })
      assert.ok(resources.has('service.name=s') && resources.has('service.instance.id=i'))
      return seen.filter(({ kind: spanKind }) => spanKind === 2).map(({ name, traceId: trace, parentId: parent, keys }) => ({ name, trace, parent, keys }))
    }))
    const [theirs, ours] = found
    assert.deepEqual(theirs?.map(({ trace, parent }) => [trace, parent]), [[traceId, parentId], [traceId, parentId]])
    assert.deepEqual(ours, theirs)
  })

  test('connections: how many calls, and how often a client may ask', async () => {
    for (const kind of kinds) {
      await using program = await start(kind, ['--max-concurrent-streams=7', '--grpc-keepalive-min-time=10s', '--grpc-keepalive-interval=1s', '--grpc-keepalive-timeout=1s'])
      await program.ready()
      const session: ClientHttp2Session = connect(program.url)
      const settings = await new Promise<{ readonly maxConcurrentStreams?: number }>((done) => { session.once('remoteSettings', done) })
      assert.equal(settings.maxConcurrentStreams, 7, kind)
      const goaway = new Promise<readonly [code: number, why: string]>((done) => { session.once('goaway', (code, _, why) => done([code, Buffer.from(why ?? []).toString()])) })
      session.on('error', () => {})
      const asked = new Promise<void>((done) => { session.once('ping', () => done()) })
      await asked
      for (let i = 0; i < 6; i++) session.ping(() => {})
      assert.deepEqual(await goaway, [constants.NGHTTP2_ENHANCE_YOUR_CALM, 'too_many_pings'], kind)
      session.destroy()
    }
  })

  test('members of both kinds meet over unix sockets, and clients reach them there', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'k8ts-unix-'))
    try {
      const cluster = '--initial-cluster=a=unix://pa:1,b=unix://pb:1'
      const member = (kind: Kind, name: string): Promise<Program> => {
        const socket = `unix://${folder}/${name}.sock`
        return start(kind, [`--listen-client-urls=${socket}`, `--advertise-client-urls=${socket}`], { folder, peers: [`--name=${name}`, `--data-dir=${name}`, `--listen-peer-urls=unix://p${name}:1`, `--initial-advertise-peer-urls=unix://p${name}:1`, cluster] })
      }
      await using a = await member('ours', 'a')
      await using b = await member('original', 'b')
      await Promise.all([a.ready(), b.ready()])
      for (const [program, endpoint] of [[[originalEtcdctl], `unix://${folder}/a.sock`], [[...node, 'etcdctl'], `unix://${folder}/b.sock`], [[...node, 'etcdctl'], 'unix://a.sock'], [[...node, 'etcdctl'], 'unix:b.sock']] as const) {
        const [first, ...rest] = program
        assert.ok(first)
        assert.equal((await run(first, [...rest, '--endpoints', endpoint, 'put', 'k', endpoint], { cwd: folder })).out, 'OK\n', endpoint)
        assert.equal((await run(originalEtcdctl, ['--endpoints', `unix://${folder}/b.sock`, 'get', 'k'])).out, `k\n${endpoint}\n`)
      }
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  test('an original waits for a database that is in use, and ours refuses one', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'k8ts-locked-'))
    const database = join(folder, 'data/member/snap/db')
    const isLocked = (): boolean => readFileSync('/proc/locks', 'utf8').split('\n').some((line) => line.includes('FLOCK') && line.includes(`:${statSync(database).ino} `))
    const hasOpen = (pid: number): boolean => readdirSync(`/proc/${pid}/fd`).some((fd) => { try { return readlinkSync(`/proc/${pid}/fd/${fd}`) === database } catch { return false } })
    try {
      {
        const ours = await start('ours', [], { folder })
        await ours.ready()
        await eventually(() => { assert.ok(isLocked()) })
        await using original = await start('original', [], { folder })
        await eventually(() => { assert.ok(hasOpen(original.pid)) })
        assert.ok(!original.output().includes('ready to serve'))
        // Once it is free, the data are the original's.
        assert.equal((await run(originalEtcdctl, ['--endpoints', ours.url, 'put', 'k', 'v'])).out, 'OK\n')
        await ours[Symbol.asyncDispose]()
        await original.ready()
        assert.equal((await run(originalEtcdctl, ['--endpoints', original.url, 'get', 'k'])).out, 'k\nv\n')
        await using refused = await start('ours', [], { folder })
        await eventually(() => { assert.match(refused.output(), /is in use by process/) })
      }
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

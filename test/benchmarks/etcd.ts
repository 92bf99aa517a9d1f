// npm run bench:etcd [--quick]: our etcd beside the original (test/interop/.bin/etcd), same machine, same client, same disk, default fsync.
//
// Every cell is measured in rounds that alternate between the two servers, each alone at the time: throughput, p50 and p99, CPU of the
// server per operation (from /proc), and the ratio ours / original beside the target of PROMISES.md. Asserts nothing.
// Client: h2load with recorded gRPC frames, one connection, c streams; without h2load, and for what needs changing frames (unique keys,
// watches), the raw client beside this file.
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { cpus, hostname, loadavg, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { encodeProto3 } from '../../src/lib/base/protobuf/proto3.ts'
import { etcdTable } from '../../src/lib/etcd-api/generated/table.ts'
import { grpcFrame, headerBlock, RawHttp2Client } from './raw-http2-client.ts'

const root = resolve(import.meta.dirname, '../..')
const quick = process.argv.includes('--quick')
const option = (name: string): string | undefined => process.argv.find((a) => a.startsWith(`--${name}=`))?.slice(name.length + 3)
const seconds = Number(option('seconds') ?? (quick ? 0.5 : 1))
const rounds = Number(option('rounds') ?? (quick ? 1 : 2))
const concurrencies = (option('c') ?? (quick ? '1,64,256' : '1,16,64,256')).split(',').map(Number)
const watcherCounts = (option('watchers') ?? '1,100,1000').split(',').map(Number).filter((n) => n > 0)
const chosen = option('only')?.split(',')
const original = option('original') ?? resolve(root, 'test/interop/.bin/etcd')
const ours = option('ours') ?? join(root, 'k8ts')
const haveH2load = spawnSync('h2load', ['--version']).status === 0 && !process.argv.includes('--raw')

const pause = (ms: number): Promise<void> => new Promise((next) => setTimeout(next, ms))
const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))

interface EtcdProcess { readonly name: string; readonly port: number; readonly pid: number; stop(): Promise<void> }
interface Sample { readonly perSecond: number; readonly p50Ms: number; readonly p99Ms: number; readonly cpuMicros: number }

function freePort(): Promise<number> {
  return new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => done(address !== null && typeof address === 'object' ? address.port : 0))
    })
  })
}

async function startEtcd(name: string, command: readonly string[], folder: string): Promise<EtcdProcess> {
  const [port, peer] = [await freePort(), await freePort()]
  const [url, peerUrl] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${peer}`]
  const [program = '', ...first] = command
  const child = spawn(program, [...first, '--data-dir', join(folder, name), '--listen-client-urls', url, '--advertise-client-urls', url, '--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl,
    '--initial-cluster', `default=${peerUrl}`, '--log-level', 'error', '--quota-backend-bytes', String(8 * 2 ** 30)], { stdio: 'ignore', cwd: root })
  const gone = new Promise<void>((done) => { child.on('exit', () => done()) })
  for (let i = 0; ; i++) {
    if (child.exitCode !== null || i === 200) throw new Error(`${name} did not start`)
    const answer = await fetch(`${url}/health`).then((r) => r.text(), () => '')
    if (answer.includes('true')) break
    await pause(50)
  }
  return { name, port, pid: child.pid ?? 0, stop: async () => { child.kill('SIGTERM'); await gone } }
}

/** Seconds of processor that a process has used. */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

function quantile(sorted: Float64Array, q: number): number { return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN }

// ---- what is asked ----

const key = Buffer.concat([Buffer.from('/registry/pods/default/'), Buffer.alloc(233, 'k')])
const value = Buffer.alloc(1024, 'v')

function createTxn(name: Uint8Array, compared: Uint8Array = name): Uint8Array {
  return encodeProto3(etcdTable, 'TxnRequest', {
    compare: [{ result: 'EQUAL', target: 'MOD', key: compared, modRevision: 0 }], success: [{ requestPut: { key: name, value } }], failure: [{ requestRange: { key: name } }],
  })
}

interface Workload { readonly name: string; readonly path: string; readonly message: Uint8Array; readonly target: string; readonly unique?: boolean }

const workloads: readonly Workload[] = [
  { name: 'put', path: '/etcdserverpb.KV/Put', message: encodeProto3(etcdTable, 'PutRequest', { key, value }), target: 'raw 2.5x, CPU 1/4' },
  { name: 'txn write', path: '/etcdserverpb.KV/Txn', message: createTxn(key, Buffer.from('/never')), target: 'c=1 1.5x, c=64 2x' },
  { name: 'txn create', path: '/etcdserverpb.KV/Txn', message: createTxn(key), target: 'c=1 1.5x, c=64 2x', unique: true },
  { name: 'range', path: '/etcdserverpb.KV/Range', message: encodeProto3(etcdTable, 'RangeRequest', { key }), target: 'c=64 2x, raw 3x' },
  { name: 'range ser.', path: '/etcdserverpb.KV/Range', message: encodeProto3(etcdTable, 'RangeRequest', { key, serializable: true }), target: 'raw 3x' },
].filter((w) => chosen === undefined || chosen.includes(w.name))

let uniqueKeys = 0

/** The same request with a key that was never used: the frames differ in eight digits at known places. */
function uniqueBody(template: Buffer, places: readonly number[]): Buffer {
  const body = Buffer.from(template)
  const digits = String(uniqueKeys++).padStart(10, '0')
  for (const place of places) body.write(digits, place, 'latin1')
  return body
}

function placesOf(bytes: Buffer, needle: Buffer): number[] {
  const places: number[] = []
  for (let at = bytes.indexOf(needle); at >= 0; at = bytes.indexOf(needle, at + 1)) places.push(at + needle.length - 10)
  return places
}

// ---- clients ----

function runH2load(port: number, workload: Workload, c: number, folder: string): Promise<{ count: number; wallSeconds: number; latencies: Float64Array }> {
  const [bodyFile, logFile] = [join(folder, 'body'), join(folder, 'log')]
  writeFileSync(bodyFile, grpcFrame(workload.message))
  rmSync(logFile, { force: true })
  const child = spawn('h2load', ['-c', '1', '-m', String(c), '-D', String(Math.max(1, Math.round(seconds))), '-d', bodyFile, '-H', 'content-type: application/grpc', '-H', 'te: trailers', `--log-file=${logFile}`,
    `http://127.0.0.1:${port}${workload.path}`], { stdio: ['ignore', 'ignore', 'inherit'] })
  return new Promise((done) => {
    child.on('exit', () => {
      const lines = existsSync(logFile) ? readFileSync(logFile, 'utf8').trimEnd().split('\n') : []
      const latencies = new Float64Array(lines.length)
      let [first, last, count] = [Infinity, 0, 0]
      for (const line of lines) {
        const [start, status, micros] = line.split('\t').map(Number)
        if (status !== 200 || start === undefined || micros === undefined) continue
        latencies[count++] = micros / 1000
        first = Math.min(first, start)
        last = Math.max(last, start + micros)
      }
      done({ count, wallSeconds: (last - first) / 1e6, latencies: latencies.subarray(0, count) })
    })
  })
}

async function runRaw(port: number, workload: Workload, c: number): Promise<{ count: number; wallSeconds: number; latencies: Float64Array }> {
  const block = headerBlock(workload.path)
  const template = grpcFrame(workload.message)
  const places = workload.unique ? placesOf(template, key) : []
  const latencies: number[] = []
  const started = new Map<number, number>()
  const endAt = performance.now() + seconds * 1000
  let finish: (() => void) | undefined
  const finished = new Promise<void>((done) => { finish = done })
  const client = await RawHttp2Client.open(port, {
    ended: (stream) => {
      const now = performance.now()
      latencies.push(now - (started.get(stream) ?? now))
      started.delete(stream)
      if (now < endAt) ask()
      else if (started.size === 0) finish?.()
    },
  })
  const ask = (): void => { started.set(client.request(block, workload.unique ? uniqueBody(template, places) : template, true), performance.now()) }
  const begin = performance.now()
  for (let i = 0; i < c; i++) ask()
  await finished
  client.close()
  return { count: latencies.length, wallSeconds: (performance.now() - begin) / 1000, latencies: Float64Array.from(latencies) }
}

async function measure(server: EtcdProcess, workload: Workload, c: number, folder: string): Promise<Sample> {
  const cpuBefore = cpuSeconds(server.pid)
  const { count, wallSeconds, latencies } = haveH2load && !workload.unique ? await runH2load(server.port, workload, c, folder) : await runRaw(server.port, workload, c)
  const cpu = cpuSeconds(server.pid) - cpuBefore
  latencies.sort()
  return { perSecond: count / wallSeconds, p50Ms: quantile(latencies, 0.5), p99Ms: quantile(latencies, 0.99), cpuMicros: (cpu / count) * 1e6 }
}

// ---- watch fan-out ----

/** Counts the events of a stream's WatchResponses; field 11 of each message is an event. */
class EventCounter {
  events = 0
  #rest: Buffer | undefined

  push(chunk: Buffer): void {
    const bytes = this.#rest ? Buffer.concat([this.#rest, chunk]) : chunk
    let at = 0
    while (bytes.length - at >= 5) {
      const length = bytes.readUInt32BE(at + 1)
      if (bytes.length - at < 5 + length) break
      this.#message(bytes, at + 5, at + 5 + length)
      at += 5 + length
    }
    this.#rest = at < bytes.length ? Buffer.from(bytes.subarray(at)) : undefined
  }

  #message(bytes: Buffer, start: number, end: number): void {
    let at = start
    const varint = (): number => {
      let [result, scale] = [0, 1]
      for (;;) {
        const byte = bytes[at++] ?? 0
        result += (byte & 0x7f) * scale
        if (byte < 0x80) return result
        scale *= 128
      }
    }
    while (at < end) {
      const tag = varint()
      if (tag % 8 === 2) { const length = varint(); at += length; if (tag === 90) this.events++ } else varint()
    }
  }
}

/** One connection and stream with `count` watches of one prefix, as clientv3 has them; a writer with 16 puts in flight. */
async function measureWatch(server: EtcdProcess, count: number): Promise<Sample> {
  const counter = new EventCounter()
  let answers = 0
  const sink = await RawHttp2Client.open(server.port, { data: (_, bytes) => { answers += bytes.length; counter.push(bytes) } })
  const create = grpcFrame(encodeProto3(etcdTable, 'WatchRequest', { createRequest: { key: Buffer.from('/registry/pods/'), rangeEnd: Buffer.from('/registry/pods0') } }))
  const watch = sink.request(headerBlock('/etcdserverpb.Watch/Watch'), create, false)
  for (let i = 1; i < count; i++) sink.send(watch, create)
  let quiet = -1
  while (quiet !== answers || answers === 0) { quiet = answers; await pause(100) }
  const put = grpcFrame(workloads.length > 0 ? encodeProto3(etcdTable, 'PutRequest', { key, value }) : Buffer.alloc(0))
  const block = headerBlock('/etcdserverpb.KV/Put')
  let [puts, open, running] = [0, 0, true]
  const writer = await RawHttp2Client.open(server.port, { ended: () => { puts++; open--; if (running) ask() } })
  const ask = (): void => { open++; writer.request(block, put, true) }
  const cpuBefore = cpuSeconds(server.pid)
  const begin = performance.now()
  for (let i = 0; i < 16; i++) ask()
  await pause(seconds * 1000)
  running = false
  const limit = performance.now() + 10_000
  while ((open > 0 || counter.events < puts * count) && performance.now() < limit) await pause(5)
  const wall = (performance.now() - begin) / 1000
  const { events } = counter
  if (events < puts * count) console.log(`   (${server.name}: ${puts * count - events} of ${puts * count} events did not come within 10 s)`)
  const sample = { perSecond: events / wall, p50Ms: Number.NaN, p99Ms: puts / wall, cpuMicros: ((cpuSeconds(server.pid) - cpuBefore) / events) * 1e6 }
  sink.close()
  writer.close()
  await pause(50)
  return sample
}

// ---- the table ----

function median(samples: readonly Sample[]): Sample {
  const of = (pick: (s: Sample) => number): number => { const sorted = samples.map(pick).sort((a, b) => a - b); return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN }
  return { perSecond: of((s) => s.perSecond), p50Ms: of((s) => s.p50Ms), p99Ms: of((s) => s.p99Ms), cpuMicros: of((s) => s.cpuMicros) }
}

const cell = (s: Sample): string => `${Math.round(s.perSecond).toString().padStart(7)}/s ${Number.isNaN(s.p50Ms) ? '     -' : s.p50Ms.toFixed(2).padStart(6)} ${s.p99Ms.toFixed(1).padStart(6)} ${s.cpuMicros.toFixed(1).padStart(6)}`

async function row(name: string, c: number, target: string, servers: readonly [EtcdProcess, EtcdProcess], run: (server: EtcdProcess) => Promise<Sample>): Promise<void> {
  const samples: [Sample[], Sample[]] = [[], []]
  for (let round = 0; round < rounds; round++) {
    for (const at of round % 2 === 0 ? [0, 1] as const : [1, 0] as const) samples[at].push(await run(servers[at]))
  }
  const [mine, theirs] = [median(samples[0]), median(samples[1])]
  console.log(`${name.padEnd(11)} ${String(c).padStart(4)} | ${cell(mine)} | ${cell(theirs)} | ${(mine.perSecond / theirs.perSecond).toFixed(2).padStart(5)}x  CPU ${(mine.cpuMicros / theirs.cpuMicros).toFixed(2)}x | ${target}`)
}

if (!existsSync(original)) throw new Error(`no original etcd at ${original}: run test/interop/build-originals.sh`)
const folder = mkdtempSync(join(tmpdir(), 'k8ts-bench-etcd-'))
const servers: EtcdProcess[] = []
try {
  const mine = await startEtcd('ours', [ours, 'etcd'], folder)
  servers.push(mine)
  const theirs = await startEtcd('original', [original], folder)
  servers.push(theirs)
  console.log(`${new Date().toISOString()} ${hostname()} ${cpus().length} x ${cpus()[0]?.model ?? ''}, load ${loadavg().map((l) => l.toFixed(1)).join(' ')}; data in ${folder}`)
  console.log(`client: ${haveH2load ? 'h2load; txn create and watch by the raw Node client' : 'the raw Node client (h2load is not installed: apt-get install nghttp2-client)'}; one connection, ${seconds} s a cell, ${rounds} rounds`)
  console.log(`what           c | ours             p50    p99 CPU us | original         p50    p99 CPU us | ratio             | target\n${'-'.repeat(130)}`)
  const servedBy: readonly [EtcdProcess, EtcdProcess] = [mine, theirs]
  for (const server of servedBy) await measure(server, { name: 'put', path: '/etcdserverpb.KV/Put', message: encodeProto3(etcdTable, 'PutRequest', { key, value }), target: '' }, 16, folder)
  for (const workload of workloads) for (const c of concurrencies) await row(workload.name, c, workload.target, servedBy, (server) => measure(server, workload, c, folder))
  if (watcherCounts.length > 0) console.log('watch fan-out: events/s, puts/s in the place of p99, CPU per event')
  for (const count of watcherCounts) await row('watch', count, count === 100 ? '1.3x' : '1x', servedBy, (server) => measureWatch(server, count))
  console.log(`load at the end ${loadavg().map((l) => l.toFixed(1)).join(' ')}`)
} finally {
  for (const server of servers) await server.stop()
  rmSync(folder, { recursive: true, force: true })
}

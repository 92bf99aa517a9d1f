// Puts, transactions and ranges: one connection with `c` streams. Client: h2load with recorded gRPC frames; without h2load, and for what needs
// changing frames (unique keys), the raw client of raw-http2-client.ts.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { encodeProto3 } from '../../../src/lib/base/protobuf/proto3.ts'
import { etcdTable } from '../../../src/lib/etcd-api/generated/table.ts'
import { grpcFrame, headerBlock, RawHttp2Client } from '../raw-http2-client.ts'
import { cpuSeconds, type EtcdServer } from './servers.ts'

export interface Sample { readonly perSecond: number; readonly p50Ms: number; readonly p99Ms: number; readonly cpuMicros: number }
export interface Workload { readonly section: 'put' | 'txn' | 'range'; readonly name: string; readonly path: string; readonly message: Uint8Array; readonly unique?: boolean; readonly target: (c: number) => string }

export const key = Buffer.concat([Buffer.from('/registry/pods/default/'), Buffer.alloc(233, 'k')])
export const value = Buffer.alloc(1024, 'v')

function createTxn(name: Uint8Array, compared: Uint8Array = name): Uint8Array {
  return encodeProto3(etcdTable, 'TxnRequest', {
    compare: [{ result: 'EQUAL', target: 'MOD', key: compared, modRevision: 0 }], success: [{ requestPut: { key: name, value } }], failure: [{ requestRange: { key: name } }],
  })
}

export const putMessage = encodeProto3(etcdTable, 'PutRequest', { key, value })
const writeTarget = (c: number): string => (c === 1 ? '1.5x' : c === 256 ? '2.5x, CPU 0.25x' : c === 64 ? '2x, CPU 0.25x' : '')
const readTarget = (c: number): string => (c === 64 ? '2x' : c === 256 ? '3x' : '')

export const workloads: readonly Workload[] = [
  { section: 'put', name: 'put', path: '/etcdserverpb.KV/Put', message: putMessage, target: writeTarget },
  { section: 'txn', name: 'txn write', path: '/etcdserverpb.KV/Txn', message: createTxn(key, Buffer.from('/never')), target: writeTarget },
  { section: 'txn', name: 'txn create', path: '/etcdserverpb.KV/Txn', message: createTxn(key), unique: true, target: writeTarget },
  { section: 'range', name: 'range lin.', path: '/etcdserverpb.KV/Range', message: encodeProto3(etcdTable, 'RangeRequest', { key }), target: readTarget },
  { section: 'range', name: 'range ser.', path: '/etcdserverpb.KV/Range', message: encodeProto3(etcdTable, 'RangeRequest', { key, serializable: true }), target: readTarget },
]

export const haveH2load = spawnSync('h2load', ['--version']).status === 0 && !process.argv.includes('--raw')

interface Run { readonly count: number; readonly wallSeconds: number; readonly latencies: Float64Array }

function runH2load(server: EtcdServer, workload: Workload, c: number, count: number, folder: string): Promise<Run> {
  const [bodyFile, logFile] = [join(folder, 'body'), join(folder, 'log')]
  writeFileSync(bodyFile, grpcFrame(workload.message))
  rmSync(logFile, { force: true })
  const child = spawn('h2load', ['-c', '1', '-m', String(c), '-n', String(count), '-d', bodyFile, '-H', 'content-type: application/grpc', '-H', 'te: trailers', `--log-file=${logFile}`, `${server.url}${workload.path}`], { stdio: ['ignore', 'ignore', 'inherit'] })
  return new Promise((done) => {
    child.on('exit', () => {
      const lines = existsSync(logFile) ? readFileSync(logFile, 'utf8').trimEnd().split('\n') : []
      const latencies = new Float64Array(lines.length)
      let [first, last, good] = [Infinity, 0, 0]
      for (const line of lines) {
        const [start, status, micros] = line.split('\t').map(Number)
        if (status !== 200 || start === undefined || micros === undefined) continue
        latencies[good++] = micros / 1000
        first = Math.min(first, start)
        last = Math.max(last, start + micros)
      }
      done({ count: good, wallSeconds: (last - first) / 1e6, latencies: latencies.subarray(0, good) })
    })
  })
}

let uniqueKeys = 0

/** The same request with a key that was never used: the frames differ in ten digits at known places. */
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

async function runRaw(server: EtcdServer, workload: Workload, c: number, count: number): Promise<Run> {
  const block = headerBlock(workload.path)
  const template = grpcFrame(workload.message)
  const places = workload.unique ? placesOf(template, key) : []
  const latencies = new Float64Array(count)
  const started = new Map<number, number>()
  let [asked, ended] = [0, 0]
  const finished = Promise.withResolvers<void>()
  const client = await RawHttp2Client.open(server.port, {
    ended: (stream) => {
      const now = performance.now()
      latencies[ended++] = now - (started.get(stream) ?? now)
      started.delete(stream)
      if (asked < count) ask()
      else if (ended === count) finished.resolve()
    },
  })
  const ask = (): void => { asked++; started.set(client.request(block, workload.unique ? uniqueBody(template, places) : template, true), performance.now()) }
  const begin = performance.now()
  for (let i = 0; i < Math.min(c, count); i++) ask()
  await finished.promise
  client.close()
  return { count, wallSeconds: (performance.now() - begin) / 1000, latencies }
}

export async function measure(server: EtcdServer, workload: Workload, c: number, count: number, folder: string): Promise<Sample> {
  const cpuBefore = cpuSeconds(server.pid)
  const run = haveH2load && !workload.unique ? await runH2load(server, workload, c, count, folder) : await runRaw(server, workload, c, count)
  const cpu = cpuSeconds(server.pid) - cpuBefore
  if (run.count < count) throw new Error(`${server.side}: ${count - run.count} of ${count} ${workload.name} failed`)
  const sorted = run.latencies.sort()
  const quantile = (q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN
  return { perSecond: run.count / run.wallSeconds, p50Ms: quantile(0.5), p99Ms: quantile(0.99), cpuMicros: (cpu / run.count) * 1e6 }
}

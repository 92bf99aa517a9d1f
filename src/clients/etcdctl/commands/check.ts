// check perf and check datascale: load a cluster for a while and say whether it kept up. Upstream: etcdctl/ctlv3/command/check.go
import { get as httpGet } from 'node:http'
import { get as httpsGet } from 'node:https'
import type { FlagSpecs } from '../../../lib/component-base/flags.ts'
import { realRandom } from '../../../lib/async/real-random.ts'
import { sleep } from '../../../lib/base/clock.ts'
import { kvService, maintenanceService } from '../../../lib/etcd-api/generated/services.ts'
import type { CompactionRequest, DeleteRangeRequest, DeleteRangeResponse, PutRequest, RangeRequest, RangeResponse } from '../../../lib/etcd-api/generated/types.ts'
import { describeCallError, type EtcdConnection } from '../client/etcd-connection.ts'
import { prefixEnd } from '../client/key-ranges.ts'
import { defineCommand, defineGroup, ExitError, exitCodes } from '../command.ts'
import { bytesOfText, quote } from '../go-format.ts'
import { readTls, type Session } from '../session.ts'

type Load = 's' | 'm' | 'l' | 'xl'
const loadNames: { readonly [name: string]: Load } = { s: 's', small: 's', m: 'm', medium: 'm', l: 'l', large: 'l', xl: 'xl', xLarge: 'xl' }
const perfLoads = { s: { limit: 150, clients: 50 }, m: { limit: 1000, clients: 200 }, l: { limit: 8000, clients: 500 }, xl: { limit: 15_000, clients: 1000 } } as const satisfies { readonly [K in Load]: object }
const dataLoads = { s: { limit: 10_000, clients: 50 }, m: { limit: 100_000, clients: 200 }, l: { limit: 1_000_000, clients: 500 }, xl: { limit: 3_000_000, clients: 1000 } } as const satisfies { readonly [K in Load]: object }
const perfSeconds = 60
const cleanUpMs = 30_000

function loadOf(name: string): Load {
  const load = Object.hasOwn(loadNames, name) ? loadNames[name] : undefined
  if (load === undefined) throw new ExitError(exitCodes.badFeature, `unknown load option ${name}`)
  return load
}

/** What the puts of a check came to: seconds each took, errors by text. */
export interface CheckResults { readonly latencies: readonly number[]; readonly errors: ReadonlyMap<string, number>; readonly totalSeconds: number }

/** The verdict on a load of `limit` writes per second. */
export function perfVerdict({ latencies, errors, totalSeconds }: CheckResults, limit: number): { readonly lines: readonly string[]; readonly passed: boolean } {
  const lines: string[] = []
  let passed = true
  const check = (good: boolean, pass: string, fail: string): void => { lines.push(good ? pass : fail); passed &&= good }
  if (errors.size > 0) {
    check(false, '', 'FAIL: too many errors')
    for (const [text, count] of errors) lines.push(`FAIL: ERROR(${text}) -> ${count}`)
  }
  const perSecond = latencies.length / totalSeconds
  const average = latencies.reduce((sum, latency) => sum + latency, 0) / latencies.length
  const slowest = latencies.reduce((most, latency) => Math.max(most, latency), 0)
  const deviation = Math.sqrt(latencies.reduce((sum, latency) => sum + (latency - average) ** 2, 0) / latencies.length)
  const whole = Math.floor(perSecond) + 1
  check(perSecond / limit > 0.9, `PASS: Throughput is ${whole} writes/s`, `FAIL: Throughput too low: ${whole} writes/s`)
  check(slowest <= 0.5, `PASS: Slowest request took ${slowest.toFixed(6)}s`, `Slowest request took too long: ${slowest.toFixed(6)}s`)
  check(deviation <= 0.1, `PASS: Stddev is ${deviation.toFixed(6)}s`, `Stddev too high: ${deviation.toFixed(6)}s`)
  lines.push(passed ? 'PASS' : 'FAIL')
  return { lines, passed }
}

/** Puts from many clients at once. `next` gives the next request, or undefined at the end; a client waits for it. */
async function putAll(session: Session, connections: readonly EtcdConnection[], next: () => Promise<PutRequest | undefined>): Promise<CheckResults> {
  const latencies: number[] = []
  const errors = new Map<string, number>()
  const started = session.clock.monotonic()
  const always = new AbortController().signal
  await Promise.all(connections.map(async (connection) => {
    for (let request = await next(); request; request = await next()) {
      const begun = session.clock.monotonic()
      try {
        await connection.unary(kvService, 'Put', request, always)
        latencies.push((session.clock.monotonic() - begun) / 1000)
      } catch (error) {
        const text = describeCallError(error)
        errors.set(text, (errors.get(text) ?? 0) + 1)
      }
    }
  }))
  return { latencies, errors, totalSeconds: (session.clock.monotonic() - started) / 1000 }
}

async function openClients(session: Session, count: number): Promise<readonly [EtcdConnection, ...EtcdConnection[]]> {
  const first = await session.connect()
  const rest: EtcdConnection[] = []
  while (rest.length < count - 1) rest.push(await session.connect())
  return [first, ...rest]
}

async function demandEmpty(connection: EtcdConnection, prefix: string, hint: string): Promise<void> {
  const key = bytesOfText(prefix)
  const { kvs = [] } = await connection.unary<RangeResponse>(kvService, 'Range', { key, rangeEnd: prefixEnd(key), limit: 1 } satisfies RangeRequest, new AbortController().signal)
  if (kvs.length > 0) throw new ExitError(exitCodes.invalidInput, `prefix ${quote(prefix)} has keys. Delete with ${hint} first`)
}

const barColumns = 100

/** How far it is, in one line: `2 / 60 [-->____] 3.33% 1 p/s`. Upstream: github.com/cheggaaa/pb */
export function progressBar(done: number, total: number): string {
  const head = `${done} / ${total} [`
  const tail = `] ${((done * 100) / total).toFixed(2)}% ${done === 0 ? '?' : 1} p/s`
  const width = barColumns - head.length - tail.length
  const filled = Math.ceil((width * done) / total)
  const bar = filled === 0 ? '' : filled >= width ? '-'.repeat(width) : `${'-'.repeat(filled - 1)}>`
  return `${head}${bar.padEnd(width, '_')}${tail}`
}

function randomKey(prefix: Uint8Array, length: number): Uint8Array { return Buffer.concat([prefix, realRandom.bytes(9), new Uint8Array(length - 9)]) }

async function cleanUp(session: Session, connection: EtcdConnection, prefix: string, compact: boolean): Promise<void> {
  const key = bytesOfText(prefix)
  const { header } = await connection.unary<DeleteRangeResponse>(kvService, 'DeleteRange', { key, rangeEnd: prefixEnd(key) } satisfies DeleteRangeRequest, session.deadline(cleanUpMs))
  if (!compact) return
  const revision = header?.revision ?? 0
  session.out(`Compacting with revision ${revision}\n`)
  await connection.unary(kvService, 'Compact', { revision, physical: true } satisfies CompactionRequest, session.deadline(cleanUpMs))
  session.out(`Compacted with revision ${revision}\n`)
}

async function defragmentAll(session: Session): Promise<void> {
  for (const endpoint of (await session.settings()).endpoints) {
    session.out(`Defragmenting ${quote(endpoint)}\n`)
    await (await session.connect([endpoint])).unary(maintenanceService, 'Defragment', {}, session.deadline(cleanUpMs))
    session.out(`Defragmented ${quote(endpoint)}\n`)
  }
}

const afterFlags = {
  'auto-compact': { type: 'bool', usage: 'Compact storage with last revision after test is finished.' },
  'auto-defrag': { type: 'bool', usage: 'Defragment storage after test is finished.' },
} as const satisfies FlagSpecs

const perf = defineCommand({
  use: 'perf [options]', short: 'Check the performance of the etcd cluster',
  flags: {
    load: { type: 'string', default: 's', usage: "The performance check's workload model. Accepted workloads: s(small), m(medium), l(large), xl(xLarge). Different workload models use different configurations in terms of number of clients and expected throughput." },
    prefix: { type: 'string', default: '/etcdctl-check-perf/', usage: "The prefix for writing the performance check's keys." },
    ...afterFlags,
  },
  async run(session, { flags }) {
    const { limit, clients } = perfLoads[loadOf(flags.load)]
    const connections = await openClients(session, clients)
    const [first] = connections
    await demandEmpty(first, flags.prefix, `'etcdctl del --prefix ${flags.prefix}'`)
    const interrupted = new AbortController()
    const stop = (): void => interrupted.abort(new Error('interrupted'))
    process.once('SIGINT', stop)
    const prefix = bytesOfText(flags.prefix)
    const value = new Uint8Array(1024)
    const started = session.clock.monotonic()
    let issued = 0
    let shown = -1
    // On a terminal each state takes the place of the one before.
    const returns = process.stderr.isTTY ? '\r' : ''
    // The n-th request is due after n / limit seconds.
    const results = await putAll(session, connections, async () => {
      const due = (issued++ / limit) * 1000
      if (due >= perfSeconds * 1000 || interrupted.signal.aborted) return undefined
      const now = session.clock.monotonic() - started
      if (now < due) await sleep(session.clock, due - now, interrupted.signal).catch(() => {})
      const second = Math.floor(due / 1000)
      if (second > shown) { shown = second; session.err(`${returns}${progressBar(second, perfSeconds)}`) }
      return { key: randomKey(prefix, 256), value }
    })
    if (returns !== '') session.err(`${returns}${progressBar(perfSeconds, perfSeconds)}\n`)
    process.removeListener('SIGINT', stop)
    try {
      await cleanUp(session, first, flags.prefix, flags['auto-compact'])
    } catch (error) {
      session.out(`FAIL: Cleanup failed during key deletion: ERROR(${describeCallError(error)})\n`)
    }
    if (flags['auto-defrag']) await defragmentAll(session)
    const { lines, passed } = perfVerdict(results, limit)
    session.out(`${lines.join('\n')}\n`)
    if (!passed) throw new ExitError(exitCodes.error, '')
  },
})

const datascale = defineCommand({
  use: 'datascale [options]', short: 'Check the memory usage of holding data for different workloads on a given server endpoint.',
  long: 'If no endpoint is provided, localhost will be used. If multiple endpoints are provided, first endpoint will be used.',
  flags: {
    load: { type: 'string', default: 's', usage: "The datascale check's workload model. Accepted workloads: s(small), m(medium), l(large), xl(xLarge)" },
    prefix: { type: 'string', default: '/etcdctl-check-datascale/', usage: "The prefix for writing the datascale check's keys." },
    ...afterFlags,
  },
  async run(session, { flags }) {
    const { limit, clients } = dataLoads[loadOf(flags.load)]
    const connections = await openClients(session, clients)
    const [first] = connections
    await demandEmpty(first, flags.prefix, `etcdctl del --prefix ${flags.prefix}`)
    const before = await memoryOf(session)
    if (before === 0) throw failure(session, 'Could not read process_resident_memory_bytes before the put operations.')
    session.out(`Start data scale check for work load [${limit} key-value pairs, 1024 bytes per key-value, ${clients} concurrent clients].\n`)
    const prefix = bytesOfText(flags.prefix)
    const value = new Uint8Array(512)
    let issued = 0
    const results = await putAll(session, connections, async () => (issued++ < limit ? { key: randomKey(prefix, 512), value } : undefined))
    const after = await memoryOf(session)
    if (after === 0) throw failure(session, 'Could not read process_resident_memory_bytes after the put operations.')
    await cleanUp(session, first, flags.prefix, flags['auto-compact'])
    if (flags['auto-defrag']) await defragmentAll(session)
    if (results.errors.size > 0) {
      session.out(`FAIL: too many errors\n${[...results.errors].map(([text, count]) => `FAIL: ERROR(${text}) -> ${count}\n`).join('')}`)
      throw new ExitError(exitCodes.error, '')
    }
    session.out(`PASS: Approximate system memory used : ${((after - before) / 1024 / 1024).toFixed(2)} MB.\n`)
  },
})

function failure(session: Session, text: string): ExitError {
  session.out(`FAIL: ${text}\n`)
  return new ExitError(exitCodes.error, '')
}

/** The server's resident memory from its /metrics, bytes; 0 when it can't be read (and says why). */
async function memoryOf(session: Session): Promise<number> {
  const { endpoints, flags } = await session.settings()
  const endpoint = endpoints[0] ?? ''
  const url = `${/^https?:\/\//.test(endpoint) ? endpoint : `http://${endpoint}`}/metrics`
  const tls = readTls({ cert: flags.cert, key: flags.key, cacert: flags.cacert, insecureTransport: true, skipVerify: flags['insecure-skip-tls-verify'] })
  const text = await new Promise<string>((resolve, reject) => {
    const read = url.startsWith('https:') ? httpsGet(url, { ...tls, rejectUnauthorized: !tls?.insecureSkipVerify }) : httpGet(url)
    read.on('error', reject)
    read.on('response', (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => resolve(Buffer.concat(chunks).toString()))
      response.on('error', reject)
    })
  }).catch((error: unknown) => { session.out(`fetch error: ${error instanceof Error ? error.message : String(error)}\n`); return undefined })
  if (text === undefined) return 0
  const found = /^process_resident_memory_bytes\s+(\S+)/m.exec(text)?.[1]
  if (found === undefined) session.out('could not find: process_resident_memory_bytes\n')
  return Number(found ?? 0)
}

export const checkCommand = defineGroup(
  { use: 'check <subcommand>', short: 'commands for checking properties of the etcd cluster. Use `etcdctl check --help` to see subcommands', long: 'commands for checking properties of the etcd cluster', group: 'utility' },
  [perf, datascale],
)

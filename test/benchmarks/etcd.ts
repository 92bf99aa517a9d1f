// npm run bench:etcd: our etcd beside the original (test/interop/.bin/etcd), same machine, same clients, same disk, fsync on.
//
//   npm run bench:etcd                         everything, about fifteen minutes
//   npm run bench:etcd -- --only=put,range     sections: put, txn, range, watch, keys, failover, perf
//   npm run bench:etcd -- --quick              a smoke run of every section in less than a minute
//
// Further: --c=1,64  --rounds=3  --requests=20000 (per cell at 64 clients)  --watchers=1,100,1000  --keys=1000000  --kills=10  --loads=l,xl
// --ours="path etcd"  --original=path  --raw (without h2load).
//
// The two servers alternate in rounds, each alone at the time, so that noise hits both; medians. CPU is the server's user and system time per
// operation: the figure that other work on the machine changes least. Asserts nothing but that everything was answered.
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { cpus, hostname, loadavg, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { checkPerf } from './etcd/check-perf.ts'
import { killLeader, moveLeader } from './etcd/failover.ts'
import { haveH2load, measure, workloads, type Sample } from './etcd/load.ts'
import { fill, list, restart, type ListSample } from './etcd/many-keys.ts'
import { killAll, pause, residentMb, sides, startOne, startThree, type EtcdServer, type Programs, type Side } from './etcd/servers.ts'
import { measureWatch } from './etcd/watch.ts'

const root = resolve(import.meta.dirname, '../..')
const option = (name: string): string | undefined => process.argv.find((a) => a.startsWith(`--${name}=`))?.slice(name.length + 3)
const numbers = (name: string, otherwise: string): number[] => (option(name) ?? otherwise).split(',').map(Number).filter((n) => n > 0)
const quick = process.argv.includes('--quick')
const rounds = Number(option('rounds') ?? (quick ? 1 : 3))
const requests = Number(option('requests') ?? (quick ? 2000 : 20_000))
const concurrencies = numbers('c', quick ? '1,64' : '1,16,64,256')
const watcherCounts = numbers('watchers', '1,100,1000')
const keyCount = Number(option('keys') ?? (quick ? 20_000 : 1_000_000))
const kills = Number(option('kills') ?? (quick ? 1 : 10))
const loads = (option('loads') ?? (quick ? 's' : 'l,xl')).split(',')
const chosen = option('only')?.split(',')
const bin = join(root, 'test/interop/.bin')
const original = option('original') ?? join(bin, 'etcd')
const programs: Programs = { ours: option('ours')?.split(' ') ?? [join(root, 'k8ts'), 'etcd'], original: [original] }
if (!existsSync(original)) throw new Error(`no original etcd at ${original}: run test/interop/build-originals.sh`)

const print = (line = ''): void => { process.stdout.write(`${line}\n`) }
const progress = (what: string): void => { if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${what}`) }
const wants = (section: string): boolean => chosen === undefined || chosen.includes(section)
const middle = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
const highest = (values: readonly number[]): number => Math.max(...values)
const folder = mkdtempSync(join(tmpdir(), 'k8ts-bench-etcd-'))

/** Runs both sides in rounds that alternate. */
async function alternate<S>(name: string, count: number, run: (side: Side, round: number) => Promise<S>): Promise<{ readonly [side in Side]: readonly S[] }> {
  const samples: { [side in Side]: S[] } = { ours: [], original: [] }
  for (let round = 0; round < count; round++) {
    for (const side of round % 2 === 0 ? sides : [...sides].reverse()) {
      progress(`${name}: round ${round + 1} of ${count}, ${side}`)
      samples[side].push(await run(side, round))
    }
  }
  progress('')
  return samples
}

const number = (value: number, width: number, digits = 0): string => (Number.isNaN(value) ? '-' : value.toFixed(digits)).padStart(width)
const cell = (s: Sample): string => `${number(s.perSecond, 8)}/s ${number(s.p50Ms, 7, 2)} ${number(s.p99Ms, 7, 1)} ${number(s.cpuMicros, 7, 1)}`

function median(samples: readonly Sample[]): Sample {
  const of = (pick: (s: Sample) => number): number => middle(samples.map(pick))
  return { perSecond: of((s) => s.perSecond), p50Ms: of((s) => s.p50Ms), p99Ms: of((s) => s.p99Ms), cpuMicros: of((s) => s.cpuMicros) }
}

async function row(name: string, c: number, target: string, run: (side: Side) => Promise<Sample>): Promise<void> {
  const samples = await alternate(`${name} ${c}`, rounds, run)
  const [mine, theirs] = [median(samples.ours), median(samples.original)]
  print(`${name.padEnd(11)} ${String(c).padStart(4)} | ${cell(mine)} | ${cell(theirs)} | ${(mine.perSecond / theirs.perSecond).toFixed(2).padStart(5)}x  CPU ${(mine.cpuMicros / theirs.cpuMicros).toFixed(2)}x | ${target}`)
}

/** A line of a table without clients: ours, the original's, and the ratio. */
function line(name: string, mine: number, theirs: number, unit: string, digits = 0): void {
  print(`${name.padEnd(46)} | ${number(mine, 10, digits)} ${unit.padEnd(3)} | ${number(theirs, 10, digits)} ${unit.padEnd(3)} | ${number(mine / theirs, 6, 2)}x`)
}

async function withServers(use: (servers: { readonly [side in Side]: EtcdServer }) => Promise<void>): Promise<void> {
  const place = mkdtempSync(join(folder, 'single-'))
  const servers = { ours: await startOne('ours', programs, place), original: await startOne('original', programs, place) }
  try {
    await use(servers)
  } finally {
    for (const side of sides) await servers[side].stop()
    rmSync(place, { recursive: true, force: true })
  }
}

/** Fewer at low concurrency, where each takes a write of its own. */
const requestsAt = (c: number): number => Math.max(200, Math.round(c === 1 ? requests / 10 : c < 64 ? requests / 2 : requests))

async function loadSections(): Promise<void> {
  await withServers(async (servers) => {
    print(`what           c | ours              p50     p99  CPU us | original          p50     p99  CPU us | ratio             | target\n${'-'.repeat(138)}`)
    const [put] = workloads
    // Compilers and caches warm up with what is measured.
    for (const workload of workloads) if (workload === put || wants(workload.section)) for (const side of sides) await measure(servers[side], workload, 64, requests, folder)
    for (const workload of workloads) if (wants(workload.section)) for (const c of concurrencies) await row(workload.name, c, workload.target(c), (side) => measure(servers[side], workload, c, requestsAt(c), folder))
    if (!wants('watch') || watcherCounts.length === 0) return
    print('watch fan-out: events/s; puts/s in the place of p99; CPU per event')
    for (const count of watcherCounts) await row('watch', count, count === 100 ? '1.3x' : '1x', (side) => measureWatch(servers[side], count, quick ? 100 : count === 1 ? 5000 : 1000))
  })
}

async function manyKeys(): Promise<void> {
  await withServers(async (first) => {
    const servers: { [side in Side]: EtcdServer } = { ...first }
    print(`\n${keyCount} keys of 41 bytes with 256 bytes each`.padEnd(47) + '| ours           | original       | ratio\n' + '-'.repeat(92))
    const empty = await alternate('memory, empty', 1, async (side) => residentMb(servers[side].pid))
    const filled = await alternate('fill', 1, (side) => fill(servers[side], keyCount))
    line('create, 100 a transaction: keys per second', keyCount / filled.ours[0]!.seconds, keyCount / filled.original[0]!.seconds, '/s') // cast: one round
    line('CPU per key', filled.ours[0]!.cpuMicros, filled.original[0]!.cpuMicros, 'us', 1) // cast: one round
    await pause(quick ? 200 : 3000)
    line('resident memory, empty', empty.ours[0] ?? 0, empty.original[0] ?? 0, 'MB')
    line('resident memory, filled', residentMb(servers.ours.pid), residentMb(servers.original.pid), 'MB')
    const restarts = await alternate('restart', quick ? 1 : Math.min(rounds, 2), async (side) => {
      const done = await restart(servers[side])
      servers[side] = done.server
      return done
    })
    line('start to the first linearizable read', middle(restarts.ours.map((r) => r.ms)), middle(restarts.original.map((r) => r.ms)), 'ms')
    line('CPU of the start', middle(restarts.ours.map((r) => r.cpuSeconds * 1000)), middle(restarts.original.map((r) => r.cpuSeconds * 1000)), 'ms')
    line('resident memory after the start', residentMb(servers.ours.pid), residentMb(servers.original.pid), 'MB')
    for (const method of ['Range', 'RangeStream'] as const) {
      const lists = await alternate(`list, ${method}`, quick ? 1 : rounds, (side) => list(servers[side], method))
      const show = (name: string, unit: string, pick: (s: ListSample) => number, of = middle): void => line(`list of all (${method}): ${name}`, of(lists.ours.map(pick)), of(lists.original.map(pick)), unit)
      show('time', 'ms', (s) => s.ms)
      show('CPU', 'ms', (s) => s.cpuMs)
      show('longest wait of another read', 'ms', (s) => s.longestWaitMs, highest)
      show('resident memory, highest', 'MB', (s) => s.peakMb, highest)
    }
    for (const side of sides) first[side].stop = () => servers[side].stop()
  })
}

async function failover(): Promise<void> {
  const place = mkdtempSync(join(folder, 'three-'))
  print(`\nthree members, default timings; ${kills} times each`.padEnd(47) + '| ours           | original       | ratio\n' + '-'.repeat(92))
  const clusters: { [side in Side]?: EtcdServer[] } = {}
  try {
    for (const side of sides) clusters[side] = await startThree(side, programs, place)
    const of = (side: Side): EtcdServer[] => clusters[side] ?? []
    const moved = await alternate('transfer', kills, (side) => moveLeader(of(side)))
    const killed = await alternate('failover', kills, (side) => killLeader(of(side)))
    const quantile = (values: readonly number[], q: number): number => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))] ?? Number.NaN
    for (const [name, q] of [['p50', 0.5], ['p99', 0.99]] as const) line(`leader killed: until a write is acknowledged, ${name}`, quantile(killed.ours, q), quantile(killed.original, q), 'ms')
    for (const [name, q] of [['p50', 0.5], ['p99', 0.99]] as const) line(`move-leader: longest time without a write, ${name}`, quantile(moved.ours.map((m) => m.gapMs), q), quantile(moved.original.map((m) => m.gapMs), q), 'ms')
    line('move-leader: the call, p50', quantile(moved.ours.map((m) => m.callMs), 0.5), quantile(moved.original.map((m) => m.callMs), 0.5), 'ms')
  } finally {
    for (const side of sides) for (const server of clusters[side] ?? []) await server.stop('SIGKILL')
    rmSync(place, { recursive: true, force: true })
  }
}

async function perf(): Promise<void> {
  const etcdctl = join(bin, 'etcdctl')
  print("\nthe original's `etcdctl check perf`".padEnd(47) + '| writes/s, slowest, CPU per write, verdicts (throughput, slowest, deviation, all)\n' + '-'.repeat(92))
  for (const load of loads) {
    for (const side of sides) {
      const place = mkdtempSync(join(folder, 'perf-'))
      const server = await startOne(side, programs, place)
      try {
        progress(`check perf --load ${load}, ${side}`)
        const s = await checkPerf(etcdctl, server, load, quick ? 2000 : undefined)
        progress('')
        print(`${`load ${load}, ${side}`.padEnd(46)} | ${quick ? 'ended early' : `${number(s.perSecond, 7)}/s ${number(s.slowestSeconds * 1000, 7)} ms ${number(s.cpuMicros, 7, 1)} us  ${s.verdicts}`}`)
      } finally {
        await server.stop()
        rmSync(place, { recursive: true, force: true })
      }
    }
  }
}

process.on('SIGINT', () => { killAll(); rmSync(folder, { recursive: true, force: true }); process.exit(130) })
const begun = performance.now()
try {
  print(`${new Date().toISOString()}, ${hostname()}, ${cpus().length} x ${cpus()[0]?.model ?? ''}, Node ${process.versions.node}, load ${loadavg().map((l) => l.toFixed(1)).join(' ')}; data in ${folder}`)
  print(`client: ${haveH2load ? 'h2load; txn create, watch, keys and failover by the raw Node client' : 'the raw Node client (h2load is not installed: apt-get install nghttp2-client)'}; one connection, ${requests} requests a cell, ${rounds} rounds`)
  if (['put', 'txn', 'range', 'watch'].some(wants)) await loadSections()
  if (wants('keys')) await manyKeys()
  if (wants('failover')) await failover()
  if (wants('perf')) await perf()
  print(`\n${Math.round((performance.now() - begun) / 1000)} s; load at the end ${loadavg().map((l) => l.toFixed(1)).join(' ')}`)
} finally {
  killAll()
  rmSync(folder, { recursive: true, force: true })
}

// npm run bench: how fast a cluster is up, what it costs when idle, how many pods a second it starts. Prints the figures beside the targets of
// PROMISES.md, with the machine and the date; asserts nothing. Needs root on Linux; a cluster named `bench` is started several times.
import { execFileSync, spawn } from 'node:child_process'
import { cpus, hostname, tmpdir, totalmem } from 'node:os'
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { realClock } from '../../src/lib/async/real-clock.ts'
import type { ApiClient } from '../../src/lib/client/api-client.ts'
import { createHttpTransport } from '../../src/lib/client/http-transport.ts'
import type { HttpTransport } from '../../src/lib/client/http-transport.ts'
import { loadKubeconfig } from '../../src/lib/client/kubeconfig.ts'
import { createApiClient } from '../../src/lib/client/resource-client.ts'
import { deployments, nodes, pods } from '../../src/lib/client/resource-keys.ts'

const root = resolve(import.meta.dirname, '../..')
const signal = new AbortController().signal
const rounds = Number(process.argv.find((a) => a.startsWith('--rounds='))?.slice(9) ?? 5)
const podCount = Number(process.argv.find((a) => a.startsWith('--pods='))?.slice(7) ?? 30)

const pause = (ms: number): Promise<void> => new Promise((next) => setTimeout(next, ms))
const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

interface Start {
  readonly apiMs: number
  readonly readyMs: number
  readonly podMs: number
}

async function withCluster<T>(use: (client: ApiClient, startedMs: number, pid: number) => Promise<T>): Promise<T> {
  const dataDir = mkdtempSync(join(tmpdir(), 'k8ts-bench-'))
  const startedMs = performance.now()
  const child = spawn(join(root, 'k8ts'), ['cluster', `--data-dir=${dataDir}`], { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (piece) => { output += String(piece) })
  const gone = new Promise<void>((done) => { child.on('exit', () => done()) })
  let transport: HttpTransport | undefined
  try {
    for (;;) {
      if (child.exitCode !== null) throw new Error(`the cluster ended:\n${output}`)
      try {
        transport = createHttpTransport(loadKubeconfig(join(dataDir, 'kubeconfig'), realClock, 'bench'))
        const answer = await transport.request({ method: 'GET', path: '/readyz', signal })
        if (answer.status === 200) break
        transport[Symbol.dispose]()
      } catch {
        await pause(2)
      }
    }
    return await use(createApiClient(transport, { userAgent: 'bench' }), startedMs, child.pid ?? 0)
  } finally {
    transport?.[Symbol.dispose]()
    child.kill('SIGINT')
    await gone
    rmSync(dataDir, { recursive: true, force: true })
  }
}

const deployment = (name: string, replicas: number) => ({
  metadata: { name }, spec: { replicas, selector: { matchLabels: { app: name } }, template: { metadata: { labels: { app: name } }, spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'web', image: 'k8ts.local/web:1', imagePullPolicy: 'IfNotPresent' }] } } },
})

/** Resolves when `count` pods of the Deployment run. */
async function untilRunning(client: ApiClient, name: string, count: number): Promise<void> {
  const list = await client.resource(pods).list('default', { labelSelector: `app=${name}` }, signal)
  const running = new Set(list.items.filter((p) => p.status.phase === 'Running').map((p) => p.metadata.name))
  if (running.size >= count) return
  for await (const events of client.resource(pods).watch('default', { labelSelector: `app=${name}`, resourceVersion: list.metadata.resourceVersion }, signal)) {
    for (const event of events) if ((event.type === 'ADDED' || event.type === 'MODIFIED') && event.object.status.phase === 'Running') running.add(event.object.metadata.name)
    if (running.size >= count) return
  }
}

async function untilReady(client: ApiClient): Promise<void> {
  for (;;) {
    const { items } = await client.resource(nodes).list('', {}, signal)
    if (items.some((n) => n.status.conditions?.some((c) => c.type === 'Ready' && c.status === 'True'))) return
    await pause(5)
  }
}

/** Processes of a cluster: the launcher's, its children, and theirs, but not what runs in pods. */
function processesOf(pid: number): readonly number[] {
  const children = new Map<number, number[]>()
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    try {
      const parent = Number(readFileSync(`/proc/${entry}/stat`, 'utf8').split(') ')[1]?.split(' ')[1])
      children.set(parent, [...(children.get(parent) ?? []), Number(entry)])
    } catch { continue }
  }
  const all = [pid]
  for (let i = 0; i < all.length; i++) all.push(...(children.get(all[i] ?? 0) ?? []))
  return all
}

function residentMb(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => { try { return sum + Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024 } catch { return sum } }, 0)
}

function cpuSeconds(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => { try { const f = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []; return sum + (Number(f[11]) + Number(f[12])) / 100 } catch { return sum } }, 0)
}

const starts: Start[] = []
for (let i = 0; i < rounds; i++) {
  starts.push(await withCluster(async (client, startedMs) => {
    const apiMs = performance.now() - startedMs
    await client.resource(deployments).create('default', deployment('first', 1), signal)
    await untilReady(client)
    const readyMs = performance.now() - startedMs
    await untilRunning(client, 'first', 1)
    return { apiMs, readyMs, podMs: performance.now() - startedMs }
  }))
  process.stderr.write(`start ${i + 1}/${rounds}\n`)
}

const steady = await withCluster(async (client, _startedMs, pid) => {
  await untilReady(client)
  await pause(20_000)
  const before = cpuSeconds(processesOf(pid))
  const idleFrom = performance.now()
  await pause(20_000)
  const idleCpu = (cpuSeconds(processesOf(pid)) - before) / ((performance.now() - idleFrom) / 1000)
  const idleMb = residentMb(processesOf(pid))
  const from = performance.now()
  await client.resource(deployments).create('default', deployment('many', podCount), signal)
  await untilRunning(client, 'many', podCount)
  const podsPerSecond = podCount / ((performance.now() - from) / 1000)
  await client.resource(deployments).delete('default', 'many', { propagationPolicy: 'Foreground' }, signal)
  return { idleCpu, idleMb, podsPerSecond }
})

const seconds = (values: readonly number[]): string => `${(median(values) / 1000).toFixed(2)} s (${(Math.min(...values) / 1000).toFixed(2)}–${(Math.max(...values) / 1000).toFixed(2)})`
const commit = ((): string => { try { return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim() } catch { return '' } })()
process.stdout.write([
  '', `${new Date().toISOString().slice(0, 10)}, ${cpus().length} × ${cpus()[0]?.model ?? ''}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${hostname()}, Node ${process.versions.node}, commit ${commit}`, '',
  '| what | median (min–max) | target |', '|---|---|---|',
  `| process start → API answers | ${seconds(starts.map((s) => s.apiMs))} | 0.45 s |`,
  `| process start → node Ready | ${seconds(starts.map((s) => s.readyMs))} | 1 s |`,
  `| process start → first pod Running | ${seconds(starts.map((s) => s.podMs))} | 1.5 s |`,
  `| idle: resident memory | ${steady.idleMb.toFixed(0)} MB | 150 MB |`,
  `| idle: CPU | ${(steady.idleCpu * 100).toFixed(1)} % of a core | 1 % |`,
  `| pods started per second (${podCount} pods) | ${steady.podsPerSecond.toFixed(1)} | – |`, '',
].join('\n'))
process.exit(0)

// Control groups on Linux: version 2, version 1, and both beside each other (hybrid), found out from the mounts. Paths are relative to the root
// of the hierarchies, as this process sees them.
// Rules it keeps: a controller that isn't there is left out; what a group's kernel refuses is an error only for limits that were asked for.
// Upstream: pkg/kubelet/cm/cgroup_{v1,v2}_manager_linux.go
import { mkdir, readFile, readdir, rmdir, writeFile } from 'node:fs/promises'
import { sleep } from '../../../lib/base/clock.ts'
import { realClock } from '../../../lib/async/real-clock.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { CgroupLimits, CgroupManager, CgroupUsage } from './cgroup-manager.ts'

/** Where the hierarchies are. */
export interface CgroupLayout {
  /** Mount point by controller, version 1. */
  readonly v1: ReadonlyMap<string, string>
  /** Version 1 without a controller, such as systemd's: no limits stand there, but the runtime puts containers there too. */
  readonly v1Named: readonly string[]
  /** Mount point of version 2; with version 1 beside it, it carries no controllers. */
  readonly v2: string | undefined
}

/** The layout that /proc/self/mountinfo tells of. */
export function parseCgroupLayout(mountinfo: string): CgroupLayout {
  const v1 = new Map<string, string>()
  const v1Named: string[] = []
  let v2: string | undefined
  for (const line of mountinfo.split('\n')) {
    const [left = '', right = ''] = line.split(' - ')
    const mountPoint = left.split(' ')[4]
    const [type, , options = ''] = right.split(' ')
    if (mountPoint === undefined) continue
    if (type === 'cgroup2') v2 = mountPoint
    if (type !== 'cgroup') continue
    for (const name of options.split(',')) {
      if (knownControllers.has(name)) v1.set(name, mountPoint)
      else if (name.startsWith('name=')) v1Named.push(mountPoint)
    }
  }
  return { v1, v1Named, v2 }
}

const knownControllers = new Set(['cpu', 'cpuacct', 'memory', 'pids', 'cpuset', 'freezer', 'blkio', 'devices', 'hugetlb', 'net_cls', 'net_prio', 'perf_event', 'rdma', 'misc'])

/** cpu.weight (1–10000) for cpu.shares (2–262144). */
export function sharesToWeight(shares: number): number { return Math.min(10_000, Math.max(1, Math.floor(1 + ((shares - 2) * 9999) / 262_142))) }

async function readNumber(path: string): Promise<number> {
  try {
    const text = (await readFile(path, 'utf8')).trim()
    return text === 'max' ? Infinity : Number(text)
  } catch {
    return 0
  }
}

/** The value behind `name` in a flat keyed file such as memory.stat. */
async function readKeyed(path: string): Promise<ReadonlyMap<string, number>> {
  try {
    return new Map((await readFile(path, 'utf8')).split('\n').filter((l) => l !== '').map((l) => { const [name = '', value = '0'] = l.split(' '); return [name, Number(value)] }))
  } catch {
    return new Map()
  }
}

function isMissing(error: unknown): boolean { return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENODEV') }

const parts = (path: string): readonly string[] => path.split('/').filter((p) => p !== '')

/** @param options.layout for tests; default: this machine's. */
export function linuxCgroups(options: { readonly layout?: CgroupLayout; readonly clock?: Clock } = {}): CgroupManager {
  let known: Promise<CgroupLayout> | undefined = options.layout && Promise.resolve(options.layout)
  const layout = (): Promise<CgroupLayout> => (known ??= readFile('/proc/self/mountinfo', 'utf8').then(parseCgroupLayout))
  const clock = options.clock ?? realClock
  const made = new Set<string>()

  const hierarchies = ({ v1, v1Named, v2 }: CgroupLayout): readonly string[] => [...new Set([...v1.values(), ...v1Named, ...(v2 === undefined ? [] : [v2])])]

  const makeV1 = async (root: string, path: string, isCpuset: boolean): Promise<void> => {
    let at = root
    for (const part of parts(path)) {
      const parent = at
      at += `/${part}`
      await mkdir(at).catch((error: unknown) => { if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error })
      if (!isCpuset) continue
      // A cpuset without processors and memory takes no process.
      for (const file of ['cpuset.cpus', 'cpuset.mems']) {
        if ((await readFile(`${at}/${file}`, 'utf8').catch(() => 'x')).trim() === '') await writeFile(`${at}/${file}`, await readFile(`${parent}/${file}`, 'utf8'))
      }
    }
  }
  const makeV2 = async (root: string, path: string, hasControllers: boolean): Promise<void> => {
    let at = root
    for (const part of parts(path)) {
      if (hasControllers) {
        const available = (await readFile(`${at}/cgroup.controllers`, 'utf8').catch(() => '')).trim().split(' ')
        for (const controller of ['cpu', 'memory', 'pids', 'cpuset', 'io', 'hugetlb']) if (available.includes(controller)) await writeFile(`${at}/cgroup.subtree_control`, `+${controller}`).catch(() => {})
      }
      at += `/${part}`
      await mkdir(at).catch((error: unknown) => { if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error })
    }
  }

  const removeTree = async (folder: string, deadlineMs: number): Promise<void> => {
    let names: readonly { name: string; isDirectory(): boolean }[]
    try {
      names = await readdir(folder, { withFileTypes: true })
    } catch (error) {
      if (isMissing(error)) return
      throw error
    }
    for (const entry of names) if (entry.isDirectory()) await removeTree(`${folder}/${entry.name}`, deadlineMs)
    for (;;) {
      try {
        await rmdir(folder)
        return
      } catch (error) {
        if (isMissing(error)) return
        if (clock.monotonic() > deadlineMs) throw error
      }
      const pids = (await readFile(`${folder}/cgroup.procs`, 'utf8').catch(() => '')).split('\n').map(Number).filter((pid) => pid > 1 && pid !== process.pid)
      for (const pid of pids) {
        try {
          process.kill(pid, 'SIGKILL')
        } catch {
          // It ended by itself meanwhile.
        }
      }
      await sleep(clock, 20, new AbortController().signal)
    }
  }

  return {
    async ensure(path, limits) {
      const found = await layout()
      const key = `${path} ${JSON.stringify(limits)}`
      if (made.has(key)) return
      for (const root of new Set(found.v1.values())) await makeV1(root, path, found.v1.get('cpuset') === root)
      if (found.v2 !== undefined) await makeV2(found.v2, path, found.v1.size === 0)
      const write = async (root: string | undefined, file: string, value: string): Promise<void> => { if (root !== undefined) await writeFile(`${root}${path}/${file}`, value) }
      for (const [root, file, value] of limitFiles(found, limits)) await write(root, file, value)
      if (made.size > 5000) made.clear()
      made.add(key)
    },
    async remove(path) {
      const found = await layout()
      for (const key of made) if (key.startsWith(`${path} `) || key.startsWith(`${path}/`)) made.delete(key)
      const deadlineMs = clock.monotonic() + 5000
      for (const root of hierarchies(found)) await removeTree(`${root}${path}`, deadlineMs)
    },
    async children(path) {
      const found = await layout()
      const names = new Set<string>()
      for (const root of hierarchies(found)) {
        const entries = await readdir(`${root}${path}`, { withFileTypes: true }).catch(() => [])
        for (const entry of entries) if (entry.isDirectory()) names.add(entry.name)
      }
      return [...names]
    },
    async usage(path) { return readUsage(await layout(), path) },
  }
}

/** Which file of which hierarchy gets which text. */
export function limitFiles(layout: CgroupLayout, limits: CgroupLimits): readonly (readonly [root: string | undefined, file: string, value: string])[] {
  const out: (readonly [string | undefined, string, string])[] = []
  const { v1, v2 } = layout
  const period = limits.cpuPeriod ?? 100_000
  const quota = limits.cpuQuota !== undefined && limits.cpuQuota > 0 ? limits.cpuQuota : undefined
  if (v1.size > 0) {
    if (limits.cpuShares !== undefined) out.push([v1.get('cpu'), 'cpu.shares', String(limits.cpuShares)])
    if (limits.cpuQuota !== undefined) out.push([v1.get('cpu'), 'cpu.cfs_period_us', String(period)], [v1.get('cpu'), 'cpu.cfs_quota_us', String(quota ?? -1)])
    if (limits.memoryLimitBytes !== undefined && limits.memoryLimitBytes > 0) out.push([v1.get('memory'), 'memory.limit_in_bytes', String(limits.memoryLimitBytes)])
    if (limits.pidsLimit !== undefined) out.push([v1.get('pids'), 'pids.max', String(limits.pidsLimit)])
    return out
  }
  if (limits.cpuShares !== undefined) out.push([v2, 'cpu.weight', String(sharesToWeight(limits.cpuShares))])
  if (limits.cpuQuota !== undefined) out.push([v2, 'cpu.max', `${quota ?? 'max'} ${period}`])
  if (limits.memoryLimitBytes !== undefined && limits.memoryLimitBytes > 0) out.push([v2, 'memory.max', String(limits.memoryLimitBytes)])
  if (limits.pidsLimit !== undefined) out.push([v2, 'pids.max', String(limits.pidsLimit)])
  return out
}

async function readUsage(layout: CgroupLayout, path: string): Promise<CgroupUsage | undefined> {
  const { v1, v2 } = layout
  if (v1.size > 0) {
    const memory = `${v1.get('memory') ?? ''}${path}`
    const [cpu, usage, stat, processes] = await Promise.all([readNumber(`${v1.get('cpuacct') ?? ''}${path}/cpuacct.usage`), readNumber(`${memory}/memory.usage_in_bytes`), readKeyed(`${memory}/memory.stat`), readNumber(`${v1.get('pids') ?? ''}${path}/pids.current`)])
    if (stat.size === 0) return undefined
    return {
      cpuNanoseconds: cpu, memoryUsageBytes: usage, memoryWorkingSetBytes: Math.max(0, usage - (stat.get('total_inactive_file') ?? 0)), memoryRssBytes: stat.get('total_rss') ?? 0,
      pageFaults: stat.get('total_pgfault') ?? 0, majorPageFaults: stat.get('total_pgmajfault') ?? 0, processes,
    }
  }
  const folder = `${v2 ?? ''}${path}`
  const [cpu, usage, stat, processes] = await Promise.all([readKeyed(`${folder}/cpu.stat`), readNumber(`${folder}/memory.current`), readKeyed(`${folder}/memory.stat`), readNumber(`${folder}/pids.current`)])
  if (stat.size === 0) return undefined
  return {
    cpuNanoseconds: (cpu.get('usage_usec') ?? 0) * 1000, memoryUsageBytes: usage, memoryWorkingSetBytes: Math.max(0, usage - (stat.get('inactive_file') ?? 0)), memoryRssBytes: stat.get('anon') ?? 0,
    pageFaults: stat.get('pgfault') ?? 0, majorPageFaults: stat.get('pgmajfault') ?? 0, processes,
  }
}

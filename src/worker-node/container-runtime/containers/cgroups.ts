// Reads what the kernel counts per cgroup, in both layouts: one tree per controller (cgroup v1, hybrid) and one tree for all (cgroup2).
import { existsSync, readFileSync, readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'

const mountPoint = '/sys/fs/cgroup'
const read = (path: string): string | undefined => { try { return readFileSync(path, 'utf8') } catch { return undefined } }
const number = (text: string | undefined): number | undefined => { const value = Number(text?.trim()); return text !== undefined && Number.isFinite(value) ? value : undefined }
const field = (text: string | undefined, name: string): number | undefined => { const match = text && new RegExp(`^${name} (\\d+)`, 'm').exec(text); return match ? Number(match[1]) : undefined }

export interface CgroupUsage {
  readonly cpuNanoseconds?: number
  readonly memoryBytes?: number
  readonly workingSetBytes?: number
  readonly rssBytes?: number
  readonly availableBytes?: number
  readonly pageFaults?: number
  readonly majorPageFaults?: number
  readonly processes?: number
  /** Lines of the pressure files, where the kernel has them. */
  readonly cpuPressure?: string
  readonly memoryPressure?: string
  readonly ioPressure?: string
}

export class Cgroups {
  readonly #isUnified: boolean
  constructor(isUnified: boolean) { this.#isUnified = isUnified }

  #path(controller: string, cgroup: string, file: string): string { return this.#isUnified ? join(mountPoint, cgroup, file) : join(mountPoint, controller, cgroup, file) }

  usage(cgroup: string): CgroupUsage {
    const pressureDir = this.#isUnified ? join(mountPoint, cgroup) : join(mountPoint, 'unified', cgroup)
    const pressure = { cpuPressure: read(join(pressureDir, 'cpu.pressure')), memoryPressure: read(join(pressureDir, 'memory.pressure')), ioPressure: read(join(pressureDir, 'io.pressure')) }
    const stat = read(this.#path('memory', cgroup, 'memory.stat'))
    const processes = number(read(this.#path('pids', cgroup, 'pids.current')))
    if (this.#isUnified) {
      const memoryBytes = number(read(join(mountPoint, cgroup, 'memory.current')))
      const cpu = field(read(join(mountPoint, cgroup, 'cpu.stat')), 'usage_usec')
      return {
        ...pressure, ...(cpu !== undefined && { cpuNanoseconds: cpu * 1000 }), memoryBytes, rssBytes: field(stat, 'anon'), pageFaults: field(stat, 'pgfault'), majorPageFaults: field(stat, 'pgmajfault'), processes,
        ...workingSet(memoryBytes, field(stat, 'inactive_file'), number(read(join(mountPoint, cgroup, 'memory.max')))),
      }
    }
    const memoryBytes = number(read(this.#path('memory', cgroup, 'memory.usage_in_bytes')))
    return {
      ...pressure, cpuNanoseconds: number(read(this.#path('cpuacct', cgroup, 'cpuacct.usage'))), memoryBytes, rssBytes: field(stat, 'total_rss'), pageFaults: field(stat, 'total_pgfault'),
      majorPageFaults: field(stat, 'total_pgmajfault'), processes, ...workingSet(memoryBytes, field(stat, 'total_inactive_file'), field(stat, 'hierarchical_memory_limit')),
    }
  }

  /** How many processes of this cgroup the kernel killed for lack of memory; undefined when the cgroup is gone. */
  oomKills(cgroup: string): number | undefined {
    return this.#isUnified ? field(read(this.#path('', cgroup, 'memory.events')), 'oom_kill') : field(read(this.#path('memory', cgroup, 'memory.oom_control')), 'oom_kill')
  }

  exists(cgroup: string): boolean { return existsSync(this.#path('memory', cgroup, '')) }

  /** Kills every process in it; for containers that share their process namespace, where the first one's death doesn't end the rest. */
  killAll(cgroup: string): void {
    for (const name of (read(this.#path('pids', cgroup, 'cgroup.procs')) ?? '').split('\n')) {
      const pid = Number(name)
      if (pid > 1) try { process.kill(pid, 'SIGKILL') } catch { /* gone already */ }
    }
  }

  /** Removes the cgroup and the empty ones in it from every hierarchy. What is still in use stays. */
  remove(cgroup: string): void {
    if (cgroup === '' || cgroup === '/' || cgroup.split('/').includes('..')) return
    const roots = this.#isUnified ? [mountPoint] : readdirSync(mountPoint).map((name) => join(mountPoint, name))
    for (const root of roots) removeTree(join(root, cgroup))
  }
}

function removeTree(dir: string): void {
  let entries
  try { entries = readdirSync(dir, { withFileTypes: true }) } catch { return }
  for (const entry of entries) if (entry.isDirectory()) removeTree(join(dir, entry.name))
  try { rmdirSync(dir) } catch { /* still has processes */ }
}

/** The working set, and what is left below the limit (if there is one). */
function workingSet(usage: number | undefined, inactiveFile: number | undefined, limit: number | undefined): { readonly workingSetBytes?: number; readonly availableBytes?: number } {
  if (usage === undefined) return {}
  const workingSetBytes = Math.max(0, usage - (inactiveFile ?? 0))
  return { workingSetBytes, ...(limit !== undefined && limit < 2 ** 60 && { availableBytes: Math.max(0, limit - workingSetBytes) }) }
}

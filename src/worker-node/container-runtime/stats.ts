// Container and pod statistics, from cgroup files, the writable layers and the pod's interface counters.
import { readFileSync } from 'node:fs'
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { CgroupUsage, Cgroups } from './containers/cgroups.ts'
import type { ContainerRecord } from './containers/container-record.ts'
import type { Clock } from '../../lib/base/clock.ts'
import type { ContainerStats, CpuUsage, NetworkInterfaceUsage, PsiData, PsiStats, UInt64Value } from '../../lib/cri-api/generated/types.ts'

const layerCacheMs = 10_000
/** Two readings of the CPU counter this far apart give a rate. */
const minimumRateMs = 500

export class StatsReader {
  readonly #clock: Clock
  readonly #cgroups: Cgroups
  /** Sizes of writable layers: walking them is dear. */
  readonly #layers = new Map<string, { readonly atMs: number; readonly bytes: number; readonly inodes: number }>()
  readonly #cpu = new Map<string, { readonly atMs: number; readonly nanoseconds: number; readonly rate: number | undefined }>()

  constructor(clock: Clock, cgroups: Cgroups) { this.#clock = clock; this.#cgroups = cgroups }

  async container(record: ContainerRecord, writableLayer: string): Promise<ContainerStats> {
    const timestamp = BigInt(Math.floor(this.#clock.now() * 1000)) * 1000n
    const usage = this.#cgroups.usage(record.cgroup)
    const layer = await this.#measure(record.id, writableLayer)
    const { metadata, labels, annotations } = record.config
    return {
      attributes: { id: record.id, metadata, labels, annotations }, cpu: this.cpu(record.id, usage, timestamp), memory: memoryOf(usage, timestamp),
      ...(usage.ioPressure !== undefined && { io: { timestamp, psi: pressureOf(usage.ioPressure) } }),
      writableLayer: { timestamp, fsId: { mountpoint: writableLayer }, usedBytes: { value: layer.bytes }, inodesUsed: { value: layer.inodes } },
    }
  }

  /** Usage of one cgroup, with the rate since the reading before. */
  cpu(key: string, usage: CgroupUsage, timestamp: bigint): CpuUsage {
    const nanoseconds = usage.cpuNanoseconds
    if (nanoseconds === undefined) return { timestamp }
    const now = this.#clock.monotonic()
    const before = this.#cpu.get(key)
    let rate = before?.rate
    if (!before || now - before.atMs >= minimumRateMs) {
      if (before) rate = Math.max(0, Math.round(((nanoseconds - before.nanoseconds) / (now - before.atMs)) * 1000))
      this.#cpu.set(key, { atMs: now, nanoseconds, rate })
    }
    return { timestamp, usageCoreNanoSeconds: { value: nanoseconds }, ...(rate !== undefined && { usageNanoCores: { value: rate } }), psi: pressureOf(usage.cpuPressure) }
  }

  forget(id: string): void { this.#layers.delete(id); this.#cpu.delete(id) }

  async #measure(id: string, folder: string): Promise<{ readonly bytes: number; readonly inodes: number }> {
    const known = this.#layers.get(id)
    const now = this.#clock.monotonic()
    if (known && now - known.atMs < layerCacheMs) return known
    const measured = { atMs: now, ...(await measureFolder(folder)) }
    this.#layers.set(id, measured)
    return measured
  }
}

/** Bytes on disk and inodes below a folder; what vanishes meanwhile doesn't count. */
export async function measureFolder(folder: string): Promise<{ readonly bytes: number; readonly inodes: number }> {
  let bytes = 0
  let inodes = 0
  const waiting = [folder]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    for (const entry of await readdir(next, { withFileTypes: true }).catch(() => [])) {
      const path = join(next, entry.name)
      const found = await lstat(path).catch(() => undefined)
      if (!found) continue
      inodes++
      bytes += found.blocks * 512
      if (entry.isDirectory()) waiting.push(path)
    }
  }
  return { bytes, inodes }
}

export function memoryOf(usage: CgroupUsage, timestamp: bigint): NonNullable<ContainerStats['memory']> {
  const value = (number: number | undefined): UInt64Value | undefined => (number === undefined ? undefined : { value: number })
  return {
    timestamp, usageBytes: value(usage.memoryBytes), workingSetBytes: value(usage.workingSetBytes), rssBytes: value(usage.rssBytes), availableBytes: value(usage.availableBytes),
    pageFaults: value(usage.pageFaults), majorPageFaults: value(usage.majorPageFaults), psi: pressureOf(usage.memoryPressure),
  }
}

/** Two lines, `some` and `full`, of the form `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`. */
export function pressureOf(text: string | undefined): PsiStats | undefined {
  if (text === undefined) return undefined
  const line = (name: string): PsiData => {
    const match = new RegExp(`^${name} avg10=([\\d.]+) avg60=([\\d.]+) avg300=([\\d.]+) total=(\\d+)`, 'm').exec(text)
    return match ? { Avg10: Number(match[1]), Avg60: Number(match[2]), Avg300: Number(match[3]), Total: Number(match[4]) } : {}
  }
  return { Full: line('full'), Some: line('some') }
}

/** Counters of all interfaces but the loopback. @param path a `/proc/<pid>/net/dev` */
export function interfacesOf(path: string): readonly NetworkInterfaceUsage[] {
  let text: string
  try { text = readFileSync(path, 'utf8') } catch { return [] }
  return text.split('\n').flatMap((line) => {
    const match = /^\s*([^:\s]+):\s*(.*)$/.exec(line)
    const name = match?.[1]
    if (name === undefined || name === 'lo') return []
    const fields = (match?.[2] ?? '').trim().split(/\s+/).map(Number)
    return [{ name, rxBytes: { value: fields[0] ?? 0 }, rxErrors: { value: fields[2] ?? 0 }, txBytes: { value: fields[8] ?? 0 }, txErrors: { value: fields[10] ?? 0 } }]
  })
}

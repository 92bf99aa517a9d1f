// How much the node, its pods and containers use: from the runtime's statistics, the control groups and the disk; kept a few seconds, because
// several ask. The summary is the original's stats/v1alpha1.
// Upstream: pkg/kubelet/stats, staging/src/k8s.io/kubelet/pkg/apis/stats/v1alpha1
import { formatTime } from '../../../lib/base/clock.ts'
import { podCgroup } from '../cgroup/cgroup-manager.ts'
import { podNamespace } from '../pod/pod-facts.ts'
import { computeQosClass } from '../pod/pod-resources.ts'
import { containerNameLabel, podUidLabel } from '../runtime/runtime-status.ts'
import type { CgroupManager } from '../cgroup/cgroup-manager.ts'
import type { Disk, DiskUsage } from '../host/disk.ts'
import type { MachineFacts } from '../node/machine-facts.ts'
import type { RuntimeCache } from '../runtime/runtime-cache.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { JsonObject } from '../../../lib/base/json.ts'
import type { ImageService, RuntimeService } from '../../../lib/cri-api/cri-services.ts'
import type { ContainerStats, PodSandboxStats } from '../../../lib/cri-api/generated/types.ts'
import type { Pod } from '../../../lib/api/generated/types/core-v1.ts'

export interface StatsProviderOptions {
  readonly runtime: RuntimeService
  readonly images: ImageService
  readonly cgroups: CgroupManager
  readonly cgroupRoot: string
  readonly disk: Disk
  readonly clock: Clock
  readonly nodeName: string
  readonly rootDir: string
  readonly machine: () => Promise<MachineFacts>
  readonly pods: () => readonly Pod[]
  readonly cache: RuntimeCache
}

export interface PodUsage {
  readonly pod: Pod
  readonly memoryWorkingSetBytes: number
  readonly containers: readonly ContainerStats[]
  readonly sandbox: PodSandboxStats | undefined
}

export interface NodeUsage {
  readonly machine: MachineFacts
  readonly nodeFs: DiskUsage | undefined
  readonly imageFs: DiskUsage | undefined
  readonly pods: readonly PodUsage[]
  readonly atMs: number
}

const keepMs = 5000

export class StatsProvider {
  readonly #options: StatsProviderOptions
  #nodeFs: DiskUsage | undefined
  #latest: { readonly atMs: number; readonly usage: Promise<NodeUsage> } | undefined
  readonly #containerCpu = new Map<string, { readonly nanoseconds: number; readonly atMs: number; readonly nanoCores: number }>()

  constructor(options: StatsProviderOptions) { this.#options = options }

  nodeFs(): DiskUsage | undefined { return this.#nodeFs }

  async refreshNodeFs(): Promise<void> {
    try {
      this.#nodeFs = await this.#options.disk.usage(this.#options.rootDir)
    } catch {
      this.#nodeFs = undefined
    }
  }

  /** Everything, at most a few seconds old. */
  usage(signal: AbortSignal): Promise<NodeUsage> {
    const now = this.#options.clock.monotonic()
    if (!this.#latest || now - this.#latest.atMs > keepMs) {
      const usage = this.#collect(signal)
      this.#latest = { atMs: now, usage }
      usage.catch(() => { this.#latest = undefined })
    }
    return this.#latest.usage
  }

  async #collect(signal: AbortSignal): Promise<NodeUsage> {
    const { runtime, machine, disk, images, clock } = this.#options
    await this.refreshNodeFs()
    const [facts, containerStats, sandboxStats, imageFsInfo] = await Promise.all([
      machine(), runtime.listContainerStats({}, signal).catch(() => ({ stats: [] as readonly ContainerStats[] })), runtime.listPodSandboxStats({}, signal).catch(() => ({ stats: [] as readonly PodSandboxStats[] })),
      images.imageFsInfo({}, signal).catch(() => undefined),
    ])
    const imageMount = imageFsInfo?.imageFilesystems?.[0]?.fsId?.mountpoint
    const imageFs = imageMount ? await disk.usage(imageMount).catch(() => this.#nodeFs) : this.#nodeFs
    const pods = await Promise.all(this.#options.pods().map(async (pod): Promise<PodUsage> => {
      const uid = pod.metadata.uid
      const containers = (containerStats.stats ?? []).filter((s) => s.attributes?.labels?.[podUidLabel] === uid)
      const group = await this.#options.cgroups.usage(podCgroup(this.#options.cgroupRoot, computeQosClass(pod), uid))
      const sum = containers.reduce((total, s) => total + (s.memory?.workingSetBytes?.value ?? 0), 0)
      return { pod, containers, memoryWorkingSetBytes: group?.memoryWorkingSetBytes ?? sum, sandbox: (sandboxStats.stats ?? []).find((s) => s.attributes?.metadata?.uid === uid) }
    }))
    return { machine: facts, nodeFs: this.#nodeFs, imageFs, pods, atMs: clock.now() }
  }

  /** The rate since the last look, from a cumulative counter. */
  #rate(key: string, nanoseconds: number): number {
    const atMs = this.#options.clock.monotonic()
    const before = this.#containerCpu.get(key)
    if (before && atMs - before.atMs < 1000) return before.nanoCores
    const nanoCores = before && atMs > before.atMs && nanoseconds >= before.nanoseconds ? Math.round(((nanoseconds - before.nanoseconds) * 1000) / (atMs - before.atMs)) : 0
    if (this.#containerCpu.size > 2000) this.#containerCpu.clear()
    this.#containerCpu.set(key, { nanoseconds, atMs, nanoCores })
    return nanoCores
  }

  /** stats/v1alpha1 Summary. */
  async summary(cpuAndMemoryOnly: boolean, signal: AbortSignal): Promise<JsonObject> {
    const { nodeName } = this.#options
    const usage = await this.usage(signal)
    const time = formatTime(usage.atMs)
    const { machine } = usage
    const nodeMemory = machine.memoryBytes - machine.memoryAvailableBytes
    const fs = (disk: DiskUsage | undefined): JsonObject | undefined => disk && {
      time, availableBytes: disk.availableBytes, capacityBytes: disk.capacityBytes, usedBytes: disk.capacityBytes - disk.availableBytes, inodesFree: disk.inodesFree, inodes: disk.inodes, inodesUsed: disk.inodes - disk.inodesFree,
    }
    const node: JsonObject = {
      nodeName, startTime: formatTime(machine.bootAtMs), cpu: { time, usageNanoCores: this.#rate('node', machine.cpuNanoseconds), usageCoreNanoSeconds: machine.cpuNanoseconds },
      memory: { time, availableBytes: machine.memoryAvailableBytes, usageBytes: nodeMemory, workingSetBytes: nodeMemory, rssBytes: nodeMemory, pageFaults: 0, majorPageFaults: 0 },
      ...(cpuAndMemoryOnly ? {} : { fs: fs(usage.nodeFs), runtime: { imageFs: fs(usage.imageFs), containerFs: fs(usage.imageFs) }, rlimit: { time, maxpid: machine.maxPids, curproc: machine.runningPids } }),
    }
    const pods = usage.pods.filter((p) => p.containers.length > 0).map((p) => this.#podSummary(p, time, cpuAndMemoryOnly))
    return { node, pods }
  }

  #podSummary(usage: PodUsage, time: string, cpuAndMemoryOnly: boolean): JsonObject {
    const { pod } = usage
    const containers = usage.containers.map((stats) => {
      const cpu = stats.cpu?.usageCoreNanoSeconds?.value ?? 0
      const id = stats.attributes?.id ?? ''
      return {
        name: stats.attributes?.labels?.[containerNameLabel] ?? stats.attributes?.metadata?.name ?? '', startTime: pod.status?.startTime,
        cpu: { time, usageNanoCores: stats.cpu?.usageNanoCores?.value ?? this.#rate(id, cpu), usageCoreNanoSeconds: cpu },
        memory: {
          time, usageBytes: stats.memory?.usageBytes?.value ?? stats.memory?.workingSetBytes?.value ?? 0, workingSetBytes: stats.memory?.workingSetBytes?.value ?? 0, rssBytes: stats.memory?.rssBytes?.value ?? 0,
          pageFaults: stats.memory?.pageFaults?.value ?? 0, majorPageFaults: stats.memory?.majorPageFaults?.value ?? 0,
        },
        ...(cpuAndMemoryOnly ? {} : { rootfs: { time, usedBytes: stats.writableLayer?.usedBytes?.value ?? 0, inodesUsed: stats.writableLayer?.inodesUsed?.value ?? 0 } }),
      }
    })
    const sum = (read: (c: (typeof containers)[number]) => number): number => containers.reduce((total, c) => total + read(c), 0)
    const net = usage.sandbox?.linux?.network?.defaultInterface
    return {
      podRef: { name: pod.metadata.name, namespace: podNamespace(pod), uid: pod.metadata.uid }, startTime: pod.status?.startTime, containers,
      cpu: { time, usageNanoCores: sum((c) => c.cpu.usageNanoCores), usageCoreNanoSeconds: sum((c) => c.cpu.usageCoreNanoSeconds) },
      memory: { time, usageBytes: sum((c) => c.memory.usageBytes), workingSetBytes: usage.memoryWorkingSetBytes, rssBytes: sum((c) => c.memory.rssBytes), pageFaults: 0, majorPageFaults: 0 },
      ...(cpuAndMemoryOnly || !net ? {} : { network: { time, name: net.name ?? 'eth0', rxBytes: net.rxBytes?.value ?? 0, rxErrors: net.rxErrors?.value ?? 0, txBytes: net.txBytes?.value ?? 0, txErrors: net.txErrors?.value ?? 0 } }),
      ...(cpuAndMemoryOnly ? {} : { 'ephemeral-storage': { time, usedBytes: usage.containers.reduce((total, s) => total + (s.writableLayer?.usedBytes?.value ?? 0), 0) } }),
    }
  }
}

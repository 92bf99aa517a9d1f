// Watches memory, disk and process numbers, tells the node's pressures, and ends one pod at a time while the node is short.
// Upstream: pkg/kubelet/eviction/eviction_manager.go
import { sleep } from '../../../lib/base/clock.ts'
import { podReference, isCriticalPod } from '../pod/pod-facts.ts'
import { computeQosClass } from '../pod/pod-resources.ts'
import { evictionMessage, isMet, makeThresholds, pressureOf, rankForEviction } from './eviction-core.ts'
import type { EvictionSignal, SignalObservation, Threshold } from './eviction-core.ts'
import type { KubeletSettings } from '../kubelet-options.ts'
import type { PressureSignal } from '../node/node-status.ts'
import type { PodFailure } from '../pod/pod-lifecycle.ts'
import type { NodeUsage, StatsProvider } from '../stats/stats-provider.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { EventRecorder } from '../../../lib/client/event-recorder.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { ObjectReference, Pod } from '../../../lib/api/generated/types/core-v1.ts'

export interface EvictionManagerOptions {
  readonly clock: Clock
  readonly logger: Logger
  readonly events: EventRecorder
  readonly settings: KubeletSettings
  readonly stats: StatsProvider
  readonly nodeReference: () => ObjectReference
  readonly pods: () => readonly Pod[]
  readonly evict: (pod: Pod, failure: PodFailure, graceSeconds: number | undefined) => void
  readonly onPressure: () => void
}

const everyMs = 10_000

export class EvictionManager {
  readonly #options: EvictionManagerOptions
  readonly #thresholds: readonly Threshold[]
  /** When each threshold was first met in the present spell (monotonic). */
  readonly #metSince = new Map<Threshold, number>()
  /** When each pressure was last seen (monotonic). */
  readonly #pressureSeen = new Map<PressureSignal, number>()

  constructor(options: EvictionManagerOptions) {
    this.#options = options
    this.#thresholds = makeThresholds(options.settings.evictionHard, options.settings.evictionSoft, options.settings.evictionSoftGracePeriodMs)
  }

  pressures(): ReadonlySet<PressureSignal> {
    const now = this.#options.clock.monotonic()
    return new Set([...this.#pressureSeen].filter(([, at]) => now - at < this.#options.settings.evictionPressureTransitionMs).map(([pressure]) => pressure))
  }

  /** Under pressure the node takes critical pods only; under memory pressure others than BestEffort as well. */
  admit(pod: Pod): PodFailure | undefined {
    const pressures = this.pressures()
    if (pressures.size === 0 || isCriticalPod(pod)) return undefined
    if (pressures.size === 1 && pressures.has('MemoryPressure') && computeQosClass(pod) !== 'BestEffort') return undefined
    return { reason: 'Evicted', message: `The node had condition: [${[...pressures].join(', ')}]. ` }
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options
    for (;;) {
      await sleep(clock, everyMs, signal)
      try {
        this.synchronize(await this.#options.stats.usage(signal))
      } catch (error) {
        if (signal.aborted) return
        logger.error('The eviction manager could not look at the node', error)
      }
    }
  }

  /** One look: notes the pressures, ends at most one pod. */
  synchronize(usage: NodeUsage): void {
    const { clock, events, logger, nodeReference, onPressure } = this.#options
    const now = clock.monotonic()
    const before = this.pressures()
    const observations = observe(usage)
    for (const threshold of this.#thresholds) {
      if (isMet(threshold, observations)) { if (!this.#metSince.has(threshold)) this.#metSince.set(threshold, now) } else this.#metSince.delete(threshold)
    }
    for (const threshold of this.#metSince.keys()) this.#pressureSeen.set(pressureOf[threshold.signal], now)
    const after = this.pressures()
    if (before.size !== after.size || [...after].some((p) => !before.has(p))) onPressure()
    const due = this.#thresholds.filter((t) => { const since = this.#metSince.get(t); return since !== undefined && now - since >= t.gracePeriodMs })
    // Memory first: it kills.
    const threshold = due.toSorted((a, b) => Number(b.signal === 'memory.available') - Number(a.signal === 'memory.available'))[0]
    if (!threshold) return
    events.event(nodeReference(), 'Warning', 'EvictionThresholdMet', `Attempting to reclaim ${threshold.signal === 'memory.available' ? 'memory' : threshold.signal === 'pid.available' ? 'pids' : threshold.signal.includes('inodes') ? 'inodes' : 'ephemeral-storage'}`)
    const alive = new Set(this.#options.pods().map((p) => p.metadata.uid))
    const ranked = rankForEviction(usage.pods.filter((p) => alive.has(p.pod.metadata.uid)).map((p) => ({
      pod: p.pod, usage: threshold.signal === 'memory.available' ? p.memoryWorkingSetBytes : p.containers.reduce((sum, c) => sum + (c.writableLayer?.usedBytes?.value ?? 0), 0),
    })), threshold.signal)
    const [first] = ranked
    if (!first) {
      logger.warn('The node is short of a resource and there is no pod to evict', { signal: threshold.signal })
      return
    }
    const message = evictionMessage(threshold, observations.get(threshold.signal))
    logger.warn('Evicting a pod', { pod: first.pod.metadata.name, signal: threshold.signal })
    events.event(podReference(first.pod), 'Warning', 'Evicted', message)
    const condition = { type: 'DisruptionTarget', status: 'True', reason: 'TerminationByKubelet', message }
    this.#options.evict(first.pod, { reason: 'Evicted', message, condition }, threshold.hard ? 1 : undefined)
  }
}

function observe(usage: NodeUsage): ReadonlyMap<EvictionSignal, SignalObservation> {
  const { machine, nodeFs, imageFs } = usage
  const out = new Map<EvictionSignal, SignalObservation>([
    ['memory.available', { available: machine.memoryAvailableBytes, capacity: machine.memoryBytes }], ['pid.available', { available: machine.maxPids - machine.runningPids, capacity: machine.maxPids }],
  ])
  if (nodeFs) {
    out.set('nodefs.available', { available: nodeFs.availableBytes, capacity: nodeFs.capacityBytes })
    out.set('nodefs.inodesFree', { available: nodeFs.inodesFree, capacity: nodeFs.inodes })
  }
  if (imageFs) {
    out.set('imagefs.available', { available: imageFs.availableBytes, capacity: imageFs.capacityBytes })
    out.set('imagefs.inodesFree', { available: imageFs.inodesFree, capacity: imageFs.inodes })
  }
  return out
}

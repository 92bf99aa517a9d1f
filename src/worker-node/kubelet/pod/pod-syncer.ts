// What a pod's worker does at each stage: bring it to its spec, stop it, take it down. The shell around the pure decisions.
// Upstream: pkg/kubelet/kubelet.go (SyncPod, SyncTerminatingPod, SyncTerminatedPod)
import { podCgroup } from '../cgroup/cgroup-manager.ts'
import { containerLogLink, podLogDirectory } from '../logs/log-paths.ts'
import { resizeNeed } from './pod-resize.ts'
import { emptyRuntimePod, newestContainer, runningContainers } from '../runtime/runtime-status.ts'
import { computePodStatus } from '../status/pod-status.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'
import { computePodActions } from './pod-actions.ts'
import { describePod, isHostNetwork, isStaticPod, isTerminalPhase, podNamespace, podReference, regularContainers } from './pod-facts.ts'
import { computeQosClass, podLimits, podRequests, isBounded, milliToQuota, milliToShares } from './pod-resources.ts'
import type { CgroupManager } from '../cgroup/cgroup-manager.ts'
import type { PodAddresses } from '../environment/field-values.ts'
import type { Disk } from '../host/disk.ts'
import type { RegistryCredential } from '../images/pull-credentials.ts'
import type { ProbeManager } from '../probe/probe-manager.ts'
import type { PodRuntime } from '../runtime/pod-runtime.ts'
import type { RuntimeCache } from '../runtime/runtime-cache.ts'
import type { RuntimePod } from '../runtime/runtime-status.ts'
import type { WaitingReason } from '../status/container-statuses.ts'
import type { StatusManager } from '../status/status-manager.ts'
import type { VolumeManager } from '../volume/volume-manager.ts'
import type { ResizeRefusal } from './pod-resize.ts'
import type { PodLife } from './pod-lifecycle.ts'
import type { PodWork, SyncResult } from './pod-workers.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { EventRecorder } from '../../../lib/client/event-recorder.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { RuntimeService } from '../../../lib/cri-api/cri-services.ts'
import type { Pod, PodStatus } from '../../../lib/api/generated/types/core-v1.ts'

export interface PodSyncerOptions {
  readonly clock: Clock
  readonly logger: Logger
  readonly events: EventRecorder
  readonly disk: Disk
  readonly runtime: RuntimeService
  readonly cache: RuntimeCache
  readonly podRuntime: PodRuntime
  readonly probes: ProbeManager
  readonly statuses: StatusManager
  readonly volumes: VolumeManager
  readonly cgroups: CgroupManager
  readonly cgroupRoot: string
  readonly podPidsLimit: number
  readonly logsDir: string
  readonly nodeName: string
  readonly hostIps: readonly string[]
  readonly runtimeName: () => string
  readonly allocatable: () => PodAddresses['allocatable']
  /** Why pods can't have a network now; undefined when they can. */
  readonly networkProblem: () => string | undefined
  /** Without the Services a container's environment would be incomplete. */
  readonly servicesKnown: () => boolean
  readonly credentials: (pod: Pod, signal: AbortSignal) => Promise<readonly RegistryCredential[]>
  readonly checkResizeFits: (pod: Pod) => ResizeRefusal | undefined
  readonly ensureMirror: (pod: Pod, signal: AbortSignal) => Promise<void>
  readonly onStep: (pod: Pod, step: string) => void
}

const mostPasses = 8

export class PodSyncer implements PodWork {
  readonly #options: PodSyncerOptions
  /** Why containers could not be started, by pod uid and container name. */
  readonly #reasons = new Map<string, Map<string, WaitingReason>>()
  /** Changes of resources that the node can't make, by pod uid. */
  readonly #refusals = new Map<string, ResizeRefusal>()
  /** The resources last asked for, by container id. */
  readonly #updates = new Map<string, string>()

  constructor(options: PodSyncerOptions) { this.#options = options }

  async sync(life: PodLife, signal: AbortSignal): Promise<SyncResult> {
    const { clock, events, cache, podRuntime, probes, volumes } = this.#options
    const { pod } = life
    const uid = pod.metadata.uid
    volumes.firstSeenMs(uid)
    let observed = cache.get(uid) ?? (await cache.refresh(uid, signal))
    probes.add(pod)
    for (let pass = 0; ; pass++) {
      const refusal = this.#checkResize(pod, observed)
      const status = this.#writeStatus(life, observed, false)
      if (isTerminalPhase(status.phase)) return { completed: true }
      const deadline = this.#deadline(pod, status)
      if (deadline !== undefined && deadline <= clock.now()) {
        events.event(podReference(pod), 'Normal', 'DeadlineExceeded', 'Pod was active on the node longer than the specified deadline')
        return { failure: { reason: 'DeadlineExceeded', message: 'Pod was active on the node longer than the specified deadline' } }
      }
      const untilDeadline = deadline === undefined ? {} : { againAfterMs: deadline - clock.now() }
      const computed = computePodActions(pod, observed, probes, refusal === undefined)
      const actions = { ...computed, containersToUpdate: computed.containersToUpdate.filter((name) => this.#isNewUpdate(pod, observed, name)) }
      const idle = !actions.killPod && actions.containersToUpdate.length + actions.initContainersToStart.length + actions.containersToStart.length + actions.ephemeralContainersToStart.length + actions.containersToKill.length === 0
      if (isStaticPod(pod) && pass === 0) await this.#options.ensureMirror(pod, signal)
      const problem = this.#options.networkProblem()
      if (problem !== undefined && !isHostNetwork(pod)) {
        events.event(podReference(pod), 'Warning', 'NetworkNotReady', `network is not ready: ${problem}`)
        return { againAfterMs: 2000 }
      }
      const addresses = this.#addresses(pod, observed)
      const mounted = await volumes.setUp(pod, addresses, signal)
      if (mounted.failures.length > 0) {
        for (const { volume, message } of mounted.failures) events.event(podReference(pod), 'Warning', 'FailedMount', `MountVolume.SetUp failed for volume "${volume}" : ${message}`)
        throw new Error(`unmounted volumes=[${mounted.failures.map((f) => f.volume).join(' ')}]: ${mounted.failures[0]?.message ?? ''}`)
      }
      if (idle) return untilDeadline
      if (!this.#options.servicesKnown()) return { againAfterMs: 50 }
      if (pass === 0) this.#options.onStep(pod, 'kubelet starts containers')
      const cgroupParent = await this.#ensureCgroup(pod)
      const outcome = await podRuntime.syncPod({ pod, observed, actions, volumes: mounted, addresses, cgroupParent, credentials: await this.#options.credentials(pod, signal) }, signal)
      this.#keepReasons(uid, outcome.failures, outcome.started)
      observed = await cache.refresh(uid, signal)
      probes.poke(uid)
      if (outcome.failures.size > 0 || outcome.retryAfterMs !== undefined || pass >= mostPasses) {
        this.#writeStatus(life, observed, false)
        return { againAfterMs: Math.min(outcome.retryAfterMs ?? 1000, untilDeadline.againAfterMs ?? Infinity) }
      }
      if (outcome.started.length > 0) this.#options.onStep(pod, 'kubelet started containers')
    }
  }

  /** Why the pod can't have the resources that its spec asks for now. Told in its status. */
  #checkResize(pod: Pod, observed: RuntimePod): ResizeRefusal | undefined {
    const uid = pod.metadata.uid
    const wanted = regularContainers(pod).some((c) => { const running = newestContainer(observed, c.name); return running?.state === 'running' && resizeNeed(c, running) !== 'none' })
    const refusal = wanted ? this.#options.checkResizeFits(pod) : undefined
    if (refusal) this.#refusals.set(uid, refusal)
    else this.#refusals.delete(uid)
    return refusal
  }

  /** A runtime that can't make the change exactly is not asked for the same again and again. */
  #isNewUpdate(pod: Pod, observed: RuntimePod, name: string): boolean {
    const container = regularContainers(pod).find((c) => c.name === name)
    const id = newestContainer(observed, name)?.id ?? ''
    const wanted = JSON.stringify(container?.resources)
    if (this.#updates.get(id) === wanted) return false
    if (this.#updates.size > 5000) this.#updates.clear()
    this.#updates.set(id, wanted)
    return true
  }

  async terminate(life: PodLife, signal: AbortSignal): Promise<void> {
    const { cache, podRuntime, probes } = this.#options
    const { pod } = life
    const uid = pod.metadata.uid
    let observed = await cache.refresh(uid, signal)
    const known = observed.containers.length > 0 || observed.sandboxes.length > 0
    if (known || !isTerminalPhase(pod.status?.phase)) this.#writeStatus(life, observed, false)
    probes.stopLivenessAndStartup(uid)
    this.#options.onStep(pod, 'kubelet stops containers')
    await podRuntime.killPod(pod, observed, life.graceOverrideSeconds, signal)
    observed = await cache.refresh(uid, signal)
    const left = runningContainers(observed)
    if (left.length > 0) throw new Error(`detected running containers after a successful stop: ${left.map((c) => c.name).join(', ')}`)
    probes.remove(uid)
    if (known || !isTerminalPhase(pod.status?.phase)) this.#writeStatus(life, observed, true)
  }

  async cleanUp(life: PodLife): Promise<void> {
    const { volumes, cgroups, statuses, cache } = this.#options
    const { pod } = life
    const uid = pod.metadata.uid
    await volumes.tearDown(uid, false)
    await cgroups.remove(this.#cgroupOf(pod))
    const observed = cache.get(uid) ?? emptyRuntimePod(uid, pod.metadata.name, podNamespace(pod))
    if (observed.containers.length > 0 || !isTerminalPhase(pod.status?.phase)) this.#writeStatus(life, observed, true)
    else if (!statuses.get(uid)) statuses.set(pod, pod.status ?? {})
    statuses.finish(pod)
    this.#options.onStep(pod, 'kubelet cleaned up')
  }

  async forget(life: PodLife, signal: AbortSignal): Promise<void> {
    const { cache, disk, logsDir, statuses, volumes } = this.#options
    const uid = life.pod.metadata.uid
    const observed = await cache.refresh(uid, signal)
    await this.removeFromRuntime(observed, signal)
    for (const container of observed.containers) await disk.removeTree(containerLogLink(logsDir, life.pod, container.name, container.id))
    await disk.removeTree(podLogDirectory(logsDir, life.pod))
    await volumes.tearDown(uid, true)
    this.#reasons.delete(uid)
    this.#refusals.delete(uid)
    statuses.forget(uid)
    await cache.refresh(uid, signal)
  }

  /** Removes all containers and sandboxes of a pod; they are stopped. */
  async removeFromRuntime(observed: RuntimePod, signal: AbortSignal): Promise<void> {
    const { runtime } = this.#options
    const quietly = async (remove: () => Promise<unknown>): Promise<void> => {
      try {
        await remove()
      } catch (error) {
        if (!(error instanceof CriError && error.code === 'NotFound')) throw error
      }
    }
    await Promise.all(observed.containers.map((c) => quietly(() => runtime.removeContainer({ containerId: c.id }, signal))))
    for (const sandbox of observed.sandboxes) {
      await quietly(() => runtime.stopPodSandbox({ podSandboxId: sandbox.id }, signal))
      await quietly(() => runtime.removePodSandbox({ podSandboxId: sandbox.id }, signal))
    }
  }

  /** Computes the status out of what is known now and hands it on, without doing anything else. */
  refreshStatus(life: PodLife): void {
    const observed = this.#options.cache.get(life.pod.metadata.uid)
    if (observed && life.stage === 'syncing') this.#writeStatus(life, observed, false)
  }

  #writeStatus(life: PodLife, observed: RuntimePod, isTerminal: boolean): PodStatus {
    const { clock, statuses, probes, runtimeName, hostIps } = this.#options
    const { pod, failure } = life
    const uid = pod.metadata.uid
    const kept = statuses.get(uid)
    const api = pod.status ?? {}
    const previous: PodStatus = kept ? { ...kept, conditions: [...(kept.conditions ?? []).filter((c) => !(api.conditions ?? []).some((o) => o.type === c.type && !isOwn(o.type))), ...(api.conditions ?? []).filter((c) => !isOwn(c.type))] } : api
    const status = computePodStatus({
      pod, observed, previous, runtimeName: runtimeName(), waitingReason: (name) => this.#reasons.get(uid)?.get(name), readiness: probes, nowMs: clock.now(), hostIps, isTerminal, ...(failure ? { failure } : {}),
      ...(this.#refusals.has(uid) ? { resizePending: this.#refusals.get(uid) } : {}),
    })
    // A pod is not told to be over while something of it still runs (a sidecar, say) and holds what the node gave it.
    const early = isTerminalPhase(status.phase) && !isTerminalPhase(previous.phase) && !isTerminal && runningContainers(observed).length > 0
    const { reason, message } = previous
    const { reason: _reason, message: _message, ...rest } = status
    const told: PodStatus = early ? { ...rest, phase: previous.phase ?? 'Pending', ...(reason === undefined ? {} : { reason }), ...(message === undefined ? {} : { message }) } : status
    const changed = statuses.set(pod, told)
    if (changed) this.#options.onStep(pod, `kubelet reports ${told.phase}${told.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ? ', ready' : ''}`)
    return status
  }

  #keepReasons(uid: string, failures: ReadonlyMap<string, WaitingReason>, started: readonly string[]): void {
    const reasons = this.#reasons.get(uid) ?? new Map<string, WaitingReason>()
    for (const name of started) reasons.delete(name)
    for (const [name, reason] of failures) reasons.set(name, reason)
    if (reasons.size > 0) this.#reasons.set(uid, reasons)
    else this.#reasons.delete(uid)
  }

  /** Wall time at which the pod has to end. */
  #deadline(pod: Pod, status: PodStatus): number | undefined {
    const seconds = pod.spec?.activeDeadlineSeconds
    if (seconds === undefined || status.startTime === undefined) return undefined
    return Date.parse(status.startTime) + seconds * 1000
  }

  #addresses(pod: Pod, observed: RuntimePod): PodAddresses {
    const { hostIps, nodeName, allocatable } = this.#options
    return { podIps: isHostNetwork(pod) ? hostIps : observed.sandboxes[0]?.ips ?? [], hostIps, nodeName, allocatable: allocatable() }
  }

  #cgroupOf(pod: Pod): string { return podCgroup(this.#options.cgroupRoot, computeQosClass(pod), pod.metadata.uid) }

  async #ensureCgroup(pod: Pod): Promise<string> {
    const path = this.#cgroupOf(pod)
    const requests = podRequests(pod)
    const limits = podLimits(pod)
    try {
      await this.#options.cgroups.ensure(path, {
        cpuShares: milliToShares(requests['cpu'] ?? 0), ...(isBounded(pod, 'cpu') ? { cpuQuota: milliToQuota(limits['cpu'] ?? 0), cpuPeriod: 100_000 } : {}),
        ...(isBounded(pod, 'memory') ? { memoryLimitBytes: limits['memory'] ?? 0 } : {}), ...(this.#options.podPidsLimit > 0 ? { pidsLimit: this.#options.podPidsLimit } : {}),
      })
    } catch (error) {
      this.#options.events.event(podReference(pod), 'Warning', 'FailedToCreatePodContainer', `unable to ensure pod container exists: ${error instanceof Error ? error.message : String(error)}`)
      this.#options.logger.error('Could not make the control group of a pod', error, { pod: describePod(pod), path })
      throw error
    }
    return path
  }
}

function isOwn(type: string): boolean { return ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready', 'PodReadyToStartContainers'].includes(type) }

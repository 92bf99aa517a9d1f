// Runs the probes of all pods of the node and keeps their results.
// Rule it keeps: a container without a probe passes it; results are told when they change.
// Upstream: pkg/kubelet/prober/prober_manager.go
import { containerReference, isRestartableInit, initContainers, regularContainers } from '../pod/pod-facts.ts'
import { shouldRestart } from '../pod/pod-actions.ts'
import { newestContainer } from '../runtime/runtime-status.ts'
import { decideProbe, initialResult, noProbeState, recordAnswer } from './probe-worker.ts'
import { runProbe } from './run-probe.ts'
import type { ProbeResult, ProbeResults } from '../pod/pod-actions.ts'
import type { RuntimePod } from '../runtime/runtime-status.ts'
import type { Readiness } from '../status/container-statuses.ts'
import type { ProbeNetwork } from './probe-network.ts'
import type { ProbeState, ProbeType } from './probe-worker.ts'
import type { Clock, Timer } from '../../../lib/base/clock.ts'
import type { EventRecorder } from '../../../lib/client/event-recorder.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { RuntimeService } from '../../../lib/cri-api/cri-services.ts'
import type { Container, EphemeralContainer, Pod, Probe } from '../../../lib/api/generated/types/core-v1.ts'

export interface ProbeManagerOptions {
  readonly clock: Clock
  readonly events: EventRecorder
  readonly logger: Logger
  readonly runtime: RuntimeService
  readonly network: ProbeNetwork
  readonly hostIp: string
  readonly observed: (uid: string) => RuntimePod | undefined
  readonly onResult: (uid: string) => void
  readonly signal: AbortSignal
}

interface Worker { readonly type: ProbeType; readonly probe: Probe; readonly uid: string; readonly container: Container; state: ProbeState; timer: Timer | undefined; busy: boolean; stopped: boolean }

/** Counters for /metrics/probes. */
export interface ProbeCount { readonly type: ProbeType; readonly result: string; readonly uid: string; readonly container: string; count: number }

export class ProbeManager implements ProbeResults, Readiness {
  readonly #options: ProbeManagerOptions
  readonly #workers = new Map<string, Worker>()
  readonly #pods = new Map<string, Pod>()
  /** Results by probe type and container id. */
  readonly #results = new Map<string, ProbeResult>()
  readonly counts = new Map<string, ProbeCount>()

  constructor(options: ProbeManagerOptions) { this.#options = options }

  startup(containerId: string): ProbeResult | undefined { return this.#results.get(`startup ${containerId}`) }
  liveness(containerId: string): ProbeResult | undefined { return this.#results.get(`liveness ${containerId}`) }

  isStarted(pod: Pod, container: Container | EphemeralContainer, containerId: string): boolean {
    if (!('startupProbe' in container) || !container.startupProbe) return true
    // After a restart of the kubelet nothing is known: what was reported before holds until the probe says otherwise.
    return this.startup(containerId) === 'success'
  }

  isReady(_pod: Pod, container: Container | EphemeralContainer, containerId: string): boolean {
    return container.readinessProbe === undefined || this.#results.get(`readiness ${containerId}`) === 'success'
  }

  /** Begins (or goes on) with the pod's probes. A container that was ready when an earlier kubelet saw it stays so until a probe says otherwise. */
  add(pod: Pod): void {
    const uid = pod.metadata.uid
    this.#pods.set(uid, pod)
    for (const container of [...initContainers(pod).filter(isRestartableInit), ...regularContainers(pod)]) {
      for (const type of ['startup', 'liveness', 'readiness'] as const) {
        const probe = type === 'startup' ? container.startupProbe : type === 'liveness' ? container.livenessProbe : container.readinessProbe
        const key = `${uid} ${container.name} ${type}`
        if (!probe || this.#workers.has(key)) continue
        const worker: Worker = { type, probe, uid, container, state: noProbeState, timer: undefined, busy: false, stopped: false }
        this.#restore(pod, worker)
        this.#workers.set(key, worker)
        void this.#tick(worker)
      }
    }
  }

  /** Takes over what the pod's status said before this kubelet started. */
  #restore(pod: Pod, worker: Worker): void {
    const reported = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])].find((s) => s.name === worker.container.name)
    const id = reported?.containerID?.replace(/^.*:\/\//, '')
    if (!reported || !id || newestContainer(this.#options.observed(worker.uid) ?? { uid: '', name: '', namespace: '', sandboxes: [], containers: [] }, worker.container.name)?.id !== id) return
    const passed = worker.type === 'readiness' ? reported.ready : worker.type === 'startup' ? reported.started === true : true
    const result = passed ? 'success' : initialResult(worker.type)
    worker.state = { containerId: id, result, lastAnswer: undefined, inARow: 0, onHold: false }
    this.#results.set(`${worker.type} ${id}`, result)
  }

  /** Something about the pod's containers changed: no need to wait for the next tick. */
  poke(uid: string): void {
    const pod = this.#pods.get(uid)
    if (!pod) return
    for (const worker of this.#workers.values()) {
      if (worker.uid !== uid || worker.busy || worker.stopped) continue
      const newest = newestContainer(this.#options.observed(uid) ?? { uid, name: '', namespace: '', sandboxes: [], containers: [] }, worker.container.name)
      if (newest && (newest.id !== worker.state.containerId || newest.state !== 'running')) void this.#tick(worker)
    }
  }

  /** While a pod is being stopped it is only asked whether it is ready. */
  stopLivenessAndStartup(uid: string): void {
    for (const worker of this.#workers.values()) if (worker.uid === uid && worker.type !== 'readiness') this.#stop(worker)
  }

  remove(uid: string): void {
    for (const [key, worker] of this.#workers) {
      if (worker.uid !== uid) continue
      this.#stop(worker)
      this.#workers.delete(key)
      this.#results.delete(`${worker.type} ${worker.state.containerId}`)
    }
    for (const [key, count] of this.counts) if (count.uid === uid) this.counts.delete(key)
    this.#pods.delete(uid)
  }

  #stop(worker: Worker): void {
    worker.stopped = true
    worker.timer?.[Symbol.dispose]()
    worker.timer = undefined
  }

  async #tick(worker: Worker): Promise<void> {
    const { clock, logger, signal } = this.#options
    if (worker.busy || worker.stopped || signal.aborted) return
    worker.busy = true
    worker.timer?.[Symbol.dispose]()
    worker.timer = undefined
    try {
      await this.#probeOnce(worker)
    } catch (error) {
      if (!signal.aborted) logger.warn('Probe could not be run', { container: worker.container.name, error: error instanceof Error ? error.message : String(error) })
    } finally {
      worker.busy = false
    }
    if (worker.stopped || signal.aborted) return
    const periodMs = (worker.probe.periodSeconds ?? 10) * 1000
    worker.timer = clock.setTimer(periodMs, () => { void this.#tick(worker) }, { keepAlive: false })
  }

  async #probeOnce(worker: Worker): Promise<void> {
    const { clock, events, observed, runtime, network, hostIp, signal } = this.#options
    const pod = this.#pods.get(worker.uid)
    const seen = observed(worker.uid)
    if (!pod || !seen) return
    const { type, probe, container } = worker
    const newest = newestContainer(seen, container.name)
    const decision = decideProbe(type, probe, worker.state, {
      nowMs: clock.now(), container: newest && { id: newest.id, running: newest.state === 'running', startedAtMs: newest.startedAtMs },
      isDeleting: pod.metadata.deletionTimestamp !== undefined, willRestart: shouldRestart(pod, container, newest), started: newest !== undefined && this.isStarted(pod, container, newest.id),
    })
    this.#store(worker, decision.state)
    if (decision.next === 'stop') { this.#stop(worker); return }
    if (decision.next === 'wait' || !newest) return
    const about = containerReference(pod, container.name)
    const title = `${type[0]?.toUpperCase()}${type.slice(1)}`
    const podIp = pod.spec?.hostNetwork ? hostIp : seen.sandboxes[0]?.ips[0] ?? ''
    let answer: ProbeResult
    try {
      const { result, detail } = await runProbe({ probe, pod, container, containerId: newest.id, podIp, runtime, network }, signal)
      answer = result === 'failure' ? 'failure' : 'success'
      if (result === 'failure') events.event(about, 'Warning', 'Unhealthy', `${title} probe failed: ${detail}`)
      if (result === 'warning') events.event(about, 'Warning', 'ProbeWarning', `${title} probe warning: ${detail}`)
    } catch (error) {
      if (signal.aborted) return
      // The probe itself couldn't be run; its result is neither way.
      events.event(about, 'Warning', 'Unhealthy', `${title} probe errored and resulted in unknown state: ${error instanceof Error ? error.message : String(error)}`)
      this.#count(worker, 'unknown')
      return
    }
    this.#count(worker, answer === 'success' ? 'successful' : 'failed')
    // While it ran, the container may have been replaced or the probe stopped.
    if (worker.state.containerId === newest.id && !worker.stopped) this.#store(worker, recordAnswer(type, probe, worker.state, answer))
  }

  #count(worker: Worker, result: string): void {
    const key = `${worker.uid} ${worker.container.name} ${worker.type} ${result}`
    const found = this.counts.get(key)
    if (found) found.count++
    else this.counts.set(key, { type: worker.type, result, uid: worker.uid, container: worker.container.name, count: 1 })
  }

  #store(worker: Worker, state: ProbeState): void {
    const before = worker.state
    worker.state = state
    if (before.containerId !== state.containerId && before.containerId !== '') this.#results.delete(`${worker.type} ${before.containerId}`)
    if (state.containerId === '') return
    const key = `${worker.type} ${state.containerId}`
    if (this.#results.get(key) === state.result) return
    const isNew = !this.#results.has(key)
    this.#results.set(key, state.result)
    if (isNew && state.result === initialResult(worker.type)) return
    this.#options.onResult(worker.uid)
    // Once started, the other probes need not wait for their tick.
    if (worker.type === 'startup' && state.result === 'success') for (const other of this.#workers.values()) if (other.uid === worker.uid && other.container.name === worker.container.name && other !== worker) void this.#tick(other)
  }
}

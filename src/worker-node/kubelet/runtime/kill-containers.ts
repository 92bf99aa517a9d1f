// Stops the containers of a pod with their preStop hooks and grace, all at once; sidecars go last, the first started last of all.
// Upstream: pkg/kubelet/kuberuntime/kuberuntime_container.go (killContainer), kuberuntime_termination_order.go
import { sleep } from '../../../lib/base/clock.ts'
import { containerReference, findContainer, initContainers, isRestartableInit, podNamespace } from '../pod/pod-facts.ts'
import { preStopHandlerAnnotation, podTerminationGraceAnnotation, runningContainers } from './runtime-status.ts'
import { runHook } from './lifecycle-hooks.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'
import type { KillReason } from '../pod/pod-actions.ts'
import type { RuntimeContainer, RuntimePod } from './runtime-status.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { EventRecorder } from '../../../lib/client/event-recorder.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { RuntimeService } from '../../../lib/cri-api/cri-services.ts'
import type { ProbeNetwork } from '../probe/probe-network.ts'
import type { LifecycleHandler, Pod } from '../../../lib/api/generated/types/core-v1.ts'

export interface KillerOptions {
  readonly runtime: RuntimeService
  readonly network: ProbeNetwork
  readonly clock: Clock
  readonly events: EventRecorder
  readonly logger: Logger
}

export interface KillRequest {
  /** Undefined for a pod that nobody knows any more: what is needed is read from the containers' annotations. */
  readonly pod: Pod | undefined
  readonly container: RuntimeContainer
  readonly podIp: string
  readonly reason: KillReason | undefined
  readonly message: string
  readonly graceOverrideSeconds: number | undefined
  /** Resolves when it is this container's turn to be stopped. */
  readonly turn?: Promise<void>
}

const minimumGraceSeconds = 2

export async function killContainer(options: KillerOptions, request: KillRequest, signal: AbortSignal): Promise<void> {
  const { runtime, clock, events } = options
  const { pod, container } = request
  const placed = pod && findContainer(pod, container.name)
  if (pod) events.event(containerReference(pod, container.name), 'Normal', 'Killing', request.message || `Stopping container ${container.name}`)
  const spec = placed?.container
  const probe = request.reason === 'liveness probe' ? spec?.livenessProbe : request.reason === 'startup probe' ? spec?.startupProbe : undefined
  let graceSeconds = request.graceOverrideSeconds ?? (pod
    ? pod.metadata.deletionGracePeriodSeconds ?? probe?.terminationGracePeriodSeconds ?? pod.spec?.terminationGracePeriodSeconds ?? 30
    : Number(container.annotations[podTerminationGraceAnnotation] ?? 30))
  const force = request.graceOverrideSeconds === 0
  const startedAtMs = clock.monotonic()
  const handler = spec?.lifecycle?.preStop ?? hookFromAnnotation(container)
  if (handler && graceSeconds > 0) {
    const about = pod ?? { metadata: { name: '', uid: '', resourceVersion: '', creationTimestamp: '' }, spec: {}, status: {} }
    const failure = await withTimeout(clock, graceSeconds * 1000, signal, (bounded) => runHook(handler, {
      pod: about, container: spec ?? { name: container.name, resources: {} }, containerId: container.id, podIp: request.podIp, runtime, network: options.network, clock, timeoutMs: graceSeconds * 1000,
    }, bounded))
    if (failure !== undefined) {
      options.logger.warn('PreStop hook failed', { pod: pod ? `${podNamespace(pod)}/${pod.metadata.name}` : '', container: container.name, failure })
      if (pod) events.event(containerReference(pod, container.name), 'Warning', 'FailedPreStopHook', 'PreStopHook failed')
    }
  }
  if (request.turn && !force) {
    const leftMs = Math.max(0, graceSeconds * 1000 - (clock.monotonic() - startedAtMs))
    await withTimeout(clock, leftMs, signal, () => request.turn ?? Promise.resolve())
  }
  graceSeconds = force ? 0 : Math.max(minimumGraceSeconds, Math.round(graceSeconds - (clock.monotonic() - startedAtMs) / 1000))
  try {
    await runtime.stopContainer({ containerId: container.id, timeout: graceSeconds }, signal)
  } catch (error) {
    if (!(error instanceof CriError && error.code === 'NotFound')) throw error
  }
}

/** Stops all running containers of the pod; resolves when each has ended. */
export async function killAllContainers(options: KillerOptions, pod: Pod | undefined, observed: RuntimePod, graceOverrideSeconds: number | undefined, signal: AbortSignal): Promise<void> {
  const running = [...runningContainers(observed), ...observed.containers.filter((c) => c.state === 'created' || c.state === 'unknown')]
  const sidecars = pod ? initContainers(pod).filter(isRestartableInit).map((c) => c.name) : []
  const podIp = observed.sandboxes[0]?.ips[0] ?? ''
  const ended = new Map<string, Promise<void>>()
  const main = running.filter((c) => !sidecars.includes(c.name))
  const kill = (container: RuntimeContainer, turn?: Promise<void>): Promise<void> =>
    killContainer(options, { pod, container, podIp, reason: undefined, message: '', graceOverrideSeconds, ...(turn ? { turn } : {}) }, signal)
  const all = main.map((c) => kill(c))
  let before: Promise<unknown> = Promise.allSettled(all)
  for (const name of sidecars.toReversed()) {
    const container = running.find((c) => c.name === name)
    if (!container) continue
    const killed = kill(container, before.then(() => {}))
    ended.set(name, killed)
    before = Promise.allSettled([before, killed])
    all.push(killed)
  }
  const results = await Promise.allSettled(all)
  const failed = results.find((r) => r.status === 'rejected')
  if (failed) throw failed.reason
}

function hookFromAnnotation(container: RuntimeContainer): LifecycleHandler | undefined {
  const text = container.annotations[preStopHandlerAnnotation]
  if (text === undefined) return undefined
  try {
    const parsed: unknown = JSON.parse(text)
    return isJsonObject(parsed) ? (parsed as LifecycleHandler) : undefined // cast: the kubelet wrote it itself
  } catch {
    return undefined
  }
}

/** Runs `work`, giving up after `ms`: resolves to undefined then. The work is told through its signal. */
async function withTimeout<T>(clock: Clock, ms: number, signal: AbortSignal, work: (bounded: AbortSignal) => Promise<T>): Promise<T | undefined> {
  const timeout = new AbortController()
  const both = AbortSignal.any([signal, timeout.signal])
  const running = work(both)
  running.catch(() => {})
  try {
    return await Promise.race([running, sleep(clock, ms, both).then(() => undefined)])
  } finally {
    timeout.abort(new Error('timed out'))
  }
}

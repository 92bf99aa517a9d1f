// What must be done to bring a pod's sandbox and containers to what its spec says: a pure decision from the spec, the runtime's view and the
// results of probes. The shell (runtime/pod-runtime.ts) carries it out; the next look at the runtime then gives the next decision.
// Rules it keeps: init containers one after the other; a sidecar lets the next one go once it has started; nothing is restarted
// that the restart policy forbids; a changed or unhealthy container is stopped before it is started again.
// Upstream: pkg/kubelet/kuberuntime/kuberuntime_manager.go (computePodActions, computeInitContainerActions, podSandboxChanged)
import { resizeNeed } from './pod-resize.ts'
import { newestContainer } from '../runtime/runtime-status.ts'
import { containerHash, ephemeralContainers, initContainers, isHostNetwork, isRestartableInit, regularContainers, restartPolicyOf } from './pod-facts.ts'
import type { RuntimeContainer, RuntimePod } from '../runtime/runtime-status.ts'
import type { Container, EphemeralContainer, Pod } from '../../../lib/api/generated/types/core-v1.ts'

export type ProbeResult = 'success' | 'failure' | 'unknown'

/** Results by container id; undefined when the container has no such probe or none has answered yet. */
export interface ProbeResults {
  startup(containerId: string): ProbeResult | undefined
  liveness(containerId: string): ProbeResult | undefined
}

export type KillReason = 'unknown' | 'spec changed' | 'resize' | 'liveness probe' | 'startup probe'

export interface ContainerToKill {
  readonly id: string
  readonly name: string
  readonly reason: KillReason
  readonly message: string
}

export interface PodActions {
  /** Stop everything, the sandbox included. */
  readonly killPod: boolean
  readonly createSandbox: boolean
  /** The sandbox to work in; empty when there is none. */
  readonly sandboxId: string
  /** Attempt number of the sandbox to create. */
  readonly attempt: number
  /** Names, in the order in which they start. */
  readonly initContainersToStart: readonly string[]
  readonly ephemeralContainersToStart: readonly string[]
  readonly containersToStart: readonly string[]
  readonly containersToKill: readonly ContainerToKill[]
  /** Running containers whose resources are changed in place. */
  readonly containersToUpdate: readonly string[]
}

/** @param mayResize whether the node has room for the resources that the spec asks for now. */
export function computePodActions(pod: Pod, observed: RuntimePod, probes: ProbeResults, mayResize = true): PodActions {
  const sandbox = checkSandbox(pod, observed)
  const plan: PodActions = {
    killPod: sandbox.changed, createSandbox: sandbox.changed, sandboxId: sandbox.id, attempt: sandbox.attempt,
    initContainersToStart: [], ephemeralContainersToStart: [], containersToStart: [], containersToKill: [], containersToUpdate: [],
  }
  if (sandbox.changed) return planNewSandbox(pod, observed, plan)

  const ephemeralContainersToStart = ephemeralContainers(pod).filter((c) => !newestContainer(observed, c.name)).map((c) => c.name)
  const init = planInitContainers(pod, observed, probes)
  const withInit = { ...plan, ephemeralContainersToStart, killPod: init.killPod, initContainersToStart: init.toStart, containersToKill: init.toKill }
  if (init.killPod || !init.initialized) return withInit

  const toStart: string[] = []
  const toKill: ContainerToKill[] = [...init.toKill]
  const toUpdate: string[] = []
  let kept = 0
  for (const container of regularContainers(pod)) {
    const status = newestContainer(observed, container.name)
    if (!status || status.state !== 'running') {
      if (!shouldRestart(pod, container, status)) continue
      toStart.push(container.name)
      if (status?.state === 'unknown') toKill.push({ id: status.id, name: container.name, reason: 'unknown', message: 'Container is in "unknown" state, try killing it before restart' })
      continue
    }
    const resize = mayResize ? resizeNeed(container, status) : 'none'
    const trouble = findTrouble(container, status, probes) ?? (resize === 'restart' ? { reason: 'resize' as const, message: `Container ${container.name} resize requires restart` } : undefined)
    if (!trouble) {
      if (resize === 'update') toUpdate.push(container.name)
      kept++
      continue
    }
    const restart = trouble.reason === 'resize' || trouble.reason === 'spec changed' || restartPolicyOf(pod, container) !== 'Never'
    if (restart) toStart.push(container.name)
    toKill.push({ id: status.id, name: container.name, reason: trouble.reason, message: restart ? `${trouble.message}, will be restarted` : trouble.message })
  }
  if (kept === 0 && toStart.length === 0) return { ...withInit, killPod: true, initContainersToStart: [], containersToKill: toKill }
  return { ...withInit, containersToStart: toStart, containersToKill: toKill, containersToUpdate: toUpdate }
}

function planNewSandbox(pod: Pod, observed: RuntimePod, plan: PodActions): PodActions {
  if (pod.spec?.restartPolicy === 'Never' && plan.attempt !== 0 && observed.containers.length > 0) return { ...plan, createSandbox: false }
  const toStart = regularContainers(pod).filter((c) => {
    const status = newestContainer(observed, c.name)
    return !(status?.state === 'exited' && status.exitCode === 0 && restartPolicyOf(pod, c) === 'OnFailure')
  })
  if (toStart.length === 0) return { ...plan, createSandbox: false }
  const first = initContainers(pod)[0]
  return first ? { ...plan, initContainersToStart: [first.name] } : { ...plan, containersToStart: toStart.map((c) => c.name) }
}

/** Whether a new sandbox is needed, with the number of that attempt. */
function checkSandbox(pod: Pod, observed: RuntimePod): { readonly changed: boolean; readonly attempt: number; readonly id: string } {
  const [newest] = observed.sandboxes
  if (!newest) return { changed: true, attempt: 0, id: '' }
  const next = { changed: true, attempt: newest.attempt + 1, id: newest.id }
  if (observed.sandboxes.filter((s) => s.ready).length > 1 || !newest.ready) return next
  if (newest.hostNetwork !== undefined && newest.hostNetwork !== isHostNetwork(pod)) return { ...next, id: '' }
  if (!isHostNetwork(pod) && newest.ips.length === 0) return next
  return { changed: false, attempt: newest.attempt, id: newest.id }
}

interface InitPlan {
  readonly initialized: boolean
  readonly killPod: boolean
  readonly toStart: readonly string[]
  readonly toKill: readonly ContainerToKill[]
}

/** True once any regular container was made: initialisation is then behind the pod for good. */
export function hasAnyRegularContainerCreated(pod: Pod, observed: RuntimePod): boolean {
  return regularContainers(pod).some((c) => { const s = newestContainer(observed, c.name); return s !== undefined && s.state !== 'unknown' })
}

function planInitContainers(pod: Pod, observed: RuntimePod, probes: ProbeResults): InitPlan {
  const containers = initContainers(pod)
  if (containers.length === 0) return { initialized: true, killPod: false, toStart: [], toKill: [] }
  let initialized = hasAnyRegularContainerCreated(pod, observed)
  let passed = initialized
  const mayRestart = pod.spec?.restartPolicy !== 'Never'
  const toStart: string[] = []
  const toKill: ContainerToKill[] = []
  const giveUp: InitPlan = { initialized: false, killPod: true, toStart: [], toKill }
  // From the last to the first: the last one that has a status says how far the pod has come.
  for (let i = containers.length - 1; i >= 0; i--) {
    const container = containers[i]! // cast: bounded by the loop
    const sidecar = isRestartableInit(container)
    const status = newestContainer(observed, container.name)
    if (!status) {
      if (passed && sidecar) toStart.push(container.name)
      continue
    }
    if (passed && !sidecar) continue
    const goOn = (): void => {
      if (i === containers.length - 1) initialized = true
      else if (!passed) toStart.push(containers[i + 1]!.name) // cast: i is not the last
    }
    const restart = (reason: KillReason, message: string): void => {
      toKill.push({ id: status.id, name: container.name, reason, message })
      toStart.push(container.name)
    }
    switch (status.state) {
      case 'created': toStart.push(container.name); break
      case 'running': {
        if (!sidecar) break
        if (container.startupProbe) {
          const startup = probes.startup(status.id)
          if (startup === 'failure') restart('startup probe', `Init container ${container.name} failed startup probe`)
          if (startup !== 'success') break
        }
        goOn()
        if (container.livenessProbe && probes.liveness(status.id) === 'failure') restart('liveness probe', `Init container ${container.name} failed liveness probe`)
        break
      }
      case 'exited':
        if (sidecar) toStart.push(container.name)
        else if (status.exitCode === 0) goOn()
        else if (!shouldRestartInit(pod, container, status, mayRestart)) return giveUp
        else toStart.push(container.name)
        break
      case 'unknown':
        if (!sidecar && !mayRestart) return giveUp
        restart('unknown', 'Init container is in "unknown" state, try killing it before restart')
        break
    }
    passed = true
  }
  if (!passed) toStart.push(containers[0]!.name) // cast: the list isn't empty
  return { initialized, killPod: false, toStart: toStart.toReversed(), toKill }
}

function shouldRestartInit(pod: Pod, container: Container, status: RuntimeContainer, mayRestart: boolean): boolean {
  const byRule = matchRestartRules(container, status.exitCode)
  if (byRule !== undefined) return byRule
  return container.restartPolicy === undefined ? mayRestart : restartPolicyOf(pod, container) !== 'Never'
}

/** What the container's own rules say about this exit code: restart, or undefined when no rule matches. */
function matchRestartRules(container: Container | EphemeralContainer, exitCode: number): boolean | undefined {
  for (const rule of container.restartPolicyRules ?? []) {
    const values = rule.exitCodes?.values ?? []
    const matches = rule.exitCodes?.operator === 'NotIn' ? !values.includes(exitCode) : rule.exitCodes?.operator === 'In' && values.includes(exitCode)
    if (matches && rule.action === 'Restart') return true
  }
  return undefined
}

/** Whether a container that doesn't run has to be started (again), by its restart policy and its last exit. */
export function shouldRestart(pod: Pod, container: Container | EphemeralContainer, status: RuntimeContainer | undefined): boolean {
  if (pod.metadata.deletionTimestamp !== undefined) return false
  if (!status) return true
  if (status.state === 'running') return false
  if (status.state === 'unknown' || status.state === 'created') return true
  const byRule = matchRestartRules(container, status.exitCode)
  if (byRule !== undefined) return byRule
  switch (restartPolicyOf(pod, container)) {
    case 'Never': return false
    case 'OnFailure': return status.exitCode !== 0
    default: return true
  }
}

function findTrouble(container: Container, status: RuntimeContainer, probes: ProbeResults): { readonly reason: KillReason; readonly message: string } | undefined {
  if (status.hash !== '' && status.hash !== containerHash(container)) return { reason: 'spec changed', message: `Container ${container.name} definition changed` }
  if (container.livenessProbe && probes.liveness(status.id) === 'failure') return { reason: 'liveness probe', message: `Container ${container.name} failed liveness probe` }
  if (container.startupProbe && probes.startup(status.id) === 'failure') return { reason: 'startup probe', message: `Container ${container.name} failed startup probe` }
  return undefined
}

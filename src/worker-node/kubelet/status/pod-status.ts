// A pod's whole status: phase, conditions and addresses out of the container statuses. Pure: the same input gives the same status.
// Rules it keeps: a terminal phase is never left; conditions of others are kept; a condition's transition time changes only with its status.
// Upstream: pkg/kubelet/kubelet_pods.go (generateAPIPodStatus, getPhase), pkg/kubelet/status/generate.go
import { formatTime } from '../../../lib/base/clock.ts'
import { computeQosClass } from '../pod/pod-resources.ts'
import { initContainers, isHostNetwork, isRestartableInit, isTerminalPhase, regularContainers } from '../pod/pod-facts.ts'
import { computeContainerStatuses } from './container-statuses.ts'
import type { ContainerStatusInput } from './container-statuses.ts'
import type { ContainerStatus, Pod, PodCondition, PodStatus } from '../../../lib/api/generated/types/core-v1.ts'

export interface PodStatusInput extends ContainerStatusInput {
  readonly nowMs: number
  readonly hostIps: readonly string[]
  /** The pod is being stopped for good: nothing will be restarted. */
  readonly isTerminal: boolean
  /** The resources that the spec asks for can't be given. */
  readonly resizePending?: { readonly reason: string; readonly message: string } | undefined
  /** Ends the pod: eviction, deadline, refusal. */
  readonly failure?: { readonly reason: string; readonly message: string; readonly condition?: PodCondition }
}

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown'

export const ownedConditions: readonly string[] = ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready', 'PodReadyToStartContainers', 'PodResizePending', 'PodResizeInProgress']

export function computePodStatus(input: PodStatusInput): PodStatus {
  const { pod, observed, previous } = input
  const computed = computeContainerStatuses(input)
  const lists = input.isTerminal && hasInitialized(pod, computed.initContainerStatuses, computed.containerStatuses) ? { ...computed, containerStatuses: computed.containerStatuses.map(settleContainer) } : computed
  const hasStarted = lists.containerStatuses.some((s) => s.state.running || s.state.terminated || s.lastState.terminated)
  let phase = computePhase(pod, lists.initContainerStatuses, lists.containerStatuses, input.isTerminal, hasStarted)
  let { reason, message } = { reason: undefined as string | undefined, message: undefined as string | undefined }
  if (input.failure) {
    phase = 'Failed'
    reason = input.failure.reason
    message = input.failure.message
  } else if (isTerminalPhase(previous.phase) && phase !== previous.phase) {
    phase = previous.phase as PodPhase // cast: Failed or Succeeded
  }
  if (isTerminalPhase(phase) && reason === undefined) { reason = previous.reason; message = previous.message }

  const sandbox = observed.sandboxes[0]
  const hostIp = input.hostIps[0]
  const podIps = isHostNetwork(pod) ? (sandbox ? input.hostIps : []) : sandbox?.ready ? sandbox.ips : isTerminalPhase(phase) || !sandbox ? (previous.podIPs ?? []).map((p) => p.ip) : []
  const generation = pod.metadata.generation
  const stamp = (condition: Pick<PodCondition, 'type' | 'status' | 'reason' | 'message'>): PodCondition => stampCondition(condition, previous, generation, input.nowMs)
  const initialized = initializedCondition(pod, lists.initContainerStatuses, lists.containerStatuses, phase)
  const containersReady = containersReadyCondition(pod, lists.containerStatuses, lists.initContainerStatuses, phase)
  const ready = readyCondition(pod, containersReady, previous.conditions ?? [])
  const scheduled = previous.conditions?.find((c) => c.type === 'PodScheduled')
  const networkReady = sandbox?.ready === true && (isHostNetwork(pod) || sandbox.ips.length > 0)
  const own = [
    stamp({ type: 'PodReadyToStartContainers', status: networkReady && !isTerminalPhase(phase) ? 'True' : 'False' }),
    stamp(initialized), stamp(ready), stamp(containersReady),
    ...(input.resizePending ? [stamp({ type: 'PodResizePending', status: 'True', ...input.resizePending })] : []),
    scheduled?.status === 'True' ? { ...scheduled, ...(generation === undefined ? {} : { observedGeneration: generation }) } : stamp({ type: 'PodScheduled', status: 'True' }),
  ]
  const others = (previous.conditions ?? []).filter((c) => !ownedConditions.includes(c.type) && c.type !== input.failure?.condition?.type)
  return {
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    phase, conditions: [...own, ...others, ...(input.failure?.condition ? [stamp(input.failure.condition)] : [])],
    ...(message === undefined ? {} : { message }), ...(reason === undefined ? {} : { reason }),
    ...(previous.nominatedNodeName === undefined ? {} : { nominatedNodeName: previous.nominatedNodeName }),
    ...(hostIp === undefined ? {} : { hostIP: hostIp, hostIPs: input.hostIps.map((ip) => ({ ip })) }),
    ...(podIps[0] === undefined ? {} : { podIP: podIps[0], podIPs: podIps.map((ip) => ({ ip })) }),
    startTime: previous.startTime ?? formatTime(input.nowMs),
    ...(lists.initContainerStatuses.length > 0 ? { initContainerStatuses: lists.initContainerStatuses } : {}),
    containerStatuses: lists.containerStatuses,
    qosClass: computeQosClass(pod),
    ...(lists.ephemeralContainerStatuses.length > 0 ? { ephemeralContainerStatuses: lists.ephemeralContainerStatuses } : {}),
    ...(previous.resourceClaimStatuses ? { resourceClaimStatuses: previous.resourceClaimStatuses } : {}),
  }
}

/** Its init containers are done, or a container after them has run. */
function hasInitialized(pod: Pod, init: readonly ContainerStatus[], containers: readonly ContainerStatus[]): boolean {
  const last = initContainers(pod).at(-1)
  if (!last || containers.some((s) => s.state.running || s.state.terminated || s.lastState.terminated)) return true
  const status = init.find((s) => s.name === last.name)
  if (isRestartableInit(last)) return status?.started === true
  return status?.state.terminated?.exitCode === 0 || status?.lastState.terminated?.exitCode === 0
}

/** At an initialized pod's end no container waits any more: it ended as last seen, or nobody knows how. */
function settleContainer(status: ContainerStatus): ContainerStatus {
  if (!status.state.waiting) return status
  if (status.lastState.terminated) return { ...status, state: { terminated: status.lastState.terminated }, lastState: {} }
  return { ...status, state: { terminated: { exitCode: 137, reason: 'ContainerStatusUnknown', message: 'The container could not be located when the pod was terminated' } } }
}

export function stampCondition(condition: Pick<PodCondition, 'type' | 'status' | 'reason' | 'message'>, previous: PodStatus, generation: number | undefined, nowMs: number): PodCondition {
  const before = previous.conditions?.find((c) => c.type === condition.type)
  const { reason, message } = condition
  return {
    type: condition.type, ...(generation === undefined ? {} : { observedGeneration: generation }), status: condition.status,
    lastTransitionTime: before?.status === condition.status && before.lastTransitionTime ? before.lastTransitionTime : formatTime(nowMs),
    ...(reason ? { reason } : {}), ...(message ? { message } : {}),
  }
}

export function computePhase(pod: Pod, init: readonly ContainerStatus[], containers: readonly ContainerStatus[], isTerminal: boolean, hasStarted: boolean): PodPhase {
  let pending = 0
  let failedInit = 0
  for (const spec of initContainers(pod)) {
    const status = init.find((s) => s.name === spec.name)
    if (isRestartableInit(spec)) {
      if (!hasStarted && status?.started !== true) pending++
      continue
    }
    if (status?.state.terminated) { if (status.state.terminated.exitCode !== 0) failedInit++ }
    else if (status?.state.waiting && status.lastState.terminated) { if (status.lastState.terminated.exitCode !== 0) failedInit++ }
    else pending++
  }
  if (failedInit > 0 && pod.spec?.restartPolicy === 'Never') return 'Failed'
  let waiting = 0, running = 0, stopped = 0, succeeded = 0, unknown = 0
  for (const spec of regularContainers(pod)) {
    const status = containers.find((s) => s.name === spec.name)
    if (status?.state.running) running++
    else if (status?.state.terminated) {
      stopped++
      if (status.state.terminated.exitCode === 0) succeeded++
    } else if (status?.state.waiting) {
      if (status.lastState.terminated) stopped++
      else waiting++
    } else unknown++
  }
  if ((pending > 0 || failedInit > 0) && !hasStarted) return isTerminal && failedInit > 0 ? 'Failed' : 'Pending'
  if (waiting > 0) return 'Pending'
  if (running > 0 && unknown === 0) return 'Running'
  if (running === 0 && stopped > 0 && unknown === 0) {
    if (isTerminal) return stopped === succeeded ? 'Succeeded' : 'Failed'
    if (anyWillRestart(pod, containers)) return 'Running'
    if (stopped === succeeded) return 'Succeeded'
    return 'Failed'
  }
  return 'Pending'
}

/** Whether a stopped container will be started again under its restart policy. */
function anyWillRestart(pod: Pod, statuses: readonly ContainerStatus[]): boolean {
  return regularContainers(pod).some((spec) => {
    const status = statuses.find((s) => s.name === spec.name)
    const exitCode = status?.state.terminated?.exitCode
    const policy = spec.restartPolicy ?? pod.spec?.restartPolicy ?? 'Always'
    const byRule = (spec.restartPolicyRules ?? []).some((rule) => {
      const listed = exitCode !== undefined && (rule.exitCodes?.values ?? []).includes(exitCode)
      return rule.action === 'Restart' && (rule.exitCodes?.operator === 'NotIn' ? !listed : listed)
    })
    if (byRule || policy === 'Always') return true
    return policy === 'OnFailure' && exitCode !== 0
  })
}

type Unstamped = Pick<PodCondition, 'type' | 'status' | 'reason' | 'message'>

function initializedCondition(pod: Pod, init: readonly ContainerStatus[], containers: readonly ContainerStatus[], phase: PodPhase): Unstamped {
  const specs = initContainers(pod)
  if (specs.length === 0) return { type: 'Initialized', status: 'True' }
  if (phase === 'Succeeded') return { type: 'Initialized', status: 'True', reason: 'PodCompleted' }
  const started = containers.some((s) => s.state.running || s.state.terminated || s.lastState.terminated)
  const incomplete = specs.filter((spec) => {
    const status = init.find((s) => s.name === spec.name)
    if (isRestartableInit(spec)) return !started && status?.started !== true
    return status?.ready !== true && !started
  })
  if (incomplete.length === 0) return { type: 'Initialized', status: 'True' }
  return { type: 'Initialized', status: 'False', reason: 'ContainersNotInitialized', message: `containers with incomplete status: [${incomplete.map((c) => c.name).join(' ')}]` }
}

function containersReadyCondition(pod: Pod, statuses: readonly ContainerStatus[], init: readonly ContainerStatus[], phase: PodPhase): Unstamped {
  const type = 'ContainersReady'
  if (phase === 'Succeeded') return { type, status: 'False', reason: 'PodCompleted' }
  if (phase === 'Failed') return { type, status: 'False', reason: 'PodFailed' }
  const specs = [...initContainers(pod).filter(isRestartableInit), ...regularContainers(pod)]
  const all = [...init, ...statuses]
  const unknown = specs.filter((c) => !all.some((s) => s.name === c.name)).map((c) => c.name)
  const unready = specs.filter((c) => all.some((s) => s.name === c.name && !s.ready)).map((c) => c.name)
  const parts = [...(unknown.length > 0 ? [`containers with unknown status: [${unknown.join(' ')}]`] : []), ...(unready.length > 0 ? [`containers with unready status: [${unready.join(' ')}]`] : [])]
  return parts.length === 0 ? { type, status: 'True' } : { type, status: 'False', reason: 'ContainersNotReady', message: parts.join(', ') }
}

function readyCondition(pod: Pod, containersReady: Unstamped, conditions: readonly PodCondition[]): Unstamped {
  if (containersReady.status !== 'True') return { ...containersReady, type: 'Ready' }
  const gates = (pod.spec?.readinessGates ?? []).map((g) => g.conditionType)
  const messages = gates.flatMap((type) => {
    const condition = conditions.find((c) => c.type === type)
    if (!condition) return [`corresponding condition of pod readiness gate "${type}" does not exist.`]
    return condition.status === 'True' ? [] : [`the status of pod readiness gate "${type}" is not "True", but ${condition.status}`]
  })
  return messages.length === 0 ? { type: 'Ready', status: 'True' } : { type: 'Ready', status: 'False', reason: 'ReadinessGatesNotReady', message: messages.join(', ') }
}

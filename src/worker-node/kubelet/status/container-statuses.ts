// The container statuses of a pod's status: the runtime's view of each container, joined with what was reported before (the runtime forgets)
// and with why a container could not be started (the reason cache).
// Upstream: pkg/kubelet/kubelet_pods.go (convertToAPIContainerStatuses)
import { formatTime } from '../../../lib/base/clock.ts'
import { formatBinary, formatMilli } from '../pod/quantity-value.ts'
import { resizeNeed } from '../pod/pod-resize.ts'
import { hasAnyRegularContainerCreated, shouldRestart } from '../pod/pod-actions.ts'
import { allContainers, initContainers, isRestartableInit } from '../pod/pod-facts.ts'
import { newestContainer } from '../runtime/runtime-status.ts'
import type { ContainerKind } from '../pod/pod-facts.ts'
import type { RuntimeContainer, RuntimePod } from '../runtime/runtime-status.ts'
import type { Container, ContainerState, ContainerStatus, EphemeralContainer, Pod, PodStatus } from '../../../lib/api/generated/types/core-v1.ts'

export interface WaitingReason { readonly reason: string; readonly message: string }

/** What the prober knows; see probe/probe-manager.ts. */
export interface Readiness {
  /** The startup probe passed, or there is none. */
  isStarted(pod: Pod, container: Container | EphemeralContainer, containerId: string): boolean
  /** The readiness probe passes, or there is none. */
  isReady(pod: Pod, container: Container | EphemeralContainer, containerId: string): boolean
}

export interface ContainerStatusInput {
  readonly pod: Pod
  readonly observed: RuntimePod
  readonly previous: PodStatus
  readonly runtimeName: string
  /** Why the container named so could not be started at the last attempt. */
  readonly waitingReason: (containerName: string) => WaitingReason | undefined
  readonly readiness: Readiness
}

export interface ContainerStatusLists {
  readonly initContainerStatuses: readonly ContainerStatus[]
  readonly containerStatuses: readonly ContainerStatus[]
  readonly ephemeralContainerStatuses: readonly ContainerStatus[]
}

export function computeContainerStatuses(input: ContainerStatusInput): ContainerStatusLists {
  const of = (kind: ContainerKind, previous: readonly ContainerStatus[] | undefined): readonly ContainerStatus[] =>
    allContainers(input.pod).filter((c) => c.kind === kind).map((c) => computeOne(input, c.container, kind, previous?.find((s) => s.name === c.container.name)))
  const byName = (a: ContainerStatus, b: ContainerStatus): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)
  return {
    initContainerStatuses: of('init', input.previous.initContainerStatuses),
    containerStatuses: of('container', input.previous.containerStatuses).toSorted(byName),
    ephemeralContainerStatuses: of('ephemeral', input.previous.ephemeralContainerStatuses).toSorted(byName),
  }
}

function computeOne(input: ContainerStatusInput, container: Container | EphemeralContainer, kind: ContainerKind, previous: ContainerStatus | undefined): ContainerStatus {
  const { pod, observed } = input
  const attempts = observed.containers.filter((c) => c.name === container.name)
  const [newest, older] = attempts
  const waiting = kind === 'container' && initContainers(pod).length > 0 ? 'PodInitializing' : 'ContainerCreating'
  let status: ContainerStatus
  if (newest) {
    const state = toState(newest, input.runtimeName)
    const last = older ? toState(older, input.runtimeName) : previous && previous.restartCount < newest.restartCount && previous.state.terminated ? previous.state : previous?.lastState ?? {}
    status = {
      ...base(container, previous), state, lastState: last.terminated ? { terminated: last.terminated } : previous?.lastState ?? {},
      restartCount: newest.restartCount, image: newest.image || (container.image ?? ''), imageID: newest.imageRef, containerID: `${input.runtimeName}://${newest.id}`,
    }
  } else status = withoutRuntime(input, container, kind, previous, waiting)

  // A container that could not be started waits, and its last run becomes the last state.
  const doneInit = kind === 'init' && newest?.state === 'exited' && newest.exitCode === 0 && !isRestartableInit(container)
  const restarting = kind === 'ephemeral' ? newest === undefined : shouldRestart(pod, container, newest)
  const reason = doneInit || !restarting ? undefined : input.waitingReason(container.name)
  if (reason) {
    status = {
      ...status, lastState: status.state.terminated ? { terminated: status.state.terminated } : status.lastState,
      state: { waiting: { reason: reason.reason, ...(reason.message === '' ? {} : { message: reason.message }) } },
    }
  }
  const running = status.state.running !== undefined && newest !== undefined
  const started = running && (kind !== 'container' && !isRestartableInit(container) ? true : input.readiness.isStarted(pod, container, newest.id))
  const ready = kind === 'init' && !isRestartableInit(container) ? status.state.terminated?.exitCode === 0
    : kind === 'ephemeral' ? false : running && started && input.readiness.isReady(pod, container, newest.id)
  return { ...status, ready, started: kind === 'ephemeral' ? false : started, ...resourcesOf(container, newest), ...mountsOf(container), ...userOf(newest) }
}

function base(container: Container | EphemeralContainer, previous: ContainerStatus | undefined): ContainerStatus {
  return {
    name: container.name, state: {}, lastState: previous?.lastState ?? {}, ready: false, restartCount: previous?.restartCount ?? 0,
    image: container.image ?? '', imageID: '', started: false,
  }
}

/** The runtime doesn't know the container: not made yet, or removed. */
function withoutRuntime(input: ContainerStatusInput, container: Container | EphemeralContainer, kind: ContainerKind, previous: ContainerStatus | undefined, waiting: string): ContainerStatus {
  const empty: ContainerStatus = { ...base(container, previous), state: { waiting: { reason: waiting } } }
  if (kind === 'init' && !isRestartableInit(container) && hasAnyRegularContainerCreated(input.pod, input.observed)) {
    if (previous?.state.terminated) return previous
    const message = 'Unable to get init container status from container runtime and pod has been initialized, treat it as exit normally'
    return { ...empty, imageID: previous?.imageID ?? '', state: { terminated: { exitCode: 0, reason: 'Completed', message } } }
  }
  if (!previous) return empty
  if (previous.state.terminated) return previous
  if (!previous.state.running) return empty
  // It ran when last seen and is gone now: nobody knows how it ended.
  const terminated = {
    exitCode: 137, reason: 'ContainerStatusUnknown', message: 'The container could not be located when the pod was terminated',
    ...(previous.state.running.startedAt === undefined ? {} : { startedAt: previous.state.running.startedAt }), ...(previous.containerID === undefined ? {} : { containerID: previous.containerID }),
  }
  const gone = { imageID: previous.imageID, ...(previous.containerID === undefined ? {} : { containerID: previous.containerID }) }
  if (input.pod.metadata.deletionTimestamp !== undefined || input.pod.spec?.restartPolicy === 'Never') return { ...empty, ...gone, state: { terminated } }
  return { ...empty, ...gone, restartCount: previous.restartCount + 1, lastState: { terminated: { ...terminated, message: 'The container could not be located when the pod was deleted.  The container used to be Running' } } }
}

function toState(container: RuntimeContainer, runtimeName: string): ContainerState {
  switch (container.state) {
    case 'running': return { running: { startedAt: formatTime(container.startedAtMs || container.createdAtMs) } }
    case 'created': return { waiting: { reason: 'ContainerCreating' } }
    case 'exited': case 'unknown': {
      const unknown = container.state === 'unknown'
      const exitCode = unknown && container.exitCode === 0 ? 137 : container.exitCode
      return {
        terminated: {
          exitCode, reason: container.reason || (unknown ? 'ContainerStatusUnknown' : exitCode === 0 ? 'Completed' : 'Error'), ...(container.message === '' ? {} : { message: container.message }),
          ...(container.startedAtMs === 0 ? {} : { startedAt: formatTime(container.startedAtMs) }), ...(container.finishedAtMs === 0 ? {} : { finishedAt: formatTime(container.finishedAtMs) }),
          containerID: `${runtimeName}://${container.id}`,
        },
      }
    }
  }
}

/** What the container has: the spec's words where the runtime has it so, the runtime's numbers while a change is on its way. */
function resourcesOf(container: Container | EphemeralContainer, newest: RuntimeContainer | undefined): Partial<ContainerStatus> {
  if (!newest || newest.state !== 'running') return {}
  const { requests, limits } = container.resources ?? {}
  const actual = newest.resources?.linux
  const pending = actual !== undefined && resizeNeed(container as Container, newest) !== 'none' // cast: both kinds have the same resources
  const actualLimits = {
    ...limits, ...(actual?.memoryLimitInBytes ? { memory: formatBinary(actual.memoryLimitInBytes) } : {}), ...(actual?.cpuQuota && actual.cpuQuota > 0 ? { cpu: formatMilli(Math.round(actual.cpuQuota / 100)) } : {}),
  }
  const actualRequests = { ...requests, ...(actual?.cpuShares && requests?.['cpu'] ? { cpu: formatMilli(Math.round((actual.cpuShares * 1000) / 1024)) } : {}) }
  return {
    ...(requests ? { allocatedResources: pending ? actualRequests : requests } : {}),
    resources: { ...(limits ? { limits: pending ? actualLimits : limits } : {}), ...(requests ? { requests: pending ? actualRequests : requests } : {}) },
  }
}

function mountsOf(container: Container | EphemeralContainer): Partial<ContainerStatus> {
  const mounts = container.volumeMounts ?? []
  if (mounts.length === 0) return {}
  return { volumeMounts: mounts.map((m) => ({ name: m.name, mountPath: m.mountPath, ...(m.readOnly ? { readOnly: true, recursiveReadOnly: 'Disabled' } : {}) })) }
}

function userOf(newest: RuntimeContainer | undefined): Partial<ContainerStatus> {
  return newest?.user ? { user: { linux: { uid: newest.user.uid, gid: newest.user.gid, supplementalGroups: [...newest.user.supplementalGroups] } } } : {}
}

/** The newest attempt that ended, for back-off. */
export function newestExited(observed: RuntimePod, name: string): RuntimeContainer | undefined {
  const newest = newestContainer(observed, name)
  return newest?.state === 'exited' ? newest : observed.containers.find((c) => c.name === name && c.state === 'exited')
}

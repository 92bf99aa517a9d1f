// A pod as the runtime shows it: sandboxes and containers, newest first. Built from CRI's answers; everything the kubelet decides starts here.
// Upstream: pkg/kubelet/container/runtime.go (PodStatus), kuberuntime/labels.go
import type { ContainerResources, ContainerStatus as CriContainerStatus, PodSandboxStatus as CriSandboxStatus } from '../../../lib/cri-api/generated/types.ts'

export const podNameLabel = 'io.kubernetes.pod.name'
export const podNamespaceLabel = 'io.kubernetes.pod.namespace'
export const podUidLabel = 'io.kubernetes.pod.uid'
export const containerNameLabel = 'io.kubernetes.container.name'
export const containerHashAnnotation = 'io.kubernetes.container.hash'
export const restartCountAnnotation = 'io.kubernetes.container.restartCount'
export const terminationMessagePathAnnotation = 'io.kubernetes.container.terminationMessagePath'
export const terminationMessagePolicyAnnotation = 'io.kubernetes.container.terminationMessagePolicy'
export const preStopHandlerAnnotation = 'io.kubernetes.container.preStopHandler'
export const containerPortsAnnotation = 'io.kubernetes.container.ports'
export const podTerminationGraceAnnotation = 'io.kubernetes.pod.terminationGracePeriod'
export const podDeletionGraceAnnotation = 'io.kubernetes.pod.deletionGracePeriod'

export type RuntimeContainerState = 'created' | 'running' | 'exited' | 'unknown'

export interface RuntimeContainer {
  readonly id: string
  readonly name: string
  readonly sandboxId: string
  readonly state: RuntimeContainerState
  readonly restartCount: number
  readonly hash: string
  readonly createdAtMs: number
  /** 0 when it never started. */
  readonly startedAtMs: number
  /** 0 while it runs. */
  readonly finishedAtMs: number
  readonly exitCode: number
  readonly reason: string
  readonly message: string
  readonly image: string
  readonly imageRef: string
  readonly annotations: { readonly [key: string]: string }
  readonly logPath: string
  readonly resources: ContainerResources | undefined
  readonly user: { readonly uid: number; readonly gid: number; readonly supplementalGroups: readonly number[] } | undefined
}

export interface RuntimeSandbox {
  readonly id: string
  readonly attempt: number
  readonly ready: boolean
  readonly createdAtMs: number
  readonly ips: readonly string[]
  /** Undefined when the runtime doesn't say. */
  readonly hostNetwork: boolean | undefined
}

export interface RuntimePod {
  readonly uid: string
  readonly name: string
  readonly namespace: string
  /** Newest first. */
  readonly sandboxes: readonly RuntimeSandbox[]
  /** Newest first, all attempts. */
  readonly containers: readonly RuntimeContainer[]
}

export function emptyRuntimePod(uid: string, name: string, namespace: string): RuntimePod { return { uid, name, namespace, sandboxes: [], containers: [] } }

/** The newest attempt of the container named `name`. */
export function newestContainer(pod: RuntimePod, name: string): RuntimeContainer | undefined { return pod.containers.find((c) => c.name === name) }

export function runningContainers(pod: RuntimePod): readonly RuntimeContainer[] { return pod.containers.filter((c) => c.state === 'running') }

const nanosecondsToMs = (value: bigint | number | undefined): number => (value === undefined ? 0 : Number(value) / 1e6)

export function toRuntimeState(state: CriContainerStatus['state']): RuntimeContainerState {
  switch (state ?? 'CONTAINER_CREATED') {
    case 'CONTAINER_RUNNING': return 'running'
    case 'CONTAINER_EXITED': return 'exited'
    case 'CONTAINER_UNKNOWN': return 'unknown'
    default: return 'created'
  }
}

export function toRuntimeContainer(status: CriContainerStatus, sandboxId: string, terminationMessage: string): RuntimeContainer {
  const annotations = status.annotations ?? {}
  const state = toRuntimeState(status.state)
  const user = status.user?.linux
  return {
    id: status.id ?? '', name: status.labels?.[containerNameLabel] ?? status.metadata?.name ?? '', sandboxId, state,
    restartCount: Number(annotations[restartCountAnnotation] ?? status.metadata?.attempt ?? 0), hash: annotations[containerHashAnnotation] ?? '',
    createdAtMs: nanosecondsToMs(status.createdAt), startedAtMs: nanosecondsToMs(status.startedAt), finishedAtMs: state === 'exited' ? nanosecondsToMs(status.finishedAt) : 0,
    exitCode: status.exitCode ?? 0, reason: status.reason ?? '', message: terminationMessage,
    image: status.image?.userSpecifiedImage || status.image?.image || '', imageRef: status.imageRef || status.imageId || '', annotations, logPath: status.logPath ?? '',
    resources: status.resources, user: user && { uid: user.uid ?? 0, gid: user.gid ?? 0, supplementalGroups: user.supplementalGroups ?? [] },
  }
}

export function toRuntimeSandbox(status: CriSandboxStatus): RuntimeSandbox {
  const ips = [status.network?.ip ?? '', ...(status.network?.additionalIps ?? []).map((p) => p.ip ?? '')].filter((ip) => ip !== '')
  return {
    id: status.id ?? '', attempt: status.metadata?.attempt ?? 0, ready: (status.state ?? 'SANDBOX_READY') === 'SANDBOX_READY', createdAtMs: nanosecondsToMs(status.createdAt),
    ips, hostNetwork: status.linux?.namespaces?.options && status.linux.namespaces.options.network === 'NODE',
  }
}

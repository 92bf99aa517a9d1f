// A container as it is kept on disk, and as CRI shows it.
import type { ProcessIdentity } from '../host/process-identity.ts'
import type { ContainerConfig, ContainerState, ContainerStatus, LinuxContainerResources } from '../../../lib/cri-api/generated/types.ts'

export interface ContainerRecord {
  readonly id: string
  readonly podSandboxId: string
  /** Without the environment: it is in the bundle only, where secrets stay under root's eyes. */
  readonly config: Omit<ContainerConfig, 'envs'>
  readonly imageId: string
  readonly imageRef: string
  /** Layers that it stands on: they must stay, whatever becomes of the image. */
  readonly diffIds: readonly string[]
  /** Nanoseconds since the epoch, as text, because JSON has no large integers. */
  readonly createdAtNs: string
  readonly startedAtNs?: string
  readonly finishedAtNs?: string
  /** On disk `creating` and `starting` mean that we died in the middle. */
  readonly phase: 'creating' | 'created' | 'starting' | 'running' | 'exited'
  readonly process?: ProcessIdentity
  readonly exitCode?: number
  readonly reason?: string
  readonly message?: string
  readonly logPath: string
  readonly cgroup: string
  readonly user: { readonly uid: number; readonly gid: number; readonly supplementalGroups: readonly number[] }
  readonly stopSignal: number
  readonly resources: LinuxContainerResources
  /** True when the container shares its process namespace, so that killing its first process doesn't end the others. */
  readonly sharesPidNamespace: boolean
}

/** Where a container's parts lie. */
export interface ContainerPlaces {
  readonly dir: string
  readonly bundle: string
  readonly rootfs: string
}

const states: { readonly [P in ContainerRecord['phase']]: ContainerState } = {
  creating: 'CONTAINER_UNKNOWN', created: 'CONTAINER_CREATED', starting: 'CONTAINER_CREATED', running: 'CONTAINER_RUNNING', exited: 'CONTAINER_EXITED',
}

export function containerStatus(record: ContainerRecord): ContainerStatus {
  const { config } = record
  return {
    id: record.id, metadata: config.metadata, state: states[record.phase], createdAt: BigInt(record.createdAtNs), startedAt: record.phase === 'starting' ? 0n : BigInt(record.startedAtNs ?? '0'),
    finishedAt: BigInt(record.finishedAtNs ?? '0'), exitCode: record.exitCode ?? 0, image: config.image, imageRef: record.imageRef, imageId: record.imageId,
    reason: record.reason ?? '', message: record.message ?? '', labels: config.labels ?? {}, annotations: config.annotations ?? {}, mounts: config.mounts ?? [], logPath: record.logPath,
    resources: { linux: record.resources }, user: { linux: record.user }, stopSignal: config.stopSignal ?? 'SIGNAL_RUNTIME_DEFAULT',
  }
}

/** What a container's end means: from its exit code, and whether the kernel killed something in it for lack of memory. */
export function exitOf(exitCode: number, oomKilled: boolean): { readonly exitCode: number; readonly reason: string } {
  return { exitCode, reason: oomKilled && exitCode !== 0 ? 'OOMKilled' : exitCode === 0 ? 'Completed' : 'Error' }
}

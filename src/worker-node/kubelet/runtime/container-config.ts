// The configuration of one container in CRI's words. Pure.
// Upstream: pkg/kubelet/kuberuntime/kuberuntime_container.go (generateContainerConfig), kuberuntime_container_linux.go, security_context.go
import { expandReferences } from '../environment/expansion.ts'
import { containerHash, podNamespace } from '../pod/pod-facts.ts'
import { computeOomScore, cpuPeriodMicroseconds, milliToQuota, milliToShares } from '../pod/pod-resources.ts'
import { quantityMilli, quantityValue } from '../pod/quantity-value.ts'
import {
  containerHashAnnotation, containerNameLabel, containerPortsAnnotation, podDeletionGraceAnnotation, podNameLabel, podNamespaceLabel, podTerminationGraceAnnotation, podUidLabel,
  preStopHandlerAnnotation, restartCountAnnotation, terminationMessagePathAnnotation, terminationMessagePolicyAnnotation,
} from './runtime-status.ts'
import { sandboxNamespaces, toSeccomp } from './sandbox-config.ts'
import type { ContainerConfig, Image, LinuxContainerResources, LinuxContainerSecurityContext, Mount, Signal } from '../../../lib/cri-api/generated/types.ts'
import type { Container, EphemeralContainer, Pod } from '../../../lib/api/generated/types/core-v1.ts'

export interface ContainerConfigInput {
  readonly pod: Pod
  readonly container: Container | EphemeralContainer
  readonly restartCount: number
  /** What the runtime calls the image. */
  readonly imageRef: string
  readonly environment: ReadonlyMap<string, string>
  readonly mounts: readonly Mount[]
  readonly memoryCapacityBytes: number
  /** For an ephemeral container that looks into another's processes. */
  readonly targetContainerId?: string
}

/** The user that an image runs as, as CRI tells it. */
export interface ImageUser { readonly uid: number | undefined; readonly username: string }

export function makeContainerConfig(input: ContainerConfigInput): ContainerConfig {
  const { pod, container } = input
  const expand = (text: string): string => expandReferences(text, (name) => input.environment.get(name))
  const encode = new TextEncoder()
  const signal = container.lifecycle?.stopSignal
  return {
    metadata: { name: container.name, attempt: input.restartCount },
    image: { image: input.imageRef, userSpecifiedImage: container.image ?? '' },
    command: (container.command ?? []).map(expand), args: (container.args ?? []).map(expand), workingDir: container.workingDir ?? '',
    envs: [...input.environment].map(([key, value]) => ({ key, value: encode.encode(value) })),
    mounts: input.mounts,
    labels: {
      [containerNameLabel]: container.name, [podNameLabel]: pod.metadata.name, [podNamespaceLabel]: podNamespace(pod), [podUidLabel]: pod.metadata.uid,
    },
    annotations: containerAnnotations(pod, container, input.restartCount),
    logPath: `${container.name}/${input.restartCount}.log`,
    stdin: container.stdin ?? false, stdinOnce: container.stdinOnce ?? false, tty: container.tty ?? false,
    linux: { resources: containerResources(pod, container, input.memoryCapacityBytes), securityContext: securityContext(pod, container, input.targetContainerId) },
    ...(signal ? { stopSignal: `SIGNAL_${signal}` as Signal } : {}), // cast: the API server validated the name
  }
}

function containerAnnotations(pod: Pod, container: Container | EphemeralContainer, restartCount: number): { readonly [key: string]: string } {
  return {
    [containerHashAnnotation]: containerHash(container), [restartCountAnnotation]: String(restartCount),
    [terminationMessagePathAnnotation]: container.terminationMessagePath || '/dev/termination-log', [terminationMessagePolicyAnnotation]: container.terminationMessagePolicy || 'File',
    [podTerminationGraceAnnotation]: String(pod.spec?.terminationGracePeriodSeconds ?? 30),
    ...(pod.metadata.deletionGracePeriodSeconds === undefined ? {} : { [podDeletionGraceAnnotation]: String(pod.metadata.deletionGracePeriodSeconds) }),
    ...(container.lifecycle?.preStop ? { [preStopHandlerAnnotation]: JSON.stringify(container.lifecycle.preStop) } : {}),
    ...((container.ports ?? []).length > 0 ? { [containerPortsAnnotation]: JSON.stringify(container.ports) } : {}),
  }
}

export function containerResources(pod: Pod, container: Container | EphemeralContainer, memoryCapacityBytes: number): LinuxContainerResources {
  const { limits, requests } = container.resources ?? {}
  const cpuLimit = quantityMilli(limits?.['cpu'])
  const cpuRequest = requests?.['cpu'] === undefined ? cpuLimit : quantityMilli(requests['cpu'])
  const memoryLimit = quantityValue(limits?.['memory'])
  return {
    cpuShares: milliToShares(cpuRequest), cpuPeriod: cpuPeriodMicroseconds, cpuQuota: milliToQuota(cpuLimit), memoryLimitInBytes: memoryLimit,
    oomScoreAdj: computeOomScore(pod, container, memoryCapacityBytes),
    hugepageLimits: Object.entries(limits ?? {}).filter(([name]) => name.startsWith('hugepages-')).map(([name, value]) => ({ pageSize: `${name.slice('hugepages-'.length, -1)}B`, limit: quantityValue(value) })),
  }
}

const maskedPaths: readonly string[] = ['/proc/asound', '/proc/acpi', '/proc/interrupts', '/proc/kcore', '/proc/keys', '/proc/latency_stats', '/proc/timer_list', '/proc/timer_stats', '/proc/sched_debug', '/proc/scsi', '/sys/firmware', '/sys/devices/virtual/powercap']
const readonlyPaths: readonly string[] = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger']

function securityContext(pod: Pod, container: Container | EphemeralContainer, targetContainerId: string | undefined): LinuxContainerSecurityContext {
  const own = container.securityContext
  const shared = pod.spec?.securityContext
  const user = own?.runAsUser ?? shared?.runAsUser
  const group = own?.runAsGroup ?? shared?.runAsGroup
  const privileged = own?.privileged === true
  const unmasked = own?.procMount === 'Unmasked'
  return {
    privileged, namespaceOptions: { ...sandboxNamespaces(pod), ...(targetContainerId === undefined ? {} : { pid: 'TARGET' as const, targetId: targetContainerId }) },
    ...(own?.capabilities ? { capabilities: { addCapabilities: own.capabilities.add ?? [], dropCapabilities: own.capabilities.drop ?? [] } } : {}),
    ...(user === undefined ? {} : { runAsUser: { value: user } }), ...(group === undefined ? {} : { runAsGroup: { value: group } }),
    readonlyRootfs: own?.readOnlyRootFilesystem === true,
    supplementalGroups: [...(shared?.fsGroup === undefined ? [] : [shared.fsGroup]), ...(shared?.supplementalGroups ?? [])],
    ...(shared?.supplementalGroupsPolicy === 'Strict' ? { supplementalGroupsPolicy: 'Strict' as const } : {}),
    noNewPrivs: own?.allowPrivilegeEscalation === false && !privileged,
    maskedPaths: unmasked || privileged ? [] : maskedPaths, readonlyPaths: unmasked || privileged ? [] : readonlyPaths,
    seccomp: toSeccomp(own?.seccompProfile ?? shared?.seccompProfile) ?? { profileType: 'Unconfined' },
  }
}

export function imageUser(image: Image): ImageUser { return { uid: image.uid?.value, username: image.username ?? '' } }

/** Why the container may not run as its image's user, under runAsNonRoot. */
export function checkRunAsNonRoot(pod: Pod, container: Container | EphemeralContainer, user: ImageUser): string | undefined {
  const must = container.securityContext?.runAsNonRoot ?? pod.spec?.securityContext?.runAsNonRoot
  if (must !== true) return undefined
  const runAs = container.securityContext?.runAsUser ?? pod.spec?.securityContext?.runAsUser
  const where = `(pod: "${pod.metadata.name}_${podNamespace(pod)}(${pod.metadata.uid})", container: ${container.name})`
  if (runAs !== undefined) return runAs === 0 ? `container's runAsUser breaks non-root policy ${where}` : undefined
  if (user.uid === 0 || (user.uid === undefined && user.username === '')) return `container has runAsNonRoot and image will run as root ${where}`
  if (user.uid === undefined) return `container has runAsNonRoot and image has non-numeric user (${user.username}), cannot verify user is non-root ${where}`
  return undefined
}

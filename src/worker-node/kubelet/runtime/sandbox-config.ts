// The configuration of a pod's sandbox in CRI's words. Pure.
// Upstream: pkg/kubelet/kuberuntime/kuberuntime_sandbox.go, pkg/kubelet/kuberuntime/security_context.go
import { allContainers, isHostNetwork, podNamespace } from '../pod/pod-facts.ts'
import { isBounded, milliToQuota, milliToShares, podLimits, podRequests, cpuPeriodMicroseconds } from '../pod/pod-resources.ts'
import { podNameLabel, podNamespaceLabel, podUidLabel } from './runtime-status.ts'
import type { DNSConfig, LinuxContainerResources, NamespaceOption, PodSandboxConfig, PortMapping, Protocol, SecurityProfile } from '../../../lib/cri-api/generated/types.ts'
import type { Pod, SeccompProfile } from '../../../lib/api/generated/types/core-v1.ts'

export interface SandboxConfigInput {
  readonly pod: Pod
  readonly attempt: number
  readonly hostname: string
  readonly dns: DNSConfig
  readonly logDirectory: string
  readonly cgroupParent: string
}

export function makeSandboxConfig(input: SandboxConfigInput): PodSandboxConfig {
  const { pod } = input
  const namespace = podNamespace(pod)
  const { name, uid } = pod.metadata
  const context = pod.spec?.securityContext
  const namespaceOptions = sandboxNamespaces(pod)
  const privileged = allContainers(pod).some((c) => c.container.securityContext?.privileged === true)
  return {
    metadata: { name, uid, namespace, attempt: input.attempt },
    ...(isHostNetwork(pod) ? {} : { hostname: input.hostname }),
    logDirectory: input.logDirectory, dnsConfig: input.dns, portMappings: portMappings(pod),
    labels: { ...pod.metadata.labels, [podNameLabel]: name, [podNamespaceLabel]: namespace, [podUidLabel]: uid },
    annotations: pod.metadata.annotations ?? {},
    linux: {
      cgroupParent: input.cgroupParent,
      sysctls: Object.fromEntries((context?.sysctls ?? []).map((s) => [s.name.replaceAll('/', '.'), s.value])),
      securityContext: {
        namespaceOptions, privileged,
        ...(context?.runAsUser === undefined ? {} : { runAsUser: { value: context.runAsUser } }), ...(context?.runAsGroup === undefined ? {} : { runAsGroup: { value: context.runAsGroup } }),
        supplementalGroups: [...(context?.fsGroup === undefined ? [] : [context.fsGroup]), ...(context?.supplementalGroups ?? [])],
        ...(context?.supplementalGroupsPolicy === 'Strict' ? { supplementalGroupsPolicy: 'Strict' as const } : {}),
        seccomp: toSeccomp(context?.seccompProfile) ?? { profileType: 'RuntimeDefault' },
      },
      resources: podResources(pod),
    },
  }
}

export function sandboxNamespaces(pod: Pod): NamespaceOption {
  return {
    network: isHostNetwork(pod) ? 'NODE' : 'POD', ipc: pod.spec?.hostIPC ? 'NODE' : 'POD',
    pid: pod.spec?.hostPID ? 'NODE' : pod.spec?.shareProcessNamespace ? 'POD' : 'CONTAINER',
  }
}

export function toSeccomp(profile: SeccompProfile | undefined): SecurityProfile | undefined {
  if (!profile) return undefined
  if (profile.type === 'Localhost') return { profileType: 'Localhost', localhostRef: profile.localhostProfile ?? '' }
  return { profileType: profile.type === 'RuntimeDefault' ? 'RuntimeDefault' : 'Unconfined' }
}

function portMappings(pod: Pod): readonly PortMapping[] {
  if (isHostNetwork(pod)) return []
  return allContainers(pod).flatMap(({ container }) => (container.ports ?? []).filter((p) => p.hostPort).map((p) => ({
    protocol: (p.protocol ?? 'TCP') as Protocol, containerPort: p.containerPort, hostPort: p.hostPort ?? 0, hostIp: p.hostIP ?? '', // cast: the API server validated it
  })))
}

/** What the whole pod may use, for runtimes that size the sandbox by it. */
export function podResources(pod: Pod): LinuxContainerResources {
  const requests = podRequests(pod)
  const limits = podLimits(pod)
  const out: LinuxContainerResources = { cpuShares: milliToShares(requests['cpu'] ?? 0), cpuPeriod: cpuPeriodMicroseconds }
  const quota = isBounded(pod, 'cpu') ? { cpuQuota: milliToQuota(limits['cpu'] ?? 0) } : {}
  return { ...out, ...quota, ...(isBounded(pod, 'memory') ? { memoryLimitInBytes: limits['memory'] ?? 0 } : {}) }
}

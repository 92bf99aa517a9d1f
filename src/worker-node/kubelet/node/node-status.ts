// The Node object of this machine: labels, capacity, addresses, conditions, images. Pure: from facts to the object.
// Upstream: pkg/kubelet/kubelet_node_status.go, pkg/kubelet/nodestatus/setters.go
import { formatTime } from '../../../lib/base/clock.ts'
import { formatBinary, formatMilli, quantityMilli, quantityValue } from '../pod/quantity-value.ts'
import type { Draft } from '../../../lib/base/json.ts'
import type { Image, StatusResponse, VersionResponse } from '../../../lib/cri-api/generated/types.ts'
import type { Node, NodeCondition, NodeStatus } from '../../../lib/api/generated/types/core-v1.ts'
import type { DiskUsage } from '../host/disk.ts'
import type { KubeletSettings } from '../kubelet-options.ts'
import type { MachineFacts } from './machine-facts.ts'

export const kubernetesVersion = 'v1.37.0'

export type PressureSignal = 'MemoryPressure' | 'DiskPressure' | 'PIDPressure'

export interface NodeFacts {
  readonly nodeName: string
  readonly hostname: string
  readonly nodeIps: readonly string[]
  readonly kubeletPort: number
  readonly settings: KubeletSettings
  readonly machine: MachineFacts
  readonly disk: DiskUsage | undefined
  readonly images: readonly Image[]
  readonly version: VersionResponse | undefined
  readonly runtimeStatus: StatusResponse | undefined
  /** Why the runtime can't be used; undefined when it can. */
  readonly runtimeProblem: string | undefined
  readonly pressures: ReadonlySet<PressureSignal>
  readonly nowMs: number
}

const maxImages = 50

export function nodeCapacity(facts: Pick<NodeFacts, 'machine' | 'disk' | 'settings'>): { readonly capacity: { readonly [r: string]: string }; readonly allocatable: { readonly [r: string]: string } } {
  const { machine, disk, settings } = facts
  const storage = disk?.capacityBytes ?? 0
  const capacity = {
    cpu: formatMilli(machine.cpuMilli), 'ephemeral-storage': formatBinary(Math.floor(storage / 1024) * 1024), 'hugepages-1Gi': '0', 'hugepages-2Mi': '0', memory: formatBinary(machine.memoryBytes), pods: String(settings.maxPods),
  }
  const reserved = (resource: string, read: (text: string | undefined) => number): number => read(settings.kubeReserved[resource]) + read(settings.systemReserved[resource])
  const memoryThreshold = thresholdBytes(settings.evictionHard['memory.available'], machine.memoryBytes)
  const diskThreshold = thresholdBytes(settings.evictionHard['nodefs.available'], storage)
  return {
    capacity,
    allocatable: {
      ...capacity, cpu: formatMilli(Math.max(0, machine.cpuMilli - reserved('cpu', quantityMilli))),
      'ephemeral-storage': String(Math.max(0, Math.floor(storage - reserved('ephemeral-storage', quantityValue) - diskThreshold))),
      memory: formatBinary(Math.max(0, Math.floor((machine.memoryBytes - reserved('memory', quantityValue) - memoryThreshold) / 1024) * 1024)),
    },
  }
}

/** A threshold given as a quantity or as a percentage of `total`. */
export function thresholdBytes(threshold: string | undefined, total: number): number {
  if (threshold === undefined) return 0
  return threshold.endsWith('%') ? (total * Number(threshold.slice(0, -1))) / 100 : quantityValue(threshold)
}

export function nodeLabels(facts: Pick<NodeFacts, 'hostname' | 'machine' | 'settings'>): { readonly [key: string]: string } {
  const { operatingSystem, architecture } = facts.machine
  return {
    'beta.kubernetes.io/arch': architecture, 'beta.kubernetes.io/os': operatingSystem, ...facts.settings.nodeLabels,
    'kubernetes.io/arch': architecture, 'kubernetes.io/hostname': facts.hostname, 'kubernetes.io/os': operatingSystem,
  }
}

/** The object to register with. */
export function initialNode(facts: NodeFacts): Draft<Node> {
  const taints = [...facts.settings.registerWithTaints, ...(facts.settings.registerSchedulable ? [] : [{ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }])]
  return {
    apiVersion: 'v1', kind: 'Node',
    metadata: { name: facts.nodeName, labels: nodeLabels(facts), annotations: { 'volumes.kubernetes.io/controller-managed-attach-detach': 'true' } },
    spec: {
      ...(facts.settings.providerId === '' ? {} : { providerID: facts.settings.providerId }), ...(taints.length > 0 ? { taints } : {}),
      ...(facts.settings.registerSchedulable ? {} : { unschedulable: true }),
    },
    status: nodeStatus(facts, undefined),
  }
}

export function nodeStatus(facts: NodeFacts, previous: NodeStatus | undefined): NodeStatus {
  const { machine, version, runtimeStatus } = facts
  const handlers = (runtimeStatus?.runtimeHandlers ?? []).map((h) => ({
    name: h.name ?? '', features: { recursiveReadOnlyMounts: h.features?.recursiveReadOnlyMounts ?? false, userNamespaces: h.features?.userNamespaces ?? false },
  }))
  const images = facts.images.toSorted((a, b) => (b.size ?? 0) - (a.size ?? 0)).slice(0, maxImages)
    .map((i) => ({ names: [...(i.repoDigests ?? []), ...(i.repoTags ?? [])].slice(0, 5), sizeBytes: i.size ?? 0 }))
  return {
    ...nodeCapacity(facts),
    conditions: nodeConditions(facts, previous?.conditions ?? []),
    addresses: [...facts.nodeIps.map((address) => ({ type: 'InternalIP', address })), { type: 'Hostname', address: facts.hostname }],
    daemonEndpoints: { kubeletEndpoint: { Port: facts.kubeletPort } },
    nodeInfo: {
      machineID: machine.machineId, systemUUID: machine.systemUuid, bootID: machine.bootId, kernelVersion: machine.kernelVersion, osImage: machine.osImage,
      containerRuntimeVersion: `${version?.runtimeName ?? 'unknown'}://${version?.runtimeVersion ?? 'unknown'}`, kubeletVersion: kubernetesVersion, kubeProxyVersion: '',
      operatingSystem: machine.operatingSystem, architecture: machine.architecture, ...(machine.swapBytes > 0 ? { swap: { capacity: machine.swapBytes } } : {}),
    },
    images,
    ...(handlers.length > 0 ? { runtimeHandlers: handlers } : {}),
    // kube-apiserver may hand WebSockets on as they are: no need to translate them to SPDY for us.
    declaredFeatures: ['ExtendWebSocketsToKubelet'],
    features: { supplementalGroupsPolicy: runtimeStatus?.features?.supplementalGroupsPolicy ?? false },
    ...(previous?.volumesInUse ? { volumesInUse: previous.volumesInUse } : {}), ...(previous?.volumesAttached ? { volumesAttached: previous.volumesAttached } : {}),
  }
}

function nodeConditions(facts: NodeFacts, previous: readonly NodeCondition[]): readonly NodeCondition[] {
  const make = (type: string, status: boolean, reason: string, message: string): NodeCondition => {
    const text = status ? 'True' : 'False'
    const before = previous.find((c) => c.type === type)
    const transition = before?.status === text && before.lastTransitionTime ? before.lastTransitionTime : formatTime(facts.nowMs)
    return { type, status: text, lastHeartbeatTime: formatTime(facts.nowMs), lastTransitionTime: transition, reason, message }
  }
  const { pressures } = facts
  const runtimeConditions = facts.runtimeStatus?.status?.conditions ?? []
  const problems = [
    ...(facts.runtimeProblem === undefined ? [] : [facts.runtimeProblem]),
    ...runtimeConditions.filter((c) => c.status !== true && (c.type === 'RuntimeReady' || c.type === 'NetworkReady')).map((c) =>
      c.type === 'RuntimeReady' ? `container runtime not ready: RuntimeReady=false reason:${c.reason ?? ''} message:${c.message ?? ''}` : `container runtime network not ready: NetworkReady=false reason:${c.reason ?? ''} message:${c.message ?? ''}`),
    ...(facts.runtimeStatus === undefined && facts.runtimeProblem === undefined ? ['container runtime status check may not have completed yet'] : []),
  ]
  const own = [
    make('MemoryPressure', pressures.has('MemoryPressure'), pressures.has('MemoryPressure') ? 'KubeletHasInsufficientMemory' : 'KubeletHasSufficientMemory', pressures.has('MemoryPressure') ? 'kubelet has insufficient memory available' : 'kubelet has sufficient memory available'),
    make('DiskPressure', pressures.has('DiskPressure'), pressures.has('DiskPressure') ? 'KubeletHasDiskPressure' : 'KubeletHasNoDiskPressure', pressures.has('DiskPressure') ? 'kubelet has disk pressure' : 'kubelet has no disk pressure'),
    make('PIDPressure', pressures.has('PIDPressure'), pressures.has('PIDPressure') ? 'KubeletHasInsufficientPID' : 'KubeletHasSufficientPID', pressures.has('PIDPressure') ? 'kubelet has insufficient PID available' : 'kubelet has sufficient PID available'),
    problems.length === 0 ? make('Ready', true, 'KubeletReady', 'kubelet is posting ready status') : make('Ready', false, 'KubeletNotReady', problems.length === 1 ? problems[0] ?? '' : `[${problems.join(', ')}]`),
  ]
  return [...previous.filter((c) => !own.some((o) => o.type === c.type)), ...own]
}

export function isNetworkReady(status: StatusResponse | undefined): boolean {
  const condition = status?.status?.conditions?.find((c) => c.type === 'NetworkReady')
  return condition === undefined || condition.status === true
}

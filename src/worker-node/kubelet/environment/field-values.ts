// The downward API: what a pod may learn of itself, its fields and its resources, for variables and files.
// Upstream: pkg/fieldpath, component-helpers/resource (ExtractResourceValueByContainerName)
import { allContainers, findContainer, podNamespace } from '../pod/pod-facts.ts'
import { quantityMilli, quantityValue } from '../pod/quantity-value.ts'
import type { Pod, ResourceFieldSelector } from '../../../lib/api/generated/types/core-v1.ts'

/** What the kubelet adds to the object itself. */
export interface PodAddresses {
  readonly podIps: readonly string[]
  readonly hostIps: readonly string[]
  readonly nodeName: string
  /** cpu in thousandths, memory and storage in bytes: the defaults of limits that are not set. */
  readonly allocatable: { readonly cpuMilli: number; readonly memoryBytes: number; readonly storageBytes: number }
}

/** The value of `fieldPath`, or undefined when the path isn't supported. */
export function fieldValue(pod: Pod, addresses: PodAddresses, fieldPath: string): string | undefined {
  const subscript = /^metadata\.(annotations|labels)\['(.*)'\]$/.exec(fieldPath)
  if (subscript) {
    const map = subscript[1] === 'labels' ? pod.metadata.labels : pod.metadata.annotations
    return map?.[subscript[2] ?? ''] ?? ''
  }
  switch (fieldPath) {
    case 'metadata.name': return pod.metadata.name
    case 'metadata.namespace': return podNamespace(pod)
    case 'metadata.uid': return pod.metadata.uid
    case 'metadata.labels': return formatMap(pod.metadata.labels)
    case 'metadata.annotations': return formatMap(pod.metadata.annotations)
    case 'spec.nodeName': return pod.spec?.nodeName || addresses.nodeName
    case 'spec.serviceAccountName': return pod.spec?.serviceAccountName ?? ''
    case 'status.hostIP': return addresses.hostIps[0] ?? ''
    case 'status.hostIPs': return addresses.hostIps.join(',')
    case 'status.podIP': return addresses.podIps[0] ?? ''
    case 'status.podIPs': return addresses.podIps.join(',')
    default: return undefined
  }
}

/** Lines `key="value"`, sorted, the value quoted as Go does. */
function formatMap(map: { readonly [key: string]: string } | undefined): string {
  return Object.entries(map ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => `${key}=${JSON.stringify(value)}`).join('\n')
}

/** The value of a resource field divided by its divisor, rounded up; undefined when the container or resource isn't known. */
export function resourceFieldValue(pod: Pod, addresses: PodAddresses, selector: ResourceFieldSelector, defaultContainer: string): string | undefined {
  const placed = findContainer(pod, selector.containerName || defaultContainer) ?? (selector.containerName ? undefined : allContainers(pod)[0])
  if (!placed) return undefined
  const [kind, ...rest] = selector.resource.split('.')
  const resource = rest.join('.')
  const { limits, requests } = placed.container.resources ?? {}
  const text = kind === 'limits' ? limits?.[resource] : kind === 'requests' ? requests?.[resource] : undefined
  if (kind !== 'limits' && kind !== 'requests') return undefined
  const divisor = selector.divisor && selector.divisor !== '0' ? selector.divisor : '1'
  if (resource === 'cpu') {
    const milli = text === undefined ? (kind === 'limits' ? addresses.allocatable.cpuMilli : 0) : quantityMilli(text)
    return String(Math.ceil(milli / Math.max(1, quantityMilli(divisor))))
  }
  const fallback = kind !== 'limits' ? 0 : resource === 'memory' ? addresses.allocatable.memoryBytes : resource === 'ephemeral-storage' ? addresses.allocatable.storageBytes : 0
  const value = text === undefined ? fallback : quantityValue(text)
  return String(Math.ceil(value / Math.max(1, quantityValue(divisor))))
}

// endpoints-controller: an Endpoints object of the same name for every Service with a selector: addresses of ready pods, and of those not ready yet.
// Upstream: kubernetes/pkg/controller/endpoint
import { semanticEqual } from '../../../lib/apimachinery/equality.ts'
import type { EndpointAddress, EndpointPort, Endpoints, EndpointSubset, Pod, Service } from '../../../lib/api/generated/types/core-v1.ts'
import { objectKey, splitObjectKey } from '../../../lib/client/object-references.ts'
import { endpoints, pods, services } from '../../../lib/client/resource-keys.ts'
import { aboutObject, create, inOrder, remove, update, watch } from './shared/controller.ts'
import type { Controller, Plan } from './shared/controller.ts'
import { isPodReady } from './shared/pod-state.ts'
import { addressOf, familiesOf, hasSelector, hostnameFor, isEndpoint, isHeadless, keysOfServicesFor, selectedPods, targetPortOf, targetReference } from './shared/service-pods.ts'

export interface ObservedEndpoints {
  /** Undefined: the Service is gone. */
  readonly service: Service | undefined
  readonly pods: readonly Pod[]
  readonly endpoints: Endpoints | undefined
}

/** More addresses than this are cut off, and an annotation says so. */
const capacityMax = 1000
const managedBy = { 'endpoints.kubernetes.io/managed-by': 'endpoint-controller' }
const headlessLabel = 'service.kubernetes.io/headless'
const overCapacity = 'endpoints.kubernetes.io/over-capacity'

export function syncEndpoints({ service, pods: selected, endpoints: current }: ObservedEndpoints): Plan {
  if (!service) return { steps: current && current.metadata.labels?.[Object.keys(managedBy)[0] ?? ''] !== undefined ? inOrder(remove(endpoints, current)) : [] }
  if (!hasSelector(service)) return {}
  const { subsets, cut } = truncate(repack(computeSubsets(service, selected)))
  const labels = { ...service.metadata.labels, ...managedBy, ...(isHeadless(service) ? { [headlessLabel]: '' } : {}) }
  const { [overCapacity]: _old, ...kept } = current?.metadata.annotations ?? {}
  const annotations = cut ? { ...kept, [overCapacity]: 'truncated' } : kept
  if (!current) {
    const metadata = { name: service.metadata.name, namespace: service.metadata.namespace ?? '', labels, ...(cut ? { annotations } : {}) }
    return {
      steps: inOrder(create(endpoints, service.metadata.namespace ?? '', { metadata, subsets }, {
        tolerates: ['AlreadyExists'],
        failed: (failure) => (failure.causes.includes('NamespaceTerminating') ? undefined
          : { about: aboutObject(services, service), type: 'Warning', reason: 'FailedToCreateEndpoint', message: `Failed to create endpoint for service ${objectKey(service)}: ${failure.message}` }),
      })),
    }
  }
  if (semanticEqual(subsets, current.subsets) && semanticEqual(labels, current.metadata.labels) && semanticEqual(annotations, current.metadata.annotations)) return {}
  return { steps: inOrder(update(endpoints, { ...current, metadata: { ...current.metadata, labels, annotations }, subsets })) }
}

/** One subset per pod and set of ports; repack joins them. */
function computeSubsets(service: Service, selected: readonly Pod[]): readonly EndpointSubset[] {
  const tolerant = service.spec.publishNotReadyAddresses === true
  const [family = 'IPv4'] = familiesOf(service)
  return selected.flatMap((pod): readonly EndpointSubset[] => {
    const ip = isEndpoint(pod, tolerant) ? addressOf(pod, family) : undefined
    if (ip === undefined) return []
    const hostname = hostnameFor(pod, service)
    const address: EndpointAddress = { ip, ...(hostname ? { hostname } : {}), ...(pod.spec.nodeName ? { nodeName: pod.spec.nodeName } : {}), targetRef: targetReference(pod) }
    const ports = (service.spec.ports ?? []).flatMap((port): readonly EndpointPort[] => {
      const number = targetPortOf(pod, port)
      if (number === undefined) return []
      return [{ ...(port.name ? { name: port.name } : {}), port: number, protocol: port.protocol ?? 'TCP', ...(port.appProtocol ? { appProtocol: port.appProtocol } : {}) }]
    })
    // A Service without ports may be headless; one whose ports this pod lacks has no endpoint here.
    if (ports.length === 0 && ((service.spec.ports ?? []).length > 0 || !isHeadless(service))) return []
    const ready = tolerant || isPodReady(pod)
    return [{ ...(ready ? { addresses: [address] } : { notReadyAddresses: [address] }), ...(ports.length > 0 ? { ports } : {}) }]
  })
}

/** Joins the subsets that have the same ports; addresses in order of IP. */
export function repack(subsets: readonly EndpointSubset[]): readonly EndpointSubset[] {
  const byPorts = new Map<string, { ports: readonly EndpointPort[] | undefined, ready: EndpointAddress[], notReady: EndpointAddress[] }>()
  for (const subset of subsets) {
    const ports = subset.ports?.toSorted((a, b) => ((a.name ?? '') < (b.name ?? '') ? -1 : (a.name ?? '') > (b.name ?? '') ? 1 : a.port - b.port))
    const key = JSON.stringify(ports ?? [])
    let group = byPorts.get(key)
    if (!group) byPorts.set(key, group = { ports, ready: [], notReady: [] })
    group.ready.push(...subset.addresses ?? [])
    group.notReady.push(...subset.notReadyAddresses ?? [])
  }
  const byAddress = (a: EndpointAddress, b: EndpointAddress): number => (a.ip < b.ip ? -1 : a.ip > b.ip ? 1 : (a.targetRef?.uid ?? '') < (b.targetRef?.uid ?? '') ? -1 : 1)
  return [...byPorts.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, { ports, ready, notReady }]) => ({
    ...(ready.length > 0 ? { addresses: ready.sort(byAddress) } : {}), ...(notReady.length > 0 ? { notReadyAddresses: notReady.sort(byAddress) } : {}), ...(ports ? { ports } : {}),
  }))
}

function truncate(subsets: readonly EndpointSubset[]): { readonly subsets: readonly EndpointSubset[], readonly cut: boolean } {
  const count = subsets.reduce((sum, subset) => sum + (subset.addresses?.length ?? 0) + (subset.notReadyAddresses?.length ?? 0), 0)
  if (count <= capacityMax) return { subsets, cut: false }
  let left = capacityMax
  const take = (all: readonly EndpointAddress[] | undefined): readonly EndpointAddress[] => {
    const some = (all ?? []).slice(0, left)
    left -= some.length
    return some
  }
  // Ready addresses of all subsets come before any that are not.
  const ready = subsets.map((subset) => take(subset.addresses))
  return {
    cut: true,
    subsets: subsets.map((subset, i) => ({ ...subset, addresses: ready[i] ?? [], notReadyAddresses: take(subset.notReadyAddresses) }))
      .filter((subset) => subset.addresses.length + subset.notReadyAddresses.length > 0),
  }
}

export function createEndpointsController(): Controller<ObservedEndpoints> {
  return {
    name: 'endpoints-controller',
    component: 'endpoint-controller',
    watches: [
      watch({ resource: services, keysOf: (service) => [objectKey(service)] }),
      watch({ resource: pods, keysOf: keysOfServicesFor }),
      watch({ resource: endpoints, keysOf: (object) => [objectKey(object)] }),
    ],
    observe(key, view) {
      const { namespace, name } = splitObjectKey(key)
      const service = view.get(services, namespace, name)
      return { service, pods: service && hasSelector(service) ? selectedPods(service, view) : [], endpoints: view.get(endpoints, namespace, name) }
    },
    sync: syncEndpoints,
  }
}

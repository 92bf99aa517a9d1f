// endpointslice-controller: the pods behind each Service with a selector, in slices of 100, with the state of each (ready, serving, terminating), its node
// and zone. Pods with different numbers for a named port get slices of their own. Upstream: kubernetes/pkg/controller/endpointslice
import type { Pod, Service } from '../../../lib/api/generated/types/core-v1.ts'
import type { Endpoint, EndpointPort, EndpointSlice } from '../../../lib/api/generated/types/discovery-v1.ts'
import { controllerReference, objectKey, splitObjectKey } from '../../../lib/client/object-references.ts'
import { endpointSlices, nodes, pods, services } from '../../../lib/client/resource-keys.ts'
import { remove, watch } from './shared/controller.ts'
import type { Action, Controller, Plan } from './shared/controller.ts'
import { isPodReady } from './shared/pod-state.ts'
import { addressOf, familiesOf, hasSelector, hostnameFor, isEndpoint, isHeadless, keysOfServicesFor, selectedPods, targetPortOf, targetReference } from './shared/service-pods.ts'
import type { AddressFamily } from './shared/service-pods.ts'
import { portsKey, reconcileSlices, slicePrefix } from './shared/slice-reconcile.ts'
import type { EndpointGroup } from './shared/slice-reconcile.ts'

export interface ObservedService {
  readonly service: Service
  readonly pods: readonly Pod[]
  /** The slices of this Service that this controller manages. */
  readonly slices: readonly EndpointSlice[]
  readonly zoneByNode: ReadonlyMap<string, string>
  readonly maxPerSlice: number
}

export const serviceNameLabel = 'kubernetes.io/service-name'
export const managedByLabel = 'endpointslice.kubernetes.io/managed-by'
const manager = 'endpointslice-controller.k8s.io'
const headlessLabel = 'service.kubernetes.io/headless'

export function syncEndpointSlices({ service, pods: selected, slices, zoneByNode, maxPerSlice }: ObservedService): Plan {
  if (!hasSelector(service) || service.spec.type === 'ExternalName' || service.metadata.deletionTimestamp !== undefined) return {}
  const families = familiesOf(service)
  const labels = sliceLabels(service, manager)
  const actions: Action[] = slices.filter((slice) => !families.some((family) => family === slice.addressType)).map((slice) => remove(endpointSlices, slice))
  for (const family of families) {
    actions.push(...reconcileSlices({
      namespace: service.metadata.namespace ?? '', generateName: slicePrefix(service.metadata.name), family, labels, owner: controllerReference(service, services),
      groups: groupByPorts(service, selected, family, zoneByNode), maxPerSlice,
    }, slices.filter((slice) => slice.addressType === family && slice.metadata.deletionTimestamp === undefined)))
  }
  return { steps: actions.length > 0 ? [{ actions }] : [] }
}

/** The Service's labels, without those that would be taken for the slice's own. */
export function sliceLabels(service: Service, managedBy: string): { readonly [key: string]: string } {
  const { [headlessLabel]: _headless, [serviceNameLabel]: _name, [managedByLabel]: _manager, ...own } = service.metadata.labels ?? {}
  return { ...own, ...(isHeadless(service) ? { [headlessLabel]: '' } : {}), [serviceNameLabel]: service.metadata.name, [managedByLabel]: managedBy }
}

function groupByPorts(service: Service, selected: readonly Pod[], family: AddressFamily, zoneByNode: ReadonlyMap<string, string>): readonly EndpointGroup[] {
  const groups = new Map<string, { ports: readonly EndpointPort[], endpoints: Endpoint[] }>()
  for (const pod of selected) {
    const address = isEndpoint(pod, true) ? addressOf(pod, family) : undefined
    if (address === undefined) continue
    const ports = (service.spec.ports ?? []).flatMap((port): readonly EndpointPort[] => {
      const number = targetPortOf(pod, port)
      return number === undefined ? [] : [{ name: port.name ?? '', protocol: port.protocol ?? 'TCP', port: number, ...(port.appProtocol ? { appProtocol: port.appProtocol } : {}) }]
    })
    const key = portsKey(ports)
    let group = groups.get(key)
    if (!group) groups.set(key, group = { ports, endpoints: [] })
    group.endpoints.push(endpointOf(pod, service, address, zoneByNode))
  }
  if (groups.size > 0) return [...groups.values()]
  return [{ ports: [], endpoints: [] }]
}

function endpointOf(pod: Pod, service: Service, address: string, zoneByNode: ReadonlyMap<string, string>): Endpoint {
  const serving = isPodReady(pod)
  const terminating = pod.metadata.deletionTimestamp !== undefined
  const node = pod.spec.nodeName
  const zone = node === undefined ? undefined : zoneByNode.get(node)
  const hostname = hostnameFor(pod, service)
  return {
    addresses: [address], conditions: { ready: service.spec.publishNotReadyAddresses === true || (serving && !terminating), serving, terminating },
    ...(hostname ? { hostname } : {}), targetRef: targetReference(pod), ...(node ? { nodeName: node } : {}), ...(zone ? { zone } : {}),
  }
}

export function createEndpointSliceController(settings: { readonly maxEndpointsPerSlice: number }): Controller<ObservedService> {
  return {
    name: 'endpointslice-controller',
    watches: [
      watch({ resource: services, keysOf: (service) => [objectKey(service)] }),
      watch({ resource: pods, keysOf: keysOfServicesFor }),
      watch({ resource: nodes }),
      watch({
        resource: endpointSlices, indexes: { service: (slice) => [serviceOfSlice(slice)] },
        keysOf: (slice) => (slice.metadata.labels?.[managedByLabel] === manager ? [serviceOfSlice(slice)] : []),
      }),
    ],
    observe(key, view) {
      const { namespace, name } = splitObjectKey(key)
      const service = view.get(services, namespace, name)
      // Slices of a Service that is gone are the garbage collector's.
      if (!service) return undefined
      const selected = hasSelector(service) ? selectedPods(service, view) : []
      const zoneByNode = new Map<string, string>()
      for (const pod of selected) {
        const node = pod.spec.nodeName ?? ''
        const zone = view.get(nodes, '', node)?.metadata.labels?.['topology.kubernetes.io/zone']
        if (zone) zoneByNode.set(node, zone)
      }
      const slices = view.byIndex(endpointSlices, 'service', key).filter((slice) => slice.metadata.labels?.[managedByLabel] === manager)
      return { service, pods: selected, slices, zoneByNode, maxPerSlice: settings.maxEndpointsPerSlice }
    },
    sync: syncEndpointSlices,
  }
}

/** Key of the Service that a slice belongs to. */
export function serviceOfSlice(slice: EndpointSlice): string { return `${slice.metadata.namespace ?? ''}/${slice.metadata.labels?.[serviceNameLabel] ?? ''}` }

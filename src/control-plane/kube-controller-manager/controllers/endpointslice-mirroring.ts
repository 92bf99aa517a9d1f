// endpointslice-mirroring-controller: copies hand-made Endpoints (of Services without a selector) into EndpointSlices, which is all that kube-proxy reads.
// Upstream: kubernetes/pkg/controller/endpointslicemirroring
import type { EndpointAddress, Endpoints, Service } from '../../../lib/api/generated/types/core-v1.ts'
import type { Endpoint, EndpointSlice } from '../../../lib/api/generated/types/discovery-v1.ts'
import { controllerReference, objectKey, splitObjectKey } from '../../../lib/client/object-references.ts'
import { endpoints, endpointSlices, services } from '../../../lib/client/resource-keys.ts'
import { managedByLabel, serviceNameLabel, serviceOfSlice } from './endpointslice.ts'
import { remove, watch } from './shared/controller.ts'
import type { Action, Controller, Plan } from './shared/controller.ts'
import { familyOf, hasSelector } from './shared/service-pods.ts'
import type { AddressFamily } from './shared/service-pods.ts'
import { reconcileSlices, slicePrefix } from './shared/slice-reconcile.ts'
import type { EndpointGroup } from './shared/slice-reconcile.ts'

export interface ObservedMirror {
  readonly service: Service | undefined
  readonly endpoints: Endpoints | undefined
  /** The mirrored slices there are. */
  readonly slices: readonly EndpointSlice[]
}

const manager = 'endpointslicemirroring-controller.k8s.io'
const skipLabel = 'endpointslice.kubernetes.io/skip-mirror'
const leaderAnnotation = 'control-plane.alpha.kubernetes.io/leader'
const maxPerSubset = 1000
const notMirrored: ReadonlySet<string> = new Set(['kubectl.kubernetes.io/last-applied-configuration', 'endpoints.kubernetes.io/last-change-trigger-time'])

export function syncMirror({ service, endpoints: source, slices }: ObservedMirror): Plan {
  const wanted = service && source && !hasSelector(service) && shouldMirror(source) ? source : undefined
  if (!wanted) return { steps: slices.length > 0 ? [{ actions: slices.map((slice) => remove(endpointSlices, slice)) }] : [] }
  const { [serviceNameLabel]: _name, [managedByLabel]: _manager, ...own } = wanted.metadata.labels ?? {}
  const labels = { ...own, [serviceNameLabel]: wanted.metadata.name, [managedByLabel]: manager }
  const annotations = Object.fromEntries(Object.entries(wanted.metadata.annotations ?? {}).filter(([key]) => !notMirrored.has(key)))
  const actions: Action[] = []
  for (const family of ['IPv4', 'IPv6'] as const) {
    const groups = groupsOf(wanted, family)
    const existing = slices.filter((slice) => slice.addressType === family)
    if (groups.length === 0) actions.push(...existing.map((slice) => remove(endpointSlices, slice)))
    else {
      actions.push(...reconcileSlices({
        namespace: wanted.metadata.namespace ?? '', generateName: slicePrefix(wanted.metadata.name), family, labels, annotations, owner: controllerReference(wanted, endpoints), groups, maxPerSlice: maxPerSubset,
      }, existing))
    }
  }
  return { steps: actions.length > 0 ? [{ actions }] : [] }
}

function shouldMirror(source: Endpoints): boolean {
  return source.metadata.labels?.[skipLabel] !== 'true' && source.metadata.annotations?.[leaderAnnotation] === undefined && source.metadata.deletionTimestamp === undefined
}

function groupsOf(source: Endpoints, family: AddressFamily): readonly EndpointGroup[] {
  return (source.subsets ?? []).flatMap((subset): readonly EndpointGroup[] => {
    const pick = (addresses: readonly EndpointAddress[] | undefined, ready: boolean): readonly Endpoint[] =>
      (addresses ?? []).filter((address) => familyOf(address.ip) === family).map((address) => ({
        addresses: [address.ip], conditions: { ready }, ...(address.hostname ? { hostname: address.hostname } : {}), ...(address.nodeName ? { nodeName: address.nodeName } : {}),
        ...(address.targetRef ? { targetRef: address.targetRef } : {}),
      }))
    const all = [...pick(subset.addresses, true), ...pick(subset.notReadyAddresses, false)]
    if (all.length === 0) return []
    const ports = (subset.ports ?? []).map((port) => ({ name: port.name ?? '', protocol: port.protocol ?? 'TCP', port: port.port, ...(port.appProtocol ? { appProtocol: port.appProtocol } : {}) }))
    return [{ ports, endpoints: all.slice(0, maxPerSubset) }]
  })
}

export function createEndpointSliceMirroringController(): Controller<ObservedMirror> {
  return {
    name: 'endpointslice-mirroring-controller',
    watches: [
      watch({ resource: services, keysOf: (service) => [objectKey(service)] }),
      watch({ resource: endpoints, keysOf: (source) => [objectKey(source)] }),
      watch({
        resource: endpointSlices, indexes: { service: (slice) => [serviceOfSlice(slice)] },
        keysOf: (slice) => (slice.metadata.labels?.[managedByLabel] === manager ? [serviceOfSlice(slice)] : []),
      }),
    ],
    observe(key, view) {
      const { namespace, name } = splitObjectKey(key)
      const slices = view.byIndex(endpointSlices, 'service', key).filter((slice) => slice.metadata.labels?.[managedByLabel] === manager)
      return { service: view.get(services, namespace, name), endpoints: view.get(endpoints, namespace, name), slices }
    },
    sync: syncMirror,
  }
}

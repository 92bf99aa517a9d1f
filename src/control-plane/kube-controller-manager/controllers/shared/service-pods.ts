// The pods behind a Service, as Endpoints and EndpointSlices both see them. Upstream: k8s.io/endpointslice/util, kubernetes/pkg/controller/endpoint
import { matches } from '../../../../lib/apimachinery/label-selector.ts'
import type { ObjectReference, Pod, Service, ServicePort } from '../../../../lib/api/generated/types/core-v1.ts'
import { objectKey } from '../../../../lib/client/object-references.ts'
import { pods, services } from '../../../../lib/client/resource-keys.ts'
import type { View } from './controller.ts'
import { isPodTerminal } from './pod-state.ts'
import { readMapSelector } from './selectors.ts'

export type AddressFamily = 'IPv4' | 'IPv6'

export function hasSelector(service: Service): boolean { return Object.keys(service.spec.selector ?? {}).length > 0 }
export function isHeadless(service: Service): boolean { return service.spec.clusterIP === 'None' || !service.spec.clusterIP }

export function familyOf(address: string): AddressFamily { return address.includes(':') ? 'IPv6' : 'IPv4' }

/** The families that the Service's endpoints have, the first one first. */
export function familiesOf(service: Service): readonly AddressFamily[] {
  const families = (service.spec.ipFamilies ?? []).filter((family): family is AddressFamily => family === 'IPv4' || family === 'IPv6')
  if (families.length > 0) return families
  return [service.spec.clusterIP?.includes(':') ? 'IPv6' : 'IPv4']
}

/** Pods that the Service selects. */
export function selectedPods(service: Service, view: View): readonly Pod[] {
  const selector = readMapSelector(service.spec.selector)
  return view.list(pods, service.metadata.namespace).filter((pod) => matches(selector, pod.metadata.labels))
}

/** Keys of the Services that select a pod with these labels. */
export function keysOfServicesFor(pod: Pod, view: View): readonly string[] {
  return view.list(services, pod.metadata.namespace)
    .filter((service) => matches(readMapSelector(service.spec.selector), pod.metadata.labels)).map(objectKey)
}

/** Finished pods and pods without an address are no endpoints; those being deleted are when `includeTerminating`. */
export function isEndpoint(pod: Pod, includeTerminating: boolean): boolean {
  if (isPodTerminal(pod) || addressesOf(pod).length === 0) return false
  return includeTerminating || pod.metadata.deletionTimestamp === undefined
}

function addressesOf(pod: Pod): readonly string[] {
  const all = (pod.status.podIPs ?? []).flatMap((entry) => (entry.ip ? [entry.ip] : []))
  return all.length > 0 ? all : pod.status.podIP ? [pod.status.podIP] : []
}

export function addressOf(pod: Pod, family: AddressFamily): string | undefined { return addressesOf(pod).find((address) => familyOf(address) === family) }

/** The number of the port that the Service's port leads to on this pod; undefined when the pod has no port of that name. */
export function targetPortOf(pod: Pod, port: ServicePort): number | undefined {
  const target = port.targetPort
  if (target === undefined || target === 0 || target === '') return port.port
  if (typeof target === 'number') return target
  const protocol = port.protocol ?? 'TCP'
  const sidecars = (pod.spec.initContainers ?? []).filter((container) => container.restartPolicy === 'Always')
  for (const container of [...pod.spec.containers ?? [], ...sidecars]) {
    for (const candidate of container.ports ?? []) if (candidate.name === target && (candidate.protocol ?? 'TCP') === protocol) return candidate.containerPort
  }
  return undefined
}

export function hostnameFor(pod: Pod, service: Service): string | undefined {
  return pod.spec.hostname && pod.spec.subdomain === service.metadata.name ? pod.spec.hostname : undefined
}

export function targetReference(pod: Pod): ObjectReference {
  return { kind: 'Pod', namespace: pod.metadata.namespace ?? '', name: pod.metadata.name, uid: pod.metadata.uid }
}

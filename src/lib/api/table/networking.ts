// Services, endpoints, ingresses, policies and addresses. Upstream: pkg/printers/internalversion/printers.go
import type { Endpoints, Service } from '../generated/types/core-v1.ts'
import type { EndpointSlice } from '../generated/types/discovery-v1.ts'
import type { Ingress, IngressClass, IPAddress, NetworkPolicy, ServiceCIDR } from '../generated/types/networking-v1.ts'
import { ageColumn, ageOf, firstOf, formatLabels, formatSelector, nameColumn, printerFor, selectorColumn, text, type Printer } from './printer.ts'

/** Addresses or names of a load balancer, sorted and without repeats. */
function loadBalancerAddresses(ingress: readonly { readonly ip?: string; readonly hostname?: string }[] | undefined): string {
  return [...new Set((ingress ?? []).map((entry) => entry.ip || entry.hostname || '').filter((address) => address !== ''))].sort().join(',')
}

function externalIp({ spec, status }: Service): string {
  const own = spec.externalIPs ?? []
  switch (spec.type) {
    case 'ClusterIP': case 'NodePort': return own.join(',') || '<none>'
    case 'LoadBalancer': return [loadBalancerAddresses(status.loadBalancer?.ingress), ...own].filter((part) => part !== '').join(',') || '<pending>'
    case 'ExternalName': return spec.externalName ?? ''
    default: return '<unknown>'
  }
}

const service = printerFor<Service>(
  [nameColumn, text('Type', 'How the service is reached.'), text('Cluster-IP', 'Its address in the cluster.'), text('External-IP', 'Its addresses outside.'), text('Port(s)', 'Its ports, with the nodes’ ports.'), ageColumn, selectorColumn],
  (o, now) => {
    const ports = (o.spec.ports ?? []).map((port) => `${port.port}${port.nodePort ? `:${port.nodePort}` : ''}/${port.protocol ?? 'TCP'}`).join(',')
    return [o.metadata.name, o.spec.type ?? '', o.spec.clusterIPs?.[0] ?? (o.spec.clusterIP || '<none>'), externalIp(o), ports || '<none>', ageOf(o, now), formatLabels(o.spec.selector)]
  })

function formatEndpoints({ subsets = [] }: Endpoints): string {
  if (subsets.length === 0) return '<none>'
  const list: string[] = []
  for (const subset of subsets) {
    const addresses = (subset.addresses ?? []).map((address) => address.ip)
    if ((subset.ports ?? []).length === 0) list.push(...addresses)
    for (const port of subset.ports ?? []) list.push(...addresses.map((ip) => (ip.includes(':') ? `[${ip}]:${port.port}` : `${ip}:${port.port}`)))
  }
  return firstOf(list)
}

const endpoints = printerFor<Endpoints>([nameColumn, text('Endpoints', 'Addresses and ports behind the service.'), ageColumn], (o, now) => [o.metadata.name, formatEndpoints(o), ageOf(o, now)])

const endpointSlice = printerFor<EndpointSlice>([nameColumn, text('AddressType', 'Kind of its addresses.'), text('Ports', 'Ports of every endpoint.'), text('Endpoints', 'Their addresses.'), ageColumn], (o, now) => [
  o.metadata.name, o.addressType, firstOf((o.ports ?? []).map((port) => String(port.port ?? port.name ?? '*'))) || '<unset>', firstOf((o.endpoints ?? []).flatMap((endpoint) => endpoint.addresses ?? [])) || '<unset>', ageOf(o, now),
])

const ingress = printerFor<Ingress>(
  [nameColumn, text('Class', 'The class that handles it.'), text('Hosts', 'Hosts that it answers for.'), text('Address', 'Where it is reached.'), text('Ports', 'Ports that it opens.'), ageColumn],
  (o, now) => {
    const rules = o.spec.rules ?? []
    const hosts = rules.map((rule) => rule.host ?? '').filter((host) => host !== '')
    const shown = hosts.slice(0, 3).join(',')
    return [
      o.metadata.name, o.spec.ingressClassName ?? '<none>', hosts.length === 0 ? '*' : hosts.length > 3 ? `${shown} + ${rules.length - 3} more...` : shown, loadBalancerAddresses(o.status.loadBalancer?.ingress),
      (o.spec.tls ?? []).length > 0 ? '80, 443' : '80', ageOf(o, now),
    ]
  })

const ingressClass = printerFor<IngressClass>([nameColumn, text('Controller', 'Who handles ingresses of this class.'), text('Parameters', 'Where its settings are.'), ageColumn], (o, now) => {
  const parameters = o.spec.parameters
  return [o.metadata.name, o.spec.controller ?? '', parameters === undefined ? '<none>' : `${parameters.kind}${parameters.apiGroup === undefined ? '' : `.${parameters.apiGroup}`}/${parameters.name}`, ageOf(o, now)]
})

const networkPolicy = printerFor<NetworkPolicy>([nameColumn, text('Pod-Selector', 'Which pods it is for.'), ageColumn], (o, now) => [o.metadata.name, formatSelector(o.spec.podSelector ?? {}), ageOf(o, now)])
const serviceCidr = printerFor<ServiceCIDR>([nameColumn, text('CIDRs', 'Ranges that cluster addresses come from.'), ageColumn], (o, now) => [o.metadata.name, (o.spec.cidrs ?? []).join(','), ageOf(o, now)])

const ipAddress = printerFor<IPAddress>([nameColumn, text('ParentRef', 'What the address belongs to.'), ageColumn], (o, now) => {
  const parent = o.spec.parentRef
  const resource = parent === undefined ? '' : `${parent.resource ?? ''}${parent.group ? `.${parent.group}` : ''}`.toLowerCase()
  return [o.metadata.name, parent === undefined ? '<none>' : `${resource}${parent.namespace ? `/${parent.namespace}` : ''}/${parent.name ?? ''}`, ageOf(o, now)]
})

export const networkingPrinters: { readonly [key: string]: Printer } = {
  '/Service': service, '/Endpoints': endpoints, 'discovery.k8s.io/EndpointSlice': endpointSlice, 'networking.k8s.io/Ingress': ingress, 'networking.k8s.io/IngressClass': ingressClass,
  'networking.k8s.io/NetworkPolicy': networkPolicy, 'networking.k8s.io/ServiceCIDR': serviceCidr, 'networking.k8s.io/IPAddress': ipAddress,
}

// kubectl describe of Services, Endpoints, EndpointSlices, Ingresses and their classes. Upstream: kubectl/pkg/describe
import type { EndpointSlice } from '../../../lib/api/generated/types/discovery-v1.ts'
import type { Endpoints, LoadBalancerIngress, Service } from '../../../lib/api/generated/types/core-v1.ts'
import type { Ingress, IngressBackend, IngressClass } from '../../../lib/api/generated/types/networking-v1.ts'
import { ApiError } from '../../../lib/client/api-error.ts'
import { formatLabels } from '../printers/table-printer.ts'
import { DescribeWriter, orNone } from './describe-writer.ts'
import type { DescribeWorld } from './describer.ts'
import { listAll, writeEventsOf } from './describer.ts'

const mostEndpoints = 3

function slicesOf(world: DescribeWorld, namespace: string, service: string): Promise<readonly EndpointSlice[]> {
  return listAll<EndpointSlice>({ ...world, chunkSize: 0 }, `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`, { labelSelector: `kubernetes.io/service-name=${service}` })
}

/** The first ready addresses of a Service's port, and how many there are more. */
export function formatEndpoints(slices: readonly EndpointSlice[], portName: string): string {
  if (slices.length === 0) return '<none>'
  const list: string[] = []
  let more = false
  let count = 0
  const take = (slice: EndpointSlice, port: number | undefined): void => {
    for (const endpoint of slice.endpoints ?? []) {
      if (list.length === mostEndpoints) more = true
      if (endpoint.conditions?.ready === false) continue
      const address = endpoint.addresses?.[0] ?? ''
      if (!more) list.push(port === undefined ? address : address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`)
      count++
    }
  }
  for (const slice of slices) {
    if (!slice.ports || slice.ports.length === 0) take(slice, undefined)
    else for (const port of slice.ports) if ((port.name ?? '') === portName) take(slice, port.port ?? 0)
  }
  return more ? `${list.join(',')} + ${count - mostEndpoints} more...` : list.join(',')
}

const formatLoadBalancers = (ingress: readonly LoadBalancerIngress[]): string => ingress.map((i) => (i.ip ? `${i.ip}${i.ipMode ? ` (${i.ipMode})` : ''}` : (i.hostname ?? ''))).join(', ')

export async function describeService(world: DescribeWorld, service: Service): Promise<string> {
  const { metadata, spec, status } = service
  const slices = await slicesOf(world, metadata.namespace ?? '', metadata.name)
  const out = new DescribeWriter()
  out.line(0, `Name:\t${metadata.name}`)
  out.line(0, `Namespace:\t${metadata.namespace ?? ''}`)
  out.labels('Labels', metadata.labels)
  out.annotations('Annotations', metadata.annotations)
  out.line(0, `Selector:\t${formatLabels(spec.selector)}`)
  out.line(0, `Type:\t${spec.type ?? ''}`)
  if (spec.ipFamilyPolicy) out.line(0, `IP Family Policy:\t${spec.ipFamilyPolicy}`)
  out.line(0, `IP Families:\t${orNone((spec.ipFamilies ?? []).join(','))}`)
  out.line(0, `IP:\t${spec.clusterIP ?? ''}`)
  out.line(0, `IPs:\t${orNone((spec.clusterIPs ?? []).join(','))}`)
  if (spec.externalIPs && spec.externalIPs.length > 0) out.line(0, `External IPs:\t${spec.externalIPs.join(',')}`)
  if (spec.loadBalancerIP) out.line(0, `Desired LoadBalancer IP:\t${spec.loadBalancerIP}`)
  if (spec.externalName) out.line(0, `External Name:\t${spec.externalName}`)
  const ingress = status.loadBalancer?.ingress ?? []
  if (ingress.length > 0) out.line(0, `LoadBalancer Ingress:\t${formatLoadBalancers(ingress)}`)
  for (const port of spec.ports ?? []) {
    const name = port.name || '<unset>'
    const protocol = port.protocol ?? ''
    out.line(0, `Port:\t${name}\t${port.port}/${protocol}`)
    out.line(0, `TargetPort:\t${String(port.targetPort ?? 0)}/${protocol}`)
    if (port.appProtocol !== undefined) out.line(0, `AppProtocol:\t${port.appProtocol}`)
    if (port.nodePort) out.line(0, `NodePort:\t${name}\t${port.nodePort}/${protocol}`)
    out.line(0, `Endpoints:\t${formatEndpoints(slices, port.name ?? '')}`)
  }
  out.line(0, `Session Affinity:\t${spec.sessionAffinity ?? ''}`)
  if (spec.externalTrafficPolicy) out.line(0, `External Traffic Policy:\t${spec.externalTrafficPolicy}`)
  if (spec.internalTrafficPolicy) out.line(0, `Internal Traffic Policy:\t${spec.internalTrafficPolicy}`)
  if (spec.healthCheckNodePort) out.line(0, `HealthCheck NodePort:\t${spec.healthCheckNodePort}`)
  if (spec.loadBalancerSourceRanges && spec.loadBalancerSourceRanges.length > 0) out.line(0, `LoadBalancer Source Ranges:\t${spec.loadBalancerSourceRanges.join(',')}`)
  if (spec.trafficDistribution) out.line(0, `Traffic Distribution:\t${spec.trafficDistribution}`)
  await writeEventsOf(out, world, 'Service', service)
  return out.aligned()
}

export async function describeEndpoints(world: DescribeWorld, endpoints: Endpoints): Promise<string> {
  const { metadata } = endpoints
  const out = new DescribeWriter()
  out.line(0, `Name:\t${metadata.name}`)
  out.line(0, `Namespace:\t${metadata.namespace ?? ''}`)
  out.labels('Labels', metadata.labels)
  out.annotations('Annotations', metadata.annotations)
  out.line(0, 'Subsets:')
  for (const subset of endpoints.subsets ?? []) {
    out.line(1, `Addresses:\t${orNone((subset.addresses ?? []).map((a) => a.ip).join(','))}`)
    out.line(1, `NotReadyAddresses:\t${orNone((subset.notReadyAddresses ?? []).map((a) => a.ip).join(','))}`)
    if (subset.ports && subset.ports.length > 0) {
      out.line(1, 'Ports:')
      out.line(2, 'Name\tPort\tProtocol')
      out.line(2, '----\t----\t--------')
      for (const port of subset.ports) out.line(2, `${port.name || '<unset>'}\t${port.port}\t${port.protocol ?? ''}`)
    }
    out.line(0, '')
  }
  await writeEventsOf(out, world, 'Endpoints', endpoints)
  return out.aligned()
}

export async function describeEndpointSlice(world: DescribeWorld, slice: EndpointSlice): Promise<string> {
  const { metadata } = slice
  const out = new DescribeWriter()
  out.line(0, `Name:\t${metadata.name}`)
  out.line(0, `Namespace:\t${metadata.namespace ?? ''}`)
  out.labels('Labels', metadata.labels)
  out.annotations('Annotations', metadata.annotations)
  out.line(0, `AddressType:\t${slice.addressType}`)
  if (!slice.ports || slice.ports.length === 0) out.line(0, 'Ports: <unset>')
  else {
    out.line(0, 'Ports:')
    out.line(1, 'Name\tPort\tProtocol')
    out.line(1, '----\t----\t--------')
    for (const port of slice.ports) out.line(1, `${port.name || '<unset>'}\t${port.port ?? '<unset>'}\t${port.protocol ?? ''}`)
  }
  const endpoints = slice.endpoints ?? []
  if (endpoints.length === 0) out.line(0, 'Endpoints: <none>')
  else {
    out.line(0, 'Endpoints:')
    for (const endpoint of endpoints) {
      out.line(1, `- Addresses:\t${orNone((endpoint.addresses ?? []).join(', '))}`)
      out.line(2, 'Conditions:')
      out.line(3, `Ready:\t${String(endpoint.conditions?.ready ?? '<unset>')}`)
      out.line(2, `Hostname:\t${endpoint.hostname ?? '<unset>'}`)
      if (endpoint.targetRef) out.line(2, `TargetRef:\t${endpoint.targetRef.kind ?? ''}/${endpoint.targetRef.name ?? ''}`)
      out.line(2, `NodeName:\t${endpoint.nodeName ?? '<unset>'}`)
      out.line(2, `Zone:\t${endpoint.zone ?? '<unset>'}`)
    }
  }
  await writeEventsOf(out, world, 'EndpointSlice', slice)
  return out.aligned()
}

export async function describeIngress(world: DescribeWorld, ingress: Ingress): Promise<string> {
  const { metadata, spec, status } = ingress
  const namespace = metadata.namespace ?? ''
  const out = new DescribeWriter()
  out.line(0, `Name:\t${metadata.name}`)
  out.labels('Labels', metadata.labels)
  out.line(0, `Namespace:\t${namespace}`)
  const addresses = (status.loadBalancer?.ingress ?? []).map((i) => i.ip || i.hostname || '').filter((a) => a !== '')
  out.line(0, `Address:\t${[...new Set(addresses)].sort().join(',')}`)
  out.line(0, `Ingress Class:\t${spec.ingressClassName ?? '<none>'}`)
  const fallback = spec.defaultBackend ? await formatBackend(world, namespace, spec.defaultBackend) : '<default>'
  out.line(0, `Default backend:\t${fallback}`)
  if (spec.tls && spec.tls.length > 0) {
    out.line(0, 'TLS:')
    for (const tls of spec.tls) out.line(1, tls.secretName ? `${tls.secretName} terminates ${(tls.hosts ?? []).join(',')}` : `SNI routes ${(tls.hosts ?? []).join(',')}`)
  }
  out.line(0, 'Rules:')
  out.line(1, 'Host\tPath\tBackends')
  out.line(1, '----\t----\t--------')
  let count = 0
  for (const rule of spec.rules ?? []) {
    if (!rule.http) continue
    count++
    out.line(1, `${rule.host || '*'}\t`)
    for (const path of rule.http.paths ?? []) out.line(2, `\t${path.path ?? ''} \t${await formatBackend(world, namespace, path.backend)}`)
  }
  if (count === 0) out.line(1, `*\t*\t${fallback}`)
  out.annotations('Annotations', metadata.annotations)
  await writeEventsOf(out, world, 'Ingress', ingress)
  return out.aligned()
}

async function formatBackend(world: DescribeWorld, namespace: string, backend: IngressBackend): Promise<string> {
  if (backend.service) {
    const { name, port } = backend.service
    const shown = `${name}:${port?.number ? port.number : (port?.name ?? '')}`
    try {
      const slices = await slicesOf(world, namespace, name)
      const service = await world.session.request('GET', `/api/v1/namespaces/${namespace}/services/${name}`) as unknown as Service // cast: a Service by its path
      const named = (service.spec.ports ?? []).findLast((p) => (port?.number ? p.port === port.number : port?.name !== undefined && p.name === port.name))
      return `${shown} (${formatEndpoints(slices, named?.name ?? '')})`
    } catch (error) {
      if (error instanceof ApiError) return `${shown} (<error: ${error.message}>)`
      throw error
    }
  }
  if (backend.resource) return `APIGroup: ${backend.resource.apiGroup ?? '<none>'}, Kind: ${backend.resource.kind}, Name: ${backend.resource.name}`
  return ''
}

export async function describeIngressClass(world: DescribeWorld, ingressClass: IngressClass): Promise<string> {
  const { metadata, spec } = ingressClass
  const out = new DescribeWriter()
  out.line(0, `Name:\t${metadata.name}`)
  out.labels('Labels', metadata.labels)
  out.annotations('Annotations', metadata.annotations)
  out.line(0, `Controller:\t${spec.controller ?? ''}`)
  if (spec.parameters) {
    out.line(0, 'Parameters:')
    if (spec.parameters.apiGroup !== undefined) out.line(1, `APIGroup:\t${spec.parameters.apiGroup}`)
    out.line(1, `Kind:\t${spec.parameters.kind}`)
    out.line(1, `Name:\t${spec.parameters.name}`)
  }
  await writeEventsOf(out, world, 'IngressClass', ingressClass)
  return out.aligned()
}

// What the server does to a service before it is validated: linked fields are brought in line, allocated values are kept where a client left them out, and
// fields that the new type doesn't have are wiped when the client didn't touch them. Upstream: pkg/registry/core/service/strategy.go
import type { Service, ServicePort, ServiceSpec } from '../../../../../lib/api/generated/types/core-v1.ts'
import { semanticEqual } from '../../semantic-equal.ts'
import { isExternallyAccessible, needsClusterIp, needsHealthCheck, needsNodePort } from './service-traits.ts'

/** `clusterIP` is the first of `clusterIPs`; clients may know only one of the two. */
export function normalizeClusterIps(spec: ServiceSpec, old: ServiceSpec | undefined): ServiceSpec {
  const clusterIp = spec.clusterIP ?? ''
  const clusterIps = spec.clusterIPs ?? []
  if (!old) return clusterIp !== '' && clusterIps.length === 0 ? { ...spec, clusterIPs: [clusterIp] } : spec
  const same = semanticEqual(clusterIps, old.clusterIPs ?? [])
  if (clusterIp === (old.clusterIP ?? '')) return clusterIp !== '' && clusterIps.length === 0 && !same ? { ...spec, clusterIP: '' } : spec
  if (clusterIp === '') return same ? { ...spec, clusterIPs: undefined } : spec
  return same ? { ...spec, clusterIPs: [clusterIp] } : spec
}

/** A client that sends the whole object without what was allocated to it means to keep that. */
export function keepAllocatedValues(spec: ServiceSpec, old: ServiceSpec): ServiceSpec {
  let next = spec
  if (needsClusterIp(old) && needsClusterIp(next)) {
    if (!next.clusterIP && old.clusterIP) next = { ...next, clusterIP: old.clusterIP }
    if ((next.clusterIPs?.length ?? 0) === 0 && next.clusterIP === old.clusterIP && old.clusterIPs) next = { ...next, clusterIPs: old.clusterIPs }
  }
  if (needsNodePort(old) && needsNodePort(next) && next.ports?.some((port) => !port.nodePort)) next = { ...next, ports: keepNodePorts(next.ports, old.ports ?? []) }
  if (needsHealthCheck(old) && needsHealthCheck(next) && !next.healthCheckNodePort && old.healthCheckNodePort) next = { ...next, healthCheckNodePort: old.healthCheckNodePort }
  return next
}

function keepNodePorts(ports: readonly ServicePort[], old: readonly ServicePort[]): readonly ServicePort[] {
  const before = new Set(old.map((port) => port.nodePort ?? 0))
  const used = new Set(ports.map((port) => port.nodePort ?? 0).filter((nodePort) => nodePort !== 0 && before.has(nodePort)))
  const byName = new Map(old.map((port) => [port.name ?? '', port.nodePort ?? 0]))
  return ports.map((port) => {
    const nodePort = port.nodePort ? 0 : byName.get(port.name ?? '') ?? 0
    if (nodePort === 0 || used.has(nodePort)) return port
    used.add(nodePort)
    return { ...port, nodePort }
  })
}

function sameNodePorts(spec: ServiceSpec, old: ServiceSpec): boolean {
  const ports = (part: ServiceSpec): readonly number[] => (part.ports ?? []).map((port) => port.nodePort ?? 0).filter((nodePort) => nodePort !== 0)
  const before = new Set(ports(old))
  return ports(spec).every((nodePort) => before.has(nodePort))
}

const noNodePort = (port: ServicePort): ServicePort => {
  if (!port.nodePort) return port
  const { nodePort: _dropped, ...rest } = port
  return rest
}

export function dropFieldsOfOldType(spec: ServiceSpec, old: ServiceSpec): ServiceSpec {
  let next = spec
  const unchanged = (field: keyof ServiceSpec): boolean => semanticEqual(next[field], old[field])
  if (needsClusterIp(old) && !needsClusterIp(next)) {
    if (unchanged('clusterIPs')) next = { ...next, clusterIP: undefined, clusterIPs: undefined }
    if (unchanged('ipFamilies')) next = { ...next, ipFamilies: undefined }
    if (unchanged('ipFamilyPolicy')) next = { ...next, ipFamilyPolicy: undefined }
  }
  if (needsNodePort(old) && !needsNodePort(next) && sameNodePorts(next, old)) next = { ...next, ports: next.ports?.map(noNodePort) }
  if (needsHealthCheck(old) && !needsHealthCheck(next) && unchanged('healthCheckNodePort')) next = { ...next, healthCheckNodePort: undefined }
  if (old.type === 'LoadBalancer' && next.type !== 'LoadBalancer') {
    if (unchanged('allocateLoadBalancerNodePorts')) next = { ...next, allocateLoadBalancerNodePorts: undefined }
    if (unchanged('loadBalancerClass')) next = { ...next, loadBalancerClass: undefined }
  }
  if (isExternallyAccessible(old) && !isExternallyAccessible(next) && unchanged('externalTrafficPolicy')) next = { ...next, externalTrafficPolicy: undefined }
  return next
}

export function prepareServiceUpdate(service: Service, old: Service): Service {
  const kept = keepAllocatedValues(service.spec ?? {}, old.spec ?? {})
  const spec = dropFieldsOfOldType(normalizeClusterIps(kept, old.spec), old.spec ?? {})
  return spec === service.spec ? service : { ...service, spec }
}

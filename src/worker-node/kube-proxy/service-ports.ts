// From Services and EndpointSlices to what the rules need: one entry for every port of every Service, with the endpoints that take its
// traffic. Pure.
//
// Rule it keeps: ready endpoints first; when none is ready, those that still serve while they terminate; a Local policy never falls back to
// endpoints of other nodes. Upstream: pkg/proxy/{servicechangetracker,endpointschangetracker,topology}.go
import type { Service } from '../../lib/api/generated/types/core-v1.ts'
import type { EndpointSlice } from '../../lib/api/generated/types/discovery-v1.ts'

export type Protocol = 'tcp' | 'udp' | 'sctp'

export interface ServiceEndpoint {
  readonly address: string
  readonly port: number
  readonly local: boolean
  readonly ready: boolean
  /** Serving while terminating: taken only when none is ready. */
  readonly servingTerminating: boolean
  readonly zoneHints: readonly string[]
  readonly nodeHints: readonly string[]
}

export interface ServicePortInfo {
  /** `namespace/name:port`, without the colon when the port has no name. */
  readonly name: string
  readonly namespace: string
  readonly service: string
  readonly protocol: Protocol
  readonly clusterIp: string
  readonly port: number
  readonly nodePort: number
  readonly externalIps: readonly string[]
  readonly loadBalancerIps: readonly string[]
  readonly loadBalancerSourceRanges: readonly string[]
  readonly healthCheckNodePort: number
  readonly externalLocal: boolean
  readonly internalLocal: boolean
  /** Seconds of ClientIP affinity; 0 for none. */
  readonly affinitySeconds: number
  /** Endpoints for traffic under the Cluster policy. */
  readonly clusterEndpoints: readonly ServiceEndpoint[]
  /** Endpoints for traffic under the Local policy. */
  readonly localEndpoints: readonly ServiceEndpoint[]
  /** There are usable endpoints somewhere, be they local or not. */
  readonly hasAnyEndpoints: boolean
}

export interface NodeTopology {
  readonly nodeName: string
  readonly zone: string
}

/** Every port of every Service that this proxy handles, in a stable order. IPv4. */
export function serviceInfos(services: readonly Service[], slices: readonly EndpointSlice[], topology: NodeTopology): readonly ServicePortInfo[] {
  const slicesByService = new Map<string, EndpointSlice[]>()
  for (const slice of slices) {
    const service = slice.metadata.labels?.['kubernetes.io/service-name']
    if (!service || slice.addressType !== 'IPv4' || 'service.kubernetes.io/headless' in (slice.metadata.labels ?? {}) || 'service.kubernetes.io/service-proxy-name' in (slice.metadata.labels ?? {})) continue
    const key = `${slice.metadata.namespace ?? ''}/${service}`
    const known = slicesByService.get(key)
    if (known) known.push(slice)
    else slicesByService.set(key, [slice])
  }
  const infos: ServicePortInfo[] = []
  for (const service of [...services].sort(byName)) {
    const { spec, metadata } = service
    const clusterIp = spec.clusterIP ?? ''
    if (clusterIp === '' || clusterIp === 'None' || clusterIp.includes(':') || spec.type === 'ExternalName' || 'service.kubernetes.io/service-proxy-name' in (metadata.labels ?? {})) continue
    const key = `${metadata.namespace ?? ''}/${metadata.name}`
    const own = slicesByService.get(key) ?? []
    for (const port of spec.ports ?? []) {
      const protocol = toProtocol(port.protocol)
      const endpoints = endpointsOfPort(own, port.name ?? '', protocol, topology.nodeName)
      const usable = chooseUsable(endpoints)
      const externalLocal = spec.externalTrafficPolicy === 'Local'
      const internalLocal = spec.internalTrafficPolicy === 'Local'
      const ingress = (service.status?.loadBalancer?.ingress ?? []).filter((i) => i.ip !== undefined && i.ipMode !== 'Proxy' && !i.ip.includes(':'))
      infos.push({
        name: `${key}${port.name ? `:${port.name}` : ''}`, namespace: metadata.namespace ?? '', service: metadata.name, protocol, clusterIp, port: port.port, nodePort: port.nodePort ?? 0,
        externalIps: (spec.externalIPs ?? []).filter((ip) => !ip.includes(':')), loadBalancerIps: ingress.map((i) => i.ip ?? ''),
        loadBalancerSourceRanges: (spec.loadBalancerSourceRanges ?? []).map((r) => r.trim()).filter((r) => !r.includes(':')), healthCheckNodePort: spec.healthCheckNodePort ?? 0, externalLocal, internalLocal,
        affinitySeconds: spec.sessionAffinity === 'ClientIP' ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? 10_800) : 0,
        clusterEndpoints: chooseByHints(usable, topology), localEndpoints: chooseUsable(endpoints.filter((e) => e.local)), hasAnyEndpoints: usable.length > 0,
      })
    }
  }
  return infos
}

function byName(a: Service, b: Service): number {
  const [x, y] = [`${a.metadata.namespace ?? ''}/${a.metadata.name}`, `${b.metadata.namespace ?? ''}/${b.metadata.name}`]
  return x < y ? -1 : x > y ? 1 : 0
}

function toProtocol(protocol: string | undefined): Protocol {
  switch (protocol) {
    case 'UDP': return 'udp'
    case 'SCTP': return 'sctp'
    default: return 'tcp'
  }
}

/** Endpoints of one port over all slices, each address and port once. */
function endpointsOfPort(slices: readonly EndpointSlice[], portName: string, protocol: Protocol, nodeName: string): readonly ServiceEndpoint[] {
  const found = new Map<string, ServiceEndpoint>()
  for (const slice of slices) {
    for (const port of slice.ports ?? []) {
      if ((port.name ?? '') !== portName || port.port === undefined || toProtocol(port.protocol) !== protocol) continue
      for (const endpoint of slice.endpoints ?? []) {
        const address = endpoint.addresses?.[0]
        if (address === undefined) continue
        const ready = endpoint.conditions?.ready ?? true
        const serving = endpoint.conditions?.serving ?? ready
        const entry: ServiceEndpoint = {
          address, port: port.port, local: endpoint.nodeName === nodeName, ready, servingTerminating: serving && endpoint.conditions?.terminating === true,
          zoneHints: (endpoint.hints?.forZones ?? []).map((z) => z.name), nodeHints: (endpoint.hints?.forNodes ?? []).map((n) => n.name),
        }
        const key = `${address}:${port.port}`
        // The same address may stand in two slices while one is being rewritten: the ready one counts.
        if (!found.get(key)?.ready) found.set(key, entry)
      }
    }
  }
  return [...found.values()].sort((a, b) => (a.address === b.address ? a.port - b.port : a.address < b.address ? -1 : 1))
}

function chooseUsable(endpoints: readonly ServiceEndpoint[]): readonly ServiceEndpoint[] {
  const ready = endpoints.filter((e) => e.ready)
  return ready.length > 0 ? ready : endpoints.filter((e) => e.servingTerminating)
}

/** Node hints, then zone hints; a kind counts only when every endpoint has it and one of them is ours. */
function chooseByHints(endpoints: readonly ServiceEndpoint[], topology: NodeTopology): readonly ServiceEndpoint[] {
  const choose = (hintsOf: (e: ServiceEndpoint) => readonly string[], own: string): readonly ServiceEndpoint[] | undefined => {
    if (own === '' || endpoints.length === 0 || !endpoints.every((e) => hintsOf(e).length > 0)) return undefined
    const mine = endpoints.filter((e) => hintsOf(e).includes(own))
    return mine.length > 0 ? mine : undefined
  }
  return choose((e) => e.nodeHints, topology.nodeName) ?? choose((e) => e.zoneHints, topology.zone) ?? endpoints
}

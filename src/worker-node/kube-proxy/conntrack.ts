// UDP flows keep going to an endpoint that is gone until conntrack forgets them. TCP notices by itself once it is established; but a connection
// request that met an endpoint in the moment it went away would be repeated to the dead address for two minutes, because conntrack remembers
// the choice. Forgetting it lets the next repetition, a second later, choose among the living. Which flows to delete is decided here, purely;
// see kube-proxy.ts for the doing. Upstream: pkg/proxy/conntrack/cleanup.go (UDP)
import type { ServicePortInfo } from './service-ports.ts'

/** Arguments of one `conntrack` call. */
export type ConntrackDeletion = readonly string[]

/** Flows to delete after the rules changed from `previous` to `next`. */
export function staleFlows(previous: readonly ServicePortInfo[], next: readonly ServicePortInfo[]): readonly ConntrackDeletion[] {
  const deletions: ConntrackDeletion[] = []
  const nextByKey = new Map(next.map((info) => [`${info.name}/${info.protocol}`, info] as const))
  const previousByKey = new Map(previous.map((info) => [`${info.name}/${info.protocol}`, info] as const))
  for (const before of previous) {
    if (before.protocol === 'sctp') continue
    const flow = before.protocol === 'udp' ? ['-p', 'udp'] : ['-p', 'tcp', '--state', 'SYN_SENT']
    const after = nextByKey.get(`${before.name}/${before.protocol}`)
    const alive = new Set([...(after?.clusterEndpoints ?? []), ...(after?.localEndpoints ?? [])].map((e) => `${e.address}:${e.port}`))
    for (const endpoint of new Map([...before.clusterEndpoints, ...before.localEndpoints].map((e) => [`${e.address}:${e.port}`, e])).values()) {
      if (alive.has(`${endpoint.address}:${endpoint.port}`)) continue
      for (const address of [before.clusterIp, ...before.externalIps, ...before.loadBalancerIps]) deletions.push(['-D', ...flow, '--orig-dst', address, '--dst-nat', endpoint.address])
      if (before.nodePort > 0) deletions.push(['-D', ...flow, '--dport', String(before.nodePort), '--dst-nat', endpoint.address])
    }
  }
  // A Service that had no endpoints and now has some: clients that kept sending hold flows that lead nowhere.
  for (const after of next) {
    if (after.protocol !== 'udp' || after.clusterEndpoints.length === 0) continue
    const before = previousByKey.get(`${after.name}/${after.protocol}`)
    if (before && before.clusterEndpoints.length > 0) continue
    deletions.push(['-D', '--orig-dst', after.clusterIp, '-p', 'udp'])
    if (after.nodePort > 0) deletions.push(['-D', '-p', 'udp', '--dport', String(after.nodePort)])
  }
  return deletions
}

// Rules for host ports and for masquerading, as input for iptables-restore. Pure: what should be there in, text out. The chains are ours
// alone and are written whole each time, so the result doesn't depend on what was there before.
import type { PortMapping } from '../../../lib/cri-api/generated/types.ts'

export const masqueradeChain = 'K8TS-MASQUERADE'
export const hostPortChain = 'K8TS-HOSTPORT'
export const hostPortMasqueradeChain = 'K8TS-HOSTPORT-MASQ'

/** Jumps from the built-in chains, as iptables-save prints them; each must be there once. */
export const jumps: readonly string[] = [
  `-A PREROUTING -m addrtype --dst-type LOCAL -j ${hostPortChain}`, `-A OUTPUT -m addrtype --dst-type LOCAL -j ${hostPortChain}`,
  `-A POSTROUTING -j ${hostPortMasqueradeChain}`, `-A POSTROUTING -j ${masqueradeChain}`,
]

/** Jumps that a saved table lacks. */
export function missingJumps(savedTable: string): readonly string[] {
  const present = new Set(savedTable.split('\n').map((line) => line.trim()))
  return jumps.filter((jump) => !present.has(jump))
}

/** Removes the jumps that are there, and our chains. */
export function removalRules(savedTable: string): string {
  const missing = new Set(missingJumps(savedTable))
  const chains = [hostPortChain, hostPortMasqueradeChain, masqueradeChain].filter((chain) => savedTable.includes(`:${chain} `))
  return ['*nat', ...jumps.filter((jump) => !missing.has(jump)).map((jump) => jump.replace('-A ', '-D ')), ...chains.map((chain) => `-F ${chain}`), ...chains.map((chain) => `-X ${chain}`), 'COMMIT', ''].join('\n')
}

export interface HostPortHolder {
  readonly ip: string
  readonly portMappings: readonly PortMapping[]
}

/** Pod traffic that leaves the cluster takes the node's address; within the cluster's ranges pods keep theirs. */
export function masqueradeRules(podCidr: string, clusterCidrs: readonly string[], addedJumps: readonly string[]): string {
  return ['*nat', `:${masqueradeChain} - [0:0]`, `:${hostPortChain} - [0:0]`, `:${hostPortMasqueradeChain} - [0:0]`,
    ...clusterCidrs.map((cidr) => `-A ${masqueradeChain} -s ${podCidr} -d ${cidr} -j RETURN`),
    `-A ${masqueradeChain} -s ${podCidr} ! -d 224.0.0.0/4 -j MASQUERADE`, ...addedJumps, 'COMMIT', ''].join('\n')
}

/** All host ports of all pods. */
export function hostPortRules(holders: readonly HostPortHolder[]): string {
  const rules: string[] = []
  for (const { ip, portMappings } of holders) {
    for (const mapping of portMappings) {
      const hostPort = mapping.hostPort ?? 0
      const protocol = (mapping.protocol ?? 'TCP').toLowerCase()
      if (hostPort <= 0) continue
      const to = `${ip}:${mapping.containerPort ?? 0}`
      const on = mapping.hostIp && mapping.hostIp !== '0.0.0.0' && mapping.hostIp !== '::' ? `-d ${mapping.hostIp} ` : ''
      rules.push(`-A ${hostPortChain} ${on}-p ${protocol} -m ${protocol} --dport ${hostPort} -j DNAT --to-destination ${to}`)
      // Two cases in which the answer would not come back through the node: the pod calls itself, or the caller is on the node's loopback.
      for (const source of [ip, '127.0.0.0/8']) {
        rules.push(`-A ${hostPortMasqueradeChain} -s ${source} -d ${ip} -p ${protocol} -m ${protocol} --dport ${mapping.containerPort ?? 0} -j MASQUERADE`)
      }
    }
  }
  return ['*nat', `:${hostPortChain} - [0:0]`, `:${hostPortMasqueradeChain} - [0:0]`, ...rules, 'COMMIT', ''].join('\n')
}

// The iptables rules for a set of service ports: chains and their rules as data. Pure: the same input gives the same rules, and two sets can
// be compared chain by chain. Names, order and comments are the original's, because people and scripts read them.
// Upstream: pkg/proxy/iptables/proxier.go
import { createHash } from 'node:crypto'
import type { ServiceEndpoint, ServicePortInfo } from './service-ports.ts'

/** Rules of one table: chain name to its rules, each as iptables-restore takes them without `-A CHAIN`. */
export type Chains = ReadonlyMap<string, readonly string[]>

export interface RuleSet {
  readonly filter: Chains
  readonly nat: Chains
}

export interface RuleOptions {
  /** Traffic from here to cluster IPs keeps its source address; empty: no rule tells local traffic apart. */
  readonly podCidr: string
  readonly masqueradeAll: boolean
  /** Bit 14 of the packet mark by default. */
  readonly masqueradeMark: number
  /** Node ports answer on 127.0.0.1 too. */
  readonly localhostNodePorts: boolean
  /** Addresses on which node ports answer; empty: every local address. */
  readonly nodePortAddresses: readonly string[]
  /** Above this number of endpoints comments are left out, as the original does. */
  readonly largeClusterEndpoints: number
}

export const defaultRuleOptions: RuleOptions = { podCidr: '', masqueradeAll: false, masqueradeMark: 1 << 14, localhostNodePorts: true, nodePortAddresses: [], largeClusterEndpoints: 1000 }

/** Jumps from the kernel's own chains, prepended in this order. */
export const baseJumps: readonly { readonly table: 'filter' | 'nat'; readonly from: string; readonly to: string; readonly match: string }[] = [
  { table: 'filter', from: 'INPUT', to: 'KUBE-EXTERNAL-SERVICES', match: '-m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals"' },
  { table: 'filter', from: 'FORWARD', to: 'KUBE-EXTERNAL-SERVICES', match: '-m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals"' },
  { table: 'filter', from: 'INPUT', to: 'KUBE-NODEPORTS', match: '-m comment --comment "kubernetes health check service ports"' },
  { table: 'filter', from: 'FORWARD', to: 'KUBE-SERVICES', match: '-m conntrack --ctstate NEW -m comment --comment "kubernetes service portals"' },
  { table: 'filter', from: 'OUTPUT', to: 'KUBE-SERVICES', match: '-m conntrack --ctstate NEW -m comment --comment "kubernetes service portals"' },
  { table: 'filter', from: 'FORWARD', to: 'KUBE-FORWARD', match: '-m comment --comment "kubernetes forwarding rules"' },
  { table: 'filter', from: 'INPUT', to: 'KUBE-PROXY-FIREWALL', match: '-m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall"' },
  { table: 'filter', from: 'OUTPUT', to: 'KUBE-PROXY-FIREWALL', match: '-m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall"' },
  { table: 'filter', from: 'FORWARD', to: 'KUBE-PROXY-FIREWALL', match: '-m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall"' },
  { table: 'filter', from: 'INPUT', to: 'KUBE-FIREWALL', match: '' },
  { table: 'filter', from: 'OUTPUT', to: 'KUBE-FIREWALL', match: '' },
  { table: 'nat', from: 'OUTPUT', to: 'KUBE-SERVICES', match: '-m comment --comment "kubernetes service portals"' },
  { table: 'nat', from: 'PREROUTING', to: 'KUBE-SERVICES', match: '-m comment --comment "kubernetes service portals"' },
  { table: 'nat', from: 'POSTROUTING', to: 'KUBE-POSTROUTING', match: '-m comment --comment "kubernetes postrouting rules"' },
]

const base32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** The first 16 base32 characters of a SHA-256: chain names stay within the kernel's 28 characters. */
function hashName(text: string): string {
  const digest = createHash('sha256').update(text).digest()
  let out = ''
  let bits = 0
  let value = 0
  for (const byte of digest) {
    value = (value << 8) | byte
    bits += 8
    while (bits >= 5 && out.length < 16) {
      out += base32[(value >> (bits - 5)) & 31]
      bits -= 5
      value &= (1 << bits) - 1
    }
  }
  return out
}

export const serviceChain = (prefix: 'SVC' | 'SVL' | 'EXT' | 'FW', info: ServicePortInfo): string => `KUBE-${prefix}-${hashName(info.name + info.protocol)}`
export const endpointChain = (info: ServicePortInfo, endpoint: ServiceEndpoint): string => `KUBE-SEP-${hashName(`${info.name}${info.protocol}${endpoint.address}:${endpoint.port}`)}`

export function computeRules(infos: readonly ServicePortInfo[], options: RuleOptions): RuleSet {
  const mark = `0x${options.masqueradeMark.toString(16)}/0x${options.masqueradeMark.toString(16)}`
  const markOnly = `0x${options.masqueradeMark.toString(16)}`
  const filter = new Map<string, string[]>()
  const nat = new Map<string, string[]>()
  const endpointCount = infos.reduce((sum, info) => sum + info.clusterEndpoints.length, 0)
  const comment = (text: string): string => (endpointCount > options.largeClusterEndpoints ? '' : `-m comment --comment "${text}" `)

  filter.set('KUBE-SERVICES', []).set('KUBE-EXTERNAL-SERVICES', []).set('KUBE-NODEPORTS', []).set('KUBE-PROXY-FIREWALL', [])
  filter.set('KUBE-FORWARD', [
    '-m conntrack --ctstate INVALID -j DROP',
    `-m comment --comment "kubernetes forwarding rules" -m mark --mark ${mark} -j ACCEPT`,
    '-m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
  ])
  filter.set('KUBE-FIREWALL', options.localhostNodePorts
    ? ['! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP'] : [])
  nat.set('KUBE-SERVICES', []).set('KUBE-NODEPORTS', [])
  nat.set('KUBE-POSTROUTING', [
    `-m mark ! --mark ${mark} -j RETURN`,
    `-j MARK --xor-mark ${markOnly}`,
    '-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
  ])
  nat.set('KUBE-MARK-MASQ', [`-j MARK --or-mark ${markOnly}`])
  const add = (chains: Map<string, string[]>, chain: string, rule: string): void => {
    const rules = chains.get(chain)
    if (rules) rules.push(rule)
    else chains.set(chain, [rule])
  }

  const jumpToEndpoints = (chain: string, info: ServicePortInfo, endpoints: readonly ServiceEndpoint[]): void => {
    if (info.affinitySeconds > 0) {
      for (const endpoint of endpoints) {
        const sep = endpointChain(info, endpoint)
        add(nat, chain, `${comment(`${info.name} -> ${endpoint.address}:${endpoint.port}`)}-m recent --name ${sep} --rcheck --seconds ${info.affinitySeconds} --reap -j ${sep}`)
      }
    }
    endpoints.forEach((endpoint, i) => {
      const left = endpoints.length - i
      const chance = left > 1 ? `-m statistic --mode random --probability ${(1 / left).toFixed(10)} ` : ''
      add(nat, chain, `${comment(`${info.name} -> ${endpoint.address}:${endpoint.port}`)}${chance}-j ${endpointChain(info, endpoint)}`)
    })
  }

  for (const info of infos) {
    const { protocol } = info
    const clusterChain = serviceChain('SVC', info)
    const localChain = serviceChain('SVL', info)
    const external = info.nodePort > 0 || info.externalIps.length > 0 || info.loadBalancerIps.length > 0
    const internal = info.internalLocal ? info.localEndpoints : info.clusterEndpoints
    const usesCluster = !info.internalLocal || (external && !info.externalLocal) || (external && info.externalLocal && info.clusterEndpoints.length > 0)
    const usesLocal = info.internalLocal || (external && info.externalLocal)
    const externalEndpoints = info.externalLocal ? info.localEndpoints : info.clusterEndpoints
    const target = (address: string, port: number): string => `-m ${protocol} -p ${protocol} -d ${address}/32 --dport ${port}`

    // Nothing to send it to: say so at once (or drop, when another node would have taken it).
    const noEndpoints = info.hasAnyEndpoints
      ? { verdict: 'DROP', text: `${info.name} has no local endpoints` } : { verdict: 'REJECT', text: `${info.name} has no endpoints` }
    if (internal.length === 0) add(filter, 'KUBE-SERVICES', `-m comment --comment "${noEndpoints.text}" ${target(info.clusterIp, info.port)} -j ${noEndpoints.verdict}`)
    else add(nat, 'KUBE-SERVICES', `-m comment --comment "${info.name} cluster IP" ${target(info.clusterIp, info.port)} -j ${info.internalLocal ? localChain : clusterChain}`)

    if (external) {
      const externalChain = serviceChain('EXT', info)
      const firewallChain = serviceChain('FW', info)
      const reachable = externalEndpoints.length > 0 || (info.externalLocal && info.clusterEndpoints.length > 0)
      const refuse = (match: string): void => add(filter, 'KUBE-EXTERNAL-SERVICES', `-m comment --comment "${noEndpoints.text}" ${match} -j ${noEndpoints.verdict}`)
      for (const ip of info.externalIps) {
        if (reachable) add(nat, 'KUBE-SERVICES', `-m comment --comment "${info.name} external IP" ${target(ip, info.port)} -j ${externalChain}`)
        if (externalEndpoints.length === 0) refuse(target(ip, info.port))
      }
      const firewalled = info.loadBalancerSourceRanges.length > 0 && info.loadBalancerIps.length > 0
      for (const ip of info.loadBalancerIps) {
        if (reachable) add(nat, 'KUBE-SERVICES', `-m comment --comment "${info.name} loadbalancer IP" ${target(ip, info.port)} -j ${firewalled ? firewallChain : externalChain}`)
        if (externalEndpoints.length === 0) refuse(target(ip, info.port))
        if (firewalled) add(filter, 'KUBE-PROXY-FIREWALL', `-m comment --comment "${info.name} traffic not accepted by ${firewallChain}" ${target(ip, info.port)} -j DROP`)
      }
      if (firewalled) {
        for (const range of info.loadBalancerSourceRanges) add(nat, firewallChain, `${comment(`${info.name} loadbalancer IP`)}-s ${range} -j ${externalChain}`)
        add(nat, firewallChain, `${comment(`other traffic to ${info.name} will be dropped by KUBE-PROXY-FIREWALL`)}`.trim() || '-j RETURN')
      }
      if (info.nodePort > 0) {
        if (reachable) add(nat, 'KUBE-NODEPORTS', `-m comment --comment "${info.name}" -m ${protocol} -p ${protocol} --dport ${info.nodePort} -j ${externalChain}`)
        if (externalEndpoints.length === 0) refuse(`-m addrtype --dst-type LOCAL -m ${protocol} -p ${protocol} --dport ${info.nodePort}`)
      }
      if (info.healthCheckNodePort > 0) add(filter, 'KUBE-NODEPORTS', `-m comment --comment "${info.name} health check node port" -m tcp -p tcp --dport ${info.healthCheckNodePort} -j ACCEPT`)
      if (reachable) {
        if (!info.externalLocal) {
          add(nat, externalChain, `${comment(`masquerade traffic for ${info.name} external destinations`)}-j KUBE-MARK-MASQ`)
          add(nat, externalChain, `-j ${clusterChain}`)
        } else {
          if (options.podCidr !== '') add(nat, externalChain, `${comment(`pod traffic for ${info.name} external destinations`)}-s ${options.podCidr} -j ${clusterChain}`)
          add(nat, externalChain, `${comment(`masquerade LOCAL traffic for ${info.name} external destinations`)}-m addrtype --src-type LOCAL -j KUBE-MARK-MASQ`)
          add(nat, externalChain, `${comment(`route LOCAL traffic for ${info.name} external destinations`)}-m addrtype --src-type LOCAL -j ${clusterChain}`)
          if (info.localEndpoints.length > 0) add(nat, externalChain, `-j ${localChain}`)
        }
      }
    }

    const endpoints = new Map<string, ServiceEndpoint>()
    const enter = (chain: string, list: readonly ServiceEndpoint[], forClusterIp: boolean): void => {
      if (list.length === 0) return
      if (forClusterIp) {
        const clusterIpTarget = `${comment(`${info.name} cluster IP`)}${target(info.clusterIp, info.port)}`
        if (options.masqueradeAll) add(nat, chain, `${clusterIpTarget} -j KUBE-MARK-MASQ`)
        else if (options.podCidr !== '') add(nat, chain, `${comment(`${info.name} cluster IP`)}-m ${protocol} -p ${protocol} ! -s ${options.podCidr} -d ${info.clusterIp}/32 --dport ${info.port} -j KUBE-MARK-MASQ`)
      }
      jumpToEndpoints(chain, info, list)
      for (const endpoint of list) endpoints.set(`${endpoint.address}:${endpoint.port}`, endpoint)
    }
    if (usesCluster) enter(clusterChain, info.clusterEndpoints, !info.internalLocal)
    if (usesLocal) enter(localChain, info.localEndpoints, info.internalLocal)
    for (const endpoint of endpoints.values()) {
      const chain = endpointChain(info, endpoint)
      const affinity = info.affinitySeconds > 0 ? `-m recent --name ${chain} --set ` : ''
      add(nat, chain, `${comment(info.name)}-s ${endpoint.address}/32 -j KUBE-MARK-MASQ`)
      add(nat, chain, `${comment(info.name)}${affinity}-m ${protocol} -p ${protocol} -j DNAT --to-destination ${endpoint.address}:${endpoint.port}`)
    }
  }

  const services = nat.get('KUBE-SERVICES') ?? []
  const nodePortsComment = '-m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain"'
  if (options.nodePortAddresses.length > 0) for (const address of options.nodePortAddresses) services.push(`${nodePortsComment} -d ${address} -j KUBE-NODEPORTS`)
  else services.push(`${nodePortsComment} -m addrtype --dst-type LOCAL${options.localhostNodePorts ? '' : ' ! -d 127.0.0.0/8'} -j KUBE-NODEPORTS`)
  return { filter, nat }
}

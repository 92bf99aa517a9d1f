// What a pod's /etc/resolv.conf says, by its DNS policy.
// Upstream: pkg/kubelet/network/dns/dns.go
import { isHostNetwork, podNamespace } from '../pod/pod-facts.ts'
import type { DNSConfig } from '../../../lib/cri-api/generated/types.ts'
import type { Pod } from '../../../lib/api/generated/types/core-v1.ts'

export interface DnsSettings {
  /** Addresses of the cluster's DNS; none means that ClusterFirst falls back to Default. */
  readonly clusterDns: readonly string[]
  readonly clusterDomain: string
}

export interface ResolvConf {
  readonly servers: readonly string[]
  readonly searches: readonly string[]
  readonly options: readonly string[]
}

const maxServers = 3
const maxSearches = 32
const maxSearchCharacters = 2048

/** Reads resolv.conf(5). */
export function parseResolvConf(text: string): ResolvConf {
  let searches: readonly string[] = []
  const servers: string[] = []
  let options: readonly string[] = []
  for (const line of text.split('\n')) {
    const words = line.trim().split(/\s+/)
    const [keyword, ...rest] = words
    if (keyword === undefined || keyword === '' || keyword.startsWith('#') || keyword.startsWith(';')) continue
    if (keyword === 'nameserver' && rest[0]) servers.push(rest[0])
    else if (keyword === 'search') searches = rest.map((s) => (s === '.' ? s : s.replace(/\.$/, '')))
    else if (keyword === 'options') options = rest
  }
  return { servers, searches, options }
}

function unique(values: readonly string[]): readonly string[] { return [...new Set(values)] }

/** A pod's option replaces the host's of the same name. */
function mergeOptions(base: readonly string[], more: readonly { readonly name?: string; readonly value?: string }[]): readonly string[] {
  const map = new Map(base.map((o) => [o.split(':')[0] ?? o, o]))
  for (const { name = '', value } of more) map.set(name, value === undefined || value === '' ? name : `${name}:${value}`)
  return [...map.values()]
}

function limitSearches(searches: readonly string[]): readonly string[] {
  const out: string[] = []
  let characters = 0
  for (const s of searches.slice(0, maxSearches)) {
    characters += s.length + 1
    if (characters > maxSearchCharacters) break
    out.push(s)
  }
  return out
}

/** @param host the node's own resolv.conf, for policy Default and for its search domains. */
export function podDnsConfig(pod: Pod, host: ResolvConf, settings: DnsSettings): DNSConfig {
  const policy = pod.spec?.dnsPolicy ?? 'ClusterFirst'
  const clusterFirst = (policy === 'ClusterFirst' && !isHostNetwork(pod)) || policy === 'ClusterFirstWithHostNet'
  let config: ResolvConf
  if (policy === 'None') config = { servers: [], searches: [], options: [] }
  else if (clusterFirst && settings.clusterDns.length > 0) {
    const domain = settings.clusterDomain
    const own = domain === '' ? [] : [`${podNamespace(pod)}.svc.${domain}`, `svc.${domain}`, domain]
    config = { servers: settings.clusterDns, searches: unique([...own, ...host.searches]), options: ['ndots:5'] }
  } else config = host
  const extra = pod.spec?.dnsConfig
  return {
    servers: unique([...config.servers, ...(extra?.nameservers ?? [])]).slice(0, maxServers),
    searches: limitSearches(unique([...config.searches, ...(extra?.searches ?? [])])),
    options: mergeOptions(config.options, extra?.options ?? []),
  }
}

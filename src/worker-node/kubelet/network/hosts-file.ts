// A pod's host name and its /etc/hosts.
// Upstream: pkg/kubelet/kubelet_pods.go (managedHostsFileContent, GeneratePodHostNameAndDomain)
import { podNamespace } from '../pod/pod-facts.ts'
import type { HostAlias, Pod } from '../../../lib/api/generated/types/core-v1.ts'

/** The pod's host name and, with a subdomain, its domain. At most 63 characters, with no trailing dash or dot. */
export function podHostname(pod: Pod, clusterDomain: string): { readonly hostname: string; readonly domain: string } {
  if (pod.spec?.hostnameOverride) return { hostname: pod.spec.hostnameOverride, domain: '' }
  const hostname = pod.spec?.hostname || pod.metadata.name.slice(0, 63).replace(/[-.]+$/, '')
  const domain = pod.spec?.subdomain ? `${pod.spec.subdomain}.${podNamespace(pod)}.svc.${clusterDomain}` : ''
  return { hostname, domain }
}

function formatAliases(aliases: readonly HostAlias[]): string {
  if (aliases.length === 0) return ''
  return `\n# Entries added by HostAliases.\n${aliases.map((a) => `${a.ip}\t${(a.hostnames ?? []).join('\t')}\n`).join('')}`
}

/** For a pod with a network of its own. */
export function podHostsFile(podIps: readonly string[], hostname: string, domain: string, aliases: readonly HostAlias[]): string {
  const names = domain === '' ? hostname : `${hostname}.${domain}\t${hostname}`
  return '# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\n'
    + `fe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n${podIps.map((ip) => `${ip}\t${names}\n`).join('')}${formatAliases(aliases)}`
}

/** For a pod on the host's network: the host's own file and the aliases. */
export function hostNetworkHostsFile(hostFile: string, aliases: readonly HostAlias[]): string {
  return `# Kubernetes-managed hosts file (host network).\n${hostFile}${formatAliases(aliases)}`
}

// The texts of a sandbox's small files. Pure.
import type { DNSConfig } from '../../../lib/cri-api/generated/types.ts'

/** Undefined without any setting: the node's own file counts then. */
export function resolvConf(config: DNSConfig | undefined): string | undefined {
  const { servers = [], searches = [], options = [] } = config ?? {}
  if (servers.length + searches.length + options.length === 0) return undefined
  return [
    ...(searches.length > 0 ? [`search ${searches.join(' ')}`] : []), ...servers.map((server) => `nameserver ${server}`), ...(options.length > 0 ? [`options ${options.join(' ')}`] : []), '',
  ].join('\n')
}

export function hostsFile(ips: readonly string[], hostname: string): string {
  return ['127.0.0.1\tlocalhost', '::1\tlocalhost ip6-localhost ip6-loopback', ...ips.map((ip) => `${ip}\t${hostname}`), ''].join('\n')
}

/** The file of a sysctl; dots and slashes both separate its parts. Undefined when the name is none. */
export function sysctlPath(name: string): string | undefined {
  const parts = name.includes('/') ? name.split('/') : name.split('.')
  return parts.length > 1 && parts.every((part) => /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(part) && !part.includes('..')) ? `/proc/sys/${parts.join('/')}` : undefined
}

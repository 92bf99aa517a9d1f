// kube-apiserver's flags about etcd, with the original's names, defaults and errors.
// Upstream: apiserver/pkg/server/options/etcd.go
import type { FlagSpecs, FlagValues } from '../../lib/component-base/flags.ts'

export const etcdFlags = {
  'etcd-servers': { type: 'strings', usage: 'etcd servers to connect to: scheme://ip:port, comma-separated; the first that can be reached is used' },
  'etcd-servers-overrides': { type: 'strings', usage: 'etcd servers of single resources: group/resource#servers, the servers separated by semicolons, such as /events#https://10.0.0.9:2379' },
  'etcd-cafile': { type: 'string', usage: 'authority of the etcd servers’ certificates' },
  'etcd-certfile': { type: 'string', usage: 'certificate that etcd knows this server by' },
  'etcd-keyfile': { type: 'string', usage: 'key of that certificate' },
  'etcd-prefix': { type: 'string', default: '/registry', usage: 'what all keys begin with' },
  'etcd-compaction-interval': { type: 'duration', default: 300_000, usage: 'time between compactions; 0 leaves them to others' },
  'etcd-count-metric-poll-period': { type: 'duration', default: 60_000, usage: 'accepted; the number of objects per resource is known at any time, 0 turns the metric off' },
  'etcd-db-metric-poll-interval': { type: 'duration', default: 30_000, usage: 'time between two looks at the size of etcd’s database, for the metric; 0 turns it off' },
  'etcd-healthcheck-timeout': { type: 'duration', default: 2000, usage: 'how long etcd may take to answer for /healthz/etcd and /livez/etcd' },
  'etcd-readycheck-timeout': { type: 'duration', default: 2000, usage: 'how long etcd may take to answer for /readyz/etcd-readiness' },
  'lease-reuse-duration-seconds': { type: 'int', default: 60, usage: 'how long events share a lease' },
  'storage-backend': { type: 'string', usage: 'how objects are kept: etcd3' },
  'storage-media-type': { type: 'string', default: 'application/json', usage: 'how objects are written to etcd: JSON, whatever is asked for; application/vnd.kubernetes.protobuf is read too' },
} as const satisfies FlagSpecs

const mediaTypes = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf']

export interface EtcdOverride {
  /** `group/resource`, `/events` */
  readonly resource: string
  readonly servers: readonly string[]
}

/** What is wrong with the flags, in the original's words where it has some. */
export function checkEtcdFlags(flags: FlagValues<typeof etcdFlags>): readonly string[] {
  const errors: string[] = []
  if (flags['etcd-servers'].length === 0) errors.push('--etcd-servers must be specified')
  for (const server of flags['etcd-servers']) if (!isServer(server)) errors.push(`--etcd-servers: ${server} is no URL of an etcd; write https://10.0.0.1:2379`)
  if (flags['storage-backend'] !== '' && flags['storage-backend'] !== 'etcd3') errors.push("--storage-backend invalid, allowed values: etcd3. If not specified, it will default to 'etcd3'")
  if (!mediaTypes.includes(flags['storage-media-type'])) errors.push(`--storage-media-type ${JSON.stringify(flags['storage-media-type'])} invalid, allowed values: ${mediaTypes.join(', ')}`)
  const overrides = parseOverrides(flags['etcd-servers-overrides'])
  if (typeof overrides === 'string') errors.push(overrides)
  else if (errors.length === 0) {
    const of = (resource: string): string => [...(overrides.find((one) => one.resource === resource)?.servers ?? [])].sort().join()
    if (of('/services') !== of('networking.k8s.io/ipaddresses')) errors.push('--etcd-servers-overrides: /services and networking.k8s.io/ipaddresses are written together: give both the same servers')
  }
  if ((flags['etcd-certfile'] === '') !== (flags['etcd-keyfile'] === '')) errors.push('--etcd-certfile and --etcd-keyfile belong together: give both, or none')
  return errors
}

const isServer = (text: string): boolean => /^(https?:\/\/|unixs?:\/\/)?[^\s/]+$/.test(text)

/** The overrides, or what is wrong with them. */
export function parseOverrides(texts: readonly string[]): readonly EtcdOverride[] | string {
  const overrides: EtcdOverride[] = []
  for (const text of texts) {
    const tokens = text.split('#')
    const [path = '', list = ''] = tokens
    if (tokens.length !== 2) return '--etcd-servers-overrides invalid, must be of format: group/resource#servers, where servers are URLs, semicolon separated'
    if (path.split('/').length !== 2) return `--etcd-servers-overrides invalid: ${path} is no group/resource; the group of core resources is empty, as in /events`
    const servers = list.split(';')
    if (servers.length === 0 || servers.some((server) => server === '' || !isServer(server))) return '--etcd-servers-overrides invalid, must be of format: group/resource#servers, where servers are URLs, semicolon separated'
    overrides.push({ resource: path, servers })
  }
  return overrides
}

/** The prefix with one slash before it and none behind. */
export function normalisePrefix(prefix: string): string { return `/${prefix.replace(/^\/+|\/+$/g, '')}`.replace(/^\/$/, '') }

// kube-apiserver's flags about etcd, with the original's names, defaults and errors.
// Upstream: apiserver/pkg/server/options/etcd.go
import { storageMediaTypes, type StorageMediaType } from '../../control-plane/kube-apiserver/storage/stored-values.ts'
import { formatGroupResource, parseGroupResource } from '../../control-plane/kube-apiserver/storage/encryption/encryption-configuration.ts'
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
  'storage-media-type': { type: 'string', usage: 'how objects are written to etcd: application/json, application/yaml or application/vnd.kubernetes.protobuf; all three are read. JSON when absent (docs/decisions/0008), and then what stands there in another form stays so until it changes' },
  'encryption-provider-config': { type: 'string', usage: 'file that says which resources are encrypted in etcd, and by what' },
  'encryption-provider-config-automatic-reload': { type: 'bool', usage: 'look once a minute whether that file has changed' },
  'watch-cache': { type: 'bool', default: true, usage: 'answer gets and lists that may be old from the cache; false: from etcd. The cache itself stays, for watches' },
  'watch-cache-sizes': { type: 'strings', usage: 'resources with the sizes of their watch caches, resource[.group]#size; 0 reads the resource as --watch-cache=false does, all other sizes are the same' },
  'default-watch-cache-size': { type: 'int', default: 100, usage: 'DEPRECATED: no effect, as in the original' },
  'delete-collection-workers': { type: 'int', default: 16, usage: 'how many objects of a deletecollection are deleted at a time' },
  'enable-garbage-collector': { type: 'bool', default: true, usage: 'let deletions leave dependents to the garbage collector; has to be the same in kube-controller-manager' },
} as const satisfies FlagSpecs

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
  const { 'storage-media-type': mediaType } = flags
  if (mediaType !== '' && storageMediaTypeOf(mediaType) === undefined) errors.push(`--storage-media-type ${JSON.stringify(mediaType)} invalid, allowed values: ${storageMediaTypes.join(', ')}`)
  if (flags['encryption-provider-config-automatic-reload'] && flags['encryption-provider-config'] === '') errors.push('--encryption-provider-config-automatic-reload must be set with --encryption-provider-config')
  const sizes = parseWatchCacheSizes(flags['watch-cache-sizes'])
  if (typeof sizes === 'string') errors.push(sizes)
  if (flags['delete-collection-workers'] < 1) errors.push('--delete-collection-workers must be at least 1')
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

export const storageMediaTypeOf = (text: string): StorageMediaType | undefined => storageMediaTypes.find((known) => known === text)

/** Resources with a cache of size 0, as `resource.group`; or what is wrong. */
export function parseWatchCacheSizes(texts: readonly string[]): ReadonlySet<string> | string {
  const uncached = new Set<string>()
  for (const text of texts) {
    const [resource = '', size = '', ...more] = text.split('#')
    if (more.length > 0 || !text.includes('#')) return `--watch-cache-sizes: invalid value of watch cache size: ${text}`
    if (!/^[-+]?\d+$/.test(size)) return `--watch-cache-sizes: invalid size of watch cache size: ${text}`
    if (Number(size) < 0) return `--watch-cache-sizes: watch cache size cannot be negative: ${text}`
    const name = formatGroupResource(parseGroupResource(resource))
    if (Number(size) === 0) uncached.add(name)
    else uncached.delete(name)
  }
  return uncached
}

/** Which resources are read from etcd every time; undefined: none. */
export function uncachedResources(flags: Pick<FlagValues<typeof etcdFlags>, 'watch-cache' | 'watch-cache-sizes'>): ((group: string, resource: string) => boolean) | undefined {
  if (!flags['watch-cache']) return () => true
  const sizes = parseWatchCacheSizes(flags['watch-cache-sizes'])
  return typeof sizes === 'string' || sizes.size === 0 ? undefined : (group, resource) => sizes.has(formatGroupResource({ group, resource }))
}

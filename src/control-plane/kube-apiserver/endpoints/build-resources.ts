// The served resources, each with its strategy, its place in etcd and its cache: the generated list of the API, the kinds' strategies and the key
// layout put together.
import { servedResources } from '../../../lib/api/generated/resources.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { ResourceInfo } from '../../../lib/api/resource-info.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { EtcdClient } from '../../../lib/etcd-client/etcd-client.ts'
import type { StrategyTable } from '../registry/strategy.ts'
import type { FeedTarget } from '../storage/etcd-feed.ts'
import { EtcdFeed } from '../storage/etcd-feed.ts'
import { ResourceStore } from '../storage/resource-store.ts'
import { storagePrefix } from '../storage/storage-keys.ts'
import type { StoredKind } from '../storage/stored-object.ts'
import type { EncryptionAtRest } from '../storage/encryption/encryption-at-rest.ts'
import { StoredValues, type StorageMediaType } from '../storage/stored-values.ts'
import { WatchCache } from '../storage/watch-cache.ts'
import { eventConversion } from './event-conversion.ts'
import type { ServedResource } from './served-resource.ts'
import { apiVersionOf } from './served-resource.ts'

/** Groups and versions that are served, in discovery's order. What isn't here is off: it belongs to later issues or to feature gates. */
const served: ReadonlySet<string> = new Set([
  '/v1', 'apps/v1', 'events.k8s.io/v1', 'authentication.k8s.io/v1', 'authorization.k8s.io/v1', 'autoscaling/v2', 'batch/v1', 'certificates.k8s.io/v1', 'networking.k8s.io/v1',
  'policy/v1', 'rbac.authorization.k8s.io/v1', 'storage.k8s.io/v1', 'scheduling.k8s.io/v1', 'coordination.k8s.io/v1', 'node.k8s.io/v1', 'discovery.k8s.io/v1', 'flowcontrol.apiserver.k8s.io/v1',
])

export interface BuiltResources {
  /** One per etcd; the first is the one that all but a few resources are kept in. */
  readonly feeds: readonly EtcdFeed[]
  /** In discovery's order, by `group/version/resource`. */
  readonly resources: ReadonlyMap<string, ServedResource>
  /** By `group/resource`. */
  readonly stored: ReadonlyMap<string, ServedResource>
}

export interface BuildOptions {
  readonly etcd: EtcdClient
  /** Resources with an etcd of their own, by `group/resource`. */
  readonly etcdOverrides?: ReadonlyMap<string, EtcdClient>
  /** `/registry` */
  readonly root: string
  readonly clock: Clock
  readonly logger: Logger
  readonly strategies: StrategyTable
  readonly freezeObjects: boolean
  /** How objects are written; absent: as JSON. */
  readonly storageMediaType?: StorageMediaType
  readonly encryption?: EncryptionAtRest
  /** Which resources are read from etcd every time; absent: none. */
  readonly uncached?: (group: string, resource: string) => boolean
}

export function isStored(info: ResourceInfo): boolean {
  return info.verbs.includes('get') && info.verbs.includes('create')
}

export function buildResources(options: BuildOptions): BuiltResources {
  const infos = servedResources.filter((info) => served.has(`${info.group}/${info.version}`))
  const { root } = options
  const targets = new Map<string, FeedTarget>()
  const targetsByEtcd = new Map<EtcdClient, FeedTarget[]>([[options.etcd, []]])
  const storageOf = (info: ResourceInfo): ResourceInfo => (info.group === 'events.k8s.io' ? infos.find((i) => i.group === '' && i.resource === 'events') ?? info : info)
  const etcdOf = (info: ResourceInfo): EtcdClient => options.etcdOverrides?.get(`${storageOf(info).group}/${info.resource}`) ?? options.etcd
  const targetOf = (info: ResourceInfo): FeedTarget => {
    const storage = storageOf(info)
    const prefix = storagePrefix(storage.group, storage.resource, root)
    let target = targets.get(prefix)
    if (target) return target
    const strategy = options.strategies.get(`${storage.group}/${storage.resource}`)
    const apiVersion = apiVersionOf(storage.group, storage.version)
    const values = new StoredValues({
      kind: storage.kind, apiVersion, type: storage.type, ...(options.storageMediaType && { mediaType: options.storageMediaType }), ...(options.encryption && { transformer: options.encryption.transformerFor(storage.group, storage.resource) }),
    })
    const kind: StoredKind = {
      head: values.head, freeze: options.freezeObjects,
      selectableFields: (object) => strategy?.selectableFields(object) ?? {},
    }
    targets.set(prefix, target = { prefix, cache: new WatchCache(kind), values })
    const etcd = etcdOf(info)
    const same = targetsByEtcd.get(etcd)
    if (same) same.push(target)
    else targetsByEtcd.set(etcd, [target])
    return target
  }
  const kept = infos.filter((info) => options.strategies.has(`${info.group}/${info.resource}`))
  for (const info of kept) if (isStored(info)) targetOf(info)
  const feeds = new Map([...targetsByEtcd].map(([etcd, of]) => [etcd, new EtcdFeed({ etcd, clock: options.clock, logger: options.logger.named('feed'), root, targets: of })]))
  const feedOf = (info: ResourceInfo): EtcdFeed => feeds.get(etcdOf(info))! // cast: each resource's etcd has its feed; one without targets has the first
  const resources = new Map<string, ServedResource>()
  const stored = new Map<string, ServedResource>()
  for (const info of kept) {
    const own = options.strategies.get(`${info.group}/${info.resource}`)
    const isEvents = info.group === 'events.k8s.io'
    const strategy = isEvents ? options.strategies.get('/events') ?? own : own
    if (!strategy) continue
    const store = new ResourceStore({ group: info.group, resource: info.resource }, targetOf(info), etcdOf(info), feedOf(info), options.uncached?.(info.group, info.resource) === true)
    const entry: ServedResource = { info, apiVersion: apiVersionOf(info.group, info.version), strategy, store, ...(isEvents && { conversion: eventConversion }) }
    resources.set(`${info.group}/${info.version}/${info.resource}`, entry)
    if (!stored.has(`${info.group}/${info.resource}`)) stored.set(`${info.group}/${info.resource}`, entry)
  }
  return { feeds: [...feeds.values()], resources, stored }
}

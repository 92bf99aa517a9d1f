// What handlers share: the served resources, the caches to look things up in, admission, and the world (clock, chance, log). Read-only for them.
import type { Clock } from '../../../lib/base/clock.ts'
import type { Random } from '../../../lib/base/random.ts'
import type { ApiObject, ResourceKey } from '../../../lib/client/api-client.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { EtcdClient } from '../../../lib/etcd-client/etcd-client.ts'
import type { AdmissionChain } from '../admission/admission.ts'
import type { Authorizer } from '../authorization/authorizer.ts'
import type { ServiceAllocation } from '../allocation/service-allocation.ts'
import type { EventLease } from '../storage/event-lease.ts'
import type { WatchHistory } from '../storage/watch-history.ts'
import type { ServedResource } from './served-resource.ts'

export interface ServerContext {
  readonly etcd: EtcdClient
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** By `group/version/resource`. */
  readonly resources: ReadonlyMap<string, ServedResource>
  /** By `group/resource`: the version in which it is stored. */
  readonly stored: ReadonlyMap<string, ServedResource>
  readonly admission: AdmissionChain
  readonly authorizer: Authorizer
  readonly history: WatchHistory
  readonly services: ServiceAllocation
  readonly eventLease: EventLease
  readonly minRequestTimeoutSeconds: number
  /** Somebody collects dependents: deletions may leave that to them. */
  readonly garbageCollection: boolean
  /** Objects of a deletecollection that are deleted at a time. */
  readonly deleteCollectionWorkers: number
}

/** Cached reads of one kind, for admission and the subresources. Never newer than etcd, seldom older. */
export interface CachedKind<T extends ApiObject> {
  get(namespace: string, name: string): T | undefined
  list(namespace?: string): readonly T[]
}

export function cachedKind<T extends ApiObject>(stored: ReadonlyMap<string, ServedResource>, key: ResourceKey<T>): CachedKind<T> {
  const served = stored.get(`${key.group}/${key.resource}`)
  if (!served) return { get: () => undefined, list: () => [] }
  const { cache } = served.store
  return {
    // cast: the resource's cache holds objects of the key's kind
    get: (namespace, name) => cache.get(key.namespaced ? `${namespace}/${name}` : name)?.object as T | undefined,
    list: (namespace) => cache.list(namespace === undefined || namespace === '' ? '' : `${namespace}/`).map((o) => o.object as T), // cast: as above
  }
}

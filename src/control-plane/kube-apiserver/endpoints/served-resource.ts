// One resource under one version: what discovery shows of it, how its kind behaves, and where it is stored.
import type { ResourceInfo } from '../../../lib/api/resource-info.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'
import type { ResourceStrategy } from '../registry/strategy.ts'
import type { ResourceStore } from '../storage/resource-store.ts'

/** Two served forms of one stored object: events of both groups are one thing in etcd. */
export interface VersionConversion {
  toStorage(object: ApiObject): ApiObject
  fromStorage(object: ApiObject): ApiObject
}

export interface ServedResource {
  readonly info: ResourceInfo
  /** `apps/v1`, `v1`. */
  readonly apiVersion: string
  readonly strategy: ResourceStrategy
  readonly store: ResourceStore
  readonly conversion?: VersionConversion
}

export const apiVersionOf = (group: string, version: string): string => (group === '' ? version : `${group}/${version}`)

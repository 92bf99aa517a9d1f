// The cluster IPs and node ports of Services: reserved before a Service is written, taken when it is, free again when it goes. See
// address-allocator.ts and port-allocator.ts for the choice.
import type { Service } from '../../../lib/api/generated/types/core-v1.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'
import type { ServedResource } from '../endpoints/served-resource.ts'
import type { ExtraOperations } from '../storage/resource-store.ts'

/** What one write of a Service holds until it is known whether it happened. */
export interface Reservation {
  /** The Service with its addresses and ports. */
  readonly object: ApiObject
  readonly extra?: ExtraOperations
  /** It was written: what it no longer uses is free. */
  commit(): void
  /** It was not. */
  release(): void
  /** What it asked for belongs to somebody whom this server doesn't know yet: choose others next time. */
  markTaken(): void
}

export interface ServiceAllocation {
  /** undefined for everything but Services. @throws ApiError Invalid when an address or port can't be had */
  reserve(resource: ServedResource, object: ApiObject, old: ApiObject | undefined, dryRun: boolean): Reservation | undefined
  /** Operations that go with the removal of an object. */
  releaseOf(resource: ServedResource, object: ApiObject): ExtraOperations | undefined
}

export const noAllocation: ServiceAllocation = { reserve: () => undefined, releaseOf: () => undefined }

export const isService = (resource: ServedResource): boolean => resource.info.group === '' && resource.info.resource === 'services'
/** @internal */
export const asService = (object: ApiObject): Service => object as unknown as Service // cast: the caller has looked at the resource

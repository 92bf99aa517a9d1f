// The typed client of the API: what controllers, the scheduler, the kubelet and kube-proxy hold. Contract first; see resource-client.ts for
// the implementation over an ApiTransport.
import type { Draft, JsonObject, JsonValue } from '../base/json.ts'
import type { ObjectMeta } from '../api/generated/types/meta-v1.ts'
import type { WatchEvent } from './watch-event.ts'

/** What every stored object has. */
export interface ApiObject {
  readonly apiVersion?: string
  readonly kind?: string
  readonly metadata: ObjectMeta
}

/** Names a resource and the TypeScript type of its objects. */
export interface ResourceKey<T extends ApiObject = ApiObject> {
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly kind: string
  readonly namespaced: boolean
  /** Never set: carries the type. */
  readonly objectType?: T
}

export interface ListOptions {
  readonly labelSelector?: string
  readonly fieldSelector?: string
  readonly limit?: number
  readonly continue?: string
  readonly resourceVersion?: string
  readonly resourceVersionMatch?: 'Exact' | 'NotOlderThan'
}

export interface WatchOptions {
  readonly labelSelector?: string
  readonly fieldSelector?: string
  readonly resourceVersion?: string
  readonly allowWatchBookmarks?: boolean
  readonly timeoutSeconds?: number
}

export interface ApiList<T> {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string; readonly remainingItemCount?: number }
  readonly items: readonly T[]
}

export interface DeleteOptions {
  readonly gracePeriodSeconds?: number
  readonly propagationPolicy?: 'Orphan' | 'Background' | 'Foreground'
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string }
  readonly dryRun?: readonly 'All'[]
}

export interface WriteOptions {
  readonly fieldManager?: string
  readonly dryRun?: boolean
  /** `status`, `scale`, … */
  readonly subresource?: string
}

export type PatchType = 'application/json-patch+json' | 'application/merge-patch+json' | 'application/strategic-merge-patch+json' | 'application/apply-patch+yaml'

/** Every method throws ApiError when the server refuses and TransportError when there is no answer. For cluster-scoped kinds `namespace` is ''. */
export interface ResourceClient<T extends ApiObject> {
  get(namespace: string, name: string, signal: AbortSignal): Promise<T>
  /** `namespace` '' lists all namespaces. */
  list(namespace: string, options: ListOptions, signal: AbortSignal): Promise<ApiList<T>>
  watch(namespace: string, options: WatchOptions, signal: AbortSignal): AsyncIterable<readonly WatchEvent<T>[]>
  create(namespace: string, object: Draft<T>, signal: AbortSignal, options?: WriteOptions): Promise<T>
  update(object: T, signal: AbortSignal, options?: WriteOptions): Promise<T>
  patch(namespace: string, name: string, type: PatchType, patch: JsonValue, signal: AbortSignal, options?: WriteOptions): Promise<T>
  delete(namespace: string, name: string, options: DeleteOptions, signal: AbortSignal): Promise<void>
  deleteCollection(namespace: string, options: DeleteOptions, list: ListOptions, signal: AbortSignal): Promise<void>
  /** POST to a subresource such as `binding`, `eviction` or `token`. */
  createSubresource(namespace: string, name: string, subresource: string, body: JsonObject, signal: AbortSignal): Promise<JsonObject>
}

export interface ApiClient {
  resource<T extends ApiObject>(key: ResourceKey<T>): ResourceClient<T>
  /** Any path, for what has no typed form (discovery, health, reviews). Throws ApiError for an answer of 400 and above. */
  raw(method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body: JsonObject | undefined, signal: AbortSignal): Promise<JsonObject>
}

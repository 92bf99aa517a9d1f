// ConfigMaps and Secrets that pods of this node use: asked for when needed, kept a minute, asked anew for a pod that has just come.
// Rule it keeps: when the API server can't answer, what was known before serves; "there is none" is never kept.
// Upstream: pkg/kubelet/util/manager/cache_based_manager.go
import { hasReason } from '../../../lib/client/api-error.ts'
import { compareResourceVersions } from '../../../lib/client/object-references.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { ApiClient, ApiObject, ResourceKey } from '../../../lib/client/api-client.ts'

interface Cached<T> { readonly object: T; readonly fetchedAtMs: number }

export interface ObjectCache<T> {
  /** The object, no older than `notBeforeMs` (monotonic) and the time to live; undefined when there is none. */
  get(namespace: string, name: string, notBeforeMs: number, signal: AbortSignal): Promise<T | undefined>
  /** What a watch says the object is now (undefined: deleted). False when that is no news. */
  put(namespace: string, name: string, object: T | undefined): boolean
}

function isNewer(a: ApiObject, b: ApiObject): boolean {
  return a.metadata.uid === b.metadata.uid ? compareResourceVersions(a.metadata.resourceVersion, b.metadata.resourceVersion) > 0 : a.metadata.uid !== undefined
}

export function createObjectCache<T extends ApiObject>(client: ApiClient, key: ResourceKey<T>, clock: Clock, timeToLiveMs = 60_000): ObjectCache<T> {
  const cache = new Map<string, Cached<T>>()
  const pending = new Map<string, Promise<T | undefined>>()

  const fetch = async (namespace: string, name: string, id: string, signal: AbortSignal): Promise<T | undefined> => {
    const fetchedAtMs = clock.monotonic()
    try {
      const object = await client.resource(key).get(namespace, name, signal)
      const known = cache.get(id)?.object
      // A watch may have brought a newer one meanwhile.
      const newest = known && isNewer(known, object) ? known : object
      cache.set(id, { object: newest, fetchedAtMs })
      return newest
    } catch (error) {
      if (hasReason(error, 'NotFound')) { cache.delete(id); return undefined }
      const known = cache.get(id)
      if (known && !signal.aborted) return known.object
      throw error
    } finally {
      pending.delete(id)
    }
  }

  return {
    get(namespace, name, notBeforeMs, signal) {
      const id = `${namespace}/${name}`
      const known = cache.get(id)
      if (known && known.fetchedAtMs >= notBeforeMs && clock.monotonic() - known.fetchedAtMs < timeToLiveMs) return Promise.resolve(known.object)
      const running = pending.get(id)
      if (running) return running
      for (const [other, value] of cache) if (cache.size > 2000 && clock.monotonic() - value.fetchedAtMs > timeToLiveMs) cache.delete(other)
      const started = fetch(namespace, name, id, signal)
      pending.set(id, started)
      return started
    },
    put(namespace, name, object) {
      const id = `${namespace}/${name}`
      const known = cache.get(id)?.object
      if (!object) return cache.delete(id)
      if (known && !isNewer(object, known)) return false
      cache.set(id, { object, fetchedAtMs: clock.monotonic() })
      return true
    },
  }
}

// The store of the fake API server: objects by resource and key, one growing revision, a log of changes from which watches are served.
import type { JsonObject } from '../base/json.ts'
import { isJsonObject } from '../base/json.ts'

export interface FakeChange {
  readonly revision: number
  /** `group/resource`. */
  readonly resource: string
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly object: JsonObject
  /** State before the change. */
  readonly previous: JsonObject | undefined
}

export class FakeStore {
  revision = 100
  /** Changes up to this revision are forgotten. */
  compactedRevision = 0
  readonly #objects = new Map<string, Map<string, JsonObject>>()
  readonly #log: FakeChange[] = []
  readonly #listeners = new Set<() => void>()

  get(resource: string, key: string): JsonObject | undefined { return this.#objects.get(resource)?.get(key) }

  /** In key order, as etcd has them. */
  list(resource: string): readonly (readonly [key: string, object: JsonObject])[] {
    return [...this.#objects.get(resource) ?? []].sort(([a], [b]) => (a < b ? -1 : 1))
  }

  /** Stores and freezes the object with its new resourceVersion; returns it. */
  put(resource: string, key: string, object: JsonObject): JsonObject {
    const previous = this.get(resource, key)
    const stored = deepFreeze({ ...object, metadata: { ...metadataOf(object), resourceVersion: String(++this.revision) } })
    let bucket = this.#objects.get(resource)
    if (!bucket) this.#objects.set(resource, bucket = new Map())
    bucket.set(key, stored)
    this.#record({ revision: this.revision, resource, type: previous ? 'MODIFIED' : 'ADDED', object: stored, previous })
    return stored
  }

  delete(resource: string, key: string): JsonObject | undefined {
    const previous = this.get(resource, key)
    if (!previous) return undefined
    this.#objects.get(resource)?.delete(key)
    const last = deepFreeze({ ...previous, metadata: { ...metadataOf(previous), resourceVersion: String(++this.revision) } })
    this.#record({ revision: this.revision, resource, type: 'DELETED', object: last, previous })
    return last
  }

  /** Changes of one resource after `revision`. */
  changesSince(resource: string, revision: number): readonly FakeChange[] {
    let low = 0
    let high = this.#log.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#log[middle]?.revision ?? 0) <= revision) low = middle + 1
      else high = middle
    }
    return this.#log.slice(low).filter((change) => change.resource === resource)
  }

  /** Forgets the log: watches from older revisions get 410. */
  compact(): void { this.compactedRevision = this.revision; this.#log.length = 0 }

  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => { this.#listeners.delete(listener) } }
  }

  /** Wakes the watches without a change. */
  notify(): void { for (const listener of this.#listeners) listener() }

  #record(change: FakeChange): void { this.#log.push(change); this.notify() }
}

export function metadataOf(object: JsonObject): JsonObject {
  const metadata = object['metadata']
  return isJsonObject(metadata) ? metadata : {}
}

/** Freezes a JSON value all the way down: whoever changes a shared object throws. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const inner of Object.values(value)) deepFreeze(inner)
  }
  return value
}

// The copy that an informer keeps: objects by key, by namespace and by the indexes that its users added. Pure data structure.
// Upstream: client-go/tools/cache/thread_safe_store.go
import type { ApiObject } from './api-client.ts'
import type { Lister } from './informer-contract.ts'

type Bucket<T> = Map<string, T>

interface Index<T> {
  readonly values: (object: T) => readonly string[]
  readonly buckets: Map<string, Bucket<T>>
}

/** Key of an object in the store. */
export function storeKey(namespace: string, name: string): string { return `${namespace}/${name}` }

export class InformerStore<T extends ApiObject> implements Lister<T> {
  readonly #objects: Bucket<T> = new Map()
  readonly #namespaces = new Map<string, Bucket<T>>()
  readonly #indexes = new Map<string, Index<T>>()
  /** Lists handed out since the last change, so that listing twice costs once. */
  #all: readonly T[] | undefined

  get(namespace: string, name: string): T | undefined { return this.#objects.get(storeKey(namespace, name)) }

  list(namespace?: string): readonly T[] {
    if (namespace === undefined || namespace === '') return this.#all ??= [...this.#objects.values()]
    const bucket = this.#namespaces.get(namespace)
    return bucket ? [...bucket.values()] : []
  }

  byIndex(index: string, value: string): readonly T[] {
    const found = this.#indexes.get(index)
    if (!found) throw new Error(`no index named ${JSON.stringify(index)}`)
    const bucket = found.buckets.get(value)
    return bucket ? [...bucket.values()] : []
  }

  get size(): number { return this.#objects.size }
  keys(): IterableIterator<string> { return this.#objects.keys() }

  hasIndex(name: string): boolean { return this.#indexes.has(name) }

  /** Adds an index; objects already there are indexed at once. */
  addIndex(name: string, values: (object: T) => readonly string[]): void {
    const index: Index<T> = { values, buckets: new Map() }
    this.#indexes.set(name, index)
    for (const [key, object] of this.#objects) for (const value of values(object)) bucketOf(index.buckets, value).set(key, object)
  }

  /** Puts the object in and returns the one it replaces. */
  set(object: T): T | undefined {
    const { namespace = '', name = '' } = object.metadata
    const key = storeKey(namespace, name)
    const old = this.#objects.get(key)
    if (old) this.#unindex(key, old)
    this.#objects.set(key, object)
    bucketOf(this.#namespaces, namespace).set(key, object)
    for (const index of this.#indexes.values()) for (const value of index.values(object)) bucketOf(index.buckets, value).set(key, object)
    this.#all = undefined
    return old
  }

  /** Takes the object out and returns it. */
  delete(key: string): T | undefined {
    const old = this.#objects.get(key)
    if (!old) return undefined
    this.#objects.delete(key)
    dropFrom(this.#namespaces, old.metadata.namespace ?? '', key)
    this.#unindex(key, old)
    this.#all = undefined
    return old
  }

  #unindex(key: string, object: T): void {
    for (const index of this.#indexes.values()) for (const value of index.values(object)) dropFrom(index.buckets, value, key)
  }
}

function bucketOf<T>(buckets: Map<string, Bucket<T>>, value: string): Bucket<T> {
  let bucket = buckets.get(value)
  if (!bucket) buckets.set(value, bucket = new Map())
  return bucket
}

function dropFrom<T>(buckets: Map<string, Bucket<T>>, value: string, key: string): void {
  const bucket = buckets.get(value)
  bucket?.delete(key)
  if (bucket?.size === 0) buckets.delete(value)
}

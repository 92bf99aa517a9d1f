// A local, always current copy of one kind of object: list once, watch ever after, tell the handlers. Contract; see informer.ts.
// Upstream: client-go/tools/cache (Reflector, Indexer, SharedInformer)
import type { ApiObject, ResourceKey } from './api-client.ts'

/** `old` and `object` are shared and readonly. A relist tells of changes in between as one update, and of objects that are gone as deleted. */
export interface InformerHandler<T> {
  added?(object: T): void
  updated?(object: T, old: T): void
  deleted?(object: T): void
}

/** Reads of an informer's copy: synchronous, never blocking, never null objects. */
export interface Lister<T> {
  get(namespace: string, name: string): T | undefined
  /** All, or those of one namespace. */
  list(namespace?: string): readonly T[]
  /** Objects for which the index function named `index` gave `value`. */
  byIndex(index: string, value: string): readonly T[]
}

export interface Informer<T extends ApiObject> extends Lister<T> {
  /** True once the first list has been told to every handler. */
  readonly hasSynced: boolean
  /** The resourceVersion up to which the copy is current. */
  readonly resourceVersion: string
  /** Handlers added late are told of everything already there. */
  addHandler(handler: InformerHandler<T>): void
  /** Adds an index before the informer starts: `values` gives the index values of one object. */
  addIndex(name: string, values: (object: T) => readonly string[]): void
}

export interface InformerOptions {
  readonly namespace?: string
  readonly labelSelector?: string
  readonly fieldSelector?: string
}

/** One informer per resource and options, shared by everybody in a component. */
export interface InformerFactory {
  informer<T extends ApiObject>(key: ResourceKey<T>, options?: InformerOptions): Informer<T>
  /** Starts all informers asked for so far (and those asked for later at once); they end with `signal`. */
  start(signal: AbortSignal): void
  /** Resolves when every informer asked for so far has synced. */
  waitForSync(signal: AbortSignal): Promise<void>
}

// Informers: list once, watch from there, keep a copy, tell the handlers in order.
//
// Rules it keeps: the copy never goes back in time (a relist asks for the most recent state); a watch that ends is resumed from the last
// resourceVersion seen, bookmarks included; 410 (or an answer that makes no sense) leads to a relist, and the difference between the copy and the
// new list is told to handlers as ordinary adds, updates and deletes. Handlers run synchronously, so whoever sees an event sees a copy that has it.
// Upstream: client-go/tools/cache/reflector.go, shared_informer.go
import type { Clock } from '../base/clock.ts'
import { sleep } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import type { Status } from '../api/generated/types/meta-v1.ts'
import { ApiError, hasReason } from './api-error.ts'
import type { ApiClient, ApiObject, ResourceClient, ResourceKey } from './api-client.ts'
import { InformerStore, storeKey } from './informer-store.ts'
import type { Informer, InformerFactory, InformerHandler, InformerOptions } from './informer-contract.ts'
import type { WatchEvent } from './watch-event.ts'

/** What informers say about themselves; a Logger of lib/component-base fits. */
export interface InformerLogger {
  info(message: string, values?: { readonly [key: string]: string | number | undefined }, verbosity?: number): void
  warn(message: string, values?: { readonly [key: string]: string | number | undefined }): void
  error(message: string, error: unknown, values?: { readonly [key: string]: string | number | undefined }): void
}

export interface InformerFactoryOptions {
  readonly client: ApiClient
  readonly clock: Clock
  readonly random: Random
  readonly logger: InformerLogger
  /** Called with every object before it enters a copy: tests freeze it here. */
  readonly onStore?: (object: ApiObject) => void
}

const pageSize = 500
const backOffStartMs = 800
const backOffMostMs = 30_000
/** A watch that lived this long starts over with the shortest back-off. */
const backOffResetMs = 120_000
/** A watch that ends sooner than this without an event is a broken one. */
const shortestWatchMs = 1_000
const shortestTimeoutSeconds = 300

export function createInformerFactory(options: InformerFactoryOptions): InformerFactory {
  const informers = new Map<string, ReflectingInformer<ApiObject>>()
  let running: AbortSignal | undefined
  return {
    informer<T extends ApiObject>(key: ResourceKey<T>, informerOptions: InformerOptions = {}): Informer<T> {
      const id = [key.group, key.version, key.resource, informerOptions.namespace ?? '', informerOptions.labelSelector ?? '', informerOptions.fieldSelector ?? ''].join('|')
      let informer = informers.get(id)
      if (!informer) {
        informer = new ReflectingInformer<ApiObject>(key, informerOptions, options)
        informers.set(id, informer)
        if (running) informer.start(running)
      }
      return informer as unknown as Informer<T> // cast: the key carries the type of its objects
    },
    start(signal) {
      running = signal
      for (const informer of informers.values()) informer.start(signal)
    },
    async waitForSync(signal) {
      await Promise.all([...informers.values()].map((informer) => informer.waitForSync(signal)))
    },
  }
}

class ReflectingInformer<T extends ApiObject> implements Informer<T> {
  readonly #key: ResourceKey<T>
  readonly #options: InformerOptions
  readonly #world: InformerFactoryOptions
  readonly #client: ResourceClient<T>
  readonly #store = new InformerStore<T>()
  readonly #handlers: InformerHandler<T>[] = []
  #resourceVersion = ''
  #synced = false
  #started = false
  #onSynced: (() => void)[] = []

  constructor(key: ResourceKey<T>, options: InformerOptions, world: InformerFactoryOptions) {
    this.#key = key
    this.#options = options
    this.#world = world
    this.#client = world.client.resource(key)
  }

  get hasSynced(): boolean { return this.#synced }
  get resourceVersion(): string { return this.#resourceVersion }
  get(namespace: string, name: string): T | undefined { return this.#store.get(namespace, name) }
  list(namespace?: string): readonly T[] { return this.#store.list(namespace) }
  byIndex(index: string, value: string): readonly T[] { return this.#store.byIndex(index, value) }
  /** Asked for twice by two users, an index of the same name is the same index. */
  addIndex(name: string, values: (object: T) => readonly string[]): void { if (!this.#store.hasIndex(name)) this.#store.addIndex(name, values) }

  addHandler(handler: InformerHandler<T>): void {
    this.#handlers.push(handler)
    for (const object of this.#store.list()) this.#tell(handler, () => handler.added?.(object))
  }

  start(signal: AbortSignal): void {
    if (this.#started) return
    this.#started = true
    this.#run(signal).catch((error: unknown) => { if (!signal.aborted) this.#world.logger.error('Informer ended', error, { resource: this.#key.resource }) })
  }

  waitForSync(signal: AbortSignal): Promise<void> {
    if (this.#synced) return Promise.resolve()
    return new Promise((resolve, reject) => {
      if (signal.aborted) { reject(signal.reason); return }
      const onAbort = (): void => reject(signal.reason)
      signal.addEventListener('abort', onAbort, { once: true })
      this.#onSynced.push(() => { signal.removeEventListener('abort', onAbort); resolve() })
    })
  }

  /** List, watch, and again, until the signal. */
  async #run(signal: AbortSignal): Promise<void> {
    const { clock, random, logger } = this.#world
    let delayMs = backOffStartMs
    while (!signal.aborted) {
      const startedMs = clock.monotonic()
      try {
        if (this.#resourceVersion === '') await this.#relist(signal)
        const { events } = await this.#watch(signal)
        if (events > 0 || clock.monotonic() - startedMs >= shortestWatchMs) { delayMs = backOffStartMs; continue }
        logger.info('Watch ended at once', { resource: this.#key.resource }, 4)
      } catch (error) {
        if (signal.aborted) return
        if (isTooOld(error)) {
          logger.info('Watch is too old, listing again', { resource: this.#key.resource, resourceVersion: this.#resourceVersion }, 2)
          this.#resourceVersion = ''
          if (clock.monotonic() - startedMs >= shortestWatchMs) { delayMs = backOffStartMs; continue }
        } else {
          logger.warn('Listing or watching failed', { resource: this.#key.resource, err: error instanceof Error ? error.message : String(error) })
          // A kind that is gone, or a refusal: the copy may miss deletes, so start from a list.
          if (error instanceof ApiError && error.code !== 429 && error.code < 500) this.#resourceVersion = ''
        }
      }
      if (clock.monotonic() - startedMs >= backOffResetMs) delayMs = backOffStartMs
      try { await sleep(clock, delayMs * (1 + random.float()), signal) } catch { return }
      delayMs = Math.min(delayMs * 2, backOffMostMs)
    }
  }

  async #relist(signal: AbortSignal): Promise<void> {
    const { namespace = '', labelSelector, fieldSelector } = this.#options
    const selectors = { ...(labelSelector === undefined ? {} : { labelSelector }), ...(fieldSelector === undefined ? {} : { fieldSelector }) }
    const items: T[] = []
    let resourceVersion = ''
    let next: string | undefined
    do {
      const page = await this.#client.list(namespace, { ...selectors, limit: pageSize, ...(next ? { continue: next } : {}) }, signal)
      items.push(...page.items)
      resourceVersion = page.metadata.resourceVersion
      next = page.metadata.continue
    } while (next)
    this.#replace(items, resourceVersion)
    if (this.#synced) return
    this.#synced = true
    for (const resolve of this.#onSynced.splice(0)) resolve()
  }

  #replace(items: readonly T[], resourceVersion: string): void {
    const kept = new Set(items.map((item) => storeKey(item.metadata.namespace ?? '', item.metadata.name ?? '')))
    const gone = [...this.#store.keys()].filter((key) => !kept.has(key))
    this.#resourceVersion = resourceVersion
    for (const key of gone) this.#remove(key)
    for (const item of items) {
      const { namespace = '', name = '' } = item.metadata
      const old = this.#store.get(namespace, name)
      if (old && old.metadata.resourceVersion === item.metadata.resourceVersion) continue
      // Deleted and created again under the same name while nobody watched: two objects, two events.
      if (old && old.metadata.uid !== item.metadata.uid) this.#remove(storeKey(namespace, name))
      this.#put(item)
    }
  }

  async #watch(signal: AbortSignal): Promise<{ readonly events: number }> {
    const { namespace = '', labelSelector, fieldSelector } = this.#options
    const timeoutSeconds = Math.floor(shortestTimeoutSeconds * (1 + this.#world.random.float()))
    let seen = 0
    const batches = this.#client.watch(namespace, {
      resourceVersion: this.#resourceVersion, allowWatchBookmarks: true, timeoutSeconds,
      ...(labelSelector === undefined ? {} : { labelSelector }), ...(fieldSelector === undefined ? {} : { fieldSelector }),
    }, signal)
    for await (const batch of batches) {
      for (const event of batch) {
        if (signal.aborted) return { events: seen }
        this.#apply(event)
        seen++
      }
    }
    return { events: seen }
  }

  #apply(event: WatchEvent<T>): void {
    if (event.type === 'ERROR') throw new ApiError(event.object as unknown as Status) // cast: the object of an ERROR event is a Status
    const { namespace = '', name = '', resourceVersion = '' } = event.object.metadata
    this.#resourceVersion = resourceVersion
    switch (event.type) {
      case 'BOOKMARK': return
      case 'DELETED':
        // Its last state, as it was deleted, is what handlers get.
        if (this.#store.get(namespace, name)) { this.#store.set(event.object); this.#remove(storeKey(namespace, name)) }
        return
      case 'ADDED': case 'MODIFIED': this.#put(event.object)
    }
  }

  #put(object: T): void {
    this.#world.onStore?.(object)
    const old = this.#store.set(object)
    for (const handler of this.#handlers) this.#tell(handler, () => (old ? handler.updated?.(object, old) : handler.added?.(object)))
  }

  #remove(key: string): void {
    const old = this.#store.delete(key)
    if (old) for (const handler of this.#handlers) this.#tell(handler, () => handler.deleted?.(old))
  }

  /** One handler's failure is its own: the others and the copy go on. */
  #tell(_handler: InformerHandler<T>, call: () => void): void {
    try { call() } catch (error) { this.#world.logger.error('Informer handler failed', error, { resource: this.#key.resource }) }
  }
}

function isTooOld(error: unknown): boolean {
  return hasReason(error, 'Expired', 'Gone') || (error instanceof ApiError && error.code === 410)
}

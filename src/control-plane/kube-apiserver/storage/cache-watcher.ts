// One watch: first what was there, then what changes, in a queue with a bound.
//
// Rules it keeps: a watcher never makes the cache wait. Its queue holds references to shared deliveries; when it holds more than the bound, the
// watch is cut (the client lists or resumes). After the initial part revisions only grow. A client that didn't ask never gets a bookmark.
import type { CacheEvent, Delivery, ObjectFilter } from './cache-event.ts'
import type { StoredObject } from './stored-object.ts'
import { Delivery as SharedDelivery } from './cache-event.ts'

export interface WatcherOptions {
  /** `<namespace>/` or ''. */
  readonly keyPrefix: string
  /** The one key that can match, where the selector names it. */
  readonly key?: string
  /** A value of spec.nodeName that the selector demands: each kubelet hears of its own pods only, without being asked about all others. */
  readonly nodeName?: string
  /** Labels and fields; undefined: everything under keyPrefix. */
  readonly filter?: ObjectFilter
  readonly bookmarks: boolean
  /** Deliver only what is newer than this. */
  readonly afterRevision: number
  /** More queued bytes than this cut the watch. */
  readonly maxQueuedBytes: number
}

export type WatcherEnd = 'closed' | 'tooSlow'

export class CacheWatcher implements Disposable {
  readonly options: WatcherOptions
  /** Called when something can be taken or the watch has ended; set by the consumer. */
  onReady: (() => void) | undefined
  #initial: readonly StoredObject[]
  #initialAt = 0
  /** Delivered right after the initial part: the mark that it is complete. */
  #initialEnd: Delivery | undefined
  #queue: Delivery[] = []
  #queuedBytes = 0
  #end: WatcherEnd | undefined
  #afterRevision: number
  readonly #onDispose: (watcher: CacheWatcher) => void

  constructor(options: WatcherOptions, initial: readonly StoredObject[], onDispose: (watcher: CacheWatcher) => void) {
    this.options = options
    this.#initial = initial
    this.#afterRevision = options.afterRevision
    this.#onDispose = onDispose
  }

  /** Sends `bookmark` after the initial objects. */
  endInitialWith(bookmark: Delivery): void { this.#initialEnd = bookmark }

  get ended(): WatcherEnd | undefined { return this.#end }
  get hasWork(): boolean { return this.#initialAt < this.#initial.length || this.#initialEnd !== undefined || this.#queue.length > 0 }

  /** @internal the cache calls it for each change under its prefix */
  offer(event: CacheEvent): void {
    if (this.#end !== undefined || event.revision <= this.#afterRevision) return
    const { key, keyPrefix, filter } = this.options
    if (key !== undefined ? event.key !== key : !event.key.startsWith(keyPrefix)) return
    const delivery = event.deliver(filter)
    if (delivery) this.push(delivery)
  }

  push(delivery: Delivery): void {
    if (this.#end !== undefined) return
    this.#queue.push(delivery)
    this.#queuedBytes += delivery.object.value.length
    if (this.#queuedBytes > this.options.maxQueuedBytes) { this.finish('tooSlow'); return }
    if (this.#queue.length === 1) this.onReady?.()
  }

  bookmark(delivery: Delivery): void {
    if (this.options.bookmarks && !this.hasWork) this.push(delivery)
  }

  /** Up to `limit` deliveries in order; empty when there is nothing now. */
  take(limit: number): readonly Delivery[] {
    if (this.#initialAt < this.#initial.length) {
      const out: Delivery[] = []
      // Selectors are looked at here, a piece at a time, so that a watch over very many objects doesn't hold the loop up.
      const { filter } = this.options
      const end = Math.min(this.#initial.length, this.#initialAt + limit)
      for (; this.#initialAt < end; this.#initialAt++) {
        const object = this.#initial[this.#initialAt]! // cast: bounded by the loop
        if (filter === undefined || filter(object)) out.push(new SharedDelivery('ADDED', object))
      }
      if (this.#initialAt >= this.#initial.length) { this.#initial = []; this.#initialAt = 0 }
      if (out.length > 0 || this.#initialAt > 0) return out
    }
    if (this.#initialEnd) {
      const out = [this.#initialEnd]
      this.#initialEnd = undefined
      return out
    }
    if (this.#queue.length <= limit) {
      const out = this.#queue
      this.#queue = []
      this.#queuedBytes = 0
      return out
    }
    const out = this.#queue.splice(0, limit)
    for (const d of out) this.#queuedBytes -= d.object.value.length
    return out
  }

  /** Ends the watch from the server's side. What is queued may still be taken when it was 'closed'. */
  finish(end: WatcherEnd): void {
    if (this.#end !== undefined) return
    this.#end = end
    if (end === 'tooSlow') { this.#queue = []; this.#initial = []; this.#initialEnd = undefined }
    this.#onDispose(this)
    this.onReady?.()
  }

  [Symbol.dispose](): void {
    if (this.#end === undefined) { this.#end = 'closed'; this.#onDispose(this) }
    this.#queue = []
    this.#initial = []
    this.#initialEnd = undefined
    this.onReady = undefined
  }
}

/** Batches of a watcher, waiting for each; ends when the watch ends. */
export async function* batchesOf(watcher: CacheWatcher, signal: AbortSignal, limit = 500): AsyncGenerator<readonly Delivery[]> {
  let wake: (() => void) | undefined
  const ready = (): void => { const w = wake; wake = undefined; w?.() }
  watcher.onReady = ready
  signal.addEventListener('abort', ready, { once: true })
  try {
    while (!signal.aborted) {
      if (watcher.hasWork) {
        const batch = watcher.take(limit)
        if (batch.length > 0) yield batch
        else await new Promise<void>((resolve) => { setImmediate(resolve) })
        continue
      }
      if (watcher.ended !== undefined) return
      await new Promise<void>((resolve) => { wake = resolve })
    }
  } finally {
    signal.removeEventListener('abort', ready)
    watcher[Symbol.dispose]()
  }
}

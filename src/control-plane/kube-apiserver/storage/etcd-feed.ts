// The one watch that keeps every cache current: load all of /registry at one revision, then follow etcd from the next one.
//
// Rules it keeps: caches change in the order of etcd's revisions, all to the same revision; `revision` says how far they are. When etcd goes away
// the caches stay as they are and the watch is taken up again where it stopped; only when etcd has compacted that place is everything loaded anew
// (and every client's watch ended, so that it lists again).
import type { Clock, Timer } from '../../../lib/base/clock.ts'
import { sleep } from '../../../lib/base/clock.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { EtcdClient, EtcdEvent, EtcdKeyValue, EtcdWatch } from '../../../lib/etcd-client/etcd-client.ts'
import { FeatureSupport } from './feature-support.ts'
import { prefixEnd } from './storage-keys.ts'
import { StoredObject, findInsertAt, isCanonical } from './stored-object.ts'
import type { WatchCache } from './watch-cache.ts'

export interface FeedTarget {
  readonly prefix: string
  readonly cache: WatchCache
  /** Bytes of another layout (written by the original, or by hand) to the layout that is served; undefined: unreadable. */
  normalize(value: Uint8Array): { readonly value: Uint8Array; readonly insertAt: number } | undefined
}

export interface EtcdFeedOptions {
  readonly etcd: EtcdClient
  readonly clock: Clock
  readonly logger: Logger
  /** `/registry` */
  readonly root: string
  readonly targets: readonly FeedTarget[]
}

interface Waiter { readonly revision: number; readonly resolve: (reached: boolean) => void }

const pageLimit = 500
const retryDelayMs = 500
/** An answer to a request for progress may not come at all while a watch is behind: it is asked for again. */
const progressIntervalMs = 100

export class EtcdFeed {
  readonly #options: EtcdFeedOptions
  readonly #bySegment = new Map<string, FeedTarget>()
  #revision = 0
  #watch: EtcdWatch | undefined
  #waiters: Waiter[] = []
  #healthy = false
  #progressTimer: Timer | undefined
  readonly #features: FeatureSupport

  constructor(options: EtcdFeedOptions) {
    this.#options = options
    this.#features = new FeatureSupport(options.etcd, options.clock, options.logger)
    for (const target of options.targets) this.#bySegment.set(target.prefix.slice(options.root.length + 1, -1), target)
  }

  /** Every change up to here is in the caches. */
  get revision(): number { return this.#revision }
  /** The watch on etcd stands. */
  get healthy(): boolean { return this.#healthy }
  /** waitFor can reach any revision of etcd's, also where nothing of ours was written. */
  get canCatchUp(): boolean { return this.#features.progress }

  /** Loads, then follows until `signal`. Resolves when the caches are filled for the first time. */
  async start(signal: AbortSignal): Promise<void> {
    for (;;) {
      try { await this.#load(signal); break } catch (error) {
        if (signal.aborted) throw error
        // An etcd that isn't there yet is waited for.
        this.#options.logger.error('Loading from etcd failed', error)
        await sleep(this.#options.clock, retryDelayMs, signal)
      }
    }
    await this.#features.start(signal)
    let first: (() => void) | undefined
    const followed = new Promise<void>((resolve) => { first = resolve })
    this.#run(signal, () => { first?.() }).catch((error: unknown) => { if (!signal.aborted) this.#options.logger.error('The feed from etcd ended', error) })
    await followed
  }

  /** Resolves with true when the caches are at `revision`, with false after `timeoutMs`. */
  async waitFor(revision: number, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    if (this.#revision >= revision) return true
    return new Promise<boolean>((resolve) => {
      const done = (reached: boolean): void => {
        timer[Symbol.dispose]()
        signal.removeEventListener('abort', onAbort)
        this.#waiters = this.#waiters.filter((w) => w !== waiter)
        if (this.#waiters.length === 0) { this.#progressTimer?.[Symbol.dispose](); this.#progressTimer = undefined }
        resolve(reached)
      }
      const onAbort = (): void => { done(false) }
      const waiter: Waiter = { revision, resolve: done }
      const timer = this.#options.clock.setTimer(timeoutMs, () => { done(this.#revision >= revision) })
      signal.addEventListener('abort', onAbort, { once: true })
      this.#waiters.push(waiter)
      this.#askForProgress()
    })
  }

  /** Until nobody waits any more. */
  #askForProgress(): void {
    if (this.#progressTimer || !this.#features.progress) return
    this.#watch?.requestProgress()
    this.#progressTimer = this.#options.clock.setTimer(progressIntervalMs, () => {
      this.#progressTimer = undefined
      if (this.#waiters.length > 0) this.#askForProgress()
    }, { keepAlive: false })
  }

  async #run(signal: AbortSignal, onFirst: () => void): Promise<void> {
    while (!signal.aborted) {
      const end = await this.#follow(signal, onFirst)
      this.#healthy = false
      if (signal.aborted) return
      this.#options.logger.warn('Watch on etcd ended', { compactRevision: end.compactRevision, reason: end.error?.message })
      await sleep(this.#options.clock, retryDelayMs, signal)
      while (end.compactRevision !== undefined && !signal.aborted) {
        try { await this.#load(signal); break } catch (error) {
          this.#options.logger.error('Loading from etcd failed', error)
          await sleep(this.#options.clock, retryDelayMs, signal)
        }
      }
    }
  }

  #follow(signal: AbortSignal, onCreated: () => void): Promise<{ readonly compactRevision?: number; readonly error?: Error }> {
    const { etcd, root } = this.#options
    return new Promise((resolve) => {
      const stop = (): void => { watch[Symbol.dispose](); resolve({}) }
      const watch = etcd.watch({ key: Buffer.from(`${root}/`), rangeEnd: Buffer.from(prefixEnd(`${root}/`)), startRevision: this.#revision + 1, progressNotify: true }, {
        created: () => { this.#healthy = true; onCreated() },
        events: (events, revision) => {
          for (const event of events) this.#apply(event)
          this.#reached(revision)
        },
        closed: (end) => { signal.removeEventListener('abort', stop); resolve(end) },
      })
      this.#watch = watch
      signal.addEventListener('abort', stop, { once: true })
    })
  }

  #apply(event: EtcdEvent): void {
    const found = this.#targetOf(event.kv)
    if (!found) return
    const { target, key } = found
    if (event.type === 'DELETE') { target.cache.delete(key, event.kv.modRevision); return }
    const layout = this.#layoutOf(target, event.kv.value)
    if (layout) target.cache.put(key, layout.value, event.kv.modRevision, layout.insertAt)
    else { this.#options.logger.warn('Unreadable object in etcd', { key: `${target.prefix}${key}` }); target.cache.delete(key, event.kv.modRevision) }
  }

  #layoutOf(target: FeedTarget, value: Uint8Array): { readonly value: Uint8Array; readonly insertAt: number } | undefined {
    return isCanonical(value, target.cache.kind.head) ? { value, insertAt: findInsertAt(value) } : target.normalize(value)
  }

  #targetOf(kv: EtcdKeyValue): { readonly target: FeedTarget; readonly key: string } | undefined {
    const key = Buffer.from(kv.key.buffer, kv.key.byteOffset, kv.key.length).toString('latin1')
    const from = this.#options.root.length + 1
    const first = key.indexOf('/', from)
    if (first < 0) return undefined
    const target = this.#bySegment.get(key.slice(from, first))
    if (target) return { target, key: key.slice(first + 1) }
    const second = key.indexOf('/', first + 1)
    if (second < 0) return undefined
    const deeper = this.#bySegment.get(key.slice(from, second))
    return deeper && { target: deeper, key: key.slice(second + 1) }
  }

  #reached(revision: number): void {
    if (revision > this.#revision) this.#revision = revision
    if (this.#waiters.length === 0) return
    const reached = this.#waiters.filter((waiter) => waiter.revision <= this.#revision)
    for (const waiter of reached) waiter.resolve(true)
  }

  async #load(signal: AbortSignal): Promise<void> {
    const { etcd, root } = this.#options
    const rangeEnd = Buffer.from(prefixEnd(`${root}/`))
    const objects = new Map<FeedTarget, StoredObject[]>(this.#options.targets.map((target) => [target, []]))
    let key: Uint8Array = Buffer.from(`${root}/`)
    let revision = 0
    for (;;) {
      const page = await etcd.range({ key, rangeEnd, limit: pageLimit, ...(revision > 0 && { revision }) }, signal)
      if (revision === 0) revision = page.revision
      for (const kv of page.kvs) {
        const found = this.#targetOf(kv)
        if (!found) continue
        const layout = this.#layoutOf(found.target, kv.value)
        if (layout) objects.get(found.target)?.push(new StoredObject(found.target.cache.kind, found.key, layout.value, kv.modRevision, layout.insertAt))
        else this.#options.logger.warn('Unreadable object in etcd', { key: `${found.target.prefix}${found.key}` })
      }
      const last = page.kvs.at(-1)
      if (!page.more || !last) break
      key = Buffer.concat([last.key, Buffer.of(0)])
    }
    for (const [target, found] of objects) target.cache.reset(found, revision)
    this.#reached(revision)
  }
}

// The one watch that keeps every cache current: load all of /registry at one revision, then follow etcd from the next one.
//
// Rules it keeps: caches change in the order of etcd's revisions, all to the same revision; `revision` says how far they are. When etcd goes away
// the caches stay as they are and the watch is taken up again where it stopped; only when etcd has compacted that place is everything loaded anew
// (and every client's watch ended, so that it lists again). Values whose keys somebody else must open are waited for, and what comes after them.
import type { Clock, Timer } from '../../../lib/base/clock.ts'
import { sleep } from '../../../lib/base/clock.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { EtcdClient, EtcdEvent, EtcdKeyValue, EtcdWatch } from '../../../lib/etcd-client/etcd-client.ts'
import { FeatureSupport } from './feature-support.ts'
import { prefixEnd } from './storage-keys.ts'
import { StoredObject } from './stored-object.ts'
import { UnreadableValueError, type StoredValues } from './stored-values.ts'
import type { WatchCache } from './watch-cache.ts'

export interface FeedTarget {
  readonly prefix: string
  readonly cache: WatchCache
  /** How its values stand in etcd. */
  readonly values: StoredValues
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
  /** Some values have keys that must be waited for. */
  readonly #preparesValues: boolean
  #endToReload: (() => void) | undefined

  constructor(options: EtcdFeedOptions) {
    this.#options = options
    this.#features = new FeatureSupport(options.etcd, options.clock, options.logger)
    this.#preparesValues = options.targets.some(({ values }) => values.mayWait)
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

  /** Loads everything anew when there is something that could not be read. */
  reloadUnreadable(): void { if (this.#options.targets.some(({ cache }) => cache.unreadableUnder('').length > 0)) this.#endToReload?.() }

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
      if (end.reload !== true) {
        this.#options.logger.warn('Watch on etcd ended', { compactRevision: end.compactRevision, reason: end.error?.message })
        await sleep(this.#options.clock, retryDelayMs, signal)
      }
      while ((end.reload === true || end.compactRevision !== undefined) && !signal.aborted) {
        try { await this.#load(signal); break } catch (error) {
          this.#options.logger.error('Loading from etcd failed', error)
          await sleep(this.#options.clock, retryDelayMs, signal)
        }
      }
    }
  }

  #follow(signal: AbortSignal, onCreated: () => void): Promise<{ readonly compactRevision?: number; readonly error?: Error; readonly reload?: true }> {
    const { etcd, root } = this.#options
    return new Promise((resolve) => {
      /** What has come and still waits for a key. */
      let behind: Promise<void> | undefined
      let ended = false
      const stop = (): void => { ended = true; watch[Symbol.dispose](); resolve({}) }
      this.#endToReload = () => {
        if (ended) return
        ended = true
        signal.removeEventListener('abort', stop)
        // First: disposing may say that the watch has ended.
        resolve({ reload: true })
        watch[Symbol.dispose]()
      }
      const watch = etcd.watch({ key: Buffer.from(`${root}/`), rangeEnd: Buffer.from(prefixEnd(`${root}/`)), startRevision: this.#revision + 1, progressNotify: true }, {
        created: () => { this.#healthy = true; onCreated() },
        events: (events, revision) => {
          const wait = this.#prepare(events.filter(({ type }) => type === 'PUT').map(({ kv }) => kv))
          const take = (): void => {
            for (const event of events) this.#apply(event)
            this.#reached(revision)
          }
          if (!wait && !behind) { take(); return }
          const turn: Promise<void> = Promise.all([behind, wait]).then(() => {
            if (behind === turn) behind = undefined
            if (!ended) take()
          })
          behind = turn
        },
        closed: (end) => {
          ended = true
          signal.removeEventListener('abort', stop)
          resolve(end)
        },
      })
      this.#watch = watch
      signal.addEventListener('abort', stop, { once: true })
    })
  }

  #apply(event: EtcdEvent): void {
    const found = this.#targetOf(event.kv)
    if (!found) return
    const { target, key } = found
    const { cache } = target
    if (event.type === 'DELETE') { cache.delete(key, event.kv.modRevision); return }
    const { value, modRevision } = event.kv
    const own = cache.expected(key, value)
    if (own) { cache.put(key, own.isPlain ? value : own.layout.value, modRevision, own.layout.insertAt, own.object); return }
    try {
      const layout = target.values.open(event.kv.key, value)
      cache.put(key, layout.value, modRevision, layout.insertAt)
    } catch (error) {
      cache.putUnreadable(key, modRevision, this.#reasonOf(error, target, key, modRevision))
    }
  }

  /** @throws what is no unreadable value */
  #reasonOf(error: unknown, target: FeedTarget, key: string, revision: number): string {
    if (!(error instanceof UnreadableValueError)) throw error
    this.#options.logger.warn('Unreadable object in etcd', { key: `${target.prefix}${key}`, why: error.message })
    return error.describe(`${target.prefix}${key}`, revision)
  }

  #prepare(kvs: readonly EtcdKeyValue[]): Promise<unknown> | undefined {
    const waits = kvs.flatMap((kv) => {
      const wait = this.#preparesValues ? this.#targetOf(kv)?.target.values.prepare(kv.value) : undefined
      return wait ? [wait] : []
    })
    return waits.length === 0 ? undefined : Promise.all(waits)
  }

  #targetOf(kv: EtcdKeyValue): { readonly target: FeedTarget; readonly key: string } | undefined {
    const { key: bytes } = kv
    const key = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
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
    const unreadable = new Map<FeedTarget, Map<string, string>>(this.#options.targets.map((target) => [target, new Map()]))
    let key: Uint8Array = Buffer.from(`${root}/`)
    let revision = 0
    for (;;) {
      const page = await etcd.range({ key, rangeEnd, limit: pageLimit, ...(revision > 0 && { revision }) }, signal)
      if (revision === 0) revision = page.revision
      await this.#prepare(page.kvs)
      for (const kv of page.kvs) {
        const found = this.#targetOf(kv)
        if (!found) continue
        const { target, key: name } = found
        try {
          const layout = target.values.open(kv.key, kv.value)
          objects.get(target)?.push(new StoredObject(target.cache.kind, name, layout.value, kv.modRevision, layout.insertAt))
        } catch (error) {
          unreadable.get(target)?.set(name, this.#reasonOf(error, target, name, kv.modRevision))
        }
      }
      const last = page.kvs.at(-1)
      if (!page.more || !last) break
      key = Buffer.concat([last.key, Buffer.of(0)])
    }
    for (const [target, found] of objects) target.cache.reset(found, revision, unreadable.get(target))
    this.#reached(revision)
  }
}

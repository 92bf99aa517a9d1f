// Changes older than the cache's window, read from etcd: a watch that resumes after a restart of the API server misses nothing as long as etcd has
// not compacted the place.
import type { Clock, Timer } from '../../../lib/base/clock.ts'
import type { EtcdEvent, EtcdKeyValue } from '../../../lib/etcd-client/etcd-client.ts'
import { CacheEvent } from './cache-event.ts'
import type { ResourceStore } from './resource-store.ts'
import { prefixEnd } from './storage-keys.ts'
import { StoredObject } from './stored-object.ts'
import { UnreadableValueError } from './stored-values.ts'

/** More changes than this are not replayed: listing is cheaper. */
const maxReplayedEvents = 50_000
const progressIntervalMs = 100

export interface ReplayedEvents {
  readonly events: readonly CacheEvent[]
  /** All changes up to here are in `events`. */
  readonly revision: number
}

export class WatchHistory {
  readonly #clock: Clock
  constructor(clock: Clock) { this.#clock = clock }

  /** All changes of the resource after `revision`, up to a revision that the cache's window reaches back to; undefined when they are gone. */
  async since({ store }: { readonly store: ResourceStore }, revision: number, signal: AbortSignal): Promise<ReplayedEvents | undefined> {
    const raw = await this.#rawSince(store, revision, signal)
    if (!raw) return undefined
    const { values } = store.target
    if (values.mayWait) await Promise.all(raw.events.flatMap(({ type, kv, prevKv }) => [...(type === 'PUT' ? [kv] : []), ...(prevKv ? [prevKv] : [])].map((one) => values.prepare(one.value))))
    const events = raw.events.flatMap((event) => {
      const current = event.type === 'PUT' ? this.#stored(store, event.kv) : undefined
      const previous = event.prevKv && this.#stored(store, event.prevKv)
      return current || previous ? [new CacheEvent(event.kv.modRevision, current, previous)] : []
    })
    return { events, revision: raw.revision }
  }

  #rawSince(store: ResourceStore, revision: number, signal: AbortSignal): Promise<{ readonly events: readonly EtcdEvent[]; readonly revision: number } | undefined> {
    const { prefix } = store.target
    const goal = store.feedRevision
    // Without progress that can be relied on nobody says when all of it has come.
    if (!store.canCatchUp && goal > revision) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      const events: EtcdEvent[] = []
      let finished = false
      const finish = (result: { readonly events: readonly EtcdEvent[]; readonly revision: number } | undefined): void => {
        if (finished) return
        finished = true
        timer?.[Symbol.dispose]()
        signal.removeEventListener('abort', onAbort)
        queueMicrotask(() => { watch[Symbol.dispose]() })
        resolve(result)
      }
      const onAbort = (): void => { finish(undefined) }
      let timer: Timer | undefined
      // Every revision up to the goal is in etcd: a member that is behind may be asked in vain, so it is asked again.
      const ask = (): void => {
        if (finished) return
        timer?.[Symbol.dispose]()
        timer = this.#clock.setTimer(progressIntervalMs, ask, { keepAlive: false })
        watch.requestProgress()
      }
      signal.addEventListener('abort', onAbort, { once: true })
      const watch = store.etcd.watch({ key: Buffer.from(prefix), rangeEnd: Buffer.from(prefixEnd(prefix)), startRevision: revision + 1, prevKv: true, progressNotify: true }, {
        created: () => { queueMicrotask(ask) },
        events: (batch, upTo) => {
          for (const event of batch) events.push(event)
          if (events.length > maxReplayedEvents) finish(undefined)
          else if (upTo >= goal) finish({ events, revision: upTo })
          else if (batch.length > 0) ask()
        },
        closed: () => { finish(undefined) },
      })
      if (goal <= revision) finish({ events, revision })
    })
  }

  /** undefined: it can't be read, and is left out as the cache leaves it out. */
  #stored(store: ResourceStore, kv: EtcdKeyValue): StoredObject | undefined {
    const { prefix, values, cache: { kind } } = store.target
    const key = Buffer.from(kv.key).toString('latin1').slice(prefix.length)
    try {
      const layout = values.open(kv.key, kv.value)
      return new StoredObject(kind, key, layout.value, kv.modRevision, layout.insertAt)
    } catch (error) {
      if (error instanceof UnreadableValueError) return undefined
      throw error
    }
  }
}

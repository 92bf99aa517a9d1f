// Changes older than the cache's window, read from etcd: a watch that resumes after a restart of the API server misses nothing as long as etcd has
// not compacted the place.
import type { Clock, Timer } from '../../../lib/base/clock.ts'
import type { EtcdKeyValue } from '../../../lib/etcd-client/etcd-client.ts'
import { CacheEvent } from './cache-event.ts'
import type { ResourceStore } from './resource-store.ts'
import { prefixEnd } from './storage-keys.ts'
import { StoredObject, findInsertAt, isCanonical } from './stored-object.ts'

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
  since({ store }: { readonly store: ResourceStore }, revision: number, signal: AbortSignal): Promise<ReplayedEvents | undefined> {
    const { prefix } = store.target
    const goal = store.feedRevision
    // Without progress that can be relied on nobody says when all of it has come.
    if (!store.canCatchUp && goal > revision) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      const events: CacheEvent[] = []
      let finished = false
      const finish = (result: ReplayedEvents | undefined): void => {
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
          for (const event of batch) {
            const current = event.type === 'PUT' ? this.#stored(store, event.kv) : undefined
            const previous = event.prevKv && this.#stored(store, event.prevKv)
            if (current || previous) events.push(new CacheEvent(event.kv.modRevision, current, previous))
          }
          if (events.length > maxReplayedEvents) finish(undefined)
          else if (upTo >= goal) finish({ events, revision: upTo })
          else if (batch.length > 0) ask()
        },
        closed: () => { finish(undefined) },
      })
      if (goal <= revision) finish({ events, revision })
    })
  }

  #stored(store: ResourceStore, kv: EtcdKeyValue): StoredObject | undefined {
    const { kind } = store.cache
    const layout = isCanonical(kv.value, kind.head) ? { value: kv.value, insertAt: findInsertAt(kv.value) } : store.target.normalize(kv.value)
    return layout && new StoredObject(kind, Buffer.from(kv.key).toString('latin1').slice(store.target.prefix.length), layout.value, kv.modRevision, layout.insertAt)
  }
}

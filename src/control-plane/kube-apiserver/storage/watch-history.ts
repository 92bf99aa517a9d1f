// Changes older than the cache's window, read from etcd: a watch that resumes after a restart of the API server misses nothing as long as etcd has
// not compacted the place.
import type { EtcdClient, EtcdKeyValue } from '../../../lib/etcd-client/etcd-client.ts'
import { CacheEvent } from './cache-event.ts'
import type { ResourceStore } from './resource-store.ts'
import { prefixEnd } from './storage-keys.ts'
import { StoredObject, findInsertAt, isCanonical } from './stored-object.ts'

/** More changes than this are not replayed: listing is cheaper. */
const maxReplayedEvents = 50_000

export interface ReplayedEvents {
  readonly events: readonly CacheEvent[]
  /** All changes up to here are in `events`. */
  readonly revision: number
}

export class WatchHistory {
  readonly #etcd: EtcdClient
  constructor(etcd: EtcdClient) { this.#etcd = etcd }

  /** All changes of the resource after `revision`, up to a revision that the cache's window reaches back to; undefined when they are gone. */
  since({ store }: { readonly store: ResourceStore }, revision: number, signal: AbortSignal): Promise<ReplayedEvents | undefined> {
    const { prefix } = store.target
    const goal = store.feedRevision
    return new Promise((resolve) => {
      const events: CacheEvent[] = []
      let finished = false
      const finish = (result: ReplayedEvents | undefined): void => {
        if (finished) return
        finished = true
        signal.removeEventListener('abort', onAbort)
        queueMicrotask(() => { watch[Symbol.dispose]() })
        resolve(result)
      }
      const onAbort = (): void => { finish(undefined) }
      signal.addEventListener('abort', onAbort, { once: true })
      const watch = this.#etcd.watch({ key: Buffer.from(prefix), rangeEnd: Buffer.from(prefixEnd(prefix)), startRevision: revision + 1, prevKv: true, progressNotify: true }, {
        created: () => { queueMicrotask(() => { if (!finished) watch.requestProgress() }) },
        events: (batch, upTo) => {
          for (const event of batch) {
            const current = event.type === 'PUT' ? this.#stored(store, event.kv) : undefined
            const previous = event.prevKv && this.#stored(store, event.prevKv)
            if (current || previous) events.push(new CacheEvent(event.kv.modRevision, current, previous))
          }
          if (events.length > maxReplayedEvents) finish(undefined)
          else if (upTo >= goal) finish({ events, revision: upTo })
          else watch.requestProgress()
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

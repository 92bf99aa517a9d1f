// Watches: who gets to hear of which change. Synchronous and pure: whoever owns it calls `dispatch` after commits.
//
// Rules it keeps: each watcher hears every matching change once, in revision order, all changes of a revision in one call; watchers of the
// same range share one matching and one list of events; a watcher that is behind (it starts in the past, or its consumer is full and paused
// it) reads from the store's history in pieces, so nothing queues up for it in memory. Upstream: etcd/server/storage/mvcc/watchable_store.go
import { etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type { EtcdEvent, EtcdWatchObserver, EtcdWatchRequest } from '../../../lib/etcd-api/operations.ts'
import { isInRange, keyRange, keyText, type KeyRange } from './key-text.ts'
import { RangeIndex } from './range-index.ts'
import type { MvccStore } from './mvcc-store.ts'
import type { RevisionChanges } from './revision-history.ts'
import type { StoredKeyValue } from './stored-key-value.ts'

/** Runs something after what is going on now. */
export type Defer = (run: () => void) => void

const piecesRevisions = 1000
const piecesEvents = 1000

/** Watchers of one range that want the same form of events. */
interface Group {
  readonly id: string
  readonly range: KeyRange
  readonly prevKv: boolean
  readonly noPut: boolean
  readonly noDelete: boolean
  readonly watchers: Set<HubWatch>
  pending: EtcdEvent[]
}

export class WatchHub {
  readonly #store: MvccStore
  readonly #soon: Defer
  readonly #later: Defer
  readonly #groups = new Map<string, Group>()
  readonly #singleKeys = new Map<string, Set<Group>>()
  readonly #ranges = new RangeIndex<Group>()
  readonly #watches = new Set<HubWatch>()
  /** Synced watchers have heard of everything up to here. */
  #dispatched: number

  /** @param soon before anything else happens @param later when everything that waits has had its turn: between pieces of long work */
  constructor(store: MvccStore, soon: Defer, later: Defer) {
    this.#store = store
    this.#soon = soon
    this.#later = later
    this.#dispatched = store.revision
  }

  /** Events given to watchers since the process began. */
  delivered = 0
  get watcherCount(): number { return this.#watches.size }
  /** Watchers that are catching up or paused. */
  get slowWatcherCount(): number {
    let count = 0
    for (const watch of this.#watches) if (watch.state !== 'synced') count++
    return count
  }

  /** Starts a watch. Nothing is called before `watch` has returned. */
  watch(request: EtcdWatchRequest, observer: EtcdWatchObserver): HubWatch {
    // "From now on" means from this call, not from when it is first served.
    const { revision } = this.#store
    const watch = new HubWatch(this, this.#groupOf(request), observer, request.startRevision || revision + 1, request.progressNotify === true)
    this.#watches.add(watch)
    this.#soon(() => this.#start(watch, revision))
    return watch
  }

  #groupOf(request: EtcdWatchRequest): Group {
    const id = `${keyText(request.key)}\u0100${request.rangeEnd === undefined ? '' : keyText(request.rangeEnd)}\u0100${request.prevKv ? 1 : 0}${request.noPut ? 1 : 0}${request.noDelete ? 1 : 0}`
    const known = this.#groups.get(id)
    if (known) return known
    return { id, range: keyRange(request.key, request.rangeEnd), prevKv: request.prevKv === true, noPut: request.noPut === true, noDelete: request.noDelete === true, watchers: new Set(), pending: [] }
  }

  #start(watch: HubWatch, revision: number): void {
    if (watch.state === 'closed') return
    this.#tell(watch, () => watch.observer.created?.(revision))
    this.#advance(watch)
  }

  /** Delivers everything committed since the last call to the watchers that are up to date. */
  dispatch(): void {
    const revision = this.#store.revision
    if (revision === this.#dispatched) return
    const touched = new Set<Group>()
    for (let r = this.#dispatched + 1; r <= revision; r++) {
      for (const change of this.#store.changesAt(r)) {
        const text = change.record.text
        const single = this.#singleKeys.get(text)
        if (single) for (const group of single) collect(group, change, touched)
        this.#ranges.visit(text, (group) => collect(group, change, touched))
      }
    }
    this.#dispatched = revision
    for (const group of touched) {
      const events = group.pending
      group.pending = []
      for (const watch of group.watchers) {
        if (watch.state !== 'synced') continue
        if (watch.next > revision) continue // it starts in the future
        const fresh = watch.next <= events[0]!.kv.modRevision ? events : events.filter((event) => event.kv.modRevision >= watch.next) // cast: touched groups have events
        watch.next = revision + 1
        if (fresh.length > 0) this.#deliver(watch, fresh, revision)
      }
    }
  }

  /** The store was replaced by a later state of itself: everybody reads on from its history, or is told that it is compacted. */
  storeReplaced(): void {
    this.#dispatched = this.#store.revision
    for (const watch of this.#watches) {
      if (watch.state !== 'synced') continue
      watch.state = 'behind'
      this.#leave(watch)
      this.#later(() => this.#advance(watch))
    }
  }

  /** Reads on from history until the watcher is up to date, paused or closed. */
  #advance(watch: HubWatch): void {
    if (watch.state === 'closed' || watch.state === 'paused') return
    const store = this.#store
    if (watch.next < store.compactedRevision) {
      this.#close(watch, { compactRevision: store.compactedRevision })
      return
    }
    const end = Math.min(store.revision, this.#dispatched)
    if (watch.next > end) { this.#join(watch); return }
    let events: EtcdEvent[] = []
    let revision = watch.next
    for (const last = Math.min(end, watch.next + piecesRevisions - 1); revision <= last && events.length < piecesEvents; revision++) events = collectAll(watch.group, store.changesAt(revision), events)
    watch.next = revision
    if (events.length > 0) this.#deliver(watch, events, revision - 1)
    if (watch.next > end) this.#advance(watch)
    else this.#later(() => this.#advance(watch))
  }

  /** From now on the watcher hears of changes as they are dispatched. */
  #join(watch: HubWatch): void {
    if (watch.state === 'synced') return
    watch.state = 'synced'
    const known = this.#groups.get(watch.group.id)
    if (known) watch.group = known
    else {
      const { group } = watch
      this.#groups.set(group.id, group)
      if (group.range.single) {
        const same = this.#singleKeys.get(group.range.from)
        if (same) same.add(group)
        else this.#singleKeys.set(group.range.from, new Set([group]))
      } else this.#ranges.add(group)
    }
    watch.group.watchers.add(watch)
    if (watch.wantsProgress) this.#answerProgress(watch)
  }

  #leave(watch: HubWatch): void {
    const { group } = watch
    if (!group.watchers.delete(watch) || group.watchers.size > 0) return
    this.#groups.delete(group.id)
    this.#ranges.delete(group)
    const same = this.#singleKeys.get(group.range.from)
    if (same?.delete(group) && same.size === 0) this.#singleKeys.delete(group.range.from)
  }

  #deliver(watch: HubWatch, events: readonly EtcdEvent[], revision: number): void {
    watch.quiet = false
    this.delivered += events.length
    this.#tell(watch, () => watch.observer.events(events, revision))
  }

  /** A consumer that throws loses its watch, nobody else does. */
  #tell(watch: HubWatch, call: () => void): void {
    try {
      call()
    } catch (error) {
      this.#close(watch, { error: error instanceof Error ? error : new Error(String(error)) })
    }
  }

  #close(watch: HubWatch, end: Parameters<EtcdWatchObserver['closed']>[0]): void {
    if (watch.state === 'closed') return
    watch.state = 'closed'
    this.#watches.delete(watch)
    this.#leave(watch)
    watch.observer.closed(end)
  }

  cancel(watch: HubWatch): void { this.#close(watch, {}) }

  pause(watch: HubWatch): void {
    if (watch.state === 'closed') return
    watch.state = 'paused'
    this.#leave(watch)
  }

  resume(watch: HubWatch): void {
    if (watch.state !== 'paused') return
    watch.state = 'behind'
    this.#later(() => this.#advance(watch))
  }

  requestProgress(watch: HubWatch): void {
    watch.wantsProgress = true
    this.#soon(() => { if (watch.state === 'synced') this.#answerProgress(watch) })
  }

  /** Called at an interval: those who asked for it hear how far they are, unless they heard of something since the last time. */
  notifyProgress(): void {
    for (const watch of this.#watches) {
      if (watch.progressNotify && watch.state === 'synced' && watch.quiet) this.#tell(watch, () => watch.observer.events([], this.#dispatched))
      watch.quiet = true
    }
  }

  #answerProgress(watch: HubWatch): void {
    if (!watch.wantsProgress) return
    watch.wantsProgress = false
    this.#tell(watch, () => watch.observer.events([], this.#dispatched))
  }

  /** Ends all watches: the store stops. */
  closeAll(): void {
    for (const watch of this.#watches) this.#close(watch, { error: etcdError('stopped') })
  }
}

export class HubWatch implements Disposable {
  readonly #hub: WatchHub
  readonly observer: EtcdWatchObserver
  readonly progressNotify: boolean
  group: Group
  state: 'behind' | 'synced' | 'paused' | 'closed' = 'behind'
  /** First revision that it has not heard of. */
  next: number
  wantsProgress = false
  /** Nothing was delivered since the last round of progress notifications. */
  quiet = false

  constructor(hub: WatchHub, group: Group, observer: EtcdWatchObserver, start: number, progressNotify: boolean) {
    this.#hub = hub
    this.group = group
    this.observer = observer
    this.next = start
    this.progressNotify = progressNotify
  }

  requestProgress(): void { this.#hub.requestProgress(this) }
  /** Stops deliveries; what happens meanwhile stays in the store's history. */
  pause(): void { this.#hub.pause(this) }
  /** Goes on where it stopped; ends with a compactRevision when that has been compacted meanwhile. */
  resume(): void { this.#hub.resume(this) }
  [Symbol.dispose](): void { this.#hub.cancel(this) }
}

function collect(group: Group, change: StoredKeyValue, touched: Set<Group>): void {
  if (change.isTombstone ? group.noDelete : group.noPut) return
  group.pending.push(eventOf(change, group.prevKv))
  touched.add(group)
}

function collectAll(group: Group, changes: RevisionChanges, events: EtcdEvent[]): EtcdEvent[] {
  for (const change of changes) {
    if (isInRange(group.range, change.record.text) && !(change.isTombstone ? group.noDelete : group.noPut)) events.push(eventOf(change, group.prevKv))
  }
  return events
}

function eventOf(change: StoredKeyValue, withPrevious: boolean): EtcdEvent {
  const type = change.isTombstone ? 'DELETE' : 'PUT'
  const prevKv = withPrevious ? change.previous : undefined
  return prevKv === undefined ? { type, kv: change } : { type, kv: change, prevKv }
}

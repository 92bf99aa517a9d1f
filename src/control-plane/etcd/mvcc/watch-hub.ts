// Watches: who gets to hear of which change. Synchronous and pure: whoever owns it calls `dispatch` after commits.
//
// Rules it keeps: each watcher hears every matching change once, in revision order, all changes of a revision in one call; watchers of the
// same range share one matching and one list of events; a watcher that is behind (it starts in the past, or its consumer is full and paused
// it) reads from the store's history in pieces, so nothing queues up for it in memory, and those of one range that are behind at the same
// place share the piece. Who hears nothing because nothing matches is not behind. Upstream: etcd/server/storage/mvcc/watchable_store.go
import { etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type { EtcdEvent, EtcdWatchObserver, EtcdWatchRequest } from '../../../lib/etcd-api/operations.ts'
import { isInRange, keyRange, keyText, type KeyRange } from './key-text.ts'
import { RangeIndex } from './range-index.ts'
import type { MvccStore, RevisionChanges } from './mvcc-store.ts'
import type { StoredKeyValue } from './stored-key-value.ts'

/** Runs something after what is going on now. */
export type Defer = (run: () => void) => void

/** Bounds of a piece of history; the changes of one revision stay together. */
const pieceRevisions = 1000
const pieceEvents = 1000
const pieceBytes = 128 * 1024
/** Watchers that are behind and have their turn before others have theirs, and what they get. */
const turnWatchers = 1000
const turnEvents = 20_000

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

/** Matching changes of the revisions [from, next). */
interface Piece {
  readonly from: number
  readonly next: number
  readonly events: EtcdEvent[]
}

export class WatchHub {
  readonly #store: MvccStore
  readonly #soon: Defer
  readonly #later: Defer
  readonly #groups = new Map<string, Group>()
  readonly #singleKeys = new Map<string, Set<Group>>()
  readonly #ranges = new RangeIndex<Group>()
  readonly #watches = new Set<HubWatch>()
  /** What was given out, to synced watchers, goes up to here. */
  #dispatched: number
  /** Every synced watcher has heard of everything up to here: less than `#dispatched` while that is being given out. */
  #heard: number
  /** Those that are behind, in the order of their turns. */
  #behind: HubWatch[] = []
  #isPlanned = false

  /** @param soon before anything else happens @param later when everything that waits has had its turn: between pieces of long work */
  constructor(store: MvccStore, soon: Defer, later: Defer) {
    this.#store = store
    this.#soon = soon
    this.#later = later
    this.#dispatched = store.revision
    this.#heard = store.revision
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
    // cast: whoever was told may have paused or closed it
    if ((watch.state as HubWatch['state']) !== 'behind') return
    if (watch.next > this.#dispatched) this.#join(watch)
    else this.#planTurn(watch)
  }

  /** Delivers everything committed since the last call to the watchers that are up to date. */
  dispatch(): void {
    const revision = this.#store.revision
    if (revision === this.#dispatched) return
    if (this.#groups.size === 0) { this.#dispatched = revision; return }
    const touched = new Set<Group>()
    for (let r = this.#dispatched + 1; r <= revision; r++) {
      for (const change of this.#store.changesAt(r)) {
        const text = change.text
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
        if (watch.wantsProgress) this.#answerProgress(watch)
      }
    }
    this.#heard = revision
  }

  /** The store was replaced by a later state of itself: everybody reads on from its history, or is told that it is compacted. */
  storeReplaced(): void {
    for (const watch of this.#watches) {
      if (watch.state !== 'synced') continue
      this.#unsync(watch)
      this.#planTurn(watch)
    }
    this.#dispatched = this.#store.revision
    this.#heard = this.#dispatched
  }

  // ---- watchers that are behind ----

  #planTurn(watch: HubWatch): void {
    watch.state = 'behind'
    if (watch.isPlanned) return
    watch.isPlanned = true
    this.#behind.push(watch)
    this.#planTurns()
  }

  #planTurns(): void {
    if (this.#isPlanned) return
    this.#isPlanned = true
    this.#later(() => this.#takeTurns())
  }

  #takeTurns(): void {
    this.#isPlanned = false
    const turns = this.#behind
    this.#behind = []
    // By group. Only as long as nothing can be compacted in between.
    const pieces = new Map<string, Piece>()
    let taken = 0
    for (let events = 0; taken < turns.length && taken < turnWatchers && events < turnEvents;) {
      const watch = turns[taken++]! // cast: bounded by the loop
      watch.isPlanned = false
      events += this.#advance(watch, pieces)
    }
    if (taken < turns.length) this.#behind = [...turns.slice(taken), ...this.#behind]
    if (this.#behind.length > 0) this.#planTurns()
  }

  /** Gives a watcher that is behind the next piece of history, and its next turn until it is up to date. Returns the number of events. */
  #advance(watch: HubWatch, pieces: Map<string, Piece>): number {
    if (watch.state !== 'behind') return 0
    const store = this.#store
    if (watch.next < store.compactedRevision) {
      this.#close(watch, { compactRevision: store.compactedRevision })
      return 0
    }
    const end = this.#dispatched
    if (watch.next > end) { this.#join(watch); return 0 }
    const { events, next } = this.#pieceFrom(watch.next, watch.group, pieces)
    watch.next = next
    if (events.length > 0) this.#deliver(watch, events, next - 1)
    // cast: whoever was told may have paused or closed it
    if ((watch.state as HubWatch['state']) !== 'behind') return events.length
    if (next > end) this.#join(watch)
    else this.#planTurn(watch)
    return events.length
  }

  #pieceFrom(from: number, group: Group, pieces: Map<string, Piece>): Piece {
    const known = pieces.get(group.id)
    if (known?.from === from) return known
    const events: EtcdEvent[] = []
    const last = Math.min(this.#dispatched, from + pieceRevisions - 1)
    let next = from
    for (let bytes = 0; next <= last && events.length < pieceEvents && bytes < pieceBytes; next++) bytes += collectAll(group, this.#store.changesAt(next), events)
    const piece: Piece = { from, next, events }
    pieces.set(group.id, piece)
    return piece
  }

  /** From now on the watcher hears of changes as they are dispatched. */
  #join(watch: HubWatch): void {
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

  /** A synced watcher goes back to reading history, from behind what it has heard: also of what did not match it. */
  #unsync(watch: HubWatch): void {
    watch.next = Math.max(watch.next, this.#heard + 1)
    this.#leave(watch)
  }

  pause(watch: HubWatch): void {
    if (watch.state === 'closed') return
    if (watch.state === 'synced') this.#unsync(watch)
    watch.state = 'paused'
  }

  resume(watch: HubWatch): void { if (watch.state === 'paused') this.#planTurn(watch) }

  /** It has heard of everything that there is. One that begins in the future, or that comes from a member that was further, has not. */
  isCurrent(watch: HubWatch): boolean { return watch.state === 'synced' && watch.next <= this.#dispatched + 1 }

  requestProgress(watch: HubWatch): void {
    watch.wantsProgress = true
    this.#soon(() => this.#answerProgress(watch))
  }

  /** Called at an interval: those who asked for it hear how far they are, unless they heard of something since the last time. */
  notifyProgress(): void {
    for (const watch of this.#watches) {
      if (watch.progressNotify && watch.quiet && this.isCurrent(watch)) this.#tell(watch, () => watch.observer.events([], this.#dispatched))
      watch.quiet = true
    }
  }

  #answerProgress(watch: HubWatch): void {
    if (!watch.wantsProgress || !this.isCurrent(watch)) return
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
  /** It waits for its turn. */
  isPlanned = false
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
  get isCurrent(): boolean { return this.#hub.isCurrent(this) }
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

/** Returns about how many bytes that are. */
function collectAll(group: Group, changes: RevisionChanges, events: EtcdEvent[]): number {
  let bytes = 0
  for (const change of changes) {
    if (!isInRange(group.range, change.text) || (change.isTombstone ? group.noDelete : group.noPut)) continue
    const event = eventOf(change, group.prevKv)
    events.push(event)
    bytes += change.text.length + change.length + (event.prevKv ? event.prevKv.value.length : 0)
  }
  return bytes
}

function eventOf(change: StoredKeyValue, withPrevious: boolean): EtcdEvent {
  const type = change.isTombstone ? 'DELETE' : 'PUT'
  const prevKv = withPrevious ? change.previous : undefined
  return prevKv === undefined ? { type, kv: change } : { type, kv: change, prevKv }
}

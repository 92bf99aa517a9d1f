// One watch at the members that any number of clients' watches of the same range share.
//
// Rules it keeps: whoever shares it hears every event from its own first revision on, once. A watch that follows from now on joins one that has caught
// up; one that starts in the past gets one of its own until that has caught up too, and then both become one, without a gap and without a repetition:
// who moves has been told everything that the one it moves to has told. Upstream: etcd/server/proxy/grpcproxy/watch_broadcast.go, watch_broadcasts.go
import { encodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import type { Event, ResponseHeader, WatchResponse } from '../../../lib/etcd-api/generated/types.ts'
import type { UpstreamWatches } from './upstream-watches.ts'

/** A client's watch, as what it shares sees it. */
export interface Receiver {
  readonly token: string
  /** First revision that it has not been told. */
  next: number
  /** Undefined while its client is too slow. */
  shared: SharedWatch | undefined
  events(batch: EventBatch): void
  /** Everything up to the header's revision has been told. */
  progress(header: ResponseHeader): void
  /** It has ended, and why. */
  canceled(response: WatchResponse): void
  /** Its client wanted to hear when there is no leader. */
  lostLeader(): void
}

/** Events that came together, encoded once for all who get all of them. */
export class EventBatch {
  readonly header: ResponseHeader
  readonly events: readonly Event[]
  readonly firstRevision: number
  readonly lastRevision: number
  #whole: Uint8Array | undefined
  #bare: Uint8Array | undefined

  constructor(header: ResponseHeader, events: readonly Event[]) {
    this.header = header
    this.events = events
    this.firstRevision = events[0]?.kv?.modRevision ?? 0
    this.lastRevision = events.at(-1)?.kv?.modRevision ?? 0
  }

  /** As a piece of a WatchResponse. @param prevKv with what there was before */
  bytes(prevKv: boolean): Uint8Array {
    if (prevKv) return (this.#whole ??= encodeEvents(this.events))
    return (this.#bare ??= encodeEvents(this.events.map(withoutPrevious)))
  }
}

export function encodeEvents(events: readonly Event[]): Uint8Array { return encodeProto3(etcdTable, 'WatchResponse', { events } satisfies WatchResponse) }
export function withoutPrevious({ type, kv }: Event): Event { return { ...(type ? { type } : {}), ...(kv ? { kv } : {}) } }

export class SharedWatch {
  readonly group: WatchGroup
  readonly token: string
  readonly receivers = new Set<Receiver>()
  readonly start: number
  /** First revision that has not been told to the receivers. */
  next: number
  /** Everything that there was has been told; what comes is new. */
  isSynced = false
  isCreated = false
  /** Where it is open. */
  upstream: UpstreamWatches | undefined

  constructor(group: WatchGroup, token: string, start: number) {
    this.group = group
    this.token = token
    this.start = start
    this.next = start
  }

  deliver(batch: EventBatch): void {
    this.next = Math.max(this.next, batch.lastRevision + 1)
    if (this.receivers.size > 1) this.group.coalesced(this.receivers.size - 1)
    for (const receiver of this.receivers) receiver.events(batch)
  }

  /** @param isWished the members say it by themselves, for those who want to hear it */
  caughtUpWith(header: ResponseHeader, isWished: boolean): void {
    this.next = Math.max(this.next, (header.revision ?? 0) + 1)
    if (isWished) for (const receiver of this.receivers) receiver.progress(header)
    if (this.isSynced) return
    this.isSynced = true
    this.group.merge(this)
  }

  /** The members have ended it. */
  canceled(response: WatchResponse, isDenied: boolean): void {
    this.group.forget(this)
    const compacted = response.compactRevision ?? 0
    for (const receiver of [...this.receivers]) {
      this.receivers.delete(receiver)
      receiver.shared = undefined
      // It was the past of others that is gone, or another's token that is not good.
      receiver.next = Math.max(receiver.next, this.next)
      const concerns = isDenied ? receiver.token === this.token : compacted === 0 || receiver.next < compacted
      if (concerns) receiver.canceled(response)
      else this.group.add(receiver)
    }
  }

  /** The receivers of another one that has told no less than this one. */
  takeFrom(other: SharedWatch): void {
    for (const receiver of other.receivers) {
      receiver.next = Math.max(receiver.next, other.next)
      receiver.shared = this
      this.receivers.add(receiver)
    }
    other.receivers.clear()
  }
}

export interface WatchGroupOptions {
  readonly key: Uint8Array
  readonly rangeEnd: Uint8Array | undefined
  readonly open: (shared: SharedWatch) => void
  readonly coalesced: (events: number) => void
  /** Nobody watches this range any more. */
  readonly empty: () => void
}

/** All watches of one range. */
export class WatchGroup {
  readonly key: Uint8Array
  readonly rangeEnd: Uint8Array | undefined
  readonly shared = new Set<SharedWatch>()
  readonly #options: WatchGroupOptions

  constructor(options: WatchGroupOptions) {
    this.key = options.key
    this.rangeEnd = options.rangeEnd
    this.#options = options
  }

  add(receiver: Receiver): void {
    for (const shared of this.shared) {
      const fits = shared.isSynced ? shared.next <= receiver.next : shared.start === receiver.next && shared.next === shared.start
      if (!fits) continue
      shared.receivers.add(receiver)
      receiver.shared = shared
      return
    }
    const shared = new SharedWatch(this, receiver.token, receiver.next)
    this.shared.add(shared)
    shared.receivers.add(receiver)
    receiver.shared = shared
    this.#options.open(shared)
  }

  remove(receiver: Receiver): void {
    const { shared } = receiver
    receiver.shared = undefined
    if (!shared) return
    shared.receivers.delete(receiver)
    // What lies before that has been told, even if there was nothing to tell.
    receiver.next = Math.max(receiver.next, shared.next)
    if (shared.receivers.size === 0) this.#close(shared)
  }

  /** `shared` has caught up: of those that have, one is enough. */
  merge(shared: SharedWatch): void {
    for (const other of this.shared) {
      if (other === shared || !other.isSynced) continue
      // Who has been told more moves to the one that has told less, and passes over what it knows.
      const [stays, goes] = other.next <= shared.next ? [other, shared] : [shared, other]
      stays.takeFrom(goes)
      this.#close(goes)
      return
    }
  }

  coalesced(events: number): void { this.#options.coalesced(events) }

  /** It does not exist at the members any more. */
  forget(shared: SharedWatch): void {
    this.shared.delete(shared)
    shared.upstream = undefined
    if (this.shared.size === 0) queueMicrotask(() => { if (this.shared.size === 0) this.#options.empty() })
  }

  #close(shared: SharedWatch): void {
    shared.upstream?.remove(shared)
    this.forget(shared)
  }
}

// Keeps a chatty component from flooding the cluster with events: the same event again raises a count, many that differ only in their message become
// one "combined from similar events", and a source that goes on and on about one object is throttled. State in, decision out.
// Upstream: client-go/tools/record/events_cache.go
import type { Event } from '../api/generated/types/core-v1.ts'
import { TokenBucket } from './work-queue.ts'
import type { Clock } from '../base/clock.ts'

export type EventDecision =
  | { readonly kind: 'drop' }
  | { readonly kind: 'create', readonly event: Event, readonly key: string }
  /** Seen before: raise the count of the event stored under `name`. */
  | { readonly kind: 'update', readonly event: Event, readonly name: string, readonly key: string }

const aggregateAfter = 10
const aggregateWithinMs = 600_000
const spamBurst = 25
const spamPerSecond = 1 / 300
const entriesMax = 4096

interface Seen {
  readonly count: number
  readonly name: string
  readonly firstTimestamp: string
}

export class EventCorrelator {
  readonly #clock: Clock
  readonly #similar = new BoundedMap<{ readonly messages: ReadonlySet<string>, readonly lastMs: number }>()
  readonly #seen = new BoundedMap<Seen>()
  readonly #buckets = new BoundedMap<TokenBucket>()

  constructor(clock: Clock) { this.#clock = clock }

  correlate(event: Event): EventDecision {
    const about = JSON.stringify([event.source, event.involvedObject, event.type, event.reason, event.reportingComponent, event.reportingInstance])
    const message = event.message ?? ''
    const nowMs = this.#clock.now()

    const record = this.#similar.get(about)
    const fresh = record === undefined || nowMs - record.lastMs > aggregateWithinMs
    const messages = new Set(fresh ? [] : record.messages).add(message)
    const aggregate = messages.size >= aggregateAfter
    // The set only has to tell whether the limit is reached.
    if (messages.size > aggregateAfter) for (const first of messages) { messages.delete(first); break }
    this.#similar.set(about, { messages, lastMs: nowMs })

    const shown = aggregate ? { ...event, message: `(combined from similar events): ${message}` } : event
    const key = aggregate ? about : `${about}${message}`
    const seen = this.#seen.get(key)
    if (!this.#mayPass(event)) return { kind: 'drop' }
    if (!seen) {
      this.#seen.set(key, { count: 1, name: event.metadata.name, firstTimestamp: event.firstTimestamp ?? '' })
      return { kind: 'create', event: shown, key }
    }
    const count = seen.count + 1
    this.#seen.set(key, { ...seen, count })
    return { kind: 'update', name: seen.name, key, event: { ...shown, metadata: { ...shown.metadata, name: seen.name }, firstTimestamp: seen.firstTimestamp, count } }
  }

  /** The stored event is gone (events live an hour): the next one like it is created anew under its own name. */
  recreated(key: string, event: Event): void {
    this.#seen.set(key, { count: event.count ?? 1, name: event.metadata.name, firstTimestamp: event.firstTimestamp ?? '' })
  }

  #mayPass(event: Event): boolean {
    const { kind, namespace, name, uid } = event.involvedObject
    const key = JSON.stringify([event.source, kind, namespace, name, uid])
    let bucket = this.#buckets.get(key)
    if (!bucket) this.#buckets.set(key, bucket = new TokenBucket(this.#clock, spamPerSecond, spamBurst))
    return bucket.tryTake()
  }
}

/** A map that forgets what was used longest ago. */
class BoundedMap<V> {
  readonly #entries = new Map<string, V>()

  get(key: string): V | undefined {
    const value = this.#entries.get(key)
    if (value !== undefined) { this.#entries.delete(key); this.#entries.set(key, value) }
    return value
  }

  set(key: string, value: V): void {
    this.#entries.delete(key)
    this.#entries.set(key, value)
    if (this.#entries.size > entriesMax) for (const oldest of this.#entries.keys()) { this.#entries.delete(oldest); break }
  }
}

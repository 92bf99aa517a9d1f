// How long it takes to hand what a watch stream says over to its connection: events, answers to requests, progress.
// Upstream: etcdserver/api/v3rpc/watch.go (sendLoop), metrics.go
import { WireReader } from '../../../lib/base/protobuf/wire-reader.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { MvccMetrics } from '../metrics/etcd-metrics.ts'

const createdField = 3
const canceledField = 4

/** Events behind the head of a message; the same bytes go to all watches of a range. */
const eventCounts = new WeakMap<Uint8Array, number>()

export class WatchSendTimes {
  readonly #metrics: MvccMetrics
  readonly #clock: Clock

  constructor(metrics: MvccMetrics, clock: Clock) {
    this.#metrics = metrics
    this.#clock = clock
  }

  now(): number { return this.#clock.monotonic() }

  /** @param events the part of the message that holds them */
  sentEvents(events: Uint8Array, begunMs: number): void {
    const seconds = (this.#clock.monotonic() - begunMs) / 1000
    this.#metrics.watchSend.observe(seconds)
    let count = eventCounts.get(events)
    if (count === undefined) eventCounts.set(events, (count = countFields(events)))
    if (count > 0) this.#metrics.watchSendPerEvent.observe(seconds / count)
  }

  /** A message without events. */
  answered(message: Uint8Array, begunMs: number): void {
    const seconds = (this.#clock.monotonic() - begunMs) / 1000
    if (isControl(message)) this.#metrics.watchSendControl.observe(seconds)
    else this.#metrics.watchSendProgress.observe(seconds)
  }
}

function countFields(bytes: Uint8Array): number {
  const r = new WireReader(bytes)
  let count = 0
  while (!r.done) {
    r.skip(r.tag() % 8)
    count++
  }
  return count
}

/** It says that a watch is created or cancelled. */
function isControl(message: Uint8Array): boolean {
  const r = new WireReader(message)
  while (!r.done) {
    const tag = r.tag()
    const field = Math.floor(tag / 8)
    if (field === createdField || field === canceledField) return true
    r.skip(tag % 8)
  }
  return false
}

// Frees what compactions made unreadable, in pieces between which everybody else has their turn.
import type { Clock } from '../../lib/base/clock.ts'
import type { MvccMetrics } from './metrics/etcd-metrics.ts'
import type { MvccStore } from './mvcc/mvcc-store.ts'
import { yieldToLoop } from './yield-to-loop.ts'

const pieceRevisions = 500
const pieceBytes = 1024 * 1024

export class Scrubber {
  readonly #store: MvccStore
  readonly #metrics: MvccMetrics
  readonly #clock: Clock
  #running: Promise<void> | undefined
  #stopped = false

  constructor(store: MvccStore, metrics: MvccMetrics, clock: Clock) {
    this.#store = store
    this.#metrics = metrics
    this.#clock = clock
    // While somebody walks all versions nothing is freed.
    store.onUnpinned = () => this.scrubIfNeeded()
  }

  scrubIfNeeded(): void { if (this.#store.needsScrub) void this.scrub() }

  /** Resolves when it is done for now. */
  scrub(): Promise<void> {
    this.#running ??= this.#scrubInPieces().finally(() => { this.#running = undefined })
    return this.#running
  }

  async #scrubInPieces(): Promise<void> {
    await yieldToLoop()
    const { dbCompactionPauseMs, dbCompactionTotalMs, dbCompactionLast } = this.#metrics
    const begunMs = this.#clock.monotonic()
    for (let goesOn = true; goesOn && !this.#stopped;) {
      const pieceMs = this.#clock.monotonic()
      goesOn = this.#store.scrub(pieceRevisions, pieceBytes)
      dbCompactionPauseMs.observe(this.#clock.monotonic() - pieceMs)
      if (goesOn) await yieldToLoop()
    }
    dbCompactionTotalMs.observe(this.#clock.monotonic() - begunMs)
    dbCompactionLast.set(Math.floor(this.#clock.now() / 1000))
  }

  stop(): void { this.#stopped = true }
}

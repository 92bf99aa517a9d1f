// Frees what compactions made unreadable, in pieces between which everybody else has their turn.
import { sleep, type Clock } from '../../lib/base/clock.ts'
import type { MvccMetrics } from './metrics/etcd-metrics.ts'
import type { MvccStore } from './mvcc/mvcc-store.ts'
import { yieldToLoop } from './yield-to-loop.ts'

const pieceRevisions = 500
const pieceBytes = 1024 * 1024

/** `--compaction-batch-limit` and `--compaction-sleep-interval`. */
export interface CompactionPace {
  /** Revisions that are gone through between two pauses. */
  readonly batchRevisions: number
  readonly pauseMs: number
}

export class Scrubber {
  readonly #store: MvccStore
  readonly #metrics: MvccMetrics
  readonly #clock: Clock
  readonly #pace: CompactionPace | undefined
  readonly #stop = new AbortController()
  #running: Promise<void> | undefined

  /** @param pace without one it only lets others have their turn */
  constructor(store: MvccStore, metrics: MvccMetrics, clock: Clock, pace?: CompactionPace) {
    this.#store = store
    this.#metrics = metrics
    this.#clock = clock
    this.#pace = pace
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
    const { batchRevisions = Infinity, pauseMs = 0 } = this.#pace ?? {}
    let leftInBatch = batchRevisions
    for (let goesOn = true; goesOn && !this.#stop.signal.aborted;) {
      const pieceMs = this.#clock.monotonic()
      const revisions = Math.min(pieceRevisions, leftInBatch)
      goesOn = this.#store.scrub(revisions, pieceBytes)
      dbCompactionPauseMs.observe(this.#clock.monotonic() - pieceMs)
      leftInBatch -= revisions
      if (leftInBatch === 0) leftInBatch = batchRevisions
      // What follows the last revision only moves bytes together.
      if (goesOn && leftInBatch === batchRevisions && this.#store.needsScrub) await sleep(this.#clock, pauseMs, this.#stop.signal).catch(() => {})
      else if (goesOn) await yieldToLoop()
    }
    dbCompactionTotalMs.observe(this.#clock.monotonic() - begunMs)
    dbCompactionLast.set(Math.floor(this.#clock.now() / 1000))
  }

  stop(): void { this.#stop.abort() }
}

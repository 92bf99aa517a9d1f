// With checkpoints a long lease doesn't begin anew with every leader: the leader says now and then, through the log, what is left of each.
// Off unless asked for, as in the original (feature LeaseCheckpoint). Upstream: etcd/server/lease/lessor.go
import type { Clock, Timer } from '../../../lib/base/clock.ts'
import type { LeaseBook } from './lease-book.ts'

export interface RemainingTime { readonly id: bigint; readonly remainingTtlSeconds: number }

/** Leases in one entry of the log. */
const batchSize = 1000

export class LeaseCheckpoints {
  readonly #leases: LeaseBook
  readonly #clock: Clock
  readonly #intervalMs: number
  readonly #say: (checkpoints: readonly RemainingTime[]) => void
  #timer: Timer | undefined

  constructor(leases: LeaseBook, clock: Clock, intervalMs: number, say: (checkpoints: readonly RemainingTime[]) => void) {
    this.#leases = leases
    this.#clock = clock
    this.#intervalMs = intervalMs
    this.#say = say
  }

  /** This member leads. */
  start(): void {
    this.stop()
    this.#timer = this.#clock.setTimer(this.#intervalMs, () => {
      // A lease that ends soon isn't worth it.
      const due = this.#leases.remaining(this.#clock.monotonic(), this.#intervalMs)
      for (let at = 0; at < due.length; at += batchSize) this.#say(due.slice(at, at + batchSize))
      this.start()
    }, { keepAlive: false })
  }

  stop(): void {
    this.#timer?.[Symbol.dispose]()
    this.#timer = undefined
  }
}

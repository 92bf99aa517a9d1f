// Looks for leases whose time is over, while this member leads, and has them revoked through the log. Upstream: etcd/server/lease/lessor.go
import type { Clock, Timer } from '../../../lib/base/clock.ts'
import type { LeaseBook } from './lease-book.ts'

const expiredPerTurn = 500

export class LeaseExpiry {
  readonly #leases: LeaseBook
  readonly #clock: Clock
  readonly #revoke: (id: bigint) => void
  #timer: { readonly atMs: number; readonly timer: Timer } | undefined
  #running = false

  /** @param revoke asks for the revocation; a lease that is still there some seconds later is asked for again */
  constructor(leases: LeaseBook, clock: Clock, revoke: (id: bigint) => void) {
    this.#leases = leases
    this.#clock = clock
    this.#revoke = revoke
  }

  /** This member leads: every lease has its whole time again, and at least `extendMs` more. */
  start(extendMs = 0): void {
    this.#running = true
    this.#leases.startExpiring(this.#clock.monotonic(), extendMs)
    this.#disarm()
    this.arm()
  }

  /** Another member leads: it knows how long leases live. */
  stop(): void {
    this.#running = false
    this.#disarm()
    this.#leases.stopExpiring()
  }

  /** A lease was granted. */
  arm(): void {
    const atMs = this.#leases.nextLookMs()
    if (atMs === undefined || !this.#running || (this.#timer !== undefined && this.#timer.atMs <= atMs)) return
    this.#disarm()
    this.#timer = { atMs, timer: this.#clock.setTimer(Math.max(0, atMs - this.#clock.monotonic()), () => this.#look(), { keepAlive: false }) }
  }

  #look(): void {
    this.#timer = undefined
    for (const id of this.#leases.takeExpired(this.#clock.monotonic(), expiredPerTurn)) this.#revoke(id)
    this.arm()
  }

  #disarm(): void {
    this.#timer?.timer[Symbol.dispose]()
    this.#timer = undefined
  }

  /** No more timers. */
  close(): void {
    this.#running = false
    this.#disarm()
  }
}

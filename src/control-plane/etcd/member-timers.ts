// What a member does by itself as time passes, besides leases: progress notifications, and the v2 keys' end of life.
import type { Clock, Timer } from '../../lib/base/clock.ts'

/** A timer that is set anew again and again. */
export class Alarm {
  readonly #clock: Clock
  readonly #ring: () => void
  #timer: Timer | undefined
  #closed = false

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock
    this.#ring = ring
  }

  /** Replaces what was set before. */
  set(delayMs: number): void {
    this.clear()
    if (this.#closed) return
    this.#timer = this.#clock.setTimer(Math.max(0, delayMs), () => {
      this.#timer = undefined
      this.#ring()
    }, { keepAlive: false })
  }

  clear(): void {
    this.#timer?.[Symbol.dispose]()
    this.#timer = undefined
  }

  close(): void {
    this.#closed = true
    this.clear()
  }
}

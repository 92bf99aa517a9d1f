// A clock that stands still until a test moves it. Five minutes of eviction pass in milliseconds, and the same moves give the same run.
import type { Clock, Timer } from '../base/clock.ts'

type Waiting = { readonly at: number; readonly order: number; readonly run: () => void }

export class SimulatedClock implements Clock {
  #elapsedMs = 0
  #order = 0
  readonly #startMs: number
  readonly #waiting = new Set<Waiting>()

  /** @param startMs wall time at the start, milliseconds since the epoch. */
  constructor(startMs = Date.UTC(2026, 0, 1)) { this.#startMs = startMs }

  now(): number { return this.#startMs + this.#elapsedMs }
  monotonic(): number { return this.#elapsedMs }

  setTimer(delayMs: number, run: () => void): Timer {
    const entry: Waiting = { at: this.#elapsedMs + Math.max(0, delayMs), order: this.#order++, run }
    this.#waiting.add(entry)
    return { [Symbol.dispose]: () => { this.#waiting.delete(entry) } }
  }

  /** Number of timers that wait. */
  get pending(): number { return this.#waiting.size }

  /** Moves time on by `ms`, firing each timer at its moment and letting what it woke run before the next one fires. */
  async advance(ms: number): Promise<void> {
    const end = this.#elapsedMs + ms
    await settle()
    for (;;) {
      let next: Waiting | undefined
      for (const w of this.#waiting) if (w.at <= end && (!next || w.at < next.at || (w.at === next.at && w.order < next.order))) next = w
      if (!next) break
      this.#waiting.delete(next)
      this.#elapsedMs = Math.max(this.#elapsedMs, next.at)
      next.run()
      await settle()
    }
    this.#elapsedMs = end
    await settle()
  }
}

/** Lets everything that is ready to run do so: several turns of the event loop, because one wake-up leads to the next. */
export async function settle(turns = 8): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise<void>((resolve) => setImmediate(resolve))
}

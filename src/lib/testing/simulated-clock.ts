// A clock that stands still until a test moves it. Five minutes of eviction pass in milliseconds, and the same moves give the same run.
import type { Clock, Timer } from '../base/clock.ts'

interface Waiting { readonly at: number; readonly order: number; readonly run: () => void; cancelled: boolean }

const isBefore = (a: Waiting, b: Waiting): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

export class SimulatedClock implements Clock {
  #elapsedMs = 0
  #order = 0
  #pending = 0
  readonly #startMs: number
  readonly #turns: number
  /** A heap: no timer is due before the one at half its place. */
  readonly #waiting: Waiting[] = []

  /**
   * @param startMs wall time at the start, milliseconds since the epoch.
   * @param turns of the event loop that what a timer woke has before the next one fires
   */
  constructor(startMs = Date.UTC(2026, 0, 1), turns = 8) {
    this.#startMs = startMs
    this.#turns = turns
  }

  now(): number { return this.#startMs + this.#elapsedMs }
  monotonic(): number { return this.#elapsedMs }

  setTimer(delayMs: number, run: () => void): Timer {
    const entry: Waiting = { at: this.#elapsedMs + Math.max(0, delayMs), order: this.#order++, run, cancelled: false }
    this.#add(entry)
    this.#pending++
    return { [Symbol.dispose]: () => { if (!entry.cancelled) { entry.cancelled = true; this.#pending-- } } }
  }

  /** Number of timers that wait. */
  get pending(): number { return this.#pending }

  /** Moves time on by `ms`, firing each timer at its moment and letting what it woke run before the next one fires. */
  async advance(ms: number): Promise<void> {
    const end = this.#elapsedMs + ms
    await settle(this.#turns)
    for (;;) {
      const next = this.#waiting[0]
      if (!next || (next.at > end && !next.cancelled)) break
      this.#removeFirst()
      if (next.cancelled) continue
      next.cancelled = true
      this.#pending--
      this.#elapsedMs = Math.max(this.#elapsedMs, next.at)
      next.run()
      await settle(this.#turns)
    }
    this.#elapsedMs = end
    await settle(this.#turns)
  }

  #add(entry: Waiting): void {
    const heap = this.#waiting
    let at = heap.push(entry) - 1
    for (; at > 0; at = (at - 1) >> 1) {
      const above = heap[(at - 1) >> 1]! // cast: above an entry there is one
      if (!isBefore(entry, above)) break
      heap[at] = above
    }
    heap[at] = entry
  }

  #removeFirst(): void {
    const heap = this.#waiting
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      if (below >= heap.length) break
      if (below + 1 < heap.length && isBefore(heap[below + 1]!, heap[below]!)) below++ // cast: below the length
      const child = heap[below]! // cast: below the length
      if (!isBefore(child, last)) break
      heap[at] = child
      at = below
    }
    heap[at] = last
  }
}

/** Lets everything that is ready to run do so: several turns of the event loop, because one wake-up leads to the next. */
export async function settle(turns = 8): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise<void>((resolve) => setImmediate(resolve))
}

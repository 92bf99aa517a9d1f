// One member's view of the simulated time: its wall clock is wherever it likes and jumps; its process can stand still (SIGSTOP), and then what was
// due comes late, all at once; and when it is dead nothing is due any more.
import type { Clock, Timer } from '../../src/lib/base/clock.ts'

export class MemberClock implements Clock {
  readonly #clock: Clock
  /** Milliseconds that the wall clock is off. */
  offsetMs = 0
  #stopped = false
  #dead = false
  #late: (() => void)[] = []

  constructor(clock: Clock) { this.#clock = clock }

  now(): number { return this.#clock.now() + this.offsetMs }
  monotonic(): number { return this.#clock.monotonic() }

  setTimer(delayMs: number, run: () => void, options?: { readonly keepAlive?: boolean }): Timer {
    let cancelled = false
    const timer = this.#clock.setTimer(delayMs, () => this.#due(() => { if (!cancelled) run() }), options)
    return { [Symbol.dispose]: () => { cancelled = true; timer[Symbol.dispose]() } }
  }

  /** Now, or when the process goes on, or never. */
  whenRunning(run: () => void): void { this.#due(run) }

  #due(run: () => void): void {
    if (this.#dead) return
    if (this.#stopped) this.#late.push(run)
    else run()
  }

  get isStopped(): boolean { return this.#stopped }
  stop(): void { this.#stopped = true }
  resume(): void {
    this.#stopped = false
    const late = this.#late
    this.#late = []
    for (const run of late) this.#due(run)
  }

  die(): void {
    this.#dead = true
    this.#late = []
  }
}

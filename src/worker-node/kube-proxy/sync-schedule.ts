// When to write rules: at once for the first change, then at most once in `minSyncPeriodMs`, and everything anew once in `syncPeriodMs`.
// Upstream: pkg/util/async/bounded_frequency_runner.go
import type { Clock, Timer } from '../../lib/base/clock.ts'

export interface SyncScheduleOptions {
  readonly clock: Clock
  readonly minSyncPeriodMs: number
  readonly syncPeriodMs: number
  /** Resolves to false when it failed and is to be tried again. */
  sync(full: boolean): Promise<boolean>
}

export class SyncSchedule implements Disposable {
  readonly #options: SyncScheduleOptions
  #timer: Timer | undefined
  #periodic: Timer | undefined
  #running = false
  #wanted = false
  #full = true
  #lastEndMs = Number.NEGATIVE_INFINITY
  #stopped = false

  constructor(options: SyncScheduleOptions) { this.#options = options }

  /** Something changed. */
  request(full = false): void {
    this.#wanted = true
    this.#full ||= full
    this.#arm()
  }

  #arm(): void {
    if (this.#running || this.#timer || this.#stopped || !this.#wanted) return
    const { clock, minSyncPeriodMs } = this.#options
    const wait = Math.max(0, this.#lastEndMs + minSyncPeriodMs - clock.monotonic())
    this.#timer = clock.setTimer(wait, () => {
      this.#timer = undefined
      void this.#run()
    })
  }

  async #run(): Promise<void> {
    const full = this.#full
    this.#wanted = false
    this.#full = false
    this.#running = true
    let ok = false
    try {
      ok = await this.#options.sync(full)
    } finally {
      this.#running = false
      this.#lastEndMs = this.#options.clock.monotonic()
    }
    if (!ok) { this.#wanted = true; this.#full = true }
    this.#periodic?.[Symbol.dispose]()
    if (this.#stopped) return
    this.#periodic = this.#options.clock.setTimer(this.#options.syncPeriodMs, () => this.request(true))
    this.#arm()
  }

  [Symbol.dispose](): void {
    this.#stopped = true
    this.#timer?.[Symbol.dispose]()
    this.#periodic?.[Symbol.dispose]()
  }
}

// A queue of keys to work on. A key waits at most once however often it is added; a key being worked on is never handed out a second time, but
// is handed out again after `done` when it was added meanwhile. Delayed and rate-limited adds use the clock.
//
// Bound: at most `maxLength` distinct keys; keys beyond that are dropped with a call to `onOverflow` (a level-driven user lists everything again).
// Upstream: client-go/util/workqueue
import type { Clock, Timer } from '../base/clock.ts'

export interface WorkQueueOptions {
  readonly clock: Clock
  /** First delay of a failing key; doubles each time. 5 ms. */
  readonly baseDelayMs?: number
  /** Longest delay of a failing key. 1000 s. */
  readonly maxDelayMs?: number
  /** Rate-limited adds of all keys together, per second. 10. */
  readonly addsPerSecond?: number
  /** Rate-limited adds of all keys together at once. 100. */
  readonly burst?: number
  /** 1,000,000 keys. */
  readonly maxLength?: number
  readonly onOverflow?: (key: string) => void
}

export interface WorkQueue {
  /** Number of keys that wait to be handed out. */
  readonly length: number
  /** Number of keys that wait for their time. */
  readonly delayed: number
  add(key: string): void
  /** Adds after `delayMs`; an earlier pending add of the same key wins. */
  addAfter(key: string, delayMs: number): void
  /** Adds after the key's own back-off, and no faster than the overall bucket allows. */
  addRateLimited(key: string): void
  /** The key did well: its back-off starts over. */
  forget(key: string): void
  /** How often the key was added rate-limited since it was last forgotten. */
  failures(key: string): number
  /** The next key, when there is one; undefined after shutDown. Call `done` when it is dealt with. */
  get(): Promise<string | undefined>
  done(key: string): void
  /** Nothing is handed out any more; waiting gets end. */
  shutDown(): void
}

export function createWorkQueue(options: WorkQueueOptions): WorkQueue {
  const { clock, baseDelayMs = 5, maxDelayMs = 1_000_000, maxLength = 1_000_000 } = options
  const bucket = new TokenBucket(clock, options.addsPerSecond ?? 10, options.burst ?? 100)
  /** Keys that need work: waiting, or being worked on and added again. */
  const dirty = new Set<string>()
  const processing = new Set<string>()
  /** Waiting keys in the order of their adding. */
  const waiting = new Set<string>()
  const timers = new Map<string, { readonly timer: Timer, readonly dueMs: number }>()
  const failed = new Map<string, number>()
  const getters: ((key: string | undefined) => void)[] = []
  let closed = false

  const next = (): string | undefined => {
    const [key] = waiting
    if (key === undefined) return undefined
    waiting.delete(key)
    dirty.delete(key)
    processing.add(key)
    return key
  }
  const wake = (): void => {
    while (getters.length > 0 && waiting.size > 0) getters.shift()?.(next())
  }
  const queue: WorkQueue = {
    get length() { return waiting.size },
    get delayed() { return timers.size },
    add(key) {
      if (closed || dirty.has(key)) return
      if (dirty.size >= maxLength) { options.onOverflow?.(key); return }
      dirty.add(key)
      if (processing.has(key)) return
      waiting.add(key)
      wake()
    },
    addAfter(key, delayMs) {
      if (closed) return
      if (delayMs <= 0) { queue.add(key); return }
      const dueMs = clock.monotonic() + delayMs
      const pending = timers.get(key)
      if (pending && pending.dueMs <= dueMs) return
      if (!pending && timers.size >= maxLength) { options.onOverflow?.(key); return }
      pending?.timer[Symbol.dispose]()
      timers.set(key, { dueMs, timer: clock.setTimer(delayMs, () => { timers.delete(key); queue.add(key) }, { keepAlive: false }) })
    },
    addRateLimited(key) {
      const failures = failed.get(key) ?? 0
      failed.set(key, failures + 1)
      queue.addAfter(key, Math.max(Math.min(baseDelayMs * 2 ** Math.min(failures, 40), maxDelayMs), bucket.reserve()))
    },
    forget(key) { failed.delete(key) },
    failures: (key) => failed.get(key) ?? 0,
    get() {
      if (closed) return Promise.resolve(undefined)
      const key = next()
      return key === undefined ? new Promise((resolve) => { getters.push(resolve) }) : Promise.resolve(key)
    },
    done(key) {
      processing.delete(key)
      if (!dirty.has(key) || closed) return
      waiting.add(key)
      wake()
    },
    shutDown() {
      closed = true
      waiting.clear()
      dirty.clear()
      for (const { timer } of timers.values()) timer[Symbol.dispose]()
      timers.clear()
      for (const resolve of getters.splice(0)) resolve(undefined)
    },
  }
  return queue
}

/** Lets `burst` through at once and `perSecond` on the long run. Upstream: golang.org/x/time/rate */
export class TokenBucket {
  readonly #clock: Clock
  readonly #perSecond: number
  readonly #burst: number
  #tokens: number
  #lastMs: number

  constructor(clock: Clock, perSecond: number, burst: number) {
    this.#clock = clock
    this.#perSecond = perSecond
    this.#burst = burst
    this.#tokens = burst
    this.#lastMs = clock.monotonic()
  }

  /** Takes a token, in advance when there is none, and tells how long to wait for it, in milliseconds. */
  reserve(): number {
    this.#refill()
    this.#tokens -= 1
    return this.#tokens >= 0 ? 0 : (-this.#tokens / this.#perSecond) * 1000
  }

  /** Takes a token if there is one now. */
  tryTake(): boolean {
    this.#refill()
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }

  #refill(): void {
    const nowMs = this.#clock.monotonic()
    this.#tokens = Math.min(this.#burst, this.#tokens + ((nowMs - this.#lastMs) / 1000) * this.#perSecond)
    this.#lastMs = nowMs
  }
}

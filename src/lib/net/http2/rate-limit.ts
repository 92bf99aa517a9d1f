// A token bucket: how much of something a peer may do, at once and in the long run.

export class RateLimit {
  readonly #burst: number
  readonly #perSecond: number
  #tokens: number
  #atMs: number

  constructor(burst: number, perSecond: number, nowMs: number) {
    this.#burst = burst
    this.#perSecond = perSecond
    this.#tokens = burst
    this.#atMs = nowMs
  }

  /** False when it was too much. `now` is asked only when the bucket is empty. */
  take(now: () => number): boolean {
    if (this.#tokens < 1) {
      const at = now()
      this.#tokens = Math.min(this.#burst, this.#tokens + ((at - this.#atMs) / 1000) * this.#perSecond)
      this.#atMs = at
      if (this.#tokens < 1) return false
    }
    this.#tokens--
    return true
  }
}

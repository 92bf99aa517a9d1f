// Exponential back-off per key, as restarts and image pulls use it: 10 s doubling to 5 min, forgotten after twice the maximum without trouble.
// Upstream: client-go/util/flowcontrol/backoff.go

interface Entry { readonly delayMs: number; readonly updatedAtMs: number }

export class BackOff {
  readonly #entries = new Map<string, Entry>()
  readonly #initialMs: number
  readonly #maximumMs: number

  constructor(initialMs: number, maximumMs: number) {
    this.#initialMs = initialMs
    this.#maximumMs = maximumMs
  }

  #expired(entry: Entry, eventAtMs: number): boolean { return eventAtMs - entry.updatedAtMs > this.#maximumMs * 2 }

  /** The delay now in force for `key`, 0 for none. */
  get(key: string): number { return this.#entries.get(key)?.delayMs ?? 0 }

  /** Doubles the delay (or begins with the initial one), counting from `nowMs`. */
  next(key: string, eventAtMs: number, nowMs: number): void {
    const entry = this.#entries.get(key)
    const delayMs = !entry || this.#expired(entry, eventAtMs) ? this.#initialMs : Math.min(entry.delayMs * 2, this.#maximumMs)
    this.#entries.set(key, { delayMs, updatedAtMs: nowMs })
  }

  /** Milliseconds left of the delay that began with the event at `eventAtMs`; 0 when it is over. */
  remaining(key: string, eventAtMs: number, nowMs: number): number {
    const entry = this.#entries.get(key)
    if (!entry || this.#expired(entry, eventAtMs)) return 0
    return Math.max(0, entry.delayMs - (nowMs - eventAtMs))
  }

  /** Milliseconds left of the delay that began when it was last changed. */
  remainingSinceUpdate(key: string, nowMs: number): number {
    const entry = this.#entries.get(key)
    if (!entry || this.#expired(entry, nowMs)) return 0
    return Math.max(0, entry.delayMs - (nowMs - entry.updatedAtMs))
  }

  reset(key: string): void { this.#entries.delete(key) }

  /** Forgets what has been quiet for twice the maximum. */
  collect(nowMs: number): void {
    for (const [key, entry] of this.#entries) if (this.#expired(entry, nowMs)) this.#entries.delete(key)
  }

  get size(): number { return this.#entries.size }
}

/** A Go duration for messages: 10000 → `10s`, 80000 → `1m20s`, 300000 → `5m0s`. */
export function formatGoDuration(ms: number): string {
  if (ms === 0) return '0s'
  if (ms < 1000) return `${trimZeros(ms)}ms`
  const hours = Math.floor(ms / 3_600_000)
  const minutes = Math.floor(ms / 60_000) % 60
  const seconds = (ms % 60_000) / 1000
  const tail = `${trimZeros(seconds)}s`
  return hours > 0 ? `${hours}h${minutes}m${tail}` : minutes > 0 ? `${minutes}m${tail}` : tail
}

function trimZeros(value: number): string { return String(Math.round(value * 1e6) / 1e6) }

// Time as an argument. Nothing under src/ calls Date.now, performance.now, setTimeout or setInterval; it takes a Clock.
//
// Rule it keeps: wall time (`now`) is for people and for API timestamps, monotonic time (`monotonic`) is for deadlines and leases, because
// wall clocks jump. A test passes a SimulatedClock (lib/testing) and moves both by hand.

/** Cancels the timer; calling it twice, or after the timer fired, does nothing. */
export interface Timer extends Disposable {}

export interface Clock {
  /** Wall time, milliseconds since the epoch. */
  now(): number
  /** Milliseconds since some fixed moment; never goes back. */
  monotonic(): number
  /** Calls `run` once after `delayMs`. With `keepAlive: false` the timer doesn't keep the process running. */
  setTimer(delayMs: number, run: () => void, options?: { readonly keepAlive?: boolean }): Timer
}

/** Resolves after `delayMs`; rejects with the signal's reason when it is aborted first. */
export function sleep(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) { reject(signal.reason); return }
    const onAbort = (): void => { timer[Symbol.dispose](); reject(signal.reason) }
    const timer = clock.setTimer(delayMs, () => { signal.removeEventListener('abort', onAbort); resolve() })
    signal.addEventListener('abort', onAbort, { once: true })
  })
}

/** RFC 3339 in UTC with whole seconds, as metav1.Time prints it: `2026-01-02T03:04:05Z`. */
export function formatTime(epochMs: number): string {
  return `${new Date(Math.floor(epochMs / 1000) * 1000).toISOString().slice(0, 19)}Z`
}

/** RFC 3339 in UTC with exactly six digits of fraction, as metav1.MicroTime prints it. */
export function formatMicroTime(epochMs: number): string {
  return `${new Date(epochMs).toISOString().slice(0, 23)}${String(Math.floor((epochMs * 1000) % 1000)).padStart(3, '0')}Z`
}

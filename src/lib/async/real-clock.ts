// The machine's own clock: the one place that touches Date.now, performance.now and setTimeout.
import type { Clock, Timer } from '../base/clock.ts'

const longestDelayMs = 2 ** 31 - 1

export const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer(delayMs, run, options): Timer {
    // Node fires timers of more than 2^31-1 ms at once; wait in pieces instead.
    let handle: NodeJS.Timeout
    const arm = (leftMs: number): void => {
      const piece = Math.min(Math.max(leftMs, 0), longestDelayMs)
      handle = setTimeout(() => (leftMs > longestDelayMs ? arm(leftMs - piece) : run()), piece)
      if (options?.keepAlive === false) handle.unref()
    }
    arm(delayMs)
    return { [Symbol.dispose]: () => clearTimeout(handle) }
  },
}

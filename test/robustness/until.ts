// Waits for something to be so, and says what was waited for when it isn't.
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { realClock } from '../../src/lib/async/real-clock.ts'

export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const deadline = realClock.monotonic() + 30_000; !(await holds()); await delay(50)) assert.ok(realClock.monotonic() < deadline, `${what}: not within 30 s`)
}

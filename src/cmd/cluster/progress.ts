// Shows what a start is doing: one line a component, with the time it took.
import { styleText } from 'node:util'
import type { Clock } from '../../lib/base/clock.ts'

export interface Progress {
  /** A component is ready; the time is counted from when `startedMs` says, or from the last line. */
  done(name: string, detail?: string, startedMs?: number): void
  say(text: string): void
  fail(name: string, problem: string): void
  /** Milliseconds since the process began. */
  elapsedMs(): number
}

export function createProgress(clock: Clock, output: NodeJS.WriteStream): Progress {
  const beganMs = clock.monotonic() - process.uptime() * 1000
  const colour = (style: 'green' | 'red' | 'dim' | 'bold', text: string): string => (output.isTTY ? styleText(style, text) : text)
  let lastMs = beganMs
  return {
    done(name, detail = '', startedMs = lastMs) {
      lastMs = clock.monotonic()
      output.write(`  ${colour('green', '✓')} ${name.padEnd(26)} ${colour('dim', `${Math.round(lastMs - startedMs)} ms`.padStart(8))}${detail ? `   ${detail}` : ''}\n`)
    },
    say: (text) => { output.write(`${text}\n`) },
    fail: (name, problem) => { output.write(`  ${colour('red', '✗')} ${name.padEnd(26)} ${problem}\n`) },
    elapsedMs: () => clock.monotonic() - beganMs,
  }
}

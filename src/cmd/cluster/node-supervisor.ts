// Keeps the process of one worker node running: started inside the node's namespaces, started again when it dies, stopped with the cluster.
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { openSync } from 'node:fs'
import type { Clock } from '../../lib/base/clock.ts'

export interface NodeSupervisor extends AsyncDisposable {
  readonly pid: number | undefined
}

export interface NodeSupervisorOptions {
  readonly clock: Clock
  /** Program and arguments, `nsenter` included. */
  readonly command: readonly string[]
  readonly logPath: string
  /** Told when the process ended by itself. */
  onExit(code: number | null, signal: string | null): void
}

const firstDelayMs = 200
const longestDelayMs = 10_000
/** A process that ran this long is started again at once. */
const healthyAfterMs = 10_000
const stopTimeoutMs = 15_000

export function superviseNode(options: NodeSupervisorOptions): NodeSupervisor {
  const { clock } = options
  const log = openSync(options.logPath, 'a')
  let child: ChildProcess | undefined
  let stopping = false
  let delayMs = firstDelayMs
  const start = (): void => {
    const [program = '', ...args] = options.command
    const startedMs = clock.monotonic()
    const running = spawn(program, args, { stdio: ['ignore', log, log], detached: false })
    child = running
    const ended = (code: number | null, signal: string | null): void => {
      if (child !== running) return
      child = undefined
      if (stopping) return
      options.onExit(code, signal)
      if (clock.monotonic() - startedMs > healthyAfterMs) delayMs = firstDelayMs
      clock.setTimer(delayMs, () => { if (!stopping) start() })
      delayMs = Math.min(delayMs * 2, longestDelayMs)
    }
    running.on('error', () => ended(127, null))
    running.on('exit', ended)
  }
  start()
  return {
    get pid() { return child?.pid },
    async [Symbol.asyncDispose]() {
      stopping = true
      const running = child
      if (!running || running.exitCode !== null || running.signalCode !== null) return
      const gone = new Promise<void>((resolve) => running.once('exit', () => resolve()))
      running.kill('SIGTERM')
      using _force = clock.setTimer(stopTimeoutMs, () => running.kill('SIGKILL'))
      await gone
    },
  }
}

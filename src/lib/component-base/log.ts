// Logs in klog's text form, which people's eyes and scripts know: `I0102 15:04:05.000000   1234 replicaset:syncing] "message" key="value"`.
// Upstream: k8s.io/klog
import type { Clock } from '../base/clock.ts'

export type LogSeverity = 'info' | 'warning' | 'error'
type LogValue = string | number | boolean | bigint | null | undefined | Error | object

export interface Logger {
  /** `verbosity`: 0 always, 2 steady state, 4 debug and up. */
  info(message: string, values?: { readonly [key: string]: LogValue }, verbosity?: number): void
  warn(message: string, values?: { readonly [key: string]: LogValue }): void
  error(message: string, error: unknown, values?: { readonly [key: string]: LogValue }): void
  /** The same logger under another name. */
  named(name: string): Logger
}

export interface LoggerOptions {
  readonly clock: Clock
  readonly name: string
  /** Highest verbosity that is written (`-v`). */
  readonly verbosity: number
  write(line: string): void
  readonly processId?: number
}

export function createLogger(options: LoggerOptions): Logger {
  const emit = (letter: 'I' | 'W' | 'E', message: string, values: { readonly [key: string]: LogValue } = {}): void => {
    const t = new Date(options.clock.now()).toISOString()
    const head = `${letter}${t.slice(5, 7)}${t.slice(8, 10)} ${t.slice(11, 23)}000 ${String(options.processId ?? 1).padStart(7)} ${options.name}]`
    const tail = Object.entries(values).map(([key, value]) => ` ${key}=${formatLogValue(value)}`).join('')
    options.write(`${head} ${JSON.stringify(message)}${tail}\n`)
  }
  return {
    info: (message, values, verbosity = 0) => { if (verbosity <= options.verbosity) emit('I', message, values) },
    warn: (message, values) => emit('W', message, values),
    error: (message, error, values) => emit('E', message, { err: describeError(error), ...values }),
    named: (name) => createLogger({ ...options, name }),
  }
}

/** A logger that says nothing, for tests. */
export const silentLogger: Logger = { info: () => {}, warn: () => {}, error: () => {}, named: () => silentLogger }

function formatLogValue(value: LogValue): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (value instanceof Error) return JSON.stringify(value.message)
  if (typeof value === 'object' && value !== null) return JSON.stringify(value)
  return String(value)
}

/** One line for an error and the causes behind it. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause === undefined ? error.message : `${error.message}: ${describeError(error.cause)}`
}

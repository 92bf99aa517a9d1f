// A logger that keeps what it is told, for tests that look at it.
import { describeError, type Logger } from '../component-base/log.ts'

export interface LoggedLine {
  readonly level: 'info' | 'warn' | 'error'
  readonly message: string
  readonly values: { readonly [key: string]: unknown }
}

export function recordingLogger(): { readonly logger: Logger; readonly lines: LoggedLine[] } {
  const lines: LoggedLine[] = []
  const logger: Logger = {
    info: (message, values = {}) => { lines.push({ level: 'info', message, values }) },
    warn: (message, values = {}) => { lines.push({ level: 'warn', message, values }) },
    error: (message, error, values = {}) => { lines.push({ level: 'error', message, values: { ...values, error: describeError(error) } }) },
    named: () => logger,
  }
  return { logger, lines }
}

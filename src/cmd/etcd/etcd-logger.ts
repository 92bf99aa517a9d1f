// Logs as etcd's zap writes them: one JSON object per line, or tab-separated for people; to stderr, stdout or files that are renamed when large.
// Upstream: etcd/server/embed/config_logging.go, etcd/client/pkg/logutil
import { closeSync, fstatSync, openSync, readdirSync, renameSync, statSync, unlinkSync, writeSync } from 'node:fs'
import { basename, dirname, extname, join } from 'node:path'
import type { Clock } from '../../lib/base/clock.ts'
import { isJsonObject, type JsonValue } from '../../lib/base/json.ts'
import { FlagError } from '../../lib/component-base/flags.ts'
import { describeError, type Logger } from '../../lib/component-base/log.ts'
import type { EtcdSettings } from './check-settings.ts'

const levels = ['debug', 'info', 'warn', 'error', 'dpanic', 'panic', 'fatal']

export interface EtcdLogger extends Disposable {
  readonly logger: Logger
}

interface Output extends Disposable {
  write(line: string): void
}

/** @throws FlagError when an output can't be opened */
export function createEtcdLogger(flags: Pick<EtcdSettings, 'log-level' | 'log-format' | 'log-outputs' | 'enable-log-rotation' | 'log-rotation-config-json'>, clock: Clock): EtcdLogger {
  const rotation = flags['enable-log-rotation'] ? readRotation(flags['log-rotation-config-json']) : undefined
  const outputs = [...new Set(flags['log-outputs'])].map((name): Output => {
    if (name === 'default' || name === 'stderr' || name === 'systemd/journal') return { write: (line) => process.stderr.write(line), [Symbol.dispose]: () => {} }
    if (name === 'stdout' || name === '/dev/stdout') return { write: (line) => process.stdout.write(line), [Symbol.dispose]: () => {} }
    return new LogFile(name, rotation, clock)
  })
  const write = (line: string): void => { for (const output of outputs) output.write(line) }
  const logger = loggerOf({ clock, level: levels.indexOf(flags['log-level']), isJson: flags['log-format'] === 'json', write }, '')
  return { logger, [Symbol.dispose]: () => { for (const output of outputs) output[Symbol.dispose]() } }
}

interface LineWriter {
  readonly clock: Clock
  /** Index of the lowest level that is written. */
  readonly level: number
  readonly isJson: boolean
  write(line: string): void
}

function loggerOf(writer: LineWriter, name: string): Logger {
  const emit = (level: string, message: string, values: { readonly [key: string]: unknown }): void => {
    if (levels.indexOf(level) < writer.level) return
    const time = new Date(writer.clock.now()).toISOString().replace('Z', '000Z')
    const fields = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined).map(([key, value]) => [key, plainOf(value)]))
    if (writer.isJson) writer.write(`${JSON.stringify({ level, ts: time, ...(name === '' ? {} : { logger: name }), msg: message, ...fields })}\n`)
    else writer.write([time, level, ...(name === '' ? [] : [name]), message, ...(Object.keys(fields).length > 0 ? [JSON.stringify(fields)] : [])].join('\t') + '\n')
  }
  return {
    info: (message, values = {}, verbosity = 0) => emit(verbosity > 0 ? 'debug' : 'info', message, values),
    warn: (message, values = {}) => emit('warn', message, values),
    error: (message, error, values = {}) => emit('error', message, { ...values, error: describeError(error) }),
    named: (more) => loggerOf(writer, name === '' ? more : `${name}.${more}`),
  }
}

function plainOf(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString(16)
  return value instanceof Error ? describeError(value) : value
}

export interface LogRotation {
  readonly maxBytes: number
  readonly maxAgeDays: number
  readonly maxBackups: number
}

/** @throws FlagError */
export function readRotation(text: string): LogRotation {
  let value: JsonValue
  try {
    value = JSON.parse(text) as JsonValue // cast: what JSON.parse gives
  } catch (error) {
    throw new FlagError('improperly formatted log rotation config', { cause: error })
  }
  if (!isJsonObject(value)) throw new FlagError('improperly formatted log rotation config')
  const settings = value
  const number = (name: string, otherwise: number): number => { const given = settings[name]; return typeof given === 'number' && given > 0 ? given : otherwise }
  return { maxBytes: number('maxsize', 100) * 1024 * 1024, maxAgeDays: number('maxage', 0), maxBackups: number('maxbackups', 0) }
}

/** A file that is appended to; with a rotation, it gets another name when it is full, and a new one begins. */
export class LogFile implements Disposable {
  readonly #path: string
  readonly #rotation: LogRotation | undefined
  readonly #clock: Clock
  #fd: number
  #bytes: number

  /** @throws FlagError when it can't be opened */
  constructor(path: string, rotation: LogRotation | undefined, clock: Clock) {
    this.#path = path.replace(/^file:\/\//, '')
    this.#rotation = rotation
    this.#clock = clock
    try {
      this.#fd = openSync(this.#path, 'a', 0o644)
      this.#bytes = fstatSync(this.#fd).size
    } catch (error) {
      throw new FlagError(`open sink ${JSON.stringify(path)}: ${describeError(error)}`, { cause: error })
    }
  }

  write(line: string): void {
    try {
      if (this.#rotation && this.#bytes > 0 && this.#bytes + line.length > this.#rotation.maxBytes) this.#rotate(this.#rotation)
      this.#bytes += writeSync(this.#fd, line)
    } catch {
      // A full disk must not stop the member; there is nowhere to say it.
    }
  }

  #rotate(rotation: LogRotation): void {
    const extension = extname(this.#path)
    const base = this.#path.slice(0, this.#path.length - extension.length)
    closeSync(this.#fd)
    renameSync(this.#path, `${base}-${new Date(this.#clock.now()).toISOString().slice(0, 23).replaceAll(':', '-')}${extension}`)
    this.#fd = openSync(this.#path, 'a', 0o644)
    this.#bytes = 0
    const folder = dirname(this.#path)
    const old = readdirSync(folder).filter((name) => name.startsWith(`${basename(base)}-`) && name.endsWith(extension)).sort().reverse()
    const oldestMs = rotation.maxAgeDays === 0 ? 0 : this.#clock.now() - rotation.maxAgeDays * 86_400_000
    old.forEach((name, i) => {
      const path = join(folder, name)
      if ((rotation.maxBackups > 0 && i >= rotation.maxBackups) || statSync(path).mtimeMs < oldestMs) unlinkSync(path)
    })
  }

  [Symbol.dispose](): void { closeSync(this.#fd) }
}

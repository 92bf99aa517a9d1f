// Commands, flags and help of version 2 in the form that its users know: Go's flags (one dash or two), commands within commands, and help laid out
// as the library of the original lays it out. Upstream: github.com/urfave/cli v1
import type { Clock } from '../../../lib/base/clock.ts'
import { parseGoDuration } from '../../../lib/component-base/flags.ts'
import type { Environment } from '../global-flags.ts'
import { ExitError } from '../command.ts'
import type { KeysClient } from './keys-api.ts'
import type { ClusterApi } from './cluster-api.ts'

export interface V2Flag {
  /** The first is the one that commands ask by. */
  readonly names: readonly string[]
  readonly type: 'bool' | 'string' | 'int' | 'strings' | 'duration'
  /** A word in backquotes stands for the value. */
  readonly usage: string
  readonly default?: string
  /** As help shows it. */
  readonly shownDefault?: string
}

export type FlagValue = string | boolean | number | readonly string[]
export type FlagValues = { readonly [name: string]: FlagValue }

export interface V2Context {
  readonly globals: FlagValues
  readonly flags: FlagValues
  readonly args: readonly string[]
  readonly keys: () => Promise<KeysClient>
  /** Members, users, roles. @param synchronized with the addresses that the members publish */
  readonly cluster: (synchronized?: boolean) => Promise<ClusterApi>
  readonly surroundings: V2Surroundings
  askPassword(prompt: string): Promise<string>
  /** For requests that may take as long as `--total-timeout` says. */
  readonly deadline: AbortSignal
}

/** What `etcdctl backup` is asked for; empty folders are those below the others. */
export interface BackupRequest {
  readonly dataDir: string
  readonly walDir: string
  readonly backupDir: string
  readonly backupWalDir: string
  readonly withV3: boolean
}

export interface V2Surroundings {
  /** Copies a member's files. They are the server's: whoever puts the program together brings what knows them. */
  readonly backup?: (request: BackupRequest) => Promise<void>
  readonly environment: Environment
  readonly clock: Clock
  openStdin(): NodeJS.ReadStream
  out(text: string): void
  err(text: string): void
}

export interface V2Command {
  readonly name: string
  readonly usage: string
  /** What follows the name and `[command options]`; absent: `[arguments...]`. */
  readonly argsUsage?: string
  readonly description?: string
  readonly flags?: readonly V2Flag[]
  readonly commands?: readonly V2Command[]
  readonly run?: (context: V2Context) => Promise<void>
}

/** A mistake in the flags, in Go's words. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export const exitCodes = { error: 1, badConnection: 2, unknownCommand: 3, serverError: 4, notHealthy: 5 } as const

/** A line on standard error, and the code. */
export class PlainExit extends ExitError {
  readonly text: string
  constructor(code: number, text: string) {
    super(code, '')
    this.text = text
  }
}

export function bad(message: string): ExitError { return new ExitError(exitCodes.error, message) }
export function plain(text: string, code: number = exitCodes.error): PlainExit { return new PlainExit(code, `${text}\n`) }

export function defaultsOf(flags: readonly V2Flag[]): { [name: string]: FlagValue } {
  return Object.fromEntries(flags.map((flag) => [flag.names[0] ?? '', valueOf(flag, flag.default)] as const))
}

function valueOf(flag: V2Flag, text: string | undefined): FlagValue {
  switch (flag.type) {
    case 'bool': return text === 'true'
    case 'int': return Number(text ?? 0)
    case 'strings': return text === undefined || text === '' ? [] : [text]
    case 'string': return text ?? ''
    case 'duration': return text === undefined ? 0 : parseGoDuration(text) ?? 0
  }
}

function read(flag: V2Flag, name: string, text: string): FlagValue {
  const invalid = (): UsageError => new UsageError(`invalid value ${JSON.stringify(text)} for flag -${name}: parse error`)
  switch (flag.type) {
    case 'bool':
      if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(text)) return true
      if (['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(text)) return false
      throw new UsageError(`invalid boolean value ${JSON.stringify(text)} for -${name}: parse error`)
    case 'int': if (!/^[+-]?\d+$/.test(text)) throw invalid(); return Number(text)
    case 'duration': {
      const ms = parseGoDuration(text)
      if (ms === undefined) throw invalid()
      return ms
    }
    case 'string': case 'strings': return text
  }
}

export interface ParsedWords { readonly flags: FlagValues; readonly given: ReadonlySet<string>; readonly args: readonly string[] }

/** Flags up to the first word that is none. @throws UsageError */
export function parseWords(flags: readonly V2Flag[], words: readonly string[]): ParsedWords {
  const values = defaultsOf(flags)
  const given = new Set<string>()
  for (let i = 0; ; i++) {
    const word = words[i]
    if (word === undefined || !word.startsWith('-') || word === '-') return { flags: values, given, args: words.slice(i) }
    if (word === '--') return { flags: values, given, args: words.slice(i + 1) }
    const [, name = '', value] = /^--?([^=]*)(?:=([\s\S]*))?$/.exec(word) ?? []
    if (name === '' || name.startsWith('-')) throw new UsageError(`bad flag syntax: ${word}`)
    const flag = flags.find((known) => known.names.includes(name))
    if (!flag) throw new UsageError(`flag provided but not defined: -${name}`)
    const key = flag.names[0] ?? ''
    let text = value
    if (text === undefined && flag.type !== 'bool') {
      text = words[++i]
      if (text === undefined) throw new UsageError(`flag needs an argument: -${name}`)
    }
    const parsed = read(flag, name, text ?? 'true')
    const before = values[key]
    values[key] = flag.type === 'strings' && Array.isArray(before) ? [...before, String(parsed)] : parsed
    given.add(key)
  }
}

/** Words of a command: flags may follow the arguments, so they are put before them; what `--` separates stays last. */
export function flagsFirst(words: readonly string[]): readonly string[] {
  const terminator = words.indexOf('--')
  const before = terminator < 0 ? words : words.slice(0, terminator)
  const first = before.findIndex((word) => word.startsWith('-') && word !== '-')
  if (first < 0) return words
  return [...before.slice(first), ...words.slice(0, first), ...(terminator < 0 ? [] : words.slice(terminator))]
}

// ---- help ----

export const helpFlag: V2Flag = { names: ['help', 'h'], type: 'bool', usage: 'show help' }
export const versionFlag: V2Flag = { names: ['version', 'v'], type: 'bool', usage: 'print the version' }

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `   ${left.padEnd(width)}  ${right}\n`).join('')
}

function flagRow({ names, type, usage, default: initial, shownDefault }: V2Flag): readonly [string, string] {
  const placeholder = type === 'bool' ? '' : ` ${/`([^`]*)`/.exec(usage)?.[1] ?? 'value'}`
  // Only the first pair of quotes is taken away.
  const text = usage.replace(/`([^`]*)`/, '$1')
  const shown = shownDefault ?? (type === 'int' ? initial ?? '0' : type === 'duration' ? initial : initial === undefined ? undefined : JSON.stringify(initial))
  return [names.map((name) => `${name.length === 1 ? '-' : '--'}${name}${placeholder}`).join(', '), `${text}${shown === undefined ? '' : ` (default: ${shown})`}`]
}

export function applicationHelp(version: string, commands: readonly V2Command[], flags: readonly V2Flag[]): string {
  return [
    'NAME:\n   etcdctl - A simple command line client for etcd.\n\n', 'USAGE:\n   etcdctl [global options] command [command options] [arguments...]\n\n', `VERSION:\n   ${version}\n\n`,
    `COMMANDS:\n${columns([...commands.map(({ name, usage }) => [name, usage] as const), ['help, h', 'Shows a list of commands or help for one command']])}\n`,
    `GLOBAL OPTIONS:\n${columns([...flags, helpFlag, versionFlag].map(flagRow))}`,
  ].join('')
}

/** @param path the names up to this command */
export function commandHelp(path: readonly string[], command: V2Command): string {
  const flags = command.flags ?? []
  return [
    `NAME:\n   etcdctl ${path.join(' ')} - ${command.usage}\n\n`, `USAGE:\n   etcdctl ${path.join(' ')}${flags.length > 0 ? ' [command options]' : ''} ${command.argsUsage ?? '[arguments...]'}\n`,
    ...(command.description === undefined ? [] : [`\nDESCRIPTION:\n   ${command.description}\n`]), ...(flags.length > 0 ? [`\nOPTIONS:\n${columns(flags.map(flagRow))}   \n`] : []),
  ].join('')
}

export function groupHelp(command: V2Command): string {
  return [
    `NAME:\n   etcdctl ${command.name} - ${command.usage}\n\n`, `USAGE:\n   etcdctl ${command.name} command [command options] [arguments...]\n\n`,
    `COMMANDS:\n${columns((command.commands ?? []).map(({ name, usage }) => [name, usage] as const))}\n`, `OPTIONS:\n${columns([flagRow(helpFlag)])}   \n`,
  ].join('')
}

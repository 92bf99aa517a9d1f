// A command as data: its words for help, its flags, and what it does. And how a command ends early.
import type { FlagSpecs, FlagValues } from '../../lib/component-base/flags.ts'
import type { Session } from './session.ts'

/** Exit codes of the original. Upstream: pkg/cobrautl/error.go */
export const exitCodes = { error: 1, badConnection: 2, invalidInput: 3, badFeature: 4, interrupted: 5, badArguments: 128 } as const

/** Ends the program: `Error: <message>` on standard error (nothing for an empty message) and the code. */
export class ExitError extends Error {
  override readonly name = 'ExitError'
  readonly code: number
  /** How the command is used is told too. */
  readonly usage: boolean
  constructor(code: number, message: string, options?: ErrorOptions & { readonly usage?: boolean }) {
    super(message, options)
    this.code = code
    this.usage = options?.usage ?? false
  }
}

export function badArguments(message: string): ExitError { return new ExitError(exitCodes.badArguments, message) }

export interface Invocation<S extends FlagSpecs> {
  readonly flags: FlagValues<S>
  readonly given: ReadonlySet<string>
  readonly args: readonly string[]
}

export type GroupName = 'kv' | 'cluster maintenance' | 'concurrency' | 'authentication' | 'utility'

export interface Command {
  /** The usage line after the parent's path; its first word is the name. */
  readonly use: string
  readonly short: string
  readonly long?: string
  readonly example?: string
  readonly group?: GroupName
  readonly flags: FlagSpecs
  /** Flags of this command and all below it. */
  readonly persistentFlags: FlagSpecs
  /** The usage line stays as it is. */
  readonly plainUse?: boolean
  readonly commands: readonly Command[]
  readonly run?: (session: Session, invocation: Invocation<FlagSpecs>) => Promise<void>
}

interface LeafDefinition<S extends FlagSpecs> {
  readonly use: string
  readonly short: string
  readonly long?: string
  readonly example?: string
  readonly group?: GroupName
  readonly flags?: S
  readonly plainUse?: boolean
  run(session: Session, invocation: Invocation<S>): Promise<void>
}

/** A command that does something. */
export function defineCommand<const S extends FlagSpecs = {}>(definition: LeafDefinition<S>): Command {
  const { flags, run, ...words } = definition
  return { ...words, flags: flags ?? {}, persistentFlags: {}, commands: [], run: (session, invocation) => run(session, invocation as unknown as Invocation<S>) } // cast: the parser reads this command's flags
}

/** A command that only has others. */
export function defineGroup(words: Pick<Command, 'use' | 'short' | 'long' | 'example' | 'group'>, commands: readonly Command[], persistentFlags: FlagSpecs = {}): Command {
  return { ...words, flags: {}, persistentFlags, commands }
}

export function nameOf(command: Command): string { return command.use.split(' ')[0] ?? '' }

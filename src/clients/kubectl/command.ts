// What a kubectl command is: its place in the help, its flags as data, and a run function that gets everything it may touch.
import type { Clock } from '../../lib/base/clock.ts'
import type { Random } from '../../lib/base/random.ts'
import type { FlagSpecs, ParsedFlags } from '../../lib/component-base/flags.ts'
import type { globalFlags } from './global-flags.ts'
import type { Session } from './session.ts'

/** The outside world of one kubectl call; tests pass their own. */
export interface KubectlContext {
  readonly environment: { readonly [name: string]: string | undefined }
  readonly clock: Clock
  readonly random: Random
  readonly signal: AbortSignal
  /** Writes to standard output; resolves when the text is taken. */
  out(text: string): void
  err(text: string): void
  readonly stdin: NodeJS.ReadStream
  readonly stdout: NodeJS.WriteStream
  readonly stderr: NodeJS.WriteStream
  /** Connects on first use. */
  session(): Session
}

export type CommandFlags<S extends FlagSpecs> = ParsedFlags<S & typeof globalFlags>

export interface KubectlCommand<S extends FlagSpecs = FlagSpecs> {
  readonly name: string
  readonly aliases?: readonly string[]
  /** Heading under which the top-level help lists it. */
  readonly group?: 'Basic Commands (Beginner)' | 'Basic Commands (Intermediate)' | 'Deploy Commands' | 'Cluster Management Commands' | 'Troubleshooting and Debugging Commands' | 'Advanced Commands' | 'Settings Commands' | 'Other Commands'
  /** One line. */
  readonly short: string
  /** Arguments after the name: `(TYPE NAME | TYPE/NAME) [flags]`. */
  readonly usage: string
  readonly examples?: string
  readonly flags: S
  readonly subcommands?: readonly KubectlCommand[]
  /** Absent for a command that only groups others. */
  readonly run?: (context: KubectlContext, parsed: CommandFlags<S>) => Promise<number>
}

/** Keeps the types of a command's flags for its run function. */
export function defineCommand<const S extends FlagSpecs>(command: KubectlCommand<S>): KubectlCommand {
  return command as unknown as KubectlCommand // cast: run is only ever called with flags parsed by this command's own specs
}

/** Ends the command with `error: <message>` on standard error and an exit code. */
export class KubectlError extends Error {
  override readonly name = 'KubectlError'
  readonly exitCode: number
  /** The message stands alone, without `error: ` in front. */
  readonly plain: boolean
  constructor(message: string, exitCode = 1, plain = false) {
    super(message)
    this.exitCode = exitCode
    this.plain = plain
  }
}

/** The arguments are wrong: `error: <message>` and a pointer to the command's help. */
export class UsageError extends KubectlError {
  readonly commandPath: string
  constructor(message: string, commandPath: string) {
    super(message)
    this.commandPath = commandPath
  }
}

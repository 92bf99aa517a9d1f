// What every program does around its work: flags in, `--help` and `--version` out, signals turned into one AbortSignal, an error printed so
// that it says what to do next.
import type { FlagSpecs, ParsedFlags } from '../lib/component-base/flags.ts'
import { FlagError, formatFlagUsages, parseFlags } from '../lib/component-base/flags.ts'
import type { Logger } from '../lib/component-base/log.ts'
import { createLogger, describeError } from '../lib/component-base/log.ts'
import { realClock } from '../lib/async/real-clock.ts'

export const kubernetesVersion = 'v1.37.0'

export interface ComponentProgram<S extends FlagSpecs> {
  readonly name: string
  /** One or two sentences on what it is, for `--help`. */
  readonly description: string
  readonly flags: S
  /** What `--version` prints; `Kubernetes v1.37.0` when absent. */
  readonly version?: string
  /** Runs until `signal` is aborted; resolves to the exit code. */
  main(parsed: ParsedFlags<S & typeof commonFlags>, logger: Logger, signal: AbortSignal): Promise<number>
}

export const commonFlags = {
  help: { type: 'bool', short: 'h', usage: 'help for this program' },
  version: { type: 'string', whenAlone: 'true', usage: 'print version information and quit' },
  v: { type: 'int', short: 'v', usage: 'number for the log level verbosity' },
} as const satisfies FlagSpecs

const sameWishMs = 500

/** A program's `run`: parses, answers --help and --version, runs `main` until SIGINT or SIGTERM. */
export async function runComponent<const S extends FlagSpecs>(program: ComponentProgram<S>, args: readonly string[]): Promise<number> {
  const specs = { ...commonFlags, ...program.flags } as S & typeof commonFlags // cast: the spread has exactly these keys
  let parsed: ParsedFlags<S & typeof commonFlags>
  try {
    parsed = parseFlags(specs, args)
  } catch (error) {
    if (!(error instanceof FlagError)) throw error
    process.stderr.write(`Error: ${error.message}\nSee '${program.name} --help' for usage.\n`)
    return 1
  }
  const common = parsed.flags as { readonly help: boolean; readonly version: string; readonly v: number } // cast: commonFlags are among the specs
  if (common.help) {
    process.stdout.write(`${program.description}\n\nUsage:\n  ${program.name} [flags]\n\nFlags:\n${formatFlagUsages(specs)}\n`)
    return 0
  }
  if (common.version !== '' && common.version !== 'false') {
    process.stdout.write(`${program.version ?? `Kubernetes ${kubernetesVersion}`}\n`)
    return 0
  }
  const logger = createLogger({ clock: realClock, name: program.name, verbosity: common.v, processId: process.pid, write: (line) => process.stderr.write(line) })
  const stop = new AbortController()
  let askedMs: number | undefined
  // Asking twice ends it at once; but one wish may come as two signals, to the process and to its group.
  const end = (): void => {
    const nowMs = realClock.monotonic()
    if (askedMs !== undefined && nowMs - askedMs > sameWishMs) process.exit(1)
    askedMs ??= nowMs
    stop.abort(new Error('asked to stop'))
  }
  process.on('SIGINT', end)
  process.on('SIGTERM', end)
  try {
    return await program.main(parsed, logger, stop.signal)
  } catch (error) {
    if (stop.signal.aborted) return 0
    process.stderr.write(`${program.name}: ${describeError(error)}\n`)
    return 1
  } finally {
    process.removeListener('SIGINT', end)
    process.removeListener('SIGTERM', end)
  }
}

/** Resolves when `signal` is aborted. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => { if (signal.aborted) resolve(); else signal.addEventListener('abort', () => resolve(), { once: true }) })
}

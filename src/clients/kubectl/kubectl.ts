// kubectl: finds the command, parses its flags, runs it, and turns what went wrong into the original's words and exit codes.
import { realClock } from '../../lib/async/real-clock.ts'
import { realRandom } from '../../lib/async/real-random.ts'
import { ApiError } from '../../lib/client/api-error.ts'
import { TransportError } from '../../lib/client/transport.ts'
import type { FlagSpecs } from '../../lib/component-base/flags.ts'
import { FlagError, formatFlagUsages, parseFlags } from '../../lib/component-base/flags.ts'
import { KubectlError, UsageError } from './command.ts'
import type { KubectlCommand, KubectlContext } from './command.ts'
import { commands } from './commands/index.ts'
import { formatApiError } from './format-api-error.ts'
import { globalFlags } from './global-flags.ts'
import { openSession } from './session.ts'
import type { Session } from './session.ts'

/** Runs one kubectl call with the process's own streams; resolves to the exit code. */
export async function runKubectl(args: readonly string[]): Promise<number> {
  const stop = new AbortController()
  process.once('SIGINT', () => { stop.abort(new KubectlError('interrupted', 130)) })
  process.once('SIGTERM', () => { stop.abort(new KubectlError('terminated', 143)) })
  process.stdout.on('error', () => process.exit(0)) // the reader of a pipe went away
  return executeKubectl(args, {
    environment: process.env, clock: realClock, random: realRandom, signal: stop.signal, stdin: process.stdin, stdout: process.stdout, stderr: process.stderr,
    out: (text) => { process.stdout.write(text) }, err: (text) => { process.stderr.write(text) },
  })
}

export async function executeKubectl(args: readonly string[], world: Omit<KubectlContext, 'session'>): Promise<number> {
  const { command, path, rest } = findCommand(args)
  if (!command) {
    const word = rest.find((a) => !a.startsWith('-'))
    if (word !== undefined) { world.err(`error: unknown command ${JSON.stringify(word)} for "kubectl"\n`); return 1 }
    world.out(formatTopHelp())
    return 0
  }
  let session: Session | undefined
  try {
    const specs: FlagSpecs = { ...globalFlags, ...command.flags }
    const parsed = parseFlags(specs, rest)
    if (parsed.flags['help'] === true) { world.out(formatHelp(command, path)); return 0 }
    if (!command.run) {
      if (parsed.args.length > 0) throw new UsageError(`unknown command ${JSON.stringify(parsed.args[0] ?? '')}`, path)
      world.out(formatHelp(command, path))
      return 1
    }
    const context: KubectlContext = { ...world, session: () => (session ??= openSession({ ...parsed.flags, ...overriddenDefaults(command.flags) } as never, world)) } // cast: the global flags are among the specs
    return await command.run(context, parsed as never) // cast: parsed by this command's own specs
  } catch (error) {
    return reportError(error, path, world)
  } finally {
    session?.close()
  }
}

/** A command's own flag may have the name of a global one (`create rolebinding --user`): the session then has the global's default. */
function overriddenDefaults(own: FlagSpecs): { readonly [name: string]: string } {
  return Object.fromEntries(Object.keys(own).filter((name) => Object.hasOwn(globalFlags, name)).map((name) => [name, '']))
}

function reportError(error: unknown, path: string, world: Omit<KubectlContext, 'session'>): number {
  if (error instanceof FlagError) { world.err(`error: ${error.message}\nSee 'kubectl ${path} --help' for usage.\n`); return 1 }
  if (error instanceof UsageError) { world.err(`error: ${error.message}\nSee 'kubectl ${path} -h' for help and examples\n`); return error.exitCode }
  if (error instanceof KubectlError) { if (error.exitCode !== 130) world.err(`${error.plain ? '' : 'error: '}${error.message}${error.message.endsWith('\n') ? '' : '\n'}`); return error.exitCode }
  if (error instanceof ApiError) { world.err(`${formatApiError(error)}\n`); return 1 }
  if (error instanceof TransportError) {
    world.err(error.reason === 'ConnectionRefused'
      ? `The connection to the server ${error.message.split(' ')[2]?.replace(/:$/, '') ?? ''} was refused - did you specify the right host or port?\n` : `Unable to connect to the server: ${error.message}\n`)
    return 1
  }
  throw error
}

/** Walks down the tree of commands; global flags may stand before the command. */
function findCommand(args: readonly string[]): { readonly command: KubectlCommand | undefined; readonly path: string; readonly rest: readonly string[] } {
  let level: readonly KubectlCommand[] = commands
  let command: KubectlCommand | undefined
  let path = ''
  const rest = [...args]
  for (;;) {
    const at = nextWord(rest, command ? { ...globalFlags, ...command.flags } : globalFlags)
    const word = at === undefined ? undefined : rest[at]
    const next = word === undefined ? undefined : level.find((c) => c.name === word || c.aliases?.includes(word))
    if (!next || at === undefined) return { command, path, rest }
    rest.splice(at, 1)
    command = next
    path = path === '' ? next.name : `${path} ${next.name}`
    level = next.subcommands ?? []
  }
}

/** Position of the first argument that is neither a flag nor a flag's value. */
function nextWord(args: readonly string[], specs: FlagSpecs): number | undefined {
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? ''
    if (arg === '--') return undefined
    if (!arg.startsWith('-') || arg === '-') return i
    const long = arg.startsWith('--') ? arg.slice(2) : undefined
    const spec = long !== undefined ? specs[long] : Object.values(specs).find((s) => s.short === arg[1] && arg.length === 2)
    if (spec && spec.type !== 'bool' && !(spec.type === 'string' && spec.whenAlone !== undefined)) i++
  }
  return undefined
}

function formatHelp(command: KubectlCommand, path: string): string {
  const own = formatFlagUsages(command.flags)
  const subcommands = (command.subcommands ?? []).map((c) => `  ${c.name.padEnd(14)}  ${c.short}`).join('\n')
  return [
    command.short, '', ...(command.examples ? ['Examples:', command.examples.replace(/^\n|\n$/g, ''), ''] : []), ...(subcommands ? ['Available Commands:', subcommands, ''] : []),
    ...(own ? ['Options:', own, ''] : []), 'Usage:', `  kubectl ${path} ${command.usage}`, '', 'Use "kubectl options" for a list of global command-line options (applies to all commands).', '',
  ].join('\n')
}

function formatTopHelp(): string {
  const groups = new Map<string, string[]>()
  for (const command of commands) {
    const lines = groups.get(command.group ?? 'Other Commands') ?? []
    lines.push(`  ${command.name.padEnd(15)} ${command.short}`)
    groups.set(command.group ?? 'Other Commands', lines)
  }
  const sections = [...groups].map(([group, lines]) => `${group}:\n${lines.join('\n')}\n`)
  return `kubectl controls the Kubernetes cluster manager. This is k8ts's own, in TypeScript.\n\n${sections.join('\n')}\nUsage:\n  kubectl [flags] [options]\n\nUse "kubectl <command> --help" for more information about a given command.\nUse "kubectl options" for a list of global command-line options (applies to all commands).\n`
}

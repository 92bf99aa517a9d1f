// etcdctl: finds the command, reads its flags, runs it. `ETCDCTL_API=2` chooses the commands of the old API, anything else those of version 3.
// Upstream: etcdctl/ctlv3/ctl.go
import { realClock } from '../../lib/async/real-clock.ts'
import type { Clock } from '../../lib/base/clock.ts'
import { FlagError, parseFlags, type FlagSpecs, type ParsedFlags } from '../../lib/component-base/flags.ts'
import { describeCallError } from './client/etcd-connection.ts'
import { ExitError, nameOf, type Command } from './command.ts'
import { complete, completeCommands, describeCompletion } from './complete.ts'
import { apiVersion, rootCommand, version } from './commands/index.ts'
import { findCommand, firstArgument } from './find-command.ts'
import { globalFlags, type Environment } from './global-flags.ts'
import { helpText, suggestCommands, usageText } from './help-text.ts'
import { Session } from './session.ts'
import { runEtcdctlV2, type V2Surroundings } from './v2/etcdctl-v2.ts'

const helpFlag = { help: { type: 'bool', short: 'h', usage: 'help for this command' } } as const satisfies FlagSpecs

export interface EtcdctlWorld {
  readonly environment: Environment
  readonly clock: Clock
  /** Opens standard input: only when it is needed, because it keeps the program running. */
  openStdin(): NodeJS.ReadStream
  out(data: string | Uint8Array): void
  err(text: string): void
  readonly backup?: V2Surroundings['backup']
  /** Ends what would go on for ever: a watch, a lock that is held. */
  readonly stop?: AbortSignal
}

export const processWorld: EtcdctlWorld = {
  environment: process.env, clock: realClock, openStdin: () => process.stdin, out: (data) => { process.stdout.write(data) }, err: (text) => { process.stderr.write(text) },
}

/** Runs `etcdctl <args>`; resolves to its exit code. */
export async function runEtcdctl(args: readonly string[], world: EtcdctlWorld = processWorld): Promise<number> {
  const { environment, clock, openStdin, out, err, stop, backup } = world
  const legacy = environment['ETCDCTL_API'] === '2'
  // The original of 3.6 and later has no such flag any more; what it stood for is asked for so often that it stays.
  if (args.length === 1 && (args[0] === '--version' || args[0] === '-v')) {
    out(`etcdctl version: ${version}\nAPI version: ${legacy ? '2' : apiVersion}\n`)
    return 0
  }
  if (legacy) return await runEtcdctlV2(args, { out, err, environment, clock, openStdin, ...(backup && { backup }) })

  if (completeCommands.includes(args[0] ?? '')) {
    const answer = describeCompletion(complete(rootCommand, globalFlags, args.slice(1)), args[0] === '__complete')
    out(answer.out)
    err(answer.err)
    return 0
  }
  const { path, args: rest } = findCommand(rootCommand, args, globalFlags)
  const command = path.at(-1) ?? rootCommand
  if (command === rootCommand) {
    const at = firstArgument(rest, globalFlags)
    const name = rest[at]
    if (name !== undefined) {
      const suggestions = suggestCommands(name, rootCommand.commands)
      const meant = suggestions.length > 0 ? `\n\nDid you mean this?\n${suggestions.map((s) => `\t${s}\n`).join('')}` : ''
      err(`Error: unknown command ${JSON.stringify(name)} for "etcdctl"${meant}\nRun 'etcdctl --help' for usage.\n`)
      return 1
    }
  }
  const inheritedFlags = Object.assign({}, globalFlags, ...path.slice(0, -1).map((parent) => parent.persistentFlags)) as FlagSpecs // cast: a merge of flag specs
  const specs: FlagSpecs = { ...inheritedFlags, ...command.persistentFlags, ...command.flags, ...helpFlag }
  let parsed: ParsedFlags<FlagSpecs>
  try {
    parsed = parseFlags(specs, rest)
  } catch (error) {
    if (!(error instanceof FlagError)) throw error
    err(`Error: ${error.message}\n${usageText(path)}\n`)
    return 1
  }
  if (parsed.flags['help'] === true || (!command.run && nameOf(command) !== 'help')) {
    out(helpText(path))
    return 0
  }
  if (nameOf(command) === 'help') return showHelp(parsed.args, out, err)
  const session = new Session({ flags: parsed.flags, given: parsed.given, inheritedFlags, commandLine: args, environment, clock, openStdin, out, err })
  stop?.addEventListener('abort', () => session[Symbol.dispose](), { once: true })
  try {
    await command.run?.(session, parsed)
    return 0
  } catch (error) {
    if (!(error instanceof ExitError)) {
      err(`Error: ${describeCallError(error)}\n`)
      return 1
    }
    if (error.message !== '') err(`Error: ${error.message}\n`)
    if (error.usage) err(`${usageText(path)}\n`)
    return error.code
  } finally {
    session[Symbol.dispose]()
  }
}

function showHelp(topic: readonly string[], out: (text: string) => void, err: (text: string) => void): number {
  const { path, args } = findCommand(rootCommand, topic, globalFlags)
  const unknown: Command | undefined = path.length === 1 && args.length > 0 ? rootCommand : undefined
  if (unknown) err(`Unknown help topic [${topic.map((word) => `\`${word}\``).join(' ')}]\n${usageText([rootCommand])}`)
  else out(helpText(path))
  return 0
}

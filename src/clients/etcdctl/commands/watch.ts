// watch: events of a key, a range or a prefix until the end of time; with a command after `--` it runs once per event.
// Upstream: etcdctl/ctlv3/command/watch_command.go
import { FlagError, parseFlags, type FlagSpecs, type FlagValues } from '../../../lib/component-base/flags.ts'
import type { WatchCreateRequest, WatchResponse } from '../../../lib/etcd-api/generated/types.ts'
import { cancelText, Watcher } from '../client/watcher.ts'
import { prefixEnd } from '../client/key-ranges.ts'
import { badArguments, defineCommand, ExitError, exitCodes } from '../command.ts'
import { bytesOfText, quote, splitWords, textOfBytes } from '../go-format.ts'
import { runProgram } from '../run-program.ts'
import type { Session } from '../session.ts'

const flagSpecs = {
  interactive: { type: 'bool', short: 'i', usage: 'Interactive mode' },
  prefix: { type: 'bool', usage: 'Watch on a prefix if prefix is set' },
  rev: { type: 'int', usage: 'Revision to start watching' },
  'prev-kv': { type: 'bool', usage: 'get the previous key-value pair before the event happens' },
  'progress-notify': { type: 'bool', usage: 'get periodic watch progress notification from server' },
} as const satisfies FlagSpecs

type WatchFlags = FlagValues<typeof flagSpecs>

const badNumber = 'bad number of arguments'
const conflictingKey = 'bad number of arguments (found conflicting environment key)'
const noProgram = 'bad number of arguments (found separator --, but no commands)'

export interface WatchTarget { readonly range: readonly string[]; readonly program: readonly string[] }

/**
 * What to watch and what to run: words before `--` are the key and the end of the range (unless the environment has them), words behind it the program.
 * @param separated whether there is a `--`
 * @throws ExitError
 */
export function watchTarget(words: readonly string[], program: readonly string[], separated: boolean, environmentRange: readonly string[]): WatchTarget {
  if (separated && program.length === 0) throw badArguments(noProgram)
  if (environmentRange.length > 0) {
    if (words.length > 0) throw badArguments(conflictingKey)
    return { range: environmentRange, program }
  }
  if (words.length === 0) throw badArguments(badNumber)
  return { range: words, program }
}

function createRequest(range: readonly string[], flags: WatchFlags): WatchCreateRequest {
  const [key = '', end] = range
  if (range.length === 2 && flags.prefix) throw badArguments('`range_end` and `--prefix` are mutually exclusive')
  const bytes = bytesOfText(key)
  const selected = flags.prefix ? (bytes.length === 0 ? { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) } : { key: bytes, rangeEnd: prefixEnd(bytes) }) : { key: bytes, ...(end === undefined || range.length !== 2 ? {} : { rangeEnd: bytesOfText(end) }) }
  return { ...selected, startRevision: Math.max(0, flags.rev), prevKv: flags['prev-kv'], progressNotify: flags['progress-notify'] }
}

export const watchCommand = defineCommand({
  use: 'watch [options] [key or prefix] [range_end] [--] [exec-command arg1 arg2 ...]', short: 'Watches events stream on keys or prefixes', group: 'kv', flags: flagSpecs,
  async run(session, { args, flags }) {
    const { ETCDCTL_WATCH_KEY: key = '', ETCDCTL_WATCH_RANGE_END: end = '' } = session.environment
    if (key === '' && end !== '') throw badArguments(`ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END=${quote(end)}`)
    const environmentRange = key === '' ? [] : end === '' ? [key] : [key, end]
    if (flags.interactive) { await watchInteractively(session, environmentRange); return }
    // Flags may stand among the words, but not behind the separator: what is behind it is counted from the end.
    const separator = session.commandLine.indexOf('--', session.commandLine.indexOf('watch') + 1)
    const program = separator < 0 ? [] : session.commandLine.slice(separator + 1)
    const { range } = watchTarget(args.slice(0, args.length - program.length), program, separator >= 0, environmentRange)
    const connection = await session.connect()
    const watcher = new Watcher(connection, session.closing, { requireLeader: true })
    await follow(session, watcher.watch(createRequest(range, flags)), program)
    throw new ExitError(exitCodes.interrupted, 'watch is canceled by the server')
  },
})

/** Lines `watch …` and `progress`; every watch goes on beside the others. */
async function watchInteractively(session: Session, environmentRange: readonly string[]): Promise<void> {
  const connection = await session.connect()
  const watcher = new Watcher(connection, session.closing, { requireLeader: true })
  const failed = Promise.withResolvers<never>()
  failed.promise.catch(() => {})
  for (;;) {
    const bytes = await Promise.race([session.nextLine(), failed.promise])
    if (bytes === undefined) throw new ExitError(exitCodes.invalidInput, 'error reading watch request line: EOF')
    const line = textOfBytes(bytes)
    const [name, ...words] = splitWords(line) ?? []
    if (name === undefined) session.err(`Invalid command: ${line} (watch and progress supported)\n`)
    else if (name === 'progress') watcher.requestProgress()
    else if (name !== 'watch') session.err(`Invalid command ${line} (only support watch)\n`)
    else if (words.length === 0 && environmentRange.length === 0) session.err(`Invalid command ${line} (command type or key is not provided)\n`)
    else {
      let answers: AsyncIterable<WatchResponse>
      let program: readonly string[]
      try {
        const parsed = parseFlags(flagSpecs, words)
        const separated = words.includes('--')
        program = separated ? parsed.args.slice(parsed.argsBeforeDash) : []
        const { range } = watchTarget(parsed.args.slice(0, parsed.argsBeforeDash), program, separated, environmentRange)
        if (range.length === 2 && parsed.flags.prefix) {
          session.err(`Invalid command ${line} (\`range_end\` and \`--prefix\` are mutually exclusive)\n`)
          continue
        }
        answers = watcher.watch(createRequest(range, parsed.flags))
      } catch (error) {
        if (error instanceof FlagError) throw badArguments(error.message)
        throw error
      }
      follow(session, answers, program).catch(failed.reject)
    }
  }
}

async function follow(session: Session, answers: AsyncIterable<WatchResponse>, program: readonly string[]): Promise<void> {
  for await (const response of answers) {
    const { events = [], header, canceled } = response
    if (canceled) session.err(`watch was canceled (${cancelText(response)})\n`)
    if (events.length === 0 && !canceled && !response.compactRevision && header?.revision) session.out(`progress notify: ${header.revision}\n`)
    await session.print({ kind: 'watch', response })
    if (program.length === 0) continue
    for (const event of events) {
      const empty = new Uint8Array(0)
      const outcome = await runProgram(program, {
        ...session.environment, ETCD_WATCH_REVISION: String(header?.revision ?? 0), ETCD_WATCH_EVENT_TYPE: quote(event.type ?? 'PUT'),
        ETCD_WATCH_KEY: quote(event.kv?.key ?? empty), ETCD_WATCH_VALUE: quote(event.kv?.value ?? empty),
      })
      if (outcome.problem !== undefined) {
        session.err(`command [${program.map(quote).join(' ')}] error (${outcome.problem})\n`)
        throw new ExitError(exitCodes.error, '')
      }
    }
  }
}

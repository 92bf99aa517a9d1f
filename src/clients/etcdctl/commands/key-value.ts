// put, get, del, compaction. Upstream: etcdctl/ctlv3/command/{put,get,del,compaction}_command.go
import { sleep } from '../../../lib/base/clock.ts'
import type { FlagSpecs, FlagValues } from '../../../lib/component-base/flags.ts'
import { kvService } from '../../../lib/etcd-api/generated/services.ts'
import type {
  CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, KeyValue, PutRequest, PutResponse, RangeRequest, RangeResponse, RangeStreamResponse, SortTarget,
} from '../../../lib/etcd-api/generated/types.ts'
import { selectRange } from '../client/key-ranges.ts'
import { badArguments, defineCommand, ExitError, exitCodes } from '../command.ts'
import { bytesOfText, parseInteger, quote } from '../go-format.ts'
import type { Session } from '../session.ts'
import { readAll } from '../terminal.ts'

// ---- put ----

export const putFlags = {
  lease: { type: 'string', default: '0', usage: 'lease ID (in hexadecimal) to attach to the key' },
  'prev-kv': { type: 'bool', usage: 'return the previous key-value pair before modification' },
  'ignore-value': { type: 'bool', usage: 'updates the key using its current value' },
  'ignore-lease': { type: 'bool', usage: 'updates the key using its current lease' },
} as const satisfies FlagSpecs

export async function putRequest(args: readonly string[], flags: FlagValues<typeof putFlags>, session: Pick<Session, 'stdin'>): Promise<PutRequest> {
  const [key, argument] = args
  const needed = "put command needs 1 argument and input from stdin or 2 arguments"
  if (key === undefined) throw badArguments(needed)
  if (flags['ignore-value'] && args.length > 1) throw badArguments("put command needs only 1 argument when 'ignore-value' is set")
  let value: Uint8Array | undefined
  if (!flags['ignore-value']) {
    value = argument === undefined ? await readAll(session.stdin) : bytesOfText(argument)
    if (argument === undefined && value.length === 0) throw badArguments(needed)
  }
  const lease = parseInteger(flags.lease, 16)
  if ('problem' in lease) throw badArguments(`bad lease ID (${lease.problem}), expecting ID in Hex`)
  return {
    key: bytesOfText(key), ...(value === undefined ? {} : { value }), ...(lease.value === 0n ? {} : { lease: lease.value }), prevKv: flags['prev-kv'], ignoreValue: flags['ignore-value'], ignoreLease: flags['ignore-lease'],
  }
}

export const putCommand = defineCommand({
  use: 'put [options] <key> <value> (<value> can also be given from stdin)', short: 'Puts the given key into the store', group: 'kv', flags: putFlags,
  long: `
Puts the given key into the store.

When <value> begins with '-', <value> is interpreted as a flag.
Insert '--' for workaround:

$ put <key> -- <value>
$ put -- <key> <value>

If <value> isn't given as a command line argument and '--ignore-value' is not specified,
this command tries to read the value from standard input.

If <lease> isn't given as a command line argument and '--ignore-lease' is not specified,
this command tries to read the value from standard input.

For example,
$ cat file | put <key>
will store the content of the file to <key>.
`,
  async run(session, { args, flags }) {
    const request = await putRequest(args, flags, session)
    const connection = await session.connect()
    await session.print({ kind: 'put', response: await connection.unary<PutResponse>(kvService, 'Put', request, await session.commandDeadline()) })
  },
})

// ---- get ----

export const getFlags = {
  consistency: { type: 'string', default: 'l', usage: 'Linearizable(l) or Serializable(s)' },
  order: { type: 'string', usage: 'Order of results; ASCEND or DESCEND (ASCEND by default)' },
  'sort-by': { type: 'string', usage: 'Sort target; CREATE, KEY, MODIFY, VALUE, or VERSION' },
  limit: { type: 'int', usage: 'Maximum number of results' },
  prefix: { type: 'bool', usage: 'Get keys with matching prefix' },
  'from-key': { type: 'bool', usage: 'Get keys that are greater than or equal to the given key using byte compare' },
  rev: { type: 'int', usage: 'Specify the kv revision' },
  'keys-only': { type: 'bool', usage: 'Get only the keys' },
  'count-only': { type: 'bool', usage: 'Get only the count' },
  'print-value-only': { type: 'bool', usage: 'Only write values when using the "simple" output format' },
  'min-create-rev': { type: 'int', usage: 'Minimum create revision' },
  'max-create-rev': { type: 'int', usage: 'Maximum create revision' },
  'min-mod-rev': { type: 'int', usage: 'Minimum modification revision' },
  'max-mod-rev': { type: 'int', usage: 'Maximum modification revision' },
  stream: { type: 'bool', usage: 'Use the RangeStream RPC' },
} as const satisfies FlagSpecs

const exclusiveFlags = '`--prefix` and `--from-key` cannot be set at the same time, choose one'
const onlyOneArgument = 'too many arguments, only accept one argument when `--prefix` or `--from-key` is set'
const sortTargets: { readonly [name: string]: SortTarget } = { CREATE: 'CREATE', KEY: 'KEY', MODIFY: 'MOD', VALUE: 'VALUE', VERSION: 'VERSION' }

/** @param shown what the message names: of `member list` the original names the flag of `get`. */
export function isSerializable(consistency: string, shown = consistency): boolean {
  if (consistency !== 'l' && consistency !== 's') throw new ExitError(exitCodes.badFeature, `unknown consistency flag ${quote(shown)}`)
  return consistency === 's'
}

export function getRequest(args: readonly string[], flags: FlagValues<typeof getFlags>): RangeRequest {
  const [key, end] = args
  if (key === undefined) throw badArguments('get command needs one argument as key and an optional argument as range_end')
  if (flags.prefix && flags['from-key']) throw badArguments(exclusiveFlags)
  if (flags['keys-only'] && flags['count-only']) throw badArguments('`--keys-only` and `--count-only` cannot be set at the same time, choose one')
  const serializable = isSerializable(flags.consistency)
  if (end !== undefined && (flags.prefix || flags['from-key'])) throw badArguments(onlyOneArgument)
  const order = flags.order.toUpperCase()
  if (order !== '' && order !== 'ASCEND' && order !== 'DESCEND') throw new ExitError(exitCodes.badFeature, `bad sort order ${flags.order}`)
  const target = flags['sort-by'].toUpperCase()
  const sortTarget = target === '' ? 'KEY' : Object.hasOwn(sortTargets, target) ? sortTargets[target] : undefined
  if (sortTarget === undefined) throw new ExitError(exitCodes.badFeature, `bad sort target ${flags['sort-by']}`)
  const { 'min-create-rev': minCreate, 'max-create-rev': maxCreate, 'min-mod-rev': minMod, 'max-mod-rev': maxMod } = flags
  if (maxCreate > 0 && minCreate > maxCreate) throw new ExitError(exitCodes.badFeature, `getMinCreateRev(=${minCreate}) > getMaxCreateRev(=${maxCreate})`)
  if (maxMod > 0 && minMod > maxMod) throw new ExitError(exitCodes.badFeature, `getMinModRev(=${minMod}) > getMaxModRev(=${maxMod})`)
  // Ascending by key is how a range comes anyhow: the client library leaves it out.
  const sortOrder = order === '' || (order === 'ASCEND' && sortTarget === 'KEY') ? 'NONE' : order
  return {
    ...selectRange(bytesOfText(key), { prefix: flags.prefix, fromKey: flags['from-key'] }), ...(end === undefined ? {} : { rangeEnd: bytesOfText(end) }), limit: flags.limit, revision: Math.max(0, flags.rev), serializable,
    sortOrder, sortTarget, keysOnly: flags['keys-only'], countOnly: flags['count-only'],
    minCreateRevision: Math.max(0, minCreate), maxCreateRevision: Math.max(0, maxCreate), minModRevision: Math.max(0, minMod), maxModRevision: Math.max(0, maxMod),
  }
}

export const getCommand = defineCommand({
  use: 'get [options] <key> [range_end]', short: 'Gets the key or a range of keys', group: 'kv', flags: getFlags,
  async run(session, { args, flags }) {
    const request = getRequest(args, flags)
    const connection = await session.connect()
    const deadline = await session.commandDeadline()
    const response = flags.stream
      ? await joinStream(connection.serverStream<RangeStreamResponse>(kvService, 'RangeStream', request, deadline))
      : await connection.unary<RangeResponse>(kvService, 'Range', request, deadline)
    const { format } = await session.settings()
    if (flags['count-only'] && format !== 'fields') throw badArguments('--count-only is only for `--write-out=fields`')
    if (flags['print-value-only'] && format !== 'simple') throw badArguments('print-value-only is only for `--write-out=simple`')
    await session.print({ kind: 'get', response, valueOnly: flags['print-value-only'] })
  },
})

async function joinStream(stream: AsyncIterable<RangeStreamResponse>): Promise<RangeResponse> {
  const kvs: KeyValue[] = []
  let last: RangeResponse = {}
  for await (const { rangeResponse } of stream) {
    if (!rangeResponse) continue
    kvs.push(...rangeResponse.kvs ?? [])
    last = { ...last, ...rangeResponse }
  }
  return { ...last, ...(kvs.length > 0 ? { kvs } : {}) }
}

// ---- del ----

export const delFlags = {
  prefix: { type: 'bool', usage: 'delete keys with matching prefix' },
  'prev-kv': { type: 'bool', usage: 'return deleted key-value pairs' },
  'from-key': { type: 'bool', usage: 'delete keys that are greater than or equal to the given key using byte compare' },
  range: { type: 'bool', usage: 'delete range of keys' },
} as const satisfies FlagSpecs

const rangeDeletionDelayMs = 2000

export async function delRequest(session: Session, args: readonly string[], flags: FlagValues<typeof delFlags>): Promise<DeleteRangeRequest> {
  const [key, end] = args
  if (key === undefined || args.length > 2) throw badArguments('del command needs one argument as key and an optional argument as range_end')
  if (flags.prefix && flags['from-key']) throw badArguments(exclusiveFlags)
  if (end !== undefined) {
    if (flags.prefix || flags['from-key']) throw badArguments(onlyOneArgument)
    if (!flags.range) {
      session.err(`Warning: Keys between ${quote(key)} and ${quote(end)} will be deleted. Please interrupt the command within next 2 seconds to cancel. You can provide \`--range\` flag to avoid the delay.\n`)
      await sleep(session.clock, rangeDeletionDelayMs, new AbortController().signal)
    }
  }
  return { ...selectRange(bytesOfText(key), { prefix: flags.prefix, fromKey: flags['from-key'] }), ...(end === undefined ? {} : { rangeEnd: bytesOfText(end) }), prevKv: flags['prev-kv'] }
}

export const delCommand = defineCommand({
  use: 'del [options] <key> [range_end]', short: 'Removes the specified key or range of keys [key, range_end)', group: 'kv', flags: delFlags,
  async run(session, { args, flags }) {
    const request = await delRequest(session, args, flags)
    const connection = await session.connect()
    await session.print({ kind: 'del', response: await connection.unary<DeleteRangeResponse>(kvService, 'DeleteRange', request, await session.commandDeadline()) })
  },
})

// ---- compaction ----

export const compactionCommand = defineCommand({
  use: 'compaction [options] <revision>', short: 'Compacts the event history in etcd', group: 'kv',
  flags: { physical: { type: 'bool', usage: "'true' to wait for compaction to physically remove all old revisions" } },
  async run(session, { args, flags }) {
    const [text] = args
    if (text === undefined || args.length !== 1) throw badArguments('compaction command needs 1 argument')
    const revision = parseInteger(text, 10)
    if ('problem' in revision) throw new ExitError(exitCodes.error, revision.problem)
    const request: CompactionRequest = { revision: Number(revision.value), physical: flags.physical }
    const connection = await session.connect()
    await connection.unary<CompactionResponse>(kvService, 'Compact', request, await session.commandDeadline())
    session.out(`compacted revision ${revision.value}\n`)
  },
})

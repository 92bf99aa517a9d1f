// lock and elect, with the recipes of the client library: a key per holder under the name, attached to the holder's lease; the oldest key
// holds the lock, or leads. Upstream: etcdctl/ctlv3/command/{lock,elect}_command.go, client/v3/concurrency/{mutex,election}.go
import { kvService } from '../../../lib/etcd-api/generated/services.ts'
import type { DeleteRangeRequest, KeyValue, RangeRequest, RangeResponse, ResponseHeader, TxnRequest, TxnResponse } from '../../../lib/etcd-api/generated/types.ts'
import { describeCallError, type EtcdConnection } from '../client/etcd-connection.ts'
import { prefixEnd } from '../client/key-ranges.ts'
import { openLeaseSession } from '../client/lease-session.ts'
import { Watcher } from '../client/watcher.ts'
import { badArguments, defineCommand, ExitError, exitCodes } from '../command.ts'
import { bytesOfText, textOfBytes } from '../go-format.ts'
import { runProgram } from '../run-program.ts'
import type { Session } from '../session.ts'

const defaultTtlSeconds = 10
const electionTtlSeconds = 60

interface Candidate { readonly key: Uint8Array; readonly createRevision: number }

/** Puts a key for this lease under the name, unless it is there. @returns the key, the header, and whether nobody is before it. */
async function enter(connection: EtcdConnection, prefix: string, lease: bigint, value: Uint8Array, signal: AbortSignal): Promise<Candidate & { readonly header: ResponseHeader | undefined; readonly isFirst: boolean }> {
  const key = bytesOfText(`${prefix}${lease.toString(16)}`)
  const oldest = oldestUnder(bytesOfText(prefix))
  const request: TxnRequest = {
    compare: [{ key, target: 'CREATE', result: 'EQUAL', createRevision: 0 }],
    success: [{ requestPut: { key, value, lease } }, { requestRange: oldest }],
    failure: [{ requestRange: { key } }, { requestRange: oldest }],
  }
  const response = await connection.unary<TxnResponse>(kvService, 'Txn', request, signal)
  const createRevision = response.succeeded ? response.header?.revision ?? 0 : response.responses?.[0]?.responseRange?.kvs?.[0]?.createRevision ?? 0
  const owner = response.responses?.[1]?.responseRange?.kvs?.[0]
  return { key, createRevision, header: response.header, isFirst: owner === undefined || owner.createRevision === createRevision }
}

function oldestUnder(prefix: Uint8Array): RangeRequest { return { key: prefix, rangeEnd: prefixEnd(prefix), sortTarget: 'CREATE', sortOrder: 'ASCEND', limit: 1 } }

/** Waits until no key under the prefix is older than this revision. */
async function waitForOlder(connection: EtcdConnection, prefix: Uint8Array, maxCreateRevision: number, signal: AbortSignal): Promise<void> {
  for (;;) {
    const request: RangeRequest = { key: prefix, rangeEnd: prefixEnd(prefix), sortTarget: 'CREATE', sortOrder: 'DESCEND', limit: 1, maxCreateRevision }
    const response = await connection.unary<RangeResponse>(kvService, 'Range', request, signal)
    const last = response.kvs?.[0]
    if (!last) return
    await waitForDeletion(connection, last.key ?? new Uint8Array(0), (response.header?.revision ?? 0) + 1, signal)
  }
}

async function waitForDeletion(connection: EtcdConnection, key: Uint8Array, startRevision: number, signal: AbortSignal): Promise<void> {
  const stop = new AbortController()
  const watcher = new Watcher(connection, AbortSignal.any([signal, stop.signal]))
  try {
    for await (const response of watcher.watch({ key, startRevision })) if (response.canceled || response.events?.some((event) => event.type === 'DELETE')) return
  } finally {
    stop.abort(new Error('seen enough'))
  }
  signal.throwIfAborted()
}

/** Aborted by the first interrupt or termination signal, or when the session closes, until disposed of. */
function interruption(session: Session): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController()
  const stop = (): void => controller.abort(new Error('interrupted'))
  session.closing.addEventListener('abort', stop, { once: true })
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  return { signal: controller.signal, [Symbol.dispose]: () => { process.removeListener('SIGINT', stop); process.removeListener('SIGTERM', stop) } }
}

function aborted(...signals: readonly AbortSignal[]): Promise<void> {
  const any = AbortSignal.any([...signals])
  return any.aborted ? Promise.resolve() : new Promise((resolve) => any.addEventListener('abort', () => resolve(), { once: true }))
}

export const lockCommand = defineCommand({
  use: 'lock <lockname> [exec-command arg1 arg2 ...]', short: 'Acquires a named lock', group: 'concurrency',
  flags: { ttl: { type: 'int', default: defaultTtlSeconds, usage: 'timeout for session' } },
  async run(session, { args, flags }) {
    const [name, ...program] = args
    if (name === undefined) throw badArguments('lock takes a lock name argument and an optional command to execute')
    const connection = await session.connect()
    using interrupted = interruption(session)
    const always = new AbortController().signal
    try {
      using holder = await openLeaseSession(connection, flags.ttl, always)
      const mine = await enter(connection, `${name}/`, holder.lease, new Uint8Array(0), interrupted.signal)
      const unlock = async (): Promise<void> => { await connection.unary(kvService, 'DeleteRange', { key: mine.key } satisfies DeleteRangeRequest, always) }
      let header = mine.header
      if (!mine.isFirst) {
        try {
          await waitForOlder(connection, bytesOfText(`${name}/`), mine.createRevision - 1, interrupted.signal)
          const own = await connection.unary<RangeResponse>(kvService, 'Range', { key: mine.key } satisfies RangeRequest, interrupted.signal)
          if (!own.kvs?.length) throw new ExitError(exitCodes.error, 'mutex: session is expired')
          header = own.header
        } catch (error) {
          await unlock()
          throw interrupted.signal.aborted ? new ExitError(exitCodes.error, 'context canceled', { cause: error }) : error
        }
      }
      if (program.length > 0) {
        const outcome = await runProgram(program, { ETCD_LOCK_KEY: textOfBytes(mine.key), ETCD_LOCK_REV: String(header?.revision ?? 0), ...session.environment })
        await unlock()
        if (outcome.problem !== undefined) throw new ExitError(outcome.code ?? exitCodes.error, outcome.problem)
        return
      }
      const response = await connection.unary<RangeResponse>(kvService, 'Range', { key: mine.key } satisfies RangeRequest, interrupted.signal)
      if (!response.kvs?.length) throw new ExitError(exitCodes.error, 'lock lost on init')
      await session.print({ kind: 'get', response })
      await aborted(interrupted.signal, holder.lost)
      if (!interrupted.signal.aborted) throw new ExitError(exitCodes.error, 'session expired')
      await unlock()
    } catch (error) {
      if (error instanceof ExitError) throw error
      throw new ExitError(exitCodes.error, describeCallError(error), { cause: error })
    }
  },
})

export const electCommand = defineCommand({
  use: 'elect <election-name> [proposal]', short: 'Observes and participates in leader election', group: 'concurrency',
  flags: { listen: { type: 'bool', short: 'l', usage: 'observation mode' } },
  async run(session, { args, flags }) {
    const [name, proposal] = args
    if (name === undefined || args.length > 2) throw badArguments('elect takes one election name argument and an optional proposal argument')
    const connection = await session.connect()
    if (proposal === undefined && !flags.listen) throw badArguments('no proposal argument but -l not set')
    if (proposal !== undefined && flags.listen) throw badArguments('proposal given but -l is set')
    using interrupted = interruption(session)
    try {
      if (proposal === undefined) await observe(session, connection, name, interrupted.signal)
      else await campaign(session, connection, name, proposal, interrupted.signal)
    } catch (error) {
      if (error instanceof ExitError) throw error
      throw new ExitError(exitCodes.error, describeCallError(error), { cause: error })
    }
  },
})

async function campaign(session: Session, connection: EtcdConnection, name: string, proposal: string, interrupted: AbortSignal): Promise<void> {
  const always = new AbortController().signal
  const prefix = `${name}/`
  using holder = await openLeaseSession(connection, electionTtlSeconds, always)
  const mine = await enter(connection, prefix, holder.lease, bytesOfText(proposal), interrupted)
  const resign = async (): Promise<void> => {
    const request: TxnRequest = { compare: [{ key: mine.key, target: 'CREATE', result: 'EQUAL', createRevision: mine.createRevision }], success: [{ requestDeleteRange: { key: mine.key } }] }
    await connection.unary<TxnResponse>(kvService, 'Txn', request, always)
  }
  try {
    await waitForOlder(connection, bytesOfText(prefix), mine.createRevision - 1, interrupted)
  } catch (error) {
    if (interrupted.aborted) await resign()
    throw interrupted.aborted ? new ExitError(exitCodes.error, 'context canceled', { cause: error }) : error
  }
  await session.print({ kind: 'get', response: await connection.unary<RangeResponse>(kvService, 'Range', { key: mine.key } satisfies RangeRequest, interrupted) })
  await aborted(interrupted, holder.lost)
  if (!interrupted.aborted) throw new ExitError(exitCodes.error, 'elect: session expired')
  await resign()
}

/** Prints the leader, and every leader after it. */
async function observe(session: Session, connection: EtcdConnection, name: string, interrupted: AbortSignal): Promise<void> {
  const prefix = bytesOfText(`${name}/`)
  using _ = await openLeaseSession(connection, electionTtlSeconds, new AbortController().signal)
  const show = (kv: KeyValue, header: ResponseHeader | undefined): Promise<void> => session.print({ kind: 'get', response: { ...(header ? { header } : {}), kvs: [kv] } })
  while (!interrupted.aborted) {
    const now = await connection.unary<RangeResponse>(kvService, 'Range', oldestUnder(prefix), interrupted).catch((error: unknown) => { if (interrupted.aborted) return undefined; throw error })
    if (!now) return
    let leader = now.kvs?.[0]
    let revision = now.header?.revision ?? 0
    let header = now.header
    const stop = new AbortController()
    const watcher = new Watcher(connection, AbortSignal.any([interrupted, stop.signal]))
    try {
      if (!leader) {
        for await (const response of watcher.watch({ key: prefix, rangeEnd: prefixEnd(prefix), startRevision: revision })) {
          if (response.canceled) break
          leader = response.events?.find((event) => (event.type ?? 'PUT') === 'PUT')?.kv
          if (!leader) continue
          revision = leader.modRevision ?? 0
          header = { ...response.header, revision }
          break
        }
        if (!leader) { if (interrupted.aborted) return; throw new ExitError(exitCodes.error, 'elect: observer lost') }
      }
      await show(leader, header)
      for await (const response of watcher.watch({ key: leader.key ?? new Uint8Array(0), startRevision: revision + 1 })) {
        if (response.canceled) throw new ExitError(exitCodes.error, 'elect: observer lost')
        let gone = false
        for (const event of response.events ?? []) {
          if (event.type === 'DELETE') { gone = true; break }
          if (event.kv) await show(event.kv, response.header)
        }
        if (gone) break
      }
    } finally {
      stop.abort(new Error('seen enough'))
    }
  }
}

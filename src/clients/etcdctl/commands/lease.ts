// lease grant, revoke, timetolive, list, keep-alive. Upstream: etcdctl/ctlv3/command/lease_command.go
import { leaseService } from '../../../lib/etcd-api/generated/services.ts'
import type {
  LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
} from '../../../lib/etcd-api/generated/types.ts'
import { MessageQueue } from '../../../lib/net/grpc/service.ts'
import { describeCallError } from '../client/etcd-connection.ts'
import { keepLeaseAlive } from '../client/lease-session.ts'
import { badArguments, defineCommand, defineGroup, ExitError, exitCodes } from '../command.ts'
import { hex16, parseInteger } from '../go-format.ts'

function leaseOf(text: string): bigint {
  const id = parseInteger(text, 16)
  if ('problem' in id) throw badArguments(`bad lease ID arg (${id.problem}), expecting ID in Hex`)
  return id.value
}

function theOnly(args: readonly string[], message: string): string {
  const [first] = args
  if (first === undefined || args.length !== 1) throw badArguments(message)
  return first
}

/** Calls without a time limit, whose failures count as failures of the connection. */
async function unlimited<T>(call: (signal: AbortSignal) => Promise<T>): Promise<T> {
  try {
    return await call(new AbortController().signal)
  } catch (error) {
    if (error instanceof ExitError) throw error
    throw new ExitError(exitCodes.badConnection, describeCallError(error), { cause: error })
  }
}

const grant = defineCommand({
  use: 'grant <ttl>', short: 'Creates leases',
  async run(session, { args }) {
    const ttl = parseInteger(theOnly(args, 'lease grant command needs TTL argument'), 10)
    if ('problem' in ttl) throw badArguments(`bad TTL (${ttl.problem})`)
    const request: LeaseGrantRequest = { TTL: Number(ttl.value) }
    const connection = await session.connect()
    const deadline = await session.commandDeadline()
    const response = await connection.unary<LeaseGrantResponse>(leaseService, 'LeaseGrant', request, deadline)
      .catch((error: unknown) => { throw new ExitError(exitCodes.error, `failed to grant lease (${describeCallError(error)})`, { cause: error }) })
    await session.print({ kind: 'leaseGrant', response })
  },
})

const revoke = defineCommand({
  use: 'revoke <leaseID>', short: 'Revokes leases',
  async run(session, { args }) {
    const id = leaseOf(theOnly(args, 'lease revoke command needs 1 argument'))
    const request: LeaseRevokeRequest = { ID: id }
    const connection = await session.connect()
    const deadline = await session.commandDeadline()
    const response = await connection.unary<LeaseRevokeResponse>(leaseService, 'LeaseRevoke', request, deadline)
      .catch((error: unknown) => { throw new ExitError(exitCodes.error, `failed to revoke lease (${describeCallError(error)})`, { cause: error }) })
    await session.print({ kind: 'leaseRevoke', response, id })
  },
})

const timeToLive = defineCommand({
  use: 'timetolive <leaseID> [options]', short: 'Get lease information',
  flags: { keys: { type: 'bool', usage: 'Get keys attached to this lease' } },
  async run(session, { args, flags }) {
    const text = theOnly(args, 'lease timetolive command needs lease ID as argument')
    const connection = await session.connect()
    const request: LeaseTimeToLiveRequest = { ID: leaseOf(text), keys: flags.keys }
    const response = await unlimited((signal) => connection.unary<LeaseTimeToLiveResponse>(leaseService, 'LeaseTimeToLive', request, signal))
    await session.print({ kind: 'leaseTimeToLive', response, withKeys: flags.keys })
  },
})

const list = defineCommand({
  use: 'list', short: 'List all active leases',
  async run(session) {
    const connection = await session.connect()
    await session.print({ kind: 'leases', response: await unlimited((signal) => connection.unary<LeaseLeasesResponse>(leaseService, 'LeaseLeases', {}, signal)) })
  },
})

const keepAlive = defineCommand({
  use: 'keep-alive [options] <leaseID>', short: 'Keeps leases alive (renew)',
  flags: { once: { type: 'bool', usage: 'Resets the keep-alive time to its original value and cobrautl.Exits immediately' } },
  async run(session, { args, flags }) {
    const ID = leaseOf(theOnly(args, 'lease keep-alive command needs lease ID as argument'))
    const connection = await session.connect()
    if (flags.once) {
      const requests = new MessageQueue<LeaseKeepAliveRequest>()
      requests.push({ ID })
      const response = await unlimited(async (signal) => {
        for await (const answer of connection.bidiStream<LeaseKeepAliveResponse>(leaseService, 'LeaseKeepAlive', requests, signal)) return answer
        return undefined
      })
      if (!response || (response.TTL ?? 0) <= 0) throw new ExitError(exitCodes.badConnection, 'etcdserver: requested lease not found')
      await session.print({ kind: 'leaseKeepAlive', response })
      return
    }
    for await (const response of keepLeaseAlive(connection, ID, new AbortController().signal)) await session.print({ kind: 'leaseKeepAlive', response })
    if ((await session.settings()).format === 'simple') session.out(`lease ${hex16(ID)} expired or revoked.\n`)
  },
})

export const leaseCommand = defineGroup(
  { use: 'lease <subcommand>', short: 'Lease related commands. Use `etcdctl lease --help` to see subcommands', long: 'Lease related commands', group: 'kv' },
  [grant, revoke, timeToLive, list, keepAlive],
)

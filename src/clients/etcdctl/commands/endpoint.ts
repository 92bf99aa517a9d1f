// endpoint health, status, hashkv: each endpoint is asked by itself. Upstream: etcdctl/ctlv3/command/ep_command.go
import type { FlagSpecs } from '../../../lib/component-base/flags.ts'
import { clusterService, kvService, maintenanceService } from '../../../lib/etcd-api/generated/services.ts'
import type { AlarmRequest, AlarmResponse, HashKVRequest, HashKVResponse, MemberListRequest, MemberListResponse, RangeRequest, RangeResponse, StatusResponse } from '../../../lib/etcd-api/generated/types.ts'
import { GrpcError } from '../../../lib/net/grpc/status.ts'
import { describeCallError } from '../client/etcd-connection.ts'
import { defineCommand, defineGroup, ExitError, exitCodes } from '../command.ts'
import { bytesOfText, goDuration } from '../go-format.ts'
import type { EndpointHash, EndpointHealth, EndpointStatus } from '../printers/printable.ts'
import type { Session } from '../session.ts'

export const clusterFlag = { cluster: { type: 'bool', usage: 'use all endpoints from the cluster member list' } } as const satisfies FlagSpecs

/** The endpoints that are asked: the configured ones, or with `--cluster` all that the members advertise. */
export async function endpointsAsked(session: Session): Promise<readonly string[]> {
  const { flags, endpoints } = await session.settings()
  if (!(flags as { readonly cluster?: boolean }).cluster) return endpoints // cast: the commands that call this have the flag
  const connection = await session.connect()
  try {
    const response = await connection.unary<MemberListResponse>(clusterService, 'MemberList', { linearizable: true } satisfies MemberListRequest, await session.commandDeadline())
    return (response.members ?? []).flatMap((member) => member.clientURLs ?? [])
  } catch (error) {
    throw new ExitError(exitCodes.error, `failed to fetch endpoints from etcd cluster member list: ${describeCallError(error)}`, { cause: error })
  }
}

const health = defineCommand({
  use: 'health', short: 'Checks the healthiness of endpoints specified in `--endpoints` flag',
  async run(session) {
    const endpoints = await Promise.all((await endpointsAsked(session)).map((endpoint) => healthOf(session, endpoint)))
    await session.print({ kind: 'endpointHealth', endpoints })
    if (endpoints.some((endpoint) => endpoint.error !== undefined)) throw new ExitError(exitCodes.error, 'unhealthy cluster')
  },
})

async function healthOf(session: Session, endpoint: string): Promise<EndpointHealth> {
  let started = session.clock.monotonic()
  const took = (): string => goDuration(session.clock.monotonic() - started)
  try {
    const connection = await session.connect([endpoint])
    started = session.clock.monotonic()
    const deadline = await session.commandDeadline()
    let elapsed: string
    try {
      await connection.unary<RangeResponse>(kvService, 'Range', { key: bytesOfText('health') } satisfies RangeRequest, deadline)
      elapsed = took()
    } catch (error) {
      elapsed = took()
      // Refusing a key takes the cluster's agreement too.
      if (!(error instanceof GrpcError) || error.code !== 'PermissionDenied') return { endpoint, health: false, took: elapsed, error: describeCallError(error) }
    }
    try {
      const { alarms = [] } = await connection.unary<AlarmResponse>(maintenanceService, 'Alarm', { action: 'GET' } satisfies AlarmRequest, deadline)
      if (alarms.length === 0) return { endpoint, health: true, took: elapsed }
      const names = alarms.map(({ alarm }) => `${alarm === 'NOSPACE' || alarm === 'CORRUPT' ? alarm : 'UNKNOWN'} `)
      return { endpoint, health: false, took: elapsed, error: `Active Alarm(s): ${names.join('')}` }
    } catch {
      return { endpoint, health: false, took: elapsed, error: 'Unable to fetch the alarm list' }
    }
  } catch (error) {
    return { endpoint, health: false, took: '', error: error instanceof Error ? error.message : String(error) }
  }
}

const status = defineCommand({
  use: 'status', short: 'Prints out the status of endpoints specified in `--endpoints` flag',
  long: `When --write-out is set to simple, this command prints out comma-separated status lists for each endpoint.
The items in the lists are endpoint, ID, version, db size, is leader, is learner, raft term, raft index, raft applied index, errors.
`,
  async run(session) {
    const endpoints: EndpointStatus[] = []
    let failed = false
    for (const endpoint of await endpointsAsked(session)) {
      const connection = await session.connect([endpoint])
      try {
        endpoints.push({ endpoint, status: await connection.unary<StatusResponse>(maintenanceService, 'Status', {}, await session.commandDeadline()) })
      } catch (error) {
        session.err(`Failed to get the status of endpoint ${endpoint} (${describeCallError(error)})\n`)
        failed = true
      }
    }
    await session.print({ kind: 'endpointStatus', endpoints })
    if (failed) throw new ExitError(exitCodes.error, '')
  },
})

const hashKv = defineCommand({
  use: 'hashkv', short: 'Prints the KV history hash for each endpoint in --endpoints',
  flags: { rev: { type: 'int', usage: 'maximum revision to hash (default: latest revision)' } },
  async run(session, { flags }) {
    const endpoints: EndpointHash[] = []
    let failure: unknown
    for (const endpoint of await endpointsAsked(session)) {
      const connection = await session.connect([endpoint])
      try {
        endpoints.push({ endpoint, hash: await connection.unary<HashKVResponse>(maintenanceService, 'HashKV', { revision: flags.rev } satisfies HashKVRequest, await session.commandDeadline()) })
      } catch (error) {
        session.err(`Failed to get the hash of endpoint ${endpoint} (${describeCallError(error)})\n`)
        failure = error
      }
    }
    await session.print({ kind: 'endpointHashKv', endpoints })
    if (failure !== undefined) throw new ExitError(exitCodes.error, describeCallError(failure), { cause: failure })
  },
})

export const endpointCommand = defineGroup(
  { use: 'endpoint <subcommand>', short: 'Endpoint related commands. Use `etcdctl endpoint --help` to see subcommands', long: 'Endpoint related commands', group: 'cluster maintenance' },
  [health, status, hashKv], clusterFlag,
)

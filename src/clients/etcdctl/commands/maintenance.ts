// alarm, defrag, move-leader, downgrade. Upstream: etcdctl/ctlv3/command/{alarm,defrag,move_leader,downgrade}_command.go
import { maintenanceService } from '../../../lib/etcd-api/generated/services.ts'
import type { AlarmMember, AlarmRequest, AlarmResponse, DefragmentResponse, DowngradeRequest, DowngradeResponse, MoveLeaderRequest, MoveLeaderResponse, StatusResponse } from '../../../lib/etcd-api/generated/types.ts'
import { describeCallError } from '../client/etcd-connection.ts'
import { badArguments, defineCommand, defineGroup, ExitError, exitCodes } from '../command.ts'
import { goDuration, parseInteger } from '../go-format.ts'
import { clusterFlag, endpointsAsked } from './endpoint.ts'

const alarmDisarm = defineCommand({
  use: 'disarm', short: 'Disarms all alarms',
  async run(session, { args }) {
    if (args.length > 0) throw badArguments('alarm disarm command accepts no arguments')
    const connection = await session.connect()
    const deadline = await session.commandDeadline()
    const { alarms = [] } = await connection.unary<AlarmResponse>(maintenanceService, 'Alarm', { action: 'GET' } satisfies AlarmRequest, deadline)
    const disarmed: AlarmMember[] = []
    for (const alarm of alarms) {
      const request: AlarmRequest = { action: 'DEACTIVATE', ...alarm }
      disarmed.push(...(await connection.unary<AlarmResponse>(maintenanceService, 'Alarm', request, deadline)).alarms ?? [])
    }
    // Made of several answers, it has no header.
    await session.print({ kind: 'alarm', response: { alarms: disarmed } })
  },
})

const alarmList = defineCommand({
  use: 'list', short: 'Lists all alarms',
  async run(session, { args }) {
    if (args.length > 0) throw badArguments('alarm list command accepts no arguments')
    const connection = await session.connect()
    await session.print({ kind: 'alarm', response: await connection.unary<AlarmResponse>(maintenanceService, 'Alarm', { action: 'GET' } satisfies AlarmRequest, await session.commandDeadline()) })
  },
})

export const alarmCommand = defineGroup(
  { use: 'alarm <subcommand>', short: 'Alarm related commands. Use `etcdctl alarm --help` to see subcommands', long: 'Alarm related commands', group: 'cluster maintenance' },
  [alarmDisarm, alarmList],
)

export const defragCommand = defineCommand({
  use: 'defrag', short: 'Defragments the storage of the etcd members with given endpoints', group: 'cluster maintenance', flags: clusterFlag,
  async run(session) {
    let failed = false
    for (const endpoint of await endpointsAsked(session)) {
      const connection = await session.connect([endpoint])
      const started = session.clock.monotonic()
      const took = (): string => goDuration(session.clock.monotonic() - started)
      try {
        await connection.unary<DefragmentResponse>(maintenanceService, 'Defragment', {}, await session.commandDeadline())
        session.out(`Finished defragmenting etcd member[${endpoint}]. took ${took()}\n`)
      } catch (error) {
        session.err(`Failed to defragment etcd member[${endpoint}]. took ${took()}. (${describeCallError(error)})\n`)
        failed = true
      }
    }
    if (failed) throw new ExitError(exitCodes.error, '')
  },
})

export const moveLeaderCommand = defineCommand({
  use: 'move-leader <transferee-member-id>', short: 'Transfers leadership to another etcd cluster member.', group: 'cluster maintenance',
  async run(session, { args }) {
    const [text] = args
    if (text === undefined || args.length !== 1) throw badArguments('move-leader command needs 1 argument')
    const target = parseInteger(text, 16, 'Uint')
    if ('problem' in target) throw badArguments(target.problem)
    const { endpoints } = await session.settings()
    const deadline = await session.commandDeadline()
    // Only the leader itself can hand over.
    for (const endpoint of endpoints) {
      const connection = await session.connect([endpoint])
      const { header, leader = 0n } = await connection.unary<StatusResponse>(maintenanceService, 'Status', {}, deadline)
      if (header?.memberId !== leader) continue
      const request: MoveLeaderRequest = { targetID: target.value }
      const response = await connection.unary<MoveLeaderResponse>(maintenanceService, 'MoveLeader', request, deadline)
      await session.print({ kind: 'moveLeader', response, from: leader, to: target.value })
      return
    }
    throw badArguments(`no leader endpoint given at [${endpoints.join(' ')}]`)
  },
})

function downgrade(name: 'validate' | 'enable', short: string): ReturnType<typeof defineCommand> {
  return defineCommand({
    use: `${name} <TARGET_VERSION>`, short,
    async run(session, { args }) {
      const [version] = args
      if (version === undefined) throw badArguments('TARGET_VERSION not provided')
      if (args.length > 1) throw badArguments('too many arguments')
      if (version === '') throw badArguments('target version not provided')
      const request: DowngradeRequest = { action: name === 'validate' ? 'VALIDATE' : 'ENABLE', version }
      const connection = await session.connect()
      await session.print({ kind: 'downgrade', action: name, response: await connection.unary<DowngradeResponse>(maintenanceService, 'Downgrade', request, await session.commandDeadline()) })
    },
  })
}

const downgradeCancel = defineCommand({
  use: 'cancel', short: 'Cancel the ongoing downgrade action to cluster',
  async run(session) {
    const connection = await session.connect()
    const response = await connection.unary<DowngradeResponse>(maintenanceService, 'Downgrade', { action: 'CANCEL' } satisfies DowngradeRequest, await session.commandDeadline())
    await session.print({ kind: 'downgrade', action: 'cancel', response })
  },
})

export const downgradeCommand = defineGroup(
  { use: 'downgrade <TARGET_VERSION>', short: 'Downgrade related commands. Use `etcdctl downgrade --help` to see subcommands', long: 'Downgrade related commands', group: 'cluster maintenance' },
  [downgrade('validate', 'Validate downgrade capability before starting downgrade'), downgrade('enable', 'Start a downgrade action to cluster'), downgradeCancel],
)

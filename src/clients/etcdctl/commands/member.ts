// member add, remove, update, list, promote. Upstream: etcdctl/ctlv3/command/member_command.go
import { clusterService } from '../../../lib/etcd-api/generated/services.ts'
import type {
  MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse, MemberPromoteRequest, MemberPromoteResponse, MemberRemoveRequest, MemberRemoveResponse, MemberUpdateRequest, MemberUpdateResponse,
} from '../../../lib/etcd-api/generated/types.ts'
import { badArguments, defineCommand, defineGroup, ExitError, exitCodes } from '../command.ts'
import { parseInteger, quote } from '../go-format.ts'
import { isSerializable } from './key-value.ts'

function memberIdOf(args: readonly string[]): bigint {
  const [text] = args
  if (text === undefined || args.length !== 1) throw badArguments('member ID is not provided')
  const id = parseInteger(text, 16, 'Uint')
  if ('problem' in id) throw badArguments(`bad member ID arg (${id.problem}), expecting ID in Hex`)
  return id.value
}

/** What the client library wants of a member's address. Upstream: client/pkg/types/urls.go */
function checkPeerUrl(url: string): void {
  const wrong = (problem: string): ExitError => new ExitError(exitCodes.error, problem)
  const [, scheme, host = '', path] = /^(?:([a-z][a-z0-9+.-]*):\/\/)?([^/]*)(\/.*)?$/i.exec(url.trim()) ?? []
  if (!['http', 'https', 'unix', 'unixs'].includes(scheme ?? '')) throw wrong(`URL scheme must be http, https, unix, or unixs: ${url}`)
  if (scheme?.startsWith('unix')) return
  if (!/^(?:[^:[\]]*|\[[^\]]*\]):\d*$/.test(host)) throw wrong(`URL address does not have the form "host:port": ${url}`)
  if (path !== undefined) throw wrong(`URL must not contain a path: ${url}`)
}

const add = defineCommand({
  use: 'add <memberName> [options]', short: 'Adds a member into the cluster',
  flags: {
    'peer-urls': { type: 'string', usage: 'comma separated peer URLs for the new member.' },
    learner: { type: 'bool', usage: 'indicates if the new member is raft learner' },
  },
  async run(session, { args, flags }) {
    const [name] = args
    if (name === undefined) throw badArguments('member name not provided')
    if (args.length > 1) {
      const urls = args.filter((arg) => arg.toLowerCase().startsWith('http'))
      throw badArguments(`too many arguments${urls.map((url) => `, did you mean --peer-urls=${url}`).join('')}`)
    }
    if (flags['peer-urls'] === '') throw badArguments('member peer urls not provided')
    const peerURLs = flags['peer-urls'].split(',')
    const connection = await session.connect()
    for (const url of peerURLs) checkPeerUrl(url)
    const request: MemberAddRequest = { peerURLs, isLearner: flags.learner }
    const response = await connection.unary<MemberAddResponse>(clusterService, 'MemberAdd', request, await session.commandDeadline())
    await session.print({ kind: 'memberAdd', response })
    if ((await session.settings()).format !== 'simple') return
    const cluster = (response.members ?? []).flatMap((member) => (member.peerURLs ?? []).map((url) => `${member.ID === response.member?.ID ? name : member.name ?? ''}=${url}`))
    session.out(`\nETCD_NAME=${quote(name)}\nETCD_INITIAL_CLUSTER=${quote(cluster.join(','))}\nETCD_INITIAL_ADVERTISE_PEER_URLS=${quote(flags['peer-urls'])}\nETCD_INITIAL_CLUSTER_STATE="existing"\n`)
  },
})

const remove = defineCommand({
  use: 'remove <memberID>', short: 'Removes a member from the cluster',
  async run(session, { args }) {
    const ID = memberIdOf(args)
    const connection = await session.connect()
    const response = await connection.unary<MemberRemoveResponse>(clusterService, 'MemberRemove', { ID } satisfies MemberRemoveRequest, await session.commandDeadline())
    await session.print({ kind: 'memberRemove', response, id: ID })
  },
})

const update = defineCommand({
  use: 'update <memberID> [options]', short: 'Updates a member in the cluster',
  flags: { 'peer-urls': { type: 'string', usage: 'comma separated peer URLs for the updated member.' } },
  async run(session, { args, flags }) {
    const ID = memberIdOf(args)
    if (flags['peer-urls'] === '') throw badArguments('member peer urls not provided')
    const request: MemberUpdateRequest = { ID, peerURLs: flags['peer-urls'].split(',') }
    const connection = await session.connect()
    await session.print({ kind: 'memberUpdate', response: await connection.unary<MemberUpdateResponse>(clusterService, 'MemberUpdate', request, await session.commandDeadline()), id: ID })
  },
})

const list = defineCommand({
  use: 'list', short: 'Lists all members in the cluster',
  long: `When --write-out is set to simple, this command prints out comma-separated member lists for each endpoint.
The items in the lists are ID, Status, Name, Peer Addrs, Client Addrs, Is Learner.
`,
  flags: { consistency: { type: 'string', default: 'l', usage: 'Linearizable(l) or Serializable(s)' } },
  async run(session, { flags }) {
    const request: MemberListRequest = { linearizable: !isSerializable(flags.consistency, 'l') }
    const connection = await session.connect()
    await session.print({ kind: 'memberList', response: await connection.unary<MemberListResponse>(clusterService, 'MemberList', request, await session.commandDeadline()) })
  },
})

const promote = defineCommand({
  use: 'promote <memberID>', short: 'Promotes a non-voting member in the cluster', long: 'Promotes a non-voting learner member to a voting one in the cluster.\n',
  async run(session, { args }) {
    const ID = memberIdOf(args)
    const connection = await session.connect()
    const response = await connection.unary<MemberPromoteResponse>(clusterService, 'MemberPromote', { ID } satisfies MemberPromoteRequest, await session.commandDeadline())
    await session.print({ kind: 'memberPromote', response, id: ID })
  },
})

export const memberCommand = defineGroup(
  { use: 'member <subcommand>', short: 'Membership related commands. Use `etcdctl member --help` to see subcommands', long: 'Membership related commands', group: 'cluster maintenance' },
  [add, remove, update, list, promote],
)

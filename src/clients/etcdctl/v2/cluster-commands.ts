// member and cluster-health of version 2. Upstream: etcdctl/ctlv2/command/{member_commands,cluster_health}.go
import { sleep } from '../../../lib/base/clock.ts'
import { quote } from '../go-format.ts'
import type { ClusterApi, V2Member } from './cluster-api.ts'
import { exitCodes, plain, PlainExit, type V2Command, type V2Context } from './command-line.ts'
import { describe, withScheme } from './http-cluster.ts'

const againMs = 10_000

function none({ args }: V2Context): void { if (args.length > 0) throw plain('No arguments accepted') }

export const memberCommand: V2Command = {
  name: 'member', usage: 'member add, remove and list subcommands',
  commands: [
    {
      name: 'list', usage: 'enumerate existing cluster members', argsUsage: ' ',
      async run(context) {
        none(context)
        const cluster = await context.cluster()
        const members = await cluster.members()
        const leader = await cluster.leader()
        for (const m of members) {
          context.surroundings.out(m.name === '' ? `${m.id}[unstarted]: peerURLs=${m.peerURLs.join(',')}\n`
            : `${m.id}: name=${m.name} peerURLs=${m.peerURLs.join(',')} clientURLs=${m.clientURLs.join(',')} isLeader=${m.id === leader.id}\n`)
        }
      },
    },
    {
      name: 'add', usage: 'add a new member to the etcd cluster', argsUsage: '<name> <peerURL>',
      async run({ args, cluster: open, surroundings: { out } }) {
        const [name, url] = args
        if (name === undefined || url === undefined || args.length !== 2) throw plain('Provide a name and a single member peerURL')
        const cluster = await open()
        const added = await cluster.addMember(url)
        out(`Added member named ${name} with ID ${added.id} to cluster\n`)
        const members = (await cluster.members()).flatMap((member) => member.peerURLs.map((peer) => `${member.id === added.id ? name : member.name}=${peer}`))
        out(`\nETCD_NAME=${quote(name)}\nETCD_INITIAL_CLUSTER=${quote(members.join(','))}\nETCD_INITIAL_CLUSTER_STATE="existing"\n`)
      },
    },
    {
      name: 'remove', usage: 'remove an existing member from the etcd cluster', argsUsage: '<memberID>',
      async run({ args, cluster: open, surroundings: { out, err } }) {
        const [id] = args
        if (id === undefined || args.length !== 1) throw plain('Provide a single member ID')
        const cluster = await open()
        const members = await cluster.members()
        for (const { name, id: own } of members) {
          if (name !== id) continue
          err(`Found a member named ${name}; if this is correct, please use its ID, eg:\n\tetcdctl member remove ${own}\n`)
          err('For more details, read the documentation at https://github.com/etcd-io/etcd/blob/master/Documentation/runtime-configuration.md#remove-a-member\n\n')
        }
        if (!members.some((member) => member.id === id)) throw plain(`Couldn't find a member in the cluster with an ID of ${id}.`)
        await cluster.removeMember(id).catch((error: unknown) => { throw new PlainExit(exitCodes.error, `Received an error trying to remove member ${id}: ${error instanceof Error ? error.message : String(error)}`) })
        out(`Removed member ${id} from cluster\n`)
      },
    },
    {
      name: 'update', usage: 'update an existing member in the etcd cluster', argsUsage: '<memberID> <peerURLs>',
      async run({ args, cluster, surroundings: { out } }) {
        const [id, urls] = args
        if (id === undefined || urls === undefined || args.length !== 2) throw plain('Provide an ID and a list of comma separated peerURL (0xabcd http://example.com,http://example1.com)')
        await (await cluster()).updateMember(id, urls.split(','))
        out(`Updated member with ID ${id} in cluster\n`)
      },
    },
  ],
}

export const clusterHealthCommand: V2Command = {
  name: 'cluster-health', usage: 'check the health of the etcd cluster', argsUsage: ' ',
  flags: [{ names: ['forever', 'f'], type: 'bool', usage: 'forever check the health every 10 second until CTRL+C' }],
  async run({ flags, cluster: open, surroundings: { out, clock } }) {
    const cluster = await open(false)
    const members = await cluster.members().catch((error: unknown) => {
      out('cluster may be unhealthy: failed to list members\n')
      throw error
    })
    for (;;) {
      let healthy = false
      for (const member of members) healthy = await isHealthy(cluster, member, out) || healthy
      out(`cluster is ${healthy ? 'healthy' : 'unhealthy'}\n`)
      if (flags['forever'] !== true) {
        if (healthy) return
        throw new PlainExit(exitCodes.notHealthy, '')
      }
      out('\nnext check after 10 second...\n\n')
      await sleep(clock, againMs, new AbortController().signal)
    }
  },
}

/** Asks the member's own addresses until one answers. */
async function isHealthy(cluster: ClusterApi, { id, clientURLs }: V2Member, out: (text: string) => void): Promise<boolean> {
  if (clientURLs.length === 0) {
    out(`member ${id} is unreachable: no available published client urls\n`)
    return false
  }
  for (const url of clientURLs) {
    try {
      const { health } = JSON.parse((await cluster.http.get('GET', new URL('/health', withScheme(url)))).body) as { readonly health?: unknown } // cast: looked at below
      const healthy = health === 'true' || health === true
      out(`member ${id} is ${healthy ? 'healthy' : 'unhealthy'}: got ${healthy ? 'healthy' : 'unhealthy'} result from ${url}\n`)
      return healthy
    } catch (error) {
      out(`failed to check the health of member ${id} on ${url}: Get "${url}/health": ${describe(error)}\n`)
    }
  }
  out(`member ${id} is unreachable: [${clientURLs.join(' ')}] are all unreachable\n`)
  return false
}

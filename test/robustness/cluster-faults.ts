// What is done to a cluster under load. Each fault goes on until the cluster has worked again, so that a history has a before, a during and an
// after; Campaign mends what is left.
import { setTimeout as delay } from 'node:timers/promises'
import type { Fault } from './campaign.ts'
import type { EtcdCluster } from './etcd-cluster.ts'

/** What clusters under these faults are started with: faults are shorter when elections are. */
export const electionFlags: readonly string[] = ['--heartbeat-interval', '50', '--election-timeout', '500']
/** Longer than an election takes. */
const leaderlessMs = 1300

/** Answers that show that a cluster works again, and enough of them that something could have gone wrong. */
const someAnswers = 150
const patienceMs = 2000

const majorityOf = (cluster: EtcdCluster): number => Math.floor(cluster.members.length / 2) + 1
const minorityOf = (cluster: EtcdCluster): number => cluster.members.length - majorityOf(cluster)
const others = (cluster: EtcdCluster, some: readonly number[]): readonly number[] => cluster.members.filter((member) => !some.includes(member))

async function kill(cluster: EtcdCluster, members: readonly number[]): Promise<void> { await Promise.all(members.map((member) => cluster.process(member).kill())) }

/** Killed, and the rest, if it can, goes on without them; then they come back under load. */
function killed(name: string, cluster: EtcdCluster, choose: () => readonly number[] | Promise<readonly number[]>): Fault {
  return {
    name, patienceMs,
    strike: async ({ answers }) => {
      const members = await choose()
      await kill(cluster, members)
      if (members.length < majorityOf(cluster)) await answers(someAnswers)
      for (const member of members) cluster.process(member).spawn()
      await answers(someAnswers)
    },
  }
}

export const killOne = (cluster: EtcdCluster): Fault => killed('SIGKILL of one', cluster, () => cluster.choose(1))
export const killLeader = (cluster: EtcdCluster): Fault => killed('SIGKILL of the leader', cluster, async () => [await cluster.leader()])
export const killMajority = (cluster: EtcdCluster): Fault => killed('SIGKILL of a majority', cluster, () => cluster.choose(majorityOf(cluster)))
export const killAll = (cluster: EtcdCluster): Fault => killed('SIGKILL of all', cluster, () => cluster.members)

/** How long a member may take to end when it is asked to. */
const endsWithinMs = 15_000

/** One after the other is asked to end, and does; then it comes back. */
export const endEach = (cluster: EtcdCluster): Fault => ({
  name: 'SIGTERM of each in turn', patienceMs,
  strike: async ({ answers }) => {
    for (const member of cluster.members) {
      const process = cluster.process(member)
      process.signal('SIGTERM')
      const end = await Promise.race([process.exit, delay(endsWithinMs, 'still there')])
      // The original ends by the signal itself.
      if (end !== 'code 0' && end !== 'SIGTERM') throw new Error(`${cluster.nameOf(member)}, asked to end: ${end}: ${process.errors}`)
      await answers(someAnswers / 3)
      process.spawn()
      await process.untilHealthy()
    }
    await answers(someAnswers)
  },
})

function stalled(name: string, cluster: EtcdCluster, choose: () => Promise<readonly number[]>, stallMs: number): Fault {
  return {
    name, patienceMs,
    strike: async ({ answers }) => {
      const members = await choose()
      for (const member of members) cluster.process(member).signal('SIGSTOP')
      await delay(stallMs)
      for (const member of members) cluster.process(member).signal('SIGCONT')
      await answers(someAnswers)
    },
  }
}

/** The old leader wakes up and doesn't know that it is none. */
export const stallLeader = (cluster: EtcdCluster, stallMs = 2000): Fault => stalled('SIGSTOP of the leader', cluster, async () => [await cluster.leader()], stallMs)
export const stallFollower = (cluster: EtcdCluster, stallMs = 2000): Fault => stalled('SIGSTOP of a follower', cluster, async () => cluster.choose(1, await cluster.followers()), stallMs)

function partitioned(name: string, cluster: EtcdCluster, cut: () => Promise<void>, cutMs: number): Fault {
  return {
    name, patienceMs,
    strike: async ({ answers }) => {
      await cut()
      await delay(cutMs)
      cluster.network.heal()
      await answers(someAnswers)
    },
  }
}

export const isolateLeader = (cluster: EtcdCluster, cutMs = leaderlessMs): Fault => partitioned('leader cut off', cluster, async () => {
  const leader = [await cluster.leader()]
  cluster.network.partition(leader, others(cluster, leader))
}, cutMs)

export const isolateMinority = (cluster: EtcdCluster, cutMs = leaderlessMs): Fault => partitioned('minority cut off', cluster, async () => {
  const minority = cluster.choose(minorityOf(cluster))
  cluster.network.partition(minority, others(cluster, minority))
}, cutMs)

/** The leader is heard, and hears nothing. */
export const deafLeader = (cluster: EtcdCluster, cutMs = leaderlessMs): Fault => partitioned('leader hears nobody', cluster, async () => {
  const leader = [await cluster.leader()]
  cluster.network.drop(others(cluster, leader), leader)
}, cutMs)

/** The leader hears, and is heard by nobody. */
export const muteLeader = (cluster: EtcdCluster, cutMs = leaderlessMs): Fault => partitioned('nobody hears the leader', cluster, async () => {
  const leader = [await cluster.leader()]
  cluster.network.drop(leader, others(cluster, leader))
}, cutMs)

/** Two members don't hear of each other, but all hear the third. */
export const brokenLink = (cluster: EtcdCluster, cutMs = leaderlessMs): Fault => partitioned('one link broken', cluster, async () => {
  const [one = 0, other = 1] = cluster.choose(2)
  cluster.network.partition([one], [other])
}, cutMs)

/** Now this one, now that one is cut off, shorter and longer than an election takes. */
export const flapping = (cluster: EtcdCluster): Fault => ({
  name: 'flapping links', patienceMs,
  strike: async ({ answers }) => {
    for (const cutMs of [150, 700, 100, 900, 300]) {
      const [member = 0] = cluster.choose(1)
      cluster.network.partition([member], others(cluster, [member]))
      await delay(cutMs)
      cluster.network.heal()
      await delay(150)
    }
    await answers(someAnswers)
  },
})

export const lossyNetwork = (cluster: EtcdCluster, percent = 10): Fault => partitioned(`${percent} % of packets lost`, cluster, () => {
  cluster.network.lose(percent)
  return Promise.resolve()
}, 1500)

export const slowNetwork = (cluster: EtcdCluster, kilobitsPerSecond = 4000): Fault => partitioned('slow network', cluster, () => {
  cluster.network.throttle(kilobitsPerSecond)
  return Promise.resolve()
}, 1500)

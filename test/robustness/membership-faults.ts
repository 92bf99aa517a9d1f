// Changes of the membership under load, one after the other, and members that come back with nothing.
import { rmSync } from 'node:fs'
import type { Fault } from './campaign.ts'
import type { EtcdCluster } from './etcd-cluster.ts'

const someAnswers = 100
const patienceMs = 2000

/** A learner joins, becomes a voter, and another member leaves: by turns one that follows and the one that leads. */
export function changeMembership(cluster: EtcdCluster): Fault {
  let turn = 0
  return {
    name: 'learner added and promoted, a member removed', patienceMs,
    strike: async ({ answers }) => {
      const joined = await cluster.add(true)
      await answers(someAnswers)
      await cluster.promote(joined)
      await answers(someAnswers)
      const leader = await cluster.leader()
      const others = cluster.members.filter((member) => member !== leader && member !== joined)
      await cluster.remove(turn++ % 2 === 0 ? leader : others[0] ?? leader)
      await answers(someAnswers)
    },
  }
}

/** A member's disk is gone: it is removed, and a new one takes its place as a voter at once. */
export function replaceMember(cluster: EtcdCluster): Fault {
  return {
    name: 'a member replaced whose data is gone', patienceMs,
    strike: async ({ answers }) => {
      const [lost = 0] = cluster.choose(1)
      const { dataDir } = cluster.process(lost)
      await cluster.process(lost).kill()
      rmSync(dataDir, { recursive: true, force: true })
      await answers(someAnswers)
      await cluster.remove(lost)
      await cluster.add(false)
      await answers(someAnswers)
    },
  }
}

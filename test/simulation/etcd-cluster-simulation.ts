// One, three or five etcd members in a simulated world, from a seed: whole members with their logs, states and watches, on disks that lose power
// in the middle of any write or have a bit flipped while they are off, over a network that delays, loses, doubles, reorders and is cut, also in
// one direction; processes stand still, wall clocks jump, members are added, promoted and removed. At the end everything is joined again, and:
// every history is linearizable, every watch kept its nine promises, all members hold the same, nothing acknowledged is lost.
//
// The same seed gives the same run, to the letter of its trace. The world is cluster-world.ts; what disturbs it, cluster-faults.ts; who uses it,
// cluster-traffic.ts; what is asked of it, cluster-judge.ts.
import { randomInteger } from '../../src/lib/base/random.ts'
import { ClusterFaults } from './cluster-faults.ts'
import { ClusterJudge } from './cluster-judge.ts'
import { ClusterTraffic } from './cluster-traffic.ts'
import { ClusterWorld, type ClusterControlFault, type ClusterSimulationCounts } from './cluster-world.ts'

export type { ClusterControlFault, ClusterSimulationCounts } from './cluster-world.ts'

export interface ClusterSimulationResult {
  readonly size: number
  readonly violations: readonly string[]
  readonly trace: string
  readonly counts: ClusterSimulationCounts
}

export async function simulateEtcdCluster(seed: number, control?: ClusterControlFault): Promise<ClusterSimulationResult> {
  const world = new ClusterWorld(seed, control)
  const traffic = new ClusterTraffic(world)
  const judge = new ClusterJudge(world, traffic)
  try {
    await world.startAll()
    await live(world, traffic)
    await judge.joinAgain()
    await judge.judge()
  } catch (error) {
    world.violate(`the simulation ended early: ${error instanceof Error ? error.stack : String(error)}\n${world.describe()}`)
  }
  for (const { recorder } of traffic.watches) recorder[Symbol.dispose]()
  for (const place of world.places) world.end(place)
  await world.letGo()
  world.counts.statesSent = world.cluster.network.counts.snapshots
  return { size: world.size, violations: world.violations, trace: world.digest(), counts: world.counts }
}

/** The time of faults. */
async function live(world: ClusterWorld, traffic: ClusterTraffic): Promise<void> {
  const { cluster, random } = world
  const faults = new ClusterFaults(world)
  const clients = traffic.start()
  const end = cluster.clock.monotonic() + 5000 + randomInteger(random, 6000)
  while (cluster.clock.monotonic() < end && world.violations.length === 0) {
    await cluster.clock.advance(50 + randomInteger(random, 500))
    faults.choose()
    traffic.followWatches()
  }
  world.over = true
  await cluster.until(() => clients, 30_000)
}

// What happens to a simulated cluster besides its clients: power cuts in the middle of any write, of one member or of all; partitions, loss, doubled
// and late messages; processes that stand still; wall clocks that jump; members that come, are promoted and go; leadership that is handed over.
//
// One fault a step, chosen by the seed. None of them is a reason for a wrong answer, and none of them may last: the judge joins everything again.
import { randomInteger } from '../../src/lib/base/random.ts'
import { EtcdError } from '../../src/lib/etcd-api/etcd-error.ts'
import type { ClusterWorld, Place } from './cluster-world.ts'

export class ClusterFaults {
  readonly #world: ClusterWorld
  /** Of two removals at once the second could take what the first has left. */
  #isChanging = false
  #names: number

  constructor(world: ClusterWorld) {
    this.#world = world
    this.#names = world.size
  }

  choose(): void {
    const random = this.#world.random
    const { network } = this.#world.cluster
    const running = this.#world.running
    const place = running[randomInteger(random, running.length)]
    if (!place) return
    const all = this.#world.cluster.nodes.map(({ id }) => id)
    const roll = random.float()
    if (roll < 0.16) place.node.disk.cutPowerAt(1 + randomInteger(random, 25))
    else if (roll < 0.19) for (const each of running) each.node.disk.cutPowerAt(1 + randomInteger(random, 12))
    else if (roll < 0.3) {
      this.#world.counts.partitions++
      const shape = randomInteger(random, 4)
      const leader = running.find(({ node }) => node.etcd?.internals.member.isLeader) ?? place
      if (shape === 0) network.isolate(leader.node.id, all)
      else if (shape === 1) for (const other of all) network.cutOneWay(leader.node.id, other)
      else if (shape === 2) for (const other of all) network.cutOneWay(other, place.node.id)
      else network.cut(place.node.id, all[randomInteger(random, all.length)] ?? place.node.id)
    } else if (roll < 0.45) network.heal()
    else if (roll < 0.5) { network.loss = random.float() < 0.5 ? 0 : random.float() * 0.2; network.duplication = random.float() < 0.5 ? 0 : random.float() * 0.2 }
    else if (roll < 0.55) network.delayMs = random.float() < 0.5 ? [0, 2] : [0, 5 + randomInteger(random, 150)]
    else if (roll < 0.63) this.#stall(place)
    else if (roll < 0.67) place.clock.offsetMs += Math.round((random.float() - 0.5) * 2 * 86_400_000)
    else if (roll < 0.8) void this.#changeMembership(random.float() < 0.7 ? running.find(({ node }) => node.etcd?.internals.member.isLeader) ?? place : place)
    else if (roll < 0.84) void this.#moveLeader(running)
  }

  #stall(place: Place): void {
    if (place.clock.isStopped) return
    this.#world.counts.stalls++
    this.#world.say(`${place.node.name} stands still`)
    const { clock } = place
    clock.stop()
    this.#world.later(200 + randomInteger(this.#world.random, 3500), () => clock.resume())
  }

  async #moveLeader(running: readonly Place[]): Promise<void> {
    const leader = running.find(({ node }) => node.etcd?.internals.member.isLeader)
    const target = running[randomInteger(this.#world.random, running.length)]
    if (!leader?.node.etcd || !target || leader === target) return
    using limit = this.#world.limit(leader, 2000)
    await leader.node.etcd.internals.admin.moveLeader(target.node.id, limit.signal).catch(expected)
  }

  async #changeMembership(place: Place): Promise<void> {
    const { etcd } = place.node
    if (!etcd || this.#world.over || this.#isChanging) return
    this.#isChanging = true
    this.#world.hasChanged = true
    const { admin, member } = etcd.internals
    const members = [...member.machine.membership.members.values()]
    const learner = members.find(({ isLearner }) => isLearner)
    const voters = members.length - (learner ? 1 : 0)
    using limit = this.#world.limit(place, 4000)
    const { signal } = limit
    try {
      if (learner && this.#world.random.float() < 0.7) await admin.promote(learner.id, undefined, signal)
      else if (!learner && voters < 5 && !this.#world.places.some(({ damaged }) => damaged) && this.#world.random.float() < 0.6) {
        const name = `m${++this.#names}`
        const added = await admin.add([`http://${name}:2380`], this.#world.random.float() < 0.7, signal)
        // It may have been started meanwhile, by what the others said of it.
        if (this.#world.places.some((other) => other.node.id === added.id)) return
        const node = this.#world.cluster.addNode(added.id, name)
        const next = this.#world.placeOf(node)
        this.#world.places.push(next)
        void this.#world.startPlace(next)
      } else if (voters > 2 && !this.#world.places.some(({ damaged }) => damaged)) {
        const victim = members[randomInteger(this.#world.random, members.length)]
        if (victim) await admin.remove(victim.id, signal)
      } else return
      this.#world.counts.membershipChanges++
      this.#world.say('the membership changed')
    } catch (error) { expected(error) } finally { this.#isChanging = false }
  }
}

/** What may come of asking a cluster that is being disturbed. */
function expected(error: unknown): void {
  if (error instanceof EtcdError || (error instanceof DOMException && (error.name === 'AbortError' || error.name === 'TimeoutError'))) return
  throw error
}

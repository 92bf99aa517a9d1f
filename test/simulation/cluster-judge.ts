// The end of a simulated cluster's run: everything is joined again, everybody starts, catches up and stands still; then what was promised is compared
// with what was told. Every history is linearizable, every watch kept its nine promises, no lease ended early or stayed, all members hold the same,
// and nothing that was acknowledged is lost.
import { hashKeyValues } from '../../src/control-plane/etcd/mvcc/hash-kv.ts'
import { checkPastReads, resolveOutcomes } from '../robustness/resolve-outcomes.ts'
import { checkWatch } from '../robustness/watch-guarantees.ts'
import type { WatchRecorder } from '../robustness/watch-recorder.ts'
import { checkByRevisions } from './check-by-revisions.ts'
import type { ClusterTraffic } from './cluster-traffic.ts'
import type { ClusterWorld, Place } from './cluster-world.ts'

export class ClusterJudge {
  readonly #world: ClusterWorld
  readonly #traffic: ClusterTraffic

  constructor(world: ClusterWorld, traffic: ClusterTraffic) {
    this.#world = world
    this.#traffic = traffic
  }

  async joinAgain(): Promise<void> {
    const { network, clock } = this.#world.cluster
    network.heal()
    network.loss = network.duplication = 0
    network.delayMs = [0, 2]
    for (const place of this.#world.places) { place.clock.resume(); place.node.disk.cutPowerAt(Infinity) }
    await this.#world.cluster.untilTrue(() => this.#world.places.every((place) => !place.starting), 20_000)
    for (const place of this.#world.places) if (place.node.etcd === undefined && !place.removed && !place.damaged) { place.node.disk.cutPowerAt(Infinity); void this.#world.startPlace(place) }
    await this.#world.cluster.untilTrue(() => this.#world.places.every((place) => !place.starting), 20_000)
    this.#startMissing()
    await this.#world.cluster.untilTrue(() => this.#world.places.every((place) => !place.starting), 20_000)
    // Those that were removed while they were away learn it, or stay outside; and what was on its way may still happen.
    for (let turn = 0; turn < 6; turn++) {
      await clock.advance(500)
      this.#startMissing()
    }
    await this.#world.cluster.untilTrue(() => this.#world.places.every((place) => !place.starting), 20_000)
  }

  /** Whoever asked for a member and heard nothing never started it. */
  #startMissing(): void {
    for (const { node } of this.#world.running) {
      for (const { id, peerUrls } of node.etcd?.internals.member.machine.membership.list() ?? []) {
        if (this.#world.places.some((place) => place.node.id === id)) continue
        const place = this.#world.placeOf(this.#world.cluster.addNode(id, /m\d+/.exec(peerUrls[0] ?? '')?.[0] ?? String(id)))
        this.#world.places.push(place)
        void this.#world.startPlace(place)
      }
    }
  }

  /** Members that belong to the cluster, as its leader knows it. */
  async #settled(): Promise<readonly Place[]> {
    const leader = (): Place | undefined => [...this.#world.running].filter(({ node }) => node.etcd?.internals.member.isLeader).sort((a, b) => (b.node.etcd?.internals.member.term ?? 0) - (a.node.etcd?.internals.member.term ?? 0))[0]
    await this.#world.cluster.untilTrue(() => leader() !== undefined || this.#world.violations.length > 0, 30_000)
    const leading = leader()
    if (!leading?.node.etcd) return []
    const client = leading.node.etcd.client
    await this.#world.cluster.until(() => client.range({ key: Buffer.from('settled') }, this.#world.never), 30_000)
    const members = leading.node.etcd.internals.member.machine.membership.members
    const inside = this.#world.running.filter(({ node }) => members.has(node.id))
    const goal = leading.node.etcd.internals.member.committedIndex
    await this.#world.cluster.untilTrue(() => this.#world.violations.length > 0 || inside.every(({ node, life }) => life.signal.aborted || (node.etcd?.internals.member.appliedIndex ?? 0) >= goal), 60_000)
    return inside.filter(({ life }) => !life.signal.aborted)
  }

  async judge(): Promise<void> {
    const inside = await this.#settled()
    const first = inside[0]?.node.etcd
    if (!first) { this.#world.violate('nobody leads although everybody can talk'); return }
    const { revision } = await first.client.status(this.#world.never)
    await this.#learnHistory(inside)
    const endsAt = this.#world.now()
    if (revision < this.#traffic.heard) this.#world.violate(`revision ${this.#traffic.heard} was heard of; the store has ${revision}`)
    const resolved = resolveOutcomes({ log: this.#traffic.log, from: 1, to: this.#traffic.log.revision, operations: this.#traffic.operations, leaseDeadline: this.#traffic.deadline, endsAt })
    this.#world.violate(...resolved.violations, ...checkPastReads(this.#traffic.log, this.#traffic.operations), ...checkByRevisions(this.#traffic.log, resolved.operations))
    for (const watching of this.#traffic.watches) this.#traffic.checkRecord(watching, watching.life.aborted || watching.recorder.ended ? undefined : revision)
    for (const { watch, name } of this.#traffic.records) this.#world.violate(...checkWatch(this.#traffic.log, watch).map(({ guarantee, detail }) => `a watch on ${name} is not ${guarantee}: ${detail}`))
    await this.#compareMembers(inside)
    this.#world.counts.elections = Math.max(...inside.map(({ node }) => node.etcd?.internals.member.term ?? 0))
    this.#world.say(`judged ${this.#traffic.operations.length} operations to revision ${this.#traffic.log.revision}`)
  }

  /** Lets every watch hear of everything. */
  async #learnHistory(inside: readonly Place[]): Promise<void> {
    // A learner that was removed while it was away is told nothing any more.
    this.#traffic.followWatches(inside)
    const { revision } = await inside[0]!.node.etcd!.client.status(this.#world.never) // cast: somebody is inside, and runs
    await this.#catchUp(this.#traffic.watches.map(({ recorder }) => recorder), revision)
    const collector = this.#traffic.watches.find(({ isCollector }) => isCollector)?.recorder
    if (collector?.ended) this.#world.violate(`the history can't be read: ${String(collector.ended.error)} compacted ${collector.ended.compactRevision}`)
    if (this.#traffic.log.revision < revision) this.#world.violate(`the store has revision ${revision}, watchers heard of ${this.#traffic.log.revision}`)
  }

  async #catchUp(list: readonly WatchRecorder[], revision: number): Promise<void> {
    for (let turn = 0; turn < 200 && list.some((watch) => watch.heardTo < revision && !watch.ended); turn++) {
      for (const watch of list) if (watch.heardTo < revision) watch.requestProgress()
      await this.#world.cluster.clock.advance(5)
    }
  }

  async #compareMembers(inside: readonly Place[]): Promise<void> {
    // Leases go on ending: all are to be at the same entry.
    const indexes = (): readonly (number | undefined)[] => inside.map(({ node }) => node.etcd?.internals.member.appliedIndex)
    await this.#world.cluster.untilTrue(() => new Set(indexes()).size === 1, 20_000)
    const images = await Promise.all(inside.map(async ({ node }) => {
      const { machine } = node.etcd!.internals.member // cast: inside
      const { hash } = await hashKeyValues(machine.store, machine.store.revision, async () => {})
      return { name: node.name, text: JSON.stringify({ hash, revision: machine.store.revision, leases: machine.leases.ids().map(String).sort(), members: machine.membership.list().map(({ id, isLearner }) => `${id} ${isLearner}`).sort() }) }
    }))
    for (const { name, text } of images) if (text !== images[0]?.text) this.#world.violate(`${name} holds ${text}, ${images[0]?.name} holds ${images[0]?.text}`)
  }
}

// The world that a simulated cluster lives in, as the seed made it: its members with their processes, disks and clocks, its network, its time, and
// what was seen of all that. Faults (cluster-faults.ts), clients and watches (cluster-traffic.ts) and the judge (cluster-judge.ts) work on it.
//
// A process ends without a word: its clock dies, the network forgets it, its disk keeps what was durable. It starts again on that disk some time later.
import { createHash } from 'node:crypto'
import type { Timer } from '../../src/lib/base/clock.ts'
import { randomInteger, seededRandom, type Random } from '../../src/lib/base/random.ts'
import { StorageError, type Disk } from '../../src/control-plane/etcd/disk/disk.ts'
import type { EmbeddedEtcd } from '../../src/control-plane/etcd/embedded.ts'
import { MemberRemovedError } from '../../src/control-plane/etcd/member.ts'
import { SimulatedCluster, type SimulatedNode } from '../../src/control-plane/etcd/consensus/simulated-cluster.ts'
import { settle, SimulatedClock } from '../../src/lib/testing/simulated-clock.ts'
import { forgetfulDisk, slowDisk } from './disks.ts'
import { MemberClock } from './member-clock.ts'

/** Faults that can be put into the members, to see that the simulation notices. */
export type ClusterControlFault = 'early-acknowledgement' | 'read-without-quorum' | 'dropped-event' | 'forgotten-lease' | 'diverged-member'

export interface ClusterSimulationCounts {
  operations: number
  acknowledged: number
  crashes: number
  flips: number
  refusedFlips: number
  partitions: number
  stalls: number
  membershipChanges: number
  statesSent: number
  elections: number
}

export interface Place {
  readonly node: SimulatedNode
  clock: MemberClock
  /** Aborted when its process ends. */
  life: AbortController
  /** Its disk had a bit flipped and it refused to start: it stays away. */
  damaged: boolean
  removed: boolean
  starting: boolean
}

export class ClusterWorld {
  readonly random: Random
  readonly control: ClusterControlFault | undefined
  readonly cluster: SimulatedCluster
  readonly size: number
  readonly places: Place[] = []
  readonly violations: string[] = []
  readonly counts: ClusterSimulationCounts = { operations: 0, acknowledged: 0, crashes: 0, flips: 0, refusedFlips: 0, partitions: 0, stalls: 0, membershipChanges: 0, statesSent: 0, elections: 0 }
  /** For what nobody gives up. */
  readonly never = new AbortController().signal
  /** The time of faults and traffic has passed. */
  over = false
  /** Members have come or gone. */
  hasChanged = false
  readonly #opened: EmbeddedEtcd[] = []
  readonly #trace = createHash('sha256')
  #ticks = 0

  constructor(seed: number, control: ClusterControlFault | undefined) {
    this.random = seededRandom(seed * 7919 + 17)
    this.control = control
    const roll = this.random.float()
    this.size = control ? 3 : roll < 0.1 ? 1 : roll < 0.8 ? 3 : 5
    const snapshotCount = 10 + randomInteger(this.random, 60)
    this.cluster = new SimulatedCluster({ size: this.size, seed: seed + 1, clock: new SimulatedClock(undefined, 3), settings: { strictReconfigCheck: this.random.float() < 0.3, snapshotCount, snapshotBytes: 1500, segmentBytes: 16_000 + randomInteger(this.random, 30_000), zeroedBytes: 4096, heartbeatIntervalMs: 100, electionTimeoutMs: 1000 } })
    for (const node of this.cluster.nodes) this.places.push(this.placeOf(node))
  }

  placeOf(node: SimulatedNode): Place { return { node, clock: new MemberClock(this.cluster.clock), life: new AbortController(), damaged: false, removed: false, starting: false } }

  say(text: string): void { this.#trace.update(`${this.cluster.clock.monotonic()} ${text}\n`) }
  violate(...list: readonly string[]): void { for (const text of list) if (this.violations.length < 20) this.violations.push(text) }
  /** Nanoseconds; no two moments are the same. */
  now = (): number => Math.round(this.cluster.clock.monotonic() * 1e6) + (this.#ticks++ % 1e6)
  get running(): readonly Place[] { return this.places.filter((place) => place.node.etcd !== undefined && !place.life.signal.aborted) }
  /** Members that count, as the newest of them know it. */
  get voters(): number { return Math.max(1, ...this.running.map(({ node }) => [...(node.etcd?.internals.member.machine.membership.members.values() ?? [])].filter((m) => !m.isLearner).length)) }
  later(delayMs: number, run: () => void): Timer { return this.cluster.clock.setTimer(delayMs, run) }
  /** Hash of everything that happened. */
  digest(): string { return this.#trace.digest('hex') }

  // ---- processes ----

  async startAll(): Promise<void> {
    for (const place of this.places) void this.startPlace(place)
    await this.cluster.untilTrue(() => this.violations.length > 0 || this.places.every((place) => place.node.etcd !== undefined && !place.starting), 20_000)
    await this.cluster.until(() => Promise.all(this.places.map((place) => place.node.etcd?.whenReady())), 30_000)
  }

  async startPlace(place: Place): Promise<void> {
    const { node } = place
    place.starting = true
    place.life = new AbortController()
    place.clock = new MemberClock(this.cluster.clock)
    place.clock.offsetMs = Math.round((this.random.float() - 0.5) * 2 * 86_400_000)
    const { clock, life } = place
    const { disk } = node
    disk.onPowerCut = () => { if (node.disk === disk) this.#powerCut(place) }
    const slow: Disk = this.random.float() < 0.25 ? slowDisk(disk, clock, this.random, 1 + randomInteger(this.random, 12)) : disk
    const join = this.cluster.network.join(node.id)
    try {
      const etcd = await this.cluster.startNode(node, {
        clock, disk: { dataDir: '/data', disk: this.control === 'early-acknowledgement' ? forgetfulDisk(slow) : slow },
        transport: (handler, second) => join({
          step: (message) => clock.whenRunning(() => handler.step(message)), receiveSnapshot: (message, body) => handler.receiveSnapshot(message, body),
          reportUnreachable: (id) => clock.whenRunning(() => handler.reportUnreachable(id)), reportSnapshot: (id, outcome) => clock.whenRunning(() => handler.reportSnapshot(id, outcome)),
          peerEnded: (id) => clock.whenRunning(() => handler.peerEnded(id)), isRemoved: (id) => handler.isRemoved(id), removedFromCluster: () => clock.whenRunning(() => handler.removedFromCluster()),
        }, second),
      })
      this.#opened.push(etcd)
      if (life.signal.aborted) { node.etcd = undefined; return }
      this.say(`${node.name} started`)
      this.#spoil(etcd)
      etcd.broken.addEventListener('abort', () => this.#brokeDown(place, etcd.broken.reason), { once: true })
    } catch (error) {
      if (life.signal.aborted) return
      this.end(place)
      if (!(error instanceof StorageError)) { this.violate(`${node.name} did not start: ${error instanceof Error ? error.stack : String(error)}`); return }
      if (!place.damaged) this.violate(`${node.name} refuses its own data: ${error.message}`)
      this.say(`${node.name} refused: ${error.message}`)
      this.counts.refusedFlips++
      return
    } finally {
      place.starting = false
    }
    place.damaged = false
  }

  /** Controls. */
  #spoil(etcd: EmbeddedEtcd): void {
    const { machine } = etcd.internals.member
    if (this.control === 'forgotten-lease') {
      const [first] = machine.leases.ids()
      if (first !== undefined) machine.leases.revoke(first)
    }
    if (this.control === 'diverged-member' && etcd.internals.name === 'm1') {
      const apply = machine.apply.bind(machine)
      machine.apply = (request, nowMs, index) => apply(request.type === 'txn' && request.success.length === 4 ? { ...request, success: request.success.slice(0, 3) } : request, nowMs, index)
    }
  }

  #brokeDown(place: Place, reason: unknown): void {
    if (place.life.signal.aborted) return
    this.say(`${place.node.name} ended: ${reason instanceof Error ? reason.name : String(reason)}`)
    if (reason instanceof MemberRemovedError) place.removed = true
    else this.violate(`${place.node.name} ended by itself: ${reason instanceof Error ? reason.stack : String(reason)}`)
    this.end(place)
  }

  /** The process is gone, whatever it was doing. */
  end(place: Place): void {
    place.life.abort(new DOMException('the member is gone', 'AbortError'))
    place.clock.die()
    this.cluster.network.unplug(place.node.id)
    place.node.etcd = undefined
  }

  #powerCut(place: Place): void {
    this.counts.crashes++
    this.say(`${place.node.name} lost its power`)
    this.end(place)
    place.node.disk = place.node.disk.reboot()
    const mayFlip = !this.control && !this.hasChanged && this.places.filter((p) => p.damaged).length + 1 <= Math.floor((this.voters - 1) / 2) && this.random.float() < 0.08
    if (mayFlip) this.#flipBit(place)
    this.later(randomInteger(this.random, 3000), () => { if (!this.over && !place.removed) void this.startPlace(place) })
  }

  #flipBit(place: Place): void {
    const { disk } = place.node
    const candidates = disk.paths.filter((path) => /\.wal$|\.snap$|\/db$/.test(path))
    const path = candidates[randomInteger(this.random, candidates.length)]
    if (path === undefined) return
    const bytes = disk.peek(path)
    let length = bytes.length
    while (length > 0 && bytes[length - 1] === 0) length--
    if (length === 0) return
    bytes[randomInteger(this.random, length)]! ^= 1 << randomInteger(this.random, 8) // cast: below the length
    disk.poke(path, bytes)
    place.damaged = true
    this.counts.flips++
    this.say(`a bit of ${place.node.name} ${path} is flipped`)
  }

  /** Until then, or until the process is gone, or until it is let go. */
  limit(place: Place, ms: number): { readonly signal: AbortSignal } & Disposable {
    const limit = new AbortController()
    const { signal } = place.life
    const end = (): void => limit.abort(signal.reason)
    if (signal.aborted) end()
    else signal.addEventListener('abort', end, { once: true })
    const timer = this.later(ms, () => limit.abort(new DOMException('too late', 'TimeoutError')))
    return { signal: limit.signal, [Symbol.dispose]: () => { timer[Symbol.dispose](); signal.removeEventListener('abort', end) } }
  }

  /** Members without power never end by themselves: their waits would be kept for good. */
  async letGo(): Promise<void> {
    for (const etcd of this.#opened) void etcd[Symbol.asyncDispose]().then(undefined, () => {})
    await settle(20)
  }

  /** Where everybody stands, for people. */
  describe(): string {
    return this.places.map(({ node, clock, damaged, removed }) => {
      const member = node.etcd?.internals.member
      const state = member ? `${member.isLeader ? 'leads' : 'follows'} term ${member.term}, applied ${member.appliedIndex} of ${member.committedIndex}, members ${member.machine.membership.list().map(({ id, isLearner }) => `${this.cluster.nodes.find((other) => other.id === id)?.name ?? '?'}${isLearner ? ' (learner)' : ''}`).join(' ')}` : 'down'
      return `${node.name}: ${state}${clock.isStopped ? ', stands still' : ''}${damaged ? ', damaged' : ''}${removed ? ', removed' : ''}`
    }).join('\n')
  }
}

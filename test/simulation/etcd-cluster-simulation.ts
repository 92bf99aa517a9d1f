// One, three or five etcd members in a simulated world, from a seed: whole members with their logs, states and watches, on disks that lose power
// in the middle of any write or have a bit flipped while they are off, over a network that delays, loses, doubles, reorders and is cut, also in
// one direction; processes stand still, wall clocks jump, members are added, promoted and removed. At the end everything is joined again, and:
// every history is linearizable, every watch kept its nine promises, all members hold the same, nothing acknowledged is lost.
//
// The same seed gives the same run, to the letter of its trace.
import { createHash } from 'node:crypto'
import { randomInteger, seededRandom, type Random } from '../../src/lib/base/random.ts'
import { EtcdError } from '../../src/lib/etcd-api/etcd-error.ts'
import type { EtcdClient } from '../../src/lib/etcd-client/etcd-client.ts'
import { StorageError, type Disk } from '../../src/control-plane/etcd/disk/disk.ts'
import type { EmbeddedEtcd } from '../../src/control-plane/etcd/embedded.ts'
import { MemberRemovedError } from '../../src/control-plane/etcd/member.ts'
import { hashKeyValues } from '../../src/control-plane/etcd/mvcc/hash-kv.ts'
import { SimulatedCluster, type SimulatedNode } from '../../src/control-plane/etcd/consensus/simulated-cluster.ts'
import { SimulatedClock } from '../../src/lib/testing/simulated-clock.ts'
import { chooseCall, ClientView, prefix, prefixEnd } from '../robustness/choose-call.ts'
import { dropFirstEvent } from './drop-first-event.ts'
import { EventLog, type LoggedEvent } from '../robustness/event-log.ts'
import type { Call, Operation } from '../robustness/operation.ts'
import { performCall, withValueIds } from '../robustness/perform-call.ts'
import { checkPastReads, resolveOutcomes } from '../robustness/resolve-outcomes.ts'
import { checkWatch } from '../robustness/watch-guarantees.ts'
import { WatchRecorder, type RecorderRequest } from '../robustness/watch-recorder.ts'
import { checkByRevisions } from './check-by-revisions.ts'
import { forgetfulDisk, slowDisk } from './disks.ts'
import { MemberClock } from './member-clock.ts'

/** Faults that can be put into the members, to see that the simulation notices. */
export type ClusterControlFault = 'early-acknowledgement' | 'read-without-quorum' | 'dropped-event' | 'forgotten-lease' | 'diverged-member'

export interface ClusterSimulationResult {
  readonly size: number
  readonly violations: readonly string[]
  readonly trace: string
  readonly counts: ClusterSimulationCounts
}

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

const clients = 4
const watchers = 3
const shortTtlSeconds = 2
const longTtlSeconds = 600
const requestTimeoutMs = 3000
const never = new AbortController().signal

interface Place {
  readonly node: SimulatedNode
  clock: MemberClock
  /** Aborted when its process ends. */
  life: AbortController
  /** Its disk had a bit flipped and it refused to start: it stays away. */
  damaged: boolean
  removed: boolean
  starting: boolean
}

interface Watching {
  readonly first: RecorderRequest
  readonly recorder: WatchRecorder
  readonly place: Place
  /** Of the process that tells it. */
  readonly life: AbortSignal
  /** The collector's watch is what the simulation learns from what happened. */
  readonly isCollector: boolean
}

export function simulateEtcdCluster(seed: number, control?: ClusterControlFault): Promise<ClusterSimulationResult> { return new ClusterSimulation(seed, control).run() }

class ClusterSimulation {
  readonly #random: Random
  readonly #control: ClusterControlFault | undefined
  readonly #cluster: SimulatedCluster
  readonly #size: number
  readonly #places: Place[] = []
  readonly #violations: string[] = []
  readonly #trace = createHash('sha256')
  readonly #log = new EventLog(1)
  readonly #views: readonly ClientView[]
  readonly #operations: Operation[] = []
  readonly #leases = new Map<string, { readonly ttlSeconds: number; renewedAt: number }>()
  #watches: Watching[] = []
  #heard = 1
  #ticks = 0
  #over = false
  /** Of two removals at once the second could take what the first has left. */
  #isChanging = false
  #hasChanged = false
  #names = 0
  readonly #counts: ClusterSimulationCounts = { operations: 0, acknowledged: 0, crashes: 0, flips: 0, refusedFlips: 0, partitions: 0, stalls: 0, membershipChanges: 0, statesSent: 0, elections: 0 }

  constructor(seed: number, control: ClusterControlFault | undefined) {
    this.#random = seededRandom(seed * 7919 + 17)
    this.#control = control
    const roll = this.#random.float()
    this.#size = control ? 3 : roll < 0.1 ? 1 : roll < 0.8 ? 3 : 5
    const snapshotCount = 10 + randomInteger(this.#random, 60)
    this.#cluster = new SimulatedCluster({ size: this.#size, seed: seed + 1, clock: new SimulatedClock(undefined, 3), settings: { strictReconfigCheck: this.#random.float() < 0.3, snapshotCount, snapshotBytes: 1500, segmentBytes: 16_000 + randomInteger(this.#random, 30_000), zeroedBytes: 4096, heartbeatIntervalMs: 100, electionTimeoutMs: 1000 } })
    this.#views = Array.from({ length: clients }, (_, client) => new ClientView(client, 'c'))
    for (const node of this.#cluster.nodes) this.#places.push(this.#placeOf(node))
    this.#names = this.#size
  }

  #placeOf(node: SimulatedNode): Place { return { node, clock: new MemberClock(this.#cluster.clock), life: new AbortController(), damaged: false, removed: false, starting: false } }

  async run(): Promise<ClusterSimulationResult> {
    try {
      await this.#start()
      await this.#live()
      await this.#joinAgain()
      await this.#judge()
    } catch (error) {
      this.#violate(`the simulation ended early: ${error instanceof Error ? error.stack : String(error)}\n${this.#describe()}`)
    }
    for (const { recorder } of this.#watches) recorder[Symbol.dispose]()
    for (const place of this.#places) this.#end(place)
    this.#counts.statesSent = this.#cluster.network.counts.snapshots
    return { size: this.#size, violations: this.#violations, trace: this.#trace.digest('hex'), counts: this.#counts }
  }

  /** Where everybody stands, for people. */
  #describe(): string {
    return this.#places.map(({ node, clock, damaged, removed }) => {
      const member = node.etcd?.internals.member
      const state = member ? `${member.isLeader ? 'leads' : 'follows'} term ${member.term}, applied ${member.appliedIndex} of ${member.committedIndex}, members ${member.machine.membership.list().map(({ id, isLearner }) => `${this.#cluster.nodes.find((other) => other.id === id)?.name ?? '?'}${isLearner ? ' (learner)' : ''}`).join(' ')}` : 'down'
      return `${node.name}: ${state}${clock.isStopped ? ', stands still' : ''}${damaged ? ', damaged' : ''}${removed ? ', removed' : ''}`
    }).join('\n')
  }

  #say(text: string): void { this.#trace.update(`${this.#cluster.clock.monotonic()} ${text}\n`) }
  #violate(...list: readonly string[]): void { for (const text of list) if (this.#violations.length < 20) this.#violations.push(text) }
  /** Nanoseconds; no two moments are the same. */
  #now = (): number => Math.round(this.#cluster.clock.monotonic() * 1e6) + (this.#ticks++ % 1e6)
  get #running(): readonly Place[] { return this.#places.filter((place) => place.node.etcd !== undefined && !place.life.signal.aborted) }
  /** Members that count, as the newest of them know it. */
  get #voters(): number { return Math.max(1, ...this.#running.map(({ node }) => [...(node.etcd?.internals.member.machine.membership.members.values() ?? [])].filter((m) => !m.isLearner).length)) }

  // ---- processes ----

  async #start(): Promise<void> {
    for (const place of this.#places) void this.#startPlace(place)
    await this.#cluster.untilTrue(() => this.#violations.length > 0 || this.#places.every((place) => place.node.etcd !== undefined && !place.starting), 20_000)
    await this.#cluster.until(() => Promise.all(this.#places.map((place) => place.node.etcd?.whenReady())), 30_000)
  }

  async #startPlace(place: Place): Promise<void> {
    const { node } = place
    place.starting = true
    place.life = new AbortController()
    place.clock = new MemberClock(this.#cluster.clock)
    place.clock.offsetMs = Math.round((this.#random.float() - 0.5) * 2 * 86_400_000)
    const { clock, life } = place
    const { disk } = node
    disk.onPowerCut = () => { if (node.disk === disk) this.#powerCut(place) }
    const slow: Disk = this.#random.float() < 0.25 ? slowDisk(disk, clock, this.#random, 1 + randomInteger(this.#random, 12)) : disk
    const join = this.#cluster.network.join(node.id)
    try {
      const etcd = await this.#cluster.startNode(node, {
        clock, disk: { dataDir: '/data', disk: this.#control === 'early-acknowledgement' ? forgetfulDisk(slow) : slow },
        transport: (handler, second) => join({
          step: (message) => clock.whenRunning(() => handler.step(message)), receiveSnapshot: (message, body) => handler.receiveSnapshot(message, body),
          reportUnreachable: (id) => clock.whenRunning(() => handler.reportUnreachable(id)), reportSnapshot: (id, outcome) => clock.whenRunning(() => handler.reportSnapshot(id, outcome)),
          isRemoved: (id) => handler.isRemoved(id), removedFromCluster: () => clock.whenRunning(() => handler.removedFromCluster()),
        }, second),
      })
      if (life.signal.aborted) { node.etcd = undefined; return }
      this.#say(`${node.name} started`)
      this.#spoil(etcd)
      etcd.broken.addEventListener('abort', () => this.#brokeDown(place, etcd.broken.reason), { once: true })
    } catch (error) {
      if (life.signal.aborted) return
      this.#end(place)
      if (!(error instanceof StorageError)) { this.#violate(`${node.name} did not start: ${error instanceof Error ? error.stack : String(error)}`); return }
      if (!place.damaged) this.#violate(`${node.name} refuses its own data: ${error.message}`)
      this.#say(`${node.name} refused: ${error.message}`)
      this.#counts.refusedFlips++
      return
    } finally {
      place.starting = false
    }
    place.damaged = false
  }

  /** Controls. */
  #spoil(etcd: EmbeddedEtcd): void {
    const { machine } = etcd.internals.member
    if (this.#control === 'forgotten-lease') {
      const [first] = machine.leases.ids()
      if (first !== undefined) machine.leases.revoke(first)
    }
    if (this.#control === 'diverged-member' && etcd.internals.name === 'm1') {
      const apply = machine.apply.bind(machine)
      machine.apply = (request, nowMs, index) => apply(request.type === 'txn' && request.success.length === 4 ? { ...request, success: request.success.slice(0, 3) } : request, nowMs, index)
    }
  }

  #brokeDown(place: Place, reason: unknown): void {
    if (place.life.signal.aborted) return
    this.#say(`${place.node.name} ended: ${reason instanceof Error ? reason.name : String(reason)}`)
    if (reason instanceof MemberRemovedError) place.removed = true
    else this.#violate(`${place.node.name} ended by itself: ${reason instanceof Error ? reason.stack : String(reason)}`)
    this.#end(place)
  }

  /** The process is gone, whatever it was doing. */
  #end(place: Place): void {
    place.life.abort(new DOMException('the member is gone', 'AbortError'))
    place.clock.die()
    this.#cluster.network.unplug(place.node.id)
    place.node.etcd = undefined
  }

  #powerCut(place: Place): void {
    this.#counts.crashes++
    this.#say(`${place.node.name} lost its power`)
    this.#end(place)
    place.node.disk = place.node.disk.reboot()
    const mayFlip = !this.#control && !this.#hasChanged && this.#places.filter((p) => p.damaged).length + 1 <= Math.floor((this.#voters - 1) / 2) && this.#random.float() < 0.08
    if (mayFlip) this.#flipBit(place)
    this.#later(randomInteger(this.#random, 3000), () => { if (!this.#over && !place.removed) void this.#startPlace(place) })
  }

  #flipBit(place: Place): void {
    const { disk } = place.node
    const candidates = disk.paths.filter((path) => /\.wal$|\.snap$|\/db$/.test(path))
    const path = candidates[randomInteger(this.#random, candidates.length)]
    if (path === undefined) return
    const bytes = disk.peek(path)
    let length = bytes.length
    while (length > 0 && bytes[length - 1] === 0) length--
    if (length === 0) return
    bytes[randomInteger(this.#random, length)]! ^= 1 << randomInteger(this.#random, 8) // cast: below the length
    disk.poke(path, bytes)
    place.damaged = true
    this.#counts.flips++
    this.#say(`a bit of ${place.node.name} ${path} is flipped`)
  }

  #later(delayMs: number, run: () => void): void { this.#cluster.clock.setTimer(delayMs, run) }

  // ---- the time of faults ----

  async #live(): Promise<void> {
    this.#watches = [this.#watchFrom({ key: prefix, end: prefixEnd, startRevision: 2, previousValues: true }, true), ...Array.from({ length: watchers }, () => this.#newWatch())]
    const traffic = this.#views.map((view) => this.#traffic(view))
    const end = this.#cluster.clock.monotonic() + 5000 + randomInteger(this.#random, 6000)
    while (this.#cluster.clock.monotonic() < end && this.#violations.length === 0) {
      await this.#cluster.clock.advance(50 + randomInteger(this.#random, 500))
      this.#chooseFault()
      this.#followWatches()
    }
    this.#over = true
    await this.#cluster.until(() => Promise.all(traffic), 30_000)
  }

  #chooseFault(): void {
    const random = this.#random
    const { network } = this.#cluster
    const running = this.#running
    const place = running[randomInteger(random, running.length)]
    if (!place) return
    const all = this.#cluster.nodes.map(({ id }) => id)
    const roll = random.float()
    if (roll < 0.16) place.node.disk.cutPowerAt(1 + randomInteger(random, 25))
    else if (roll < 0.19) for (const each of running) each.node.disk.cutPowerAt(1 + randomInteger(random, 12))
    else if (roll < 0.3) {
      this.#counts.partitions++
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
    this.#counts.stalls++
    this.#say(`${place.node.name} stands still`)
    const { clock } = place
    clock.stop()
    this.#later(200 + randomInteger(this.#random, 3500), () => clock.resume())
  }

  async #moveLeader(running: readonly Place[]): Promise<void> {
    const leader = running.find(({ node }) => node.etcd?.internals.member.isLeader)
    const target = running[randomInteger(this.#random, running.length)]
    if (!leader?.node.etcd || !target || leader === target) return
    await leader.node.etcd.internals.admin.moveLeader(target.node.id, this.#limit(leader, 2000)).catch(expected)
  }

  async #changeMembership(place: Place): Promise<void> {
    const { etcd } = place.node
    if (!etcd || this.#over || this.#isChanging) return
    this.#isChanging = true
    this.#hasChanged = true
    const { admin, member } = etcd.internals
    const members = [...member.machine.membership.members.values()]
    const learner = members.find(({ isLearner }) => isLearner)
    const voters = members.length - (learner ? 1 : 0)
    const signal = this.#limit(place, 4000)
    try {
      if (learner && this.#random.float() < 0.7) await admin.promote(learner.id, undefined, signal)
      else if (!learner && voters < 5 && !this.#places.some(({ damaged }) => damaged) && this.#random.float() < 0.6) {
        const name = `m${++this.#names}`
        const added = await admin.add([`http://${name}:2380`], this.#random.float() < 0.7, signal)
        // It may have been started meanwhile, by what the others said of it.
        if (this.#places.some((other) => other.node.id === added.id)) return
        const node = this.#cluster.addNode(added.id, name)
        const next = this.#placeOf(node)
        this.#places.push(next)
        void this.#startPlace(next)
      } else if (voters > 2 && !this.#places.some(({ damaged }) => damaged)) {
        const victim = members[randomInteger(this.#random, members.length)]
        if (victim) await admin.remove(victim.id, signal)
      } else return
      this.#counts.membershipChanges++
      this.#say('the membership changed')
    } catch (error) { expected(error) } finally { this.#isChanging = false }
  }

  #limit(place: Place, ms: number): AbortSignal {
    const late = new AbortController()
    this.#later(ms, () => late.abort(new DOMException('too late', 'TimeoutError')))
    return AbortSignal.any([late.signal, place.life.signal])
  }

  // ---- clients ----

  async #traffic(view: ClientView): Promise<void> {
    const random = this.#random
    const shape = { keys: 6, newestRevision: () => this.#heard, shortTtlSeconds, longTtlSeconds }
    while (!this.#over) {
      const running = this.#running
      const place = running[randomInteger(random, running.length)]
      if (!place?.node.etcd) { await this.#pause(50); continue }
      const { etcd } = place.node
      const call = random.float() < 0.02 ? this.#chooseCompaction() : chooseCall(random, view, shape)
      const calledAt = this.#now()
      const signal = this.#limit(place, requestTimeoutMs)
      const client = this.#clientOf(etcd)
      // A machine without power never answers.
      const gone = new Promise<undefined>((resolve) => signal.addEventListener('abort', () => resolve(undefined), { once: true }))
      const operation = await Promise.race([performCall({ client, now: this.#now, signal: () => signal }, view.client, call), gone])
        ?? { client: view.client, call: withValueIds(call), calledAt, returnedAt: this.#now(), outcome: { type: 'unknown' as const, reason: 'no answer' } }
      this.#counts.operations++
      if (operation.outcome.type === 'done') this.#counts.acknowledged++
      this.#operations.push(operation)
      this.#learn(view, operation)
      this.#say(JSON.stringify({ ...operation, calledAt: 0, returnedAt: 0 }))
      if (random.float() < 0.3 || operation.outcome.type !== 'done') await this.#pause(randomInteger(random, 120))
    }
  }

  #pause(ms: number): Promise<void> { return new Promise((resolve) => { this.#later(ms, resolve) }) }

  #clientOf(etcd: EmbeddedEtcd): EtcdClient {
    const { client } = etcd
    if (this.#control !== 'read-without-quorum' && this.#control !== 'dropped-event') return client
    return {
      range: (request, s) => client.range(this.#control === 'read-without-quorum' ? { ...request, serializable: true } : request, s),
      txn: (request, s) => client.txn(request, s), compact: (revision, s, options) => client.compact(revision, s, options),
      leaseGrant: (ttlSeconds, s, id) => client.leaseGrant(ttlSeconds, s, id), leaseRevoke: (id, s) => client.leaseRevoke(id, s), leaseKeepAlive: (id, s) => client.leaseKeepAlive(id, s),
      leaseTimeToLive: (id, s, options) => client.leaseTimeToLive(id, s, options), leases: (s) => client.leases(s), status: (s) => client.status(s),
      watch: (request, observer) => client.watch(request, this.#control === 'dropped-event' ? dropFirstEvent(request, observer) : observer),
    }
  }

  #chooseCompaction(): Call {
    const heard = Math.min(this.#heard, ...this.#watches.map(({ recorder }) => Math.max(recorder.heardTo, recorder.request.startRevision)))
    return { type: 'compact', revision: Math.max(1, heard - randomInteger(this.#random, 30)) }
  }

  #learn(view: ClientView, { call, outcome, calledAt }: Operation): void {
    if (call.type === 'grant') {
      this.#leases.set(call.lease, { ttlSeconds: call.ttlSeconds, renewedAt: calledAt })
      if (outcome.type === 'done') view.leases.set(call.lease, call.ttlSeconds)
    }
    if (outcome.type === 'refused' && outcome.reason.startsWith('NotFound')) for (const step of call.type === 'txn' ? call.success : []) if (step.type === 'put') view.leases.delete(step.lease)
    if (call.type === 'revoke') view.leases.delete(call.lease)
    const lease = call.type === 'keepAlive' ? this.#leases.get(call.lease) : undefined
    if (call.type === 'keepAlive' && lease && outcome.type === 'done') {
      if (outcome.output.ttlSeconds === 0) view.leases.delete(call.lease)
      else lease.renewedAt = calledAt
    }
    if (outcome.type !== 'done') return
    this.#heard = Math.max(this.#heard, outcome.output.revision ?? 0)
    if (call.type === 'txn') for (const step of outcome.output.succeeded ? call.success : []) if (step.type === 'put') view.seen.set(step.key, outcome.output.revision ?? 0)
    if (call.type === 'range') for (const result of outcome.output.results ?? []) if (result.type === 'get') for (const kv of result.kvs) view.seen.set(kv.key, kv.modRevision)
  }

  #deadline = (lease: string): number => {
    const known = this.#leases.get(lease)
    return known ? known.renewedAt + known.ttlSeconds * 1e9 : 0
  }

  // ---- watches ----

  #newWatch(): Watching {
    const random = this.#random
    const places = [{ key: prefix, end: prefixEnd }, { key: `${prefix}pods/`, end: `${prefix}pods0` }, { key: `${prefix}pods/p1` }]
    const roll = random.float()
    const request: RecorderRequest = {
      ...places[randomInteger(random, places.length)]!, // cast: in range
      startRevision: 2, previousValues: random.float() < 0.7, noPut: roll > 0.9, noDelete: roll < 0.1,
    }
    return this.#watchFrom(request)
  }

  #watchFrom(request: RecorderRequest, isCollector = false, running = this.#running): Watching {
    const place = running[randomInteger(this.#random, running.length)] ?? this.#places[0]
    if (!place?.node.etcd) throw new Error('a watch needs a member')
    const collect = (events: readonly LoggedEvent[]): void => {
      for (const at of new Set(events.map((event) => event.modRevision))) if (at > this.#log.revision) this.#violate(...this.#log.append(at, events.filter((event) => event.modRevision === at)))
    }
    return { first: request, place, life: place.life.signal, isCollector, recorder: isCollector ? new WatchRecorder(place.node.etcd.client, request, collect) : new WatchRecorder(this.#clientOf(place.node.etcd), request) }
  }

  /** Watches of a member that is gone go on at another one, behind what they heard of. */
  #followWatches(running = this.#running): void {
    this.#watches = this.#watches.map((watching) => {
      const { recorder, life, place } = watching
      if (!life.aborted && !recorder.ended && running.includes(place)) return watching
      if (running.length === 0) return watching
      this.#checkRecord(watching)
      recorder[Symbol.dispose]()
      const compacted = recorder.ended?.compactRevision ?? 0
      return this.#watchFrom({ ...watching.first, startRevision: Math.max(recorder.heardTo + 1, recorder.request.startRevision, compacted + 1) }, watching.isCollector, running)
    })
  }

  readonly #records: { readonly watch: Parameters<typeof checkWatch>[1]; readonly name: string }[] = []
  #checkRecord({ recorder, place }: Watching, completeTo?: number): void { this.#records.push({ watch: recorder.record(completeTo), name: place.node.name }) }

  // ---- the end ----

  async #joinAgain(): Promise<void> {
    const { network, clock } = this.#cluster
    network.heal()
    network.loss = network.duplication = 0
    network.delayMs = [0, 2]
    for (const place of this.#places) { place.clock.resume(); place.node.disk.cutPowerAt(Infinity) }
    await this.#cluster.untilTrue(() => this.#places.every((place) => !place.starting), 20_000)
    for (const place of this.#places) if (place.node.etcd === undefined && !place.removed && !place.damaged) { place.node.disk.cutPowerAt(Infinity); void this.#startPlace(place) }
    await this.#cluster.untilTrue(() => this.#places.every((place) => !place.starting), 20_000)
    this.#startMissing()
    await this.#cluster.untilTrue(() => this.#places.every((place) => !place.starting), 20_000)
    // Those that were removed while they were away learn it, or stay outside; and what was on its way may still happen.
    for (let turn = 0; turn < 6; turn++) {
      await clock.advance(500)
      this.#startMissing()
    }
    await this.#cluster.untilTrue(() => this.#places.every((place) => !place.starting), 20_000)
  }

  /** Whoever asked for a member and heard nothing never started it. */
  #startMissing(): void {
    for (const { node } of this.#running) {
      for (const { id, peerUrls } of node.etcd?.internals.member.machine.membership.list() ?? []) {
        if (this.#places.some((place) => place.node.id === id)) continue
        const place = this.#placeOf(this.#cluster.addNode(id, /m\d+/.exec(peerUrls[0] ?? '')?.[0] ?? String(id)))
        this.#places.push(place)
        void this.#startPlace(place)
      }
    }
  }

  /** Members that belong to the cluster, as its leader knows it. */
  async #settled(): Promise<readonly Place[]> {
    const leader = (): Place | undefined => [...this.#running].filter(({ node }) => node.etcd?.internals.member.isLeader).sort((a, b) => (b.node.etcd?.internals.member.term ?? 0) - (a.node.etcd?.internals.member.term ?? 0))[0]
    await this.#cluster.untilTrue(() => leader() !== undefined || this.#violations.length > 0, 30_000)
    const leading = leader()
    if (!leading?.node.etcd) return []
    const client = leading.node.etcd.client
    await this.#cluster.until(() => client.range({ key: Buffer.from('settled') }, never), 30_000)
    const members = leading.node.etcd.internals.member.machine.membership.members
    const inside = this.#running.filter(({ node }) => members.has(node.id))
    const goal = leading.node.etcd.internals.member.committedIndex
    await this.#cluster.untilTrue(() => this.#violations.length > 0 || inside.every(({ node, life }) => life.signal.aborted || (node.etcd?.internals.member.appliedIndex ?? 0) >= goal), 60_000)
    return inside.filter(({ life }) => !life.signal.aborted)
  }

  async #judge(): Promise<void> {
    const inside = await this.#settled()
    const first = inside[0]?.node.etcd
    if (!first) { this.#violate('nobody leads although everybody can talk'); return }
    const { revision } = await first.client.status(never)
    await this.#learnHistory(inside)
    const endsAt = this.#now()
    if (revision < this.#heard) this.#violate(`revision ${this.#heard} was heard of; the store has ${revision}`)
    const resolved = resolveOutcomes({ log: this.#log, from: 1, to: this.#log.revision, operations: this.#operations, leaseDeadline: this.#deadline, endsAt })
    this.#violate(...resolved.violations, ...checkPastReads(this.#log, this.#operations), ...checkByRevisions(this.#log, resolved.operations))
    for (const watching of this.#watches) this.#checkRecord(watching, watching.life.aborted || watching.recorder.ended ? undefined : revision)
    for (const { watch, name } of this.#records) this.#violate(...checkWatch(this.#log, watch).map(({ guarantee, detail }) => `a watch on ${name} is not ${guarantee}: ${detail}`))
    await this.#compareMembers(inside)
    this.#counts.elections = Math.max(...inside.map(({ node }) => node.etcd?.internals.member.term ?? 0))
    this.#say(`judged ${this.#operations.length} operations to revision ${this.#log.revision}`)
  }

  /** Lets every watch hear of everything. */
  async #learnHistory(inside: readonly Place[]): Promise<void> {
    // A learner that was removed while it was away is told nothing any more.
    this.#followWatches(inside)
    const { revision } = await inside[0]!.node.etcd!.client.status(never) // cast: somebody is inside, and runs
    await this.#catchUp(this.#watches.map(({ recorder }) => recorder), revision)
    const collector = this.#watches.find(({ isCollector }) => isCollector)?.recorder
    if (collector?.ended) this.#violate(`the history can't be read: ${String(collector.ended.error)} compacted ${collector.ended.compactRevision}`)
    if (this.#log.revision < revision) this.#violate(`the store has revision ${revision}, watchers heard of ${this.#log.revision}`)
  }

  async #catchUp(list: readonly WatchRecorder[], revision: number): Promise<void> {
    for (let turn = 0; turn < 200 && list.some((watch) => watch.heardTo < revision && !watch.ended); turn++) {
      for (const watch of list) if (watch.heardTo < revision) watch.requestProgress()
      await this.#cluster.clock.advance(5)
    }
  }

  async #compareMembers(inside: readonly Place[]): Promise<void> {
    // Leases go on ending: all are to be at the same entry.
    const indexes = (): readonly (number | undefined)[] => inside.map(({ node }) => node.etcd?.internals.member.appliedIndex)
    await this.#cluster.untilTrue(() => new Set(indexes()).size === 1, 20_000)
    const images = await Promise.all(inside.map(async ({ node }) => {
      const { machine } = node.etcd!.internals.member // cast: inside
      const { hash } = await hashKeyValues(machine.store, machine.store.revision, async () => {})
      return { name: node.name, text: JSON.stringify({ hash, revision: machine.store.revision, leases: machine.leases.ids().map(String).sort(), members: machine.membership.list().map(({ id, isLearner }) => `${id} ${isLearner}`).sort() }) }
    }))
    for (const { name, text } of images) if (text !== images[0]?.text) this.#violate(`${name} holds ${text}, ${images[0]?.name} holds ${images[0]?.text}`)
  }
}

/** What may come of asking a cluster that is being disturbed. */
function expected(error: unknown): void {
  if (error instanceof EtcdError || (error instanceof DOMException && (error.name === 'AbortError' || error.name === 'TimeoutError'))) return
  throw error
}

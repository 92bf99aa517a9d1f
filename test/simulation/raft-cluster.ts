// A Raft cluster in a simulated world: everything that happens follows from one seed. Members have disks that lose what isn't synced, the network
// loses, doubles, delays and reorders, and edges are cut in one direction or both. Rules can be switched off, one at a time: the control builds.
import { bootstrapLog } from '../../src/control-plane/etcd/raft/bootstrap.ts'
import { confChangeOf, leaveJointChange, type ConfChangeSingle, type ConfChangeType } from '../../src/control-plane/etcd/raft/conf-change.ts'
import { MemoryStorage } from '../../src/control-plane/etcd/raft/memory-storage.ts'
import { emptyConfState, noBytes, noMember, type ConfState, type Entry, type EntryId, type HardState, type Message, type Snapshot } from '../../src/control-plane/etcd/raft/messages.ts'
import type { RaftConfig } from '../../src/control-plane/etcd/raft/raft-config.ts'
import { RaftNode, type Ready } from '../../src/control-plane/etcd/raft/raft-node.ts'
import { randomInteger, seededRandom, type Random } from '../../src/lib/base/random.ts'
import { extendDigest, InvariantBroken, RaftObserver, type WatchedMember } from './raft-invariants.ts'

/** A rule that a control build breaks. */
export type BrokenRule =
  | 'voteWithoutLogCheck' | 'commitOlderTermByCount' | 'acknowledgeBeforePersisting' | 'readWithoutQuorum' | 'forgetVote' | 'appendWithoutPreviousCheck'
  | 'hardStateBeforeEntries' | 'countOwnUnwrittenEntries' | 'overlappingMembershipChanges'

export interface SimulationStatistics {
  steps: number
  elections: number
  commits: number
  crashes: number
  reads: number
  membershipChanges: number
  snapshotsInstalled: number
}

/** A storage whose snapshots are made when they are asked for, from what is applied. */
class SimulatedStorage extends MemoryStorage {
  refresh: () => void = () => {}
  override snapshot(): Snapshot | undefined {
    this.refresh()
    return super.snapshot()
  }
  savedSnapshot(): Snapshot | undefined { return super.snapshot() }
}

class SimulatedMember implements WatchedMember {
  readonly id: bigint
  readonly storage = new SimulatedStorage()
  node: RaftNode | undefined
  /** Written, but for a crash not certainly. */
  syncedHardState: HardState = { term: 0, vote: noMember, commit: 0 }
  writing: Ready | undefined
  applyQueue: Entry[] = []
  appliedIndex = 0
  digest = 0
  confState: ConfState = emptyConfState
  /** Chance to tick in a round: clocks run at different speeds, and change it. */
  clockRate = 1
  seenTerm = 0
  seenCommit = 0
  seenEntries: readonly Entry[] = []
  seenEntryCount = 0
  wasLeaderIn = 0

  constructor(id: bigint) {
    this.id = id
    this.storage.refresh = () => this.saveSnapshot()
  }

  hasDurably(index: number, term: number): boolean {
    return index <= this.storage.initialState().snapshotIndex || this.storage.term(index) === term
  }

  durableLast(): EntryId {
    const index = this.storage.lastIndex()
    return { index, term: this.storage.term(index) ?? 0 }
  }

  saveSnapshot(): void {
    if (this.appliedIndex <= this.storage.initialState().snapshotIndex) return
    const data = new Uint8Array(4)
    new DataView(data.buffer).setUint32(0, this.digest)
    this.storage.createSnapshot(this.appliedIndex, this.confState, data)
  }

  loadSnapshot(snapshot: Snapshot | undefined): void {
    this.appliedIndex = snapshot?.metadata.index ?? 0
    this.confState = snapshot?.metadata.confState ?? emptyConfState
    this.digest = snapshot === undefined ? 0 : new DataView(snapshot.data.buffer).getUint32(0)
    this.applyQueue = []
  }
}

export interface ClusterOptions {
  readonly seed: number
  readonly size: number
  readonly rounds: number
  /** The worst weather, with many short reigns and one entry a message. */
  readonly storm?: boolean
  readonly broken?: BrokenRule
}

export class SimulatedCluster {
  readonly statistics: SimulationStatistics = { steps: 0, elections: 0, commits: 0, crashes: 0, reads: 0, membershipChanges: 0, snapshotsInstalled: 0 }
  readonly #options: ClusterOptions
  readonly #random: Random
  readonly #observer = new RaftObserver()
  readonly #members: readonly SimulatedMember[]
  #network: Message[] = []
  readonly #cut = new Set<string>()
  readonly #reads = new Map<string, number>()
  #counter = 0
  /** This seed's weather. */
  readonly #weather: { readonly loss: number; readonly duplicate: number; readonly arrival: number; readonly crash: number; readonly leaderCrash: number; readonly partition: number; readonly slowDisk: number; readonly membership: number }
  readonly #config: Omit<RaftConfig, 'id' | 'storage'>

  constructor(options: ClusterOptions) {
    this.#options = options
    this.#random = seededRandom(options.seed * 7919 + 17)
    const pick = <T>(...values: readonly [T, ...T[]]): T => this.#pick(values)
    this.#weather = options.storm
      ? { loss: pick(0.05, 0.15), duplicate: pick(0.05, 0.2), arrival: pick(0.5, 0.8), crash: pick(0.02, 0.05), leaderCrash: pick(0.1, 0.2, 0.3), partition: pick(0, 0.1), slowDisk: pick(0.05, 0.2), membership: 0 }
      : {
          loss: pick(0, 0.02, 0.15), duplicate: pick(0, 0.05, 0.2), arrival: pick(0.4, 0.7, 0.95), crash: pick(0, 0.01, 0.04), leaderCrash: pick(0, 0.03, 0.1, 0.3),
          partition: pick(0, 0.03, 0.12), slowDisk: pick(0.05, 0.3, 0.6), membership: pick(0, 0, 0.02, 0.08),
        }
    const electionTicks = pick(4, 4, 10)
    this.#config = {
      random: this.#random, electionTicks, heartbeatTicks: electionTicks > 4 ? pick(1, 3) : 1, preVote: options.storm ? pick(true, false, false) : pick(true, true, false),
      checkQuorum: pick(true, true, false), maxMessageBytes: options.storm ? 0 : pick(0, 0, 100, 1 << 20), maxInflightMessages: pick(1, 3, 256),
      maxApplyingBytes: pick(20, 1 << 20), maxUncommittedBytes: pick(200, Infinity),
    }
    const ids = Array.from({ length: options.size + 2 }, (_, i) => BigInt(i + 1))
    this.#members = ids.map((id) => new SimulatedMember(id))
    this.#observer.members = this.#members
    const first = bootstrapLog(ids.slice(0, options.size).map((id) => ({ id, context: noBytes })))
    this.#observer.decree(first.entries)
    for (const [i, member] of this.#members.entries()) {
      if (i < options.size) {
        member.storage.append(first.entries)
        member.storage.setHardState(first.hardState)
        member.syncedHardState = first.hardState
      }
      this.#start(member)
    }
  }

  #pick<T>(values: readonly [T, ...T[]]): T { return values[randomInteger(this.#random, values.length)] ?? values[0] }
  #chance(probability: number): boolean { return this.#random.float() < probability }

  /** Runs the whole story, then lets the weather clear and expects the cluster to work. @throws InvariantBroken or an assertion of the library */
  run(): SimulationStatistics {
    for (let round = 0; round < this.#options.rounds; round++) {
      this.#misfortune()
      this.#clients()
      this.#round(1)
    }
    if (this.#options.broken === undefined) this.#finale()
    this.statistics.commits = this.#observer.lastCommitted
    return this.statistics
  }

  /** After every single step. */
  #checked(member: SimulatedMember, step: () => unknown): void {
    const wasLeader = member.node?.raft.role === 'leader'
    step()
    this.statistics.steps++
    this.#observer.check(member)
    if (!wasLeader && member.node?.raft.role === 'leader') this.statistics.elections++
  }

  #start(member: SimulatedMember): void {
    const { snapshotIndex } = member.storage.initialState()
    member.loadSnapshot(member.storage.savedSnapshot())
    member.node = new RaftNode({ ...this.#config, id: member.id, storage: member.storage })
    member.seenCommit = snapshotIndex
    member.seenTerm = 0
    member.seenEntries = []
    member.seenEntryCount = 0
    member.clockRate = this.#pick([0.5, 0.9, 1, 1, 1.5])
    this.#sabotage(member.node)
    this.#checked(member, () => {})
  }

  /** The disk keeps what was synced; what was being written is there, in part there, or not there. */
  #crash(member: SimulatedMember): void {
    if (this.#chance(0.5)) member.storage.setHardState(member.syncedHardState)
    const { writing } = member
    if (writing && !writing.snapshot && this.#chance(0.5)) {
      // The log is written in order, entries, then hard state, and may be torn anywhere.
      const whole = this.#chance(0.3)
      member.storage.append(whole ? writing.entries : writing.entries.slice(0, randomInteger(this.#random, writing.entries.length + 1)))
      if (writing.hardState && (whole || this.#options.broken === 'hardStateBeforeEntries')) member.storage.setHardState(this.#durableHardState(writing.hardState))
    }
    member.syncedHardState = member.storage.initialState().hardState
    member.node = undefined
    member.writing = undefined
    this.statistics.crashes++
  }

  #misfortune(): void {
    for (const member of this.#members) {
      // Leaders have worse luck: the interesting stories are about their ends.
      const danger = member.node?.raft.role === 'leader' ? this.#weather.leaderCrash : this.#weather.crash
      if (member.node && this.#chance(danger)) this.#crash(member)
      else if (!member.node && this.#chance(0.2)) this.#start(member)
    }
    if (this.#chance(this.#weather.partition)) this.#partition()
    if (this.#cut.size > 0 && this.#chance(0.1)) this.#cut.clear()
    if (this.#chance(0.05)) this.#anyMember().clockRate = this.#pick([0, 0.3, 1, 1.5, 3])
  }

  #partition(): void {
    const leader = this.#members.find((m) => m.node?.raft.role === 'leader')
    const side = new Set(leader && this.#chance(0.4) ? [leader.id] : this.#members.filter(() => this.#chance(0.5)).map((m) => m.id))
    const oneWay = this.#chance(0.4)
    for (const { id: from } of this.#members) {
      for (const { id: to } of this.#members) {
        if (side.has(from) && !side.has(to)) this.#cut.add(`${from}>${to}`)
        if (!oneWay && !side.has(from) && side.has(to)) this.#cut.add(`${from}>${to}`)
      }
    }
  }

  #anyMember(): SimulatedMember {
    const member = this.#members[randomInteger(this.#random, this.#members.length)]
    if (!member) throw new Error('a cluster has members')
    return member
  }

  #clients(): void {
    for (let i = randomInteger(this.#random, 3); i > 0; i--) {
      const member = this.#anyMember()
      const data = Uint8Array.from(`p${++this.#counter}`, (c) => c.charCodeAt(0))
      this.#checked(member, () => { member.node?.propose(data) })
    }
    if (this.#chance(0.5)) this.#read(this.#anyMember())
    if (this.#chance(this.#weather.membership)) this.#changeMembership()
    if (this.#chance(0.01)) {
      const member = this.#anyMember()
      this.#checked(member, () => member.node?.transferLeadership(this.#anyMember().id))
    }
    if (this.#chance(0.05)) {
      const member = this.#anyMember()
      member.saveSnapshot()
      const { snapshotIndex } = member.storage.initialState()
      member.storage.compact(snapshotIndex - this.#pick([0, 0, 1, 5]))
    }
  }

  #read(member: SimulatedMember): void {
    const key = `r${++this.#counter}`
    this.#reads.set(key, this.#observer.lastCommitted)
    this.#checked(member, () => member.node?.readIndex(Uint8Array.from(key, (c) => c.charCodeAt(0))))
  }

  #changeMembership(): void {
    const types: readonly [ConfChangeType, ...ConfChangeType[]] = ['ConfChangeAddNode', 'ConfChangeAddNode', 'ConfChangeRemoveNode', 'ConfChangeAddLearnerNode']
    const changes = Array.from({ length: this.#pick([1, 1, 2, 3]) }, (): ConfChangeSingle => ({ type: this.#pick(types), nodeId: this.#anyMember().id }))
    const transition = this.#pick(['ConfChangeTransitionAuto', 'ConfChangeTransitionAuto', 'ConfChangeTransitionJointImplicit', 'ConfChangeTransitionJointExplicit'] as const)
    const member = this.#members.find((m) => m.node?.raft.role === 'leader') ?? this.#anyMember()
    this.#checked(member, () => {
      const leaves = member.confState.votersOutgoing.length > 0 && !member.confState.autoLeave
      member.node?.proposeConfChangeV2(leaves ? leaveJointChange : { transition, changes, context: Uint8Array.of(++this.#counter & 0xff) })
    })
  }

  #round(arrivalFactor: number): void {
    for (const member of this.#members) {
      for (let rate = member.clockRate; rate > 0; rate--) if (member.node && this.#chance(Math.min(rate, 1))) this.#checked(member, () => member.node?.tick())
    }
    for (let wave = 0; wave < 3; wave++) {
      const queue = this.#network
      this.#network = []
      this.#shuffle(queue)
      // What doesn't arrive in this wave is delayed; too long a queue loses its end.
      for (const message of queue.splice(0, 400)) {
        if (this.#chance(this.#weather.arrival * arrivalFactor)) this.#arrive(message)
        else this.#network.push(message)
      }
      for (const message of queue) this.#lose(message)
      for (const member of this.#members) this.#disk(member)
      for (const member of this.#members) this.#apply(member)
    }
  }

  #shuffle(queue: Message[]): void {
    for (let i = queue.length - 1; i > 0; i--) {
      const j = randomInteger(this.#random, i + 1)
      const [a, b] = [queue[i], queue[j]]
      if (a && b) { queue[i] = b; queue[j] = a }
    }
  }

  #send(message: Message): void {
    if (this.#cut.has(`${message.from}>${message.to}`) || this.#chance(this.#weather.loss)) {
      this.#lose(message)
      return
    }
    this.#network.push(message)
    if (this.#chance(this.#weather.duplicate)) this.#network.push(message)
  }

  /** The transport knows of lost snapshots, and of some other losses. */
  #lose(message: Message): void {
    const sender = this.#members.find((m) => m.id === message.from)
    if (!sender?.node) return
    if (message.type === 'MsgSnap') this.#checked(sender, () => sender.node?.reportSnapshot(message.to, 'failed'))
    else if (this.#chance(0.2)) this.#checked(sender, () => sender.node?.reportUnreachable(message.to))
  }

  #arrive(message: Message): void {
    const member = this.#members.find((m) => m.id === message.to)
    if (!member?.node) {
      this.#lose(message)
      return
    }
    this.#checked(member, () => { member.node?.step(message) })
    const sender = this.#members.find((m) => m.id === message.from)
    if (message.type === 'MsgSnap' && sender?.node) this.#checked(sender, () => sender.node?.reportSnapshot(message.to, 'delivered'))
  }

  /** The shell's order: ready, send what may go, write, then send what was promised, advance. */
  #disk(member: SimulatedMember): void {
    if (!member.writing && member.node?.hasReady()) {
      const ready = member.node.ready()
      member.writing = ready
      for (const message of ready.messages) this.#send(message)
      if (this.#options.broken === 'acknowledgeBeforePersisting') for (const message of ready.messagesAfterPersist) this.#send(message)
      member.applyQueue.push(...ready.committedEntries)
      for (const { context, index } of ready.readStates) {
        const key = String.fromCharCode(...context)
        this.#observer.checkRead(member.id, index, this.#reads.get(key) ?? Infinity)
        this.statistics.reads++
      }
    }
    if (member.writing && !this.#chance(this.#weather.slowDisk)) this.#persist(member, member.writing)
  }

  #durableHardState(state: HardState): HardState { return this.#options.broken === 'forgetVote' ? { ...state, vote: noMember } : state }

  #persist(member: SimulatedMember, ready: Ready): void {
    if (ready.snapshot) {
      member.storage.installSnapshot(ready.snapshot)
      member.loadSnapshot(ready.snapshot)
      this.#observer.checkApplied(member.id, member.appliedIndex, member.digest)
      this.statistics.snapshotsInstalled++
    }
    member.storage.append(ready.entries)
    if (ready.hardState) member.storage.setHardState(this.#durableHardState(ready.hardState))
    if (ready.mustSync) member.syncedHardState = member.storage.initialState().hardState
    if (this.#options.broken !== 'acknowledgeBeforePersisting') for (const message of ready.messagesAfterPersist) this.#send(message)
    member.writing = undefined
    this.#checked(member, () => member.node?.advance())
  }

  #apply(member: SimulatedMember): void {
    const { node } = member
    if (!node || this.#chance(0.2)) return
    const count = this.#chance(0.7) ? member.applyQueue.length : randomInteger(this.#random, member.applyQueue.length + 1)
    for (const entry of member.applyQueue.splice(0, count)) {
      if (entry.index !== member.appliedIndex + 1) throw new InvariantBroken('stateMachineSafety', `${member.id} applies ${entry.index} after ${member.appliedIndex}`)
      member.digest = extendDigest(member.digest, entry)
      member.appliedIndex = entry.index
      this.#observer.checkApplied(member.id, entry.index, member.digest)
      const change = confChangeOf(entry)
      this.#checked(member, () => {
        if (change) {
          member.confState = node.applyConfChange(entry.index, change)
          this.statistics.membershipChanges++
        }
        node.appliedTo(entry.index)
      })
    }
  }

  /** Fair weather: everybody who belongs to the cluster gets everything, new entries included. */
  #finale(): void {
    this.#cut.clear()
    Object.assign(this.#weather, { loss: 0, duplicate: 0, arrival: 1, slowDisk: 0 })
    for (const member of this.#members) {
      if (!member.node) this.#start(member)
      member.clockRate = this.#pick([0.9, 1])
    }
    for (let round = 0; round < 200; round++) {
      this.#round(1)
      this.#operate()
      const leader = this.#members.find((m) => m.node?.raft.role === 'leader')
      if (round >= 150 && leader && round % 10 === 0) {
        this.#checked(leader, () => { leader.node?.propose(Uint8Array.of(1, round)) })
        this.#read(leader)
      }
    }
    const last = this.#observer.lastCommitted
    const behind = this.#members.filter((m) => m.node && m.appliedIndex < last)
    const isLeading = this.#members.some((m) => m.node?.raft.role === 'leader' && m.node.raft.log.lastIndex() === last)
    if (behind.length > 0 || !isLeading) {
      throw new InvariantBroken('liveness', `in fair weather ${behind.map((m) => m.id).join(', ') || 'the leader'} doesn't come to ${last}: ${this.#picture()}`)
    }
  }

  /** The operator: ends joint configurations that don't end by themselves, and shuts down who was removed once all that remain know of it. */
  #operate(): void {
    const leader = this.#members.find((m) => m.node?.raft.role === 'leader')
    if (leader && leader.confState.votersOutgoing.length > 0 && !leader.confState.autoLeave) this.#checked(leader, () => leader.node?.proposeConfChangeV2(leaveJointChange))
    if (!leader?.node || leader.appliedIndex < leader.node.raft.log.lastIndex() || leader.confState.votersOutgoing.length > 0) return
    const { voters, learners } = leader.confState
    const know = this.#members.filter((m) => voters.includes(m.id)).every((m) => m.appliedIndex === leader.appliedIndex)
    if (!know) return
    const belonging = [...voters, ...learners]
    for (const member of this.#members) if (!belonging.includes(member.id)) member.node = undefined
  }

  #picture(): string {
    return JSON.stringify({ config: this.#config, members: this.#members.map((m) => m.node?.status() ?? `${m.id} is down`) }, (_, v: unknown) => (typeof v === 'bigint' ? Number(v) : v))
  }

  #sabotage(node: RaftNode): void {
    const { raft } = node
    const { log } = raft
    switch (this.#options.broken) {
      case 'voteWithoutLogCheck': log.isUpToDate = () => true; return
      case 'commitOlderTermByCount':
        log.maybeCommit = (index) => {
          if (index <= log.committed) return false
          log.commitTo(index)
          return true
        }
        return
      case 'readWithoutQuorum': raft.tracker.isSingleton = () => true; return
      case 'appendWithoutPreviousCheck': {
        const append = log.maybeAppend.bind(log)
        log.maybeAppend = (previous, entries, commit) => append({ index: previous.index, term: log.term(previous.index) ?? previous.term }, entries, commit)
        return
      }
      case 'countOwnUnwrittenEntries': log.stableIndex = () => log.lastIndex(); return
      case 'overlappingMembershipChanges': Object.defineProperty(raft, 'pendingConfIndex', { get: () => 0, set: () => {} }); return
      // These are in the shell.
      case 'hardStateBeforeEntries': case 'acknowledgeBeforePersisting': case 'forgetVote': case undefined: return
    }
  }
}

// A member's part in its cluster: what it proposes and what of it is applied, whom it follows or that it leads, reads that have to see
// everything, whole states that come and go. The Raft core decides; this joins it to the state machine, the disk and the peers.
import { sleep, type Clock } from '../../../lib/base/clock.ts'
import type { Random } from '../../../lib/base/random.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import { EtcdError, etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type { ClusterMember } from '../membership/cluster-member.ts'
import type { EtcdMetrics } from '../metrics/etcd-metrics.ts'
import type { PeerHandler, PeerTransport, SnapshotBody } from '../peer/peer-transport.ts'
import type { ConfChange, ConfChangeV2 } from '../raft/conf-change.ts'
import { noMember, type Entry, type Message } from '../raft/messages.ts'
import type { RaftNode, SoftState } from '../raft/raft-node.ts'
import type { ReadState } from '../raft/raft.ts'
import type { RaftStatus } from '../raft/status.ts'
import type { AppliedResult, LoggedRequest, StateMachine } from '../state-machine.ts'
import { readRequest } from '../wal/request-codec.ts'
import type { WriteAheadLog } from '../wal/write-ahead-log.ts'
import { measuredStore } from './measured-store.ts'
import { Proposals, type ProposalWaiter, type Proposed } from './proposals.ts'
import { RaftDriver, type DriverHost } from './raft-driver.ts'
import { ReadRounds } from './read-rounds.ts'
import { applyConfChangeTo, type Recovered } from './recover.ts'
import { explainTimeout } from './explain-timeout.ts'
import { RequestIds } from './request-ids.ts'
import { Snapshotter } from './snapshotter.ts'
import type { StateMark, StateStore } from './state-store.ts'
import { StateTransfer } from './state-transfer.ts'

export interface Timings {
  readonly heartbeatIntervalMs: number
  readonly electionTimeoutMs: number
}

export interface ReplicaOptions {
  readonly memberId: bigint
  readonly machine: StateMachine
  readonly newMachine: () => StateMachine
  readonly store: StateStore
  readonly recovered: Recovered
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly timings: Timings
  readonly preVote?: boolean
  readonly catchUpEntries?: number
  /** The first election comes sooner, once the others are there. */
  readonly hurryFirstElection?: boolean
  readonly prefersRevocations?: boolean | undefined
  readonly snapshotCount: number
  readonly snapshotBytes: number
  /** Who is there as long as the log says nothing. */
  readonly initialMembers: readonly ClusterMember[]
  readonly metrics: EtcdMetrics
  readonly host: ReplicaHost
}

/** What the member does when something happens in the cluster. */
export interface ReplicaHost {
  /** Applies a request. @throws EtcdError when it is refused */
  apply(request: LoggedRequest, index: number): AppliedResult
  /** What was proposed here is answered. */
  answered(request: LoggedRequest, askedMs: number): void
  pieceApplied(): void
  /** This member leads, and has applied everything that was committed before. */
  startLeading(): void
  stopLeading(): void
  /** The whole state is another one. */
  stateReplaced(): void
  wrote(durationMs: number, bytes: number): void
  broke(error: unknown): void
  /** This member doesn't belong to the cluster any more. */
  removed(): void
  leaderChanged(): void
}

/** How long others are waited for before the first election is left to its time. */
const hurryLimitMs = 5000

export class Replica implements PeerHandler, DriverHost {
  readonly driver: RaftDriver
  readonly proposals: Proposals
  readonly #options: ReplicaOptions
  readonly #reads: ReadRounds
  readonly #transfer: StateTransfer
  readonly #snapshotter: Snapshotter
  readonly timeoutMs: number
  readonly #ended = new AbortController()
  #leading = false
  #isRemoved = false
  #knownLeader = noMember
  /** When a leader was heard of for the first time since there was another or none. */
  #leaderSinceMs = -Infinity
  #leaderlessSinceMs: number | undefined
  readonly #leaderAwaited = new Set<() => void>()

  constructor(options: ReplicaOptions) {
    const { clock, random, memberId, recovered, machine, logger, timings, metrics } = options
    const store = measuredStore(options.store, metrics, clock)
    this.#options = options
    this.timeoutMs = 5000 + 2 * timings.electionTimeoutMs
    this.#leaderlessSinceMs = clock.monotonic()
    const ids = new RequestIds(memberId, random, `${clock.now()} ${recovered.start.hardState.term} ${recovered.wal.lastIndex}`)
    const shared = { clock, ids, timeoutMs: this.timeoutMs, timeoutError: (askedMs: number) => this.#timeoutError(askedMs) }
    this.proposals = new Proposals({ ...shared, prefersRevocations: options.prefersRevocations, wake: () => this.driver.wake(), failed: () => metrics.server.proposalsFailed.inc() })
    this.driver = new RaftDriver({
      memberId, clock, random, logger, wal: recovered.wal, start: recovered.start, host: this, ...timings, ...(options.preVote === undefined ? {} : { preVote: options.preVote }),
      ...(options.catchUpEntries === undefined ? {} : { catchUpEntries: options.catchUpEntries }),
    })
    this.#reads = new ReadRounds({
      ...shared, appliedIndex: () => this.driver.queue.appliedIndex, failed: () => metrics.server.readIndexesFailed.inc(), slow: () => metrics.server.slowReadIndexes.inc(),
      ask: (context) => {
        this.driver.node.readIndex(context)
        this.driver.wake()
      },
    })
    this.#transfer = new StateTransfer({
      machine, store, clock, logger, newMachine: options.newMachine, place: () => this.#place(), transport: () => this.driver.transport, failed: (to) => this.reportSnapshot(to, 'failed'),
    })
    this.driver.storage.snapshotNow = () => this.#transfer.snapshotNow()
    this.#snapshotter = new Snapshotter({ machine, store, wal: recovered.wal, clock, logger, wake: () => this.driver.wake(), count: options.snapshotCount, bytes: options.snapshotBytes, lastIndex: recovered.savedIndex, lastBytes: recovered.savedBytes })
  }

  get leaderId(): bigint { return this.driver.leaderId }
  get isLeader(): boolean { return this.driver.isLeader }
  get appliedIndex(): number { return this.driver.queue.appliedIndex }
  get transport(): PeerTransport | undefined { return this.driver.transport }
  status(): RaftStatus { return this.driver.node.status() }

  start(transport: PeerTransport | undefined): void {
    this.driver.start(transport)
    this.membershipChanged()
    if (this.#options.hurryFirstElection && transport) this.#hurryFirstElection(transport, 0)
  }

  #hurryFirstElection(transport: PeerTransport, waitedMs: number): void {
    const { clock, timings, memberId, machine } = this.#options
    if (this.#ended.signal.aborted || this.leaderId !== noMember || waitedMs >= hurryLimitMs) return
    const others = machine.membership.list().filter((member) => member.id !== memberId)
    if (others.length > 1 && others.filter(({ id }) => transport.activeSinceMs(id) !== undefined).length > 1) { this.driver.hurryElection(); return }
    clock.setTimer(timings.heartbeatIntervalMs, () => this.#hurryFirstElection(transport, waitedMs + timings.heartbeatIntervalMs), { keepAlive: false })
  }

  /** True when nobody has led for so long, as far as is known here. */
  noLeaderFor(ms: number): boolean { return this.#leaderlessSinceMs !== undefined && this.#options.clock.monotonic() - this.#leaderlessSinceMs >= ms }

  propose(proposed: Proposed, signal: AbortSignal): Promise<AppliedResult> { return this.proposals.add(proposed, signal) }
  /** @throws EtcdError too many requests */
  submit(proposed: Proposed, signal: AbortSignal, waiter: ProposalWaiter): void { this.proposals.submit(proposed, signal, waiter) }

  /** Undefined: the store may be read now. A member that is alone and leads has in its store all that it acknowledged. */
  readIndex(signal: AbortSignal): Promise<void> | undefined { return this.driver.isSole && this.#leading ? undefined : this.#reads.wait(signal) }

  /**
   * Asks the leader, this member or another, to hand over. Resolves as soon as this member hears that it has.
   * @param look called now and then meanwhile; throws when it is in vain @throws EtcdError request timed out
   */
  async transferLeadership(to: bigint, signal: AbortSignal, look?: () => void): Promise<void> {
    const { clock, timings } = this.#options
    const begunMs = clock.monotonic()
    this.driver.node.transferLeadership(to)
    this.driver.wake()
    while (this.leaderId !== to) {
      if (clock.monotonic() - begunMs >= this.timeoutMs) throw etcdError('timeout')
      const changed = Promise.withResolvers<void>()
      this.#leaderAwaited.add(changed.resolve)
      const waiting = new AbortController()
      try {
        await Promise.race([changed.promise, sleep(clock, Math.max(1, timings.heartbeatIntervalMs), AbortSignal.any([signal, waiting.signal]))])
      } finally {
        this.#leaderAwaited.delete(changed.resolve)
        waiting.abort()
      }
      look?.()
    }
  }

  // ---- PeerHandler ----

  step(message: Message): void { this.driver.step(message) }

  async receiveSnapshot(message: Message, body: SnapshotBody): Promise<void> {
    await this.#transfer.receive(message, body)
    this.step(message)
  }

  reportUnreachable(id: bigint): void {
    this.driver.node.reportUnreachable(id)
    this.driver.wake()
  }

  peerEnded(id: bigint): void { this.driver.peerEnded(id) }

  reportSnapshot(id: bigint, outcome: 'delivered' | 'failed'): void {
    this.#transfer.ended(id)
    this.driver.node.reportSnapshot(id, outcome)
    this.driver.wake()
  }

  isRemoved(id: bigint): boolean { return this.#options.machine.membership.removed.has(id) }

  removedFromCluster(): void {
    if (this.#isRemoved || this.#ended.signal.aborted) return
    this.#isRemoved = true
    this.#options.host.removed()
  }

  // ---- DriverHost ----

  feed(node: RaftNode, wal: WriteAheadLog): Promise<void> | undefined { return this.#ended.signal.aborted ? undefined : this.proposals.feed(node, wal) }

  applyEntry(entry: Entry): void {
    const { data } = entry
    if (data.length === 0) {
      // The first entry of a term: whoever leads in it has everything now.
      if (this.driver.isLeader && entry.term === this.driver.node.raft.term) this.#startLeading()
      return
    }
    const { host } = this.#options
    const proposal = this.proposals.ofEntry(data)
    const request = proposal?.proposed.type === 'request' ? proposal.proposed.request : readRequest(data)
    if (!request) return
    try {
      const result = host.apply(request, entry.index)
      if (!proposal) return
      this.proposals.succeed(proposal, result)
      host.answered(request, proposal.askedMs)
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error
      if (proposal) this.proposals.refuse(proposal, error)
    }
  }

  applyConfChange(entry: Entry): ConfChange | ConfChangeV2 {
    let refusal: EtcdError | undefined
    const change = applyConfChangeTo(this.#options.machine, entry, (error) => { refusal = error })
    const proposal = 'id' in change ? this.proposals.ofConfChange(change.id) : undefined
    if (proposal && refusal) this.proposals.refuse(proposal, refusal)
    else if (proposal) this.proposals.succeed(proposal, { type: 'done' })
    if ('nodeId' in change && change.type === 'ConfChangeRemoveNode' && change.nodeId === this.#options.memberId) this.removedFromCluster()
    return change
  }

  pieceApplied(): void {
    this.#options.host.pieceApplied()
    this.#snapshotter.applied()
    this.#reads.applied()
  }

  leadershipChanged({ leader, role }: SoftState): void {
    const { clock, logger, host } = this.#options
    const now = clock.monotonic()
    if (leader !== noMember && leader !== this.#knownLeader) {
      this.#leaderSinceMs = now
      logger.info('the leader changed', { from: this.#knownLeader.toString(16), to: leader.toString(16), term: this.driver.node.raft.term })
      this.#knownLeader = leader
      host.leaderChanged()
    }
    if (leader !== noMember) this.#leaderlessSinceMs = undefined
    else this.#leaderlessSinceMs ??= now
    if (role !== 'leader' && this.#leading) {
      this.#leading = false
      host.stopLeading()
    }
    if (leader !== noMember) this.#reads.leaderChanged()
    for (const tell of this.#leaderAwaited) tell()
  }

  #startLeading(): void {
    if (this.#leading) return
    this.#leading = true
    this.#options.host.startLeading()
  }

  readConfirmed(state: ReadState): void { this.#reads.confirm(state) }

  membershipChanged(): void {
    const { machine, memberId, initialMembers } = this.#options
    // Whoever joins a running cluster has to be able to answer before the log has told who the others are.
    const members = machine.membership.members.size === 0 ? initialMembers : machine.membership.list()
    this.driver.transport?.setPeers(members.filter(({ id }) => id !== memberId).map(({ id, peerUrls }) => ({ id, urls: peerUrls })))
  }

  async installState(mark: StateMark): Promise<void> {
    // One that is being saved would take its place on the disk.
    await this.#snapshotter.finish()
    const { snapshotApplyInProgress } = this.#options.metrics.server
    snapshotApplyInProgress.set(1)
    await this.#transfer.install(mark, this.#ended.signal).finally(() => snapshotApplyInProgress.set(0))
    this.#snapshotter.installed(mark.index)
    this.#options.host.stateReplaced()
    // Reads that waited for entries which the state holds.
    this.#reads.applied()
    if (this.isRemoved(this.#options.memberId)) this.removedFromCluster()
  }

  sendState(message: Message): void { this.#transfer.send(message) }

  get storageVersion(): string | undefined { return this.#snapshotter.storageVersion }

  idle(): void { this.#snapshotter.consider(this.#place()) }
  wrote(durationMs: number, bytes: number): void { this.#options.host.wrote(durationMs, bytes) }

  heartbeatLate(afterMs: number): void {
    const { metrics, logger, timings: { heartbeatIntervalMs }, machine, memberId } = this.#options
    for (const { id } of machine.membership.list()) if (id !== memberId) metrics.server.heartbeatSendFailures.inc()
    logger.warn('leader failed to send out heartbeat on time; took too long, leader is overloaded likely from slow disk', {
      'heartbeat-interval': `${heartbeatIntervalMs}ms`, 'expected-duration': `${2 * heartbeatIntervalMs}ms`, 'exceeded-duration': `${Math.round(afterMs - 2 * heartbeatIntervalMs)}ms`,
    })
  }

  broke(error: unknown): void {
    const stopped = new EtcdError('Unavailable', 'etcdserver: server stopped', { cause: error })
    this.proposals.rejectAll(stopped)
    this.#reads.rejectAll(stopped)
    this.#options.host.broke(error)
  }

  #place(): StateMark {
    const { queue, confState } = this.driver
    return { index: queue.appliedIndex, term: queue.appliedTerm, confState }
  }

  #timeoutError(askedMs: number): EtcdError {
    const { timings, memberId, machine } = this.#options
    return explainTimeout({ askedMs, leaderSinceMs: this.#leaderSinceMs, electionTimeoutMs: timings.electionTimeoutMs, selfId: memberId, leaderId: this.leaderId, members: machine.membership.list(), transport: this.transport })
  }

  /** Refuses what isn't proposed yet, and lets what is written finish. */
  async stop(): Promise<void> {
    if (this.#ended.signal.aborted) return
    this.#ended.abort(etcdError('stopped'))
    const stopped = etcdError('stopped')
    this.proposals.rejectQueue(stopped)
    await this.driver.stop()
    this.proposals.rejectAll(stopped)
    this.#reads.rejectAll(stopped)
    this.#transfer.close()
    await this.#snapshotter.finish()
    const { wal } = this.#options.recovered
    await wal.close(this.driver.node.raft.hardState()).catch((error: unknown) => this.#options.logger.error('the log was not closed', error))
  }
}

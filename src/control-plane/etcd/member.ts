// One member of an etcd cluster: takes requests, has them go through the log, answers, and tells the watchers.
//
// Rules it keeps: a request is acknowledged, and visible to readers, only when a majority has it on disk; after the first failed write nothing
// is acknowledged any more. Without a log (the memory disk) a request is applied at once. Upstream: etcd/server/etcdserver
import type { Clock } from '../../lib/base/clock.ts'
import { describeError, type Logger } from '../../lib/component-base/log.ts'
import { EtcdError, etcdError } from '../../lib/etcd-api/etcd-error.ts'
import { insider } from './auth/caller.ts'
import { LeaderDuties } from './consensus/leader-duties.ts'
import { LeaseAccess } from './consensus/lease-access.ts'
import { noQuestions, questionsOf, type QuestioningTransport } from './consensus/peer-questions.ts'
import type { ProposalWaiter } from './consensus/proposals.ts'
import { Replica, type ReplicaHost, type ReplicaOptions, type Timings } from './consensus/replica.ts'
import { describeEntry, describeResult, formatGoDuration } from './describe-request.ts'
import { LeaseCheckpoints } from './lease/lease-checkpoints.ts'
import { LeaseExpiry } from './lease/lease-expiry.ts'
import { longestConnected } from './membership/reconfiguration-checks.ts'
import type { MembershipProposal } from './membership/membership-store.ts'
import { Alarm } from './member-timers.ts'
import { EtcdMetrics } from './metrics/etcd-metrics.ts'
import { observeApplied, requestTypeOf } from './observe-applied.ts'
import { WatchHub } from './mvcc/watch-hub.ts'
import type { LeaseTimes } from './peer/peer-requests.ts'
import type { PeerHandler, PeerTransport } from './peer/peer-transport.ts'
import { Quota } from './quota.ts'
import { Scrubber, type CompactionPace } from './scrubber.ts'
import type { RaftStatus } from './raft/status.ts'
import type { AppliedResult, LoggedRequest, StateMachine } from './state-machine.ts'

export interface MemberOptions {
  readonly machine: StateMachine
  readonly clock: Clock
  readonly logger: Logger
  readonly memberId: bigint
  readonly name: string
  readonly clientUrls: readonly string[]
  /** 0 or less: no quota. */
  readonly quotaBytes: number
  readonly progressNotifyIntervalMs: number
  /** How often a leader says through the log what is left of leases. Default: never. */
  readonly leaseCheckpointIntervalMs?: number | undefined
  readonly compactionPace?: CompactionPace | undefined
  readonly downgradeCheckMs?: number | undefined
  /** Default 100. */
  readonly warningApplyMs?: number | undefined
  readonly timings: Timings
  readonly metrics?: EtcdMetrics
  /** How it takes part in a log; without, requests are applied at once. */
  readonly replica?: Omit<ReplicaOptions, 'host' | 'machine' | 'clock' | 'logger' | 'memberId' | 'timings' | 'metrics'>
}

/** This member was removed from its cluster: it ends, and its data are of no use any more. */
export class MemberRemovedError extends Error {
  override readonly name = 'MemberRemovedError'
}

/** A removed member still answers, so that the others learn of it. */
const removedDelayMs = 1000
const slowApplyMs = 100

const never = new AbortController().signal

export class Member implements ReplicaHost {
  readonly metrics: EtcdMetrics
  readonly machine: StateMachine
  readonly hub: WatchHub
  readonly memberId: bigint
  /** Told before a compaction is applied. */
  beforeCompaction: ((revision: number) => void) | undefined
  readonly #options: MemberOptions
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #warningApplyMs: number
  readonly #replica: Replica | undefined
  readonly #quota: Quota
  readonly #expiry: LeaseExpiry
  readonly #leases: LeaseAccess
  readonly #checkpoints: LeaseCheckpoints | undefined
  readonly #duties: LeaderDuties
  readonly #progressAlarm: Alarm
  readonly #v2Alarm: Alarm
  readonly #removedAlarm: Alarm
  #dispatchPlanned = false
  readonly #scrubber: Scrubber
  #unloggedIndex = 1
  readonly #broken = new AbortController()
  readonly #ready = Promise.withResolvers<void>()
  #stopped = false

  constructor(options: MemberOptions) {
    const { machine, clock, logger, memberId, timings } = options
    this.#options = options
    this.metrics = options.metrics ?? new EtcdMetrics()
    this.machine = machine
    this.memberId = memberId
    this.#clock = clock
    this.#logger = logger
    this.#warningApplyMs = options.warningApplyMs ?? slowApplyMs
    this.#scrubber = new Scrubber(machine.store, this.metrics.mvcc, clock, options.compactionPace)
    this.hub = new WatchHub(machine.store, queueMicrotask, setImmediate)
    this.#quota = new Quota(options.quotaBytes, machine, logger, () => this.propose({ type: 'alarm', action: 'ACTIVATE', memberId, alarm: 'NOSPACE' }, never))
    this.#expiry = new LeaseExpiry(machine.leases, clock, (id) => this.#revokeExpired(id))
    this.#checkpoints = options.leaseCheckpointIntervalMs === undefined ? undefined : new LeaseCheckpoints(machine.leases, clock, options.leaseCheckpointIntervalMs, (checkpoints) => {
      this.propose({ type: 'leaseCheckpoint', checkpoints }, never, this.#term).catch((error: unknown) => logger.warn('what is left of leases was not said', { error: String(error) }))
    })
    this.#progressAlarm = new Alarm(clock, () => {
      this.hub.notifyProgress()
      this.#progressAlarm.set(options.progressNotifyIntervalMs)
    })
    this.#v2Alarm = new Alarm(clock, () => {
      this.propose({ type: 'v2', request: { method: 'SYNC', timeMs: clock.now() } }, never).catch((error: unknown) => logger.error('expired v2 keys were not removed', error))
    })
    this.#removedAlarm = new Alarm(clock, () => this.broke(new MemberRemovedError('the member has been permanently removed from the cluster')))
    this.#replica = options.replica && new Replica({ ...options.replica, machine, clock, logger, memberId, timings, metrics: this.metrics, host: this })
    this.#leases = new LeaseAccess({
      machine, clock, replica: this.#replica, heartbeatIntervalMs: timings.heartbeatIntervalMs,
      takeBackCheckpoint: (id, signal) => this.propose({ type: 'leaseCheckpoint', checkpoints: [{ id, remainingTtlSeconds: 0 }] }, signal, this.#term),
    })
    this.#duties = new LeaderDuties({ member: this, clock, logger, name: options.name, clientUrls: options.clientUrls, downgradeCheckMs: options.downgradeCheckMs })
    if (options.replica) options.replica.recovered.wal.onFull = () => { if (!this.#stopped) this.#quota.raiseNoSpace('the disk is full') }
    // Who never waits for it need not hear of its failure.
    this.#ready.promise.catch(() => {})
  }

  /** Aborted when this member ends by itself, with the reason: the log failed, and nothing is acknowledged any more; or it was removed (MemberRemovedError). */
  get broken(): AbortSignal { return this.#broken.signal }
  get isServing(): boolean { return !this.#stopped && !this.#broken.signal.aborted }
  get quotaBytes(): number { return this.#quota.bytes }
  get pendingProposals(): number { return this.#replica?.proposals.count ?? 0 }

  // ---- its place in the cluster ----

  get term(): number { return this.#replica?.driver.node.raft.term ?? 1 }
  get appliedIndex(): number { return this.#replica?.appliedIndex ?? this.#unloggedIndex }
  /** The version whose programs can open what is on the disk; undefined while the cluster has none. */
  get storageVersion(): string | undefined { return this.#replica ? this.#replica.storageVersion : this.machine.membership.clusterVersion }
  get committedIndex(): number { return this.#replica?.driver.node.raft.log.committed ?? this.#unloggedIndex }
  /** 0n: none is known. */
  get leaderId(): bigint { return this.#replica?.leaderId ?? this.memberId }
  get isLeader(): boolean { return this.#replica?.isLeader ?? true }
  get isLearner(): boolean { return this.machine.membership.isLearner(this.memberId) }
  /** Alone: nobody else has a say. */
  get isSole(): boolean { return this.#replica?.driver.isSole ?? true }
  get transport(): PeerTransport | undefined { return this.#replica?.transport }
  /** Undefined without a log. */
  raftStatus(): RaftStatus | undefined { return this.#replica?.status() }
  noLeaderFor(ms: number): boolean { return this.#replica?.noLeaderFor(ms) ?? false }

  /** Begins. With others in the cluster `openTransport` makes the way to them. */
  async start(openTransport?: (handler: PeerHandler, member: Member) => Promise<QuestioningTransport>): Promise<void> {
    this.#progressAlarm.set(this.#options.progressNotifyIntervalMs)
    this.#scrubber.scrubIfNeeded()
    if (!this.#replica) {
      this.startLeading()
      this.#ready.resolve()
      return
    }
    const transport = await openTransport?.(this.#replica, this)
    const questions = (transport && questionsOf(transport, this.#replica.timeoutMs)) ?? noQuestions
    this.#leases.questions = questions
    this.#replica.start(transport)
    this.#duties.start(questions).then(() => this.#ready.resolve(), (error: unknown) => this.#ready.reject(error))
  }

  /** Resolves when this member has said who it is, through the log: clients can be served from then on. A learner: when it follows. */
  whenReady(): Promise<void> { return this.#ready.promise }

  /** Throws what every request to a stopped or broken member gets. */
  checkServing(signal: AbortSignal): void {
    if (signal.aborted) throw signal.reason
    if (this.#stopped) throw etcdError('stopped')
    if (this.#broken.signal.aborted) throw new EtcdError('Unavailable', 'etcdserver: server stopped', { cause: this.#broken.signal.reason })
  }

  /** Resolves when the request is committed and applied here. Keys and values must not change before that. */
  propose(asked: LoggedRequest, signal: AbortSignal, leaderTerm?: number): Promise<AppliedResult> {
    return new Promise((resolve, reject) => this.submit(asked, signal, { resolve, reject }, leaderTerm))
  }

  /** The same without a promise: `waiter` hears of it at once. @throws what is known before: it is not asked then */
  submit(asked: LoggedRequest, signal: AbortSignal, waiter: ProposalWaiter, leaderTerm?: number): void {
    // Without a caller it is the member itself, or the API server beside it.
    const request = asked.caller === undefined && this.machine.auth.enabled ? { ...asked, caller: insider } : asked
    this.checkServing(signal)
    this.#quota.check(request)
    if (this.#replica) { this.#replica.submit(leaderTerm === undefined ? { type: 'request', request } : { type: 'request', request, leaderTerm }, signal, waiter); return }
    this.#unloggedIndex++
    const askedMs = this.#clock.monotonic()
    const result = this.apply(request, this.#unloggedIndex)
    this.answered(request, askedMs)
    this.#planDispatch()
    waiter.resolve(result)
  }

  /** Resolves when the change is applied here; check it before with `machine.membership`. @throws EtcdError refused */
  async changeMembership(change: MembershipProposal, signal: AbortSignal): Promise<void> {
    this.checkServing(signal)
    if (!this.#replica) throw etcdError('notCapable')
    await this.#replica.propose({ type: 'confChange', change }, signal)
    this.#duties.look()
  }

  /** Undefined, or resolved: a read of the store sees everything that was acknowledged anywhere before this call. @throws EtcdError (rejects) request timed out … */
  readIndex(signal: AbortSignal): Promise<void> | undefined { return this.#replica?.readIndex(signal) }

  /** Resolves when that member leads. @throws EtcdError request timed out */
  async transferLeadership(to: bigint, signal: AbortSignal): Promise<void> {
    this.checkServing(signal)
    await this.#replica?.transferLeadership(to, signal)
  }

  /** Before this member ends on purpose: a leader of several hands over to the one that it has known for longest. */
  async handOver(signal: AbortSignal): Promise<void> {
    const { transport } = this
    if (!this.isLeader || this.isSole || !transport) return
    const to = longestConnected(this.machine.membership.list(), { selfId: this.memberId, activeSinceMs: (id) => transport.activeSinceMs(id) })
    if (to === undefined) return
    await this.#replica?.transferLeadership(to, signal, () => {
      // It goes, too: then nobody is to be waited for.
      if (transport.activeSinceMs(to) === undefined) throw etcdError('timeoutConnectionLost')
    })
  }

  /** Entries that slow followers may want are dropped: who needs them gets the whole state. For tests. */
  forgetAppliedEntries(): void { this.#replica?.driver.forgetAppliedEntries() }

  /** Seconds to live; 0 when there is no such lease. */
  renewLease(id: bigint, signal: AbortSignal): Promise<number> { return this.#counted(this.#leases.renew(id, signal)) }
  /** As the leader's own book says. @throws EtcdError not leader */
  renewOwnLease(id: bigint, signal: AbortSignal): Promise<number> { return this.#counted(this.#leases.renewHere(id, signal)) }

  /** The leader counts the renewals that it sees. */
  async #counted(renewal: Promise<number>): Promise<number> {
    const ttlSeconds = await renewal
    if (ttlSeconds > 0 && this.isLeader) this.metrics.leases.renewed.inc()
    return ttlSeconds
  }

  leaseTimes(id: bigint, withKeys: boolean, signal: AbortSignal): Promise<LeaseTimes> { return this.#leases.times(id, withKeys, signal) }
  ownLeaseTimes(id: bigint, withKeys: boolean, signal: AbortSignal): Promise<LeaseTimes> { return this.#leases.timesHere(id, withKeys, signal) }

  // ---- what happens in the cluster (ReplicaHost) ----

  apply(request: LoggedRequest, index: number): AppliedResult {
    const begunMs = this.#clock.monotonic()
    if (request.type === 'compaction') this.beforeCompaction?.(request.revision)
    let result: AppliedResult | undefined
    let refusal: unknown
    try {
      result = this.machine.apply(request, begunMs, index)
    } catch (error) {
      refusal = error
      throw error
    } finally {
      const tookMs = this.#clock.monotonic() - begunMs
      observeApplied(this.metrics, request, tookMs / 1000, result)
      if (tookMs > this.#warningApplyMs) this.#warnOfSlowApply(request, tookMs, result, refusal)
    }
    if (request.type === 'compaction') void this.scrub()
    else if (request.type === 'leaseGrant') this.#expiry.arm()
    else if (request.type === 'v2') this.#armV2()
    else if (request.type === 'downgradeInfoSet') this.#duties.look()
    return result
  }

  #warnOfSlowApply(request: LoggedRequest, tookMs: number, result: AppliedResult | undefined, refusal: unknown): void {
    this.metrics.server.slowApply.inc()
    this.#logger.warn('apply request took too long', {
      took: formatGoDuration(tookMs), 'expected-duration': formatGoDuration(this.#warningApplyMs), prefix: '', request: describeEntry(request), response: describeResult(request, result, this.machine.store.revision), ...(refusal === undefined ? {} : { error: describeError(refusal) }),
    })
  }

  answered(request: LoggedRequest, askedMs: number): void { this.metrics.observeRequest(requestTypeOf(request), (this.#clock.monotonic() - askedMs) / 1000) }
  pieceApplied(): void { this.hub.dispatch() }

  startLeading(): void {
    this.#expiry.start(this.isSole ? 0 : this.#options.timings.electionTimeoutMs)
    this.#checkpoints?.start()
    this.#armV2()
    this.#duties.startLeading()
  }

  stopLeading(): void {
    this.#expiry.stop()
    this.#checkpoints?.stop()
    this.#v2Alarm.clear()
    this.#duties.stopLeading()
  }

  leaderChanged(): void { this.metrics.server.leaderChanges.inc() }
  wrote(durationMs: number, bytes: number): void {
    this.metrics.fsync.observe(durationMs / 1000)
    this.metrics.disk.walWriteBytes.inc(bytes)
  }

  stateReplaced(): void {
    this.hub.storeReplaced()
    this.#scrubber.scrubIfNeeded()
  }

  removed(): void {
    this.#logger.warn('this member was removed from the cluster')
    this.#removedAlarm.set(Math.max(removedDelayMs, this.#options.timings.electionTimeoutMs))
  }

  broke(error: unknown): void {
    if (this.#broken.signal.aborted) return
    if (error instanceof MemberRemovedError) this.#logger.info(error.message)
    else this.#logger.error('the log failed; nothing is acknowledged any more', error)
    this.#broken.abort(error)
    this.#ready.reject(error)
    this.#stopTimers()
    this.hub.closeAll()
  }

  #planDispatch(): void {
    if (this.#dispatchPlanned) return
    this.#dispatchPlanned = true
    queueMicrotask(() => {
      this.#dispatchPlanned = false
      this.hub.dispatch()
    })
  }

  /** Of the Raft member, when there is one. */
  get #term(): number | undefined { return this.#replica?.driver.node.raft.term }

  #revokeExpired(id: bigint): void {
    this.metrics.leases.expired.inc()
    const term = this.#term
    this.#leases.confirmLeading(never).then(() => this.propose({ type: 'leaseRevoke', id }, never, term)).catch((error: unknown) => {
      // Somebody else may have revoked it meanwhile; whoever leads now will do it.
      if (error instanceof EtcdError && (error.reason === 'NotFound' || error.reason === 'Unavailable' || !this.isLeader)) return
      this.#logger.error('an expired lease was not revoked', error, { lease: id.toString(16) })
    })
  }

  /** Removes v2 keys whose time is over, through the log, so that all members do it at the same index. */
  #armV2(): void {
    const atMs = this.machine.v2.nextExpiryMs
    if (atMs === undefined || this.#stopped || !this.isLeader) this.#v2Alarm.clear()
    else this.#v2Alarm.set(atMs - this.#clock.now())
  }

  /** Frees what compactions made unreadable, in pieces that yield; resolves when it is done for now. */
  scrub(): Promise<void> { return this.#scrubber.scrub() }

  #stopTimers(): void {
    this.#expiry.close()
    this.#checkpoints?.stop()
    this.#progressAlarm.close()
    this.#v2Alarm.close()
    this.#removedAlarm.close()
    this.#duties.stop()
    this.#scrubber.stop()
  }

  /** Ends: refuses what waits, lets the write that is in flight finish, closes the watches. */
  async stop(): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    this.#stopTimers()
    this.#ready.reject(etcdError('stopped'))
    await this.#replica?.stop()
    this.hub.closeAll()
  }
}

// Requests on their way through the log: those that wait to be proposed, and those that wait to be applied here.
//
// What waits is bounded. Who gives up is answered soon, whatever the disk and the others do; what they asked for may still happen. What takes
// too long ends with one of the original's errors. Upstream: etcd/server/etcdserver/v3_server.go (processInternalRaftRequestOnce)
import type { Clock, Timer } from '../../../lib/base/clock.ts'
import { unreachable } from '../../../lib/base/assert.ts'
import { WireWriter } from '../../../lib/base/protobuf/wire-writer.ts'
import { EtcdError, etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import { StorageError } from '../disk/disk.ts'
import type { ConfChange } from '../raft/conf-change.ts'
import type { RaftNode } from '../raft/raft-node.ts'
import { noMember } from '../raft/messages.ts'
import { writes, type AppliedResult, type LoggedRequest } from '../state-machine.ts'
import { writeRequest } from '../wal/request-codec.ts'
import type { WriteAheadLog } from '../wal/write-ahead-log.ts'
import type { RequestId, RequestIds } from './request-ids.ts'

/**
 * What has a `leaderTerm` goes by what the leader of that term knows: when another one leads, or the same one again after another, it ends
 * instead of being proposed or passed on.
 */
export type Proposed = { readonly type: 'request'; readonly request: LoggedRequest; readonly leaderTerm?: number | undefined } | { readonly type: 'confChange'; readonly change: Omit<ConfChange, 'id'> }

/** Is told what became of a request, at once when it is applied. It must not throw; after the first answer it hears of no other that counts. */
export interface ProposalWaiter {
  resolve(result: AppliedResult): void
  reject(error: unknown): void
}

export class Proposal {
  readonly id: RequestId
  readonly proposed: Proposed
  readonly signal: AbortSignal
  readonly #waiter: ProposalWaiter
  readonly askedMs: number
  /** Answered already, by an error. */
  abandoned = false

  constructor(id: RequestId, proposed: Proposed, signal: AbortSignal, waiter: ProposalWaiter, askedMs: number) {
    this.id = id
    this.proposed = proposed
    this.signal = signal
    this.#waiter = waiter
    this.askedMs = askedMs
  }

  resolve(result: AppliedResult): void { this.#waiter.resolve(result) }
  reject(error: unknown): void { this.#waiter.reject(error) }
}

export interface ProposalsOptions {
  readonly clock: Clock
  readonly ids: RequestIds
  readonly timeoutMs: number
  /** Leases can be revoked when nothing else is taken any more (the feature PriorityRequest). */
  readonly prefersRevocations?: boolean | undefined
  /** Why what was asked at this moment took too long. */
  readonly timeoutError: (askedMs: number) => EtcdError
  /** There is something to propose. */
  readonly wake: () => void
  /** One ended without a result. */
  readonly failed: () => void
}

/** Bounds of one batch, so that neither encoding nor applying it holds up the event loop for long. */
const batchEntries = 512
const batchBytes = 1024 * 1024
/** Of a buffer that entries are encoded into, one behind the other. */
const encodeBytes = 128 * 1024
/** Requests that may wait. */
const queueLimit = 50_000
const preferredQueueLimit = queueLimit * 1.1
/** How often callers that gave up are looked for. */
const lookMs = 100

export class Proposals {
  readonly #options: ProposalsOptions
  /** What is taken from it stays: entries are read until everybody has them. */
  readonly #writer = new WireWriter(encodeBytes)
  #queue: Proposal[] = []
  readonly #pending = new Map<RequestId, Proposal>()
  #lookTimer: Timer | undefined

  constructor(options: ProposalsOptions) { this.#options = options }

  get count(): number { return this.#queue.length + this.#pending.size }

  /** Resolves when it is applied here. @throws EtcdError (rejects) too many requests */
  add(proposed: Proposed, signal: AbortSignal): Promise<AppliedResult> {
    return new Promise((resolve, reject) => this.submit(proposed, signal, { resolve, reject }))
  }

  /** The same without a promise. @throws EtcdError too many requests */
  submit(proposed: Proposed, signal: AbortSignal, waiter: ProposalWaiter): void {
    if (this.count >= queueLimit && !this.#isPreferred(proposed)) throw etcdError('tooManyRequests')
    this.#queue.push(new Proposal(this.#options.ids.next(), proposed, signal, waiter, this.#options.clock.monotonic()))
    this.#lookTimer ??= this.#options.clock.setTimer(lookMs, () => this.#look(), { keepAlive: false })
    this.#options.wake()
  }

  #isPreferred(proposed: Proposed): boolean {
    return this.#options.prefersRevocations === true && proposed.type === 'request' && proposed.request.type === 'leaseRevoke' && this.count < preferredQueueLimit
  }

  /** Gives Raft the next batch, when there is a leader to take it. Called between two writes; the promise is of the room on the disk. */
  feed(node: RaftNode, wal: WriteAheadLog): Promise<void> | undefined {
    const { raft } = node
    if (this.#queue.length === 0 || raft.leader === noMember || raft.transferee !== noMember || raft.isLeaving) return undefined
    const batch: Proposal[] = []
    const data: Uint8Array[] = []
    let bytes = 0
    let reserves = 0
    let taken = 0
    while (taken < this.#queue.length && batch.length < batchEntries && bytes < batchBytes) {
      const proposal = this.#queue[taken]! // cast: bounded by the loop
      if (proposal.proposed.type === 'confChange') {
        if (batch.length > 0) break
        this.#queue = this.#queue.slice(1)
        return this.#proposeConfChange(proposal, proposal.proposed.change, node)
      }
      taken++
      if (proposal.abandoned) continue
      if (proposal.signal.aborted) { proposal.reject(proposal.signal.reason); continue }
      const { request } = proposal.proposed
      if (isOutdated(proposal, node)) { proposal.reject(etcdError('notLeader')); continue }
      this.#writer.reset()
      writeRequest(this.#writer, this.#options.ids.varintOf(proposal.id), request)
      bytes += this.#writer.length
      reserves = Math.max(reserves, reservesLeftBy(request))
      batch.push(proposal)
      data.push(this.#writer.take())
    }
    this.#queue = taken === this.#queue.length ? [] : this.#queue.slice(taken)
    if (batch.length === 0) return undefined
    for (const proposal of batch) this.#pending.set(proposal.id, proposal)
    // A follower's disk takes what the leader took.
    const room = raft.role === 'leader' ? wal.findRoom(batch.length, bytes, reserves) : undefined
    if (room === undefined) { this.#propose(node, batch, data); return undefined }
    return room.then(() => this.#proposeLate(node, batch, data), (error: unknown) => {
      if (!(error instanceof StorageError && error.reason === 'DiskFull')) throw error
      for (const proposal of batch) this.#finish(proposal.id)?.reject(etcdError('noSpace'))
    })
  }

  /** While room was made, another member may have come to lead. */
  #proposeLate(node: RaftNode, batch: readonly Proposal[], data: readonly Uint8Array[]): void {
    for (const proposal of batch) if (isOutdated(proposal, node)) this.#finish(proposal.id)?.reject(etcdError('notLeader'))
    const good = batch.map((proposal) => !isOutdated(proposal, node))
    if (good.includes(true)) this.#propose(node, batch.filter((_, i) => good[i]), data.filter((_, i) => good[i]))
  }

  #propose(node: RaftNode, batch: readonly Proposal[], data: readonly Uint8Array[]): void {
    if (node.propose(...data).type === 'ok') return
    // The next wake-up tries again: a tick, or news of the leader.
    for (const proposal of batch) this.#pending.delete(proposal.id)
    this.#queue = [...batch, ...this.#queue]
  }

  #proposeConfChange(proposal: Proposal, change: Omit<ConfChange, 'id'>, node: RaftNode): undefined {
    if (proposal.abandoned) return undefined
    if (proposal.signal.aborted) { proposal.reject(proposal.signal.reason); return undefined }
    this.#pending.set(proposal.id, proposal)
    const result = node.proposeConfChange({ ...change, id: this.#options.ids.whole(proposal.id) })
    if (result.type === 'ok') return undefined
    this.#pending.delete(proposal.id)
    if (result.reason === 'confChangeRefused') proposal.reject(etcdError('unhealthy'))
    else this.#queue = [...this.#queue, proposal]
    return undefined
  }

  /** Who asked for what an entry asks for, when it was somebody here. */
  ofEntry(data: Uint8Array): Proposal | undefined { return this.#pending.size === 0 ? undefined : this.#pending.get(this.#options.ids.readOwn(data)) }
  ofConfChange(id: bigint): Proposal | undefined { return this.#pending.get(this.#options.ids.ownOf(id)) }

  succeed(proposal: Proposal, result: AppliedResult): void { this.#finish(proposal.id)?.resolve(result) }

  /** The state machine refused it. */
  refuse(proposal: Proposal, error: EtcdError): void { this.#finish(proposal.id)?.reject(error) }

  #finish(id: RequestId): Proposal | undefined {
    const proposal = this.#pending.get(id)
    this.#pending.delete(id)
    return proposal
  }

  #look(): void {
    const { clock, timeoutMs, timeoutError } = this.#options
    const now = clock.monotonic()
    for (const list of [this.#queue, this.#pending.values()]) {
      for (const proposal of list) {
        const isLate = now - proposal.askedMs >= timeoutMs
        if (!proposal.abandoned && (proposal.signal.aborted || isLate)) {
          proposal.abandoned = true
          this.#options.failed()
          proposal.reject(proposal.signal.aborted ? proposal.signal.reason : timeoutError(proposal.askedMs))
        }
        // Its entry may still come; then it is read as another member's.
        if (isLate) this.#pending.delete(proposal.id)
      }
    }
    if (this.#queue.some((proposal) => proposal.abandoned)) this.#queue = this.#queue.filter((proposal) => !proposal.abandoned)
    this.#lookTimer = this.count === 0 ? undefined : clock.setTimer(lookMs, () => this.#look(), { keepAlive: false })
  }

  /** Refuses what is not proposed yet. */
  rejectQueue(error: Error): void {
    const queue = this.#queue
    this.#queue = []
    for (const proposal of queue) proposal.reject(error)
  }

  rejectAll(error: Error): void {
    this.rejectQueue(error)
    for (const proposal of this.#pending.values()) proposal.reject(error)
    this.#pending.clear()
    this.#lookTimer?.[Symbol.dispose]()
    this.#lookTimer = undefined
  }
}

/** Whoever asked for it knew what the leader of an earlier term knew. */
function isOutdated({ proposed }: Proposal, { raft }: RaftNode): boolean {
  return proposed.type === 'request' && proposed.leaderTerm !== undefined && (raft.role !== 'leader' || raft.term !== proposed.leaderTerm)
}

/** How many reserves on the disk a request leaves for others: an alarm none, a deletion one, whatever adds something two. */
function reservesLeftBy(request: LoggedRequest): number {
  switch (request.type) {
    case 'alarm': case 'compaction': case 'clusterMemberAttrSet': case 'clusterVersionSet': case 'downgradeInfoSet': return 0
    case 'deleteRange': case 'leaseRevoke': return 1
    case 'txn': return writes(request) ? 2 : 1
    case 'put': case 'leaseGrant': case 'leaseCheckpoint': case 'auth': case 'authenticate': case 'v2': return 2
    default: return unreachable(request)
  }
}

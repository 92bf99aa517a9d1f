// One member's state and its four roles. Roles change only by the become… methods, and an illegal change is an assert:
//
//   follower ──timeout──▶ pre-candidate ──quorum would vote──▶ candidate ──quorum voted──▶ leader
//       ◀──────────── a higher term, a leader of this term, no quorum any more ─────────────┘
//
// What happens on each message is in the step-*.ts files; they change this state and send by it. Upstream: raft/raft.go
import { assert } from '../../../lib/base/assert.ts'
import { randomInteger } from '../../../lib/base/random.ts'
import { Inflights } from './inflights.ts'
import { makeMessage, noMember, type HardState, type Message, type MessageParts } from './messages.ts'
import { isVoterOf, membershipOf, membersOf } from './membership-change.ts'
import { Progress } from './progress.ts'
import { ProgressTracker, type MembershipConfig } from './progress-tracker.ts'
import { completeConfig, type FullRaftConfig, type RaftConfig } from './raft-config.ts'
import { RaftLog } from './raft-log.ts'
import { ReadRequests } from './read-requests.ts'

export type RaftRole = 'follower' | 'preCandidate' | 'candidate' | 'leader'

/** The answer to `readIndex`: once the shell has applied up to `index`, a read sees everything that was acknowledged before the question. */
export interface ReadState {
  readonly index: number
  readonly context: Uint8Array
}

export class Raft {
  readonly id: bigint
  readonly config: FullRaftConfig
  readonly log: RaftLog
  readonly tracker = new ProgressTracker()
  readonly reads: ReadRequests

  term = 0
  vote = noMember
  role: RaftRole = 'follower'
  /** The leader of `term`, as far as known. */
  leader = noMember
  /** Leader: whom it hands its office to; no proposals are taken meanwhile. */
  transferee = noMember

  /** Ticks since the last sign of a leader (follower), since the election began (candidate), since the last check of the quorum (leader). */
  electionElapsed = 0
  heartbeatElapsed = 0
  randomizedElectionTicks = 0

  /** Leader: no membership change is taken before this index is applied. */
  pendingConfIndex = 0
  /**
   * Leader: it proposed its own removal (or its becoming a learner). From here on nothing more goes behind its log, so that whoever has the
   * change has as long a log as it has and can be elected.
   */
  isLeaving = false
  /** Leader: the removal is applied. It leads for another election timeout, so that the others learn of the commit from it. */
  hasLeft = false
  /** Leader: payload of its entries that aren't committed. */
  uncommittedBytes = 0
  /** The own vote of this election counts when it is on disk. */
  ownVotePending = false

  readStates: ReadState[] = []
  /** May leave at once. */
  outbox: Message[] = []
  /** Promise something about this member's disk: they wait until what it holds now is written. */
  outboxAfterPersist: Message[] = []

  constructor(config: RaftConfig) {
    this.config = completeConfig(config)
    this.id = config.id
    this.log = new RaftLog(config.storage)
    this.reads = new ReadRequests(this.config.maxPendingReads)
    const { hardState, confState } = config.storage.initialState()
    this.tracker.config = membershipOf(confState)
    if (hardState.commit > this.log.committed) this.log.commitTo(hardState.commit)
    this.#commitWhatTheLogProves()
    // Entries may be on disk whose hard state was lost in the same crash; then nothing was promised in their term, no vote either.
    const term = Math.max(hardState.term, this.log.lastEntryId().term)
    this.becomeFollower(term, noMember)
    if (term === hardState.term) this.vote = hardState.vote
  }

  /**
   * A leader takes a membership change only when the one before is applied. So a log with two of them proves that the first is committed, even
   * if the crash that lost the commit index left both; by the membership before the first, two leaders could be elected in one term.
   */
  #commitWhatTheLogProves(): void {
    const lastButOne = this.log.confChangesIn(this.log.committed + 1, this.log.lastIndex()).at(-2)
    if (lastButOne !== undefined) this.log.commitTo(lastButOne.index)
  }

  hardState(): HardState { return { term: this.term, vote: this.vote, commit: this.log.committed } }

  /** Sends in this member's name; terms are filled in, except where the message is of another one (votes) or of none. */
  send(parts: MessageParts & Pick<Message, 'to'>): void {
    const { type } = parts
    const isVote = type === 'MsgVote' || type === 'MsgVoteResp' || type === 'MsgPreVote' || type === 'MsgPreVoteResp'
    const isForwarded = type === 'MsgProp' || type === 'MsgReadIndex'
    assert(parts.to !== this.id && parts.to !== noMember, 'messages go to somebody else')
    assert(isVote === (parts.term !== undefined && parts.term > 0), 'votes say their term, other messages have the sender\'s')
    const message = makeMessage({ ...parts, from: parts.from ?? this.id, term: isVote ? parts.term ?? 0 : isForwarded ? 0 : this.term })
    const promises = type === 'MsgAppResp' || type === 'MsgVoteResp' || type === 'MsgPreVoteResp' || type === 'MsgVote'
    if (promises) this.outboxAfterPersist.push(message)
    else this.outbox.push(message)
  }

  /** A new term or role: everything of the old one is forgotten. */
  #reset(term: number): void {
    assert(term >= this.term, 'terms only grow')
    if (term !== this.term) {
      this.term = term
      this.vote = noMember
    }
    this.leader = noMember
    this.transferee = noMember
    this.electionElapsed = 0
    this.heartbeatElapsed = 0
    this.ownVotePending = false
    this.#drawElectionTicks()
    this.tracker.resetVotes()
    this.setMembership(this.tracker.config, 'fresh')
    this.pendingConfIndex = 0
    this.isLeaving = false
    this.hasLeft = false
    this.uncommittedBytes = 0
    this.reads.reset()
  }

  #drawElectionTicks(): void {
    this.randomizedElectionTicks = this.config.electionTicks + randomInteger(this.config.random, this.config.electionTicks)
  }

  /** Takes a membership; `keep` leaves what is known of members that stay, `fresh` forgets it. */
  setMembership(config: MembershipConfig, known: 'keep' | 'fresh'): void {
    const progress = new Map<bigint, Progress>()
    // In the order of ids, so that what is sent is the same in every run.
    for (const id of [...membersOf(config)].sort((a, b) => (a < b ? -1 : 1))) {
      const isLearner = config.learners.has(id)
      const old = known === 'keep' ? this.tracker.progress.get(id) : undefined
      if (old === undefined) progress.set(id, this.#newProgress(id, isLearner))
      else {
        old.isLearner = isLearner
        progress.set(id, old)
      }
    }
    this.tracker.config = config
    this.tracker.progress = progress
  }

  #newProgress(id: bigint, isLearner: boolean): Progress {
    const match = id === this.id ? this.log.stableIndex() : 0
    const progress = new Progress(match, this.log.lastIndex() + 1, new Inflights(this.config.maxInflightMessages, this.config.maxInflightBytes), isLearner)
    // A member that was added just now counts as alive until the next check, or it could cost the leader its quorum.
    progress.recentActive = true
    return progress
  }

  becomeFollower(term: number, leader: bigint): void {
    this.#reset(term)
    this.leader = leader
    this.role = 'follower'
  }

  /** Asks around without a new term: nothing that has to be kept changes. */
  becomePreCandidate(): void {
    assert(this.role !== 'leader', 'no step from leader to pre-candidate')
    this.tracker.resetVotes()
    this.leader = noMember
    this.role = 'preCandidate'
    this.ownVotePending = false
  }

  becomeCandidate(): void {
    assert(this.role !== 'leader', 'no step from leader to candidate')
    this.#reset(this.term + 1)
    this.vote = this.id
    this.role = 'candidate'
  }

  becomeLeader(): void {
    assert(this.role === 'candidate', 'only a candidate becomes leader')
    this.#reset(this.term)
    this.leader = this.id
    this.role = 'leader'
    // The log may hold a membership change that isn't applied yet: none is taken before all of it is.
    this.pendingConfIndex = this.log.lastIndex()
    this.tracker.progress.get(this.id)?.becomeReplicate()
    for (const [id, progress] of this.tracker.progress) progress.recentActive = id === this.id
  }

  /** A voter whose state is whole: it may stand for election. */
  isPromotable(): boolean {
    return isVoterOf(this.tracker.config, this.id) && this.log.unstable.snapshot === undefined
  }

  hasCommittedInTerm(): boolean { return this.log.term(this.log.committed) === this.term }
}

// One Raft member without a world: messages, proposals and ticks go in, and what is to be done comes out. Nothing here reads a clock, a disk
// or the network. The shell around it turns in a loop:
//
//   ready = node.ready()                 when node.hasReady()
//   1. send ready.messages               at once, beside the writing
//   2. write to disk, in this order      ready.snapshot, ready.entries, ready.hardState; then fsync when ready.mustSync. A crash may leave a
//                                        part of it, but never the hard state without the entries before it: its commit index would
//                                        then speak of the entries that they replace. Each fsync also covers all that was written before.
//   3. make the storage show it          and install ready.snapshot in the state machine
//   4. send ready.messagesAfterPersist   they promise what 2 has written; a failed write means: never send them
//   5. node.advance()
//   6. apply ready.committedEntries      in order, at any time from 1 on, also while the next ready() is under way; a membership change by
//                                        node.applyConfChange(); after each piece node.appliedTo(index)
//   7. answer ready.readStates           each when the state machine has applied up to its index
//
// Steps, ticks and proposals may come at any time, also between ready() and advance(): they show in the next ready. Upstream: raft/rawnode.go
import { assert } from '../../../lib/base/assert.ts'
import { randomInteger } from '../../../lib/base/random.ts'
import { asConfChangeV2, encodeConfChange, encodeConfChangeV2, type ConfChange, type ConfChangeV2 } from './conf-change.ts'
import { ownDiskCaughtUp } from './election.ts'
import { entryTypes, isLocalMessage, isResponse, isSameHardState, makeMessage, noEntries, noMember, payloadBytes,
  type ConfState, type Entry, type HardState, type Message, type Snapshot } from './messages.ts'
import type { RaftConfig } from './raft-config.ts'
import { Raft, type RaftRole, type ReadState } from './raft.ts'
import { statusOf, type RaftStatus } from './status.ts'
import { stepOk, type StepResult } from './step-result.ts'
import { step } from './step.ts'
import { applyConfChange, leaveJointByItself } from './switch-membership.ts'
import { tick } from './tick.ts'

/** The spread of elections after the end of a leader's process. */
const hurriedTicks = 3

export interface SoftState {
  readonly leader: bigint
  readonly role: RaftRole
}

export interface Ready {
  /** Leader and role, when they changed. */
  readonly softState: SoftState | undefined
  /** To be written, when it changed. */
  readonly hardState: HardState | undefined
  /** To be written; entries that the disk has from the first one's index on are void. */
  readonly entries: readonly Entry[]
  /** From the leader: takes the place of the whole log and state. To be written before `entries`. */
  readonly snapshot: Snapshot | undefined
  /** False when only the commit index changed: that may be lost in a crash. */
  readonly mustSync: boolean
  readonly messages: readonly Message[]
  readonly messagesAfterPersist: readonly Message[]
  readonly committedEntries: readonly Entry[]
  readonly readStates: readonly ReadState[]
}

export class RaftNode {
  readonly raft: Raft
  #hardState: HardState
  #softState: SoftState
  #pending: Ready | undefined

  constructor(config: RaftConfig) {
    this.raft = new Raft(config)
    this.#hardState = this.raft.hardState()
    this.#softState = { leader: this.raft.leader, role: this.raft.role }
  }

  tick(): void { tick(this.raft) }

  /** Stands for election now. */
  campaign(): void { step(this.raft, makeMessage({ type: 'MsgHup', from: this.raft.id })) }

  /** A message from another member. Never throws on what a sound member can send; unknown senders' answers are ignored. */
  step(message: Message): StepResult {
    if (isLocalMessage(message.type)) return stepOk
    if (isResponse(message.type) && !this.raft.tracker.progress.has(message.from)) return stepOk
    return step(this.raft, message)
  }

  /** Proposes entries, one for each data, to be committed side by side. `ok` means only that they are on their way. */
  propose(...data: readonly Uint8Array[]): StepResult { return this.#proposeEntries(data.map((d) => ({ type: entryTypes.normal, term: 0, index: 0, data: d }))) }

  /** Proposes a membership change of one member, in the form that every etcd knows. */
  proposeConfChange(change: ConfChange): StepResult {
    return this.#proposeEntries([{ type: entryTypes.confChange, term: 0, index: 0, data: encodeConfChange(change) }])
  }

  proposeConfChangeV2(change: ConfChangeV2): StepResult {
    return this.#proposeEntries([{ type: entryTypes.confChangeV2, term: 0, index: 0, data: encodeConfChangeV2(change) }])
  }

  #proposeEntries(entries: readonly Entry[]): StepResult { return step(this.raft, makeMessage({ type: 'MsgProp', from: this.raft.id, entries })) }

  /**
   * Called when the change's entry, at `index`, is applied, before `appliedTo`. A change that the shell refuses has `noMember` as its node.
   * Gives the membership from there on. A change that a snapshot from the leader brought meanwhile is not made twice.
   */
  applyConfChange(index: number, change: ConfChange | ConfChangeV2): ConfState {
    const { log, tracker } = this.raft
    if (index <= Math.max(log.applied, log.unstable.snapshot?.metadata.index ?? 0)) return tracker.confState()
    assert(index <= log.applying, 'only what was given out is applied')
    return applyConfChange(this.raft, 'changes' in change ? change : asConfChangeV2(change))
  }

  /**
   * Asks for a read state with this context, which is unique among this member's requests, also those before a restart. The answer may never
   * come (no leader, lost message): then ask again with a new context.
   */
  readIndex(context: Uint8Array): void {
    step(this.raft, makeMessage({ type: 'MsgReadIndex', from: this.raft.id, entries: [{ type: entryTypes.normal, term: 0, index: 0, data: context }] }))
  }

  /** Asks the leader to hand over to this member. It gives up after an election timeout. */
  transferLeadership(transferee: bigint): void { step(this.raft, makeMessage({ type: 'MsgTransferLeader', from: transferee })) }

  /** The transport could not deliver to this member. */
  reportUnreachable(id: bigint): void { step(this.raft, makeMessage({ type: 'MsgUnreachable', from: id })) }

  /** The fate of a MsgSnap: the transport must say it, or the follower gets nothing any more. */
  reportSnapshot(id: bigint, outcome: 'delivered' | 'failed'): void { step(this.raft, makeMessage({ type: 'MsgSnapStatus', from: id, reject: outcome === 'failed' })) }

  /** The shell knows that the leader is gone: this member may vote at once. */
  forgetLeader(): void { step(this.raft, makeMessage({ type: 'MsgForgetLeader', from: this.raft.id })) }

  /**
   * The shell knows that the leader's process has ended. This member votes at once, and asks for votes within a few ticks, not all members at the
   * same moment. If the shell is wrong the others, who hear the leader, refuse the pre-vote; without pre-vote this member waits as ever.
   */
  leaderEnded(): void {
    const { raft } = this
    if (raft.role !== 'follower' || raft.leader === noMember) return
    this.forgetLeader()
    if (!raft.config.preVote) return
    raft.electionElapsed = Math.max(raft.electionElapsed, raft.randomizedElectionTicks - 1 - randomInteger(raft.config.random, hurriedTicks))
  }

  status(): RaftStatus { return statusOf(this.raft) }

  hasReady(): boolean {
    if (this.#pending !== undefined) return false
    const { raft } = this
    const { unstable } = raft.log
    return unstable.entries.length > 0 || unstable.snapshot !== undefined || raft.outbox.length > 0 || raft.outboxAfterPersist.length > 0
      || raft.readStates.length > 0 || raft.ownVotePending || raft.log.hasCommittedToTake(raft.config.maxApplyingBytes)
      || !isSameHardState(raft.hardState(), this.#hardState) || this.#changedSoftState() !== undefined
  }

  #changedSoftState(): SoftState | undefined {
    const { leader, role } = this.raft
    return leader === this.#softState.leader && role === this.#softState.role ? undefined : { leader, role }
  }

  /** What is to be done now; one at a time, until `advance`. */
  ready(): Ready {
    assert(this.#pending === undefined, 'the ready before is advanced first')
    const { raft } = this
    const { log } = raft
    const hardState = raft.hardState()
    const entries = log.unstable.entries.length > 0 ? [...log.unstable.entries] : noEntries
    const { snapshot } = log.unstable
    const changed = !isSameHardState(hardState, this.#hardState)
    const committedEntries = log.takeCommitted(raft.config.maxApplyingBytes)
    if (raft.role === 'leader') raft.uncommittedBytes = Math.max(0, raft.uncommittedBytes - payloadBytes(committedEntries))
    const softState = this.#changedSoftState()
    this.#softState = softState ?? this.#softState
    this.#pending = {
      softState, hardState: changed ? hardState : undefined, entries, snapshot,
      mustSync: entries.length > 0 || snapshot !== undefined || hardState.term !== this.#hardState.term || hardState.vote !== this.#hardState.vote,
      messages: raft.outbox, messagesAfterPersist: raft.outboxAfterPersist, committedEntries, readStates: raft.readStates,
    }
    raft.outbox = []
    raft.outboxAfterPersist = []
    raft.readStates = []
    return this.#pending
  }

  /** Everything that the last ready wanted written is on disk and in the storage, its snapshot is the state. */
  advance(): void {
    const ready = this.#pending
    assert(ready !== undefined, 'advance follows ready')
    const { raft } = this
    this.#pending = undefined
    this.#hardState = ready.hardState ?? this.#hardState
    const last = ready.entries.at(-1)
    if (last !== undefined) raft.log.unstable.stableTo(last.index, last.term)
    if (ready.snapshot !== undefined) raft.log.snapshotInstalled(ready.snapshot.metadata.index)
    // A vote or a term that came after ready() is not on disk yet.
    if (raft.term === this.#hardState.term && raft.vote === this.#hardState.vote) ownDiskCaughtUp(raft)
  }

  /** The state machine has applied everything up to `index`. */
  appliedTo(index: number): void {
    this.raft.log.appliedTo(index)
    leaveJointByItself(this.raft)
  }
}

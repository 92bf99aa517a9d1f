// A leader: takes proposals and reads, and drives each follower by its answers.
import { assert, unreachable } from '../../../lib/base/assert.ts'
import { confChangeOf } from './conf-change.ts'
import { changeMembership, removesVoter } from './membership-change.ts'
import { noMember, type Message } from './messages.ts'
import type { Progress } from './progress.ts'
import type { Raft } from './raft.ts'
import { recordReadAnswer, releaseEarlyReads, requestReadIndex } from './read-index.ts'
import { appendOwnEntries, broadcastAppend, broadcastHeartbeat, maybeCommit, sendAppend } from './replication.ts'
import { stepOk, type ProposalRefusal, type StepResult } from './step-result.ts'

export function stepLeader(raft: Raft, message: Message): StepResult {
  switch (message.type) {
    case 'MsgBeat': broadcastHeartbeat(raft); return stepOk
    case 'MsgCheckQuorum': checkQuorum(raft); return stepOk
    case 'MsgProp': return takeProposal(raft, message)
    case 'MsgReadIndex': requestReadIndex(raft, message); return stepOk
    case 'MsgApp': case 'MsgSnap': case 'MsgHeartbeat':
      assert(false, `one leader a term: term ${raft.term} has ${raft.id} and ${message.from}`)
      return stepOk
    default:
  }
  const progress = raft.tracker.progress.get(message.from)
  if (progress === undefined) return stepOk
  switch (message.type) {
    case 'MsgAppResp': takeAppendAnswer(raft, message, progress); break
    case 'MsgHeartbeatResp': takeHeartbeatAnswer(raft, message, progress); break
    case 'MsgSnapStatus': takeSnapshotStatus(message, progress); break
    case 'MsgUnreachable':
      // Appends on their way are probably lost: find out where it stands before sending more.
      if (progress.state === 'replicate') progress.becomeProbe()
      break
    case 'MsgTransferLeader': transferLeadership(raft, message.from, progress); break
    default:
  }
  return stepOk
}

function checkQuorum(raft: Raft): void {
  if (!raft.tracker.isQuorumActive(raft.id)) {
    raft.becomeFollower(raft.term, noMember)
    return
  }
  for (const [id, progress] of raft.tracker.progress) if (id !== raft.id) progress.recentActive = false
}

function takeProposal(raft: Raft, message: Message): StepResult {
  const refusal = proposalRefusal(raft, message)
  if (refusal !== undefined) return { type: 'dropped', reason: refusal }
  const last = raft.log.lastIndex()
  if (!appendOwnEntries(raft, message.entries)) return { type: 'dropped', reason: 'tooMuchUncommitted' }
  message.entries.forEach((entry, i) => {
    const change = confChangeOf(entry)
    if (change === undefined) return
    raft.pendingConfIndex = last + 1 + i
    raft.isLeaving = removesVoter(raft.tracker.config, change, raft.id)
  })
  broadcastAppend(raft)
  return stepOk
}

function proposalRefusal(raft: Raft, message: Message): ProposalRefusal | undefined {
  assert(message.entries.length > 0, 'a proposal has an entry')
  if (raft.isLeaving) return 'leaving'
  if (raft.transferee !== noMember) return 'transferring'
  const changes = message.entries.flatMap((entry) => confChangeOf(entry) ?? [])
  if (changes.length === 0) return undefined
  // One at a time: the next is judged by the membership that the one before leaves.
  if (changes.length > 1 || raft.pendingConfIndex > raft.log.applied) return 'confChangePending'
  return changes[0] !== undefined && changeMembership(raft.tracker.config, changes[0]).type === 'changed' ? undefined : 'confChangeRefused'
}

function takeAppendAnswer(raft: Raft, message: Message, progress: Progress): void {
  const { log } = raft
  const { from } = message
  progress.recentActive = true
  if (message.reject) {
    // The follower has nothing beyond the hint that could match; the leader in turn skips what is of a higher term than the hint's.
    const hint = message.logTerm > 0 ? log.findConflictByTerm(message.rejectHint, message.logTerm).index : message.rejectHint
    if (!progress.maybeDecrease(message.index, hint)) return
    if (progress.state === 'replicate') progress.becomeProbe()
    sendAppend(raft, from, progress, true)
    return
  }
  assert(message.index <= log.lastIndex(), 'a follower acknowledges only what the leader sent')
  const isNews = progress.maybeUpdate(message.index)
  if (!isNews && !(progress.match === message.index && progress.state === 'probe')) return
  switch (progress.state) {
    case 'probe': progress.becomeReplicate(); break
    case 'snapshot':
      // Whether by the snapshot or otherwise: the rest is in the log.
      if (progress.match + 1 >= log.firstIndex()) progress.becomeReplicate()
      break
    case 'replicate': progress.inflights.freeUpTo(message.index); break
    default: unreachable(progress.state)
  }
  if (maybeCommit(raft)) {
    releaseEarlyReads(raft)
    broadcastAppend(raft)
  } else if (progress.canBumpCommit(log.committed)) sendAppend(raft, from, progress, true)
  while (sendAppend(raft, from, progress, false)) { /* as many as the window takes */ }
  if (from === raft.transferee && progress.match === log.lastIndex()) raft.send({ type: 'MsgTimeoutNow', to: from })
}

function takeHeartbeatAnswer(raft: Raft, message: Message, progress: Progress): void {
  progress.recentActive = true
  progress.flowPaused = false
  // Alive, yet behind: an append or its answer got lost.
  if (progress.match < raft.log.lastIndex() || progress.state === 'probe') sendAppend(raft, message.from, progress, true)
  if (message.context !== undefined) recordReadAnswer(raft, message.from, message.context)
}

function takeSnapshotStatus(message: Message, progress: Progress): void {
  if (progress.state !== 'snapshot') return
  if (message.reject) progress.pendingSnapshot = 0
  progress.becomeProbe()
  // Delivered: its answer comes. Failed: not again at once, the next heartbeat's answer tries.
  progress.flowPaused = true
}

function transferLeadership(raft: Raft, transferee: bigint, progress: Progress): void {
  if (progress.isLearner || transferee === raft.id || raft.transferee === transferee) return
  raft.transferee = transferee
  // One election timeout for it, counted from here.
  raft.electionElapsed = 0
  if (progress.match === raft.log.lastIndex()) raft.send({ type: 'MsgTimeoutNow', to: transferee })
  else sendAppend(raft, transferee, progress, true)
}

// Standing for election: first by a question that changes nothing (pre-vote), then with a new term.
import { assert } from '../../../lib/base/assert.ts'
import { confChangeOf } from './conf-change.ts'
import { isVoterOf, removesVoter } from './membership-change.ts'
import { campaignTransferContext, entryTypes, isSameBytes, noBytes, noMember, type Message } from './messages.ts'
import type { Raft } from './raft.ts'
import { releaseEarlyReads } from './read-index.ts'
import { appendOwnEntries, broadcastAppend, maybeCommit } from './replication.ts'

export type CampaignType = 'preElection' | 'election' | 'transfer'

/** Begins a campaign if this member may have one. */
export function startCampaign(raft: Raft, type: CampaignType): void {
  if (raft.role === 'leader' || !raft.isPromotable() || raft.log.hasUnappliedConfChange()) return
  campaign(raft, type)
}

function campaign(raft: Raft, type: CampaignType): void {
  if (type === 'preElection') raft.becomePreCandidate()
  else raft.becomeCandidate()
  const isPreVote = type === 'preElection'
  const last = raft.log.lastEntryId()
  // A pre-vote asks for the term that would come.
  const term = isPreVote ? raft.term + 1 : raft.term
  const context = type === 'transfer' ? campaignTransferContext : undefined
  for (const id of raft.tracker.progress.keys()) {
    if (id === raft.id || !isVoterOf(raft.tracker.config, id)) continue
    raft.send({ type: isPreVote ? 'MsgPreVote' : 'MsgVote', to: id, term, index: last.index, logTerm: last.term, context })
  }
  // The vote for itself is a promise like any other: it counts when it is on disk. A pre-vote promises nothing.
  if (isPreVote) recordVote(raft, raft.id, true)
  else raft.ownVotePending = true
}

export function recordVote(raft: Raft, from: bigint, granted: boolean): void {
  raft.tracker.recordVote(from, granted)
  switch (raft.tracker.tallyVotes()) {
    case 'won':
      if (raft.role === 'preCandidate') campaign(raft, 'election')
      else takeOffice(raft)
      return
    case 'lost':
      raft.becomeFollower(raft.term, noMember)
      return
    case 'pending':
  }
}

function takeOffice(raft: Raft): void {
  const pending = raft.log.confChangesIn(raft.log.committed + 1, raft.log.lastIndex())
  raft.becomeLeader()
  // Its own removal may be in the log from an earlier term.
  raft.isLeaving = pending.some((entry) => {
    const change = confChangeOf(entry)
    return change !== undefined && removesVoter(raft.tracker.config, change, raft.id)
  })
  // Nothing of older terms is committed by count: an entry of the own term takes it along.
  assert(appendOwnEntries(raft, [{ type: entryTypes.normal, data: noBytes }]), 'an empty entry is never refused')
  broadcastAppend(raft)
}

/** What was written is on disk: the own vote counts now, and a leader's own entries do. */
export function ownDiskCaughtUp(raft: Raft): void {
  if (raft.role === 'candidate' && raft.ownVotePending) {
    raft.ownVotePending = false
    recordVote(raft, raft.id, true)
  }
  if (raft.role !== 'leader') return
  if (raft.tracker.progress.get(raft.id)?.maybeUpdate(raft.log.stableIndex()) && maybeCommit(raft)) {
    releaseEarlyReads(raft)
    broadcastAppend(raft)
  }
}

/** Whether the message may be ignored because a leader was heard within the election timeout (thesis 4.2.3). */
export function isProtectedByLeader(raft: Raft, message: Message): boolean {
  const isForced = isSameBytes(message.context, campaignTransferContext)
  return !isForced && raft.config.checkQuorum && raft.leader !== noMember && raft.electionElapsed < raft.config.electionTicks
}

/** A question for the vote, of this term or (pre-vote) a later one. */
export function answerVote(raft: Raft, message: Message): void {
  const isPreVote = message.type === 'MsgPreVote'
  const canVote = raft.vote === message.from || (raft.vote === noMember && raft.leader === noMember) || (isPreVote && message.term > raft.term)
  const granted = canVote && raft.log.isUpToDate({ term: message.logTerm, index: message.index })
  // Learners vote too when asked: who asks may know that they are voters before they do.
  raft.send({ type: isPreVote ? 'MsgPreVoteResp' : 'MsgVoteResp', to: message.from, term: granted ? message.term : raft.term, reject: !granted })
  if (granted && !isPreVote) {
    raft.electionElapsed = 0
    raft.vote = message.from
  }
}

// One message, one step. Terms are settled first, for all roles alike: a higher one makes a follower, a lower one is out of date. Then votes,
// then what the role does with the message.
import { unreachable } from '../../../lib/base/assert.ts'
import { answerVote, isProtectedByLeader, startCampaign } from './election.ts'
import { noMember, type Message } from './messages.ts'
import type { Raft } from './raft.ts'
import { stepCandidate } from './step-candidate.ts'
import { stepFollower } from './step-follower.ts'
import { stepLeader } from './step-leader.ts'
import { stepOk, type StepResult } from './step-result.ts'

export function step(raft: Raft, message: Message): StepResult {
  if (message.term > raft.term && !takeHigherTerm(raft, message)) return stepOk
  if (message.term > 0 && message.term < raft.term) {
    answerLowerTerm(raft, message)
    return stepOk
  }
  switch (message.type) {
    case 'MsgHup': startCampaign(raft, raft.config.preVote ? 'preElection' : 'election'); return stepOk
    case 'MsgVote': case 'MsgPreVote': answerVote(raft, message); return stepOk
    default:
  }
  switch (raft.role) {
    case 'follower': return stepFollower(raft, message)
    case 'preCandidate': case 'candidate': return stepCandidate(raft, message)
    case 'leader': return stepLeader(raft, message)
    default: return unreachable(raft.role)
  }
}

/** False when the message is not to be heard at all. */
function takeHigherTerm(raft: Raft, message: Message): boolean {
  const { type, term } = message
  if ((type === 'MsgVote' || type === 'MsgPreVote') && isProtectedByLeader(raft, message)) return false
  // Neither a pre-vote nor its grant is of a term that exists.
  if (type === 'MsgPreVote' || (type === 'MsgPreVoteResp' && !message.reject)) return true
  const isFromLeader = type === 'MsgApp' || type === 'MsgHeartbeat' || type === 'MsgSnap'
  raft.becomeFollower(term, isFromLeader ? message.from : noMember)
  return true
}

function answerLowerTerm(raft: Raft, message: Message): void {
  const { type, from } = message
  if ((type === 'MsgHeartbeat' || type === 'MsgApp') && (raft.config.checkQuorum || raft.config.preVote)) {
    // With these two a member of a higher term isn't heard by its candidacy: the answer's term makes the old leader step down.
    raft.send({ type: 'MsgAppResp', to: from })
  } else if (type === 'MsgPreVote') {
    // Who asks may be stuck in an old term.
    raft.send({ type: 'MsgPreVoteResp', to: from, term: raft.term, reject: true })
  }
}

// A pre-candidate or candidate: counts answers of its own kind of election, and gives way to a leader of its term.
import { recordVote } from './election.ts'
import { takeAppend, takeHeartbeat, takeSnapshot } from './follow-leader.ts'
import type { Message } from './messages.ts'
import type { Raft } from './raft.ts'
import { stepOk, type StepResult } from './step-result.ts'

export function stepCandidate(raft: Raft, message: Message): StepResult {
  switch (message.type) {
    case 'MsgProp': return { type: 'dropped', reason: 'noLeader' }
    case 'MsgApp': raft.becomeFollower(message.term, message.from); takeAppend(raft, message); return stepOk
    case 'MsgHeartbeat': raft.becomeFollower(message.term, message.from); takeHeartbeat(raft, message); return stepOk
    case 'MsgSnap': raft.becomeFollower(message.term, message.from); takeSnapshot(raft, message); return stepOk
    case 'MsgVoteResp':
      if (raft.role === 'candidate') recordVote(raft, message.from, !message.reject)
      return stepOk
    case 'MsgPreVoteResp':
      if (raft.role === 'preCandidate') recordVote(raft, message.from, !message.reject)
      return stepOk
    default: return stepOk
  }
}

// A follower: takes the leader's entries, heartbeats and snapshots, and passes on to it what only it can do.
import { startCampaign } from './election.ts'
import { takeAppend, takeHeartbeat, takeSnapshot } from './follow-leader.ts'
import { noBytes, noMember, type Message } from './messages.ts'
import type { Raft } from './raft.ts'
import { stepOk, type StepResult } from './step-result.ts'

export function stepFollower(raft: Raft, message: Message): StepResult {
  switch (message.type) {
    case 'MsgProp':
      if (raft.leader === noMember) return { type: 'dropped', reason: 'noLeader' }
      if (raft.config.disableProposalForwarding) return { type: 'dropped', reason: 'forwardingDisabled' }
      raft.send({ ...message, term: undefined, to: raft.leader, from: message.from === noMember ? raft.id : message.from })
      return stepOk
    case 'MsgApp': hearLeader(raft, message); takeAppend(raft, message); return stepOk
    case 'MsgHeartbeat': hearLeader(raft, message); takeHeartbeat(raft, message); return stepOk
    case 'MsgSnap': hearLeader(raft, message); takeSnapshot(raft, message); return stepOk
    case 'MsgReadIndex':
      if (raft.leader !== noMember) raft.send({ ...message, term: undefined, to: raft.leader, from: message.from === noMember ? raft.id : message.from })
      return stepOk
    case 'MsgReadIndexResp':
      if (message.entries.length === 1) raft.readStates.push({ index: message.index, context: message.entries[0]?.data ?? noBytes })
      return stepOk
    case 'MsgTransferLeader':
      if (raft.leader !== noMember) raft.send({ type: 'MsgTransferLeader', to: raft.leader, from: message.from })
      return stepOk
    // The leader says: now, you. No pre-vote, since nothing is wrong with the leader.
    case 'MsgTimeoutNow': startCampaign(raft, 'transfer'); return stepOk
    case 'MsgForgetLeader': raft.leader = noMember; return stepOk
    default: return stepOk
  }
}

function hearLeader(raft: Raft, message: Message): void {
  raft.electionElapsed = 0
  raft.leader = message.from
}

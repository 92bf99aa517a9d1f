// A membership change takes effect when its entry is applied, on every member at the same place of the log.
import { assert } from '../../../lib/base/assert.ts'
import { leaveJointChange, encodeConfChangeV2, type ConfChangeV2 } from './conf-change.ts'
import { changeMembership, isVoterOf } from './membership-change.ts'
import { entryTypes, makeMessage, noMember, type ConfState } from './messages.ts'
import type { Raft } from './raft.ts'
import { releaseEarlyReads } from './read-index.ts'
import { broadcastAppend, maybeCommit } from './replication.ts'
import { step } from './step.ts'

export function applyConfChange(raft: Raft, change: ConfChangeV2): ConfState {
  const result = changeMembership(raft.tracker.config, change)
  assert(result.type === 'changed', 'the leader took only changes that are possible')
  raft.setMembership(result.config, 'keep')
  const confState = raft.tracker.confState()
  if (raft.role !== 'leader') return confState
  if (!isVoterOf(result.config, raft.id)) {
    raft.isLeaving = raft.hasLeft = true
    raft.electionElapsed = 0
  }
  if (raft.transferee !== noMember && !isVoterOf(result.config, raft.transferee)) raft.transferee = noMember
  // A smaller quorum may have what the larger one hadn't; new members get their first append.
  if (maybeCommit(raft)) {
    releaseEarlyReads(raft)
    broadcastAppend(raft)
  } else broadcastAppend(raft, false)
  return confState
}

/** A joint configuration that leaves by itself does so once it is applied; when the proposal isn't taken, the next tick tries again. */
export function leaveJointByItself(raft: Raft): void {
  if (raft.role !== 'leader' || !raft.tracker.config.autoLeave || raft.log.applied < raft.pendingConfIndex) return
  step(raft, makeMessage({ type: 'MsgProp', from: raft.id, entries: [{ type: entryTypes.confChangeV2, term: 0, index: 0, data: encodeConfChangeV2(leaveJointChange) }] }))
}

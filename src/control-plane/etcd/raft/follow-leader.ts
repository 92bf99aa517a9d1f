// What a follower does with the leader's messages. Every acknowledgement waits in the outbox until the disk has what it promises.
import { membershipOf } from './membership-change.ts'
import { noMember, type ConfState, type Message, type Snapshot } from './messages.ts'
import type { Raft } from './raft.ts'

export function takeAppend(raft: Raft, message: Message): void {
  const { log } = raft
  const { from, index, logTerm } = message
  if (index < log.committed) {
    raft.send({ type: 'MsgAppResp', to: from, index: log.committed })
    return
  }
  const matched = log.maybeAppend({ index, term: logTerm }, message.entries, message.commit)
  if (matched !== undefined) {
    raft.send({ type: 'MsgAppResp', to: from, index: matched })
    return
  }
  // The hint skips everything here of a higher term than the leader's entry at that place: it can't be the leader's.
  const hint = log.findConflictByTerm(Math.min(index, log.lastIndex()), logTerm)
  raft.send({ type: 'MsgAppResp', to: from, index, reject: true, rejectHint: hint.index, logTerm: hint.term })
}

export function takeHeartbeat(raft: Raft, message: Message): void {
  raft.log.commitTo(message.commit)
  raft.send({ type: 'MsgHeartbeatResp', to: message.from, context: message.context })
}

export function takeSnapshot(raft: Raft, message: Message): void {
  const { snapshot } = message
  if (snapshot === undefined) return
  const taken = restoreSnapshot(raft, snapshot)
  raft.send({ type: 'MsgAppResp', to: message.from, index: taken ? raft.log.lastIndex() : raft.log.committed })
}

/** True when the log is the snapshot now; false when it wasn't needed. */
function restoreSnapshot(raft: Raft, snapshot: Snapshot): boolean {
  const { index, term, confState } = snapshot.metadata
  const { log } = raft
  if (index <= log.committed || !isMember(confState, raft.id)) return false
  if (log.matchTerm({ index, term })) {
    // The log holds all of it: only the commit is news.
    log.commitTo(index)
    return false
  }
  log.restore(snapshot)
  raft.setMembership(membershipOf(confState), 'fresh')
  return true
}

function isMember(state: ConfState, id: bigint): boolean {
  return id !== noMember && [state.voters, state.learners, state.votersOutgoing, state.learnersNext].some((ids) => ids.includes(id))
}

// The passing of time, in ticks: followers and candidates wait for an election, leaders send heartbeats and check that they are heard.
import { makeMessage, noMember } from './messages.ts'
import type { Raft } from './raft.ts'
import { step } from './step.ts'
import { leaveJointByItself } from './switch-membership.ts'

export function tick(raft: Raft): void {
  if (raft.role === 'leader') tickLeader(raft)
  else tickElection(raft)
}

function tickElection(raft: Raft): void {
  raft.electionElapsed++
  if (!raft.isPromotable() || raft.electionElapsed < raft.randomizedElectionTicks) return
  raft.electionElapsed = 0
  step(raft, makeMessage({ type: 'MsgHup', from: raft.id }))
}

function tickLeader(raft: Raft): void {
  raft.heartbeatElapsed++
  raft.electionElapsed++
  if (raft.electionElapsed >= raft.config.electionTicks) {
    raft.electionElapsed = 0
    if (raft.hasLeft) {
      raft.becomeFollower(raft.term, noMember)
      return
    }
    if (raft.config.checkQuorum) step(raft, makeMessage({ type: 'MsgCheckQuorum', from: raft.id }))
    // The transfer took too long: this member leads on.
    raft.transferee = noMember
  }
  if (raft.role !== 'leader') return
  if (raft.heartbeatElapsed >= raft.config.heartbeatTicks) {
    raft.heartbeatElapsed = 0
    step(raft, makeMessage({ type: 'MsgBeat', from: raft.id }))
  }
  leaveJointByItself(raft)
}

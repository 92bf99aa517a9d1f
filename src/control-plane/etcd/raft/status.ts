// A picture of a member for people and metrics: copies, nothing that changes later.
import type { ConfState } from './messages.ts'
import type { ProgressState } from './progress.ts'
import type { Raft, RaftRole } from './raft.ts'

export interface ProgressStatus {
  readonly id: bigint
  readonly match: number
  readonly next: number
  readonly state: ProgressState
  readonly isLearner: boolean
  readonly isPaused: boolean
  readonly recentActive: boolean
  readonly inflightCount: number
  readonly pendingSnapshot: number
}

export interface RaftStatus {
  readonly id: bigint
  readonly role: RaftRole
  readonly term: number
  readonly vote: bigint
  readonly leader: bigint
  readonly transferee: bigint
  readonly committed: number
  readonly applied: number
  readonly firstIndex: number
  readonly lastIndex: number
  readonly confState: ConfState
  /** At the leader: what it knows of each member; empty elsewhere. */
  readonly progress: readonly ProgressStatus[]
}

export function statusOf(raft: Raft): RaftStatus {
  const progress = raft.role !== 'leader' ? [] : Array.from(raft.tracker.progress, ([id, p]): ProgressStatus => ({
    id, match: p.match, next: p.next, state: p.state, isLearner: p.isLearner, isPaused: p.isPaused, recentActive: p.recentActive,
    inflightCount: p.inflights.count, pendingSnapshot: p.pendingSnapshot,
  }))
  return {
    id: raft.id, role: raft.role, term: raft.term, vote: raft.vote, leader: raft.leader, transferee: raft.transferee, committed: raft.log.committed,
    applied: raft.log.applied, firstIndex: raft.log.firstIndex(), lastIndex: raft.log.lastIndex(), confState: raft.tracker.confState(), progress,
  }
}

// The active membership, the leader's view of each member in it, and the votes of the running election.
// Upstream: raft/tracker/tracker.go
import type { ConfState } from './messages.ts'
import type { Progress } from './progress.ts'
import { committedIndex, voteResult, type JointVoters, type VoteResult } from './quorum.ts'

/** Who takes part. Learners and voters never overlap; `learnersNext` are in the outgoing half and wait for it to go. */
export interface MembershipConfig {
  readonly voters: JointVoters
  readonly learners: ReadonlySet<bigint>
  readonly learnersNext: ReadonlySet<bigint>
  readonly autoLeave: boolean
}

export const emptyMembership: MembershipConfig = { voters: [new Set(), new Set()], learners: new Set(), learnersNext: new Set(), autoLeave: false }

export function isJoint(config: MembershipConfig): boolean { return config.voters[1].size > 0 }

export class ProgressTracker {
  config: MembershipConfig = emptyMembership
  /** All members, in the order of their ids. */
  progress: ReadonlyMap<bigint, Progress> = new Map()
  #votes = new Map<bigint, boolean>()

  /** This member alone decides everything. */
  isSingleton(id: bigint): boolean { return this.config.voters[0].size === 1 && this.config.voters[0].has(id) && !isJoint(this.config) }

  /** The highest index on a quorum's disks. */
  committed(): number { return committedIndex(this.config.voters, (id) => this.progress.get(id)?.match ?? 0) }

  hasQuorum(members: ReadonlySet<bigint>): boolean { return voteResult(this.config.voters, (id) => members.has(id)) === 'won' }

  /** A quorum, this member included, was heard since the last check. */
  isQuorumActive(self: bigint): boolean {
    return voteResult(this.config.voters, (id) => id === self || (this.progress.get(id)?.recentActive ?? false)) === 'won'
  }

  resetVotes(): void { this.#votes = new Map() }
  /** The first answer of a member counts. */
  recordVote(id: bigint, granted: boolean): void { if (!this.#votes.has(id)) this.#votes.set(id, granted) }
  tallyVotes(): VoteResult { return voteResult(this.config.voters, (id) => this.#votes.get(id)) }

  confState(): ConfState {
    const sorted = (ids: ReadonlySet<bigint>): readonly bigint[] => [...ids].sort((a, b) => (a < b ? -1 : 1))
    return {
      voters: sorted(this.config.voters[0]), votersOutgoing: sorted(this.config.voters[1]),
      learners: sorted(this.config.learners), learnersNext: sorted(this.config.learnersNext), autoLeave: this.config.autoLeave,
    }
  }
}

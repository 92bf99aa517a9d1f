// What a member is told at its start. Time is counted in ticks, whose length the shell chooses. Upstream: raft.Config
import { assert } from '../../../lib/base/assert.ts'
import type { Random } from '../../../lib/base/random.ts'
import { noMember } from './messages.ts'
import type { RaftStorage } from './storage.ts'

export interface RaftConfig {
  readonly id: bigint
  readonly storage: RaftStorage
  /** Where the spread of election timeouts comes from. */
  readonly random: Random
  /** Ticks without a leader before an election; each wait is drawn from [electionTicks, 2 × electionTicks). etcd: 10. */
  readonly electionTicks: number
  /** Ticks between two heartbeats; well below electionTicks. etcd: 1. */
  readonly heartbeatTicks: number
  /** Ask before disturbing: an election begins only when a quorum would vote (thesis 9.6). Default true. */
  readonly preVote?: boolean
  /** A leader that hears no quorum for an election timeout steps down, and members that hear a leader ignore candidates. Default true. */
  readonly checkQuorum?: boolean
  /** Bytes of entries in one append. Small: more round trips when catching up; large: a slow network is blocked longer. 0: one entry. Default 1 MiB. */
  readonly maxMessageBytes?: number
  /** Appends on their way to one follower, in messages and bytes. Enough to fill the network's delay times bandwidth. Defaults 512 and none (0). */
  readonly maxInflightMessages?: number
  readonly maxInflightBytes?: number
  /** Size of committed entries that the shell may hold for applying. Default 64 MiB. */
  readonly maxApplyingBytes?: number
  /** Payload of entries that wait for their commit at the leader: beyond it proposals are refused. Default: no bound. */
  readonly maxUncommittedBytes?: number
  /** Requests for a read index that wait at the leader for its first commit or a quorum. Beyond it they are dropped; who asked asks again. Default 65,536. */
  readonly maxPendingReads?: number
  /** A follower refuses proposals instead of sending them to the leader. Default false. */
  readonly disableProposalForwarding?: boolean
}

export type FullRaftConfig = Required<RaftConfig>

export function completeConfig(config: RaftConfig): FullRaftConfig {
  const full: FullRaftConfig = {
    preVote: true, checkQuorum: true, maxMessageBytes: 1 << 20, maxInflightMessages: 512, maxInflightBytes: 0, maxApplyingBytes: 64 << 20,
    maxUncommittedBytes: Infinity, maxPendingReads: 65_536, disableProposalForwarding: false, ...config,
  }
  assert(full.id !== noMember, 'a member has an id')
  assert(full.heartbeatTicks > 0 && full.electionTicks > full.heartbeatTicks, 'elections take longer than heartbeats')
  assert(full.maxInflightMessages > 0 && full.maxApplyingBytes > 0, 'something may be on its way')
  assert(full.maxInflightBytes === 0 || full.maxInflightBytes >= full.maxMessageBytes, 'one message fits into the window')
  return full
}

// What the HTTP side says of the cluster: who leads, who belongs to it, which version it runs.
import type { EtcdInternals } from '../embedded.ts'
import { etcdClusterVersion } from '../version.ts'

export interface RaftView {
  readonly isLeader: boolean
  readonly isLearner: boolean
  readonly committedIndex: number
  readonly appliedIndex: number
}

export interface MemberView {
  readonly id: bigint
  readonly name: string
  readonly peerUrls: readonly string[]
  readonly clientUrls: readonly string[]
  readonly isLearner: boolean
}

/** 0n: none. */
export function leaderIdOf(etcd: EtcdInternals): bigint { return etcd.member.broken.aborted ? 0n : etcd.member.leaderId }

export function hasLeader(etcd: EtcdInternals): boolean { return leaderIdOf(etcd) !== 0n }

export function raftOf(etcd: EtcdInternals): RaftView {
  const { isLeader, isLearner, committedIndex, appliedIndex, broken } = etcd.member
  return { isLeader: isLeader && !broken.aborted, isLearner, committedIndex, appliedIndex }
}

/** Undefined until the cluster has agreed on one. */
export function clusterVersionOf({ member }: EtcdInternals): string | undefined {
  const { membership } = member.machine
  return membership.clusterVersion ?? (membership.members.size === 0 ? etcdClusterVersion : undefined)
}

/** All members, by id; this one among them. */
export function membersOf({ identity, member, name, peerUrls, clientUrls }: EtcdInternals): readonly MemberView[] {
  const list = member.machine.membership.list()
  return list.length > 0 ? list : [{ id: identity.memberId, name, peerUrls, clientUrls, isLearner: false }]
}

// Whether the cluster could still decide anything after a change of its membership: the strict reconfiguration check.
//
// A member counts as started once it has said its name. A peer counts as connected when it has been heard of for five seconds without a gap.
// These checks look at the moment and at one member's connections: they guard proposals, and are no part of applying an entry.
// Upstream: etcd/server/etcdserver/server.go (mayAddMember, mayRemoveMember), api/membership/cluster.go (IsReadyTo…)
import { etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type { ClusterMember } from './cluster-member.ts'

/** How the member that is asked sees the others. */
export interface ReconfigurationView {
  /** `--strict-reconfig-check`. */
  readonly isStrict: boolean
  readonly selfId: bigint
  /** Monotonic, the clock of `activeSinceMs`. */
  readonly nowMs: number
  /** PeerTransport's. */
  activeSinceMs(id: bigint): number | undefined
}

/** A learner's log beside the leader's: indexes up to which both are known to have it. */
export interface LearnerProgress {
  readonly learnerMatch: number
  readonly leaderMatch: number
}

const healthyMs = 5000
const readyShare = 0.9

/** @throws EtcdError not enough started members, unhealthy cluster */
export function checkQuorumAfterAdd(members: readonly ClusterMember[], added: ClusterMember, view: ReconfigurationView): void {
  if (!view.isStrict) return
  const voters = votersOf(members)
  const started = voters.filter(isStarted).length
  // One member restored from a backup may be joined by a second although both are then needed.
  const grows = voters.length === 1 && started === 1
  if (!added.isLearner && !grows && started < quorumOf(voters.length + 1)) throw etcdError('memberNotEnoughStarted')
  if (voters.length !== 1 && connectedCount(voters, view) < quorumOf(voters.length + 1)) throw etcdError('unhealthy')
}

/** @throws EtcdError not enough started members, unhealthy cluster */
export function checkQuorumAfterRemove(members: readonly ClusterMember[], id: bigint, view: ReconfigurationView): void {
  if (!view.isStrict || members.some((member) => member.id === id && member.isLearner)) return
  const voters = votersOf(members)
  const rest = voters.filter((member) => member.id !== id)
  if (rest.filter(isStarted).length < quorumOf(rest.length)) throw etcdError('memberNotEnoughStarted')
  // One that is down takes nothing away from those that are up.
  if (id !== view.selfId && view.activeSinceMs(id) === undefined) return
  if (connectedCount(voters, view) - 1 < quorumOf(voters.length - 1)) throw etcdError('unhealthy')
}

/** @param progress the leader's knowledge; undefined: the asked member does not lead. @throws EtcdError not leader, member not found, learner not ready, not enough started members */
export function checkPromotable(members: readonly ClusterMember[], progress: LearnerProgress | 'unknownMember' | undefined, isStrict: boolean): void {
  if (progress === undefined) throw etcdError('notLeader')
  if (progress === 'unknownMember') throw etcdError('memberNotFound')
  if (progress.learnerMatch / progress.leaderMatch < readyShare) throw etcdError('learnerNotReady')
  if (!isStrict) return
  const voters = votersOf(members)
  // The learner itself has started: it follows.
  if (voters.filter(isStarted).length + 1 < quorumOf(voters.length + 1)) throw etcdError('memberNotEnoughStarted')
}

/** True when the member has been connected with a majority of voters since before `sinceMs`; what a timeout is blamed on depends on it. */
export function isConnectedToQuorum(members: readonly ClusterMember[], view: Pick<ReconfigurationView, 'selfId' | 'activeSinceMs'>, sinceMs: number): boolean {
  const connected = members.filter((member) => member.id === view.selfId || isConnected(view.activeSinceMs(member.id), sinceMs)).length
  return connected >= quorumOf(members.length)
}

/** The voter that has been connected for longest: who should lead when this one goes. */
export function longestConnected(members: readonly ClusterMember[], view: Pick<ReconfigurationView, 'selfId' | 'activeSinceMs'>): bigint | undefined {
  let best: { readonly id: bigint; readonly sinceMs: number } | undefined
  for (const { id } of votersOf(members)) {
    const sinceMs = id === view.selfId ? undefined : view.activeSinceMs(id)
    if (sinceMs !== undefined && (best === undefined || sinceMs < best.sinceMs)) best = { id, sinceMs }
  }
  return best?.id
}

export function isStarted(member: ClusterMember): boolean { return member.name !== '' }

function votersOf(members: readonly ClusterMember[]): readonly ClusterMember[] { return members.filter((member) => !member.isLearner) }
function quorumOf(count: number): number { return Math.floor(count / 2) + 1 }
function isConnected(activeSinceMs: number | undefined, sinceMs: number): boolean { return activeSinceMs !== undefined && activeSinceMs < sinceMs }

function connectedCount(members: readonly ClusterMember[], view: ReconfigurationView): number {
  return members.filter((member) => member.id === view.selfId || isConnected(view.activeSinceMs(member.id), view.nowMs - healthyMs)).length
}

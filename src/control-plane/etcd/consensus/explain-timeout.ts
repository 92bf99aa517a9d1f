// Why a request took too long, in the original's words: clients and people look for the cause where these point.
// Upstream: etcd/server/etcdserver/v3_server.go, server.go (parseProposeCtxErr)
import { etcdError, type EtcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type { ClusterMember } from '../membership/cluster-member.ts'
import { isConnectedToQuorum } from '../membership/reconfiguration-checks.ts'
import type { PeerTransport } from '../peer/peer-transport.ts'
import { noMember } from '../raft/messages.ts'

export interface TimeoutCircumstances {
  /** Monotonic milliseconds, as all times here. */
  readonly askedMs: number
  /** When the present or last leader was heard of first. */
  readonly leaderSinceMs: number
  readonly electionTimeoutMs: number
  readonly selfId: bigint
  /** `noMember`: none. */
  readonly leaderId: bigint
  readonly members: readonly ClusterMember[]
  readonly transport: PeerTransport | undefined
}

export function explainTimeout({ askedMs, leaderSinceMs, electionTimeoutMs, selfId, leaderId, members, transport }: TimeoutCircumstances): EtcdError {
  if (askedMs > leaderSinceMs - 2 * electionTimeoutMs && askedMs < leaderSinceMs) return etcdError('timeoutLeaderFailed')
  const activeSinceMs = (id: bigint): number | undefined => transport?.activeSinceMs(id)
  if (leaderId === selfId) return etcdError(members.length <= 1 || isConnectedToQuorum(members, { selfId, activeSinceMs }, askedMs) ? 'timeout' : 'timeoutConnectionLost')
  if (leaderId === noMember) return etcdError('timeout')
  const since = activeSinceMs(leaderId)
  return etcdError(since !== undefined && since <= askedMs ? 'timeout' : 'timeoutConnectionLost')
}

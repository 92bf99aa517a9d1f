// What a member asks of others besides Raft, as its servers and its leader need it. Tests have one without a network.
import { etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type { ClusterMember } from '../membership/cluster-member.ts'
import type { PeerClient } from '../peer/peer-client.ts'
import { fetchAllVersions, leaseTimesAtLeader, renewLeaseAtLeader, type LeaseTimes } from '../peer/peer-requests.ts'
import type { PeerTransport } from '../peer/peer-transport.ts'

export interface PeerQuestions {
  /** The time to live in seconds. @throws EtcdError lease not found; others: ask again */
  renewLease(leader: ClusterMember, id: bigint, signal: AbortSignal): Promise<number>
  leaseTimes(leader: ClusterMember, id: bigint, withKeys: boolean, signal: AbortSignal): Promise<LeaseTimes>
  /** By member; undefined for those that can't be asked. */
  serverVersions(members: readonly ClusterMember[], self: bigint, signal: AbortSignal): Promise<ReadonlyMap<bigint, string | undefined>>
}

/** A transport that answers questions too: by itself, or by its HTTP client. */
export type QuestioningTransport = PeerTransport & { readonly questions?: PeerQuestions; readonly client?: PeerClient }

export function questionsOf(transport: QuestioningTransport, timeoutMs: number): PeerQuestions | undefined {
  const { client } = transport
  if (transport.questions || !client) return transport.questions
  return {
    renewLease: (leader, id, signal) => renewLeaseAtLeader(client, leader.peerUrls, id, signal, timeoutMs),
    leaseTimes: (leader, id, withKeys, signal) => leaseTimesAtLeader(client, leader.peerUrls, id, withKeys, signal, timeoutMs),
    serverVersions: async (members, self, signal) => new Map([...(await fetchAllVersions(client, members, self, signal))].map(([id, versions]) => [id, versions?.server])),
  }
}

export const noQuestions: PeerQuestions = {
  renewLease: () => Promise.reject(etcdError('timeoutConnectionLost')), leaseTimes: () => Promise.reject(etcdError('timeoutConnectionLost')),
  serverVersions: () => Promise.resolve(new Map()),
}

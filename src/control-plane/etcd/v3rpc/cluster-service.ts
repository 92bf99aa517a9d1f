// etcdserverpb.Cluster: who belongs to the cluster, and changing it. Headers here say nothing of a revision, as the original's.
// Upstream: etcd/server/etcdserver/api/v3rpc/member.go
import type {
  Member, MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse, MemberPromoteRequest, MemberPromoteResponse, MemberRemoveRequest, MemberRemoveResponse, MemberUpdateRequest,
  MemberUpdateResponse, ResponseHeader,
} from '../../../lib/etcd-api/generated/types.ts'
import type { EtcdInternals } from '../embedded.ts'
import type { ClusterMember } from '../membership/cluster-member.ts'
import { requireAdmin, requireUser, tokenOf, type Peer } from './access.ts'
import { headerOf } from './response-header.ts'

export function clusterImplementation(etcd: EtcdInternals): object {
  const { admin } = etcd
  const header = (): ResponseHeader => {
    const { revision: _revision, ...rest } = headerOf(etcd)
    return rest
  }
  const members = (list = admin.members()): readonly Member[] => list.map(toWire)
  return {
    memberList: async ({ linearizable = false }: MemberListRequest, signal: AbortSignal, peer: Peer): Promise<MemberListResponse> => {
      const list = await admin.list(linearizable, signal)
      requireUser(etcd, peer)
      return { header: header(), members: members(list) }
    },
    memberAdd: async ({ peerURLs = [], isLearner = false }: MemberAddRequest, signal: AbortSignal, peer: Peer): Promise<MemberAddResponse> => {
      requireAdmin(etcd, peer)
      const added = await admin.add(peerURLs, isLearner, signal)
      return { header: header(), member: toWire(added), members: members() }
    },
    memberRemove: async ({ ID = 0n }: MemberRemoveRequest, signal: AbortSignal, peer: Peer): Promise<MemberRemoveResponse> => {
      requireAdmin(etcd, peer)
      await admin.remove(ID, signal)
      return { header: header(), members: members() }
    },
    memberUpdate: async ({ ID = 0n, peerURLs = [] }: MemberUpdateRequest, signal: AbortSignal, peer: Peer): Promise<MemberUpdateResponse> => {
      requireAdmin(etcd, peer)
      await admin.update(ID, peerURLs, signal)
      return { header: header(), members: members() }
    },
    memberPromote: async ({ ID = 0n }: MemberPromoteRequest, signal: AbortSignal, peer: Peer): Promise<MemberPromoteResponse> => {
      requireAdmin(etcd, peer)
      const list = await admin.promote(ID, tokenOf(peer), signal)
      return { header: header(), members: members(list) }
    },
  }
}

function toWire({ id, name, peerUrls, clientUrls, isLearner }: ClusterMember): Member {
  return { ID: id, name, peerURLs: peerUrls, clientURLs: clientUrls, isLearner }
}

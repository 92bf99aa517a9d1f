// etcdserverpb.Cluster, as far as a cluster of one member has something to say.
import { etcdError, EtcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type { Member, MemberListResponse, MemberPromoteRequest, MemberRemoveRequest, MemberUpdateRequest } from '../../../lib/etcd-api/generated/types.ts'
import type { EtcdInternals } from '../embedded.ts'
import { requireAdmin, requireUser, type Peer } from './access.ts'
import { headerOf } from './response-header.ts'

export function clusterImplementation(etcd: EtcdInternals): object {
  const self: Member = { ID: etcd.identity.memberId, name: etcd.name, peerURLs: etcd.peerUrls, clientURLs: etcd.clientUrls }
  const known = (id: bigint | undefined): void => { if (id !== self.ID) throw etcdError('memberNotFound') }
  return {
    memberList: async (_: object, _signal: AbortSignal, peer: Peer): Promise<MemberListResponse> => {
      requireUser(etcd, peer)
      // The original's headers here say nothing of a revision.
      const { revision: _revision, ...header } = headerOf(etcd)
      return { header, members: [self] }
    },
    memberAdd: async (_: object, _signal: AbortSignal, peer: Peer): Promise<never> => {
      requireAdmin(etcd, peer)
      throw new EtcdError('Unimplemented', 'this etcd runs as a single member')
    },
    memberRemove: async (request: MemberRemoveRequest, _signal: AbortSignal, peer: Peer): Promise<never> => {
      requireAdmin(etcd, peer)
      known(request.ID)
      throw etcdError('memberNotEnoughStarted')
    },
    memberUpdate: async (request: MemberUpdateRequest, _signal: AbortSignal, peer: Peer): Promise<never> => {
      requireAdmin(etcd, peer)
      known(request.ID)
      throw new EtcdError('Unimplemented', 'this etcd runs as a single member')
    },
    memberPromote: async (request: MemberPromoteRequest, _signal: AbortSignal, peer: Peer): Promise<never> => {
      requireAdmin(etcd, peer)
      known(request.ID)
      throw etcdError('memberNotLearner')
    },
  }
}

// A member of the cluster, as all members know it. Name and client URLs are empty until it has started and said them.
// Upstream: etcd/server/etcdserver/api/membership/member.go
export interface ClusterMember {
  readonly id: bigint
  readonly name: string
  readonly peerUrls: readonly string[]
  readonly clientUrls: readonly string[]
  readonly isLearner: boolean
}

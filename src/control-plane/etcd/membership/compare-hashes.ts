// Whose keys differ, from hashes that members gave of theirs at one revision. Pure; corruption-checks.ts asks and acts.
// Upstream: etcd/server/etcdserver/corrupt.go

export interface StoreHash {
  readonly hash: number
  readonly revision: number
  readonly compactRevision: number
}

export interface PeerHash extends StoreHash {
  readonly id: bigint
  /** The newest in that store when it was asked. */
  readonly currentRevision: number
}

/** Others whose hash differs where nothing excuses it. */
export function differingPeers(own: StoreHash, peers: readonly PeerHash[]): readonly bigint[] {
  return peers.filter((peer) => peer.compactRevision === own.compactRevision && peer.hash !== own.hash).map((peer) => peer.id)
}

/**
 * The leader's judgement of followers: none may be ahead of it, and where the history is the same, the hashes are.
 * @param later the leader's own, taken after the answers and a confirmed read; @param laterRevision its newest revision then
 */
export function findCorrupt(selfId: bigint, first: StoreHash, peers: readonly PeerHash[], later: StoreHash, laterRevision: number): bigint | undefined {
  if (later.hash !== first.hash && later.revision === first.revision && later.compactRevision === first.compactRevision) return selfId
  return peers.find((peer) => peer.currentRevision > laterRevision || peer.compactRevision > later.compactRevision || (peer.compactRevision === first.compactRevision && peer.hash !== first.hash))?.id
}

/**
 * Members that are not with the majority at a compacted revision; all of them when no hash has a majority (the whole cluster is then suspect).
 * `isWhole` says whether everybody could be compared.
 */
export function findMinority(selfId: bigint, own: StoreHash, peers: readonly (PeerHash | undefined)[]): { readonly corrupt: readonly bigint[]; readonly isWhole: boolean; readonly hasMajority: boolean } {
  const groups = new Map<number, bigint[]>([[own.hash, [selfId]]])
  let compared = 0
  for (const peer of peers) {
    if (peer === undefined || peer.compactRevision !== own.compactRevision) continue
    compared++
    const group = groups.get(peer.hash)
    if (group) group.push(peer.id)
    else groups.set(peer.hash, [peer.id])
  }
  const isWhole = compared === peers.length
  if (groups.size === 1) return { corrupt: [], isWhole, hasMajority: true }
  const quorum = Math.floor((peers.length + 1) / 2) + 1
  const majority = [...groups.values()].find((group) => group.length >= quorum)
  const corrupt = [...groups.values()].filter((group) => group !== majority).flat()
  return { corrupt, isWhole, hasMajority: majority !== undefined }
}

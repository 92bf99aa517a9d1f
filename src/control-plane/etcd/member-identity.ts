// Who a new member is. Upstream: etcd/server/etcdserver/api/membership
import { createHash } from 'node:crypto'
import type { Identity } from './wal/raft-messages.ts'

/** A member's id comes from its peer URLs and the cluster's token, the cluster's from its members' ids. */
export function identityOf(peerUrls: readonly string[], token: string): Identity {
  const memberId = createHash('sha1').update([...peerUrls].sort().join('') + token).digest().readBigUInt64BE(0)
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(memberId)
  return { memberId, clusterId: createHash('sha1').update(bytes).digest().readBigUInt64BE(0) }
}

/** The member in the JSON that the original keeps in its log; the id exceeds what JSON.stringify can write. */
export function describeMember(identity: Identity, name: string, peerUrls: readonly string[]): Uint8Array {
  return Buffer.from(`{"id":${identity.memberId},"peerURLs":${JSON.stringify(peerUrls)},"name":${JSON.stringify(name)}}`)
}

// Who a member and a cluster are: ids computed from what they were started with. Upstream: etcd/server/etcdserver/api/membership
import { createHash } from 'node:crypto'
import { encodeMember } from './membership/member-json.ts'
import type { Identity } from './wal/raft-messages.ts'

/** @param addedAtSeconds unix time, for a member that joins a running cluster; then the token is empty */
export function memberIdOf(peerUrls: readonly string[], token: string, addedAtSeconds?: number): bigint {
  return firstEightBytes([...peerUrls].sort().join('') + token + (addedAtSeconds === undefined ? '' : String(addedAtSeconds)))
}

/** Of the members that the cluster began with. */
export function clusterIdOf(memberIds: readonly bigint[]): bigint {
  const bytes = Buffer.alloc(8 * memberIds.length)
  ;[...memberIds].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0)).forEach((id, i) => bytes.writeBigUInt64BE(id, 8 * i))
  return firstEightBytes(bytes)
}

/** A cluster of one member. */
export function identityOf(peerUrls: readonly string[], token: string): Identity {
  const memberId = memberIdOf(peerUrls, token)
  return { memberId, clusterId: clusterIdOf([memberId]) }
}

/** The member as the first entries of its log describe it. */
export function describeMember(identity: Identity, name: string, peerUrls: readonly string[]): Uint8Array {
  return Buffer.from(encodeMember({ id: identity.memberId, name, peerUrls, clientUrls: [], isLearner: false }))
}

function firstEightBytes(of: string | Buffer): bigint { return createHash('sha1').update(of).digest().readBigUInt64BE(0) }

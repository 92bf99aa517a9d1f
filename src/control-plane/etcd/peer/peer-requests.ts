// What members ask of each other besides Raft: who belongs to the cluster, which version each runs, a learner's promotion and a lease's renewal
// at the leader, a hash of the store. This file has both: what a member answers with (`PeerRequests`), and the questions as functions.
// Upstream: etcdserver/{cluster_util,corrupt}.go, etcdhttp/peer.go, lease/leasehttp/http.go
import type { LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse } from '../../../lib/etcd-api/generated/types.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import { EtcdError, etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import { decodeProto3, encodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { WireReader } from '../../../lib/base/protobuf/wire-reader.ts'
import { WireWriter } from '../../../lib/base/protobuf/wire-writer.ts'
import type { ClusterMember } from '../membership/cluster-member.ts'
import { decodeMembers } from '../membership/member-json.ts'
import type { KeyValueHash } from '../mvcc/hash-kv.ts'
import { PeerRequestError, type PeerAnswer, type PeerClient } from './peer-client.ts'
import { clusterIdMismatch, formatId, headerText, parseId } from './peer-headers.ts'

export interface LeaseTimes {
  /** Seconds that are left. */
  readonly ttlSeconds: number
  readonly grantedTtlSeconds: number
  readonly keys: readonly Uint8Array[]
}

/** The versions of a member, as GET /version says them: `not_decided` and `unknown` are words that stand for none. */
export interface MemberVersions {
  readonly server: string
  readonly cluster: string | undefined
  readonly storage: string | undefined
}

export interface HashAnswer extends KeyValueHash {
  /** The store's revision when it was asked. */
  readonly currentRevision: number
}

/** How this member answers others. Functions throw EtcdError. */
export interface PeerRequests {
  /** All members as this one knows them. */
  members(): readonly ClusterMember[]
  versions(): Omit<MemberVersions, 'server'>
  /** Makes the learner a voter, here or at the leader; gives all members. `token` is the caller's, when it has one. */
  promote(id: bigint, token: string | undefined, signal: AbortSignal): Promise<readonly ClusterMember[]>
  /** Renews at the leader's own book, when it has applied what it has committed. Gives the time to live, seconds. */
  renewLease(id: bigint, signal: AbortSignal): Promise<number>
  leaseTimes(id: bigint, withKeys: boolean, signal: AbortSignal): Promise<LeaseTimes>
  /** @param revision 0: the current one */
  hashKeyValues(revision: number, signal: AbortSignal): Promise<HashAnswer>
  /** After a read that a quorum has confirmed. */
  isDowngradeEnabled(signal: AbortSignal): Promise<boolean>
}

export interface RemoteCluster {
  readonly clusterId: bigint
  readonly members: readonly ClusterMember[]
}

const answerLimitBytes = 100 << 20

/**
 * The cluster as the first of these members that answers knows it.
 * @throws PeerRequestError when none does
 */
export async function fetchMembers(client: PeerClient, peerUrls: readonly string[], signal: AbortSignal, timeoutMs = 10_000): Promise<RemoteCluster> {
  let cause: unknown
  for (const url of peerUrls) {
    try {
      const answer = await client.ask(url, '/members', { method: 'GET', timeoutMs, maxAnswerBytes: 16 << 20, signal })
      const clusterId = parseId(headerText(answer.headers, 'x-etcd-cluster-id'))
      const members = answer.status === 200 ? decodeMembers(answer.body.toString('utf8')) : []
      if (clusterId !== undefined && members.length > 0) return { clusterId, members }
      cause = new PeerRequestError('malformed', `${url}/members: status ${answer.status} without a list of members`)
    } catch (error) {
      signal.throwIfAborted()
      cause = error
    }
  }
  throw new PeerRequestError('unreachable', 'could not retrieve cluster information from the given URLs', { cause })
}

/** A member's versions; undefined when it can't be asked. */
export async function fetchVersions(client: PeerClient, peerUrls: readonly string[], signal: AbortSignal, timeoutMs = 5000): Promise<MemberVersions | undefined> {
  for (const url of peerUrls) {
    try {
      const answer = await client.ask(url, '/version', { method: 'GET', timeoutMs, maxAnswerBytes: 4096, signal })
      const versions: unknown = JSON.parse(answer.body.toString('utf8'))
      const server = textField(versions, 'etcdserver')
      if (answer.status !== 200 || server === undefined) continue
      const cluster = textField(versions, 'etcdcluster')
      const storage = textField(versions, 'storage')
      return { server, cluster: cluster === 'not_decided' ? undefined : cluster, storage: storage === 'unknown' ? undefined : storage }
    } catch {
      signal.throwIfAborted()
    }
  }
  return undefined
}

/** Every other member's versions by id, asked side by side; undefined for those that can't be asked. */
export async function fetchAllVersions(client: PeerClient, members: readonly ClusterMember[], self: bigint, signal: AbortSignal): Promise<ReadonlyMap<bigint, MemberVersions | undefined>> {
  const others = members.filter((member) => member.id !== self)
  return new Map(await Promise.all(others.map(async (member) => [member.id, await fetchVersions(client, member.peerUrls, signal)] as const)))
}

/** Whether some member, that can be asked, says a downgrade is under way. False when none can. */
export async function fetchDowngradeEnabled(client: PeerClient, members: readonly ClusterMember[], self: bigint, signal: AbortSignal): Promise<boolean> {
  for (const member of members) {
    if (member.id === self) continue
    for (const url of member.peerUrls) {
      try {
        const answer = await client.ask(url, '/downgrade/enabled', { method: 'GET', timeoutMs: 5000, maxAnswerBytes: 4096, signal })
        const words = answer.body.toString('latin1')
        if (answer.status === 200 && (words === 'true' || words === 'false')) return words === 'true'
      } catch {
        signal.throwIfAborted()
      }
    }
  }
  return false
}

/** Asks the first of the leader's URLs that can be reached. @throws EtcdError */
async function askLeader(client: PeerClient, leaderUrls: readonly string[], path: string, question: Parameters<PeerClient['ask']>[2]): Promise<PeerAnswer> {
  let cause: unknown
  for (const url of leaderUrls) {
    try {
      return await client.ask(url, path, question)
    } catch (error) {
      question.signal?.throwIfAborted()
      cause = error
      if (error instanceof PeerRequestError && error.reason === 'timeout') throw etcdError('timeout', { cause })
    }
  }
  throw etcdError('timeoutConnectionLost', { cause })
}

function unexpected(what: string, answer: PeerAnswer): EtcdError {
  return new EtcdError('Unknown', `${what}: unknown error(${answer.body.toString('utf8').slice(0, 500).trimEnd()})`)
}

/** The words of errors that travel as text between members. */
export const peerErrorTexts = {
  memberNotFound: 'membership: ID not found', memberNotLearner: 'membership: can only promote a learner member', learnerNotReady: 'etcdserver: can only promote a learner member which is in sync with leader',
  leaseNotFound: 'lease not found', applyTimeout: 'waiting for node to catch up its applied index has timed out', notPrimary: 'not a primary lessor',
  compacted: 'mvcc: required revision has been compacted', futureRevision: 'mvcc: required revision is a future revision',
} as const

/** @throws EtcdError as the leader says, MemberJsonError */
export async function promoteAtLeader(client: PeerClient, leaderUrls: readonly string[], id: bigint, token: string | undefined, signal: AbortSignal, timeoutMs: number): Promise<readonly ClusterMember[]> {
  const answer = await askLeader(client, leaderUrls, `/members/promote/${id}`, { method: 'POST', timeoutMs, maxAnswerBytes: 16 << 20, signal, ...(token && { headers: { Authorization: token } }) })
  const words = answer.body.toString('utf8')
  if (answer.status === 412 && words.includes(peerErrorTexts.learnerNotReady)) throw etcdError('learnerNotReady')
  if (answer.status === 412 && words.includes('can only promote a learner member')) throw etcdError('memberNotLearner')
  if (answer.status === 404) throw etcdError('memberNotFound')
  if (answer.status === 408) throw etcdError('timeout')
  if (answer.status !== 200) throw unexpected('member promote', answer)
  return decodeMembers(words)
}

/** Gives the time to live, seconds. @throws EtcdError lease not found, or try again */
export async function renewLeaseAtLeader(client: PeerClient, leaderUrls: readonly string[], id: bigint, signal: AbortSignal, timeoutMs: number): Promise<number> {
  const request: LeaseKeepAliveRequest = { ID: id }
  const body = encodeProto3(etcdTable, 'LeaseKeepAliveRequest', request)
  const answer = await askLeader(client, leaderUrls, '/leases', { method: 'POST', timeoutMs, headers: protobufHeaders, body, signal })
  checkLeaseAnswer(answer)
  const response = decodeProto3<LeaseKeepAliveResponse>(etcdTable, 'LeaseKeepAliveResponse', answer.body)
  if ((response.ID ?? 0n) !== id) throw unexpected('lease: renew id mismatch', answer)
  return response.TTL ?? 0
}

/** @throws EtcdError lease not found, or try again */
export async function leaseTimesAtLeader(client: PeerClient, leaderUrls: readonly string[], id: bigint, withKeys: boolean, signal: AbortSignal, timeoutMs: number): Promise<LeaseTimes> {
  const body = encodeLeaseInternal('LeaseTimeToLiveRequest', { ID: id, keys: withKeys } satisfies LeaseTimeToLiveRequest)
  const answer = await askLeader(client, leaderUrls, '/leases/internal', { method: 'POST', timeoutMs, maxAnswerBytes: answerLimitBytes, headers: protobufHeaders, body, signal })
  checkLeaseAnswer(answer)
  const response = decodeLeaseInternal<LeaseTimeToLiveResponse>('LeaseTimeToLiveResponse', answer.body)
  if ((response?.ID ?? 0n) !== id) throw unexpected('lease: TTL id mismatch', answer)
  return { ttlSeconds: response?.TTL ?? 0, grantedTtlSeconds: response?.grantedTTL ?? 0, keys: response?.keys ?? [] }
}

const protobufHeaders = { 'Content-Type': 'application/protobuf' } as const

function checkLeaseAnswer(answer: PeerAnswer): void {
  if (answer.status === 404) throw etcdError('leaseNotFound')
  if (answer.status === 408) throw etcdError('timeout')
  if (answer.status === 500) throw etcdError('leaderChanged')
  if (answer.status !== 200) throw unexpected('lease', answer)
}

/** leasepb.LeaseInternalRequest and -Response have one field, the message of the public API. */
export function encodeLeaseInternal(type: 'LeaseTimeToLiveRequest' | 'LeaseTimeToLiveResponse', message: LeaseTimeToLiveRequest | LeaseTimeToLiveResponse): Uint8Array {
  const w = new WireWriter()
  w.tag(1, 2)
  w.bytes(encodeProto3(etcdTable, type, message))
  return w.finish()
}

/** Undefined when nothing is inside. @throws WireError */
export function decodeLeaseInternal<T extends object>(type: 'LeaseTimeToLiveRequest' | 'LeaseTimeToLiveResponse', bytes: Uint8Array): T | undefined {
  const r = new WireReader(bytes)
  let found: T | undefined
  while (!r.done) {
    const tag = r.tag()
    if (tag === 10) found = decodeProto3<T>(etcdTable, type, r.bytes())
    else r.skip(tag % 8)
  }
  return found
}

/**
 * The hash of a member's store at a revision, by the first of its URLs that answers.
 * @throws EtcdError compacted, future revision, cluster id mismatch; PeerRequestError
 */
export async function fetchHash(client: PeerClient, clusterId: bigint, peerUrls: readonly string[], revision: number, signal: AbortSignal, timeoutMs: number): Promise<HashAnswer> {
  let cause: unknown
  for (const url of peerUrls) {
    try {
      const answer = await client.ask(url, '/members/hashkv', {
        method: 'GET', timeoutMs, headers: { 'Content-Type': 'application/json', 'X-Etcd-Cluster-ID': formatId(clusterId) }, body: Buffer.from(JSON.stringify({ revision })), signal,
      })
      const words = answer.body.toString('utf8')
      if (answer.status === 400 && words.includes(peerErrorTexts.compacted)) throw etcdError('compacted')
      if (answer.status === 400 && words.includes(peerErrorTexts.futureRevision)) throw etcdError('futureRevision')
      if (answer.status === 412 && words.includes(clusterIdMismatch)) throw new EtcdError('FailedPrecondition', 'etcdserver: cluster ID mismatch')
      if (answer.status !== 200) throw new PeerRequestError('malformed', `${url}/members/hashkv: ${words.slice(0, 500).trimEnd()}`)
      const found: unknown = JSON.parse(words)
      return {
        hash: numberField(found, 'hash'), revision: numberField(found, 'hash_revision'), compactRevision: numberField(found, 'compact_revision'),
        currentRevision: numberField(typeof found === 'object' && found !== null && 'header' in found ? found.header : undefined, 'revision'),
      }
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof EtcdError) throw error
      cause = error
    }
  }
  throw new PeerRequestError('unreachable', 'the hash of the member could not be had', { cause })
}

function textField(value: unknown, name: string): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const field = Object.entries(value).find(([key]) => key === name)?.[1] as unknown // cast: entries of parsed JSON are unknown
  return typeof field === 'string' ? field : undefined
}

function numberField(value: unknown, name: string): number {
  if (typeof value !== 'object' || value === null) return 0
  const field = Object.entries(value).find(([key]) => key === name)?.[1] as unknown // cast: entries of parsed JSON are unknown
  return typeof field === 'number' ? field : 0
}

// What the tests ask of one member besides keys, watches and leases: its status, hashes, alarms, and changes of the membership.
import { realClock } from '../../src/lib/async/real-clock.ts'
import { decodeProto3, encodeProto3 } from '../../src/lib/base/protobuf/proto3.ts'
import { etcdTable } from '../../src/lib/etcd-api/generated/table.ts'
import type { AlarmResponse, HashKVResponse, MemberAddResponse, MemberListResponse, SnapshotResponse, StatusResponse } from '../../src/lib/etcd-api/generated/types.ts'
import { GrpcChannel } from '../../src/lib/net/grpc/grpc-channel.ts'

export interface MemberStatus { readonly memberId: bigint; readonly leaderId: bigint; readonly term: number; readonly raftIndex: number; readonly revision: number; readonly isLearner: boolean }
export interface RevisionHash { readonly hash: number; readonly compactRevision: number; readonly hashRevision: number }
export interface ListedMember { readonly id: bigint; readonly name: string; readonly peerUrls: readonly string[]; readonly isLearner: boolean }

export class EtcdAdmin {
  readonly endpoint: string
  constructor(endpoint: string) { this.endpoint = endpoint }

  async status(timeoutMs = 2000): Promise<MemberStatus> {
    const { header, leader = 0n, raftTerm = 0, raftIndex = 0, isLearner = false } = await this.#ask<StatusResponse>('Maintenance/Status', 'StatusRequest', 'StatusResponse', {}, timeoutMs)
    return { memberId: header?.memberId ?? 0n, revision: header?.revision ?? 0, leaderId: leader, term: raftTerm, raftIndex, isLearner }
  }

  /** The hash of all readable revisions up to `revision`; 0: the newest. */
  async hashKV(revision: number): Promise<RevisionHash> {
    const { hash = 0, compactRevision = 0, hashRevision = 0 } = await this.#ask<HashKVResponse>('Maintenance/HashKV', 'HashKVRequest', 'HashKVResponse', { revision })
    return { hash, compactRevision, hashRevision }
  }

  /** The alarms that are raised. */
  async alarms(): Promise<readonly string[]> { return (await this.#alarms()).map(({ alarm = '' }) => alarm) }

  async disarm(): Promise<void> {
    for (const { memberID = 0n, alarm } of await this.#alarms()) await this.#ask('Maintenance/Alarm', 'AlarmRequest', 'AlarmResponse', { action: 'DEACTIVATE', memberID, alarm })
  }

  async #alarms(): Promise<NonNullable<AlarmResponse['alarms']>> { return (await this.#ask<AlarmResponse>('Maintenance/Alarm', 'AlarmRequest', 'AlarmResponse', { action: 'GET' })).alarms ?? [] }

  async defragment(): Promise<void> { await this.#ask('Maintenance/Defragment', 'DefragmentRequest', 'DefragmentResponse', {}) }

  /** Must be asked of the leader. */
  async moveLeader(to: bigint): Promise<void> { await this.#ask('Maintenance/MoveLeader', 'MoveLeaderRequest', 'MoveLeaderResponse', { targetID: to }) }

  async members(): Promise<readonly ListedMember[]> {
    const { members = [] } = await this.#ask<MemberListResponse>('Cluster/MemberList', 'MemberListRequest', 'MemberListResponse', {})
    return members.map(({ ID = 0n, name = '', peerURLs = [], isLearner = false }) => ({ id: ID, name, peerUrls: peerURLs, isLearner }))
  }

  async addMember(peerUrl: string, isLearner: boolean): Promise<bigint> {
    return (await this.#ask<MemberAddResponse>('Cluster/MemberAdd', 'MemberAddRequest', 'MemberAddResponse', { peerURLs: [peerUrl], isLearner })).member?.ID ?? 0n
  }

  async promoteMember(id: bigint): Promise<void> { await this.#ask('Cluster/MemberPromote', 'MemberPromoteRequest', 'MemberPromoteResponse', { ID: id }) }
  async removeMember(id: bigint): Promise<void> { await this.#ask('Cluster/MemberRemove', 'MemberRemoveRequest', 'MemberRemoveResponse', { ID: id }) }

  /** A whole snapshot: a file of the original's format. */
  snapshot(): Promise<Buffer> {
    const channel = new GrpcChannel({ target: this.endpoint, clock: realClock })
    const pieces: Uint8Array[] = []
    return new Promise<Buffer>((resolve, reject) => {
      const call = channel.call('/etcdserverpb.Maintenance/Snapshot', { signal: AbortSignal.timeout(30_000) }, {
        message: (bytes) => { pieces.push(decodeProto3<SnapshotResponse>(etcdTable, 'SnapshotResponse', bytes).blob ?? new Uint8Array()) },
        end: (error) => { if (error) reject(error); else resolve(Buffer.concat(pieces)) },
      })
      call.send(encodeProto3(etcdTable, 'SnapshotRequest', {}))
      call.finish()
    }).finally(() => channel[Symbol.dispose]())
  }

  async #ask<T>(method: string, request: string, response: string, message: object, timeoutMs = 10_000): Promise<T> {
    using channel = new GrpcChannel({ target: this.endpoint, clock: realClock })
    return decodeProto3<T>(etcdTable, response, await channel.unary(`/etcdserverpb.${method}`, encodeProto3(etcdTable, request, message), { signal: AbortSignal.timeout(timeoutMs) }))
  }
}

// etcdserverpb.Maintenance, Cluster and Auth, as far as a cluster of one member without authentication has something to say.
import { createHash } from 'node:crypto'
import { etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type {
  AlarmRequest, AlarmResponse, AuthStatusResponse, DefragmentResponse, HashKVRequest, HashKVResponse, HashResponse, Member, MemberListResponse, MoveLeaderResponse, SnapshotResponse, StatusResponse,
} from '../../../lib/etcd-api/generated/types.ts'
import type { EtcdInternals } from '../embedded.ts'
import { hashKeyValues } from '../mvcc/hash-kv.ts'
import { exportSnapshot } from '../snapshot/export-snapshot.ts'
import type { AlarmMember } from '../state-machine.ts'
import { etcdStorageVersion, etcdVersion } from '../version.ts'
import { yieldToLoop } from '../yield-to-loop.ts'
import { headerOf } from './response-header.ts'

const snapshotBlobBytes = 32 * 1024
const reclaimBytes = 4 * 1024 * 1024

export function maintenanceImplementation(etcd: EtcdInternals): object {
  const { member, client, identity } = etcd
  const { machine } = member
  const alarmsToWire = (alarms: readonly AlarmMember[]): AlarmResponse => ({ header: headerOf(etcd), alarms: alarms.map(({ memberId, alarm }) => ({ memberID: memberId, alarm })) })
  return {
    status: async (_: object, signal: AbortSignal): Promise<StatusResponse> => {
      member.checkServing(signal)
      return {
        header: headerOf(etcd), version: etcdVersion, leader: identity.memberId, raftIndex: member.appliedIndex, raftAppliedIndex: member.appliedIndex, raftTerm: member.term,
        // A size of 0 makes etcdctl divide by zero.
        dbSize: Math.max(4096, machine.store.sizeBytes), dbSizeInUse: Math.max(1, machine.store.sizeInUseBytes), dbSizeQuota: Math.max(0, member.quotaBytes), storageVersion: etcdStorageVersion,
        errors: machine.alarms.map(({ memberId, alarm }) => `memberID:${memberId} alarm:${alarm} `), downgradeInfo: { enabled: false },
      }
    },
    alarm: async (request: AlarmRequest, signal: AbortSignal): Promise<AlarmResponse> => {
      const { action = 'GET', alarm = 'NONE', memberID = 0n } = request
      if (action === 'GET') return alarmsToWire(machine.alarms.filter((raised) => alarm === 'NONE' || raised.alarm === alarm))
      if (alarm === 'NONE') return alarmsToWire([])
      const result = await client.propose({ type: 'alarm', action, memberId: memberID, alarm }, signal)
      return alarmsToWire(result.type === 'alarm' ? result.alarms : [])
    },
    defragment: async (_: object, signal: AbortSignal): Promise<DefragmentResponse> => {
      await member.scrub()
      while (!signal.aborted && machine.store.scrub(1000, reclaimBytes)) await yieldToLoop()
      return { header: headerOf(etcd) }
    },
    hash: async (): Promise<HashResponse> => ({ header: headerOf(etcd), hash: (await hashKeyValues(machine.store, 0, yieldToLoop)).hash }),
    hashKV: async (request: HashKVRequest): Promise<HashKVResponse> => {
      const { hash, compactRevision, revision } = await hashKeyValues(machine.store, request.revision ?? 0, yieldToLoop)
      return { header: headerOf(etcd), hash, compactRevision, hashRevision: revision }
    },
    snapshot: async function* (_: object, signal: AbortSignal): AsyncGenerator<SnapshotResponse> {
      const pieces = await exportSnapshot(etcd)
      const digest = createHash('sha256')
      let remaining = pieces.reduce((sum, piece) => sum + piece.length, 0)
      for (const piece of pieces) {
        for (let at = 0; at < piece.length; at += snapshotBlobBytes) {
          signal.throwIfAborted()
          const blob = piece.subarray(at, at + snapshotBlobBytes)
          digest.update(blob)
          remaining -= blob.length
          yield { header: headerOf(etcd), remainingBytes: remaining, blob, version: etcdStorageVersion }
        }
      }
      // The checksum comes last; readers know by the size that it is there.
      yield { header: headerOf(etcd), remainingBytes: 0, blob: digest.digest(), version: etcdStorageVersion }
    },
    moveLeader: async (request: { readonly targetID?: bigint }): Promise<MoveLeaderResponse> => {
      if (request.targetID !== identity.memberId) throw etcdError('badLeaderTransferee')
      return { header: headerOf(etcd) }
    },
  }
}

export function clusterImplementation(etcd: EtcdInternals): object {
  const self: Member = { ID: etcd.identity.memberId, name: etcd.name, peerURLs: etcd.peerUrls, clientURLs: etcd.clientUrls }
  return { memberList: async (): Promise<MemberListResponse> => ({ header: headerOf(etcd), members: [self] }) }
}

export function authImplementation(etcd: EtcdInternals): object {
  return {
    authStatus: async (): Promise<AuthStatusResponse> => ({ header: headerOf(etcd), enabled: false, authRevision: 1 }),
    authenticate: async (): Promise<never> => { throw etcdError('authNotEnabled') },
  }
}

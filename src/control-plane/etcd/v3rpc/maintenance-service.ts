// etcdserverpb.Maintenance: what administrators ask. Most of it needs the root role once authentication is on.
import { createHash } from 'node:crypto'
import { etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type {
  AlarmRequest, AlarmResponse, DefragmentResponse, DowngradeRequest, DowngradeResponse, HashKVRequest, HashKVResponse, HashResponse, MoveLeaderResponse, SnapshotResponse, StatusResponse,
} from '../../../lib/etcd-api/generated/types.ts'
import type { EtcdInternals } from '../embedded.ts'
import { hashKeyValues } from '../mvcc/hash-kv.ts'
import { exportSnapshot } from '../snapshot/export-snapshot.ts'
import type { AlarmMember } from '../state-machine.ts'
import { etcdClusterVersion, etcdStorageVersion, etcdVersion } from '../version.ts'
import { yieldToLoop } from '../yield-to-loop.ts'
import { requireAdmin, requireUser, type Peer } from './access.ts'
import { headerOf, toStatus } from './response-header.ts'

const snapshotBlobBytes = 32 * 1024
const reclaimBytes = 4 * 1024 * 1024

export function maintenanceImplementation(etcd: EtcdInternals): object {
  const { member, client, identity } = etcd
  const { machine } = member
  const alarmsToWire = (alarms: readonly AlarmMember[]): AlarmResponse => ({ header: headerOf(etcd), alarms: alarms.map(({ memberId, alarm }) => ({ memberID: memberId, alarm })) })
  return {
    status: async (_: object, signal: AbortSignal, peer: Peer): Promise<StatusResponse> => {
      requireUser(etcd, peer)
      member.checkServing(signal)
      return {
        header: headerOf(etcd), version: etcdVersion, leader: identity.memberId, raftIndex: member.appliedIndex, raftAppliedIndex: member.appliedIndex, raftTerm: member.term,
        // A size of 0 makes etcdctl divide by zero.
        dbSize: Math.max(4096, machine.store.sizeBytes), dbSizeInUse: Math.max(1, machine.store.sizeInUseBytes), dbSizeQuota: Math.max(0, member.quotaBytes), storageVersion: etcdStorageVersion,
        errors: machine.alarms.map(({ memberId, alarm }) => `memberID:${memberId} alarm:${alarm} `), downgradeInfo: { enabled: false },
      }
    },
    alarm: async (request: AlarmRequest, signal: AbortSignal, peer: Peer): Promise<AlarmResponse> => {
      const { action = 'GET', alarm = 'NONE', memberID = 0n } = request
      if (action === 'GET') requireUser(etcd, peer)
      else requireAdmin(etcd, peer)
      if (action === 'GET') return alarmsToWire(machine.alarms.filter((raised) => alarm === 'NONE' || raised.alarm === alarm))
      if (alarm === 'NONE') return alarmsToWire([])
      const result = await client.propose({ type: 'alarm', action, memberId: memberID, alarm }, signal)
      return alarmsToWire(result.type === 'alarm' ? result.alarms : [])
    },
    defragment: async (_: object, signal: AbortSignal, peer: Peer): Promise<DefragmentResponse> => {
      requireAdmin(etcd, peer)
      await member.scrub()
      while (!signal.aborted && machine.store.scrub(1000, reclaimBytes)) await yieldToLoop()
      return {}
    },
    hash: async (_: object, _signal: AbortSignal, peer: Peer): Promise<HashResponse> => {
      requireAdmin(etcd, peer)
      return { header: headerOf(etcd), hash: (await hashKeyValues(machine.store, 0, yieldToLoop)).hash }
    },
    hashKV: async (request: HashKVRequest, _: AbortSignal, peer: Peer): Promise<HashKVResponse> => {
      requireAdmin(etcd, peer)
      const { hash, compactRevision, revision } = await hashKeyValues(machine.store, request.revision ?? 0, yieldToLoop)
      return { header: headerOf(etcd), hash, compactRevision, hashRevision: revision }
    },
    snapshot: async function* (_: object, signal: AbortSignal, peer: Peer): AsyncGenerator<SnapshotResponse> {
      try {
        requireAdmin(etcd, peer)
      } catch (error) {
        throw toStatus(error)
      }
      const digest = createHash('sha256')
      for await (const { piece, remainingBytes } of exportSnapshot(etcd)) {
        for (let at = 0; at < piece.length; at += snapshotBlobBytes) {
          signal.throwIfAborted()
          const blob = piece.subarray(at, at + snapshotBlobBytes)
          digest.update(blob)
          yield { header: headerOf(etcd), remainingBytes: remainingBytes + piece.length - Math.min(piece.length, at + snapshotBlobBytes), blob, version: etcdStorageVersion }
        }
      }
      // The checksum comes last; readers know by the size that it is there.
      yield { header: headerOf(etcd), remainingBytes: 0, blob: digest.digest(), version: etcdStorageVersion }
    },
    moveLeader: async (request: { readonly targetID?: bigint }, _: AbortSignal, peer: Peer): Promise<MoveLeaderResponse> => {
      requireAdmin(etcd, peer)
      if (request.targetID !== identity.memberId) throw etcdError('badLeaderTransferee')
      return { header: headerOf(etcd) }
    },
    downgrade: async ({ action = 'VALIDATE', version = '' }: DowngradeRequest, _: AbortSignal, peer: Peer): Promise<DowngradeResponse> => {
      requireAdmin(etcd, peer)
      const answer: DowngradeResponse = { header: headerOf(etcd), version: etcdClusterVersion.replace(/\.\d+$/, '') }
      // There is never one to cancel; the original, too, answers as if there had been.
      if (action === 'CANCEL') return answer
      checkDowngradeTarget(version)
      // Our own files have no older form to go back to.
      if (action === 'ENABLE') throw etcdError('notCapable')
      return answer
    },
  }
}

/** A downgrade goes back by one minor version. @throws EtcdError */
function checkDowngradeTarget(version: string): void {
  const wanted = /^(\d+)\.(\d+)(?:\.\d+.*)?$/.exec(version)
  if (!wanted) throw etcdError('wrongDowngradeVersionFormat')
  const [major, minor] = etcdClusterVersion.split('.').map(Number)
  if (Number(wanted[1]) !== major || Number(wanted[2]) !== (minor ?? 0) - 1) throw etcdError('invalidDowngradeTarget')
}

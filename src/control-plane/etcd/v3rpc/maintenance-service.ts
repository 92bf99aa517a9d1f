// etcdserverpb.Maintenance: what administrators ask. Most of it needs the root role once authentication is on.
import { createHash } from 'node:crypto'
import { unreachable } from '../../../lib/base/assert.ts'
import { etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type {
  AlarmRequest, AlarmResponse, DefragmentResponse, DowngradeRequest, DowngradeResponse, HashKVRequest, HashKVResponse, HashResponse, MoveLeaderRequest, MoveLeaderResponse, SnapshotResponse, StatusResponse,
} from '../../../lib/etcd-api/generated/types.ts'
import { collectGarbage } from '../collect-garbage.ts'
import type { EtcdInternals } from '../embedded.ts'
import { oldestClusterVersion } from '../membership/cluster-version.ts'
import { hashState } from '../hash-state.ts'
import { hashKeyValues } from '../mvcc/hash-kv.ts'
import { confStateOf, exportState } from '../snapshot/state-files.ts'
import type { AlarmMember } from '../state-machine.ts'
import { etcdStorageVersion, etcdVersion } from '../version.ts'
import { yieldToLoop } from '../yield-to-loop.ts'
import { requireAdmin, requireUser, type Peer } from './access.ts'
import { headerOf, toStatus } from './response-header.ts'

const snapshotBlobBytes = 32 * 1024
const reclaimBytes = 4 * 1024 * 1024

export function maintenanceImplementation(etcd: EtcdInternals): object {
  const { member, client } = etcd
  const { machine } = member
  const alarmsToWire = (alarms: readonly AlarmMember[]): AlarmResponse => ({ header: headerOf(etcd), alarms: alarms.map(({ memberId, alarm }) => ({ memberID: memberId, alarm })) })
  return {
    status: async (_: object, signal: AbortSignal, peer: Peer): Promise<StatusResponse> => {
      requireUser(etcd, peer)
      member.checkServing(signal)
      const { membership } = machine
      return {
        header: headerOf(etcd), version: etcdVersion, leader: member.leaderId, raftIndex: member.committedIndex, raftAppliedIndex: member.appliedIndex, raftTerm: member.term, isLearner: member.isLearner,
        // A size of 0 makes etcdctl divide by zero.
        dbSize: Math.max(4096, machine.store.sizeBytes), dbSizeInUse: Math.max(1, machine.store.sizeInUseBytes), dbSizeQuota: Math.max(0, member.quotaBytes), storageVersion: storageVersionOf(member),
        errors: [...(member.leaderId === 0n ? [etcdError('noLeader').message] : []), ...machine.alarms.map(({ memberId, alarm }) => `memberID:${memberId} alarm:${alarm} `)],
        downgradeInfo: { enabled: membership.downgrade.enabled, targetVersion: membership.downgrade.targetVersion },
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
      using running = etcd.defragmentation.begin()
      void running
      await member.scrub()
      while (!signal.aborted && machine.store.scrub(1000, reclaimBytes)) await yieldToLoop()
      while (!signal.aborted && machine.store.defragment(reclaimBytes)) await yieldToLoop()
      collectGarbage()
      return {}
    },
    hash: async (_: object, _signal: AbortSignal, peer: Peer): Promise<HashResponse> => {
      requireAdmin(etcd, peer)
      return { header: headerOf(etcd), hash: await hashState(machine, yieldToLoop) }
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
      using state = await exportState(machine, { index: member.appliedIndex, term: member.term, confState: confStateOf(machine) })
      let remainingBytes = state.totalBytes
      for await (const piece of state.pieces) {
        for (let at = 0; at < piece.length; at += snapshotBlobBytes) {
          signal.throwIfAborted()
          const blob = piece.subarray(at, at + snapshotBlobBytes)
          digest.update(blob)
          remainingBytes -= blob.length
          yield { header: headerOf(etcd), remainingBytes, blob, version: etcdStorageVersion }
        }
      }
      // The checksum comes last; readers know by the size that it is there.
      yield { header: headerOf(etcd), remainingBytes: 0, blob: digest.digest(), version: etcdStorageVersion }
    },
    moveLeader: async ({ targetID = 0n }: MoveLeaderRequest, signal: AbortSignal, peer: Peer): Promise<MoveLeaderResponse> => {
      requireAdmin(etcd, peer)
      await etcd.admin.moveLeader(targetID, signal)
      return {}
    },
    downgrade: async ({ action = 'VALIDATE', version = '' }: DowngradeRequest, signal: AbortSignal, peer: Peer): Promise<DowngradeResponse> => {
      requireAdmin(etcd, peer)
      return { header: headerOf(etcd), version: await askDowngrade(etcd, action, version, signal) }
    },
  }
}

function askDowngrade({ admin }: EtcdInternals, action: NonNullable<DowngradeRequest['action']>, version: string, signal: AbortSignal): Promise<string> {
  switch (action) {
    case 'VALIDATE': return admin.validateDowngrade(version, signal)
    case 'ENABLE': return admin.enableDowngrade(version, signal)
    case 'CANCEL': return admin.cancelDowngrade(signal)
    default: return unreachable(action)
  }
}

/** What is stored follows the version that the cluster speaks; before it has decided on one, it is ours. */
export function storageVersionOf({ storageVersion }: { readonly storageVersion: string | undefined }): string {
  return storageVersion === undefined || storageVersion === oldestClusterVersion ? etcdStorageVersion : storageVersion
}

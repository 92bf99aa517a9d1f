// Makes the data folder of one member of a new cluster of a snapshot file. Every member does so with the same file: they then begin with the same
// keys, at the same place of the log. Upstream: etcd/etcdutl/snapshot/v3_snapshot.go
import { createHash } from 'node:crypto'
import { dirname, join } from 'node:path'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { Disk, DiskFile } from '../disk/disk.ts'
import { clusterIdOf, memberIdOf } from '../member-identity.ts'
import type { ClusterMember } from '../membership/cluster-member.ts'
import { encodeMember } from '../membership/member-json.ts'
import { planNewCluster, sameTexts } from '../membership/plan-bootstrap.ts'
import { encodeConfChange } from '../raft/conf-change.ts'
import { emptyConfState, type ConfState } from '../raft/messages.ts'
import { BoltError } from '../snapshot/bolt-format.ts'
import { BoltReader } from '../snapshot/bolt-reader.ts'
import { loadDatabase } from '../snapshot/read-database.ts'
import { saveState } from '../snapshot/state-files.ts'
import { StateMachine } from '../state-machine.ts'
import { entryTypes, writeEntry, writeHardState, writeSnapshotMark, type Identity } from '../wal/raft-messages.ts'
import { createSegment, segmentOf, writeHead } from '../wal/segment-files.ts'
import { RecordBuffer, recordTypes } from '../wal/wal-record.ts'

export interface RestoreOptions {
  readonly disk: Disk
  readonly logger: Logger
  readonly snapshotPath: string
  readonly dataDir: string
  readonly walDir?: string
  readonly name: string
  readonly peerUrls: readonly string[]
  /** `--initial-cluster`: URLs by name. */
  readonly initialCluster: ReadonlyMap<string, readonly string[]>
  readonly clusterToken: string
  readonly skipHashCheck: boolean
  /** See LoadOptions. */
  readonly bumpRevision: number
}

const hashBytes = 32
const pieceBytes = 1024 * 1024
const zeroedBytes = 1024 * 1024
const firstTerm = 1

/** @throws BootstrapError, BoltError, StorageError */
export async function restoreSnapshot(options: RestoreOptions): Promise<void> {
  const { disk, dataDir } = options
  const { memberId, clusterId, members } = planNewCluster({ name: options.name, peerUrls: options.peerUrls, initialCluster: options.initialCluster, token: options.clusterToken }, { memberIdOf, clusterIdOf }, sameTexts)
  const machine = new StateMachine(1)
  {
    await using file = await disk.open(options.snapshotPath, 'read')
    await checkHash(file, options.skipHashCheck)
    await loadDatabase(await BoltReader.open(file), machine, { bumpRevision: options.bumpRevision })
  }
  machine.membership.restore({ ...machine.membership.image(), members: members.map((member) => [member.id.toString(16), encodeMember(member)] as const), members_removed: [] })
  const mark = { index: members.length, term: firstTerm, confState: { ...emptyConfState, voters: members.map(({ id }) => id) } }
  await saveState(disk, join(dataDir, 'member', 'snap'), machine, mark)
  // Last, since a folder with a log is one that can be started.
  await writeFirstLog(disk, options.walDir ?? join(dataDir, 'member', 'wal'), { memberId, clusterId }, members, mark.confState)
}

/** A log that begins with the members of the cluster, and says that the state holds all that. */
async function writeFirstLog(disk: Disk, folder: string, identity: Identity, members: readonly ClusterMember[], confState: ConfState): Promise<void> {
  const records = new RecordBuffer(0)
  writeHead(records, identity)
  records.addWritten(recordTypes.snapshot, (w) => writeSnapshotMark(w, { index: 0, term: 0 }))
  members.forEach((member, i) => {
    const change = encodeConfChange({ id: 0n, type: 'ConfChangeAddNode', nodeId: member.id, context: Buffer.from(encodeMember(member)) })
    records.addWritten(recordTypes.entry, (w) => writeEntry(w, entryTypes.confChange, firstTerm, i + 1, change))
  })
  records.addWritten(recordTypes.state, (w) => writeHardState(w, { term: firstTerm, vote: members[0]?.id ?? 0n, commit: members.length }))
  records.addWritten(recordTypes.snapshot, (w) => writeSnapshotMark(w, { index: members.length, term: firstTerm, confState }))
  await disk.makeFolder(folder)
  await using file = await createSegment(disk, folder, segmentOf(0, 0).name, records.bytes, zeroedBytes)
  void file
  await disk.syncFolder(dirname(folder))
}

/** A saved snapshot ends with the SHA-256 of what is before it; a database that was copied does not. */
async function checkHash(file: DiskFile, skip: boolean): Promise<void> {
  const size = await file.size()
  if (size % 512 !== hashBytes) {
    if (skip) return
    throw new BoltError('snapshot missing hash but --skip-hash-check=false')
  }
  if (skip) return
  const digest = createHash('sha256')
  const piece = Buffer.alloc(pieceBytes)
  for (let at = 0; at < size - hashBytes;) {
    const count = await file.read(piece.subarray(0, Math.min(pieceBytes, size - hashBytes - at)), at)
    if (count === 0) break
    digest.update(piece.subarray(0, count))
    at += count
  }
  const wanted = Buffer.alloc(hashBytes)
  await file.read(wanted, size - hashBytes)
  const got = digest.digest()
  if (!got.equals(wanted)) throw new BoltError(`expected sha256 [${wanted.join(' ')}], got [${got.join(' ')}]`)
}

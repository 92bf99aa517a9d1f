// Copies the data folder of a member of 3.4 (or before) under an identity that no cluster knows: `ETCDCTL_API=2 etcdctl backup`. A member is started on
// the copy with --force-new-cluster, and is a cluster of its own with the same keys.
//
// What says who the members were is left out of the log: those entries become empty ones, so that all others keep their places. So do changes of keys
// of the third API, unless their database is copied too. Upstream: etcd v3.4, etcdctl/ctlv2/command/backup_command.go
import { join } from 'node:path'
import type { Disk } from '../disk/disk.ts'
import { emptyConfState } from '../raft/messages.ts'
import { BoltReader } from '../snapshot/bolt-reader.ts'
import { loadDatabase, readMeta } from '../snapshot/read-database.ts'
import { decodeSnapFile, encodeSnapFile, snapName, snapNames, type SnapFile } from '../snapshot/snap-file.ts'
import { replaceDatabase } from '../snapshot/state-files.ts'
import { StateMachine } from '../state-machine.ts'
import { entryTypes, readEntry, readHardState, readSnapshotMark, writeEntry, writeHardState, writeSnapshotMark, type Entry, type HardState, type Identity } from '../wal/raft-messages.ts'
import { readRequest } from '../wal/request-codec.ts'
import { createSegment, listSegments, segmentOf, writeHead } from '../wal/segment-files.ts'
import { scanSegment } from '../wal/segment-scan.ts'
import { RecordBuffer, recordTypes } from '../wal/wal-record.ts'

export interface BackupOptions {
  readonly disk: Disk
  readonly dataDir: string
  readonly walDir?: string
  readonly backupDir: string
  readonly backupWalDir?: string
  /** Keys of the third API too. */
  readonly withV3: boolean
  /** Of the copy: numbers that nobody else has. */
  readonly identity: Identity
}

const nothing = new Uint8Array(0)

/** @throws StorageError, BoltError; BackupError when there is nothing to copy */
export async function backupFolder(options: BackupOptions): Promise<void> {
  const { disk, dataDir, backupDir, withV3 } = options
  const [from, to] = [join(dataDir, 'member', 'snap'), join(backupDir, 'member', 'snap')]
  const log = await readWholeLog(disk, options.walDir || join(dataDir, 'member', 'wal'))
  const snap = await newestSnap(disk, from, log.marks)
  const mark = { index: snap?.index ?? 0, term: snap?.term ?? 0, confState: snap?.confState ?? emptyConfState }
  await disk.makeFolder(to)
  if (snap) {
    await using file = await disk.open(join(to, snapName(snap.index, snap.term)), 'create')
    await file.write(encodeSnapFile(snap), 0)
    await file.sync()
  }
  await copyDatabase(disk, join(from, 'db'), to, withV3, { index: log.state.commit, term: log.state.term, confState: mark.confState })
  await writeCopiedLog(disk, options.backupWalDir || join(backupDir, 'member', 'wal'), options.identity, mark, log, withV3)
}

/** There is nothing to copy, or it is of no use. */
export class BackupError extends Error {
  override readonly name = 'BackupError'
}

interface WholeLog { readonly entries: readonly Entry[]; readonly state: HardState; readonly marks: readonly number[] }

async function readWholeLog(disk: Disk, folder: string): Promise<WholeLog> {
  const segments = await listSegments(disk, folder)
  if (segments.length === 0) throw new BackupError(`${folder}: no log files`)
  const entries = new Map<number, Entry>()
  const marks: number[] = []
  let state: HardState = { term: 0, vote: 0n, commit: 0 }
  let crc: number | undefined
  let lastIndex = 0
  for (const [at, { name }] of segments.entries()) {
    await using file = await disk.open(join(folder, name), 'read')
    const bytes = Buffer.alloc(await file.size())
    const size = await file.read(bytes, 0)
    const scan = scanSegment(bytes.subarray(0, size), { name, crc, isLast: at === segments.length - 1, lastIndex: () => lastIndex })
    let step = scan.next()
    for (; !step.done; step = scan.next()) {
      const { type, data } = step.value
      if (type === recordTypes.state) state = readHardState(data) ?? state
      if (type === recordTypes.snapshot) marks.push(readSnapshotMark(data)?.index ?? 0)
      const entry = type === recordTypes.entry ? readEntry(data) : undefined
      if (!entry) continue
      // One that is written again replaces what was behind it.
      for (let index = entry.index; index <= lastIndex; index++) entries.delete(index)
      lastIndex = entry.index
      entries.set(entry.index, entry)
    }
    crc = step.value.crc
  }
  return { entries: [...entries.values()], state, marks }
}

/** The newest that the log knows of. */
async function newestSnap(disk: Disk, folder: string, marks: readonly number[]): Promise<SnapFile | undefined> {
  for (const { name, index } of snapNames(await disk.list(folder))) {
    if (!marks.includes(index)) continue
    await using file = await disk.open(join(folder, name), 'read')
    const bytes = Buffer.alloc(await file.size())
    await file.read(bytes, 0)
    const snap = decodeSnapFile(bytes)
    if (snap) return snap
  }
  return undefined
}

/** Without members; and without keys unless they are wanted: then it says that it holds everything, since nothing for it is left in the log. */
async function copyDatabase(disk: Disk, path: string, folder: string, withV3: boolean, end: { readonly index: number; readonly term: number; readonly confState: SnapFile['confState'] }): Promise<void> {
  const machine = new StateMachine(1)
  if (!withV3) { await replaceDatabase(disk, folder, machine, end, { storageVersion: undefined }); return }
  await using file = await disk.open(path, 'read')
  const reader = await BoltReader.open(file)
  const { mark } = await readMeta(reader)
  await loadDatabase(reader, machine)
  machine.membership.restore({ ...machine.membership.image(), members: [], members_removed: [] })
  // 3.4 does not note the term, and needs none.
  await replaceDatabase(disk, folder, machine, { ...mark, term: mark.term || end.term, confState: end.confState }, { storageVersion: undefined })
}

async function writeCopiedLog(disk: Disk, folder: string, identity: Identity, mark: { readonly index: number; readonly term: number; readonly confState: SnapFile['confState'] }, { entries, state }: WholeLog, withV3: boolean): Promise<void> {
  const records = new RecordBuffer(0)
  writeHead(records, identity)
  records.addWritten(recordTypes.snapshot, (w) => writeSnapshotMark(w, { index: 0, term: 0 }))
  for (const { type, term, index, data } of entries) {
    if (index <= mark.index) continue
    const stays = type === entryTypes.normal && isKept(data, withV3)
    records.addWritten(recordTypes.entry, (w) => writeEntry(w, entryTypes.normal, term, index, stays ? data : nothing))
  }
  records.addWritten(recordTypes.state, (w) => writeHardState(w, state))
  if (mark.index > 0) records.addWritten(recordTypes.snapshot, (w) => writeSnapshotMark(w, mark))
  await disk.makeFolder(folder)
  await using file = await createSegment(disk, folder, segmentOf(0, 0).name, records.bytes, 0)
  void file
}

function isKept(data: Uint8Array, withV3: boolean): boolean {
  if (data.length === 0) return true
  const request = readRequest(data)
  switch (request?.type) {
    case undefined: return true
    case 'clusterMemberAttrSet': return false
    case 'v2': case 'clusterVersionSet': return true
    default: return withV3
  }
}

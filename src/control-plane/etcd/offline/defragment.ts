// Writes the database of a member that does not run anew: without what the original leaves free in it, and with our checksums.
// Upstream: etcd/etcdutl/etcdutl/defrag_command.go
import { join } from 'node:path'
import type { Disk } from '../disk/disk.ts'
import { BoltReader } from '../snapshot/bolt-reader.ts'
import { loadDatabase, readMeta } from '../snapshot/read-database.ts'
import { replaceDatabase } from '../snapshot/state-files.ts'
import { StateMachine } from '../state-machine.ts'

/** Bytes of the file before and after. @throws StorageError, BoltError */
export async function defragmentFolder(disk: Disk, dataDir: string): Promise<{ readonly before: number; readonly after: number }> {
  return rewriteDatabase(disk, dataDir, (storageVersion) => storageVersion)
}

/** @param versionOf the storage version that the database shall have instead of its own */
export async function rewriteDatabase(disk: Disk, dataDir: string, versionOf: (present: string | undefined) => string | undefined): Promise<{ readonly before: number; readonly after: number }> {
  const snapFolder = join(dataDir, 'member', 'snap')
  const path = join(snapFolder, 'db')
  await using lock = await lockExisting(disk, dataDir, path)
  void lock
  const machine = new StateMachine(1)
  let before: number
  let meta: Awaited<ReturnType<typeof readMeta>>
  {
    await using file = await disk.open(path, 'read')
    before = await file.size()
    const reader = await BoltReader.open(file)
    meta = await readMeta(reader)
    await loadDatabase(reader, machine)
  }
  await replaceDatabase(disk, snapFolder, machine, meta.mark, { storageVersion: versionOf(meta.storageVersion) })
  await using file = await disk.open(path, 'read')
  return { before, after: await file.size() }
}

/** A folder that is none must not become one by being locked. */
async function lockExisting(disk: Disk, dataDir: string, path: string): Promise<AsyncDisposable> {
  await using file = await disk.open(path, 'read')
  void file
  return disk.lock(join(dataDir, 'member'))
}

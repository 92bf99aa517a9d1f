// Makes the database of a member that does not run one of an older or newer version. Its form is the same in all of them but for the storage
// version that it names (before 3.6: none); what forbids going back is entries of the log that the older version does not know.
// Upstream: etcd/etcdutl/etcdutl/migrate_command.go, etcd/server/storage/{schema/migration.go,wal/version.go}
import { join } from 'node:path'
import { WireReader } from '../../../lib/base/protobuf/wire-reader.ts'
import type { Disk } from '../disk/disk.ts'
import { BoltReader } from '../snapshot/bolt-reader.ts'
import { readMeta } from '../snapshot/read-database.ts'
import { etcdStorageVersion } from '../version.ts'
import { entryTypes, readEntry, readHardState, readSnapshotMark } from '../wal/raft-messages.ts'
import { scanSegment } from '../wal/segment-scan.ts'
import { listSegments } from '../wal/segment-files.ts'
import { recordTypes } from '../wal/wal-record.ts'
import { rewriteDatabase } from './defragment.ts'

/** The database can't be made one of that version; the message is the original's. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError'
}

export interface MinorVersion { readonly major: number; readonly minor: number }

/** InternalRaftRequest.downgrade_version_test */
const downgradeVersionTestField = 9900

const newest: MinorVersion = parseVersion(etcdStorageVersion)

/** @param force override the version although the log forbids it @throws MigrationError, StorageError, BoltError */
export async function migrateFolder(disk: Disk, dataDir: string, target: MinorVersion, force: boolean): Promise<'migrated' | 'unchanged'> {
  const current = await readVersion(disk, join(dataDir, 'member', 'snap', 'db'))
  if (compare(current, target) === 0) return 'unchanged'
  try {
    if (target.major !== current.major) throw new MigrationError('cannot create migration plan: changing major storage version is not supported')
    if (target.minor > newest.minor) throw new MigrationError(`cannot create migration plan: version "${newest.major}.${newest.minor + 1}.0" is not supported`)
    const needed = compare(target, current) < 0 ? await minimalVersion(disk, join(dataDir, 'member', 'wal')) : undefined
    if (needed && compare(target, needed) < 0) {
      throw new MigrationError(`cannot downgrade storage, WAL contains newer entries, as the target version (${target.major}.${target.minor}.0) is lower than the version (${needed.major}.${needed.minor}.0) detected from WAL logs`)
    }
  } catch (error) {
    if (!force || !(error instanceof MigrationError)) throw error
  }
  const text = target.minor < 6 ? undefined : `${target.major}.${target.minor}.0`
  await rewriteDatabase(disk, dataDir, () => text)
  return 'migrated'
}

async function readVersion(disk: Disk, path: string): Promise<MinorVersion> {
  await using file = await disk.open(path, 'read')
  const { storageVersion, mark } = await readMeta(await BoltReader.open(file))
  if (storageVersion !== undefined) return parseVersion(storageVersion)
  if (mark.term === 0) throw new MigrationError('cannot detect storage schema version: missing term information')
  return { major: 3, minor: 5 }
}

/** The version that all entries behind the newest snapshot need. */
async function minimalVersion(disk: Disk, folder: string): Promise<MinorVersion | undefined> {
  const segments = await listSegments(disk, folder)
  const requests: { readonly index: number; readonly needs: MinorVersion }[] = []
  const marks: number[] = []
  let commit = 0
  let crc: number | undefined
  let lastIndex = 0
  for (const [at, segment] of segments.entries()) {
    await using file = await disk.open(join(folder, segment.name), 'read')
    const bytes = Buffer.alloc(await file.size())
    const size = await file.read(bytes, 0)
    const scan = scanSegment(bytes.subarray(0, size), { name: segment.name, crc, isLast: at === segments.length - 1, lastIndex: () => lastIndex })
    let step = scan.next()
    for (; !step.done; step = scan.next()) {
      const { type, data } = step.value
      if (type === recordTypes.state) commit = readHardState(data)?.commit ?? commit
      if (type === recordTypes.snapshot) marks.push(readSnapshotMark(data)?.index ?? 0)
      const entry = type === recordTypes.entry ? readEntry(data) : undefined
      if (!entry) continue
      lastIndex = entry.index
      const needs = entry.type === entryTypes.normal && entry.data.length > 0 ? versionOf(entry.data) : undefined
      if (needs) requests.push({ index: entry.index, needs })
    }
    crc = step.value.crc
  }
  const from = marks.findLast((mark) => mark <= commit) ?? 0
  return requests.filter(({ index }) => index > from).map(({ needs }) => needs).reduce<MinorVersion | undefined>((best, next) => (best && compare(best, next) >= 0 ? best : next), undefined)
}

/** Of all requests only one, which tests of downgrades make, is younger than the oldest version to go back to; it names the version that it stands for. */
function versionOf(data: Uint8Array): MinorVersion | undefined {
  const request = new WireReader(data)
  while (!request.done) {
    const tag = request.tag()
    if (tag !== downgradeVersionTestField * 8 + 2) { request.skip(tag % 8); continue }
    let version: MinorVersion = { major: 3, minor: 6 }
    for (const test = request.nested(); !test.done;) {
      const field = test.tag()
      if (field !== 1 * 8 + 2) { test.skip(field % 8); continue }
      const named = parseVersion(test.string())
      if (compare(named, version) > 0) version = named
    }
    return version
  }
  return undefined
}

function parseVersion(text: string): MinorVersion {
  const [major = 0, minor = 0] = text.split('.').map(Number)
  return { major, minor }
}

function compare(a: MinorVersion, b: MinorVersion): number { return a.major - b.major || a.minor - b.minor }

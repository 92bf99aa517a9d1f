// Makes a data folder of a snapshot file, for a new member of a new cluster. Upstream: etcd/etcdutl/snapshot/v3_snapshot.go
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { Disk, DiskFile } from '../disk/disk.ts'
import { describeMember, identityOf } from '../member-identity.ts'
import { writeSnapshot } from '../snapshot/snapshot-file.ts'
import { StateMachine } from '../state-machine.ts'
import { WriteAheadLog } from '../wal/write-ahead-log.ts'
import { BoltError, BoltReader } from './bolt-reader.ts'
import { loadDatabase } from './read-database.ts'

export interface RestoreOptions {
  readonly disk: Disk
  readonly logger: Logger
  readonly snapshotPath: string
  readonly dataDir: string
  readonly walDir?: string
  readonly name: string
  readonly peerUrls: readonly string[]
  readonly clusterToken: string
  readonly skipHashCheck: boolean
  /** See LoadOptions. */
  readonly bumpRevision: number
}

const hashBytes = 32
const pieceBytes = 1024 * 1024

/** @throws BoltError, StorageError */
export async function restoreSnapshot(options: RestoreOptions): Promise<void> {
  const { disk, dataDir, logger } = options
  await using file = await disk.open(options.snapshotPath, 'read')
  await checkHash(file, options.skipHashCheck)
  const machine = new StateMachine(1)
  await loadDatabase(await BoltReader.open(file), machine, { bumpRevision: options.bumpRevision })

  const folder = join(dataDir, 'member')
  await disk.makeFolder(join(folder, 'snap'))
  const identity = identityOf(options.peerUrls, options.clusterToken)
  await using log = await WriteAheadLog.open({
    disk, folder: options.walDir ?? join(folder, 'wal'), logger, identity, snapshot: { index: 0, term: 0 }, memberContext: describeMember(identity, options.name, options.peerUrls), replay: () => {},
  })
  const mark = { index: log.lastIndex, term: log.term }
  await writeSnapshot(disk, join(folder, 'snap'), machine, mark, identity)
  log.markSnapshot(mark)
  await log.flush()
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

// `--bootstrap-defrag-threshold-megabytes`: a database file that holds much that nobody needs (the original's does after compactions; ours is
// written without holes) is written anew when the member starts. Upstream: etcdserver/bootstrap.go (maybeDefragBackend)
import { join } from 'node:path'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { StateMark } from '../consensus/state-store.ts'
import type { Disk } from '../disk/disk.ts'
import { replaceDatabase } from '../snapshot/state-files.ts'
import { StateImage } from '../snapshot/write-database.ts'
import type { StateMachine } from '../state-machine.ts'

const databaseName = 'db'

export interface DefragmentAtStart {
  readonly disk: Disk
  readonly snapFolder: string
  readonly machine: StateMachine
  /** Up to where the machine has applied the log. */
  readonly mark: StateMark
  /** What it has to free to be worth it. */
  readonly thresholdBytes: number
  readonly logger: Logger
}

export async function defragmentAtStart({ disk, snapFolder, machine, mark, thresholdBytes, logger }: DefragmentAtStart): Promise<void> {
  if (!(await disk.list(snapFolder)).includes(databaseName)) return
  const sizeBytes = await sizeOf(disk, join(snapFolder, databaseName))
  if (sizeBytes === 0) return
  const neededBytes = await measure(machine, mark)
  const sizes = { 'current-db-size-bytes': sizeBytes, 'current-db-size-in-use-bytes': neededBytes, 'bootstrap-defrag-threshold-bytes': thresholdBytes }
  if (sizeBytes - neededBytes < thresholdBytes) { logger.info('Skipping defragmentation', sizes); return }
  await replaceDatabase(disk, snapFolder, machine, mark)
  logger.info('finished defragmenting', { ...sizes, 'new-db-size-bytes': await sizeOf(disk, join(snapFolder, databaseName)) })
}

async function sizeOf(disk: Disk, path: string): Promise<number> {
  await using file = await disk.open(path, 'read')
  return await file.size()
}

async function measure(machine: StateMachine, mark: StateMark): Promise<number> {
  using image = new StateImage(machine, mark)
  return (await image.measure()).totalBytes
}

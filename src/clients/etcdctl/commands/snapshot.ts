// snapshot save: the store of one member, as a file that ends with the SHA-256 of what is before it. It is written under another name, checked,
// brought to the disk and only then given its own. Upstream: etcdctl/ctlv3/command/snapshot_command.go, client/v3/snapshot/v3_snapshot.go
import { createHash } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import { maintenanceService } from '../../../lib/etcd-api/generated/services.ts'
import type { SnapshotResponse } from '../../../lib/etcd-api/generated/types.ts'
import { describeCallError } from '../client/etcd-connection.ts'
import { badArguments, defineCommand, defineGroup, ExitError, exitCodes } from '../command.ts'
import { goDuration, humanBytes } from '../go-format.ts'
import type { Session } from '../session.ts'

const example = [
  ['Save snapshot to a given file', 'etcdctl snapshot save /backup/etcd-snapshot.db'],
  ['Get snapshot from given address and save it to file', 'etcdctl snapshot save --endpoints=127.0.0.1:3000 /backup/etcd-snapshot.db'],
  ['Get snapshot from given address with certificates', 'etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/etcd/ca.crt --cert=/etc/etcd/etcd.crt --key=/etc/etcd/etcd.key snapshot save /backup/etcd-snapshot.db'],
  ['Get snapshot with certain user and password', 'etcdctl --user=root --password=password123 snapshot save /backup/etcd-snapshot.db'],
  ['Get snapshot from given address with timeout', 'etcdctl --endpoints=https://127.0.0.1:2379 --dial-timeout=20s snapshot save /backup/etcd-snapshot.db'],
  ['Save snapshot with desirable time format', 'etcdctl snapshot save /mnt/backup/etcd/backup_$(date +%Y%m%d_%H%M%S).db'],
].map(([what, line]) => `  # ${what}\n  ${line}`).join('\n  \n')

const hashBytes = 32
const sectorBytes = 512

const save = defineCommand({
  use: 'save <filename>', short: 'Stores an etcd node backend snapshot to a given file', example,
  async run(session, { args, given }) {
    const [path] = args
    if (path === undefined || args.length !== 1) throw badArguments('snapshot save expects one argument <filename>')
    const { endpoints, flags } = await session.settings()
    if (endpoints.length !== 1) throw new ExitError(exitCodes.interrupted, `snapshot must be requested to one selected node, not multiple [${endpoints.join(' ')}]`)
    // A snapshot takes as long as it takes, unless somebody says otherwise.
    const signal = given.has('command-timeout') ? session.deadline(flags['command-timeout']) : new AbortController().signal
    try {
      const version = await saveSnapshot(session, path, endpoints[0] ?? '', signal)
      session.out(`Snapshot saved at ${path}\n${version ? `Server version ${version}\n` : ''}`)
    } catch (error) {
      if (error instanceof ExitError) throw error
      throw new ExitError(exitCodes.interrupted, describeCallError(error), { cause: error })
    }
  },
})

/** @returns the version of the store. */
async function saveSnapshot(session: Session, path: string, endpoint: string, signal: AbortSignal): Promise<string> {
  const connection = await session.connect()
  const partial = `${path}.part`
  const started = session.clock.monotonic()
  const file = await open(partial, 'w', 0o600).catch((error: unknown) => {
    const { code } = error as { readonly code?: string } // cast: errors of the file system have a code
    throw new ExitError(exitCodes.interrupted, `could not open ${partial} (open ${partial}: ${code === 'ENOENT' ? 'no such file or directory' : code === 'EACCES' ? 'permission denied' : String(code)})`, { cause: error })
  })
  try {
    session.log('info', 'created temporary db file', { path: partial })
    session.log('info', 'fetching snapshot', { endpoint })
    let size = 0
    let version = ''
    let tail = Buffer.alloc(0)
    const hash = createHash('sha256')
    for await (const piece of connection.serverStream<SnapshotResponse>(maintenanceService, 'Snapshot', {}, signal)) {
      version ||= piece.version ?? ''
      const blob = piece.blob ?? new Uint8Array(0)
      await file.writeFile(blob)
      size += blob.length
      tail = Buffer.concat([tail, blob])
      if (tail.length > hashBytes) {
        hash.update(tail.subarray(0, tail.length - hashBytes))
        tail = Buffer.from(tail.subarray(tail.length - hashBytes))
      }
    }
    if (size % sectorBytes !== hashBytes) throw new ExitError(exitCodes.interrupted, `sha256 checksum not found [bytes: ${size}]`)
    if (!hash.digest().equals(tail)) throw new ExitError(exitCodes.interrupted, `expected sha256 ${tail.toString('hex')}: the snapshot was damaged on its way`)
    await file.sync()
    session.log('info', 'fetched snapshot', { endpoint, size: humanBytes(size), took: goDuration(session.clock.monotonic() - started), 'etcd-version': version })
    await rename(partial, path)
    session.log('info', 'saved', { path })
    return version
  } finally {
    await file.close()
    await rm(partial, { force: true })
  }
}

export const snapshotCommand = defineGroup({ use: 'snapshot <subcommand>', short: 'Manages etcd node snapshots', example, group: 'cluster maintenance' }, [save])

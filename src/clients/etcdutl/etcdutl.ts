// etcdutl: what administrators do to files while no etcd runs. `snapshot restore|status`, `hashkv`, `defrag`, `migrate`, `version`.
// Upstream: etcd/etcdutl
import { dirname, join } from 'node:path'
import { FlagError, parseFlags, type FlagSpecs } from '../../lib/component-base/flags.ts'
import { createLogger, describeError, type Logger } from '../../lib/component-base/log.ts'
import { realClock } from '../../lib/async/real-clock.ts'
import { StorageError } from '../../control-plane/etcd/disk/disk.ts'
import { realDisk } from '../../control-plane/etcd/disk/real-disk.ts'
import { hashKeyValues } from '../../control-plane/etcd/mvcc/hash-kv.ts'
import { BoltError, BoltReader } from '../../control-plane/etcd/offline/bolt-reader.ts'
import { loadDatabase, readStatus } from '../../control-plane/etcd/offline/read-database.ts'
import { restoreSnapshot } from '../../control-plane/etcd/offline/restore-snapshot.ts'
import { listSnapshots, readSnapshot } from '../../control-plane/etcd/snapshot/snapshot-file.ts'
import { StateMachine } from '../../control-plane/etcd/state-machine.ts'
import { etcdStorageVersion, etcdVersion } from '../../control-plane/etcd/version.ts'
import { yieldToLoop } from '../../control-plane/etcd/yield-to-loop.ts'
import { formatBytes, printRecord, type OutputFormat } from './print-record.ts'

const usage = `A utility for etcd data files, to be used while no etcd runs on them.

Usage:
  etcdutl [command]

Available Commands:
  defrag             Defragments the storage of the etcd
  hashkv <file>      Prints the KV history hash of a given file
  migrate            Migrates schema of etcd data dir files to make them compatible with different etcd version
  snapshot restore   Restores an etcd member snapshot to an etcd directory
  snapshot status    Gets backend snapshot status of a given file
  version            Prints the version of etcdutl
`

const common = { 'write-out': { type: 'string', short: 'w', default: 'simple', usage: 'output format: fields, json, simple, table' }, help: { type: 'bool', short: 'h', usage: 'help' } } as const satisfies FlagSpecs
const restoreFlags = {
  'data-dir': { type: 'string', usage: 'folder to make' }, 'wal-dir': { type: 'string', usage: 'folder for the log, when it is to lie elsewhere' }, name: { type: 'string', default: 'default', usage: 'name of the member' },
  'initial-cluster': { type: 'string', default: 'default=http://localhost:2380', usage: 'members of the new cluster' }, 'initial-cluster-token': { type: 'string', default: 'etcd-cluster', usage: 'token of the new cluster' },
  'initial-advertise-peer-urls': { type: 'strings', default: ['http://localhost:2380'], usage: "the member's peer URLs" }, 'skip-hash-check': { type: 'bool', usage: 'take a file without a checksum' },
  'bump-revision': { type: 'int', default: 0, usage: 'how much to raise the revision' }, 'mark-compacted': { type: 'bool', usage: 'forget all history (needed with --bump-revision)' },
  'initial-memory-map-size': { type: 'int', default: 0, usage: 'no effect' },
} as const satisfies FlagSpecs

class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** Runs a command; resolves to the exit code. */
export async function runEtcdutl(args: readonly string[]): Promise<number> {
  const logger = createLogger({ clock: realClock, name: 'etcdutl', verbosity: 0, processId: process.pid, write: (line) => process.stderr.write(line) })
  const [command = 'help', ...rest] = args
  try {
    switch (command) {
      case 'snapshot': return await runSnapshot(rest, logger)
      case 'hashkv': return await runHashKv(rest)
      case 'defrag': return await runDefrag(rest)
      case 'migrate': return await runMigrate(rest)
      case 'version': process.stdout.write(`etcdutl version: ${etcdVersion}\nAPI version: ${etcdVersion.replace(/\.\d+$/, '')}\n`); return 0
      case 'help': case '--help': case '-h': process.stdout.write(usage); return 0
      default: throw new UsageError(`unknown command ${JSON.stringify(command)} for "etcdutl"`)
    }
  } catch (error) {
    if (error instanceof FlagError || error instanceof UsageError) { process.stderr.write(`Error: ${error.message}\n`); return 128 }
    if (error instanceof BoltError || error instanceof StorageError) { process.stderr.write(`Error: ${error.message}\n`); return 1 }
    process.stderr.write(`Error: ${describeError(error)}\n`)
    return 1
  }
}

function formatOf(text: string): OutputFormat {
  if (text === 'simple' || text === 'json' || text === 'table' || text === 'fields') return text
  throw new UsageError('unsupported output format')
}

async function runSnapshot([command, ...args]: readonly string[], logger: Logger): Promise<number> {
  if (command === 'status') {
    const { flags, args: [path, ...more] } = parseFlags(common, args)
    if (path === undefined || more.length > 0) throw new UsageError('snapshot status requires exactly one argument')
    await using file = await realDisk.open(path, 'read')
    const { hash, revision, totalKeys, totalSizeBytes, version } = await readStatus(await BoltReader.open(file))
    process.stdout.write(printRecord(formatOf(flags['write-out']), [
      { header: 'hash', field: 'Hash', json: 'hash', value: hash, shown: hash.toString(16) }, { header: 'revision', field: 'Revision', json: 'revision', value: revision },
      { header: 'total keys', field: 'Keys', json: 'totalKey', value: totalKeys }, { header: 'total size', field: 'Size', json: 'totalSize', value: totalSizeBytes, shown: formatBytes(totalSizeBytes) },
      { header: 'version', field: 'Version', json: 'version', value: version },
    ]))
    return 0
  }
  if (command !== 'restore') throw new UsageError(`unknown command ${JSON.stringify(command ?? '')} for "etcdutl snapshot"`)
  const { flags, args: [path, ...more] } = parseFlags({ ...common, ...restoreFlags }, args)
  if (path === undefined || more.length > 0) throw new UsageError('snapshot restore requires exactly one argument')
  if ((flags['bump-revision'] > 0) !== flags['mark-compacted']) throw new UsageError('--mark-compacted required if --revision-bump > 0')
  const members = flags['initial-cluster'].split(',')
  if (members.length > 1) throw new UsageError('--initial-cluster names several members: they are not supported yet')
  if (!members[0]?.startsWith(`${flags.name}=`)) throw new UsageError(`couldn't find local name ${JSON.stringify(flags.name)} in the initial cluster configuration`)
  const dataDir = flags['data-dir'] || `${flags.name}.etcd`
  if ((await realDisk.list(dataDir)).length > 0) throw new StorageError('InUse', `data-dir ${JSON.stringify(dataDir)} not empty or could not be read`)
  await restoreSnapshot({
    disk: realDisk, logger, snapshotPath: path, dataDir, ...(flags['wal-dir'] ? { walDir: flags['wal-dir'] } : {}), name: flags.name, peerUrls: flags['initial-advertise-peer-urls'],
    clusterToken: flags['initial-cluster-token'], skipHashCheck: flags['skip-hash-check'], bumpRevision: flags['bump-revision'],
  })
  logger.info('restored snapshot', { path, dataDir })
  return 0
}

async function runHashKv(args: readonly string[]): Promise<number> {
  const { flags, args: [path, ...more] } = parseFlags({ ...common, rev: { type: 'int', default: 0, usage: 'maximum revision to hash' } }, args)
  if (path === undefined || more.length > 0) throw new UsageError('hashkv requires exactly one argument')
  const machine = new StateMachine(1)
  const folder = dirname(path)
  const own = (await realDisk.list(folder)).length > 0 ? (await listSnapshots(realDisk, folder)).find(({ name }) => join(folder, name) === path) : undefined
  if (own) await readSnapshot(realDisk, folder, own, machine)
  else {
    await using file = await realDisk.open(path, 'read')
    await loadDatabase(await BoltReader.open(file), machine)
  }
  const { hash, revision, compactRevision } = await hashKeyValues(machine.store, flags.rev, yieldToLoop)
  process.stdout.write(printRecord(formatOf(flags['write-out']), [
    { header: 'hash', field: 'Hash', json: 'hash', value: hash }, { header: 'hash revision', field: 'Hash revision', json: 'hashRevision', value: revision },
    { header: 'compact revision', field: 'Compact revision', json: 'compactRevision', value: compactRevision },
  ]))
  return 0
}

async function requireDataDir(dataDir: string): Promise<void> {
  if (dataDir === '') throw new UsageError('required flag(s) "data-dir" not set')
  if (!(await realDisk.list(dataDir)).includes('member')) throw new StorageError('CorruptLog', `${dataDir} is no data folder of etcd`)
}

/** Our files hold nothing but what counts, so there is nothing to give back; the folder is checked all the same. */
async function runDefrag(args: readonly string[]): Promise<number> {
  const { flags } = parseFlags({ ...common, 'data-dir': { type: 'string', usage: 'folder of an etcd that does not run' } }, args)
  await requireDataDir(flags['data-dir'])
  await using lock = await realDisk.lock(join(flags['data-dir'], 'member'))
  void lock
  const folder = join(flags['data-dir'], 'member', 'snap')
  const newest = (await listSnapshots(realDisk, folder))[0]
  if (newest) await readSnapshot(realDisk, folder, newest, new StateMachine(1))
  return 0
}

async function runMigrate(args: readonly string[]): Promise<number> {
  const { flags } = parseFlags({ ...common, 'data-dir': { type: 'string', usage: 'data folder' }, 'target-version': { type: 'string', usage: 'such as 3.7' }, force: { type: 'bool', usage: 'no effect' } }, args)
  const wanted = flags['target-version']
  if (!/^\d+\.\d+$/.test(wanted)) throw new UsageError(`wrong target version format, expected "X.Y", got ${JSON.stringify(wanted)}`)
  await requireDataDir(flags['data-dir'])
  if (`${wanted}.0` !== etcdStorageVersion) throw new StorageError('CorruptLog', `storage version ${etcdStorageVersion} has no other form: it can't be migrated to ${wanted}`)
  return 0
}

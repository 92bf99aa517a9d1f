// etcdutl: what administrators do to files while no etcd runs. `snapshot restore|status`, `hashkv`, `defrag`, `migrate`, `version`, `completion`.
// Upstream: etcd/etcdutl
import { join } from 'node:path'
import { FlagError, parseFlags, type FlagSpecs, type FlagValues } from '../../lib/component-base/flags.ts'
import { createLogger, describeError, type Logger } from '../../lib/component-base/log.ts'
import { realClock } from '../../lib/async/real-clock.ts'
import { EtcdError } from '../../lib/etcd-api/etcd-error.ts'
import { StorageError } from '../../control-plane/etcd/disk/disk.ts'
import { realDisk } from '../../control-plane/etcd/disk/real-disk.ts'
import { parseInitialCluster } from '../../control-plane/etcd/membership/parse-urls.ts'
import { hashKeyValues } from '../../control-plane/etcd/mvcc/hash-kv.ts'
import { defragmentFolder } from '../../control-plane/etcd/offline/defragment.ts'
import { migrateFolder, MigrationError } from '../../control-plane/etcd/offline/migrate.ts'
import { restoreSnapshot } from '../../control-plane/etcd/offline/restore-snapshot.ts'
import { BoltReader } from '../../control-plane/etcd/snapshot/bolt-reader.ts'
import { loadDatabase, readStatus } from '../../control-plane/etcd/snapshot/read-database.ts'
import { StateMachine } from '../../control-plane/etcd/state-machine.ts'
import { etcdVersion } from '../../control-plane/etcd/version.ts'
import { yieldToLoop } from '../../control-plane/etcd/yield-to-loop.ts'
import { defragFlags, findCommand, globalFlags, hashKvFlags, migrateFlags, restoreFlags, root, usageText, type Command } from './commands.ts'
import { completionScript, isShell } from './completion.ts'
import { formatBytes, printRecord, type OutputFormat } from './print-record.ts'

/** Exit codes of the original. */
const codes = { error: 1, badFeature: 4, badArguments: 128 } as const

class ExitError extends Error {
  override readonly name = 'ExitError'
  readonly code: number
  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

/** The command line is not one of this command: its usage is shown too. */
class UsageError extends Error {
  override readonly name = 'UsageError'
}

const helpFlag = { help: { type: 'bool', short: 'h', usage: 'help' } } as const satisfies FlagSpecs

/** Runs a command; resolves to the exit code. */
export async function runEtcdutl(args: readonly string[]): Promise<number> {
  const logger = createLogger({ clock: realClock, name: 'etcdutl', verbosity: 0, processId: process.pid, write: (line) => process.stderr.write(line) })
  const { command, rest } = findCommand(args)
  try {
    return await runCommand(command, rest, logger)
  } catch (error) {
    if (error instanceof FlagError || error instanceof UsageError) process.stderr.write(`Error: ${error.message}\n${usageText(command)}\nError: ${error.message}\n`)
    else process.stderr.write(`Error: ${error instanceof ExitError || error instanceof StorageError || error instanceof EtcdError ? error.message : describeFailure(error, command.path.at(-1) === 'restore' ? 'open' : 'stat')}\n`)
    return error instanceof ExitError ? error.code : codes.error
  }
}

/** Files that are not there are told as the original tells them. @param how it looked for them */
function describeFailure(error: unknown, how = 'stat'): string {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT' && 'path' in error) return `${how} ${String(error.path)}: no such file or directory`
  return error instanceof Error ? error.message : describeError(error)
}

async function runCommand(command: Command, args: readonly string[], logger: Logger): Promise<number> {
  const name = command.path.slice(1).join(' ')
  if (command === root && args[0] !== undefined && !args[0].startsWith('-')) {
    const message = `Error: unknown command ${JSON.stringify(args[0])} for "etcdutl"\n`
    process.stderr.write(`${message}Run 'etcdutl --help' for usage.\n${message}`)
    return codes.error
  }
  const { flags, given, args: operands } = parseFlags({ ...globalFlags, ...command.flags, ...helpFlag }, args)
  if (flags.help || command.isGroup) { process.stdout.write(usageText(command)); return 0 }
  const missing = (command.required ?? []).filter((flag) => !given.has(flag))
  if (missing.length > 0) throw new UsageError(`required flag(s) ${missing.map((flag) => JSON.stringify(flag)).join(', ')} not set`)
  const read = <const S extends FlagSpecs>(specs: S): FlagValues<S> => parseFlags<S>({ ...globalFlags, ...specs, ...helpFlag }, args).flags
  switch (name) {
    case 'help': process.stdout.write(usageText(findCommand(operands).command)); return 0
    case 'version': process.stdout.write(`etcdutl version: ${etcdVersion}\nAPI version: ${etcdVersion.replace(/\.\d+$/, '')}\n`); return 0
    case 'completion': return complete(operands)
    case 'snapshot status': return showStatus(operands, flags['write-out'])
    case 'snapshot restore': return restore(operands, read(restoreFlags), logger)
    case 'hashkv': return showHash(operands, flags['write-out'], read(hashKvFlags))
    case 'defrag': return defragment(read(defragFlags), logger)
    default: return migrate(read(migrateFlags), logger)
  }
}

function formatOf(text: string): OutputFormat {
  if (text === 'simple' || text === 'json' || text === 'table' || text === 'fields') return text
  // The original has no such messages for these either.
  throw new ExitError(codes.badFeature, text === 'protobuf' ? 'protobuf not supported as output format' : 'unsupported output format')
}

function complete(operands: readonly string[]): number {
  const [shell = '', ...more] = operands
  if (operands.length === 0 || more.length > 0) throw new UsageError(`accepts 1 arg(s), received ${operands.length}`)
  if (!isShell(shell)) throw new UsageError(`invalid argument ${JSON.stringify(shell)} for "etcdutl completion"`)
  process.stdout.write(completionScript(shell))
  return 0
}

async function showStatus([path, ...more]: readonly string[], writeOut: string): Promise<number> {
  if (path === undefined || more.length > 0) throw new ExitError(codes.badArguments, 'snapshot status requires exactly one argument')
  const format = formatOf(writeOut)
  await using file = await realDisk.open(path, 'read')
  const { hash, revision, totalKeys, totalSizeBytes, version } = await readStatus(await BoltReader.open(file))
  process.stdout.write(printRecord(format, [
    { header: 'hash', field: 'Hash', json: 'hash', value: hash, shown: hash.toString(16) }, { header: 'revision', field: 'Revision', json: 'revision', value: revision },
    { header: 'total keys', field: 'Keys', json: 'totalKey', value: totalKeys }, { header: 'total size', field: 'Size', json: 'totalSize', value: totalSizeBytes, shown: formatBytes(totalSizeBytes) },
    { header: 'version', field: 'Version', json: 'version', value: version },
  ]))
  return 0
}

async function restore([path, ...more]: readonly string[], flags: FlagValues<typeof restoreFlags>, logger: Logger): Promise<number> {
  if (path === undefined || more.length > 0) throw new ExitError(codes.badArguments, 'snapshot restore requires exactly one argument')
  if ((flags['bump-revision'] > 0) !== flags['mark-compacted']) throw new ExitError(codes.badArguments, '--mark-compacted required if --revision-bump > 0')
  const dataDir = flags['data-dir'] || `${flags.name}.etcd`
  const walDir = flags['wal-dir']
  const initialCluster = parseInitialCluster(flags['initial-cluster'])
  if ((await realDisk.list(dataDir)).length > 0) throw new StorageError('InUse', `data-dir ${JSON.stringify(dataDir)} not empty or could not be read`)
  if (walDir !== '' && (await realDisk.list(walDir)).length > 0) throw new StorageError('InUse', `wal-dir ${JSON.stringify(walDir)} exists`)
  logger.info('restoring snapshot', { path, 'wal-dir': walDir || join(dataDir, 'member', 'wal'), 'data-dir': dataDir })
  await restoreSnapshot({
    disk: realDisk, logger, snapshotPath: path, dataDir, ...(walDir === '' ? {} : { walDir }), name: flags.name, peerUrls: flags['initial-advertise-peer-urls'].split(','), initialCluster,
    clusterToken: flags['initial-cluster-token'], skipHashCheck: flags['skip-hash-check'], bumpRevision: flags['bump-revision'],
  })
  logger.info('restored snapshot', { path, 'wal-dir': walDir || join(dataDir, 'member', 'wal'), 'data-dir': dataDir })
  return 0
}

async function showHash([path, ...more]: readonly string[], writeOut: string, flags: FlagValues<typeof hashKvFlags>): Promise<number> {
  if (path === undefined || more.length > 0) throw new UsageError(`accepts 1 arg(s), received ${path === undefined ? 0 : more.length + 1}`)
  const format = formatOf(writeOut)
  const machine = new StateMachine(1)
  await using file = await realDisk.open(path, 'read')
  await loadDatabase(await BoltReader.open(file), machine)
  const { hash, revision, compactRevision } = await hashKeyValues(machine.store, flags.rev, yieldToLoop)
  process.stdout.write(printRecord(format, [
    { header: 'hash', field: 'Hash', json: 'hash', value: hash }, { header: 'hash revision', field: 'Hash revision', json: 'hashRevision', value: revision },
    { header: 'compact revision', field: 'Compact revision', json: 'compactRevision', value: compactRevision },
  ]))
  return 0
}

async function defragment(flags: FlagValues<typeof defragFlags>, logger: Logger): Promise<number> {
  const dataDir = flags['data-dir']
  try {
    const { before, after } = await defragmentFolder(realDisk, dataDir)
    logger.info('defragmented', { 'data-dir': dataDir, 'size-before': formatBytes(before), 'size-after': formatBytes(after) })
    return 0
  } catch (error) {
    throw new ExitError(codes.error, `Failed to defragment etcd data[${dataDir}] (${describeFailure(error)})`)
  }
}

async function migrate(flags: FlagValues<typeof migrateFlags>, logger: Logger): Promise<number> {
  const wanted = flags['target-version']
  const [, major, minor] = /^(\d+)\.(\d+)$/.exec(wanted) ?? []
  if (minor === undefined || major === undefined) throw new ExitError(codes.badArguments, `wrong target version format, expected "X.Y", got ${JSON.stringify(wanted)}`)
  const target = { major: Number(major), minor: Number(minor) }
  if (target.major < 3 || (target.major === 3 && target.minor < 5)) throw new ExitError(codes.badArguments, `target version ${JSON.stringify(wanted)} not supported. Minimal "3.5"`)
  try {
    const outcome = await migrateFolder(realDisk, flags['data-dir'], target, flags.force)
    logger.info(outcome === 'unchanged' ? 'storage version up-to-date' : 'updated storage version', { 'storage-version': wanted })
    return 0
  } catch (error) {
    if (error instanceof MigrationError) logger.error('the data folder was not migrated', error)
    throw error
  }
}

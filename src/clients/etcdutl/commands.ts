// etcdutl's commands as data: names, words and flags for the parser, for help and for completion. Upstream: etcd/etcdutl/etcdutl
import { formatFlagUsages, type FlagSpecs } from '../../lib/component-base/flags.ts'

export const globalFlags = {
  timeout: { type: 'duration', default: 10_000, usage: 'time to wait to obtain a file lock on db file, 0 to block indefinitely' },
  'write-out': { type: 'string', short: 'w', default: 'simple', usage: 'set the output format (fields, json, protobuf, simple, table)' },
} as const satisfies FlagSpecs

export const restoreFlags = {
  'bump-revision': { type: 'int', usage: 'How much to increase the latest revision after restore' },
  'data-dir': { type: 'string', usage: 'Path to the output data directory' },
  'initial-advertise-peer-urls': { type: 'string', default: 'http://localhost:2380', usage: "List of this member's peer URLs to advertise to the rest of the cluster" },
  'initial-cluster': { type: 'string', default: 'default=http://localhost:2380', usage: 'Initial cluster configuration for restore bootstrap' },
  'initial-cluster-token': { type: 'string', default: 'etcd-cluster', usage: 'Initial cluster token for the etcd cluster during restore bootstrap' },
  'initial-memory-map-size': { type: 'int', default: 10_737_418_240, usage: 'Initial memory map size of the database in bytes. It uses the default value if not defined or defined to 0' },
  'mark-compacted': { type: 'bool', usage: 'Mark the latest revision after restore as the point of scheduled compaction (required if --bump-revision > 0, disallowed otherwise)' },
  name: { type: 'string', default: 'default', usage: 'Human-readable name for this member' },
  'skip-hash-check': { type: 'bool', usage: 'Ignore snapshot integrity hash value (required if copied from data directory)' },
  'wal-dir': { type: 'string', usage: 'Path to the WAL directory (use --data-dir if none given)' },
} as const satisfies FlagSpecs

export const hashKvFlags = { rev: { type: 'int', usage: 'maximum revision to hash (default: latest revision)' } } as const satisfies FlagSpecs
export const defragFlags = { 'data-dir': { type: 'string', usage: 'Required. Defragments a data directory not in use by etcd.' } } as const satisfies FlagSpecs
export const migrateFlags = {
  'data-dir': { type: 'string', usage: 'Path to the etcd data dir' },
  force: { type: 'bool', usage: 'Ignore migration failure and forcefully override storage version. Not recommended.' },
  'target-version': { type: 'string', usage: 'Target etcd version to migrate contents of data dir. Minimal value 3.5. Format "X.Y" for example 3.6.' },
} as const satisfies FlagSpecs

export interface Command {
  readonly path: readonly string[]
  /** The usage line behind the names. */
  readonly use: string
  readonly short: string
  readonly flags: FlagSpecs
  readonly required?: readonly string[]
  readonly isGroup?: true
}

export const shells = ['bash', 'zsh', 'fish', 'powershell'] as const

export const root: Command = { path: ['etcdutl'], use: '', short: 'An administrative command line tool for etcd3.', flags: {}, isGroup: true }

export const commands: readonly Command[] = [
  root,
  { path: ['etcdutl', 'completion'], use: ' [bash|zsh|fish|powershell]', short: 'Generate completion script', flags: {} },
  { path: ['etcdutl', 'defrag'], use: ' [flags]', short: 'Defragments the storage of the etcd', flags: defragFlags, required: ['data-dir'] },
  { path: ['etcdutl', 'hashkv'], use: ' <filename> [flags]', short: 'Prints the KV history hash of a given file', flags: hashKvFlags },
  { path: ['etcdutl', 'help'], use: ' [command]', short: 'Help about any command', flags: {} },
  { path: ['etcdutl', 'migrate'], use: ' [flags]', short: 'Migrates schema of etcd data dir files to make them compatible with different etcd version', flags: migrateFlags, required: ['data-dir', 'target-version'] },
  { path: ['etcdutl', 'snapshot'], use: '', short: 'Manages etcd node snapshots', flags: {}, isGroup: true },
  { path: ['etcdutl', 'snapshot', 'restore'], use: ' <filename> --data-dir {output dir} [options] [flags]', short: 'Restores an etcd member snapshot to an etcd directory', flags: restoreFlags },
  { path: ['etcdutl', 'snapshot', 'status'], use: ' <filename> [flags]', short: 'Gets backend snapshot status of a given file', flags: {} },
  { path: ['etcdutl', 'version'], use: ' [flags]', short: 'Prints the version of etcdutl', flags: {} },
]

export function childrenOf(command: Command): readonly Command[] {
  return commands.filter(({ path }) => path.length === command.path.length + 1 && command.path.every((name, i) => path[i] === name))
}

/** The command that the words name, and what is left of them. Flags may stand before a command's name. */
export function findCommand(args: readonly string[]): { readonly command: Command; readonly rest: readonly string[] } {
  let command = root
  const rest: string[] = []
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? ''
    const next = arg.startsWith('-') ? undefined : childrenOf(command).find(({ path }) => path.at(-1) === arg)
    if (next) { command = next; continue }
    if (arg === '--') { rest.push(...args.slice(i)); break }
    rest.push(arg)
    // The value of a flag is not a command.
    if (/^(-w|--write-out|--timeout)$/.test(arg) && i + 1 < args.length) rest.push(args[++i] ?? '')
    else if (!arg.startsWith('-')) { rest.push(...args.slice(i + 1)); break }
  }
  return { command, rest }
}

/** As cobra lays it out. */
export function usageText(command: Command): string {
  const name = command.path.join(' ')
  const children = childrenOf(command)
  const width = Math.max(11, ...children.map(({ path }) => path.at(-1)?.length ?? 0))
  const own = { ...command.flags, ...(command === root ? globalFlags : {}), help: { type: 'bool', short: 'h', usage: `help for ${command.path.at(-1)}` } } as const satisfies FlagSpecs
  const parts = [`Usage:\n  ${name}${command.isGroup ? ' [command]' : command.use}\n`]
  if (children.length > 0) parts.push(`\nAvailable Commands:\n${children.map((child) => `  ${(child.path.at(-1) ?? '').padEnd(width)} ${child.short}\n`).join('')}`)
  parts.push(`\nFlags:\n${unsigned(formatFlagUsages(own)).trimEnd()}\n`)
  if (command !== root) parts.push(`\nGlobal Flags:\n${formatFlagUsages(globalFlags).trimEnd()}\n`)
  if (children.length > 0) parts.push(`\nUse "${name} [command] --help" for more information about a command.\n`)
  return parts.join('')
}

/** What the original takes as unsigned numbers is called so. */
function unsigned(text: string): string {
  return text.replace('--bump-revision int   ', '--bump-revision uint  ').replace('--initial-memory-map-size int   ', '--initial-memory-map-size uint  ')
}

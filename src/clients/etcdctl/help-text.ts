// Help and usage texts as cobra lays them out. Upstream: github.com/spf13/cobra/command.go
import { formatFlagUsages, type FlagSpecs } from '../../lib/component-base/flags.ts'
import { nameOf, type Command, type GroupName } from './command.ts'

const groups: readonly { readonly name: GroupName; readonly title: string }[] = [
  { name: 'kv', title: 'Key-value commands' }, { name: 'cluster maintenance', title: 'Cluster maintenance commands' }, { name: 'concurrency', title: 'Concurrency commands' },
  { name: 'authentication', title: 'Authentication commands' }, { name: 'utility', title: 'Utility commands' },
]

const minimumPadding = 11

/** `path`: the root first, the command itself last. */
export function usageText(path: readonly Command[]): string {
  const command = path.at(-1)
  if (!command) return ''
  const isRoot = path.length === 1
  const commandPath = path.map(nameOf).join(' ')
  const parts: string[] = ['Usage:']
  if (command.run) parts.push(`\n  ${[...path.slice(0, -1).map(nameOf), command.use].join(' ')}${command.plainUse || command.use.includes('[flags]') ? '' : ' [flags]'}`)
  if (command.commands.length > 0) parts.push(`\n  ${commandPath} [command]`)
  if (command.example !== undefined) parts.push(`\n\nExamples:\n${command.example}`)
  const sorted = command.commands.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))
  const padding = Math.max(minimumPadding, ...sorted.map((child) => nameOf(child).length))
  const row = (child: Command): string => `\n  ${nameOf(child).padEnd(padding)} ${child.short}`
  if (isRoot) for (const group of groups) parts.push(`\n\n${group.title}`, ...sorted.filter((child) => child.group === group.name).map(row))
  else if (sorted.length > 0) parts.push('\n\nAvailable Commands:', ...sorted.map(row))
  if (!isRoot) {
    parts.push(`\n\nFlags:\n${flagUsages({ ...command.flags, ...command.persistentFlags, help: { type: 'bool', short: 'h', usage: `help for ${nameOf(command)}` } })}`)
    // The root's flags are hidden: `etcdctl options` lists them.
    const inherited = Object.assign({}, ...path.slice(1, -1).map((parent) => parent.persistentFlags)) as FlagSpecs // cast: a merge of flag specs
    if (Object.keys(inherited).length > 0) parts.push(`\n\nGlobal Flags:\n${flagUsages(inherited)}`)
  }
  if (command.commands.length > 0) parts.push(`\n\nUse "${commandPath} [command] --help" for more information about a command.`)
  return `${parts.join('')}\n`
}

export function helpText(path: readonly Command[]): string {
  const command = path.at(-1)
  if (!command) return ''
  return `${(command.long ?? command.short).trimEnd()}\n\n${usageText(path)}Use "etcdctl options" for a list of global command-line options (applies to all commands).\n`
}

/** The lines of flags. pflag calls the one unsigned flag `uint`. */
export function flagUsages(specs: FlagSpecs): string {
  return formatFlagUsages(specs).replace('--max-txn-ops int ', '--max-txn-ops uint').trimEnd()
}

/** Commands that a mistyped name may have meant. */
export function suggestCommands(typed: string, commands: readonly Command[]): readonly string[] {
  const lower = typed.toLowerCase()
  return commands.map(nameOf).filter((name) => editDistance(lower, name) <= 2 || name.startsWith(lower)).sort()
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)))
    row = next
  }
  return row[b.length] ?? 0
}

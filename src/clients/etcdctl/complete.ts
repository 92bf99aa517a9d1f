// What a shell may put for the word that is being typed: names of commands, flags, values of flags. Asked with the hidden commands
// `etcdctl __complete words…` (with descriptions) and `__completeNoDesc`; the answer ends with a line that says whether files are meant too.
// Upstream: github.com/spf13/cobra/completions.go
import type { FlagSpecs } from '../../lib/component-base/flags.ts'
import { nameOf, type Command } from './command.ts'
import { findCommand } from './find-command.ts'

export const completeCommands: readonly string[] = ['__complete', '__completeNoDesc']

export interface Completion {
  /** Each with its description after a tab, where there is one. */
  readonly candidates: readonly string[]
  /** 0: file names may follow too. 4: they may not. */
  readonly directive: 0 | 4
}

const directiveNames = { 0: 'ShellCompDirectiveDefault', 4: 'ShellCompDirectiveNoFileComp' } as const

/** Values that flags take, by name. */
const flagValues: { readonly [flag: string]: readonly string[] } = {
  'write-out': ['fields', 'json', 'protobuf', 'simple', 'table'], consistency: ['l', 's'], order: ['ASCEND', 'DESCEND'], 'sort-by': ['CREATE', 'KEY', 'MODIFY', 'VALUE', 'VERSION'],
  load: ['small', 'medium', 'large', 'xLarge'],
}

/** Words that commands take. */
const argumentValues: { readonly [command: string]: readonly string[] } = { completion: ['bash', 'zsh', 'fish', 'powershell'] }

/** @param words what stands before the cursor; the last of them is being typed, and may be empty */
export function complete(root: Command, globalFlags: FlagSpecs, words: readonly string[]): Completion {
  const typed = words.at(-1) ?? ''
  const before = words.slice(0, -1)
  const { path, args } = findCommand(root, before[0] === 'help' ? before.slice(1) : before, globalFlags)
  const command = path.at(-1) ?? root
  const specs: FlagSpecs = { ...command.flags, ...Object.assign({}, ...path.map((one) => one.persistentFlags)) as FlagSpecs } // cast: a merge of flag specs
  const all: FlagSpecs = { ...globalFlags, ...specs }
  const valued = flagAwaitingValue(all, before, typed)
  if (valued) {
    const values = command.flags[valued.name] || Object.hasOwn(globalFlags, valued.name) ? flagValues[valued.name] ?? [] : []
    return { candidates: values.filter((value) => value.startsWith(valued.typed)).map((value) => `${valued.prefix}${value}`), directive: 0 }
  }
  if (typed.startsWith('-')) return { candidates: command === root ? [] : flagCandidates(specs, command, typed), directive: 4 }
  if (args.some((arg) => !arg.startsWith('-')) && command.commands.length > 0) return { candidates: [], directive: 0 }
  const names = command.commands.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1)).filter((child) => nameOf(child).startsWith(typed)).map((child) => `${nameOf(child)}\t${child.short}`)
  if (command.commands.length > 0) return { candidates: names, directive: 4 }
  const values = (argumentValues[nameOf(command)] ?? []).filter((value) => value.startsWith(typed))
  return argumentValues[nameOf(command)] ? { candidates: values, directive: 4 } : { candidates: [], directive: 0 }
}

function flagCandidates(specs: FlagSpecs, command: Command, typed: string): string[] {
  const help = { short: 'h', usage: `help for ${nameOf(command)}` }
  const rows = [...Object.entries(specs), ['help', help] as const].sort(([a], [b]) => (a < b ? -1 : 1))
  return rows.flatMap(([name, { short, usage }]) => [`--${name}\t${usage}`, ...(short === undefined ? [] : [`-${short}\t${usage}`])]).filter((row) => row.startsWith(typed))
}

/** The flag whose value is being typed. */
function flagAwaitingValue(specs: FlagSpecs, before: readonly string[], typed: string): { readonly name: string; readonly typed: string; readonly prefix: string } | undefined {
  const [, inline, value] = /^--([^=]+)=(.*)$/.exec(typed) ?? []
  if (inline !== undefined && value !== undefined && specs[inline]) return { name: inline, typed: value, prefix: `--${inline}=` }
  const last = before.at(-1) ?? ''
  const name = last.startsWith('--') ? last.slice(2) : /^-(.)$/.exec(last) ? Object.keys(specs).find((known) => specs[known]?.short === last[1]) : undefined
  return name !== undefined && specs[name] && specs[name].type !== 'bool' ? { name, typed, prefix: '' } : undefined
}

/** The answer as shells' scripts read it. */
export function describeCompletion({ candidates, directive }: Completion, withDescriptions: boolean): { readonly out: string; readonly err: string } {
  const lines = withDescriptions ? candidates : candidates.map((candidate) => candidate.split('\t')[0] ?? '')
  return { out: [...lines, `:${directive}`, ''].join('\n'), err: `Completion ended with directive: ${directiveNames[directive]}\n` }
}

// Which command a command line means: flags may stand anywhere, names may be shortened as long as they stay unambiguous.
// Upstream: github.com/spf13/cobra/command.go (Find, stripFlags)
import type { FlagSpecs } from '../../lib/component-base/flags.ts'
import { nameOf, type Command } from './command.ts'

export interface FoundCommand {
  /** The root first, the command last. */
  readonly path: readonly Command[]
  /** The command line without the commands' names. */
  readonly args: readonly string[]
}

export function findCommand(root: Command, args: readonly string[], globalFlags: FlagSpecs): FoundCommand {
  const path: Command[] = [root]
  let rest = args
  for (;;) {
    const current = path.at(-1) ?? root
    const specs = Object.assign({}, globalFlags, ...path.map((command) => command.persistentFlags)) as FlagSpecs // cast: a merge of flag specs
    const at = firstArgument(rest, specs)
    const child = at < 0 ? undefined : childNamed(current, rest[at] ?? '')
    if (!child) return { path, args: rest }
    path.push(child)
    rest = rest.toSpliced(at, 1)
  }
}

function childNamed(command: Command, name: string): Command | undefined {
  const exact = command.commands.find((child) => nameOf(child) === name)
  if (exact) return exact
  const starting = command.commands.filter((child) => nameOf(child).startsWith(name))
  return starting.length === 1 ? starting[0] : undefined
}

/** Index of the first word that is neither a flag nor a flag's value; -1 when there is none. */
export function firstArgument(args: readonly string[], specs: FlagSpecs): number {
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? ''
    if (arg === '--') return -1
    if (arg.startsWith('--')) {
      if (!arg.includes('=') && takesValue(specs[arg.slice(2)])) i++
    } else if (arg.startsWith('-') && arg.length > 1) {
      if (arg.length === 2 && takesValue(Object.values(specs).find((spec) => spec.short === arg[1]))) i++
    } else if (arg !== '') return i
  }
  return -1
}

/** Flags that nobody knows count as taking one. */
function takesValue(spec: FlagSpecs[string] | undefined): boolean { return spec?.type !== 'bool' }

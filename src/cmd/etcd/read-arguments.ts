// Where etcd's settings come from: a configuration file, which makes everything else moot; or flags, and ETCD_NAME for `--name` where a flag is
// not given. Upstream: etcd/server/etcdmain/config.go, etcd/pkg/flags/flag.go
import { FlagError } from '../../lib/component-base/flags.ts'
import { readConfigFile } from './config-file.ts'
import { etcdFlags, ignoredFlags, olderNames } from './flag-specs.ts'

export interface EtcdArguments {
  readonly args: readonly string[]
  readonly clientAllowedCns: readonly string[]
  /** Names of what was set by anybody. */
  readonly source: 'file' | 'flags'
  /** Variables that a flag overrules, and variables that mean nothing. */
  readonly warnings: readonly string[]
}

const alwaysRead = ['--help', '-h', '--version']

/** @throws FlagError */
export function readArguments(given: readonly string[], environment: { readonly [name: string]: string | undefined }, readFile: (path: string) => string): EtcdArguments {
  const ignored = given.filter(isIgnored)
  const args = given.filter((arg) => !isIgnored(arg)).map(normalise)
  if (args.some((arg) => alwaysRead.includes(arg))) return { args, clientAllowedCns: [], source: 'flags', warnings: [] }
  const at = args.findIndex((arg) => arg === '--config-file' || arg.startsWith('--config-file='))
  const file = at < 0 ? environment['ETCD_CONFIG_FILE'] : (args[at]?.split('=').slice(1).join('=') || args[at + 1])
  if (file) {
    let text: string
    try {
      text = readFile(file)
    } catch (error) {
      throw new FlagError(`open ${file}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
    }
    return { ...readConfigFile(text, file), source: 'file', warnings: [] }
  }
  const flagged = new Set(args.filter((arg) => arg.startsWith('--')).map((arg) => arg.slice(2).split('=')[0]))
  const warnings: string[] = ignored.map((arg) => `flag "-${nameOf(arg)}" is no longer supported - ignoring.`)
  const fromEnvironment: string[] = []
  for (const [variable, value] of Object.entries(environment)) {
    if (!variable.startsWith('ETCD_') || !value || variable === 'ETCD_VERSION' || variable === 'ETCD_UNSUPPORTED_ARCH') continue
    const name = variable.slice('ETCD_'.length).toLowerCase().replaceAll('_', '-')
    if (!Object.hasOwn(etcdFlags, name)) warnings.push(`unrecognized environment variable ${variable}`)
    else if (flagged.has(name)) warnings.push(`recognized environment variable ${variable}, but unused: shadowed by corresponding flag`)
    else fromEnvironment.push(`--${name}=${value}`)
  }
  return { args: [...fromEnvironment, ...args], clientAllowedCns: [], source: 'flags', warnings }
}

function nameOf(arg: string): string { return /^--?([a-z][a-z0-9-]*)(=.*)?$/s.exec(arg)?.[1] ?? '' }
function isIgnored(arg: string): boolean { return ignoredFlags.has(nameOf(arg)) }

/** Go's flags may have one dash; some had other names before. */
function normalise(arg: string): string {
  const [, name, rest = ''] = /^--?([a-z][a-z0-9-]+)(=.*)?$/s.exec(arg) ?? []
  if (name === undefined) return arg
  const known = olderNames[name] ?? name
  return Object.hasOwn(etcdFlags, known) ? `--${known}${rest}` : arg
}

// Flags that every command has, and the ETCDCTL_… variables that stand for them.
// Upstream: etcdctl/ctlv3/ctl.go, pkg/flags/flag.go
import { parseFlags, type FlagSpecs, type FlagValues } from '../../lib/component-base/flags.ts'

export const globalFlags = {
  endpoints: { type: 'strings', default: ['127.0.0.1:2379'], usage: 'gRPC endpoints' },
  debug: { type: 'bool', usage: 'enable client-side debug logging' },
  'write-out': { type: 'string', default: 'simple', short: 'w', usage: 'set the output format (fields, json, protobuf, simple, table)' },
  hex: { type: 'bool', usage: 'print byte strings as hex encoded strings' },
  'dial-timeout': { type: 'duration', default: 2000, usage: 'dial timeout for client connections' },
  'command-timeout': { type: 'duration', default: 5000, usage: 'timeout for short running command (excluding dial timeout)' },
  'keepalive-time': { type: 'duration', default: 2000, usage: 'keepalive time for client connections' },
  'keepalive-timeout': { type: 'duration', default: 6000, usage: 'keepalive timeout for client connections' },
  'max-request-bytes': { type: 'int', usage: 'client-side request send limit in bytes (if 0, it defaults to 2.0 MiB (2 * 1024 * 1024).)' },
  'max-recv-bytes': { type: 'int', usage: 'client-side response receive limit in bytes (if 0, it defaults to "math.MaxInt32")' },
  'insecure-transport': { type: 'bool', default: true, usage: 'disable transport security for client connections' },
  'insecure-discovery': { type: 'bool', default: true, usage: 'accept insecure SRV records describing cluster endpoints' },
  'insecure-skip-tls-verify': { type: 'bool', usage: 'skip server certificate verification (CAUTION: this option should be enabled only for testing purposes)' },
  cert: { type: 'string', usage: 'identify secure client using this TLS certificate file' },
  key: { type: 'string', usage: 'identify secure client using this TLS key file' },
  cacert: { type: 'string', usage: 'verify certificates of TLS-enabled secure servers using this CA bundle' },
  'auth-jwt-token': { type: 'string', usage: 'JWT token used for authentication (if this option is used, --user and --password should not be set)' },
  user: { type: 'string', usage: 'username[:password] for authentication (prompt if password is not supplied)' },
  password: { type: 'string', usage: "password for authentication (if this option is used, --user option shouldn't include password)" },
  'discovery-srv': { type: 'string', short: 'd', usage: 'domain name to query for SRV records describing cluster endpoints' },
  'discovery-srv-name': { type: 'string', usage: 'service name to query when using DNS discovery' },
} as const satisfies FlagSpecs

export type GlobalFlagValues = FlagValues<typeof globalFlags>

export type Environment = { readonly [name: string]: string | undefined }

/** Variables that this program reads itself. */
const ownVariables: readonly string[] = ['ETCDCTL_API', 'ETCDCTL_WATCH_KEY', 'ETCDCTL_WATCH_RANGE_END']

export interface EnvironmentReading {
  /** Flags that variables set. */
  readonly values: { readonly [flag: string]: unknown }
  /** A variable that a flag on the command line contradicts: the original refuses to run. */
  readonly conflict?: string
  /** `NAME=value` of variables that stand for nothing. */
  readonly unrecognized: readonly string[]
}

/** What the environment says about `specs`. */
export function readEnvironment(environment: Environment, specs: FlagSpecs, given: ReadonlySet<string>): EnvironmentReading {
  const values: { [flag: string]: unknown } = {}
  const variables: ReadonlyMap<string, string> = new Map(Object.keys(specs).map((flag) => [`ETCDCTL_${flag.toUpperCase().replaceAll('-', '_')}`, flag] as const))
  const unrecognized: string[] = []
  let conflict: string | undefined
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined || !name.startsWith('ETCDCTL_') || ownVariables.includes(name)) continue
    const flag = variables.get(name)
    if (flag === undefined) { unrecognized.push(`${name}=${value}`); continue }
    if (given.has(flag)) { conflict ??= name; continue }
    if (value === '') { unrecognized.push(`${name}=`); continue }
    try {
      values[flag] = (parseFlags(specs, [`--${flag}=${value}`]).flags as { readonly [name: string]: unknown })[flag] // cast: read by name
    } catch {
      // What can't be read is as if it were not set; but Go's switches are off then, and the original goes on so.
      if (specs[flag]?.type === 'bool') values[flag] = false
    }
  }
  return { values, unrecognized, ...(conflict === undefined ? {} : { conflict }) }
}

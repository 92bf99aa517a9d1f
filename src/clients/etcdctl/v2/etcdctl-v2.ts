// etcdctl's version 2 (`ETCDCTL_API=2`), whose commands are those of etcd 3.4: keys and directories, members, users and roles.
//
// All but backup talk to a server; that one reads its files. Upstream: etcdctl/ctlv2
import { resolveSrv } from 'node:dns/promises'
import type { Timer } from '../../../lib/base/clock.ts'
import { version } from '../commands/index.ts'
import { ExitError } from '../command.ts'
import { readTls } from '../session.ts'
import { askPassword, readLines } from '../terminal.ts'
import { authCommand, roleCommand, userCommand } from './auth-commands.ts'
import { ClusterApi, ClusterApiError } from './cluster-api.ts'
import { clusterHealthCommand, memberCommand } from './cluster-commands.ts'
import {
  applicationHelp, commandHelp, exitCodes, flagsFirst, groupHelp, helpFlag, parseWords, PlainExit, plain, UsageError, versionFlag, type FlagValues, type ParsedWords, type V2Command, type V2Context, type V2Flag, type V2Surroundings,
} from './command-line.ts'
import { ClusterUnavailable, HttpCluster } from './http-cluster.ts'
import { keyCommands } from './key-commands.ts'
import { KeysClient } from './keys-api.ts'

export type { V2Surroundings } from './command-line.ts'

const defaultEndpoints = 'http://127.0.0.1:2379,http://127.0.0.1:4001'

const globalFlags: readonly V2Flag[] = [
  { names: ['debug'], type: 'bool', usage: 'output cURL commands which can be used to reproduce the request' }, { names: ['no-sync'], type: 'bool', usage: "don't synchronize cluster information before sending request" },
  { names: ['output', 'o'], type: 'string', default: 'simple', usage: 'output response in the given format (`simple`, `extended` or `json`)' },
  { names: ['discovery-srv', 'D'], type: 'string', usage: 'domain name to query for SRV records describing cluster endpoints' },
  { names: ['insecure-discovery'], type: 'bool', usage: 'accept insecure SRV records describing cluster endpoints' },
  { names: ['peers', 'C'], type: 'string', usage: 'DEPRECATED - "--endpoints" should be used instead' }, { names: ['endpoint'], type: 'string', usage: 'DEPRECATED - "--endpoints" should be used instead' },
  { names: ['endpoints'], type: 'string', usage: `a comma-delimited list of machine addresses in the cluster (default: "${defaultEndpoints}")` },
  { names: ['cert-file'], type: 'string', usage: 'identify HTTPS client using this SSL certificate file' }, { names: ['key-file'], type: 'string', usage: 'identify HTTPS client using this SSL key file' },
  { names: ['ca-file'], type: 'string', usage: 'verify certificates of HTTPS-enabled servers using this CA bundle' },
  { names: ['username', 'u'], type: 'string', usage: 'provide username[:password] and prompt if password is not supplied.' },
  { names: ['timeout'], type: 'duration', default: '2s', usage: 'connection timeout per request' }, { names: ['total-timeout'], type: 'duration', default: '5s', usage: 'timeout for the command execution (except watch)' },
]

const backupCommand: V2Command = {
  name: 'backup', usage: 'backup an etcd directory', argsUsage: ' ',
  flags: [
    { names: ['data-dir'], type: 'string', usage: 'Path to the etcd data dir' }, { names: ['wal-dir'], type: 'string', usage: 'Path to the etcd wal dir' }, { names: ['backup-dir'], type: 'string', usage: 'Path to the backup dir' },
    { names: ['backup-wal-dir'], type: 'string', usage: 'Path to the backup wal dir' }, { names: ['with-v3'], type: 'bool', usage: 'Backup v3 backend data' },
  ],
  async run({ flags, surroundings: { backup } }) {
    if (!backup) throw plain('Error:  backup is not available here')
    const text = (name: string): string => String(flags[name] ?? '')
    await backup({ dataDir: text('data-dir'), walDir: text('wal-dir'), backupDir: text('backup-dir'), backupWalDir: text('backup-wal-dir'), withV3: flags['with-v3'] === true })
  },
}

const commands: readonly V2Command[] = [backupCommand, clusterHealthCommand, ...keyCommands, memberCommand, userCommand, roleCommand, authCommand]

/** Runs a command of version 2; resolves to its exit code. */
export async function runEtcdctlV2(args: readonly string[], surroundings: V2Surroundings): Promise<number> {
  const { out, err } = surroundings
  let globals: ParsedWords
  try {
    globals = parseWords([...globalFlags, helpFlag, versionFlag], args)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    out(`Incorrect Usage. ${error.message}\n\n${applicationHelp(version, commands, globalFlags)}`)
    err(`${error.message}\n`)
    return exitCodes.error
  }
  if (globals.flags['version'] === true) { out(`etcdctl version: ${version}\nAPI version: 2\n`); return 0 }
  const [name, ...rest] = globals.args
  if (name === undefined || globals.flags['help'] === true) { out(applicationHelp(version, commands, globalFlags)); return 0 }
  if (name === 'help' || name === 'h') return showHelp(rest[0], surroundings)
  const found = commands.find((command) => command.name === name)
  if (!found) return noSuchCommand(name, surroundings)
  if (!found.commands) return await runCommand([name], found, rest, globals.flags, surroundings)
  const [sub, ...more] = rest
  if (sub === undefined || ['--help', '-h', '-help', 'help'].includes(sub)) { out(groupHelp(found)); return 0 }
  const command = found.commands.find((child) => child.name === sub)
  return command ? await runCommand([name, sub], command, more, globals.flags, surroundings) : noSuchCommand(sub, surroundings)
}

function noSuchCommand(name: string, { err }: V2Surroundings): number {
  err(`No help topic for '${name}'\n`)
  return exitCodes.unknownCommand
}

function showHelp(topic: string | undefined, surroundings: V2Surroundings): number {
  if (topic === undefined) { surroundings.out(applicationHelp(version, commands, globalFlags)); return 0 }
  const command = commands.find(({ name }) => name === topic)
  if (!command) return noSuchCommand(topic, surroundings)
  surroundings.out(commandHelp([topic], command))
  return 0
}

async function runCommand(path: readonly string[], command: V2Command, words: readonly string[], globals: FlagValues, surroundings: V2Surroundings): Promise<number> {
  const { out, err, clock } = surroundings
  let parsed: ParsedWords
  try {
    parsed = parseWords([...command.flags ?? [], helpFlag], flagsFirst(words))
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    out(`Incorrect Usage: ${error.message}\n\n${commandHelp(path, command)}`)
    err(`${error.message}\n`)
    return exitCodes.error
  }
  if (parsed.flags['help'] === true) { out(commandHelp(path, command)); return 0 }
  const total = new AbortController()
  let timer: Timer | undefined
  try {
    const connection = new Connection(globals, surroundings, total.signal)
    timer = clock.setTimer(Number(globals['total-timeout']), () => total.abort(new Error('context deadline exceeded')), { keepAlive: false })
    const context: V2Context = {
      globals, flags: parsed.flags, args: parsed.args, surroundings, deadline: total.signal,
      keys: async () => new KeysClient(await connection.open(true)), cluster: async (synchronized = true) => new ClusterApi(await connection.open(synchronized), total.signal), askPassword: (prompt) => connection.askPassword(prompt),
    }
    await command.run?.(context)
    return 0
  } catch (error) {
    return tell(error, path.length > 1, err)
  } finally {
    timer?.[Symbol.dispose]()
  }
}

/** @param isPlain commands within commands tell errors of the server without a head */
function tell(error: unknown, isPlain: boolean, err: (text: string) => void): number {
  if (error instanceof PlainExit) { if (error.text !== '') err(error.text); return error.code }
  if (error instanceof ExitError) { if (error.message !== '') err(`Error:  ${error.message}\n`); return error.code }
  const text = error instanceof Error ? error.message : String(error)
  if (error instanceof ClusterApiError && isPlain) { err(`${text}\n`); return exitCodes.error }
  err(`Error:  ${text}\n`)
  if (error instanceof SyncFailure || error instanceof ClusterUnavailable) err(`${error.details.map((detail, i) => `error #${i}: ${detail}\n`).join('')}\n`)
  return error instanceof SyncFailure ? exitCodes.badConnection : exitCodes.serverError
}

/** Nobody could be asked who the members are. */
class SyncFailure extends Error {
  readonly details: readonly string[]
  constructor(cause: ClusterUnavailable) {
    super(cause.message, { cause })
    this.details = cause.details
  }
}

class Connection {
  readonly #globals: FlagValues
  readonly #surroundings: V2Surroundings
  readonly #signal: AbortSignal
  readonly #lines: () => AsyncGenerator<Buffer>

  constructor(globals: FlagValues, surroundings: V2Surroundings, signal: AbortSignal) {
    this.#globals = globals
    this.#surroundings = surroundings
    this.#signal = signal
    let lines: AsyncGenerator<Buffer> | undefined
    this.#lines = () => (lines ??= readLines(surroundings.openStdin()))
  }

  /** A flag, or the variable that stands for it. */
  #setting(name: string): string {
    const given = this.#globals[name]
    return typeof given === 'string' && given !== '' ? given : this.#surroundings.environment[`ETCDCTL_${name.toUpperCase().replaceAll('-', '_')}`] ?? ''
  }

  async askPassword(prompt: string): Promise<string> {
    const password = await askPassword(this.#surroundings.openStdin(), this.#lines(), this.#surroundings.out, prompt)
    if (password === undefined) throw plain('Error reading password: interrupted')
    return password
  }

  async #endpoints(): Promise<readonly string[]> {
    const domain = this.#setting('discovery-srv')
    if (domain !== '') {
      const insecure = this.#globals['insecure-discovery'] === true || this.#setting('insecure-discovery') !== ''
      const found = (await Promise.all([['_etcd-client-ssl', 'https'], ['_etcd-client', 'http']].map(async ([service = '', scheme = '']) => {
        const records = await resolveSrv(`${service}._tcp.${domain}`).catch(() => [])
        return records.map((record) => `${scheme}://${record.name.replace(/\.$/, '')}:${record.port}`)
      }))).flat()
      const kept = insecure ? found : found.filter((endpoint) => {
        if (!endpoint.startsWith('http://')) return true
        this.#surroundings.err(`ignoring discovered insecure endpoint "${endpoint}"\n`)
        return false
      })
      if (kept.length > 0) return kept
    }
    const listed = ['endpoints', 'endpoint', 'peers'].map((name) => this.#setting(name)).find((text) => text !== '') ?? defaultEndpoints
    return listed.split(',')
  }

  async open(synchronized: boolean): Promise<HttpCluster> {
    const { err } = this.#surroundings
    const debug = this.#globals['debug'] === true
    const endpoints = await this.#endpoints()
    const tls = readTls({ cert: this.#setting('cert-file'), key: this.#setting('key-file'), cacert: this.#setting('ca-file'), insecureTransport: true, skipVerify: false })
    const name = this.#setting('username')
    const user = name === '' || name.includes(':') ? name : `${name}:${await this.askPassword('Password: ')}`
    const options = { ...(tls ? { tls } : {}), ...(user ? { user } : {}), timeoutMs: Number(this.#globals['timeout']), ...(debug ? { onRequest: (curl: string) => err(`cURL Command: ${curl}\n`) } : {}) }
    const given = new HttpCluster({ ...options, endpoints })
    if (!synchronized || this.#globals['no-sync'] === true) {
      if (debug) err(`Cluster-Endpoints: ${endpoints.join(', ')}\n`)
      return given
    }
    if (debug) err(`start to sync cluster using endpoints(${endpoints.join(',')})\n`)
    const published = await this.#published(given)
    if (debug) err(`got endpoints(${published.join(',')}) after sync\nCluster-Endpoints: ${published.join(', ')}\n`)
    return new HttpCluster({ ...options, endpoints: published })
  }

  /** Where the members say that they are; the given addresses when the server does not tell. */
  async #published(cluster: HttpCluster): Promise<readonly string[]> {
    let published: readonly string[]
    try {
      published = (await new ClusterApi(cluster, this.#signal).members()).flatMap((member) => member.clientURLs)
    } catch (error) {
      if (error instanceof ClusterUnavailable) throw new SyncFailure(error)
      if (error instanceof ClusterApiError) return cluster.endpoints
      throw error
    }
    if (published.length > 0) return published
    const text = cluster.endpoints.join(',')
    this.#surroundings.err(`etcd cluster has no published client endpoints.\nTry '--no-sync' if you want to access non-published client endpoints(${text}).\n`)
    throw new ExitError(exitCodes.serverError, 'client: no endpoints available')
  }
}


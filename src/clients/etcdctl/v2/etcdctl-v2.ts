// The commands of etcdctl's version 2 (`ETCDCTL_API=2`) on keys and directories. Upstream: etcdctl/ctlv2 of etcd 3.5
//
// Not here, and said so when asked: backup, cluster-health, member, user, role, auth.
import type { Clock, Timer } from '../../../lib/base/clock.ts'
import { FlagError, formatFlagUsages, parseFlags, type FlagSpecs, type FlagValues } from '../../../lib/component-base/flags.ts'
import { version } from '../commands/index.ts'
import { ExitError } from '../command.ts'
import type { Environment } from '../global-flags.ts'
import { readTls } from '../session.ts'
import { readAll } from '../terminal.ts'
import { runProgram } from '../run-program.ts'
import { ClusterUnavailable, KeysClient, type KeyNode, type KeysAnswer, type KeysQuery } from './keys-api.ts'
import { synchronizeEndpoints } from './members-api.ts'

const exitCodes = { badArguments: 1, badConnection: 2, unknownCommand: 3, serverError: 4 } as const

export interface V2Surroundings {
  readonly environment: Environment
  readonly clock: Clock
  openStdin(): AsyncIterable<unknown>
  out(text: string): void
  err(text: string): void
}

const globalFlags = {
  debug: { type: 'bool', usage: 'print the requests that are made' },
  'no-sync': { type: 'bool', usage: "take the endpoints as they are, without asking the cluster for its members' addresses" },
  output: { type: 'string', default: 'simple', short: 'o', usage: 'output format: simple, extended or json' },
  endpoints: { type: 'strings', default: ['http://127.0.0.1:2379', 'http://127.0.0.1:4001'], usage: 'addresses of the members' },
  endpoint: { type: 'strings', usage: 'the same, deprecated' },
  peers: { type: 'strings', short: 'C', usage: 'the same, deprecated' },
  'cert-file': { type: 'string', usage: "this client's certificate" },
  'key-file': { type: 'string', usage: "that certificate's key" },
  'ca-file': { type: 'string', usage: "authorities for servers' certificates" },
  username: { type: 'string', short: 'u', usage: 'name:password' },
  timeout: { type: 'duration', default: 2000, usage: 'time for one request' },
  'total-timeout': { type: 'duration', default: 5000, usage: 'time for the command, except watching' },
} as const satisfies FlagSpecs

type GlobalValues = FlagValues<typeof globalFlags>

interface Context {
  readonly globals: GlobalValues
  readonly flags: { readonly [name: string]: unknown }
  readonly args: readonly string[]
  readonly keys: KeysClient
  readonly surroundings: V2Surroundings
  /** A signal for requests that may take as long as `--total-timeout` says. */
  readonly deadline: AbortSignal
}

interface V2Command { readonly usage: string; readonly short: string; readonly flags: FlagSpecs; run(context: Context): Promise<void> }

const ttl = { ttl: { type: 'int', usage: 'key time-to-live in seconds' } } as const satisfies FlagSpecs
const sortAndQuorum = { sort: { type: 'bool', usage: 'returns result in sorted order' }, quorum: { type: 'bool', short: 'q', usage: 'require quorum for get request' } } as const satisfies FlagSpecs
const afterIndex = { 'after-index': { type: 'int', usage: 'watch after the given index' } } as const satisfies FlagSpecs
const recursive = (usage: string) => ({ recursive: { type: 'bool', short: 'r', usage } }) as const satisfies FlagSpecs

function bad(message: string): ExitError { return new ExitError(exitCodes.badArguments, message) }

function keyOf({ args }: Context): string {
  const [key] = args
  if (key === undefined) throw bad('key required')
  return key
}

async function valueOf({ args, surroundings }: Context): Promise<string> {
  const value = args[1] ?? (await readAll(surroundings.openStdin())).toString('utf8')
  if (args[1] === undefined && value === '') throw bad('value required')
  return value
}

function ttlForm(context: Context): KeysQuery { return context.flags['ttl'] ? { ttl: String(context.flags['ttl']) } : {} }

function getQuery(flags: Context['flags']): KeysQuery { return { quorum: String(flags['quorum'] === true), recursive: String(flags['recursive'] === true), sorted: String(flags['sort'] === true) } }

/** A command that sets a key to a value. */
function setting(short: string, usage: string, flags: FlagSpecs, query: (context: Context) => KeysQuery): V2Command {
  return {
    usage, short, flags,
    async run(context) {
      const key = keyOf(context)
      const value = await valueOf(context)
      const inOrder = context.flags['in-order'] === true
      print(context, await context.keys.call(inOrder ? 'POST' : 'PUT', key, inOrder ? {} : query(context), { value, ...ttlForm(context) }, context.deadline))
    },
  }
}

/** A command that makes a directory, or gives one another time to live. */
function makingDirectory(short: string, usage: string, prevExist: string | undefined): V2Command {
  return {
    usage, short, flags: ttl,
    async run(context) {
      const answer = await context.keys.call('PUT', keyOf(context), { dir: 'true', prevExist }, ttlForm(context), context.deadline)
      if (context.globals.output !== 'simple') print(context, answer)
    },
  }
}

const commands: { readonly [name: string]: V2Command } = {
  mk: setting('make a new key with a given value', 'mk [command options] <key> <value>', { 'in-order': { type: 'bool', usage: 'create in-order key under directory <key>' }, ...ttl }, () => ({ prevExist: 'false' })),
  mkdir: makingDirectory('make a new directory', 'mkdir [command options] <key>', 'false'),
  rm: {
    usage: 'rm [command options] <key>', short: 'remove a key or a directory',
    flags: {
      dir: { type: 'bool', usage: 'removes the key if it is an empty directory or a key-value pair' }, ...recursive('removes the key and all child keys(if it is a directory)'),
      'with-value': { type: 'string', usage: 'previous value' }, 'with-index': { type: 'int', usage: 'previous index' },
    },
    async run(context) {
      const { flags } = context
      const query: KeysQuery = {
        dir: flags['dir'] ? 'true' : undefined, recursive: flags['recursive'] ? 'true' : undefined, prevValue: flags['with-value'] ? String(flags['with-value']) : undefined, prevIndex: flags['with-index'] ? String(flags['with-index']) : undefined,
      }
      printUnlessDirectory(context, await context.keys.call('DELETE', keyOf(context), query, undefined, context.deadline))
    },
  },
  rmdir: {
    usage: 'rmdir <key>', short: 'removes the key if it is an empty directory or a key-value pair', flags: {},
    async run(context) { printUnlessDirectory(context, await context.keys.call('DELETE', keyOf(context), { dir: 'true' }, undefined, context.deadline)) },
  },
  get: {
    usage: 'get [command options] <key>', short: 'retrieve the value of a key', flags: sortAndQuorum,
    async run(context) {
      const answer = await context.keys.call('GET', keyOf(context), getQuery(context.flags), undefined, context.deadline)
      if (answer.node.dir) {
        context.surroundings.err(`${answer.node.key ?? ''}: is a directory\n`)
        throw new ExitError(1, '')
      }
      print(context, answer)
    },
  },
  ls: {
    usage: 'ls [command options] [key]', short: 'retrieve a directory',
    flags: { ...sortAndQuorum, ...recursive('returns all key names recursively for the given path'), p: { type: 'bool', short: 'p', usage: 'append slash (/) to directories' } },
    async run(context) {
      const { node } = await context.keys.call('GET', context.args[0] ?? '/', getQuery(context.flags), undefined, context.deadline)
      const lines: string[] = node.dir ? [] : [node.key ?? '']
      const visit = (child: KeyNode): void => {
        lines.push(`${child.key ?? ''}${child.dir && context.flags['p'] ? '/' : ''}`)
        child.nodes?.forEach(visit)
      }
      node.nodes?.forEach(visit)
      context.surroundings.out(lines.map((line) => `${line}\n`).join(''))
    },
  },
  set: setting('set the value of a key', 'set [command options] <key> <value>', { ...ttl, 'swap-with-value': { type: 'string', usage: 'previous value' }, 'swap-with-index': { type: 'int', usage: 'previous index' } }, ({ flags }) => ({
    prevValue: flags['swap-with-value'] ? String(flags['swap-with-value']) : undefined, prevIndex: flags['swap-with-index'] ? String(flags['swap-with-index']) : undefined,
  })),
  setdir: makingDirectory('create a new directory or update an existing directory TTL', 'setdir [command options] <key>', undefined),
  update: setting('update an existing key with a given value', 'update [command options] <key> <value>', ttl, () => ({ prevExist: 'true' })),
  updatedir: makingDirectory('update an existing directory', 'updatedir [command options] <key> <value>', 'true'),
  watch: {
    usage: 'watch [command options] <key>', short: 'watch a key for changes', flags: { forever: { type: 'bool', short: 'f', usage: 'forever watch a key until CTRL+C' }, ...afterIndex, ...recursive('returns all values for key and child keys') },
    async run(context) {
      for await (const answer of changes(context, keyOf(context), Number(context.flags['after-index']))) {
        if (answer.node.dir) continue
        if (context.flags['recursive']) context.surroundings.out(`[${answer.action}] ${answer.node.key ?? ''}\n`)
        print(context, answer)
        if (!context.flags['forever']) return
      }
    },
  },
  'exec-watch': {
    usage: 'exec-watch [command options] <key> <command> [args...]', short: 'watch a key for changes and exec an executable', flags: { ...afterIndex, ...recursive('watch all values for key and child keys') },
    async run(context) {
      const [key, ...program] = context.args
      if (key === undefined || program.length === 0) throw bad('key and command to exec required')
      for await (const { action, node } of changes(context, key, Number(context.flags['after-index']))) {
        if (node.dir) { context.surroundings.err(`Ignored dir ${node.key ?? ''} change\n`); continue }
        const outcome = await runProgram(program, {
          ...context.surroundings.environment, ETCD_WATCH_ACTION: action, ETCD_WATCH_MODIFIED_INDEX: String(node.modifiedIndex ?? 0), ETCD_WATCH_KEY: node.key ?? '', ETCD_WATCH_VALUE: node.value ?? '',
        })
        if (outcome.problem !== undefined && outcome.code === undefined) { context.surroundings.err(outcome.problem); throw new ExitError(1, '') }
      }
    },
  },
}

/** Changes of a key, one long request after another. */
async function* changes({ keys, flags }: Context, key: string, after: number): AsyncGenerator<KeysAnswer> {
  let waitIndex = after > 0 ? after + 1 : undefined
  for (;;) {
    const answer = await keys.call('GET', key, { wait: 'true', recursive: String(flags['recursive'] === true), waitIndex: waitIndex === undefined ? undefined : String(waitIndex) })
    waitIndex = (answer.node.modifiedIndex ?? 0) + 1
    yield answer
  }
}

function printUnlessDirectory(context: Context, answer: KeysAnswer): void { if (!answer.node.dir) print(context, answer) }

function print({ globals, surroundings }: Context, answer: KeysAnswer): void {
  const { action, node, prevNode, index } = answer
  switch (globals.output) {
    case 'simple':
      surroundings.out(action === 'delete' ? `PrevNode.Value: ${prevNode?.value ?? ''}\n` : `${node.value ?? ''}\n`)
      return
    case 'extended':
      surroundings.out([
        `Key: ${node.key ?? ''}`, `Created-Index: ${node.createdIndex ?? 0}`, `Modified-Index: ${node.modifiedIndex ?? 0}`, ...(prevNode ? [`PrevNode.Value: ${prevNode.value ?? ''}`] : []), `TTL: ${node.ttl ?? 0}`, `Index: ${index}`,
        ...(action === 'delete' ? [] : ['', node.value ?? '']), '',
      ].join('\n'))
      return
    case 'json': surroundings.out(`${JSON.stringify({ action, node: jsonNode(node), prevNode: prevNode ? jsonNode(prevNode) : null })}\n`); return
    default: surroundings.err(`Unsupported output format: ${globals.output}\n`)
  }
}

function jsonNode(node: KeyNode): object {
  return {
    key: node.key ?? '', ...(node.dir ? { dir: true } : {}), value: node.value ?? '', nodes: node.nodes?.map(jsonNode) ?? null, createdIndex: node.createdIndex ?? 0, modifiedIndex: node.modifiedIndex ?? 0,
    ...(node.expiration ? { expiration: node.expiration } : {}), ...(node.ttl ? { ttl: node.ttl } : {}),
  }
}

const absent: readonly string[] = ['backup', 'cluster-health', 'member', 'user', 'role', 'auth', 'import']

function helpText(): string {
  const rows = Object.entries(commands).map(([name, command]) => `   ${name.padEnd(15)} ${command.short}`).join('\n')
  return `NAME:\n   etcdctl - A simple command line client for etcd.\n\nUSAGE:\n   etcdctl [global options] command [command options] [arguments...]\n\nVERSION:\n   ${version}\n\nCOMMANDS:\n${rows}\n   help, h         Shows a list of commands or help for one command\n\nGLOBAL OPTIONS:\n${formatFlagUsages(globalFlags)}\n`
}

function commandHelp(name: string, command: V2Command): string {
  const options = Object.keys(command.flags).length > 0 ? `\n\nOPTIONS:\n${formatFlagUsages(command.flags)}` : ''
  return `NAME:\n   etcdctl ${name} - ${command.short}\n\nUSAGE:\n   etcdctl ${command.usage}${options}\n`
}

const helpFlag = { help: { type: 'bool', short: 'h', usage: 'show help' }, version: { type: 'bool', short: 'v', usage: 'print the version' } } as const satisfies FlagSpecs

/** Runs a command of version 2; resolves to its exit code. */
export async function runEtcdctlV2(args: readonly string[], surroundings: V2Surroundings): Promise<number> {
  const { out, err, environment } = surroundings
  const specs = { ...globalFlags, ...helpFlag }
  const fromEnvironment = Object.keys(globalFlags).flatMap((name) => {
    const value = environment[`ETCDCTL_${name.toUpperCase().replaceAll('-', '_')}`]
    return value ? [`--${name}=${value}`] : []
  })
  let timer: Timer | undefined
  try {
    const globals = parseFlags(specs, [...fromEnvironment, ...doubleDashes(args, specs)], { stopAtFirstArgument: true })
    const [name, ...rest] = globals.args
    if (globals.flags.version) { out(`etcdctl version: ${version}\nAPI version: 2\n`); return 0 }
    if (name === undefined || globals.flags.help || name === 'help' || name === 'h') {
      const topic = name === 'help' || name === 'h' ? rest[0] : undefined
      const command = topic !== undefined && Object.hasOwn(commands, topic) ? commands[topic] : undefined
      out(command && topic !== undefined ? commandHelp(topic, command) : helpText())
      return 0
    }
    const command = Object.hasOwn(commands, name) ? commands[name] : undefined
    if (!command) {
      err(absent.includes(name) ? `Error:  etcdctl ${name} is not available in version 2 of the API here: use ETCDCTL_API=3\n` : `No help topic for '${name}'\n`)
      return exitCodes.unknownCommand
    }
    const parsed = parseFlags({ ...command.flags, help: helpFlag.help }, doubleDashes(rest, command.flags), { stopAtFirstArgument: name === 'exec-watch' })
    if (parsed.flags['help'] === true) { out(commandHelp(name, command)); return 0 }
    const { flags } = globals
    const addresses = [flags.peers, flags.endpoint].find((list) => list.length > 0) ?? flags.endpoints
    const tls = readTls({ cert: flags['cert-file'], key: flags['key-file'], cacert: flags['ca-file'], insecureTransport: true, skipVerify: false })
    const options = { ...(tls ? { tls } : {}), ...(flags.username ? { user: flags.username } : {}), timeoutMs: flags.timeout }
    const total = new AbortController()
    timer = surroundings.clock.setTimer(flags['total-timeout'], () => total.abort(new Error('context deadline exceeded')), { keepAlive: false })
    const endpoints = flags['no-sync'] ? addresses : await synchronizeEndpoints({ ...options, endpoints: addresses }, total.signal)
    if (endpoints.length === 0) {
      throw new ExitError(exitCodes.serverError, `etcd cluster has no published client endpoints.\nTry '--no-sync' if you want to access non-published client endpoints(${addresses.join(',')}).`)
    }
    if (flags.debug) err(`Cluster-Endpoints: ${endpoints.join(', ')}\n`)
    await command.run({ globals: flags, flags: parsed.flags, args: parsed.args, keys: new KeysClient({ ...options, endpoints }), surroundings, deadline: total.signal })
    return 0
  } catch (error) {
    if (error instanceof FlagError) { err(`Incorrect Usage: ${error.message}\n`); return exitCodes.badArguments }
    if (error instanceof ExitError) { if (error.message !== '') err(`Error:  ${error.message}\n`); return error.code }
    err(`Error:  ${error instanceof Error ? error.message : String(error)}\n`)
    if (error instanceof ClusterUnavailable) err(`\n${error.details.map((detail, i) => `error #${i}: ${detail}\n`).join('')}\n`)
    return error instanceof ClusterUnavailable ? exitCodes.badConnection : exitCodes.serverError
  } finally {
    timer?.[Symbol.dispose]()
  }
}

/** Go's flags may have one dash. */
function doubleDashes(args: readonly string[], specs: FlagSpecs): readonly string[] {
  return args.map((arg) => {
    const name = /^-([a-z][a-z-]+)(?:=|$)/.exec(arg)?.[1]
    return name !== undefined && Object.hasOwn(specs, name) ? `-${arg}` : arg
  })
}

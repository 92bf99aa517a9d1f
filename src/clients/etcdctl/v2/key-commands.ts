// The commands of version 2 on keys and directories. Upstream: etcdctl/ctlv2/command of etcd 3.4
import { ExitError } from '../command.ts'
import { runProgram } from '../run-program.ts'
import { readAll } from '../terminal.ts'
import { bad, type FlagValues, type V2Command, type V2Context, type V2Flag } from './command-line.ts'
import type { KeyNode, KeysAnswer, KeysQuery } from './keys-api.ts'

const ttl: V2Flag = { names: ['ttl'], type: 'int', usage: 'key time-to-live in seconds' }
const sort: V2Flag = { names: ['sort'], type: 'bool', usage: 'returns result in sorted order' }
const quorum: V2Flag = { names: ['quorum', 'q'], type: 'bool', usage: 'require quorum for get request' }
const afterIndex: V2Flag = { names: ['after-index'], type: 'int', usage: 'watch after the given index' }
const recursive = (usage: string): V2Flag => ({ names: ['recursive', 'r'], type: 'bool', usage })

function keyOf({ args }: V2Context): string {
  const [key] = args
  if (key === undefined) throw bad('key required')
  return key
}

async function valueOf({ args, surroundings }: V2Context): Promise<string> {
  const value = args[1] ?? (await readAll(surroundings.openStdin())).toString('utf8')
  if (args[1] === undefined && value === '') throw bad('value required')
  return value
}

function ttlForm(context: V2Context): KeysQuery { return context.flags['ttl'] ? { ttl: String(context.flags['ttl']) } : {} }

function textFlag(flags: FlagValues, name: string): string | undefined { return flags[name] ? String(flags[name]) : undefined }

function getQuery(flags: FlagValues): KeysQuery { return { quorum: String(flags['quorum'] === true), recursive: String(flags['recursive'] === true), sorted: String(flags['sort'] === true) } }

/** A command that sets a key to a value. */
function setting(words: Pick<V2Command, 'name' | 'usage' | 'description' | 'flags'>, query: (context: V2Context) => KeysQuery): V2Command {
  return {
    ...words, argsUsage: '<key> <value>',
    async run(context) {
      const key = keyOf(context)
      const value = await valueOf(context)
      const inOrder = context.flags['in-order'] === true
      const keys = await context.keys()
      print(context, await keys.call(inOrder ? 'POST' : 'PUT', key, inOrder ? {} : query(context), { value, ...ttlForm(context) }, context.deadline))
    },
  }
}

/** A command that makes a directory, or gives one another time to live. */
function makingDirectory(name: string, usage: string, argsUsage: string, prevExist: string | undefined): V2Command {
  return {
    name, usage, argsUsage, flags: [ttl],
    async run(context) {
      const key = keyOf(context)
      const answer = await (await context.keys()).call('PUT', key, { dir: 'true', prevExist }, ttlForm(context), context.deadline)
      if (context.globals['output'] !== 'simple') print(context, answer)
    },
  }
}

export const keyCommands: readonly V2Command[] = [
  setting({ name: 'mk', usage: 'make a new key with a given value', flags: [{ names: ['in-order'], type: 'bool', usage: 'create in-order key under directory <key>' }, ttl] }, () => ({ prevExist: 'false' })),
  makingDirectory('mkdir', 'make a new directory', '<key>', 'false'),
  {
    name: 'rm', usage: 'remove a key or a directory', argsUsage: '<key>',
    flags: [
      { names: ['dir'], type: 'bool', usage: 'removes the key if it is an empty directory or a key-value pair' }, recursive('removes the key and all child keys(if it is a directory)'),
      { names: ['with-value'], type: 'string', usage: 'previous value' }, { names: ['with-index'], type: 'int', usage: 'previous index' },
    ],
    async run(context) {
      const { flags } = context
      const key = keyOf(context)
      const query: KeysQuery = { dir: flags['dir'] ? 'true' : undefined, recursive: flags['recursive'] ? 'true' : undefined, prevValue: textFlag(flags, 'with-value'), prevIndex: textFlag(flags, 'with-index') }
      printUnlessDirectory(context, await (await context.keys()).call('DELETE', key, query, undefined, context.deadline))
    },
  },
  {
    name: 'rmdir', usage: 'removes the key if it is an empty directory or a key-value pair', argsUsage: '<key>',
    async run(context) {
      const key = keyOf(context)
      printUnlessDirectory(context, await (await context.keys()).call('DELETE', key, { dir: 'true' }, undefined, context.deadline))
    },
  },
  {
    name: 'get', usage: 'retrieve the value of a key', argsUsage: '<key>', flags: [sort, quorum],
    async run(context) {
      const key = keyOf(context)
      const answer = await (await context.keys()).call('GET', key, getQuery(context.flags), undefined, context.deadline)
      if (answer.node.dir) {
        context.surroundings.err(`${answer.node.key ?? ''}: is a directory\n`)
        throw new ExitError(1, '')
      }
      print(context, answer)
    },
  },
  {
    name: 'ls', usage: 'retrieve a directory', argsUsage: '[key]',
    flags: [sort, recursive('returns all key names recursively for the given path'), { names: ['p'], type: 'bool', usage: 'append slash (/) to directories' }, quorum],
    async run(context) {
      const { node } = await (await context.keys()).call('GET', context.args[0] ?? '/', getQuery(context.flags), undefined, context.deadline)
      const lines: string[] = node.dir ? [] : [node.key ?? '']
      const visit = (child: KeyNode): void => {
        lines.push(`${child.key ?? ''}${child.dir && context.flags['p'] ? '/' : ''}`)
        child.nodes?.forEach(visit)
      }
      node.nodes?.forEach(visit)
      context.surroundings.out(lines.map((line) => `${line}\n`).join(''))
    },
  },
  setting({
    name: 'set', usage: 'set the value of a key', flags: [ttl, { names: ['swap-with-value'], type: 'string', usage: 'previous value' }, { names: ['swap-with-index'], type: 'int', usage: 'previous index' }],
    description: "Set sets the value of a key.\n\n   When <value> begins with '-', <value> is interpreted as a flag.\n   Insert '--' for workaround:\n\n   $ set -- <key> <value>",
  }, ({ flags }) => ({ prevValue: textFlag(flags, 'swap-with-value'), prevIndex: textFlag(flags, 'swap-with-index') })),
  makingDirectory('setdir', 'create a new directory or update an existing directory TTL', '<key>', undefined),
  setting({ name: 'update', usage: 'update an existing key with a given value', flags: [ttl] }, () => ({ prevExist: 'true' })),
  makingDirectory('updatedir', 'update an existing directory', '<key> <value>', 'true'),
  {
    name: 'watch', usage: 'watch a key for changes', argsUsage: '<key>', flags: [{ names: ['forever', 'f'], type: 'bool', usage: 'forever watch a key until CTRL+C' }, afterIndex, recursive('returns all values for key and child keys')],
    async run(context) {
      for await (const answer of changes(context, keyOf(context), Number(context.flags['after-index']))) {
        if (answer.node.dir) continue
        if (context.flags['recursive']) context.surroundings.out(`[${answer.action}] ${answer.node.key ?? ''}\n`)
        print(context, answer)
        if (!context.flags['forever']) return
      }
    },
  },
  {
    name: 'exec-watch', usage: 'watch a key for changes and exec an executable', argsUsage: '<key> <command> [args...]', flags: [afterIndex, recursive('watch all values for key and child keys')],
    async run(context) {
      const { key, program } = execTarget(context.args)
      for await (const { action, node } of changes(context, key, Number(context.flags['after-index']))) {
        if (node.dir) { context.surroundings.err(`Ignored dir ${node.key ?? ''} change\n`); continue }
        const outcome = await runProgram(program, {
          ...context.surroundings.environment, ETCD_WATCH_ACTION: action, ETCD_WATCH_MODIFIED_INDEX: String(node.modifiedIndex ?? 0), ETCD_WATCH_KEY: node.key ?? '', ETCD_WATCH_VALUE: node.value ?? '',
        })
        if (outcome.problem !== undefined && outcome.code === undefined) { context.surroundings.err(outcome.problem); throw new ExitError(1, '') }
      }
    },
  },
]

/** `<key> -- <program…>`; without the separator flags have put the key last, when there were any. */
function execTarget(args: readonly string[]): { readonly key: string; readonly program: readonly string[] } {
  const [first] = args
  if (first === undefined || args.length < 2) throw bad('key and command to exec required')
  const separator = args.indexOf('--')
  return { key: first, program: separator > 0 ? args.slice(separator + 1) : args.slice(1) }
}

/** Changes of a key, one long request after another. */
async function* changes(context: V2Context, key: string, after: number): AsyncGenerator<KeysAnswer> {
  const keys = await context.keys()
  let waitIndex = after > 0 ? after + 1 : undefined
  for (;;) {
    const answer = await keys.call('GET', key, { wait: 'true', recursive: String(context.flags['recursive'] === true), waitIndex: waitIndex === undefined ? undefined : String(waitIndex) })
    waitIndex = (answer.node.modifiedIndex ?? 0) + 1
    yield answer
  }
}

function printUnlessDirectory(context: V2Context, answer: KeysAnswer): void { if (!answer.node.dir) print(context, answer) }

function print({ globals, surroundings }: V2Context, answer: KeysAnswer): void {
  const { action, node, prevNode, index } = answer
  const format = String(globals['output'])
  switch (format) {
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
    default: surroundings.err(`Unsupported output format: ${format}\n`)
  }
}

function jsonNode(node: KeyNode): object {
  return {
    key: node.key ?? '', ...(node.dir ? { dir: true } : {}), value: node.value ?? '', nodes: node.nodes?.map(jsonNode) ?? null, createdIndex: node.createdIndex ?? 0, modifiedIndex: node.modifiedIndex ?? 0,
    ...(node.expiration ? { expiration: node.expiration } : {}), ...(node.ttl ? { ttl: node.ttl } : {}),
  }
}

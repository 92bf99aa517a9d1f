// txn: conditions and requests from standard input, one per line, an empty line after each of the three parts.
// Upstream: etcdctl/ctlv3/command/txn_command.go
import { FlagError, parseFlags, type FlagSpecs } from '../../../lib/component-base/flags.ts'
import { kvService } from '../../../lib/etcd-api/generated/services.ts'
import type { Compare, CompareResult, RequestOp, TxnRequest, TxnResponse } from '../../../lib/etcd-api/generated/types.ts'
import { badArguments, defineCommand, ExitError, exitCodes } from '../command.ts'
import { bytesOfText, parseInteger, quote, splitWords, textOfBytes, unquote } from '../go-format.ts'
import type { Session } from '../session.ts'
import { delFlags, delRequest, getFlags, getRequest, putFlags, putRequest } from './key-value.ts'

export const txnCommand = defineCommand({
  use: 'txn [options]', short: 'Txn processes all the requests in one transaction', group: 'kv',
  long: `Txn reads multiple etcd requests from standard input and applies them as a single atomic transaction.

A transaction consists of three components:
1) a list of conditions,
2) a list of requests to apply if all the conditions are true,
3) a list of requests to apply if any condition is false.

Example interactive stdin usage:

---
etcdctl txn -i
# compares:
mod("key1") > "0"

# success requests (get, put, delete):
put key1 "overwrote-key1"

# failure requests (get, put, delete):
put key1 "created-key1"
put key2 "some extra key"
---

Refer to https://github.com/etcd-io/etcd/blob/main/etcdctl/README.md#txn-options.`,
  flags: { interactive: { type: 'bool', short: 'i', usage: 'Input transaction in interactive mode' } },
  async run(session, { args, flags }) {
    if (args.length > 0) throw badArguments('txn command does not accept argument')
    const connection = await session.connect()
    const prompt = (text: string): void => { if (flags.interactive) session.out(`${text}\n`) }
    prompt('compares:')
    const compare = await readPart(session, parseCompare)
    prompt('success requests (get, put, del):')
    const success = await readPart(session, (line) => parseOperation(session, line))
    prompt('failure requests (get, put, del):')
    const failure = await readPart(session, (line) => parseOperation(session, line))
    const request: TxnRequest = { compare, success, failure }
    await session.print({ kind: 'txn', response: await connection.unary<TxnResponse>(kvService, 'Txn', request, new AbortController().signal) })
  },
})

async function readPart<T>(session: Session, parse: (line: string) => T | Promise<T>): Promise<T[]> {
  const out: T[] = []
  for (;;) {
    const bytes = await session.nextLine()
    if (bytes === undefined) throw new ExitError(exitCodes.invalidInput, 'EOF')
    const line = textOfBytes(bytes).trim()
    if (line === '') return out
    out.push(await parse(line))
  }
}

const results: { readonly [sign: string]: CompareResult } = { '=': 'EQUAL', '!=': 'NOT_EQUAL', '>': 'GREATER', '<': 'LESS' }
const literal = '"(?:[^"\\\\]|\\\\.)*"|`[^`]*`'
const comparison = new RegExp(`^\\s*(${literal})(?:\\)\\s*(\\S+)(?:\\s+(${literal}))?)?`, 's')

/** A condition: `mod("key1") > "0"`. @throws ExitError */
export function parseCompare(line: string): Compare {
  const invalid = (message: string): ExitError => new ExitError(exitCodes.invalidInput, message)
  const at = line.indexOf('(')
  if (at < 0) throw invalid(`malformed comparison: ${line}`)
  const target = line.slice(0, at)
  const match = comparison.exec(line.slice(at + 1))
  const key = match?.[1] === undefined ? undefined : unquote(match[1])
  const sign = match?.[2]
  const value = match?.[3] === undefined ? undefined : unquote(match[3])
  if (key === undefined || sign === undefined || value === undefined) {
    throw invalid(`malformed comparison: ${line}; got ${target}(${quote(key ?? '')}) ${key === undefined ? '' : sign ?? ''} ${quote(value ?? '')}`)
  }
  if (!['ver', 'version', 'c', 'create', 'm', 'mod', 'val', 'value', 'lease'].includes(target)) throw invalid(`malformed comparison: ${line} (unknown target ${target})`)
  const number = parseInteger(value, target === 'lease' ? 16 : 10)
  const isText = target === 'val' || target === 'value'
  if (!isText && 'problem' in number) throw invalid(`invalid txn compare request: ${line}`)
  const result = Object.hasOwn(results, sign) ? results[sign] : undefined
  // The original panics here; its exit code is Go's for that.
  if (result === undefined) throw new ExitError(exitCodes.badConnection, `unknown comparison ${sign}: ${line}`)
  const base = { key: bytesOfText(key), result }
  const integer = 'value' in number ? number.value : 0n
  switch (target) {
    case 'ver': case 'version': return { ...base, target: 'VERSION', version: Number(integer) }
    case 'c': case 'create': return { ...base, target: 'CREATE', createRevision: Number(integer) }
    case 'm': case 'mod': return { ...base, target: 'MOD', modRevision: Number(integer) }
    case 'lease': return { ...base, target: 'LEASE', lease: integer }
    default: return { ...base, target: 'VALUE', value: bytesOfText(value) }
  }
}

const ignoredFlags = { help: { type: 'bool', short: 'h', usage: '' } } as const satisfies FlagSpecs

async function parseOperation(session: Session, line: string): Promise<RequestOp> {
  const invalid = (what: string): ExitError => new ExitError(exitCodes.invalidInput, `invalid txn ${what}: ${line}`)
  const [name, ...words] = splitWords(line) ?? []
  if (name === undefined || words.length === 0) throw invalid('compare request')
  try {
    switch (name) {
      case 'put': {
        const { args, flags } = parseFlags({ ...putFlags, ...ignoredFlags }, words)
        return { requestPut: await putRequest(args, flags, session) }
      }
      case 'get': {
        const { args, flags } = parseFlags({ ...getFlags, ...ignoredFlags }, words)
        return { requestRange: getRequest(args, flags) }
      }
      case 'del': {
        const { args, flags } = parseFlags({ ...delFlags, ...ignoredFlags }, words)
        return { requestDeleteRange: await delRequest(session, args, flags) }
      }
      default: throw invalid('request')
    }
  } catch (error) {
    if (error instanceof FlagError) throw invalid('request')
    throw error
  }
}

// The original etcd and ours side by side, for tests that ask both the same and compare.
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import { openEtcd, type EmbeddedEtcd, type EtcdOptions } from '../../src/control-plane/etcd/embedded.ts'
import { serveEtcd, type ServeEtcdOptions } from '../../src/control-plane/etcd/v3rpc/serve-etcd.ts'
import { freePort } from './free-port.ts'

export { freePort }

export const originalEtcd = resolve(import.meta.dirname, '.bin/etcd')
export const originalEtcdctl = resolve(import.meta.dirname, '.bin/etcdctl')
export const originalEtcdutl = resolve(import.meta.dirname, '.bin/etcdutl')
/** Built only when asked for, by build-older-etcds.sh. */
export function olderEtcd(version: '3.6' | '3.5'): string { return resolve(import.meta.dirname, `.bin/etcd-${version}`) }
export const hasOriginals = existsSync(originalEtcd) && existsSync(originalEtcdctl)
if (!hasOriginals && process.env['CI']) throw new Error('the originals are missing: run test/interop/build-originals.sh')

export interface Run { readonly code: number; readonly out: string; readonly err: string }

export interface Pair extends AsyncDisposable {
  readonly original: string
  readonly ours: string
  readonly etcd: EmbeddedEtcd
}

export async function openPair(flags: readonly string[] = [], options: Partial<EtcdOptions> = {}, serve: Partial<ServeEtcdOptions> = {}): Promise<Pair> {
  await using stack = new AsyncDisposableStack()
  const original = stack.use(await startOriginal(flags))
  const etcd = stack.use(await openEtcd({ disk: 'memory', clock: realClock, random: realRandom, logger: silentLogger, ...options }))
  const server = stack.use(await serveEtcd(etcd, { clock: realClock, listen: [{ host: '127.0.0.1', port: 0 }], ...serve }))
  const address = server.addresses[0]
  assert.ok(address && 'port' in address)
  const owned = stack.move()
  return { original: original.url, ours: `http://127.0.0.1:${address.port}`, etcd, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

export interface Original extends AsyncDisposable { readonly url: string; readonly dataDir: string }

export async function startOriginal(flags: readonly string[] = [], dataDir?: string): Promise<Original> {
  const folder = mkdtempSync(join(tmpdir(), 'k8ts-original-'))
  const data = dataDir ?? join(folder, 'data')
  const url = `http://127.0.0.1:${await freePort()}`
  const peer = `http://127.0.0.1:${await freePort()}`
  const child = spawn(originalEtcd, ['--data-dir', data, '--listen-client-urls', url, '--advertise-client-urls', url, '--listen-peer-urls', peer,
    ...(dataDir === undefined ? ['--initial-advertise-peer-urls', peer, '--initial-cluster', `default=${peer}`] : []), '--log-level', 'error', ...flags], { stdio: 'ignore' })
  const exited = new Promise<void>((done) => { child.once('exit', () => done()) })
  const original = {
    url, dataDir: data,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGTERM')
      await exited
      rmSync(folder, { recursive: true, force: true })
    },
  }
  for (let i = 0; ; i++) {
    const answer = await fetch(`${url}/health`).catch(() => undefined)
    if (answer?.ok) return original
    if (i === 100) { await original[Symbol.asyncDispose](); throw new Error('the original etcd did not start') }
    await new Promise((done) => setTimeout(done, 100))
  }
}

export function run(program: string, args: readonly string[], input = ''): Promise<Run> {
  return new Promise((done) => {
    const child = execFile(program, args, { timeout: 60_000, maxBuffer: 64 * 1024 * 1024 }, (error, out, err) => done({ code: error ? Number(error.code ?? 1) : 0, out, err }))
    // A program may end without reading what it is given.
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
  })
}

/** The same etcdctl command against both: exit code and output have to be equal once what differs by nature is made equal. Returns ours. */
export async function same(pair: Pair, args: readonly string[], input = ''): Promise<Run> {
  const [theirs, ours] = await Promise.all([pair.original, pair.ours].map((url) => run(originalEtcdctl, ['--endpoints', url, ...args], input)))
  assert.ok(theirs && ours)
  assert.deepEqual({ code: ours.code, out: normalise(ours.out), err: normalise(ours.err) }, { code: theirs.code, out: normalise(theirs.out), err: normalise(theirs.err) }, `etcdctl ${args.join(' ')}`)
  return ours
}

function normalise(text: string): string {
  return text.split('\n').filter((line) => !line.startsWith('{"level"')).join('\n')
    .replaceAll(/(127\.0\.0\.1|localhost):\d+/g, 'ADDRESS').replaceAll(/"(cluster_id|member_id|raft_term)":\d+,?/g, '').replaceAll(/\b[0-9a-f]{14,16}\b/g, 'ID').replaceAll(/took (= )?[\d.µmns]+/g, 'took')
}

/** The same request to both gateways; the answers have to be equal but for ids. Returns ours. */
export async function samePost(pair: Pair, path: string, body: string, headers: { readonly [name: string]: string } = {}): Promise<{ readonly status: number; readonly json: unknown }> {
  const [theirs, ours] = await Promise.all([pair.original, pair.ours].map(async (url) => {
    const answer = await fetch(`${url}${path}`, { method: 'POST', body, headers })
    const text = withoutGoSpaces(await answer.text())
    return { status: answer.status, type: answer.headers.get('content-type'), body: text, json: JSON.parse(text.startsWith('{') ? text : 'null') as unknown }
  }))
  assert.ok(theirs && ours)
  assert.deepEqual({ status: ours.status, type: ours.type, json: withoutIds(ours.json) }, { status: theirs.status, type: theirs.type, json: withoutIds(theirs.json) }, `${path} ${body}: ${theirs.body} / ${ours.body}`)
  return ours
}

const byNature = new Set(['cluster_id', 'member_id', 'raft_term', 'raftTerm', 'raftIndex', 'raftAppliedIndex', 'dbSize', 'dbSizeInUse', 'leader', 'peerURLs', 'clientURLs'])

/** Go's protobuf puts spaces into JSON, and wide ones into errors, or not, by the hash of the program that it is built into. */
export function withoutGoSpaces(text: string): string { return text.replaceAll('\u00a0', ' ').replace(/([:,]) +(?=["{[\dtfn-])/g, '$1') }

export function withoutIds(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutIds)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).filter(([name]) => !byNature.has(name)).map(([name, item]) => [name, withoutIds(item)]))
}

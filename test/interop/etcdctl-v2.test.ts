// `ETCDCTL_API=2` of our etcdctl against a small server of the keys API of version 2, beside the original's (etcd-client 3.4) where it is installed.
// Servers with that API (etcd 3.5 with --enable-v2) are not at hand, so the server here is a fake that answers as theirs do.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { build } from 'esbuild'
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const original = '/usr/bin/etcdctl'
const folder = mkdtempSync(join(tmpdir(), 'etcdctl-v2-'))
const bundle = join(folder, 'etcdctl.mjs')
const servers: Server[] = []

before(async () => {
  await build({
    entryPoints: [resolve(import.meta.dirname, '../../src/cmd/etcdctl.ts')], outfile: bundle, bundle: true, platform: 'node', format: 'esm', target: 'node24', logLevel: 'error',
    footer: { js: 'process.exitCode = await run(process.argv.slice(2))' },
  })
})
after(() => {
  for (const server of servers) { server.closeAllConnections(); server.close() }
  rmSync(folder, { recursive: true, force: true })
})

interface Node { key: string; value?: string; dir?: boolean; ttl?: number; expiration?: string; createdIndex: number; modifiedIndex: number; nodes?: Node[] }
type Answer = { status: number; body: object }

/** A store of version 2 in memory: what these tests ask of one. */
class FakeStore {
  readonly #nodes = new Map<string, Node>([['/', { key: '/', dir: true, createdIndex: 0, modifiedIndex: 0 }]])
  readonly #events: { action: string; node: Node; prevNode?: Node }[] = []
  readonly #waiting: { key: string; recursive: boolean; answer: (body: object) => void }[] = []
  index = 3

  #error(status: number, errorCode: number, message: string, cause: string): Answer { return { status, body: { errorCode, message, cause, index: this.index } } }

  handle(method: string, key: string, p: URLSearchParams, answer: (answer: Answer) => void): void {
    if (method === 'GET' && p.get('wait') === 'true') this.#wait(key, p, (body) => answer({ status: 200, body }))
    else answer(method === 'GET' ? this.#get(key, p) : method === 'DELETE' ? this.#remove(key, p) : this.#set(method === 'POST' ? `${key}/${String(this.index + 1).padStart(20, '0')}` : key, p, method === 'POST'))
  }

  #children(key: string): Node[] { return [...this.#nodes.values()].filter((node) => node.key !== '/' && node.key.slice(0, node.key.lastIndexOf('/') || 1) === key) }

  #tree(node: Node, depth: number): Node {
    if (!node.dir || depth === 0) return node
    const nodes = this.#children(node.key).map((child) => this.#tree(child, depth - 1))
    return nodes.length > 0 ? { ...node, nodes } : node
  }

  #get(key: string, p: URLSearchParams): Answer {
    const node = this.#nodes.get(key)
    return node ? { status: 200, body: { action: 'get', node: this.#tree(node, p.get('recursive') === 'true' ? 99 : 1) } } : this.#error(404, 100, 'Key not found', key)
  }

  #set(key: string, p: URLSearchParams, create: boolean): Answer {
    const old = this.#nodes.get(key)
    const exist = p.get('prevExist')
    if (exist === 'true' && !old) return this.#error(404, 100, 'Key not found', key)
    if (exist === 'false' && old) return this.#error(412, 105, 'Key already exists', key)
    if (old?.dir && p.get('dir') !== 'true') return this.#error(403, 102, 'Not a file', key)
    const value = p.get('prevValue')
    const index = p.get('prevIndex')
    if (value !== null && old?.value !== value) return this.#error(412, 101, 'Compare failed', `[${value} != ${old?.value ?? ''}]`)
    if (index !== null && old?.modifiedIndex !== Number(index)) return this.#error(412, 101, 'Compare failed', `[${index} != ${old?.modifiedIndex ?? 0}]`)
    this.index++
    for (let at = key.indexOf('/', 1); at > 0; at = key.indexOf('/', at + 1)) {
      const parent = key.slice(0, at)
      if (!this.#nodes.has(parent)) this.#nodes.set(parent, { key: parent, dir: true, createdIndex: this.index, modifiedIndex: this.index })
    }
    const ttl = p.get('ttl')
    const isUpdate = exist === 'true' || value !== null || index !== null
    const node: Node = {
      key, ...(p.get('dir') === 'true' ? { dir: true } : { value: p.get('value') ?? '' }), createdIndex: isUpdate ? old?.createdIndex ?? 0 : this.index, modifiedIndex: this.index,
      ...(ttl === null ? {} : { ttl: Number(ttl), expiration: '2030-01-02T03:04:05.000000006Z' }),
    }
    this.#nodes.set(key, node)
    const action = create || exist === 'false' ? 'create' : value !== null || index !== null ? 'compareAndSwap' : exist === 'true' ? 'update' : 'set'
    return { status: old ? 200 : 201, body: this.#happened(action, node, old) }
  }

  #remove(key: string, p: URLSearchParams): Answer {
    const old = this.#nodes.get(key)
    if (!old) return this.#error(404, 100, 'Key not found', key)
    if (old.dir && p.get('dir') !== 'true' && p.get('recursive') !== 'true') return this.#error(403, 102, 'Not a file', key)
    if (old.dir && p.get('recursive') !== 'true' && this.#children(key).length > 0) return this.#error(403, 108, 'Directory not empty', key)
    const value = p.get('prevValue')
    if (value !== null && old.value !== value) return this.#error(412, 101, 'Compare failed', `[${value} != ${old.value ?? ''}]`)
    this.index++
    for (const name of this.#nodes.keys()) if (name === key || name.startsWith(`${key}/`)) this.#nodes.delete(name)
    return { status: 200, body: this.#happened(value === null ? 'delete' : 'compareAndDelete', { key, ...(old.dir ? { dir: true } : {}), createdIndex: old.createdIndex, modifiedIndex: this.index }, old) }
  }

  #happened(action: string, node: Node, prevNode: Node | undefined): object {
    const event = { action, node, ...(prevNode ? { prevNode } : {}) }
    this.#events.push(event)
    for (const waiter of this.#waiting.splice(0)) if (!this.#tell(waiter, event)) this.#waiting.push(waiter)
    return event
  }

  #tell(waiter: { key: string; recursive: boolean; answer: (body: object) => void }, event: { node: Node }): boolean {
    const matches = event.node.key === waiter.key || (waiter.recursive && event.node.key.startsWith(waiter.key === '/' ? '/' : `${waiter.key}/`))
    if (matches) waiter.answer(event)
    return matches
  }

  #wait(key: string, p: URLSearchParams, answer: (body: object) => void): void {
    const waiter = { key, recursive: p.get('recursive') === 'true', answer }
    const from = Number(p.get('waitIndex') ?? Number.POSITIVE_INFINITY)
    if (!this.#events.some((event) => event.node.modifiedIndex >= from && this.#tell(waiter, event))) this.#waiting.push(waiter)
  }
}

async function startFake(): Promise<string> {
  const store = new FakeStore()
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost')
    let body = ''
    request.on('data', (chunk: Buffer) => { body += chunk.toString() })
    request.on('end', () => {
      if (url.pathname === '/v2/members') { response.end(JSON.stringify({ members: [{ id: '1', name: 'fake', peerURLs: [], clientURLs: [`http://${request.headers.host}`] }] })); return }
      for (const [name, value] of new URLSearchParams(body)) url.searchParams.set(name, value)
      const key = decodeURIComponent(url.pathname.replace(/^\/v2\/keys/, '')).replace(/(.)\/$/, '$1') || '/'
      store.handle(request.method ?? 'GET', key, url.searchParams, ({ status, body: answer }) => {
        response.writeHead(status, { 'content-type': 'application/json', 'x-etcd-index': String(store.index) })
        response.end(`${JSON.stringify(answer)}\n`)
      })
    })
  })
  servers.push(server)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', () => done()))
  const address = server.address()
  assert.ok(address && typeof address === 'object')
  return `http://127.0.0.1:${address.port}`
}

interface Outcome { readonly code: number; readonly out: string; readonly err: string }

function run(program: readonly string[], endpoint: string, line: string, stdin = ''): Promise<Outcome> {
  const { ETCDCTL_ENDPOINTS: _, ...environment } = process.env
  const [file = '', ...before] = program
  return new Promise((done) => {
    const child = execFile(file, [...before, '--endpoints', endpoint, ...line.split(' ')], { env: { ...environment, ETCDCTL_API: '2' }, timeout: 20_000 }, (error, out, err) => done({ code: error ? Number(error.code ?? 1) : 0, out, err }))
    child.stdin?.on('error', () => {})
    child.stdin?.end(stdin)
  })
}

const ours = [process.execPath, bundle]
const script: readonly (string | readonly [string, string])[] = [
  'set /a 1', 'set a 2', 'get /a', 'get a', 'get /none', '-o extended get /a', '-o json get /a', '-o extended set /a 3', '-o json set /a 4', ['set /in', 'from stdin\n'], 'get /in', 'mk /a 1', 'mk /b 1 --ttl 60', '-o extended get /b',
  'mkdir /d', 'mkdir /d', 'setdir /d', 'setdir /d2 --ttl 30', 'updatedir /d2', 'updatedir /d3', '-o json mkdir /d4', 'mk --in-order /d x', 'set /d/k v', 'set /d/e/f v', 'ls', 'ls /d', 'ls /a', 'ls -r -p /', 'ls --sort /d', 'get /d', 'ls /none',
  'update /a 5', 'update /none 5', 'set /a 6 --swap-with-value 5', 'set /a 7 --swap-with-value 5', 'set /a 8 --swap-with-index 1', 'rmdir /d', 'rm /d', 'rm -r /d', 'rm /none', 'rm /a --with-value x', 'rm /a --with-value 6', 'set /a 1', 'rm /a', '-o json rm /b',
  'rmdir /d4', 'rm --dir /d2', 'watch /in --after-index 1', 'watch -r / --after-index 1', 'set', 'get', 'rm', 'mkdir', 'watch', 'exec-watch /a', 'get --quorum /in', 'frob',
]

test('the commands of version 2, beside the original', { skip: existsSync(original) ? false : `no ${original}` }, async () => {
  const [a, b] = [await startFake(), await startFake()]
  for (const entry of script) {
    const [line, stdin] = typeof entry === 'string' ? [entry, ''] : entry
    const [theirs, mine] = await Promise.all([run([original], a, line, stdin), run(ours, b, line, stdin)])
    const comparable = ({ code, out, err }: Outcome): Outcome => ({ code, out, err: err.trimEnd() })
    assert.deepEqual(comparable(mine), comparable(theirs), `etcdctl ${line}`)
  }
})

test('what people type, and what they see', async () => {
  const endpoint = await startFake()
  const ok = async (line: string): Promise<string> => {
    const outcome = await run(ours, endpoint, line)
    assert.equal(outcome.code, 0, outcome.err)
    return outcome.out
  }
  assert.equal(await ok('set key1 value1'), 'value1\n')
  assert.equal(await ok('get key1'), 'value1\n')
  assert.equal(await ok('ls'), '/key1\n')
  const watching = run(ours, endpoint, 'watch key1')
  const running = run(ours, endpoint, 'exec-watch key1 --after-index 1 -- sh -c exit')
  const missing = await run(ours, endpoint, 'get key2')
  assert.equal(missing.code, 4)
  assert.match(missing.err, /^Error: {2}100: Key not found \(\/key2\) \[4\]/)
  await ok('set key1 value2')
  assert.equal(await ok('rm key1'), 'PrevNode.Value: value2\n')
  assert.match((await watching).out, /value2|PrevNode/)
  assert.match(await ok('--version'), /API version: 2/)
  assert.match((await run(ours, endpoint, 'member list')).err, /not available in version 2/)
  const nobody = await run(ours, 'http://127.0.0.1:1', 'get a')
  assert.equal(nobody.code, 2)
  assert.match(nobody.err, /etcd cluster is unavailable or misconfigured; error #0: dial tcp 127\.0\.0\.1:1: connect: connection refused/)
  servers.at(-1)?.closeAllConnections()
  await running
})

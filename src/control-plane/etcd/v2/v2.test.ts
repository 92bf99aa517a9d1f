import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { seededRandom } from '../../../lib/base/random.ts'
import { silentLogger } from '../../../lib/component-base/log.ts'
import { SimulatedClock } from '../../../lib/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../../lib/testing/simulated-disk.ts'
import { openEtcd, type EmbeddedEtcd } from '../embedded.ts'
import { serveEtcd } from '../v3rpc/serve-etcd.ts'

const resources = new AsyncDisposableStack()
const clock = new SimulatedClock()
let etcd: EmbeddedEtcd
let base = ''
const disk = new SimulatedDisk(seededRandom(1))
const open = (): Promise<EmbeddedEtcd> => openEtcd({ disk: { dataDir: '/data', disk }, clock, random: seededRandom(1), logger: silentLogger, zeroedBytes: 65_536, snapshotCount: 5, snapshotBytes: 100 })

before(async () => {
  etcd = resources.use(await open())
  const server = resources.use(await serveEtcd(etcd, { clock, listen: [{ host: '127.0.0.1', port: 0 }], v2: true }))
  const address = server.addresses[0]
  assert.ok(address && 'port' in address)
  base = `http://127.0.0.1:${address.port}`
})
after(() => resources.disposeAsync())

interface Answer { readonly status: number; readonly json: { readonly [name: string]: unknown }; readonly index: number }
async function ask(method: string, path: string, form?: { readonly [name: string]: string }): Promise<Answer> {
  const answer = await fetch(`${base}/v2/keys${path}`, { method, ...(form ? { body: new URLSearchParams(form) } : {}) })
  return { status: answer.status, json: JSON.parse(await answer.text()) as Answer['json'], index: Number(answer.headers.get('x-etcd-index')) }
}

test('set, get, update, compare-and-swap, directories, in-order keys, delete', async () => {
  assert.deepEqual(await ask('PUT', '/a', { value: '1' }), { status: 201, index: 1, json: { action: 'set', node: { key: '/a', value: '1', modifiedIndex: 1, createdIndex: 1 } } })
  assert.deepEqual(await ask('PUT', '/a', { value: '2' }), {
    status: 200, index: 2, json: { action: 'set', node: { key: '/a', value: '2', modifiedIndex: 2, createdIndex: 2 }, prevNode: { key: '/a', value: '1', modifiedIndex: 1, createdIndex: 1 } },
  })
  assert.deepEqual((await ask('GET', '/a?quorum=true')).json, { action: 'get', node: { key: '/a', value: '2', modifiedIndex: 2, createdIndex: 2 } })
  assert.deepEqual(await ask('GET', '/none'), { status: 404, index: 2, json: { errorCode: 100, message: 'Key not found', cause: '/none', index: 2 } })
  assert.deepEqual((await ask('PUT', '/a', { value: '3', prevValue: 'x' })).json, { errorCode: 101, message: 'Compare failed', cause: '[x != 2]', index: 2 })
  assert.equal((await ask('PUT', '/a', { value: '3', prevIndex: '2' })).json['action'], 'compareAndSwap')
  assert.equal((await ask('PUT', '/a', { value: '4', prevExist: 'true' })).json['action'], 'update')
  assert.equal((await ask('PUT', '/a', { value: '4', prevExist: 'false' })).status, 412)
  assert.equal((await ask('PUT', '/b', { value: '4', prevExist: 'true' })).status, 404)
  assert.equal((await ask('PUT', '/a/b', { value: '4' })).json['errorCode'], 104)
  assert.equal((await ask('PUT', '/dir', { dir: 'true' })).status, 201)
  assert.equal((await ask('PUT', '/dir', { value: 'x' })).json['errorCode'], 102)
  const first = await ask('POST', '/dir', { value: 'x' })
  assert.match(String((first.json['node'] as { key: string }).key), /^\/dir\/\d{20}$/)
  await ask('PUT', '/dir/_hidden', { value: 'x' })
  await ask('PUT', '/dir/sub/deep', { value: 'y' })
  const listed = (await ask('GET', '/dir?recursive=true&sorted=true')).json['node'] as { nodes: { key: string; nodes?: { key: string }[] }[] }
  assert.deepEqual(listed.nodes.map(({ key, nodes }) => [key.replace(/\d{20}/, 'N'), nodes?.map((node) => node.key)]), [['/dir/N', undefined], ['/dir/sub', ['/dir/sub/deep']]])
  assert.equal((await ask('DELETE', '/dir')).json['errorCode'], 102)
  assert.equal((await ask('DELETE', '/dir?dir=true')).json['errorCode'], 108)
  assert.equal((await ask('DELETE', '/a?prevValue=no')).json['errorCode'], 101)
  assert.equal((await ask('DELETE', '/a?prevValue=4')).json['action'], 'compareAndDelete')
  assert.equal((await ask('DELETE', '/')).json['errorCode'], 107)
  assert.equal((await ask('PUT', '/x', { value: '1', ttl: 'long' })).json['errorCode'], 202)
})

test('a watch gets what happened since an index, or waits for what comes', async () => {
  const { index } = await ask('PUT', '/w/1', { value: 'old' })
  assert.equal((await ask('GET', `/w?wait=true&recursive=true&waitIndex=${index}`)).json['action'], 'set')
  const waiting = ask('GET', '/w?wait=true&recursive=true')
  for (let i = 0; i < 500 && etcd.internals.member.machine.v2.watchers.count === 0; i++) await new Promise((resolve) => { setImmediate(resolve) })
  await ask('PUT', '/w/_secret', { value: 'unseen' })
  await ask('PUT', '/w/2', { value: 'new' })
  assert.equal(((await waiting).json['node'] as { key: string }).key, '/w/2')
})

test('keys with a time to live go, with an event; directories take all with them', async () => {
  await ask('PUT', '/short', { dir: 'true', ttl: '5' })
  const { json } = await ask('PUT', '/short/x', { value: '1' })
  assert.ok(json['node'])
  assert.equal(((await ask('GET', '/short')).json['node'] as { ttl: number }).ttl, 5)
  const gone = ask('GET', '/short/x?wait=true')
  for (let i = 0; i < 500 && etcd.internals.member.machine.v2.watchers.count === 0; i++) await new Promise((resolve) => { setImmediate(resolve) })
  await clock.advance(5001)
  assert.equal((await gone).json['action'], 'expire')
  assert.equal((await ask('GET', '/short/x')).status, 404)
})

test('it survives a restart, from the log and from a snapshot', async () => {
  const before = etcd.internals.member.machine.v2
  await resources.disposeAsync()
  await using again = await open()
  const { v2 } = again.internals.member.machine
  assert.equal(v2.index, before.index)
  assert.deepEqual(v2.image(), before.image())
  assert.ok(disk.paths.some((path) => path.endsWith('.snap')))
})

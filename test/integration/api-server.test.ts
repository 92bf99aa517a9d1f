// The API server in one process with an in-memory etcd, under a clock that the test moves.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { startApiServer } from '../../src/control-plane/kube-apiserver/api-server.ts'
import type { ApiServer, ApiServerOptions } from '../../src/control-plane/kube-apiserver/api-server.ts'
import { openEtcd } from '../../src/control-plane/etcd/embedded.ts'
import type { JsonObject } from '../../src/lib/base/json.ts'
import { seededRandom } from '../../src/lib/base/random.ts'
import type { ApiRequest, ApiResponse } from '../../src/lib/client/transport.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import type { EtcdClient } from '../../src/lib/etcd-client/etcd-client.ts'
import { SimulatedClock, settle } from '../../src/lib/testing/simulated-clock.ts'

const admin = { name: 'admin', uid: '', groups: ['system:masters', 'system:authenticated'], extra: {} }
const forever = new AbortController().signal

interface World extends AsyncDisposable {
  readonly etcd: EtcdClient
  readonly clock: SimulatedClock
  readonly api: ApiServer
  call(method: ApiRequest['method'], path: string, body?: unknown, headers?: Record<string, string>): Promise<ApiResponse>
  /** The answer's object; fails unless the status is as said. */
  ask(status: number, method: ApiRequest['method'], path: string, body?: unknown, headers?: Record<string, string>): Promise<any>
  revision(): Promise<number>
}

async function startWorld(more: Partial<ApiServerOptions> = {}): Promise<World> {
  const clock = new SimulatedClock()
  const etcd = await openEtcd({ disk: 'memory', clock, random: seededRandom(1), logger: silentLogger })
  const api = await startApiServer({ etcd: etcd.client, clock, random: seededRandom(2), logger: silentLogger, freezeObjects: true, ...more }, forever)
  const transport = api.transport(admin)
  const call: World['call'] = (method, path, body, headers) => transport.request({
    method, path, signal: forever, ...(body !== undefined && { body: (typeof body === 'string' ? Buffer.from(body) : body) as JsonObject }), ...(headers && { headers }),
  })
  return {
    etcd: etcd.client, clock, api, call,
    async ask(status, method, path, body, headers) {
      const answer = await call(method, path, body, headers)
      const object = answer.body.kind === 'object' ? answer.body.object : undefined
      assert.equal(answer.status, status, JSON.stringify(object))
      return object
    },
    async revision() { return (await etcd.client.range({ key: Buffer.from('x') }, forever)).revision },
    async [Symbol.asyncDispose]() { await api[Symbol.asyncDispose](); await etcd[Symbol.asyncDispose]() },
  }
}

const configMap = (name: string, data: Record<string, string> = {}): JsonObject => ({ metadata: { name }, data })
const maps = '/api/v1/namespaces/default/configmaps'

test('an object is created, read, changed, listed and deleted', async () => {
  await using world = await startWorld()
  const made = await world.ask(201, 'POST', maps, configMap('a', { x: '1' }))
  assert.equal(made.kind, 'ConfigMap')
  assert.match(made.metadata.uid, /^[0-9a-f-]{36}$/)
  assert.equal(made.metadata.creationTimestamp, '2026-01-01T00:00:00Z')
  assert.deepEqual(await world.ask(200, 'GET', `${maps}/a`), made)
  const changed = await world.ask(200, 'PUT', `${maps}/a`, { ...made, data: { x: '2' } })
  assert.ok(Number(changed.metadata.resourceVersion) > Number(made.metadata.resourceVersion))
  // The old version is no longer the one to change.
  const refused = await world.ask(409, 'PUT', `${maps}/a`, { ...made, data: { x: '3' } })
  assert.equal(refused.reason, 'Conflict')
  assert.equal(refused.message, 'Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to the latest version and try again')
  const list = await world.ask(200, 'GET', maps)
  assert.deepEqual(list.items.filter((i: any) => i.metadata.name === 'a'), [changed])
  assert.deepEqual((await world.ask(200, 'DELETE', `${maps}/a`)).details, { name: 'a', kind: 'configmaps', uid: made.metadata.uid })
  assert.equal((await world.ask(404, 'GET', `${maps}/a`)).message, 'configmaps "a" not found')
})

test('an update that changes nothing writes nothing', async () => {
  await using world = await startWorld()
  const made = await world.ask(201, 'POST', maps, configMap('a', { x: '1' }))
  const before = await world.revision()
  assert.equal((await world.ask(200, 'PUT', `${maps}/a`, made)).metadata.resourceVersion, made.metadata.resourceVersion)
  assert.equal(await world.revision(), before)
})

test('a watch goes on from a resourceVersion, and selectors turn changes into comings and goings', async () => {
  await using world = await startWorld()
  const made = await world.ask(201, 'POST', maps, configMap('a'))
  await world.ask(201, 'POST', maps, { metadata: { name: 'b', labels: { app: 'web' } } })
  const answer = await world.call('GET', `${maps}?watch=1&labelSelector=app%3Dweb&resourceVersion=${made.metadata.resourceVersion}`)
  assert.equal(answer.body.kind, 'events')
  if (answer.body.kind !== 'events') return
  const events = answer.body.events[Symbol.asyncIterator]()
  const next = async (): Promise<any> => (await events.next()).value[0]
  const first = await next()
  assert.deepEqual([first.type, first.object.metadata.name], ['ADDED', 'b'])
  await world.ask(200, 'PATCH', `${maps}/a`, { metadata: { labels: { app: 'web' } } }, { 'content-type': 'application/merge-patch+json' })
  const second = await next()
  assert.deepEqual([second.type, second.object.metadata.name], ['ADDED', 'a'])
  await world.ask(200, 'PATCH', `${maps}/a`, { metadata: { labels: null } }, { 'content-type': 'application/merge-patch+json' })
  const third = await next()
  assert.deepEqual([third.type, third.object.metadata.labels], ['DELETED', { app: 'web' }])
  assert.ok(Number(third.object.metadata.resourceVersion) > Number(second.object.metadata.resourceVersion))
  await world.ask(200, 'DELETE', `${maps}/b`)
  assert.equal((await next()).type, 'DELETED')
  await settle()
})

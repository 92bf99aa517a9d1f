import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../base/random.ts'
import { silentLogger } from '../component-base/log.ts'
import { FakeApiServer } from '../testing/fake-api-server.ts'
import { SimulatedClock, settle } from '../testing/simulated-clock.ts'
import { createInformerFactory } from './informer.ts'
import { createApiClient } from './resource-client.ts'
import { configMaps } from './resource-keys.ts'
import type { InformerFactory } from './informer-contract.ts'

function world(): { clock: SimulatedClock, server: FakeApiServer, factory: InformerFactory, stop: AbortController, told: string[] } {
  const clock = new SimulatedClock()
  const server = new FakeApiServer({ clock })
  const client = createApiClient(server, { userAgent: 'test' })
  const factory = createInformerFactory({ client, clock, random: seededRandom(1), logger: silentLogger })
  const told: string[] = []
  factory.informer(configMaps).addHandler({
    added: (o) => told.push(`added ${o.metadata.name}`),
    updated: (o, old) => told.push(`updated ${o.metadata.name} ${old.data?.['k'] ?? '-'}→${o.data?.['k'] ?? '-'}`),
    deleted: (o) => told.push(`deleted ${o.metadata.name}`),
  })
  return { clock, server, factory, stop: new AbortController(), told }
}

const map = (name: string, k: string) => ({ metadata: { name, namespace: 'default' }, data: { k } })

test('an informer lists, watches and tells every handler in order', async () => {
  const { server, factory, stop, told } = world()
  server.seed(configMaps, map('a', '1'))
  factory.start(stop.signal)
  await factory.waitForSync(stop.signal)
  assert.deepEqual(told, ['added a'])
  server.seed(configMaps, map('b', '1'))
  server.change(configMaps, 'default', 'a', (o) => ({ ...o, data: { k: '2' } }))
  server.remove(configMaps, 'default', 'b')
  await settle()
  assert.deepEqual(told, ['added a', 'added b', 'updated a 1→2', 'deleted b'])
  const late: string[] = []
  factory.informer(configMaps).addHandler({ added: (o) => late.push(o.metadata.name) })
  assert.deepEqual(late, ['a'])
  assert.equal(factory.informer(configMaps).get('default', 'a')?.data?.['k'], '2')
  stop.abort()
})

test('a broken watch is resumed without a list; forgotten history leads to a list whose differences are told', async () => {
  const { clock, server, factory, stop, told } = world()
  for (const name of ['a', 'b', 'c']) server.seed(configMaps, map(name, '1'))
  factory.start(stop.signal)
  await factory.waitForSync(stop.signal)
  told.length = 0
  const lists = (): number => server.requests.filter((r) => r.startsWith('GET /api/v1/configmaps')).length
  server.cutWatches()
  server.seed(configMaps, map('d', '1'))
  await clock.advance(2_000)
  assert.deepEqual(told, ['added d'])
  assert.equal(lists(), 1)
  server.cutWatches()
  server.change(configMaps, 'default', 'a', (o) => ({ ...o, data: { k: '2' } }))
  server.remove(configMaps, 'default', 'b')
  server.remove(configMaps, 'default', 'c')
  server.seed(configMaps, map('c', '9'))
  server.store.compact()
  await clock.advance(5_000)
  assert.equal(lists(), 2)
  assert.deepEqual(told.slice(1).sort(), ['added c', 'deleted b', 'deleted c', 'updated a 1→2'])
  stop.abort()
})

test('indexes follow the objects', async () => {
  const { server, factory, stop } = world()
  const informer = factory.informer(configMaps)
  informer.addIndex('k', (o) => [o.data?.['k'] ?? ''])
  server.seed(configMaps, map('a', 'x'))
  factory.start(stop.signal)
  await factory.waitForSync(stop.signal)
  assert.deepEqual(informer.byIndex('k', 'x').map((o) => o.metadata.name), ['a'])
  server.change(configMaps, 'default', 'a', (o) => ({ ...o, data: { k: 'y' } }))
  await settle()
  assert.deepEqual([informer.byIndex('k', 'x').length, informer.byIndex('k', 'y').length], [0, 1])
  stop.abort()
})

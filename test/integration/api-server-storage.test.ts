// How the API server uses its etcd, as told: with or without the cache, several deletions at a time, encrypted or not.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { EncryptionAtRest } from '../../src/control-plane/kube-apiserver/storage/encryption/encryption-at-rest.ts'
import { openEtcd, type EmbeddedEtcd } from '../../src/control-plane/etcd/embedded.ts'
import { seededRandom } from '../../src/lib/base/random.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import type { EtcdClient } from '../../src/lib/etcd-client/etcd-client.ts'
import { SimulatedClock } from '../../src/lib/testing/simulated-clock.ts'
import { configMap, forever, mapsPath, mergePatch, startWorld, type Loose } from './api-server-world.ts'

const openStore = (): Promise<EmbeddedEtcd> => openEtcd({ disk: 'memory', clock: new SimulatedClock(), random: seededRandom(5), logger: silentLogger })

/** `of`, and how often and how many at a time its functions are called. */
function counting(of: EtcdClient): { readonly etcd: EtcdClient; ranges: number; txnsAtOnce: number } {
  const counts = { etcd: of, ranges: 0, txnsAtOnce: 0 }
  let open = 0
  counts.etcd = new Proxy(of, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      return (...args: unknown[]): unknown => {
        const answer: unknown = Reflect.apply(value, target, args)
        if (name === 'range') counts.ranges++
        if (name !== 'txn') return answer
        counts.txnsAtOnce = Math.max(counts.txnsAtOnce, ++open)
        return (answer as Promise<unknown>).finally(() => { open-- }) // cast: txn gives a promise
      }
    },
  })
  return counts
}

const names = (list: Loose): readonly string[] => list.items.map((item: Loose) => item.metadata.name)

test('gets and lists of resources without a cache are answered from etcd, whatever age they would take', async () => {
  await using store = await openStore()
  const counts = counting(store.client)
  await using world = await startWorld({ etcd: counts.etcd, uncached: (group, resource) => group === '' && resource === 'configmaps' })
  for (const name of ['a', 'b', 'c']) await world.ask(201, 'POST', mapsPath, configMap(name))
  const asks = async (path: string): Promise<number> => {
    const before = counts.ranges
    await world.ask(200, 'GET', path)
    return counts.ranges - before
  }
  assert.equal(await asks(`${mapsPath}?resourceVersion=0`), 1)
  assert.equal(await asks(`${mapsPath}/a?resourceVersion=0`), 1)
  assert.equal(await asks(mapsPath), 1)
  assert.equal(await asks('/api/v1/namespaces/default/secrets?resourceVersion=0'), 0)
  assert.equal(await asks('/api/v1/namespaces/default?resourceVersion=0'), 0)
  const first = await world.ask(200, 'GET', `${mapsPath}?resourceVersion=0&limit=2`)
  assert.deepEqual(names(first), ['a', 'b'], 'a limit counts, as no cache would have all of it at hand')
  assert.deepEqual(names(await world.ask(200, 'GET', `${mapsPath}?limit=2&continue=${first.metadata.continue}`)), ['c'])
  assert.equal((await world.ask(504, 'GET', `${mapsPath}/a?resourceVersion=999999`)).reason, 'Timeout')
  const watch = await world.watch(`${mapsPath}?watch=true&resourceVersion=0`)
  assert.deepEqual([(await watch()).object.metadata.name, (await watch()).object.metadata.name], ['a', 'b'])
})

test('a deletecollection deletes as many at a time as it may', async () => {
  for (const workers of [1, 3]) {
    await using store = await openStore()
    const counts = counting(store.client)
    await using world = await startWorld({ etcd: counts.etcd, deleteCollectionWorkers: workers })
    for (let i = 0; i < 8; i++) await world.ask(201, 'POST', mapsPath, configMap(`m${i}`))
    counts.txnsAtOnce = 0
    await world.ask(200, 'DELETE', mapsPath)
    assert.equal(counts.txnsAtOnce, workers)
    assert.deepEqual(names(await world.ask(200, 'GET', mapsPath)), [])
  }
})

test('where nobody collects garbage, nothing waits for it', async () => {
  for (const garbageCollection of [true, false]) {
    await using world = await startWorld({ garbageCollection })
    await world.ask(201, 'POST', mapsPath, configMap('a'))
    await world.ask(200, 'DELETE', `${mapsPath}/a?propagationPolicy=Foreground`)
    await world.ask(garbageCollection ? 200 : 404, 'GET', `${mapsPath}/a`)
  }
})

test('encryption reaches what is there by writing it again, and turns with its file', async () => {
  await using store = await openStore()
  const etcd = store.client
  const valueOf = async (name: string): Promise<string> => Buffer.from((await etcd.range({ key: Buffer.from(`/registry/configmaps/default/${name}`) }, forever)).kvs[0]?.value ?? []).toString('latin1')
  const aes = (...keys: readonly string[]): string => `{aesgcm: {keys: [${keys.map((name) => `{name: ${name}, secret: ${Buffer.alloc(32, name).toString('base64')}}`).join(', ')}]}}`
  const configuration = (...providers: readonly string[]): string => `kind: EncryptionConfiguration\napiVersion: apiserver.config.k8s.io/v1\nresources:\n- resources: [configmaps]\n  providers: [${providers.join(', ')}]\n`
  let file = configuration(aes('one'), '{identity: {}}')
  const stop = new AbortController()
  const encryption = await EncryptionAtRest.open({ readFile: () => Buffer.from(file), reload: true, clock: new SimulatedClock(), random: seededRandom(6), logger: silentLogger, connectKms: () => assert.fail('there is no plugin') }, stop.signal)
  { await using plain = await startWorld({ etcd }); await plain.ask(201, 'POST', mapsPath, configMap('old', { a: 'canary' })) }
  {
    await using world = await startWorld({ etcd, encryption })
    const watch = await world.watch(`${mapsPath}?watch=true`)
    assert.equal((await watch()).object.data.a, 'canary')
    await world.ask(201, 'POST', mapsPath, configMap('new', { a: 'canary' }))
    assert.deepEqual((await watch()).object.data, { a: 'canary' })
    assert.ok((await valueOf('new')).startsWith('k8s:enc:aesgcm:v1:one:'))
    assert.match(await valueOf('old'), /canary/)
    const before = await world.ask(200, 'GET', `${mapsPath}/old`)
    const after = await world.ask(200, 'PUT', `${mapsPath}/old`, before)
    assert.notEqual(after.metadata.resourceVersion, before.metadata.resourceVersion)
    assert.ok((await valueOf('old')).startsWith('k8s:enc:aesgcm:v1:one:'))
    assert.equal((await watch()).type, 'MODIFIED')
    assert.equal((await world.ask(200, 'PATCH', `${mapsPath}/old`, {}, mergePatch)).metadata.resourceVersion, after.metadata.resourceVersion, 'once is enough')
    file = configuration(aes('two', 'one'))
    await encryption.reloadNow()
    await world.ask(200, 'PATCH', `${mapsPath}/old`, {}, mergePatch)
    assert.ok((await valueOf('old')).startsWith('k8s:enc:aesgcm:v1:two:'))
  }
  // Started without the key of one of them: lists say so, and come back when the file has it again.
  file = configuration(aes('two'))
  await encryption.reloadNow()
  await using world = await startWorld({ etcd, encryption })
  assert.match((await world.ask(500, 'GET', mapsPath)).message, /no matching key was found for the provided AES transformer/)
  file = configuration(aes('two', 'one'))
  await encryption.reloadNow()
  for (let i = 0; ; i++) {
    const answer = await world.call('GET', mapsPath)
    if (answer.status === 200) break
    assert.ok(i < 1000, JSON.stringify(answer.body))
    await new Promise((next) => { setImmediate(next) })
  }
  assert.deepEqual(names(await world.ask(200, 'GET', mapsPath)), ['new', 'old'])
  stop.abort()
})

import { test } from 'node:test'
import assert from 'node:assert/strict'
import { CacheWatcher } from './cache-watcher.ts'
import { SortedKeys } from './sorted-keys.ts'
import { asApiObject, encodeForStorage, isCanonical } from './stored-object.ts'
import type { StoredKind } from './stored-object.ts'
import { WatchCache } from './watch-cache.ts'

const kind: StoredKind = { head: '{"kind":"ConfigMap","apiVersion":"v1",', freeze: true, selectableFields: (object) => ({ 'metadata.name': object.metadata.name }) }
const configMap = (name: string, data: object = {}) => asApiObject({ kind: 'ConfigMap', apiVersion: 'v1', metadata: { name, namespace: 'ns', uid: 'u' }, data })

function put(cache: WatchCache, name: string, revision: number, data: object = {}): void {
  const { value, insertAt } = encodeForStorage(configMap(name, data))
  cache.put(`ns/${name}`, value, revision, insertAt)
}

test('bytes are stored without a version and served with it', () => {
  const cache = new WatchCache(kind)
  put(cache, 'a', 7, { text: 'ü "uid":"no"' })
  const stored = cache.get('ns/a')
  assert.ok(stored)
  assert.ok(isCanonical(stored.value, kind.head))
  assert.equal(Buffer.from(stored.toBytes()).toString(), '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","namespace":"ns","uid":"u","resourceVersion":"7"},"data":{"text":"ü \\"uid\\":\\"no\\""}}')
  assert.equal(stored.toBytes().length, stored.byteLength)
  const item = Buffer.alloc(stored.itemByteLength)
  assert.equal(stored.writeItemTo(item, 0), item.length)
  assert.equal(JSON.parse(item.toString()).metadata.resourceVersion, '7')
  assert.equal(stored.object, stored.object)
  assert.ok(Object.isFrozen(stored.object.metadata))
  assert.ok(!isCanonical(Buffer.from('{"kind":"ConfigMap","apiVersion":"v1","metadata":{"labels":{"a":"b"},"name":"a","uid":"u"}}'), kind.head))
})

test('a write that comes back is not parsed again', () => {
  const cache = new WatchCache(kind)
  const object = configMap('a')
  const layout = encodeForStorage(object)
  using _expected = cache.expect('ns/a', { sealed: layout.value, layout, isPlain: true, object })
  assert.equal(cache.expected('ns/a', Buffer.from('other')), undefined)
  const own = cache.expected('ns/a', Uint8Array.from(layout.value))
  cache.put('ns/a', Uint8Array.from(layout.value), 3, layout.insertAt, own?.object)
  assert.ok(cache.get('ns/a')?.isParsed)
  assert.equal(cache.get('ns/a')?.object.metadata.resourceVersion, '3')
})

test('the window forgets the oldest changes and says so', () => {
  const cache = new WatchCache(kind, 3)
  cache.reset([], 1)
  for (let revision = 2; revision <= 6; revision++) put(cache, 'a', revision, { revision })
  assert.equal(cache.since(2), undefined)
  assert.deepEqual(cache.since(cache.oldestResumable)?.map((e) => e.revision), [4, 5, 6])
  assert.deepEqual(cache.since(6), [])
})

test('a watcher that takes nothing is cut; the others go on', () => {
  const cache = new WatchCache(kind)
  const options = { keyPrefix: '', bookmarks: false, afterRevision: 0 }
  const stuck = cache.watch({ ...options, maxQueuedBytes: 400 }, [], [])
  const healthy = cache.watch({ ...options, maxQueuedBytes: 1e6 }, [], [])
  for (let revision = 1; revision <= 10; revision++) put(cache, 'a', revision, { text: 'x'.repeat(50) })
  assert.equal(stuck.ended, 'tooSlow')
  assert.equal(healthy.ended, undefined)
  assert.equal(healthy.take(100).length, 10)
})

test('watchers share one frame per event', () => {
  const cache = new WatchCache(kind)
  const watchers: CacheWatcher[] = Array.from({ length: 3 }, () => cache.watch({ keyPrefix: 'ns/', bookmarks: false, afterRevision: 0, maxQueuedBytes: 1e6 }, [], []))
  put(cache, 'a', 1)
  let made = 0
  const frames = watchers.map((watcher) => watcher.take(1)[0]?.frame('json', (d) => { made++; return d.object.toBytes() }))
  assert.equal(made, 1)
  assert.equal(new Set(frames).size, 1)
})

test('keys stay in order, whatever comes and goes', () => {
  const keys = new SortedKeys()
  const model = new Set<string>()
  let state = 1
  for (let i = 0; i < 5000; i++) {
    state = (state * 1103515245 + 12345) % 2147483648
    const key = `n${state % 7}/k${state % 1000}`
    if (state % 3 === 0) { keys.delete(key); model.delete(key) } else { keys.add(key); model.add(key) }
  }
  const sorted = [...model].sort()
  assert.deepEqual(keys.range(''), sorted)
  assert.deepEqual(keys.range('n3/'), sorted.filter((k) => k.startsWith('n3/')))
  assert.deepEqual(keys.range('n3/', 'n3/k5', 4), sorted.filter((k) => k.startsWith('n3/') && k >= 'n3/k5').slice(0, 4))
  assert.equal(keys.countAfter('n3/', 'n3/k5'), sorted.filter((k) => k.startsWith('n3/') && k > 'n3/k5').length)
  assert.equal(keys.size, model.size)
})

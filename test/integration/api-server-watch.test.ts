// Watches: start, resume, selectors, bookmarks, expiry, and two API servers on one etcd.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { settle } from '../../src/lib/testing/simulated-clock.ts'
import { admin, configMap, forever, mapsPath, mergePatch, startWorld } from './api-server-world.ts'
import type { Loose } from './api-server-world.ts'

const shown = (event: Loose): unknown[] => [event.type, event.object.metadata.name]

test('a watch without a version begins with everything there is', async () => {
  await using world = await startWorld()
  for (const name of ['b', 'a']) await world.ask(201, 'POST', mapsPath, configMap(name))
  const next = await world.watch(`${mapsPath}?watch=1`)
  assert.deepEqual([shown(await next()), shown(await next())], [['ADDED', 'a'], ['ADDED', 'b']])
  await world.ask(201, 'POST', mapsPath, configMap('c'))
  assert.deepEqual(shown(await next()), ['ADDED', 'c'])
})

test('a watch goes on from a version, and selectors turn changes into comings and goings', async () => {
  await using world = await startWorld()
  const made = await world.ask(201, 'POST', mapsPath, configMap('a'))
  await world.ask(201, 'POST', mapsPath, configMap('b', {}, { app: 'web' }))
  const next = await world.watch(`${mapsPath}?watch=1&labelSelector=app%3Dweb&resourceVersion=${made.metadata.resourceVersion}`)
  assert.deepEqual(shown(await next()), ['ADDED', 'b'])
  await world.ask(200, 'PATCH', `${mapsPath}/a`, { metadata: { labels: { app: 'web' } } }, mergePatch)
  const second = await next()
  assert.deepEqual(shown(second), ['ADDED', 'a'])
  await world.ask(200, 'PATCH', `${mapsPath}/a`, { metadata: { labels: null } }, mergePatch)
  const third = await next()
  assert.deepEqual([...shown(third), third.object.metadata.labels], ['DELETED', 'a', { app: 'web' }])
  assert.ok(Number(third.object.metadata.resourceVersion) > Number(second.object.metadata.resourceVersion))
  await world.ask(200, 'DELETE', `${mapsPath}/b`)
  assert.deepEqual(shown(await next()), ['DELETED', 'b'])
})

test('the streaming list: everything, the mark, then what changes', async () => {
  await using world = await startWorld()
  await world.ask(201, 'POST', mapsPath, configMap('a'))
  const next = await world.watch(`${mapsPath}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`)
  assert.deepEqual(shown(await next()), ['ADDED', 'a'])
  const mark = await next()
  assert.deepEqual([mark.type, mark.object.kind, mark.object.metadata.annotations], ['BOOKMARK', 'ConfigMap', { 'k8s.io/initial-events-end': 'true' }])
  assert.equal(mark.object.metadata.resourceVersion, String(await world.revision()))
  await world.ask(201, 'POST', mapsPath, configMap('b'))
  assert.deepEqual(shown(await next()), ['ADDED', 'b'])
})

test('bookmarks come to those who asked, and nobody else', async () => {
  await using world = await startWorld()
  const asked = await world.watch(`${mapsPath}?watch=1&allowWatchBookmarks=true`)
  const other = await world.watch(`${mapsPath}?watch=1`)
  await world.ask(201, 'POST', '/api/v1/namespaces/default/secrets', { metadata: { name: 's' } })
  const bookmark = asked()
  const first = other()
  await world.clock.advance(60_000)
  const { type, object } = await bookmark
  assert.deepEqual([type, object.metadata.resourceVersion, object.kind], ['BOOKMARK', String(await world.revision()), 'ConfigMap'])
  await world.ask(201, 'POST', mapsPath, configMap('a'))
  assert.deepEqual(shown(await first), ['ADDED', 'a'])
})

test('a watch ends when its time is over, when the client goes, and when the server stops', async () => {
  await using world = await startWorld()
  const timed = await world.watch(`${mapsPath}?watch=1&timeoutSeconds=5`)
  const end = timed()
  await world.clock.advance(5_000)
  assert.equal(await end, undefined)
  const stop = new AbortController()
  const cut = await world.watch(`${mapsPath}?watch=1`, stop.signal)
  const gone = cut()
  await settle()
  stop.abort()
  assert.equal(await gone, undefined)
  const last = (await world.watch(`${mapsPath}?watch=1`))()
  await settle()
  await world.api[Symbol.asyncDispose]()
  assert.equal(await last, undefined)
})

test('a server started anew resumes a watch from etcd’s history: nothing missed, nothing twice; compacted is 410', async () => {
  await using world = await startWorld()
  const made = await world.ask(201, 'POST', mapsPath, configMap('a'))
  for (let i = 0; i < 3; i++) await world.ask(200, 'PATCH', `${mapsPath}/a`, { data: { i: String(i) } }, mergePatch)
  await world.ask(200, 'DELETE', `${mapsPath}/a`)
  const other = await world.restart()
  const watch = async (version: string): Promise<() => Promise<Loose>> => {
    const answer = await other.transport(admin).request({ method: 'GET', path: `${mapsPath}?watch=1&resourceVersion=${version}`, signal: forever })
    assert.equal(answer.body.kind, 'events')
    const events = (answer.body as Loose).events[Symbol.asyncIterator]()
    let batch: Loose[] = []
    return async () => { while (batch.length === 0) { const next = await events.next(); if (next.done) return undefined; batch = [...next.value] } return batch.shift() }
  }
  const next = await watch(made.metadata.resourceVersion)
  const seen: unknown[] = []
  for (let i = 0; i < 4; i++) { const { type, object } = await next(); seen.push([type, object.data?.i]) }
  assert.deepEqual(seen, [['MODIFIED', '0'], ['MODIFIED', '1'], ['MODIFIED', '2'], ['DELETED', '2']])
  // A change made through the first server arrives at the second.
  await world.ask(201, 'POST', mapsPath, configMap('b'))
  assert.deepEqual(shown(await next()), ['ADDED', 'b'])
  await world.etcd.compact(await world.revision(), forever)
  const expired = await (await watch(made.metadata.resourceVersion))()
  assert.deepEqual([expired.type, expired.object.code, expired.object.reason], ['ERROR', 410, 'Expired'])
})

test('reads are never stale: what one server wrote, the other lists', async () => {
  await using world = await startWorld()
  const other = (await world.restart()).transport(admin)
  for (let i = 0; i < 20; i++) {
    await world.ask(201, 'POST', mapsPath, configMap(`m${i}`))
    const answer = await other.request({ method: 'GET', path: mapsPath, signal: forever })
    assert.equal((answer.body as Loose).object.items.length, i + 1)
  }
})

test('etcd is compacted, so that it doesn’t grow without end', async () => {
  await using world = await startWorld()
  const made = await world.ask(201, 'POST', mapsPath, configMap('a'))
  for (let i = 0; i < 3; i++) await world.clock.advance(300_000)
  await assert.rejects(world.etcd.range({ key: Buffer.from('x'), revision: Number(made.metadata.resourceVersion) - 1 }, forever), { message: 'etcdserver: mvcc: required revision has been compacted' })
})

test('options that contradict each other are refused', async () => {
  await using world = await startWorld()
  for (const query of ['sendInitialEvents=true', 'resourceVersionMatch=NotOlderThan', 'sendInitialEvents=true&resourceVersionMatch=Exact']) {
    assert.equal((await world.ask(422, 'GET', `${mapsPath}?watch=1&${query}`)).reason, 'Invalid')
  }
})

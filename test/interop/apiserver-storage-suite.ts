// What kube-apiserver promises of its storage, as tests that have to pass on every etcd: the embedded one, ours, the original, an old one.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { seededRandom } from '../../src/lib/base/random.ts'
import type { ApiServerOptions } from '../../src/control-plane/kube-apiserver/api-server.ts'
import type { EtcdClient } from '../../src/lib/etcd-client/etcd-client.ts'
import { createAuthority, issueCertificate } from '../../src/lib/net/pki/certificates.ts'
import { SimulatedClock } from '../../src/lib/testing/simulated-clock.ts'
import { eventTexts, openServer, until, type Loose, type ServerUnderTest } from './apiserver-under-test.ts'
import { Load, problemsOf } from './writers-and-watchers.ts'

export interface StorageUnderTest extends AsyncDisposable {
  /** Another client of the same etcd. */
  client(): EtcdClient
  /** Its versions keep their word about progress: lists come from the cache, watches may begin with what is there. */
  readonly canCatchUp: boolean
}

const signal = new AbortController().signal
const merge = { 'content-type': 'application/merge-patch+json' }
const apply = { 'content-type': 'application/apply-patch+yaml' }
const map = (name: string, data: { readonly [key: string]: string } = {}, labels?: { readonly [key: string]: string }): object => ({ metadata: { name, ...(labels && { labels }) }, data })
const etcdPut = (client: EtcdClient, key: string, value: string): Promise<{ readonly revision: number }> => client.txn({ compare: [], success: [{ type: 'put', key: Buffer.from(key), value: Buffer.from(value) }], failure: [] }, signal)

/** A certificate for servers that have to listen. */
export function servingCertificate(): { readonly certificate: string; readonly key: string } {
  const random = seededRandom(5)
  const validity = { notBeforeMs: Date.UTC(2020, 0, 1), notAfterMs: Date.UTC(2045, 0, 1) }
  const made = issueCertificate(createAuthority('ca', validity, random), 'ca', { subject: { commonName: 'kube-apiserver' }, names: ['127.0.0.1'], usages: ['server'], random, ...validity })
  return { certificate: made.certificatePem, key: made.keyPem }
}

/** Declares the suite. One etcd for all of it; each test has a namespace of its own. */
export function apiServerStorageSuite(name: string, open: () => Promise<StorageUnderTest>, options: { readonly skip?: string } = {}): void {
  describe(`kube-apiserver on ${name}`, { ...(options.skip !== undefined && { skip: options.skip }), timeout: 180_000 }, () => {
    let storage: Promise<StorageUnderTest> | undefined
    let shared: Promise<ServerUnderTest> | undefined
    let namespaces = 0
    const opened = (): Promise<StorageUnderTest> => (storage ??= open())
    const server = (): Promise<ServerUnderTest> => (shared ??= opened().then((s) => openServer(s.client())))
    const another = async (more: Partial<ApiServerOptions> = {}): Promise<ServerUnderTest> => openServer((await opened()).client(), more)

    const withServer = (title: string, run: (s: ServerUnderTest, maps: string, namespace: string, storage: StorageUnderTest) => Promise<void>): void => {
      test(title, { timeout: 60_000 }, async () => {
        const s = await server()
        const namespace = `case-${++namespaces}`
        await s.ask(201, 'POST', '/api/v1/namespaces', { metadata: { name: namespace } })
        await run(s, `/api/v1/namespaces/${namespace}/configmaps`, namespace, await opened())
      })
    }

    withServer('create, read, update and delete, each guarded by what was known', async (s, maps, namespace, { client }) => {
      const made = await s.ask(201, 'POST', maps, map('a', { value: '1' }))
      assert.equal((await s.ask(409, 'POST', maps, map('a'))).reason, 'AlreadyExists')
      const changed = await s.ask(200, 'PUT', `${maps}/a`, { metadata: { name: 'a', resourceVersion: made.metadata.resourceVersion }, data: { value: '2' } })
      assert.ok(Number(changed.metadata.resourceVersion) > Number(made.metadata.resourceVersion))
      assert.equal((await s.ask(409, 'PUT', `${maps}/a`, { metadata: { name: 'a', resourceVersion: made.metadata.resourceVersion }, data: { value: '3' } })).reason, 'Conflict')
      assert.equal((await s.ask(409, 'DELETE', `${maps}/a`, { kind: 'DeleteOptions', apiVersion: 'v1', preconditions: { resourceVersion: made.metadata.resourceVersion } })).reason, 'Conflict')
      const same = await s.ask(200, 'PATCH', `${maps}/a`, { data: { value: '2' } }, merge)
      assert.equal(same.metadata.resourceVersion, changed.metadata.resourceVersion, 'nothing changes: nothing is written')
      const { kvs } = await client().range({ key: Buffer.from(`/registry/configmaps/${namespace}/a`) }, signal)
      assert.equal(String(kvs[0]?.modRevision), changed.metadata.resourceVersion)
      assert.doesNotMatch(Buffer.from(kvs[0]?.value ?? []).toString(), /resourceVersion/)
      await s.ask(200, 'DELETE', `${maps}/a`)
      assert.equal((await s.ask(404, 'GET', `${maps}/a`)).reason, 'NotFound')
      const results = await Promise.all(Array.from({ length: 20 }, () => s.call('POST', maps, map('once'))))
      assert.deepEqual(results.map((r) => r.status).sort(), [201, ...Array.from({ length: 19 }, () => 409)])
    })

    withServer('20 clients count in one object by patches that carry no version', async (s, maps) => {
      await s.ask(201, 'POST', maps, map('counter'))
      await Promise.all(Array.from({ length: 20 }, async (_, i) => { for (let j = 0; j < 5; j++) await s.ask(200, 'PATCH', `${maps}/counter`, { data: { [`k${i}-${j}`]: 'x' } }, merge) }))
      assert.equal(Object.keys((await s.ask(200, 'GET', `${maps}/counter`)).data).length, 100)
    })

    withServer('lists: pages at one revision, exact ones, not older than, and none of the future', async (s, maps) => {
      for (let i = 0; i < 7; i++) await s.ask(201, 'POST', maps, map(`p${i}`))
      const names = (list: Loose): string => list.items.map((item: Loose) => item.metadata.name).join()
      const first = await s.ask(200, 'GET', `${maps}?limit=3`)
      assert.deepEqual([names(first), first.metadata.remainingItemCount], ['p0,p1,p2', 4])
      await s.ask(200, 'DELETE', `${maps}/p4`)
      await s.ask(201, 'POST', maps, map('p3a'))
      const second = await s.ask(200, 'GET', `${maps}?limit=3&continue=${first.metadata.continue}`)
      assert.deepEqual([names(second), second.metadata.resourceVersion], ['p3,p4,p5', first.metadata.resourceVersion])
      const third = await s.ask(200, 'GET', `${maps}?limit=3&continue=${second.metadata.continue}`)
      assert.deepEqual([names(third), third.metadata.continue], ['p6', undefined])
      assert.equal(names(await s.ask(200, 'GET', `${maps}?resourceVersion=${first.metadata.resourceVersion}&resourceVersionMatch=Exact`)), 'p0,p1,p2,p3,p4,p5,p6')
      const now = 'p0,p1,p2,p3,p3a,p5,p6'
      assert.equal(names(await s.ask(200, 'GET', maps)), now)
      assert.equal(names(await s.ask(200, 'GET', `${maps}?resourceVersion=${first.metadata.resourceVersion}&resourceVersionMatch=NotOlderThan`)), now)
      assert.equal(names(await s.ask(200, 'GET', `${maps}?resourceVersion=0`)).split(',').length, 7)
      const future = await s.ask(504, 'GET', `${maps}?resourceVersion=1000000000&resourceVersionMatch=NotOlderThan`)
      assert.equal(future.details.causes[0].reason, 'ResourceVersionTooLarge')
      await s.ask(504, 'GET', `${maps}?resourceVersion=1000000000&resourceVersionMatch=Exact`)
    })

    withServer('what somebody else wrote to etcd is in the next list, and in a read from the cache at its revision', async (s, maps, namespace, { client }) => {
      const etcd = client()
      await s.ask(201, 'POST', maps, map('a'))
      for (let i = 0; i < 5; i++) {
        // Elsewhere: nothing of it reaches the watch, only its revision counts.
        const { revision } = await etcdPut(etcd, '/elsewhere', String(i))
        const started = realClock.monotonic()
        const list = await s.ask(200, 'GET', maps)
        assert.ok(Number(list.metadata.resourceVersion) >= revision)
        assert.ok(realClock.monotonic() - started < 2500, 'without waiting for anything to be given up')
      }
      const own = JSON.stringify({ kind: 'ConfigMap', apiVersion: 'v1', metadata: { name: 'theirs', namespace, uid: 'u-1' }, data: { value: 'x' } })
      const { revision } = await etcdPut(etcd, `/registry/configmaps/${namespace}/theirs`, own)
      assert.equal((await s.ask(200, 'GET', `${maps}/theirs?resourceVersion=${revision}`)).data.value, 'x')
      assert.equal((await s.ask(200, 'GET', maps)).items.length, 2)
    })

    withServer('watches: from a revision into the present, by a selector, of one object', async (s, maps) => {
      const made = await s.ask(201, 'POST', maps, map('a', { value: '1' }, { app: 'web' }))
      await s.ask(200, 'PATCH', `${maps}/a`, { data: { value: '2' } }, merge)
      using all = await s.watch(`${maps}?watch=true&resourceVersion=${made.metadata.resourceVersion}`)
      using web = await s.watch(`${maps}?watch=true&labelSelector=app%3Dweb&resourceVersion=${made.metadata.resourceVersion}`)
      using one = await s.watch(`${maps}?watch=true&fieldSelector=metadata.name%3Db&resourceVersion=${made.metadata.resourceVersion}`)
      await s.ask(200, 'PATCH', `${maps}/a`, { metadata: { labels: { app: 'db' } }, data: { value: '3' } }, merge)
      await s.ask(201, 'POST', maps, map('b', { value: '1' }))
      await s.ask(200, 'PATCH', `${maps}/a`, { metadata: { labels: { app: 'web' } }, data: { value: '4' } }, merge)
      await s.ask(200, 'DELETE', `${maps}/a`)
      assert.deepEqual(await eventTexts(all, 5), ['MODIFIED a=2', 'MODIFIED a=3', 'ADDED b=1', 'MODIFIED a=4', 'DELETED a=4'])
      assert.deepEqual(await eventTexts(web, 4), ['MODIFIED a=2', 'DELETED a=2', 'ADDED a=4', 'DELETED a=4'], 'an object that leaves the selection is told as it was in it')
      assert.deepEqual(await eventTexts(one, 1), ['ADDED b=1'])
    })

    withServer('watches that begin with what is there, and their mark', async (s, maps, _, { canCatchUp }) => {
      for (const name of ['a', 'b']) await s.ask(201, 'POST', maps, map(name))
      const path = `${maps}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`
      if (!canCatchUp) {
        const answer = await s.call('GET', path)
        assert.ok(JSON.stringify(answer.body ?? answer).includes('RequestWatchProgress') || answer.status === 200)
        return
      }
      using watch = await s.watch(path)
      assert.deepEqual(await eventTexts(watch, 2), ['ADDED a', 'ADDED b'])
      const mark = await watch.next()
      assert.deepEqual([mark.type, mark.object.metadata.annotations['k8s.io/initial-events-end']], ['BOOKMARK', 'true'])
      await s.ask(201, 'POST', maps, map('c'))
      assert.deepEqual(await eventTexts(watch, 1), ['ADDED c'])
    })

    withServer('bookmarks come by themselves; history is compacted; who is too old is told so', async (s, maps, _, { client }) => {
      const etcd = client()
      const clock = new SimulatedClock()
      await using timed = await another({ clock })
      const made = await timed.ask(201, 'POST', maps, map('a', { value: '1' }))
      using watch = await timed.watch(`${maps}?watch=true&allowWatchBookmarks=true&resourceVersion=${made.metadata.resourceVersion}`)
      await clock.advance(30_000)
      const bookmark = await watch.next()
      assert.deepEqual([bookmark.type, bookmark.object.kind], ['BOOKMARK', 'ConfigMap'])
      assert.ok(Number(bookmark.object.metadata.resourceVersion) >= Number(made.metadata.resourceVersion))
      const page = await s.ask(200, 'GET', `${maps}?limit=1`)
      assert.equal(page.metadata.continue, undefined)
      for (const name of ['b', 'c', 'd']) await s.ask(201, 'POST', maps, map(name, { value: '1' }))
      const first = await s.ask(200, 'GET', `${maps}?limit=2`)
      await s.ask(200, 'DELETE', `${maps}/c`)
      // The server compacts what is older than five minutes, in two steps; another one does not do it again.
      const compactedFrom = Number(first.metadata.resourceVersion)
      const isCompacted = async (): Promise<boolean> => { try { await etcd.range({ key: Buffer.from('x'), revision: compactedFrom }, signal); return false } catch (error) { assert.equal((error as { reason?: string }).reason, 'Compacted'); return true } } // cast: EtcdError
      for (let i = 0; i < 4 && !(await isCompacted()); i++) { await clock.advance(300_000); await delay(100); await s.ask(201, 'POST', maps, map(`more${i}`)) }
      assert.ok(await isCompacted())
      assert.match(Buffer.from((await etcd.range({ key: Buffer.from('compact_rev_key') }, signal)).kvs[0]?.value ?? []).toString(), /^\d+$/)
      const old = await s.ask(410, 'GET', `${maps}?limit=2&continue=${first.metadata.continue}`)
      assert.equal(old.reason, 'Expired')
      const rest = await s.ask(200, 'GET', `${maps}?limit=10&continue=${old.metadata.continue}`)
      assert.ok(rest.items.map((item: Loose) => item.metadata.name).join().startsWith('d,'))
      assert.equal((await s.ask(410, 'GET', `${maps}?resourceVersion=${made.metadata.resourceVersion}&resourceVersionMatch=Exact`)).reason, 'Expired')
      // One that has just started has nothing but etcd to ask.
      await using fresh = await another()
      using late = await fresh.watch(`${maps}?watch=true&resourceVersion=${made.metadata.resourceVersion}`)
      assert.deepEqual(await eventTexts(late, 1), ['ERROR 410 Expired'])
    })

    withServer('a watch resumed at another server, after the first has ended, misses nothing', async (_, maps, __, { canCatchUp }) => {
      const first = await another()
      const made = await first.ask(201, 'POST', maps, map('a', { value: '0' }))
      for (let i = 1; i <= 30; i++) await first.ask(200, 'PATCH', `${maps}/a`, { data: { value: String(i) } }, merge)
      await first[Symbol.asyncDispose]()
      await using second = await another()
      if (!canCatchUp) {
        using late = await second.watch(`${maps}?watch=true&resourceVersion=${made.metadata.resourceVersion}`)
        assert.deepEqual(await eventTexts(late, 1), ['ERROR 410 Expired'], 'nobody could say when all of the past has come')
        return
      }
      const watches = await Promise.all(Array.from({ length: 20 }, () => second.watch(`${maps}?watch=true&resourceVersion=${made.metadata.resourceVersion}`)))
      await second.ask(200, 'PATCH', `${maps}/a`, { data: { value: '31' } }, merge)
      for (const watch of watches) {
        assert.deepEqual(await eventTexts(watch, 31), Array.from({ length: 31 }, (__, i) => `MODIFIED a=${i + 1}`))
        watch[Symbol.dispose]()
      }
    })

    withServer('events share leases, and go with their time', async (_, maps, namespace, { client }) => {
      const etcd = client()
      const events = maps.replace('configmaps', 'events')
      const event = (name: string): object => ({ metadata: { name }, involvedObject: { kind: 'ConfigMap', namespace, name: 'a' }, reason: 'Tested', message: 'm', type: 'Normal' })
      await using short = await another({ eventTtlSeconds: 2 })
      const listed = await short.ask(200, 'GET', events)
      using watch = await short.watch(`${events}?watch=true&resourceVersion=${listed.metadata.resourceVersion}`)
      await short.ask(201, 'POST', events, event('soon-gone'))
      assert.deepEqual(await eventTexts(watch, 2), ['ADDED soon-gone', 'DELETED soon-gone'])
      await short.ask(404, 'GET', `${events}/soon-gone`)
      await using long = await another({ eventTtlSeconds: 3600 })
      for (let i = 0; i < 5; i++) await long.ask(201, 'POST', events, event(`e${i}`))
      const { kvs } = await etcd.range({ key: Buffer.from(`/registry/events/${namespace}/`), rangeEnd: Buffer.from(`/registry/events/${namespace}0`) }, signal)
      assert.deepEqual([kvs.length, new Set(kvs.map((kv) => kv.lease)).size], [5, 1])
      assert.equal((await etcd.leaseTimeToLive(kvs[0]?.lease ?? 0n, signal)).grantedTtlSeconds, 3660)
    })

    withServer('API servers tell of themselves by leases; the endpoints of default/kubernetes are those that are alive', async (s, _, __, { client }) => {
      const etcd = client()
      const tls = servingCertificate()
      const addresses = async (): Promise<string> => {
        const { subsets } = await s.ask(200, 'GET', '/api/v1/namespaces/default/endpoints/kubernetes')
        return subsets[0].addresses.map((address: Loose) => address.ip).join()
      }
      await using first = await another({ tls, advertiseAddress: '192.0.2.1' })
      await first.api.listen({ address: '127.0.0.1', port: 0 })
      assert.equal(await addresses(), '192.0.2.1')
      {
        await using second = await another({ tls, advertiseAddress: '192.0.2.2' })
        await second.api.listen({ address: '127.0.0.1', port: 0 })
        assert.equal(await addresses(), '192.0.2.1,192.0.2.2')
        const { kvs } = await etcd.range({ key: Buffer.from('/registry/masterleases/192.0.2.2') }, signal)
        const status = await etcd.leaseTimeToLive(kvs[0]?.lease ?? 0n, signal)
        assert.ok(status.grantedTtlSeconds === 15 && status.ttlSeconds <= 15)
        const slice = await s.ask(200, 'GET', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes')
        assert.equal(slice.endpoints.length, 2)
      }
      assert.equal(await addresses(), '192.0.2.1', 'the one that ended said so')
    })

    withServer('a namespace goes when it is finalized, and takes nothing new before', async (s, maps, namespace) => {
      await s.ask(201, 'POST', maps, map('a'))
      const terminating = await s.ask(200, 'DELETE', `/api/v1/namespaces/${namespace}`)
      assert.equal(terminating.status.phase, 'Terminating')
      await s.ask(403, 'POST', maps, map('b'))
      await s.ask(200, 'DELETE', maps)
      assert.equal((await s.ask(200, 'GET', maps)).items.length, 0)
      await s.ask(200, 'PUT', `/api/v1/namespaces/${namespace}/finalize`, { kind: 'Namespace', apiVersion: 'v1', metadata: { name: namespace }, spec: { finalizers: [] } })
      await s.ask(404, 'GET', `/api/v1/namespaces/${namespace}`)
    })

    withServer('server-side apply: owners, conflicts, force', async (s, maps) => {
      const fields = (value: string): string => JSON.stringify({ kind: 'ConfigMap', apiVersion: 'v1', metadata: { name: 'a' }, data: { value } })
      await s.ask(201, 'PATCH', `${maps}/a?fieldManager=one`, fields('1'), apply)
      assert.equal((await s.ask(409, 'PATCH', `${maps}/a?fieldManager=two`, fields('2'), apply)).reason, 'Conflict')
      const forced = await s.ask(200, 'PATCH', `${maps}/a?fieldManager=two&force=true`, fields('2'), apply)
      assert.deepEqual([forced.data.value, forced.metadata.managedFields.map((entry: Loose) => entry.manager)], ['2', ['two']])
    })

    withServer('2,000 objects: in one list, in pages, and by a server that has just started', async (s, maps) => {
      const filler = 'x'.repeat(1000)
      await Promise.all(Array.from({ length: 40 }, async (_, lane) => { for (let i = lane; i < 2000; i += 40) await s.ask(201, 'POST', maps, map(`o${String(i).padStart(4, '0')}`, { filler })) }))
      const all = await s.ask(200, 'GET', maps)
      assert.equal(all.items.length, 2000)
      await using fresh = await another()
      const names: string[] = []
      for (let next: string | undefined = ''; next !== undefined;) {
        const page: Loose = await fresh.ask(200, 'GET', `${maps}?limit=300${next === '' ? '' : `&continue=${next}`}`)
        names.push(...page.items.map((item: Loose) => item.metadata.name))
        next = page.metadata.continue
      }
      assert.deepEqual(names, all.items.map((item: Loose) => item.metadata.name))
      await s.ask(200, 'DELETE', maps)
      assert.equal((await fresh.ask(200, 'GET', maps)).items.length, 0)
    })

    withServer('two servers on one etcd: a resourceVersion that one has told is known to the other', async (a, maps) => {
      await using b = await another()
      const made = await a.ask(201, 'POST', maps, map('a', { value: '0' }))
      using watch = await b.watch(`${maps}?watch=true&resourceVersion=${made.metadata.resourceVersion}`)
      let newest = Number(made.metadata.resourceVersion)
      for (let i = 1; i <= 30; i++) {
        const [writer, reader] = i % 2 === 0 ? [a, b] : [b, a]
        const written = await writer.ask(200, 'PATCH', `${maps}/a`, { data: { value: String(i) } }, merge)
        assert.ok(Number(written.metadata.resourceVersion) > newest, 'never back')
        newest = Number(written.metadata.resourceVersion)
        const read = await reader.ask(200, 'GET', `${maps}/a`)
        assert.equal(read.data.value, String(i))
        assert.equal((await reader.ask(200, 'GET', `${maps}/a?resourceVersion=${newest}`)).data.value, String(i), 'from the cache, not older than asked for')
        const list = await reader.ask(200, 'GET', maps)
        assert.ok(Number(list.metadata.resourceVersion) >= newest)
        assert.equal(list.items[0].data.value, String(i))
      }
      assert.deepEqual(await eventTexts(watch, 30), Array.from({ length: 30 }, (_, i) => `MODIFIED a=${i + 1}`))
    })

    withServer('writers and watchers on two servers: nothing lost, no gap, nothing twice', async (a) => {
      await using b = await another()
      const load = new Load({ servers: [() => a, () => b], writers: 6, watchers: 4 })
      await load.start()
      await load.more(200)
      const history = await load.finish()
      assert.deepEqual(problemsOf(history), [])
      assert.ok(history.acknowledged.length >= 200 && history.watched.every((seen) => seen.length >= history.acknowledged.length))
    })

    withServer('health: etcd is asked', async (s) => {
      for (const path of ['/healthz/etcd', '/livez/etcd', '/readyz/etcd', '/readyz/etcd-readiness', '/readyz']) assert.equal(await s.ask(200, 'GET', path), 'ok')
      await until('the size of the database is a metric', async () => /apiserver_storage_size_bytes\{storage_cluster_id="etcd-0"\} [1-9]/.test(await s.ask(200, 'GET', '/metrics')))
    })

    test('the end', async () => {
      if (shared) await (await shared)[Symbol.asyncDispose]()
      if (storage) await (await storage)[Symbol.asyncDispose]()
    })
  })
}

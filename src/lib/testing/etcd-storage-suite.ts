// What kube-apiserver relies on in an etcd, as tests that any EtcdClient has to pass: the embedded store, ours over gRPC, the original.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { EtcdClient, EtcdEvent, EtcdOperation, EtcdTxnRequest, EtcdWatch, EtcdWatchRequest } from '../etcd-client/etcd-client.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text)
const text = (value: Uint8Array | undefined): string => Buffer.from(value ?? []).toString()
const signal = new AbortController().signal

/** Collects what a watch delivers and lets a test wait for it. */
export class WatchRecorder implements Disposable {
  readonly calls: { readonly events: readonly EtcdEvent[]; readonly revision: number }[] = []
  createdAt: number | undefined
  end: { readonly compactRevision?: number; readonly error?: Error } | undefined
  readonly #watch: EtcdWatch
  #changed: () => void = () => {}

  constructor(client: EtcdClient, request: EtcdWatchRequest) {
    this.#watch = client.watch(request, {
      created: (revision) => { this.createdAt = revision; this.#changed() },
      events: (events, revision) => { this.calls.push({ events, revision }); this.#changed() },
      closed: (end) => { this.end = end; this.#changed() },
    })
  }

  get events(): readonly EtcdEvent[] { return this.calls.flatMap((call) => call.events) }
  get lines(): readonly string[] { return this.events.map((e) => `${e.type} ${text(e.kv.key)}=${text(e.kv.value)}${e.prevKv ? ` was ${text(e.prevKv.value)}` : ''}`) }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => { this.#changed = resolve })
  }

  requestProgress(): void { this.#watch.requestProgress() }
  [Symbol.dispose](): void { this.#watch[Symbol.dispose]() }
}

/** Declares the suite. `open` gives a client of an etcd that nobody else uses; keys are under one prefix per test. */
export function etcdStorageSuite(name: string, open: () => Promise<{ readonly client: EtcdClient } & AsyncDisposable>): void {
  describe(`storage suite: ${name}`, () => {
    let prefixes = 0
    const withClient = (title: string, run: (client: EtcdClient, k: (name: string) => Uint8Array, prefix: string) => Promise<void>): void => {
      test(title, { timeout: 20_000 }, async () => {
        await using opened = await open()
        const prefix = `/suite-${++prefixes}/`
        await run(opened.client, (n) => bytes(prefix + n), prefix)
      })
    }
    const put = async (client: EtcdClient, key: Uint8Array, value: string): Promise<number> => (await client.txn({ compare: [], success: [{ type: 'put', key, value: bytes(value) }], failure: [] }, signal)).revision
    const end = (prefix: string): Uint8Array => bytes(`${prefix.slice(0, -1)}0`) // '0' follows '/'

    withClient('create, update and delete guarded by modRevision', async (client, k) => {
      const guarded = (revision: number, ...success: EtcdOperation[]): EtcdTxnRequest => ({ compare: [{ key: k('a'), target: 'MOD', result: 'EQUAL', number: revision }], success, failure: [{ type: 'range', key: k('a') }] })
      const created = await client.txn(guarded(0, { type: 'put', key: k('a'), value: bytes('1') }), signal)
      assert.equal(created.succeeded, true)
      const again = await client.txn(guarded(0, { type: 'put', key: k('a'), value: bytes('x') }), signal)
      assert.equal(again.succeeded, false)
      assert.equal(again.revision, created.revision, 'a refused write makes no revision')
      const found = again.results[0]
      assert.ok(found?.type === 'range')
      assert.deepEqual([text(found.kvs[0]?.value), found.kvs[0]?.modRevision, found.kvs[0]?.version], ['1', created.revision, 1])
      const updated = await client.txn(guarded(created.revision, { type: 'put', key: k('a'), value: bytes('2') }), signal)
      assert.deepEqual([updated.succeeded, updated.revision], [true, created.revision + 1])
      const kv = (await client.range({ key: k('a') }, signal)).kvs[0]
      assert.deepEqual([text(kv?.key), kv?.createRevision, kv?.modRevision, kv?.version, kv?.lease], [text(k('a')), created.revision, updated.revision, 2, 0n])
      const deleted = await client.txn(guarded(updated.revision, { type: 'deleteRange', key: k('a') }), signal)
      assert.ok(deleted.succeeded && deleted.results[0]?.type === 'deleteRange' && deleted.results[0].deleted === 1)
      const gone = await client.txn(guarded(updated.revision), signal)
      assert.ok(!gone.succeeded && gone.results[0]?.type === 'range' && gone.results[0].kvs.length === 0)
    })

    withClient('lists in pages at one revision, with counts', async (client, k, prefix) => {
      for (let i = 0; i < 7; i++) await put(client, k(`p${i}`), `v${i}`)
      const first = await client.range({ key: bytes(prefix), rangeEnd: end(prefix), limit: 3 }, signal)
      assert.deepEqual([first.kvs.length, first.more, first.count], [3, true, 7])
      await put(client, k('p9'), 'late')
      await client.txn({ compare: [], success: [{ type: 'deleteRange', key: k('p4') }], failure: [] }, signal)
      const second = await client.range({ key: k('p2\0'), rangeEnd: end(prefix), limit: 3, revision: first.revision }, signal)
      assert.deepEqual([second.kvs.map((kv) => text(kv.key).slice(-2)), second.more, second.count], [['p3', 'p4', 'p5'], true, 4])
      assert.equal(second.revision, first.revision + 2, 'the answer tells the newest revision')
      assert.equal((await client.range({ key: bytes(prefix), rangeEnd: end(prefix), countOnly: true }, signal)).count, 7)
      assert.equal((await client.range({ key: k('p0'), keysOnly: true }, signal)).kvs[0]?.value.length, 0)
      const sorted = await client.range({ key: bytes(prefix), rangeEnd: end(prefix), sortOrder: 'DESCEND', sortTarget: 'MOD', limit: 1 }, signal)
      assert.equal(text(sorted.kvs[0]?.value), 'late')
    })

    withClient('revisions: future, compacted, and the compaction itself', async (client, k) => {
      const first = await put(client, k('a'), '1')
      const second = await put(client, k('a'), '2')
      await assert.rejects(client.range({ key: k('a'), revision: second + 100 }, signal), { reason: 'OutOfRange' })
      await client.compact(second, signal, { physical: true })
      await assert.rejects(client.range({ key: k('a'), revision: first }, signal), { reason: 'Compacted' })
      assert.equal(text((await client.range({ key: k('a'), revision: second }, signal)).kvs[0]?.value), '2')
      await assert.rejects(client.compact(second, signal), { reason: 'Compacted' })
      await assert.rejects(client.compact(second + 100, signal), { reason: 'OutOfRange' })
      using late = new WatchRecorder(client, { key: k('a'), startRevision: first })
      await late.until(() => late.end !== undefined)
      assert.equal(late.end?.compactRevision, second)
    })

    withClient('a watch from the past goes on into the present, with previous values', async (client, k, prefix) => {
      const first = await put(client, k('a'), '1')
      await put(client, k('a'), '2')
      using watch = new WatchRecorder(client, { key: bytes(prefix), rangeEnd: end(prefix), startRevision: first, prevKv: true })
      await watch.until(() => watch.createdAt !== undefined)
      const last = await client.txn({ compare: [], success: [{ type: 'put', key: k('b'), value: bytes('1') }, { type: 'deleteRange', key: k('a') }, { type: 'put', key: k('c'), value: bytes('1') }], failure: [] }, signal)
      await watch.until(() => watch.events.length === 5)
      const name = (n: string): string => text(k(n))
      assert.deepEqual(watch.lines, [`PUT ${name('a')}=1`, `PUT ${name('a')}=2 was 1`, `PUT ${name('b')}=1`, `DELETE ${name('a')}= was 2`, `PUT ${name('c')}=1`])
      const together = watch.calls.find((call) => call.events.some((event) => event.kv.modRevision === last.revision))
      assert.equal(together?.events.filter((event) => event.kv.modRevision === last.revision).length, 3, 'all events of a revision come together')
      assert.equal(watch.events[3]?.kv.modRevision, last.revision, 'a deletion has its revision')
    })

    withClient('a watch from now on, of one key, with filters, and cancelled', async (client, k) => {
      await put(client, k('a'), 'before')
      using all = new WatchRecorder(client, { key: k('a') })
      using deletions = new WatchRecorder(client, { key: k('a'), noPut: true })
      await all.until(() => all.createdAt !== undefined)
      await deletions.until(() => deletions.createdAt !== undefined)
      await put(client, k('a'), 'after')
      await put(client, k('ab'), 'another key')
      await client.txn({ compare: [], success: [{ type: 'deleteRange', key: k('a') }], failure: [] }, signal)
      await all.until(() => all.events.length === 2)
      await deletions.until(() => deletions.events.length === 1)
      assert.deepEqual(all.events.map((e) => e.type), ['PUT', 'DELETE'])
      all[Symbol.dispose]()
      await all.until(() => all.end !== undefined)
      assert.deepEqual(all.end, {})
    })

    withClient('progress on request is told after everything before it', async (client, k, prefix) => {
      using watch = new WatchRecorder(client, { key: bytes(prefix), rangeEnd: end(prefix) })
      await watch.until(() => watch.createdAt !== undefined)
      const revision = await put(client, bytes('/elsewhere'), '1')
      watch.requestProgress()
      await watch.until(() => watch.calls.length > 0)
      assert.deepEqual([watch.calls[0]?.events.length, watch.calls[0]?.revision], [0, revision])
      await put(client, k('x'), '1')
      await watch.until(() => watch.events.length === 1)
    })

    withClient('leases: attached keys go with them', async (client, k) => {
      const lease = await client.leaseGrant(100, signal)
      assert.equal(lease.ttlSeconds, 100)
      await client.txn({ compare: [], success: [{ type: 'put', key: k('a'), value: bytes('1'), lease: lease.id }, { type: 'put', key: k('b'), value: bytes('1'), lease: lease.id }], failure: [] }, signal)
      assert.equal((await client.range({ key: k('a') }, signal)).kvs[0]?.lease, lease.id)
      assert.equal((await client.leaseKeepAlive(lease.id, signal)).ttlSeconds, 100)
      const status = await client.leaseTimeToLive(lease.id, signal, { keys: true })
      assert.deepEqual([status.grantedTtlSeconds, status.keys.map(text).sort()], [100, [text(k('a')), text(k('b'))]])
      assert.ok((await client.leases(signal)).includes(lease.id))
      using watch = new WatchRecorder(client, { key: k('a'), rangeEnd: k('c') })
      await watch.until(() => watch.createdAt !== undefined)
      await client.leaseRevoke(lease.id, signal)
      await watch.until(() => watch.events.length === 2)
      assert.equal(watch.events[0]?.kv.modRevision, watch.events[1]?.kv.modRevision, 'both in one revision')
      assert.equal((await client.leaseKeepAlive(lease.id, signal)).ttlSeconds, 0)
      assert.equal((await client.leaseTimeToLive(lease.id, signal)).ttlSeconds, -1)
      await assert.rejects(client.leaseRevoke(lease.id, signal), { reason: 'NotFound' })
      await assert.rejects(client.txn({ compare: [], success: [{ type: 'put', key: k('z'), value: bytes(''), lease: 12345n }], failure: [] }, signal), { reason: 'NotFound' })
      await assert.rejects(client.leaseGrant(10_000_000_000, signal), { reason: 'OutOfRange' })
      const mine = await client.leaseGrant(50, signal, 777n)
      assert.equal(mine.id, 777n)
      await assert.rejects(client.leaseGrant(50, signal, 777n), { reason: 'FailedPrecondition' })
      await client.leaseRevoke(777n, signal)
    })

    withClient('bad requests are refused with etcd\'s own words', async (client, k) => {
      const refused = (request: EtcdTxnRequest, message: string): Promise<void> => assert.rejects(client.txn(request, signal), { reason: 'InvalidArgument', message: `etcdserver: ${message}` })
      const only = (...success: EtcdOperation[]): EtcdTxnRequest => ({ compare: [], success, failure: [] })
      const nothing = new Uint8Array(0)
      await refused(only({ type: 'put', key: nothing, value: nothing }), 'key is not provided')
      await refused(only({ type: 'put', key: k('a'), value: bytes('1') }, { type: 'put', key: k('a'), value: bytes('2') }), 'duplicate key given in txn request')
      await refused(only({ type: 'put', key: k('a'), value: bytes('1'), ignoreValue: true }), 'value is provided')
      await refused(only({ type: 'put', key: k('absent'), value: nothing, ignoreValue: true }), 'key not found')
      await refused(only({ type: 'put', key: k('a'), value: bytes('1'), lease: 5n, ignoreLease: true }), 'lease is provided')
      await refused(only(...Array.from({ length: 129 }, (_, i): EtcdOperation => ({ type: 'put', key: k(`k${i}`), value: nothing }))), 'too many operations in txn request')
      await refused(only({ type: 'put', key: k('big'), value: new Uint8Array(1_600_000) }), 'request is too large')
      await assert.rejects(client.range({ key: nothing }, signal), { reason: 'InvalidArgument', message: 'etcdserver: key is not provided' })
      assert.equal((await client.range({ key: k(''), rangeEnd: k('z'), countOnly: true }, signal)).count, 0, 'nothing was written')
    })

    withClient('nested transactions, previous values, all compare targets', async (client, k) => {
      await put(client, k('a'), '1')
      const response = await client.txn({
        compare: [
          { key: k('a'), target: 'VALUE', result: 'EQUAL', value: bytes('1') }, { key: k('a'), target: 'VERSION', result: 'GREATER', number: 0 }, { key: k('none'), target: 'CREATE', result: 'EQUAL', number: 0 },
          { key: k('a'), target: 'LEASE', result: 'EQUAL', lease: 0n }, { key: k(''), rangeEnd: k('z'), target: 'MOD', result: 'GREATER', number: 1 },
        ],
        success: [
          { type: 'put', key: k('a'), value: bytes('2'), prevKv: true },
          { type: 'txn', compare: [{ key: k('a'), target: 'VALUE', result: 'EQUAL', value: bytes('2') }], success: [{ type: 'put', key: k('then'), value: bytes('') }], failure: [{ type: 'put', key: k('else'), value: bytes('x') }] },
          { type: 'range', key: k('a'), rangeEnd: k('z') },
        ],
        failure: [],
      }, signal)
      assert.equal(response.succeeded, true)
      const [first, second, third] = response.results
      assert.ok(first?.type === 'put' && text(first.prevKv?.value) === '1')
      assert.ok(second?.type === 'txn' && !second.succeeded, 'nested compares see the state before the transaction')
      assert.ok(third?.type === 'range' && third.kvs.length === 2 && text(third.kvs[1]?.value) === 'x')
      const deleted = await client.txn({ compare: [], success: [{ type: 'deleteRange', key: k('a'), rangeEnd: k('z'), prevKv: true }], failure: [] }, signal)
      assert.ok(deleted.results[0]?.type === 'deleteRange' && deleted.results[0].prevKvs?.length === 2)
    })

    withClient('many at once: every write has its own revision, and a watch sees each once and in order', async (client, k, prefix) => {
      using watch = new WatchRecorder(client, { key: bytes(prefix), rangeEnd: end(prefix) })
      await watch.until(() => watch.createdAt !== undefined)
      const revisions = await Promise.all(Array.from({ length: 200 }, (_, i) => put(client, k(`c${i % 20}`), 'x'.repeat(i))))
      assert.equal(new Set(revisions).size, 200)
      await watch.until(() => watch.events.length >= 200)
      const seen = watch.events.map((event) => event.kv.modRevision)
      assert.deepEqual(seen, [...revisions].sort((a, b) => a - b))
    })

    withClient('an aborted signal ends a call', async (client, k) => {
      const abort = new AbortController()
      abort.abort(new Error('enough'))
      await assert.rejects(client.range({ key: k('a') }, abort.signal))
      await assert.rejects(client.txn({ compare: [], success: [{ type: 'put', key: k('a'), value: bytes('1') }], failure: [] }, abort.signal))
    })

    withClient('status tells a version that kube-apiserver accepts', async (client) => {
      const status = await client.status(signal)
      assert.match(status.version, /^3\.[5-9]\.\d+/)
      assert.ok(status.dbSize > 0 && status.revision >= 1)
    })
  })
}

// D11: the etcd project's own past bugs of correctness and consistency, as its robustness suite's README lists them (thirteen in November 2026),
// each as a test of ours. Some could not happen here in the same way, because what broke there doesn't exist here; the promise that was broken
// does, so it is tested:
//
// #13766, #14685, #17780  there the applied index, the data and a compaction's progress were written at different times to one database file;
//                         here a saved state is written whole and the rest follows from the log. Tested: power cuts at every operation.
// #14571                  there a member that began from a snapshot did not load the users. Tested: a follower that takes over a whole state.
// #17247                  a cache of transactions that was only ever on the main branch. Tested: each event once, with many watches.
// #18667                  there a member that had restarted could refuse what others had applied. Tested: refused alike everywhere.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { seededRandom, randomInteger } from '../../src/lib/base/random.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import { EtcdError, type EtcdEvent, type EtcdOperation } from '../../src/lib/etcd-client/etcd-client.ts'
import { RemoteEtcdClient } from '../../src/lib/etcd-client/remote-etcd-client.ts'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { decodeProto3, encodeProto3 } from '../../src/lib/base/protobuf/proto3.ts'
import { etcdTable } from '../../src/lib/etcd-api/generated/table.ts'
import type { WatchResponse } from '../../src/lib/etcd-api/generated/types.ts'
import { GrpcChannel } from '../../src/lib/net/grpc/grpc-channel.ts'
import { SimulatedClock } from '../../src/lib/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/lib/testing/simulated-disk.ts'
import { SimulatedCluster } from '../../src/control-plane/etcd/consensus/simulated-cluster.ts'
import type { Disk } from '../../src/control-plane/etcd/disk/disk.ts'
import { openEtcd, type EmbeddedEtcd, type EtcdOptions } from '../../src/control-plane/etcd/embedded.ts'
import { hashKeyValues } from '../../src/control-plane/etcd/mvcc/hash-kv.ts'
import { serveEtcd } from '../../src/control-plane/etcd/v3rpc/serve-etcd.ts'
import { yieldToLoop } from '../../src/control-plane/etcd/yield-to-loop.ts'

const b = (text: string): Uint8Array => Buffer.from(text)
const t = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
const signal = new AbortController().signal
// Small, so that a few writes go through segments, snapshots and the removal of both.
const small = { snapshotCount: 20, snapshotBytes: 2000, segmentBytes: 24_000, zeroedBytes: 3000 }

function open(disk: Disk, options: Partial<EtcdOptions> = {}): Promise<EmbeddedEtcd> {
  return openEtcd({ disk: { dataDir: '/data', disk }, clock: new SimulatedClock(), random: seededRandom(1), logger: silentLogger, ...small, ...options })
}

async function change(etcd: EmbeddedEtcd, ...success: readonly EtcdOperation[]): Promise<number> { return (await etcd.client.txn({ compare: [], success, failure: [] }, signal)).revision }
const put = (key: string, value = 'v'): EtcdOperation => ({ type: 'put', key: b(key), value: b(value) })
const remove = (key: string): EtcdOperation => ({ type: 'deleteRange', key: b(key) })

interface Heard extends Disposable { readonly events: EtcdEvent[]; readonly calls: (readonly [revision: number, events: number])[]; readonly compacted: number[]; progress(): void }

function listen(etcd: EmbeddedEtcd, startRevision: number, key = '\0', rangeEnd = '\0'): Heard {
  const heard: Pick<Heard, 'events' | 'calls' | 'compacted'> = { events: [], calls: [], compacted: [] }
  const watch = etcd.client.watch({ key: b(key), ...(rangeEnd === '' ? {} : { rangeEnd: b(rangeEnd) }), startRevision, prevKv: true }, {
    events: (events, revision) => {
      heard.events.push(...events)
      heard.calls.push([revision, events.length])
    },
    closed: ({ compactRevision }) => { if (compactRevision !== undefined) heard.compacted.push(compactRevision) },
  })
  return { ...heard, progress: () => watch.requestProgress(), [Symbol.dispose]: () => watch[Symbol.dispose]() }
}

async function settle(turns = 30): Promise<void> { for (let i = 0; i < turns; i++) await yieldToLoop() }

/** Runs `work` again and again, the power going at one operation of the disk later each time, until it is through; `check` looks at what is there after. */
async function cutEverywhere(prepare: (etcd: EmbeddedEtcd) => Promise<void>, work: (etcd: EmbeddedEtcd, say: (revision: number) => void) => Promise<void>, check: (etcd: EmbeddedEtcd, said: number, where: string) => Promise<void>): Promise<number> {
  for (let at = 1; ; at++) {
    const disk = new SimulatedDisk(seededRandom(at))
    let said = 0
    const off = new Promise<void>((resolve) => { disk.onPowerCut = resolve })
    const clock = new SimulatedClock()
    const etcd = await open(disk, { clock })
    await prepare(etcd)
    disk.cutPowerAt(at)
    const done = work(etcd, (revision) => { if (!disk.isOff) said = Math.max(said, revision) }).catch((error: unknown) => { if (!disk.isOff) throw error })
    let over = false
    const end = Promise.race([off, done]).finally(() => { over = true })
    for (let turn = 0; !over; turn++) {
      assert.ok(turn < 2000, `neither done nor off, cut at operation ${at}`)
      await clock.advance(10)
    }
    await end
    if (!disk.isOff) {
      disk.cutPowerAt(Infinity)
      await etcd[Symbol.asyncDispose]()
      return at
    }
    await using again = await open(disk.reboot())
    await check(again, said, `power cut at operation ${at}`)
  }
}

async function revisionOf(etcd: EmbeddedEtcd): Promise<number> { return (await etcd.client.status(signal)).revision }

async function assertSame(cluster: SimulatedCluster): Promise<void> {
  const members = cluster.running.map(({ etcd }) => etcd.internals.member)
  const goal = Math.max(...members.map((member) => member.appliedIndex))
  await cluster.untilTrue(() => members.every((member) => member.appliedIndex >= goal))
  const hashes = await Promise.all(members.map((member) => hashKeyValues(member.machine.store, 0, yieldToLoop)))
  for (const hash of hashes) assert.deepEqual(hash, hashes[0])
}

/** Three members, one of which has missed so much that it needs the whole state when it is back. */
async function withMemberBehind(settings: Partial<EtcdOptions>, before: (etcd: EmbeddedEtcd) => Promise<void>, meanwhile: (etcd: EmbeddedEtcd) => Promise<unknown>, after: (behind: EmbeddedEtcd, cluster: SimulatedCluster) => Promise<void>): Promise<void> {
  await using cluster = await SimulatedCluster.start({ size: 3, settings: { ...small, ...settings } })
  const behind = cluster.running.find(({ etcd }) => !etcd.internals.member.isLeader)
  assert.ok(behind)
  await cluster.until(() => before(behind.etcd))
  cluster.network.isolate(behind.id, cluster.nodes.map(({ id }) => id))
  const leader = cluster.leader()
  assert.ok(leader)
  await cluster.until(() => meanwhile(leader.etcd))
  for (const { etcd, id } of cluster.running) if (id !== behind.id) etcd.internals.member.forgetAppliedEntries()
  cluster.network.heal()
  const goal = leader.etcd.internals.member.appliedIndex
  await cluster.untilTrue(() => behind.etcd.internals.member.appliedIndex >= goal)
  assert.ok(cluster.network.counts.snapshots > 0, 'the whole state went over')
  await after(behind.etcd, cluster)
}

test('#13766: a crash under load does not make revisions inconsistent: a member that lost power at any moment has the same as the others', async () => {
  let cuts = 0
  for (let at = 1; at <= 40; at += 2) {
    await using cluster = await SimulatedCluster.start({ size: 3, seed: at, settings: small })
    const node = cluster.nodes.find(({ etcd }) => etcd?.internals.member.isLeader === false)
    const leader = cluster.leader()
    assert.ok(node && leader)
    node.disk.onPowerCut = () => {
      cuts++
      cluster.network.unplug(node.id)
      node.etcd = undefined
    }
    node.disk.cutPowerAt(at)
    await cluster.until(async () => { for (let i = 0; i < 25; i++) await Promise.all([0, 1, 2, 3].map((j) => change(leader.etcd, put(`k${j}`, `${i}`), put(`l${i % 5}${j}`)))) })
    if (node.disk.isOff) {
      node.disk = node.disk.reboot()
      await cluster.until(() => cluster.startNode(node))
    } else node.disk.cutPowerAt(Infinity)
    await assertSame(cluster)
    assert.equal(await cluster.until(() => revisionOf(leader.etcd)), 101)
  }
  assert.ok(cuts > 12, `${cuts} power cuts`)
})

test('#14370: a member that is alone acknowledges nothing before it is on the disk', async () => {
  const disk: Disk = new SimulatedDisk(seededRandom(1))
  const held: (() => void)[] = []
  let holds = false
  const slow: Disk = {
    makeFolder: (path) => disk.makeFolder(path), list: (path) => disk.list(path), rename: (from, to) => disk.rename(from, to), remove: (path) => disk.remove(path), syncFolder: (path) => disk.syncFolder(path), lock: (folder) => disk.lock(folder),
    open: async (path, mode) => {
      const file = await disk.open(path, mode)
      return {
        read: (target, position) => file.read(target, position), sync: () => file.sync(), size: () => file.size(), [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
        write: async (bytes, position) => {
          if (holds && mode === 'dsync') await new Promise<void>((resolve) => { held.push(resolve) })
          await file.write(bytes, position)
        },
      }
    },
  }
  await using etcd = await open(slow)
  using watch = listen(etcd, 2)
  holds = true
  let acknowledged = false
  const asked = change(etcd, put('k')).then(() => { acknowledged = true })
  await settle()
  assert.equal(held.length, 1, 'it is being written')
  assert.equal(acknowledged, false)
  assert.equal((await etcd.client.range({ key: b('k') }, signal)).count, 0, 'nobody sees what could still be lost')
  assert.deepEqual(watch.events, [])
  holds = false
  for (const go of held) go()
  await asked
  assert.equal((await etcd.client.range({ key: b('k') }, signal)).count, 1)
})

test('#14571: a member that takes over a whole state has the users too, and refuses what the others refuse', async () => {
  await withMemberBehind({ bcryptCost: 4 }, async (etcd) => { await change(etcd, put('a')) }, async (etcd) => {
    const auth = (request: object): Promise<unknown> => etcd.internals.client.propose({ type: 'auth', change: request }, signal)
    await auth({ authUserAdd: { name: 'root', options: { noPassword: true } } })
    await auth({ authUserGrantRole: { user: 'root', role: 'root' } })
    await auth({ authUserAdd: { name: 'alice', options: { noPassword: true } } })
    await auth({ authRoleAdd: { name: 'reader' } })
    await auth({ authRoleGrantPermission: { name: 'reader', perm: { permType: 'READ', key: b('a'), rangeEnd: b('z') } } })
    await auth({ authUserGrantRole: { user: 'alice', role: 'reader' } })
    await auth({ authEnable: {} })
    for (let i = 0; i < 40; i++) await change(etcd, put(`k${i}`))
  }, async (behind, cluster) => {
    const { auth } = behind.internals.member.machine
    assert.ok(auth.enabled)
    const leader = cluster.leader()
    assert.ok(leader)
    assert.equal(auth.revision, leader.etcd.internals.member.machine.auth.revision)
    const caller = { username: 'alice', authRevision: auth.revision }
    for (const etcd of [leader.etcd, behind]) {
      await assert.rejects(cluster.until(() => etcd.client.txn({ compare: [], success: [put('b')], failure: [], ...{ caller } }, signal)), { reason: 'PermissionDenied' })
    }
    await assertSame(cluster)
  })
})

test('#14685: a crash while it is defragmented does not make revisions inconsistent', async () => {
  const through = await cutEverywhere(async (etcd) => {
    for (let i = 0; i < 30; i++) await change(etcd, put(`k${i % 5}`, 'x'.repeat(200)))
  }, async (etcd, say) => {
    await etcd.client.compact(20, signal)
    const defragment = (async () => {
      await etcd.internals.member.scrub()
      for (let i = 0; i < 100 && etcd.internals.member.machine.store.scrub(100, 1000); i++) await yieldToLoop()
    })()
    for (let i = 0; i < 12; i++) say(await change(etcd, put(`k${i % 5}`, `${i}`)))
    await defragment
  }, async (etcd, said, where) => {
    const revision = await revisionOf(etcd)
    assert.ok(revision >= Math.max(31, said), `${where}: revision ${revision}, acknowledged ${said}`)
    assert.equal(await change(etcd, put('next')), revision + 1, where)
  })
  assert.ok(through > 8, `only ${through} operations`)
})

test('#15220: a progress notification never comes before an event that it speaks of', async () => {
  await using etcd = await open(new SimulatedDisk(seededRandom(1)))
  for (let i = 0; i < 1500; i++) await change(etcd, put(`k${i % 7}`, `${i}`))
  using behind = listen(etcd, 2)
  using current = listen(etcd, 0)
  for (let i = 0; i < 200; i++) {
    behind.progress()
    current.progress()
    if (i % 3 === 0) await yieldToLoop()
    if (i % 5 === 0) void change(etcd, put('more'))
  }
  await settle(200)
  for (const { events, calls } of [behind, current]) {
    let notified = 0
    let delivered = 0
    let at = 0
    for (const [revision, count] of calls) {
      if (count === 0) { notified = Math.max(notified, revision); continue }
      for (const event of events.slice(at, at + count)) {
        assert.ok(event.kv.modRevision > notified, `an event of revision ${event.kv.modRevision} after the notification of ${notified}`)
        delivered++
      }
      at += count
    }
    assert.ok(notified > 0 && delivered > 0)
  }
  assert.equal(behind.events.length, await revisionOf(etcd) - 1)
})

test('#15271: a watch on a member that takes over a whole state does not travel back in time', async () => {
  let watch: Heard | undefined
  await withMemberBehind({}, async (etcd) => {
    await change(etcd, put('k', 'first'))
    watch = listen(etcd, 2)
    for (let i = 0; i < 10; i++) await change(etcd, put('k', `before ${i}`))
  }, async (etcd) => { for (let i = 0; i < 60; i++) await change(etcd, put('k', `meanwhile ${i}`)) }, async (behind, cluster) => {
    assert.ok(watch)
    await cluster.until(async () => { await change(behind, put('k', 'after')) })
    await cluster.untilTrue(() => watch?.events.at(-1)?.kv.modRevision === 73)
    assert.deepEqual(watch.events.map((event) => event.kv.modRevision), Array.from({ length: 72 }, (_, i) => i + 2))
    watch[Symbol.dispose]()
  })
})

test('#17247: transactions make each event once, for watches that are up to date and for those that catch up', async () => {
  const random = seededRandom(5)
  await using etcd = await open(new SimulatedDisk(seededRandom(1)))
  const watches: { readonly from: number; readonly heard: Heard }[] = []
  let revision = 1
  for (let i = 0; i < 300; i++) {
    if (i % 20 === 0) {
      const from = Math.max(2, revision - randomInteger(random, 30))
      watches.push({ from, heard: listen(etcd, from) })
    }
    const failure = [put(`f${i % 3}`), remove(`s${1 + (i % 2)}`)]
    const result = await etcd.client.txn({ compare: [{ key: b('s0'), target: 'VERSION', result: 'GREATER', number: 2 }], success: [put(`s${i % 3}`), put(`t${i % 3}`), remove(`f${i % 3}`)], failure: i % 2 === 0 ? [put('s0'), ...failure] : failure }, signal)
    ;({ revision } = result)
  }
  await settle()
  using all = listen(etcd, 2)
  await settle()
  const names = all.events.map((event) => `${event.type} ${t(event.kv.key)} ${event.kv.modRevision}`)
  assert.equal(new Set(names).size, names.length)
  for (const { from, heard } of watches) {
    assert.deepEqual(heard.events.map((event) => `${event.type} ${t(event.kv.key)} ${event.kv.modRevision}`), names.filter((_, at) => (all.events[at]?.kv.modRevision ?? 0) >= from))
    heard[Symbol.dispose]()
  }
})

test('#17529: a watcher that does not read for a while gets every event when it reads on', { timeout: 60_000 }, async () => {
  await using etcd = await openEtcd({ disk: 'memory', clock: realClock, random: realRandom, logger: silentLogger })
  await using server = await serveEtcd(etcd, { clock: realClock, listen: [{ host: '127.0.0.1', port: 0 }] })
  const address = server.addresses[0]
  assert.ok(address && 'port' in address)
  const target = `http://127.0.0.1:${address.port}`
  using channel = new GrpcChannel({ target, clock: realClock })
  using writer = new RemoteEtcdClient({ endpoints: [target], clock: realClock })
  const heard: number[] = []
  const call = channel.call('/etcdserverpb.Watch/Watch', { signal }, {
    message: (bytes) => { for (const { kv } of decodeProto3<WatchResponse>(etcdTable, 'WatchResponse', bytes).events ?? []) heard.push(kv?.modRevision ?? 0) },
    end: () => {},
  })
  call.send(encodeProto3(etcdTable, 'WatchRequest', { createRequest: { key: b('k'), rangeEnd: b('l'), fragment: true } }))
  await writer.txn({ compare: [], success: [put('k')], failure: [] }, signal)
  while (heard.length === 0) await settle(1)
  call.pause()
  const value = 'x'.repeat(50_000)
  for (let i = 0; i < 100; i++) await Promise.all(Array.from({ length: 10 }, (_, j) => writer.txn({ compare: [], success: [put(`k${j}`, value)], failure: [] }, signal)))
  const { revision } = await writer.status(signal)
  call.resume()
  while (heard.at(-1) !== revision) await settle(1)
  assert.deepEqual(heard, Array.from({ length: revision - 1 }, (_, i) => i + 2))
  call.cancel()
})

test('#17780: a crash during a compaction does not make the revision smaller, when the newest revisions are deletions', async () => {
  const through = await cutEverywhere(async (etcd) => {
    for (let i = 0; i < 10; i++) await change(etcd, put(`k${i}`, 'x'.repeat(100)))
    for (let i = 0; i < 10; i++) await change(etcd, remove(`k${i}`))
  }, async (etcd) => {
    await etcd.client.compact(21, signal, { physical: true })
    // Enough to save the state, and still no key that lives.
    for (let i = 0; i < 12; i++) await etcd.client.leaseGrant(60, signal)
    await settle()
  }, async (etcd, _, where) => {
    assert.equal(await revisionOf(etcd), 21, where)
    assert.equal(await change(etcd, put('next')), 22, where)
  })
  assert.ok(through > 3, `only ${through} operations`)
})

for (const [bug, prepare] of [['#18089', 'while a watch is behind'], ['#19179', 'before the watch begins']] as const) {
  test(`${bug}: compacting at the revision of a deletion, ${prepare}, does not take the deletion from a watch that starts there`, async () => {
    const disk = new SimulatedDisk(seededRandom(1))
    for (let restart = 0; restart < 2; restart++) {
      await using etcd = await open(disk)
      if (restart === 0) {
        await change(etcd, put('k'))
        await change(etcd, remove('k'))
      }
      if (bug === '#19179' && restart === 0) await etcd.client.compact(3, signal, { physical: true })
      using watch = listen(etcd, 3)
      using single = listen(etcd, 3, 'k', '')
      if (bug === '#18089' && restart === 0) await etcd.client.compact(3, signal)
      await settle()
      for (const { events, compacted } of [watch, single]) {
        assert.deepEqual(compacted, [])
        assert.deepEqual(events.slice(0, 1).map((event) => `${event.type} ${t(event.kv.key)} ${event.kv.modRevision}`), ['DELETE k 3'], restart === 0 ? 'at once' : 'after a restart')
      }
    }
  })
}

test('#18667: a transaction that reads a compacted revision is refused alike on every member, one that has restarted too', async () => {
  await using cluster = await SimulatedCluster.start({ size: 3, settings: small })
  const leader = cluster.leader()
  const other = cluster.nodes.find(({ id }) => id !== leader?.id)
  assert.ok(leader && other)
  await cluster.until(async () => {
    for (let i = 0; i < 30; i++) await change(leader.etcd, put(`k${i % 4}`, `${i}`))
    await leader.etcd.client.compact(15, signal)
  })
  await cluster.crash(other)
  await cluster.until(() => cluster.startNode(other))
  const refusals: string[] = []
  for (const { etcd } of cluster.running) {
    for (const revision of [10, 14]) {
      await cluster.until(() => change(etcd, put('k0', 'new'), { type: 'range', key: b('k1'), revision })).then(() => { refusals.push('none') }, (error: unknown) => { refusals.push(error instanceof EtcdError ? error.reason : String(error)) })
    }
    await cluster.until(() => change(etcd, put('k0', 'newer'), { type: 'range', key: b('k1'), revision: 15 }))
  }
  assert.deepEqual([...new Set(refusals)], ['Compacted'])
  await assertSame(cluster)
  assert.deepEqual(new Set(cluster.running.map(({ etcd }) => etcd.internals.member.machine.store.revision)), new Set([34]))
})

test('#20221: a watch that starts in the future hears nothing of what was before, on a member that is behind and then takes over a whole state', async () => {
  let watch: Heard | undefined
  let near: Heard | undefined
  await withMemberBehind({}, async (etcd) => {
    await change(etcd, put('k', 'first'))
    watch = listen(etcd, 60)
    near = listen(etcd, 10)
    watch.progress()
    near.progress()
  }, async (etcd) => { for (let i = 0; i < 50; i++) await change(etcd, put('k', `meanwhile ${i}`)) }, async (behind, cluster) => {
    assert.ok(watch && near)
    watch.progress()
    await cluster.until(async () => { for (let i = 0; i < 20; i++) await change(behind, put('k', `after ${i}`)) })
    await cluster.untilTrue(() => near?.events.at(-1)?.kv.modRevision === 72 && watch?.events.at(-1)?.kv.modRevision === 72)
    assert.deepEqual(watch.events.map((event) => event.kv.modRevision), Array.from({ length: 13 }, (_, i) => i + 60))
    assert.deepEqual(near.events.map((event) => event.kv.modRevision), Array.from({ length: 63 }, (_, i) => i + 10))
    // Nobody is told that they have heard of what they wait for.
    for (const [heard, start] of [[watch, 60], [near, 10]] as const) {
      const first = heard.calls.findIndex(([, count]) => count > 0)
      for (const [revision] of heard.calls.slice(0, first)) assert.ok(revision < start, `a notification of revision ${revision} before the first event of a watch from ${start}`)
      heard[Symbol.dispose]()
    }
  })
})

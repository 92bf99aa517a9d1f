import { test } from 'node:test'
import assert from 'node:assert/strict'
import { seededRandom, randomInteger, type Random } from '../../lib/base/random.ts'
import { silentLogger } from '../../lib/component-base/log.ts'
import { SimulatedClock } from '../../lib/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../lib/testing/simulated-disk.ts'
import { StorageError } from './disk/disk.ts'
import { openEtcd, type EmbeddedEtcd, type EtcdOptions } from './embedded.ts'

const b = (text: string): Uint8Array => Buffer.from(text)
const t = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString()
const signal = new AbortController().signal
const wal = '/data/member/wal/0000000000000000-0000000000000000.wal'
// Small, so that a few writes go through segments, snapshots and releases.
const small = { snapshotCount: 20, snapshotBytes: 2000, segmentBytes: 24_000, zeroedBytes: 3000 }

function open(disk: SimulatedDisk, options: Partial<EtcdOptions> = {}): Promise<EmbeddedEtcd> {
  return openEtcd({ disk: { dataDir: '/data', disk }, clock: new SimulatedClock(), random: seededRandom(1), logger: silentLogger, zeroedBytes: 8192, ...options })
}

function put(etcd: EmbeddedEtcd, key: string, value: string): Promise<number> {
  return etcd.client.txn({ compare: [], success: [{ type: 'put', key: b(key), value: b(value) }], failure: [] }, signal).then((r) => r.revision)
}

async function contents(etcd: EmbeddedEtcd): Promise<Map<string, string>> {
  const { kvs } = await etcd.client.range({ key: b('\0'), rangeEnd: b('\0') }, signal)
  return new Map(kvs.map((kv) => [t(kv.key), t(kv.value)]))
}

test('what was acknowledged is there after a restart: keys, revisions, history, leases, compaction', async () => {
  const disk = new SimulatedDisk(seededRandom(3))
  let lease: bigint
  {
    await using etcd = await open(disk)
    await Promise.all(Array.from({ length: 50 }, (_, i) => put(etcd, `k${i % 10}`, `v${i}`)))
    lease = (await etcd.client.leaseGrant(60, signal)).id
    await etcd.client.txn({ compare: [], success: [{ type: 'put', key: b('leased'), value: b('x'), lease }, { type: 'deleteRange', key: b('k0') }], failure: [] }, signal)
    await etcd.client.compact(20, signal)
    await assert.rejects(etcd.client.compact(20, signal), { reason: 'Compacted' })
  }
  for (let i = 0; i < 2; i++) {
    await using etcd = await open(disk)
    const { revision } = await etcd.client.status(signal)
    assert.equal(revision, 52)
    assert.equal((await contents(etcd)).get('k9'), 'v49')
    assert.equal(t((await etcd.client.range({ key: b('k9'), revision: 31 }, signal)).kvs[0]?.value), 'v29')
    await assert.rejects(etcd.client.range({ key: b('k9'), revision: 19 }, signal), { reason: 'Compacted' })
    assert.deepEqual((await etcd.client.leaseTimeToLive(lease, signal, { keys: true })).keys.map(t), ['leased'])
    const heard = Promise.withResolvers<string>()
    using watch = etcd.client.watch({ key: b('\0'), rangeEnd: b('\0'), startRevision: 51 }, { events: (list, at) => { heard.resolve(`${at} ${list.map((e) => e.type + t(e.kv.key)).join()}`) }, closed: () => { heard.resolve('closed') } })
    void watch
    assert.equal(await heard.promise, '52 PUTk9,PUTleased,DELETEk0')
  }
})

test('everything that arrives during a write goes in the next single one', async () => {
  const disk = new SimulatedDisk(seededRandom(3))
  await using etcd = await open(disk, { zeroedBytes: 65_536 })
  const before = disk.operations
  await Promise.all(Array.from({ length: 300 }, (_, i) => put(etcd, `k${i}`, 'v')))
  assert.ok(disk.operations - before <= 2, `${disk.operations - before} writes`)
})

test('power cut at every operation: nothing acknowledged is lost, nothing half-done appears', async () => {
  const random = seededRandom(11)
  let segments = 0
  let snapshots = 0
  for (let at = 1; at <= 200; at++) {
    let disk = new SimulatedDisk(random)
    disk.cutPowerAt(at)
    const off = new Promise<void>((resolve) => { disk.onPowerCut = resolve })
    const acknowledged = new Map<number, number>()
    const attempted = new Map<number, number>()
    const work = (async () => {
      const etcd = await open(disk, small)
      for (let round = 0; round < 60; round++) {
        await Promise.all(Array.from({ length: 1 + randomInteger(random, 4) }, async (_, writer) => {
          attempted.set(writer, round)
          await etcd.client.txn({ compare: [], success: [{ type: 'put', key: b(`a${writer}`), value: b(`${round}${' '.repeat(randomInteger(random, 900))}`) }, { type: 'put', key: b(`b${writer}`), value: b(`${round}`) }], failure: [] }, signal)
          acknowledged.set(writer, round)
        }))
      }
    })()
    await Promise.race([off, work])
    segments = Math.max(segments, ...disk.paths.filter((path) => path.endsWith('.wal')).map((path) => Number.parseInt(path.slice(-37, -21), 16)))
    snapshots += disk.paths.filter((path) => path.endsWith('.snap')).length
    disk = disk.reboot()
    await using etcd = await open(disk, small)
    const found = await contents(etcd)
    for (const [writer, round] of attempted) {
      const value = found.has(`a${writer}`) ? Number(found.get(`a${writer}`)) : -1
      assert.equal(value, found.has(`b${writer}`) ? Number(found.get(`b${writer}`)) : -1, `cut at ${at}: a transaction is whole or absent`)
      assert.ok(value >= (acknowledged.get(writer) ?? -1) && value <= round, `cut at ${at}: writer ${writer} has ${value}, acknowledged ${acknowledged.get(writer)}, tried ${round}`)
    }
    await put(etcd, 'after', 'works')
    await etcd[Symbol.asyncDispose]()
    await using again = await open(disk, small)
    assert.equal((await contents(again)).get('after'), 'works')
  }
  assert.ok(segments >= 3 && snapshots > 10, `it went through ${segments} segments and ${snapshots} snapshots`)
})

test('the log cut at every byte: the valid prefix, or a named refusal', async () => {
  const { disk, revisions } = await someLog(seededRandom(5))
  const whole = disk.peek(wal)
  let end = whole.length
  while (whole[end - 1] === 0) end--
  let previous = 0
  let refused = 0
  for (let cut = 0; cut <= end + 8; cut += 1) {
    const copy = new SimulatedDisk(seededRandom(1))
    copy.poke(wal, whole.subarray(0, cut))
    try {
      await using etcd = await open(copy)
      const { revision } = await etcd.client.status(signal)
      assert.ok(revision >= previous, 'a longer log never holds less')
      previous = revision
    } catch (error) {
      assert.ok(error instanceof StorageError && error.reason === 'CorruptLog', `cut at ${cut}: ${String(error)}`)
      refused++
    }
  }
  assert.equal(previous, revisions)
  assert.ok(refused > 0 && refused < 150, `only a log without a head is refused: ${refused}`)
})

test('a flipped bit is refused by name or hits what was never acknowledged: no silent loss', async () => {
  const { disk, revisions } = await someLog(seededRandom(6))
  const whole = disk.peek(wal)
  let end = whole.length
  while (whole[end - 1] === 0) end--
  let refused = 0
  let tried = 0
  for (let byte = 0; byte < end; byte += 1) {
    const bit = (byte * 5) % 8
    const copy = new SimulatedDisk(seededRandom(1))
    const bytes = Buffer.from(whole.subarray(0, end + 4096))
    bytes[byte]! ^= 1 << bit // cast: below the length
    copy.poke(wal, bytes)
    tried++
    try {
      await using etcd = await open(copy)
      assert.equal((await etcd.client.status(signal)).revision, revisions, `bit ${bit} of byte ${byte} of ${end} was not noticed`)
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
      refused++
    }
  }
  assert.ok(refused > tried * 0.99, `${refused} of ${tried} refused`)
})

test('after the first failed write nothing is acknowledged, and the store says that it is broken', async () => {
  const disk = new SimulatedDisk(seededRandom(3))
  await using etcd = await open(disk)
  await put(etcd, 'a', '1')
  const closed: unknown[] = []
  etcd.client.watch({ key: b('a') }, { events: () => {}, closed: (end) => { closed.push(end.error) } })
  disk.failFrom(1)
  await assert.rejects(Promise.all([put(etcd, 'b', '1'), put(etcd, 'c', '1')]), { reason: 'Unavailable' })
  assert.equal(etcd.broken.aborted, true)
  assert.ok(etcd.broken.reason instanceof StorageError && etcd.broken.reason.reason === 'WriteFailed')
  await assert.rejects(put(etcd, 'd', '1'), { reason: 'Unavailable' })
  assert.equal(closed.length, 1)
})

test('a damaged snapshot is refused by name', async () => {
  const disk = new SimulatedDisk(seededRandom(3))
  {
    await using etcd = await open(disk, small)
    for (let i = 0; i < 80; i++) await put(etcd, `k${i}`, 'x'.repeat(500))
    for (let i = 0; i < 20 && !disk.paths.some((path) => path.endsWith('.snap')); i++) await new Promise((resolve) => { setImmediate(resolve) })
  }
  const path = disk.paths.find((name) => name.endsWith('.snap'))
  assert.ok(path, 'a snapshot was written')
  {
    await using etcd = await open(disk, small)
    assert.equal((await contents(etcd)).size, 80)
  }
  const last = disk.paths.filter((name) => name.endsWith('.snap')).sort().at(-1)
  assert.ok(last)
  for (const damagedPath of [last, '/data/member/snap/db']) {
    const bytes = Buffer.from(disk.peek(damagedPath))
    for (const at of [3, 40, bytes.length >> 1, bytes.length - 1]) {
      const damaged = Buffer.from(bytes)
      damaged[at]! ^= 4 // cast: below the length
      disk.poke(damagedPath, damaged)
      await assert.rejects(open(disk, small), (error) => error instanceof StorageError && error.reason === 'CorruptSnapshot' && error.message.includes(damagedPath))
    }
    disk.poke(damagedPath, bytes.subarray(0, bytes.length - 20))
    await assert.rejects(open(disk, small), { reason: 'CorruptSnapshot' })
    disk.poke(damagedPath, bytes)
  }
  // What says nothing that is not elsewhere too may be taken away, once somebody knows of the damage.
  await disk.remove(last)
  await using etcd = await open(disk, small)
  assert.equal((await contents(etcd)).size, 80)
})

async function someLog(random: Random): Promise<{ readonly disk: SimulatedDisk; readonly revisions: number }> {
  const disk = new SimulatedDisk(random)
  await using etcd = await open(disk)
  for (let i = 0; i < 6; i++) await Promise.all(Array.from({ length: 1 + (i % 3) }, (_, j) => put(etcd, `key${i}-${j}`, `value ${'x'.repeat(randomInteger(random, 60) + 1)}`)))
  return { disk, revisions: (await etcd.client.status(signal)).revision }
}

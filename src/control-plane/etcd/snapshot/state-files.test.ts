import { test } from 'node:test'
import assert from 'node:assert/strict'
import { randomInteger, seededRandom } from '../../../lib/base/random.ts'
import { SimulatedDisk } from '../../../lib/testing/simulated-disk.ts'
import { StorageError } from '../disk/disk.ts'
import { hashKeyValues } from '../mvcc/hash-kv.ts'
import { emptyConfState } from '../raft/messages.ts'
import { StateMachine } from '../state-machine.ts'
import { BoltReader } from './bolt-reader.ts'
import { readStatus } from './read-database.ts'
import { exportState, installState, loadState, receiveState, saveState, type LoadedState, type StateMark } from './state-files.ts'

const folder = '/data/member/snap'
const b = (text: string): Buffer => Buffer.from(text)
const known = (): boolean => true
const members = { members: [['1f', '{"id":31,"peerURLs":["http://a:2380"],"name":"a","clientURLs":["http://a:2379"]}'], ['2', '{"id":2,"peerURLs":["http://b:2380"],"isLearner":true}']], members_removed: [['3', 'removed']], cluster: [['clusterVersion', '3.7.0']] } as const

function markAt(index: number): StateMark { return { index, term: 3, confState: { ...emptyConfState, voters: [31n], learners: [2n] } } }

function put(machine: StateMachine, key: string, value: string, lease = 0n): void {
  machine.apply({ type: 'put', key: b(key), value: b(value), lease }, 0)
}

/** A state with something of everything. */
function someState(keys = 40): StateMachine {
  const machine = new StateMachine(1)
  machine.apply({ type: 'leaseGrant', id: 0x7000_0000_0000_0001n, ttlSeconds: 100 }, 0)
  machine.apply({ type: 'leaseGrant', id: 5n, ttlSeconds: 7 }, 0)
  for (let i = 0; i < keys; i++) put(machine, `k${i % 17}`, `value ${i} `.repeat(i % 5), i % 6 === 0 ? 5n : 0n)
  machine.apply({ type: 'deleteRange', key: b('k3') }, 0)
  machine.apply({ type: 'compaction', revision: keys >> 1 }, 0)
  machine.apply({ type: 'txn', compare: [], success: [{ type: 'put', key: b('a'), value: b('1') }, { type: 'deleteRange', key: b('k4') }, { type: 'put', key: b('b'), value: b('x'.repeat(9000)) }], failure: [] }, 0)
  machine.apply({ type: 'auth', change: { authUserAdd: { name: 'u', options: { noPassword: true } } } }, 0)
  machine.apply({ type: 'auth', change: { authRoleAdd: { name: 'r' } } }, 0)
  machine.apply({ type: 'auth', change: { authUserGrantRole: { user: 'u', role: 'r' } } }, 0)
  machine.apply({ type: 'v2', request: { method: 'PUT', path: '/1/x/y', value: 'two', timeMs: 1 } }, 0)
  machine.membership.restore(members)
  return machine
}

async function describe(machine: StateMachine): Promise<object> {
  const { store, leases, auth, v2, membership, alarms } = machine
  return {
    hash: await hashKeyValues(store, 0, () => Promise.resolve()), revision: store.revision, compacted: store.compactedRevision, leases: [...leases.image()].sort((x, y) => Number(x.id - y.id)),
    leased: [...leases.keysOf(5n)].sort(), auth: auth.image(), v2: v2.image(), v2Index: v2.index, membership: membership.image(), alarms, keys: store.list({ from: '', end: undefined, single: false }, 0, 0).map((kv) => [kv.text, Buffer.from(kv.value).toString()]),
  }
}

async function load(disk: SimulatedDisk): Promise<{ readonly machine: StateMachine; readonly loaded: LoadedState | undefined }> {
  const machine = new StateMachine(1)
  return { machine, loaded: await loadState(disk, folder, machine, known) }
}

test('a saved state is loaded again, with everything in it', async () => {
  const disk = new SimulatedDisk(seededRandom(1))
  const machine = someState()
  machine.restoreAlarms([{ memberId: 31n, alarm: 'CORRUPT' }])
  assert.equal((await load(disk)).loaded, undefined)
  const saving = saveState(disk, folder, machine, markAt(90))
  const expected = await describe(machine)
  // What happens meanwhile is not in it.
  machine.store.put(b('later'), b('x'), 0n)
  machine.store.commit()
  await saving
  const { machine: again, loaded } = await load(disk)
  assert.deepEqual(loaded, { mark: markAt(90), appliedIndex: 90, appliedTerm: 3, database: markAt(90), v2Index: 90 })
  assert.deepEqual(await describe(again), expected)
  assert.deepEqual(disk.paths.toSorted(), [`${folder}/0000000000000003-000000000000005a.snap`, `${folder}/db`])
  again.store.put(b('k3'), b('lives again'), 0n)
  assert.equal(again.store.get('k3')?.version, 1)
})

test('the next state replaces it; five marks stay', async () => {
  const disk = new SimulatedDisk(seededRandom(1))
  const machine = someState()
  for (let i = 1; i <= 8; i++) {
    put(machine, 'n', String(i))
    await saveState(disk, folder, machine, markAt(i * 16))
  }
  const { machine: again, loaded } = await load(disk)
  assert.equal(loaded?.appliedIndex, 128)
  assert.equal(Buffer.from(again.store.get('n')?.value ?? []).toString(), '8')
  assert.equal(disk.paths.filter((path) => path.endsWith('.snap')).length, 5)
  // Marks that the log does not know do not count; the database does.
  const other = new StateMachine(1)
  const older = await loadState(disk, folder, other, ({ index }) => index <= 112)
  assert.deepEqual({ mark: older?.mark.index, applied: older?.appliedIndex }, { mark: 112, applied: 128 })
})

test('a power cut at every operation leaves the old or the new state', async () => {
  for (let at = 1; at < 40; at++) {
    let disk = new SimulatedDisk(seededRandom(at))
    const machine = someState()
    await saveState(disk, folder, machine, markAt(50))
    put(machine, 'n', 'new')
    disk.cutPowerAt(at)
    const off = new Promise<void>((resolve) => { disk.onPowerCut = resolve })
    await Promise.race([off, saveState(disk, folder, machine, markAt(60))])
    const done = !disk.isOff
    disk = disk.reboot()
    const { machine: again, loaded } = await load(disk)
    const isNew = loaded?.appliedIndex === 60
    assert.ok(isNew || (loaded?.appliedIndex === 50 && !done), `cut at ${at}`)
    assert.equal(again.store.get('n') !== undefined, isNew)
    if (done) return
  }
  assert.fail('it never came to its end')
})

test('a flipped bit of the database and of the mark is refused by name', async () => {
  const disk = new SimulatedDisk(seededRandom(1))
  const machine = new StateMachine(1)
  put(machine, 'a', '1')
  put(machine, 'b', '2')
  machine.membership.restore(members)
  await saveState(disk, folder, machine, markAt(7))
  for (const path of disk.paths) {
    const whole = Buffer.from(disk.peek(path))
    for (let byte = 0; byte < whole.length; byte += path.endsWith('db') && byte > 8192 ? 23 : 1) {
      const damaged = Buffer.from(whole)
      damaged[byte]! ^= 1 << ((byte * 5) % 8) // cast: below the length
      disk.poke(path, damaged)
      await assert.rejects(load(disk), (error) => error instanceof StorageError && error.reason === 'CorruptSnapshot' && error.message.includes(path), `byte ${byte} of ${path}`)
    }
    disk.poke(path, whole)
    for (let cut = 0; cut < whole.length; cut += 97) {
      disk.poke(path, whole.subarray(0, cut))
      await assert.rejects(load(disk), { reason: 'CorruptSnapshot' }, `${path} cut at ${cut}`)
    }
    disk.poke(path, whole)
  }
  await load(disk)
})

test('a database that is missing, or older than the mark that the log knows, is refused', async () => {
  const disk = new SimulatedDisk(seededRandom(1))
  const machine = someState()
  await saveState(disk, folder, machine, markAt(50))
  const old = Buffer.from(disk.peek(`${folder}/db`))
  await saveState(disk, folder, machine, markAt(60))
  disk.poke(`${folder}/db`, old)
  await assert.rejects(load(disk), { reason: 'CorruptSnapshot', message: /index 50.*does not match.*60/ })
  await disk.remove(`${folder}/db`)
  await assert.rejects(load(disk), { reason: 'CorruptSnapshot', message: /missing/ })
})

test('a state that a leader sends becomes the saved one, also when it was interrupted', async () => {
  const leader = someState()
  const mark = markAt(300)
  for (const interrupted of [false, true]) {
    const disk = new SimulatedDisk(seededRandom(1))
    await saveState(disk, folder, someState(9), markAt(20))
    const sent = await exportState(leader, mark)
    assert.equal(leader.store.isPinned, true)
    await receiveState(disk, folder, mark, sent)
    assert.equal(leader.store.isPinned, false)
    // Before the log knows of it nothing has changed.
    assert.equal((await loadState(disk, folder, new StateMachine(1), ({ index }) => index === 20))?.appliedIndex, 20)
    if (!interrupted) await installState(disk, folder, mark)
    const { machine, loaded } = await load(disk)
    assert.equal(loaded?.appliedIndex, 300)
    assert.deepEqual(await describe(machine), await describe(leader))
    assert.ok(!disk.paths.some((path) => path.endsWith('.snap.db')))
  }
  const disk = new SimulatedDisk(seededRandom(1))
  using sent = await exportState(leader, mark)
  await assert.rejects(receiveState(disk, folder, mark, { totalBytes: sent.totalBytes + 1, pieces: sent.pieces }), { reason: 'CorruptSnapshot' })
  assert.deepEqual(disk.paths, [])
  const given = await exportState(leader, mark)
  given[Symbol.dispose]()
  assert.equal(leader.store.isPinned, false, 'one that nobody takes lets go of the store')
})

test('what compaction made unreadable is not saved, but deletions at its revision are', async () => {
  const disk = new SimulatedDisk(seededRandom(1))
  const machine = new StateMachine(1)
  for (let i = 0; i < 30; i++) put(machine, 'k', 'x'.repeat(500))
  machine.apply({ type: 'deleteRange', key: b('k') }, 0)
  put(machine, 'other', '1')
  machine.apply({ type: 'compaction', revision: 32 }, 0)
  await saveState(disk, folder, machine, markAt(40))
  await using file = await disk.open(`${folder}/db`, 'read')
  const reader = await BoltReader.open(file)
  assert.equal((await reader.entries('key')).length, 2)
  assert.equal((await readStatus(reader)).totalKeys, 1)
  const { machine: again } = await load(disk)
  assert.deepEqual(again.store.changesAt(32).map((change) => [change.text, change.isTombstone]), [['k', true]])
  assert.equal(again.store.keyCount, 1)
  assert.deepEqual(await hashKeyValues(again.store, 0, () => Promise.resolve()), await hashKeyValues(machine.store, 0, () => Promise.resolve()))
})

test('a state that is sent lets go of the store however it ends', async () => {
  const machine = someState()
  for (const end of [async (pieces: AsyncIterable<Uint8Array>) => { for await (const _ of pieces) void _ }, async (pieces: AsyncIterable<Uint8Array>) => { for await (const _ of pieces) { void _; break } },
    async (pieces: AsyncIterable<Uint8Array>) => { await pieces[Symbol.asyncIterator]().return?.() }]) {
    const { pieces } = await exportState(machine, markAt(5))
    assert.equal(machine.store.isPinned, true)
    await end(pieces)
    assert.equal(machine.store.isPinned, false)
  }
})

test('a damaged database without checksums is loaded or refused by name, in bounded time', async () => {
  const random = seededRandom(9)
  const disk = new SimulatedDisk(random)
  await saveState(disk, folder, someState(200), markAt(90))
  const path = `${folder}/db`
  const plain = Buffer.from(disk.peek(path))
  // As the original writes it: nothing behind what bbolt knows, in both meta pages, and nothing behind the last page.
  for (const page of [0, 4096]) plain.fill(0, page + 80, page + 4096)
  const count = Number(plain.readBigUInt64LE(56))
  const database = plain.subarray(0, count * 4096)
  disk.poke(path, database)
  assert.equal((await load(disk)).loaded?.appliedIndex, 90)
  let refused = 0
  for (let round = 0; round < 600; round++) {
    const damaged = Buffer.from(database)
    for (let n = randomInteger(random, 6); n >= 0; n--) {
      const at = randomInteger(random, damaged.length - 8)
      // Mostly where pages and their entries are described.
      damaged.writeUInt32LE(randomInteger(random, 2) === 0 ? randomInteger(random, 2 ** 32) : randomInteger(random, 80), random.float() < 0.7 ? Math.floor(at / 4096) * 4096 + randomInteger(random, 200) : at)
    }
    disk.poke(path, randomInteger(random, 20) === 0 ? damaged.subarray(0, randomInteger(random, damaged.length)) : damaged)
    try {
      await load(disk)
    } catch (error) {
      assert.ok(error instanceof StorageError && error.reason === 'CorruptSnapshot', `round ${round}: ${error instanceof Error ? error.stack : String(error)}`)
      refused++
    }
  }
  assert.ok(refused > 300, `${refused} of 600 refused`)
})

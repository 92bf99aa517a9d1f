// What flags change inside of a member: how compactions pause, which files stay, when a database is written anew, what is told of slow
// requests, what features switch. Each with a control: without the setting it is otherwise.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import type { Clock } from '../../lib/base/clock.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { silentLogger } from '../../lib/component-base/log.ts'
import { recordingLogger } from '../../lib/testing/recording-logger.ts'
import { SimulatedClock, settle } from '../../lib/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../lib/testing/simulated-disk.ts'
import { defragmentAtStart } from './bootstrap/defragment-at-start.ts'
import { LeaderDuties } from './consensus/leader-duties.ts'
import { Proposals } from './consensus/proposals.ts'
import { RequestIds } from './consensus/request-ids.ts'
import { openEtcd, type EtcdOptions } from './embedded.ts'
import { switchFeatures } from './features.ts'
import type { Member } from './member.ts'
import { EtcdMetrics } from './metrics/etcd-metrics.ts'
import { emptyConfState } from './raft/messages.ts'
import { Scrubber } from './scrubber.ts'
import { loadState, stateFilesIn } from './snapshot/state-files.ts'
import { StateMachine } from './state-machine.ts'
import { formatMetrics } from './v3rpc/metrics.ts'
import { WriteAheadLog } from './wal/write-ahead-log.ts'

const { signal } = new AbortController()
const bytes = (text: string): Uint8Array => Buffer.from(text)
const put = (machine: StateMachine, key: string, value = 'v'): void => { machine.apply({ type: 'put', key: bytes(key), value: bytes(value) }, 0) }

test('a compaction goes through so many revisions, then pauses; its versions are counted', async () => {
  const pauses = async (batchRevisions: number): Promise<number> => {
    const machine = new StateMachine(1)
    for (let i = 0; i < 2500; i++) put(machine, 'k')
    const clock = new SimulatedClock()
    let count = 0
    const counting: Clock = { now: () => clock.now(), monotonic: () => clock.monotonic(), setTimer: (delayMs, run) => { assert.equal(delayMs, 10); count++; return clock.setTimer(delayMs, run) } }
    const scrubber = new Scrubber(machine.store, new EtcdMetrics().mvcc, counting, { batchRevisions, pauseMs: 10 })
    machine.apply({ type: 'compaction', revision: 2501 }, 0)
    let done = false
    const running = scrubber.scrub().then(() => { done = true })
    while (!done) await clock.advance(10)
    await running
    assert.equal(machine.store.operations.forgotten, 2499)
    return count
  }
  assert.deepEqual([await pauses(1000), await pauses(400), await pauses(10_000)], [2, 6, 0])
})

test('a compaction that pauses ends at once with its member', async () => {
  const machine = new StateMachine(1)
  for (let i = 0; i < 2000; i++) put(machine, 'k')
  machine.apply({ type: 'compaction', revision: 2001 }, 0)
  const scrubber = new Scrubber(machine.store, new EtcdMetrics().mvcc, new SimulatedClock(), { batchRevisions: 10, pauseMs: 1e9 })
  const running = scrubber.scrub()
  await settle(5)
  scrubber.stop()
  await running
  assert.ok(machine.store.needsScrub)
})

test('files of the log: as many stay as are said, with those that a state made superfluous; all go when the disk is full', async () => {
  const filesAfter = async (keptFiles: number | undefined): Promise<{ readonly files: number; readonly disk: SimulatedDisk }> => {
    const disk = new SimulatedDisk(seededRandom(1))
    const options = { disk, folder: '/wal', logger: silentLogger, segmentBytes: 4000, zeroedBytes: 2048, ...(keptFiles === undefined ? {} : { keptFiles }) }
    await using log = await WriteAheadLog.create(options, { identity: { memberId: 1n, clusterId: 2n }, entries: [], hardState: { term: 1, vote: 0n, commit: 0 } })
    for (let index = 1; index <= 40; index++) {
      await log.append({ entries: [{ type: 0, term: 1, index, data: Buffer.alloc(800) }], hardState: { term: 1, vote: 1n, commit: index } })
      await log.afterWrite()
      if (index === 38) log.markSnapshot({ index: 35, term: 1 })
    }
    await log[Symbol.asyncDispose]()
    return { files: (await disk.list('/wal')).length, disk }
  }
  const needed = (await filesAfter(undefined)).files
  // One more may have begun since the last look.
  const five = (await filesAfter(5)).files
  assert.deepEqual([(await filesAfter(1)).files, five === 5 || five === 6], [needed, true])
  const all = await filesAfter(0)
  assert.ok(all.files > 5, `${all.files}`)
  // Superfluous files are in nobody's way, and a lower number takes them away.
  const reopened = await WriteAheadLog.open({ disk: all.disk, folder: '/wal', logger: silentLogger, segmentBytes: 4000, zeroedBytes: 2048, keptFiles: 4, snapshot: { index: 35, term: 1 }, replay: () => {} })
  await reopened.log[Symbol.asyncDispose]()
  assert.equal((await all.disk.list('/wal')).length, 4)
})

test('marks of saved states: as many stay as are said, at least two', async () => {
  const marksAfter = async (kept: number | undefined): Promise<number> => {
    const disk = new SimulatedDisk(seededRandom(1))
    const files = stateFilesIn(disk, '/snap', kept)
    const machine = new StateMachine(1)
    for (let index = 1; index <= 9; index++) { put(machine, 'k'); await files.save(machine, { index, term: 1, confState: emptyConfState }) }
    return (await disk.list('/snap')).filter((name) => name.endsWith('.snap')).length
  }
  assert.deepEqual([await marksAfter(undefined), await marksAfter(3), await marksAfter(1), await marksAfter(0)], [5, 3, 2, 9])
})

test('a database that holds much that nobody needs is written anew at the start, when it is worth it', async () => {
  const disk = new SimulatedDisk(seededRandom(1))
  const machine = new StateMachine(1)
  put(machine, 'k', 'value')
  const mark = { index: 7, term: 1, confState: emptyConfState }
  await stateFilesIn(disk, '/snap').save(machine, mark)
  const sizeOf = async (): Promise<number> => { await using file = await disk.open('/snap/db', 'read'); return await file.size() }
  const neededBytes = await sizeOf()
  {
    await using file = await disk.open('/snap/db', 'update')
    await file.write(Buffer.alloc(2 * 1024 * 1024), neededBytes)
  }
  const { logger, lines } = recordingLogger()
  await defragmentAtStart({ disk, snapFolder: '/snap', machine, mark, thresholdBytes: 3 * 1024 * 1024, logger })
  assert.equal(await sizeOf(), neededBytes + 2 * 1024 * 1024)
  await defragmentAtStart({ disk, snapFolder: '/snap', machine, mark, thresholdBytes: 1024 * 1024, logger })
  assert.equal(await sizeOf(), neededBytes)
  assert.deepEqual(lines.map(({ message }) => message), ['Skipping defragmentation', 'finished defragmenting'])
  const restored = new StateMachine(1)
  assert.equal((await loadState(disk, '/snap', restored, () => true))?.appliedIndex, 7)
  assert.equal(restored.store.keyCount, 1)
})

test('an empty database file is none: whoever locks it makes it so', async () => {
  const disk = new SimulatedDisk(seededRandom(1))
  await disk.makeFolder()
  { await using file = await disk.open('/snap/db', 'create'); void file }
  assert.equal(await loadState(disk, '/snap', new StateMachine(1), () => true), undefined)
})

async function memoryEtcd(options: Partial<EtcdOptions>): ReturnType<typeof openEtcd> {
  return await openEtcd({ disk: 'memory', clock: new SimulatedClock(), random: seededRandom(1), logger: silentLogger, ...options })
}

test('applying that takes too long is told of and counted', async () => {
  const { logger, lines } = recordingLogger()
  for (const [warningApplyMs, told] of [[-1, 1], [100, 0]] as const) {
    lines.length = 0
    await using etcd = await memoryEtcd({ logger, warningApplyMs })
    await etcd.client.txn({ compare: [], success: [{ type: 'put', key: bytes('k'), value: bytes('secret') }], failure: [] }, signal)
    const found = lines.filter(({ message }) => message === 'apply request took too long')
    assert.equal(found.length, told)
    assert.equal(etcd.internals.member.metrics.server.slowApply.value, told)
    if (told > 0) assert.match(String(found[0]?.values['request']), /put:<key:"k" value_size:6 >/)
  }
})

test('features are shown as they are switched', async () => {
  const shown = async (options: Partial<EtcdOptions>): Promise<readonly string[]> => {
    await using etcd = await memoryEtcd(options)
    return formatMetrics(etcd.internals).split('\n').filter((line) => line.startsWith('etcd_server_feature_enabled{') && line.endsWith(' 1')).map((line) => /name="(\w+)"/.exec(line)?.[1] ?? '').sort()
  }
  assert.deepEqual(await shown({}), ['FastLeaseKeepAlive', 'TxnModeWriteWithSharedBuffer'])
  assert.deepEqual(await shown({ features: switchFeatures(new Map([['CompactHashCheck', true], ['AllBeta', false]])) }), ['CompactHashCheck'])
})

test('PriorityRequest: leases can be revoked when nothing else is taken any more', () => {
  for (const prefersRevocations of [true, false]) {
    const proposals = new Proposals({ clock: new SimulatedClock(), ids: new RequestIds(1n, seededRandom(1), ''), timeoutMs: 1000, timeoutError: () => { throw new Error() }, wake: () => {}, failed: () => {}, prefersRevocations })
    const waiter = { resolve: () => {}, reject: () => {} }
    const revoke = { type: 'request', request: { type: 'leaseRevoke', id: 1n } } as const
    for (let i = 0; i < 50_000; i++) proposals.submit({ type: 'request', request: { type: 'compaction', revision: 1 } }, signal, waiter)
    assert.throws(() => proposals.submit({ type: 'request', request: { type: 'compaction', revision: 1 } }, signal, waiter), { reason: 'ResourceExhausted' })
    if (prefersRevocations) proposals.submit(revoke, signal, waiter)
    else assert.throws(() => proposals.submit(revoke, signal, waiter), { reason: 'ResourceExhausted' })
    proposals.rejectAll(new Error('the end'))
  }
})

test('how often a leader looks whether a downgrade is done; 0 is never', async () => {
  for (const [downgradeCheckMs, afterMs] of [[undefined, 5000], [700, 700], [0, Infinity]] as const) {
    const clock = new SimulatedClock()
    const own = { id: 1n, name: 'a', peerUrls: [], clientUrls: [], isLearner: false }
    const proposed: number[] = []
    const membership = { clusterVersion: '3.7.0', downgrade: { enabled: true, targetVersion: '3.7.0' }, members: new Map([[1n, own]]), list: () => [own] }
    const member = { machine: { membership }, isSole: false, memberId: 1n, propose: async () => { proposed.push(clock.monotonic()); membership.downgrade = { enabled: false, targetVersion: '' } } }
    const duties = new LeaderDuties({ member: member as unknown as Member, clock, logger: silentLogger, name: 'a', clientUrls: [], downgradeCheckMs }) // cast: what they ask of one
    duties.startLeading()
    await clock.advance(60_000)
    duties.stop()
    assert.deepEqual(proposed, afterMs === Infinity ? [] : [afterMs])
  }
})

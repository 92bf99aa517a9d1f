import { test } from 'node:test'
import assert from 'node:assert/strict'
import { seededRandom } from '../../../lib/base/random.ts'
import { WireWriter } from '../../../lib/base/protobuf/wire-writer.ts'
import { silentLogger } from '../../../lib/component-base/log.ts'
import { SimulatedClock } from '../../../lib/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../../lib/testing/simulated-disk.ts'
import { openEtcd } from '../embedded.ts'
import { emptyConfState } from '../raft/messages.ts'
import { exportState, saveState } from '../snapshot/state-files.ts'
import { StateMachine } from '../state-machine.ts'
import { entryTypes, writeEntry, writeHardState, writeSnapshotMark } from '../wal/raft-messages.ts'
import { createSegment, segmentOf, writeHead } from '../wal/segment-files.ts'
import { RecordBuffer, recordTypes } from '../wal/wal-record.ts'
import { defragmentFolder } from './defragment.ts'
import { migrateFolder } from './migrate.ts'
import { restoreSnapshot } from './restore-snapshot.ts'
import { createHash } from 'node:crypto'

const b = (text: string): Buffer => Buffer.from(text)
const signal = new AbortController().signal

async function diskWithState(): Promise<{ readonly disk: SimulatedDisk; readonly machine: StateMachine }> {
  const disk = new SimulatedDisk(seededRandom(1))
  const machine = new StateMachine(1)
  for (let i = 0; i < 30; i++) machine.apply({ type: 'put', key: b(`k${i % 4}`), value: b(`v${i}`) }, 0)
  machine.membership.restore({ members: [['1f', '{"id":31,"peerURLs":["http://old:1"]}']], members_removed: [['2', 'removed']], cluster: [['clusterVersion', '3.7.0']] })
  await saveState(disk, '/data/member/snap', machine, { index: 40, term: 2, confState: { ...emptyConfState, voters: [31n] } })
  return { disk, machine }
}

async function saveSnapshot(disk: SimulatedDisk, machine: StateMachine, path: string): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of (await exportState(machine, { index: 40, term: 2, confState: emptyConfState })).pieces) pieces.push(piece)
  const bytes = Buffer.concat(pieces)
  const file = Buffer.concat([bytes, createHash('sha256').update(bytes).digest()])
  disk.poke(path, file)
  return file
}

test('an entry that a younger version made keeps the folder from going back to an older one, unless forced', async () => {
  const { disk } = await diskWithState()
  const records = new RecordBuffer(0)
  const add = (type: number, write: (w: WireWriter) => void): void => {
    const w = new WireWriter()
    write(w)
    records.add(type, w.finish())
  }
  const request = new WireWriter()
  request.tag(9900, 2)
  request.nested((n) => { n.tag(1, 2); n.string('3.7.0') })
  writeHead(records, { memberId: 31n, clusterId: 1n })
  add(recordTypes.snapshot, (w) => writeSnapshotMark(w, { index: 0, term: 0 }))
  add(recordTypes.entry, (w) => writeEntry(w, entryTypes.normal, 1, 1, request.finish()))
  add(recordTypes.state, (w) => writeHardState(w, { term: 1, vote: 31n, commit: 1 }))
  await disk.makeFolder()
  await using file = await createSegment(disk, '/data/member/wal', segmentOf(0, 0).name, records.bytes, 4096)
  void file
  assert.equal(await migrateFolder(disk, '/data', { major: 3, minor: 7 }, false), 'unchanged')
  await assert.rejects(migrateFolder(disk, '/data', { major: 3, minor: 6 }, false), { name: 'MigrationError', message: /WAL contains newer entries.*3\.6\.0.*3\.7\.0/ })
  await assert.rejects(migrateFolder(disk, '/data', { major: 3, minor: 9 }, false), { name: 'MigrationError', message: /"3.8.0" is not supported/ })
  assert.equal(await migrateFolder(disk, '/data', { major: 3, minor: 6 }, true), 'migrated')
  assert.equal(await migrateFolder(disk, '/data', { major: 3, minor: 7 }, false), 'migrated')
  const { before, after } = await defragmentFolder(disk, '/data')
  assert.equal(after, before)
  await assert.rejects(defragmentFolder(disk, '/nothing'), { name: 'DiskFault' })
})

test('a snapshot is restored under a changed cluster; a damaged one, or one without its hash, is refused', async () => {
  const { disk, machine } = await diskWithState()
  const file = await saveSnapshot(disk, machine, '/saved')
  const options = {
    disk, logger: silentLogger, snapshotPath: '/saved', name: 'b', peerUrls: ['http://b:1'], initialCluster: new Map([['a', ['http://a:1']], ['b', ['http://b:1']], ['c', ['http://c:1']]]), clusterToken: 't', skipHashCheck: false, bumpRevision: 0,
  }
  await restoreSnapshot({ ...options, dataDir: '/three', walDir: '/log' })
  assert.deepEqual(disk.paths.filter((path) => path.startsWith('/three') || path.startsWith('/log')).toSorted(), ['/log/0000000000000000-0000000000000000.wal', '/three/member/snap/0000000000000001-0000000000000003.snap', '/three/member/snap/db'])
  await assert.rejects(restoreSnapshot({ ...options, name: 'x', dataDir: '/x' }), { name: 'BootstrapError' })
  await assert.rejects(restoreSnapshot({ ...options, peerUrls: ['http://other:1'], dataDir: '/x' }), { name: 'BootstrapError' })
  for (let at = 0; at < file.length; at += 613) {
    const damaged = Buffer.from(file)
    damaged[at]! ^= 16 // cast: below the length
    disk.poke('/damaged', damaged)
    await assert.rejects(restoreSnapshot({ ...options, snapshotPath: '/damaged', dataDir: '/x' }), { name: 'BoltError', message: /expected sha256/ })
    // Also when nobody looks at the hash: the database has checksums of its own.
    if (at < file.length - 32) await assert.rejects(restoreSnapshot({ ...options, snapshotPath: '/damaged', dataDir: '/x', skipHashCheck: true }), { name: 'BoltError' })
  }
  disk.poke('/cut', file.subarray(0, file.length - 32))
  await assert.rejects(restoreSnapshot({ ...options, snapshotPath: '/cut', dataDir: '/x' }), { message: 'snapshot missing hash but --skip-hash-check=false' })
  assert.ok(!disk.paths.some((path) => path.startsWith('/x')), 'nothing is left of what was refused')
  await restoreSnapshot({ ...options, snapshotPath: '/cut', name: 'default', peerUrls: ['http://d:1'], initialCluster: new Map([['default', ['http://d:1']]]), dataDir: '/one', skipHashCheck: true, bumpRevision: 1000 })
  await using etcd = await openEtcd({ disk: { dataDir: '/one', disk }, clock: new SimulatedClock(), random: seededRandom(1), logger: silentLogger })
  assert.equal((await etcd.client.status(signal)).revision, machine.store.revision + 1000)
  assert.deepEqual(etcd.internals.member.machine.membership.list().map(({ name, peerUrls }) => [name, ...peerUrls]), [['default', 'http://d:1']])
  assert.equal((await etcd.client.range({ key: b('k'), rangeEnd: b('l') }, signal)).count, 4)
})

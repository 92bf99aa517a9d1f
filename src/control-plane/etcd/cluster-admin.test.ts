import assert from 'node:assert/strict'
import { test } from 'node:test'
import { realRandom } from '../../lib/async/real-random.ts'
import { silentLogger } from '../../lib/component-base/log.ts'
import { SimulatedClock } from '../../lib/testing/simulated-clock.ts'
import type { Disk } from './disk/disk.ts'
import { SimulatedCluster } from './consensus/simulated-cluster.ts'
import { openEtcd } from './embedded.ts'
import { migrateFolder } from './offline/migrate.ts'
import { readEntry, readSnapshotMark } from './wal/raft-messages.ts'
import { listSegments } from './wal/segment-files.ts'
import { scanSegment } from './wal/segment-scan.ts'
import { recordTypes } from './wal/wal-record.ts'

const signal = new AbortController().signal

test('an etcd without connections to others stays alone', async () => {
  const clock = new SimulatedClock()
  await using etcd = await openEtcd({ disk: 'memory', clock, random: realRandom, logger: silentLogger })
  const { admin, identity } = etcd.internals
  await assert.rejects(admin.add(['http://b:1'], false, signal), { reason: 'Unimplemented' })
  await assert.rejects(admin.add(['http://b:1'], true, signal), { reason: 'Unimplemented' })
  await assert.rejects(admin.remove(identity.memberId, signal), { message: 'etcdserver: re-configuration failed due to not enough started members' })
  await assert.rejects(admin.promote(identity.memberId, undefined, signal), { message: 'etcdserver: can only promote a learner member' })
  await admin.moveLeader(identity.memberId, signal)
  await assert.rejects(admin.moveLeader(5n, signal), { message: 'etcdserver: bad leader transferee' })
  assert.deepEqual((await admin.list(true, signal)).map(({ id }) => id), [identity.memberId])
})

test('the downgrade of a cluster of one: its version goes down, and comes back when it is called off', async () => {
  const clock = new SimulatedClock()
  await using cluster = await SimulatedCluster.start({ size: 1, clock })
  const [node] = cluster.running
  assert.ok(node)
  const { admin, member } = node.etcd.internals
  const { membership } = member.machine
  await cluster.untilTrue(() => membership.clusterVersion === '3.7.0')
  assert.equal(await cluster.until(() => admin.validateDowngrade('3.6', signal)), '3.7')
  assert.equal(await cluster.until(() => admin.enableDowngrade('3.6.0', signal)), '3.7')
  await cluster.untilTrue(() => membership.clusterVersion === '3.6.0')
  await assert.rejects(cluster.until(() => admin.enableDowngrade('3.5', signal)), { message: 'etcdserver: cluster has a downgrade job in progress' })
  assert.equal(await cluster.until(() => admin.cancelDowngrade(signal)), '3.6')
  await cluster.untilTrue(() => membership.clusterVersion === '3.7.0')
  await assert.rejects(cluster.until(() => admin.validateDowngrade('nonsense', signal)), { message: 'etcdserver: wrong downgrade target version format' })
})

/** Versions that the log sets behind the newest state that it names: what a program of 3.6 reads when it begins. */
async function versionsInLog(disk: Disk): Promise<readonly string[]> {
  const folder = '/data/member/wal'
  const found: { readonly index: number; readonly version: string }[] = []
  let [crc, mark, lastIndex]: [number | undefined, number, number] = [undefined, 0, 0]
  const segments = await listSegments(disk, folder)
  for (const [at, { name }] of segments.entries()) {
    await using file = await disk.open(`${folder}/${name}`, 'read')
    const bytes = Buffer.alloc(await file.size())
    await file.read(bytes, 0)
    const scan = scanSegment(bytes, { name, crc, isLast: at === segments.length - 1, lastIndex: () => lastIndex })
    let step = scan.next()
    for (; !step.done; step = scan.next()) {
      const { type, data } = step.value
      if (type === recordTypes.snapshot) mark = readSnapshotMark(data)?.index ?? 0
      if (type !== recordTypes.entry) continue
      const entry = readEntry(data)
      if (!entry) continue
      lastIndex = entry.index
      const version = /3\.\d\.0/.exec(Buffer.from(entry.data).toString('latin1'))?.[0]
      if (version !== undefined) found.push({ index: entry.index, version })
    }
    crc = step.value.crc
  }
  return found.filter(({ index }) => index > mark).map(({ version }) => version)
}

test('when a cluster has gone down to 3.6, the folders are such as programs of 3.6 take, also after a power cut', async () => {
  await using cluster = await SimulatedCluster.start({ size: 3 })
  const members = cluster.running.map(({ etcd }) => etcd.internals.member)
  const storageIs = (version: string): boolean => members.every(({ storageVersion }) => storageVersion === version)
  await cluster.untilTrue(() => storageIs('3.7.0'))
  for (const { disk } of cluster.running) assert.ok((await versionsInLog(disk)).includes('3.7.0'), 'the log tells of the newer version')
  await cluster.until(async () => cluster.leader()?.etcd.internals.admin.enableDowngrade('3.6', signal))
  await cluster.untilTrue(() => members.every(({ machine }) => machine.membership.clusterVersion === '3.6.0'))
  await cluster.untilTrue(() => storageIs('3.6.0'))
  for (const node of [...cluster.running]) {
    await cluster.crash(node)
    assert.ok(!(await versionsInLog(node.disk)).includes('3.7.0'), node.name)
    assert.equal(await migrateFolder(node.disk, '/data', { major: 3, minor: 6 }, false), 'unchanged', node.name)
  }
  // It is the next version again, then down once more.
  for (const node of cluster.nodes) await cluster.startNode(node)
  const again = cluster.running.map(({ etcd }) => etcd.internals.member)
  await cluster.until(() => Promise.all(cluster.nodes.map((node) => node.etcd?.whenReady())))
  await cluster.until(async () => cluster.leader()?.etcd.internals.admin.cancelDowngrade(signal))
  await cluster.untilTrue(() => again.every(({ storageVersion }) => storageVersion === '3.7.0'))
  await cluster.until(async () => cluster.leader()?.etcd.internals.admin.enableDowngrade('3.6', signal))
  await cluster.untilTrue(() => again.every(({ storageVersion }) => storageVersion === '3.6.0'))
  for (const { disk } of cluster.running) assert.ok(!(await versionsInLog(disk)).includes('3.7.0'))
})

test('who does not lead says so, or asks the leader', async () => {
  await using cluster = await SimulatedCluster.start({ size: 3 })
  const leader = cluster.leader()
  const follower = cluster.running.find(({ id }) => id !== leader?.id)
  assert.ok(leader && follower)
  await assert.rejects(follower.etcd.internals.admin.moveLeader(follower.id, signal), { message: 'etcdserver: not leader' })
  await cluster.clock.advance(6000)
  const learner = await cluster.until(() => follower.etcd.internals.admin.add(['http://m9:2380'], true, signal))
  await assert.rejects(leader.etcd.internals.admin.promote(learner.id, undefined, signal), { message: 'etcdserver: can only promote a learner member which is in sync with leader' })
  await assert.rejects(follower.etcd.internals.admin.promote(learner.id, undefined, signal), { message: 'etcdserver: not leader' }, 'there is no peer client in the simulation to ask the leader with')
  await cluster.until(() => leader.etcd.internals.admin.moveLeader(follower.id, signal))
  assert.equal(cluster.leader()?.id, follower.id)
  await cluster.until(() => follower.etcd.internals.admin.remove(learner.id, signal))
  await assert.rejects(cluster.until(() => follower.etcd.internals.admin.update(learner.id, ['http://m9:1'], signal)), { message: 'etcdserver: member not found' })
})

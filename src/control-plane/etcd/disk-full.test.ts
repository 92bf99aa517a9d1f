// A full disk: the alarm is raised and durable, reads and deletions go on, and after room was made and the alarm disarmed writes come back.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { seededRandom } from '../../lib/base/random.ts'
import { silentLogger } from '../../lib/component-base/log.ts'
import { SimulatedClock } from '../../lib/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../lib/testing/simulated-disk.ts'
import { EtcdError } from '../../lib/etcd-api/etcd-error.ts'
import { openEtcd, type EmbeddedEtcd } from './embedded.ts'

const signal = new AbortController().signal

function open(disk: SimulatedDisk): Promise<EmbeddedEtcd> {
  return openEtcd({ disk: { dataDir: '/data', disk }, clock: new SimulatedClock(), random: seededRandom(1), logger: silentLogger, zeroedBytes: 16_384, segmentBytes: 60_000, snapshotCount: 100_000 })
}

function put(etcd: EmbeddedEtcd, key: string): Promise<unknown> {
  return etcd.client.txn({ compare: [], success: [{ type: 'put', key: Buffer.from(key), value: Buffer.alloc(1000, key) }], failure: [] }, signal)
}

function remove(etcd: EmbeddedEtcd, key: string): Promise<unknown> {
  return etcd.client.txn({ compare: [], success: [{ type: 'deleteRange', key: Buffer.from(key) }], failure: [] }, signal)
}

for (const capacity of [40_000, 61_000, 75_000, 79_000, 130_000]) {
  test(`a disk of ${capacity} bytes fills up`, async () => {
    const disk = new SimulatedDisk(seededRandom(capacity))
    disk.capacityBytes = capacity
    const acknowledged: string[] = []
    {
      await using etcd = await open(disk)
      for (let i = 0; ; i++) {
        assert.ok(i < 500, 'it never fills')
        try {
          await put(etcd, `key${i}`)
          acknowledged.push(`key${i}`)
        } catch (error) {
          assert.ok(error instanceof EtcdError && error.reason === 'ResourceExhausted' && error.message === 'etcdserver: mvcc: database space exceeded', String(error))
          break
        }
      }
      for (let i = 0; i < 50 && !etcd.internals.member.machine.hasAlarm('NOSPACE'); i++) await new Promise((resolve) => { setImmediate(resolve) })
      assert.deepEqual(etcd.internals.member.machine.alarms.map(({ alarm }) => alarm), ['NOSPACE'])
      assert.equal(etcd.broken.aborted, false)
      assert.equal((await etcd.client.range({ key: Buffer.from('key0') }, signal)).kvs.length, 1)
      await remove(etcd, 'key0')
      await assert.rejects(put(etcd, 'more'), { reason: 'ResourceExhausted' })
    }
    {
      await using etcd = await open(disk)
      assert.deepEqual(etcd.internals.member.machine.alarms.map(({ alarm }) => alarm), ['NOSPACE'], 'the alarm survives')
      const { count } = await etcd.client.range({ key: Buffer.from('key'), rangeEnd: Buffer.from('kez'), countOnly: true }, signal)
      assert.equal(count, acknowledged.length - 1)
      disk.capacityBytes = capacity * 4
      // What was being written when the room came still says that there is none.
      for (let i = 0; i < 20; i++) await new Promise((resolve) => { setImmediate(resolve) })
      await etcd.internals.client.propose({ type: 'alarm', action: 'DEACTIVATE', memberId: etcd.internals.identity.memberId, alarm: 'NOSPACE' }, signal)
      for (let i = 0; i < 30; i++) await put(etcd, `again${i}`)
      assert.equal(etcd.internals.member.machine.hasAlarm('NOSPACE'), false)
    }
    await using etcd = await open(disk)
    assert.equal((await etcd.client.range({ key: Buffer.from('again'), rangeEnd: Buffer.from('agaio'), countOnly: true }, signal)).count, 30)
  })
}

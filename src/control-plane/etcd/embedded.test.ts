import { test } from 'node:test'
import assert from 'node:assert/strict'
import { seededRandom } from '../../lib/base/random.ts'
import { silentLogger } from '../../lib/component-base/log.ts'
import { SimulatedClock, settle } from '../../lib/testing/simulated-clock.ts'
import { openEtcd } from './embedded.ts'

const b = (text: string): Uint8Array => Buffer.from(text)
const t = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString()
const signal = new AbortController().signal

test('in memory: a transaction, a read, a watch, and a lease that runs out when the clock says so', async () => {
  const clock = new SimulatedClock()
  await using etcd = await openEtcd({ disk: 'memory', clock, random: seededRandom(1), logger: silentLogger })
  const { client } = etcd
  const log: string[] = []
  using watch = client.watch({ key: b('k'), rangeEnd: b('l'), prevKv: true }, {
    created: (revision) => log.push(`created ${revision}`),
    events: (events, revision) => log.push(`${revision}: ${events.map((e) => `${e.type} ${t(e.kv.key)} ${t(e.prevKv?.value)}`).join()}`),
    closed: () => log.push('closed'),
  })
  const lease = await client.leaseGrant(10, signal)
  const put = await client.txn({ compare: [{ key: b('k1'), target: 'MOD', result: 'EQUAL', number: 0 }], success: [{ type: 'put', key: b('k1'), value: b('v1'), lease: lease.id }], failure: [] }, signal)
  assert.deepEqual([put.revision, put.succeeded], [2, true])
  assert.equal(t((await client.range({ key: b('k1') }, signal)).kvs[0]?.value), 'v1')
  assert.equal(t((await client.leaseTimeToLive(lease.id, signal, { keys: true })).keys[0]), 'k1')
  await clock.advance(9_000)
  assert.equal((await client.leaseKeepAlive(lease.id, signal)).ttlSeconds, 10)
  await clock.advance(9_000)
  assert.equal((await client.range({ key: b('k1') }, signal)).count, 1)
  await clock.advance(1_000)
  assert.equal((await client.range({ key: b('k1') }, signal)).count, 0)
  watch.requestProgress()
  await settle()
  assert.deepEqual(log, ['created 1', '2: PUT k1 ', '3: DELETE k1 v1', '3: '])
  assert.equal((await client.leaseKeepAlive(lease.id, signal)).ttlSeconds, 0)
  await assert.rejects(client.leaseRevoke(lease.id, signal), { reason: 'NotFound', message: 'etcdserver: requested lease not found' })
})

test('the quota raises NOSPACE: puts are refused, reads and deletes go on', async () => {
  await using etcd = await openEtcd({ disk: 'memory', clock: new SimulatedClock(), random: seededRandom(1), logger: silentLogger, quotaBackendBytes: 100_000 })
  const put = (i: number): Promise<unknown> => etcd.client.txn({ compare: [], success: [{ type: 'put', key: b(`k${i}`), value: new Uint8Array(10_000) }], failure: [] }, signal)
  let refused = 0
  for (let i = 0; i < 20; i++) await put(i).catch((error: Error) => { refused++; assert.equal(error.message, 'etcdserver: mvcc: database space exceeded') })
  assert.ok(refused > 5)
  const deleted = await etcd.client.txn({ compare: [], success: [{ type: 'deleteRange', key: b('k'), rangeEnd: b('l') }], failure: [] }, signal)
  assert.ok(deleted.succeeded)
  await assert.rejects(put(1), { reason: 'ResourceExhausted' })
})

// Who begins to lead may find, in what it has not applied yet, that the leader before has ended a lease. Nobody may be promised any more of it.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { SimulatedCluster } from './simulated-cluster.ts'

const key = Buffer.from('leased')
const signal = new AbortController().signal
const ttlSeconds = 5

test('a new leader does not renew a lease whose end is in its log and not yet applied', async () => {
  await using cluster = await SimulatedCluster.start({ size: 3 })
  const old = cluster.leader()
  assert.ok(old)
  const { id: lease } = await cluster.until(() => old.etcd.client.leaseGrant(ttlSeconds, signal))
  await cluster.until(() => old.etcd.client.txn({ compare: [], success: [{ type: 'put', key, value: key, lease }], failure: [] }, signal))
  const others = cluster.nodes.filter(({ id }) => id !== old.id)
  const lastIndex = (): number[] => cluster.running.map(({ etcd }) => etcd.internals.member.raftStatus()?.lastIndex ?? 0)

  // The leader is heard, and hears nothing: the others have the lease's end in their logs, and nobody knows that they have.
  cluster.network.delayMs = [30, 30]
  await cluster.clock.advance(ttlSeconds * 1000 - 200)
  for (const { id } of others) cluster.network.cutOneWay(id, old.id)
  const before = Math.max(...lastIndex())
  await cluster.untilTrue(() => lastIndex().every((index) => index > before))
  await cluster.untilTrue(() => (cluster.leader()?.id ?? old.id) !== old.id)
  const next = cluster.leader()
  assert.ok(next)
  // Before it hears that what it has is committed, it is asked.
  cluster.network.isolate(next.id, cluster.nodes.map(({ id }) => id))
  const { member } = next.etcd.internals
  assert.ok(member.machine.leases.has(lease), 'the end is not applied')
  const renewal = member.renewOwnLease(lease, signal).then((seconds) => ({ seconds, atMs: cluster.clock.monotonic() }))
  await cluster.clock.advance(50)
  assert.equal(member.machine.leases.renew(lease, cluster.clock.monotonic()), ttlSeconds, 'the control: the book alone would promise the whole time')
  cluster.network.heal()
  const { seconds, atMs } = await cluster.until(() => renewal)
  await cluster.clock.advance(1000)
  const { count } = await cluster.until(() => next.etcd.client.range({ key }, signal))
  assert.ok(seconds === 0 || (count === 1 && cluster.clock.monotonic() - atMs < seconds * 1000), `promised ${seconds} s, and the key is ${count === 0 ? 'gone' : 'there'} after ${cluster.clock.monotonic() - atMs} ms`)
  assert.equal(count, 0, 'the lease ended as the old leader said')
})

test('a leader that the others do not hear any more renews nothing, though it does not know yet that another leads', async () => {
  await using cluster = await SimulatedCluster.start({ size: 3 })
  const old = cluster.leader()
  assert.ok(old)
  const { id: lease } = await cluster.until(() => old.etcd.client.leaseGrant(ttlSeconds, signal))
  const { member } = old.etcd.internals
  cluster.network.isolate(old.id, cluster.nodes.map(({ id }) => id))
  const outcomes: string[] = []
  const renewal = member.renewOwnLease(lease, signal).then((seconds) => { outcomes.push(`${seconds} s`) }, (error: unknown) => { outcomes.push(String(error)) })
  assert.ok(member.isLeader)
  assert.equal(member.machine.leases.renew(lease, cluster.clock.monotonic()), ttlSeconds, 'the control: the book alone would promise the whole time')
  await cluster.clock.advance(500)
  assert.deepEqual(outcomes, [])
  await cluster.until(() => renewal)
  assert.doesNotMatch(outcomes.join(), / s$/)
})

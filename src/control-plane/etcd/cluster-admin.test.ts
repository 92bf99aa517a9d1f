import assert from 'node:assert/strict'
import { test } from 'node:test'
import { realRandom } from '../../lib/async/real-random.ts'
import { silentLogger } from '../../lib/component-base/log.ts'
import { SimulatedClock } from '../../lib/testing/simulated-clock.ts'
import { SimulatedCluster } from './consensus/simulated-cluster.ts'
import { openEtcd } from './embedded.ts'

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

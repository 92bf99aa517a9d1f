// The scheduler against the real API server, with no more rights than system:kube-scheduler has.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openEtcd } from '../../src/control-plane/etcd/embedded.ts'
import { startApiServer } from '../../src/control-plane/kube-apiserver/api-server.ts'
import { startScheduler } from '../../src/control-plane/kube-scheduler/scheduler.ts'
import type { Scheduler } from '../../src/control-plane/kube-scheduler/scheduler.ts'
import type { Node, Pod } from '../../src/lib/api/generated/types/core-v1.ts'
import { seededRandom } from '../../src/lib/base/random.ts'
import { createInformerFactory } from '../../src/lib/client/informer.ts'
import { createApiClient } from '../../src/lib/client/resource-client.ts'
import { events, nodes, pods, priorityClasses, serviceAccounts } from '../../src/lib/client/resource-keys.ts'
import type { Logger } from '../../src/lib/component-base/log.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import { SimulatedClock, settle } from '../../src/lib/testing/simulated-clock.ts'

async function startWorld() {
  const clock = new SimulatedClock()
  const random = seededRandom(3)
  const stop = new AbortController()
  const etcd = await openEtcd({ disk: 'memory', clock, random, logger: silentLogger })
  const api = await startApiServer({ etcd: etcd.client, clock, random, logger: silentLogger, freezeObjects: true }, stop.signal)
  const errors: string[] = []
  const logger: Logger = { ...silentLogger, error: (message, error) => errors.push(`${message}: ${String(error)}`), named: () => logger }
  const admin = createApiClient(api.transport({ name: 'admin', uid: '', groups: ['system:masters', 'system:authenticated'], extra: {} }), { userAgent: 'test' })
  const client = createApiClient(api.transport({ name: 'system:kube-scheduler', uid: '', groups: ['system:authenticated'], extra: {} }), { userAgent: 'kube-scheduler' })
  const until = async (what: string, done: () => Promise<boolean> | boolean): Promise<void> => {
    for (let i = 0; i < 400; i++) { if (await done()) return; await clock.advance(20) }
    assert.fail(`never: ${what}; errors: ${errors.join('; ')}`)
  }
  const start = async (signal: AbortSignal): Promise<Scheduler> => {
    let scheduler: Scheduler | undefined
    void startScheduler({ client, informers: createInformerFactory({ client, clock, random, logger }), clock, random, logger }, signal).then((s) => { scheduler = s }, () => {})
    await until('the scheduler is ready', () => scheduler !== undefined)
    return scheduler ?? assert.fail()
  }
  await admin.resource(serviceAccounts).create('default', { metadata: { name: 'default' } }, stop.signal).catch(() => {})
  return {
    clock, admin, errors, until, start, signal: stop.signal,
    addNode: async (name: string, cpu: string) => {
      const client = admin.resource(nodes)
      const made = await client.create('', { metadata: { name, labels: { 'kubernetes.io/hostname': name } } }, stop.signal)
      const ready: Node = { ...made, spec: { ...made.spec, taints: [] } }
      const untainted = await client.update(ready, stop.signal)
      await client.update({ ...untainted, status: { ...untainted.status, allocatable: { cpu, memory: '16Gi', pods: '250' } } }, stop.signal, { subresource: 'status' })
    },
    addPod: (name: string, cpu: string, spec: Partial<Pod['spec']> = {}) =>
      admin.resource(pods).create('default', { metadata: { name }, spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: 'busybox', resources: { requests: { cpu } } }], ...spec } }, stop.signal),
    pods: async () => (await admin.resource(pods).list('default', {}, stop.signal)).items,
    async [Symbol.asyncDispose]() { stop.abort(); await settle(); await api[Symbol.asyncDispose](); await etcd[Symbol.asyncDispose]() },
  }
}

test('pods are bound, and told why not, with the rights of system:kube-scheduler', async () => {
  await using world = await startWorld()
  await world.addNode('one', '2')
  const scheduler = await world.start(world.signal)
  for (const name of ['a', 'b', 'c']) await world.addPod(name, '1')
  await world.until('two are bound and one is refused', async () => {
    const all = await world.pods()
    return all.filter((p) => p.spec.nodeName === 'one').length === 2 && all.some((p) => p.status.conditions?.some((c) => c.type === 'PodScheduled' && c.reason === 'Unschedulable'))
  })
  const waiting = (await world.pods()).find((p) => !p.spec.nodeName) ?? assert.fail()
  const condition = waiting.status.conditions?.find((c) => c.type === 'PodScheduled')
  assert.equal(condition?.message, '0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.')
  const bound = (await world.pods()).find((p) => p.spec.nodeName) ?? assert.fail()
  assert.equal(bound.status.conditions?.find((c) => c.type === 'PodScheduled')?.status, 'True')
  await world.until('the events are there', async () => {
    const { items } = await world.admin.resource(events).list('default', {}, world.signal)
    return items.some((e) => e.reason === 'Scheduled' && e.message === `Successfully assigned default/${bound.metadata.name} to one`) && items.some((e) => e.reason === 'FailedScheduling' && e.type === 'Warning')
  })
  await world.addNode('two', '2')
  await world.until('the third is bound to the new node', async () => (await world.pods()).every((p) => p.spec.nodeName))
  assert.deepEqual(world.errors, [])
  await scheduler[Symbol.asyncDispose]()
})

test('a pod of higher priority preempts', async () => {
  await using world = await startWorld()
  await world.addNode('one', '2')
  await world.admin.resource(priorityClasses).create('', { metadata: { name: 'vip' }, value: 1000 }, world.signal)
  await using _scheduler = await world.start(world.signal)
  await world.addPod('low', '2')
  await world.until('it is bound', async () => (await world.pods()).some((p) => p.spec.nodeName))
  await world.addPod('vip', '1', { priorityClassName: 'vip', priority: 1000 })
  await world.until('the important one is there and the other is gone', async () => {
    const all = await world.pods()
    // Nobody but a kubelet ends a pod with a node; here the API server deletes at once, because the grace period is zero.
    return all.some((p) => p.metadata.name === 'vip' && p.spec.nodeName === 'one') && !all.some((p) => p.metadata.name === 'low' && !p.metadata.deletionTimestamp)
  })
  assert.deepEqual(world.errors, [])
})

test('schedulers that are killed at any moment bind each pod once and fill no node twice', async () => {
  await using world = await startWorld()
  for (let i = 0; i < 10; i++) await world.addNode(`n${i}`, '6')
  const random = seededRandom(5)
  for (let i = 0; i < 60; i++) await world.addPod(`p${i}`, '1')
  for (let kill = 0; kill < 10; kill++) {
    const life = new AbortController()
    await world.start(life.signal)
    await settle(Math.floor(random.float() * 12))
    life.abort(new Error('killed'))
  }
  await using _last = await world.start(world.signal)
  await world.until('all are bound', async () => (await world.pods()).every((p) => p.spec.nodeName))
  const perNode = new Map<string, number>()
  for (const { spec } of await world.pods()) perNode.set(spec.nodeName ?? '', (perNode.get(spec.nodeName ?? '') ?? 0) + 1)
  assert.ok([...perNode.values()].every((count) => count <= 6), JSON.stringify([...perNode]))
})

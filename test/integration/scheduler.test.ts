// The scheduler against a fake API server: pods come in through the API, and what it decides is read back from the API.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startScheduler } from '../../src/control-plane/kube-scheduler/scheduler.ts'
import type { SchedulerOptions } from '../../src/control-plane/kube-scheduler/scheduler.ts'
import type { Plugin } from '../../src/control-plane/kube-scheduler/framework/plugin.ts'
import { status } from '../../src/control-plane/kube-scheduler/framework/status.ts'
import { builtInPlugins } from '../../src/control-plane/kube-scheduler/plugins/registry.ts'
import { formatExplanation } from '../../src/control-plane/kube-scheduler/explanation.ts'
import type { Node, PersistentVolumeClaim, Pod } from '../../src/lib/api/generated/types/core-v1.ts'
import type { Draft } from '../../src/lib/base/json.ts'
import { seededRandom } from '../../src/lib/base/random.ts'
import { createInformerFactory } from '../../src/lib/client/informer.ts'
import { createApiClient } from '../../src/lib/client/resource-client.ts'
import { events, leases, nodes, persistentVolumeClaims, persistentVolumes, podDisruptionBudgets, pods, storageClasses } from '../../src/lib/client/resource-keys.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import { FakeApiServer } from '../../src/lib/testing/fake-api-server.ts'
import { SimulatedClock } from '../../src/lib/testing/simulated-clock.ts'

const node = (name: string, more: Draft<Node> = {}, cpu = '4'): Draft<Node> => ({
  ...more, metadata: { name, labels: { 'kubernetes.io/hostname': name, ...more.metadata?.labels } }, status: { allocatable: { cpu, memory: '8Gi', pods: '110' }, ...more.status },
})
const pod = (name: string, cpu: string, spec: Draft<Pod['spec']> = {}, labels: Record<string, string> = {}): Draft<Pod> => ({
  metadata: { name, namespace: 'default', labels }, spec: { schedulerName: 'default-scheduler', containers: [{ name: 'c', image: 'busybox', resources: { requests: { cpu } } }], ...spec },
})

/** The server taints new nodes as not ready; these are. */
function seedNode(server: FakeApiServer, draft: Draft<Node>): void {
  const { metadata } = server.seed(nodes, draft)
  server.change(nodes, '', metadata.name, (n) => ({ ...n, spec: { ...n.spec, taints: (n.spec.taints ?? []).filter((t) => t.key !== 'node.kubernetes.io/not-ready') } }))
}

async function start(options: Partial<SchedulerOptions> = {}, seed: (server: FakeApiServer) => void = () => {}) {
  const clock = new SimulatedClock()
  const server = new FakeApiServer({ clock })
  seed(server)
  const random = seededRandom(7)
  const client = createApiClient(server, { userAgent: 'kube-scheduler' })
  const stop = new AbortController()
  const informers = createInformerFactory({ client, clock, random, logger: silentLogger })
  const starting = startScheduler({ client, informers, clock, random, logger: silentLogger, ...options }, stop.signal)
  await clock.advance(0)
  const scheduler = await starting
  const settle = async (ms = 0): Promise<void> => { for (let i = 0; i < 4; i++) await clock.advance(i === 0 ? ms : 0) }
  return {
    clock, server, scheduler, settle,
    nodeOf: (name: string) => server.get(pods, 'default', name)?.spec.nodeName,
    messages: (name: string) => server.list(events).filter((e) => e.involvedObject.name === name).map((e) => `${e.type} ${e.reason}: ${e.message}`),
    async [Symbol.asyncDispose]() { stop.abort(); await clock.advance(0); await scheduler[Symbol.asyncDispose]() },
  }
}

test('a pod is bound through pods/binding, with the event people know', async () => {
  await using c = await start({}, (server) => seedNode(server, node('one')))
  c.server.seed(pods, pod('web', '1'))
  await c.settle()
  assert.equal(c.nodeOf('web'), 'one')
  assert.deepEqual(c.server.requests.filter((r) => r.startsWith('POST') && r.includes('/pods/')), ['POST /api/v1/namespaces/default/pods/web/binding'])
  assert.deepEqual(c.messages('web'), ['Normal Scheduled: Successfully assigned default/web to one'])
  assert.equal(c.scheduler.decision('default', 'web')?.outcome, 'placed')
})

test('a pod that fits nowhere is told why, per node, and placed when room comes', async () => {
  await using c = await start({}, (server) => {
    seedNode(server, node('small', {}, '1'))
    seedNode(server, node('tainted', { spec: { taints: [{ key: 'dedicated', value: 'db', effect: 'NoSchedule' }] } }))
    seedNode(server, node('cordoned', { spec: { unschedulable: true } }))
  })
  c.server.seed(pods, pod('big', '2'))
  await c.settle()
  const message = '0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.'
  assert.deepEqual(c.messages('big'), [`Warning FailedScheduling: ${message}`])
  const condition = c.server.get(pods, 'default', 'big')?.status.conditions?.find((x) => x.type === 'PodScheduled')
  assert.deepEqual([condition?.status, condition?.reason, condition?.message], ['False', 'Unschedulable', message])
  assert.match(formatExplanation(c.scheduler.explain('default', 'big') ?? assert.fail()), /tainted +- +.*node\(s\) had untolerated taint\(s\) \{dedicated: db\} \(TaintToleration\)/)
  c.server.change(nodes, '', 'cordoned', (n) => ({ ...n, spec: {} }))
  await c.settle(1_000)
  assert.equal(c.nodeOf('big'), 'cordoned')
})

test('without nodes a pod waits for the first one', async () => {
  await using c = await start()
  c.server.seed(pods, pod('early', '1'))
  await c.settle()
  assert.deepEqual(c.messages('early'), ['Warning FailedScheduling: no nodes available to schedule pods'])
  await c.settle(60_000)
  assert.equal(c.messages('early').length, 1, 'nothing is tried while nothing has changed')
  seedNode(c.server, node('one'))
  await c.settle(1_000)
  assert.equal(c.nodeOf('early'), 'one')
})

test('gates hold a pod back; other schedulers’ pods are left alone', async () => {
  await using c = await start({}, (server) => seedNode(server, node('one')))
  c.server.seed(pods, pod('gated', '1', { schedulingGates: [{ name: 'example.com/wait' }] }))
  c.server.seed(pods, pod('foreign', '1', { schedulerName: 'mine' }))
  await c.settle(60_000)
  assert.equal(c.nodeOf('gated'), undefined)
  assert.equal(c.nodeOf('foreign'), undefined)
  assert.equal(c.scheduler.queueSizes.gated, 1)
  c.server.change(pods, 'default', 'gated', (p) => ({ ...p, spec: { ...p.spec, schedulingGates: [] } }))
  await c.settle(1_000)
  assert.equal(c.nodeOf('gated'), 'one')
})

test('a failed binding gives the room back and is tried again after a pause', async () => {
  await using c = await start({}, (server) => seedNode(server, node('one')))
  c.server.intercept = (request) => (request.path.endsWith('/binding') ? 500 : undefined)
  c.server.seed(pods, pod('web', '4'))
  await c.settle()
  assert.equal(c.nodeOf('web'), undefined)
  assert.match(c.messages('web')[0] ?? '', /^Warning FailedScheduling: binding rejected/)
  c.server.intercept = () => undefined
  await c.settle(500)
  assert.equal(c.nodeOf('web'), undefined, 'the pause is one second')
  await c.settle(2_000)
  assert.equal(c.nodeOf('web'), 'one')
})

test('a more important pod takes the place of the least important, and budgets are respected', async () => {
  await using c = await start({}, (server) => {
    seedNode(server, node('a', {}, '2'))
    seedNode(server, node('b', {}, '2'))
    server.seed(podDisruptionBudgets, { metadata: { name: 'keep', namespace: 'default' }, spec: { selector: { matchLabels: { app: 'kept' } } }, status: { disruptionsAllowed: 0, currentHealthy: 1, desiredHealthy: 1, expectedPods: 1 } })
    server.seed(pods, pod('kept', '2', { nodeName: 'a', priority: 1 }, { app: 'kept' }))
    server.seed(pods, pod('loose', '2', { nodeName: 'b', priority: 5 }, { app: 'loose' }))
  })
  c.server.seed(pods, pod('vip', '1', { priority: 1000 }))
  await c.settle()
  assert.ok(c.server.get(pods, 'default', 'loose')?.metadata.deletionTimestamp !== undefined || c.server.get(pods, 'default', 'loose') === undefined)
  assert.equal(c.server.get(pods, 'default', 'kept')?.metadata.deletionTimestamp, undefined)
  assert.deepEqual(c.messages('loose').map((m) => m.split(' by pod ')[0]), ['Normal Preempted: Preempted'])
  c.server.remove(pods, 'default', 'loose')
  await c.settle(1_000)
  assert.equal(c.nodeOf('vip'), 'b')
})

test('several profiles: a pod picks by spec.schedulerName', async () => {
  const configuration = { profiles: [{ schedulerName: 'default-scheduler' }, { schedulerName: 'packer', pluginConfig: [{ name: 'NodeResourcesFit', args: { scoringStrategy: { type: 'MostAllocated', resources: [{ name: 'cpu', weight: 1 }] } } }], plugins: { score: { disabled: [{ name: '*' }], enabled: [{ name: 'NodeResourcesFit', weight: 1 }] } } }] }
  await using c = await start({ configuration }, (server) => {
    seedNode(server, node('empty'))
    seedNode(server, node('used'))
    server.seed(pods, pod('there', '1', { nodeName: 'used' }))
  })
  c.server.seed(pods, pod('spread', '1'))
  c.server.seed(pods, pod('packed', '1', { schedulerName: 'packer' }))
  await c.settle()
  assert.equal(c.nodeOf('spread'), 'empty')
  assert.equal(c.server.list(events).find((e) => e.involvedObject.name === 'packed')?.source.component, 'packer')
  const scores = c.scheduler.explain('default', 'packed')?.nodes.map((n) => [n.node, n.score])
  assert.ok(scores && scores.every(([, score]) => Number(score) >= 0 && Number(score) <= 10), 'scores are shown from 0 to 10')
})

test('extenders rule out and rank nodes', async () => {
  const asked: string[] = []
  const configuration = { extenders: [{ urlPrefix: 'http://extender.example/v1', filterVerb: 'filter', prioritizeVerb: 'rank', weight: 5, nodeCacheCapable: true }] }
  await using c = await start({ configuration, postToExtender: async (url, body) => {
    asked.push(`${url} ${JSON.stringify(body['NodeNames'])}`)
    return url.endsWith('rank') ? [{ Host: 'b', Score: 10 }, { Host: 'a', Score: 1 }] : { NodeNames: ['a', 'b'], FailedNodes: { c: 'extender says no' } }
  } }, (server) => { for (const name of ['a', 'b', 'c']) seedNode(server, node(name)) })
  c.server.seed(pods, pod('web', '1'))
  await c.settle()
  assert.equal(c.nodeOf('web'), 'b')
  assert.deepEqual(asked.map((line) => line.split(' ')[0]), ['http://extender.example/v1/filter', 'http://extender.example/v1/rank'])
})

test('a plugin of one’s own decides along', async () => {
  const onlyB: Plugin = { name: 'OnlyB', filter: (_state, _pod, info) => (info.name === 'b' ? undefined : status('unschedulable', 'node(s) are not b')) }
  const registry = new Map([...builtInPlugins, ['OnlyB', () => onlyB]])
  await using c = await start({ registry, configuration: { profiles: [{ plugins: { multiPoint: { enabled: [{ name: 'OnlyB' }] } } }] } }, (server) => { for (const name of ['a', 'b', 'c']) seedNode(server, node(name, {}, '1')) })
  c.server.seed(pods, pod('web', '1'))
  c.server.seed(pods, pod('late', '1'))
  await c.settle()
  assert.equal(c.nodeOf('web') ?? c.nodeOf('late'), 'b')
  const waiting = c.nodeOf('web') ? 'late' : 'web'
  assert.match(c.messages(waiting)[0] ?? '', /^Warning FailedScheduling: 0\/3 nodes are available: 1 Insufficient cpu, 2 node\(s\) are not b\./)
})

test('many pods of one refused kind are answered alike and all come back when a node comes', async () => {
  await using c = await start({}, (server) => seedNode(server, node('one', {}, '1')))
  for (let i = 0; i < 30; i++) c.server.seed(pods, pod(`p${i}`, '100m'))
  await c.settle()
  assert.equal(c.server.list(pods).filter((p) => p.spec.nodeName === 'one').length, 10)
  const messages = new Set(c.server.list(events).filter((e) => e.reason === 'FailedScheduling').map((e) => e.message))
  assert.deepEqual([...messages], ['0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.'])
  seedNode(c.server, node('two'))
  await c.settle(12_000)
  assert.equal(c.server.list(pods).filter((p) => p.spec.nodeName === 'two').length, 20)
})

test('only the holder of the lease schedules', async () => {
  await using c = await start({ leaderElect: true }, (server) => seedNode(server, node('one')))
  c.server.seed(pods, pod('web', '1'))
  await c.settle(100)
  assert.equal(c.nodeOf('web'), 'one')
  assert.match(c.server.get(leases, 'kube-system', 'kube-scheduler')?.spec?.holderIdentity ?? '', /^kube-scheduler_/)
})

const storage = (server: FakeApiServer): void => {
  for (const name of ['a', 'b']) seedNode(server, node(name, { metadata: { labels: { 'topology.kubernetes.io/zone': `zone-${name}` } } }))
  server.seed(storageClasses, { metadata: { name: 'local' }, provisioner: 'kubernetes.io/no-provisioner', volumeBindingMode: 'WaitForFirstConsumer' })
  server.seed(persistentVolumes, { metadata: { name: 'disk-b' }, status: { phase: 'Available' }, spec: {
    storageClassName: 'local', capacity: { storage: '10Gi' }, accessModes: ['ReadWriteOnce'],
    nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: ['b'] }] }] } } } })
}
const claim = (name: string, spec: Draft<PersistentVolumeClaim['spec']>): Draft<PersistentVolumeClaim> => ({ metadata: { name, namespace: 'default' }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '5Gi' } }, ...spec } })
const withClaim = (name: string, claimName: string): Draft<Pod> => pod(name, '100m', { volumes: [{ name: 'data', persistentVolumeClaim: { claimName } }] })

test('a claim that binds late is bound to the volume of the chosen node before the pod is', async () => {
  await using c = await start({}, storage)
  c.server.seed(persistentVolumeClaims, claim('data', { storageClassName: 'local' }))
  c.server.seed(pods, withClaim('db', 'data'))
  await c.settle()
  assert.equal(c.nodeOf('db'), undefined, 'it waits for the claim to be bound')
  assert.equal(c.server.get(persistentVolumes, '', 'disk-b')?.spec.claimRef?.name, 'data')
  c.server.change(persistentVolumeClaims, 'default', 'data', (p) => ({ ...p, metadata: { ...p.metadata, annotations: { 'pv.kubernetes.io/bind-completed': 'yes' } }, spec: { ...p.spec, volumeName: 'disk-b' } }))
  await c.settle(1_000)
  assert.equal(c.nodeOf('db'), 'b')
})

test('claims that are missing, unbound or elsewhere are told apart', async () => {
  await using c = await start({}, (server) => {
    storage(server)
    server.seed(storageClasses, { metadata: { name: 'now' }, provisioner: 'example.com/disk', volumeBindingMode: 'Immediate' })
    server.seed(persistentVolumeClaims, claim('unbound', { storageClassName: 'now' }))
    server.seed(persistentVolumeClaims, claim('huge', { storageClassName: 'local', resources: { requests: { storage: '1Ti' } } }))
  })
  c.server.seed(pods, withClaim('p1', 'nope'))
  c.server.seed(pods, withClaim('p2', 'unbound'))
  c.server.seed(pods, withClaim('p3', 'huge'))
  await c.settle()
  const notHelpful = 'preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.'
  assert.deepEqual(['p1', 'p2', 'p3'].map((name) => c.messages(name)[0]), [
    `Warning FailedScheduling: 0/2 nodes are available: persistentvolumeclaim "nope" not found. ${notHelpful}`,
    `Warning FailedScheduling: 0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. ${notHelpful}`,
    `Warning FailedScheduling: 0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind. ${notHelpful}`,
  ])
})

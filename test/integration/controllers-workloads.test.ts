// DaemonSets, StatefulSets, Jobs and CronJobs against the fake API server on a simulated clock.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { controllerRevisions, cronJobs, daemonSets, jobs, nodes, persistentVolumeClaims, pods, statefulSets } from '../../src/lib/client/resource-keys.ts'
import type { Pod } from '../../src/lib/api/generated/types/core-v1.ts'
import { imagesOf, startFakeCluster } from './fake-cluster.ts'
import type { FakeCluster } from './fake-cluster.ts'

const template = (image: string) => ({ metadata: { labels: { app: 'x' } }, spec: { containers: [{ name: 'c', image }] } })
const selector = { matchLabels: { app: 'x' } }
const names = (cluster: FakeCluster): readonly string[] => cluster.server.list(pods).map((pod) => pod.metadata.name)
const placed = (cluster: FakeCluster): readonly string[] => cluster.server.list(pods).map((pod) => pod.spec.nodeName ?? '').sort()

test('a daemon set runs once on every node that it fits, new ones included, and is updated node by node', async () => {
  await using cluster = await startFakeCluster({ nodes: 3, controllers: ['daemonset'] })
  const { server, client, signal } = cluster
  await client.resource(daemonSets).create('default', { metadata: { name: 'agent', namespace: 'default' }, spec: { selector, template: template('v1') } }, signal)
  await cluster.settle()
  assert.deepEqual(placed(cluster), ['node-1', 'node-2', 'node-3'])
  const status = server.get(daemonSets, 'default', 'agent')?.status
  assert.deepEqual([status?.desiredNumberScheduled, status?.currentNumberScheduled, status?.numberReady, status?.updatedNumberScheduled, status?.numberUnavailable], [3, 3, 3, 3, 0])
  assert.equal(server.list(controllerRevisions).length, 1)

  let fewest = 3
  using _watch = server.store.onChange(() => {
    fewest = Math.min(fewest, server.list(pods).filter((pod) => !pod.metadata.deletionTimestamp && pod.status.conditions?.some((c) => c.type === 'Ready' && c.status === 'True')).length)
  })
  await client.resource(daemonSets).patch('default', 'agent', 'application/strategic-merge-patch+json', { spec: { template: { spec: { containers: [{ name: 'c', image: 'v2' }] } } } }, signal)
  await cluster.settle()
  assert.deepEqual(imagesOf(server.list(pods)), ['v2', 'v2', 'v2'])
  assert.equal(fewest, 2)
  assert.deepEqual(server.list(controllerRevisions).map((revision) => revision.revision).sort(), [1, 2])

  server.change(nodes, '', 'node-2', (node) => ({ ...node, spec: { ...node.spec, taints: [{ key: 'mine', effect: 'NoExecute' }] } }))
  await cluster.settle()
  assert.deepEqual(placed(cluster), ['node-1', 'node-3'])
  server.change(nodes, '', 'node-2', (node) => ({ ...node, spec: { ...node.spec, taints: [{ key: 'node.kubernetes.io/unreachable', effect: 'NoExecute' }] } }))
  await cluster.settle()
  assert.deepEqual(placed(cluster), ['node-1', 'node-2', 'node-3'])
  assert.deepEqual(cluster.errors, [])
})

test('a daemon set with a surge starts the new pod before it stops the old one', async () => {
  await using cluster = await startFakeCluster({ nodes: 2, controllers: ['daemonset'] })
  const { server, client, signal } = cluster
  await client.resource(daemonSets).create('default', { metadata: { name: 'agent', namespace: 'default' }, spec: { selector, template: template('v1'), updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } } } }, signal)
  await cluster.settle()
  let fewest = 2
  let most = 2
  using _watch = server.store.onChange(() => {
    const alive = server.list(pods).filter((pod) => !pod.metadata.deletionTimestamp)
    most = Math.max(most, alive.length)
    fewest = Math.min(fewest, alive.filter((pod) => pod.status.conditions?.some((c) => c.type === 'Ready' && c.status === 'True')).length)
  })
  await client.resource(daemonSets).patch('default', 'agent', 'application/strategic-merge-patch+json', { spec: { template: { spec: { containers: [{ name: 'c', image: 'v2' }] } } } }, signal)
  await cluster.settle()
  assert.deepEqual(imagesOf(server.list(pods)), ['v2', 'v2'])
  assert.deepEqual([fewest, most], [2, 3])
})

test('a stateful set comes up in order with storage of its own, is updated from the top, and goes down from the top', async () => {
  await using cluster = await startFakeCluster({ controllers: ['statefulset'] })
  const { server, client, signal } = cluster
  const order: string[] = []
  using _watch = server.store.onChange(() => {
    const [change] = server.store.changesSince('/pods', server.store.revision - 1)
    if (change && change.type !== 'MODIFIED') order.push(`${change.type === 'ADDED' ? '+' : '-'}${(change.object as unknown as Pod).metadata.name}`)
  })
  await client.resource(statefulSets).create('default', {
    metadata: { name: 'db', namespace: 'default' },
    spec: { replicas: 3, serviceName: 'db', selector, template: template('v1'), volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'] } }] },
  }, signal)
  await cluster.settle()
  assert.deepEqual(order.splice(0), ['+db-0', '+db-1', '+db-2'])
  assert.deepEqual(server.list(persistentVolumeClaims).map((claim) => claim.metadata.name), ['data-db-0', 'data-db-1', 'data-db-2'])
  const pod = server.get(pods, 'default', 'db-1')
  assert.deepEqual([pod?.spec.hostname, pod?.spec.subdomain, pod?.spec.volumes?.[0]?.persistentVolumeClaim?.claimName], ['db-1', 'db', 'data-db-1'])
  assert.equal(pod?.metadata.labels?.['apps.kubernetes.io/pod-index'], '1')

  await client.resource(statefulSets).patch('default', 'db', 'application/strategic-merge-patch+json', { spec: { template: { spec: { containers: [{ name: 'c', image: 'v2' }] } } } }, signal)
  await cluster.settle()
  assert.deepEqual(order.splice(0), ['-db-2', '+db-2', '-db-1', '+db-1', '-db-0', '+db-0'])
  assert.deepEqual(imagesOf(server.list(pods)), ['v2', 'v2', 'v2'])
  const status = server.get(statefulSets, 'default', 'db')?.status
  assert.equal(status?.currentRevision, status?.updateRevision)
  assert.deepEqual([status?.replicas, status?.readyReplicas, status?.updatedReplicas, status?.currentReplicas], [3, 3, 3, 3])

  await client.resource(statefulSets).patch('default', 'db', 'application/merge-patch+json', { spec: { replicas: 1 } }, signal)
  await cluster.settle()
  assert.deepEqual(order.splice(0), ['-db-2', '-db-1'])
  assert.equal(server.list(persistentVolumeClaims).length, 3)
  await client.resource(pods).delete('default', 'db-0', {}, signal)
  await cluster.settle()
  assert.deepEqual(order.splice(0), ['-db-0', '+db-0'])
  assert.deepEqual(cluster.errors, [])
})

test('a stateful set with a partition updates only what is above it, and Parallel does not wait', async () => {
  await using cluster = await startFakeCluster({ controllers: ['statefulset'], brokenImage: 'never' })
  const { server, client, signal } = cluster
  await client.resource(statefulSets).create('default', { metadata: { name: 'db', namespace: 'default' }, spec: { replicas: 3, serviceName: 'db', selector, template: template('v1'), updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 2 } } } }, signal)
  await cluster.settle()
  await client.resource(statefulSets).patch('default', 'db', 'application/strategic-merge-patch+json', { spec: { template: { spec: { containers: [{ name: 'c', image: 'v2' }] } } } }, signal)
  await cluster.settle()
  assert.deepEqual(imagesOf(server.list(pods)), ['v1', 'v1', 'v2'])
  await client.resource(pods).delete('default', 'db-0', {}, signal)
  await cluster.settle()
  assert.deepEqual(imagesOf(server.list(pods)), ['v1', 'v1', 'v2'])
  await client.resource(statefulSets).create('default', { metadata: { name: 'wide', namespace: 'default' }, spec: { replicas: 3, serviceName: 'w', podManagementPolicy: 'Parallel', selector: { matchLabels: { app: 'w' } }, template: { metadata: { labels: { app: 'w' } }, spec: { containers: [{ name: 'c', image: 'never' }] } } } }, signal)
  await cluster.settle()
  assert.deepEqual(names(cluster).filter((name) => name.startsWith('wide')), ['wide-0', 'wide-1', 'wide-2'])
})

test('a job runs until enough pods have succeeded, counts each once, and lets its pods go', async () => {
  await using cluster = await startFakeCluster({ controllers: ['job'], outcome: () => 'Succeeded' })
  const { server, client, signal } = cluster
  let most = 0
  using _watch = server.store.onChange(() => { most = Math.max(most, server.list(pods).filter((pod) => pod.status.phase === 'Pending').length) })
  await client.resource(jobs).create('default', { metadata: { name: 'sum', namespace: 'default' }, spec: { completions: 5, parallelism: 2, template: { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'x' }] } } } }, signal)
  await cluster.settle()
  const status = server.get(jobs, 'default', 'sum')?.status
  assert.deepEqual([status?.succeeded, status?.failed ?? 0, status?.active ?? 0, server.list(pods).length], [5, 0, 0, 5])
  assert.ok(most <= 2)
  assert.deepEqual(status?.conditions?.map((c) => `${c.type} ${c.reason}`), ['SuccessCriteriaMet CompletionsReached', 'Complete CompletionsReached'])
  assert.ok(status?.completionTime)
  assert.ok(server.list(pods).every((pod) => !pod.metadata.finalizers?.length))
  assert.deepEqual(cluster.errors, [])
})

test('a failing job is tried again ever more slowly until its limit', async () => {
  await using cluster = await startFakeCluster({ controllers: ['job'], outcome: () => 'Failed' })
  const { server, client, signal } = cluster
  await client.resource(jobs).create('default', { metadata: { name: 'bad', namespace: 'default' }, spec: { backoffLimit: 3, template: { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'x' }] } } } }, signal)
  await cluster.settle()
  assert.equal(server.list(pods).length, 1)
  await cluster.advance(9_000)
  assert.equal(server.list(pods).length, 1)
  await cluster.advance(3_000)
  assert.equal(server.list(pods).length, 2)
  await cluster.advance(200_000)
  const status = server.get(jobs, 'default', 'bad')?.status
  assert.deepEqual([status?.failed, status?.succeeded ?? 0, server.list(pods).length], [4, 0, 4])
  assert.deepEqual(status?.conditions?.map((c) => `${c.type} ${c.reason}`), ['FailureTarget BackoffLimitExceeded', 'Failed BackoffLimitExceeded'])
})

test('an indexed job gives every index to a pod; a deadline ends a job; suspending stops it', async () => {
  await using cluster = await startFakeCluster({ controllers: ['job'], outcome: (pod) => (pod.spec.containers?.[0]?.image === 'quick' ? 'Succeeded' : undefined) })
  const { server, client, signal } = cluster
  const make = (name: string, image: string, spec: object) => client.resource(jobs).create('default', { metadata: { name, namespace: 'default' }, spec: { template: { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image }] } }, ...spec } }, signal)
  await make('idx', 'quick', { completionMode: 'Indexed', completions: 4, parallelism: 3 })
  await cluster.settle()
  assert.equal(server.get(jobs, 'default', 'idx')?.status.completedIndexes, '0-3')
  assert.deepEqual(server.list(pods).map((pod) => pod.metadata.annotations?.['batch.kubernetes.io/job-completion-index']).sort(), ['0', '1', '2', '3'])
  await make('slow', 'slow', { activeDeadlineSeconds: 30 })
  await cluster.settle()
  await cluster.advance(31_000)
  assert.equal(server.get(jobs, 'default', 'slow')?.status.conditions?.at(-1)?.reason, 'DeadlineExceeded')
  assert.equal(names(cluster).filter((name) => name.startsWith('slow')).length, 0)
  await make('pause', 'slow', { parallelism: 2 })
  await cluster.settle()
  await client.resource(jobs).patch('default', 'pause', 'application/merge-patch+json', { spec: { suspend: true } }, signal)
  await cluster.settle()
  assert.equal(names(cluster).filter((name) => name.startsWith('pause')).length, 0)
  const status = server.get(jobs, 'default', 'pause')?.status
  assert.deepEqual([status?.failed ?? 0, status?.conditions?.[0]?.type], [0, 'Suspended'])
  assert.deepEqual(cluster.errors, [])
})

test('a cron job makes one job per due time through a night, keeps its history short, and ttl takes a job away', async () => {
  await using cluster = await startFakeCluster({ controllers: ['job', 'cronjob', 'ttl-after-finished', 'garbagecollector'], outcome: () => 'Succeeded' })
  const { server, client, signal } = cluster
  const jobTemplate = { spec: { template: { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'x' }] } } } }
  await client.resource(cronJobs).create('default', { metadata: { name: 'tick', namespace: 'default' }, spec: { schedule: '*/30 * * * *', jobTemplate } }, signal)
  let made = 0
  using _watch = server.store.onChange(() => { if (server.store.changesSince('batch/jobs', server.store.revision - 1)[0]?.type === 'ADDED') made++ })
  await cluster.advance(3 * 3_600_000 + 60_000)
  assert.equal(made, 6)
  assert.equal(server.list(jobs).length, 3)
  assert.equal(server.get(cronJobs, 'default', 'tick')?.status.lastScheduleTime, '2026-01-01T03:00:00Z')
  assert.ok(server.get(cronJobs, 'default', 'tick')?.status.lastSuccessfulTime)
  assert.equal(server.get(cronJobs, 'default', 'tick')?.status.active?.length ?? 0, 0)
  await client.resource(jobs).create('default', { metadata: { name: 'brief', namespace: 'default' }, spec: { ...jobTemplate.spec, ttlSecondsAfterFinished: 60 } }, signal)
  await cluster.settle()
  assert.ok(server.get(jobs, 'default', 'brief'))
  await cluster.advance(70_000)
  assert.equal(server.get(jobs, 'default', 'brief'), undefined)
  assert.deepEqual(cluster.errors, [])
})

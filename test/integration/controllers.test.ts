// Controllers against the fake API server on a simulated clock: what a user of Deployments sees.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deployments, events, pods, replicaSets } from '../../src/lib/client/resource-keys.ts'
import { controllerOf } from '../../src/lib/client/object-references.ts'
import { deployment, imagesOf, startFakeCluster } from './fake-cluster.ts'
import type { FakeCluster } from './fake-cluster.ts'

const only = { controllers: ['replicaset', 'deployment', 'replicationcontroller'] }

function setImage(cluster: FakeCluster, name: string, image: string): Promise<unknown> {
  return cluster.client.resource(deployments).patch('default', name, 'application/strategic-merge-patch+json', { spec: { template: { spec: { containers: [{ name: 'c', image }] } } } }, cluster.signal)
}

function condition(cluster: FakeCluster, name: string, type: string): string {
  const found = cluster.server.get(deployments, 'default', name)?.status.conditions?.find((c) => c.type === type)
  return found ? `${found.status} ${found.reason}` : 'absent'
}

test('a deployment makes its pods, replaces a killed one, follows its size, and tells of it', async () => {
  await using cluster = await startFakeCluster(only)
  const { server, client, signal } = cluster
  await client.resource(deployments).create('default', deployment('web', 3), signal)
  await cluster.settle()
  assert.equal(server.list(pods).length, 3)
  const status = server.get(deployments, 'default', 'web')?.status
  assert.deepEqual([status?.replicas, status?.updatedReplicas, status?.readyReplicas, status?.availableReplicas, status?.observedGeneration], [3, 3, 3, 3, 1])
  assert.equal(condition(cluster, 'web', 'Available'), 'True MinimumReplicasAvailable')
  assert.equal(condition(cluster, 'web', 'Progressing'), 'True NewReplicaSetAvailable')
  const [set] = server.list(replicaSets)
  assert.equal(set?.metadata.name, `web-${set?.metadata.labels?.['pod-template-hash']}`)
  assert.equal(server.get(deployments, 'default', 'web')?.metadata.annotations?.['deployment.kubernetes.io/revision'], '1')

  const victim = server.list(pods)[0]?.metadata.name ?? ''
  await client.resource(pods).delete('default', victim, {}, signal)
  await cluster.settle()
  assert.equal(server.list(pods).length, 3)
  assert.equal(server.get(pods, 'default', victim), undefined)
  assert.ok(server.list(pods).every((pod) => controllerOf(pod)?.uid === set?.metadata.uid))

  await client.resource(deployments).patch('default', 'web', 'application/merge-patch+json', { spec: { replicas: 5 } }, signal)
  await cluster.settle()
  assert.equal(server.list(pods).length, 5)
  await client.resource(deployments).patch('default', 'web', 'application/merge-patch+json', { spec: { replicas: 0 } }, signal)
  await cluster.settle()
  assert.equal(server.list(pods).length, 0)
  const reasons = new Set(server.list(events).map((event) => `${event.reason}: ${event.message?.replace(/web-\S+/, 'X')}`))
  assert.ok(reasons.has('ScalingReplicaSet: Scaled up replica set X from 0 to 3'), [...reasons].join('\n'))
  assert.ok(reasons.has('SuccessfulCreate: Created pod: X'))
  assert.deepEqual(cluster.errors, [])
})

test('a rolling update stays within its limits, and undo takes the old replica set up again', async () => {
  await using cluster = await startFakeCluster(only)
  const { server, client, signal } = cluster
  await client.resource(deployments).create('default', deployment('web', 4), signal)
  await cluster.settle()
  let most = 0
  let fewest = 9
  using _watch = server.store.onChange(() => {
    const all = server.list(pods).filter((pod) => !pod.metadata.deletionTimestamp)
    most = Math.max(most, all.length)
    fewest = Math.min(fewest, all.filter((pod) => pod.status.conditions?.some((c) => c.type === 'Ready' && c.status === 'True')).length)
  })
  await setImage(cluster, 'web', 'web:2')
  await cluster.settle()
  assert.deepEqual(imagesOf(server.list(pods)), ['web:2', 'web:2', 'web:2', 'web:2'])
  assert.ok(most <= 5 && fewest >= 3, `between ${fewest} ready and ${most} in all`)
  const revisions = (): readonly string[] => server.list(replicaSets).map((set) => `${set.spec.template.spec?.containers?.[0]?.image} r${set.metadata.annotations?.['deployment.kubernetes.io/revision']} ×${set.spec.replicas}`).sort()
  assert.deepEqual(revisions(), ['web:1 r1 ×0', 'web:2 r2 ×4'])
  // kubectl rollout undo puts the old template back.
  await setImage(cluster, 'web', 'web:1')
  await cluster.settle()
  assert.deepEqual(revisions(), ['web:1 r3 ×4', 'web:2 r2 ×0'])
  assert.equal(server.list(replicaSets).find((set) => set.spec.replicas === 4)?.metadata.annotations?.['deployment.kubernetes.io/revision-history'], '1')
  assert.equal(server.get(deployments, 'default', 'web')?.metadata.annotations?.['deployment.kubernetes.io/revision'], '3')
  assert.deepEqual(cluster.errors, [])
})

test('a template that cannot run keeps the old pods and is reported after the deadline', async () => {
  await using cluster = await startFakeCluster({ ...only, brokenImage: 'bad' })
  const { server, client, signal } = cluster
  await client.resource(deployments).create('default', deployment('web', 4), signal)
  await cluster.settle()
  await setImage(cluster, 'web', 'bad')
  await cluster.settle()
  assert.deepEqual(imagesOf(server.list(pods)), ['bad', 'bad', 'web:1', 'web:1', 'web:1'])
  assert.equal(condition(cluster, 'web', 'Progressing'), 'True ReplicaSetUpdated')
  await cluster.advance(610_000)
  assert.equal(condition(cluster, 'web', 'Progressing'), 'False ProgressDeadlineExceeded')
  assert.equal(condition(cluster, 'web', 'Available'), 'True MinimumReplicasAvailable')
})

test('recreate stops all old pods before it starts a new one; a paused deployment does not roll', async () => {
  await using cluster = await startFakeCluster(only)
  const { server, client, signal } = cluster
  const made = deployment('web', 3)
  await client.resource(deployments).create('default', { ...made, spec: { ...made.spec, strategy: { type: 'Recreate' } } }, signal)
  await cluster.settle()
  let mixed = false
  using _watch = server.store.onChange(() => { mixed ||= new Set(server.list(pods).map((pod) => pod.spec.containers?.[0]?.image)).size > 1 })
  await setImage(cluster, 'web', 'web:2')
  await cluster.settle()
  assert.deepEqual(imagesOf(server.list(pods)), ['web:2', 'web:2', 'web:2'])
  assert.equal(mixed, false)
  await client.resource(deployments).patch('default', 'web', 'application/merge-patch+json', { spec: { paused: true } }, signal)
  await setImage(cluster, 'web', 'web:3')
  await cluster.settle()
  assert.deepEqual(imagesOf(server.list(pods)), ['web:2', 'web:2', 'web:2'])
  assert.equal(condition(cluster, 'web', 'Progressing'), 'Unknown DeploymentPaused')
})

test('K2: with a watch that lags by 30 s no pod too many is created', async () => {
  await using cluster = await startFakeCluster(only)
  const { server, client, signal, clock } = cluster
  let created = 0
  using _count = server.store.onChange(() => { created = Math.max(created, server.list(pods).length) })
  server.holdWatches(pods)
  await client.resource(deployments).create('default', deployment('web', 10), signal)
  for (let i = 0; i < 30; i++) {
    await clock.advance(1_000)
    // Something else keeps waking the controllers.
    server.change(replicaSets, 'default', server.list(replicaSets)[0]?.metadata.name ?? '', (set) => ({ ...set, metadata: { ...set.metadata, annotations: { ...set.metadata.annotations, tick: String(i) } } }))
  }
  assert.equal(server.list(pods).length, 10)
  server.releaseWatches()
  await cluster.settle()
  assert.equal(created, 10)
  assert.equal(server.get(deployments, 'default', 'web')?.status.availableReplicas, 10)
})

test('a replica set adopts matching orphans and lets go of pods whose labels no longer match', async () => {
  await using cluster = await startFakeCluster(only)
  const { server, client, signal } = cluster
  server.seed(pods, { metadata: { name: 'stray', namespace: 'default', labels: { app: 'rs' } }, spec: { containers: [{ name: 'c', image: 'x' }] } })
  const template = { metadata: { labels: { app: 'rs' } }, spec: { containers: [{ name: 'c', image: 'x' }] } }
  await client.resource(replicaSets).create('default', { metadata: { name: 'rs', namespace: 'default' }, spec: { replicas: 2, selector: { matchLabels: { app: 'rs' } }, template } }, signal)
  await cluster.settle()
  assert.equal(server.list(pods).length, 2)
  assert.equal(controllerOf(server.get(pods, 'default', 'stray') ?? { metadata: {} as never })?.name, 'rs') // cast: an object without owners
  await client.resource(pods).patch('default', 'stray', 'application/merge-patch+json', { metadata: { labels: { app: 'debug' } } }, signal)
  await cluster.settle()
  assert.equal(server.list(pods).length, 3)
  assert.equal(server.get(pods, 'default', 'stray')?.metadata.ownerReferences?.length ?? 0, 0)
  assert.equal(server.get(replicaSets, 'default', 'rs')?.status.readyReplicas, 2)
})

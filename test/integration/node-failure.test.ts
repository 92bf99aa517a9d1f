// Row C5: a node falls silent. After 40 s it is Unknown and tainted unreachable, its pods no longer count as ready; 300 s later they are deleted and their
// ReplicaSet has made new ones elsewhere. On the simulated clock this takes milliseconds.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deployments, nodes, pods } from '../../src/lib/client/resource-keys.ts'
import { deployment, startFakeCluster } from './fake-cluster.ts'
import type { FakeCluster } from './fake-cluster.ts'

const controllers = ['replicaset', 'deployment', 'nodelifecycle', 'taint-eviction', 'podgc']

function readyOf(cluster: FakeCluster, node: string): string {
  const condition = cluster.server.get(nodes, '', node)?.status?.conditions?.find((c) => c.type === 'Ready')
  return `${condition?.status} ${condition?.reason}`
}

function taintsOf(cluster: FakeCluster, node: string): readonly string[] {
  return (cluster.server.get(nodes, '', node)?.spec?.taints ?? []).map((taint) => `${taint.key}:${taint.effect}`).sort()
}

/** Pods that nobody is deleting, by node. */
function alive(cluster: FakeCluster): { readonly [node: string]: number } {
  const counts: Record<string, number> = {}
  for (const pod of cluster.server.list(pods)) if (!pod.metadata.deletionTimestamp) counts[pod.spec.nodeName ?? ''] = (counts[pod.spec.nodeName ?? ''] ?? 0) + 1
  return counts
}

test('a silent node is unreachable after 40 s, and its pods run elsewhere 300 s later', async () => {
  await using cluster = await startFakeCluster({ controllers, nodes: 3 })
  const { server, client, signal } = cluster
  await client.resource(deployments).create('default', deployment('web', 6), signal)
  await cluster.settle()
  assert.deepEqual(alive(cluster), { 'node-1': 2, 'node-2': 2, 'node-3': 2 })
  await cluster.advance(30_000)
  cluster.silent.add('node-2')
  const silentSinceMs = cluster.clock.monotonic()
  await cluster.advance(30_000)
  assert.equal(readyOf(cluster, 'node-2'), 'True Kubelet')
  await cluster.advance(16_000)
  assert.equal(readyOf(cluster, 'node-2'), 'Unknown NodeStatusUnknown')
  assert.deepEqual(taintsOf(cluster, 'node-2'), ['node.kubernetes.io/unreachable:NoExecute', 'node.kubernetes.io/unreachable:NoSchedule'])
  assert.deepEqual(taintsOf(cluster, 'node-1'), [])
  const readyPods = server.list(pods).filter((pod) => pod.status.conditions?.some((c) => c.type === 'Ready' && c.status === 'True'))
  assert.equal(readyPods.length, 4)
  assert.equal(server.get(deployments, 'default', 'web')?.status.availableReplicas, 4)

  await cluster.advance(silentSinceMs + 330_000 - cluster.clock.monotonic())
  assert.deepEqual(alive(cluster), { 'node-1': 2, 'node-2': 2, 'node-3': 2 })
  await cluster.advance(25_000)
  assert.deepEqual(alive(cluster), { 'node-1': 3, 'node-3': 3 })
  assert.equal(server.get(deployments, 'default', 'web')?.status.availableReplicas, 6)
  // The dead kubelet cannot confirm the deletion: its pods stay, terminating, until it is back or the node is deleted.
  assert.equal(server.list(pods).filter((pod) => pod.metadata.deletionTimestamp && pod.spec.nodeName === 'node-2').length, 2)
  await client.resource(nodes).delete('', 'node-2', {}, signal)
  await cluster.advance(70_000)
  assert.equal(server.list(pods).length, 6)
  assert.deepEqual(cluster.errors, [])
})

test('N3: a node that is back before its time loses no pod', async () => {
  await using cluster = await startFakeCluster({ controllers, nodes: 3 })
  const { server, client, signal } = cluster
  await client.resource(deployments).create('default', deployment('web', 6), signal)
  await cluster.settle()
  const before = server.list(pods).map((pod) => pod.metadata.uid).sort()
  cluster.silent.add('node-2')
  await cluster.advance(330_000)
  assert.equal(readyOf(cluster, 'node-2'), 'Unknown NodeStatusUnknown')
  cluster.silent.delete('node-2')
  await cluster.advance(400_000)
  assert.equal(readyOf(cluster, 'node-2').slice(0, 4), 'True')
  assert.deepEqual(taintsOf(cluster, 'node-2'), [])
  assert.deepEqual(server.list(pods).map((pod) => pod.metadata.uid).sort(), before)
})

test('when every node is silent it is we who are cut off: nothing is evicted, and each gets its full time afterwards', async () => {
  await using cluster = await startFakeCluster({ controllers, nodes: 2 })
  const { server, client, signal } = cluster
  await client.resource(deployments).create('default', deployment('web', 2), signal)
  await cluster.settle()
  const before = server.list(pods).map((pod) => pod.metadata.uid).sort()
  for (const node of ['node-1', 'node-2']) cluster.silent.add(node)
  await cluster.advance(900_000)
  assert.deepEqual(server.list(pods).map((pod) => pod.metadata.uid).sort(), before)
  assert.ok(server.list(pods).every((pod) => !pod.metadata.deletionTimestamp))
})

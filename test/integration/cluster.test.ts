// A whole cluster in one process, under a clock that the test moves: what users of startCluster() rely on.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deployments, pods } from '../../src/lib/client/resource-keys.ts'
import { startCluster } from '../../src/lib/testing/index.ts'
import type { TestCluster } from '../../src/lib/testing/index.ts'

const web = (replicas: number, image = 'example/web:1') => ({
  metadata: { name: 'web' }, spec: { replicas, selector: { matchLabels: { app: 'web' } }, template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'web', image }] } } },
})
const podsOf = async (cluster: TestCluster) => (await cluster.admin.resource(pods).list('default', {}, cluster.signal)).items
const running = async (cluster: TestCluster, image: string) => (await podsOf(cluster)).filter((p) => p.status.phase === 'Running' && p.metadata.deletionTimestamp === undefined && p.spec.containers?.[0]?.image === image).length

test('a Deployment becomes running pods; a new image rolls out; a deleted pod comes back', async () => {
  await using cluster = await startCluster()
  const client = cluster.admin.resource(deployments)
  const created = await client.create('default', web(3), cluster.signal)
  assert.equal(created.metadata.generation, 1)
  await cluster.until(async () => await running(cluster, 'example/web:1') === 3, 'three pods run')
  await client.patch('default', 'web', 'application/merge-patch+json', { spec: { template: { spec: { containers: [{ name: 'web', image: 'example/web:2' }] } } } }, cluster.signal)
  await cluster.until(async () => await running(cluster, 'example/web:2') === 3 && await running(cluster, 'example/web:1') === 0, 'the new image runs', 300_000)
  const [first] = await podsOf(cluster)
  await cluster.admin.resource(pods).delete('default', first?.metadata.name ?? '', {}, cluster.signal)
  await cluster.until(async () => await running(cluster, 'example/web:2') === 3 && !(await podsOf(cluster)).some((p) => p.metadata.uid === first?.metadata.uid), 'another pod took its place', 120_000)
})

test('the same seed gives the same names and addresses', async () => {
  const names = async (): Promise<readonly string[]> => {
    await using cluster = await startCluster({ seed: 7 })
    await cluster.admin.resource(deployments).create('default', web(3), cluster.signal)
    await cluster.until(async () => await running(cluster, 'example/web:1') === 3, 'three pods run')
    return (await podsOf(cluster)).map((p) => `${p.metadata.name} ${p.metadata.uid} ${p.status.podIP ?? ''}`)
  }
  assert.deepEqual(await names(), await names())
})

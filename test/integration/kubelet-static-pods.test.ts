import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pods } from '../../src/lib/client/resource-keys.ts'
import { createMemoryDisk } from '../../src/worker-node/kubelet/host/memory-disk.ts'
import { condition, startTestNode } from './kubelet-node.ts'

const never = new AbortController().signal
const manifest = (image: string): Uint8Array => Buffer.from(`apiVersion: v1
kind: Pod
metadata: {name: web, namespace: default}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: web, image: ${image}}]
`)

test('a manifest becomes a pod with a mirror; a change replaces it; without the file it goes', async () => {
  const disk = createMemoryDisk({ now: () => 0 })
  await disk.makeDirectory('/manifests')
  await disk.writeFile('/manifests/web.yaml', manifest('example/web:1'), 0o644)
  await disk.writeFile('/manifests/broken.yaml', Buffer.from('kind: Pod\napiVersion: v1\nmetadata: {name: secretive}\nspec: {containers: [{name: c, image: i, envFrom: [{secretRef: {name: s}}]}]}'), 0o644)
  await using t = await startTestNode({}, { disk, settings: { staticPodPath: '/manifests' } })
  await t.until('the mirror is ready', async () => { const mirror = await t.tryPod('web-node-1'); return mirror !== undefined && condition(mirror, 'Ready') === 'True' })
  const mirror = await t.pod('web-node-1')
  assert.equal(mirror.metadata.annotations?.['kubernetes.io/config.source'], 'file')
  assert.equal(mirror.metadata.annotations?.['kubernetes.io/config.mirror'], mirror.metadata.annotations?.['kubernetes.io/config.hash'])
  assert.equal(mirror.metadata.ownerReferences?.[0]?.kind, 'Node')
  assert.equal(t.simulated.containers().length, 1, 'a pod that names objects of the API is not static')

  const first = t.simulated.find('web-node-1', 'web')?.id
  await t.client.resource(pods).delete('default', 'web-node-1', { gracePeriodSeconds: 0 }, never)
  await t.until('the mirror is made again', async () => { const again = await t.tryPod('web-node-1'); return again !== undefined && again.metadata.uid !== mirror.metadata.uid })
  assert.equal(t.simulated.find('web-node-1', 'web')?.id, first, 'the pod itself goes on')

  await disk.writeFile('/manifests/web.yaml', manifest('example/web:2'), 0o644)
  await t.until('the new one runs', async () => t.simulated.find('web-node-1', 'web')?.config.image?.userSpecifiedImage === 'example/web:2' && condition(await t.pod('web-node-1'), 'Ready') === 'True', 120_000)
  assert.equal((await t.pod('web-node-1')).spec?.containers?.[0]?.image, 'example/web:2')

  await disk.unlink('/manifests/web.yaml')
  await t.until('all is gone', async () => (await t.tryPod('web-node-1')) === undefined && t.simulated.containers().length === 0, 120_000)
})

test('memory pressure evicts the pod that is most over its request, and is told', async () => {
  let available = 4 * 2 ** 30
  await using t = await startTestNode({}, {
    machine: async () => ({
      cpuMilli: 4000, memoryBytes: 8 * 2 ** 30, memoryAvailableBytes: available, machineId: 'm', systemUuid: 'm', bootId: 'b', kernelVersion: 'k', osImage: 'o', operatingSystem: 'linux', architecture: 'amd64', maxPids: 1000, runningPids: 10,
      swapBytes: 0, cpuNanoseconds: 0, bootAtMs: 0,
    }),
  })
  const pod = (name: string, request: string): Parameters<typeof t.createPod>[0] => ({ metadata: { name, namespace: 'default' }, spec: { containers: [{ name: 'c', image: 'i', resources: { requests: { memory: request } } }], terminationGracePeriodSeconds: 1 } })
  await t.createPod(pod('modest', '100Mi'))
  await t.createPod(pod('greedy', '1Mi'))
  await t.until('both run', async () => (await t.pod('modest')).status?.phase === 'Running' && (await t.pod('greedy')).status?.phase === 'Running')
  available = 50 * 2 ** 20
  await t.until('greedy is evicted', async () => (await t.pod('greedy')).status?.reason === 'Evicted', 60_000)
  available = 4 * 2 ** 30
  const evicted = await t.pod('greedy')
  assert.equal(evicted.status?.phase, 'Failed')
  assert.equal(evicted.status?.message, 'The node was low on resource: memory. Threshold quantity: 100Mi, available: 51200Ki. ')
  assert.equal(condition(evicted, 'DisruptionTarget'), 'True')
  await t.until('the node tells', async () => (await t.node()).status?.conditions?.find((c) => c.type === 'MemoryPressure')?.status === 'True')
  await t.until('the pressure passes', async () => (await t.node()).status?.conditions?.find((c) => c.type === 'MemoryPressure')?.status === 'False', 600_000)
  assert.equal((await t.pod('modest')).status?.phase, 'Running')
})

// Services, namespaces, service accounts, owners: controllers against the fake API server.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { configMaps, deployments, endpointSlices, endpoints, namespaces, nodes, pods, replicaSets, secrets, serviceAccounts, services } from '../../src/lib/client/resource-keys.ts'
import { deployment, startFakeCluster } from './fake-cluster.ts'
import type { FakeCluster } from './fake-cluster.ts'

test('a service has the addresses of its ready pods, in endpoints and in slices', async () => {
  await using cluster = await startFakeCluster({ controllers: ['*', '-nodelifecycle', '-garbagecollector'] })
  const { server, client, signal } = cluster
  server.change(nodes, '', 'node-1', (node) => ({ ...node, metadata: { ...node.metadata, labels: { 'topology.kubernetes.io/zone': 'a' } } }))
  await client.resource(services).create('default', { metadata: { name: 'web', namespace: 'default' }, spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] } }, signal)
  await cluster.settle()
  assert.deepEqual(server.list(endpointSlices).map((slice) => slice.endpoints), [[]])
  await client.resource(deployments).create('default', deployment('web', 3), signal)
  await cluster.settle()
  const addresses = server.list(pods).map((pod) => pod.status.podIP ?? '').sort()
  const [slice] = server.list(endpointSlices)
  assert.equal(server.list(endpointSlices).length, 1)
  assert.deepEqual(slice?.endpoints?.map((endpoint) => endpoint.addresses?.[0]).sort(), addresses)
  assert.deepEqual(slice?.endpoints?.[0]?.conditions, { ready: true, serving: true, terminating: false })
  assert.ok(slice?.endpoints?.every((endpoint) => endpoint.zone === (endpoint.nodeName === 'node-1' ? 'a' : undefined)))
  assert.deepEqual(slice?.ports, [{ name: 'http', protocol: 'TCP', port: 8080 }])
  assert.deepEqual(slice?.metadata.labels, { 'kubernetes.io/service-name': 'web', 'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io' })
  const subsets = server.get(endpoints, 'default', 'web')?.subsets
  assert.deepEqual(subsets?.[0]?.addresses?.map((address) => address.ip), addresses)
  assert.deepEqual(subsets?.[0]?.ports, [{ name: 'http', port: 8080, protocol: 'TCP' }])

  const [first] = server.list(pods)
  server.change(pods, 'default', first?.metadata.name ?? '', (pod) => ({ ...pod, status: { ...pod.status, conditions: [{ type: 'Ready', status: 'False' }] } }))
  await cluster.settle()
  const now = server.list(endpointSlices)[0]?.endpoints?.find((endpoint) => endpoint.targetRef?.uid === first?.metadata.uid)
  assert.deepEqual(now?.conditions, { ready: false, serving: false, terminating: false })
  assert.deepEqual(server.get(endpoints, 'default', 'web')?.subsets?.[0]?.notReadyAddresses?.map((address) => address.ip), [first?.status.podIP])
  const writes = server.requests.length
  await cluster.settle()
  assert.equal(server.requests.length, writes)
  assert.deepEqual(cluster.errors, [])
})

test('slices hold a hundred endpoints, and a change rewrites only the slice it is in', async () => {
  await using cluster = await startFakeCluster({ controllers: ['endpointslice'] })
  const { server, client, signal } = cluster
  for (let i = 0; i < 250; i++) {
    server.seed(pods, {
      metadata: { name: `p-${i}`, namespace: 'default', labels: { app: 'web' } }, spec: { nodeName: 'elsewhere', containers: [{ name: 'c', image: 'x' }] },
      status: { phase: 'Running', podIP: `10.1.${i >> 8}.${i & 255}`, conditions: [{ type: 'Ready', status: 'True' }] },
    })
  }
  await client.resource(services).create('default', { metadata: { name: 'web', namespace: 'default' }, spec: { selector: { app: 'web' }, ports: [{ port: 80 }] } }, signal)
  await cluster.settle()
  assert.deepEqual(server.list(endpointSlices).map((slice) => slice.endpoints?.length).sort(), [100, 100, 50])
  const versions = new Map(server.list(endpointSlices).map((slice) => [slice.metadata.name, slice.metadata.resourceVersion]))
  server.remove(pods, 'default', 'p-7')
  await cluster.settle()
  assert.equal(server.list(endpointSlices).reduce((sum, slice) => sum + (slice.endpoints?.length ?? 0), 0), 249)
  assert.equal(server.list(endpointSlices).filter((slice) => versions.get(slice.metadata.name) !== slice.metadata.resourceVersion).length, 1)
})

test('a namespace gets its service account and its certificate, and is emptied before it goes, pods first', async () => {
  await using cluster = await startFakeCluster({ settings: { rootCa: 'CERT' }, controllers: ['*', '-nodelifecycle'] })
  const { server, client, signal } = cluster
  await client.resource(namespaces).create('', { metadata: { name: 'team' } }, signal)
  await cluster.settle()
  assert.ok(server.get(serviceAccounts, 'team', 'default'))
  assert.deepEqual(server.get(configMaps, 'team', 'kube-root-ca.crt')?.data, { 'ca.crt': 'CERT' })
  const made = deployment('web', 2)
  await client.resource(deployments).create('team', { ...made, metadata: { ...made.metadata, namespace: 'team' } }, signal)
  await client.resource(secrets).create('team', { metadata: { name: 's', namespace: 'team', finalizers: ['example.com/hold'] } }, signal)
  await cluster.settle()
  await client.resource(namespaces).delete('', 'team', {}, signal)
  await cluster.advance(60_000)
  assert.equal(server.list(pods, 'team').length, 0)
  assert.equal(server.list(deployments, 'team').length, 0)
  const conditions = server.get(namespaces, '', 'team')?.status?.conditions ?? []
  assert.equal(conditions.find((c) => c.type === 'NamespaceFinalizersRemaining')?.message, 'Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances')
  await client.resource(secrets).patch('team', 's', 'application/merge-patch+json', { metadata: { finalizers: null } }, signal)
  await cluster.advance(60_000)
  assert.equal(server.get(namespaces, '', 'team'), undefined)
  assert.deepEqual(cluster.errors, [])
})

test('legacy token secrets are filled for their service account and go with it', async () => {
  await using cluster = await startFakeCluster({ settings: { rootCa: 'CERT', signToken: (claims) => `jwt for ${claims['sub']}` }, controllers: ['serviceaccount', 'serviceaccount-token'] })
  const { server, client, signal } = cluster
  await client.resource(serviceAccounts).create('default', { metadata: { name: 'bot', namespace: 'default' } }, signal)
  await client.resource(secrets).create('default', { type: 'kubernetes.io/service-account-token', metadata: { name: 't', namespace: 'default', annotations: { 'kubernetes.io/service-account.name': 'bot' } } }, signal)
  await cluster.settle()
  const secret = server.get(secrets, 'default', 't')
  assert.equal(atob(secret?.data?.['token'] ?? ''), 'jwt for system:serviceaccount:default:bot')
  assert.equal(atob(secret?.data?.['ca.crt'] ?? ''), 'CERT')
  assert.equal(secret?.metadata.annotations?.['kubernetes.io/service-account.uid'], server.get(serviceAccounts, 'default', 'bot')?.metadata.uid)
  await client.resource(serviceAccounts).delete('default', 'bot', {}, signal)
  await cluster.settle()
  assert.equal(server.get(secrets, 'default', 't'), undefined)
})

test('nodes get pieces of the pod range, each its own, and a freed one is used again', async () => {
  await using cluster = await startFakeCluster({ controllers: ['nodeipam'], settings: { allocateNodeCidrs: true, clusterCidrs: ['10.244.0.0/16'] } })
  const { server } = cluster
  await cluster.settle()
  assert.deepEqual(server.list(nodes).map((node) => node.spec?.podCIDR), ['10.244.0.0/24', '10.244.1.0/24'])
  server.remove(nodes, '', 'node-1')
  server.seed(nodes, { metadata: { name: 'node-3' } })
  await cluster.settle()
  assert.deepEqual(server.list(nodes).map((node) => node.spec?.podCIDRs), [['10.244.1.0/24'], ['10.244.0.0/24']])
})

async function webWithOwners(cluster: FakeCluster): Promise<void> {
  await cluster.client.resource(deployments).create('default', deployment('web', 2), cluster.signal)
  await cluster.settle()
}

const gc = { controllers: ['deployment', 'replicaset', 'garbagecollector'] }

test('background: dependents follow their owner; orphan: they stay, without it', async () => {
  await using cluster = await startFakeCluster(gc)
  const { server, client, signal } = cluster
  await webWithOwners(cluster)
  await client.resource(deployments).delete('default', 'web', { propagationPolicy: 'Orphan' }, signal)
  await cluster.advance(10_000)
  assert.equal(server.list(deployments).length, 0)
  assert.deepEqual(server.list(replicaSets).map((set) => set.metadata.ownerReferences ?? []), [[]])
  assert.equal(server.list(pods).length, 2)
  await client.resource(replicaSets).delete('default', server.list(replicaSets)[0]?.metadata.name ?? '', { propagationPolicy: 'Background' }, signal)
  await cluster.advance(10_000)
  assert.equal(server.list(replicaSets).length + server.list(pods).length, 0)
  assert.deepEqual(cluster.errors, [])
})

test('foreground: the owner goes last', async () => {
  await using cluster = await startFakeCluster(gc)
  const { server, client, signal } = cluster
  await webWithOwners(cluster)
  const order: string[] = []
  using _watch = server.store.onChange(() => {
    const last = server.store.changesSince('/pods', server.store.revision - 1)[0] ?? server.store.changesSince('apps/replicasets', server.store.revision - 1)[0] ?? server.store.changesSince('apps/deployments', server.store.revision - 1)[0]
    if (last?.type === 'DELETED') order.push(last.resource)
  })
  await client.resource(deployments).delete('default', 'web', { propagationPolicy: 'Foreground' }, signal)
  await cluster.advance(10_000)
  assert.deepEqual(order, ['/pods', '/pods', 'apps/replicasets', 'apps/deployments'])
})

test('K4: the collector never deletes an object with a live owner, whatever the copies show', async () => {
  for (let seed = 0; seed < 10; seed++) {
    await using cluster = await startFakeCluster({ controllers: ['garbagecollector'] })
    const { server, client, signal } = cluster
    const owner = (name: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', name, uid: `uid-${name}` })
    for (const name of ['a', 'b', 'c']) server.seed(configMaps, { metadata: { name, namespace: 'default', uid: `uid-${name}` } })
    // Copies lag from here on: the collector knows nothing of what follows but what it asks for.
    if (seed % 2 === 0) server.holdWatches(configMaps)
    server.seed(secrets, { metadata: { name: 'of-a', namespace: 'default', ownerReferences: [owner('a')] } })
    server.seed(secrets, { metadata: { name: 'of-a-and-b', namespace: 'default', ownerReferences: [owner('a'), owner('b')] } })
    server.seed(secrets, { metadata: { name: 'of-late', namespace: 'default', ownerReferences: [owner('late')] } })
    server.seed(configMaps, { metadata: { name: 'late', namespace: 'default', uid: 'uid-late' } })
    server.seed(secrets, { metadata: { name: 'of-nobody', namespace: 'default', ownerReferences: [owner('nobody')] } })
    server.seed(secrets, { metadata: { name: 'of-unknown-kind', namespace: 'default', ownerReferences: [{ apiVersion: 'example.com/v1', kind: 'Widget', name: 'w', uid: 'w' }] } })
    server.seed(nodes, { metadata: { name: 'of-namespaced', ownerReferences: [owner('gone')] } })
    await client.resource(configMaps).delete('default', 'b', {}, signal)
    await cluster.advance(40_000)
    server.releaseWatches()
    if (seed % 3 === 0) server.cutWatches()
    await cluster.advance(40_000)
    assert.deepEqual(server.list(secrets).map((secret) => secret.metadata.name), ['of-a', 'of-a-and-b', 'of-late', 'of-unknown-kind'])
    assert.ok(server.get(nodes, '', 'of-namespaced'))
    assert.deepEqual(server.get(secrets, 'default', 'of-a-and-b')?.metadata.ownerReferences?.map((reference) => reference.name), ['a'])
  }
})

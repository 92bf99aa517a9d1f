// Quotas, disruption budgets, volumes, role aggregation: controllers against the fake API server.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clusterRoles, deployments, horizontalPodAutoscalers, nodes, persistentVolumeClaims, persistentVolumes, podDisruptionBudgets, pods, resourceQuotas, services, storageClasses } from '../../src/lib/client/resource-keys.ts'
import { selectControllers } from '../../src/control-plane/kube-controller-manager/controller-catalogue.ts'
import { deployment, startFakeCluster } from './fake-cluster.ts'

test('--controllers selects by canonical and short names, with * and -', () => {
  const namesOf = (...selection: readonly string[]): readonly string[] => selectControllers(selection).map((entry) => entry.name)
  assert.deepEqual(namesOf('replicaset'), ['replicaset-controller'])
  assert.deepEqual(namesOf('replicaset-controller', 'deployment').toSorted(), ['deployment-controller', 'replicaset-controller'])
  const all = namesOf('*')
  assert.ok(all.includes('ttl-controller'))
  assert.deepEqual(namesOf('*', '-ttl'), all.filter((name) => name !== 'ttl-controller'))
  assert.throws(() => namesOf('*', 'nonsense'), { name: 'UnknownControllerError' })
})

test('a quota shows what is used, finished pods aside', async () => {
  await using cluster = await startFakeCluster({ controllers: ['resourcequota'] })
  const { server, client, signal } = cluster
  await client.resource(resourceQuotas).create('default', { metadata: { name: 'q', namespace: 'default' }, spec: { hard: { pods: '10', 'requests.cpu': '2', 'limits.memory': '1Gi', services: '5', 'services.nodeports': '2', 'count/deployments.apps': '3' } } }, signal)
  const container = { name: 'c', image: 'x', resources: { requests: { cpu: '250m' }, limits: { memory: '64Mi' } } }
  for (const name of ['a', 'b']) server.seed(pods, { metadata: { name, namespace: 'default' }, spec: { containers: [container], initContainers: [{ name: 'i', image: 'x', resources: { requests: { cpu: '500m' } } }] } })
  server.seed(pods, { metadata: { name: 'done', namespace: 'default' }, spec: { containers: [container] }, status: { phase: 'Succeeded' } })
  server.seed(services, { metadata: { name: 's', namespace: 'default' }, spec: { type: 'NodePort', ports: [{ port: 80 }, { port: 81 }] } })
  server.seed(deployments, deployment('d', 0))
  await cluster.clock.advance(100)
  const status = server.get(resourceQuotas, 'default', 'q')?.status
  // Two pods by short name; three objects would be count/pods.
  assert.deepEqual(status?.used, { pods: '2', 'requests.cpu': '1', 'limits.memory': '128Mi', services: '1', 'services.nodeports': '2', 'count/deployments.apps': '1' })
  server.remove(pods, 'default', 'a')
  await cluster.clock.advance(100)
  assert.equal(server.get(resourceQuotas, 'default', 'q')?.status?.used?.['requests.cpu'], '500m')
})

test('a disruption budget allows what is above its minimum, by the size its controller wants', async () => {
  await using cluster = await startFakeCluster({ controllers: ['deployment', 'replicaset', 'disruption'] })
  const { server, client, signal } = cluster
  await client.resource(deployments).create('default', deployment('web', 4), signal)
  await client.resource(podDisruptionBudgets).create('default', { metadata: { name: 'web', namespace: 'default' }, spec: { maxUnavailable: '50%', selector: { matchLabels: { app: 'web' } } } }, signal)
  await cluster.settle()
  const show = (): readonly unknown[] => {
    const status = server.get(podDisruptionBudgets, 'default', 'web')?.status
    return [status?.disruptionsAllowed, status?.currentHealthy, status?.desiredHealthy, status?.expectedPods, status?.conditions?.[0]?.reason]
  }
  assert.deepEqual(show(), [2, 4, 2, 4, 'SufficientPods'])
  for (const pod of server.list(pods).slice(0, 2)) server.change(pods, 'default', pod.metadata.name, (p) => ({ ...p, status: { ...p.status, conditions: [{ type: 'Ready', status: 'False' }] } }))
  await cluster.clock.advance(100)
  assert.deepEqual(show(), [0, 2, 2, 4, 'InsufficientPods'])
  server.seed(pods, { metadata: { name: 'bare', namespace: 'default', labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'x' }] } })
  await cluster.clock.advance(100)
  assert.deepEqual(show().slice(-1), ['InsufficientPods'])
})

test('a claim gets the smallest volume that is enough; the volume is released when the claim goes, and neither goes while in use', async () => {
  await using cluster = await startFakeCluster({ controllers: ['persistentvolume-binder', 'pvc-protection', 'pv-protection'] })
  const { server, client, signal } = cluster
  const volume = (name: string, storage: string) => server.seed(persistentVolumes, { metadata: { name }, spec: { capacity: { storage }, accessModes: ['ReadWriteOnce'], storageClassName: 'manual', hostPath: { path: `/${name}` } } })
  volume('large', '10Gi')
  volume('small', '1Gi')
  volume('fitting', '2Gi')
  await cluster.settle()
  assert.deepEqual(server.list(persistentVolumes).map((v) => v.status?.phase), ['Available', 'Available', 'Available'])
  await client.resource(persistentVolumeClaims).create('default', { metadata: { name: 'data', namespace: 'default' }, spec: { accessModes: ['ReadWriteOnce'], storageClassName: 'manual', resources: { requests: { storage: '1500Mi' } } } }, signal)
  await cluster.settle()
  const claim = server.get(persistentVolumeClaims, 'default', 'data')
  assert.deepEqual([claim?.spec?.volumeName, claim?.status?.phase, claim?.status?.capacity], ['fitting', 'Bound', { storage: '2Gi' }])
  assert.equal(server.get(persistentVolumes, '', 'fitting')?.status?.phase, 'Bound')
  server.seed(pods, { metadata: { name: 'user', namespace: 'default' }, spec: { nodeName: 'elsewhere', containers: [{ name: 'c', image: 'x' }], volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }] } })
  await cluster.settle()
  await client.resource(persistentVolumeClaims).delete('default', 'data', {}, signal)
  await cluster.settle()
  assert.ok(server.get(persistentVolumeClaims, 'default', 'data')?.metadata.deletionTimestamp)
  server.remove(pods, 'default', 'user')
  await cluster.settle()
  assert.equal(server.get(persistentVolumeClaims, 'default', 'data'), undefined)
  assert.equal(server.get(persistentVolumes, '', 'fitting')?.status?.phase, 'Released')
  server.seed(storageClasses, { metadata: { name: 'late' }, provisioner: 'example.com/disk', volumeBindingMode: 'WaitForFirstConsumer' })
  await client.resource(persistentVolumeClaims).create('default', { metadata: { name: 'later', namespace: 'default' }, spec: { accessModes: ['ReadWriteOnce'], storageClassName: 'late', resources: { requests: { storage: '1Gi' } } } }, signal)
  await cluster.settle()
  assert.equal(server.get(persistentVolumeClaims, 'default', 'later')?.metadata.annotations?.['volume.kubernetes.io/storage-provisioner'], undefined)
  server.change(persistentVolumeClaims, 'default', 'later', (c) => ({ ...c, metadata: { ...c.metadata, annotations: { 'volume.kubernetes.io/selected-node': 'node-1' } } }))
  await cluster.settle()
  assert.equal(server.get(persistentVolumeClaims, 'default', 'later')?.metadata.annotations?.['volume.kubernetes.io/storage-provisioner'], 'example.com/disk')
  assert.deepEqual(cluster.errors, [])
})

test('aggregated roles have the rules of those they select; nodes are told how long to cache', async () => {
  await using cluster = await startFakeCluster({ controllers: ['clusterrole-aggregation', 'ttl'] })
  const { server } = cluster
  const rule = (resource: string) => ({ apiGroups: [''], resources: [resource], verbs: ['get'] })
  server.seed(clusterRoles, { metadata: { name: 'sum' }, aggregationRule: { clusterRoleSelectors: [{ matchLabels: { to: 'sum' } }] } })
  server.seed(clusterRoles, { metadata: { name: 'a', labels: { to: 'sum' } }, rules: [rule('pods')] })
  server.seed(clusterRoles, { metadata: { name: 'b', labels: { to: 'sum' } }, rules: [rule('pods'), rule('secrets')] })
  await cluster.settle()
  assert.deepEqual(server.get(clusterRoles, '', 'sum')?.rules, [rule('pods'), rule('secrets')])
  server.remove(clusterRoles, '', 'b')
  await cluster.settle()
  assert.deepEqual(server.get(clusterRoles, '', 'sum')?.rules, [rule('pods')])
  assert.equal(server.get(nodes, '', 'node-1')?.metadata.annotations?.['node.alpha.kubernetes.io/ttl'], '0')
})

test('an autoscaler follows the load up at once and down only when it stays down', async () => {
  await using cluster = await startFakeCluster({ controllers: ['deployment', 'replicaset', 'horizontalpodautoscaling'] })
  const { server, client, signal, clock } = cluster
  let milliCpu = 100
  let measured = true
  const request = server.request.bind(server)
  server.request = async (sent) => {
    if (!sent.path.startsWith('/apis/metrics.k8s.io') || !measured) return request(sent)
    const items = server.list(pods).filter((pod) => pod.status.phase === 'Running').map((pod) => ({ metadata: { name: pod.metadata.name }, timestamp: new Date(clock.now()).toISOString(), window: '30s', containers: [{ name: 'c', usage: { cpu: `${milliCpu}m` } }] }))
    return { status: 200, headers: {}, body: { kind: 'object', object: { items } } }
  }
  const made = deployment('web', 2)
  await client.resource(deployments).create('default', { ...made, spec: { ...made.spec, template: { ...made.spec.template, spec: { containers: [{ name: 'c', image: 'x', resources: { requests: { cpu: '200m' } } }] } } } }, signal)
  await client.resource(horizontalPodAutoscalers).create('default', { metadata: { name: 'web', namespace: 'default' }, spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' }, minReplicas: 2, maxReplicas: 9, metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } } }] } }, signal)
  const size = (): number | undefined => server.get(deployments, 'default', 'web')?.spec.replicas
  const conditions = (): readonly string[] => (server.get(horizontalPodAutoscalers, 'default', 'web')?.status.conditions ?? []).map((c) => `${c.type}=${c.status} ${c.reason}`)
  await cluster.advance(60_000)
  assert.equal(size(), 2)
  assert.deepEqual(server.get(horizontalPodAutoscalers, 'default', 'web')?.status.currentMetrics, [{ type: 'Resource', resource: { name: 'cpu', current: { averageUtilization: 50, averageValue: '100m' } } }])
  milliCpu = 300
  await cluster.advance(20_000)
  assert.equal(size(), 6)
  // The new pods count once they have been measured for as long as a measurement takes; the maximum is the maximum.
  await cluster.advance(60_000)
  assert.equal(size(), 9)
  assert.ok(conditions().includes('ScalingLimited=True TooManyReplicas'), conditions().join())
  milliCpu = 20
  await cluster.advance(200_000)
  assert.equal(size(), 9)
  assert.ok(conditions().includes('AbleToScale=True ScaleDownStabilized'), conditions().join())
  await cluster.advance(200_000)
  assert.equal(size(), 2)
  measured = false
  await cluster.advance(40_000)
  assert.equal(size(), 2)
  assert.ok(conditions().includes('ScalingActive=False FailedGetResourceMetric'), conditions().join())
  assert.deepEqual(cluster.errors, [])
})

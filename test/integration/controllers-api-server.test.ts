// The controllers against the real API server and etcd in one process, each under its own service account and RBAC.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../src/lib/base/random.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import type { Logger } from '../../src/lib/component-base/log.ts'
import type { ApiClient } from '../../src/lib/client/api-client.ts'
import { createApiClient } from '../../src/lib/client/resource-client.ts'
import { configMaps, deployments, endpointSlices, events, namespaces, pods, replicaSets, serviceAccounts, services } from '../../src/lib/client/resource-keys.ts'
import { deepFreeze } from '../../src/lib/testing/fake-store.ts'
import { SimulatedClock, settle } from '../../src/lib/testing/simulated-clock.ts'
import { openEtcd } from '../../src/control-plane/etcd/embedded.ts'
import { startApiServer } from '../../src/control-plane/kube-apiserver/api-server.ts'
import { startControllerManager } from '../../src/control-plane/kube-controller-manager/controller-manager.ts'
import { deployment } from './fake-cluster.ts'

interface RealCluster extends AsyncDisposable {
  readonly admin: ApiClient
  readonly clock: SimulatedClock
  readonly signal: AbortSignal
  readonly errors: string[]
  until(holds: () => Promise<boolean>, what: string): Promise<void>
}

async function startRealCluster(): Promise<RealCluster> {
  const clock = new SimulatedClock()
  const random = seededRandom(3)
  const stop = new AbortController()
  const errors: string[] = []
  const logger: Logger = { ...silentLogger, error: (message, error, values) => { errors.push(`${message}: ${error instanceof Error ? error.message : String(error)} ${JSON.stringify(values ?? {})}`) }, named: () => logger }
  const stack = new AsyncDisposableStack()
  const etcd = stack.use(await openEtcd({ disk: 'memory', clock, random, logger: silentLogger }))
  const starting = startApiServer({ etcd: etcd.client, clock, random, logger: silentLogger }, stop.signal)
  const ready = Promise.withResolvers<void>()
  starting.then(() => ready.resolve(), (error: unknown) => ready.reject(error))
  let up = false
  ready.promise.then(() => { up = true }, () => { up = true })
  while (!up) await clock.advance(10)
  const server = stack.use(await starting)
  const clientOf = (name: string, groups: readonly string[]): ApiClient => createApiClient(server.transport({ name, uid: '', groups: [...groups, 'system:authenticated'], extra: {} }), { userAgent: name })
  const manager = startControllerManager({
    client: clientOf('system:kube-controller-manager', []), clientFor: (account) => clientOf(`system:serviceaccount:kube-system:${account}`, ['system:serviceaccounts', 'system:serviceaccounts:kube-system']),
    clock, random, logger, settings: { rootCa: 'CERT' }, onStore: (object) => { deepFreeze(object) },
  }, stop.signal)
  let running = false
  manager.ready.then(() => { running = true }, () => { running = true })
  while (!running) await clock.advance(10)
  stack.defer(async () => {
    stop.abort(new Error('the test is over'))
    await manager.done
  })
  const kept = stack.move()
  return {
    admin: clientOf('admin', ['system:masters']), clock, signal: stop.signal, errors,
    async until(holds, what) {
      for (let i = 0; i < 400; i++) {
        if (await holds()) return
        await clock.advance(50)
        await settle(4)
      }
      throw new Error(`never came true: ${what}; errors: ${errors.join('\n')}`)
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

test('controllers do their work against the real API server, with no more rights than their roles give', async () => {
  await using cluster = await startRealCluster()
  const { admin, signal, until, errors } = cluster
  const podsNow = async () => (await admin.resource(pods).list('default', {}, signal)).items
  await until(async () => (await admin.resource(serviceAccounts).list('default', {}, signal)).items.some((account) => account.metadata.name === 'default'), 'service account')
  await until(async () => (await admin.resource(configMaps).list('default', {}, signal)).items.some((map) => map.metadata.name === 'kube-root-ca.crt'), 'root ca')
  await admin.resource(services).create('default', { metadata: { name: 'web', namespace: 'default' }, spec: { selector: { app: 'web' }, ports: [{ port: 80 }] } }, signal)
  await admin.resource(deployments).create('default', deployment('web', 3), signal)
  await until(async () => (await podsNow()).length === 3, 'three pods')
  for (const pod of await podsNow()) {
    await admin.resource(pods).update({
      ...pod, status: { phase: 'Running', podIP: '10.0.0.9', podIPs: [{ ip: '10.0.0.9' }], conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' }] },
    }, signal, { subresource: 'status' })
  }
  await until(async () => (await admin.resource(deployments).get('default', 'web', signal)).status.availableReplicas === 3, 'available')
  await until(async () => (await admin.resource(endpointSlices).list('default', { labelSelector: 'kubernetes.io/service-name=web' }, signal)).items[0]?.endpoints?.length === 3, 'endpoints')
  const victim = (await podsNow())[0]?.metadata.name ?? ''
  await admin.resource(pods).delete('default', victim, {}, signal)
  await until(async () => { const all = await podsNow(); return all.length === 3 && all.every((pod) => pod.metadata.name !== victim) }, 'replaced')
  await until(async () => (await admin.resource(events).list('default', {}, signal)).items.some((event) => event.reason === 'ScalingReplicaSet'), 'events')
  await admin.resource(deployments).delete('default', 'web', { propagationPolicy: 'Foreground' }, signal)
  await until(async () => (await podsNow()).length === 0 && (await admin.resource(replicaSets).list('default', {}, signal)).items.length === 0
    && (await admin.resource(deployments).list('default', {}, signal)).items.length === 0, 'all gone')
  // Quiet: whoever goes on writing would show here.
  const before = (await admin.resource(namespaces).list('', {}, signal)).metadata.resourceVersion
  await cluster.clock.advance(2_000)
  const after = (await admin.resource(namespaces).list('', {}, signal)).metadata.resourceVersion
  assert.ok(Number(after) - Number(before) < 5, `${before} → ${after}`)
  assert.deepEqual(errors, [])
})

test('a namespace is emptied and goes', async () => {
  await using cluster = await startRealCluster()
  const { admin, signal, until } = cluster
  await admin.resource(namespaces).create('', { metadata: { name: 'team' } }, signal)
  const made = deployment('web', 2)
  await admin.resource(deployments).create('team', { ...made, metadata: { ...made.metadata, namespace: 'team' } }, signal)
  await until(async () => (await admin.resource(pods).list('team', {}, signal)).items.length === 2, 'pods')
  await admin.resource(namespaces).delete('', 'team', {}, signal)
  await until(async () => !(await admin.resource(namespaces).list('', {}, signal)).items.some((namespace) => namespace.metadata.name === 'team'), 'namespace gone')
  assert.deepEqual(cluster.errors, [])
})

// Pods per second from create to bound: etcd in memory, API server and scheduler in one process, 16 creators. Run by hand:
//   node test/benchmarks/scheduler-end-to-end.ts [nodes=500] [pods=5000]
import { openEtcd } from '../../src/control-plane/etcd/embedded.ts'
import { startApiServer } from '../../src/control-plane/kube-apiserver/api-server.ts'
import { startScheduler } from '../../src/control-plane/kube-scheduler/scheduler.ts'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { createInformerFactory } from '../../src/lib/client/informer.ts'
import { createApiClient } from '../../src/lib/client/resource-client.ts'
import { nodes, pods, serviceAccounts } from '../../src/lib/client/resource-keys.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'

const [nodeCount = 500, podCount = 5_000] = process.argv.slice(2).map(Number)
const stop = new AbortController()
const common = { clock: realClock, random: realRandom, logger: silentLogger }
const etcd = await openEtcd({ ...common, disk: 'memory' })
const api = await startApiServer({ ...common, etcd: etcd.client }, stop.signal)
const admin = createApiClient(api.transport({ name: 'admin', uid: '', groups: ['system:masters', 'system:authenticated'], extra: {} }), { userAgent: 'bench' })
await admin.resource(serviceAccounts).create('default', { metadata: { name: 'default' } }, stop.signal).catch(() => {})
for (let i = 0; i < nodeCount; i++) {
  const name = `node${i}`
  const made = await admin.resource(nodes).create('', { metadata: { name, labels: { 'kubernetes.io/hostname': name, 'topology.kubernetes.io/zone': `zone${i % 3}` } } }, stop.signal)
  const untainted = await admin.resource(nodes).update({ ...made, spec: { ...made.spec, taints: [] } }, stop.signal)
  await admin.resource(nodes).update({ ...untainted, status: { ...untainted.status, allocatable: { cpu: '64', memory: '256Gi', pods: '500' } } }, stop.signal, { subresource: 'status' })
}
const client = createApiClient(api.transport({ name: 'system:kube-scheduler', uid: '', groups: ['system:authenticated'], extra: {} }), { userAgent: 'kube-scheduler' })
const scheduler = await startScheduler({ ...common, client, informers: createInformerFactory({ ...common, client }) }, stop.signal)
let bound = 0
const watching = createInformerFactory({ ...common, client: admin })
const allBound = new Promise<void>((resolve) => {
  watching.informer(pods).addHandler({ updated: (pod, old) => { if (pod.spec.nodeName && !old.spec.nodeName && ++bound === podCount) resolve() } })
})
watching.start(stop.signal)
await watching.waitForSync(stop.signal)
const started = process.hrtime.bigint()
let next = 0
await Promise.all(Array.from({ length: 16 }, async () => {
  while (next < podCount) {
    const i = next++
    await admin.resource(pods).create('default', { metadata: { name: `p${i}`, labels: { app: `app${i % 20}` } }, spec: { containers: [{ name: 'c', image: 'registry.k8s.io/pause:3.10', resources: { requests: { cpu: '100m', memory: '64Mi' } } }] } }, stop.signal)
  }
}))
const created = process.hrtime.bigint()
await allBound
const seconds = Number(process.hrtime.bigint() - started) / 1e9
console.log(`${Math.round(podCount / seconds)} pods/s created → bound (${podCount} pods, ${nodeCount} nodes, ${seconds.toFixed(2)} s, of which creating ${(Number(created - started) / 1e9).toFixed(2)} s), ${Math.round(process.memoryUsage().rss / 2 ** 20)} MiB`)
stop.abort()
await scheduler[Symbol.asyncDispose]()
await api[Symbol.asyncDispose]()
await etcd[Symbol.asyncDispose]()
process.exit(0)

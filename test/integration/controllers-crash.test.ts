// K1: the controller manager crashes at its k-th write, before or after the server has done it, and starts again. The end is the same for every k, and at
// no time is there more than there should be.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cronJobs, daemonSets, deployments, endpointSlices, jobs, pods, replicaSets, services, statefulSets } from '../../src/lib/client/resource-keys.ts'
import { deployment, imagesOf, startFakeCluster } from './fake-cluster.ts'
import type { FakeCluster, FakeClusterOptions } from './fake-cluster.ts'

interface Scenario {
  readonly name: string
  readonly options: FakeClusterOptions
  /** Runs to the end and returns what is there then. */
  run(cluster: FakeCluster): Promise<unknown>
  /** Must hold after every change. */
  invariant(cluster: FakeCluster): string | undefined
}

const alive = (cluster: FakeCluster): number => cluster.server.list(pods).filter((pod) => !pod.metadata.deletionTimestamp).length
const template = (image: string) => ({ metadata: { labels: { app: 'x' } }, spec: { containers: [{ name: 'c', image }] } })
const image = (name: string) => ({ spec: { template: { spec: { containers: [{ name: 'c', image: name }] } } } })

const scenarios: readonly Scenario[] = [
  {
    name: 'rollout of a deployment behind a service', options: { controllers: ['deployment', 'replicaset', 'endpointslice', 'garbagecollector'] },
    async run(cluster) {
      const { client, server, signal } = cluster
      await client.resource(services).create('default', { metadata: { name: 'web', namespace: 'default' }, spec: { selector: { app: 'web' }, ports: [{ port: 80 }] } }, signal)
      await client.resource(deployments).create('default', deployment('web', 4), signal)
      await cluster.settle()
      await client.resource(deployments).patch('default', 'web', 'application/strategic-merge-patch+json', image('web:2'), signal)
      await cluster.settle()
      const slices = server.list(endpointSlices)
      return [imagesOf(server.list(pods)), server.list(replicaSets).map((set) => set.spec.replicas).toSorted(), slices.length, slices[0]?.endpoints?.length, server.get(deployments, 'default', 'web')?.status.availableReplicas]
    },
    invariant: (cluster) => (alive(cluster) > 5 ? `${alive(cluster)} pods` : undefined),
  },
  {
    name: 'update of a stateful set', options: { controllers: ['statefulset'] },
    async run(cluster) {
      const { client, server, signal } = cluster
      await client.resource(statefulSets).create('default', { metadata: { name: 'db', namespace: 'default' }, spec: { replicas: 3, serviceName: 'db', selector: { matchLabels: { app: 'x' } }, template: template('v1') } }, signal)
      await cluster.settle()
      await client.resource(statefulSets).patch('default', 'db', 'application/strategic-merge-patch+json', image('v2'), signal)
      await cluster.settle()
      const status = server.get(statefulSets, 'default', 'db')?.status
      return [imagesOf(server.list(pods)), server.list(pods).map((pod) => pod.metadata.name), status?.readyReplicas, status?.currentRevision === status?.updateRevision]
    },
    invariant: (cluster) => (cluster.server.list(pods).length > 3 ? 'more than three' : undefined),
  },
  {
    name: 'update of a daemon set', options: { controllers: ['daemonset'], nodes: 3 },
    async run(cluster) {
      const { client, server, signal } = cluster
      await client.resource(daemonSets).create('default', { metadata: { name: 'agent', namespace: 'default' }, spec: { selector: { matchLabels: { app: 'x' } }, template: template('v1') } }, signal)
      await cluster.settle()
      await client.resource(daemonSets).patch('default', 'agent', 'application/strategic-merge-patch+json', image('v2'), signal)
      await cluster.settle()
      return [imagesOf(server.list(pods)), server.list(pods).map((pod) => pod.spec.nodeName).toSorted(), server.get(daemonSets, 'default', 'agent')?.status.updatedNumberScheduled]
    },
    invariant: (cluster) => {
      const byNode = Map.groupBy(cluster.server.list(pods).filter((pod) => !pod.metadata.deletionTimestamp && pod.spec.nodeName), (pod) => pod.spec.nodeName)
      return [...byNode.values()].some((all) => all.length > 1) ? 'two on a node' : undefined
    },
  },
  {
    name: 'a job', options: { controllers: ['job'], outcome: (pod) => (pod.metadata.name.charCodeAt(pod.metadata.name.length - 1) % 4 === 0 ? 'Failed' : 'Succeeded') },
    async run(cluster) {
      const { client, server, signal } = cluster
      await client.resource(jobs).create('default', { metadata: { name: 'sum', namespace: 'default' }, spec: { completions: 6, parallelism: 2, backoffLimit: 50, template: { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'x' }] } } } }, signal)
      for (let i = 0; i < 40 && !server.get(jobs, 'default', 'sum')?.status.completionTime; i++) await cluster.advance(60_000)
      const status = server.get(jobs, 'default', 'sum')?.status
      const ended = (phase: string): number => server.list(pods).filter((pod) => pod.status.phase === phase).length
      // Every pod that ended is counted, and once.
      return [status?.succeeded, status?.succeeded === ended('Succeeded'), (status?.failed ?? 0) === ended('Failed'), status?.conditions?.at(-1)?.type]
    },
    invariant: (cluster) => (cluster.server.list(pods).filter((pod) => pod.status.phase === 'Pending').length > 2 ? 'more than two at a time' : undefined),
  },
  {
    name: 'a cron job', options: { controllers: ['cronjob'] },
    async run(cluster) {
      const { client, server, signal } = cluster
      await client.resource(cronJobs).create('default', { metadata: { name: 'tick', namespace: 'default' }, spec: { schedule: '* * * * *', jobTemplate: { spec: { template: template('x') } } } }, signal)
      for (let i = 0; i < 5; i++) { await cluster.clock.advance(60_000); await cluster.settle() }
      return [server.list(jobs).length, server.get(cronJobs, 'default', 'tick')?.status.active?.length]
    },
    invariant: () => undefined,
  },
]

/** Runs a scenario with a crash at the k-th write; tells whether there was one. */
async function runCrashing(scenario: Scenario, crashAt: number, afterwards: boolean): Promise<{ readonly end: unknown, readonly crashed: boolean }> {
  await using cluster = await startFakeCluster(scenario.options)
  let writes = 0
  let crashed = false
  let broken = ''
  using _watch = cluster.server.store.onChange(() => { broken ||= scenario.invariant(cluster) ?? '' })
  let restarting: Promise<void> | undefined
  const request = cluster.server.request.bind(cluster.server)
  cluster.server.request = async (sent) => {
    const own = sent.path.includes('fieldManager=kube-controller-manager') || sent.method === 'DELETE'
    if (!own || ++writes !== crashAt) return request(sent)
    crashed = true
    if (afterwards) await request(sent)
    restarting = cluster.restart()
    return new Promise((_resolve, reject) => { reject(new Error('crashed')) })
  }
  const end = await scenario.run(cluster)
  await restarting
  assert.equal(broken, '', `${scenario.name}, crash at write ${crashAt}`)
  return { end, crashed }
}

for (const scenario of scenarios) {
  test(`K1: ${scenario.name}`, async () => {
    const { end } = await runCrashing(scenario, 0, false)
    for (let crashAt = 1; crashAt < 60; crashAt += crashAt < 12 ? 1 : 4) {
      for (const afterwards of [false, true]) {
        const run = await runCrashing(scenario, crashAt, afterwards)
        assert.deepEqual(run.end, end, `crash ${afterwards ? 'after' : 'before'} write ${crashAt}`)
        if (!run.crashed) return
      }
    }
  })
}

// Pods per second of the scheduler's core: pods as API objects in, node names out, one thread, no API. Run by hand:
//   node test/benchmarks/scheduler.ts [nodes=5000] [podsPerNode=100] [pods=20000]
// The pods of 20 templates come in turn, each is placed on the best of all nodes, and stays. Targets: reference/node-performance.md, section 5.
import type { Node, Pod } from '../../src/lib/api/generated/types/core-v1.ts'
import type { Draft } from '../../src/lib/base/json.ts'
import { randomInteger, seededRandom } from '../../src/lib/base/random.ts'
import { SchedulerCache } from '../../src/control-plane/kube-scheduler/cache/scheduler-cache.ts'
import type { ClusterObjects } from '../../src/control-plane/kube-scheduler/framework/cluster-view.ts'
import { podInfo } from '../../src/control-plane/kube-scheduler/framework/pod-info.ts'
import { ClassIndex } from '../../src/control-plane/kube-scheduler/placement/class-index.ts'
import { fastProfile } from '../../src/control-plane/kube-scheduler/placement/fast-profile.ts'
import { builtInPlugins } from '../../src/control-plane/kube-scheduler/plugins/registry.ts'
import { buildProfiles } from '../../src/control-plane/kube-scheduler/scheduler-configuration.ts'

const [nodeCount = 5_000, podsPerNode = 100, podCount = 20_000] = process.argv.slice(2).map(Number)
const objects = {
  namespace: () => undefined, services: () => [], replicaSet: () => undefined, statefulSet: () => undefined, replicationController: () => undefined, claim: () => undefined, volume: () => undefined,
  volumes: () => [], storageClass: () => undefined, csiNode: () => undefined, disruptionBudgets: () => [],
} satisfies ClusterObjects

const templateCount = 20
const workloads: { readonly [name: string]: (template: number) => Draft<Pod['spec']> } = {
  basic: () => ({}),
  'node affinity': (i) => ({ affinity: { nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'topology.kubernetes.io/zone', operator: 'In', values: [`zone${i % 3}`] }] }] },
    preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 10, preference: { matchExpressions: [{ key: 'disk', operator: 'In', values: ['ssd'] }] } }] } } }),
  'pod anti-affinity': (i) => ({ affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { app: `app${i}` } } }] } } }),
  'topology spread': (i) => ({ topologySpreadConstraints: [
    { maxSkew: 5, topologyKey: 'topology.kubernetes.io/zone', whenUnsatisfiable: 'DoNotSchedule', labelSelector: { matchLabels: { app: `app${i}` } } },
    { maxSkew: 1, topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'ScheduleAnyway', labelSelector: { matchLabels: { app: `app${i}` } } }] }),
}

function makePod(name: string, template: number, spec: Draft<Pod['spec']>, nodeName?: string): Pod {
  return {
    metadata: { name, namespace: 'default', uid: name, labels: { app: `app${template}`, 'pod-template-hash': '5d4f' } },
    spec: { containers: [{ name: 'c', image: 'registry.k8s.io/pause:3.10', resources: { requests: { cpu: `${10 + template}m`, memory: `${16 + template}Mi` } } }], schedulerName: 'default-scheduler', ...spec, ...nodeName === undefined ? {} : { nodeName } },
  } as unknown as Pod // cast: what the scheduler reads of a pod
}

for (const [name, specOf] of Object.entries(workloads)) {
  const random = seededRandom(1)
  const cache = new SchedulerCache(objects)
  for (let i = 0; i < nodeCount; i++) {
    cache.addNode({
      metadata: { name: `node${i}`, labels: { 'kubernetes.io/hostname': `node${i}`, 'topology.kubernetes.io/zone': `zone${i % 3}`, disk: i % 2 === 0 ? 'ssd' : 'hdd' } },
      spec: {}, status: { allocatable: { cpu: '64', memory: '256Gi', pods: String(podsPerNode + 200) } },
    } as unknown as Node) // cast: what the scheduler reads of a node
  }
  const filling = process.hrtime.bigint()
  for (let n = 0; n < nodeCount; n++) for (let i = 0; i < podsPerNode; i++) cache.addPod(makePod(`e${n}-${i}`, 100 + randomInteger(random, templateCount), {}, `node${n}`))
  const filled = process.hrtime.bigint()
  const [profile] = buildProfiles()
  const fast = profile && fastProfile(profile, new Set(builtInPlugins.keys()))
  if (!fast) throw new Error('the default profile is a fast one')
  const index = new ClassIndex(cache, (bound) => randomInteger(random, bound))
  const place = (pod: Pod): boolean => {
    const info = podInfo(pod)
    const pick = index.classOf(info, fast)?.pick()
    if (!pick) return false
    cache.assume(info, pick.node.name)
    return true
  }
  const specs = Array.from({ length: templateCount }, (_, i) => specOf(i))
  for (let i = 0; i < templateCount * 10; i++) place(makePod(`w${i}`, i % templateCount, specs[i % templateCount] ?? {}))
  const pods = Array.from({ length: podCount }, (_, i) => makePod(`p${i}`, i % templateCount, specs[i % templateCount] ?? {}))
  let placed = 0
  const started = process.hrtime.bigint()
  for (const pod of pods) if (place(pod)) placed++
  const seconds = Number(process.hrtime.bigint() - started) / 1e9
  console.log(`${name.padEnd(20)} ${String(Math.round(podCount / seconds)).padStart(8)} pods/s   ${(seconds / podCount * 1e6).toFixed(1)} us/pod   placed ${placed}/${podCount}   ${nodeCount} nodes × ${podsPerNode} pods (filled in ${(Number(filled - filling) / 1e9).toFixed(1)} s), ${Math.round(process.memoryUsage().rss / 2 ** 20)} MiB`)
}

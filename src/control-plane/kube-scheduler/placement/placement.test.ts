// The class heaps against the plain way, on random clusters that change between the questions: both must find the same best score, and both must
// find none when there is none. The plain way counts pods by passing over all of them here, so the counters are on trial as well.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Node, Pod } from '../../../lib/api/generated/types/core-v1.ts'
import type { Draft } from '../../../lib/base/json.ts'
import { randomInteger, seededRandom } from '../../../lib/base/random.ts'
import { SchedulerCache } from '../cache/scheduler-cache.ts'
import { matcherHolds, scopeHolds } from '../framework/affinity-terms.ts'
import type { AffinityTerm } from '../framework/affinity-terms.ts'
import type { ClusterObjects, ClusterView, HeldTerm, PodCounts } from '../framework/cluster-view.ts'
import { Framework } from '../framework/framework.ts'
import { podInfo } from '../framework/pod-info.ts'
import { selectHost, findFeasible } from '../framework/schedule-pod.ts'
import { builtInPlugins } from '../plugins/registry.ts'
import { buildProfiles } from '../scheduler-configuration.ts'
import type { ProfileConfiguration } from '../scheduler-configuration.ts'
import { ClassIndex } from './class-index.ts'
import { fastProfile } from './fast-profile.ts'

/** Counts by looking at every pod of a node: slow and plainly right. */
function scanningCounts(cache: SchedulerCache): PodCounts {
  return {
    matching: (matcher) => (node) => [...node.pods.values()].filter((p) => !(matcher.skipTerminating && p.terminating) && matcherHolds(matcher, p.namespace, p.labels, cache.namespaceLabels)).length,
    heldTermsFor(pod) {
      const found = new Map<string, HeldTerm>()
      const add = (kind: HeldTerm['kind'], term: AffinityTerm, weight: number): void => {
        if (!scopeHolds(term, pod.namespace, pod.labels, cache.namespaceLabels)) return
        const key = `${kind}${weight}${term.topologyKey}${term.key}`
        found.set(key, { kind, term, weight, count: (node) => {
          let count = 0
          for (const { template: t } of node.pods.values()) {
            const terms = kind === 'requiredAnti' ? t.requiredAntiAffinity : kind === 'required' ? t.requiredAffinity : (kind === 'preferred' ? t.preferredAffinity : t.preferredAntiAffinity).filter((w) => w.weight === weight).map((w) => w.term)
            count += terms.filter((x) => x.key === term.key && x.topologyKey === term.topologyKey).length
          }
          return count
        } })
      }
      for (const node of cache.nodes) for (const { template: t } of node.pods.values()) {
        for (const term of t.requiredAntiAffinity) add('requiredAnti', term, 0)
        for (const term of t.requiredAffinity) add('required', term, 0)
        for (const { term, weight } of t.preferredAffinity) add('preferred', term, weight)
        for (const { term, weight } of t.preferredAntiAffinity) add('preferredAnti', term, weight)
      }
      return [...found.values()]
    },
  }
}

const profiles: readonly ProfileConfiguration[] = [
  {},
  { pluginConfig: [{ name: 'NodeResourcesFit', args: { scoringStrategy: { type: 'MostAllocated', resources: [{ name: 'cpu', weight: 3 }, { name: 'memory', weight: 1 }, { name: 'example.com/gpu', weight: 5 }] } } }] },
  { plugins: { score: { disabled: [{ name: 'TaintToleration' }], enabled: [{ name: 'PodTopologySpread', weight: 7 }] } }, pluginConfig: [
    { name: 'NodeResourcesFit', args: { scoringStrategy: { type: 'RequestedToCapacityRatio', resources: [{ name: 'cpu', weight: 1 }], shape: [{ utilization: 0, score: 0 }, { utilization: 60, score: 10 }, { utilization: 100, score: 2 }] } } },
    { name: 'PodTopologySpread', args: { defaultingType: 'List', defaultConstraints: [{ maxSkew: 2, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule' }] } },
    { name: 'InterPodAffinity', args: { hardPodAffinityWeight: 40 } }] },
]

for (let seed = 1; seed <= 12; seed++) {
  test(`the class heaps find the same best score as the plain way (seed ${seed})`, () => run(seed))
}

function run(seed: number): void {
  const random = seededRandom(seed)
  const int = (bound: number): number => randomInteger(random, bound)
  const one = <T>(items: readonly T[]): T => items[int(items.length)] ?? assert.fail('empty')
  const maybe = (percent: number): boolean => int(100) < percent
  const namespaceLabels: Record<string, Record<string, string>> = { a: { team: 'x' }, b: { team: 'y' } }
  let serviceApp = 'web'
  const objects = {
    namespace: (name: string) => ({ metadata: { name, labels: namespaceLabels[name] ?? {} } }), services: (namespace: string) => (namespace === 'a' ? [{ spec: { selector: { app: serviceApp } } }] : []),
    replicaSet: () => undefined, statefulSet: () => undefined, replicationController: () => undefined, claim: () => undefined, volume: () => undefined, volumes: () => [], storageClass: () => undefined, csiNode: () => undefined, disruptionBudgets: () => [],
  } as unknown as ClusterObjects // cast: only what the plugins read
  const cache = new SchedulerCache(objects)
  const [profile] = buildProfiles({ profiles: [profiles[seed % profiles.length] ?? {}] })
  assert.ok(profile)
  const plainView: ClusterView = Object.create(cache, { counts: { value: scanningCounts(cache) }, nodes: { get: () => cache.nodes }, node: { value: (n: string) => cache.node(n) },
    imageNodes: { value: (i: string) => cache.imageNodes(i) }, claimUsers: { value: () => 0 }, nominatedPods: { value: () => [] } }) as ClusterView // cast: the cache with slower counts
  const plain = new Framework(profile, plainView, int)
  const fast = fastProfile(profile, new Set(builtInPlugins.keys()))
  assert.ok(fast, 'the profile has built-in plugins only')
  const index = new ClassIndex(cache, int, seed % 2 === 0 ? 3 : undefined)

  const makeNode = (name: string): Node => {
    const labels: Record<string, string> = { 'kubernetes.io/hostname': name, disk: one(['ssd', 'hdd']) }
    if (maybe(85)) labels['topology.kubernetes.io/zone'] = `z${int(3)}`
    if (maybe(85)) labels['zone'] = `z${int(4)}`
    if (maybe(80)) labels['rack'] = `r${int(seed % 4 < 2 ? 30 : 5)}`
    const taints = [...maybe(15) ? [{ key: 'dedicated', value: 'db', effect: 'NoSchedule' }] : [], ...maybe(20) ? [{ key: 'old', effect: 'PreferNoSchedule' }] : [], ...maybe(10) ? [{ key: 'slow', effect: 'PreferNoSchedule' }] : []]
    return {
      metadata: { name, labels }, spec: { taints, ...maybe(5) ? { unschedulable: true } : {} },
      status: { allocatable: { cpu: `${2 + int(6)}`, memory: `${4 + int(12)}Gi`, pods: `${6 + int(20)}`, ...maybe(30) ? { 'example.com/gpu': '4' } : {} }, images: maybe(30) ? [{ names: ['big:1'], sizeBytes: 500_000_000 }] : [] },
    } as unknown as Node // cast: what the scheduler reads of a node
  }
  const selector = () => one([{ matchLabels: { app: 'web' } }, { matchLabels: { app: 'db' } }, { matchExpressions: [{ key: 'app', operator: 'In', values: ['web', 'cache'] }] }, { matchExpressions: [{ key: 'app', operator: 'Exists' }] }, {}])
  const term = () => ({ labelSelector: selector(), topologyKey: one(['kubernetes.io/hostname', 'zone', 'rack']), ...maybe(25) ? { namespaces: ['b'] } : maybe(25) ? { namespaceSelector: { matchLabels: { team: 'y' } } } : {} })
  const templates = Array.from({ length: 14 }, (_, i): Draft<Pod> => {
    const affinity = {
      ...maybe(30) ? { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1 + int(90), preference: { matchExpressions: [{ key: 'disk', operator: 'In', values: ['ssd'] }] } }], ...maybe(30) ? { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'zone', operator: 'NotIn', values: ['z1'] }] }] } } : {} } } : {},
      ...maybe(30) ? { podAffinity: { ...maybe(50) ? { requiredDuringSchedulingIgnoredDuringExecution: [term()] } : {}, ...maybe(70) ? { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1 + int(99), podAffinityTerm: term() }] } : {} } } : {},
      ...maybe(40) ? { podAntiAffinity: { ...maybe(50) ? { requiredDuringSchedulingIgnoredDuringExecution: [term()] } : {}, ...maybe(70) ? { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1 + int(99), podAffinityTerm: term() }] } : {} } } : {},
    }
    const spread = Array.from({ length: maybe(45) ? 1 + int(2) : 0 }, () => ({
      maxSkew: 1 + int(2), topologyKey: one(['kubernetes.io/hostname', 'zone', 'rack']), whenUnsatisfiable: one(['DoNotSchedule', 'ScheduleAnyway']), labelSelector: selector(),
      ...maybe(20) ? { nodeTaintsPolicy: 'Honor' } : {}, ...maybe(20) ? { nodeAffinityPolicy: 'Ignore' } : {}, ...maybe(20) ? { minDomains: 3 } : {} }))
    return {
      metadata: { namespace: one(['a', 'b']), labels: { app: one(['web', 'db', 'cache']), index: String(i) } },
      spec: {
        containers: [{ name: 'c', image: one(['big:1', 'small:1']), resources: { requests: { ...maybe(80) ? { cpu: one(['100m', '500m']) } : {}, ...maybe(80) ? { memory: one(['128Mi', '1Gi']) } : {}, ...maybe(15) ? { 'example.com/gpu': '1' } : {} } }, ...maybe(10) ? { ports: [{ hostPort: 80, containerPort: 80 }] } : {} }],
        affinity, ...spread.length > 0 ? { topologySpreadConstraints: spread } : {}, ...maybe(20) ? { nodeSelector: { disk: 'ssd' } } : {}, ...maybe(30) ? { tolerations: [{ key: 'dedicated', operator: 'Exists' }, { key: 'old', operator: 'Exists' }] } : {},
      } as unknown as Pod['spec'], // cast: drafts of pods
    }
  })
  let made = 0
  const placed: Pod[] = []
  const makePod = (nodeName?: string): Pod => {
    const template = one(templates)
    const name = `p${made++}`
    return { ...template, metadata: { ...template.metadata, name, uid: name, labels: { ...template.metadata?.labels, unique: name } }, spec: { ...template.spec, ...nodeName === undefined ? {} : { nodeName } } } as Pod // cast: complete enough
  }
  for (let i = 0; i < 40 + int(60); i++) cache.addNode(makeNode(`n${i}`))
  let fastAnswers = 0
  for (let step = 0; step < 160; step++) {
    const change = int(20)
    const anyNode = one(cache.nodes).name
    if (change === 0) cache.updateNode(makeNode(anyNode))
    else if (change === 1) cache.removeNode(anyNode)
    else if (change === 2) cache.addNode(makeNode(`m${step}`))
    else if (change === 3 && placed.length > 0) { const [gone] = placed.splice(int(placed.length), 1); if (gone) cache.removePod(gone.metadata.uid) }
    else if (change === 4 && placed.length > 0) { const old = one(placed); cache.updatePod({ ...old, metadata: { ...old.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } }) }
    else if (change === 5) { namespaceLabels['a'] = { team: one(['x', 'y']) }; cache.namespaceChanged('a') }
    else if (change === 6) { serviceApp = one(['web', 'db']); cache.ownersVersion++ }
    else if (change === 7) for (let i = 0; i < 5; i++) { const pod = makePod(anyNode); placed.push(pod); cache.addPod(pod) }
    const pod = makePod()
    const info = podInfo(pod)
    const outcome = findFeasible(plain, info, plainView, { startIndex: 0, allNodes: true })
    const scored = outcome.feasible.length > 1 ? plain.score(outcome.state, info, outcome.feasible) : []
    const best = selectHost(scored, int)
    const chosen = index.classOf(info, fast)
    const pick = chosen?.pick()
    if (chosen) {
      fastAnswers++
      assert.equal(pick?.feasible ?? 0, outcome.feasible.length, `step ${step}: number of nodes that fit ${JSON.stringify(pod.spec)}`)
      if (best) assert.equal(scored.find((s) => s.node === pick?.node)?.total, best.total, `step ${step}: the chosen node's score ${JSON.stringify(pod)}`)
      if (best) assert.equal(pick?.total, best.total, `step ${step}: the score it says`)
    }
    const node = pick?.node ?? best?.node ?? outcome.feasible[0]
    if (!node) continue
    const bound = { ...pod, spec: { ...pod.spec, nodeName: node.name } }
    if (maybe(50)) cache.assume(info, node.name)
    cache.addPod(bound)
    placed.push(bound)
  }
  assert.ok(fastAnswers > 60, `most pods go the fast way, these: ${fastAnswers}`)
}

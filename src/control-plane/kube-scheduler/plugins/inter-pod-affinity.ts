// Pods that want to be near, or far from, other pods. Binding both ways: a pod that forbids others near it is obeyed when the others come.
// Upstream: plugins/interpodaffinity
import { matcherHolds, podMatcher, scopeHolds } from '../framework/affinity-terms.ts'
import type { AffinityTerm, NamespaceLabels } from '../framework/affinity-terms.ts'
import type { ClusterView, HeldTerm } from '../framework/cluster-view.ts'
import { stateKey } from '../framework/cycle-state.ts'
import type { Copyable } from '../framework/cycle-state.ts'
import { labelOf } from '../framework/labels.ts'
import type { NodeInfo } from '../framework/node-info.ts'
import { maxNodeScore } from '../framework/plugin.ts'
import type { Plugin } from '../framework/plugin.ts'
import type { PodInfo } from '../framework/pod-info.ts'
import { skip, status } from '../framework/status.ts'

export interface InterPodAffinityArgs {
  /** Weight of others' required affinity to the incoming pod; 0..100. */
  readonly hardPodAffinityWeight?: number
  readonly ignorePreferredTermsOfExistingPods?: boolean
}

export const defaultHardPodAffinityWeight = 1

/** topology key → domain → number */
class DomainSums {
  readonly byKey = new Map<string, Map<string, number>>()
  /** Pairs that are not zero. */
  size = 0
  get(key: string, domain: string): number { return this.byKey.get(key)?.get(domain) ?? 0 }
  add(key: string, node: NodeInfo, by: number): void {
    const domain = labelOf(node.node.metadata.labels, key)
    if (domain === undefined || by === 0) return
    let domains = this.byKey.get(key)
    if (!domains) this.byKey.set(key, domains = new Map())
    const before = domains.get(domain) ?? 0
    const after = before + by
    if (after === 0) { domains.delete(domain); this.size-- } else { domains.set(domain, after); if (before === 0) this.size++ }
  }
  copy(): DomainSums {
    const copy = new DomainSums()
    for (const [key, domains] of this.byKey) copy.byKey.set(key, new Map(domains))
    copy.size = this.size
    return copy
  }
}

class FilterState implements Copyable {
  /** Pods that forbid the incoming one near them. */
  existingAnti = new DomainSums()
  /** Pods that match all of the incoming pod's affinity terms. */
  affinity = new DomainSums()
  /** Pods that match one of its anti-affinity terms. */
  anti = new DomainSums()
  copy(): FilterState {
    const copy = new FilterState()
    copy.existingAnti = this.existingAnti.copy()
    copy.affinity = this.affinity.copy()
    copy.anti = this.anti.copy()
    return copy
  }
  change(pod: PodInfo, changed: PodInfo, node: NodeInfo, by: 1 | -1, namespaceLabels: NamespaceLabels): void {
    const { requiredAffinity, requiredAntiAffinity } = pod.template
    for (const term of changed.template.requiredAntiAffinity) if (scopeHolds(term, pod.namespace, pod.labels, namespaceLabels)) this.existingAnti.add(term.topologyKey, node, by)
    if (matcherHolds(podMatcher(requiredAffinity, false), changed.namespace, changed.labels, namespaceLabels)) for (const term of requiredAffinity) this.affinity.add(term.topologyKey, node, by)
    for (const term of requiredAntiAffinity) if (scopeHolds(term, changed.namespace, changed.labels, namespaceLabels)) this.anti.add(term.topologyKey, node, by)
  }
}

const filterKey = stateKey<FilterState>('PreFilterInterPodAffinity')
const scoreKey = stateKey<{ readonly sums: DomainSums }>('PreScoreInterPodAffinity')
const affinityRefusal = status('unresolvable', "node(s) didn't match pod affinity rules")
const antiRefusal = status('unschedulable', "node(s) didn't match pod anti-affinity rules")
const existingRefusal = status('unschedulable', "node(s) didn't satisfy existing pods anti-affinity rules")

/** Does the pod match all its own affinity terms? The first of a group may go anywhere. */
export function matchesOwnAffinity(pod: PodInfo, namespaceLabels: NamespaceLabels): boolean {
  return matcherHolds(podMatcher(pod.template.requiredAffinity, false), pod.namespace, pod.labels, namespaceLabels)
}

/** What a held term adds to the score of its domain, per pod that holds it. */
export function heldWeight(held: HeldTerm, args: InterPodAffinityArgs, podHasPreferences: boolean): number {
  const ignored = (args.ignorePreferredTermsOfExistingPods ?? false) && !podHasPreferences
  switch (held.kind) {
    case 'requiredAnti': return 0
    case 'required': return args.hardPodAffinityWeight ?? defaultHardPodAffinityWeight
    case 'preferred': return ignored ? 0 : held.weight
    case 'preferredAnti': return ignored ? 0 : -held.weight
  }
}

export function interPodAffinity(args: InterPodAffinityArgs = {}): Plugin {
  return {
    name: 'InterPodAffinity',
    preFilter(state, pod, cluster) {
      const filter = new FilterState()
      const { requiredAffinity, requiredAntiAffinity } = pod.template
      const held = cluster.counts.heldTermsFor(pod).filter((h) => h.kind === 'requiredAnti')
      const allAffinity = requiredAffinity.length > 0 ? cluster.counts.matching(podMatcher(requiredAffinity, false)) : undefined
      const anti = requiredAntiAffinity.map((term) => ({ term, count: cluster.counts.matching(podMatcher([term], false)) }))
      if (held.length > 0 || allAffinity || anti.length > 0) {
        for (const node of cluster.nodes) {
          for (const h of held) filter.existingAnti.add(h.term.topologyKey, node, h.count(node))
          if (allAffinity) { const count = allAffinity(node); for (const term of requiredAffinity) filter.affinity.add(term.topologyKey, node, count) }
          for (const { term, count } of anti) filter.anti.add(term.topologyKey, node, count(node))
        }
      }
      // Without terms on either side there is nothing to check, but a trial may still bring a pod with terms: preemption only removes pods.
      if (filter.existingAnti.size === 0 && requiredAffinity.length === 0 && requiredAntiAffinity.length === 0) return { status: skip }
      state.write(filterKey, filter)
      return undefined
    },
    addPod: (state, pod, added, node, cluster) => state.read(filterKey)?.change(pod, added, node, 1, cluster.namespaceLabels),
    removePod: (state, pod, removed, node, cluster) => state.read(filterKey)?.change(pod, removed, node, -1, cluster.namespaceLabels),
    filter(state, pod, node, cluster) {
      const filter = state.read(filterKey)
      if (!filter) return undefined
      if (!affinityHolds(filter, pod, node, cluster)) return affinityRefusal
      for (const { topologyKey } of pod.template.requiredAntiAffinity) {
        const domain = labelOf(node.node.metadata.labels, topologyKey)
        if (domain !== undefined && filter.anti.get(topologyKey, domain) > 0) return antiRefusal
      }
      for (const [key, domains] of filter.existingAnti.byKey) {
        const domain = labelOf(node.node.metadata.labels, key)
        if (domain !== undefined && (domains.get(domain) ?? 0) > 0) return existingRefusal
      }
      return undefined
    },
    preScore(state, pod, nodes, cluster) {
      const { preferredAffinity, preferredAntiAffinity } = pod.template
      const hasPreferences = preferredAffinity.length + preferredAntiAffinity.length > 0
      const sources: { readonly term: AffinityTerm; readonly weight: number; readonly count: (node: NodeInfo) => number }[] = []
      for (const held of cluster.counts.heldTermsFor(pod)) {
        const weight = heldWeight(held, args, hasPreferences)
        if (weight !== 0) sources.push({ term: held.term, weight, count: (node) => held.count(node) })
      }
      for (const { term, weight } of preferredAffinity) sources.push({ term, weight, count: cluster.counts.matching(podMatcher([term], false)) })
      for (const { term, weight } of preferredAntiAffinity) sources.push({ term, weight: -weight, count: cluster.counts.matching(podMatcher([term], false)) })
      if (sources.length === 0) return skip
      const sums = new DomainSums()
      for (const node of cluster.nodes) for (const { term, weight, count } of sources) sums.add(term.topologyKey, node, weight * count(node))
      if (sums.size === 0) return skip
      state.write(scoreKey, { sums })
      return undefined
    },
    score(state, _pod, node) {
      let sum = 0
      for (const [key, domains] of state.read(scoreKey)?.sums.byKey ?? []) {
        const domain = labelOf(node.node.metadata.labels, key)
        if (domain !== undefined) sum += domains.get(domain) ?? 0
      }
      return sum
    },
    normalizeScore(_state, _pod, scores) {
      let least = Number.MAX_SAFE_INTEGER
      let most = Number.MIN_SAFE_INTEGER
      for (const { score } of scores) { least = Math.min(least, score); most = Math.max(most, score) }
      for (const entry of scores) entry.score = normalizedAffinity(entry.score, least, most)
    },
    eventsToRegister: () => [
      { resource: 'AssignedPod', action: 'Add' }, { resource: 'AssignedPod', action: 'Delete' }, { resource: 'AssignedPod', action: 'UpdatePodLabel' },
      { resource: 'UnscheduledPod', action: 'UpdatePodLabel' }, { resource: 'Node', action: 'Add' }, { resource: 'Node', action: 'UpdateNodeLabel' }, { resource: 'Namespace', action: '*' },
    ],
  }
}

export function normalizedAffinity(score: number, least: number, most: number): number {
  return most - least > 0 ? Math.trunc(maxNodeScore * ((score - least) / (most - least))) : 0
}

function affinityHolds(filter: FilterState, pod: PodInfo, node: NodeInfo, cluster: ClusterView): boolean {
  let present = true
  for (const { topologyKey } of pod.template.requiredAffinity) {
    const domain = labelOf(node.node.metadata.labels, topologyKey)
    if (domain === undefined) return false
    if (filter.affinity.get(topologyKey, domain) <= 0) present = false
  }
  return present || (filter.affinity.size === 0 && matchesOwnAffinity(pod, cluster.namespaceLabels))
}

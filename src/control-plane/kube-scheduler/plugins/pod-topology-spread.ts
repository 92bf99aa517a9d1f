// Spreads the pods of an owner over zones, nodes or any other division of the nodes. Hard constraints filter, soft ones score; pods without
// any get the cluster's defaults, by the services and controllers that select them. Upstream: plugins/podtopologyspread
import type { Node, TopologySpreadConstraint } from '../../../lib/api/generated/types/core-v1.ts'
import { keyRequirements, podMatcher, podScope } from '../framework/affinity-terms.ts'
import type { PodMatcher } from '../framework/affinity-terms.ts'
import type { ClusterObjects, ClusterView } from '../framework/cluster-view.ts'
import { stateKey } from '../framework/cycle-state.ts'
import type { Copyable } from '../framework/cycle-state.ts'
import { compileRequirements, compileSelector, isEmptySelector, labelOf, matchesSelector, matchNothing } from '../framework/labels.ts'
import type { CompiledSelector, LabelRequirement } from '../framework/labels.ts'
import type { NodeInfo } from '../framework/node-info.ts'
import { maxNodeScore } from '../framework/plugin.ts'
import type { NodeScore, Plugin } from '../framework/plugin.ts'
import type { PodInfo } from '../framework/pod-info.ts'
import { skip, status } from '../framework/status.ts'
import { findUntoleratedTaint } from '../framework/tolerations.ts'
import { matchesRequiredNodeAffinity } from './node-affinity.ts'

export interface PodTopologySpreadArgs {
  /** System: the built-in defaults (node and zone, soft); List: `defaultConstraints`. */
  readonly defaultingType?: 'System' | 'List'
  readonly defaultConstraints?: readonly TopologySpreadConstraint[]
}

export const hostnameKey = 'kubernetes.io/hostname'
const systemDefaults: readonly TopologySpreadConstraint[] = [
  { topologyKey: hostnameKey, whenUnsatisfiable: 'ScheduleAnyway', maxSkew: 3 },
  { topologyKey: 'topology.kubernetes.io/zone', whenUnsatisfiable: 'ScheduleAnyway', maxSkew: 5 },
]

export interface SpreadConstraint {
  readonly topologyKey: string
  readonly maxSkew: number
  readonly minDomains: number
  readonly selector: CompiledSelector
  /** Counts the pods of the incoming pod's namespace that the selector matches and that are not on their way out. */
  readonly matcher: PodMatcher
  readonly selfMatches: boolean
  readonly honorsAffinity: boolean
  readonly honorsTaints: boolean
}

export interface SpreadConstraints {
  readonly constraints: readonly SpreadConstraint[]
  /** Nodes without one of the keys are left out of scoring; the built-in defaults don't ask for that. */
  readonly requireAllKeys: boolean
}

/** The pod's constraints with this effect, or the defaults. */
export function spreadConstraints(pod: PodInfo, effect: 'DoNotSchedule' | 'ScheduleAnyway', args: PodTopologySpreadArgs, objects: ClusterObjects): SpreadConstraints {
  const own = pod.template.spreadConstraints
  const systemDefaulted = (args.defaultingType ?? 'System') === 'System'
  if (own.length > 0) return { constraints: own.filter((c) => c.whenUnsatisfiable === effect).map((c) => compileConstraint(pod, c, undefined)), requireAllKeys: true }
  const defaults = (systemDefaulted ? systemDefaults : args.defaultConstraints ?? []).filter((c) => c.whenUnsatisfiable === effect)
  if (defaults.length === 0) return { constraints: [], requireAllKeys: !systemDefaulted }
  const selector = ownersSelector(pod, objects)
  if (selector.requirements.length === 0) return { constraints: [], requireAllKeys: !systemDefaulted }
  return { constraints: defaults.map((c) => compileConstraint(pod, c, selector)), requireAllKeys: !systemDefaulted }
}

function compileConstraint(pod: PodInfo, c: TopologySpreadConstraint, given: CompiledSelector | undefined): SpreadConstraint {
  const selector = given ?? compileSelector(c.labelSelector, c.labelSelector ? keyRequirements(pod.pod, c.matchLabelKeys, 'In') : [])
  return {
    topologyKey: c.topologyKey, maxSkew: c.maxSkew, minDomains: c.minDomains ?? 1, selector,
    matcher: podMatcher([podScope([pod.namespace], undefined, isEmptySelector(selector) ? matchNothing : selector)], true),
    selfMatches: matchesSelector(selector, pod.labels), honorsAffinity: c.nodeAffinityPolicy !== 'Ignore', honorsTaints: c.nodeTaintsPolicy === 'Honor',
  }
}

/** What the services that select the pod, and its controller, select. */
function ownersSelector(pod: PodInfo, objects: ClusterObjects): CompiledSelector {
  const pairs = new Map<string, string>()
  for (const service of objects.services(pod.namespace)) {
    const selector = Object.entries(service.spec?.selector ?? {})
    if (selector.length > 0 && selector.every(([key, value]) => labelOf(pod.labels, key) === value)) for (const [key, value] of selector) pairs.set(key, value)
  }
  const owner = pod.pod.metadata.ownerReferences?.find((o) => o.controller)
  const requirements: LabelRequirement[] = []
  switch (owner?.kind) {
    case 'ReplicationController':
      for (const [key, value] of Object.entries(objects.replicationController(pod.namespace, owner.name)?.spec?.selector ?? {})) pairs.set(key, value)
      break
    case 'ReplicaSet': requirements.push(...compileSelector(objects.replicaSet(pod.namespace, owner.name)?.spec?.selector).requirements); break
    case 'StatefulSet': requirements.push(...compileSelector(objects.statefulSet(pod.namespace, owner.name)?.spec?.selector).requirements); break
    default: break
  }
  return compileRequirements([...[...pairs].map(([key, value]): LabelRequirement => ({ key, operator: 'In', values: [value] })), ...requirements])
}

/** Is the node counted for the constraint, by its inclusion policies? */
export function includesNode(constraint: SpreadConstraint, pod: PodInfo, node: Node): boolean {
  if (constraint.honorsAffinity && !matchesRequiredNodeAffinity(pod.template, node)) return false
  return !constraint.honorsTaints || findUntoleratedTaint(node.spec?.taints, pod.template.tolerations) === undefined
}

export function hasAllKeys(constraints: readonly SpreadConstraint[], node: Node): boolean {
  for (const { topologyKey } of constraints) if (labelOf(node.metadata.labels, topologyKey) === undefined) return false
  return true
}

/** What one soft constraint adds to a node's cost. */
export function spreadCost(count: number, maxSkew: number, weight: number): number { return count * weight + (maxSkew - 1) }
export function spreadWeight(domains: number): number { return Math.log(domains + 2) }
/** From cost to score: the cheapest is best. */
export function normalizedSpread(cost: number, cheapest: number, dearest: number): number {
  return dearest === 0 ? maxNodeScore : Math.trunc((maxNodeScore * (dearest + cheapest - cost)) / dearest)
}

class HardState implements Copyable {
  readonly constraints: readonly SpreadConstraint[]
  /** Per constraint: domain → matching pods. */
  readonly counts: readonly Map<string, number>[]
  constructor(constraints: readonly SpreadConstraint[], counts: readonly Map<string, number>[]) { this.constraints = constraints; this.counts = counts }
  copy(): HardState { return new HardState(this.constraints, this.counts.map((domains) => new Map(domains))) }
  minimum(index: number): number {
    const domains = this.counts[index] ?? new Map<string, number>()
    if (domains.size < (this.constraints[index]?.minDomains ?? 1)) return 0
    let least = Number.MAX_SAFE_INTEGER
    for (const count of domains.values()) if (count < least) least = count
    return least
  }
  change(pod: PodInfo, changed: PodInfo, node: NodeInfo, by: 1 | -1): void {
    if (changed.namespace !== pod.namespace || !hasAllKeys(this.constraints, node.node)) return
    this.constraints.forEach((constraint, i) => {
      if (!matchesSelector(constraint.selector, changed.labels) || !includesNode(constraint, pod, node.node)) return
      const domain = labelOf(node.node.metadata.labels, constraint.topologyKey) ?? ''
      this.counts[i]?.set(domain, (this.counts[i]?.get(domain) ?? 0) + by)
    })
  }
}

interface SoftState {
  readonly constraints: readonly SpreadConstraint[]
  readonly ignored: ReadonlySet<string>
  readonly counts: readonly Map<string, number>[]
  readonly weights: readonly number[]
  readonly perNode: readonly ((node: NodeInfo) => number)[]
}

const hardKey = stateKey<HardState>('PreFilterPodTopologySpread')
const softKey = stateKey<SoftState>('PreScorePodTopologySpread')
const noLabel = status('unresolvable', "node(s) didn't match pod topology spread constraints (missing required label)")
const tooUneven = status('unschedulable', "node(s) didn't match pod topology spread constraints")

export function podTopologySpread(args: PodTopologySpreadArgs = {}): Plugin {
  return {
    name: 'PodTopologySpread',
    preFilter(state, pod, cluster) {
      const { constraints } = spreadConstraints(pod, 'DoNotSchedule', args, cluster.objects)
      if (constraints.length === 0) return { status: skip }
      const counts = constraints.map(() => new Map<string, number>())
      const counters = constraints.map((c) => cluster.counts.matching(c.matcher))
      for (const node of cluster.nodes) {
        if (!hasAllKeys(constraints, node.node)) continue
        constraints.forEach((constraint, i) => {
          if (!includesNode(constraint, pod, node.node)) return
          const domain = labelOf(node.node.metadata.labels, constraint.topologyKey) ?? ''
          counts[i]?.set(domain, (counts[i]?.get(domain) ?? 0) + (counters[i]?.(node) ?? 0))
        })
      }
      state.write(hardKey, new HardState(constraints, counts))
      return undefined
    },
    addPod: (state, pod, added, node) => state.read(hardKey)?.change(pod, added, node, 1),
    removePod: (state, pod, removed, node) => state.read(hardKey)?.change(pod, removed, node, -1),
    filter(state, _pod, node) {
      const hard = state.read(hardKey)
      if (!hard) return undefined
      for (let i = 0; i < hard.constraints.length; i++) {
        const constraint = hard.constraints[i]
        if (!constraint) continue
        const domain = labelOf(node.node.metadata.labels, constraint.topologyKey)
        if (domain === undefined) return noLabel
        const skew = (hard.counts[i]?.get(domain) ?? 0) + (constraint.selfMatches ? 1 : 0) - hard.minimum(i)
        if (skew > constraint.maxSkew) return tooUneven
      }
      return undefined
    },
    preScore(state, pod, nodes, cluster) {
      const { constraints, requireAllKeys } = spreadConstraints(pod, 'ScheduleAnyway', args, cluster.objects)
      if (constraints.length === 0) return skip
      state.write(softKey, countForScore(pod, constraints, requireAllKeys, nodes, cluster))
      return undefined
    },
    score(state, _pod, node) {
      const soft = state.read(softKey)
      if (!soft || soft.ignored.has(node.name)) return 0
      let cost = 0
      soft.constraints.forEach((constraint, i) => {
        const domain = labelOf(node.node.metadata.labels, constraint.topologyKey)
        if (domain === undefined) return
        const count = constraint.topologyKey === hostnameKey ? soft.perNode[i]?.(node) ?? 0 : soft.counts[i]?.get(domain) ?? 0
        cost += spreadCost(count, constraint.maxSkew, soft.weights[i] ?? 0)
      })
      return Math.round(cost)
    },
    normalizeScore: (state, _pod, scores) => normalize(scores, state.read(softKey)?.ignored ?? new Set()),
    eventsToRegister: () => [
      { resource: 'AssignedPod', action: 'Add' }, { resource: 'AssignedPod', action: 'Delete' }, { resource: 'AssignedPod', action: 'UpdatePodLabel' },
      { resource: 'UnscheduledPod', action: 'UpdatePodLabel' },
      { resource: 'Node', action: 'Add' }, { resource: 'Node', action: 'Delete' }, { resource: 'Node', action: 'UpdateNodeLabel' }, { resource: 'Node', action: 'UpdateNodeTaint' },
    ],
  }
}

function countForScore(pod: PodInfo, constraints: readonly SpreadConstraint[], requireAllKeys: boolean, feasible: readonly NodeInfo[], cluster: ClusterView): SoftState {
  const ignored = new Set<string>()
  const counts = constraints.map(() => new Map<string, number>())
  for (const node of feasible) {
    if (requireAllKeys && !hasAllKeys(constraints, node.node)) { ignored.add(node.name); continue }
    constraints.forEach((c, i) => { if (c.topologyKey !== hostnameKey) counts[i]?.set(labelOf(node.node.metadata.labels, c.topologyKey) ?? '', 0) })
  }
  const weights = constraints.map((c, i) => spreadWeight(c.topologyKey === hostnameKey ? feasible.length - ignored.size : counts[i]?.size ?? 0))
  const perNode = constraints.map((c) => cluster.counts.matching(c.matcher))
  for (const node of cluster.nodes) {
    if (requireAllKeys && !hasAllKeys(constraints, node.node)) continue
    constraints.forEach((c, i) => {
      const domain = labelOf(node.node.metadata.labels, c.topologyKey) ?? ''
      const before = counts[i]?.get(domain)
      if (before !== undefined && includesNode(c, pod, node.node)) counts[i]?.set(domain, before + (perNode[i]?.(node) ?? 0))
    })
  }
  return { constraints, ignored, counts, weights, perNode }
}

function normalize(scores: NodeScore[], ignored: ReadonlySet<string>): void {
  let cheapest = Number.MAX_SAFE_INTEGER
  let dearest = 0
  for (const { node, score } of scores) {
    if (ignored.has(node.name)) continue
    cheapest = Math.min(cheapest, score)
    dearest = Math.max(dearest, score)
  }
  for (const entry of scores) entry.score = ignored.has(entry.node.name) ? 0 : normalizedSpread(entry.score, cheapest, dearest)
}

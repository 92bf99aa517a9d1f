// A pod that fits nowhere may have less important pods leave. On each node that this could help: take all of them away, see whether the pod fits,
// then give back as many as possible, the most important first; choose the node where the least is lost.
// Upstream: plugins/defaultpreemption, framework/preemption
import type { PodDisruptionBudget } from '../../../lib/api/generated/types/policy-v1.ts'
import type { ClusterView } from '../framework/cluster-view.ts'
import type { CycleState } from '../framework/cycle-state.ts'
import { compileSelector, isEmptySelector, matchesSelector } from '../framework/labels.ts'
import type { NodeInfo } from '../framework/node-info.ts'
import type { FilterRunner, Plugin, PostFilterResult } from '../framework/plugin.ts'
import type { PodInfo } from '../framework/pod-info.ts'
import { formatFitError, status } from '../framework/status.ts'
import type { Diagnosis, Status } from '../framework/status.ts'

export interface DefaultPreemptionArgs {
  readonly minCandidateNodesPercentage?: number
  readonly minCandidateNodesAbsolute?: number
}

interface Candidate {
  readonly node: NodeInfo
  /** Most important first. */
  readonly victims: readonly PodInfo[]
  /** Victims whose disruption budget has nothing left. */
  readonly violations: number
}

const notHelpful = status('unresolvable', 'Preemption is not helpful for scheduling')
const noVictims = status('unresolvable', 'No preemption victims found for incoming pod')
const refuse = (message: string): PostFilterResult => ({ status: status('unschedulable', `preemption: ${message}`) })

export function defaultPreemption(args: DefaultPreemptionArgs = {}): Plugin {
  return {
    name: 'DefaultPreemption',
    postFilter(state, pod, diagnosis, cluster, runner) {
      const ineligible = whyIneligible(pod, diagnosis, cluster)
      if (ineligible !== undefined) return refuse(ineligible)
      const potential = cluster.nodes.filter((node) => diagnosis.nodes.get(node.name)?.code === 'unschedulable')
      const { candidates, refusals } = findCandidates(state, pod, potential, cluster, runner, args)
      const best = pickCandidate(candidates)
      if (best) return { status: undefined, nominatedNode: best.node.name, victims: best.victims }
      const message = formatFitError({ ...diagnosis, nodes: refusals, absent: notHelpful, preFilterMessage: '', postFilterMessage: '' })
      return { ...refuse(message), nominatedNode: '' }
    },
  }
}

function whyIneligible(pod: PodInfo, diagnosis: Diagnosis, cluster: ClusterView): string | undefined {
  if (pod.pod.spec.preemptionPolicy === 'Never') return 'not eligible due to preemptionPolicy=Never.'
  const nominated = pod.pod.status?.nominatedNodeName
  if (!nominated) return undefined
  // The node has become impossible since: look for another.
  if (diagnosis.nodes.get(nominated)?.code === 'unresolvable') return undefined
  for (const other of cluster.node(nominated)?.pods.values() ?? []) {
    if (other.priority < pod.priority && other.terminating && other.pod.status?.conditions?.some((c) => c.type === 'DisruptionTarget' && c.status === 'True' && c.reason === 'PreemptionByScheduler')) {
      return 'not eligible due to a terminating pod on the nominated node.'
    }
  }
  return undefined
}

function findCandidates(state: CycleState, pod: PodInfo, potential: readonly NodeInfo[], cluster: ClusterView, runner: FilterRunner, args: DefaultPreemptionArgs): { readonly candidates: readonly Candidate[]; readonly refusals: ReadonlyMap<string, Status> } {
  const candidates: Candidate[] = []
  const refusals = new Map<string, Status>()
  const wanted = Math.min(potential.length, Math.max(Math.floor((potential.length * (args.minCandidateNodesPercentage ?? 10)) / 100), args.minCandidateNodesAbsolute ?? 100))
  const offset = potential.length > 0 ? runner.random(potential.length) : 0
  let violating = 0
  for (let i = 0; i < potential.length; i++) {
    const node = potential[(offset + i) % potential.length]
    if (!node) continue
    // Most nodes hold nothing less important: find that out before copying anything.
    const found = hasLesser(node, pod) ? selectVictims(state.copy(), pod, node.copy(), cluster, runner) : noVictims
    if ('code' in found) { refusals.set(node.name, found); continue }
    candidates.push({ ...found, node })
    if (found.violations > 0) violating++
    // Enough to choose from, and at least one that breaks no budget.
    if (candidates.length >= wanted && candidates.length > violating) break
  }
  return { candidates, refusals }
}

function hasLesser(node: NodeInfo, pod: PodInfo): boolean {
  for (const other of node.pods.values()) if (other.priority < pod.priority) return true
  return false
}

/** `state` and `node` are copies to try on. */
function selectVictims(state: CycleState, pod: PodInfo, node: NodeInfo, cluster: ClusterView, runner: FilterRunner): Omit<Candidate, 'node'> | Status {
  const lesser = [...node.pods.values()].filter((other) => other.priority < pod.priority)
  const remove = (other: PodInfo): void => { node.removePod(other); runner.removePod(state, pod, other, node) }
  for (const other of lesser) remove(other)
  const refusal = runner.filterWithNominated(state, pod, node)
  if (refusal) return refusal
  lesser.sort(moreImportant)
  const victims: PodInfo[] = []
  const reprieve = (other: PodInfo): boolean => {
    node.addPod(other)
    runner.addPod(state, pod, other, node)
    if (!runner.filterWithNominated(state, pod, node)) return true
    remove(other)
    victims.push(other)
    return false
  }
  const { violating, rest } = splitByBudgets(lesser, cluster)
  let violations = 0
  for (const other of violating) if (!reprieve(other)) violations++
  for (const other of rest) reprieve(other)
  return { victims: victims.sort(moreImportant), violations }
}

const startOf = (pod: PodInfo): string => pod.pod.status?.startTime ?? '9999'
/** Higher priority first, then the one that has run longer. */
function moreImportant(a: PodInfo, b: PodInfo): number {
  return a.priority !== b.priority ? b.priority - a.priority : startOf(a) < startOf(b) ? -1 : startOf(a) > startOf(b) ? 1 : 0
}

/** Pods whose leaving a budget forbids, counting those before them in the list. */
function splitByBudgets(pods: readonly PodInfo[], cluster: ClusterView): { readonly violating: readonly PodInfo[]; readonly rest: readonly PodInfo[] } {
  const left = new Map<PodDisruptionBudget, number>()
  const violating: PodInfo[] = []
  const rest: PodInfo[] = []
  for (const pod of pods) {
    let violates = false
    for (const budget of pod.labels ? cluster.objects.disruptionBudgets(pod.namespace) : []) {
      const selector = compileSelector(budget.spec.selector)
      if (isEmptySelector(selector) || !matchesSelector(selector, pod.labels)) continue
      // It is being disrupted already and has been counted.
      if (budget.status?.disruptedPods && Object.hasOwn(budget.status.disruptedPods, pod.pod.metadata.name)) continue
      const remaining = (left.get(budget) ?? budget.status?.disruptionsAllowed ?? 0) - 1
      left.set(budget, remaining)
      if (remaining < 0) violates = true
    }
    (violates ? violating : rest).push(pod)
  }
  return { violating, rest }
}

/** Fewest broken budgets; then the least important of the most important victims; the smallest sum of priorities; fewest victims; the latest start. */
function pickCandidate(candidates: readonly Candidate[]): Candidate | undefined {
  const sum = (c: Candidate): number => c.victims.reduce((total, victim) => total + victim.priority + 2 ** 31, 0)
  const earliestStart = (c: Candidate): number => {
    const highest = c.victims[0]?.priority
    return Math.min(...c.victims.filter((v) => v.priority === highest).map((v) => Date.parse(v.pod.status?.startTime ?? '9999-01-01T00:00:00Z')))
  }
  const costs: readonly ((c: Candidate) => number)[] = [(c) => c.violations, (c) => c.victims[0]?.priority ?? 0, sum, (c) => c.victims.length, (c) => -earliestStart(c)]
  let left = candidates
  for (const cost of costs) {
    if (left.length <= 1) break
    const least = Math.min(...left.map(cost))
    left = left.filter((candidate) => cost(candidate) === least)
  }
  return left[0]
}

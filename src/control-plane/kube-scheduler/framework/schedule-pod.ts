// Where does one pod go? The plain way: look at nodes until enough fit, score them, take the best. It is the measure for every faster way.
// Upstream: kube-scheduler schedule_one.go (schedulePod, findNodesThatFitPod, prioritizeNodes, selectHost)
import type { ClusterView } from './cluster-view.ts'
import { CycleState } from './cycle-state.ts'
import type { Framework, ScoredNode } from './framework.ts'
import type { NodeInfo } from './node-info.ts'
import type { PodInfo } from './pod-info.ts'
import { status } from './status.ts'
import type { Diagnosis, Status } from './status.ts'

export type Placement =
  | { readonly kind: 'placed'; readonly nodeName: string; readonly state: CycleState; readonly total: number; readonly evaluated: number; readonly feasible: number; readonly scored: readonly ScoredNode[] }
  | { readonly kind: 'unschedulable'; readonly state: CycleState; readonly diagnosis: Diagnosis }

export interface PlainOptions {
  /** Where to begin; nodes take turns at being first. */
  readonly startIndex: number
  /** Look at every node, whatever percentageOfNodesToScore says. */
  readonly allNodes?: boolean
}

const fewestNodes = 100

/** How many fitting nodes are enough: all up to 100, then a share that falls from 50 % to 5 % as the cluster grows. */
export function numFeasibleNodesToFind(nodeCount: number, percentage: number): number {
  if (nodeCount < fewestNodes || percentage >= 100) return nodeCount
  const share = percentage > 0 ? percentage : Math.max(5, Math.trunc(50 - nodeCount / 125))
  return Math.max(fewestNodes, Math.floor((nodeCount * share) / 100))
}

export interface FilterOutcome {
  readonly state: CycleState
  readonly feasible: readonly NodeInfo[]
  readonly refusals: Map<string, Status>
  readonly absent: Status | undefined
  readonly preFilterMessage: string
  readonly plugins: Set<string>
  readonly pendingPlugins: Set<string>
  readonly evaluated: number
}

/** PreFilter and Filter. */
export function findFeasible(framework: Framework, pod: PodInfo, cluster: ClusterView, options: PlainOptions): FilterOutcome {
  const state = new CycleState()
  const plugins = new Set<string>()
  const pendingPlugins = new Set<string>()
  const refusals = new Map<string, Status>()
  const pre = framework.preFilter(state, pod)
  if (pre.rejected) {
    (pre.rejected.code === 'pending' ? pendingPlugins : plugins).add(pre.rejected.plugin)
    return { state, feasible: [], refusals, absent: pre.rejected, preFilterMessage: pre.rejected.reasons.join(', '), plugins, pendingPlugins, evaluated: 0 }
  }
  const note = (node: NodeInfo, refusal: Status): void => {
    refusals.set(node.name, refusal);
    (refusal.code === 'pending' ? pendingPlugins : plugins).add(refusal.plugin)
  }
  // A node that was cleared for the pod by preemption is tried first, and alone.
  const nominated = pod.pod.status?.nominatedNodeName ? cluster.node(pod.pod.status.nominatedNodeName) : undefined
  if (nominated && (pre.nodeNames?.has(nominated.name) ?? true)) {
    if (!framework.filterWithNominated(state, pod, nominated)) return { state, feasible: [nominated], refusals, absent: undefined, preFilterMessage: '', plugins, pendingPlugins, evaluated: 1 }
  }
  let nodes = cluster.nodes
  let absent: Status | undefined
  if (pre.nodeNames) {
    nodes = [...pre.nodeNames].map((name) => cluster.node(name)).filter((node) => node !== undefined)
    absent = status('unresolvable', `node(s) didn't satisfy plugin(s) [${[...pre.narrowedBy].sort().join(' ')}]`)
    for (const plugin of pre.narrowedBy) plugins.add(plugin)
  }
  const enough = options.allNodes ? nodes.length : numFeasibleNodesToFind(nodes.length, framework.profile.percentageOfNodesToScore)
  const feasible: NodeInfo[] = []
  let evaluated = 0
  for (; evaluated < nodes.length && feasible.length < enough; evaluated++) {
    const node = nodes[(options.startIndex + evaluated) % nodes.length]
    if (!node) continue
    const refusal = framework.filterWithNominated(state, pod, node)
    if (refusal) note(node, refusal)
    else feasible.push(node)
  }
  return { state, feasible, refusals, absent, preFilterMessage: '', plugins, pendingPlugins, evaluated }
}

export function diagnose(outcome: FilterOutcome, nodeCount: number): Diagnosis {
  return {
    nodeCount, nodes: outcome.refusals, absent: outcome.absent, plugins: outcome.plugins, pendingPlugins: outcome.pendingPlugins,
    preFilterMessage: outcome.preFilterMessage, postFilterMessage: '',
  }
}

/** One of the best, each with the same chance. */
export function selectHost(scored: readonly ScoredNode[], random: (bound: number) => number): ScoredNode | undefined {
  let best: ScoredNode | undefined
  let ties = 0
  for (const candidate of scored) {
    if (!best || candidate.total > best.total) { best = candidate; ties = 1 }
    else if (candidate.total === best.total && random(++ties) === 0) best = candidate
  }
  return best
}

export function schedulePodPlain(framework: Framework, pod: PodInfo, cluster: ClusterView, options: PlainOptions): Placement {
  const outcome = findFeasible(framework, pod, cluster, options)
  const { state, feasible, evaluated } = outcome
  const [only] = feasible
  if (only === undefined) return { kind: 'unschedulable', state, diagnosis: diagnose(outcome, cluster.nodes.length) }
  if (feasible.length === 1) return { kind: 'placed', nodeName: only.name, state, total: 0, evaluated, feasible: 1, scored: [] }
  const scored = framework.score(state, pod, feasible)
  const best = selectHost(scored, framework.random)
  return { kind: 'placed', nodeName: best?.node.name ?? only.name, state, total: best?.total ?? 0, evaluated, feasible: feasible.length, scored }
}

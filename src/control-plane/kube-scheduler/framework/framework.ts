// Runs a profile's plugins at each extension point. Synchronous up to Permit: one pod at a time sees a cluster that stands still.
// Upstream: kube-scheduler framework/runtime/framework.go
import type { Pod } from '../../../lib/api/generated/types/core-v1.ts'
import type { ClusterView } from './cluster-view.ts'
import { CycleState } from './cycle-state.ts'
import type { NodeInfo } from './node-info.ts'
import type { BindingWorld, FilterRunner, NodeScore, PostFilterResult } from './plugin.ts'
import type { PodInfo } from './pod-info.ts'
import type { Profile } from './profile.ts'
import { skip, status } from './status.ts'
import type { Diagnosis, MaybeStatus, Status } from './status.ts'

/** A plugin failed: a fault of the scheduler or of a plugin, not of the pod. */
export class PluginError extends Error {
  override readonly name = 'PluginError'
  readonly plugin: string
  constructor(plugin: string, message: string, options?: ErrorOptions) {
    super(`plugin ${plugin}: ${message}`, options)
    this.plugin = plugin
  }
}

export interface PreFilterOutcome {
  readonly rejected: Status | undefined
  /** Only these nodes need a look; undefined: all. */
  readonly nodeNames: ReadonlySet<string> | undefined
  /** Plugins that narrowed them down. */
  readonly narrowedBy: readonly string[]
}

/** One plugin's part of a node's score. */
export interface PluginScore {
  readonly plugin: string
  /** 0..100 */
  readonly score: number
  readonly weight: number
}

export interface ScoredNode {
  readonly node: NodeInfo
  readonly total: number
  readonly scores: readonly PluginScore[]
}

export class Framework implements FilterRunner {
  readonly profile: Profile
  readonly #cluster: ClusterView
  readonly random: (bound: number) => number

  constructor(profile: Profile, cluster: ClusterView, random: (bound: number) => number) {
    this.profile = profile
    this.#cluster = cluster
    this.random = random
  }

  preEnqueue(pod: Pod): MaybeStatus {
    for (const { plugin } of this.profile.points.preEnqueue) {
      const result = plugin.preEnqueue?.(pod)
      if (result) return named(result, plugin.name)
    }
    return undefined
  }

  preFilter(state: CycleState, pod: PodInfo): PreFilterOutcome {
    let nodeNames: ReadonlySet<string> | undefined
    const narrowedBy: string[] = []
    const implementing = new Set<string>()
    for (const { plugin } of this.profile.points.preFilter) {
      implementing.add(plugin.name)
      const result = plugin.preFilter?.(state, pod, this.#cluster)
      if (result?.status?.code === 'skip') { state.skipFilter.add(plugin.name); continue }
      if (result?.status) return { rejected: checked(named(result.status, plugin.name)), nodeNames: undefined, narrowedBy }
      if (!result?.nodeNames) continue
      narrowedBy.push(plugin.name)
      const before: ReadonlySet<string> | undefined = nodeNames
      nodeNames = before ? new Set([...before].filter((name) => result.nodeNames?.has(name))) : result.nodeNames
      if (nodeNames.size === 0) {
        const message = `node(s) didn't satisfy plugin(s) [${[...narrowedBy].sort().join(' ')}]${narrowedBy.length > 1 ? ' simultaneously' : ''}`
        return { rejected: named(status('unresolvable', message), plugin.name), nodeNames, narrowedBy }
      }
    }
    return { rejected: undefined, nodeNames, narrowedBy }
  }

  /** The first refusal, with its plugin. */
  filter(state: CycleState, pod: PodInfo, node: NodeInfo): MaybeStatus {
    for (const { plugin } of this.profile.points.filter) {
      if (state.skipFilter.has(plugin.name)) continue
      const result = plugin.filter?.(state, pod, node, this.#cluster)
      if (result) return checked(named(result, plugin.name))
    }
    return undefined
  }

  /**
   * As filter, on a node to which more important pods are nominated: the pod must fit with them there, and without them, because they may not come.
   */
  filterWithNominated(state: CycleState, pod: PodInfo, node: NodeInfo): MaybeStatus {
    const coming = this.#cluster.nominatedPods(node.name).filter((other) => other.uid !== pod.uid && other.priority >= pod.priority)
    if (coming.length > 0) {
      const trialState = state.copy()
      const trialNode = node.copy()
      for (const other of coming) { trialNode.addPod(other); this.addPod(trialState, pod, other, trialNode) }
      const refusal = this.filter(trialState, pod, trialNode)
      if (refusal) return refusal
    }
    return this.filter(state, pod, node)
  }

  addPod(state: CycleState, pod: PodInfo, added: PodInfo, node: NodeInfo): void {
    for (const { plugin } of this.profile.points.preFilter) if (!state.skipFilter.has(plugin.name)) plugin.addPod?.(state, pod, added, node, this.#cluster)
  }

  removePod(state: CycleState, pod: PodInfo, removed: PodInfo, node: NodeInfo): void {
    for (const { plugin } of this.profile.points.preFilter) if (!state.skipFilter.has(plugin.name)) plugin.removePod?.(state, pod, removed, node, this.#cluster)
  }

  /** Plugins in turn until one makes the pod schedulable, or says that none will. */
  postFilter(state: CycleState, pod: PodInfo, diagnosis: Diagnosis): PostFilterResult {
    const reasons: string[] = []
    let nominatedNode: string | undefined
    for (const { plugin } of this.profile.points.postFilter) {
      const result = plugin.postFilter?.(state, pod, diagnosis, this.#cluster, this)
      if (!result) continue
      if (!result.status) return result
      checked(named(result.status, plugin.name))
      if (result.nominatedNode !== undefined) nominatedNode ??= result.nominatedNode
      reasons.push(...result.status.reasons)
      if (result.status.code === 'unresolvable') break
    }
    return { status: status('unschedulable', reasons), ...nominatedNode === undefined ? {} : { nominatedNode } }
  }

  /** Scores of all `nodes`, per plugin and in total. */
  score(state: CycleState, pod: PodInfo, nodes: readonly NodeInfo[]): readonly ScoredNode[] {
    for (const { plugin } of this.profile.points.preScore) {
      const result = plugin.preScore?.(state, pod, nodes, this.#cluster)
      if (result === skip || result?.code === 'skip') state.skipScore.add(plugin.name)
      else if (result) checked(named(result, plugin.name))
    }
    const perNode: PluginScore[][] = nodes.map(() => [])
    for (const { plugin, weight } of this.profile.points.score) {
      if (state.skipScore.has(plugin.name) || !plugin.score) continue
      const scores: NodeScore[] = []
      for (const node of nodes) scores.push({ node, score: plugin.score(state, pod, node, this.#cluster) })
      plugin.normalizeScore?.(state, pod, scores, this.#cluster)
      scores.forEach(({ score }, i) => {
        if (!(score >= 0 && score <= 100)) throw new PluginError(plugin.name, `returns an invalid score ${score}, it should in the range of [0, 100] after normalizing`)
        perNode[i]?.push({ plugin: plugin.name, score, weight })
      })
    }
    return nodes.map((node, i) => {
      const scores = perNode[i] ?? []
      return { node, scores, total: scores.reduce((sum, s) => sum + s.score * s.weight, 0) }
    })
  }

  reserve(state: CycleState, pod: PodInfo, nodeName: string): MaybeStatus {
    for (const { plugin } of this.profile.points.reserve) {
      const result = plugin.reserve?.(state, pod, nodeName)
      if (result) { this.unreserve(state, pod, nodeName); return named(result, plugin.name) }
    }
    return undefined
  }

  unreserve(state: CycleState, pod: PodInfo, nodeName: string): void {
    for (const { plugin } of this.profile.points.reserve.toReversed()) plugin.unreserve?.(state, pod, nodeName)
  }

  /** Plugins that want the pod to wait, each with its limit; or a refusal. */
  permit(state: CycleState, pod: PodInfo, nodeName: string): { readonly rejected: MaybeStatus; readonly waits: ReadonlyMap<string, number> } {
    const waits = new Map<string, number>()
    for (const { plugin } of this.profile.points.permit) {
      const result = plugin.permit?.(state, pod, nodeName)
      if (result?.status?.code === 'wait') waits.set(plugin.name, Math.min(result.timeoutMs ?? 0, maxPermitWaitMs))
      else if (result?.status) return { rejected: named(result.status, plugin.name), waits }
    }
    return { rejected: undefined, waits }
  }

  async preBind(state: CycleState, pod: PodInfo, nodeName: string, world: BindingWorld, signal: AbortSignal): Promise<MaybeStatus> {
    for (const { plugin } of this.profile.points.preBind) {
      const result = await plugin.preBind?.(state, pod, nodeName, world, signal)
      if (result) return named(result, plugin.name)
    }
    return undefined
  }

  async bind(state: CycleState, pod: PodInfo, nodeName: string, world: BindingWorld, signal: AbortSignal): Promise<MaybeStatus> {
    for (const { plugin } of this.profile.points.bind) {
      const result = await plugin.bind?.(state, pod, nodeName, world, signal)
      if (result?.code === 'skip') continue
      return result && named(result, plugin.name)
    }
    return status('error', 'no bind plugin took the pod')
  }

  postBind(state: CycleState, pod: PodInfo, nodeName: string): void {
    for (const { plugin } of this.profile.points.postBind) plugin.postBind?.(state, pod, nodeName)
  }
}

/** The longest that Permit may hold a pod. */
export const maxPermitWaitMs = 15 * 60_000

function named(result: Status, plugin: string): Status { return result.plugin === plugin ? result : { ...result, plugin } }

/** Errors of plugins end the cycle. */
function checked(result: Status): Status {
  if (result.code === 'error') throw new PluginError(result.plugin, result.reasons.join(', '))
  return result
}

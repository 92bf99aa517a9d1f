// Why a pod is where it is, or nowhere: every node's answer with the plugin that gave it, and every plugin's score of the nodes that fit.
// Scores are shown from 0 to 10, as the words of old have it; inside they run to 100.
import { findFeasible } from './framework/schedule-pod.ts'
import type { Framework } from './framework/framework.ts'
import type { PodInfo } from './framework/pod-info.ts'
import type { ClusterView } from './framework/cluster-view.ts'

export interface NodeExplanation {
  readonly node: string
  /** The plugin that refused the node and why; undefined: the pod fits. */
  readonly refusal: { readonly plugin: string; readonly reasons: readonly string[]; readonly detail: string } | undefined
  /** Per plugin, 0..10; empty for a node that doesn't fit. */
  readonly scores: readonly { readonly plugin: string; readonly score: number; readonly weight: number }[]
  /** The weighted mean, 0..10. */
  readonly score: number
  /** As the scheduler compares it: the sum of 0..100 times weight. */
  readonly total: number
}

export interface Explanation {
  /** `namespace/name` */
  readonly pod: string
  readonly schedulerName: string
  /** Where it is; '' while it waits. */
  readonly nodeName: string
  /** Said before any node was looked at; '' mostly. */
  readonly preFilter: string
  /** The best first. */
  readonly nodes: readonly NodeExplanation[]
}

/** Asks every node, now. For a pod that has a node, the caller takes it away first, so that it isn't in its own way. */
export function explainPlacement(framework: Framework, pod: PodInfo, cluster: ClusterView, nodeName: string): Explanation {
  const outcome = findFeasible(framework, pod, cluster, { startIndex: 0, allNodes: true })
  const scored = outcome.feasible.length > 0 ? framework.score(outcome.state, pod, outcome.feasible) : []
  const nodes: NodeExplanation[] = scored.map(({ node, scores, total }) => {
    const weights = scores.reduce((sum, s) => sum + s.weight, 0)
    return {
      node: node.name, refusal: undefined, scores: scores.map((s) => ({ ...s, score: s.score / 10 })), total,
      score: weights === 0 ? 0 : Math.round(total / weights) / 10,
    }
  })
  nodes.sort((a, b) => b.total - a.total || (a.node < b.node ? -1 : 1))
  const answered = new Set(outcome.feasible.map((node) => node.name))
  for (const node of cluster.nodes) {
    if (answered.has(node.name)) continue
    const refusal = outcome.refusals.get(node.name) ?? outcome.absent
    nodes.push({ node: node.name, refusal: refusal && { plugin: refusal.plugin, reasons: refusal.reasons, detail: refusal.detail ?? '' }, scores: [], score: 0, total: 0 })
  }
  return { pod: pod.key, schedulerName: framework.profile.schedulerName, nodeName, preFilter: outcome.preFilterMessage, nodes }
}

/** As a table for people. */
export function formatExplanation(explanation: Explanation): string {
  const plugins = [...new Set(explanation.nodes.flatMap((n) => n.scores.map((s) => s.plugin)))]
  const rows = [['NODE', 'SCORE', ...plugins, 'WHY NOT']]
  for (const node of explanation.nodes) {
    const why = node.refusal ? `${node.refusal.reasons.join(', ')}${node.refusal.detail && ` ${node.refusal.detail}`} (${node.refusal.plugin})` : ''
    rows.push([node.node, node.refusal ? '-' : node.score.toFixed(1), ...plugins.map((plugin) => {
      const found = node.scores.find((s) => s.plugin === plugin)
      return found ? `${found.score.toFixed(1)}×${found.weight}` : '-'
    }), why])
  }
  const widths = rows[0]?.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0))) ?? []
  const head = `${explanation.pod}: ${explanation.nodeName === '' ? 'waits for a node' : `on ${explanation.nodeName}`} (${explanation.schedulerName})${explanation.preFilter && `: ${explanation.preFilter}`}`
  return [head, ...rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('   ').trimEnd())].join('\n')
}

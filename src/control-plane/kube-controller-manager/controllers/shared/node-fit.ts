// Does a pod want this node, and does the node want the pod? The part of scheduling that DaemonSets decide themselves: node name, node selector, required
// node affinity, taints. Upstream: k8s.io/component-helpers/scheduling/corev1
import { matches, selectorOfNodeExpressions } from '../../../../lib/apimachinery/label-selector.ts'
import type { Node, NodeSelectorTerm, PodSpec, Taint } from '../../../../lib/api/generated/types/core-v1.ts'
import { tolerates } from '../taint-eviction.ts'

export function fitsNodeAffinity(spec: PodSpec, node: Node): boolean {
  const labels = node.metadata.labels ?? {}
  if (!Object.entries(spec.nodeSelector ?? {}).every(([key, value]) => labels[key] === value)) return false
  const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
  return required === undefined || (required.nodeSelectorTerms ?? []).some((term) => matchesTerm(term, node))
}

/** All of a term's expressions and fields must hold; an empty term matches nothing. */
function matchesTerm(term: NodeSelectorTerm, node: Node): boolean {
  const { matchExpressions = [], matchFields = [] } = term
  if (matchExpressions.length === 0 && matchFields.length === 0) return false
  const byLabels = selectorOfNodeExpressions(matchExpressions)
  const byFields = selectorOfNodeExpressions(matchFields)
  return byLabels.ok && byFields.ok && matches(byLabels.selector, node.metadata.labels) && matches(byFields.selector, { 'metadata.name': node.metadata.name })
}

/** Taints of the node with one of these effects that the pod does not tolerate. */
export function untoleratedTaints(spec: PodSpec, node: Node, effects: readonly string[]): readonly Taint[] {
  return (node.spec?.taints ?? []).filter((taint) => effects.includes(taint.effect) && !(spec.tolerations ?? []).some((toleration) => tolerates(toleration, taint)))
}

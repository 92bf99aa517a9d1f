// Nodes whose taints the pod doesn't tolerate are out; untolerated wishes (PreferNoSchedule) cost score. Upstream: plugins/tainttoleration
import type { Node } from '../../../lib/api/generated/types/core-v1.ts'
import { normalizeByMaximum } from '../framework/plugin.ts'
import type { Plugin } from '../framework/plugin.ts'
import { status } from '../framework/status.ts'
import { countUntoleratedPreferences, findUntoleratedTaint } from '../framework/tolerations.ts'

export function taintToleration(): Plugin {
  return {
    name: 'TaintToleration',
    filter(_state, { template }, node) {
      const taint = findUntoleratedTaint(node.node.spec?.taints, template.tolerations)
      return taint && status('unresolvable', 'node(s) had untolerated taint(s)', `{${taint.key}: ${taint.value ?? ''}}`)
    },
    score: (_state, { template }, node) => countUntoleratedPreferences(node.node.spec?.taints, template.tolerations),
    normalizeScore: (_state, _pod, scores) => normalizeByMaximum(scores, true),
    eventsToRegister: () => [
      { resource: 'Node', action: 'Add' },
      { resource: 'Node', action: 'UpdateNodeTaint',
        hint: (pod, { new: node }) => (findUntoleratedTaint((node as Node).spec?.taints, pod.spec.tolerations ?? []) ? 'skip' : 'queue') }, // cast: events of Node carry nodes
      { resource: 'UnscheduledPod', action: 'UpdatePodToleration' },
    ],
  }
}

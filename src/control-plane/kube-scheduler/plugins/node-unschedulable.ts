// A cordoned node takes no pods, unless they tolerate the taint that stands for it. Upstream: plugins/nodeunschedulable
import type { Node } from '../../../lib/api/generated/types/core-v1.ts'
import { status } from '../framework/status.ts'
import { toleratesTaint } from '../framework/tolerations.ts'
import type { Plugin } from '../framework/plugin.ts'
import type { PodTemplate } from '../framework/pod-info.ts'

const refusal = status('unresolvable', 'node(s) were unschedulable')

export function allowsUnschedulable(template: PodTemplate, node: Node): boolean {
  return !node.spec?.unschedulable || toleratesTaint(template.tolerations, { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' })
}

export function nodeUnschedulable(): Plugin {
  return {
    name: 'NodeUnschedulable',
    filter: (_state, pod, node) => (allowsUnschedulable(pod.template, node.node) ? undefined : refusal),
    eventsToRegister: () => [{ resource: 'Node', action: 'Add' }, { resource: 'Node', action: 'UpdateNodeTaint' }, { resource: 'UnscheduledPod', action: 'UpdatePodToleration' }],
  }
}

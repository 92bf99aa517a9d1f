// What a change of a node or pod means for pods that wait. Upstream: kube-scheduler framework/events.go (NodeSchedulingPropertiesChange, PodSchedulingPropertiesChange)
import type { Node, Pod } from '../../lib/api/generated/types/core-v1.ts'
import { clusterEvent } from './framework/events.ts'
import type { ClusterEvent } from './framework/events.ts'
import { amountOf, podRequests } from './framework/resources.ts'

/** Equal as JSON; the same object at once. */
export function sameJson(a: unknown, b: unknown): boolean { return a === b || JSON.stringify(a) === JSON.stringify(b) }

export function nodeEvents(old: Node, node: Node): readonly ClusterEvent[] {
  const events: ClusterEvent[] = []
  if (!sameJson(old.status?.allocatable, node.status?.allocatable)) events.push(clusterEvent('Node', 'UpdateNodeAllocatable'))
  if (!sameJson(old.metadata.labels, node.metadata.labels)) events.push(clusterEvent('Node', 'UpdateNodeLabel'))
  if (old.spec?.unschedulable !== node.spec?.unschedulable || !sameJson(old.spec?.taints, node.spec?.taints)) events.push(clusterEvent('Node', 'UpdateNodeTaint'))
  return events
}

/** Does the change bear on where pods can go? Heartbeats don't. */
export function bearsOnPlacement(old: Node, node: Node): boolean {
  return nodeEvents(old, node).length > 0 || !sameJson(old.status?.images, node.status?.images)
}

export function podEvents(resource: 'AssignedPod' | 'UnscheduledPod', old: Pod, pod: Pod): readonly ClusterEvent[] {
  const events: ClusterEvent[] = []
  if (!sameJson(old.metadata.labels, pod.metadata.labels)) events.push(clusterEvent(resource, 'UpdatePodLabel'))
  if (old.spec.containers !== pod.spec.containers || old.status !== pod.status) {
    const before = podRequests(old)
    const after = podRequests(pod)
    const names = ['cpu', 'memory', 'ephemeral-storage', ...before.scalars?.keys() ?? []]
    if (names.some((name) => amountOf(after, name) < amountOf(before, name))) events.push(clusterEvent(resource, 'UpdatePodScaleDown'))
  }
  if ((old.spec.schedulingGates ?? []).length > 0 && (pod.spec.schedulingGates ?? []).length === 0) events.push(clusterEvent(resource, 'UpdatePodSchedulingGatesEliminated'))
  if ((pod.spec.tolerations ?? []).length > (old.spec.tolerations ?? []).length) events.push(clusterEvent(resource, 'UpdatePodToleration'))
  return events
}

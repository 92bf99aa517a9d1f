// Which pods to lose first when there are too many: those that cost least. Upstream: kubernetes/pkg/controller/controller_utils.go (ActivePodsWithRanks)
import type { Pod } from '../../../../lib/api/generated/types/core-v1.ts'
import { isPodReady, maxRestarts, podReadyCondition, timeOf } from './pod-state.ts'

const phaseOrder: { readonly [phase: string]: number } = { Pending: 0, Unknown: 1, Running: 2 }

/** `controller.kubernetes.io/pod-deletion-cost`; 0 when absent or no number. */
function deletionCost(pod: Pod): number {
  const text = pod.metadata.annotations?.['controller.kubernetes.io/pod-deletion-cost']
  return text !== undefined && /^(0|[+-]?[1-9]\d*)$/.test(text) ? Number(text) : 0
}

/** Ages are compared in powers of two, so that not always the same generation goes; equal ones by uid. */
function ageBucket(since: number, now: number): number {
  const ageMs = now - since
  return ageMs <= 0 ? -1 : Math.floor(Math.log2(ageMs))
}

/** The pods in the order in which to delete them. `related` counts, by node, the pods of the same application: crowded nodes are relieved first. */
export function inDeletionOrder(pods: readonly Pod[], related: ReadonlyMap<string, number>, now: number): readonly Pod[] {
  return pods.toSorted((a, b) => compare(a, b, related, now))
}

function compare(a: Pod, b: Pod, related: ReadonlyMap<string, number>, now: number): number {
  const nodeA = a.spec?.nodeName ?? ''
  const nodeB = b.spec?.nodeName ?? ''
  if ((nodeA === '') !== (nodeB === '')) return nodeA === '' ? -1 : 1
  const phaseA = phaseOrder[a.status.phase ?? ''] ?? 0
  const phaseB = phaseOrder[b.status.phase ?? ''] ?? 0
  if (phaseA !== phaseB) return phaseA - phaseB
  const readyA = isPodReady(a)
  if (readyA !== isPodReady(b)) return readyA ? 1 : -1
  const cost = deletionCost(a) - deletionCost(b)
  if (cost !== 0) return cost
  const crowding = (related.get(nodeB) ?? 0) - (related.get(nodeA) ?? 0)
  if (crowding !== 0) return crowding
  if (readyA) {
    const order = byAge(timeOf(podReadyCondition(a)?.lastTransitionTime), timeOf(podReadyCondition(b)?.lastTransitionTime), a, b, now)
    if (order !== 0) return order
  }
  const restarts = maxRestarts(b) - maxRestarts(a)
  if (restarts !== 0) return restarts
  return byAge(timeOf(a.metadata.creationTimestamp), timeOf(b.metadata.creationTimestamp), a, b, now)
}

/** Younger first. */
function byAge(sinceA: number, sinceB: number, a: Pod, b: Pod, now: number): number {
  if (sinceA === sinceB || (Number.isNaN(sinceA) && Number.isNaN(sinceB))) return 0
  if (Number.isNaN(sinceA)) return -1
  if (Number.isNaN(sinceB)) return 1
  const order = ageBucket(sinceA, now) - ageBucket(sinceB, now)
  return order !== 0 ? order : a.metadata.uid < b.metadata.uid ? -1 : 1
}

// Taints that tell of a node's conditions. NoSchedule keeps new pods away at once; NoExecute makes the pods there leave, and is given out under a rate
// limit. Upstream: kubernetes/pkg/controller/nodelifecycle (nodeConditionToTaintKeyStatusMap)
import type { Node, Taint } from '../../../../lib/api/generated/types/core-v1.ts'
import { formatTime } from '../../../../lib/base/clock.ts'

export const notReadyTaint = 'node.kubernetes.io/not-ready'
export const unreachableTaint = 'node.kubernetes.io/unreachable'

const byCondition: readonly (readonly [type: string, status: string, taint: string])[] = [
  ['Ready', 'False', notReadyTaint], ['Ready', 'Unknown', unreachableTaint], ['MemoryPressure', 'True', 'node.kubernetes.io/memory-pressure'],
  ['DiskPressure', 'True', 'node.kubernetes.io/disk-pressure'], ['NetworkUnavailable', 'True', 'node.kubernetes.io/network-unavailable'], ['PIDPressure', 'True', 'node.kubernetes.io/pid-pressure'],
]
const unschedulableTaint = 'node.kubernetes.io/unschedulable'
const managed: ReadonlySet<string> = new Set([...byCondition.map(([, , taint]) => taint), unschedulableTaint])

/** The node's taints with those NoSchedule ones that its conditions call for; undefined when they are as they should be. */
export function noScheduleTaints(node: Node, now: number): readonly Taint[] | undefined {
  const wanted = new Set(byCondition.filter(([type, status]) => node.status?.conditions?.some((condition) => condition.type === type && condition.status === status)).map(([, , taint]) => taint))
  if (node.spec?.unschedulable) wanted.add(unschedulableTaint)
  const taints = node.spec?.taints ?? []
  const mine = (taint: Taint): boolean => taint.effect === 'NoSchedule' && managed.has(taint.key)
  const present = new Set(taints.filter(mine).map((taint) => taint.key))
  if (present.size === wanted.size && [...wanted].every((key) => present.has(key))) return undefined
  const missing = [...wanted].filter((key) => !present.has(key))
  return [...taints.filter((taint) => !mine(taint) || wanted.has(taint.key)), ...missing.map((key) => ({ key, effect: 'NoSchedule', timeAdded: formatTime(now) }))]
}

/** The node's taints with `key` (or none) as the NoExecute taint for its reachability; undefined when they are so already. */
export function noExecuteTaints(node: Node, key: typeof notReadyTaint | typeof unreachableTaint | undefined, now: number): readonly Taint[] | undefined {
  const taints = node.spec?.taints ?? []
  const mine = (taint: Taint): boolean => taint.effect === 'NoExecute' && (taint.key === notReadyTaint || taint.key === unreachableTaint)
  const present = taints.filter(mine)
  if (present.length === (key === undefined ? 0 : 1) && present.every((taint) => taint.key === key)) return undefined
  return [...taints.filter((taint) => !mine(taint)), ...(key === undefined ? [] : [{ key, effect: 'NoExecute', timeAdded: formatTime(now) }])]
}

export function hasNoExecuteTaint(node: Node): boolean {
  return node.spec?.taints?.some((taint) => taint.effect === 'NoExecute' && (taint.key === notReadyTaint || taint.key === unreachableTaint)) ?? false
}

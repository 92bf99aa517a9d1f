// When was a node last heard of? Time is taken here, when a change of its heartbeat is seen, and never from the node's own clock, which may be wrong.
// Upstream: kubernetes/pkg/controller/nodelifecycle/node_lifecycle_controller.go (tryUpdateNodeHealth)
import type { Lease } from '../../../../lib/api/generated/types/coordination-v1.ts'
import type { Node, NodeCondition } from '../../../../lib/api/generated/types/core-v1.ts'
import { formatTime } from '../../../../lib/base/clock.ts'
import { timeOf } from '../shared/pod-state.ts'

/** What is remembered of one node. */
export interface NodeHealth {
  /** When a heartbeat was last seen to change. */
  readonly heardMs: number
  /** The Ready condition's lastHeartbeatTime and the lease's renewTime as they were then. */
  readonly heartbeat: string | undefined
  readonly renewTime: string | undefined
}

export type ReadyStatus = 'True' | 'False' | 'Unknown'

export function readyConditionOf(node: Node): NodeCondition | undefined { return node.status?.conditions?.find((condition) => condition.type === 'Ready') }

export function readyStatusOf(node: Node): ReadyStatus {
  const status = readyConditionOf(node)?.status
  return status === 'True' || status === 'False' ? status : 'Unknown'
}

export function observeHealth(known: NodeHealth | undefined, node: Node, lease: Lease | undefined, now: number): NodeHealth {
  const ready = readyConditionOf(node)
  const heartbeat = ready?.lastHeartbeatTime
  const renewTime = lease?.spec.renewTime
  // A node that never reported counts from its creation.
  if (!known) return { heardMs: ready || renewTime ? now : Math.min(now, orElse(timeOf(node.metadata.creationTimestamp), now)), heartbeat, renewTime }
  const heard = heartbeat !== known.heartbeat || (renewTime !== undefined && (known.renewTime === undefined || timeOf(known.renewTime) < timeOf(renewTime)))
  return heard ? { heardMs: now, heartbeat, renewTime: renewTime ?? known.renewTime } : known
}

function orElse(value: number, fallback: number): number { return Number.isNaN(value) ? fallback : value }

const watchedConditions = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'] as const

/** The conditions of a node that has been silent too long: unknown, all four; undefined when they are already. */
export function silentConditions(node: Node, now: number): readonly NodeCondition[] | undefined {
  const time = formatTime(now)
  let changed = false
  const conditions = [...node.status?.conditions ?? []]
  for (const type of watchedConditions) {
    const at = conditions.findIndex((condition) => condition.type === type)
    const old = conditions[at]
    if (!old) {
      conditions.push({
        type, status: 'Unknown', reason: 'NodeStatusNeverUpdated', message: 'Kubelet never posted node status.', lastHeartbeatTime: node.metadata.creationTimestamp, lastTransitionTime: time,
      })
      changed = true
    } else if (old.status !== 'Unknown') {
      conditions[at] = { ...old, status: 'Unknown', reason: 'NodeStatusUnknown', message: 'Kubelet stopped posting node status.', lastTransitionTime: time }
      changed = true
    }
  }
  return changed ? conditions : undefined
}

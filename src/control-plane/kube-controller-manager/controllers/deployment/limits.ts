// How far a rolling update may go above and below the wanted number, and how many replicas the new ReplicaSet may have now.
// Upstream: kubernetes/pkg/controller/deployment/util/deployment_util.go
import { scaledValue } from '../../../../lib/apimachinery/int-or-string.ts'
import type { Deployment, ReplicaSet } from '../../../../lib/api/generated/types/apps-v1.ts'

export function isRolling(deployment: Deployment): boolean { return (deployment.spec.strategy?.type ?? 'RollingUpdate') === 'RollingUpdate' }

/** Both limits as numbers. They are never both zero, or nothing could move. */
export function rollingLimits(deployment: Deployment): { readonly surge: number, readonly unavailable: number } {
  const { maxSurge: surgeSetting = '25%', maxUnavailable: unavailableSetting = '25%' } = deployment.spec.strategy?.rollingUpdate ?? {}
  const replicas = deployment.spec.replicas ?? 1
  const surge = scaledValue(surgeSetting, replicas, true)
  const unavailable = scaledValue(unavailableSetting, replicas, false)
  const surgeCount = surge.ok ? surge.value : 0
  const unavailableCount = unavailable.ok ? unavailable.value : 0
  return { surge: surgeCount, unavailable: surgeCount === 0 && unavailableCount === 0 ? 1 : unavailableCount }
}

export function maxSurge(deployment: Deployment): number { return isRolling(deployment) ? rollingLimits(deployment).surge : 0 }

export function maxUnavailable(deployment: Deployment): number {
  const replicas = deployment.spec.replicas ?? 1
  return !isRolling(deployment) || replicas === 0 ? 0 : Math.min(rollingLimits(deployment).unavailable, replicas)
}

export function specReplicas(set: ReplicaSet): number { return set.spec.replicas ?? 1 }
export function sumSpecReplicas(sets: readonly ReplicaSet[]): number { return sets.reduce((sum, set) => sum + specReplicas(set), 0) }
export function sumStatusReplicas(sets: readonly ReplicaSet[]): number { return sets.reduce((sum, set) => sum + set.status.replicas, 0) }
export function sumReadyReplicas(sets: readonly ReplicaSet[]): number { return sets.reduce((sum, set) => sum + (set.status.readyReplicas ?? 0), 0) }
export function sumAvailableReplicas(sets: readonly ReplicaSet[]): number { return sets.reduce((sum, set) => sum + (set.status.availableReplicas ?? 0), 0) }

/** Replicas that the new ReplicaSet may have, given `currentReplicas` it has and all ReplicaSets of the Deployment. */
export function newSetReplicas(deployment: Deployment, allSets: readonly ReplicaSet[], currentReplicas: number): number {
  const wanted = deployment.spec.replicas ?? 1
  if (!isRolling(deployment)) return wanted
  const room = wanted + maxSurge(deployment) - sumSpecReplicas(allSets)
  if (room <= 0) return currentReplicas
  return currentReplicas + Math.min(room, wanted - currentReplicas)
}

/** True when this ReplicaSet was made for the Deployment's present size and is all there. */
export function isSaturated(deployment: Deployment, set: ReplicaSet | undefined, desired: number | undefined): boolean {
  const wanted = deployment.spec.replicas ?? 1
  return set !== undefined && desired === wanted && specReplicas(set) === wanted && set.status.availableReplicas === wanted
}

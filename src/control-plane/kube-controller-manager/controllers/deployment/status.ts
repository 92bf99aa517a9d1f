// A Deployment's status: sums over its ReplicaSets, and the conditions Available, Progressing and ReplicaFailure.
// Upstream: kubernetes/pkg/controller/deployment/progress.go, sync.go, util/deployment_util.go
import type { Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet } from '../../../../lib/api/generated/types/apps-v1.ts'
import { formatTime } from '../../../../lib/base/clock.ts'
import { timeOf } from '../shared/pod-state.ts'
import { maxUnavailable, sumAvailableReplicas, sumReadyReplicas, sumSpecReplicas, sumStatusReplicas } from './limits.ts'

export type DeploymentConditions = readonly DeploymentCondition[]

/** A deadline of the largest int32 means none. */
export function hasProgressDeadline(deployment: Deployment): boolean {
  const seconds = deployment.spec.progressDeadlineSeconds
  return seconds !== undefined && seconds !== 2 ** 31 - 1
}

export function findDeploymentCondition(conditions: DeploymentConditions | undefined, type: string): DeploymentCondition | undefined {
  return conditions?.find((condition) => condition.type === type)
}

export interface ConditionChange { readonly type: string, readonly status: 'True' | 'False' | 'Unknown', readonly reason: string, readonly message: string }

/** Same status and reason: nothing changes. Same status: the transition time stays. */
export function setDeploymentCondition(conditions: DeploymentConditions | undefined, change: ConditionChange, now: number): DeploymentConditions {
  const old = findDeploymentCondition(conditions, change.type)
  if (old?.status === change.status && old.reason === change.reason) return conditions ?? []
  const time = formatTime(now)
  const made: DeploymentCondition = { ...change, lastUpdateTime: time, lastTransitionTime: old?.status === change.status ? old.lastTransitionTime ?? time : time }
  return [...removeDeploymentCondition(conditions, change.type), made]
}

export function removeDeploymentCondition(conditions: DeploymentConditions | undefined, type: string): DeploymentConditions {
  return (conditions ?? []).filter((condition) => condition.type !== type)
}

/** Counts and the Available condition; other conditions as given. */
export function computeStatus(deployment: Deployment, allSets: readonly ReplicaSet[], newSet: ReplicaSet | undefined, conditions: DeploymentConditions, now: number): DeploymentStatus {
  const available = sumAvailableReplicas(allSets)
  const enough = available >= (deployment.spec.replicas ?? 1) - maxUnavailable(deployment)
  const terminating = allSets.every((set) => set.status.terminatingReplicas !== undefined || specIsEmpty(set))
    ? allSets.reduce((sum, set) => sum + (set.status.terminatingReplicas ?? 0), 0) : undefined
  return {
    observedGeneration: deployment.metadata.generation ?? 0,
    replicas: sumStatusReplicas(allSets),
    updatedReplicas: newSet ? newSet.status.replicas : 0,
    readyReplicas: sumReadyReplicas(allSets),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, sumSpecReplicas(allSets) - available),
    ...(terminating === undefined ? {} : { terminatingReplicas: terminating }),
    ...(deployment.status.collisionCount === undefined ? {} : { collisionCount: deployment.status.collisionCount }),
    conditions: setDeploymentCondition(conditions, enough
      ? { type: 'Available', status: 'True', reason: 'MinimumReplicasAvailable', message: 'Deployment has minimum availability.' }
      : { type: 'Available', status: 'False', reason: 'MinimumReplicasUnavailable', message: 'Deployment does not have minimum availability.' }, now),
  }
}

function specIsEmpty(set: ReplicaSet): boolean { return (set.spec.replicas ?? 1) === 0 && set.status.replicas === 0 }

export function isComplete(deployment: Deployment, status: DeploymentStatus): boolean {
  const wanted = deployment.spec.replicas ?? 1
  return (status.updatedReplicas ?? 0) === wanted && (status.replicas ?? 0) === wanted && (status.availableReplicas ?? 0) === wanted
    && (status.observedGeneration ?? 0) >= (deployment.metadata.generation ?? 0)
}

function isProgressing(deployment: Deployment, next: DeploymentStatus): boolean {
  const old = deployment.status
  const oldCount = (status: DeploymentStatus): number => (status.replicas ?? 0) - (status.updatedReplicas ?? 0)
  return (next.updatedReplicas ?? 0) > (old.updatedReplicas ?? 0) || oldCount(next) < oldCount(old)
    || (next.readyReplicas ?? 0) > (old.readyReplicas ?? 0) || (next.availableReplicas ?? 0) > (old.availableReplicas ?? 0)
}

function hasTimedOut(deployment: Deployment, next: DeploymentStatus, now: number): boolean {
  const condition = findDeploymentCondition(next.conditions, 'Progressing')
  if (!hasProgressDeadline(deployment) || !condition || condition.reason === 'NewReplicaSetAvailable') return false
  if (condition.reason === 'ProgressDeadlineExceeded') return true
  return timeOf(condition.lastUpdateTime) + (deployment.spec.progressDeadlineSeconds ?? 0) * 1000 < now
}

/** The status of a Deployment that rolls out, with the condition Progressing. */
export function computeRolloutStatus(deployment: Deployment, allSets: readonly ReplicaSet[], newSet: ReplicaSet | undefined, conditions: DeploymentConditions, now: number): DeploymentStatus {
  const status = computeStatus(deployment, allSets, newSet, conditions, now)
  let next = status.conditions ?? []
  if (!hasProgressDeadline(deployment)) next = removeDeploymentCondition(next, 'Progressing')
  const current = findDeploymentCondition(deployment.status.conditions, 'Progressing')
  const settled = (status.replicas ?? 0) === (status.updatedReplicas ?? 0) && current?.reason === 'NewReplicaSetAvailable'
  if (hasProgressDeadline(deployment) && !settled) {
    const subject = newSet ? `ReplicaSet "${newSet.metadata.name}"` : `Deployment "${deployment.metadata.name}"`
    if (isComplete(deployment, status)) {
      next = setDeploymentCondition(next, { type: 'Progressing', status: 'True', reason: 'NewReplicaSetAvailable', message: `${subject} has successfully progressed.` }, now)
    } else if (isProgressing(deployment, status)) {
      const time = formatTime(now)
      const made: DeploymentCondition = {
        type: 'Progressing', status: 'True', reason: 'ReplicaSetUpdated', message: `${subject} is progressing.`, lastUpdateTime: time,
        lastTransitionTime: current?.status === 'True' ? current.lastTransitionTime ?? time : time,
      }
      next = [...removeDeploymentCondition(next, 'Progressing'), made]
    } else if (hasTimedOut(deployment, { ...status, conditions: next }, now)) {
      next = setDeploymentCondition(next, { type: 'Progressing', status: 'False', reason: 'ProgressDeadlineExceeded', message: `${subject} has timed out progressing.` }, now)
    }
  }
  const failure = replicaFailure(allSets, newSet)
  next = failure
    ? setDeploymentCondition(next, { type: 'ReplicaFailure', status: 'True', reason: failure.reason ?? '', message: failure.message ?? '' }, now)
    : removeDeploymentCondition(next, 'ReplicaFailure')
  return { ...status, conditions: next }
}

function replicaFailure(allSets: readonly ReplicaSet[], newSet: ReplicaSet | undefined): { readonly reason?: string, readonly message?: string } | undefined {
  const failureOf = (set: ReplicaSet): { readonly reason?: string, readonly message?: string } | undefined => set.status.conditions?.find((condition) => condition.type === 'ReplicaFailure')
  const failure = newSet ? failureOf(newSet) : undefined
  if (failure) return failure
  for (const set of allSets) { const other = failureOf(set); if (other) return other }
  return undefined
}

/** When to look whether the deadline has passed, in milliseconds from now; undefined when there is nothing to wait for. */
export function untilDeadlineMs(deployment: Deployment, next: DeploymentStatus, now: number): number | undefined {
  const current = findDeploymentCondition(next.conditions, 'Progressing')
  if (!hasProgressDeadline(deployment) || !current || isComplete(deployment, next) || current.reason === 'ProgressDeadlineExceeded' || current.reason === 'NewReplicaSetAvailable') return undefined
  const leftMs = timeOf(current.lastUpdateTime) + (deployment.spec.progressDeadlineSeconds ?? 0) * 1000 - now
  return Math.max(leftMs, 0) + 1000
}

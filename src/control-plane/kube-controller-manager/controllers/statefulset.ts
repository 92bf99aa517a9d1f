// statefulset-controller: pods with names and storage of their own, name-0 … name-(n-1), made in order and taken away in reverse, one at a time unless the
// set says Parallel. Updated from the highest ordinal down to the partition.
//
// Rule it keeps: there is never a second pod of the same ordinal, because its name is its identity and the API server refuses two of a name.
// Upstream: kubernetes/pkg/controller/statefulset
import { semanticEqual } from '../../../lib/apimachinery/equality.ts'
import { scaledValue } from '../../../lib/apimachinery/int-or-string.ts'
import { matches } from '../../../lib/apimachinery/label-selector.ts'
import type { ControllerRevision, StatefulSet, StatefulSetStatus } from '../../../lib/api/generated/types/apps-v1.ts'
import type { PersistentVolumeClaim, Pod } from '../../../lib/api/generated/types/core-v1.ts'
import type { OwnerReference } from '../../../lib/api/generated/types/meta-v1.ts'
import { controllerOf, objectKey, splitObjectKey } from '../../../lib/client/object-references.ts'
import { controllerRevisions, persistentVolumeClaims, pods, statefulSets } from '../../../lib/client/resource-keys.ts'
import { claimDependents, controllerIndex, controllerIndexValues, orphanIndexValue } from './shared/claims.ts'
import { aboutObject, create, remove, update, updateStatus, watch } from './shared/controller.ts'
import type { Action, Controller, Plan, PlannedEvent, Step, View } from './shared/controller.ts'
import { isPodAvailable, isPodReady, isPodTerminal, untilNextAvailableMs } from './shared/pod-state.ts'
import { computeHistory, expiredRevisions, revisionHashLabel, templateOf } from './shared/revisions.ts'
import { readSelector } from './shared/selectors.ts'
import { claimsOf, ordinalOf, podName, podOf, wantedOwners } from './statefulset/identity.ts'

export interface ObservedStatefulSet {
  readonly now: number
  readonly set: StatefulSet
  readonly pods: readonly Pod[]
  readonly revisions: readonly ControllerRevision[]
  readonly claimOf: (name: string) => PersistentVolumeClaim | undefined
}

export function syncStatefulSet(observed: ObservedStatefulSet): Plan {
  const { set, now } = observed
  const claims = claimDependents({ owner: set, ownerKey: statefulSets, dependentKey: pods, selector: readSelector(set.spec.selector) }, observed.pods.filter((pod) => ordinalOf(set, pod.metadata.name) !== undefined))
  const history = computeHistory({ owner: set, key: statefulSets, template: set.spec.template, collisionCount: set.status.collisionCount, labels: set.spec.selector?.matchLabels ?? {} }, observed.revisions)
  if (history.collides) return { steps: [{ actions: [updateStatus(statefulSets, { ...set, status: { ...set.status, collisionCount: (set.status.collisionCount ?? 0) + 1 } })] }] }
  const updateRevision = history.current.metadata.name
  const currentRevision = [history.current, ...history.old].find((revision) => revision.metadata.name === set.status.currentRevision) ?? history.current
  const moves = set.metadata.deletionTimestamp === undefined ? computeMoves(observed, claims.claimed, currentRevision, history.current) : []
  const steps: Step[] = [claims.actions, history.actions, moves].filter((actions) => actions.length > 0).map((actions) => ({ actions }))
  const inUse = new Set([...claims.claimed.map((pod) => pod.metadata.labels?.[revisionHashLabel] ?? ''), currentRevision.metadata.name, updateRevision])
  const expired = expiredRevisions(history, inUse, set.spec.revisionHistoryLimit ?? 10)
  if (expired.length > 0) steps.push({ actions: expired })
  const status = computeStatus(set, claims.claimed, currentRevision.metadata.name, updateRevision, now)
  const waitMs = untilNextAvailableMs(claims.claimed, set.spec.minReadySeconds ?? 0, now)
  return {
    steps, ...(waitMs === undefined ? {} : { requeueAfterMs: waitMs }),
    afterwards: ({ failure }) => (failure || semanticEqual(status, set.status) ? {} : { steps: [{ actions: [updateStatus(statefulSets, { ...set, status }, { tolerates: ['NotFound'] })] }] }),
  }
}

function isHealthy(set: StatefulSet, pod: Pod, now: number): boolean {
  return pod.status.phase === 'Running' && isPodReady(pod) && isPodAvailable(pod, set.spec.minReadySeconds ?? 0, now) && pod.metadata.deletionTimestamp === undefined
}

function partitionOf(set: StatefulSet): number { return set.spec.updateStrategy.rollingUpdate?.partition ?? 0 }

/** Which template a new pod of this ordinal gets: the old one below the partition, and while the update has not come down to it yet. */
function revisionFor(set: StatefulSet, ordinal: number, current: ControllerRevision, next: ControllerRevision): ControllerRevision {
  if ((set.spec.updateStrategy.type ?? 'RollingUpdate') !== 'RollingUpdate') return next
  const start = set.spec.ordinals?.start ?? 0
  const partition = set.spec.updateStrategy.rollingUpdate?.partition
  const kept = partition === undefined ? ordinal < start + (set.status.currentReplicas ?? 0) : ordinal < start + partition
  return kept ? current : next
}

/** The next moves: all that may be made now, which is one for OrderedReady. */
function computeMoves(observed: ObservedStatefulSet, claimed: readonly Pod[], current: ControllerRevision, next: ControllerRevision): readonly Action[] {
  const { set, now } = observed
  const start = set.spec.ordinals?.start ?? 0
  const end = start + (set.spec.replicas ?? 1)
  const ordered = set.spec.podManagementPolicy !== 'Parallel'
  const byOrdinal = new Map(claimed.map((pod) => [ordinalOf(set, pod.metadata.name) ?? -1, pod]))
  const actions: Action[] = []
  for (let ordinal = start; ordinal < end; ordinal++) {
    const pod = byOrdinal.get(ordinal)
    if (!pod) {
      actions.push(...createReplica(observed, ordinal, revisionFor(set, ordinal, current, next)))
      if (ordered) return actions
      continue
    }
    if (isPodTerminal(pod) && pod.metadata.deletionTimestamp === undefined) {
      actions.push(deleteReplica(set, pod, `StatefulSet ${objectKey(set)} is recreating ${pod.status.phase === 'Failed' ? 'failed' : 'terminated'} Pod ${pod.metadata.name}`))
      if (ordered) return actions
      continue
    }
    actions.push(...storageActions(observed, ordinal), ...identityActions(set, pod, ordinal))
    if (ordered && !isHealthy(set, pod, now)) return actions
  }
  const condemned = [...byOrdinal].filter(([ordinal]) => ordinal < start || ordinal >= end).sort(([a], [b]) => b - a).map(([, pod]) => pod)
  const firstUnhealthy = [...byOrdinal].sort(([a], [b]) => a - b).map(([, pod]) => pod).find((pod) => !isHealthy(set, pod, now))
  for (const pod of condemned) {
    if (pod.metadata.deletionTimestamp !== undefined) { if (ordered) return actions; continue }
    if (ordered && !isHealthy(set, pod, now) && pod !== firstUnhealthy) return actions
    actions.push(deleteReplica(set, pod))
    if (ordered) return actions
  }
  if ((set.spec.updateStrategy.type ?? 'RollingUpdate') === 'RollingUpdate') actions.push(...updateMoves(set, byOrdinal, start, end, next.metadata.name, now))
  return actions
}

/** From the highest ordinal down: outdated pods go while no more than allowed are unavailable. */
function updateMoves(set: StatefulSet, byOrdinal: ReadonlyMap<number, Pod>, start: number, end: number, updateRevision: string, now: number): readonly Action[] {
  const limit = scaledValue(set.spec.updateStrategy.rollingUpdate?.maxUnavailable ?? 1, end - start, true)
  const allowed = Math.max(1, limit.ok ? limit.value : 1)
  let unavailable = 0
  for (let ordinal = start; ordinal < end; ordinal++) { const pod = byOrdinal.get(ordinal); if (!pod || !isHealthy(set, pod, now)) unavailable++ }
  const actions: Action[] = []
  for (let ordinal = end - 1; ordinal >= start + partitionOf(set); ordinal--) {
    const pod = byOrdinal.get(ordinal)
    if (!pod) return actions
    const healthy = isHealthy(set, pod, now)
    if (pod.metadata.labels?.[revisionHashLabel] !== updateRevision && pod.metadata.deletionTimestamp === undefined) {
      // One that is unhealthy already costs nothing to lose.
      if (healthy && unavailable >= allowed) return actions
      if (healthy) unavailable++
      actions.push(deleteReplica(set, pod))
      if (unavailable >= allowed) return actions
      continue
    }
    if (!healthy && unavailable >= allowed) return actions
  }
  return actions
}

function createReplica(observed: ObservedStatefulSet, ordinal: number, revision: ControllerRevision): readonly Action[] {
  const { set } = observed
  const about = aboutObject(statefulSets, set)
  const name = podName(set, ordinal)
  const template = templateOf(revision) ?? set.spec.template
  return [...storageActions(observed, ordinal), create(pods, set.metadata.namespace ?? '', podOf(set, ordinal, template, revision.metadata.name), {
    succeeded: (): PlannedEvent => ({ about, type: 'Normal', reason: 'SuccessfulCreate', message: `create Pod ${name} in StatefulSet ${set.metadata.name} successful` }),
    failed: (failure) => (failure.reason === 'AlreadyExists' ? undefined : { about, type: 'Warning', reason: 'FailedCreate', message: `create Pod ${name} in StatefulSet ${set.metadata.name} failed error: ${failure.message}` }),
  })]
}

/** Claims that are missing, and owners of claims that are not as the retention policy says. */
function storageActions({ set, claimOf }: ObservedStatefulSet, ordinal: number): readonly Action[] {
  const about = aboutObject(statefulSets, set)
  return claimsOf(set, ordinal).flatMap((wanted): readonly Action[] => {
    const name = wanted.metadata.name
    const existing = claimOf(name)
    if (!existing) {
      return [create(persistentVolumeClaims, set.metadata.namespace ?? '', wanted, {
        tolerates: ['AlreadyExists'], succeeded: (): PlannedEvent => ({ about, type: 'Normal', reason: 'SuccessfulCreate', message: `create Claim ${name} Pod ${podName(set, ordinal)} in StatefulSet ${set.metadata.name} success` }),
      })]
    }
    const owners = wantedOwners(set, existing)
    return owners === undefined ? [] : [update(persistentVolumeClaims, { ...existing, metadata: { ...existing.metadata, ownerReferences: owners as readonly OwnerReference[] } })]
  })
}

/** A pod whose labels were tampered with gets its name's back. */
function identityActions(set: StatefulSet, pod: Pod, ordinal: number): readonly Action[] {
  const wanted = { 'statefulset.kubernetes.io/pod-name': podName(set, ordinal), 'apps.kubernetes.io/pod-index': String(ordinal) }
  if (pod.metadata.deletionTimestamp !== undefined || Object.entries(wanted).every(([key, value]) => pod.metadata.labels?.[key] === value)) return []
  return [update(pods, { ...pod, metadata: { ...pod.metadata, labels: { ...pod.metadata.labels, ...wanted } } })]
}

function deleteReplica(set: StatefulSet, pod: Pod, why?: string): Action {
  const about = aboutObject(statefulSets, set)
  return remove(pods, pod, {}, {
    succeeded: (): PlannedEvent => ({
      about, type: why === undefined ? 'Normal' : 'Warning', reason: why === undefined ? 'SuccessfulDelete' : 'RecreatingFailedPod', message: why ?? `delete Pod ${pod.metadata.name} in StatefulSet ${set.metadata.name} successful`,
    }),
  })
}

function computeStatus(set: StatefulSet, claimed: readonly Pod[], currentRevision: string, updateRevision: string, now: number): StatefulSetStatus {
  const created = claimed.filter((pod) => pod.status.phase !== undefined)
  const running = created.filter((pod) => pod.metadata.deletionTimestamp === undefined)
  const ofRevision = (revision: string): number => running.filter((pod) => pod.metadata.labels?.[revisionHashLabel] === revision).length
  const ready = created.filter((pod) => pod.status.phase === 'Running' && isPodReady(pod))
  const base: StatefulSetStatus = {
    ...set.status, observedGeneration: set.metadata.generation ?? 0, replicas: created.length, readyReplicas: ready.length,
    availableReplicas: ready.filter((pod) => isPodAvailable(pod, set.spec.minReadySeconds ?? 0, now)).length,
    currentReplicas: ofRevision(currentRevision), updatedReplicas: ofRevision(updateRevision), currentRevision, updateRevision, collisionCount: set.status.collisionCount ?? 0,
  }
  const wanted = set.spec.replicas ?? 1
  const complete = (set.spec.updateStrategy.type ?? 'RollingUpdate') === 'RollingUpdate' && partitionOf(set) === 0 && base.updatedReplicas === wanted && base.replicas === wanted && base.readyReplicas === wanted
  return complete ? { ...base, currentReplicas: base.updatedReplicas ?? 0, currentRevision: updateRevision } : base
}

export function createStatefulSetController(): Controller<ObservedStatefulSet> {
  return {
    name: 'statefulset-controller',
    watches: [
      watch({ resource: statefulSets, keysOf: (set) => [objectKey(set)] }),
      watch({ resource: pods, indexes: { [controllerIndex]: controllerIndexValues }, keysOf: keysOfPod }),
      watch({ resource: persistentVolumeClaims }),
      watch({ resource: controllerRevisions, indexes: { [controllerIndex]: controllerIndexValues } }),
    ],
    observe(key, view, { now }) {
      const { namespace, name } = splitObjectKey(key)
      const set = view.get(statefulSets, namespace, name)
      return set && {
        now, set, revisions: view.byIndex(controllerRevisions, controllerIndex, set.metadata.uid), claimOf: (claim) => view.get(persistentVolumeClaims, namespace, claim),
        pods: [...view.byIndex(pods, controllerIndex, set.metadata.uid), ...view.byIndex(pods, controllerIndex, orphanIndexValue(namespace))],
      }
    },
    sync: syncStatefulSet,
  }
}

function keysOfPod(pod: Pod, view: View): readonly string[] {
  const namespace = pod.metadata.namespace ?? ''
  const reference = controllerOf(pod)
  if (reference) {
    const owner = reference.kind === 'StatefulSet' ? view.get(statefulSets, namespace, reference.name) : undefined
    return owner?.metadata.uid === reference.uid ? [objectKey(owner)] : []
  }
  return view.list(statefulSets, namespace).filter((set) => matches(readSelector(set.spec.selector), pod.metadata.labels)).map(objectKey)
}

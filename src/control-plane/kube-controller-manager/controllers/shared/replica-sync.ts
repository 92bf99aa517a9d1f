// The rule behind ReplicaSets and ReplicationControllers: as many pods as asked for, no more, no fewer.
//
// A pod that has finished or is being deleted no longer counts. Missing pods are created in batches of 1, 2, 4, … so that a template that is refused
// costs one refusal, not five hundred; surplus pods are deleted cheapest first. Status tells what is, and of the first failure.
// Upstream: kubernetes/pkg/controller/replicaset/replica_set.go, replica_set_utils.go
import { semanticEqual } from '../../../../lib/apimachinery/equality.ts'
import type { LabelSelector } from '../../../../lib/apimachinery/label-selector.ts'
import { matches, selectorFromLabels } from '../../../../lib/apimachinery/label-selector.ts'
import type { Pod, PodTemplateSpec } from '../../../../lib/api/generated/types/core-v1.ts'
import { formatTime } from '../../../../lib/base/clock.ts'
import type { ApiObject, ResourceKey } from '../../../../lib/client/api-client.ts'
import { controllerReference } from '../../../../lib/client/object-references.ts'
import { pods } from '../../../../lib/client/resource-keys.ts'
import { claimDependents } from './claims.ts'
import { aboutObject, create, remove, updateStatus } from './controller.ts'
import type { Action, Failure, Plan, PlannedEvent, Step } from './controller.ts'
import { inDeletionOrder } from './pod-deletion-order.ts'
import { isPodActive, isPodAvailable, isPodReady, isPodTerminating, untilNextAvailableMs } from './pod-state.ts'

interface ReplicaCondition { readonly type: string, readonly status: string, readonly lastTransitionTime?: string, readonly reason?: string, readonly message?: string }

export interface ReplicaStatus {
  readonly replicas: number
  readonly fullyLabeledReplicas?: number
  readonly readyReplicas?: number
  readonly availableReplicas?: number
  readonly terminatingReplicas?: number
  readonly observedGeneration?: number
  readonly conditions?: readonly ReplicaCondition[]
}

/** A ReplicaSet or a ReplicationController. */
export interface ReplicaOwner extends ApiObject {
  readonly spec: { readonly replicas?: number, readonly minReadySeconds?: number, readonly template?: PodTemplateSpec }
  readonly status: ReplicaStatus
}

export interface ObservedReplicas<O extends ReplicaOwner> {
  readonly now: number
  readonly owner: O
  readonly selector: LabelSelector
  /** The owner's pods and the orphans of its namespace. */
  readonly pods: readonly Pod[]
  /** Number of active pods of the same application by node. */
  readonly relatedByNode: ReadonlyMap<string, number>
}

/** Pods created or deleted in one sync. */
const burstReplicas = 500

export function syncReplicas<O extends ReplicaOwner>(observed: ObservedReplicas<O>, key: ResourceKey<O>, options: { readonly countTerminating: boolean }): Plan {
  const { owner, selector, now, relatedByNode } = observed
  const claims = claimDependents({ owner, ownerKey: key, dependentKey: pods, selector }, observed.pods.filter((pod) => isPodActive(pod) || isPodTerminating(pod)))
  const active = claims.claimed.filter(isPodActive)
  const wanted = owner.spec.replicas ?? 1
  const leaving = owner.metadata.deletionTimestamp !== undefined
  const missing = leaving ? 0 : wanted - active.length
  const steps: Step[] = claims.actions.length > 0 ? [{ actions: claims.actions }] : []
  if (missing > 0) steps.push({ mode: 'slow-start', actions: Array.from({ length: Math.min(missing, burstReplicas) }, () => createPod(owner, key)) })
  if (missing < 0) {
    const surplus = inDeletionOrder(active, relatedByNode, now).slice(0, Math.min(-missing, burstReplicas))
    steps.push({ mode: 'together', actions: surplus.map((pod) => deletePod(owner, key, pod)) })
  }
  const minReadySeconds = owner.spec.minReadySeconds ?? 0
  const untilAvailableMs = minReadySeconds > 0 ? untilNextAvailableMs(active, minReadySeconds, now) : undefined
  const terminating = options.countTerminating ? claims.claimed.filter(isPodTerminating).length : undefined
  return {
    steps,
    afterwards: ({ failure }) => {
      const status = computeReplicaStatus({ owner, active, terminating, now, failure: failure && { missing, failure } })
      const changed = !semanticEqual(status, owner.status)
      return {
        steps: changed ? [{ actions: [updateStatus(key, { ...owner, status }, { tolerates: ['NotFound'] })] }] : [],
        ...(untilAvailableMs === undefined ? {} : { requeueAfterMs: untilAvailableMs }),
      }
    },
  }
}

interface StatusInput {
  readonly owner: ReplicaOwner
  readonly active: readonly Pod[]
  readonly terminating: number | undefined
  readonly now: number
  readonly failure: { readonly missing: number, readonly failure: Failure } | undefined
}

function computeReplicaStatus({ owner, active, terminating, now, failure }: StatusInput): ReplicaStatus {
  const templateLabels = selectorFromLabels(owner.spec.template?.metadata?.labels ?? {})
  const minReadySeconds = owner.spec.minReadySeconds ?? 0
  const old = owner.status.conditions ?? []
  const had = old.find((condition) => condition.type === 'ReplicaFailure')
  const others = old.filter((condition) => condition.type !== 'ReplicaFailure')
  const conditions = !failure ? others : had ? old : [...others, {
    type: 'ReplicaFailure', status: 'True', reason: failure.missing < 0 ? 'FailedDelete' : 'FailedCreate', message: failure.failure.message, lastTransitionTime: formatTime(now),
  }]
  const { conditions: _old, ...rest } = owner.status
  return {
    ...rest,
    replicas: active.length,
    fullyLabeledReplicas: active.filter((pod) => matches(templateLabels, pod.metadata.labels)).length,
    readyReplicas: active.filter(isPodReady).length,
    availableReplicas: active.filter((pod) => isPodAvailable(pod, minReadySeconds, now)).length,
    ...(terminating === undefined ? {} : { terminatingReplicas: terminating }),
    observedGeneration: owner.metadata.generation ?? 0,
    ...(conditions.length > 0 ? { conditions } : {}),
  }
}

/** The pod that a template makes: its labels, annotations and finalizers, named after and owned by `owner`. */
export function podFromTemplate<O extends ApiObject>(owner: O, key: ResourceKey<O>, template: PodTemplateSpec | undefined): { readonly metadata: object, readonly spec: object } {
  const { labels, annotations, finalizers } = template?.metadata ?? {}
  return {
    metadata: {
      generateName: podNamePrefix(owner.metadata.name), namespace: owner.metadata.namespace ?? '', ...(labels ? { labels } : {}), ...(annotations ? { annotations } : {}),
      ...(finalizers ? { finalizers } : {}), ownerReferences: [controllerReference(owner, key)],
    },
    spec: template?.spec ?? {},
  }
}

/** `name-` where that makes a valid pod name, else the name alone. */
export function podNamePrefix(ownerName: string): string { return ownerName.length <= 252 ? `${ownerName}-` : ownerName }

function createPod<O extends ReplicaOwner>(owner: O, key: ResourceKey<O>): Action {
  return createOwnedPod(owner, key, podFromTemplate(owner, key, owner.spec.template))
}

/** Creates a pod for `owner`, with the events that tell of it. */
export function createOwnedPod<O extends ApiObject>(owner: O, key: ResourceKey<O>, pod: object): Action {
  const about = aboutObject(key, owner)
  return create(pods, owner.metadata.namespace ?? '', pod, {
    succeeded: (made): PlannedEvent => ({ about, type: 'Normal', reason: 'SuccessfulCreate', message: `Created pod: ${made?.metadata.name ?? ''}` }),
    // A namespace that is going away refuses everything; that is no news.
    failed: (failure) => (failure.causes.includes('NamespaceTerminating') ? undefined : { about, type: 'Warning', reason: 'FailedCreate', message: `Error creating: ${failure.message}` }),
  })
}

/** Deletes a pod of `owner`, with the events that tell of it. */
export function deletePod<O extends ApiObject>(owner: O, key: ResourceKey<O>, pod: Pod): Action {
  const about = aboutObject(key, owner)
  return remove(pods, pod, {}, {
    succeeded: (): PlannedEvent => ({ about, type: 'Normal', reason: 'SuccessfulDelete', message: `Deleted pod: ${pod.metadata.name}` }),
    failed: (failure): PlannedEvent => ({ about, type: 'Warning', reason: 'FailedDelete', message: `Error deleting: ${failure.message}` }),
  })
}

// disruption-controller: how many pods of each PodDisruptionBudget may be evicted now. Upstream: kubernetes/pkg/controller/disruption
import { semanticEqual } from '../../../lib/apimachinery/equality.ts'
import { scaledValue } from '../../../lib/apimachinery/int-or-string.ts'
import { matches } from '../../../lib/apimachinery/label-selector.ts'
import type { Pod } from '../../../lib/api/generated/types/core-v1.ts'
import type { Condition } from '../../../lib/api/generated/types/meta-v1.ts'
import type { PodDisruptionBudget, PodDisruptionBudgetStatus } from '../../../lib/api/generated/types/policy-v1.ts'
import { formatTime } from '../../../lib/base/clock.ts'
import { controllerOf, objectKey, splitObjectKey } from '../../../lib/client/object-references.ts'
import { deployments, podDisruptionBudgets, pods, replicaSets, replicationControllers, statefulSets } from '../../../lib/client/resource-keys.ts'
import { aboutObject, updateStatus, watch } from './shared/controller.ts'
import type { Controller, Plan, PlannedEvent, View } from './shared/controller.ts'
import { isPodReady, isPodTerminal, timeOf } from './shared/pod-state.ts'
import { readSelector } from './shared/selectors.ts'

export interface ObservedBudget {
  readonly now: number
  readonly budget: PodDisruptionBudget
  readonly pods: readonly Pod[]
  /** Uid and wanted size of what manages the pod; undefined when nothing that has a size does. */
  readonly scaleOf: (pod: Pod) => { readonly uid: string, readonly replicas: number } | undefined
}

/** An eviction that was allowed but has not shown as a deletion by then did not happen. */
const disruptedTimeoutMs = 120_000

export function syncBudget({ now, budget, pods: selected, scaleOf }: ObservedBudget): Plan {
  const alive = selected.filter((pod) => !isPodTerminal(pod))
  const events: PlannedEvent[] = []
  if (alive.length === 0) events.push({ about: aboutObject(podDisruptionBudgets, budget), type: 'Normal', reason: 'NoPods', message: 'No matching pods found' })
  const expected = computeExpected(budget, alive, scaleOf)
  const { disruptedPods, againMs } = stillDisrupted(budget, selected, now)
  const healthy = alive.filter((pod) => pod.metadata.deletionTimestamp === undefined && disruptedPods[pod.metadata.name] === undefined && isPodReady(pod)).length
  const generation = budget.metadata.generation ?? 0
  const allowed = expected.ok && expected.expectedPods > 0 ? Math.max(0, healthy - expected.desiredHealthy) : 0
  const condition: Condition = !expected.ok
    ? { type: 'DisruptionAllowed', status: 'False', reason: 'SyncFailed', message: expected.error, observedGeneration: generation, lastTransitionTime: '' }
    : { type: 'DisruptionAllowed', status: allowed > 0 ? 'True' : 'False', reason: allowed > 0 ? 'SufficientPods' : 'InsufficientPods', message: '', observedGeneration: generation, lastTransitionTime: '' }
  const status: PodDisruptionBudgetStatus = {
    ...(expected.ok ? { currentHealthy: healthy, desiredHealthy: expected.desiredHealthy, expectedPods: expected.expectedPods }
      : { currentHealthy: budget.status.currentHealthy ?? 0, desiredHealthy: budget.status.desiredHealthy ?? 0, expectedPods: budget.status.expectedPods ?? 0 }),
    disruptionsAllowed: allowed, observedGeneration: generation, ...(Object.keys(disruptedPods).length > 0 ? { disruptedPods } : {}), conditions: withCondition(budget, condition, now),
  }
  const changed = !semanticEqual(status, budget.status)
  return { events: changed ? events : [], steps: changed ? [{ actions: [updateStatus(podDisruptionBudgets, { ...budget, status }, { tolerates: ['NotFound'] })] }] : [], ...(againMs === undefined ? {} : { requeueAfterMs: againMs }) }
}

type Expected = { readonly ok: true, readonly expectedPods: number, readonly desiredHealthy: number } | { readonly ok: false, readonly error: string }

function computeExpected(budget: PodDisruptionBudget, alive: readonly Pod[], scaleOf: ObservedBudget['scaleOf']): Expected {
  const { maxUnavailable, minAvailable } = budget.spec
  if (maxUnavailable !== undefined || (typeof minAvailable === 'string')) {
    const sizes = new Map<string, number>()
    for (const pod of alive) {
      const controller = controllerOf(pod)
      // Pods that nothing manages have no wanted number; they count only when they are healthy.
      if (!controller) continue
      const scale = scaleOf(pod)
      if (!scale) return { ok: false, error: `${controller.kind} ${controller.name} has no size that a percentage could be taken of` }
      sizes.set(scale.uid, scale.replicas)
    }
    const expectedPods = [...sizes.values()].reduce((sum, size) => sum + size, 0)
    const limit = scaledValue(maxUnavailable ?? minAvailable ?? 0, expectedPods, true)
    if (!limit.ok) return { ok: false, error: limit.error }
    return { ok: true, expectedPods, desiredHealthy: Math.max(0, maxUnavailable === undefined ? limit.value : expectedPods - limit.value) }
  }
  return { ok: true, expectedPods: alive.length, desiredHealthy: minAvailable ?? 0 }
}

function stillDisrupted(budget: PodDisruptionBudget, selected: readonly Pod[], now: number): { readonly disruptedPods: { readonly [name: string]: string }, readonly againMs: number | undefined } {
  const disruptedPods: Record<string, string> = {}
  let againMs: number | undefined
  for (const [name, since] of Object.entries(budget.status.disruptedPods ?? {})) {
    const pod = selected.find((other) => other.metadata.name === name)
    const leftMs = timeOf(since) + disruptedTimeoutMs - now
    if (!pod || pod.metadata.deletionTimestamp !== undefined || leftMs <= 0) continue
    disruptedPods[name] = since
    againMs = Math.min(againMs ?? leftMs, leftMs)
  }
  return { disruptedPods, againMs }
}

function withCondition(budget: PodDisruptionBudget, condition: Condition, now: number): readonly Condition[] {
  const conditions = budget.status.conditions ?? []
  const old = conditions.find((other) => other.type === condition.type)
  const made = { ...condition, lastTransitionTime: old?.status === condition.status ? old.lastTransitionTime : formatTime(now) }
  return old ? conditions.map((other) => (other === old ? made : other)) : [...conditions, made]
}

export function createDisruptionController(): Controller<ObservedBudget> {
  return {
    name: 'disruption-controller',
    component: 'controllermanager',
    watches: [
      watch({ resource: podDisruptionBudgets, keysOf: (budget) => [objectKey(budget)] }),
      watch({ resource: pods, keysOf: (pod, view) => view.list(podDisruptionBudgets, pod.metadata.namespace).filter((budget) => matches(readSelector(budget.spec.selector), pod.metadata.labels)).map(objectKey) }),
      watch({ resource: deployments }),
      watch({ resource: replicaSets }),
      watch({ resource: replicationControllers }),
      watch({ resource: statefulSets }),
    ],
    observe(key, view, { now }) {
      const { namespace, name } = splitObjectKey(key)
      const budget = view.get(podDisruptionBudgets, namespace, name)
      if (!budget) return undefined
      const selector = readSelector(budget.spec.selector)
      return { now, budget, pods: view.list(pods, namespace).filter((pod) => matches(selector, pod.metadata.labels)), scaleOf: (pod) => scaleOf(pod, view) }
    },
    sync: syncBudget,
  }
}

function scaleOf(pod: Pod, view: View): { readonly uid: string, readonly replicas: number } | undefined {
  const reference = controllerOf(pod)
  const namespace = pod.metadata.namespace ?? ''
  if (!reference) return undefined
  const sized = (object: { readonly metadata: { readonly uid: string }, readonly spec: { readonly replicas?: number } } | undefined, uid: string): { readonly uid: string, readonly replicas: number } | undefined =>
    (object?.metadata.uid === uid ? { uid, replicas: object.spec.replicas ?? 1 } : undefined)
  switch (reference.kind) {
    case 'ReplicaSet': {
      const set = view.get(replicaSets, namespace, reference.name)
      const owner = set && controllerOf(set)
      return owner?.kind === 'Deployment' ? sized(view.get(deployments, namespace, owner.name), owner.uid) : sized(set, reference.uid)
    }
    case 'ReplicationController': return sized(view.get(replicationControllers, namespace, reference.name), reference.uid)
    case 'StatefulSet': return sized(view.get(statefulSets, namespace, reference.name), reference.uid)
    default: return undefined
  }
}

// pod-garbage-collector-controller: every 20 s removes pods that nobody else will: of nodes that no longer exist (gone for 40 s, and looked up again), being
// deleted without ever having had a node, on a node marked out of service, and finished ones beyond the threshold, oldest first.
// Upstream: kubernetes/pkg/controller/podgc
import type { Node, Pod } from '../../../lib/api/generated/types/core-v1.ts'
import { formatTime } from '../../../lib/base/clock.ts'
import { nodes, pods } from '../../../lib/client/resource-keys.ts'
import { readyStatusOf } from './node-lifecycle/health.ts'
import { patch, remove, verifyAbsent, watch } from './shared/controller.ts'
import type { Action, Controller, Plan, Step } from './shared/controller.ts'
import { isPodTerminal } from './shared/pod-state.ts'

export interface PodGcMemory {
  /** Missing nodes, and since when they have been seen missing. */
  readonly missing: ReadonlyMap<string, number>
}

export interface ObservedPods {
  readonly now: number
  readonly pods: readonly Pod[]
  readonly nodeOf: (name: string) => Node | undefined
  readonly memory: PodGcMemory | undefined
  readonly terminatedPodThreshold: number
}

const periodMs = 20_000
const quarantineMs = 40_000

export function syncPodGc({ now, pods: all, nodeOf, memory, terminatedPodThreshold }: ObservedPods): Plan<PodGcMemory> {
  const steps: Step[] = []
  const missing = new Map<string, number>()
  const orphans = new Map<string, Pod[]>()
  const actions: Action[] = []
  for (const pod of all) {
    const name = pod.spec.nodeName
    if (!name) {
      if (pod.metadata.deletionTimestamp !== undefined) actions.push(...forceDelete(pod, undefined, now))
      continue
    }
    const node = nodeOf(name)
    if (!node) {
      missing.set(name, memory?.missing.get(name) ?? now)
      orphans.set(name, [...orphans.get(name) ?? [], pod])
    } else if (pod.metadata.deletionTimestamp !== undefined && readyStatusOf(node) !== 'True' && node.spec?.taints?.some((taint) => taint.key === 'node.kubernetes.io/out-of-service')) {
      actions.push(...forceDelete(pod, undefined, now))
    }
  }
  const finished = all.filter((pod) => isPodTerminal(pod) && pod.metadata.deletionTimestamp === undefined)
  if (terminatedPodThreshold > 0 && finished.length > terminatedPodThreshold) {
    const byAge = finished.toSorted((a, b) => (a.metadata.creationTimestamp < b.metadata.creationTimestamp ? -1 : a.metadata.creationTimestamp > b.metadata.creationTimestamp ? 1 : a.metadata.name < b.metadata.name ? -1 : 1))
    actions.push(...byAge.slice(0, finished.length - terminatedPodThreshold).flatMap((pod) => forceDelete(pod, undefined, now)))
  }
  if (actions.length > 0) steps.push({ actions })
  for (const [name, left] of orphans) {
    if (now - (missing.get(name) ?? now) < quarantineMs) continue
    // A node that is there after all ends this round; the copy will show it by the next.
    steps.push({ actions: [verifyAbsent(nodes, '', name), ...left.flatMap((pod) => forceDelete(pod, 'PodGC: node no longer exists', now))] })
  }
  return { steps, memory: { missing }, requeueAfterMs: periodMs }
}

function forceDelete(pod: Pod, message: string | undefined, now: number): readonly Action[] {
  const deletion = remove(pods, pod, { gracePeriodSeconds: 0 }, { tolerates: ['NotFound', 'Conflict'] })
  if (message === undefined && isPodTerminal(pod)) return [deletion]
  const conditions = message === undefined ? {} : { conditions: [{ type: 'DisruptionTarget', status: 'True', reason: 'DeletionByPodGC', message, lastTransitionTime: formatTime(now) }] }
  const status = { ...(isPodTerminal(pod) ? {} : { phase: 'Failed' }), ...conditions }
  return [patch(pods, pod, 'application/strategic-merge-patch+json', { metadata: { uid: pod.metadata.uid }, status }, { subresource: 'status', tolerates: ['NotFound', 'Conflict'] }), deletion]
}

export function createPodGarbageCollector(settings: { readonly terminatedPodGcThreshold: number }): Controller<ObservedPods, PodGcMemory> {
  return {
    name: 'pod-garbage-collector-controller',
    concurrency: 1,
    initialKeys: ['all'],
    watches: [watch({ resource: pods }), watch({ resource: nodes })],
    observe: (_key, view, { now, memory }) => ({ now, memory, pods: view.list(pods), nodeOf: (name) => view.get(nodes, '', name), terminatedPodThreshold: settings.terminatedPodGcThreshold }),
    sync: syncPodGc,
  }
}

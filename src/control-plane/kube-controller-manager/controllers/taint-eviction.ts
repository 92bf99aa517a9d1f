// taint-eviction-controller: deletes pods from nodes with NoExecute taints that they don't tolerate: at once, or when the time they tolerate them for is
// over (300 s for not-ready and unreachable, which admission gives to every pod). Upstream: kubernetes/pkg/controller/tainteviction
import type { Pod, Taint, Toleration } from '../../../lib/api/generated/types/core-v1.ts'
import { formatTime } from '../../../lib/base/clock.ts'
import { objectKey, splitObjectKey } from '../../../lib/client/object-references.ts'
import { nodes, pods } from '../../../lib/client/resource-keys.ts'
import { aboutObject, patch, remove, watch } from './shared/controller.ts'
import type { Controller, Plan } from './shared/controller.ts'
import { isPodTerminal, timeOf } from './shared/pod-state.ts'

export interface EvictionMemory {
  /** Since when the eviction is counted; undefined when none is due. */
  readonly sinceMs: number | undefined
}

export interface ObservedTaints {
  readonly now: number
  readonly pod: Pod
  /** The NoExecute taints of its node. */
  readonly taints: readonly Taint[]
  readonly memory: EvictionMemory | undefined
}

export function syncEviction({ pod, taints, now, memory }: ObservedTaints): Plan<EvictionMemory> {
  const cancelled: Plan<EvictionMemory> = memory?.sinceMs === undefined ? {} : {
    memory: { sinceMs: undefined },
    events: [{ about: aboutObject(pods, pod), type: 'Normal', reason: 'TaintManagerEviction', message: `Cancelling deletion of Pod ${objectKey(pod)}` }],
  }
  if (taints.length === 0 || pod.metadata.deletionTimestamp !== undefined || isPodTerminal(pod)) return cancelled
  const toleratedMs = toleratedTimeMs(taints, pod.spec.tolerations ?? [])
  if (toleratedMs === Number.POSITIVE_INFINITY) return cancelled
  // The taints tell when they came, so that a new leader goes on where the old one was.
  const added = taints.map((taint) => timeOf(taint.timeAdded)).filter((time) => !Number.isNaN(time) && time <= now)
  const sinceMs = memory?.sinceMs ?? (added.length === taints.length ? Math.min(...added) : now)
  const leftMs = sinceMs + toleratedMs - now
  if (leftMs > 0) return { memory: { sinceMs }, requeueAfterMs: leftMs }
  return {
    memory: { sinceMs },
    events: [{ about: aboutObject(pods, pod), type: 'Normal', reason: 'TaintManagerEviction', message: `Marking for deletion Pod ${objectKey(pod)}` }],
    steps: [{
      actions: [
        patch(pods, pod, 'application/strategic-merge-patch+json', {
          metadata: { uid: pod.metadata.uid },
          status: {
            conditions: [{ type: 'DisruptionTarget', status: 'True', reason: 'DeletionByTaintManager', message: 'Taint manager: deleting due to NoExecute taint', lastTransitionTime: formatTime(now) }],
          },
        }, { subresource: 'status', tolerates: ['NotFound', 'Conflict'] }),
        remove(pods, pod, {}, { tolerates: ['NotFound', 'Conflict'] }),
      ],
    }],
  }
}

/** How long the taints are tolerated together, in milliseconds: 0 when one of them isn't, infinite when all are for ever. */
export function toleratedTimeMs(taints: readonly Taint[], tolerations: readonly Toleration[]): number {
  let shortest = Number.POSITIVE_INFINITY
  for (const taint of taints) {
    const matching = tolerations.filter((toleration) => tolerates(toleration, taint))
    if (matching.length === 0) return 0
    for (const { tolerationSeconds } of matching) if (tolerationSeconds !== undefined) shortest = Math.min(shortest, Math.max(0, tolerationSeconds) * 1000)
  }
  return shortest
}

export function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false
  if (toleration.key && toleration.key !== taint.key) return false
  switch (toleration.operator ?? 'Equal') {
    case '': case 'Equal': return (toleration.value ?? '') === (taint.value ?? '') && Boolean(toleration.key)
    case 'Exists': return true
    case 'Gt': return Number(taint.value) > Number(toleration.value)
    case 'Lt': return Number(taint.value) < Number(toleration.value)
    default: return false
  }
}

export function createTaintEvictionController(): Controller<ObservedTaints, EvictionMemory> {
  return {
    name: 'taint-eviction-controller',
    watches: [
      watch({ resource: pods, indexes: { node: (pod) => [pod.spec.nodeName ?? ''] }, keysOf: (pod) => (pod.spec.nodeName ? [objectKey(pod)] : []) }),
      watch({ resource: nodes, keysOf: (node, view) => (node.spec?.taints?.some((taint) => taint.effect === 'NoExecute') ? view.byIndex(pods, 'node', node.metadata.name).map(objectKey) : []) }),
    ],
    observe(key, view, { now, memory }) {
      const { namespace, name } = splitObjectKey(key)
      const pod = view.get(pods, namespace, name)
      if (!pod) return undefined
      const taints = view.get(nodes, '', pod.spec.nodeName ?? '')?.spec?.taints?.filter((taint) => taint.effect === 'NoExecute') ?? []
      return { now, pod, taints, memory }
    },
    sync: syncEviction,
  }
}

// replicaset-controller: keeps as many pods as each ReplicaSet asks for. The rule itself is in shared/replica-sync.ts.
// Upstream: kubernetes/pkg/controller/replicaset
import { matches, selectsEverything } from '../../../lib/apimachinery/label-selector.ts'
import type { Pod } from '../../../lib/api/generated/types/core-v1.ts'
import type { ReplicaSet } from '../../../lib/api/generated/types/apps-v1.ts'
import { controllerOf, objectKey, splitObjectKey } from '../../../lib/client/object-references.ts'
import { pods, replicaSets } from '../../../lib/client/resource-keys.ts'
import { controllerIndex, controllerIndexValues, orphanIndexValue } from './shared/claims.ts'
import { watch } from './shared/controller.ts'
import type { Controller, Plan, View } from './shared/controller.ts'
import { isPodActive } from './shared/pod-state.ts'
import { syncReplicas } from './shared/replica-sync.ts'
import type { ObservedReplicas } from './shared/replica-sync.ts'
import { readSelector } from './shared/selectors.ts'

export function syncReplicaSet(observed: ObservedReplicas<ReplicaSet>): Plan { return syncReplicas(observed, replicaSets, { countTerminating: true }) }

export function createReplicaSetController(): Controller<ObservedReplicas<ReplicaSet>> {
  return {
    name: 'replicaset-controller',
    watches: [
      watch({ resource: replicaSets, indexes: { [controllerIndex]: controllerIndexValues }, keysOf: (set) => [objectKey(set)] }),
      watch({ resource: pods, indexes: { [controllerIndex]: controllerIndexValues }, keysOf: keysOfPod }),
    ],
    observe(key, view, { now }) {
      const { namespace, name } = splitObjectKey(key)
      const owner = view.get(replicaSets, namespace, name)
      if (!owner) return undefined
      const own = view.byIndex(pods, controllerIndex, owner.metadata.uid)
      const orphans = view.byIndex(pods, controllerIndex, orphanIndexValue(namespace))
      const tooMany = own.filter(isPodActive).length > (owner.spec.replicas ?? 1)
      return { now, owner, selector: readSelector(owner.spec.selector), pods: [...own, ...orphans], relatedByNode: tooMany ? relatedByNode(owner, view) : new Map() }
    },
    sync: syncReplicaSet,
  }
}

/** The ReplicaSet that a pod belongs to; for an orphan all that would take it. */
function keysOfPod(pod: Pod, view: View): readonly string[] {
  const namespace = pod.metadata.namespace ?? ''
  const reference = controllerOf(pod)
  if (reference) {
    const owner = reference.kind === 'ReplicaSet' ? view.get(replicaSets, namespace, reference.name) : undefined
    return owner?.metadata.uid === reference.uid ? [objectKey(owner)] : []
  }
  if (pod.metadata.deletionTimestamp !== undefined) return []
  return view.list(replicaSets, namespace).filter((set) => {
    const selector = readSelector(set.spec.selector)
    return !selectsEverything(selector) && matches(selector, pod.metadata.labels)
  }).map(objectKey)
}

/** Active pods by node, of all ReplicaSets of the same Deployment. */
function relatedByNode(set: ReplicaSet, view: View): ReadonlyMap<string, number> {
  const deployment = controllerOf(set)
  const siblings = deployment ? view.byIndex(replicaSets, controllerIndex, deployment.uid) : [set]
  const counts = new Map<string, number>()
  for (const sibling of siblings) {
    for (const pod of view.byIndex(pods, controllerIndex, sibling.metadata.uid)) {
      const node = pod.spec?.nodeName
      if (node && isPodActive(pod)) counts.set(node, (counts.get(node) ?? 0) + 1)
    }
  }
  return counts
}

// replicationcontroller-controller: keeps as many pods as each ReplicationController asks for. The rule itself is in shared/replica-sync.ts.
// Upstream: kubernetes/pkg/controller/replication
import { matches } from '../../../lib/apimachinery/label-selector.ts'
import type { Pod, ReplicationController } from '../../../lib/api/generated/types/core-v1.ts'
import { controllerOf, objectKey, splitObjectKey } from '../../../lib/client/object-references.ts'
import { pods, replicationControllers } from '../../../lib/client/resource-keys.ts'
import { controllerIndex, controllerIndexValues, orphanIndexValue } from './shared/claims.ts'
import { watch } from './shared/controller.ts'
import type { Controller, Plan, View } from './shared/controller.ts'
import { isPodActive } from './shared/pod-state.ts'
import { syncReplicas } from './shared/replica-sync.ts'
import type { ObservedReplicas } from './shared/replica-sync.ts'
import { readMapSelector } from './shared/selectors.ts'

export function syncReplicationController(observed: ObservedReplicas<ReplicationController>): Plan {
  return syncReplicas(observed, replicationControllers, { countTerminating: false })
}

export function createReplicationControllerController(): Controller<ObservedReplicas<ReplicationController>> {
  return {
    name: 'replicationcontroller-controller',
    component: 'replication-controller',
    watches: [
      watch({ resource: replicationControllers, keysOf: (controller) => [objectKey(controller)] }),
      watch({ resource: pods, indexes: { [controllerIndex]: controllerIndexValues }, keysOf: keysOfPod }),
    ],
    observe(key, view, { now }) {
      const { namespace, name } = splitObjectKey(key)
      const owner = view.get(replicationControllers, namespace, name)
      if (!owner) return undefined
      const own = view.byIndex(pods, controllerIndex, owner.metadata.uid)
      const relatedByNode = new Map<string, number>()
      for (const pod of own) {
        const node = pod.spec?.nodeName
        if (node && isPodActive(pod)) relatedByNode.set(node, (relatedByNode.get(node) ?? 0) + 1)
      }
      return { now, owner, selector: readMapSelector(owner.spec.selector), pods: [...own, ...view.byIndex(pods, controllerIndex, orphanIndexValue(namespace))], relatedByNode }
    },
    sync: syncReplicationController,
  }
}

function keysOfPod(pod: Pod, view: View): readonly string[] {
  const namespace = pod.metadata.namespace ?? ''
  const reference = controllerOf(pod)
  if (reference) {
    const owner = reference.kind === 'ReplicationController' ? view.get(replicationControllers, namespace, reference.name) : undefined
    return owner?.metadata.uid === reference.uid ? [objectKey(owner)] : []
  }
  if (pod.metadata.deletionTimestamp !== undefined) return []
  return view.list(replicationControllers, namespace).filter((controller) => matches(readMapSelector(controller.spec.selector), pod.metadata.labels)).map(objectKey)
}

// The objects besides nodes and pods that plugins read, from the informers' copies.
import type { Service } from '../../lib/api/generated/types/core-v1.ts'
import type { PodDisruptionBudget } from '../../lib/api/generated/types/policy-v1.ts'
import type { InformerFactory, Informer } from '../../lib/client/informer-contract.ts'
import type { ApiObject } from '../../lib/client/api-client.ts'
import { csiNodes, namespaces, persistentVolumeClaims, persistentVolumes, podDisruptionBudgets, replicaSets, replicationControllers, services, statefulSets, storageClasses } from '../../lib/client/resource-keys.ts'
import { clusterEvent } from './framework/events.ts'
import type { ClusterEvent, EventObjects, EventResource } from './framework/events.ts'
import type { ClusterObjects } from './framework/cluster-view.ts'
import { sameJson } from './object-changes.ts'

export interface ObjectListeners {
  /** Something a waiting pod may hope for. */
  happened(event: ClusterEvent, objects: EventObjects): void
  /** A namespace came, went or changed its labels. */
  namespaceChanged(name: string): void
  /** What services or controllers select changed. */
  ownersChanged(): void
}

/** Asks the factory for all it needs and tells `listeners` of changes; synchronous reads from then on. */
export function watchClusterObjects(informers: InformerFactory, listeners: ObjectListeners): ClusterObjects {
  const namespaceInformer = informers.informer(namespaces)
  const claims = informers.informer(persistentVolumeClaims)
  const volumes = informers.informer(persistentVolumes)
  const classes = informers.informer(storageClasses)
  const nodesOfCsi = informers.informer(csiNodes)
  const serviceInformer = informers.informer(services)
  const sets = informers.informer(replicaSets)
  const statefuls = informers.informer(statefulSets)
  const replications = informers.informer(replicationControllers)
  const budgets = informers.informer(podDisruptionBudgets)

  const tell = <T extends ApiObject>(informer: Informer<T>, resource: EventResource): void => informer.addHandler({
    added: (object) => listeners.happened(clusterEvent(resource, 'Add'), { new: object }),
    updated: (object, old) => listeners.happened(clusterEvent(resource, 'Update'), { old, new: object }),
    deleted: (object) => listeners.happened(clusterEvent(resource, 'Delete'), { old: object }),
  })
  tell(claims, 'PersistentVolumeClaim')
  tell(volumes, 'PersistentVolume')
  tell(classes, 'StorageClass')
  tell(nodesOfCsi, 'CSINode')
  namespaceInformer.addHandler({
    added: (namespace) => { if (namespace.metadata.labels) listeners.namespaceChanged(namespace.metadata.name) },
    updated: (namespace, old) => {
      if (sameJson(namespace.metadata.labels, old.metadata.labels)) return
      listeners.namespaceChanged(namespace.metadata.name)
      listeners.happened(clusterEvent('Namespace', 'Update'), { old, new: namespace })
    },
    deleted: (namespace) => listeners.namespaceChanged(namespace.metadata.name),
  })
  const owners = <T extends ApiObject>(informer: Informer<T>, selects: (object: T) => unknown): void => informer.addHandler({
    added: () => listeners.ownersChanged(),
    updated: (object, old) => { if (!sameJson(selects(object), selects(old))) listeners.ownersChanged() },
    deleted: () => listeners.ownersChanged(),
  })
  owners(serviceInformer, (service) => service.spec?.selector)
  owners(sets, (set) => set.spec?.selector)
  owners(statefuls, (set) => set.spec?.selector)
  owners(replications, (controller) => controller.spec?.selector)

  return {
    namespace: (name) => namespaceInformer.get('', name),
    claim: (namespace, name) => claims.get(namespace, name),
    volume: (name) => volumes.get('', name),
    volumes: () => volumes.list(),
    storageClass: (name) => classes.get('', name),
    csiNode: (name) => nodesOfCsi.get('', name),
    services: (namespace): readonly Service[] => serviceInformer.list(namespace),
    replicaSet: (namespace, name) => sets.get(namespace, name),
    statefulSet: (namespace, name) => statefuls.get(namespace, name),
    replicationController: (namespace, name) => replications.get(namespace, name),
    disruptionBudgets: (namespace): readonly PodDisruptionBudget[] => budgets.list(namespace),
  }
}

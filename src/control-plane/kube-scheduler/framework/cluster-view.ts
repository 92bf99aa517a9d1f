// All that the plugins may read of the cluster: nodes with their pods, counts of pods by term, and the objects of storage and owners.
// Upstream: kube-scheduler framework.SharedLister, framework.Handle
import type { Namespace, PersistentVolume, PersistentVolumeClaim, ReplicationController, Service } from '../../../lib/api/generated/types/core-v1.ts'
import type { ReplicaSet, StatefulSet } from '../../../lib/api/generated/types/apps-v1.ts'
import type { PodDisruptionBudget } from '../../../lib/api/generated/types/policy-v1.ts'
import type { CSINode, StorageClass } from '../../../lib/api/generated/types/storage-v1.ts'
import type { AffinityTerm, NamespaceLabels, PodMatcher } from './affinity-terms.ts'
import type { NodeInfo } from './node-info.ts'
import type { PodInfo } from './pod-info.ts'

/** An affinity term that pods on nodes hold, which binds or attracts others (symmetry). */
export interface HeldTerm {
  readonly kind: 'requiredAnti' | 'required' | 'preferred' | 'preferredAnti'
  readonly term: AffinityTerm
  /** Of preferred terms; 0 otherwise. */
  readonly weight: number
  /** Pods on the node that hold it. */
  count(node: NodeInfo): number
}

/** Counts per node, so that nobody passes over all pods. Trials on copies of nodes are added by the plugins themselves. */
export interface PodCounts {
  /** A counter of the pods that match. */
  matching(matcher: PodMatcher): (node: NodeInfo) => number
  /** The terms held by pods on nodes that speak of `pod`. */
  heldTermsFor(pod: PodInfo): readonly HeldTerm[]
}

/** Reads of the API objects besides nodes and pods. */
export interface ClusterObjects {
  namespace(name: string): Namespace | undefined
  claim(namespace: string, name: string): PersistentVolumeClaim | undefined
  volume(name: string): PersistentVolume | undefined
  volumes(): readonly PersistentVolume[]
  storageClass(name: string): StorageClass | undefined
  csiNode(name: string): CSINode | undefined
  services(namespace: string): readonly Service[]
  replicaSet(namespace: string, name: string): ReplicaSet | undefined
  statefulSet(namespace: string, name: string): StatefulSet | undefined
  replicationController(namespace: string, name: string): ReplicationController | undefined
  disruptionBudgets(namespace: string): readonly PodDisruptionBudget[]
}

export interface ClusterView {
  /** Nodes in zone order. */
  readonly nodes: readonly NodeInfo[]
  node(name: string): NodeInfo | undefined
  readonly counts: PodCounts
  readonly objects: ClusterObjects
  readonly namespaceLabels: NamespaceLabels
  /** Image with tag → on how many nodes it is. */
  imageNodes(image: string): number
  /** How many pods on nodes use the claim. */
  claimUsers(namespace: string, claim: string): number
  /** Pods that wait for their victims to leave `node`. */
  nominatedPods(node: string): readonly PodInfo[]
}

// The resources that components name, with the types of their objects.
import type { ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet } from '../api/generated/types/apps-v1.ts'
import type { Lease } from '../api/generated/types/coordination-v1.ts'
import type { ConfigMap, Endpoints, Event, LimitRange, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, ReplicationController, ResourceQuota, Secret, Service, ServiceAccount } from '../api/generated/types/core-v1.ts'
import type { EndpointSlice } from '../api/generated/types/discovery-v1.ts'
import type { PodDisruptionBudget } from '../api/generated/types/policy-v1.ts'
import type { PriorityClass } from '../api/generated/types/scheduling-v1.ts'
import type { CSINode, StorageClass } from '../api/generated/types/storage-v1.ts'
import type { HorizontalPodAutoscaler } from '../api/generated/types/autoscaling-v2.ts'
import type { CronJob, Job } from '../api/generated/types/batch-v1.ts'
import type { CertificateSigningRequest } from '../api/generated/types/certificates-v1.ts'
import type { ClusterRole } from '../api/generated/types/rbac-v1.ts'
import type { ApiObject, ResourceKey } from './api-client.ts'

function key<T extends ApiObject>(group: string, version: string, resource: string, kind: string, namespaced = true): ResourceKey<T> {
  return { group, version, resource, kind, namespaced }
}

export const configMaps = key<ConfigMap>('', 'v1', 'configmaps', 'ConfigMap')
export const endpoints = key<Endpoints>('', 'v1', 'endpoints', 'Endpoints')
export const events = key<Event>('', 'v1', 'events', 'Event')
export const limitRanges = key<LimitRange>('', 'v1', 'limitranges', 'LimitRange')
export const namespaces = key<Namespace>('', 'v1', 'namespaces', 'Namespace', false)
export const nodes = key<Node>('', 'v1', 'nodes', 'Node', false)
export const persistentVolumeClaims = key<PersistentVolumeClaim>('', 'v1', 'persistentvolumeclaims', 'PersistentVolumeClaim')
export const persistentVolumes = key<PersistentVolume>('', 'v1', 'persistentvolumes', 'PersistentVolume', false)
export const pods = key<Pod>('', 'v1', 'pods', 'Pod')
export const replicationControllers = key<ReplicationController>('', 'v1', 'replicationcontrollers', 'ReplicationController')
export const resourceQuotas = key<ResourceQuota>('', 'v1', 'resourcequotas', 'ResourceQuota')
export const secrets = key<Secret>('', 'v1', 'secrets', 'Secret')
export const services = key<Service>('', 'v1', 'services', 'Service')
export const serviceAccounts = key<ServiceAccount>('', 'v1', 'serviceaccounts', 'ServiceAccount')
export const controllerRevisions = key<ControllerRevision>('apps', 'v1', 'controllerrevisions', 'ControllerRevision')
export const daemonSets = key<DaemonSet>('apps', 'v1', 'daemonsets', 'DaemonSet')
export const deployments = key<Deployment>('apps', 'v1', 'deployments', 'Deployment')
export const replicaSets = key<ReplicaSet>('apps', 'v1', 'replicasets', 'ReplicaSet')
export const statefulSets = key<StatefulSet>('apps', 'v1', 'statefulsets', 'StatefulSet')
export const jobs = key<Job>('batch', 'v1', 'jobs', 'Job')
export const cronJobs = key<CronJob>('batch', 'v1', 'cronjobs', 'CronJob')
export const leases = key<Lease>('coordination.k8s.io', 'v1', 'leases', 'Lease')
export const endpointSlices = key<EndpointSlice>('discovery.k8s.io', 'v1', 'endpointslices', 'EndpointSlice')
export const podDisruptionBudgets = key<PodDisruptionBudget>('policy', 'v1', 'poddisruptionbudgets', 'PodDisruptionBudget')
export const priorityClasses = key<PriorityClass>('scheduling.k8s.io', 'v1', 'priorityclasses', 'PriorityClass', false)
export const storageClasses = key<StorageClass>('storage.k8s.io', 'v1', 'storageclasses', 'StorageClass', false)
export const csiNodes = key<CSINode>('storage.k8s.io', 'v1', 'csinodes', 'CSINode', false)
export const clusterRoles = key<ClusterRole>('rbac.authorization.k8s.io', 'v1', 'clusterroles', 'ClusterRole', false)
export const certificateSigningRequests = key<CertificateSigningRequest>('certificates.k8s.io', 'v1', 'certificatesigningrequests', 'CertificateSigningRequest', false)
export const horizontalPodAutoscalers = key<HorizontalPodAutoscaler>('autoscaling', 'v2', 'horizontalpodautoscalers', 'HorizontalPodAutoscaler')

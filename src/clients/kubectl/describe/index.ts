// The describer of each kind, by group and kind. Upstream: kubectl/pkg/describe (describerMap)
import type { JsonObject } from '../../../lib/base/json.ts'
import { describeHorizontalPodAutoscaler } from './autoscalers.ts'
import { describeCertificateSigningRequest } from './certificates.ts'
import { describeConfigMap, describePriorityClass, describeSecret, describeServiceAccount } from './config-objects.ts'
import type { DescribeWorld, Describer } from './describer.ts'
import { describeAnything } from './generic.ts'
import { describeCronJob, describeJob } from './jobs.ts'
import { describeLimitRange, describeNamespace, describeResourceQuota } from './namespaces.ts'
import { describeNode } from './nodes.ts'
import { describePod } from './pods.ts'
import { describeIpAddress, describeNetworkPolicy, describePodDisruptionBudget, describeServiceCidr } from './policy.ts'
import { describeRole, describeRoleBinding } from './rbac.ts'
import { describeEndpointSlice, describeEndpoints, describeIngress, describeIngressClass, describeService } from './services.ts'
import { describeCsiNode, describePersistentVolume, describePersistentVolumeClaim, describeStorageClass, describeVolumeAttributesClass } from './storage.ts'
import { describeDaemonSet, describeDeployment, describeReplicaSet, describeReplicationController, describeStatefulSet } from './workloads.ts'

/** A describer of one kind, given objects of any: the registry below pairs them. */
const of = <T>(describer: Describer<T>): Describer<JsonObject> => (world, object) => describer(world, object as unknown as T) // cast: found by the object's own kind

const describers: { readonly [groupKind: string]: Describer<JsonObject> } = {
  '/Pod': of(describePod), '/ReplicationController': of(describeReplicationController), '/Secret': of(describeSecret), '/Service': of(describeService), '/ServiceAccount': of(describeServiceAccount), '/Node': of(describeNode),
  '/LimitRange': of(describeLimitRange), '/ResourceQuota': of(describeResourceQuota), '/PersistentVolume': of(describePersistentVolume), '/PersistentVolumeClaim': of(describePersistentVolumeClaim), '/Namespace': of(describeNamespace),
  '/Endpoints': of(describeEndpoints), '/ConfigMap': of(describeConfigMap), 'discovery.k8s.io/EndpointSlice': of(describeEndpointSlice), 'autoscaling/HorizontalPodAutoscaler': of(describeHorizontalPodAutoscaler),
  'networking.k8s.io/Ingress': of(describeIngress), 'networking.k8s.io/IngressClass': of(describeIngressClass), 'networking.k8s.io/ServiceCIDR': of(describeServiceCidr), 'networking.k8s.io/IPAddress': of(describeIpAddress), 'networking.k8s.io/NetworkPolicy': of(describeNetworkPolicy),
  'batch/Job': of(describeJob), 'batch/CronJob': of(describeCronJob), 'apps/StatefulSet': of(describeStatefulSet), 'apps/Deployment': of(describeDeployment), 'apps/DaemonSet': of(describeDaemonSet), 'apps/ReplicaSet': of(describeReplicaSet),
  'certificates.k8s.io/CertificateSigningRequest': of(describeCertificateSigningRequest), 'storage.k8s.io/StorageClass': of(describeStorageClass), 'storage.k8s.io/CSINode': of(describeCsiNode), 'storage.k8s.io/VolumeAttributesClass': of(describeVolumeAttributesClass),
  'policy/PodDisruptionBudget': of(describePodDisruptionBudget), 'rbac.authorization.k8s.io/Role': of(describeRole), 'rbac.authorization.k8s.io/ClusterRole': of(describeRole), 'rbac.authorization.k8s.io/RoleBinding': of(describeRoleBinding),
  'rbac.authorization.k8s.io/ClusterRoleBinding': of(describeRoleBinding), 'scheduling.k8s.io/PriorityClass': of(describePriorityClass),
}

export async function describeObject(world: DescribeWorld, group: string, kind: string, object: JsonObject): Promise<string> {
  return (describers[`${group}/${kind}`] ?? describeAnything)(world, object)
}

// Which rules each kind follows, by `group/resource`. A kind that isn't here has its metadata validated and its status kept from clients, and no more.
import type { ApiObject } from '../../../lib/client/api-client.ts'
import { mutatingAdmissionPolicyBindingRules, mutatingAdmissionPolicyRules, validatingAdmissionPolicyBindingRules, validatingAdmissionPolicyRules } from './admissionregistration/policy-rules.ts'
import { mutatingWebhookRules, validatingWebhookRules } from './admissionregistration/webhook-rules.ts'
import { apiServiceRules } from './aggregation/api-service-rules.ts'
import { controllerRevisionRules } from './apps/controller-revision-rules.ts'
import { daemonSetRules } from './apps/daemon-set-rules.ts'
import { deploymentRules } from './apps/deployment-rules.ts'
import { replicaSetRules } from './apps/replica-set-rules.ts'
import { statefulSetRules } from './apps/stateful-set-rules.ts'
import { horizontalPodAutoscalerRules } from './autoscaling/horizontal-pod-autoscaler-rules.ts'
import { cronJobRules } from './batch/cron-job-rules.ts'
import { jobRules } from './batch/job-rules.ts'
import { certificateSigningRequestRules, clusterTrustBundleRules } from './certificates/certificate-rules.ts'
import { leaseCandidateRules, leaseRules } from './coordination/lease-rules.ts'
import { configMapRules, secretRules } from './core/config-map-rules.ts'
import { endpointSliceRules, endpointsRules } from './core/endpoints-rules.ts'
import { eventRules, newEventRules } from './core/event-rules.ts'
import { limitRangeRules } from './core/limit-range-rules.ts'
import { namespaceRules, serviceAccountRules } from './core/namespace-rules.ts'
import { nodeRules } from './core/node-rules.ts'
import { podRules } from './core/pod/pod-rules.ts'
import { podTemplateRules, replicationControllerRules } from './core/replication-controller-rules.ts'
import { resourceQuotaRules } from './core/resource-quota-rules.ts'
import { serviceRules } from './core/service/service-rules.ts'
import { persistentVolumeClaimRules } from './core/storage/persistent-volume-claim-rules.ts'
import { persistentVolumeRules } from './core/storage/persistent-volume-rules.ts'
import { flowSchemaRules, priorityLevelConfigurationRules } from './flowcontrol/flow-control-rules.ts'
import type { KindRules } from './generic-strategy.ts'
import { ingressClassRules, ingressRules } from './networking/ingress-rules.ts'
import { networkPolicyRules } from './networking/network-policy-rules.ts'
import { ipAddressRules, serviceCidrRules } from './networking/service-cidr-rules.ts'
import { podDisruptionBudgetRules } from './policy/pod-disruption-budget-rules.ts'
import { clusterRoleBindingRules, clusterRoleRules, roleBindingRules, roleRules } from './rbac/rbac-rules.ts'
import { priorityClassRules, runtimeClassRules } from './scheduling/priority-class-rules.ts'
import { csiDriverRules, csiNodeRules, csiStorageCapacityRules, storageClassRules, volumeAttachmentRules, volumeAttributesClassRules } from './storage/storage-rules.ts'

export const kindRules: { readonly [key: string]: KindRules<ApiObject> | undefined } = {
  '/configmaps': configMapRules,
  '/endpoints': endpointsRules,
  '/events': eventRules,
  '/limitranges': limitRangeRules,
  '/namespaces': namespaceRules,
  '/nodes': nodeRules,
  '/persistentvolumeclaims': persistentVolumeClaimRules,
  '/persistentvolumes': persistentVolumeRules,
  '/pods': podRules,
  '/podtemplates': podTemplateRules,
  '/replicationcontrollers': replicationControllerRules,
  '/resourcequotas': resourceQuotaRules,
  '/secrets': secretRules,
  '/serviceaccounts': serviceAccountRules,
  '/services': serviceRules,
  'admissionregistration.k8s.io/mutatingadmissionpolicies': mutatingAdmissionPolicyRules,
  'admissionregistration.k8s.io/mutatingadmissionpolicybindings': mutatingAdmissionPolicyBindingRules,
  'admissionregistration.k8s.io/mutatingwebhookconfigurations': mutatingWebhookRules,
  'admissionregistration.k8s.io/validatingadmissionpolicies': validatingAdmissionPolicyRules,
  'admissionregistration.k8s.io/validatingadmissionpolicybindings': validatingAdmissionPolicyBindingRules,
  'admissionregistration.k8s.io/validatingwebhookconfigurations': validatingWebhookRules,
  'apiregistration.k8s.io/apiservices': apiServiceRules,
  'apps/controllerrevisions': controllerRevisionRules,
  'apps/daemonsets': daemonSetRules,
  'apps/deployments': deploymentRules,
  'apps/replicasets': replicaSetRules,
  'apps/statefulsets': statefulSetRules,
  'autoscaling/horizontalpodautoscalers': horizontalPodAutoscalerRules,
  'batch/cronjobs': cronJobRules,
  'batch/jobs': jobRules,
  'certificates.k8s.io/certificatesigningrequests': certificateSigningRequestRules,
  'certificates.k8s.io/clustertrustbundles': clusterTrustBundleRules,
  'coordination.k8s.io/leasecandidates': leaseCandidateRules,
  'coordination.k8s.io/leases': leaseRules,
  'discovery.k8s.io/endpointslices': endpointSliceRules,
  'events.k8s.io/events': newEventRules,
  'flowcontrol.apiserver.k8s.io/flowschemas': flowSchemaRules,
  'flowcontrol.apiserver.k8s.io/prioritylevelconfigurations': priorityLevelConfigurationRules,
  'networking.k8s.io/ingressclasses': ingressClassRules,
  'networking.k8s.io/ingresses': ingressRules,
  'networking.k8s.io/ipaddresses': ipAddressRules,
  'networking.k8s.io/networkpolicies': networkPolicyRules,
  'networking.k8s.io/servicecidrs': serviceCidrRules,
  'node.k8s.io/runtimeclasses': runtimeClassRules,
  'policy/poddisruptionbudgets': podDisruptionBudgetRules,
  'rbac.authorization.k8s.io/clusterrolebindings': clusterRoleBindingRules,
  'rbac.authorization.k8s.io/clusterroles': clusterRoleRules,
  'rbac.authorization.k8s.io/rolebindings': roleBindingRules,
  'rbac.authorization.k8s.io/roles': roleRules,
  'scheduling.k8s.io/priorityclasses': priorityClassRules,
  'storage.k8s.io/csidrivers': csiDriverRules,
  'storage.k8s.io/csinodes': csiNodeRules,
  'storage.k8s.io/csistoragecapacities': csiStorageCapacityRules,
  'storage.k8s.io/storageclasses': storageClassRules,
  'storage.k8s.io/volumeattachments': volumeAttachmentRules,
  'storage.k8s.io/volumeattributesclasses': volumeAttributesClassRules,
}

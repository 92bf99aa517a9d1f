// How each kind behaves under the generic verbs, as data: which may be created by PUT, which need a resourceVersion, which count generations, which come back
// whole from DELETE, and what happens to their dependents. Upstream: pkg/registry/*/*/strategy.go and storage/storage.go
import type { DefaultPropagation } from './strategy.ts'

const admissionKinds = ['mutatingadmissionpolicies', 'mutatingadmissionpolicybindings', 'validatingadmissionpolicies', 'validatingadmissionpolicybindings', 'mutatingwebhookconfigurations', 'validatingwebhookconfigurations']
  .map((resource) => `admissionregistration.k8s.io/${resource}`)

const createdByUpdate = new Set([
  '/limitranges', '/events', 'events.k8s.io/events', '/services', '/endpoints', 'coordination.k8s.io/leases', 'coordination.k8s.io/leasecandidates', 'node.k8s.io/runtimeclasses',
  'rbac.authorization.k8s.io/roles', 'rbac.authorization.k8s.io/clusterroles', 'rbac.authorization.k8s.io/rolebindings', 'rbac.authorization.k8s.io/clusterrolebindings',
])

const needsResourceVersion = new Set([
  ...admissionKinds, 'coordination.k8s.io/leases', 'coordination.k8s.io/leasecandidates', 'storage.k8s.io/csinodes', 'storage.k8s.io/csidrivers', 'storage.k8s.io/csistoragecapacities',
  'storage.k8s.io/volumeattachments', 'node.k8s.io/runtimeclasses', 'policy/poddisruptionbudgets', 'internal.apiserver.k8s.io/storageversions',
  'storagemigration.k8s.io/storageversionmigrations', 'certificates.k8s.io/clustertrustbundles', 'certificates.k8s.io/podcertificaterequests',
  'resource.k8s.io/resourcepoolstatusrequests', 'apiextensions.k8s.io/customresourcedefinitions', 'apiregistration.k8s.io/apiservices',
])

const countsGenerations = new Set([
  ...admissionKinds, '/pods', '/podtemplates', '/replicationcontrollers', 'apps/deployments', 'apps/replicasets', 'apps/statefulsets', 'apps/daemonsets', 'batch/jobs', 'batch/cronjobs',
  'policy/poddisruptionbudgets', 'networking.k8s.io/ingresses', 'networking.k8s.io/ingressclasses', 'networking.k8s.io/networkpolicies', 'discovery.k8s.io/endpointslices',
  'scheduling.k8s.io/priorityclasses', 'flowcontrol.apiserver.k8s.io/flowschemas', 'flowcontrol.apiserver.k8s.io/prioritylevelconfigurations', 'storage.k8s.io/csidrivers',
  'resource.k8s.io/deviceclasses', 'resource.k8s.io/resourceslices', 'resource.k8s.io/devicetaintrules', 'apiextensions.k8s.io/customresourcedefinitions',
])

const comesBackFromDelete = new Set([
  '/pods', '/services', '/namespaces', '/persistentvolumes', '/persistentvolumeclaims', '/serviceaccounts', '/resourcequotas', '/podtemplates', 'storage.k8s.io/storageclasses',
  'storage.k8s.io/volumeattachments', 'storage.k8s.io/csinodes', 'storage.k8s.io/csidrivers', 'storage.k8s.io/volumeattributesclasses',
])

const orphansDependents = new Set(['/replicationcontrollers', 'batch/jobs'])

/** Updates are validated as new objects are, and then as updates: what is wrong is reported by both. */
const repeated = new Set([
  '/namespaces', '/nodes', '/persistentvolumes', '/persistentvolumeclaims', '/resourcequotas', '/replicationcontrollers', 'apps/replicasets', 'apps/statefulsets', 'apps/daemonsets', 'batch/jobs',
  'storage.k8s.io/storageclasses', 'storage.k8s.io/csidrivers', 'storage.k8s.io/csinodes', 'storage.k8s.io/volumeattachments', 'storage.k8s.io/volumeattributesclasses',
  'storage.k8s.io/csistoragecapacities', 'rbac.authorization.k8s.io/roles', 'rbac.authorization.k8s.io/clusterroles', 'rbac.authorization.k8s.io/rolebindings',
  'rbac.authorization.k8s.io/clusterrolebindings', 'networking.k8s.io/servicecidrs', 'networking.k8s.io/ipaddresses', 'node.k8s.io/runtimeclasses',
])
export const repeatsCreateValidation = (key: string): boolean => repeated.has(key)

export interface KindFlags {
  readonly allowCreateOnUpdate: boolean
  readonly allowUnconditionalUpdate: boolean
  readonly tracksGeneration: boolean
  readonly returnsDeletedObject: boolean
  readonly defaultPropagation: DefaultPropagation
}

/** `key` is `group/resource`. */
export function flagsOf(key: string): KindFlags {
  return {
    allowCreateOnUpdate: createdByUpdate.has(key),
    allowUnconditionalUpdate: !needsResourceVersion.has(key),
    tracksGeneration: countsGenerations.has(key),
    returnsDeletedObject: comesBackFromDelete.has(key) || key.startsWith('resource.k8s.io/'),
    defaultPropagation: orphansDependents.has(key) ? 'Orphan' : 'Background',
  }
}

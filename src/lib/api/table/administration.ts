// What administrators see: bindings, certificates, admission, flow control, registered APIs, devices. Upstream: pkg/printers/internalversion/printers.go
import { formatHumanDuration } from '../../apimachinery/duration.ts'
import type { MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, MutatingWebhookConfiguration, ParamRef, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration } from '../generated/types/admissionregistration-v1.ts'
import type { APIService } from '../generated/types/apiregistration-v1.ts'
import type { StorageVersion } from '../generated/types/apiserverinternal-v1alpha1.ts'
import type { CertificateSigningRequest } from '../generated/types/certificates-v1.ts'
import type { ClusterTrustBundle } from '../generated/types/certificates-v1beta1.ts'
import type { FlowSchema, PriorityLevelConfiguration } from '../generated/types/flowcontrol-v1.ts'
import type { ClusterRoleBinding, RoleBinding } from '../generated/types/rbac-v1.ts'
import type { DeviceClass, ResourceClaim, ResourceClaimTemplate, ResourceSlice } from '../generated/types/resource-v1.ts'
import type { StorageVersionMigration } from '../generated/types/storagemigration-v1beta1.ts'
import type { Scale } from '../generated/types/autoscaling-v1.ts'
import { ageColumn, ageOf, firstOf, formatSelector, integer, nameColumn, printerFor, text, type Printer } from './printer.ts'

const binding = printerFor<RoleBinding | ClusterRoleBinding>(
  [nameColumn, text('Role', 'The role that is granted.'), ageColumn, text('Users', 'Users who get it.', 1), text('Groups', 'Groups that get it.', 1), text('ServiceAccounts', 'Service accounts that get it.', 1)],
  (o, now) => {
    const subjects = o.subjects ?? []
    const names = (kind: string): string => subjects.filter((subject) => subject.kind === kind).map((subject) => (kind === 'ServiceAccount' ? `${subject.namespace ?? ''}/${subject.name}` : subject.name)).join(', ')
    return [o.metadata.name, `${o.roleRef.kind}/${o.roleRef.name}`, ageOf(o, now), names('User'), names('Group'), names('ServiceAccount')]
  })

function signingStatus({ status }: CertificateSigningRequest): string {
  const has = (type: string): boolean => status.conditions?.some((condition) => condition.type === type) ?? false
  return `${has('Denied') ? 'Denied' : has('Approved') ? 'Approved' : 'Pending'}${has('Failed') ? ',Failed' : ''}${status.certificate ? ',Issued' : ''}`
}

const certificateSigningRequest = printerFor<CertificateSigningRequest>(
  [nameColumn, ageColumn, text('SignerName', 'Who is asked to sign.'), text('Requestor', 'Who asks.'), text('RequestedDuration', 'For how long.'), text('Condition', 'What became of it.')],
  (o, now) => [o.metadata.name, ageOf(o, now), o.spec.signerName || '<none>', o.spec.username ?? '', o.spec.expirationSeconds === undefined ? '<none>' : formatHumanDuration(o.spec.expirationSeconds * 1000), signingStatus(o)])

const clusterTrustBundle = printerFor<ClusterTrustBundle>([nameColumn, text('SignerName', 'The signer that it is for.')], (o) => [o.metadata.name, o.spec.signerName || '<none>'])

const webhooksColumns = [nameColumn, integer('Webhooks', 'Number of webhooks.'), ageColumn]
const webhookConfiguration = printerFor<MutatingWebhookConfiguration | ValidatingWebhookConfiguration>(webhooksColumns, (o, now) => [o.metadata.name, o.webhooks?.length ?? 0, ageOf(o, now)])
const paramKindColumn = text('ParamKind', 'Kind of its parameters.')
const paramKindOf = (kind: { readonly apiVersion?: string; readonly kind?: string } | undefined): string => (kind === undefined ? '<unset>' : `${kind.apiVersion ?? ''}/${kind.kind ?? ''}`)

const validatingAdmissionPolicy = printerFor<ValidatingAdmissionPolicy>([nameColumn, integer('Validations', 'Number of rules.'), paramKindColumn, ageColumn], (o, now) => [o.metadata.name, o.spec.validations?.length ?? 0, paramKindOf(o.spec.paramKind), ageOf(o, now)])
const mutatingAdmissionPolicy = printerFor<MutatingAdmissionPolicy>([nameColumn, integer('Mutations', 'Number of mutations.'), paramKindColumn, ageColumn], (o, now) => [o.metadata.name, o.spec.mutations?.length ?? 0, paramKindOf(o.spec.paramKind), ageOf(o, now)])

function paramNameOf(reference: ParamRef | undefined): string {
  if (reference === undefined) return '<unset>'
  if (reference.name) return `${reference.namespace || '*'}/${reference.name}`
  return reference.selector === undefined ? '<unset>' : formatSelector(reference.selector)
}

const policyBinding = printerFor<ValidatingAdmissionPolicyBinding | MutatingAdmissionPolicyBinding>([nameColumn, text('PolicyName', 'The policy that it applies.'), text('ParamRef', 'Its parameters.'), ageColumn], (o, now) => [o.metadata.name, o.spec.policyName ?? '', paramNameOf(o.spec.paramRef), ageOf(o, now)])

const flowSchema = printerFor<FlowSchema>(
  [nameColumn, text('PriorityLevel', 'The level of its requests.'), text('MatchingPrecedence', 'Lower matches first.'), text('DistinguisherMethod', 'How its flows are told apart.'), ageColumn, text('MissingPL', 'Whether that level is missing.')],
  (o, now) => [o.metadata.name, o.spec.priorityLevelConfiguration.name, o.spec.matchingPrecedence, o.spec.distinguisherMethod?.type ?? '<none>', ageOf(o, now), o.status.conditions?.find((condition) => condition.type === 'Dangling')?.status ?? '?'])

const priorityLevelConfiguration = printerFor<PriorityLevelConfiguration>(
  [nameColumn, text('Type', 'Exempt or Limited.'), text('NominalConcurrencyShares', 'Its share.'), text('Queues', 'Number of queues.'), text('HandSize', 'Queues a flow may use.'), text('QueueLengthLimit', 'Most requests in a queue.'), ageColumn],
  (o, now) => {
    const queuing = o.spec.limited?.limitResponse.queuing
    return [o.metadata.name, o.spec.type, o.spec.limited === undefined ? '<none>' : (o.spec.limited.nominalConcurrencyShares ?? null), queuing?.queues ?? '<none>', queuing?.handSize ?? '<none>', queuing?.queueLengthLimit ?? '<none>', ageOf(o, now)]
  })

const storageVersion = printerFor<StorageVersion>([nameColumn, text('CommonEncodingVersion', 'The version that all servers write.'), text('StorageVersions', 'What each server writes.'), ageColumn], (o, now) => [
  o.metadata.name, o.status.commonEncodingVersion ?? '<unset>', firstOf((o.status.storageVersions ?? []).map((version) => `${version.apiServerID ?? ''}=${version.encodingVersion ?? ''}`)) || '<unset>', ageOf(o, now),
])

const storageVersionMigration = printerFor<StorageVersionMigration>([{ ...nameColumn, format: '' }, text('Resource', 'What is migrated.')], (o) => [o.metadata.name, `${o.spec.resource.resource ?? ''}.${o.spec.resource.group ?? ''}`])

const apiService = printerFor<APIService>([nameColumn, text('Service', 'What serves it.'), text('Available', 'Whether it answers.'), ageColumn], (o, now) => {
  const available = o.status.conditions?.find((condition) => condition.type === 'Available')
  const status = available === undefined ? 'Unknown' : available.status !== 'True' && available.reason ? `${available.status} (${available.reason})` : available.status
  return [o.metadata.name, o.spec.service === undefined ? 'Local' : `${o.spec.service.namespace ?? ''}/${o.spec.service.name ?? ''}`, status, ageOf(o, now)]
})

const nameAndAge = printerFor<DeviceClass | ResourceClaimTemplate>([nameColumn, ageColumn], (o, now) => [o.metadata.name, ageOf(o, now)])

const resourceClaim = printerFor<ResourceClaim>([nameColumn, text('State', 'Pending, allocated, reserved, deleted.'), ageColumn], (o, now) => {
  const deleted = o.metadata.deletionTimestamp !== undefined
  const states = o.status.allocation === undefined ? (deleted ? [] : ['pending']) : ['allocated', ...((o.status.reservedFor ?? []).length > 0 ? ['reserved'] : [])]
  return [o.metadata.name, [...(deleted ? ['deleted'] : []), ...states].join(','), ageOf(o, now)]
})

const resourceSlice = printerFor<ResourceSlice>([nameColumn, text('Node', 'The node that has the devices.'), text('Driver', 'Their driver.'), text('Pool', 'Their pool.'), ageColumn], (o, now) => [o.metadata.name, o.spec.nodeName ?? '', o.spec.driver, o.spec.pool.name, ageOf(o, now)])

const scale = printerFor<Scale>([{ ...nameColumn, format: '' }, integer('Desired', 'Pods that are wanted.'), integer('Available', 'Pods that there are.'), ageColumn], (o, now) => [o.metadata.name, o.spec.replicas ?? 0, o.status.replicas, ageOf(o, now)])

export const administrationPrinters: { readonly [key: string]: Printer } = {
  'rbac.authorization.k8s.io/RoleBinding': binding, 'rbac.authorization.k8s.io/ClusterRoleBinding': binding, 'certificates.k8s.io/CertificateSigningRequest': certificateSigningRequest, 'certificates.k8s.io/ClusterTrustBundle': clusterTrustBundle,
  'admissionregistration.k8s.io/MutatingWebhookConfiguration': webhookConfiguration, 'admissionregistration.k8s.io/ValidatingWebhookConfiguration': webhookConfiguration,
  'admissionregistration.k8s.io/ValidatingAdmissionPolicy': validatingAdmissionPolicy, 'admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding': policyBinding,
  'admissionregistration.k8s.io/MutatingAdmissionPolicy': mutatingAdmissionPolicy, 'admissionregistration.k8s.io/MutatingAdmissionPolicyBinding': policyBinding,
  'flowcontrol.apiserver.k8s.io/FlowSchema': flowSchema, 'flowcontrol.apiserver.k8s.io/PriorityLevelConfiguration': priorityLevelConfiguration, 'internal.apiserver.k8s.io/StorageVersion': storageVersion,
  'storagemigration.k8s.io/StorageVersionMigration': storageVersionMigration, 'apiregistration.k8s.io/APIService': apiService, 'resource.k8s.io/DeviceClass': nameAndAge, 'resource.k8s.io/ResourceClaimTemplate': nameAndAge,
  'resource.k8s.io/ResourceClaim': resourceClaim, 'resource.k8s.io/ResourceSlice': resourceSlice, 'autoscaling/Scale': scale,
}

// The strategy's rules for PersistentVolumes. Upstream: pkg/registry/core/persistentvolume/strategy.go, pkg/apis/core/validation/validation.go
import type { Draft } from '../../../../../lib/base/json.ts'
import type { PersistentVolume, PersistentVolumeSpec, SecretReference, Volume, VolumeNodeAffinity } from '../../../../../lib/api/generated/types/core-v1.ts'
import { fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired } from '../../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../../lib/apimachinery/field-error.ts'
import { isDns1123Label, isDns1123Subdomain } from '../../../../../lib/apimachinery/validation.ts'
import { describeDifference } from '../../describe-difference.ts'
import { statusOnly } from '../../generic-strategy.ts'
import type { KindRules } from '../../generic-strategy.ts'
import { semanticEqual } from '../../semantic-equal.ts'
import { pushInvalid, validateImmutable } from '../../validate-object-meta.ts'
import { validateNodeSelector } from '../../validation/node-selector.ts'
import { validateNoBacksteps } from '../../validation/paths.ts'
import { canonicalText, roundResourceList, signOf } from '../../validation/quantities.ts'
import { validateNonNegativeAmount } from '../../validation/resource-names.ts'
import { legacySources, validateCsiDriverName, validateSources } from '../pod/validate-legacy-volumes.ts'
import { validateHostPath } from '../pod/validate-volumes.ts'
import { validateAccessModes, volumeModes } from './validate-claim-spec.ts'

type Spec = Draft<PersistentVolumeSpec>
type Sources = Draft<Volume> & Spec

const sourceOrder = [
  'hostPath', 'gcePersistentDisk', 'awsElasticBlockStore', 'glusterfs', 'flocker', 'nfs', 'rbd', 'quobyte', 'cephfs', 'iscsi', 'cinder', 'fc', 'flexVolume', 'azureFile', 'vsphereVolume',
  'photonPersistentDisk', 'portworxVolume', 'azureDisk', 'scaleIO', 'local', 'storageos', 'csi',
] as const
const reclaimPolicies = ['Delete', 'Recycle', 'Retain']

function validateSecretReference(reference: Draft<SecretReference> | undefined, path: string, errors: FieldError[]): void {
  if (!reference) return
  if (!reference.name) errors.push(fieldRequired(`${path}.name`))
  else pushInvalid(errors, `${path}.name`, reference.name, isDns1123Subdomain)
  if (!reference.namespace) errors.push(fieldRequired(`${path}.namespace`))
  else pushInvalid(errors, `${path}.namespace`, reference.namespace, isDns1123Label)
}

const checks: typeof legacySources = {
  ...legacySources,
  hostPath({ hostPath }, path, errors) { validateHostPath(hostPath ?? {}, `${path}.hostPath`, errors) },
  local({ local, nodeAffinity }, path, errors) {
    if (!local?.path) errors.push(fieldRequired(`${path}.local.path`))
    else validateNoBacksteps(local.path, `${path}.local.path`, errors)
    if (!nodeAffinity) errors.push(fieldRequired(`${path}.nodeAffinity`, 'Local volume requires node affinity'))
  },
  csi({ csi }, path, errors) {
    const at = `${path}.csi`
    validateCsiDriverName(csi?.driver ?? '', `${at}.driver`, errors)
    if (!csi?.volumeHandle) errors.push(fieldRequired(`${at}.volumeHandle`))
    for (const field of ['controllerPublishSecretRef', 'controllerExpandSecretRef', 'nodePublishSecretRef', 'nodeExpandSecretRef'] as const) validateSecretReference(csi?.[field], `${at}.${field}`, errors)
  },
}

/** Also for volumes inside VolumeAttachments, where `inline` holds. */
export function validateVolumeSpec(spec: Spec, name: string, inline: boolean, path: string, errors: FieldError[]): void {
  const inlineText = 'in the context of inline volumes'
  const forbid = (set: unknown, field: string): void => { if (set !== undefined) errors.push(fieldForbidden(`${path}.${field}`, `may not be specified ${inlineText}`)) }
  if (inline) {
    forbid(spec.claimRef, 'claimRef')
    forbid(spec.capacity, 'capacity')
    if (!spec.csi) errors.push(fieldRequired(`${path}.csi`, `has to be specified ${inlineText}`))
  }
  validateAccessModes(spec.accessModes, `${path}.accessModes`, errors, '')
  if (!inline) validateCapacity(spec, path, errors)
  const policy = spec.persistentVolumeReclaimPolicy
  if (policy && inline && policy !== 'Retain') errors.push(fieldForbidden(`${path}.persistentVolumeReclaimPolicy`, `may only be Retain ${inlineText}`))
  if (policy && !inline && !reclaimPolicies.includes(policy)) errors.push(fieldNotSupported(`${path}.persistentVolumeReclaimPolicy`, policy, reclaimPolicies))
  if (inline) forbid(spec.nodeAffinity, 'nodeAffinity')
  else if (spec.nodeAffinity) {
    if (spec.nodeAffinity.required) validateNodeSelector(spec.nodeAffinity.required, `${path}.nodeAffinity.required`, errors)
    else errors.push(fieldRequired(`${path}.nodeAffinity.required`, 'must specify required node constraints'))
  }
  // cast: the check of iscsi wants the volume's name, which a pod's volume has and this spec has not
  const found = validateSources({ ...spec, name } as Sources, sourceOrder, checks, { cephfs: 'cephFS' }, path, errors, true)
  if (found === 0) errors.push(fieldRequired(path, 'must specify a volume type'))
  if (/^\/+(\.?\/*)*$/.test(spec.hostPath?.path ?? '') && policy === 'Recycle') errors.push(fieldForbidden(`${path}.persistentVolumeReclaimPolicy`, "may not be 'recycle' for a hostPath mount of '/'"))
  if (spec.storageClassName) {
    if (inline) forbid(spec.storageClassName, 'storageClassName')
    else pushInvalid(errors, `${path}.storageClassName`, spec.storageClassName, isDns1123Subdomain)
  }
  const mode = spec.volumeMode
  if (mode !== undefined && inline && mode !== 'Filesystem') errors.push(fieldForbidden(`${path}.volumeMode`, `may not specify volumeMode other than Filesystem ${inlineText}`))
  if (mode !== undefined && !inline && !volumeModes.includes(mode)) errors.push(fieldNotSupported(`${path}.volumeMode`, mode, volumeModes))
  const attributes = spec.volumeAttributesClassName
  if (attributes === undefined) return
  if (attributes === '') errors.push(fieldRequired(`${path}.volumeAttributesClassName`, 'an empty string is disallowed'))
  else pushInvalid(errors, `${path}.volumeAttributesClassName`, attributes, isDns1123Subdomain)
  if (!spec.csi) errors.push(fieldRequired(`${path}.csi`, 'has to be specified when using volumeAttributesClassName'))
}

function validateCapacity(spec: Spec, path: string, errors: FieldError[]): void {
  const capacity = spec.capacity ?? {}
  const names = Object.keys(capacity)
  if (names.length === 0) errors.push(fieldRequired(`${path}.capacity`))
  if (capacity.storage === undefined || names.length > 1) errors.push(fieldNotSupported(`${path}.capacity`, spec.capacity, ['storage']))
  for (const name of names) {
    validateNonNegativeAmount(capacity[name], `${path}.capacity[${name}]`, errors)
    if (signOf(capacity[name]) <= 0) errors.push(fieldInvalid(`${path}.capacity[${name}]`, canonicalText(capacity[name]), 'must be greater than zero'))
  }
}

function sourceOf(spec: Spec): Spec {
  const source: { [name: string]: unknown } = {}
  for (const name of sourceOrder) if (spec[name] !== undefined) source[name] = spec[name]
  return source
}

const betaToStable: { readonly [label: string]: string } = {
  'failure-domain.beta.kubernetes.io/zone': 'topology.kubernetes.io/zone', 'failure-domain.beta.kubernetes.io/region': 'topology.kubernetes.io/region',
  'beta.kubernetes.io/os': 'kubernetes.io/os', 'beta.kubernetes.io/arch': 'kubernetes.io/arch', 'beta.kubernetes.io/instance-type': 'node.kubernetes.io/instance-type',
}

const withStableLabels = (affinity: Draft<VolumeNodeAffinity>): Draft<VolumeNodeAffinity> => ({
  required: {
    ...affinity.required,
    nodeSelectorTerms: affinity.required?.nodeSelectorTerms?.map((term) => ({
      ...term, matchExpressions: term.matchExpressions?.map((requirement) => ({ ...requirement, key: betaToStable[requirement.key ?? ''] ?? requirement.key })),
    })),
  },
})

function validateUpdate(volume: PersistentVolume, old: PersistentVolume, errors: FieldError[]): void {
  const spec: Spec = volume.spec ?? {}
  const oldSpec: Spec = old.spec ?? {}
  validateVolumeSpec(spec, volume.metadata.name, false, 'spec', errors)
  // A secret for expanding may be added later.
  const csi = oldSpec.csi && !oldSpec.csi.controllerExpandSecretRef && spec.csi ? { ...spec.csi, controllerExpandSecretRef: undefined } : spec.csi
  const source = sourceOf({ ...spec, csi })
  const oldSource = sourceOf(oldSpec)
  if (!semanticEqual(source, oldSource)) {
    errors.push(fieldForbidden('spec.persistentvolumesource', `spec.persistentvolumesource is immutable after creation\n${describeDifference(oldSource, source)}`))
  }
  validateImmutable(spec.volumeMode, oldSpec.volumeMode, 'volumeMode', errors)
  if (oldSpec.nodeAffinity && !semanticEqual(spec.nodeAffinity, oldSpec.nodeAffinity) && !semanticEqual(spec.nodeAffinity, withStableLabels(oldSpec.nodeAffinity))) {
    errors.push(fieldInvalid('nodeAffinity', spec.nodeAffinity, 'field is immutable, except for updating from beta label to GA'))
  }
  if (oldSpec.volumeAttributesClassName !== undefined && spec.volumeAttributesClassName === undefined) {
    errors.push(fieldForbidden('spec.volumeAttributesClassName', 'update from non-nil value to nil is forbidden'))
  }
}

const timeText = (nowMs: number): string => new Date(nowMs).toISOString().replace(/\.\d+Z$/, 'Z')

export const persistentVolumeRules: KindRules<PersistentVolume> = {
  applyDefaults(volume) {
    const capacity = roundResourceList(volume.spec?.capacity)
    const { spec, status } = volume
    if (spec && capacity === spec.capacity && spec.persistentVolumeReclaimPolicy && spec.volumeMode && status?.phase) return volume
    return {
      ...volume, status: { ...status, phase: status?.phase || 'Pending' },
      spec: { ...spec, ...(capacity && { capacity }), persistentVolumeReclaimPolicy: spec?.persistentVolumeReclaimPolicy || 'Retain', volumeMode: spec?.volumeMode || 'Filesystem' },
    }
  },
  prepareForCreate: (volume, context) => ({ ...volume, status: { phase: 'Pending', lastPhaseTransitionTime: timeText(context.nowMs) } }),
  validate: (volume, errors) => validateVolumeSpec(volume.spec ?? {}, volume.metadata.name, false, 'spec', errors),
  validateUpdate,
  prepareStatus(volume, old, context) {
    const next = statusOnly(volume, old)
    const given = next.status?.lastPhaseTransitionTime
    const before = old.status?.lastPhaseTransitionTime
    if (next.status?.phase === old.status?.phase || (given !== undefined && given !== before)) return next
    return { ...next, status: { ...next.status, lastPhaseTransitionTime: timeText(context.nowMs) } }
  },
  selectableFields: (volume) => ({ name: volume.metadata.name }),
}

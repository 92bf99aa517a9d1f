// The strategy's rules for PersistentVolumeClaims. Upstream: pkg/registry/core/persistentvolumeclaim/strategy.go, pkg/apis/core/validation/validation.go
import type { Draft } from '../../../../../lib/base/json.ts'
import type { PersistentVolumeClaim, PersistentVolumeClaimSpec } from '../../../../../lib/api/generated/types/core-v1.ts'
import { fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired } from '../../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../../lib/apimachinery/field-error.ts'
import { isQualifiedName } from '../../../../../lib/apimachinery/validation.ts'
import { describeDifference } from '../../describe-difference.ts'
import type { KindRules } from '../../generic-strategy.ts'
import { semanticEqual } from '../../semantic-equal.ts'
import { pushInvalid, validateImmutable } from '../../validate-object-meta.ts'
import { compareTexts } from '../../validation/quantities.ts'
import { isNativeResource, validateNonNegativeAmount } from '../../validation/resource-names.ts'
import { defaultClaimSpec } from '../pod/default-volume.ts'
import { fractionWarnings } from '../pod/pod-warnings.ts'
import { validateClaimSpec } from './validate-claim-spec.ts'

const classAnnotation = 'volume.beta.kubernetes.io/storage-class'
const resizeStates = ['ControllerResizeInProgress', 'ControllerResizeInfeasible', 'NodeResizeInProgress', 'NodeResizeInfeasible', 'NodeResizePending']

/** `dataSource` is the old form of `dataSourceRef`: each is filled from the other where that is possible. */
function syncDataSources(spec: PersistentVolumeClaimSpec): PersistentVolumeClaimSpec {
  const { dataSource, dataSourceRef } = spec
  if (dataSource && !dataSourceRef) return { ...spec, dataSourceRef: dataSource }
  if (!dataSource && dataSourceRef && !dataSourceRef.namespace) {
    const { namespace: _none, ...local } = dataSourceRef
    const isClaim = !local.apiGroup && local.kind === 'PersistentVolumeClaim'
    const isSnapshot = local.apiGroup === 'snapshot.storage.k8s.io' && local.kind === 'VolumeSnapshot'
    if (isClaim || isSnapshot) return { ...spec, dataSource: local }
  }
  return spec
}

/** Sources of other kinds were never kept in the old field. */
function dropUnknownSource(spec: PersistentVolumeClaimSpec): PersistentVolumeClaimSpec {
  const source = spec.dataSource
  if (!source || spec.dataSourceRef) return spec
  if ((!source.apiGroup && source.kind === 'PersistentVolumeClaim') || (source.apiGroup === 'snapshot.storage.k8s.io' && source.kind === 'VolumeSnapshot')) return spec
  return { ...spec, dataSource: undefined }
}

function mayTakeClass(claim: Draft<PersistentVolumeClaim>, old: Draft<PersistentVolumeClaim>): boolean {
  const name = claim.spec?.storageClassName
  const before = old.metadata?.annotations?.[classAnnotation]
  return name !== undefined && old.spec?.storageClassName === undefined && (before === undefined || before === name)
}

function validateUpdate(claim: PersistentVolumeClaim, old: PersistentVolumeClaim, errors: FieldError[]): void {
  const spec: Draft<PersistentVolumeClaimSpec> = claim.spec ?? {}
  const oldSpec: Draft<PersistentVolumeClaimSpec> = old.spec ?? {}
  const annotation = claim.metadata.annotations?.[classAnnotation]
  const oldAnnotation = old.metadata.annotations?.[classAnnotation]
  validateClaimSpec(spec, 'spec', errors)
  let fixed = spec
  if (!oldSpec.volumeName) fixed = { ...fixed, volumeName: oldSpec.volumeName }
  const replacesAnnotation = oldAnnotation !== undefined && spec.storageClassName === oldAnnotation && (annotation === undefined || annotation === oldAnnotation)
  if (annotation !== oldAnnotation && !(replacesAnnotation && oldSpec.storageClassName === undefined)) {
    errors.push(fieldInvalid(`metadata.annotations.${classAnnotation}`, annotation ?? '', 'field is immutable'))
  }
  if (mayTakeClass(claim, old)) fixed = { ...fixed, storageClassName: undefined }
  const bound = claim.status?.phase === 'Bound'
  if (bound && fixed.resources?.requests) fixed = { ...fixed, resources: { ...fixed.resources, requests: { ...fixed.resources.requests, storage: oldSpec.resources?.requests?.storage } } }
  if (bound && fixed.volumeAttributesClassName !== undefined) fixed = { ...fixed, volumeAttributesClassName: oldSpec.volumeAttributesClassName }
  if (!semanticEqual(fixed, oldSpec)) {
    errors.push(fieldForbidden('spec', `spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n${describeDifference(oldSpec, fixed)}`))
  }
  const size = spec.resources?.requests?.storage
  if (compareTexts(size, oldSpec.resources?.requests?.storage) < 0 && compareTexts(size, old.status?.capacity?.storage) <= 0) {
    errors.push(fieldForbidden('spec.resources.requests.storage', 'field can not be less than status.capacity'))
  }
  validateImmutable(spec.volumeMode, oldSpec.volumeMode, 'volumeMode', errors)
  if (oldSpec.volumeAttributesClassName !== undefined) {
    if (spec.volumeAttributesClassName === undefined) errors.push(fieldForbidden('spec.volumeAttributesClassName', 'update from non-nil value to nil is forbidden'))
    else if (spec.volumeAttributesClassName === '' && oldSpec.volumeAttributesClassName !== '') errors.push(fieldForbidden('spec.volumeAttributesClassName', 'update from non-nil value to an empty string is forbidden'))
  }
}

function validateResourceKey(name: string, path: string, errors: FieldError[]): boolean {
  const before = errors.length
  pushInvalid(errors, path, name, isQualifiedName)
  if (errors.length === before && isNativeResource(name) && name !== 'storage') errors.push(fieldNotSupported(path, name, ['storage']))
  return errors.length === before
}

export const persistentVolumeClaimRules: KindRules<PersistentVolumeClaim> = {
  applyDefaults(claim) {
    // cast: a claim without a spec is refused by validation, not here
    const spec = defaultClaimSpec(claim.spec ?? {} as PersistentVolumeClaimSpec)
    if (spec === claim.spec && claim.status?.phase) return claim
    return { ...claim, spec, status: { ...claim.status, phase: claim.status?.phase || 'Pending' } }
  },
  prepareForCreate: (claim) => ({ ...claim, status: { phase: 'Pending' }, spec: syncDataSources(dropUnknownSource(claim.spec)) }),
  prepareForUpdate: (claim) => ({ ...claim, spec: syncDataSources(claim.spec) }),
  validate: (claim, errors) => validateClaimSpec(claim.spec ?? {}, 'spec', errors),
  validateUpdate,
  validateStatus({ spec, status }, _old, errors) {
    if ((spec?.accessModes?.length ?? 0) === 0) errors.push(fieldRequired('Spec.accessModes'))
    for (const name in status?.capacity) validateNonNegativeAmount(status.capacity[name], `status.capacity[${name}]`, errors)
    for (const name in status?.allocatedResourceStatuses) {
      validateResourceKey(name, 'status.allocatedResourceStatus', errors)
      if (!resizeStates.includes(status.allocatedResourceStatuses[name] ?? '')) errors.push(fieldNotSupported('status.allocatedResourceStatus', name, resizeStates))
    }
    for (const name in status?.allocatedResources) {
      if (validateResourceKey(name, 'status.allocatedResources', errors)) validateNonNegativeAmount(status.allocatedResources[name], `status.allocatedResources[${name}]`, errors)
    }
  },
  warnings(claim) {
    const warnings: string[] = []
    if (claim.metadata.annotations?.[classAnnotation] !== undefined) warnings.push(`metadata.annotations[${classAnnotation}]: deprecated since v1.8; use "storageClassName" attribute instead`)
    fractionWarnings(claim.spec?.resources?.requests, 'spec.resources.requests', warnings, ['storage'])
    return warnings
  },
  selectableFields: (claim) => ({ name: claim.metadata.name }),
}

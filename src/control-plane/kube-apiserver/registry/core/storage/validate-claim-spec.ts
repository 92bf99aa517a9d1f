// The spec of a claim: of PersistentVolumeClaims, of generic ephemeral volumes, of StatefulSets' templates. Upstream: pkg/apis/core/validation/validation.go
import type { Draft } from '../../../../../lib/base/json.ts'
import type { PersistentVolumeClaimSpec, TypedLocalObjectReference, TypedObjectReference } from '../../../../../lib/api/generated/types/core-v1.ts'
import { fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired } from '../../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../../lib/apimachinery/field-error.ts'
import { isDns1123Label, isDns1123Subdomain } from '../../../../../lib/apimachinery/validation.ts'
import { pushInvalid } from '../../validate-object-meta.ts'
import { validateLabelSelector } from '../../validation/label-selector.ts'
import { canonicalText, signOf } from '../../validation/quantities.ts'

const accessModes = ['ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOnce', 'ReadWriteOncePod']
export const volumeModes = ['Block', 'Filesystem']

export function validateAccessModes(modes: readonly (string | undefined)[] | undefined, path: string, errors: FieldError[], missing: string): void {
  if (!modes || modes.length === 0) errors.push(fieldRequired(path, missing))
  let oncePod = false
  let other = false
  for (const mode of modes ?? []) {
    if (!mode || !accessModes.includes(mode)) errors.push(fieldNotSupported(path, mode, accessModes))
    else if (mode === 'ReadWriteOncePod') oncePod = true
    else other = true
  }
  if (oncePod && other) errors.push(fieldForbidden(path, 'may not use ReadWriteOncePod with other access modes'))
}

function validateDataSource(source: Draft<TypedLocalObjectReference> & Draft<TypedObjectReference>, path: string, errors: FieldError[]): void {
  if (!source.name) errors.push(fieldRequired(`${path}.name`))
  if (!source.kind) errors.push(fieldRequired(`${path}.kind`))
  if (!source.apiGroup) {
    if (source.kind !== 'PersistentVolumeClaim') errors.push(fieldInvalid(path, source.kind ?? '', "must be 'PersistentVolumeClaim' when referencing the default apiGroup"))
  } else {
    pushInvalid(errors, `${path}.apiGroup`, source.apiGroup, isDns1123Subdomain)
  }
}

export function validateClaimSpec(spec: Draft<PersistentVolumeClaimSpec>, path: string, errors: FieldError[]): void {
  if (!spec.accessModes || spec.accessModes.length === 0) errors.push(fieldRequired(`${path}.accessModes`, 'at least 1 access mode is required'))
  validateLabelSelector(spec.selector, `${path}.selector`, errors)
  if (spec.accessModes && spec.accessModes.length > 0) validateAccessModes(spec.accessModes, `${path}.accessModes`, errors, '')
  const storage = spec.resources?.requests?.storage
  if (storage === undefined) errors.push(fieldRequired(`${path}.resources[storage]`))
  else if (signOf(storage) <= 0) errors.push(fieldInvalid(`${path}.resources[storage]`, canonicalText(storage), 'must be greater than zero'))
  if (spec.storageClassName) pushInvalid(errors, `${path}.storageClassName`, spec.storageClassName, isDns1123Subdomain)
  if (spec.volumeMode !== undefined && !volumeModes.includes(spec.volumeMode)) errors.push(fieldNotSupported(`${path}.volumeMode`, spec.volumeMode, volumeModes))
  const { dataSource, dataSourceRef } = spec
  if (dataSource) validateDataSource(dataSource, `${path}.dataSource`, errors)
  if (dataSourceRef) {
    validateDataSource(dataSourceRef, `${path}.dataSourceRef`, errors)
    if (dataSourceRef.namespace) pushInvalid(errors, `${path}.dataSourceRef.namespace`, dataSourceRef.namespace, isDns1123Label)
  }
  // The original's value here is a path object, which prints as an empty one.
  if (dataSourceRef?.namespace) {
    if (dataSource) errors.push(fieldInvalid(path, {}, 'may not be specified when dataSourceRef.namespace is specified'))
  } else if (dataSource && dataSourceRef && (dataSource.apiGroup !== dataSourceRef.apiGroup || dataSource.kind !== dataSourceRef.kind || dataSource.name !== dataSourceRef.name)) {
    errors.push(fieldInvalid(path, {}, 'must match dataSourceRef'))
  }
  if (spec.volumeAttributesClassName) pushInvalid(errors, `${path}.volumeAttributesClassName`, spec.volumeAttributesClassName, isDns1123Subdomain)
}

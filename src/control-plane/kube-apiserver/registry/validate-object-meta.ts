// Validation of metadata, the same for every kind but for the name's rule. Names are generated before this runs. What the endpoints handle for all kinds is not
// here: that a resourceVersion is given where a kind demands it, and that uid and times of the old object are put back where the client left them out.
// Upstream: apimachinery/pkg/api/validation/objectmeta.go, pkg/apis/core/validation/validation.go (finalizers)
import type { Draft } from '../../../lib/base/json.ts'
import type { ObjectMeta, OwnerReference, ManagedFieldsEntry } from '../../../lib/api/generated/types/meta-v1.ts'
import { fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired, fieldTooLong } from '../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../lib/apimachinery/field-error.ts'
import { isDns1123Label, isQualifiedName, isValidLabelValue } from '../../../lib/apimachinery/validation.ts'
import { byteLength } from './byte-length.ts'
import type { NameRule } from './name-rules.ts'
import { semanticEqual } from './semantic-equal.ts'

export const fieldIsImmutable = 'field is immutable'
export const mustNotBeNegative = 'must be greater than or equal to 0'
const annotationsLimitBytes = 256 * 1024

/** What is wrong with a text; nothing when it is right. */
export type FormatCheck = (value: string) => readonly string[]

type Meta = Draft<ObjectMeta>
type StringMap = { readonly [key: string]: string | undefined }

/** Adds one error per text that the check returns. */
export function pushInvalid(errors: FieldError[], path: string, value: string, check: FormatCheck): void {
  for (const text of check(value)) errors.push(fieldInvalid(path, value, text))
}

export function validateLabels(labels: StringMap | undefined, path: string, errors: FieldError[]): void {
  if (!labels) return
  for (const key in labels) {
    pushInvalid(errors, path, key, isQualifiedName)
    pushInvalid(errors, path, labels[key] ?? '', isValidLabelValue)
  }
}

export function validateAnnotations(annotations: StringMap | undefined, path: string, errors: FieldError[]): void {
  if (!annotations) return
  let bytes = 0
  for (const key in annotations) {
    for (const text of isQualifiedName(key.toLowerCase())) errors.push(fieldInvalid(path, key, text))
    bytes += key.length + (annotations[key]?.length ?? 0)
  }
  // Three bytes a character at most: the exact count is only needed near the limit.
  if (bytes * 3 <= annotationsLimitBytes) return
  bytes = 0
  for (const key in annotations) bytes += byteLength(key) + byteLength(annotations[key] ?? '')
  if (bytes > annotationsLimitBytes) errors.push(fieldTooLong(path, annotationsLimitBytes))
}

export function validateNonNegative(value: number | undefined, path: string, errors: FieldError[]): void {
  if (value !== undefined && value < 0) errors.push(fieldInvalid(path, value, mustNotBeNegative))
}

export function validateImmutable(value: unknown, old: unknown, path: string, errors: FieldError[]): void {
  if (!semanticEqual(value, old)) errors.push(fieldInvalid(path, value, fieldIsImmutable))
}

function validateOwnerReferences(references: readonly Draft<OwnerReference>[] | undefined, path: string, errors: FieldError[]): void {
  if (!references) return
  let controller = ''
  references.forEach((reference, i) => {
    const at = `${path}[${i}]`
    const parts = (reference.apiVersion ?? '').split('/')
    if (!reference.apiVersion) errors.push(fieldRequired(`${at}.apiVersion`, 'must not be empty'))
    else if (parts.length > 2 || parts.at(-1) === '') errors.push(fieldInvalid(`${at}.apiVersion`, reference.apiVersion, 'must be <group>/<version> or <version>'))
    if (!reference.kind) errors.push(fieldRequired(`${at}.kind`, 'must not be empty'))
    if (!reference.name) errors.push(fieldRequired(`${at}.name`, 'must not be empty'))
    if (!reference.uid) errors.push(fieldRequired(`${at}.uid`, 'must not be empty'))
    if (reference.apiVersion === 'v1' && reference.kind === 'Event') errors.push(fieldInvalid(at, reference, '/v1, Kind=Event is disallowed from being an owner'))
    if (!reference.controller) return
    const current = `${reference.kind ?? ''}/${reference.name ?? ''}`
    if (controller !== '') errors.push(fieldInvalid(path, references, `Only one reference can have Controller set to true. Found "true" in references for ${controller} and ${current}`))
    else controller = current
  })
}

function validateFinalizers(finalizers: readonly (string | undefined)[] | undefined, path: string, errors: FieldError[]): void {
  if (!finalizers) return
  for (const finalizer of finalizers) pushInvalid(errors, path, finalizer ?? '', isQualifiedName)
  if (finalizers.includes('orphan') && finalizers.includes('foregroundDeletion')) {
    errors.push(fieldInvalid(path, finalizers, 'finalizer orphan and foregroundDeletion cannot be both set'))
  }
}

/** Finalizers without a domain must be among the known ones. Run for nearly all built-in kinds, after the rest of the metadata. */
export function validateStandardFinalizers(finalizers: readonly (string | undefined)[] | undefined, path: string, errors: FieldError[]): void {
  finalizers?.forEach((finalizer = '', i) => {
    if (finalizer.includes('/') || finalizer === 'kubernetes' || finalizer === 'orphan' || finalizer === 'foregroundDeletion') return
    errors.push(fieldInvalid(`${path}[${i}]`, finalizer, 'name is neither a standard finalizer name nor is it fully qualified'))
  })
}

const notPrintable = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/u

function validateManagedFields(entries: readonly Draft<ManagedFieldsEntry>[] | undefined, path: string, errors: FieldError[]): void {
  entries?.forEach((entry, i) => {
    const at = `${path}[${i}]`
    if (!entry.operation) errors.push(fieldRequired(`${at}.operation`, 'must not be empty'))
    else if (entry.operation !== 'Apply' && entry.operation !== 'Update') errors.push(fieldNotSupported(`${at}.operation`, entry.operation, ['Apply', 'Update']))
    if (entry.fieldsType && entry.fieldsType !== 'FieldsV1') errors.push(fieldInvalid(`${at}.fieldsType`, entry.fieldsType, 'must be `FieldsV1`'))
    const manager = entry.manager ?? ''
    if (byteLength(manager) > 128) errors.push(fieldTooLong(`${at}.manager`, 128))
    const wrong = notPrintable.exec(manager)
    if (wrong) {
      const hex = (wrong[0].codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')
      errors.push(fieldInvalid(`${at}.manager`, manager, `invalid character U+${hex} (at position ${wrong.index})`))
    }
    if (byteLength(entry.subresource ?? '') > 256) errors.push(fieldTooLong(`${at}.subresource`, 256))
  })
}

function validateCommon(meta: Meta, path: string, errors: FieldError[]): void {
  validateLabels(meta.labels, `${path}.labels`, errors)
  validateAnnotations(meta.annotations, `${path}.annotations`, errors)
  validateOwnerReferences(meta.ownerReferences, `${path}.ownerReferences`, errors)
}

/** What holds for any kind; those built in have known finalizers besides. */
export function validateObjectMeta(meta: Meta, namespaced: boolean, rule: NameRule, path: string, errors: FieldError[]): void {
  if (meta.generateName) for (const text of rule(meta.generateName, true)) errors.push(fieldInvalid(`${path}.generateName`, meta.generateName, text))
  if (!meta.name) errors.push(fieldRequired(`${path}.name`, 'name or generateName is required'))
  else for (const text of rule(meta.name, false)) errors.push(fieldInvalid(`${path}.name`, meta.name, text))
  if (namespaced) {
    if (!meta.namespace) errors.push(fieldRequired(`${path}.namespace`))
    else pushInvalid(errors, `${path}.namespace`, meta.namespace, isDns1123Label)
  } else if (meta.namespace) {
    errors.push(fieldForbidden(`${path}.namespace`, 'not allowed on this type'))
  }
  validateNonNegative(meta.generation, `${path}.generation`, errors)
  validateCommon(meta, path, errors)
  validateFinalizers(meta.finalizers, `${path}.finalizers`, errors)
  validateManagedFields(meta.managedFields, `${path}.managedFields`, errors)
}

export function validateObjectMetaUpdate(meta: Meta, old: Meta, path: string, errors: FieldError[]): void {
  if (old.deletionTimestamp) {
    const before = new Set(old.finalizers)
    const added = [...new Set((meta.finalizers ?? []).filter((finalizer) => !before.has(finalizer)))].sort()
    if (added.length > 0) {
      const list = added.map((finalizer) => JSON.stringify(finalizer)).join(', ')
      errors.push(fieldForbidden(`${path}.finalizers`, `no new finalizers can be added if the object is being deleted, found new finalizers []string{${list}}`))
    }
  }
  validateNonNegative(meta.generation, `${path}.generation`, errors)
  if (meta.generation !== undefined && meta.generation < (old.generation ?? 0)) errors.push(fieldInvalid(`${path}.generation`, meta.generation, 'must not be decremented'))
  validateImmutable(meta.name, old.name, `${path}.name`, errors)
  validateImmutable(meta.namespace, old.namespace, `${path}.namespace`, errors)
  validateImmutable(meta.uid, old.uid, `${path}.uid`, errors)
  validateImmutable(meta.creationTimestamp, old.creationTimestamp, `${path}.creationTimestamp`, errors)
  validateImmutable(meta.deletionTimestamp, old.deletionTimestamp, `${path}.deletionTimestamp`, errors)
  validateImmutable(meta.deletionGracePeriodSeconds, old.deletionGracePeriodSeconds, `${path}.deletionGracePeriodSeconds`, errors)
  validateCommon(meta, path, errors)
  validateManagedFields(meta.managedFields, `${path}.managedFields`, errors)
}

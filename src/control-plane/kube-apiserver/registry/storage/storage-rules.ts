// The strategy's rules for storage.k8s.io: classes, drivers, attachments. Upstream: pkg/apis/storage/{v1/defaults.go,validation/validation.go}
import type { Draft } from '../../../../lib/base/json.ts'
import type { CSIDriver, CSIDriverSpec, CSINode, CSINodeDriver, CSIStorageCapacity, StorageClass, VolumeAttachment, VolumeAttributesClass, VolumeError } from '../../../../lib/api/generated/types/storage-v1.ts'
import { fieldDuplicate, fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired, fieldTooLong } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isDns1123Subdomain, isQualifiedName } from '../../../../lib/apimachinery/validation.ts'
import { byteLength } from '../byte-length.ts'
import { validateCsiDriverName } from '../core/pod/validate-legacy-volumes.ts'
import { validateVolumeSpec } from '../core/storage/persistent-volume-rules.ts'
import { resetMetaForStatus, statusOnly } from '../generic-strategy.ts'
import type { KindRules } from '../generic-strategy.ts'
import { goAttachment, goCsiNodeDriver } from '../go-structs.ts'
import { semanticEqual } from '../semantic-equal.ts'
import { pushInvalid, validateImmutable } from '../validate-object-meta.ts'
import { hasInvalidLabelValue, validateLabelSelector } from '../validation/label-selector.ts'
import { canonicalText, signOf } from '../validation/quantities.ts'

const mostParameters = 512
const parametersLimitBytes = 256 * 1024
const mostAttachmentBytes = 256 * 1024
const errorMessageLimitBytes = 1024
const nodeIdLimitBytes = 192

type Parameters = { readonly [key: string]: string | undefined } | undefined

function validateParameters(parameters: Parameters, allowEmpty: boolean, path: string, errors: FieldError[]): void {
  const keys = Object.keys(parameters ?? {})
  if (keys.length > mostParameters) { errors.push(fieldTooLong(path, mostParameters)); return }
  let bytes = 0
  for (const key of keys) {
    if (key === '') errors.push(fieldInvalid(path, key, 'field can not be empty.'))
    bytes += byteLength(key) + byteLength(parameters?.[key] ?? '')
  }
  if (bytes > parametersLimitBytes) errors.push(fieldTooLong(path, parametersLimitBytes))
  if (!allowEmpty && keys.length === 0) errors.push(fieldRequired(path, 'must contain at least one key/value pair'))
}

function validateTopologies(storageClass: Draft<StorageClass>, errors: FieldError[]): void {
  const seen: unknown[] = []
  storageClass.allowedTopologies?.forEach((term, i) => {
    const at = `allowedTopologies[${i}]`
    const values = new Map<string, readonly string[]>()
    term.matchLabelExpressions?.forEach((expression, j) => {
      const path = `${at}.matchLabelExpressions[${j}]`
      const { key = '', values: list = [] } = expression
      if (list.length === 0) errors.push(fieldRequired(`${path}.values`))
      list.forEach((value, k) => { if (list.indexOf(value) < k) errors.push(fieldDuplicate(`${path}.values[${k}]`, value)) })
      pushInvalid(errors, `${path}.key`, key, isQualifiedName)
      if (values.has(key)) errors.push(fieldDuplicate(`${path}.key`, key))
      values.set(key, list)
    })
    const raw = Object.fromEntries([...values].map(([key, list]) => [key, [...list].sort()]))
    if (seen.some((other) => semanticEqual(other, raw))) errors.push(fieldDuplicate(`${at}.matchLabelExpressions`, ''))
    seen.push(raw)
  })
}

export const storageClassRules: KindRules<StorageClass> = {
  applyDefaults: (storageClass) => storageClass.reclaimPolicy !== undefined && storageClass.volumeBindingMode !== undefined ? storageClass
    : { ...storageClass, reclaimPolicy: storageClass.reclaimPolicy ?? 'Delete', volumeBindingMode: storageClass.volumeBindingMode ?? 'Immediate' },
  validate(storageClass, errors) {
    const { provisioner = '', reclaimPolicy: policy, volumeBindingMode: mode } = storageClass
    if (provisioner === '') errors.push(fieldRequired('provisioner'))
    else pushInvalid(errors, 'provisioner', provisioner.toLowerCase(), isQualifiedName)
    validateParameters(storageClass.parameters, true, 'parameters', errors)
    if (policy && policy !== 'Delete' && policy !== 'Retain') errors.push(fieldNotSupported('reclaimPolicy', policy, ['Delete', 'Retain']))
    if (mode === undefined) errors.push(fieldRequired('volumeBindingMode'))
    else if (mode !== 'Immediate' && mode !== 'WaitForFirstConsumer') errors.push(fieldNotSupported('volumeBindingMode', mode, ['Immediate', 'WaitForFirstConsumer']))
    validateTopologies(storageClass, errors)
  },
  validateUpdate(storageClass, old, errors) {
    if (!semanticEqual(storageClass.parameters, old.parameters)) errors.push(fieldForbidden('parameters', 'updates to parameters are forbidden.'))
    if ((storageClass.provisioner ?? '') !== (old.provisioner ?? '')) errors.push(fieldForbidden('provisioner', 'updates to provisioner are forbidden.'))
    if (storageClass.reclaimPolicy !== old.reclaimPolicy) errors.push(fieldForbidden('reclaimPolicy', 'updates to reclaimPolicy are forbidden.'))
    validateImmutable(storageClass.volumeBindingMode, old.volumeBindingMode, 'volumeBindingMode', errors)
  },
}

const lifecycleModes = ['Persistent', 'Ephemeral']
const groupPolicies = ['File', 'None', 'ReadWriteOnceWithFSType']

function validateDriver(spec: Draft<CSIDriverSpec>, errors: FieldError[]): void {
  const required = (value: unknown, field: string): void => { if (value === undefined) errors.push(fieldRequired(`spec.${field}`)) }
  required(spec.attachRequired, 'attachedRequired')
  required(spec.podInfoOnMount, 'podInfoOnMount')
  required(spec.storageCapacity, 'storageCapacity')
  if (spec.fsGroupPolicy !== undefined && !groupPolicies.includes(spec.fsGroupPolicy)) errors.push(fieldNotSupported('spec.fsGroupPolicy', spec.fsGroupPolicy, groupPolicies))
  const audiences = new Set<string>()
  spec.tokenRequests?.forEach(({ audience = '', expirationSeconds: seconds }, i) => {
    const at = `spec.tokenRequests[${i}]`
    if (audiences.has(audience)) { errors.push(fieldDuplicate(`${at}.audience`, audience)); return }
    audiences.add(audience)
    if (seconds === undefined) return
    if (seconds < 600) errors.push(fieldInvalid(`${at}.expirationSeconds`, seconds, 'may not specify a duration less than 10 minutes'))
    if (seconds > 2 ** 32) errors.push(fieldInvalid(`${at}.expirationSeconds`, seconds, 'may not specify a duration larger than 2^32 seconds'))
  })
  for (const mode of spec.volumeLifecycleModes ?? []) if (!lifecycleModes.includes(mode)) errors.push(fieldNotSupported('spec.volumeLifecycleModes', mode, lifecycleModes))
  required(spec.seLinuxMount, 'seLinuxMount')
  const period = spec.nodeAllocatableUpdatePeriodSeconds
  if (period !== undefined && period < 10) errors.push(fieldInvalid('spec.nodeAllocatableUpdatePeriodSeconds', period, 'must be greater than or equal to 10 seconds'))
}

export const csiDriverRules: KindRules<CSIDriver> = {
  applyDefaults(driver) {
    const given = driver.spec ?? {}
    const { attachRequired, podInfoOnMount, storageCapacity, fsGroupPolicy, requiresRepublish, seLinuxMount } = given
    const modes = given.volumeLifecycleModes && given.volumeLifecycleModes.length > 0 ? given.volumeLifecycleModes : undefined
    const complete = [attachRequired, podInfoOnMount, storageCapacity, fsGroupPolicy, requiresRepublish, seLinuxMount, modes].every((value) => value !== undefined)
    if (complete) return driver
    return {
      ...driver,
      spec: {
        ...given, attachRequired: attachRequired ?? true, podInfoOnMount: podInfoOnMount ?? false, storageCapacity: storageCapacity ?? false,
        volumeLifecycleModes: modes ?? ['Persistent'], fsGroupPolicy: fsGroupPolicy ?? 'ReadWriteOnceWithFSType', requiresRepublish: requiresRepublish ?? false, seLinuxMount: seLinuxMount ?? false,
      },
    }
  },
  validate: (driver, errors) => validateDriver(driver.spec ?? {}, errors),
  validateUpdate(driver, old, errors) {
    validateDriver(driver.spec ?? {}, errors)
    validateImmutable(driver.spec?.attachRequired, old.spec?.attachRequired, 'spec.attachedRequired', errors)
    validateImmutable(driver.spec?.volumeLifecycleModes, old.spec?.volumeLifecycleModes, 'spec.volumeLifecycleModes', errors)
  },
}

function validateNodeDrivers(drivers: readonly Draft<CSINodeDriver>[], errors: FieldError[]): void {
  const names = new Set<string>()
  drivers.forEach((driver, i) => {
    const at = `spec.drivers[${i}]`
    const { name = '', nodeID = '', topologyKeys = [] } = driver
    validateCsiDriverName(name, `${at}.name`, errors)
    if (nodeID === '') errors.push(fieldRequired(`${at}.nodeID`))
    if (byteLength(nodeID) > nodeIdLimitBytes) errors.push(fieldInvalid(`${at}.nodeID`, nodeID, `must be ${nodeIdLimitBytes} characters or less`))
    const count = driver.allocatable?.count
    if (count !== undefined && count < 0) errors.push(fieldInvalid(`${at}.allocatable.count`, count, 'must be greater than or equal to 0'))
    if (names.has(name)) errors.push(fieldDuplicate(`${at}.name`, name))
    names.add(name)
    topologyKeys.forEach((key, j) => {
      if (key === '') errors.push(fieldRequired(at))
      if (topologyKeys.indexOf(key) < j) errors.push(fieldDuplicate(at, key))
      pushInvalid(errors, at, key, isQualifiedName)
    })
  })
}

export const csiNodeRules: KindRules<CSINode> = {
  validate: (node, errors) => validateNodeDrivers(node.spec?.drivers ?? [], errors),
  validateUpdate(node, old, errors) {
    validateNodeDrivers(node.spec?.drivers ?? [], errors)
    for (const before of old.spec?.drivers ?? []) {
      for (const now of node.spec?.drivers ?? []) if (now.name === before.name) validateImmutable(goCsiNodeDriver(now), goCsiNodeDriver(before), 'spec.drivers', errors)
    }
  },
}

export const csiStorageCapacityRules: KindRules<CSIStorageCapacity> = {
  validate(capacity, errors, _context, old) {
    validateLabelSelector(capacity.nodeTopology, 'nodeTopology', errors, hasInvalidLabelValue(old?.nodeTopology))
    pushInvalid(errors, 'storageClassName', capacity.storageClassName ?? '', isDns1123Subdomain)
    const { capacity: size } = capacity
    if (size !== undefined && signOf(size) < 0) errors.push(fieldInvalid('capacity', canonicalText(size), 'must be greater than or equal to 0'))
  },
  validateUpdate(capacity, old, errors) {
    validateImmutable(capacity.nodeTopology, old.nodeTopology, 'nodeTopology', errors)
    validateImmutable(capacity.storageClassName, old.storageClassName, 'storageClassName', errors)
  },
}

function validateVolumeError(error: Draft<VolumeError> | undefined, path: string, errors: FieldError[]): void {
  if (!error) return
  // The text names the limit of the metadata, as the original's does.
  if (byteLength(error.message ?? '') > errorMessageLimitBytes) errors.push(fieldTooLong(`${path}.message`, mostAttachmentBytes))
  if (error.errorCode !== undefined && error.errorCode < 0) errors.push(fieldInvalid(`${path}.errorCode`, error.errorCode, 'must be between 0 and 2147483647, inclusive'))
}

function validateAttachment(attachment: Draft<VolumeAttachment>, errors: FieldError[]): void {
  const { spec = {} } = attachment
  const { attacher = '', nodeName = '' } = spec
  const volumeName = spec.source?.persistentVolumeName
  const inline = spec.source?.inlineVolumeSpec
  if (attacher === '') errors.push(fieldRequired('spec.attacher'))
  if (inline === undefined && volumeName === undefined) errors.push(fieldRequired('spec.source', 'must specify exactly one of inlineVolumeSpec and persistentVolumeName'))
  else if (inline !== undefined && volumeName !== undefined) errors.push(fieldForbidden('spec.source', 'must specify exactly one of inlineVolumeSpec and persistentVolumeName'))
  else if (volumeName !== undefined) {
    if (volumeName === '') errors.push(fieldRequired('spec.source.persistentVolumeName', 'must specify non empty persistentVolumeName'))
  } else if (inline) {
    validateVolumeSpec(inline, '', true, 'spec.source.inlineVolumeSpec', errors)
  }
  pushInvalid(errors, 'spec.nodeName', nodeName, isDns1123Subdomain)
  validateAttachmentStatus(attachment, errors)
}

function validateAttachmentStatus(attachment: Draft<VolumeAttachment>, errors: FieldError[]): void {
  const { attachmentMetadata: metadata, attachError, detachError } = attachment.status ?? {}
  let bytes = 0
  for (const key in metadata) bytes += byteLength(key) + byteLength(metadata[key] ?? '')
  if (bytes > mostAttachmentBytes) errors.push(fieldTooLong('status.attachmentMetadata', mostAttachmentBytes))
  validateVolumeError(attachError, 'status.attachError', errors)
  validateVolumeError(detachError, 'status.detachError', errors)
}

export const volumeAttachmentRules: KindRules<VolumeAttachment> = {
  prepareForCreate: (attachment) => ({ ...attachment, status: { attached: false } }),
  validate(attachment, errors, _context, old) {
    validateAttachment(attachment, errors)
    if (old) return
    const { attacher = '', source } = attachment.spec ?? {}
    validateCsiDriverName(attacher, 'spec.attacher', errors)
    if (source?.persistentVolumeName !== undefined) pushInvalid(errors, 'spec.source.persistentVolumeName', source.persistentVolumeName, isDns1123Subdomain)
  },
  validateUpdate(attachment, old, errors) {
    validateAttachment(attachment, errors)
    validateImmutable(goAttachment(attachment.spec), goAttachment(old.spec), 'spec', errors)
  },
  prepareStatus(attachment, old) {
    const next = statusOnly(attachment, old)
    return { ...next, metadata: resetMetaForStatus(next.metadata, old.metadata) }
  },
  validateStatus: (attachment, _old, errors) => validateAttachmentStatus(attachment, errors),
}

function validateAttributes(attributes: VolumeAttributesClass, errors: FieldError[]): void {
  const { driverName = '', parameters } = attributes
  if (driverName === '') errors.push(fieldRequired('driverName'))
  else pushInvalid(errors, 'driverName', driverName.toLowerCase(), isQualifiedName)
  validateParameters(parameters, false, 'parameters', errors)
}

export const volumeAttributesClassRules: KindRules<VolumeAttributesClass> = {
  validate: validateAttributes,
  validateUpdate(attributes, old, errors) {
    if (attributes.driverName !== old.driverName) errors.push(fieldForbidden('driverName', 'updates to driverName are forbidden.'))
    if (!semanticEqual(attributes.parameters, old.parameters)) errors.push(fieldForbidden('parameters', 'updates to parameters are forbidden.'))
    validateAttributes(attributes, errors)
  },
}

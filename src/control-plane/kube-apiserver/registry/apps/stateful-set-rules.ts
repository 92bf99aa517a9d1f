// The strategy's rules for StatefulSets. Upstream: pkg/registry/apps/statefulset/strategy.go, pkg/apis/apps/{v1/defaults.go,validation/validation.go}
import type { StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy } from '../../../../lib/api/generated/types/apps-v1.ts'
import type { PersistentVolumeClaim } from '../../../../lib/api/generated/types/core-v1.ts'
import type { Draft } from '../../../../lib/base/json.ts'
import { fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isDns1123Label } from '../../../../lib/apimachinery/validation.ts'
import { defaultPodTemplate, mapChanged } from '../core/pod/default-pod-spec.ts'
import { defaultClaimSpec } from '../core/pod/default-volume.ts'
import { podWarnings } from '../core/pod/pod-warnings.ts'
import { validatePodAnnotations } from '../core/pod/validate-pod-annotations.ts'
import { validatePodSpec } from '../core/pod/validate-pod-spec.ts'
import type { KindRules } from '../generic-strategy.ts'
import { goStatefulSetRolling, goStatefulSetStrategy } from '../go-structs.ts'
import { nameIsDnsLabel } from '../name-rules.ts'
import { semanticEqual } from '../semantic-equal.ts'
import { validateAnnotations, validateLabels, validateNonNegative } from '../validate-object-meta.ts'
import { validateAtMostHundredPercent, validatePositiveIntOrPercent } from '../validation/int-or-percent.ts'
import { validateAtMost, validateCollisionCount, validateCounts } from './validate-replica-counts.ts'
import { templateOptions, validateSelected, validateSelector } from './validate-template.ts'

const keepClaims = { whenDeleted: 'Retain', whenScaled: 'Retain' }

function defaultClaim(claim: PersistentVolumeClaim): PersistentVolumeClaim {
  // cast: a claim without a spec is refused where pods are made of it
  const spec = defaultClaimSpec(claim.spec ?? {} as PersistentVolumeClaim['spec'])
  if (spec === claim.spec && claim.status?.phase && claim.kind && claim.apiVersion) return claim
  return { ...claim, apiVersion: 'v1', kind: 'PersistentVolumeClaim', spec, status: { ...claim.status, phase: claim.status?.phase || 'Pending' } }
}

function defaultUpdateStrategy(strategy: StatefulSetUpdateStrategy | undefined): StatefulSetUpdateStrategy {
  const type = strategy?.type || 'RollingUpdate'
  const rolling = strategy?.rollingUpdate ?? (strategy?.type ? undefined : {})
  if (type === 'RollingUpdate' && rolling && rolling.partition === undefined) return { ...strategy, type, rollingUpdate: { ...rolling, partition: 0 } }
  return strategy?.type ? strategy : { ...strategy, type, ...(rolling && { rollingUpdate: rolling }) }
}

function applyDefaults(set: StatefulSet): StatefulSet {
  // cast: a StatefulSet without a spec is refused by validation, not here
  const given = set.spec ?? {} as StatefulSetSpec
  const template = defaultPodTemplate(given.template)
  const updateStrategy = defaultUpdateStrategy(given.updateStrategy)
  const claims = given.volumeClaimTemplates && mapChanged(given.volumeClaimTemplates, defaultClaim)
  const policy = given.persistentVolumeClaimRetentionPolicy
  const complete = given.podManagementPolicy && policy?.whenDeleted && policy.whenScaled && given.replicas !== undefined && given.revisionHistoryLimit !== undefined
  if (complete && template === given.template && updateStrategy === given.updateStrategy && claims === given.volumeClaimTemplates) return set
  return {
    ...set,
    spec: {
      ...given, replicas: given.replicas ?? 1, template, ...(claims && { volumeClaimTemplates: claims }), podManagementPolicy: given.podManagementPolicy || 'OrderedReady', updateStrategy,
      revisionHistoryLimit: given.revisionHistoryLimit ?? 10,
      persistentVolumeClaimRetentionPolicy: { whenDeleted: policy?.whenDeleted || keepClaims.whenDeleted, whenScaled: policy?.whenScaled || keepClaims.whenScaled },
    },
  }
}

function validateUpdateStrategy(strategy: Draft<StatefulSetUpdateStrategy> | undefined, errors: FieldError[]): void {
  const path = 'spec.updateStrategy'
  const rolling = strategy?.rollingUpdate
  switch (strategy?.type) {
    case undefined: case '': errors.push(fieldRequired(path)); return
    case 'OnDelete':
      if (rolling) errors.push(fieldInvalid(`${path}.rollingUpdate`, goStatefulSetRolling(rolling), "only allowed for updateStrategy 'RollingUpdate'"))
      return
    case 'RollingUpdate':
      if (!rolling) return
      validateNonNegative(rolling.partition, `${path}.rollingUpdate.partition`, errors)
      if (rolling.maxUnavailable === undefined) return
      validatePositiveIntOrPercent(rolling.maxUnavailable, `${path}.rollingUpdate.maxUnavailable`, errors)
      if (rolling.maxUnavailable === 0 || rolling.maxUnavailable === '0%') errors.push(fieldInvalid(`${path}.rollingUpdate.maxUnavailable`, rolling.maxUnavailable, 'cannot be 0'))
      validateAtMostHundredPercent(rolling.maxUnavailable, `${path}.rollingUpdate.maxUnavailable`, errors)
      return
    default: errors.push(fieldInvalid(path, goStatefulSetStrategy(strategy), "must be 'RollingUpdate' or 'OnDelete'"))
  }
}

function validateSpec(spec: Draft<StatefulSetSpec>, old: Draft<StatefulSetSpec> | undefined, errors: FieldError[]): void {
  const template = spec.template ?? {}
  switch (spec.podManagementPolicy) {
    case undefined: case '': errors.push(fieldRequired('spec.podManagementPolicy')); break
    case 'OrderedReady': case 'Parallel': break
    default: errors.push(fieldInvalid('spec.podManagementPolicy', spec.podManagementPolicy, "must be 'OrderedReady' or 'Parallel'"))
  }
  validateUpdateStrategy(spec.updateStrategy, errors)
  for (const field of ['whenDeleted', 'whenScaled'] as const) {
    const policy = spec.persistentVolumeClaimRetentionPolicy?.[field]
    if (spec.persistentVolumeClaimRetentionPolicy && policy !== 'Retain' && policy !== 'Delete') {
      errors.push(fieldNotSupported(`spec.persistentVolumeClaimRetentionPolicy.${field}`, policy ?? '', ['Retain', 'Delete']))
    }
  }
  validateNonNegative(spec.replicas, 'spec.replicas', errors)
  validateNonNegative(spec.minReadySeconds, 'spec.minReadySeconds', errors)
  if (spec.ordinals) validateNonNegative(spec.ordinals.start, 'spec.ordinals.start', errors)
  if (validateSelector(spec.selector, 'statefulset', '', errors)) validateTemplate(spec, old, errors)
  if (template.spec?.restartPolicy !== 'Always') errors.push(fieldNotSupported('spec.template.spec.restartPolicy', template.spec?.restartPolicy ?? '', ['Always']))
  if (template.spec?.activeDeadlineSeconds !== undefined) errors.push(fieldForbidden('spec.template.spec.activeDeadlineSeconds', 'activeDeadlineSeconds in StatefulSet is not Supported'))
  validateNonNegative(spec.revisionHistoryLimit, 'spec.revisionHistoryLimit', errors)
}

/** Claims become volumes of the pods, so mounts of them are right; the template's own volumes of the same names are overridden. */
function validateTemplate(spec: Draft<StatefulSetSpec>, old: Draft<StatefulSetSpec> | undefined, errors: FieldError[]): void {
  const template = spec.template ?? {}
  const options = templateOptions(old?.template)
  validateSelected(template, spec.selector, 'spec.template', errors)
  validateLabels(template.metadata?.labels, 'spec.template.labels', errors)
  validateAnnotations(template.metadata?.annotations, 'spec.template.annotations', errors)
  validatePodAnnotations(template.metadata?.annotations, template.spec ?? {}, 'spec.template.annotations', errors, options)
  const claimed = (spec.volumeClaimTemplates ?? []).flatMap((claim) => claim.metadata?.name ? [claim.metadata.name] : [])
  const volumes = [
    ...(template.spec?.volumes ?? []).filter((volume) => !claimed.includes(volume.name ?? '')),
    ...claimed.map((name) => ({ name, persistentVolumeClaim: { claimName: name } })),
  ]
  validatePodSpec({ ...template.spec, volumes }, undefined, 'spec.template.spec', errors, options)
}

/** Fields of the spec that may change. */
const updatable = ['replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy', 'minReadySeconds'] as const

function validateUpdate(set: StatefulSet, old: StatefulSet, errors: FieldError[]): void {
  validateSpec(set.spec ?? {}, old.spec, errors)
  const fixed: { [field: string]: unknown } = { ...set.spec }
  for (const field of updatable) fixed[field] = old.spec?.[field]
  if (!semanticEqual(fixed, old.spec)) {
    errors.push(fieldForbidden('spec', `updates to statefulset spec for fields other than ${updatable.slice(0, -1).map((field) => `'${field}'`).join(', ')} and 'minReadySeconds' are forbidden`))
  }
}

export const statefulSetRules: KindRules<StatefulSet> = {
  nameRule: nameIsDnsLabel,
  applyDefaults,
  prepareForCreate: (set) => ({ ...set, status: { replicas: 0, availableReplicas: 0 } }),
  validate(set, errors, _context, old) {
    if (!old && set.spec?.serviceName) for (const text of isDns1123Label(set.spec.serviceName)) errors.push(fieldInvalid('spec.serviceName', set.spec.serviceName, text))
    validateSpec(set.spec ?? {}, old?.spec, errors)
  },
  validateUpdate,
  validateStatus({ status }, old, errors) {
    validateCounts(status, ['replicas', 'readyReplicas', 'currentReplicas', 'updatedReplicas', 'availableReplicas', 'observedGeneration', 'collisionCount'], errors)
    validateAtMost(status, ['readyReplicas', 'currentReplicas', 'updatedReplicas', 'availableReplicas'], 'replicas', 'cannot be greater than status.replicas', errors)
    validateAtMost(status, ['availableReplicas'], 'readyReplicas', 'cannot be greater than status.readyReplicas', errors)
    validateCollisionCount(status?.collisionCount, old.status?.collisionCount, errors)
  },
  warnings: (set, old) => set.spec?.template && (!old || !semanticEqual(set.spec.template, old.spec?.template))
    ? podWarnings(set.spec.template.spec ?? {}, set.spec.template.metadata, 'spec.template') : [],
}

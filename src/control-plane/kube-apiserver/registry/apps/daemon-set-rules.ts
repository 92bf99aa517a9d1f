// The strategy's rules for DaemonSets. Upstream: pkg/registry/apps/daemonset/strategy.go, pkg/apis/apps/{v1/defaults.go,validation/validation.go}
import type { DaemonSet, DaemonSetSpec, DaemonSetUpdateStrategy } from '../../../../lib/api/generated/types/apps-v1.ts'
import type { Draft } from '../../../../lib/base/json.ts'
import { fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { defaultPodTemplate } from '../core/pod/default-pod-spec.ts'
import { podWarnings } from '../core/pod/pod-warnings.ts'
import { validatePodTemplateSpec } from '../core/pod/validate-pod.ts'
import type { KindRules } from '../generic-strategy.ts'
import { goDeploymentStrategy, goMap, goSelector } from '../go-structs.ts'
import { semanticEqual } from '../semantic-equal.ts'
import { validateImmutable, validateNonNegative } from '../validate-object-meta.ts'
import { magnitudeOf, validateAtMostHundredPercent, validatePositiveIntOrPercent } from '../validation/int-or-percent.ts'
import { isEmptySelector, selectorMatches, validateLabelSelector } from '../validation/label-selector.ts'
import { validateCollisionCount, validateCounts } from './validate-replica-counts.ts'
import { templateOptions } from './validate-template.ts'

function defaultUpdateStrategy(strategy: DaemonSetUpdateStrategy | undefined): DaemonSetUpdateStrategy {
  const type = strategy?.type || 'RollingUpdate'
  if (type !== 'RollingUpdate') return strategy ?? { type }
  const rolling = strategy?.rollingUpdate
  if (strategy?.type && rolling?.maxUnavailable !== undefined && rolling.maxSurge !== undefined) return strategy
  return { ...strategy, type, rollingUpdate: { ...rolling, maxUnavailable: rolling?.maxUnavailable ?? 1, maxSurge: rolling?.maxSurge ?? 0 } }
}

function validateUpdateStrategy(strategy: Draft<DaemonSetUpdateStrategy> | undefined, errors: FieldError[]): void {
  const path = 'spec.updateStrategy.rollingUpdate'
  if (strategy?.type === 'OnDelete') return
  if (strategy?.type !== 'RollingUpdate') { errors.push(fieldNotSupported('spec.updateStrategy', goDeploymentStrategy(strategy), ['RollingUpdate', 'OnDelete'])); return }
  const rolling = strategy.rollingUpdate
  if (!rolling) { errors.push(fieldRequired(path)); return }
  validatePositiveIntOrPercent(rolling.maxUnavailable, `${path}.maxUnavailable`, errors)
  validatePositiveIntOrPercent(rolling.maxSurge, `${path}.maxSurge`, errors)
  validateAtMostHundredPercent(rolling.maxUnavailable, `${path}.maxUnavailable`, errors)
  validateAtMostHundredPercent(rolling.maxSurge, `${path}.maxSurge`, errors)
  const unavailable = magnitudeOf(rolling.maxUnavailable)
  const surge = magnitudeOf(rolling.maxSurge)
  if (unavailable === 0 && surge === 0) errors.push(fieldRequired(`${path}.maxUnavailable`, 'cannot be 0 when maxSurge is 0'))
  if (unavailable !== 0 && surge !== 0) errors.push(fieldInvalid(`${path}.maxSurge`, rolling.maxSurge, 'may not be set when maxUnavailable is non-zero'))
}

function validateSpec(spec: Draft<DaemonSetSpec>, old: Draft<DaemonSetSpec> | undefined, errors: FieldError[]): void {
  const template = spec.template ?? {}
  const before = errors.length
  validateLabelSelector(spec.selector, 'spec.selector', errors)
  if (errors.length === before && (!spec.selector || !selectorMatches(spec.selector, template.metadata?.labels))) {
    errors.push(fieldInvalid('spec.template.metadata.labels', goMap(template.metadata?.labels), '`selector` does not match template `labels`'))
  }
  if (spec.selector && isEmptySelector(spec.selector)) errors.push(fieldInvalid('spec.selector', spec.selector, 'empty selector is invalid for daemonset'))
  validatePodTemplateSpec(template, 'spec.template', errors, templateOptions(old?.template))
  if (template.spec?.restartPolicy !== 'Always') errors.push(fieldNotSupported('spec.template.spec.restartPolicy', template.spec?.restartPolicy ?? '', ['Always']))
  if (template.spec?.activeDeadlineSeconds !== undefined) errors.push(fieldForbidden('spec.template.spec.activeDeadlineSeconds', 'activeDeadlineSeconds in DaemonSet is not Supported'))
  validateNonNegative(spec.minReadySeconds, 'spec.minReadySeconds', errors)
  validateUpdateStrategy(spec.updateStrategy, errors)
  validateNonNegative(spec.revisionHistoryLimit, 'spec.revisionHistoryLimit', errors)
}

export const daemonSetRules: KindRules<DaemonSet> = {
  applyDefaults(set) {
    // cast: a DaemonSet without a spec is refused by validation, not here
    const given = set.spec ?? {} as DaemonSetSpec
    const template = defaultPodTemplate(given.template)
    const updateStrategy = defaultUpdateStrategy(given.updateStrategy)
    if (given.revisionHistoryLimit !== undefined && template === given.template && updateStrategy === given.updateStrategy) return set
    return { ...set, spec: { ...given, template, updateStrategy, revisionHistoryLimit: given.revisionHistoryLimit ?? 10 } }
  },
  prepareForCreate: (set) => ({ ...set, status: { currentNumberScheduled: 0, numberMisscheduled: 0, desiredNumberScheduled: 0, numberReady: 0 } }),
  validate: (set, errors, _context, old) => validateSpec(set.spec ?? {}, old?.spec, errors),
  validateUpdate(set, old, errors) {
    validateSpec(set.spec ?? {}, old.spec, errors)
    validateImmutable(goSelector(set.spec?.selector), goSelector(old.spec?.selector), 'spec.selector', errors)
  },
  validateStatus({ status }, old, errors) {
    validateCounts(status, [
      'currentNumberScheduled', 'numberMisscheduled', 'desiredNumberScheduled', 'numberReady', 'observedGeneration', 'updatedNumberScheduled', 'numberAvailable', 'numberUnavailable', 'collisionCount',
    ], errors)
    validateCollisionCount(status?.collisionCount, old.status?.collisionCount, errors)
  },
  warnings: (set, old) => set.spec?.template && (!old || !semanticEqual(set.spec.template, old.spec?.template))
    ? podWarnings(set.spec.template.spec ?? {}, set.spec.template.metadata, 'spec.template') : [],
}

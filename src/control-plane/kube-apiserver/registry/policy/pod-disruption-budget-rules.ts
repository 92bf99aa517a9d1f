// The strategy's rules for PodDisruptionBudgets. Upstream: pkg/registry/policy/poddisruptionbudget/strategy.go, pkg/apis/policy/validation/validation.go
import type { Draft } from '../../../../lib/base/json.ts'
import type { PodDisruptionBudget, PodDisruptionBudgetSpec } from '../../../../lib/api/generated/types/policy-v1.ts'
import { fieldInvalid, fieldNotSupported } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { validateCounts } from '../apps/validate-replica-counts.ts'
import type { KindRules } from '../generic-strategy.ts'
import { goDisruptionSpec } from '../go-structs.ts'
import { nameIsPathSegment } from '../name-rules.ts'
import { validateConditions } from '../validation/conditions.ts'
import { validateAtMostHundredPercent, validatePositiveIntOrPercent } from '../validation/int-or-percent.ts'
import { hasInvalidLabelValue, validateLabelSelector } from '../validation/label-selector.ts'

function validateSpec(spec: Draft<PodDisruptionBudgetSpec>, allowInvalidValues: boolean, errors: FieldError[]): void {
  if (spec.minAvailable !== undefined && spec.maxUnavailable !== undefined) errors.push(fieldInvalid('spec', goDisruptionSpec(spec), 'minAvailable and maxUnavailable cannot be both set'))
  for (const field of ['minAvailable', 'maxUnavailable'] as const) {
    if (spec[field] === undefined) continue
    validatePositiveIntOrPercent(spec[field], `spec.${field}`, errors)
    validateAtMostHundredPercent(spec[field], `spec.${field}`, errors)
  }
  validateLabelSelector(spec.selector, 'spec.selector', errors, allowInvalidValues)
  const policy = spec.unhealthyPodEvictionPolicy
  if (policy !== undefined && policy !== 'IfHealthyBudget' && policy !== 'AlwaysAllow') errors.push(fieldNotSupported('spec.unhealthyPodEvictionPolicy', policy, ['AlwaysAllow', 'IfHealthyBudget']))
}

export const podDisruptionBudgetRules: KindRules<PodDisruptionBudget> = {
  nameRule: nameIsPathSegment,
  prepareForCreate: (budget) => ({ ...budget, status: { disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0 } }),
  validate: (budget, errors) => validateSpec(budget.spec ?? {}, false, errors),
  validateUpdate: (budget, old, errors) => validateSpec(budget.spec ?? {}, hasInvalidLabelValue(old.spec?.selector), errors),
  validateStatus({ status }, _old, errors) {
    validateConditions(status?.conditions, 'status.conditions', errors)
    validateCounts(status, ['disruptionsAllowed', 'currentHealthy', 'desiredHealthy', 'expectedPods'], errors)
  },
}

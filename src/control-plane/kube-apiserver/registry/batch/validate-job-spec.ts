// The spec of a job, and of the template of one. Upstream: pkg/apis/batch/validation/validation.go
import type { Draft } from '../../../../lib/base/json.ts'
import type { JobSpec, PodFailurePolicyRule, SuccessPolicyRule } from '../../../../lib/api/generated/types/batch-v1.ts'
import { fieldDuplicate, fieldInvalid, fieldNotSupported, fieldRequired, fieldTooLong, fieldTooMany } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isDomainPrefixedPath, isQualifiedName } from '../../../../lib/apimachinery/validation.ts'
import { byteLength } from '../byte-length.ts'
import { templateOptions } from '../apps/validate-template.ts'
import { validatePodTemplateSpec } from '../core/pod/validate-pod.ts'
import { fieldInvalidUnshown, goSuccessPolicy } from '../go-structs.ts'
import { pushInvalid, validateNonNegative } from '../validate-object-meta.ts'
import { countIndexes } from './completion-indexes.ts'

const mostParallelIndexed = 100000
/** From here on, there may be no more than `mostOfMany` at once or failed. */
const manyCompletions = 100000
const mostOfMany = 10000
const mostFailurePolicyRules = 20
const mostExitCodes = 255
const mostPodConditions = 20
const mostSuccessPolicyRules = 20
const indexesLimitBytes = 64 * 1024
const failureActions = ['Count', 'FailIndex', 'FailJob', 'Ignore']
const nonNegative = ['parallelism', 'completions', 'activeDeadlineSeconds', 'backoffLimit', 'ttlSecondsAfterFinished', 'backoffLimitPerIndex', 'maxFailedIndexes'] as const

export function validateJobSpec(spec: Draft<JobSpec>, old: Draft<JobSpec> | undefined, path: string, errors: FieldError[]): void {
  for (const field of nonNegative) validateNonNegative(spec[field], `${path}.${field}`, errors)
  if (spec.maxFailedIndexes !== undefined && spec.backoffLimitPerIndex === undefined) errors.push(fieldRequired(`${path}.backoffLimitPerIndex`, 'when maxFailedIndexes is specified'))
  if (spec.managedBy !== undefined) {
    pushInvalid(errors, `${path}.managedBy`, spec.managedBy, isDomainPrefixedPath)
    if (byteLength(spec.managedBy) > 63) errors.push(fieldTooLong(`${path}.managedBy`, 63))
  }
  validateCompletionMode(spec, path, errors)
  const rules = spec.podFailurePolicy?.rules ?? []
  if (rules.length > mostFailurePolicyRules) errors.push(fieldTooMany(`${path}.podFailurePolicy.rules`, rules.length, mostFailurePolicyRules))
  rules.forEach((rule, i) => validateFailureRule(rule, spec, `${path}.podFailurePolicy.rules[${i}]`, errors))
  if (spec.successPolicy) {
    if (spec.completionMode !== 'Indexed') errors.push(fieldInvalid(`${path}.successPolicy`, goSuccessPolicy(spec.successPolicy), 'requires indexed completion mode'))
    else validateSuccessRules(spec.successPolicy.rules ?? [], spec.completions ?? 0, `${path}.successPolicy.rules`, errors)
  }
  validateReplacement(spec, path, errors)
  validatePodTemplateSpec(spec.template ?? {}, `${path}.template`, errors, templateOptions(old?.template))
  const restart = spec.template?.spec?.restartPolicy
  const at = `${path}.template.spec.restartPolicy`
  // Always is what an absent policy was defaulted to.
  if (!restart || restart === 'Always') errors.push(fieldRequired(at, 'valid values: "OnFailure", "Never"'))
  else if (restart !== 'OnFailure' && restart !== 'Never') errors.push(fieldNotSupported(at, restart, ['OnFailure', 'Never']))
  else if (spec.podFailurePolicy && restart !== 'Never') errors.push(fieldInvalid(at, restart, 'only "Never" is supported when podFailurePolicy is specified'))
}

function validateCompletionMode(spec: Draft<JobSpec>, path: string, errors: FieldError[]): void {
  const { completionMode: mode, completions, parallelism, maxFailedIndexes, backoffLimitPerIndex } = spec
  if (mode !== undefined && mode !== 'NonIndexed' && mode !== 'Indexed') errors.push(fieldNotSupported(`${path}.completionMode`, mode, ['NonIndexed', 'Indexed']))
  if (mode === 'Indexed') {
    if (completions === undefined) errors.push(fieldRequired(`${path}.completions`, 'when completion mode is Indexed'))
    if (parallelism !== undefined && parallelism > mostParallelIndexed) {
      errors.push(fieldInvalid(`${path}.parallelism`, parallelism, `must be less than or equal to ${mostParallelIndexed} when completion mode is Indexed`))
    }
    if (completions !== undefined && maxFailedIndexes !== undefined && maxFailedIndexes > completions) {
      errors.push(fieldInvalid(`${path}.maxFailedIndexes`, maxFailedIndexes, 'must be less than or equal to completions'))
    }
    if (maxFailedIndexes !== undefined && maxFailedIndexes > mostParallelIndexed) errors.push(fieldInvalid(`${path}.maxFailedIndexes`, maxFailedIndexes, `must be less than or equal to ${mostParallelIndexed}`))
    if (completions !== undefined && completions > manyCompletions && backoffLimitPerIndex !== undefined) {
      if (maxFailedIndexes === undefined) errors.push(fieldRequired(`${path}.maxFailedIndexes`, `must be specified when completions is above ${manyCompletions}`))
      for (const [field, value] of [['parallelism', parallelism], ['maxFailedIndexes', maxFailedIndexes]] as const) {
        if (value === undefined || value <= mostOfMany) continue
        errors.push(fieldInvalid(`${path}.${field}`, value, `must be less than or equal to ${mostOfMany} when completions are above ${manyCompletions} and used with backoff limit per index`))
      }
    }
  } else {
    if (backoffLimitPerIndex !== undefined) errors.push(fieldInvalid(`${path}.backoffLimitPerIndex`, backoffLimitPerIndex, 'requires indexed completion mode'))
    if (maxFailedIndexes !== undefined) errors.push(fieldInvalid(`${path}.maxFailedIndexes`, maxFailedIndexes, 'requires indexed completion mode'))
  }
}

function validateReplacement(spec: Draft<JobSpec>, path: string, errors: FieldError[]): void {
  const policy = spec.podReplacementPolicy
  if (policy === undefined) return
  const allowed = spec.podFailurePolicy ? ['Failed'] : ['Failed', 'TerminatingOrFailed']
  if (!allowed.includes(policy)) errors.push(fieldNotSupported(`${path}.podReplacementPolicy`, policy, allowed))
}

function validateFailureRule(rule: Draft<PodFailurePolicyRule>, spec: Draft<JobSpec>, path: string, errors: FieldError[]): void {
  const { action = '', onExitCodes, onPodConditions } = rule
  if (action === '') errors.push(fieldRequired(`${path}.action`, `valid values: ["Count" "FailIndex" "FailJob" "Ignore"]`))
  else if (action === 'FailIndex' && spec.backoffLimitPerIndex === undefined) errors.push(fieldInvalid(`${path}.action`, action, 'requires the backoffLimitPerIndex to be set'))
  else if (!failureActions.includes(action)) errors.push(fieldNotSupported(`${path}.action`, action, failureActions))
  if (onExitCodes) {
    const { operator = '', values = [], containerName } = onExitCodes
    const at = `${path}.onExitCodes`
    if (operator === '') errors.push(fieldRequired(`${at}.operator`, 'valid values: ["In" "NotIn"]'))
    else if (operator !== 'In' && operator !== 'NotIn') errors.push(fieldNotSupported(`${at}.operator`, operator, ['In', 'NotIn']))
    if (containerName !== undefined) {
      const known = [...(spec.template?.spec?.containers ?? []), ...(spec.template?.spec?.initContainers ?? [])].some((container) => container.name === containerName)
      if (!known) errors.push(fieldInvalid(`${at}.containerName`, containerName, 'must be one of the container or initContainer names in the pod template'))
    }
    if (values.length === 0) errors.push(fieldInvalid(`${at}.values`, values, 'at least one value is required'))
    else if (values.length > mostExitCodes) errors.push(fieldTooMany(`${at}.values`, values.length, mostExitCodes))
    values.forEach((value, i) => {
      if (operator === 'In' && value === 0) errors.push(fieldInvalid(`${at}.values[${i}]`, value, 'must not be 0 for the In operator'))
      if (values.indexOf(value) < i) errors.push(fieldDuplicate(`${at}.values[${i}]`, value))
    })
    if (values.some((value, i) => i > 0 && (values[i - 1] ?? 0) > value)) errors.push(fieldInvalid(`${at}.values`, values, 'must be ordered'))
  }
  if (onPodConditions && onPodConditions.length > mostPodConditions) errors.push(fieldTooMany(`${path}.onPodConditions`, onPodConditions.length, mostPodConditions))
  onPodConditions?.forEach((pattern, i) => {
    const at = `${path}.onPodConditions[${i}]`
    pushInvalid(errors, `${at}.type`, pattern.type ?? '', isQualifiedName)
    if (!pattern.status) errors.push(fieldRequired(`${at}.status`, 'valid values: ["False" "True" "Unknown"]'))
    else if (!['False', 'True', 'Unknown'].includes(pattern.status)) errors.push(fieldNotSupported(`${at}.status`, pattern.status, ['False', 'True', 'Unknown']))
  })
  if (onExitCodes && onPodConditions && onPodConditions.length > 0) errors.push(fieldInvalidUnshown(path, 'specifying both OnExitCodes and OnPodConditions is not supported'))
  if (!onExitCodes && (onPodConditions?.length ?? 0) === 0) errors.push(fieldInvalidUnshown(path, 'specifying one of OnExitCodes and OnPodConditions is required'))
}

function validateSuccessRules(rules: readonly Draft<SuccessPolicyRule>[], completions: number, path: string, errors: FieldError[]): void {
  if (rules.length === 0) errors.push(fieldRequired(path, 'at least one rules must be specified when the successPolicy is specified'))
  if (rules.length > mostSuccessPolicyRules) errors.push(fieldTooMany(path, rules.length, mostSuccessPolicyRules))
  rules.forEach((rule, i) => {
    const { succeededCount: count, succeededIndexes: indexes } = rule
    if (count === undefined && indexes === undefined) errors.push(fieldRequired(`${path}[${i}]`, 'at least one of succeededCount or succeededIndexes must be specified'))
    const total = indexes === undefined ? 0 : countIndexes(indexes, completions)
    if (indexes !== undefined && byteLength(indexes) > indexesLimitBytes) errors.push(fieldTooLong(`${path}[${i}].succeededIndexes`, indexesLimitBytes))
    if (typeof total === 'string') errors.push(fieldInvalid(`${path}[${i}].succeededIndexes`, indexes, `error parsing succeededIndexes: ${total}`))
    if (count === undefined) return
    const at = `${path}[${i}].succeededCount`
    validateNonNegative(count, at, errors)
    if (count > completions) errors.push(fieldInvalid(at, count, `must be less than or equal to ${completions} (the number of specified completions)`))
    const most = typeof total === 'string' ? 0 : total
    if (indexes !== undefined && count > most) errors.push(fieldInvalid(at, count, `must be less than or equal to ${most} (the number of indexes in the specified succeededIndexes field)`))
  })
}

// The strategy's rules for HorizontalPodAutoscalers (autoscaling/v2). Upstream: pkg/apis/autoscaling/{v2/defaults.go,validation/validation.go}
import type { Draft } from '../../../../lib/base/json.ts'
import type { CrossVersionObjectReference, HPAScalingRules, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricIdentifier, MetricSpec, MetricTarget } from '../../../../lib/api/generated/types/autoscaling-v2.ts'
import { fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isDns1123Label, isPathSegmentName } from '../../../../lib/apimachinery/validation.ts'
import { validateCounts } from '../apps/validate-replica-counts.ts'
import type { KindRules } from '../generic-strategy.ts'
import { pushInvalid } from '../validate-object-meta.ts'
import { signOf } from '../validation/quantities.ts'
import { validateContainerResourceName } from '../validation/resource-names.ts'

const metricTypes = ['ContainerResource', 'External', 'Object', 'Pods', 'Resource']
const fieldOfType: { readonly [type: string]: 'containerResource' | 'external' | 'object' | 'pods' | 'resource' } =
  { ContainerResource: 'containerResource', External: 'external', Object: 'object', Pods: 'pods', Resource: 'resource' }
const longestPeriodSeconds = 1800
const longestStabilizationSeconds = 3600

const defaultUp: HPAScalingRules = { stabilizationWindowSeconds: 0, selectPolicy: 'Max', policies: [{ type: 'Pods', value: 4, periodSeconds: 15 }, { type: 'Percent', value: 100, periodSeconds: 15 }] }
const defaultDown: HPAScalingRules = { selectPolicy: 'Max', policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }] }

const isComplete = (rules: HPAScalingRules | undefined, defaults: HPAScalingRules): boolean =>
  rules?.selectPolicy !== undefined && rules.policies !== undefined && (defaults.stabilizationWindowSeconds === undefined || rules.stabilizationWindowSeconds !== undefined)

function applyDefaults(autoscaler: HorizontalPodAutoscaler): HorizontalPodAutoscaler {
  const { spec } = autoscaler
  if (!spec) return autoscaler
  let next: HorizontalPodAutoscalerSpec = spec
  if (next.minReplicas === undefined) next = { ...next, minReplicas: 1 }
  if ((next.metrics?.length ?? 0) === 0) next = { ...next, metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } } }] }
  const { behavior } = next
  if (behavior && !(isComplete(behavior.scaleUp, defaultUp) && isComplete(behavior.scaleDown, defaultDown))) {
    next = { ...next, behavior: { ...behavior, scaleUp: { ...defaultUp, ...behavior.scaleUp }, scaleDown: { ...defaultDown, ...behavior.scaleDown } } }
  }
  return next === spec ? autoscaler : { ...autoscaler, spec: next }
}

function validateReference(reference: Draft<CrossVersionObjectReference> | undefined, path: string, errors: FieldError[]): void {
  for (const field of ['kind', 'name'] as const) {
    const value = reference?.[field]
    if (!value) errors.push(fieldRequired(`${path}.${field}`))
    else pushInvalid(errors, `${path}.${field}`, value, isPathSegmentName)
  }
}

function validateIdentifier(metric: Draft<MetricIdentifier> | undefined, path: string, errors: FieldError[]): void {
  if (!metric?.name) errors.push(fieldRequired(`${path}.name`, 'must specify a metric name'))
  else pushInvalid(errors, `${path}.name`, metric.name, isPathSegmentName)
}

function validateTarget(target: Draft<MetricTarget> | undefined, path: string, errors: FieldError[]): void {
  const type = target?.type ?? ''
  if (type === '') errors.push(fieldRequired(`${path}.type`, 'must specify a metric target type'))
  if (!['Utilization', 'Value', 'AverageValue'].includes(type)) errors.push(fieldInvalid(`${path}.type`, type, 'must be either Utilization, Value, or AverageValue'))
  if (target?.value !== undefined && signOf(target.value) !== 1) errors.push(fieldInvalid(`${path}.value`, target.value, 'must be positive'))
  if (target?.averageValue !== undefined && signOf(target.averageValue) !== 1) errors.push(fieldInvalid(`${path}.averageValue`, target.averageValue, 'must be positive'))
  if (target?.averageUtilization !== undefined && target.averageUtilization < 1) errors.push(fieldInvalid(`${path}.averageUtilization`, target.averageUtilization, 'must be greater than 0'))
}

function validateUtilization(target: Draft<MetricTarget> | undefined, path: string, errors: FieldError[]): void {
  if (target?.averageUtilization === undefined && target?.averageValue === undefined) errors.push(fieldRequired(`${path}.averageUtilization`, 'must set either a target raw value or a target utilization'))
  if (target?.averageUtilization !== undefined && target.averageValue !== undefined) errors.push(fieldForbidden(`${path}.averageValue`, 'may not set both a target raw value and a target utilization'))
}

function validateMetric(metric: Draft<MetricSpec>, path: string, errors: FieldError[]): void {
  const type = metric.type ?? ''
  if (type === '') errors.push(fieldRequired(`${path}.type`, 'must specify a metric source type'))
  if (!metricTypes.includes(type)) errors.push(fieldNotSupported(`${path}.type`, type, metricTypes))
  const present = (['object', 'external', 'pods', 'resource', 'containerResource'] as const).filter((field) => metric[field] !== undefined)
  const only = present[0]
  const at = `${path}.${only ?? ''}`
  switch (only) {
    case 'object':
      validateReference(metric.object?.describedObject, `${at}.describedObject`, errors)
      validateIdentifier(metric.object?.metric, `${at}.metric`, errors)
      validateTarget(metric.object?.target, `${at}.target`, errors)
      if (metric.object?.target?.value === undefined && metric.object?.target?.averageValue === undefined) errors.push(fieldRequired(`${at}.target.averageValue`, 'must set either a target value or averageValue'))
      break
    case 'external':
      validateIdentifier(metric.external?.metric, `${at}.metric`, errors)
      validateTarget(metric.external?.target, `${at}.target`, errors)
      if (metric.external?.target?.value === undefined && metric.external?.target?.averageValue === undefined) errors.push(fieldRequired(`${at}.target.averageValue`, 'must set either a target value for metric or a per-pod target'))
      if (metric.external?.target?.value !== undefined && metric.external.target.averageValue !== undefined) errors.push(fieldForbidden(`${at}.target.value`, 'may not set both a target value for metric and a per-pod target'))
      break
    case 'pods':
      validateIdentifier(metric.pods?.metric, `${at}.metric`, errors)
      validateTarget(metric.pods?.target, `${at}.target`, errors)
      if (metric.pods?.target?.averageValue === undefined) errors.push(fieldRequired(`${at}.target.averageValue`, 'must specify a positive target averageValue'))
      break
    case 'resource': case 'containerResource': {
      const source = metric[only]
      const inContainer = only === 'containerResource'
      if (!source?.name) errors.push(fieldRequired(`${at}.name`, 'must specify a resource name'))
      else if (inContainer) validateContainerResourceName(source.name, `${at}.name`, errors)
      const container = metric.containerResource?.container
      if (inContainer && !container) errors.push(fieldRequired(`${at}.container`, 'must specify a container'))
      else if (inContainer) pushInvalid(errors, `${at}.container`, container ?? '', isDns1123Label)
      validateTarget(source?.target, `${at}.target`, errors)
      validateUtilization(source?.target, `${at}.target`, errors)
      break
    }
    case undefined: break
  }
  const expected = fieldOfType[type]
  if (!expected) errors.push(fieldNotSupported(`${path}.type`, type, metricTypes))
  else if (!present.includes(expected)) errors.push(fieldRequired(`${path}.${expected}`, 'must populate information for the given metric source'))
  if (present.length > 1) for (const field of present) if (field !== expected) errors.push(fieldForbidden(`${path}.${field}`, 'must populate the given metric source only'))
}

function validateScaling(rules: Draft<HPAScalingRules>, path: string, errors: FieldError[]): void {
  const window = rules.stabilizationWindowSeconds
  if (window !== undefined && window < 0) errors.push(fieldInvalid(`${path}.stabilizationWindowSeconds`, window, 'must be greater than or equal to zero'))
  if (window !== undefined && window > longestStabilizationSeconds) errors.push(fieldInvalid(`${path}.stabilizationWindowSeconds`, window, `must be less than or equal to ${longestStabilizationSeconds}`))
  const select = rules.selectPolicy
  if (select !== undefined && !['Max', 'Min', 'Disabled'].includes(select)) errors.push(fieldNotSupported(`${path}.selectPolicy`, select, ['Disabled', 'Max', 'Min']))
  if ((rules.policies?.length ?? 0) === 0) errors.push(fieldRequired(`${path}.policies`, 'must specify at least one Policy'))
  rules.policies?.forEach(({ type = '', value = 0, periodSeconds: period = 0 }, i) => {
    const at = `${path}.policies[${i}]`
    if (type !== 'Pods' && type !== 'Percent') errors.push(fieldNotSupported(`${at}.type`, type, ['Percent', 'Pods']))
    if (value <= 0) errors.push(fieldInvalid(`${at}.value`, value, 'must be greater than zero'))
    if (period <= 0) errors.push(fieldInvalid(`${at}.periodSeconds`, period, 'must be greater than zero'))
    if (period > longestPeriodSeconds) errors.push(fieldInvalid(`${at}.periodSeconds`, period, `must be less than or equal to ${longestPeriodSeconds}`))
  })
  if (rules.tolerance !== undefined && signOf(rules.tolerance) < 0) errors.push(fieldInvalid(`${path}.tolerance`, rules.tolerance, 'must be greater than or equal to 0'))
}

function validateSpec(spec: Draft<HorizontalPodAutoscalerSpec>, old: Draft<HorizontalPodAutoscalerSpec> | undefined, errors: FieldError[]): void {
  const { minReplicas: min, maxReplicas: max = 0 } = spec
  // What was stored with zero may keep it.
  const least = old?.minReplicas === 0 ? 0 : 1
  if (min !== undefined && min < least) errors.push(fieldInvalid('spec.minReplicas', min, `must be greater than or equal to ${least}`))
  if (max < 1) errors.push(fieldInvalid('spec.maxReplicas', max, 'must be greater than 0'))
  if (min !== undefined && max < min) errors.push(fieldInvalid('spec.maxReplicas', max, 'must be greater than or equal to `minReplicas`'))
  validateReference(spec.scaleTargetRef, 'spec.scaleTargetRef', errors)
  spec.metrics?.forEach((metric, i) => validateMetric(metric, `spec.metrics[${i}]`, errors))
  if (min === 0 && !spec.metrics?.some(({ type }) => type === 'Object' || type === 'External')) {
    errors.push(fieldForbidden('spec.metrics', 'must specify at least one Object or External metric to support scaling to zero replicas'))
  }
  if (spec.behavior?.scaleUp) validateScaling(spec.behavior.scaleUp, 'spec.behavior.scaleUp', errors)
  if (spec.behavior?.scaleDown) validateScaling(spec.behavior.scaleDown, 'spec.behavior.scaleDown', errors)
}

export const horizontalPodAutoscalerRules: KindRules<HorizontalPodAutoscaler> = {
  applyDefaults,
  validate: (autoscaler, errors, _context, old) => validateSpec(autoscaler.spec ?? {}, old?.spec, errors),
  validateStatus: ({ status }, _old, errors) => validateCounts(status, ['currentReplicas', 'desiredReplicas'], errors),
}

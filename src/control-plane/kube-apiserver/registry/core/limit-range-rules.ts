// The strategy's rules for LimitRanges. Upstream: pkg/registry/core/limitrange/strategy.go, pkg/apis/core/validation/validation.go (ValidateLimitRange)
import type { Draft } from '../../../../lib/base/json.ts'
import type { LimitRange, LimitRangeItem } from '../../../../lib/api/generated/types/core-v1.ts'
import { fieldDuplicate, fieldForbidden, fieldInvalid, fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isQualifiedName } from '../../../../lib/apimachinery/validation.ts'
import type { KindRules } from '../generic-strategy.ts'
import { pushInvalid } from '../validate-object-meta.ts'
import { canonicalText, compareTexts, quantityOf, roundResourceList } from '../validation/quantities.ts'
import { isOvercommitAllowed, validateContainerResourceName, validateResourceName } from '../validation/resource-names.ts'
import { mapChanged } from './pod/default-pod-spec.ts'

type List = { readonly [name: string]: string }

function filled(list: List | undefined, from: List | undefined): List | undefined {
  if (!from || Object.keys(from).every((name) => list?.[name] !== undefined)) return list
  return { ...from, ...list }
}

/** Limits of containers: the default is the maximum, the default request is the default or the minimum. */
function defaultItem(item: LimitRangeItem): LimitRangeItem {
  let next = item
  for (const part of ['max', 'min', 'default', 'defaultRequest', 'maxLimitRequestRatio'] as const) {
    const rounded = roundResourceList(next[part])
    if (rounded !== next[part]) next = { ...next, [part]: rounded }
  }
  if (next.type !== 'Container') return next
  const limits = filled(next.default, next.max)
  const requests = filled(filled(next.defaultRequest, limits), next.min)
  return limits === next.default && requests === next.defaultRequest ? next : { ...next, ...(limits && { default: limits }), ...(requests && { defaultRequest: requests }) }
}

const types = new Set(['Pod', 'Container', 'PersistentVolumeClaim'])

function validateItem(item: Draft<LimitRangeItem>, path: string, errors: FieldError[]): void {
  const type = item.type ?? ''
  const before = errors.length
  pushInvalid(errors, `${path}.type`, type, isQualifiedName)
  if (errors.length === before && !type.includes('/') && !types.has(type)) errors.push(fieldInvalid(`${path}.type`, type, 'must be a standard limit type or fully qualified'))
  const names = new Set<string>()
  const collect = (part: 'max' | 'min' | 'default' | 'defaultRequest' | 'maxLimitRequestRatio'): void => {
    for (const name in item[part]) {
      if (type === 'Pod' || type === 'Container') validateContainerResourceName(name, `${path}.${part}[${name}]`, errors)
      else validateResourceName(name, `${path}.${part}[${name}]`, errors)
      names.add(name)
    }
  }
  collect('max')
  collect('min')
  if (type === 'Pod') {
    for (const part of ['default', 'defaultRequest'] as const) {
      if (Object.keys(item[part] ?? {}).length > 0) errors.push(fieldForbidden(`${path}.${part}`, "may not be specified when `type` is 'Pod'"))
    }
  } else {
    collect('default')
    collect('defaultRequest')
  }
  if (type === 'PersistentVolumeClaim' && item.min?.storage === undefined && item.max?.storage === undefined) {
    errors.push(fieldRequired(`${path}.limits`, 'either minimum or maximum storage value is required, but neither was provided'))
  }
  collect('maxLimitRequestRatio')
  for (const name of names) validateAmounts(item, name, type === 'Pod', path, errors)
}

function validateAmounts(item: Draft<LimitRangeItem>, name: string, isPod: boolean, path: string, errors: FieldError[]): void {
  const min = item.min?.[name]
  const max = item.max?.[name]
  const limit = isPod ? undefined : item.default?.[name]
  const request = isPod ? undefined : item.defaultRequest?.[name]
  const ratio = item.maxLimitRequestRatio?.[name]
  const above = (a: string | undefined, b: string | undefined): boolean => a !== undefined && b !== undefined && compareTexts(a, b) > 0
  const add = (field: string, value: string | undefined, text: string): void => { errors.push(fieldInvalid(`${path}.${field}[${name}]`, canonicalText(value), text)) }
  const say = canonicalText
  if (above(min, max)) add('min', min, `min value ${say(min)} is greater than max value ${say(max)}`)
  if (above(min, request)) add('defaultRequest', request, `min value ${say(min)} is greater than default request value ${say(request)}`)
  if (above(request, max)) add('defaultRequest', request, `default request value ${say(request)} is greater than max value ${say(max)}`)
  if (above(request, limit)) add('defaultRequest', request, `default request value ${say(request)} is greater than default limit value ${say(limit)}`)
  if (above(min, limit)) add('default', min, `min value ${say(min)} is greater than default value ${say(limit)}`)
  if (above(limit, max)) add('default', max, `default value ${say(limit)} is greater than max value ${say(max)}`)
  if (ratio !== undefined && compareTexts(ratio, '1') < 0) add('maxLimitRequestRatio', ratio, `ratio ${say(ratio)} is less than 1`)
  if (ratio !== undefined && min !== undefined && max !== undefined) {
    const most = Number(quantityOf(max).nano) / Number(quantityOf(min).nano)
    if (Number(quantityOf(ratio).nano) / 1e9 > most) add('maxLimitRequestRatio', ratio, `ratio ${say(ratio)} is greater than max/min = ${most.toFixed(6)}`)
  }
  if (!isOvercommitAllowed(name) && limit !== undefined && request !== undefined && compareTexts(limit, request) !== 0) {
    add('defaultRequest', request, `default value ${say(limit)} must equal to defaultRequest value ${say(request)} in ${name}`)
  }
}

export const limitRangeRules: KindRules<LimitRange> = {
  applyDefaults(range) {
    const limits = range.spec?.limits && mapChanged(range.spec.limits, defaultItem)
    return limits === range.spec?.limits ? range : { ...range, spec: { ...range.spec, limits } }
  },
  validate(range, errors) {
    const seen = new Set<string>()
    range.spec?.limits?.forEach((item, i) => {
      const type = item.type ?? ''
      const before: FieldError[] = []
      validateItem(item, `spec.limits[${i}]`, before)
      if (seen.has(type)) before.unshift(fieldDuplicate(`spec.limits[${i}].type`, type))
      seen.add(type)
      errors.push(...before)
    })
  },
}

// Validation of label selectors. Upstream: apimachinery/pkg/apis/meta/v1/validation
import type { Draft } from '../../../../lib/base/json.ts'
import type { LabelSelector } from '../../../../lib/api/generated/types/meta-v1.ts'
import { fieldForbidden, fieldInvalid, fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isQualifiedName, isValidLabelValue } from '../../../../lib/apimachinery/validation.ts'
import { pushInvalid, validateLabels } from '../validate-object-meta.ts'

/** `allowInvalidValues` for objects that were stored with wrong values before these were checked. */
export function validateLabelSelector(selector: Draft<LabelSelector> | undefined, path: string, errors: FieldError[], allowInvalidValues = false): void {
  if (!selector) return
  validateLabels(selector.matchLabels, `${path}.matchLabels`, errors)
  selector.matchExpressions?.forEach((expression, i) => {
    const at = `${path}.matchExpressions[${i}]`
    const values = expression.values ?? []
    switch (expression.operator) {
      case 'In': case 'NotIn':
        if (values.length === 0) errors.push(fieldRequired(`${at}.values`, "must be specified when `operator` is 'In' or 'NotIn'"))
        break
      case 'Exists': case 'DoesNotExist':
        if (values.length > 0) errors.push(fieldForbidden(`${at}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
        break
      default: errors.push(fieldInvalid(`${at}.operator`, expression.operator ?? '', 'not a valid selector operator'))
    }
    pushInvalid(errors, `${at}.key`, expression.key ?? '', isQualifiedName)
    if (!allowInvalidValues) values.forEach((value, j) => pushInvalid(errors, `${at}.values[${j}]`, value, isValidLabelValue))
  })
}

export function hasInvalidLabelValue(selector: Draft<LabelSelector> | undefined): boolean {
  return selector?.matchExpressions?.some((expression) => expression.values?.some((value) => isValidLabelValue(value).length > 0)) ?? false
}

export function isEmptySelector(selector: Draft<LabelSelector> | undefined): boolean {
  return Object.keys(selector?.matchLabels ?? {}).length + (selector?.matchExpressions?.length ?? 0) === 0
}

type Labels = { readonly [key: string]: string | undefined } | undefined

/** Whether the selector picks an object with these labels; wrong operators pick nothing. */
export function selectorMatches(selector: Draft<LabelSelector> | undefined, labels: Labels): boolean {
  for (const key in selector?.matchLabels) if (labels?.[key] !== selector.matchLabels[key]) return false
  return (selector?.matchExpressions ?? []).every((expression) => {
    const value = labels?.[expression.key ?? '']
    switch (expression.operator) {
      case 'In': return value !== undefined && (expression.values ?? []).includes(value)
      case 'NotIn': return value === undefined || !(expression.values ?? []).includes(value)
      case 'Exists': return value !== undefined
      case 'DoesNotExist': return value === undefined
      default: return false
    }
  })
}

// Validation of node selectors: of pods' node affinity and of volumes. Upstream: pkg/apis/core/validation/validation.go (ValidateNodeSelector)
import type { Draft } from '../../../../lib/base/json.ts'
import type { NodeSelector, NodeSelectorRequirement, NodeSelectorTerm } from '../../../../lib/api/generated/types/core-v1.ts'
import { fieldForbidden, fieldInvalid, fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isDns1123Subdomain, isQualifiedName, isValidLabelValue } from '../../../../lib/apimachinery/validation.ts'
import { pushInvalid } from '../validate-object-meta.ts'

export function validateNodeSelector(selector: Draft<NodeSelector>, path: string, errors: FieldError[], allowInvalidValues = false): void {
  const terms = selector.nodeSelectorTerms ?? []
  if (terms.length === 0) errors.push(fieldRequired(`${path}.nodeSelectorTerms`, 'must have at least one node selector term'))
  terms.forEach((term, i) => validateNodeSelectorTerm(term, `${path}.nodeSelectorTerms[${i}]`, errors, allowInvalidValues))
}

export function validateNodeSelectorTerm(term: Draft<NodeSelectorTerm>, path: string, errors: FieldError[], allowInvalidValues: boolean): void {
  term.matchExpressions?.forEach((requirement, i) => validateExpression(requirement, `${path}.matchExpressions[${i}]`, errors, allowInvalidValues))
  term.matchFields?.forEach((requirement, i) => validateFieldRequirement(requirement, `${path}.matchFields[${i}]`, errors))
}

function validateExpression(requirement: Draft<NodeSelectorRequirement>, path: string, errors: FieldError[], allowInvalidValues: boolean): void {
  const values = requirement.values ?? []
  switch (requirement.operator) {
    case 'In': case 'NotIn':
      if (values.length === 0) errors.push(fieldRequired(`${path}.values`, "must be specified when `operator` is 'In' or 'NotIn'"))
      break
    case 'Exists': case 'DoesNotExist':
      if (values.length > 0) errors.push(fieldForbidden(`${path}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
      break
    case 'Gt': case 'Lt':
      if (values.length !== 1) errors.push(fieldRequired(`${path}.values`, "must be specified single value when `operator` is 'Lt' or 'Gt'"))
      break
    default: errors.push(fieldInvalid(`${path}.operator`, requirement.operator ?? '', 'not a valid selector operator'))
  }
  pushInvalid(errors, `${path}.key`, requirement.key ?? '', isQualifiedName)
  if (!allowInvalidValues) values.forEach((value, i) => pushInvalid(errors, `${path}.values[${i}]`, value, isValidLabelValue))
}

function validateFieldRequirement(requirement: Draft<NodeSelectorRequirement>, path: string, errors: FieldError[]): void {
  const values = requirement.values ?? []
  if (requirement.operator === 'In' || requirement.operator === 'NotIn') {
    if (values.length !== 1) errors.push(fieldRequired(`${path}.values`, "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"))
  } else {
    errors.push(fieldInvalid(`${path}.operator`, requirement.operator ?? '', 'not a valid selector operator'))
  }
  if (requirement.key !== 'metadata.name') errors.push(fieldInvalid(`${path}.key`, requirement.key ?? '', 'not a valid field selector key'))
  else values.forEach((value, i) => pushInvalid(errors, `${path}.values[${i}]`, value, isDns1123Subdomain))
}

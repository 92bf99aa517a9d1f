// The strategy's rules for admission policies and their bindings: defaults, and what can be checked without compiling expressions.
// Upstream: pkg/apis/admissionregistration/{v1/defaults.go,validation/validation.go}
import type { Draft } from '../../../../lib/base/json.ts'
import type { AuditAnnotation, MatchResources, MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, NamedRuleWithOperations, ParamKind, ParamRef, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding } from '../../../../lib/api/generated/types/admissionregistration-v1.ts'
import { fieldDuplicate, fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isDns1035Label, isDns1123Subdomain, isPathSegmentName, isQualifiedName } from '../../../../lib/apimachinery/validation.ts'
import { byteLength } from '../byte-length.ts'
import { mapChanged } from '../core/pod/default-pod-spec.ts'
import type { KindRules } from '../generic-strategy.ts'
import { pushInvalid } from '../validate-object-meta.ts'
import { validateLabelSelector } from '../validation/label-selector.ts'
import { defaultRule, validateMatchConditions, validateRule } from './webhook-rules.ts'

function defaultMatch(match: MatchResources): MatchResources {
  const resourceRules = match.resourceRules && mapChanged(match.resourceRules, defaultRule)
  const excludeResourceRules = match.excludeResourceRules && mapChanged(match.excludeResourceRules, defaultRule)
  const same = resourceRules === match.resourceRules && excludeResourceRules === match.excludeResourceRules
  if (same && match.matchPolicy !== undefined && match.namespaceSelector && match.objectSelector) return match
  return {
    ...match, ...(resourceRules && { resourceRules }), ...(excludeResourceRules && { excludeResourceRules }), matchPolicy: match.matchPolicy ?? 'Equivalent',
    namespaceSelector: match.namespaceSelector ?? {}, objectSelector: match.objectSelector ?? {},
  }
}

interface PolicySpec {
  readonly failurePolicy?: string
  readonly matchConstraints?: MatchResources
}

function defaultPolicySpec<S extends PolicySpec>(spec: S): S {
  const matchConstraints = spec.matchConstraints && defaultMatch(spec.matchConstraints)
  if (spec.failurePolicy !== undefined && matchConstraints === spec.matchConstraints) return spec
  return { ...spec, failurePolicy: spec.failurePolicy ?? 'Fail', ...(matchConstraints && { matchConstraints }) }
}

function validateNamedRule(rule: Draft<NamedRuleWithOperations>, path: string, errors: FieldError[]): void {
  const names = rule.resourceNames ?? []
  names.forEach((name, i) => {
    pushInvalid(errors, `${path}.resourceNames[${i}]`, name, isPathSegmentName)
    if (names.indexOf(name) < i) errors.push(fieldDuplicate(`${path}.resourceNames[${i}]`, name))
  })
  validateRule(rule, path, errors)
}

function validateMatch(match: Draft<MatchResources> | undefined, isPolicy: boolean, path: string, errors: FieldError[]): void {
  if (!match) {
    if (isPolicy) errors.push(fieldRequired(path))
    return
  }
  if (match.matchPolicy !== undefined && match.matchPolicy !== 'Equivalent' && match.matchPolicy !== 'Exact') errors.push(fieldNotSupported(`${path}.matchPolicy`, match.matchPolicy, ['Equivalent', 'Exact']))
  validateLabelSelector(match.namespaceSelector, `${path}.namespaceSelector`, errors)
  validateLabelSelector(match.objectSelector, `${path}.objectSelector`, errors)
  match.resourceRules?.forEach((rule, i) => validateNamedRule(rule, `${path}.resourceRules[${i}]`, errors))
  match.excludeResourceRules?.forEach((rule, i) => validateNamedRule(rule, `${path}.excludeResourceRules[${i}]`, errors))
  if (isPolicy && (match.resourceRules?.length ?? 0) === 0) errors.push(fieldRequired(`${path}.resourceRules`))
}

function validateParamKind(kind: Draft<ParamKind> | undefined, errors: FieldError[]): void {
  if (!kind) return
  const at = 'spec.paramKind'
  const { apiVersion = '' } = kind
  const parts = apiVersion === '/' ? [''] : apiVersion.split('/')
  const group = parts.length > 1 ? parts[0] ?? '' : ''
  const version = parts.at(-1) ?? ''
  const joined = (path: string, value: string, wrong: readonly string[], intro = ''): void => { if (wrong.length > 0) errors.push(fieldInvalid(path, value, intro + wrong.join(','))) }
  if (apiVersion === '') errors.push(fieldRequired(`${at}.apiVersion`))
  else if (parts.length > 2) errors.push(fieldInvalid(`${at}.apiVersion`, apiVersion, `unexpected GroupVersion string: ${apiVersion}`))
  else {
    if (group !== '') joined(`${at}.apiVersion`, group, isDns1123Subdomain(group))
    if (version === '') errors.push(fieldInvalid(`${at}.apiVersion`, apiVersion, 'version must be specified'))
    else joined(`${at}.apiVersion`, version, isDns1035Label(version))
  }
  if (!kind.kind) errors.push(fieldRequired(`${at}.kind`))
  else joined(`${at}.kind`, kind.kind, isDns1035Label(kind.kind.toLowerCase()), 'may have mixed case, but should otherwise match: ')
}

const identifier = /^[_a-zA-Z][_a-zA-Z0-9]*$/
const reservedWords = new Set(['true', 'false', 'null', 'in', 'as', 'break', 'const', 'continue', 'else', 'for', 'function', 'if', 'import', 'let', 'loop', 'package', 'namespace', 'return', 'var', 'void', 'while'])
const mostAuditAnnotations = 20
const auditExpressionLimitBytes = 5 * 1024

function validateAuditAnnotations(annotations: readonly Draft<AuditAnnotation>[], policy: string, errors: FieldError[]): void {
  const path = 'spec.auditAnnotations'
  if (annotations.length > mostAuditAnnotations) errors.push(fieldInvalid(path, annotations, `must not have more than ${mostAuditAnnotations} auditAnnotations`))
  annotations.forEach(({ key = '', valueExpression = '' }, i) => {
    const at = `${path}[${i}]`
    if (policy === '') errors.push(fieldInvalid(`${at}.key`, key, 'requires metadata.name be non-empty'))
    else pushInvalid(errors, `${at}.key`, `${policy}/${key}`, isQualifiedName)
    const expression = valueExpression.trim()
    if (expression === '') errors.push(fieldRequired(`${at}.valueExpression`, 'valueExpression is not specified'))
    else if (byteLength(expression) > auditExpressionLimitBytes) errors.push(fieldRequired(`${at}.valueExpression`, `must not exceed ${auditExpressionLimitBytes} bytes in length`))
    if (annotations.findIndex((other) => (other.key ?? '') === key) < i) errors.push(fieldDuplicate(`${at}.key`, key))
  })
}

function validateVariables(variables: readonly Draft<{ name: string, expression: string }>[] | undefined, errors: FieldError[]): void {
  variables?.forEach(({ name = '', expression = '' }, i) => {
    const at = `spec.variables[${i}]`
    if (name.trim() === '') errors.push(fieldRequired(`${at}.name`, 'name is not specified'))
    else if (!identifier.test(name) || reservedWords.has(name)) errors.push(fieldInvalid(`${at}.name`, name, 'name is not a valid CEL identifier'))
    if (expression.trim() === '') errors.push(fieldRequired(`${at}.expression`, 'expression is not specified'))
  })
}

function validateFailurePolicy(policy: string | undefined, errors: FieldError[]): void {
  if (policy === undefined) errors.push(fieldRequired('spec.failurePolicy'))
  else if (policy !== 'Fail' && policy !== 'Ignore') errors.push(fieldNotSupported('spec.failurePolicy', policy, ['Fail', 'Ignore']))
}

export const validatingAdmissionPolicyRules: KindRules<ValidatingAdmissionPolicy> = {
  applyDefaults(policy) {
    const spec = defaultPolicySpec(policy.spec ?? {})
    return spec === policy.spec ? policy : { ...policy, spec }
  },
  validate({ metadata, spec }, errors) {
    validateFailurePolicy(spec?.failurePolicy, errors)
    validateParamKind(spec?.paramKind, errors)
    validateMatch(spec?.matchConstraints, true, 'spec.matchConstraints', errors)
    validateMatchConditions(spec?.matchConditions, 'spec.matchConditions', errors)
    validateVariables(spec?.variables, errors)
    if ((spec?.validations?.length ?? 0) === 0 && (spec?.auditAnnotations?.length ?? 0) === 0) {
      errors.push(fieldRequired('spec.validations', 'validations or auditAnnotations must contain at least one item'))
      errors.push(fieldRequired('spec.auditAnnotations', 'validations or auditAnnotations must contain at least one item'))
    }
    spec?.validations?.forEach(({ expression = '', message = '', messageExpression = '', reason }, i) => {
      const at = `spec.validations[${i}]`
      if (expression.trim() === '') errors.push(fieldRequired(`${at}.expression`, 'expression is not specified'))
      if (messageExpression !== '' && messageExpression.trim() === '') errors.push(fieldInvalid(`${at}.messageExpression`, messageExpression, 'must be non-empty if specified'))
      if (message !== '' && message.trim() === '') errors.push(fieldInvalid(`${at}.message`, message, 'message must be non-empty if specified'))
      else if (/[\n\r]/.test(message.trim())) errors.push(fieldInvalid(`${at}.message`, message, 'message must not contain line breaks'))
      const reasons = ['Forbidden', 'Invalid', 'RequestEntityTooLarge', 'Unauthorized']
      if (reason !== undefined && !reasons.includes(reason)) errors.push(fieldNotSupported(`${at}.reason`, reason, reasons))
    })
    validateAuditAnnotations(spec?.auditAnnotations ?? [], metadata.name ?? '', errors)
  },
}

export const mutatingAdmissionPolicyRules: KindRules<MutatingAdmissionPolicy> = {
  applyDefaults(policy) {
    const spec = defaultPolicySpec(policy.spec ?? {})
    return spec === policy.spec ? policy : { ...policy, spec }
  },
  validate({ spec }, errors) {
    validateFailurePolicy(spec?.failurePolicy, errors)
    validateParamKind(spec?.paramKind, errors)
    validateMatch(spec?.matchConstraints, true, 'spec.matchConstraints', errors)
    validateMatchConditions(spec?.matchConditions, 'spec.matchConditions', errors)
    validateVariables(spec?.variables, errors)
    if ((spec?.mutations?.length ?? 0) === 0) errors.push(fieldRequired('spec.mutations', 'mutations must contain at least one item'))
    spec?.mutations?.forEach(({ patchType = '' }, i) => {
      if (patchType === '') errors.push(fieldRequired(`spec.mutations[${i}].patchType`))
      else if (patchType !== 'ApplyConfiguration' && patchType !== 'JSONPatch') errors.push(fieldNotSupported(`spec.mutations[${i}].patchType`, patchType, ['ApplyConfiguration', 'JSONPatch']))
    })
    const policy = spec?.reinvocationPolicy
    if (policy === undefined || policy === '') errors.push(fieldRequired('spec.reinvocationPolicy'))
    else if (policy !== 'Never' && policy !== 'IfNeeded') errors.push(fieldNotSupported('spec.reinvocationPolicy', policy, ['IfNeeded', 'Never']))
  },
}

function validateParamRef(reference: Draft<ParamRef> | undefined, errors: FieldError[]): void {
  if (!reference) return
  const at = 'spec.paramRef'
  const { name, selector, parameterNotFoundAction: action } = reference
  if (name) pushInvalid(errors, `${at}.name`, name, isPathSegmentName)
  if (name && selector) errors.push(fieldForbidden(`${at}.name`, 'name and selector are mutually exclusive'))
  validateLabelSelector(selector, `${at}.selector`, errors)
  if (name && selector) errors.push(fieldForbidden(`${at}.selector`, 'name and selector are mutually exclusive'))
  if (!name && !selector) errors.push(fieldRequired(at, 'one of name or selector must be specified'))
  if (action === undefined || action === '') errors.push(fieldRequired(`${at}.parameterNotFoundAction`))
  else if (action !== 'Allow' && action !== 'Deny') errors.push(fieldNotSupported(`${at}.parameterNotFoundAction`, action, ['Deny', 'Allow']))
}

interface BindingSpec {
  readonly policyName?: string
  readonly paramRef?: ParamRef
  readonly matchResources?: MatchResources
}

function validateBinding(spec: Draft<BindingSpec> | undefined, errors: FieldError[]): void {
  if (!spec?.policyName) errors.push(fieldRequired('spec.policyName'))
  else pushInvalid(errors, 'spec.policyName', spec.policyName, isDns1123Subdomain)
  validateParamRef(spec?.paramRef, errors)
  validateMatch(spec?.matchResources, false, 'spec.matchResources', errors)
}

function defaultBinding<B extends { readonly spec: BindingSpec }>(binding: B): B {
  const match = binding.spec?.matchResources && defaultMatch(binding.spec.matchResources)
  return match === binding.spec?.matchResources ? binding : { ...binding, spec: { ...binding.spec, matchResources: match } }
}

export const validatingAdmissionPolicyBindingRules: KindRules<ValidatingAdmissionPolicyBinding> = {
  applyDefaults: defaultBinding,
  validate({ spec }, errors) {
    validateBinding(spec, errors)
    const actions = spec?.validationActions ?? []
    const allowed = ['Audit', 'Deny', 'Warn']
    actions.forEach((action, i) => {
      if (!allowed.includes(action)) errors.push(fieldNotSupported(`spec.validationActions[${i}]`, action, allowed))
      if (actions.indexOf(action) < i) errors.push(fieldDuplicate(`spec.validationActions[${i}]`, action))
    })
    if (actions.includes('Deny') && actions.includes('Warn')) {
      errors.push(fieldInvalid('spec.validationActions', actions, 'must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)'))
    }
    if (actions.length === 0) errors.push(fieldRequired('spec.validationActions', 'at least one validation action is required'))
  },
}

export const mutatingAdmissionPolicyBindingRules: KindRules<MutatingAdmissionPolicyBinding> = {
  applyDefaults: defaultBinding,
  validate: ({ spec }, errors) => validateBinding(spec, errors),
}

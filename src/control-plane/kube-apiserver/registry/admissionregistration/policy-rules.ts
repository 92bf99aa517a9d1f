// The strategy's rules for admission policies and their bindings: defaults, and what can be checked without compiling expressions.
// Upstream: pkg/apis/admissionregistration/{v1/defaults.go,validation/validation.go}
import type { Draft } from '../../../../lib/base/json.ts'
import type { MatchResources, MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, ParamKind, ParamRef, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding } from '../../../../lib/api/generated/types/admissionregistration-v1.ts'
import { fieldDuplicate, fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isCIdentifier, isDns1035Label, isDns1123Subdomain } from '../../../../lib/apimachinery/validation.ts'
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

function validateMatch(match: Draft<MatchResources> | undefined, isPolicy: boolean, path: string, errors: FieldError[]): void {
  if (!match) {
    if (isPolicy) errors.push(fieldRequired(path))
    return
  }
  if (isPolicy && (match.resourceRules?.length ?? 0) === 0) errors.push(fieldRequired(`${path}.resourceRules`))
  if (match.matchPolicy !== undefined && match.matchPolicy !== 'Equivalent' && match.matchPolicy !== 'Exact') errors.push(fieldNotSupported(`${path}.matchPolicy`, match.matchPolicy, ['Equivalent', 'Exact']))
  validateLabelSelector(match.namespaceSelector, `${path}.namespaceSelector`, errors)
  validateLabelSelector(match.objectSelector, `${path}.objectSelector`, errors)
  match.resourceRules?.forEach((rule, i) => validateRule(rule, `${path}.resourceRules[${i}]`, errors))
  match.excludeResourceRules?.forEach((rule, i) => validateRule(rule, `${path}.excludeResourceRules[${i}]`, errors))
}

function validateParamKind(kind: Draft<ParamKind> | undefined, errors: FieldError[]): void {
  if (!kind) return
  const at = 'spec.paramKind'
  const [group = '', version] = (kind.apiVersion ?? '').split('/')
  if (!kind.apiVersion) errors.push(fieldRequired(`${at}.apiVersion`))
  else {
    if (version !== undefined) for (const text of isDns1123Subdomain(group)) errors.push(fieldInvalid(`${at}.apiVersion`, group, text))
    for (const text of isDns1035Label(version ?? group)) errors.push(fieldInvalid(`${at}.apiVersion`, version ?? group, text))
  }
  if (!kind.kind) errors.push(fieldRequired(`${at}.kind`))
  else for (const text of isDns1035Label(kind.kind.toLowerCase())) errors.push(fieldInvalid(`${at}.kind`, kind.kind, `may have mixed case, but should otherwise match: ${text}`))
}

function validateVariables(variables: readonly Draft<{ name: string, expression: string }>[] | undefined, errors: FieldError[]): void {
  const names = new Set<string>()
  variables?.forEach(({ name = '', expression = '' }, i) => {
    const at = `spec.variables[${i}]`
    if (name === '') errors.push(fieldRequired(`${at}.name`, 'name is not specified'))
    else {
      pushInvalid(errors, `${at}.name`, name, isCIdentifier)
      if (names.has(name)) errors.push(fieldDuplicate(`${at}.name`, name))
      names.add(name)
    }
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
  validate({ spec }, errors) {
    validateFailurePolicy(spec?.failurePolicy, errors)
    validateParamKind(spec?.paramKind, errors)
    validateMatch(spec?.matchConstraints, true, 'spec.matchConstraints', errors)
    validateMatchConditions(spec?.matchConditions, 'spec.matchConditions', errors)
    validateVariables(spec?.variables, errors)
    if ((spec?.validations?.length ?? 0) === 0 && (spec?.auditAnnotations?.length ?? 0) === 0) {
      errors.push(fieldRequired('spec.validations', 'validations or auditAnnotations must be non-empty; at least one of them is required'))
      errors.push(fieldRequired('spec.auditAnnotations', 'validations or auditAnnotations must be non-empty; at least one of them is required'))
    }
    spec?.validations?.forEach(({ expression = '', message, reason }, i) => {
      const at = `spec.validations[${i}]`
      if (expression.trim() === '') errors.push(fieldRequired(`${at}.expression`, 'expression is not specified'))
      if (message !== undefined && message !== '' && message.trim() === '') errors.push(fieldInvalid(`${at}.message`, message, 'message must be non-empty if specified'))
      else if (message?.includes('\n')) errors.push(fieldInvalid(`${at}.message`, message, 'message must not contain line breaks'))
      const reasons = ['Forbidden', 'Invalid', 'RequestEntityTooLarge', 'Unauthorized']
      if (reason !== undefined && !reasons.includes(reason)) errors.push(fieldNotSupported(`${at}.reason`, reason, reasons))
    })
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
  if (name) pushInvalid(errors, `${at}.name`, name, isDns1123Subdomain)
  if (name && selector) errors.push(fieldForbidden(`${at}.name`, 'name and selector are mutually exclusive'))
  else if (!name && !selector) errors.push(fieldRequired(at, 'one of name or selector must be specified'))
  validateLabelSelector(selector, `${at}.selector`, errors)
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
    if (actions.length === 0) errors.push(fieldRequired('spec.validationActions', 'at least one validation action is required'))
    actions.forEach((action, i) => {
      if (!allowed.includes(action)) errors.push(fieldNotSupported(`spec.validationActions[${i}]`, action, allowed))
      if (actions.indexOf(action) < i) errors.push(fieldDuplicate(`spec.validationActions[${i}]`, action))
    })
    if (actions.includes('Deny') && actions.includes('Warn')) {
      errors.push(fieldInvalid('spec.validationActions', [...actions].sort(), 'must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)'))
    }
  },
}

export const mutatingAdmissionPolicyBindingRules: KindRules<MutatingAdmissionPolicyBinding> = {
  applyDefaults: defaultBinding,
  validate: ({ spec }, errors) => validateBinding(spec, errors),
}

// What tells the scheduler where a pod may go: affinity, tolerations, spread, gates. Upstream: pkg/apis/core/validation/validation.go
import type { Draft } from '../../../../../lib/base/json.ts'
import type { Affinity, PodAffinityTerm, PodSchedulingGate, Toleration, TopologySpreadConstraint } from '../../../../../lib/api/generated/types/core-v1.ts'
import type { LabelSelector } from '../../../../../lib/api/generated/types/meta-v1.ts'
import { fieldDuplicate, fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired } from '../../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../../lib/apimachinery/field-error.ts'
import { isDns1123Label, isQualifiedName, isValidLabelValue } from '../../../../../lib/apimachinery/validation.ts'
import { pushInvalid } from '../../validate-object-meta.ts'
import { validateLabelSelector } from '../../validation/label-selector.ts'
import { validateNodeSelector, validateNodeSelectorTerm } from '../../validation/node-selector.ts'
import type { PodValidationOptions } from './pod-validation-options.ts'

const required = 'requiredDuringSchedulingIgnoredDuringExecution'
const preferred = 'preferredDuringSchedulingIgnoredDuringExecution'
const taintEffects = ['NoSchedule', 'PreferNoSchedule', 'NoExecute']

export function validateAffinity(affinity: Draft<Affinity> | undefined, path: string, errors: FieldError[], options: PodValidationOptions): void {
  if (!affinity) return
  const node = affinity.nodeAffinity
  if (node?.[required]) validateNodeSelector(node[required], `${path}.nodeAffinity.${required}`, errors, options.allowInvalidNodeAffinityValues)
  node?.[preferred]?.forEach((term, i) => {
    const at = `${path}.nodeAffinity.${preferred}[${i}]`
    validateWeight(term.weight, at, errors)
    validateNodeSelectorTerm(term.preference ?? {}, `${at}.preference`, errors, true)
  })
  for (const kind of ['podAffinity', 'podAntiAffinity'] as const) {
    const part = affinity[kind]
    part?.[required]?.forEach((term, i) => validateAffinityTerm(term, `${path}.${kind}.${required}[${i}]`, errors, options))
    part?.[preferred]?.forEach((weighted, i) => {
      const at = `${path}.${kind}.${preferred}[${i}]`
      validateWeight(weighted.weight, at, errors)
      validateAffinityTerm(weighted.podAffinityTerm ?? {}, `${at}.podAffinityTerm`, errors, options)
    })
  }
}

function validateWeight(weight: number | undefined, path: string, errors: FieldError[]): void {
  if (weight === undefined || weight <= 0 || weight > 100) errors.push(fieldInvalid(`${path}.weight`, weight ?? 0, 'must be in the range 1-100'))
}

function validateAffinityTerm(term: Draft<PodAffinityTerm>, path: string, errors: FieldError[], options: PodValidationOptions): void {
  validateLabelSelector(term.labelSelector, `${path}.labelSelector`, errors, options.allowInvalidAffinityValues)
  validateLabelSelector(term.namespaceSelector, `${path}.namespaceSelector`, errors, options.allowInvalidAffinityValues)
  for (const namespace of term.namespaces ?? []) pushInvalid(errors, `${path}.namespace`, namespace, isDns1123Label)
  validateLabelKeys(term, path, errors)
  if (!term.topologyKey) errors.push(fieldRequired(`${path}.topologyKey`, 'can not be empty'))
  pushInvalid(errors, `${path}.topologyKey`, term.topologyKey ?? '', isQualifiedName)
}

/** Keys whose values the server takes from the pod's own labels. */
function validateLabelKeys(term: Draft<PodAffinityTerm>, path: string, errors: FieldError[]): void {
  const { labelSelector, matchLabelKeys = [], mismatchLabelKeys = [] } = term
  for (const [name, keys] of [['matchLabelKeys', matchLabelKeys], ['mismatchLabelKeys', mismatchLabelKeys]] as const) {
    if (keys.length === 0) continue
    if (!labelSelector) errors.push(fieldForbidden(`${path}.${name}`, 'must not be specified when labelSelector is not set'))
    else keys.forEach((key, i) => pushInvalid(errors, `${path}.${name}[${i}]`, key, isQualifiedName))
  }
  if (labelSelector && matchLabelKeys.length > 0) {
    const seen = new Set(Object.keys(labelSelector.matchLabels ?? {}))
    for (const { key = '' } of labelSelector.matchExpressions ?? []) {
      const at = matchLabelKeys.lastIndexOf(key)
      if (at >= 0 && seen.has(key)) errors.push(fieldInvalid(`${path}[${at}]`, key, 'exists in both matchLabelKeys and labelSelector'))
      seen.add(key)
    }
  }
  matchLabelKeys.forEach((key, i) => {
    if (mismatchLabelKeys.includes(key)) errors.push(fieldInvalid(`${path}.matchLabelKeys[${i}]`, key, 'exists in both matchLabelKeys and mismatchLabelKeys'))
  })
}

export function validateTaintEffect(effect: string | undefined, path: string, errors: FieldError[]): void {
  if (!effect) errors.push(fieldRequired(path))
  else if (!taintEffects.includes(effect)) errors.push(fieldNotSupported(path, effect, taintEffects))
}

export function validateTolerations(tolerations: readonly Draft<Toleration>[] | undefined, path: string, errors: FieldError[]): void {
  tolerations?.forEach((toleration, i) => {
    const at = `${path}[${i}]`
    const { key, operator = '', value = '', effect = '' } = toleration
    if (key) pushInvalid(errors, `${at}.key`, key, isQualifiedName)
    else if (operator !== 'Exists') errors.push(fieldInvalid(`${at}.operator`, operator, 'operator must be Exists when `key` is empty, which means "match all values and all keys"'))
    if (toleration.tolerationSeconds !== undefined && effect !== 'NoExecute') errors.push(fieldInvalid(`${at}.effect`, effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"))
    switch (operator) {
      case 'Equal': case '': {
        const wrong = isValidLabelValue(value)
        if (wrong.length > 0) errors.push(fieldInvalid(`${at}.operator`, value, wrong.join(';')))
        break
      }
      case 'Exists':
        if (value !== '') errors.push(fieldInvalid(`${at}.operator`, value, "value must be empty when `operator` is 'Exists'"))
        break
      default: errors.push(fieldNotSupported(`${at}.operator`, operator, ['Equal', 'Exists']))
    }
    if (effect !== '') validateTaintEffect(effect, `${at}.effect`, errors)
  })
}

export function validateSchedulingGates(gates: readonly Draft<PodSchedulingGate>[] | undefined, path: string, errors: FieldError[]): void {
  const seen = new Set<string>()
  gates?.forEach(({ name = '' }, i) => {
    pushInvalid(errors, `${path}[${i}]`, name, isQualifiedName)
    if (seen.has(name)) errors.push(fieldDuplicate(`${path}[${i}]`, name))
    seen.add(name)
  })
}

export function validateTopologySpread(constraints: readonly Draft<TopologySpreadConstraint>[] | undefined, path: string, errors: FieldError[], options: PodValidationOptions): void {
  constraints?.forEach((constraint, i) => {
    const at = `${path}[${i}]`
    const { maxSkew = 0, topologyKey = '', whenUnsatisfiable = '', minDomains } = constraint
    if (maxSkew <= 0) errors.push(fieldInvalid(`${at}.maxSkew`, maxSkew, 'must be greater than zero'))
    if (topologyKey === '') errors.push(fieldRequired(`${at}.topologyKey`, 'can not be empty'))
    if (whenUnsatisfiable !== 'DoNotSchedule' && whenUnsatisfiable !== 'ScheduleAnyway') {
      errors.push(fieldNotSupported(`${at}.whenUnsatisfiable`, whenUnsatisfiable, ['DoNotSchedule', 'ScheduleAnyway']))
    }
    if (constraints.slice(i + 1).some((other) => (other.topologyKey ?? '') === topologyKey && (other.whenUnsatisfiable ?? '') === whenUnsatisfiable)) {
      errors.push(fieldDuplicate(`${at}.{topologyKey, whenUnsatisfiable}`, `{${topologyKey}, ${whenUnsatisfiable}}`))
    }
    if (minDomains !== undefined) {
      if (minDomains <= 0) errors.push(fieldInvalid(`${at}.minDomains`, minDomains, 'must be greater than zero'))
      if (whenUnsatisfiable !== 'DoNotSchedule') errors.push(fieldInvalid(`${at}.minDomains`, minDomains, `can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${whenUnsatisfiable}`))
    }
    for (const field of ['nodeAffinityPolicy', 'nodeTaintsPolicy'] as const) {
      const policy = constraint[field]
      if (policy !== undefined && policy !== 'Honor' && policy !== 'Ignore') errors.push(fieldNotSupported(`${at}.${field}`, policy, ['Honor', 'Ignore']))
    }
    validateSpreadLabelKeys(constraint, `${at}.matchLabelKeys`, errors)
    if (!options.allowInvalidSpreadSelectors) validateLabelSelector(constraint.labelSelector, `${at}.labelSelector`, errors)
  })
}

/** The server adds an expression for each key when a pod is created; a key that the client's own selector names is an error. */
function validateSpreadLabelKeys(constraint: Draft<TopologySpreadConstraint>, path: string, errors: FieldError[]): void {
  const { matchLabelKeys = [], labelSelector } = constraint
  if (matchLabelKeys.length === 0) return
  if (!labelSelector) errors.push(fieldForbidden(path, 'must not be specified when labelSelector is not set'))
  matchLabelKeys.forEach((key, i) => {
    pushInvalid(errors, `${path}[${i}]`, key, isQualifiedName)
    if (namesKeyBesides(labelSelector, key)) errors.push(fieldInvalid(`${path}[${i}]`, key, 'exists in both matchLabelKeys and labelSelector'))
  })
}

/** One `In` expression with one value is what the server itself adds. */
function namesKeyBesides(selector: Draft<LabelSelector> | undefined, key: string): boolean {
  if (selector?.matchLabels?.[key] !== undefined) return true
  const expressions = (selector?.matchExpressions ?? []).filter((expression) => expression.key === key)
  return expressions.length > 1 || expressions.some((expression) => expression.operator !== 'In' || expression.values?.length !== 1)
}

// The strategy's rules for roles and bindings. (That nobody may grant more than they hold is checked by the API server, before the strategies.)
// Upstream: pkg/apis/rbac/{v1/defaults.go,validation/validation.go}
import type { Draft } from '../../../../lib/base/json.ts'
import type { ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, Subject } from '../../../../lib/api/generated/types/rbac-v1.ts'
import { fieldInvalid, fieldNotSupported, fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isDns1123Subdomain, isPathSegmentName } from '../../../../lib/apimachinery/validation.ts'
import { mapChanged } from '../core/pod/default-pod-spec.ts'
import type { KindRules } from '../generic-strategy.ts'
import { goRoleRef } from '../go-structs.ts'
import { semanticEqual } from '../semantic-equal.ts'
import { pushInvalid } from '../validate-object-meta.ts'
import { validateLabelSelector } from '../validation/label-selector.ts'

const group = 'rbac.authorization.k8s.io'
/** Names of roles and bindings may be anything that can stand in a path. */
const nameRule = (name: string): readonly string[] => isPathSegmentName(name)

function validateRule(rule: Draft<PolicyRule>, namespaced: boolean, path: string, errors: FieldError[]): void {
  const { verbs = [], apiGroups = [], resources = [], resourceNames = [], nonResourceURLs = [] } = rule
  if (verbs.length === 0) errors.push(fieldRequired(`${path}.verbs`, 'verbs must contain at least one value'))
  if (nonResourceURLs.length > 0) {
    if (namespaced) errors.push(fieldInvalid(`${path}.nonResourceURLs`, nonResourceURLs, 'namespaced rules cannot apply to non-resource URLs'))
    if (apiGroups.length + resources.length + resourceNames.length > 0) {
      errors.push(fieldInvalid(`${path}.nonResourceURLs`, nonResourceURLs, 'rules cannot apply to both regular resources and non-resource URLs'))
    }
    return
  }
  if (apiGroups.length === 0) errors.push(fieldRequired(`${path}.apiGroups`, 'resource rules must supply at least one api group'))
  if (resources.length === 0) errors.push(fieldRequired(`${path}.resources`, 'resource rules must supply at least one resource'))
}

export const roleRules: KindRules<Role> = {
  nameRule,
  validate: (role, errors) => role.rules?.forEach((rule, i) => validateRule(rule, true, `rules[${i}]`, errors)),
}

export const clusterRoleRules: KindRules<ClusterRole> = {
  nameRule,
  validate(role, errors) {
    role.rules?.forEach((rule, i) => validateRule(rule, false, `rules[${i}]`, errors))
    if (!role.aggregationRule) return
    const selectors = role.aggregationRule.clusterRoleSelectors ?? []
    if (selectors.length === 0) errors.push(fieldRequired('aggregationRule.clusterRoleSelectors', 'at least one clusterRoleSelector required if aggregationRule is non-nil'))
    selectors.forEach((selector, i) => validateLabelSelector(selector, `aggregationRule.clusterRoleSelectors[${i}]`, errors))
  },
}

function validateSubject(subject: Draft<Subject>, namespaced: boolean, path: string, errors: FieldError[]): void {
  const { kind = '', name = '', apiGroup = '' } = subject
  if (name === '') errors.push(fieldRequired(`${path}.name`))
  switch (kind) {
    case 'ServiceAccount':
      if (name !== '') pushInvalid(errors, `${path}.name`, name, isDns1123Subdomain)
      if (apiGroup !== '') errors.push(fieldNotSupported(`${path}.apiGroup`, apiGroup, ['']))
      if (!namespaced && !subject.namespace) errors.push(fieldRequired(`${path}.namespace`))
      return
    case 'User': case 'Group':
      if (name === '') errors.push(fieldInvalid(`${path}.name`, name, `${kind.toLowerCase()} name cannot be empty`))
      if (apiGroup !== group) errors.push(fieldNotSupported(`${path}.apiGroup`, apiGroup, [group]))
      return
    default: errors.push(fieldNotSupported(`${path}.kind`, kind, ['ServiceAccount', 'User', 'Group']))
  }
}

function defaultSubject(subject: Subject): Subject {
  return subject.apiGroup || (subject.kind !== 'User' && subject.kind !== 'Group') ? subject : { ...subject, apiGroup: group }
}

function defaultBinding<B extends RoleBinding | ClusterRoleBinding>(binding: B): B {
  const subjects = binding.subjects && mapChanged(binding.subjects, defaultSubject)
  if (binding.roleRef?.apiGroup && subjects === binding.subjects) return binding
  return { ...binding, ...(subjects && { subjects }), roleRef: { ...binding.roleRef, apiGroup: binding.roleRef?.apiGroup || group } }
}

function validateBinding(binding: Draft<RoleBinding> | Draft<ClusterRoleBinding>, namespaced: boolean, errors: FieldError[]): void {
  const { apiGroup = '', kind = '', name = '' } = binding.roleRef ?? {}
  const kinds = namespaced ? ['Role', 'ClusterRole'] : ['ClusterRole']
  if (apiGroup !== group) errors.push(fieldNotSupported('roleRef.apiGroup', apiGroup, [group]))
  if (!kinds.includes(kind)) errors.push(fieldNotSupported('roleRef.kind', kind, kinds))
  if (name === '') errors.push(fieldRequired('roleRef.name'))
  else pushInvalid(errors, 'roleRef.name', name, isPathSegmentName)
  binding.subjects?.forEach((subject, i) => validateSubject(subject, namespaced, `subjects[${i}]`, errors))
}

function validateRoleRefKept(binding: Draft<RoleBinding> | Draft<ClusterRoleBinding>, old: Draft<RoleBinding> | Draft<ClusterRoleBinding>, errors: FieldError[]): void {
  if (!semanticEqual(binding.roleRef, old.roleRef)) errors.push(fieldInvalid('roleRef', goRoleRef(binding.roleRef), 'cannot change roleRef'))
}

function bindingRules<T extends RoleBinding | ClusterRoleBinding>(namespaced: boolean): KindRules<T> {
  return {
    nameRule,
    applyDefaults: defaultBinding,
    validate: (binding, errors) => validateBinding(binding, namespaced, errors),
    validateUpdate(binding, old, errors) {
      validateBinding(binding, namespaced, errors)
      validateRoleRefKept(binding, old, errors)
    },
  }
}

export const roleBindingRules = bindingRules<RoleBinding>(true)
export const clusterRoleBindingRules = bindingRules<ClusterRoleBinding>(false)

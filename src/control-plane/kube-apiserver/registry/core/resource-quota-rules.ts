// The strategy's rules for ResourceQuotas. Upstream: pkg/registry/core/resourcequota/strategy.go, pkg/apis/core/validation/validation.go (ValidateResourceQuota)
import type { Draft } from '../../../../lib/base/json.ts'
import type { ResourceQuota, ResourceQuotaSpec, ScopedResourceSelectorRequirement } from '../../../../lib/api/generated/types/core-v1.ts'
import { fieldInvalid, fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import type { KindRules } from '../generic-strategy.ts'
import { fieldIsImmutable } from '../validate-object-meta.ts'
import { roundResourceList } from '../validation/quantities.ts'
import { isStandardQuotaResource, validateQuotaResourceName, validateResourceAmount } from '../validation/resource-names.ts'

const podScopes = ['Terminating', 'NotTerminating', 'BestEffort', 'NotBestEffort', 'CrossNamespacePodAffinity']
const scopes = new Set([...podScopes, 'PriorityClass', 'VolumeAttributesClass'])
const computeResources = new Set(['pods', 'cpu', 'memory', 'limits.cpu', 'limits.memory', 'requests.cpu', 'requests.memory'])
const claimResources = new Set(['persistentvolumeclaims', 'requests.storage'])
const exclusive = [['BestEffort', 'NotBestEffort'], ['Terminating', 'NotTerminating']] as const

function isScopeFor(scope: string, resource: string): boolean {
  if (scope === 'BestEffort') return resource === 'pods'
  return scope === 'VolumeAttributesClass' ? claimResources.has(resource) : computeResources.has(resource)
}

function validateHard(list: { readonly [name: string]: string | undefined } | undefined, path: string, errors: FieldError[]): void {
  for (const name in list) {
    validateQuotaResourceName(name, `${path}[${name}]`, errors)
    validateResourceAmount(name, list[name], `${path}[${name}]`, errors)
  }
}

function validateExclusive(used: ReadonlySet<string>, spec: Draft<ResourceQuotaSpec>, path: string, errors: FieldError[]): void {
  for (const [a, b] of exclusive) if (used.has(a) && used.has(b)) errors.push(fieldInvalid(path, spec.scopes, 'conflicting scopes'))
}

function validateSpec(spec: Draft<ResourceQuotaSpec>, errors: FieldError[]): void {
  validateHard(spec.hard, 'spec.hard', errors)
  const resources = Object.keys(spec.hard ?? {}).sort().filter(isStandardQuotaResource)
  if (spec.scopes && spec.scopes.length > 0) {
    for (const scope of spec.scopes) {
      if (!scopes.has(scope)) errors.push(fieldInvalid('spec.scopes', spec.scopes, 'unsupported scope'))
      for (const resource of resources) if (!isScopeFor(scope, resource)) errors.push(fieldInvalid('spec.scopes', spec.scopes, 'unsupported scope applied to resource'))
    }
    validateExclusive(new Set(spec.scopes), spec, 'spec.scopes', errors)
  }
  if (!spec.scopeSelector) return
  const requirements = spec.scopeSelector.matchExpressions ?? []
  const path = 'spec.scopeSelector.matchExpressions'
  for (const requirement of requirements) {
    const scope = requirement.scopeName ?? ''
    if (!scopes.has(scope)) errors.push(fieldInvalid(`${path}.scopeName`, scope, 'unsupported scope'))
    for (const resource of resources) if (!isScopeFor(scope, resource)) errors.push(fieldInvalid(path, spec.scopeSelector, 'unsupported scope applied to resource'))
    validateRequirement(requirement, scope, path, errors)
  }
  validateExclusive(new Set(requirements.map((requirement) => requirement.scopeName ?? '')), spec, path, errors)
}

function validateRequirement(requirement: Draft<ScopedResourceSelectorRequirement>, scope: string, path: string, errors: FieldError[]): void {
  const operator = requirement.operator ?? ''
  if (podScopes.includes(scope) && operator !== 'Exists') {
    errors.push(fieldInvalid(`${path}.operator`, operator, "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"))
  }
  const values = requirement.values ?? []
  switch (operator) {
    case 'In': case 'NotIn':
      if (values.length === 0) errors.push(fieldRequired(`${path}.values`, "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"))
      return
    case 'Exists': case 'DoesNotExist':
      if (values.length > 0) errors.push(fieldInvalid(`${path}.values`, values, "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"))
      return
    default: errors.push(fieldInvalid(`${path}.operator`, operator, 'not a valid selector operator'))
  }
}

export const resourceQuotaRules: KindRules<ResourceQuota> = {
  applyDefaults(quota) {
    const hard = roundResourceList(quota.spec?.hard)
    return hard === quota.spec?.hard ? quota : { ...quota, spec: { ...quota.spec, hard } }
  },
  validate: (quota, errors) => validateSpec(quota.spec ?? {}, errors),
  validateUpdate(quota, old, errors) {
    validateSpec(quota.spec ?? {}, errors)
    const sorted = (list: readonly string[] = []): string => [...new Set(list)].sort().join(',')
    if (sorted(quota.spec?.scopes) !== sorted(old.spec?.scopes)) errors.push(fieldInvalid('spec.scopes', quota.spec?.scopes, fieldIsImmutable))
  },
  validateStatus(quota, _old, errors) {
    validateHard(quota.status?.hard, 'status.hard', errors)
    validateHard(quota.status?.used, 'status.used', errors)
  },
}

// Requests and limits: of containers, of pods, of overhead. Upstream: pkg/apis/core/validation/validation.go (validateResourceRequirements)
import type { Draft } from '../../../../lib/base/json.ts'
import type { ResourceClaim, ResourceRequirements } from '../../../../lib/api/generated/types/core-v1.ts'
import { fieldDuplicate, fieldForbidden, fieldInvalid, fieldNotFound, fieldNotSupported, fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isDns1123Label } from '../../../../lib/apimachinery/validation.ts'
import { pushInvalid } from '../validate-object-meta.ts'
import { canonicalText, compareTexts } from './quantities.ts'
import { hugePagesError, isHugePages, isOvercommitAllowed, isSupportedAtPodLevel, validateContainerResourceName, validateResourceAmount, validateResourceName } from './resource-names.ts'

export type ResourceNameCheck = (name: string, path: string, errors: FieldError[]) => void

export function validatePodLevelResourceName(name: string, path: string, errors: FieldError[]): void {
  if (!validateResourceName(name, path, errors)) return
  if (!isSupportedAtPodLevel(name)) errors.push(fieldNotSupported(path, name, ['cpu', 'hugepages-', 'memory']))
}

const noNames: ReadonlySet<string> = new Set()

export function validateContainerResources(requirements: Draft<ResourceRequirements> | undefined, claims: ReadonlySet<string>, path: string, errors: FieldError[]): void {
  if (requirements) validateRequirements(requirements, validateContainerResourceName, claims, path, errors)
}

/** Pod overhead is validated as if it were limits. */
export function validateOverhead(overhead: Draft<{ readonly [key: string]: string }>, path: string, errors: FieldError[]): void {
  validateRequirements({ limits: overhead }, validateContainerResourceName, noNames, path, errors)
}

export function validateRequirements(requirements: Draft<ResourceRequirements>, checkName: ResourceNameCheck, claims: ReadonlySet<string>, path: string, errors: FieldError[]): void {
  const { limits, requests } = requirements
  let computes = false
  let hugePages = false
  for (const name in limits) {
    const at = `${path}.limits[${name}]`
    checkName(name, at, errors)
    validateResourceAmount(name, limits[name], at, errors)
    if (isHugePages(name)) {
      hugePages = true
      const wrong = hugePagesError(name, limits[name])
      if (wrong !== undefined) errors.push(fieldInvalid(at, canonicalText(limits[name]), wrong))
    }
    if (name === 'cpu' || name === 'memory') computes = true
  }
  for (const name in requests) {
    const at = `${path}.requests[${name}]`
    const amount = requests[name]
    const limit = limits?.[name]
    checkName(name, at, errors)
    validateResourceAmount(name, amount, at, errors)
    if (limit !== undefined) {
      const order = amount === limit ? 0 : compareTexts(amount, limit)
      if (order !== 0 && !isOvercommitAllowed(name)) errors.push(fieldInvalid(`${path}.requests`, canonicalText(amount), `must be equal to ${name} limit of ${canonicalText(limit)}`))
      else if (order > 0) errors.push(fieldInvalid(`${path}.requests`, canonicalText(amount), `must be less than or equal to ${name} limit of ${canonicalText(limit)}`))
    } else if (!isOvercommitAllowed(name)) {
      errors.push(fieldRequired(`${path}.limits`, 'Limit must be set for non overcommitable resources'))
    }
    if (isHugePages(name)) {
      hugePages = true
      const wrong = hugePagesError(name, amount)
      if (wrong !== undefined) errors.push(fieldInvalid(at, canonicalText(amount), wrong))
    }
    if (name === 'cpu' || name === 'memory') computes = true
  }
  if (hugePages && !computes) errors.push(fieldForbidden(path, 'HugePages require cpu or memory'))
  if (requirements.claims) validateClaims(requirements.claims, claims, `${path}.claims`, errors)
}

function validateClaims(claims: readonly Draft<ResourceClaim>[], podClaims: ReadonlySet<string>, path: string, errors: FieldError[]): void {
  const seen = new Set<string>()
  claims.forEach((claim, i) => {
    const at = `${path}[${i}]`
    const name = claim.name ?? ''
    if (name === '') { errors.push(fieldRequired(at)); return }
    if (seen.has(name)) errors.push(fieldDuplicate(at, name))
    else {
      let key = name
      if (claim.request) {
        pushInvalid(errors, `${at}.request`, claim.request, isDns1123Label)
        key += `/${claim.request}`
      }
      if (seen.has(key)) errors.push(fieldDuplicate(at, key))
      else if (!claim.request) for (const other of seen) if (other.startsWith(`${name}/`)) errors.push(fieldDuplicate(at, name))
      seen.add(key)
    }
    if (podClaims.has(name)) return
    const missing = fieldNotFound(at, name)
    const known = podClaims.size === 0 ? ' which is empty' : `: ${[...podClaims].sort().join(', ')}`
    errors.push({ ...missing, body: `${missing.body}: must be one of the names in pod.spec.resourceClaims${known}` })
  })
}

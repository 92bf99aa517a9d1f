// Which names resources may have, and what kinds of resources there are: standard ones, those of containers, those that quotas count, extended ones of devices.
// Upstream: pkg/apis/core/helper/helpers.go, pkg/apis/core/validation/validation.go
import { fieldInvalid } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isQualifiedName } from '../../../../lib/apimachinery/validation.ts'
import { canonicalText, isWholeNumber, quantityOf, signOf } from './quantities.ts'
import { mustNotBeNegative, pushInvalid } from '../validate-object-meta.ts'

const containerResources = new Set(['cpu', 'memory', 'ephemeral-storage'])
const countedObjects = ['pods', 'resourcequotas', 'services', 'replicationcontrollers', 'secrets', 'configmaps', 'persistentvolumeclaims', 'services.nodeports', 'services.loadbalancers']
const quotaResources = new Set([
  ...containerResources, 'requests.cpu', 'requests.memory', 'requests.storage', 'requests.ephemeral-storage', 'limits.cpu', 'limits.memory', 'limits.ephemeral-storage', ...countedObjects,
])
const standardResources = new Set([...quotaResources, 'storage'])
const integerResources = new Set(countedObjects)

export const isHugePages = (name: string): boolean => name.startsWith('hugepages-')
const isQuotaHugePages = (name: string): boolean => isHugePages(name) || name.startsWith('requests.hugepages-')
/** Kubernetes' own: unprefixed or of kubernetes.io. */
export const isNativeResource = (name: string): boolean => !name.includes('/') || name.includes('kubernetes.io/')
export const isOvercommitAllowed = (name: string): boolean => isNativeResource(name) && !isHugePages(name)
export const isExtendedResource = (name: string): boolean => !isNativeResource(name) && !name.startsWith('requests.') && isQualifiedName(`requests.${name}`).length === 0
export const isStandardQuotaResource = (name: string): boolean => quotaResources.has(name) || isQuotaHugePages(name)
export const isSupportedAtPodLevel = (name: string): boolean => name === 'cpu' || name === 'memory' || isHugePages(name)

/** False when an error was added. */
export function validateResourceName(name: string, path: string, errors: FieldError[]): boolean {
  if (containerResources.has(name)) return true
  const before = errors.length
  pushInvalid(errors, path, name, isQualifiedName)
  if (errors.length > before) return false
  if (name.includes('/') || standardResources.has(name) || isQuotaHugePages(name)) return true
  errors.push(fieldInvalid(path, name, 'must be a standard resource type or fully qualified'))
  return false
}

export function validateContainerResourceName(name: string, path: string, errors: FieldError[]): void {
  if (containerResources.has(name)) return
  validateResourceName(name, path, errors)
  if (!name.includes('/')) {
    if (!isHugePages(name)) errors.push(fieldInvalid(path, name, 'must be a standard resource for containers'))
  } else if (!isNativeResource(name) && !isExtendedResource(name)) {
    errors.push(fieldInvalid(path, name, "doesn't follow extended resource name standard"))
  }
}

export function validateQuotaResourceName(name: string, path: string, errors: FieldError[]): void {
  validateResourceName(name, path, errors)
  if (!name.includes('/') && !isStandardQuotaResource(name)) errors.push(fieldInvalid(path, name, 'must be a standard resource for quota'))
}

/** Not negative, and whole for what can only be counted. */
export function validateResourceAmount(name: string, amount: string | undefined, path: string, errors: FieldError[]): void {
  if (signOf(amount) < 0) errors.push(fieldInvalid(path, canonicalText(amount), mustNotBeNegative))
  if ((integerResources.has(name) || isExtendedResource(name)) && !isWholeNumber(amount)) errors.push(fieldInvalid(path, canonicalText(amount), 'must be an integer'))
}

export function validateNonNegativeAmount(amount: string | undefined, path: string, errors: FieldError[]): void {
  const quantity = quantityOf(amount)
  if (quantity.nano < 0n) errors.push(fieldInvalid(path, Number(quantity.nano / 1_000_000_000n), 'must be a valid resource quantity'))
}

/** The text of the error, or undefined when the amount is a positive multiple of the page size. */
export function hugePagesError(name: string, amount: string | undefined): string | undefined {
  const pageNano = quantityOf(name.slice('hugepages-'.length)).nano
  const nano = quantityOf(amount).nano
  if (nano === 0n || (pageNano > 0n && nano % pageNano === 0n)) return undefined
  return `${canonicalText(amount)} is not positive integer multiple of ${name}`
}

// Equality of JSON-shaped values. deepEqual is exact; semanticEqual is what controllers and validation mean: quantities by value, and an absent field,
// null, an empty list and an empty map are the same. Upstream: apimachinery/pkg/api/equality
import { parseQuantity } from './quantity.ts'

/** True when both are the same JSON. A field that is undefined counts as absent; the order of keys doesn't matter. */
export function deepEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return typeof a === 'number' && typeof b === 'number' && Number.isNaN(a) && Number.isNaN(b)
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false
    for (let i = 0; i < a.length; i++) if (!deepEqual(a[i], b[i])) return false
    return true
  }
  if (Array.isArray(b)) return false
  const left = a as { readonly [key: string]: unknown } // cast: neither null nor array
  const right = b as { readonly [key: string]: unknown } // cast: neither null nor array
  let count = 0
  for (const key in left) {
    const value = left[key]
    if (value === undefined) continue
    count++
    if (!Object.hasOwn(right, key) || !deepEqual(value, right[key])) return false
  }
  for (const key in right) if (right[key] !== undefined) count--
  return count === 0
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null) return true
  if (Array.isArray(value)) return value.length === 0
  if (typeof value !== 'object') return false
  for (const key in value) if (!isEmpty((value as { readonly [key: string]: unknown })[key])) return false // cast: an object
  return true
}

/** Maps whose values are quantities. Single fields that are one need no care: decoding has made them canonical. */
const quantityMaps: ReadonlySet<string> = new Set(['limits', 'requests', 'capacity', 'allocatable', 'hard', 'used', 'min', 'max', 'default', 'defaultRequest', 'maxLimitRequestRatio', 'overhead', 'podFixed', 'allocatedResources'])

/** Equality as the API means it. `key` is the name of the field that holds both, so that maps of quantities are known. */
export function semanticEqual(a: unknown, b: unknown, key = '', inQuantities = false): boolean {
  if (a === b) return true
  if (isEmpty(a) && isEmpty(b)) return true
  if (typeof a === 'string' && typeof b === 'string') {
    if (!inQuantities) return false
    const left = parseQuantity(a)
    const right = parseQuantity(b)
    return left !== undefined && right !== undefined && left.nano === right.nano
  }
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false
    return a.every((item, i) => semanticEqual(item, b[i], key, inQuantities))
  }
  const left = a as { readonly [key: string]: unknown } // cast: neither null nor array
  const right = b as { readonly [key: string]: unknown } // cast: neither null nor array
  const quantities = inQuantities || quantityMaps.has(key)
  for (const name in left) if (!semanticEqual(left[name], Object.hasOwn(right, name) ? right[name] : undefined, name, quantities)) return false
  for (const name in right) if (!Object.hasOwn(left, name) && !isEmpty(right[name])) return false
  return true
}

// Equality of API objects as the original compares them: absent, null and empty are the same, keys have no order. Shared subtrees are found equal at once,
// which is the common case after a path copy. Upstream: apimachinery/pkg/api/equality
const isEmpty = (value: unknown): boolean => {
  if (value === undefined || value === null || value === '') return true
  if (Array.isArray(value)) return value.length === 0
  if (typeof value !== 'object') return false
  for (const key in value) if (!isEmpty(property(value, key))) return false
  return true
}

// cast: reads one own key of a JSON object
const property = (object: object, key: string): unknown => (object as { readonly [key: string]: unknown })[key]

export function semanticEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return isEmpty(a) && isEmpty(b)
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return isEmpty(a) && isEmpty(b)
    for (let i = 0; i < a.length; i++) if (!semanticEqual(a[i], b[i])) return false
    return true
  }
  for (const key in a) if (!semanticEqual(property(a, key), property(b, key))) return false
  for (const key in b) if (property(a, key) === undefined && !isEmpty(property(b, key))) return false
  return true
}

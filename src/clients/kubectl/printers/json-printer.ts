// JSON as `kubectl -o json` prints it: keys sorted, four spaces, Go's escapes of `<`, `>` and `&`.
import type { JsonValue } from '../../../lib/base/json.ts'

export function sortKeys(value: JsonValue | undefined): JsonValue {
  if (Array.isArray(value)) return value.map(sortKeys)
  if (typeof value === 'object' && value !== null) {
    const out: Record<string, JsonValue> = {}
    for (const [key, item] of Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) if (item !== undefined) Object.defineProperty(out, key, { value: sortKeys(item), enumerable: true, writable: true, configurable: true })
    return out
  }
  return value ?? null
}

export function formatJson(value: JsonValue): string {
  return `${JSON.stringify(sortKeys(value), (_, v: unknown) => (typeof v === 'bigint' ? Number(v) : v), 4).replace(/[<>&\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n`
}

// JSON in the order of the API's types: what kubectl prints for objects that it made itself or got typed, where others are sorted by key.
import type { JsonObject, JsonValue } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { schema } from '../../../lib/api/schema.ts'
import { typeIdOfApiVersion } from '../../../lib/api/type-lookup.ts'

/** The object with its keys in the order of its type; unknown kinds stay as they are. */
export function inTypeOrder(object: JsonObject): JsonObject {
  const typeId = typeIdOfApiVersion(String(object['apiVersion'] ?? ''), String(object['kind'] ?? ''))
  if (typeId === undefined) return object
  const { kind, apiVersion, ...rest } = object
  return { kind: kind ?? '', apiVersion: apiVersion ?? '', ...orderFields(rest, typeId) }
}

function orderFields(object: JsonObject, typeId: string): JsonObject {
  const out: { [key: string]: JsonValue } = {}
  const visit = (id: string): void => {
    for (const field of schema[id]?.fields ?? []) {
      if (field.inline) { visit(field.type); continue }
      const value = object[field.name]
      if (value !== undefined) out[field.name] = orderValue(value, field.type, field.map === true)
    }
  }
  visit(typeId)
  for (const key of Object.keys(object).sort()) { const value = object[key]; if (!(key in out) && value !== undefined) out[key] = value }
  return out
}

function orderValue(value: JsonValue, typeId: string, isMap: boolean): JsonValue {
  if (Array.isArray(value)) return value.map((item) => orderValue(item, typeId, false))
  if (!isJsonObject(value)) return value
  if (isMap || !schema[typeId]) return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, v]) => [k, v === undefined ? null : orderValue(v, typeId, false)]))
  return orderFields(value, typeId)
}

/** Four spaces, Go's escapes. */
export const formatOrderedJson = (value: JsonValue): string => `${JSON.stringify(value, null, 4).replace(/[<>&\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n`

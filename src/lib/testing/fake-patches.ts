// The four kinds of patch as the fake API server applies them: merge keys from the schema, no directives but `$patch: delete`, `$deleteFromPrimitiveList` and null.
import { schema } from '../api/schema.ts'
import type { SchemaField } from '../api/schema.ts'
import { isJsonObject } from '../base/json.ts'
import type { JsonValue } from '../base/json.ts'

/** RFC 7386. */
export function mergePatch(target: JsonValue | undefined, patch: JsonValue): JsonValue {
  if (!isJsonObject(patch)) return patch
  const result: Record<string, JsonValue | undefined> = isJsonObject(target) ? { ...target } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (value === undefined) continue
    if (value === null) delete result[key]
    else result[key] = mergePatch(result[key], value)
  }
  return result
}

/** Strategic merge of an object of the message `type`. */
export function strategicPatch(target: JsonValue | undefined, patch: JsonValue, type: string | undefined): JsonValue {
  if (!isJsonObject(patch)) return patch
  const result: Record<string, JsonValue | undefined> = isJsonObject(target) ? { ...target } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (value === undefined || key.startsWith('$setElementOrder/') || key === '$retainKeys') continue
    if (key.startsWith('$deleteFromPrimitiveList/')) {
      const name = key.slice('$deleteFromPrimitiveList/'.length)
      const old = result[name]
      if (Array.isArray(old) && Array.isArray(value)) result[name] = old.filter((item: JsonValue) => !value.includes(item))
      continue
    }
    const field = type === undefined ? undefined : fieldOf(type, key)
    if (value === null) { delete result[key]; continue }
    const strategy = field?.patchStrategy ?? ''
    if (Array.isArray(value) && strategy.includes('merge')) result[key] = mergeList(result[key], value as readonly JsonValue[], field) // cast: isArray narrows to any[]
    else if (strategy.includes('replace')) result[key] = value
    else result[key] = strategicPatch(result[key], value, field?.map ? undefined : field?.type)
  }
  return result
}

function mergeList(target: JsonValue | undefined, patch: readonly JsonValue[], field: SchemaField | undefined): JsonValue {
  const old: readonly JsonValue[] = Array.isArray(target) ? target : []
  const key = field?.patchMergeKey
  if (key === undefined) return [...old, ...patch.filter((item) => !old.includes(item))]
  const merged = [...old]
  for (const item of patch) {
    if (!isJsonObject(item)) continue
    const at = merged.findIndex((other) => isJsonObject(other) && other[key] === item[key])
    if (item['$patch'] === 'delete') { if (at >= 0) merged.splice(at, 1) }
    else if (at >= 0) merged[at] = strategicPatch(merged[at], item, field?.type)
    else merged.push(item)
  }
  return merged
}

function fieldOf(type: string, name: string): SchemaField | undefined {
  for (const field of schema[type]?.fields ?? []) {
    if (field.name === name) return field
    const inner = field.inline ? fieldOf(field.type, name) : undefined
    if (inner) return inner
  }
  return undefined
}

/** RFC 6902; undefined when an operation does not apply. */
export function jsonPatch(target: JsonValue, operations: readonly JsonValue[]): JsonValue | undefined {
  let result: JsonValue = target
  for (const operation of operations) {
    if (!isJsonObject(operation) || typeof operation['path'] !== 'string') return undefined
    const path = operation['path'].split('/').slice(1).map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    const next = applyAt(result, path, String(operation['op']), operation['value'])
    if (next === undefined) return undefined
    result = next
  }
  return result
}

function applyAt(target: JsonValue, path: readonly string[], op: string, value: JsonValue | undefined): JsonValue | undefined {
  const [head, ...rest] = path
  if (head === undefined) return op === 'test' ? (JSON.stringify(target) === JSON.stringify(value) ? target : undefined) : value
  if (Array.isArray(target)) {
    const list = [...target as readonly JsonValue[]] // cast: isArray narrows to any[]
    const index = head === '-' ? list.length : Number(head)
    if (rest.length === 0 && op === 'add') { list.splice(index, 0, value ?? null); return list }
    if (rest.length === 0 && op === 'remove') { if (index >= list.length) return undefined; list.splice(index, 1); return list }
    const inner = list[index]
    const next = inner === undefined ? undefined : applyAt(inner, rest, op, value)
    if (next === undefined) return undefined
    list[index] = next
    return list
  }
  if (!isJsonObject(target)) return undefined
  if (rest.length === 0 && op === 'remove') {
    if (!(head in target)) return undefined
    const { [head]: _gone, ...left } = target
    return left
  }
  if (rest.length === 0 && op === 'add') return { ...target, [head]: value }
  const inner = target[head]
  const next = inner === undefined ? undefined : applyAt(inner, rest, op, value)
  return next === undefined ? undefined : { ...target, [head]: next }
}

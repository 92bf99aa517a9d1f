// JSON merge patch, RFC 7386: what is in the patch replaces, null deletes, objects merge. And its making: the smallest patch from one document to
// another, and the three-way one that `kubectl apply` sends for custom resources.
// Upstream: evanphx/json-patch, apimachinery/pkg/util/jsonmergepatch
import { isJsonObject, type JsonObject, type JsonValue } from '../base/json.ts'
import { deepEqual } from './equality.ts'

type Mutable = { [key: string]: JsonValue | undefined }

function put(target: Mutable, key: string, value: JsonValue | undefined): void {
  if (key === '__proto__') Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true })
  else target[key] = value
}

/** The document with the patch applied. */
export function applyMergePatch(document: JsonValue | undefined, patch: JsonValue): JsonValue {
  if (!isJsonObject(patch)) return patch
  const out: Mutable = isJsonObject(document) ? { ...document } : {}
  for (const key in patch) {
    const value = patch[key]
    if (value === undefined) continue
    if (value === null) delete out[key]
    else put(out, key, applyMergePatch(Object.hasOwn(out, key) ? out[key] : undefined, value))
  }
  return out
}

/** The patch that turns `original` into `modified`. */
export function createMergePatch(original: JsonObject, modified: JsonObject): JsonObject {
  const patch: Mutable = {}
  for (const key in modified) {
    const next = modified[key]
    if (next === undefined) continue
    const old = Object.hasOwn(original, key) ? original[key] : undefined
    if (old === undefined) put(patch, key, next)
    else if (isJsonObject(old) && isJsonObject(next)) {
      const inner = createMergePatch(old, next)
      if (Object.keys(inner).length > 0) put(patch, key, inner)
    } else if (!deepEqual(old, next)) put(patch, key, next)
  }
  for (const key in original) if (original[key] !== undefined && (!Object.hasOwn(modified, key) || modified[key] === undefined)) put(patch, key, null)
  return patch
}

/** Only the deletions of a patch, or all but them. */
function filterNulls(patch: JsonObject, keepNulls: boolean): JsonObject {
  const out: Mutable = {}
  for (const key in patch) {
    const value = patch[key]
    if (value === undefined) continue
    if (value === null) { if (keepNulls) put(out, key, null) }
    else if (isJsonObject(value)) {
      const inner = filterNulls(value, keepNulls)
      if (Object.keys(inner).length > 0 || (!keepNulls && Object.keys(value).length === 0)) put(out, key, inner)
    } else if (!keepNulls) put(out, key, value)
  }
  return out
}

/** One patch that does what both do, `second` winning. Deletions stay in it. */
function combine(first: JsonObject, second: JsonObject): JsonObject {
  const out: Mutable = { ...first }
  for (const key in second) {
    const a = Object.hasOwn(out, key) ? out[key] : undefined
    const b = second[key]
    put(out, key, isJsonObject(a) && isJsonObject(b) ? combine(a, b) : b)
  }
  return out
}

/** Changes from `current` to `modified`, and deletions of what was in `original` (the last applied) and is no more in `modified`. */
export function createThreeWayMergePatch(original: JsonObject, modified: JsonObject, current: JsonObject): JsonObject {
  return combine(filterNulls(createMergePatch(original, modified), true), filterNulls(createMergePatch(current, modified), false))
}

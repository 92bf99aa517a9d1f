// Strategic merge patches, made: the two-way one (what changed between two documents) and the three-way one that `kubectl apply` sends (changes from
// what is there, deletions of what was applied last time and is no longer wanted). Upstream: apimachinery/pkg/util/strategicpatch
import { isJsonObject, type JsonObject, type JsonValue } from '../base/json.ts'
import { deepEqual } from '../apimachinery/equality.ts'
import { PatchError } from '../apimachinery/patch-error.ts'
import { deleteFromPrimitiveListPrefix, directiveMarker, kindOfValue, ownValue, patchField, retainKeysDirective, setElementOrderPrefix, setKey, type Draft, type PatchField } from './patch-schema.ts'
import { mergeMaps } from './strategic-merge-patch.ts'

interface DiffOptions {
  readonly ignoreDeletions?: boolean
  readonly ignoreChangesAndAdditions?: boolean
  readonly setElementOrder?: boolean
}

/** The patch that turns `original` into `modified`. @throws PatchError */
export function createTwoWayMergePatch(typeId: string | undefined, original: JsonObject, modified: JsonObject): JsonObject {
  return diffMaps(original, modified, typeId, { setElementOrder: true }, false)
}

/**
 * The patch that `kubectl apply` sends: `original` is what was applied last, `modified` what is wanted, `current` what is there. With `overwrite` false a
 * field that somebody else changed, and that the patch changes too, is refused. @throws PatchError
 */
export function createThreeWayStrategicMergePatch(typeId: string | undefined, original: JsonObject, modified: JsonObject, current: JsonObject, overwrite = true): JsonObject {
  const changes = diffMaps(current, modified, typeId, { ignoreDeletions: true, setElementOrder: true }, false)
  const deletions = diffMaps(original, modified, typeId, { ignoreChangesAndAdditions: true, setElementOrder: true }, false)
  const patch = mergeMaps(deletions, changes, typeId, { carryOut: false, ignoreUnmatchedNulls: false })
  if (!overwrite) {
    const theirs = diffMaps(original, current, typeId, {}, false)
    if (conflict(patch, theirs, { type: typeId, strategy: '', retainKeys: false, mergeKey: '' })) {
      throw new PatchError('Conflict', `patch:\n${JSON.stringify(patch)}\nconflicts with changes made from original to current:\n${JSON.stringify(theirs)}\n`)
    }
  }
  return patch
}

function diffMaps(original: JsonObject, modified: JsonObject, typeId: string | undefined, options: DiffOptions, retainKeys: boolean): JsonObject {
  const patch: Draft = {}
  const retained: string[] = []
  for (const key of Object.keys(modified)) {
    const next = modified[key]
    if (next === undefined) continue
    if (retainKeys && next !== null) retained.push(key)
    const old = ownValue(original, key)
    if (old === undefined) { if (!options.ignoreChangesAndAdditions) setKey(patch, key, next); continue }
    if (key === directiveMarker) { if (old !== next) setKey(patch, key, next); continue }
    if (isJsonObject(old) && isJsonObject(next)) diffMapField(patch, key, old, next, patchField(typeId, key), options)
    else if (Array.isArray(old) && Array.isArray(next)) diffListField(patch, key, old as readonly JsonValue[], next as readonly JsonValue[], patchField(typeId, key), options) // cast: checked above
    else if (!options.ignoreChangesAndAdditions && !deepEqual(old, next)) setKey(patch, key, next)
  }
  let hasAdditional = false
  for (const key of Object.keys(original)) {
    if (original[key] === undefined || ownValue(modified, key) !== undefined) continue
    if (original[key] !== null) hasAdditional = true
    if (!options.ignoreDeletions) setKey(patch, key, null)
  }
  if (retained.length > 0 && (Object.keys(patch).length > 0 || hasAdditional)) patch[retainKeysDirective] = retained.sort()
  return patch
}

function diffMapField(patch: Draft, key: string, old: JsonObject, next: JsonObject, field: PatchField, options: DiffOptions): void {
  if (field.strategy === 'replace') { if (!options.ignoreChangesAndAdditions) setKey(patch, key, next); return }
  const inner = diffMaps(old, next, field.type, options, field.retainKeys)
  if (Object.keys(inner).length > 0) setKey(patch, key, inner)
}

function diffListField(patch: Draft, key: string, old: readonly JsonValue[], next: readonly JsonValue[], field: PatchField, options: DiffOptions): void {
  if (field.strategy !== 'merge') { if (!options.ignoreChangesAndAdditions && !deepEqual(old, next)) setKey(patch, key, next); return }
  if (old.length === 0) { if (next.length > 0 && !options.ignoreChangesAndAdditions) setKey(patch, key, next); return }
  const kinds = new Set([...old, ...next].map(kindOfValue))
  if (kinds.has('list')) throw new PatchError('Invalid', 'lists of lists are not supported')
  if (kinds.size > 1) throw new PatchError('BadRequest', `list element types are not identical: ${JSON.stringify([old, next])}`)
  if (kinds.has('map')) diffListOfMaps(patch, key, old.filter(isJsonObject), next.filter(isJsonObject), field, options)
  else diffListOfScalars(patch, key, old, next, options)
}

function diffListOfScalars(patch: Draft, key: string, old: readonly JsonValue[], next: readonly JsonValue[], options: DiffOptions): void {
  const before = new Set(old)
  const after = new Set(next)
  const added = options.ignoreChangesAndAdditions ? [] : next.filter((item) => !before.has(item))
  const gone = options.ignoreDeletions ? [] : [...before].filter((item) => !after.has(item)).sort((a, b) => (String(a) < String(b) ? -1 : 1))
  if (added.length > 0) setKey(patch, key, added)
  if (gone.length > 0) setKey(patch, `${deleteFromPrimitiveListPrefix}/${key}`, gone)
  if (options.setElementOrder && next.length > 0 && (gone.length > 0 || (!options.ignoreChangesAndAdditions && !deepEqual(old, next)))) setKey(patch, `${setElementOrderPrefix}/${key}`, next)
}

function diffListOfMaps(patch: Draft, key: string, old: readonly JsonObject[], next: readonly JsonObject[], field: PatchField, options: DiffOptions): void {
  const { mergeKey } = field
  const idOf = (item: JsonObject): JsonValue => {
    const id = ownValue(item, mergeKey)
    if (id === undefined) throw new PatchError('BadRequest', `map: ${JSON.stringify(item)} does not contain declared merge key: ${mergeKey}`)
    return id
  }
  const items: JsonObject[] = []
  const gone: JsonObject[] = []
  // Both lists sorted by key, walked side by side; items that share a key (a Service's port 53 by TCP and UDP) pair up in turn.
  const before = sortByKey(old, idOf)
  const after = sortByKey(next, idOf)
  for (let i = 0, j = 0; i < before.length || j < after.length;) {
    const known = before[i]
    const item = after[j]
    if (known !== undefined && item !== undefined && String(idOf(known)) === String(idOf(item))) {
      const inner = diffMaps(known, item, field.type, options, field.retainKeys)
      if (Object.keys(inner).length > 0) items.push({ ...inner, [mergeKey]: idOf(item) })
      i++
      j++
    } else if (item !== undefined && (known === undefined || String(idOf(known)) > String(idOf(item)))) {
      if (!options.ignoreChangesAndAdditions) items.push(item)
      j++
    } else if (known !== undefined) {
      if (!options.ignoreDeletions) gone.push({ [directiveMarker]: 'delete', [mergeKey]: idOf(known) })
      i++
    }
  }
  const places = new Map<JsonValue, number>()
  next.forEach((item, place) => { if (!places.has(idOf(item))) places.set(idOf(item), place) })
  items.sort((a, b) => (places.get(idOf(a)) ?? 0) - (places.get(idOf(b)) ?? 0))
  items.push(...gone)
  if (items.length > 0) setKey(patch, key, items)
  const sameOrder = old.length === next.length && next.every((item, i) => idOf(item) === ownValue(old[i] ?? {}, mergeKey))
  if (!options.setElementOrder || next.length === 0) return
  if ((!options.ignoreChangesAndAdditions && (items.length > 0 || !sameOrder)) || (!options.ignoreDeletions && items.length > 0)) {
    setKey(patch, `${setElementOrderPrefix}/${key}`, next.map((item) => ({ [mergeKey]: idOf(item) })))
  }
}

/** By the key's text; items that share a key in reverse order, which is how the original's sorting leaves them. */
function sortByKey(items: readonly JsonObject[], idOf: (item: JsonObject) => JsonValue): JsonObject[] {
  return items.toReversed().sort((a, b) => { const x = String(idOf(a)); const y = String(idOf(b)); return x < y ? -1 : x > y ? 1 : 0 })
}

/** True when two patches want different things of one field. */
function conflict(left: JsonValue, right: JsonValue, field: PatchField): boolean {
  if (isJsonObject(left)) {
    if (!isJsonObject(right)) return true
    if (ownValue(left, directiveMarker) !== ownValue(right, directiveMarker)) return true
    if (field.strategy === 'replace') return false
    return Object.keys(left).some((key) => {
      if (key === directiveMarker || key === retainKeysDirective) return false
      const theirs = ownValue(right, key)
      return theirs !== undefined && conflict(left[key] ?? null, theirs, patchField(field.type, key))
    })
  }
  if (Array.isArray(left)) {
    if (!Array.isArray(right)) return true
    const items = left as readonly JsonValue[] // cast: checked above
    const theirs = right as readonly JsonValue[] // cast: checked above
    if (field.strategy !== 'merge') return items.length !== theirs.length || items.some((item, i) => conflict(item, theirs[i] ?? null, { type: field.type, strategy: '', retainKeys: false, mergeKey: '' }))
    return items.some((item) => {
      const match = isJsonObject(item) ? theirs.find((other) => isJsonObject(other) && ownValue(other, field.mergeKey) === ownValue(item, field.mergeKey)) : undefined
      return match !== undefined && conflict(item, match, { type: field.type, strategy: '', retainKeys: false, mergeKey: '' })
    })
  }
  return !deepEqual(left, right)
}

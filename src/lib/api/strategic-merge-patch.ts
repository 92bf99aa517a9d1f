// Strategic merge patch, applied: like a merge patch, but lists that the schema gives a merge key merge item by item, and directives say the rest:
// `$patch: delete | replace | merge`, `$retainKeys`, `$deleteFromPrimitiveList/<field>`, `$setElementOrder/<field>`.
// Neither the document nor the patch is changed. Upstream: apimachinery/pkg/util/strategicpatch
import { isJsonObject, type JsonObject, type JsonValue } from '../base/json.ts'
import { deepEqual } from '../apimachinery/equality.ts'
import { PatchError } from '../apimachinery/patch-error.ts'
import {
  deleteFromPrimitiveListPrefix, directiveMarker, kindOfValue, ownValue, patchField, retainKeysDirective, setElementOrderPrefix, setKey, type Draft, type PatchField,
} from './patch-schema.ts'

export interface MergeOptions {
  /** Carry out the parallel lists ($deleteFromPrimitiveList, …) instead of merging them into a patch. False when two patches are combined. */
  readonly carryOut: boolean
  /** A null for something that isn't there is dropped instead of kept. */
  readonly ignoreUnmatchedNulls: boolean
}

const badRetainKeys = 'invalid patch format of retainKeys'
const badPrimitiveList = 'invalid patch format of primitive list'
const badElementOrder = 'invalid patch format of setElementOrder list'
const mergeKeyMissing = (item: JsonValue, key: string): string => `map: ${JSON.stringify(item)} does not contain declared merge key: ${key}`
const badArgument = (expected: string, value: JsonValue | undefined): string => `expected a ${expected}, but received a ${kindOfValue(value)}`

/** The document with the patch applied; `typeId` names its type in the schema. @throws PatchError */
export function applyStrategicMergePatch(typeId: string, document: JsonObject, patch: JsonObject): JsonObject {
  return mergeMaps(document, patch, typeId, { carryOut: true, ignoreUnmatchedNulls: true })
}

/** Merges a patch into a document, or (with `carryOut: false`) into another patch. */
export function mergeMaps(original: JsonObject, patch: JsonObject, typeId: string | undefined, options: MergeOptions): JsonObject {
  const directive = ownValue(patch, directiveMarker)
  if (directive !== undefined) {
    if (directive === 'replace') { const { [directiveMarker]: _marker, ...rest } = patch; return rest }
    if (directive === 'delete') return {}
    throw new PatchError('BadRequest', `unknown patch type: ${JSON.stringify(directive)} in map: ${JSON.stringify(patch)}`)
  }
  const out: Draft = { ...original }
  const rest: Draft = { ...patch }
  retainKeys(out, rest, options)
  orderElements(out, rest, typeId, options)
  for (const key in rest) mergeField(out, key, rest[key] ?? null, typeId, options)
  return out
}

function retainKeys(out: Draft, patch: Draft, options: MergeOptions): void {
  const keys = ownValue(patch, retainKeysDirective)
  if (keys === undefined) return
  delete patch[retainKeysDirective]
  if (!options.carryOut) {
    const known = ownValue(out, retainKeysDirective)
    if (known !== undefined && !deepEqual(known, keys)) throw new PatchError('BadRequest', `${JSON.stringify(known)} and ${JSON.stringify(keys)} are not deep equal: this may happen when calculating the 3-way diff patch`)
    out[retainKeysDirective] = keys
    return
  }
  if (!Array.isArray(keys)) throw new PatchError('BadRequest', badRetainKeys)
  const retained = new Set<JsonValue>(keys as readonly JsonValue[]) // cast: checked above
  for (const key in patch) {
    if (patch[key] === null || key.startsWith(deleteFromPrimitiveListPrefix) || key.startsWith(setElementOrderPrefix)) continue
    if (!retained.has(key)) throw new PatchError('Invalid', "the patch holds fields that $retainKeys doesn't name")
  }
  for (const key of Object.keys(out)) if (!retained.has(key)) delete out[key]
}

/** Merges the lists that have a `$setElementOrder` and takes them out of the patch. */
function orderElements(out: Draft, patch: Draft, typeId: string | undefined, options: MergeOptions): void {
  for (const key of Object.keys(patch)) {
    if (!key.startsWith(setElementOrderPrefix)) continue
    const order = patch[key] ?? null
    if (!options.carryOut) {
      const known = ownValue(out, key)
      if (known !== undefined && !deepEqual(known, order)) throw new PatchError('BadRequest', badElementOrder)
      setKey(out, key, order)
    }
    delete patch[key]
    if (!Array.isArray(order)) throw new PatchError('BadRequest', badArgument('list', order))
    const name = parallelName(key, setElementOrderPrefix, badElementOrder)
    const originalList = ownValue(out, name)
    const patchList = ownValue(patch, name)
    if (originalList !== undefined && !Array.isArray(originalList)) throw new PatchError('BadRequest', badArgument('list', originalList))
    if (patchList !== undefined && !Array.isArray(patchList)) throw new PatchError('BadRequest', badArgument('list', patchList))
    const field = patchField(typeId, name)
    const originalItems = (originalList ?? []) as readonly JsonValue[] // cast: checked above
    const patchItems = (patchList ?? []) as readonly JsonValue[] // cast: checked above
    const orderItems = order as readonly JsonValue[] // cast: checked above
    checkOrder(patchItems, orderItems, field.mergeKey)
    if (originalList === undefined && patchList === undefined) continue
    const merged = originalList === undefined ? (removeDirectives(patchItems, options.carryOut) as readonly JsonValue[]) // cast: a list stays a list
      : patchList === undefined ? originalItems : mergeLists(originalItems, patchItems, field, false, options)
    setKey(out, name, arrange(merged, orderItems, field.mergeKey === '' ? originalItems : placesAfterDeletion(originalItems, patchItems, field.mergeKey), field.mergeKey))
    delete patch[name]
  }
}

/**
 * The order that items of the original had, in which new items stand in for deleted ones, from the end: the original's way of merging leaves it so, and
 * where a new item stands among the old ones depends on it.
 */
function placesAfterDeletion(original: readonly JsonValue[], patch: readonly JsonValue[], mergeKey: string): readonly JsonValue[] {
  const isDeletion = (item: JsonValue): boolean => isJsonObject(item) && ownValue(item, directiveMarker) === 'delete'
  const gone = new Set(patch.filter(isDeletion).map((item) => identityOf(item, mergeKey)))
  if (gone.size === 0) return original
  const kept = original.filter((item) => !gone.has(identityOf(item, mergeKey)))
  const known = new Set(kept.map((item) => identityOf(item, mergeKey)))
  const added = patch.filter((item) => isJsonObject(item) && ownValue(item, directiveMarker) === undefined && !known.has(identityOf(item, mergeKey)))
  return [...kept, ...added.slice(0, original.length - kept.length)]
}

function parallelName(key: string, prefix: string, error: string): string {
  const slash = key.indexOf('/')
  if (slash !== prefix.length) throw new PatchError('BadRequest', error)
  return key.slice(slash + 1)
}

/** The patch's items must stand in the order list, in its order. */
function checkOrder(patchItems: readonly JsonValue[], order: readonly JsonValue[], mergeKey: string): void {
  if (order.length === 0) return
  const ordered = patchItems.filter((item) => !(isJsonObject(item) && ownValue(item, directiveMarker) !== undefined))
  let at = 0
  for (const entry of order) if (at < ordered.length && identityOf(ordered[at] ?? null, mergeKey) === identityOf(entry, mergeKey)) at++
  if (at < ordered.length) throw new PatchError('BadRequest', `The order in patch list:\n${JSON.stringify(patchItems)}\n doesn't match ${setElementOrderPrefix} list:\n${JSON.stringify(order)}\n`)
}

/** What tells an item of a list: its merge key's value, or itself. */
function identityOf(item: JsonValue, mergeKey: string): JsonValue {
  if (mergeKey === '') return item
  if (!isJsonObject(item)) throw new PatchError('BadRequest', badArgument('map', item))
  const value = ownValue(item, mergeKey)
  if (value === undefined) throw new PatchError('BadRequest', mergeKeyMissing(item, mergeKey))
  return value
}

/** Items that the order list names, in its order, woven into the others, which keep the order that they had in the original. */
function arrange(merged: readonly JsonValue[], order: readonly JsonValue[], original: readonly JsonValue[], mergeKey: string): JsonValue[] {
  const placeIn = (list: readonly JsonValue[]): ((item: JsonValue) => number) => {
    const places = new Map<JsonValue, number>()
    list.forEach((item, i) => { const id = isJsonObject(item) && mergeKey !== '' ? ownValue(item, mergeKey) ?? null : item; if (!places.has(id)) places.set(id, i) })
    return (item) => places.get(identityOf(item, mergeKey)) ?? -1
  }
  const placeInOrder = placeIn(order)
  const placeInOriginal = placeIn(original)
  // Deletions (when patches are combined) come last.
  const isDeletion = (item: JsonValue): number => (isJsonObject(item) && ownValue(item, directiveMarker) === 'delete' ? 1 : 0)
  const byPlace = (place: (item: JsonValue) => number) => (a: JsonValue, b: JsonValue): number => isDeletion(a) - isDeletion(b) || place(a) - place(b)
  const named = merged.filter((item) => placeInOrder(item) >= 0).sort(byPlace(placeInOrder))
  const others = merged.filter((item) => placeInOrder(item) < 0).sort(byPlace(placeInOriginal))
  const out: JsonValue[] = []
  let i = 0
  let j = 0
  while (i < others.length || j < named.length) {
    const other = others[i]
    const next = named[j]
    if (next === undefined) { out.push(other ?? null); i++; continue }
    if (other !== undefined) {
      const otherPlace = placeInOriginal(other)
      const nextPlace = placeInOriginal(next)
      if (otherPlace >= 0 && nextPlace >= 0 && otherPlace < nextPlace) { out.push(other); i++; continue }
    }
    out.push(next)
    j++
  }
  return out
}

function mergeField(out: Draft, patchKey: string, value: JsonValue, typeId: string | undefined, options: MergeOptions): void {
  let key = patchKey
  const deletes = patchKey.startsWith(deleteFromPrimitiveListPrefix)
  if (deletes) {
    if (!options.carryOut) { setKey(out, patchKey, value); return }
    key = parallelName(patchKey, deleteFromPrimitiveListPrefix, badPrimitiveList)
  }
  if (value === null) {
    delete out[key]
    if (options.ignoreUnmatchedNulls) return
  }
  const old = ownValue(out, key)
  if (old === undefined || kindOfValue(old) !== kindOfValue(value)) {
    if (deletes) return
    const clean = removeDirectives(options.ignoreUnmatchedNulls ? discardNulls(value) : value, options.carryOut)
    if (clean === undefined) delete out[key]
    else setKey(out, key, clean)
    return
  }
  if (isJsonObject(old) && isJsonObject(value)) {
    const field = patchField(typeId, key)
    setKey(out, key, field.strategy === 'replace' ? value : mergeMaps(old, value, field.type, options))
  } else if (Array.isArray(old) && Array.isArray(value)) {
    const field = patchField(typeId, key)
    setKey(out, key, field.strategy === 'merge' || deletes ? mergeLists(old as readonly JsonValue[], value as readonly JsonValue[], field, deletes, options) : value) // cast: checked above
  } else setKey(out, key, value)
}

/** Items with a `$patch` and fields that hold one are dropped, and with `all` the other directives too; undefined when the value itself is one. */
function removeDirectives(value: JsonValue, all: boolean): JsonValue | undefined {
  if (Array.isArray(value)) return (value as readonly JsonValue[]).map((item) => removeDirectives(item, all)).filter((item) => item !== undefined) // cast: checked
  if (!isJsonObject(value)) return value
  if (ownValue(value, directiveMarker) !== undefined) return undefined
  const out: Draft = {}
  for (const key in value) {
    const item = value[key]
    const clean = item === undefined || (all && isDirective(key)) ? undefined : removeDirectives(item, all)
    if (clean !== undefined) setKey(out, key, clean)
  }
  return out
}

const isDirective = (key: string): boolean => key === retainKeysDirective || key.startsWith(`${setElementOrderPrefix}/`) || key.startsWith(`${deleteFromPrimitiveListPrefix}/`)

function discardNulls(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return (value as readonly JsonValue[]).map(discardNulls) // cast: checked
  if (!isJsonObject(value)) return value
  const out: Draft = {}
  for (const key in value) { const item = value[key]; if (item !== null && item !== undefined) setKey(out, key, discardNulls(item)) }
  return out
}

function mergeLists(original: readonly JsonValue[], patch: readonly JsonValue[], field: PatchField, deletes: boolean, options: MergeOptions): JsonValue[] {
  if (original.length === 0 && patch.length === 0) return []
  const kinds = new Set([...original, ...patch].map(kindOfValue))
  if (kinds.has('list')) throw new PatchError('Invalid', 'lists of lists are not supported')
  if (kinds.size > 1) throw new PatchError('BadRequest', `list element types are not identical: ${JSON.stringify([original, patch])}`)
  if (!kinds.has('map')) {
    if (deletes && options.carryOut) { const gone = new Set(patch); return original.filter((item) => !gone.has(item)) }
    return arrange([...new Set([...original, ...patch])], patch, original, '')
  }
  const { mergeKey } = field
  if (mergeKey === '') throw new PatchError('BadRequest', `cannot merge lists without merge key for ${field.type ?? 'unknown type'}`)
  const gone = new Set<JsonValue>()
  const ordinary: JsonObject[] = []
  let replaces = false
  for (const item of patch) {
    if (!isJsonObject(item)) continue
    const directive = ownValue(item, directiveMarker)
    if (directive === undefined) ordinary.push(item)
    else if (directive === 'delete') gone.add(identityOf(item, mergeKey))
    else if (directive === 'replace') replaces = true
    else if (directive === 'merge') throw new PatchError('BadRequest', 'merging lists cannot yet be specified in the patch')
    else throw new PatchError('BadRequest', `unknown patch type: ${JSON.stringify(directive)} in map: ${JSON.stringify(item)}`)
  }
  if (replaces) return ordinary
  const survivors = original.filter(isJsonObject).filter((item) => { const id = ownValue(item, mergeKey); return id === undefined || !gone.has(id) })
  const items = [...survivors]
  // Lists may be long: looked up by key, not searched.
  const places = new Map<JsonValue | undefined, number>()
  items.forEach((item, i) => { const id = ownValue(item, mergeKey); if (!places.has(id)) places.set(id, i) })
  for (const item of ordinary) {
    const id = identityOf(item, mergeKey)
    const at = places.get(id)
    const known = at === undefined ? undefined : items[at]
    if (at !== undefined && known !== undefined) { items[at] = mergeMaps(known, item, field.type, options); continue }
    places.set(id, items.length)
    items.push((options.ignoreUnmatchedNulls ? discardNulls(removeDirectives(item, true) ?? {}) : item) as JsonObject) // cast: an object stays one
  }
  return arrange(items, ordinary, survivors, mergeKey)
}

// The four walks of server-side apply over typed values: which paths an object holds, what differs between two, their merge, and an object without
// some paths. Upstream: structured-merge-diff typed
import { isJsonObject, type JsonObject, type JsonValue } from '../../base/json.ts'
import { deepEqual } from '../../apimachinery/equality.ts'
import { FieldSet, FieldSetBuilder, fieldElement, formatPath, type PathElement } from './field-set.ts'
import { descend, entriesOf, itemElement, resolveType, structField, type MergeType } from './merge-type.ts'

/** A value that doesn't fit its type: an unknown field, an item without its keys, a repeated item. */
export class TypedValueError extends Error {
  override readonly name = 'TypedValueError'
}

type ListType = Extract<MergeType, { kind: 'list' }>
type Path = readonly PathElement[]
type Draft = { [key: string]: JsonValue }

const isEmpty = (value: JsonValue | undefined): boolean => value === undefined || value === null || (Array.isArray(value) ? value.length === 0 : isJsonObject(value) && Object.keys(value).length === 0)
const listOf = (value: JsonValue | undefined): readonly JsonValue[] => (Array.isArray(value) ? value : [])
const objectOf = (value: JsonValue | undefined): JsonObject => (isJsonObject(value) ? value : {})

function put(target: Draft, key: string, value: JsonValue): void {
  if (key === '__proto__') Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true })
  else target[key] = value
}

function elementOf(type: ListType, item: JsonValue, path: Path): PathElement {
  const found = itemElement(type, item)
  if (!found.ok) throw new TypedValueError(`${formatPath(path)}: ${found.error}`)
  return found.element
}

function fieldType(type: MergeType, name: string): MergeType {
  return type.kind === 'struct' ? (structField(type.id, name) ?? { kind: 'untyped' }) : type.kind === 'map' ? type.element : { kind: 'untyped' }
}

/** Refuses what the schema doesn't know and items that stand twice, as applied configurations must not have them. @throws TypedValueError */
export function checkTyped(value: JsonValue, declared: MergeType, path: Path = []): void {
  const type = resolveType(declared, value)
  if (value === null) return
  if (type.kind === 'struct' || type.kind === 'map') {
    if (!isJsonObject(value)) throw new TypedValueError(`${formatPath(path)}: expected map, got ${JSON.stringify(value)}`)
    for (const [element, name, item] of entriesOf(value)) {
      if (type.kind === 'struct' && structField(type.id, name) === undefined) throw new TypedValueError(`${formatPath([...path, element])}: field not declared in schema`)
      checkTyped(item, fieldType(type, name), [...path, element])
    }
  } else if (type.kind === 'list') {
    if (!Array.isArray(value)) throw new TypedValueError(`${formatPath(path)}: expected list, got ${JSON.stringify(value)}`)
    const seen = new Set<PathElement>()
    for (const item of value as readonly JsonValue[]) { // cast: checked above
      if (type.relation === 'atomic') { checkTyped(item, type.element, path); continue }
      const element = elementOf(type, item, path)
      if (seen.has(element)) throw new TypedValueError(`${formatPath(path)}: duplicate entries for key ${formatPath([element])}`)
      seen.add(element)
      checkTyped(item, type.element, [...path, element])
    }
  }
}

/** The leaves of a value, and the items of its associative lists. */
export function toFieldSet(value: JsonValue, type: MergeType): FieldSet {
  const builder = new FieldSetBuilder()
  collect(value, type, [], builder)
  return builder.set()
}

function collect(value: JsonValue, declared: MergeType, path: Path, out: FieldSetBuilder): void {
  const type = resolveType(declared, value)
  if (type.kind === 'struct' || type.kind === 'map') {
    if (type.atomic) { out.add(path); return }
    for (const [element, name, item] of entriesOf(objectOf(value))) {
      const below = [...path, element]
      collect(item, fieldType(type, name), below, out)
      if (item === null || (isJsonObject(item) && Object.keys(item).length === 0) || type.kind === 'map') out.add(below)
    }
  } else if (type.kind === 'list') {
    if (type.relation === 'atomic') { out.add(path); return }
    for (const [element, items] of groupItems(listOf(value), type, path)) {
      const below = [...path, element]
      // Of items that share an element, only the element itself can be owned.
      const [only] = items
      if (items.length === 1 && only !== undefined) collect(only, type.element, below, out)
      out.add(below)
    }
  } else out.add(path)
}

export interface Comparison {
  readonly added: FieldSet
  readonly modified: FieldSet
  readonly removed: FieldSet
}

/** What must be done to `left` to get `right`. */
export function compareTyped(left: JsonValue, right: JsonValue, type: MergeType): Comparison {
  const builders = { added: new FieldSetBuilder(), modified: new FieldSetBuilder(), removed: new FieldSetBuilder() }
  compareWalk(left, right, type, [], builders)
  return { added: builders.added.set(), modified: builders.modified.set(), removed: builders.removed.set() }
}

interface Builders { readonly added: FieldSetBuilder; readonly modified: FieldSetBuilder; readonly removed: FieldSetBuilder }

function compareWalk(left: JsonValue | undefined, right: JsonValue | undefined, declared: MergeType, path: Path, out: Builders): void {
  const leaf = (): void => {
    if (left === undefined) out.added.add(path)
    else if (right === undefined) out.removed.add(path)
    else if (!deepEqual(left, right)) out.modified.add(path)
  }
  const type = resolveType(declared, right ?? left)
  if (left !== undefined && right !== undefined && declared.kind === 'untyped' && resolveType(declared, left).kind !== type.kind) { leaf(); return }
  if (type.kind === 'scalar' || type.kind === 'untyped' || (isEmpty(left) && isEmpty(right))) { leaf(); return }
  if (type.kind === 'list') {
    if (type.relation === 'atomic') { leaf(); return }
    compareLists(listOf(left), listOf(right), type, path, out)
  } else {
    if (type.atomic) { leaf(); return }
    const before = objectOf(left)
    const after = objectOf(right)
    for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
      const l = Object.hasOwn(before, name) ? before[name] : undefined
      const r = Object.hasOwn(after, name) ? after[name] : undefined
      if (l !== undefined || r !== undefined) compareWalk(l, r, fieldType(type, name), [...path, fieldElement(name)], out)
    }
  }
  if (left === undefined) out.added.add(path)
  else if (right === undefined) out.removed.add(path)
}

function groupItems(items: readonly JsonValue[], type: ListType, path: Path): Map<PathElement, JsonValue[]> {
  const groups = new Map<PathElement, JsonValue[]>()
  for (const item of items) {
    const element = elementOf(type, item, path)
    const group = groups.get(element)
    if (group === undefined) groups.set(element, [item])
    else group.push(item)
  }
  return groups
}

function compareLists(left: readonly JsonValue[], right: readonly JsonValue[], type: ListType, path: Path, out: Builders): void {
  const before = groupItems(left, type, path)
  const after = groupItems(right, type, path)
  for (const element of new Set([...before.keys(), ...after.keys()])) {
    const l = before.get(element) ?? []
    const r = after.get(element) ?? []
    const below = [...path, element]
    if (l.length <= 1 && r.length <= 1) compareWalk(l[0], r[0], type.element, below, out)
    else if (l.length >= 2 && r.length >= 2) { if (!deepEqual(l, r)) out.modified.add(below) }
    else if (l.length >= 2) { if (r.length > 0) compareWalk(undefined, r[0], type.element, below, out); out.removed.add(below) }
    else { if (l.length > 0) compareWalk(l[0], undefined, type.element, below, out); out.added.add(below) }
  }
}

/** `left` with `right` laid over it: maps and associative lists merge, everything else is replaced. */
export function mergeTyped(left: JsonValue | undefined, right: JsonValue | undefined, declared: MergeType, path: Path = []): JsonValue | undefined {
  if (right === undefined) return left
  const type = resolveType(declared, right)
  if (left === undefined || type.kind === 'scalar' || type.kind === 'untyped' || (isEmpty(left) && isEmpty(right))) return right
  if (type.kind === 'list') return type.relation === 'atomic' ? right : mergeLists(listOf(left), listOf(right), type, path)
  if (type.atomic || (declared.kind === 'untyped' && !isJsonObject(left))) return right
  const before = objectOf(left)
  const after = objectOf(right)
  const out: Draft = {}
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const merged = mergeTyped(Object.hasOwn(before, name) ? before[name] : undefined, Object.hasOwn(after, name) ? after[name] : undefined, fieldType(type, name), [...path, fieldElement(name)])
    if (merged !== undefined) put(out, name, merged)
  }
  return out
}

/** Items of `right` keep their order; items that only `left` has stay where they stood between the items that both have. */
function mergeLists(left: readonly JsonValue[], right: readonly JsonValue[], type: ListType, path: Path): JsonValue[] {
  const leftElements = left.map((item) => elementOf(type, item, path))
  const rightElements = right.map((item) => elementOf(type, item, path))
  const inRight = new Map(rightElements.map((element, i) => [element, right[i] ?? null]))
  const inLeft = new Map<PathElement, JsonValue>()
  leftElements.forEach((element, i) => { if (!inLeft.has(element)) inLeft.set(element, left[i] ?? null) })
  const shared = rightElements.filter((element) => inLeft.has(element))
  let nextShared = shared.shift()
  const mergedRight = new Set<PathElement>()
  const out: JsonValue[] = []
  const mergeItem = (element: PathElement): void => {
    mergedRight.add(element)
    const merged = mergeTyped(inLeft.get(element), inRight.get(element), type.element, [...path, element])
    if (merged !== undefined) out.push(merged)
  }
  let l = 0
  let r = 0
  while (l < left.length || r < right.length) {
    const leftElement = leftElements[l]
    const rightElement = rightElements[r]
    if (leftElement !== undefined && rightElement !== undefined) {
      if (leftElement === rightElement) { mergeItem(leftElement); l++; r++; nextShared = shared.shift(); continue }
      // Shared, but not the one whose turn it is.
      if (inRight.has(leftElement) && nextShared !== undefined && nextShared !== leftElement) { l++; continue }
    }
    if (leftElement !== undefined) {
      if (!inRight.has(leftElement)) { out.push(left[l] ?? null); l++; continue }
      if (mergedRight.has(leftElement)) l++
    }
    if (rightElement !== undefined) {
      mergeItem(rightElement)
      r++
      if (nextShared === rightElement) nextShared = shared.shift()
    }
  }
  return out
}

/** The value without these paths; null when nothing is left of it. */
export function removeItems(value: JsonValue, paths: FieldSet, declared: MergeType): JsonValue {
  const type = resolveType(declared, value)
  if (type.kind === 'scalar' || type.kind === 'untyped') return value
  if (type.kind === 'list') {
    if (!Array.isArray(value) || value.length === 0 || type.relation === 'atomic') return null
    const kept = (value as readonly JsonValue[]).flatMap((item): JsonValue[] => { // cast: checked above
      const element = elementOf(type, item, [])
      if (paths.members.has(element)) return []
      const below = paths.children.get(element)
      return [below === undefined ? item : removeItems(item, below, type.element)]
    })
    return kept.length === 0 ? null : kept
  }
  if (!isJsonObject(value) || Object.keys(value).length === 0 || type.atomic) return null
  const out: Draft = {}
  for (const [element, name, item] of entriesOf(value)) {
    if (paths.members.has(element)) continue
    const below = paths.children.get(element)
    put(out, name, below === undefined ? item : removeItems(item, below, fieldType(type, name)))
  }
  return Object.keys(out).length === 0 ? null : out
}

/** The set with the structs' fields on the way to its paths as members too. */
export function withNamedParents(set: FieldSet, type: MergeType): FieldSet {
  const members = new Set(set.members)
  const children = new Map<PathElement, FieldSet>()
  for (const [element, child] of set.children) {
    if (element.startsWith('f:') && type.kind === 'struct' && structField(type.id, element.slice(2)) !== undefined) members.add(element)
    children.set(element, withNamedParents(child, descend(type, element)))
  }
  return new FieldSet(members, children)
}

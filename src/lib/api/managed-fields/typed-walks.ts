// The four walks of server-side apply over typed values: which paths an object holds, what differs between two, their merge, and an object without
// some paths. Upstream: structured-merge-diff typed
import { isJsonObject, type JsonObject, type JsonValue } from '../../base/json.ts'
import { deepEqual } from '../../apimachinery/equality.ts'
import { emptyFieldSet, FieldSet, GrowingFieldSet, fieldElement, formatPath, type PathElement } from './field-set.ts'
import { afterPieces, eachInPieces, type Pieces } from './pieces.ts'
import { descend, entriesOf, itemElement, resolveType, structField, type MergeType } from './merge-type.ts'

/** A value that doesn't fit its type: an unknown field, an item without its keys, a repeated item. */
export class TypedValueError extends Error {
  override readonly name = 'TypedValueError'
}

type ListType = Extract<MergeType, { kind: 'list' }>
type Draft = { [key: string]: JsonValue }

const isEmpty = (value: JsonValue | undefined): boolean => value === undefined || value === null || (Array.isArray(value) ? value.length === 0 : isJsonObject(value) && Object.keys(value).length === 0)
const listOf = (value: JsonValue | undefined): readonly JsonValue[] => (Array.isArray(value) ? value : [])
const objectOf = (value: JsonValue | undefined): JsonObject => (isJsonObject(value) ? value : {})

function put(target: Draft, key: string, value: JsonValue): void {
  if (key === '__proto__') Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true })
  else target[key] = value
}

function elementOf(type: ListType, item: JsonValue, place: Place): PathElement {
  const found = itemElement(type, item)
  if (!found.ok) throw new TypedValueError(`${formatPlace(place)}: ${found.error}`)
  return found.element
}

function fieldType(type: MergeType, name: string): MergeType {
  return type.kind === 'struct' ? (structField(type.id, name) ?? { kind: 'untyped' }) : type.kind === 'map' ? type.element : { kind: 'untyped' }
}

type SetName = 'added' | 'modified' | 'removed'

/**
 * Where a walk is: one step below `parent`. The sets that are gathered have levels in the same places, made when something is added there, so that
 * a path costs one step, however deep it lies and however many there are.
 */
class Place {
  readonly parent: Place | undefined
  readonly element: PathElement
  /** Long lists wait there. */
  readonly pieces: Pieces | undefined
  added: GrowingFieldSet | undefined
  modified: GrowingFieldSet | undefined
  removed: GrowingFieldSet | undefined

  constructor(parent?: Place, element: PathElement = '', pieces = parent?.pieces) {
    this.parent = parent
    this.element = element
    this.pieces = pieces
  }

  level(name: SetName): GrowingFieldSet { return (this[name] ??= this.parent ? this.parent.level(name).child(this.element) : new GrowingFieldSet()) }
  add(name: SetName, element: PathElement): void { this.level(name).member(element) }
  set(name: SetName): FieldSet { return this[name] ?? emptyFieldSet }
}

function formatPlace(place: Place): string {
  const path: PathElement[] = []
  for (let at: Place | undefined = place; at?.parent; at = at.parent) path.push(at.element)
  return formatPath(path.reverse())
}

/** Refuses what the schema doesn't know and items that stand twice, as applied configurations must not have them. @throws TypedValueError */
export function checkTyped(value: JsonValue, declared: MergeType, place = new Place()): void {
  const type = resolveType(declared, value)
  if (value === null) return
  if (type.kind === 'struct' || type.kind === 'map') {
    if (!isJsonObject(value)) throw new TypedValueError(`${formatPlace(place)}: expected map, got ${JSON.stringify(value)}`)
    for (const [element, name, item] of entriesOf(value)) {
      const below = new Place(place, element)
      if (type.kind === 'struct' && structField(type.id, name) === undefined) throw new TypedValueError(`${formatPlace(below)}: field not declared in schema`)
      checkTyped(item, fieldType(type, name), below)
    }
  } else if (type.kind === 'list') {
    if (!Array.isArray(value)) throw new TypedValueError(`${formatPlace(place)}: expected list, got ${JSON.stringify(value)}`)
    const seen = new Set<PathElement>()
    for (const item of value as readonly JsonValue[]) { // cast: checked above
      if (type.relation === 'atomic') { checkTyped(item, type.element, place); continue }
      const element = elementOf(type, item, place)
      if (seen.has(element)) throw new TypedValueError(`${formatPlace(place)}: duplicate entries for key ${formatPath([element])}`)
      seen.add(element)
      checkTyped(item, type.element, new Place(place, element))
    }
  }
}

/** The leaves of a value, and the items of its associative lists. */
export function toFieldSet(value: JsonValue, type: MergeType): FieldSet {
  const top = new Place()
  collectInside(value, type, top)
  return top.set('added')
}

function collect(value: JsonValue, declared: MergeType, parent: Place, element: PathElement): void {
  const type = resolveType(declared, value)
  const isOne = type.kind === 'list' ? type.relation === 'atomic' : (type.kind !== 'struct' && type.kind !== 'map') || type.atomic
  if (isOne) parent.add('added', element)
  else collectInside(value, type, new Place(parent, element))
}

function collectInside(value: JsonValue, type: MergeType, place: Place): void {
  if (type.kind === 'struct' || type.kind === 'map') {
    for (const [element, name, item] of entriesOf(objectOf(value))) {
      collect(item, fieldType(type, name), place, element)
      if (item === null || type.kind === 'map' || (isJsonObject(item) && Object.keys(item).length === 0)) place.add('added', element)
    }
  } else if (type.kind === 'list') {
    const groups: Groups = new Map()
    groupItems(listOf(value), type, place, groups)
    for (const [element, items] of groups) {
      // Of items that share an element, only the element itself can be owned.
      if (!(items instanceof Repeated)) collect(items, type.element, place, element)
      place.add('added', element)
    }
  }
}

export interface Comparison {
  readonly added: FieldSet
  readonly modified: FieldSet
  readonly removed: FieldSet
}

/** What must be done to `left` to get `right`. */
export function compareTyped(left: JsonValue, right: JsonValue, declared: MergeType): Comparison { return startComparison(left, right, declared)() }

/** The same with `pieces`: when they are done, the function gives the result. */
export function startComparison(left: JsonValue, right: JsonValue, declared: MergeType, pieces?: Pieces): () => Comparison {
  const top = new Place(undefined, '', pieces)
  compareInside(left, right, resolveType(declared, right), top)
  return () => ({ added: top.set('added'), modified: top.set('modified'), removed: top.set('removed') })
}

function compareWalk(left: JsonValue | undefined, right: JsonValue | undefined, declared: MergeType, parent: Place, element: PathElement): void {
  const type = resolveType(declared, right ?? left)
  const isOne = type.kind === 'scalar' || type.kind === 'untyped' || (type.kind === 'list' ? type.relation === 'atomic' : type.atomic)
    || (left !== undefined && right !== undefined && declared.kind === 'untyped' && resolveType(declared, left).kind !== type.kind) || (isEmpty(left) && isEmpty(right))
  if (!isOne) compareInside(left, right, type, new Place(parent, element))
  if (left === undefined) parent.add('added', element)
  else if (right === undefined) parent.add('removed', element)
  else if (isOne && !deepEqual(left, right)) parent.add('modified', element)
}

function compareInside(left: JsonValue | undefined, right: JsonValue | undefined, type: MergeType, place: Place): void {
  if (type.kind === 'list') { compareLists(listOf(left), listOf(right), type, place); return }
  const before = objectOf(left)
  const after = objectOf(right)
  eachInPieces(place.pieces, Object.keys(before), (name) => {
    const l = before[name]
    const r = Object.hasOwn(after, name) ? after[name] : undefined
    if (l !== undefined || r !== undefined) compareWalk(l, r, fieldType(type, name), place, fieldElement(name))
  })
  eachInPieces(place.pieces, Object.keys(after), (name) => {
    if (!Object.hasOwn(before, name) && after[name] !== undefined) compareWalk(undefined, after[name], fieldType(type, name), place, fieldElement(name))
  })
}

/** Items that share an element. */
class Repeated {
  readonly items: JsonValue[]
  constructor(...items: JsonValue[]) { this.items = items }
}

type Groups = Map<PathElement, JsonValue | Repeated>

function groupItems(items: readonly JsonValue[], type: ListType, place: Place, groups: Groups): void {
  eachInPieces(place.pieces, items, (item) => {
    const element = elementOf(type, item, place)
    const group = groups.get(element)
    if (group === undefined) groups.set(element, item)
    else if (group instanceof Repeated) group.items.push(item)
    else groups.set(element, new Repeated(group, item))
  })
}

function compareLists(left: readonly JsonValue[], right: readonly JsonValue[], type: ListType, place: Place): void {
  const before: Groups = new Map()
  const after: Groups = new Map()
  groupItems(left, type, place, before)
  groupItems(right, type, place, after)
  afterPieces(place.pieces, Math.max(left.length, right.length), () => {
    eachInPieces(place.pieces, [...before], ([element, l]) => { compareItems(l, after.get(element), type, place, element) })
    eachInPieces(place.pieces, [...after], ([element, r]) => { if (!before.has(element)) compareItems(undefined, r, type, place, element) })
  })
}

function compareItems(l: JsonValue | Repeated | undefined, r: JsonValue | Repeated | undefined, type: ListType, place: Place, element: PathElement): void {
  if (l instanceof Repeated) {
    if (r instanceof Repeated) { if (!deepEqual(l.items, r.items)) place.add('modified', element); return }
    if (r !== undefined) compareWalk(undefined, r, type.element, place, element)
    place.add('removed', element)
  } else if (r instanceof Repeated) {
    if (l !== undefined) compareWalk(l, undefined, type.element, place, element)
    place.add('added', element)
  } else compareWalk(l, r, type.element, place, element)
}

/** `left` with `right` laid over it: maps and associative lists merge, everything else is replaced. */
export function mergeTyped(left: JsonValue | undefined, right: JsonValue | undefined, declared: MergeType, place = new Place()): JsonValue | undefined {
  if (right === undefined) return left
  const type = resolveType(declared, right)
  if (left === undefined || type.kind === 'scalar' || type.kind === 'untyped' || (isEmpty(left) && isEmpty(right))) return right
  if (type.kind === 'list') return type.relation === 'atomic' ? right : mergeLists(listOf(left), listOf(right), type, place)
  if (type.atomic || (declared.kind === 'untyped' && !isJsonObject(left))) return right
  const before = objectOf(left)
  const after = objectOf(right)
  const out: Draft = {}
  const merge = (name: string): void => {
    const merged = mergeTyped(Object.hasOwn(before, name) ? before[name] : undefined, Object.hasOwn(after, name) ? after[name] : undefined, fieldType(type, name), new Place(place, fieldElement(name)))
    if (merged !== undefined) put(out, name, merged)
  }
  for (const name of Object.keys(before)) merge(name)
  for (const name of Object.keys(after)) if (!Object.hasOwn(before, name)) merge(name)
  return out
}

/** Items of `right` keep their order; items that only `left` has stay where they stood between the items that both have. */
function mergeLists(left: readonly JsonValue[], right: readonly JsonValue[], type: ListType, place: Place): JsonValue[] {
  const leftElements = left.map((item) => elementOf(type, item, place))
  const rightElements = right.map((item) => elementOf(type, item, place))
  const inRight = new Map(rightElements.map((element, i) => [element, right[i] ?? null]))
  const inLeft = new Map<PathElement, JsonValue>()
  leftElements.forEach((element, i) => { if (!inLeft.has(element)) inLeft.set(element, left[i] ?? null) })
  const shared = rightElements.filter((element) => inLeft.has(element))
  // An index, not shift(): that moves all the others in a long list.
  let sharedAt = 0
  let nextShared = shared[sharedAt++]
  const mergedRight = new Set<PathElement>()
  const out: JsonValue[] = []
  const mergeItem = (element: PathElement): void => {
    mergedRight.add(element)
    const merged = mergeTyped(inLeft.get(element), inRight.get(element), type.element, new Place(place, element))
    if (merged !== undefined) out.push(merged)
  }
  let l = 0
  let r = 0
  while (l < left.length || r < right.length) {
    const leftElement = leftElements[l]
    const rightElement = rightElements[r]
    if (leftElement !== undefined && rightElement !== undefined) {
      if (leftElement === rightElement) { mergeItem(leftElement); l++; r++; nextShared = shared[sharedAt++]; continue }
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
      if (nextShared === rightElement) nextShared = shared[sharedAt++]
    }
  }
  return out
}

const top = new Place()

/** The value without these paths; null when nothing is left of it. */
export function removeItems(value: JsonValue, paths: FieldSet, declared: MergeType): JsonValue {
  const type = resolveType(declared, value)
  if (type.kind === 'scalar' || type.kind === 'untyped') return value
  if (type.kind === 'list') {
    if (!Array.isArray(value) || value.length === 0 || type.relation === 'atomic') return null
    const kept = (value as readonly JsonValue[]).flatMap((item): JsonValue[] => { // cast: checked above
      const element = elementOf(type, item, top)
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

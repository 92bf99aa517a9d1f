// Sets of paths into an object: what a manager owns. A path is a row of elements in the form that managedFields has them on the wire: `f:name` a field,
// `k:{"name":"a"}` an item of a list by its keys, `v:"x"` an item by its value, `i:0` by its place. A set is never changed once it is handed out.
// Upstream: sigs.k8s.io/structured-merge-diff fieldpath
import { isJsonObject, type JsonObject, type JsonValue } from '../../base/json.ts'
import { eachInPieces, type Pieces } from './pieces.ts'

export type PathElement = string

export const fieldElement = (name: string): PathElement => `f:${name}`
export const valueElement = (value: JsonValue): PathElement => `v:${JSON.stringify(value)}`

/** Keys are sorted, so that equal items have equal elements. */
export function keyElement(key: JsonObject): PathElement {
  const names = Object.keys(key)
  return `k:${JSON.stringify(names.length < 2 ? key : Object.fromEntries(Object.entries(key).sort(([a], [b]) => (a < b ? -1 : 1))))}`
}

const rank: { readonly [kind: string]: number } = { f: 0, k: 1, v: 2, i: 3 }

function compareElements(a: PathElement, b: PathElement): number {
  const kind = a.charCodeAt(0)
  if (kind !== b.charCodeAt(0)) return (rank[a.charAt(0)] ?? 4) - (rank[b.charAt(0)] ?? 4)
  if (kind === placeKind) return Number(a.slice(2)) - Number(b.slice(2))
  return a < b ? -1 : a > b ? 1 : 0
}

const placeKind = 'i'.charCodeAt(0)

/** As errors print it: `.spec`, `[name="a"]`, `[="x"]`, `[0]`. */
export function formatPath(path: readonly PathElement[]): string {
  return path.map((element) => {
    const rest = element.slice(2)
    switch (element.charAt(0)) {
      case 'f': return `.${rest}`
      case 'k': return `[${Object.entries(JSON.parse(rest) as JsonObject).map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(',')}]` // cast: k: holds an object
      case 'v': return `[=${rest}]`
      default: return `[${rest}]`
    }
  }).join('')
}

const noMembers: ReadonlySet<PathElement> = new Set()
const noChildren: ReadonlyMap<PathElement, FieldSet> = new Map()

export class FieldSet {
  protected ownMembers: ReadonlySet<PathElement>
  protected ownChildren: ReadonlyMap<PathElement, FieldSet>
  /** The fieldsV1 that it was read from, where a write would give the same. */
  readonly #source: JsonObject | undefined

  constructor(members: ReadonlySet<PathElement> = noMembers, children: ReadonlyMap<PathElement, FieldSet> = noChildren, source?: JsonObject) {
    this.ownMembers = members
    this.ownChildren = children
    this.#source = source
  }

  get members(): ReadonlySet<PathElement> { return this.ownMembers }
  get children(): ReadonlyMap<PathElement, FieldSet> { return this.ownChildren }
  get isEmpty(): boolean { return this.ownMembers.size === 0 && this.ownChildren.size === 0 }

  has(path: readonly PathElement[]): boolean {
    const [first, ...rest] = path
    if (first === undefined) return false
    return rest.length === 0 ? this.ownMembers.has(first) : (this.ownChildren.get(first)?.has(rest) ?? false)
  }

  union(other: FieldSet): FieldSet {
    if (other.isEmpty) return this
    if (this.isEmpty) return other
    const children = new Map(this.ownChildren)
    for (const [element, child] of other.children) children.set(element, children.get(element)?.union(child) ?? child)
    return new FieldSet(new Set([...this.ownMembers, ...other.members]), children)
  }

  intersection(other: FieldSet): FieldSet {
    return this.#filtered((element) => other.members.has(element), (element, child) => { const theirs = other.children.get(element); return theirs === undefined ? emptyFieldSet : child.intersection(theirs) })
  }

  /** Without the very paths of `other`; what lies below them stays. */
  difference(other: FieldSet): FieldSet {
    if (other.isEmpty) return this
    return this.#filtered((element) => !other.members.has(element), (element, child) => { const theirs = other.children.get(element); return theirs === undefined ? child : child.difference(theirs) })
  }

  /** Without the paths of `other` and everything below them. */
  recursiveDifference(other: FieldSet): FieldSet {
    if (other.isEmpty) return this
    return this.#filtered((element) => !other.members.has(element), (element, child) => {
      if (other.members.has(element)) return emptyFieldSet
      const theirs = other.children.get(element)
      return theirs === undefined ? child : child.recursiveDifference(theirs)
    })
  }

  /** Itself where nothing goes. */
  #filtered(keep: (element: PathElement) => boolean, descend: (element: PathElement, child: FieldSet) => FieldSet): FieldSet {
    const members = new Set<PathElement>()
    for (const element of this.ownMembers) if (keep(element)) members.add(element)
    let isWhole = members.size === this.ownMembers.size
    const children = new Map<PathElement, FieldSet>()
    for (const [element, child] of this.ownChildren) {
      const next = descend(element, child)
      if (next !== child) isWhole = false
      if (!next.isEmpty) children.set(element, next)
    }
    return isWhole ? this : new FieldSet(members, children)
  }

  equals(other: FieldSet): boolean {
    if (this.ownMembers.size !== other.members.size || this.ownChildren.size !== other.children.size) return false
    for (const element of this.ownMembers) if (!other.members.has(element)) return false
    for (const [element, child] of this.ownChildren) { const theirs = other.children.get(element); if (theirs === undefined || !child.equals(theirs)) return false }
    return true
  }

  /** Every path, sorted: members of a level first, then what lies below. */
  paths(): (readonly PathElement[])[] {
    const own = [...this.ownMembers].sort(compareElements).map((element): readonly PathElement[] => [element])
    const below = [...this.ownChildren].sort(([a], [b]) => compareElements(a, b)).flatMap(([element, child]) => child.paths().map((path) => [element, ...path]))
    return [...own, ...below]
  }

  /** As fieldsV1: a member that has something below it holds a `.`. With `pieces` a long level is filled in later. */
  toFieldsV1(pieces?: Pieces, isMember = false): JsonObject {
    if (this.#source && Object.hasOwn(this.#source, '.') === isMember) return this.#source
    const elements = [...this.ownMembers]
    for (const element of this.ownChildren.keys()) if (!this.ownMembers.has(element)) elements.push(element)
    const out: { [key: string]: JsonValue } = isMember ? { '.': {} } : {}
    eachInPieces(pieces, elements.sort(compareElements), (element) => { out[element] = this.ownChildren.get(element)?.toFieldsV1(pieces, this.ownMembers.has(element)) ?? {} })
    return out
  }
}

export const emptyFieldSet = new FieldSet(noMembers, noChildren)

/** Reads fieldsV1; undefined when it isn't in its form. */
export function parseFieldsV1(fields: JsonValue | undefined): FieldSet | undefined { return parseLevel(fields)?.set }

/** `canonical`: toFieldsV1 would give the same text again. */
function parseLevel(fields: JsonValue | undefined): { readonly set: FieldSet; readonly canonical: boolean } | undefined {
  if (fields === undefined || fields === null) return { set: emptyFieldSet, canonical: false }
  if (!isJsonObject(fields)) return undefined
  const keys = Object.keys(fields)
  if (keys.length === 0) return leaf
  const members = new Set<PathElement>()
  const children = new Map<PathElement, FieldSet>()
  let canonical = true
  let previous: PathElement | undefined
  for (const [i, key] of keys.entries()) {
    const value = fields[key]
    if (key === '.') { canonical &&= i === 0 && keys.length > 1 && isJsonObject(value) && Object.keys(value).length === 0; continue }
    const element = parseElement(key)
    if (element === undefined || !isJsonObject(value)) return undefined
    const child = parseLevel(value)
    if (child === undefined) return undefined
    canonical &&= child.canonical && element === key && (previous === undefined || compareElements(previous, element) < 0)
    previous = element
    if (child.set.isEmpty || Object.hasOwn(value, '.')) members.add(element)
    if (!child.set.isEmpty) children.set(element, child.set)
  }
  return { set: members.size === 0 && children.size === 0 ? emptyFieldSet : new FieldSet(members, children, canonical ? fields : undefined), canonical }
}
const leaf = { set: emptyFieldSet, canonical: true } as const

function parseElement(key: string): PathElement | undefined {
  const rest = key.slice(2)
  switch (key.slice(0, 2)) {
    case 'f:': return key
    case 'i:': return /^-?\d+$/.test(rest) ? key : undefined
    case 'k:': case 'v:':
      try {
        const value = JSON.parse(rest) as JsonValue // cast: JSON.parse gives JSON
        return key.startsWith('v:') ? valueElement(value) : isJsonObject(value) ? keyElement(value) : undefined
      } catch { return undefined }
    default: return undefined
  }
}

/** A set that still grows. Nobody else may hold it until it is complete; from then on it is a FieldSet like any other. */
export class GrowingFieldSet extends FieldSet {
  #members: Set<PathElement> | undefined
  #children: Map<PathElement, FieldSet> | undefined

  /** Adds the element itself. */
  member(element: PathElement): void {
    if (!this.#members) this.ownMembers = this.#members = new Set()
    this.#members.add(element)
  }

  /** Adds what grows below the element; it must not stay empty, and comes once. */
  child(element: PathElement): GrowingFieldSet {
    if (!this.#children) this.ownChildren = this.#children = new Map()
    const child = new GrowingFieldSet()
    this.#children.set(element, child)
    return child
  }
}

/** A set of plain field paths: `[['status'], ['metadata', 'labels']]`. */
export function fieldSetOf(paths: readonly (readonly string[])[]): FieldSet {
  return paths.reduce((all, path) => all.union(path.reduceRight((below: FieldSet | undefined, name): FieldSet => {
    const element = fieldElement(name)
    return below ? new FieldSet(undefined, new Map([[element, below]])) : new FieldSet(new Set([element]))
  }, undefined) ?? emptyFieldSet), emptyFieldSet)
}

// Sets of paths into an object: what a manager owns. A path is a row of elements in the form that managedFields has them on the wire: `f:name` a field,
// `k:{"name":"a"}` an item of a list by its keys, `v:"x"` an item by its value, `i:0` by its place. A set is never changed once it is handed out.
// Upstream: sigs.k8s.io/structured-merge-diff fieldpath
import { isJsonObject, type JsonObject, type JsonValue } from '../../base/json.ts'

export type PathElement = string

export const fieldElement = (name: string): PathElement => `f:${name}`
export const valueElement = (value: JsonValue): PathElement => `v:${JSON.stringify(value)}`

/** Keys are sorted, so that equal items have equal elements. */
export function keyElement(key: JsonObject): PathElement {
  return `k:${JSON.stringify(Object.fromEntries(Object.entries(key).sort(([a], [b]) => (a < b ? -1 : 1))))}`
}

const rank: { readonly [kind: string]: number } = { f: 0, k: 1, v: 2, i: 3 }

function compareElements(a: PathElement, b: PathElement): number {
  const byKind = (rank[a.charAt(0)] ?? 4) - (rank[b.charAt(0)] ?? 4)
  if (byKind !== 0) return byKind
  if (a.startsWith('i:')) return Number(a.slice(2)) - Number(b.slice(2))
  return a < b ? -1 : a > b ? 1 : 0
}

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

export class FieldSet {
  readonly #members: ReadonlySet<PathElement>
  readonly #children: ReadonlyMap<PathElement, FieldSet>

  constructor(members: ReadonlySet<PathElement>, children: ReadonlyMap<PathElement, FieldSet>) {
    this.#members = members
    this.#children = children
  }

  get members(): ReadonlySet<PathElement> { return this.#members }
  get children(): ReadonlyMap<PathElement, FieldSet> { return this.#children }
  get isEmpty(): boolean { return this.#members.size === 0 && this.#children.size === 0 }

  has(path: readonly PathElement[]): boolean {
    const [first, ...rest] = path
    if (first === undefined) return false
    return rest.length === 0 ? this.#members.has(first) : (this.#children.get(first)?.has(rest) ?? false)
  }

  union(other: FieldSet): FieldSet {
    if (other.isEmpty) return this
    if (this.isEmpty) return other
    const children = new Map(this.#children)
    for (const [element, child] of other.#children) children.set(element, children.get(element)?.union(child) ?? child)
    return new FieldSet(new Set([...this.#members, ...other.#members]), children)
  }

  intersection(other: FieldSet): FieldSet {
    return this.#filtered((element) => other.#members.has(element), (element, child) => { const theirs = other.#children.get(element); return theirs === undefined ? emptyFieldSet : child.intersection(theirs) })
  }

  /** Without the very paths of `other`; what lies below them stays. */
  difference(other: FieldSet): FieldSet {
    if (other.isEmpty) return this
    return this.#filtered((element) => !other.#members.has(element), (element, child) => { const theirs = other.#children.get(element); return theirs === undefined ? child : child.difference(theirs) })
  }

  /** Without the paths of `other` and everything below them. */
  recursiveDifference(other: FieldSet): FieldSet {
    if (other.isEmpty) return this
    return this.#filtered((element) => !other.#members.has(element), (element, child) => {
      if (other.#members.has(element)) return emptyFieldSet
      const theirs = other.#children.get(element)
      return theirs === undefined ? child : child.recursiveDifference(theirs)
    })
  }

  #filtered(keep: (element: PathElement) => boolean, descend: (element: PathElement, child: FieldSet) => FieldSet): FieldSet {
    const members = new Set([...this.#members].filter(keep))
    const children = new Map<PathElement, FieldSet>()
    for (const [element, child] of this.#children) { const next = descend(element, child); if (!next.isEmpty) children.set(element, next) }
    return new FieldSet(members, children)
  }

  equals(other: FieldSet): boolean {
    if (this.#members.size !== other.#members.size || this.#children.size !== other.#children.size) return false
    for (const element of this.#members) if (!other.#members.has(element)) return false
    for (const [element, child] of this.#children) { const theirs = other.#children.get(element); if (theirs === undefined || !child.equals(theirs)) return false }
    return true
  }

  /** Every path, sorted: members of a level first, then what lies below. */
  paths(): (readonly PathElement[])[] {
    const own = [...this.#members].sort(compareElements).map((element): readonly PathElement[] => [element])
    const below = [...this.#children].sort(([a], [b]) => compareElements(a, b)).flatMap(([element, child]) => child.paths().map((path) => [element, ...path]))
    return [...own, ...below]
  }

  /** As fieldsV1: a member that has something below it holds a `.`. */
  toFieldsV1(): JsonObject {
    const elements = [...new Set([...this.#members, ...this.#children.keys()])].sort(compareElements)
    const out: { [key: string]: JsonValue } = {}
    for (const element of elements) {
      const child = this.#children.get(element)
      out[element] = child === undefined ? {} : this.#members.has(element) ? { '.': {}, ...child.toFieldsV1() } : child.toFieldsV1()
    }
    return out
  }
}

export const emptyFieldSet = new FieldSet(new Set(), new Map())

/** Reads fieldsV1; undefined when it isn't in its form. */
export function parseFieldsV1(fields: JsonValue | undefined): FieldSet | undefined {
  if (fields === undefined || fields === null) return emptyFieldSet
  if (!isJsonObject(fields)) return undefined
  const members = new Set<PathElement>()
  const children = new Map<PathElement, FieldSet>()
  for (const [key, value] of Object.entries(fields)) {
    if (key === '.') continue
    const element = parseElement(key)
    if (element === undefined || !isJsonObject(value)) return undefined
    const child = parseFieldsV1(value)
    if (child === undefined) return undefined
    if (child.isEmpty || Object.hasOwn(value, '.')) members.add(element)
    if (!child.isEmpty) children.set(element, child)
  }
  return new FieldSet(members, children)
}

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

/** Gathers paths; `set()` hands out what was gathered. */
export class FieldSetBuilder {
  readonly #members = new Set<PathElement>()
  readonly #children = new Map<PathElement, FieldSetBuilder>()

  add(path: readonly PathElement[]): void {
    const [first, ...rest] = path
    if (first === undefined) return
    if (rest.length === 0) { this.#members.add(first); return }
    let child = this.#children.get(first)
    if (child === undefined) { child = new FieldSetBuilder(); this.#children.set(first, child) }
    child.add(rest)
  }

  set(): FieldSet { return new FieldSet(this.#members, new Map([...this.#children].map(([element, child]) => [element, child.set()]))) }
}

/** A set of plain field paths: `[['status'], ['metadata', 'labels']]`. */
export function fieldSetOf(paths: readonly (readonly string[])[]): FieldSet {
  const builder = new FieldSetBuilder()
  for (const path of paths) builder.add(path.map(fieldElement))
  return builder.set()
}

// One object as the API server keeps it: the bytes that it serves, plus the place where the resourceVersion belongs. Where etcd holds plain JSON they
// are the very bytes that etcd holds; else they are made from those once (stored-values.ts).
//
// Rule it keeps: bytes are made once, when the object is written. Get, list, watch and the store share them; the resourceVersion, which etcd
// alone knows, is spliced in on the way out. The parsed form is made when somebody asks, shared by all who hold it (weakly, so that the heap
// stays small), and deeply readonly.
import { parseExactJson, stringifyExactJson } from '../../../lib/base/exact-json.ts'
import type { JsonObject, JsonValue } from '../../../lib/base/json.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'

const decoder = new TextDecoder()

/** What one resource's objects have in common. */
export interface StoredKind {
  /** `{"kind":"Pod","apiVersion":"v1",`: list items are what comes after it, with a brace before. */
  readonly head: string
  /** Values that field selectors may ask for. */
  selectableFields(object: ApiObject): { readonly [field: string]: string }
  /** Tests freeze whatever enters a cache. */
  readonly freeze: boolean
}

/** What selectors look at. */
export interface Selection {
  readonly labels: { readonly [key: string]: string }
  readonly fields: { readonly [field: string]: string }
}

const noLabels: { readonly [key: string]: string } = Object.freeze({})

export class StoredObject {
  readonly kind: StoredKind
  /** `<namespace>/<name>` or `<name>`. */
  readonly key: string
  /** JSON without resourceVersion. Never written to: an embedded etcd holds the same bytes. */
  readonly value: Uint8Array
  readonly revision: number
  /** Offset in `value` at which `,"resourceVersion":"N"` belongs. */
  readonly insertAt: number
  #object: WeakRef<ApiObject> | undefined
  #selection: Selection | undefined

  constructor(kind: StoredKind, key: string, value: Uint8Array, revision: number, insertAt: number, object?: ApiObject) {
    this.kind = kind
    this.key = key
    this.value = value
    this.revision = revision
    this.insertAt = insertAt
    if (object) this.adopt(object)
  }

  /** Length of the served form in bytes. */
  get byteLength(): number { return this.value.length + versionLength(this.revision) }

  /** The parsed object with its resourceVersion. */
  get object(): ApiObject {
    const held = this.#object?.deref()
    if (held) return held
    const text = `${decoder.decode(this.value.subarray(0, this.insertAt))}${versionText(this.revision)}${decoder.decode(this.value.subarray(this.insertAt))}`
    // cast: only encoded API objects are stored
    const object = parseExactJson(text) as unknown as ApiObject
    this.#object = new WeakRef(this.kind.freeze ? deepFreeze(object) : object)
    return object
  }

  /** Takes a parsed form that somebody already has; it must equal the bytes, resourceVersion included. */
  adopt(object: ApiObject): void { this.#object ??= new WeakRef(this.kind.freeze ? deepFreeze(object) : object) }

  get selection(): Selection {
    this.#selection ??= { labels: this.object.metadata.labels ?? noLabels, fields: this.kind.selectableFields(this.object) }
    return this.#selection
  }

  /** True when asking for `selection` or `object` parses nothing. */
  get isParsed(): boolean { return this.#selection !== undefined || this.#object?.deref() !== undefined }

  /** The same bytes under another resourceVersion: the last state of something deleted. */
  at(revision: number): StoredObject { return new StoredObject(this.kind, this.key, this.value, revision, this.insertAt) }

  /** The served JSON in bytes of its own. */
  toBytes(): Uint8Array {
    const bytes = Buffer.allocUnsafe(this.byteLength)
    this.writeTo(bytes, 0)
    return bytes
  }

  /** Writes the served JSON. @returns the offset after it */
  writeTo(target: Buffer, offset: number): number { return this.#write(target, offset, 0) }

  /** Length of the form that stands in lists: without kind and apiVersion. */
  get itemByteLength(): number { return this.byteLength - this.kind.head.length + 1 }

  /** Writes the form that stands in lists. @returns the offset after it */
  writeItemTo(target: Buffer, offset: number): number {
    target[offset] = 0x7b
    return this.#write(target, offset + 1, this.kind.head.length)
  }

  #write(target: Buffer, offset: number, from: number): number {
    target.set(this.value.subarray(from, this.insertAt), offset)
    let at = offset + this.insertAt - from
    at += target.write(versionText(this.revision), at, 'latin1')
    target.set(this.value.subarray(this.insertAt), at)
    return at + this.value.length - this.insertAt
  }
}

const versionText = (revision: number): string => `,"resourceVersion":"${revision}"`
const versionLength = (revision: number): number => 21 + String(revision).length

/** An object's served bytes and where the resourceVersion goes into them. */
export interface StoredLayout { readonly value: Uint8Array; readonly insertAt: number }

/** The bytes to serve, and where the resourceVersion goes. Key order: kind, apiVersion, metadata (name, generateName, namespace, uid first), the rest. */
export function encodeForStorage(object: ApiObject): StoredLayout {
  const { kind, apiVersion, metadata, ...rest } = object
  const { name, generateName, namespace, uid, resourceVersion: _ignored, ...meta } = metadata
  const text = stringifyExactJson({ kind, apiVersion, metadata: { name, generateName, namespace, uid, ...meta }, ...rest })
  const value = Buffer.from(text)
  return { value, insertAt: findInsertAt(value) }
}

const uidMarker = Buffer.from('"uid":"')

/** Offset after metadata.uid of canonical bytes; -1 when they aren't. A quote inside a JSON string is escaped, so the marker can only be a key. */
export function findInsertAt(value: Uint8Array): number {
  const buffer = Buffer.from(value.buffer, value.byteOffset, value.length)
  const at = buffer.indexOf(uidMarker)
  if (at < 0) return -1
  const end = buffer.indexOf(0x22, at + uidMarker.length)
  return end < 0 ? -1 : end + 1
}

/** True when `value` has the layout that encodeForStorage gives, so that it can be served as it is. */
export function isCanonical(value: Uint8Array, head: string): boolean {
  const buffer = Buffer.from(value.buffer, value.byteOffset, value.length)
  const start = `${head}"metadata":{"name":"`
  if (buffer.length < start.length || buffer.toString('latin1', 0, start.length) !== start) return false
  const insertAt = findInsertAt(value)
  if (insertAt < 0) return false
  const between = buffer.toString('latin1', start.length, insertAt)
  return /^[^"\\]*"(?:,"generateName":"[^"\\]*")?(?:,"namespace":"[^"\\]*")?,"uid":"[^"\\]*"$/.test(between)
    && buffer.toString('latin1', insertAt, insertAt + 19) !== ',"resourceVersion":'
}

export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const key of Object.keys(value)) deepFreeze((value as { [key: string]: unknown })[key]) // cast: walking its own keys
  }
  return value
}

/** An API object seen as JSON: the two are the same values. */
// cast: API types have no index signature, their values are JSON all the same
export const asJson = (object: object): JsonObject => object as unknown as JsonObject
/** JSON seen as an API object, after something has made sure that it has metadata. */
// cast: see above
export const asApiObject = (value: object | JsonValue | undefined): ApiObject => value as unknown as ApiObject

/** The same object under this resourceVersion, with the metadata in the order in which it is served. */
export function withResourceVersion(object: ApiObject, resourceVersion: string): ApiObject {
  const { name, generateName, namespace, uid, resourceVersion: _old, ...rest } = object.metadata
  return {
    ...object,
    metadata: { name, ...(generateName !== undefined && { generateName }), ...(namespace !== undefined && { namespace }), uid, resourceVersion, ...rest },
  }
}

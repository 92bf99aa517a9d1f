// How server-side apply sees a type: which maps and lists are merged and which are one value, and what tells the items of a list apart.
// Upstream: apimachinery/pkg/util/managedfields/typeconverter.go, structured-merge-diff schema
import { isJsonObject, type JsonObject, type JsonValue } from '../../base/json.ts'
import { messagePlan, type FieldPlan } from '../message-plan.ts'
import { schema } from '../schema.ts'
import { fieldElement, keyElement, valueElement, type PathElement } from './field-set.ts'

export type MergeType =
  | { readonly kind: 'scalar' }
  /** Nothing is known: maps merge, lists are one value. */
  | { readonly kind: 'untyped' }
  | { readonly kind: 'struct'; readonly id: string; readonly atomic: boolean }
  | { readonly kind: 'map'; readonly element: MergeType; readonly atomic: boolean }
  | { readonly kind: 'list'; readonly element: MergeType; readonly relation: 'atomic' | 'set' | 'map'; readonly keys: readonly string[] }

const scalar: MergeType = { kind: 'scalar' }
const untyped: MergeType = { kind: 'untyped' }
const fieldTypes = new Map<FieldPlan, MergeType>()

/** The type of whole objects. */
export function objectType(id: string): MergeType { return { kind: 'struct', id, atomic: schema[id]?.atomic === true } }

function elementType(field: FieldPlan): MergeType {
  switch (field.kind) {
    case 'message': return { kind: 'struct', id: field.type, atomic: schema[field.type]?.atomic === true || (field.shape === 'one' && field.schema.mapType === 'atomic') }
    case 'listOf': return { kind: 'list', element: scalar, relation: 'atomic', keys: [] }
    case 'RawExtension': case 'JSON': case 'FieldsV1': case 'JSONSchemaPropsOrArray': case 'JSONSchemaPropsOrBool': case 'JSONSchemaPropsOrStringArray': return untyped
    default: return scalar
  }
}

function typeOfField(field: FieldPlan): MergeType {
  const known = fieldTypes.get(field)
  if (known !== undefined) return known
  const element = elementType(field)
  const made: MergeType = field.shape === 'one' ? element
    : field.shape === 'map' ? { kind: 'map', element, atomic: field.schema.mapType === 'atomic' }
      : { kind: 'list', element, relation: field.schema.listType ?? 'atomic', keys: field.schema.listMapKeys ?? [] }
  fieldTypes.set(field, made)
  return made
}

/** The type of a struct's field; undefined when the struct has none of that name. */
export function structField(id: string, name: string): MergeType | undefined {
  const plan = messagePlan(id)
  const index = plan.indexByName.get(name)
  const field = index === undefined ? undefined : plan.jsonFields[index]
  if (field !== undefined) return typeOfField(field)
  return plan.typeMeta && (name === 'kind' || name === 'apiVersion') ? scalar : undefined
}

/** What an untyped value is, from its own shape; a typed one as it is. */
export function resolveType(type: MergeType, value: JsonValue | undefined): MergeType {
  if (type.kind !== 'untyped') return type
  if (Array.isArray(value)) return { kind: 'list', element: untyped, relation: 'atomic', keys: [] }
  return isJsonObject(value) ? { kind: 'map', element: untyped, atomic: false } : scalar
}

/** The type below a path element. */
export function descend(type: MergeType, element: PathElement): MergeType {
  switch (type.kind) {
    case 'struct': return structField(type.id, element.slice(2)) ?? untyped
    case 'map': case 'list': return type.element
    default: return untyped
  }
}

export type ItemElement = { readonly ok: true; readonly element: PathElement } | { readonly ok: false; readonly error: string }

/** What tells an item of an associative list. Keys that are absent take the schema's default (`protocol: TCP`). */
export function itemElement(type: Extract<MergeType, { kind: 'list' }>, item: JsonValue): ItemElement {
  if (type.relation === 'set') {
    if (isJsonObject(item)) return { ok: false, error: "associative list without keys has an element that's a map type" }
    if (Array.isArray(item)) return { ok: false, error: 'not supported: associative list with lists as elements' }
    if (item === null) return { ok: false, error: "associative list without keys has an element that's an explicit null" }
    return { ok: true, element: valueElement(item) }
  }
  if (!isJsonObject(item)) return { ok: false, error: `associative list with keys may not have ${item === null ? 'a null element' : 'non-map elements'}` }
  const key: { [name: string]: JsonValue } = {}
  for (const name of type.keys) {
    const value = Object.hasOwn(item, name) ? item[name] : undefined
    const byDefault = value === undefined ? keyDefault(type.element, name) : undefined
    if (value !== undefined) key[name] = value
    else if (byDefault !== undefined) key[name] = byDefault
  }
  if (Object.keys(key).length === 0) return { ok: false, error: `associative list with keys has an element that omits all key fields ${JSON.stringify(type.keys).replaceAll(',', ' ')} (and doesn't have default values for any key fields)` }
  return { ok: true, element: keyElement(key) }
}

function keyDefault(element: MergeType, name: string): JsonValue | undefined {
  if (element.kind !== 'struct') return undefined
  const plan = messagePlan(element.id)
  const index = plan.indexByName.get(name)
  const field = index === undefined ? undefined : plan.jsonFields[index]
  if (field === undefined) return undefined
  const { default: byDefault } = field.schema
  const valued = !field.pointer && !field.omitEmpty
  switch (field.kind) {
    case 'string': return byDefault ?? (valued ? '' : undefined)
    case 'int32': case 'int64': return byDefault === undefined ? (valued ? 0 : undefined) : Number(byDefault)
    case 'bool': return byDefault === undefined ? (valued ? false : undefined) : byDefault === 'true'
    default: return undefined
  }
}

/** Fields of a map or struct with the elements that name them. */
export function entriesOf(object: JsonObject): readonly (readonly [PathElement, string, JsonValue])[] {
  return Object.entries(object).filter((entry): entry is [string, JsonValue] => entry[1] !== undefined).map(([name, value]) => [fieldElement(name), name, value] as const)
}

// The schema, prepared for the codecs: fields flattened as JSON sees them (inline structs dissolved), ordered as protobuf writes them, with
// what each walk asks of a field worked out once. Plans are made when a type is first met.
import { assert } from '../base/assert.ts'
import { schema, type SchemaField } from './schema.ts'

/** How a value looks on the wire; `message` values have a plan, `listOf` are named lists of strings. */
export type ValueKind =
  | 'string' | 'bytes' | 'bool' | 'int32' | 'int64' | 'uint32' | 'uint64' | 'double' | 'Time' | 'MicroTime' | 'Duration' | 'Quantity' | 'IntOrString' | 'RawExtension' | 'JSON' | 'FieldsV1'
  | 'message' | 'listOf' | 'JSONSchemaPropsOrArray' | 'JSONSchemaPropsOrBool' | 'JSONSchemaPropsOrStringArray'

export interface FieldPlan {
  /** JSON name; empty for inline fields. */
  readonly name: string
  readonly number: number
  /** Of the value, or of the element of a list or map. */
  readonly kind: ValueKind
  readonly shape: 'one' | 'list' | 'map'
  /** For messages: the type's id. */
  readonly type: string
  readonly pointer: boolean
  readonly omitEmpty: boolean
  readonly omitZero: boolean
  readonly inline: boolean
  /** Go's names of the embedded structs that the field comes from, which error texts have in front of its own: `VolumeSource.`. */
  readonly embedded: string
  /** Go's names, for error texts: of the whole field and of its element. */
  readonly goType: string
  readonly goElementType: string
  readonly schema: SchemaField
}

export interface MessagePlan {
  readonly id: string
  /** `PodSpec` */
  readonly structName: string
  /** `v1.PodSpec` */
  readonly goName: string
  /** Carries kind and apiVersion in JSON. */
  readonly typeMeta: boolean
  /** In JSON's order, fields of inline structs among them. */
  readonly jsonFields: readonly FieldPlan[]
  /** Index into jsonFields by JSON name. */
  readonly indexByName: ReadonlyMap<string, number>
  /** In order of number; inline structs are one nested field. */
  readonly protoFields: readonly FieldPlan[]
  readonly protoByNumber: ReadonlyMap<number, FieldPlan>
}

const scalarKinds: ReadonlySet<string> = new Set(['string', 'bytes', 'bool', 'int32', 'int64', 'uint32', 'uint64', 'double', 'Time', 'MicroTime', 'Duration', 'Quantity', 'IntOrString', 'RawExtension', 'JSON', 'FieldsV1'])
const unionNames: ReadonlySet<string> = new Set(['JSONSchemaPropsOrArray', 'JSONSchemaPropsOrBool', 'JSONSchemaPropsOrStringArray'])
const plans = new Map<string, MessagePlan>()

/** The last part of a type's id: `Pod`. */
export const simpleName = (id: string): string => id.slice(id.lastIndexOf('.') + 1)

export function hasMessage(id: string): boolean { return Object.hasOwn(schema, id) }

function kindOf(type: string): ValueKind {
  if (scalarKinds.has(type)) return type as ValueKind // cast: the set holds ValueKinds
  const simple = simpleName(type)
  if (unionNames.has(simple)) return simple as ValueKind // cast: the set holds ValueKinds
  return schema[type]?.listOf === undefined ? 'message' : 'listOf'
}

function goNameOf(type: string): string {
  switch (type) {
    case 'bytes': return '[]uint8'
    case 'double': return 'float64'
    case 'Quantity': return 'resource.Quantity'
    case 'IntOrString': return 'intstr.IntOrString'
    case 'RawExtension': return 'runtime.RawExtension'
    case 'Time': case 'MicroTime': case 'Duration': case 'FieldsV1': case 'JSON': return `v1.${type}`
    default: return type.includes('.') ? type.split('.').slice(-2).join('.') : type
  }
}

function planField(field: SchemaField): FieldPlan {
  const shape = field.list ? 'list' : field.map ? 'map' : 'one'
  const goType = (field.goType ?? `${shape === 'list' ? '[]' : shape === 'map' ? 'map[string]' : ''}${goNameOf(field.type)}`).replace(/^\*/, '')
  const element = shape === 'list' && goType.startsWith('[]') ? goType.slice(2) : shape === 'map' && goType.startsWith('map[') ? goType.slice(goType.indexOf(']') + 1) : shape === 'one' ? goType : goNameOf(field.type)
  return {
    name: field.name, number: field.number, kind: kindOf(field.type), shape, type: field.type, pointer: field.pointer === true, omitEmpty: field.omitEmpty === true,
    omitZero: field.omitZero === true, inline: field.inline === true, embedded: '', goType, goElementType: element.replace(/^\*/, ''), schema: field,
  }
}

/** The plan of a message. The id must exist in the schema. */
export function messagePlan(id: string): MessagePlan {
  const known = plans.get(id)
  if (known !== undefined) return known
  const message = schema[id]
  assert(message !== undefined, `${id} is in the schema`)
  const own = message.fields.map(planField)
  const jsonFields = own.flatMap((field) => (field.inline && field.kind === 'message' && field.shape === 'one' ? messagePlan(field.type).jsonFields.map((inner): FieldPlan => ({ ...inner, embedded: `${field.schema.goField ?? simpleName(field.type)}.${inner.embedded}` })) : [field]))
  const protoFields = own.toSorted((a, b) => a.number - b.number)
  const plan: MessagePlan = {
    id, structName: simpleName(id), goName: goNameOf(id), typeMeta: message.typeMeta === true, jsonFields,
    indexByName: new Map(jsonFields.map((field, i) => [field.name, i])), protoFields, protoByNumber: new Map(protoFields.map((field) => [field.number, field])),
  }
  plans.set(id, plan)
  return plan
}

/** Puts fields that were read, by index in `jsonFields`, into an object: schema order, zero values present or left out as Go's encoder does. */
export function assembleObject(plan: MessagePlan, values: readonly unknown[], kind: string | undefined, apiVersion: string | undefined): { [field: string]: unknown } {
  const out: { [field: string]: unknown } = {}
  if (kind !== undefined && kind !== '') out['kind'] = kind
  if (apiVersion !== undefined && apiVersion !== '') out['apiVersion'] = apiVersion
  const { jsonFields } = plan
  for (let i = 0; i < jsonFields.length; i++) {
    const field = jsonFields[i]! // cast: inside the bounds
    const value = values[i]
    if (value === undefined) {
      const zero = field.pointer || field.shape !== 'one' ? undefined : zeroOf(field)
      if (zero !== undefined) out[field.name] = zero
    } else if (field.pointer || !field.omitEmpty || !isEmptyValue(field, value)) out[field.name] = value
  }
  return out
}

/** What an absent non-pointer field holds: structs are always there, scalars unless they may be omitted. */
function zeroOf(field: FieldPlan): unknown {
  switch (field.kind) {
    case 'message': return field.omitZero ? undefined : zeroMessage(field.type)
    case 'string': return field.omitEmpty ? undefined : ''
    case 'bool': return field.omitEmpty ? undefined : false
    case 'int32': case 'int64': case 'uint32': case 'uint64': case 'double': return field.omitEmpty ? undefined : 0
    default: return undefined
  }
}

const zeroMessages = new Map<string, { readonly [field: string]: unknown }>()

/** The object of a struct in which nothing is set. Shared: objects are never mutated. */
export function zeroMessage(id: string): { readonly [field: string]: unknown } {
  const known = zeroMessages.get(id)
  if (known !== undefined) return known
  const zero = Object.freeze(assembleObject(messagePlan(id), [], undefined, undefined))
  zeroMessages.set(id, zero)
  return zero
}

function isEmptyValue(field: FieldPlan, value: unknown): boolean {
  if (field.shape === 'list') return (value as readonly unknown[]).length === 0 // cast: lists hold arrays
  if (field.shape === 'map') { for (const _ in value as object) return false; return true } // cast: maps hold objects
  switch (field.kind) {
    case 'string': case 'bytes': return value === ''
    case 'bool': return value === false
    case 'int32': case 'int64': case 'uint32': case 'uint64': case 'double': return value === 0
    case 'listOf': return (value as readonly unknown[]).length === 0 // cast: named lists hold arrays
    default: return false
  }
}

// OpenAPI schemas of the API's types, read from the schema: version 3's form and version 2's, which differ in how references, defaults and unions are said.
// The x-kubernetes-* extensions carry what clients merge and apply by. Upstream: kube-openapi/pkg/generators, kube-openapi/pkg/builder{,3}
import type { JsonObject, JsonValue } from '../../base/json.ts'
import { schema, type SchemaField } from '../schema.ts'
import { servedResources } from '../generated/resources.ts'

export type OpenApiVersion = 2 | 3

/** Texts by type id and field; the type's own text is under the empty name. */
export type Descriptions = { readonly [type: string]: { readonly [field: string]: string } | undefined }

const meta = 'io.k8s.apimachinery.pkg.apis.meta.v1'
const apiextensions = 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1'

/** Ids under which the special types stand in OpenAPI. */
const specialIds: { readonly [type: string]: string } = {
  Time: `${meta}.Time`, MicroTime: `${meta}.MicroTime`, Duration: `${meta}.Duration`, FieldsV1: `${meta}.FieldsV1`, Quantity: 'io.k8s.apimachinery.pkg.api.resource.Quantity',
  IntOrString: 'io.k8s.apimachinery.pkg.util.intstr.IntOrString', RawExtension: 'io.k8s.apimachinery.pkg.runtime.RawExtension', JSON: `${apiextensions}.JSON`,
}
export const patchId = `${meta}.Patch`

function specialSchema(id: string, version: OpenApiVersion): JsonObject | undefined {
  switch (id) {
    case specialIds['Time']: case specialIds['MicroTime']: return { type: 'string', format: 'date-time' }
    case specialIds['Duration']: return { type: 'string' }
    case specialIds['Quantity']: return version === 2 ? { type: 'string' } : { oneOf: [{ type: 'string' }, { type: 'number' }] }
    case specialIds['IntOrString']: return version === 2 ? { type: 'string', format: 'int-or-string' } : { format: 'int-or-string', oneOf: [{ type: 'integer' }, { type: 'string' }] }
    case specialIds['RawExtension']: case specialIds['FieldsV1']: case patchId: return { type: 'object' }
    case specialIds['JSON']: case `${apiextensions}.JSONSchemaPropsOrArray`: case `${apiextensions}.JSONSchemaPropsOrBool`: case `${apiextensions}.JSONSchemaPropsOrStringArray`: return {}
    default: return undefined
  }
}

const typeMetaFields: readonly (readonly [string, string])[] = [
  ['apiVersion', 'APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources'],
  ['kind', 'Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds'],
]

const groupVersionOfPackage: ReadonlyMap<string, readonly [string, string]> = new Map(servedResources.map((info) => [info.type.slice(0, info.type.lastIndexOf('.')), [info.group, info.version]]))
const everyGroupVersion: readonly (readonly [string, string])[] = [...new Map(servedResources.map((info) => [`${info.group}/${info.version}`, [info.group, info.version] as const])).values()].sort(([a, v], [b, w]) => (a < b ? -1 : a > b ? 1 : v < w ? -1 : 1))

/** The kinds that a type is, as clients look them up. */
function groupVersionKinds(id: string): readonly JsonObject[] {
  const dot = id.lastIndexOf('.')
  const kind = id.slice(dot + 1)
  const pkg = id.slice(0, dot)
  if (pkg === meta) {
    if (kind === 'DeleteOptions' || kind === 'WatchEvent') return everyGroupVersion.map(([group, version]) => ({ group, kind, version }))
    return [{ group: '', kind, version: 'v1' }]
  }
  const groupVersion = groupVersionOfPackage.get(pkg)
  return groupVersion === undefined ? [] : [{ group: groupVersion[0], kind, version: groupVersion[1] }]
}

export class DefinitionBuilder {
  readonly #version: OpenApiVersion
  readonly #descriptions: Descriptions
  readonly #definitions = new Map<string, JsonObject>()

  constructor(version: OpenApiVersion, descriptions: Descriptions = {}) {
    this.#version = version
    this.#descriptions = descriptions
  }

  /** A reference to a type, whose definition (and those it needs) is then in the document. */
  reference(id: string): JsonObject {
    if (!this.#definitions.has(id)) {
      this.#definitions.set(id, {}) // holds the place while its fields, which may lead back here, are built
      this.#definitions.set(id, this.#define(id))
    }
    return { $ref: `${this.#version === 2 ? '#/definitions/' : '#/components/schemas/'}${id}` }
  }

  /** Everything that was referred to, sorted by id. */
  definitions(): JsonObject { return Object.fromEntries([...this.#definitions].sort(([a], [b]) => (a < b ? -1 : 1))) }

  #described(id: string, field: string): JsonObject {
    const text = this.#descriptions[id]?.[field]
    return text === undefined || text === '' ? {} : { description: text }
  }

  #define(id: string): JsonObject {
    const special = specialSchema(id, this.#version)
    if (special !== undefined) return { ...this.#described(id, ''), ...special }
    const message = schema[id]
    if (message === undefined) return { type: 'object' }
    if (message.listOf !== undefined) return { ...this.#described(id, ''), type: 'array', items: this.#value({ name: '', number: 1, type: message.listOf }, true) }
    const properties: { [name: string]: JsonValue } = {}
    const required: string[] = []
    if (message.typeMeta) for (const [name, description] of typeMetaFields) properties[name] = { description, type: 'string' }
    this.#collect(id, message.fields, properties, required)
    const sorted = Object.fromEntries(Object.entries(properties).sort(([a], [b]) => (a < b ? -1 : 1)))
    const kinds = message.typeMeta ? groupVersionKinds(id) : []
    return {
      ...this.#described(id, ''), type: 'object', ...(Object.keys(sorted).length === 0 ? {} : { properties: sorted }), ...(required.length === 0 ? {} : { required: required.sort() }),
      ...(kinds.length === 0 ? {} : { 'x-kubernetes-group-version-kind': kinds }), ...(message.atomic ? { 'x-kubernetes-map-type': 'atomic' } : {}),
    }
  }

  #collect(id: string, fields: readonly SchemaField[], properties: { [name: string]: JsonValue }, required: string[]): void {
    for (const field of fields) {
      if (field.inline) {
        const inner = schema[field.type]
        if (inner !== undefined) this.#collect(field.type, inner.fields, properties, required)
        continue
      }
      properties[field.name] = { ...this.#described(id, field.name), ...this.#field(field) }
      if (field.required || (!field.optional && !field.omitEmpty && !field.omitZero)) required.push(field.name)
    }
  }

  #field(field: SchemaField): JsonObject {
    const extensions: JsonObject = {
      ...(field.listMapKeys === undefined ? {} : { 'x-kubernetes-list-map-keys': field.listMapKeys }), ...(field.listType === undefined ? {} : { 'x-kubernetes-list-type': field.listType }),
      ...(field.mapType === undefined ? {} : { 'x-kubernetes-map-type': field.mapType }), ...(field.patchMergeKey === undefined ? {} : { 'x-kubernetes-patch-merge-key': field.patchMergeKey }),
      ...(field.patchStrategy === undefined ? {} : { 'x-kubernetes-patch-strategy': field.patchStrategy }),
    }
    if (field.list) return { type: 'array', items: this.#value(field, true), ...extensions }
    if (field.map) return { type: 'object', additionalProperties: this.#value(field, true), ...extensions }
    return { ...this.#value(field, !field.pointer && !field.omitEmpty), ...this.#default(field), ...extensions }
  }

  /** A value, or an element of a list or map. `valued`: Go holds it by value and prints it always, so that version 3 tells its zero as the default. */
  #value(field: SchemaField, valued: boolean): JsonObject {
    const zero = (value: JsonValue): JsonObject => (valued && this.#version === 3 ? { default: value } : {})
    switch (field.type) {
      case 'string': return { type: 'string', ...zero('') }
      case 'bytes': return { type: 'string', format: 'byte' }
      case 'bool': return { type: 'boolean', ...zero(false) }
      case 'int32': return { type: 'integer', format: 'int32', ...zero(0) }
      case 'uint32': return { type: 'integer', format: 'int64', ...zero(0) }
      case 'int64': case 'uint64': return { type: 'integer', format: 'int64', ...zero(0) }
      case 'double': return { type: 'number', format: 'double', ...zero(0) }
      default: {
        const special = specialIds[field.type]
        if (special === undefined && schema[field.type]?.listOf !== undefined) return { type: 'array', items: { type: 'string', ...(this.#version === 3 ? { default: '' } : {}) } }
        const reference = this.reference(special ?? field.type)
        if (this.#version === 2) return reference
        // A struct by value is there even when nobody sets it.
        return !field.pointer && (special === undefined || !field.omitEmpty) ? { allOf: [reference], ...(special === undefined ? { default: {} } : {}) } : reference
      }
    }
  }

  #default(field: SchemaField): JsonObject {
    if (this.#version === 2 || field.default === undefined || field.default.startsWith('ref(')) return {}
    switch (field.type) {
      case 'int32': case 'int64': return { default: Number(field.default) }
      case 'bool': return { default: field.default === 'true' }
      case 'string': return { default: field.default }
      default: return {}
    }
  }
}

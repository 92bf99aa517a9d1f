// The OpenAPI v2 document as protobuf (gnostic's openapi.v2.Document), which is what kubectl and helm ask for first. proto3: zero values are left out.
// Extensions travel as YAML text, of which JSON is a part. Upstream: github.com/google/gnostic-models/openapiv2
import { isJsonObject, type JsonObject, type JsonValue } from '../../base/json.ts'
import { WireWriter } from '../../base/protobuf/wire-writer.ts'

type Write = (writer: WireWriter) => void

function text(w: WireWriter, field: number, value: JsonValue | undefined): void {
  if (typeof value === 'string' && value !== '') { w.tag(field, 2); w.string(value) }
}
function texts(w: WireWriter, field: number, value: JsonValue | undefined): void {
  if (Array.isArray(value)) for (const item of value) { w.tag(field, 2); w.string(String(item)) }
}
function flag(w: WireWriter, field: number, value: JsonValue | undefined): void {
  if (value === true) { w.tag(field, 0); w.varint(1) }
}
function nested(w: WireWriter, field: number, write: Write): void { w.tag(field, 2); w.nested(write) }

/** {1 name, 2 value} */
function named(w: WireWriter, field: number, name: string, value: Write): void {
  nested(w, field, (n) => { text(n, 1, name); nested(n, 2, value) })
}

function entries(value: JsonValue | undefined): readonly (readonly [string, JsonValue])[] {
  return isJsonObject(value) ? Object.entries(value).filter((entry): entry is [string, JsonValue] => entry[1] !== undefined) : []
}

/** Everything that begins with x-, as YAML. */
function extensions(w: WireWriter, field: number, object: JsonObject): void {
  for (const [key, value] of entries(object)) if (key.startsWith('x-')) named(w, field, key, anyValue(value))
}
const anyValue = (value: JsonValue): Write => (w) => text(w, 2, `${JSON.stringify(value)}\n`)

/** The document that buildOpenApiV2 made. */
export function encodeOpenApiV2Protobuf(document: JsonObject): Uint8Array {
  const w = new WireWriter(1 << 20)
  text(w, 1, document['swagger'])
  nested(w, 2, (n) => { const info = document['info']; if (isJsonObject(info)) { text(n, 1, info['title']); text(n, 2, info['version']) } })
  nested(w, 8, (n) => { for (const [path, item] of entries(document['paths'])) named(n, 2, path, pathItem(item)) })
  nested(w, 9, (n) => { for (const [id, schema] of entries(document['definitions'])) named(n, 1, id, schemaMessage(schema)) })
  for (const requirement of Array.isArray(document['security']) ? document['security'] : []) {
    nested(w, 12, (n) => { for (const [name, scopes] of entries(requirement as JsonValue)) named(n, 1, name, (s) => texts(s, 1, scopes)) }) // cast: items of a list are JSON
  }
  nested(w, 13, (n) => {
    for (const [name, definition] of entries(document['securityDefinitions'])) {
      named(n, 1, name, (item) => nested(item, 2, (key) => { if (isJsonObject(definition)) { text(key, 1, definition['type']); text(key, 2, definition['name']); text(key, 3, definition['in']); text(key, 4, definition['description']) } }))
    }
  })
  return w.finish()
}

const methods: readonly (readonly [string, number])[] = [['get', 2], ['put', 3], ['post', 4], ['delete', 5], ['options', 6], ['head', 7], ['patch', 8]]

function pathItem(item: JsonValue): Write {
  return (w) => {
    if (!isJsonObject(item)) return
    for (const [method, field] of methods) { const operation = item[method]; if (isJsonObject(operation)) nested(w, field, operationMessage(operation)) }
    parameters(w, 9, item['parameters'])
    extensions(w, 10, item)
  }
}

function operationMessage(operation: JsonObject): Write {
  return (w) => {
    texts(w, 1, operation['tags'])
    text(w, 3, operation['description'])
    text(w, 5, operation['operationId'])
    texts(w, 6, operation['produces'])
    texts(w, 7, operation['consumes'])
    parameters(w, 8, operation['parameters'])
    nested(w, 9, (n) => {
      for (const [code, response] of entries(operation['responses'])) {
        named(n, 1, code, (value) => nested(value, 1, (r) => {
          if (!isJsonObject(response)) return
          text(r, 1, response['description'])
          const schema = response['schema']
          if (schema !== undefined) nested(r, 2, (s) => nested(s, 1, schemaMessage(schema)))
        }))
      }
    })
    texts(w, 10, operation['schemes'])
    extensions(w, 13, operation)
  }
}

function parameters(w: WireWriter, field: number, list: JsonValue | undefined): void {
  if (!Array.isArray(list)) return
  for (const item of list as readonly JsonValue[]) { // cast: checked above
    if (!isJsonObject(item)) continue
    // ParametersItem.parameter, then Parameter.body_parameter or non_body_parameter.
    nested(w, field, (entry) => nested(entry, 1, (parameter) => {
      if (item['in'] === 'body') nested(parameter, 1, bodyParameter(item))
      else nested(parameter, 2, (other) => (item['in'] === 'path' ? nested(other, 4, pathParameter(item)) : nested(other, 3, queryParameter(item))))
    }))
  }
}

function bodyParameter(item: JsonObject): Write {
  return (w) => {
    text(w, 1, item['description']); text(w, 2, item['name']); text(w, 3, item['in']); flag(w, 4, item['required'])
    if (item['schema'] !== undefined) nested(w, 5, schemaMessage(item['schema']))
  }
}
function queryParameter(item: JsonObject): Write {
  return (w) => { flag(w, 1, item['required']); text(w, 2, item['in']); text(w, 3, item['description']); text(w, 4, item['name']); text(w, 6, item['type']); flag(w, 20, item['uniqueItems']) }
}
function pathParameter(item: JsonObject): Write {
  return (w) => { flag(w, 1, item['required']); text(w, 2, item['in']); text(w, 3, item['description']); text(w, 4, item['name']); text(w, 5, item['type']); flag(w, 19, item['uniqueItems']) }
}

function schemaMessage(schema: JsonValue): Write {
  return (w) => {
    if (!isJsonObject(schema)) return
    text(w, 1, schema['$ref'])
    text(w, 2, schema['format'])
    text(w, 4, schema['description'])
    const { default: byDefault, additionalProperties, items, properties, type } = schema
    if (byDefault !== undefined) nested(w, 5, anyValue(byDefault))
    texts(w, 19, schema['required'])
    if (additionalProperties !== undefined) {
      nested(w, 21, (n) => {
        if (typeof additionalProperties === 'boolean') { n.tag(2, 0); n.varint(additionalProperties ? 1 : 0) }
        else nested(n, 1, schemaMessage(additionalProperties))
      })
    }
    if (typeof type === 'string') nested(w, 22, (n) => text(n, 1, type))
    if (items !== undefined) nested(w, 23, (n) => nested(n, 1, schemaMessage(items)))
    if (properties !== undefined) nested(w, 25, (n) => { for (const [name, property] of entries(properties)) named(n, 1, name, schemaMessage(property)) })
    extensions(w, 31, schema)
  }
}

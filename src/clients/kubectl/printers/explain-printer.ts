// OpenAPI schemas as `kubectl explain` prints them. Upstream: kubectl/pkg/explain/v2/templates/plaintext.tmpl
import type { JsonObject, JsonValue } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'

export interface ExplainOptions {
  readonly document: JsonObject
  /** Fields to follow from the kind down. */
  readonly path: readonly string[]
  readonly recursive: boolean
  /** 0: no limit. */
  readonly maxDepth: number
}

/** The text about a kind or one of its fields; undefined when there is no such field. */
export function explainSchema(schema: JsonObject, options: ExplainOptions): string | undefined {
  return follow(schema, options.path, new Set(), options)
}

/** What a reference names; the schema itself when it is none. */
function resolved(schema: JsonObject, document: JsonObject): JsonObject {
  const reference = schema['$ref']
  if (typeof reference !== 'string' || !reference.startsWith('#')) return schema
  let found: JsonValue | undefined = document
  for (const key of reference.slice(1).split('/')) if (key !== '') found = isJsonObject(found) ? found[key] : undefined
  return isJsonObject(found) ? found : schema
}

const objectIn = (schema: JsonObject, key: string): JsonObject | undefined => { const value = schema[key]; return isJsonObject(value) ? value : undefined }
const allOf = (schema: JsonObject): readonly JsonObject[] => { const list = schema['allOf']; return Array.isArray(list) ? list.filter(isJsonObject) : [] }

function follow(given: JsonObject, path: readonly string[], history: ReadonlySet<string>, options: ExplainOptions): string | undefined {
  const { document } = options
  const schema = resolved(given, document)
  const [field, ...rest] = path
  if (field === undefined) {
    const fields = fieldList(schema, 1, new Set(), options)
    return `DESCRIPTION:\n${indent(4, wrap(76, descriptions(schema, document) || '<empty>'))}\n${externalDocs(schema)}${fields ? `FIELDS:\n${fields}` : ''}`
  }
  const reference = typeof given['$ref'] === 'string' ? given['$ref'] : ''
  if (reference !== '' && history.has(reference)) return undefined
  const seen = new Set([...history, reference])
  const property = objectIn(objectIn(schema, 'properties') ?? {}, field)
  if (property) {
    const below = follow(property, rest, new Set(), options)
    if (below === undefined) return undefined
    return rest.length > 0 ? below : `FIELD: ${field} <${typeName(property, document)}>\n${enumText(property, true, -1, 0)}\n\n${below}`
  }
  for (const inner of [objectIn(schema, 'items'), objectIn(schema, 'additionalProperties')]) if (inner) return follow(inner, path, seen, options)
  for (const part of allOf(schema)) {
    const text = follow(part, path, seen, options)
    if (text !== undefined) return text
  }
  return undefined
}

function externalDocs(schema: JsonObject): string {
  const docs = objectIn(schema, 'externalDocs')
  if (!docs) return ''
  const description = docs['description'] ? `${indent(4, wrap(76, String(docs['description'])))}\n` : ''
  return `\nEXTERNAL DOCS:\n${description}${docs['url'] ? `${indent(4, `URL: ${String(docs['url'])}`)}\n` : ''}`
}

/** The schema's own words and those of what it is made of. */
function descriptions(given: JsonObject, document: JsonObject): string {
  const schema = resolved(given, document)
  const own = schema['description'] ? `${String(schema['description'])}\n` : ''
  const parts = [...allOf(schema), objectIn(schema, 'items'), objectIn(schema, 'additionalProperties')].filter((s) => s !== undefined)
  return own + parts.map((part) => descriptions(part, document)).join('')
}

function fieldList(given: JsonObject, level: number, history: ReadonlySet<string>, options: ExplainOptions): string {
  const reference = typeof given['$ref'] === 'string' ? given['$ref'] : ''
  if (reference !== '' && history.has(reference)) return ''
  const seen = new Set([...history, reference])
  const schema = resolved(given, options.document)
  const properties = objectIn(schema, 'properties') ?? {}
  let text = ''
  for (const name of Object.keys(properties).sort()) {
    const property = objectIn(properties, name) ?? {}
    text += fieldDetail(name, property, schema, level, options)
    if (options.recursive && (options.maxDepth === 0 || level < options.maxDepth)) text += fieldList(property, level + 1, seen, options)
  }
  for (const part of [...allOf(schema), objectIn(schema, 'items'), objectIn(schema, 'additionalProperties')]) if (part) text += fieldList(part, level, seen, options)
  return text
}

function fieldDetail(name: string, property: JsonObject, owner: JsonObject, level: number, options: ExplainOptions): string {
  const width = level * 2
  const required = Array.isArray(owner['required']) && owner['required'].includes(name) ? ' -required-' : ''
  const head = `${indent(width, name)}\t<${typeName(property, options.document)}>${required}${enumText(property, false, 4, width)}\n`
  if (options.recursive) return head
  const docs = objectIn(property, 'externalDocs')
  let text = `${head}${indent(width + 2, wrap(78 - width, String(property['description'] || '<no description>')))}\n`
  if (docs) {
    text += `\n${indent(width + 2, 'EXTERNAL DOCS:')}\n`
    if (docs['description']) text += `${indent(width + 4, wrap(76 - width, String(docs['description'])))}\n`
    if (docs['url']) text += `${indent(width + 4, `URL: ${String(docs['url'])}`)}\n`
  }
  return `${text}\n`
}

/** `string`, `[]Container`, `map[string]string`, … */
function typeName(schema: JsonObject, document: JsonObject): string {
  const items = objectIn(schema, 'items')
  if (items) return `[]${typeName(items, document)}`
  const values = objectIn(schema, 'additionalProperties')
  if (values) return `map[string]${typeName(values, document)}`
  const [only, ...others] = allOf(schema)
  if (only && others.length === 0 && !schema['properties']) return typeName(only, document)
  const reference = schema['$ref']
  if (typeof reference === 'string') {
    const target = resolved(schema, document)
    const type = target === schema ? undefined : target['type']
    return !type || type === 'object' ? reference.split('/').at(-1)?.split('.').at(-1) || 'Object' : String(type)
  }
  return schema['type'] === 'object' ? 'Object' : String(schema['type'] || 'Object')
}

function enumText(schema: JsonObject, long: boolean, limit: number, width: number): string {
  const values = schema['enum']
  if (!Array.isArray(values) || values.length === 0) return ''
  const shown = (limit < 0 ? values : values.slice(0, limit)).map((v) => (v === '' ? '""' : String(v)))
  if (long) return `ENUM:${shown.map((v) => `\n    ${v}`).join('')}`
  return `\n${indent(width, '')}enum: ${shown.join(', ')}${limit >= 0 && values.length > limit ? ', ....' : ''}`
}

const indent = (amount: number, text: string): string => text.split('\n').map((line) => ' '.repeat(amount) + line).join('\n')

/** Breaks lines between words so that none is longer than the limit, unless one word is; spaces stay as they are. Upstream: mitchellh/go-wordwrap */
function wrap(limit: number, text: string): string {
  let out = ''
  let line = 0
  let spaces = ''
  let word = ''
  const putWord = (): void => { out += spaces + word; line += spaces.length + word.length; spaces = ''; word = '' }
  for (const letter of text) {
    if (letter === '\n') {
      if (word === '') { if (line + spaces.length > limit) line = 0; else out += spaces; spaces = '' } else putWord()
      out += letter
      line = 0
    } else if (/\s/.test(letter) && letter !== '\u00a0') {
      if (spaces === '' || word !== '') putWord()
      spaces += letter
    } else {
      word += letter
      if (line + spaces.length + word.length > limit && word.length < limit) { out += '\n'; line = 0; spaces = '' }
    }
  }
  if (word === '') { if (line + spaces.length <= limit) out += spaces } else out += spaces + word
  return out
}

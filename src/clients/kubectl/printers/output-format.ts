// `-o`: which output, and with which template. Upstream: cli-runtime/pkg/genericclioptions/print_flags.go
import { readFileSync } from 'node:fs'
import type { JsonObject, JsonValue } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { JsonPathError, parseJsonPath, relaxJsonPath } from '../../../lib/apimachinery/jsonpath.ts'
import { formatYaml } from '../../../lib/component-base/yaml-writer.ts'
import { KubectlError } from '../command.ts'
import { splitApiVersion } from '../discovery/resource-mapper.ts'
import { parseGoTemplate } from './go-template.ts'
import { formatJson } from './json-printer.ts'
import { TabWriter } from './tab-writer.ts'

export type OutputFormat =
  | { readonly type: 'table'; readonly wide: boolean }
  | { readonly type: 'json' | 'yaml' | 'name' }
  | { readonly type: 'jsonpath' | 'jsonpath-as-json' | 'go-template' | 'custom-columns'; readonly template: string }

const templateFormats: readonly string[] = ['jsonpath', 'jsonpath-file', 'jsonpath-as-json', 'go-template', 'go-template-file', 'template', 'templatefile', 'custom-columns', 'custom-columns-file']
const listed = 'custom-columns,custom-columns-file,go-template,go-template-file,json,jsonpath,jsonpath-as-json,jsonpath-file,kyaml,name,template,templatefile,wide,yaml'

/** @param template the value of `--template`. @throws KubectlError */
export function parseOutputFormat(output: string, template = ''): OutputFormat {
  if (output === '') return template ? { type: 'go-template', template } : { type: 'table', wide: false }
  if (output === 'wide') return { type: 'table', wide: true }
  if (output === 'json' || output === 'yaml' || output === 'name') return { type: output }
  const at = output.indexOf('=')
  const name = at < 0 ? output : output.slice(0, at)
  const text = at < 0 ? template : output.slice(at + 1)
  if (!templateFormats.includes(name)) throw new KubectlError(`unable to match a printer suitable for the output format ${JSON.stringify(output)}, allowed formats are: ${listed}`)
  if (text === '') throw new KubectlError(name.startsWith('custom-columns') ? 'custom-columns format specified but no custom columns given' : `template format specified but no template given`)
  const content = (): string => {
    try {
      return readFileSync(text, 'utf8')
    } catch {
      throw new KubectlError(`error reading --template ${text}: open ${text}: no such file or directory`)
    }
  }
  switch (name) {
    case 'jsonpath': return { type: 'jsonpath', template: text }
    case 'jsonpath-file': return { type: 'jsonpath', template: content() }
    case 'jsonpath-as-json': return { type: 'jsonpath-as-json', template: text }
    case 'go-template-file': case 'templatefile': return { type: 'go-template', template: content() }
    case 'custom-columns': return { type: 'custom-columns', template: text }
    case 'custom-columns-file': {
      const [header = '', fields = ''] = content().split('\n')
      const names = header.trim().split(/\s+/)
      return { type: 'custom-columns', template: fields.trim().split(/\s+/).map((field, i) => `${names[i] ?? ''}:${field}`).join(',') }
    }
    default: return { type: 'go-template', template: text }
  }
}

export interface ObjectPrinterOptions {
  readonly write: (text: string) => void
  readonly noHeaders?: boolean
  /** Keeps managedFields in JSON and YAML. */
  readonly showManagedFields?: boolean
  readonly allowMissingKeys?: boolean
  /** For `-o name`: what was done, such as `created`; then the default output prints it too. */
  readonly operation?: string
}

/** Prints whole objects in any format but the table. */
export function createObjectPrinter(format: Exclude<OutputFormat, { type: 'table' }>, options: ObjectPrinterOptions): (object: JsonObject) => void {
  const { write } = options
  const allowMissing = options.allowMissingKeys ?? true
  const shown = (object: JsonObject): JsonObject => (options.showManagedFields ? object : withoutManagedFields(object))
  let count = 0
  switch (format.type) {
    case 'json': return (object) => write(formatJson(shown(object)))
    case 'yaml': return (object) => write(`${count++ > 0 ? '---\n' : ''}${formatYaml(shown(object))}`)
    case 'name': return (object) => {
      for (const item of itemsOf(object)) write(`${nameOf(item)}\n`)
    }
    case 'jsonpath': case 'jsonpath-as-json': {
      const template = guard(() => parseJsonPath(format.template), format.template)
      return (object) => guard(() => {
        if (format.type === 'jsonpath') write(template.render(object, { allowMissing }))
        else write(formatJson([...template.find(object, { allowMissing })]))
      }, format.template, object)
    }
    case 'go-template': {
      const template = parseGoTemplate(format.template)
      return (object) => write(template.render(object, { allowMissing }))
    }
    case 'custom-columns': return createColumnPrinter(format.template, options)
  }
}

function guard<T>(action: () => T, template: string, object?: JsonObject): T {
  try {
    return action()
  } catch (error) {
    if (!(error instanceof JsonPathError)) throw error
    throw new KubectlError(object ? `error executing jsonpath ${JSON.stringify(template)}: Error executing template: ${error.message}. Printing more information for debugging the template:\n\ttemplate was:\n\t\t${template}\n\tobject given to jsonpath engine was:\n\t\t${JSON.stringify(object)}\n\n` : `error parsing jsonpath ${template}, ${error.message}`)
  }
}

function createColumnPrinter(spec: string, options: ObjectPrinterOptions): (object: JsonObject) => void {
  const columns = spec.split(',').map((part) => {
    const at = part.indexOf(':')
    if (at < 0) throw new KubectlError(`unexpected custom-columns spec: ${part}, expected <header>:<json-path-expr>`)
    return { header: part.slice(0, at), path: guard(() => parseJsonPath(relaxJsonPath(part.slice(at + 1))), part) }
  })
  const writer = new TabWriter(options.write)
  let headed = options.noHeaders ?? false
  return (object) => {
    if (!headed) writer.row(columns.map((c) => c.header))
    headed = true
    for (const item of itemsOf(object)) {
      writer.row(columns.map(({ path }) => {
        const values = path.find(item, { allowMissing: true })
        return values.length === 0 ? '<none>' : values.map((v) => (v === null ? '<none>' : typeof v === 'object' ? formatGoValue(v) : String(v))).join(',')
      }))
    }
    writer.flush()
  }
}

/** Lists and maps as Go's fmt prints them: `[a b]`, `map[k:v]`. */
export function formatGoValue(value: JsonValue | undefined): string {
  if (value === null || value === undefined) return '<nil>'
  if (Array.isArray(value)) return `[${value.map(formatGoValue).join(' ')}]`
  if (typeof value === 'object') return `map[${Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, v]) => `${k}:${formatGoValue(v)}`).join(' ')}]`
  return String(value)
}

export function itemsOf(object: JsonObject): readonly JsonObject[] {
  return Array.isArray(object['items']) && String(object['kind'] ?? '').endsWith('List') ? object['items'].filter(isJsonObject) : [object]
}

/** `pod/name`, `deployment.apps/name`. */
export function nameOf(object: JsonObject): string {
  const [group] = splitApiVersion(String(object['apiVersion'] ?? ''))
  const kind = String(object['kind'] ?? '').toLowerCase()
  const metadata = object['metadata']
  return `${group ? `${kind}.${group}` : kind}/${isJsonObject(metadata) ? String(metadata['name'] ?? '') : ''}`
}

export function withoutManagedFields(object: JsonObject): JsonObject {
  if (Array.isArray(object['items'])) return { ...object, items: object['items'].map((item) => (isJsonObject(item) ? withoutManagedFields(item) : item)) }
  const metadata = object['metadata']
  if (!isJsonObject(metadata) || metadata['managedFields'] === undefined) return object
  const { managedFields: _, ...rest } = metadata
  return { ...object, metadata: rest }
}

// Generates everything under src/lib/api/generated from the API's facts.
//
// Inputs (facts, no prose):
//   ../shared/reference/wire/kubernetes-api.json   messages, fields, numbers, markers of the 1.37 API
//   ../shared/reference/wire/resources.json        served resources, verbs, short names, categories, subresources
//   tools/core-resources.json                     the same for the core group, which resources.json leaves out
//   tools/go-facts/go-facts.json                   order, pointers and omission of fields (printed by tools/go-facts)
// Outputs are committed; `npm run check` fails when regenerating changes them (where ../shared is present).
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

type Markers = Record<string, string | boolean | string[]>
type WireField = { n: number; type: string; repeated?: boolean; map?: string; markers?: Markers }
type WireMessage = { fields: Record<string, WireField>; markers?: Markers }
type GoField = { name: string; proto?: string; pointer?: boolean; omit?: boolean; zero?: boolean; inline?: boolean; go: string; field: string }
type WireResource = {
  group: string; version: string; resource: string; kind: string; scope: string; singular: string; verbs: string[]
  shortNames?: string[]; categories?: string[]
  subresources: { name: string; kind: string; group: string; version: string; verbs: string[] }[]
}
type Field = Record<string, unknown> & { name: string; number: number; type: string; list?: true; map?: true; pointer?: true; omitEmpty?: true; omitZero?: true; inline?: true }

const root = resolve(import.meta.dirname, '..')
const wire = resolve(root, '../shared/reference/wire')
const outDir = process.argv[2] ?? join(root, 'src/lib/api/generated')
const api = JSON.parse(readFileSync(join(wire, 'kubernetes-api.json'), 'utf8')) as Record<string, Record<string, WireMessage>>
const go = JSON.parse(readFileSync(join(root, 'tools/go-facts/go-facts.json'), 'utf8')) as Record<string, GoField[]>
const resources = [
  ...(JSON.parse(readFileSync(join(root, 'tools/core-resources.json'), 'utf8')) as WireResource[]),
  ...(JSON.parse(readFileSync(join(wire, 'resources.json'), 'utf8')) as WireResource[]),
]

/** Packages of removed API versions, of tests and of formats that nothing serves. */
const skipped = /\.(apps\.v1beta[12]|extensions\.v1beta1|testapigroup\.v1|batch\.v1beta1|policy\.v1beta1|.*v2beta[0-9]|discovery\.v1beta1|events\.v1beta1|imagepolicy.*|node\.v1(alpha|beta)1|rbac\.v1(alpha|beta)1|autoscaling\.v2beta.|flowcontrol\.v1beta.|apiextensions\.v1beta1|apiregistration\.v1beta1|scheduling\.v1beta1|networking\.v1alpha1|storage\.v1alpha1|authentication\.v1(alpha|beta)1|authorization\.v1beta1|admission\.v1beta1)$/

/** Named types whose JSON is a scalar or free-form; the codecs know them by name. */
const specials: Record<string, string> = {
  'k8s.io.apimachinery.pkg.apis.meta.v1.Time': 'Time', 'k8s.io.apimachinery.pkg.apis.meta.v1.MicroTime': 'MicroTime',
  'k8s.io.apimachinery.pkg.apis.meta.v1.Duration': 'Duration', 'k8s.io.apimachinery.pkg.apis.meta.v1.FieldsV1': 'FieldsV1',
  'k8s.io.apimachinery.pkg.api.resource.Quantity': 'Quantity', 'k8s.io.apimachinery.pkg.util.intstr.IntOrString': 'IntOrString',
  'k8s.io.apimachinery.pkg.runtime.RawExtension': 'RawExtension', 'k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSON': 'JSON',
}
const unionSpecials: Record<string, string> = {
  JSONSchemaPropsOrArray: 'JSONSchemaPropsOrArray', JSONSchemaPropsOrBool: 'JSONSchemaPropsOrBool', JSONSchemaPropsOrStringArray: 'JSONSchemaPropsOrStringArray',
}
const openApiName = (id: string): string => id.replace(/^k8s\.io\./, 'io.k8s.').replaceAll('_', '-')
const fullName = (pkg: string, type: string): string => (type.startsWith('.') ? type.slice(1) : `${pkg}.${type}`)
const isScalar = (type: string): boolean => /^(string|int32|int64|uint32|uint64|bool|bytes|double)$/.test(type)

const messages: Record<string, { fields: Field[]; listOf?: string }> = {}
for (const [pkg, types] of Object.entries(api)) {
  if (skipped.test(pkg)) continue
  for (const [name, message] of Object.entries(types)) {
    const id = `${pkg}.${name}`
    if (specials[id]) continue
    const entries = Object.entries(message.fields)
    // A named Go slice (ExtraValue, Verbs): an array in JSON, a message with one repeated field on the wire.
    if (entries.length === 1 && entries[0]![0] === 'items' && !go[id]) {
      messages[openApiName(id)] = { fields: [], listOf: entries[0]![1].type }
      continue
    }
    const order = new Map((go[id] ?? []).map((f, i) => [f.proto ?? f.name, { f, i }] as const))
    const fields: Field[] = []
    for (const [protoName, wireField] of entries) {
      const fact = order.get(protoName) ?? [...order.values()].find(({ f }) => f.inline && f.field.toLowerCase() === protoName.toLowerCase())
      const typeName = wireField.type // for maps the type of the value; every map's key is a string
      const target = isScalar(typeName) ? typeName : (specials[fullName(pkg, typeName)] ?? openApiName(fullName(pkg, typeName)))
      const m = wireField.markers ?? {}
      const field: Field = { name: fact ? fact.f.name : protoName, number: wireField.n, type: target }
      if (wireField.repeated) field.list = true
      if (wireField.map !== undefined) field.map = true
      if (fact?.f.pointer) field.pointer = true
      if (fact ? fact.f.omit : m['optional']) field.omitEmpty = true
      if (fact?.f.zero) field.omitZero = true
      if (fact?.f.inline || (!fact && protoName === 'ephemeralContainerCommon')) { field.inline = true; field.name = '' }
      if (fact) { field['goType'] = fact.f.go; field['goField'] = fact.f.field }
      if (protoName !== field.name) field['proto'] = protoName
      if (m['optional'] || m['k8s:optional']) field['optional'] = true
      if (m['required'] || m['k8s:required']) field['required'] = true
      const listType = m['listType'] ?? m['k8s:listType']
      if (listType) field['listType'] = listType
      const keys = m['listMapKey'] ?? m['k8s:listMapKey']
      if (keys) field['listMapKeys'] = ([] as unknown[]).concat(keys)
      if (m['mapType']) field['mapType'] = m['mapType']
      if (m['patchStrategy']) field['patchStrategy'] = m['patchStrategy']
      if (m['patchMergeKey']) field['patchMergeKey'] = m['patchMergeKey']
      if (m['default'] !== undefined) field['default'] = m['default']
      fields.push(field)
    }
    const rank = (f: Field): number => (order.get((f['proto'] as string | undefined) ?? f.name) ?? [...order.values()].find(({ f: fact }) => f.inline && fact.inline && fact.field === f['goField']))?.i ?? 1000 + f.number
    fields.sort((a, b) => rank(a) - rank(b))
    const hasTypeMeta = (go[id] ?? []).some((f) => f.inline && f.go === 'v1.TypeMeta') || (pkg.endsWith('meta.v1') && (go[id] ?? []).some((f) => f.go === 'v1.TypeMeta'))
    messages[openApiName(id)] = { fields, ...(hasTypeMeta ? { typeMeta: true } : {}), ...(message.markers?.['structType'] === 'atomic' ? { atomic: true } : {}) }
  }
}

// ---- schema.ts
rmSync(outDir, { recursive: true, force: true })
mkdirSync(join(outDir, 'types'), { recursive: true })
const banner = '// Generated by tools/generate.ts from the facts in shared/reference/wire; do not edit.\n'
const lines = Object.entries(messages).sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`)
writeFileSync(join(outDir, 'schema-text.ts'), `${banner}// One JSON text, because the engine parses a string many times faster than an object literal. Typed in ../schema.ts.\nexport const schemaText: string = String.raw\`{\n${lines.join(',\n').replaceAll('`', '\\u0060')}\n}\`\n`)

// ---- resources.ts
const pkgOf = (group: string, version: string): string => {
  const special: Record<string, string> = { 'apiregistration.k8s.io': 'io.k8s.kube-aggregator.pkg.apis.apiregistration', 'apiextensions.k8s.io': 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions', 'internal.apiserver.k8s.io': 'io.k8s.api.apiserverinternal' }
  return `${special[group] ?? `io.k8s.api.${group === '' ? 'core' : group.split('.')[0]}`}.${version}`
}
const typeOf = (group: string, version: string, kind: string): string => `${pkgOf(group, version)}.${kind}`
const served = resources.map((r) => ({
  group: r.group, version: r.version === 'v1alpha2' && r.group === 'scheduling.k8s.io' ? 'v1alpha3' : r.version, resource: r.resource, kind: r.kind,
  type: typeOf(r.group, r.version === 'v1alpha2' && r.group === 'scheduling.k8s.io' ? 'v1alpha3' : r.version, r.kind),
  namespaced: r.scope === 'Namespaced', singular: r.singular, verbs: r.verbs, shortNames: r.shortNames ?? [], categories: r.categories ?? [],
  subresources: r.subresources.map((s) => ({ name: s.name, group: s.group, version: s.version, kind: s.kind, verbs: s.verbs })),
}))
for (const r of served) if (!messages[r.type]) console.error(`no message for ${r.type}`)
writeFileSync(join(outDir, 'resources.ts'), `${banner}import type { ResourceInfo } from '../resource-info.ts'\n\nexport const servedResources: readonly ResourceInfo[] = [\n${served.map((r) => `  ${JSON.stringify(r)},`).join('\n')}\n]\n`)

// ---- types/*.ts
const fileOf = (id: string): string => {
  const parts = id.split('.')
  const version = parts.at(-2)!
  return `${parts.at(-3)}-${version}`
}
const scalarTs: Record<string, string> = {
  string: 'string', bytes: 'string', int32: 'number', int64: 'number', uint32: 'number', uint64: 'number', double: 'number', bool: 'boolean',
  Time: 'string', MicroTime: 'string', Duration: 'string', Quantity: 'string', IntOrString: 'number | string', RawExtension: 'JsonValue', JSON: 'JsonValue', FieldsV1: 'JsonValue',
}
const files = new Map<string, string[]>()
for (const id of Object.keys(messages)) { const f = fileOf(id); files.set(f, [...(files.get(f) ?? []), id]) }
const kinds = new Map(served.map((r) => [r.type, r] as const))
for (const [file, ids] of files) {
  const imports = new Map<string, Set<string>>()
  const tsType = (type: string): string => {
    const scalar = scalarTs[type]
    if (scalar) return scalar
    const simple = type.split('.').at(-1)!
    if (unionSpecials[simple]) return 'JsonValue'
    const alias = messages[type]
    if (!alias) throw new Error(`unknown type ${type}`)
    if (alias.listOf) return `readonly ${scalarTs[alias.listOf] ?? alias.listOf}[]`
    const from = fileOf(type)
    if (from !== file) imports.set(from, (imports.get(from) ?? new Set()).add(simple))
    return simple
  }
  const body: string[] = []
  for (const id of ids.sort()) {
    const simple = id.split('.').at(-1)!
    const message = messages[id]!
    if (message.listOf || unionSpecials[simple]) continue
    const rows: string[] = []
    const bases: string[] = []
    const kindInfo = kinds.get(id)
    if ((message as { typeMeta?: boolean }).typeMeta) {
      const [group, version] = kindInfo ? [kindInfo.group, kindInfo.version] : ['', '']
      rows.push(kindInfo ? `  readonly apiVersion?: '${group ? `${group}/` : ''}${version}'` : '  readonly apiVersion?: string', kindInfo ? `  readonly kind?: '${simple}'` : '  readonly kind?: string')
    }
    for (const f of message.fields) {
      let t = tsType(f.type)
      if (f.inline) { bases.push(t); continue }
      const isStruct = !isScalar(f.type) && messages[f.type] !== undefined && !f.list && !f.map
      if (f.list) t = t.includes('|') || t.startsWith('readonly') ? `readonly (${t})[]` : `readonly ${t}[]`
      if (f.map) t = `{ readonly [key: string]: ${t} }`
      if (simple.endsWith('TemplateSpec') && f.name === 'metadata') t = `Partial<${t}>`
      const always = (simple === 'ObjectMeta' && ['name', 'uid', 'resourceVersion', 'creationTimestamp'].includes(f.name)) ||
        (!f.pointer && !f.omitZero && (isStruct || !f.omitEmpty) && !(f.list || f.map)) ||
        (simple.endsWith('List') && f.name === 'items') ||
        (kindInfo !== undefined && ['spec', 'status', 'metadata'].includes(f.name))
      const key = /^[A-Za-z_$][\w$]*$/.test(f.name) ? f.name : JSON.stringify(f.name)
      rows.push(`  readonly ${key}${always && !simple.endsWith('TemplateSpec') ? '' : '?'}: ${t}`)
    }
    body.push(`export interface ${simple}${bases.length ? ` extends ${bases.join(', ')}` : ''} {\n${rows.join('\n')}\n}\n`)
  }
  const head = [...imports].sort().map(([f, names]) => `import type { ${[...names].sort().join(', ')} } from './${f}.ts'`)
  const text = body.join('\n')
  if (text.includes('JsonValue')) head.unshift("import type { JsonValue } from '../../../base/json.ts'")
  writeFileSync(join(outDir, 'types', `${file}.ts`), `${banner}${head.join('\n')}${head.length ? '\n\n' : ''}${text}`)
}
console.log(`generated ${Object.keys(messages).length} messages, ${served.length} resources, ${files.size} type files`)

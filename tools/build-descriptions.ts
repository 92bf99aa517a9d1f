// Writes dist/descriptions.json: the texts of types and fields for OpenAPI and `kubectl explain`, by type id and field ('' is the type's own).
// They are read at build time from the npm packages that carry them (dev dependencies), so no prose of others is committed. Where a package
// is absent its texts are; everything else works without them.
//
//   node tools/build-descriptions.ts [output]
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { schema } from '../src/lib/api/schema.ts'

const root = resolve(import.meta.dirname, '..')
const output = process.argv[2] ?? join(root, 'dist/descriptions.json')
const models = join(root, 'node_modules')
const clientModels = join(models, '@kubernetes/client-node/dist/gen/models')

type Texts = Record<string, string>

/** `io.k8s.api.apps.v1.Deployment` → apps, v1, Deployment. */
function partsOf(id: string): { readonly pkg: readonly string[]; readonly group: string; readonly version: string; readonly name: string } {
  const parts = id.split('.')
  return { pkg: parts.slice(0, -2), group: parts.at(-3) ?? '', version: parts.at(-2) ?? '', name: parts.at(-1) ?? '' }
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

/** Comments in front of the type and of its fields. */
function readTexts(path: string, typeName: string): Texts {
  const text = readFileSync(path, 'utf8')
  const texts: Texts = {}
  const clean = (comment: string): string => comment.split('\n').map((line) => line.replace(/^\s*\* ?/, '')).join('\n').trim().replace(/\\(["'])/g, '$1').replaceAll('*_/', '*/')
  for (const [, comment = '', field = ''] of text.matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*['"]?([\w$-]+)['"]?\??:/g)) texts[field] ??= clean(comment)
  const own = new RegExp(`/\\*\\*((?:(?!\\*/)[\\s\\S])*)\\*/\\s*export (?:declare class|interface|type) I?\\w*${typeName}\\b`).exec(text)
  if (own?.[1] !== undefined) texts[''] = clean(own[1])
  return texts
}

function clientFile(id: string): string | undefined {
  const { group, version, name } = partsOf(id)
  const versionName = capital(version)
  return [`${capital(group)}${versionName}${name}`, `${versionName}${name}`].map((file) => join(clientModels, `${file}.d.ts`)).find((file) => existsSync(file))
}

/** Folders of kubernetes-models by our groups. */
const groupFolders: { readonly [group: string]: string } = {
  core: '', admissionregistration: 'admissionregistration.k8s.io', apiextensions: 'apiextensions.k8s.io', apiregistration: 'apiregistration.k8s.io', authentication: 'authentication.k8s.io', authorization: 'authorization.k8s.io',
  certificates: 'certificates.k8s.io', coordination: 'coordination.k8s.io', discovery: 'discovery.k8s.io', events: 'events.k8s.io', flowcontrol: 'flowcontrol.apiserver.k8s.io', networking: 'networking.k8s.io', node: 'node.k8s.io',
  rbac: 'rbac.authorization.k8s.io', scheduling: 'scheduling.k8s.io', storage: 'storage.k8s.io', resource: 'resource.k8s.io',
}

function modelFile(id: string): string | undefined {
  const { pkg, group, version, name } = partsOf(id)
  const file = pkg.includes('apimachinery') ? join(models, '@kubernetes-models/apimachinery/apis/meta', version, `${name}.d.ts`) : join(models, 'kubernetes-models', groupFolders[group] ?? group, version, `${name}.d.ts`)
  return existsSync(file) ? file : undefined
}

const descriptions: Record<string, Texts> = {}
let fields = 0
for (const id of Object.keys(schema)) {
  const { name } = partsOf(id)
  const sources = [modelFile(id), clientFile(id)].filter((file) => file !== undefined)
  // The client's texts are newer, but it has none for fields that are objects.
  const texts: Texts = Object.assign({}, ...sources.map((file) => readTexts(file, name)))
  const known = new Set(['', ...(schema[id]?.fields ?? []).flatMap((field) => (field.inline ? (schema[field.type]?.fields ?? []) : [field])).map((field) => field.name)])
  const own = Object.fromEntries(Object.entries(texts).filter(([field, text]) => known.has(field) && text !== ''))
  if (Object.keys(own).length === 0) continue
  descriptions[id] = own
  fields += Object.keys(own).length
}
// Fields of inline structs stand in the outer type's documentation too; OpenAPI asks for them under the inner one.
for (const [id, message] of Object.entries(schema)) {
  for (const field of message.fields) {
    if (!field.inline) continue
    const outer = descriptions[id]
    const inner = (descriptions[field.type] ??= {})
    for (const { name } of schema[field.type]?.fields ?? []) if (inner[name] === undefined && outer?.[name] !== undefined) inner[name] = outer[name]
  }
}
mkdirSync(dirname(output), { recursive: true })
writeFileSync(output, JSON.stringify(descriptions))
console.log(`${fields} descriptions of ${Object.keys(descriptions).length} types → ${output}`)

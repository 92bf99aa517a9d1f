// Objects from files, folders, standard input and kustomization-free trees: what `-f` names. Lists are taken apart into their items.
// Upstream: cli-runtime/pkg/resource/visitor.go
import { readFileSync, readdirSync, statSync } from 'node:fs'
import { extname, join } from 'node:path'
import type { JsonObject } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { YamlError, parseYamlDocuments } from '../../../lib/component-base/yaml.ts'
import { KubectlError } from '../command.ts'

export interface ManifestObject {
  readonly object: JsonObject
  /** For messages: a path or `STDIN`. */
  readonly source: string
}

const extensions = new Set(['.json', '.yaml', '.yml'])

export interface ManifestOptions {
  readonly recursive: boolean
  readonly stdin: AsyncIterable<Uint8Array | string>
}

export async function readManifests(paths: readonly string[], options: ManifestOptions): Promise<readonly ManifestObject[]> {
  const found: ManifestObject[] = []
  for (const path of paths) {
    if (path === '-') {
      let text = ''
      for await (const piece of options.stdin) text += typeof piece === 'string' ? piece : Buffer.from(piece).toString('utf8')
      found.push(...parseManifest(text, 'STDIN'))
    } else if (/^https?:\/\//.test(path)) {
      const response = await fetch(path)
      if (!response.ok) throw new KubectlError(`unable to read URL ${JSON.stringify(path)}, server reported ${response.status} ${response.statusText}, status code=${response.status}`)
      found.push(...parseManifest(await response.text(), path))
    } else for (const file of filesOf(path, options.recursive)) found.push(...parseManifest(readFileSync(file, 'utf8'), file))
  }
  return found
}

function filesOf(path: string, recursive: boolean): readonly string[] {
  let isFolder: boolean
  try {
    isFolder = statSync(path).isDirectory()
  } catch {
    throw new KubectlError(`the path ${JSON.stringify(path)} does not exist`)
  }
  if (!isFolder) return [path]
  const files: string[] = []
  for (const entry of readdirSync(path, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.isDirectory()) { if (recursive) files.push(...filesOf(join(path, entry.name), true)) } else if (extensions.has(extname(entry.name))) files.push(join(path, entry.name))
  }
  if (files.length === 0 && !recursive) throw new KubectlError(`error reading [${path}]: recognized file extensions are [.json .yaml .yml]`)
  return files
}

function parseManifest(text: string, source: string): readonly ManifestObject[] {
  let documents
  try {
    documents = parseYamlDocuments(text)
  } catch (error) {
    if (error instanceof YamlError) throw new KubectlError(`error parsing ${source}: ${error.message}`)
    throw error
  }
  return documents.flatMap((document) => {
    if (!isJsonObject(document)) throw new KubectlError(`error parsing ${source}: cannot unmarshal ${Array.isArray(document) ? 'array' : typeof document} into Go value of type unstructured.detector`)
    return flatten(document, source)
  })
}

function flatten(object: JsonObject, source: string): readonly ManifestObject[] {
  const { kind, apiVersion, items } = object
  if (typeof kind !== 'string' || kind === '') throw new KubectlError(`error validating ${JSON.stringify(source)}: error validating data: kind not set; if you choose to ignore these errors, turn validation off with --validate=false`)
  if (typeof apiVersion !== 'string' || apiVersion === '') throw new KubectlError(`error validating ${JSON.stringify(source)}: error validating data: apiVersion not set; if you choose to ignore these errors, turn validation off with --validate=false`)
  if (kind.endsWith('List') && Array.isArray(items)) return items.filter(isJsonObject).flatMap((item) => flatten(kind === 'List' ? item : { apiVersion, kind: kind.slice(0, -4), ...item }, source))
  return [{ object, source }]
}

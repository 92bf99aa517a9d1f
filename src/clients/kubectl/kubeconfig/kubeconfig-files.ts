// Kubeconfig files as `kubectl config` reads and changes them: each file by itself, and all merged (the first file to name a thing wins). A change goes
// to the file that has the entry; a new entry to the first file that exists. Upstream: client-go/tools/clientcmd (ModifyConfig)
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { load } from 'js-yaml'
import type { JsonObject, JsonValue } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { kubeconfigPaths } from '../../../lib/client/kubeconfig.ts'
import { formatYaml } from '../../../lib/component-base/yaml-writer.ts'
import { KubectlError } from '../command.ts'

export type Section = 'clusters' | 'contexts' | 'users'
export const sections: readonly Section[] = ['clusters', 'contexts', 'users']
/** The key under which an entry of a section has its values. */
export const entryKey = { clusters: 'cluster', contexts: 'context', users: 'user' } as const satisfies { [K in Section]: string }

export interface ConfigFile {
  readonly path: string
  readonly exists: boolean
  readonly entries: { readonly [K in Section]: ReadonlyMap<string, JsonObject> }
  readonly currentContext: string
  /** Other top-level fields, kept as they are. */
  readonly rest: JsonObject
}

export interface ConfigFiles {
  readonly files: readonly ConfigFile[]
  /** The one file that `--kubeconfig` named. */
  readonly explicit: boolean
  /** The file that messages name. */
  readonly defaultPath: string
  readonly merged: Omit<ConfigFile, 'path' | 'exists'>
}

/** @throws KubectlError when a file isn't YAML, or the one of `--kubeconfig` isn't there and must be */
export function readConfigFiles(explicit: string, environment: { readonly [name: string]: string | undefined }, mustExist = false): ConfigFiles {
  const paths = kubeconfigPaths(explicit || undefined, environment)
  const files = paths.map(readConfigFile)
  if (explicit && mustExist && files[0] && !files[0].exists) throw new KubectlError(`stat ${explicit}: no such file or directory`)
  const merged = Object.fromEntries(sections.map((section) => [section, new Map([...files].reverse().flatMap((f) => [...f.entries[section]].map(([name, entry]) => [name, absolutePaths(entry, f.path)] as const)))])) as unknown as ConfigFile['entries'] // cast: one map a section
  const existing = files.filter((f) => f.exists)
  return {
    files, explicit: explicit !== '', defaultPath: (existing.length === 1 ? existing[0] : (existing.at(-1) ?? files.at(-1)))?.path ?? '',
    merged: { entries: merged, currentContext: files.find((f) => f.currentContext !== '')?.currentContext ?? '', rest: Object.assign({}, ...[...files].reverse().map((f) => f.rest)) as JsonObject }, // cast: made of JSON objects
  }
}

function readConfigFile(path: string): ConfigFile {
  const empty: ConfigFile = { path, exists: false, entries: { clusters: new Map(), contexts: new Map(), users: new Map() }, currentContext: '', rest: {} }
  if (!existsSync(path)) return empty
  let document: unknown
  try {
    document = load(readFileSync(path, 'utf8'))
  } catch (cause) {
    throw new KubectlError(`error loading config file "${path}": ${cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause)}`)
  }
  if (!isJsonObject(document)) return { ...empty, exists: true }
  const { clusters, contexts, users, 'current-context': current, apiVersion: _version, kind: _kind, ...rest } = document
  const read = (list: JsonValue | undefined, section: Section): ReadonlyMap<string, JsonObject> => new Map((Array.isArray(list) ? list : []).filter(isJsonObject).map((entry) => { const value = entry[entryKey[section]]; return [String(entry['name'] ?? ''), isJsonObject(value) ? value : {}] }))
  return { path, exists: true, entries: { clusters: read(clusters, 'clusters'), contexts: read(contexts, 'contexts'), users: read(users, 'users') }, currentContext: typeof current === 'string' ? current : '', rest }
}

const pathFields = new Set(['certificate-authority', 'client-certificate', 'client-key', 'tokenFile'])

function absolutePaths(entry: JsonObject, file: string): JsonObject {
  const folder = dirname(resolve(file))
  return Object.fromEntries(Object.entries(entry).map(([key, value]) => [key, pathFields.has(key) && typeof value === 'string' && value !== '' && !isAbsolute(value) ? join(folder, value) : value]))
}

/** A change of one entry; undefined takes it away. */
export interface EntryChange { readonly section: Section; readonly name: string; readonly entry: JsonObject | undefined }

export function changeEntries(config: ConfigFiles, changes: readonly EntryChange[], currentContext?: string): void {
  const changed = new Map<string, ConfigFile>()
  const latest = (file: ConfigFile): ConfigFile => changed.get(file.path) ?? file
  const fallback = config.files.find((f) => f.exists) ?? config.files.at(-1)
  if (!fallback) throw new KubectlError('no kubeconfig file to change')
  for (const { section, name, entry } of changes) {
    const file = latest(config.files.find((f) => f.entries[section].has(name)) ?? fallback)
    const entries = new Map(file.entries[section])
    if (entry) entries.set(name, entry)
    else entries.delete(name)
    changed.set(file.path, { ...file, entries: { ...file.entries, [section]: entries } })
  }
  if (currentContext !== undefined && currentContext !== config.merged.currentContext) {
    const file = latest(config.files.find((f) => f.currentContext !== '') ?? fallback)
    changed.set(file.path, { ...file, currentContext })
  }
  for (const file of changed.values()) writeConfigFile(file)
}

/** Sets a top-level field that isn't an entry, such as `preferences`. */
export function changeRest(config: ConfigFiles, rest: JsonObject): void {
  const file = config.files.find((f) => f.exists) ?? config.files.at(-1)
  if (file) writeConfigFile({ ...file, rest })
}

/** The file as a whole, in the form of the API. */
export function configDocument(file: Pick<ConfigFile, 'entries' | 'currentContext' | 'rest'>): JsonObject {
  const list = (section: Section): JsonValue => {
    const entries = [...file.entries[section]].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, entry]): JsonObject => ({ [entryKey[section]]: completeEntry(section, entry), name }))
    return entries.length > 0 ? entries : null
  }
  return { ...file.rest, apiVersion: 'v1', kind: 'Config', clusters: list('clusters'), contexts: list('contexts'), users: list('users'), 'current-context': file.currentContext }
}

/** Fields that are written even when they are empty. */
function completeEntry(section: Section, entry: JsonObject): JsonObject {
  if (section === 'clusters') return { server: '', ...entry }
  return section === 'contexts' ? { cluster: '', user: '', ...entry } : entry
}

function writeConfigFile(file: ConfigFile): void {
  mkdirSync(dirname(resolve(file.path)), { recursive: true })
  const temporary = `${file.path}.${process.pid}.tmp`
  writeFileSync(temporary, formatYaml(configDocument(file)), { mode: 0o600 })
  renameSync(temporary, file.path)
}

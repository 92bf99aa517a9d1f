// From what people type (`po`, `deploy`, `pods.v1`, `deployments.apps`, `all`) and from kinds in manifests to the resources of the server.
// Upstream: client-go/restmapper (shortcuts, categories, priority), client-go/discovery/cached/disk
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../../../lib/base/clock.ts'
import type { JsonObject } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import type { ApiResponse } from '../../../lib/client/transport.ts'

export interface ServerResource {
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly kind: string
  readonly namespaced: boolean
  readonly singular: string
  readonly verbs: readonly string[]
  readonly shortNames: readonly string[]
  readonly categories: readonly string[]
  /** Names of subresources, with the kind each one speaks. */
  readonly subresources: readonly { readonly name: string; readonly kind: string; readonly verbs: readonly string[] }[]
}

export interface ResourceMapper {
  /** Every resource of every version, preferred versions first. */
  all(): Promise<readonly ServerResource[]>
  /** What a user's word names; undefined when the server has no such thing. */
  find(word: string): Promise<ServerResource | undefined>
  /** Resources of a category such as `all`; empty when there is none. */
  inCategory(category: string): Promise<readonly ServerResource[]>
  forKind(apiVersion: string, kind: string): Promise<ServerResource | undefined>
  groupVersions(): Promise<readonly string[]>
  /** Forgets what was cached: the next call asks the server. */
  invalidate(): void
}

export interface ResourceMapperOptions {
  fetch(path: string, accept: string): Promise<ApiResponse>
  readonly server: string
  readonly clock: Clock
  readonly cacheFolder: string
}

const aggregatedAccept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json'
/** The original trusts its cache for six hours and asks again when a name isn't in it. */
const cacheLifeMs = 6 * 3_600_000

type Discovered = readonly ServerResource[]

export function createResourceMapper(options: ResourceMapperOptions): ResourceMapper {
  const cachePath = join(options.cacheFolder, 'k8ts-discovery', `${createHash('sha256').update(options.server).digest('hex').slice(0, 24)}.json`)
  let resources: Promise<Discovered> | undefined
  let fresh = false

  const readCache = (): Discovered | undefined => {
    try {
      const { savedAtMs, list } = JSON.parse(readFileSync(cachePath, 'utf8')) as { savedAtMs: number; list: Discovered } // cast: written below
      return options.clock.now() - savedAtMs < cacheLifeMs ? list : undefined
    } catch {
      return undefined // not there, or half written by a killed process: ask the server
    }
  }
  const writeCache = (list: Discovered): void => {
    try {
      mkdirSync(join(options.cacheFolder, 'k8ts-discovery'), { recursive: true, mode: 0o750 })
      writeFileSync(`${cachePath}.${process.pid}`, JSON.stringify({ savedAtMs: options.clock.now(), list }))
      renameSync(`${cachePath}.${process.pid}`, cachePath)
    } catch {
      // A read-only home is no reason to fail.
    }
  }
  const discover = async (): Promise<Discovered> => {
    const [core, groups] = await Promise.all([options.fetch('/api', aggregatedAccept), options.fetch('/apis', aggregatedAccept)])
    const list = [...await resourcesOf(core, '/api', options), ...await resourcesOf(groups, '/apis', options)]
    fresh = true
    writeCache(list)
    return list
  }
  const load = (): Promise<Discovered> => {
    if (!resources) {
      const cached = readCache()
      resources = cached ? Promise.resolve(cached) : discover()
    }
    return resources
  }
  /** Looks; when the answer is no and the list came from the cache, asks the server and looks again. */
  const look = async <T>(search: (list: Discovered) => T | undefined): Promise<T | undefined> => {
    const found = search(await load())
    if (found !== undefined || fresh) return found
    resources = discover()
    return search(await resources)
  }
  return {
    all: load,
    find: (word) => look((list) => findResource(list, word)),
    inCategory: async (category) => (await look((list) => { const some = preferred(list).filter((r) => r.categories.includes(category)); return some.length > 0 ? some : undefined })) ?? [],
    forKind: (apiVersion, kind) => look((list) => {
      const [group, version] = splitApiVersion(apiVersion)
      return list.find((r) => r.group === group && r.version === version && r.kind === kind)
    }),
    groupVersions: async () => [...new Set((await load()).map((r) => (r.group ? `${r.group}/${r.version}` : r.version)))],
    invalidate: () => { resources = discover() },
  }
}

export function splitApiVersion(apiVersion: string): readonly [group: string, version: string] {
  const at = apiVersion.indexOf('/')
  return at < 0 ? ['', apiVersion] : [apiVersion.slice(0, at), apiVersion.slice(at + 1)]
}

/** One entry per group and resource: the version that the server prefers. */
export function preferred(list: Discovered): Discovered {
  const seen = new Set<string>()
  return list.filter((r) => {
    const key = `${r.group}/${r.resource}`
    if (seen.has(key)) return false
    seen.add(key)
    return true
  })
}

/** Plural, singular, short name or kind, with an optional `.version.group` or `.group` behind it. */
function findResource(list: Discovered, word: string): ServerResource | undefined {
  const lower = word.toLowerCase()
  const byName = (name: string, accept: (r: ServerResource) => boolean): ServerResource | undefined =>
    list.find((r) => accept(r) && r.resource === name) ?? list.find((r) => accept(r) && r.singular === name) ?? list.find((r) => accept(r) && r.shortNames.includes(name)) ?? list.find((r) => accept(r) && r.kind.toLowerCase() === name)
  const parts = lower.split('.')
  if (parts.length === 1) return byName(lower, () => true)
  const [name = '', second = ''] = parts
  const rest = parts.slice(2).join('.')
  return byName(name, (r) => r.version === second && r.group === rest) ?? byName(name, (r) => r.group === parts.slice(1).join('.')) ?? byName(name, (r) => r.group.startsWith(`${parts.slice(1).join('.')}.`))
}

async function resourcesOf(response: ApiResponse, root: string, options: ResourceMapperOptions): Promise<Discovered> {
  const document = bodyOf(response)
  if (document['kind'] === 'APIGroupDiscoveryList') return aggregatedResources(document)
  // A server that knows only the older documents: one request per group version.
  const paths = document['kind'] === 'APIVersions'
    ? arrayOf(document['versions']).map((v) => [String(v), `${root}/${String(v)}`] as const)
    : arrayOf(document['groups']).filter(isJsonObject).flatMap((group) => {
      const versions = arrayOf(group['versions']).filter(isJsonObject).map((v) => String(v['groupVersion']))
      const first = isJsonObject(group['preferredVersion']) ? String(group['preferredVersion']['groupVersion']) : ''
      return [...versions].sort((a, b) => Number(b === first) - Number(a === first)).map((gv) => [gv, `${root}/${gv}`] as const)
    })
  const lists = await Promise.all(paths.map(async ([groupVersion, path]) => {
    try {
      return legacyResources(groupVersion, bodyOf(await options.fetch(path, 'application/json')))
    } catch {
      return [] // one group that is away must not hide the others
    }
  }))
  return lists.flat()
}

function bodyOf(response: ApiResponse): JsonObject {
  if (response.body.kind === 'object') return response.body.object
  const parsed: unknown = response.body.kind === 'bytes' ? JSON.parse(Buffer.from(response.body.bytes).toString('utf8')) : undefined
  return isJsonObject(parsed) ? parsed : {}
}

const arrayOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])
const textsOf = (value: unknown): readonly string[] => arrayOf(value).map(String)

function aggregatedResources(document: JsonObject): Discovered {
  const found: ServerResource[] = []
  for (const group of arrayOf(document['items']).filter(isJsonObject)) {
    const groupName = isJsonObject(group['metadata']) ? String(group['metadata']['name'] ?? '') : ''
    for (const version of arrayOf(group['versions']).filter(isJsonObject)) {
      for (const resource of arrayOf(version['resources']).filter(isJsonObject)) {
        const kind = isJsonObject(resource['responseKind']) ? String(resource['responseKind']['kind'] ?? '') : ''
        found.push({
          group: groupName, version: String(version['version']), resource: String(resource['resource']), kind, namespaced: resource['scope'] === 'Namespaced', singular: String(resource['singularResource'] ?? ''),
          verbs: textsOf(resource['verbs']), shortNames: textsOf(resource['shortNames']), categories: textsOf(resource['categories']),
          subresources: arrayOf(resource['subresources']).filter(isJsonObject).map((s) => ({ name: String(s['subresource']), kind: isJsonObject(s['responseKind']) ? String(s['responseKind']['kind'] ?? '') : '', verbs: textsOf(s['verbs']) })),
        })
      }
    }
  }
  return found
}

function legacyResources(groupVersion: string, document: JsonObject): Discovered {
  const [group, version] = splitApiVersion(groupVersion)
  const entries = arrayOf(document['resources']).filter(isJsonObject)
  return entries.filter((e) => !String(e['name']).includes('/')).map((e) => ({
    group, version, resource: String(e['name']), kind: String(e['kind']), namespaced: e['namespaced'] === true, singular: String(e['singularName'] ?? '') || String(e['kind']).toLowerCase(),
    verbs: textsOf(e['verbs']), shortNames: textsOf(e['shortNames']), categories: textsOf(e['categories']),
    subresources: entries.filter((s) => String(s['name']).startsWith(`${String(e['name'])}/`)).map((s) => ({ name: String(s['name']).split('/')[1] ?? '', kind: String(s['kind']), verbs: textsOf(s['verbs']) })),
  }))
}

// Asks the API server which resources it serves, custom ones included: what the garbage collector and the namespace controller have to know.
// Upstream: client-go/discovery
import type { APIGroupList, APIResourceList } from '../../../lib/api/generated/types/meta-v1.ts'
import type { ApiClient, ResourceKey } from '../../../lib/client/api-client.ts'
import { ApiError } from '../../../lib/client/api-error.ts'

export interface DiscoveredResource extends ResourceKey { readonly verbs: readonly string[] }

export interface Discovery {
  /** One version of each resource: the group's preferred one. */
  readonly resources: readonly DiscoveredResource[]
  /** Group versions that could not be asked (an aggregated server that is down), with the reason. */
  readonly failures: readonly { readonly groupVersion: string, readonly message: string }[]
}

/** Throws when the API server itself cannot be asked; a group that fails is told in `failures`. */
export async function discoverResources(client: ApiClient, signal: AbortSignal): Promise<Discovery> {
  const groups = await client.raw('GET', '/apis', undefined, signal) as unknown as APIGroupList // cast: the discovery document
  const groupVersions: { readonly group: string, readonly version: string, readonly path: string }[] = [{ group: '', version: 'v1', path: '/api/v1' }]
  for (const group of groups.groups ?? []) {
    const preferred = group.preferredVersion?.version
    const versions = [...group.versions ?? []].sort((a, b) => Number(b.version === preferred) - Number(a.version === preferred))
    for (const { version } of versions) groupVersions.push({ group: group.name, version, path: `/apis/${group.name}/${version}` })
  }
  const resources = new Map<string, DiscoveredResource>()
  const failures: { readonly groupVersion: string, readonly message: string }[] = []
  for (const { group, version, path } of groupVersions) {
    let list: APIResourceList
    try {
      list = await client.raw('GET', path, undefined, signal) as unknown as APIResourceList // cast: the discovery document
    } catch (error) {
      if (signal.aborted || !(error instanceof ApiError)) throw error
      failures.push({ groupVersion: `${group}/${version}`, message: error.message })
      continue
    }
    for (const found of list.resources ?? []) {
      const id = `${group}/${found.name}`
      if (found.name.includes('/') || resources.has(id)) continue
      resources.set(id, { group, version, resource: found.name, kind: found.kind, namespaced: found.namespaced, verbs: found.verbs ?? [] })
    }
  }
  return { resources: [...resources.values()], failures }
}

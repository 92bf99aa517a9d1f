// Discovery: what this server serves, in the old form (a document per group and version) and the aggregated one (everything at once, with an ETag).
// Documents are made once from the served resources. Upstream: apiserver/pkg/endpoints/discovery
import { createHash } from 'node:crypto'
import type { JsonObject } from '../../../lib/base/json.ts'
import type { SubresourceInfo } from '../../../lib/api/resource-info.ts'
import { isStored } from './build-resources.ts'
import type { ServedResource } from './served-resource.ts'

export interface DiscoveryDocuments {
  /** `''` is the core group. */
  readonly groups: readonly string[]
  /** GET /apis */
  readonly groupList: JsonObject
  /** GET /apis/G */
  group(group: string): JsonObject | undefined
  /** GET /apis/G/V, GET /api/v1 */
  resourceList(group: string, version: string): JsonObject | undefined
  readonly aggregatedCore: AggregatedDocument
  readonly aggregatedGroups: AggregatedDocument
}

export interface AggregatedDocument { readonly object: JsonObject; readonly bytes: Uint8Array; readonly etag: string }

export function discoveryDocuments(resources: Iterable<ServedResource>): DiscoveryDocuments {
  const byGroup = new Map<string, Map<string, ServedResource[]>>()
  for (const resource of resources) {
    const { group, version } = resource.info
    let versions = byGroup.get(group)
    if (!versions) byGroup.set(group, versions = new Map())
    const list = versions.get(version)
    if (list) list.push(resource)
    else versions.set(version, [resource])
  }
  const groups = [...byGroup.keys()]
  const groupObject = (group: string): JsonObject => {
    const versions = [...(byGroup.get(group)?.keys() ?? [])].map((version) => ({ groupVersion: `${group}/${version}`, version }))
    return { name: group, versions, preferredVersion: versions[0] ?? {} }
  }
  const named = groups.filter((group) => group !== '')
  return {
    groups,
    groupList: { kind: 'APIGroupList', apiVersion: 'v1', groups: named.map(groupObject) },
    group: (group) => (group !== '' && byGroup.has(group) ? { kind: 'APIGroup', apiVersion: 'v1', ...groupObject(group) } : undefined),
    resourceList(group, version) {
      const list = byGroup.get(group)?.get(version)
      if (!list) return undefined
      const apiVersion = group === '' ? {} : { apiVersion: 'v1' }
      return { kind: 'APIResourceList', ...apiVersion, groupVersion: group === '' ? version : `${group}/${version}`, resources: list.toSorted((a, b) => (a.info.resource < b.info.resource ? -1 : 1)).flatMap(legacyResources) }
    },
    aggregatedCore: aggregated([['', byGroup.get('') ?? new Map<string, ServedResource[]>()]]),
    aggregatedGroups: aggregated(named.map((group) => [group, byGroup.get(group) ?? new Map<string, ServedResource[]>()])),
  }
}

/** Lets clients tell whether two versions of a resource are stored alike. */
export function storageVersionHash(group: string, version: string, kind: string): string {
  return createHash('sha256').update(`${group}/${version}/${kind}`).digest().subarray(0, 8).toString('base64')
}

function legacyResources({ info, conversion }: ServedResource): JsonObject[] {
  const stored = isStored(info)
  const main: JsonObject = {
    name: info.resource, singularName: info.singular, namespaced: info.namespaced, kind: info.kind, verbs: info.verbs.toSorted(),
    ...(info.shortNames.length > 0 && { shortNames: info.shortNames }), ...(info.categories.length > 0 && { categories: info.categories }),
    ...(stored && { storageVersionHash: conversion ? storageVersionHash('', 'v1', info.kind) : storageVersionHash(info.group, info.version, info.kind) }),
  }
  return [main, ...info.subresources.map((sub) => ({
    name: `${info.resource}/${sub.name}`, singularName: '', namespaced: info.namespaced, ...(sub.group !== '' && { group: sub.group }), ...(sub.version !== '' && { version: sub.version }), kind: sub.kind, verbs: sub.verbs.toSorted(),
  }))]
}

function aggregated(groups: readonly (readonly [string, ReadonlyMap<string, readonly ServedResource[]>])[]): AggregatedDocument {
  const items = groups.map(([group, versions]) => ({
    metadata: { ...(group !== '' && { name: group }), creationTimestamp: null },
    versions: [...versions].map(([version, list]) => ({ version, resources: list.toSorted((a, b) => (a.info.resource < b.info.resource ? -1 : 1)).map(aggregatedResource), freshness: 'Current' })),
  }))
  const object = { kind: 'APIGroupDiscoveryList', apiVersion: 'apidiscovery.k8s.io/v2', metadata: {}, items }
  const bytes = Buffer.from(JSON.stringify(object))
  return { object, bytes, etag: `"${createHash('sha512').update(bytes).digest('hex').toUpperCase()}"` }
}

function aggregatedResource({ info }: ServedResource): JsonObject {
  return {
    resource: info.resource, responseKind: { group: '', version: '', kind: info.kind }, scope: info.namespaced ? 'Namespaced' : 'Cluster', singularResource: info.singular, verbs: info.verbs.toSorted(),
    ...(info.shortNames.length > 0 && { shortNames: info.shortNames }), ...(info.categories.length > 0 && { categories: info.categories }),
    ...(info.subresources.length > 0 && { subresources: info.subresources.map(aggregatedSubresource) }),
  }
}

function aggregatedSubresource(sub: SubresourceInfo): JsonObject {
  return { subresource: sub.name, responseKind: { group: sub.group, version: sub.version, kind: sub.kind }, verbs: sub.verbs.toSorted() }
}

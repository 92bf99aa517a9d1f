// URLs of objects and collections for a resource that discovery found.
import type { ServerResource } from '../discovery/resource-mapper.ts'

export type QueryParameters = { readonly [name: string]: string | number | boolean | undefined }

export function collectionPath(resource: Pick<ServerResource, 'group' | 'version' | 'resource' | 'namespaced'>, namespace: string, query: QueryParameters = {}): string {
  const root = resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`
  return withQuery(`${root}${resource.namespaced && namespace !== '' ? `/namespaces/${encodeURIComponent(namespace)}` : ''}/${resource.resource}`, query)
}

export function objectPath(resource: Pick<ServerResource, 'group' | 'version' | 'resource' | 'namespaced'>, namespace: string, name: string, subresource = '', query: QueryParameters = {}): string {
  return withQuery(`${collectionPath(resource, namespace)}/${encodeURIComponent(name)}${subresource ? `/${subresource}` : ''}`, query)
}

export function withQuery(path: string, query: QueryParameters): string {
  const pairs = Object.entries(query).flatMap(([name, value]) => (value === undefined || value === '' ? [] : [`${encodeURIComponent(name)}=${encodeURIComponent(String(value))}`]))
  return pairs.length === 0 ? path : `${path}?${pairs.join('&')}`
}

/** How kubectl names a kind of thing in its output: `pod`, `deployment.apps`. */
export function displayResource(resource: Pick<ServerResource, 'group' | 'kind'>): string {
  const kind = resource.kind.toLowerCase()
  return resource.group === '' ? kind : `${kind}.${resource.group}`
}

// What a request is about, read from its method and path: the verb and resource that authorization, admission and routing speak of. Pure.
// Upstream: apiserver/pkg/endpoints/request/requestinfo.go

export interface RequestInfo {
  readonly isResource: boolean
  readonly path: string
  /** Lower-case verb of the API (`get`, `list`, `watch`, …), or the method in lower case for other paths. */
  readonly verb: string
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly subresource: string
  readonly namespace: string
  readonly name: string
  /** Everything after the resource: `[name, subresource, more…]`. */
  readonly parts: readonly string[]
}

const verbs: { readonly [method: string]: string } = { POST: 'create', GET: 'get', HEAD: 'get', PUT: 'update', PATCH: 'patch', DELETE: 'delete' }
const namespaceSubresources: ReadonlySet<string> = new Set(['status', 'finalize'])

/** @param path decoded, without the query */
export function parseRequestInfo(method: string, path: string, query: URLSearchParams): RequestInfo {
  const other: RequestInfo = { isResource: false, path, verb: method.toLowerCase(), group: '', version: '', resource: '', subresource: '', namespace: '', name: '', parts: [] }
  let parts = path.split('/').filter((part, i, all) => part !== '' || (i > 0 && i < all.length - 1))
  const root = parts[0]
  if ((root !== 'api' && root !== 'apis') || parts.length < 3) return other
  let group = ''
  if (root === 'apis') {
    if (parts.length < 4) return other
    group = parts[1] ?? ''
    parts = parts.slice(1)
  }
  const version = parts[1] ?? ''
  parts = parts.slice(2)
  let verb = verbs[method] ?? ''
  if (parts[0] === 'watch' || parts[0] === 'proxy') {
    if (parts.length < 2) return { ...other, group, version }
    verb = parts[0]
    parts = parts.slice(1)
  }
  let namespace = ''
  if (parts[0] === 'namespaces') {
    if (parts.length > 1) {
      namespace = parts[1] ?? ''
      // `namespaces/x/pods` is the resource pods in x; `namespaces/x/status` is still the namespace.
      if (parts.length > 2 && !namespaceSubresources.has(parts[2] ?? '')) parts = parts.slice(2)
    }
  }
  const resource = parts[0] ?? ''
  let name = parts[1] ?? ''
  const subresource = verb === 'proxy' ? '' : parts[2] ?? ''
  if (name === '' && verb === 'get') {
    const watch = query.get('watch')
    verb = watch !== null && !['false', '0', 'f', 'F', 'FALSE', 'False'].includes(watch) ? 'watch' : 'list'
  }
  if (name === '' && verb === 'delete') verb = 'deletecollection'
  if (name === '' && (verb === 'list' || verb === 'watch' || verb === 'deletecollection')) name = exactName(query.get('fieldSelector')) ?? ''
  return { isResource: true, path, verb, group, version, resource, subresource, namespace, name, parts }
}

/** The name in `metadata.name=x`, which RBAC's resourceNames may then match. */
function exactName(selector: string | null): string | undefined {
  if (selector === null) return undefined
  for (const term of selector.split(',')) {
    const match = /^metadata\.name==?([^=!,\\]+)$/.exec(term)
    if (match) return match[1]
  }
  return undefined
}

const longRunningSubresources: ReadonlySet<string> = new Set(['attach', 'exec', 'proxy', 'log', 'portforward'])

/** True for requests without a deadline that don't count against the limits in flight. */
export function isLongRunning(info: RequestInfo): boolean {
  return info.isResource ? info.verb === 'watch' || info.verb === 'proxy' || longRunningSubresources.has(info.subresource) : info.path.startsWith('/debug/pprof/')
}

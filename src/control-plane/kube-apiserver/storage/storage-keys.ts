// Where objects live in etcd: the original's key layout, so that `etcdctl get /registry --prefix --keys-only` reads the same.
// No group stands in the path of built-in kinds; a few resources have names of their own for historical reasons.
// Upstream: pkg/kubeapiserver/default_storage_factory_builder.go (SpecialDefaultResourcePrefixes)

const specialPaths: { readonly [groupResource: string]: string } = {
  '/nodes': 'minions',
  '/services': 'services/specs',
  '/endpoints': 'services/endpoints',
  '/replicationcontrollers': 'controllers',
  'networking.k8s.io/ingresses': 'ingress',
  'events.k8s.io/events': 'events',
  'apiextensions.k8s.io/customresourcedefinitions': 'apiextensions.k8s.io/customresourcedefinitions',
  'apiregistration.k8s.io/apiservices': 'apiregistration.k8s.io/apiservices',
}

/** The key prefix of a resource, with a slash at its end: `/registry/pods/`. */
export function storagePrefix(group: string, resource: string, root = '/registry'): string {
  return `${root}/${specialPaths[`${group}/${resource}`] ?? resource}/`
}

/** What follows the prefix: `<namespace>/<name>`, or `<name>` for cluster-scoped kinds. Lists are in the byte order of this. */
export function objectKey(namespace: string, name: string): string {
  return namespace === '' ? name : `${namespace}/${name}`
}

/** First key after all keys that begin with `prefix` (ASCII). */
export function prefixEnd(prefix: string): string {
  const last = prefix.length - 1
  return prefix.slice(0, last) + String.fromCharCode(prefix.charCodeAt(last) + 1)
}

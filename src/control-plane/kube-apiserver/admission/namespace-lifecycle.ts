// Nothing is created in a namespace that doesn't exist or is on its way out.
// Upstream: apiserver/pkg/admission/plugin/namespace/lifecycle
import type { Namespace } from '../../../lib/api/generated/types/core-v1.ts'
import { objectKey } from '../storage/storage-keys.ts'
import { forbidden, notFound } from '../endpoints/api-errors.ts'
import type { ServedResource } from '../endpoints/served-resource.ts'
import { isResource, type AdmissionPlugin, type AdmissionRequest } from './admission.ts'

/** Reviews ask about namespaces that needn't exist. */
const accessReviews: ReadonlySet<string> = new Set(['localsubjectaccessreviews'])

/** A namespace that was deleted through this server is looked up in etcd for so long: by then the cache has heard of it. */
const liveLookupMs = 30_000
const maxRemembered = 10_000

export function namespaceLifecycle(stored: ReadonlyMap<string, ServedResource>): AdmissionPlugin {
  const namespaces = stored.get('/namespaces')
  const deletedAt = new Map<string, number>()
  const isDoubtful = (namespace: string, nowMs: number): boolean => {
    const at = deletedAt.get(namespace)
    if (at === undefined) return false
    if (nowMs - at <= liveLookupMs) return true
    deletedAt.delete(namespace)
    return false
  }
  const check = async (request: AdmissionRequest): Promise<void> => {
    if (!namespaces) return
    const { namespace } = request
    // The cache may not have heard of a namespace that was made a moment ago.
    const found = (isDoubtful(namespace, request.nowMs) ? undefined : namespaces.store.cache.get(namespace)) ?? (await namespaces.store.get(objectKey('', namespace), request.signal))
    if (!found) throw notFound({ group: '', resource: 'namespaces' }, namespace)
    const { metadata, status } = found.object as Namespace // cast: the namespaces' store
    if (status?.phase !== 'Terminating' && metadata.deletionTimestamp === undefined) return
    throw forbidden({ group: request.info.group, resource: request.info.resource }, request.name, `unable to create new content in namespace ${namespace} because it is being terminated`, [
      { reason: 'NamespaceTerminating', message: `namespace ${namespace} is being terminated`, field: 'metadata.namespace' },
    ])
  }
  return {
    name: 'NamespaceLifecycle',
    handles: (request) => (request.operation === 'CREATE' && request.info.namespaced && request.subresource === '' && !accessReviews.has(request.info.resource))
      || (request.operation === 'DELETE' && isResource(request, '', 'namespaces')),
    async mutate(request, object) { await check(request); return object },
    validate(request) {
      if (request.operation !== 'DELETE') return
      if (deletedAt.size >= maxRemembered) deletedAt.clear()
      deletedAt.set(request.name, request.nowMs)
    },
  }
}

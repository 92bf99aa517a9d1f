// Nothing is created in a namespace that doesn't exist or is on its way out.
// Upstream: apiserver/pkg/admission/plugin/namespace/lifecycle
import type { Namespace } from '../../../lib/api/generated/types/core-v1.ts'
import { objectKey } from '../storage/storage-keys.ts'
import { forbidden, notFound } from '../endpoints/api-errors.ts'
import type { ServedResource } from '../endpoints/served-resource.ts'
import type { AdmissionPlugin, AdmissionRequest } from './admission.ts'

/** Reviews ask about namespaces that needn't exist. */
const accessReviews: ReadonlySet<string> = new Set(['localsubjectaccessreviews'])

export function namespaceLifecycle(stored: ReadonlyMap<string, ServedResource>): AdmissionPlugin {
  const namespaces = stored.get('/namespaces')
  const check = async (request: AdmissionRequest): Promise<void> => {
    if (!namespaces) return
    const { namespace } = request
    // The cache may not have heard of a namespace that was made a moment ago.
    const found = namespaces.store.cache.get(namespace) ?? (await namespaces.store.get(objectKey('', namespace), request.signal))
    if (!found) throw notFound({ group: '', resource: 'namespaces' }, namespace)
    const { metadata, status } = found.object as Namespace // cast: the namespaces' store
    if (status?.phase !== 'Terminating' && metadata.deletionTimestamp === undefined) return
    throw forbidden({ group: request.info.group, resource: request.info.resource }, request.name, `unable to create new content in namespace ${namespace} because it is being terminated`, [
      { reason: 'NamespaceTerminating', message: `namespace ${namespace} is being terminated`, field: 'metadata.namespace' },
    ])
  }
  return {
    name: 'NamespaceLifecycle',
    handles: (request) => request.operation === 'CREATE' && request.info.namespaced && request.subresource === '' && !accessReviews.has(request.info.resource),
    async mutate(request, object) { await check(request); return object },
  }
}

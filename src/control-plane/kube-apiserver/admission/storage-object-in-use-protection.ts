// Volumes and claims get a finalizer, so that they don't go while something uses them.
// Upstream: plugin/pkg/admission/storage/storageobjectinuseprotection
import type { AdmissionPlugin } from './admission.ts'
import { isResource } from './admission.ts'

const finalizers: { readonly [resource: string]: string } = {
  '/persistentvolumes': 'kubernetes.io/pv-protection', '/persistentvolumeclaims': 'kubernetes.io/pvc-protection', 'storage.k8s.io/volumeattributesclasses': 'kubernetes.io/vac-protection',
}

export const storageObjectInUseProtection: AdmissionPlugin = {
  name: 'StorageObjectInUseProtection',
  handles: (request) => request.operation === 'CREATE' && isResource(request, request.info.group, request.info.resource) && finalizers[`${request.info.group}/${request.info.resource}`] !== undefined,
  mutate(request, object) {
    const finalizer = finalizers[`${request.info.group}/${request.info.resource}`]
    const have = object.metadata.finalizers ?? []
    return finalizer === undefined || have.includes(finalizer) ? object : { ...object, metadata: { ...object.metadata, finalizers: [...have, finalizer] } }
  },
}

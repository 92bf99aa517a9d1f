// A claim that names no storage class gets the default one, if there is one; of several the newest.
// Upstream: plugin/pkg/admission/storage/storageclass/setdefault
import type { PersistentVolumeClaim } from '../../../lib/api/generated/types/core-v1.ts'
import { storageClasses } from '../../../lib/client/resource-keys.ts'
import type { ServedResource } from '../endpoints/served-resource.ts'
import { cachedKind } from '../endpoints/server-context.ts'
import type { AdmissionPlugin } from './admission.ts'
import { isResource } from './admission.ts'

const isDefault = (annotations: { readonly [key: string]: string } | undefined): boolean =>
  annotations?.['storageclass.kubernetes.io/is-default-class'] === 'true' || annotations?.['storageclass.beta.kubernetes.io/is-default-class'] === 'true'

export function defaultStorageClass(stored: ReadonlyMap<string, ServedResource>): AdmissionPlugin {
  return {
    name: 'DefaultStorageClass',
    handles: (request) => request.operation === 'CREATE' && isResource(request, '', 'persistentvolumeclaims'),
    mutate(_request, object) {
      const claim = object as PersistentVolumeClaim // cast: handles() has looked at the resource
      if (claim.spec?.storageClassName !== undefined || claim.metadata.annotations?.['volume.beta.kubernetes.io/storage-class'] !== undefined) return claim
      const [chosen] = cachedKind(stored, storageClasses).list().filter((c) => isDefault(c.metadata.annotations))
        .toSorted((a, b) => (a.metadata.creationTimestamp !== b.metadata.creationTimestamp ? (a.metadata.creationTimestamp > b.metadata.creationTimestamp ? -1 : 1) : a.metadata.name < b.metadata.name ? -1 : 1))
      if (!chosen) return claim
      const next: PersistentVolumeClaim = { ...claim, spec: { ...claim.spec, storageClassName: chosen.metadata.name } as PersistentVolumeClaim['spec'] } // cast: only a field was added
      return next
    },
  }
}

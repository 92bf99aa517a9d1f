// An Ingress that names no class gets the default one; with two defaults nobody knows which.
// Upstream: plugin/pkg/admission/network/defaultingressclass
import type { Ingress, IngressClass } from '../../../lib/api/generated/types/networking-v1.ts'
import { forbidden } from '../endpoints/api-errors.ts'
import type { ServedResource } from '../endpoints/served-resource.ts'
import type { AdmissionPlugin } from './admission.ts'
import { isResource } from './admission.ts'

const group = 'networking.k8s.io'

export function defaultIngressClass(stored: ReadonlyMap<string, ServedResource>): AdmissionPlugin {
  return {
    name: 'DefaultIngressClass',
    handles: (request) => request.operation === 'CREATE' && isResource(request, group, 'ingresses'),
    mutate(request, object) {
      const ingress = object as Ingress // cast: handles() has looked at the resource
      if (ingress.spec?.ingressClassName !== undefined || ingress.metadata.annotations?.['kubernetes.io/ingress.class'] !== undefined) return ingress
      // cast: the classes' cache
      const defaults = (stored.get(`${group}/ingressclasses`)?.store.cache.list('') ?? []).map((s) => s.object as IngressClass).filter((c) => c.metadata.annotations?.['ingressclass.kubernetes.io/is-default-class'] === 'true')
      const [chosen] = defaults
      if (!chosen) return ingress
      if (defaults.length > 1) throw forbidden({ group, resource: 'ingresses' }, request.name, `${defaults.length} default IngressClasses were found, only 1 allowed`)
      return { ...ingress, spec: { ...ingress.spec, ingressClassName: chosen.metadata.name } } as Ingress // cast: only a field was added
    },
  }
}

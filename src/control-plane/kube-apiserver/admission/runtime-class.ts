// A pod's runtime class says what it costs besides its containers and where it can run.
// Upstream: plugin/pkg/admission/runtimeclass
import type { RuntimeClass } from '../../../lib/api/generated/types/node-v1.ts'
import type { Toleration } from '../../../lib/api/generated/types/core-v1.ts'
import { deepEqual } from '../../../lib/apimachinery/equality.ts'
import { forbidden } from '../endpoints/api-errors.ts'
import type { ServedResource } from '../endpoints/served-resource.ts'
import { objectKey } from '../storage/storage-keys.ts'
import type { AdmissionPlugin } from './admission.ts'
import { asPod, isPodCreate, withPodSpec } from './pod-selection.ts'

export function runtimeClass(stored: ReadonlyMap<string, ServedResource>): AdmissionPlugin {
  return {
    name: 'RuntimeClass',
    handles: isPodCreate,
    async mutate(request, object) {
      let pod = asPod(object)
      const name = pod.spec.runtimeClassName
      const refuse = (why: string): Error => forbidden({ group: '', resource: 'pods' }, request.name, why)
      if (name === undefined || name === '') {
        if (pod.spec.overhead && Object.keys(pod.spec.overhead).length > 0) throw refuse('pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead')
        return pod
      }
      const store = stored.get('node.k8s.io/runtimeclasses')?.store
      const found = store?.cache.get(name) ?? (await store?.get(objectKey('', name), request.signal))
      if (!found) throw refuse(`pod rejected: RuntimeClass ${JSON.stringify(name)} not found`)
      const { overhead, scheduling } = found.object as RuntimeClass // cast: the classes' store
      if (overhead?.podFixed) {
        if (pod.spec.overhead && !deepEqual(pod.spec.overhead, overhead.podFixed)) throw refuse("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
        pod = withPodSpec(pod, { overhead: overhead.podFixed })
      }
      if (!scheduling) return pod
      const selector = { ...pod.spec.nodeSelector }
      for (const [key, value] of Object.entries(scheduling.nodeSelector ?? {})) {
        if (selector[key] !== undefined && selector[key] !== value) throw refuse(`pod rejected: conflict: runtimeClass.scheduling.nodeSelector[${key}] = ${value}; pod.spec.nodeSelector[${key}] = ${selector[key]}`)
        selector[key] = value
      }
      const have: readonly Toleration[] = pod.spec.tolerations ?? []
      const more = (scheduling.tolerations ?? []).filter((t) => !have.some((h) => deepEqual(h, t)))
      return withPodSpec(pod, { ...(Object.keys(selector).length > 0 && { nodeSelector: selector }), ...(more.length > 0 && { tolerations: [...have, ...more] }) })
    },
  }
}

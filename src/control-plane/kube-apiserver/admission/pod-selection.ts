// What several plugins ask of a request: is it a pod that is being made, and the pod's containers.
import type { Container, Pod } from '../../../lib/api/generated/types/core-v1.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'
import type { AdmissionRequest } from './admission.ts'
import { isResource } from './admission.ts'

export const isPodCreate = (request: AdmissionRequest): boolean => request.operation === 'CREATE' && isResource(request, '', 'pods')
export const isPodWrite = (request: AdmissionRequest): boolean => (request.operation === 'CREATE' || request.operation === 'UPDATE') && isResource(request, '', 'pods')

// cast: the caller has looked at the resource
export const asPod = (object: ApiObject): Pod => object as Pod

/** The pod with another spec. */
export function withPodSpec(pod: Pod, spec: Partial<Pod['spec']>): Pod { return { ...pod, spec: { ...pod.spec, ...spec } } }

/** Mirrors of static pods: the kubelet's own. */
export const isMirrorPod = (pod: Pod): boolean => pod.metadata.annotations?.['kubernetes.io/config.mirror'] !== undefined

/** Every container of the pod mapped, init containers too; the same pod when nothing changed. */
export function mapContainers(pod: Pod, map: (container: Container) => Container): Pod {
  let changed = false
  const each = (containers: readonly Container[] | undefined): readonly Container[] | undefined => containers?.map((container) => {
    const next = map(container)
    changed ||= next !== container
    return next
  })
  const containers = each(pod.spec.containers)
  const initContainers = each(pod.spec.initContainers)
  return changed ? withPodSpec(pod, { ...(containers && { containers }), ...(initContainers && { initContainers }) }) : pod
}

// Changing a running pod's amounts of CPU and memory. Upstream: pkg/apis/core/validation/validation.go (ValidatePodResize)
import type { Draft } from '../../../../../lib/base/json.ts'
import type { Container, Pod, ResourceRequirements } from '../../../../../lib/api/generated/types/core-v1.ts'
import { fieldForbidden, fieldInvalid } from '../../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../../lib/apimachinery/field-error.ts'
import { semanticEqual } from '../../semantic-equal.ts'
import { computeQosClass, isSidecar } from './pod-resources.ts'
import type { PodValidationOptions } from './pod-validation-options.ts'
import { validatePodContents } from './validate-pod.ts'
import { mirrorAnnotation } from './validate-pod-annotations.ts'

type ResourceList = { readonly [name: string]: string | undefined } | undefined

export function validatePodResize(pod: Draft<Pod>, old: Draft<Pod>, errors: FieldError[], options: PodValidationOptions): void {
  validatePodContents(pod, errors, options)
  const refuse = (text: string): void => { errors.splice(0, errors.length, fieldForbidden('', text)) }
  if (old.metadata?.annotations?.[mirrorAnnotation] !== undefined) { refuse('static pods cannot be resized'); return }
  if (old.spec?.os?.name === 'windows') { refuse('windows pods cannot be resized'); return }
  const containers = pod.spec?.containers ?? []
  const oldContainers = old.spec?.containers ?? []
  const initContainers = pod.spec?.initContainers ?? []
  const oldInitContainers = old.spec?.initContainers ?? []
  if (containers.length !== oldContainers.length || initContainers.length !== oldInitContainers.length) {
    errors.push(fieldForbidden('spec', 'only cpu and memory resources are mutable'))
    return
  }
  if ((old.status?.qosClass || computeQosClass(old.spec ?? {})) !== computeQosClass(pod.spec ?? {})) {
    errors.push(fieldInvalid('spec', pod.status?.qosClass ?? '', 'Pod QOS Class may not change as a result of resizing'))
  }
  const running = old.status?.containerStatuses?.find((status) => status.state?.running)
  if (running && !running.resources) errors.push(fieldForbidden('spec', 'Pod running on node without support for resize'))
  oldInitContainers.forEach((before, i) => {
    if (isSidecar(before)) validateNothingRemoved(initContainers[i]?.resources, before.resources, `spec.initContainers[${i}].resources`, errors)
  })
  oldContainers.forEach((before, i) => validateNothingRemoved(containers[i]?.resources, before.resources, `spec.containers[${i}].resources`, errors))
  containers.forEach((container, i) => {
    if (!semanticEqual(withComputeOf(container, oldContainers[i] ?? {}), oldContainers[i])) errors.push(fieldForbidden('spec', 'only cpu and memory resources are mutable'))
  })
  initContainers.forEach((container, i) => {
    const before = oldInitContainers[i] ?? {}
    if (isSidecar(container)) {
      if (!semanticEqual(withComputeOf(container, before), before)) errors.push(fieldForbidden('spec', 'only cpu and memory resources for sidecar containers are mutable'))
    } else if (!semanticEqual(container, before)) {
      errors.push(fieldForbidden('spec', 'resources for non-sidecar init containers are immutable'))
    }
  })
}

function validateNothingRemoved(now: Draft<ResourceRequirements> | undefined, old: Draft<ResourceRequirements> | undefined, path: string, errors: FieldError[]): void {
  const lacks = (list: ResourceList, before: ResourceList): boolean => Object.keys(before ?? {}).some((name) => list?.[name] === undefined)
  if (lacks(now?.requests, old?.requests)) errors.push(fieldForbidden(`${path}.requests`, 'resource requests cannot be removed'))
  if (lacks(now?.limits, old?.limits)) errors.push(fieldForbidden(`${path}.limits`, 'resource limits cannot be removed'))
}

/** The container with CPU and memory, and the policy of resizing, as they were. */
function withComputeOf(container: Draft<Container>, old: Draft<Container>): Draft<Container> {
  const merged = (list: ResourceList, before: ResourceList): { readonly [name: string]: string } | undefined => {
    const next: { [name: string]: string } = {}
    for (const [name, amount] of Object.entries(list ?? {})) if (name !== 'cpu' && name !== 'memory' && amount !== undefined) next[name] = amount
    for (const name of ['cpu', 'memory']) {
      const amount = before?.[name]
      if (amount !== undefined) next[name] = amount
    }
    return Object.keys(next).length > 0 ? next : undefined
  }
  return {
    ...container, resizePolicy: old.resizePolicy,
    resources: { ...container.resources, limits: merged(container.resources?.limits, old.resources?.limits), requests: merged(container.resources?.requests, old.resources?.requests) },
  }
}

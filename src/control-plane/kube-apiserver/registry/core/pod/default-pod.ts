// Defaults that only pods have, not the templates of pods: requests from limits, host ports on the host's network, amounts of the pod as a whole.
// Upstream: pkg/apis/core/v1/defaults.go (SetDefaults_Pod)
import type { Container, ContainerPort, Pod, PodSpec, ResourceRequirements } from '../../../../../lib/api/generated/types/core-v1.ts'
import { isHugePages, isOvercommitAllowed, isSupportedAtPodLevel } from '../../validation/resource-names.ts'
import { defaultPodSpec, mapChanged } from './default-pod-spec.ts'
import { aggregateContainers, isSidecar } from './pod-resources.ts'

type ResourceList = { readonly [name: string]: string }

/** `list` with what `from` has and it lacks; the same list when it lacks nothing. */
function filled(list: ResourceList | undefined, from: ResourceList, accept: (name: string) => boolean = () => true): ResourceList | undefined {
  let next: { [name: string]: string } | undefined
  for (const name in from) {
    const amount = from[name]
    if (amount === undefined || list?.[name] !== undefined || !accept(name)) continue
    next ??= { ...list }
    next[name] = amount
  }
  return next ?? list
}

function requestsFromLimits(container: Container): Container {
  const { resources } = container
  if (!resources?.limits) return container
  const requests = filled(resources.requests, resources.limits)
  return requests === resources.requests ? container : { ...container, resources: { ...resources, requests } }
}

const hostPort = (port: ContainerPort): ContainerPort => port.hostPort || !port.containerPort ? port : { ...port, hostPort: port.containerPort }

function hostPorts(container: Container): Container {
  const ports = container.ports && mapChanged(container.ports, hostPort)
  return ports === container.ports ? container : { ...container, ports }
}

const isEmpty = (list: ResourceList | undefined): boolean => !list || Object.keys(list).length === 0

function defaultPodResources(spec: PodSpec, given: ResourceRequirements): ResourceRequirements {
  if (isEmpty(given.limits) && isEmpty(given.requests)) return given
  let { limits, requests } = given
  const containerLimits = aggregateContainers(spec, 'limits')
  limits = filled(limits, containerLimits, (name) => isHugePages(name) && requests?.[name] === undefined)
  if (!isEmpty(limits)) {
    requests = filled(requests, aggregateContainers(spec, 'requests'), (name) => isSupportedAtPodLevel(name) && isOvercommitAllowed(name))
    requests = filled(requests, limits ?? {}, isSupportedAtPodLevel)
  } else if (!isEmpty(requests)) {
    const running = [...(spec.containers ?? []), ...(spec.initContainers ?? []).filter(isSidecar)]
    limits = filled(limits, containerLimits, (name) => isSupportedAtPodLevel(name) && isOvercommitAllowed(name) && running.every((container) => container.resources?.limits?.[name] !== undefined))
  }
  return limits === given.limits && requests === given.requests ? given : { ...given, ...(limits && { limits }), ...(requests && { requests }) }
}

export function defaultPod(pod: Pod): Pod {
  let spec = defaultPodSpec(pod.spec)
  const containers = spec.containers && mapChanged(spec.containers, requestsFromLimits)
  if (containers !== spec.containers) spec = { ...spec, containers }
  const initContainers = spec.initContainers && mapChanged(spec.initContainers, requestsFromLimits)
  if (initContainers !== spec.initContainers) spec = { ...spec, initContainers }
  const resources = spec.resources && defaultPodResources(spec, spec.resources)
  if (resources !== spec.resources) spec = { ...spec, resources }
  if (spec.enableServiceLinks === undefined) spec = { ...spec, enableServiceLinks: true }
  if (spec.hostNetwork) {
    const onHost = spec.containers && mapChanged(spec.containers, hostPorts)
    const initOnHost = spec.initContainers && mapChanged(spec.initContainers, hostPorts)
    if (onHost !== spec.containers || initOnHost !== spec.initContainers) spec = { ...spec, containers: onHost, ...(initOnHost && { initContainers: initOnHost }) }
  }
  return spec === pod.spec ? pod : { ...pod, spec }
}

// What a pod asks for and may use, summed over its containers; its quality-of-service class; what follows from both for the kernel.
// Upstream: component-helpers/resource, pkg/apis/core/v1/helper/qos, pkg/kubelet/qos/policy.go, pkg/kubelet/cm/helpers_linux.go
import type { Container, EphemeralContainer, Pod } from '../../../lib/api/generated/types/core-v1.ts'
import { initContainers, isRestartableInit, isStaticPod, regularContainers } from './pod-facts.ts'
import { quantityMilli, quantityValue } from './quantity-value.ts'

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort'
export type ResourceTotals = { readonly [resource: string]: number }

/** cpu in thousandths of a core, everything else in whole units. */
export function resourceNumber(resource: string, quantity: string): number { return resource === 'cpu' ? quantityMilli(quantity) : quantityValue(quantity) }

function toTotals(list: { readonly [resource: string]: string } | undefined): ResourceTotals {
  return Object.fromEntries(Object.entries(list ?? {}).map(([name, quantity]) => [name, resourceNumber(name, quantity)]))
}

function combine(a: ResourceTotals, b: ResourceTotals, join: (x: number, y: number) => number): ResourceTotals {
  return Object.fromEntries([...new Set([...Object.keys(a), ...Object.keys(b)])].map((name) => [name, join(a[name] ?? 0, b[name] ?? 0)]))
}
const add = (a: ResourceTotals, b: ResourceTotals): ResourceTotals => combine(a, b, (x, y) => x + y)
const highest = (a: ResourceTotals, b: ResourceTotals): ResourceTotals => combine(a, b, Math.max)

/** The sum over containers and sidecars, or the largest moment of initialisation, plus the overhead. Pod-level requests win where given. */
function sumResources(pod: Pod, pick: (container: Container) => ResourceTotals, podLevel: ResourceTotals): ResourceTotals {
  let total: ResourceTotals = {}
  for (const container of regularContainers(pod)) total = add(total, pick(container))
  let sidecars: ResourceTotals = {}
  let duringInit: ResourceTotals = {}
  for (const container of initContainers(pod)) {
    if (isRestartableInit(container)) {
      sidecars = add(sidecars, pick(container))
      total = add(total, pick(container))
      duringInit = highest(duringInit, sidecars)
    } else duringInit = highest(duringInit, add(sidecars, pick(container)))
  }
  const overhead = toTotals(pod.spec?.overhead)
  return add({ ...highest(total, duringInit), ...podLevel }, overhead)
}

/** Requests of a container; a limit alone counts as the request (the API server defaults it so, static pods may not be defaulted). */
function requestsOf(container: Container): ResourceTotals { return { ...toTotals(container.resources?.limits), ...toTotals(container.resources?.requests) } }

export function podRequests(pod: Pod): ResourceTotals { return sumResources(pod, requestsOf, toTotals(pod.spec?.resources?.requests)) }
export function podLimits(pod: Pod): ResourceTotals { return sumResources(pod, (c) => toTotals(c.resources?.limits), toTotals(pod.spec?.resources?.limits)) }

/** Whether every container bounds `resource`, so that the pod as a whole is bounded. */
export function isBounded(pod: Pod, resource: 'cpu' | 'memory'): boolean {
  if (pod.spec?.resources?.limits?.[resource] !== undefined) return true
  const containers = [...regularContainers(pod), ...initContainers(pod)]
  return containers.length > 0 && containers.every((c) => (toTotals(c.resources?.limits)[resource] ?? 0) > 0)
}

export function computeQosClass(pod: Pod): QosClass {
  if (pod.status?.qosClass !== undefined && pod.status.qosClass !== '') return pod.status.qosClass as QosClass // cast: the API server validated it
  let any = false
  let guaranteed = true
  const levels = pod.spec?.resources?.requests ?? pod.spec?.resources?.limits ? [{ resources: pod.spec?.resources ?? {} }] : [...regularContainers(pod), ...initContainers(pod)]
  for (const level of levels) {
    for (const resource of ['cpu', 'memory'] as const) {
      const limit = resourceNumber(resource, level.resources?.limits?.[resource] ?? '0')
      const request = resourceNumber(resource, level.resources?.requests?.[resource] ?? level.resources?.limits?.[resource] ?? '0')
      if (limit > 0 || request > 0) any = true
      if (limit === 0 || limit !== request) guaranteed = false
    }
  }
  if (!any) return 'BestEffort'
  return guaranteed ? 'Guaranteed' : 'Burstable'
}

export function computeOomScore(pod: Pod, container: Container | EphemeralContainer, memoryCapacityBytes: number): number {
  if ((pod.spec?.priority ?? 0) >= 2_000_001_000 || (isStaticPod(pod) && (pod.spec?.priority ?? 0) >= 2_000_000_000)) return -997
  switch (computeQosClass(pod)) {
    case 'Guaranteed': return -997
    case 'BestEffort': return 1000
    case 'Burstable': {
      const request = requestsOf(container as Container)['memory'] ?? 0 // cast: both kinds have the same resources
      const score = 1000 - Math.floor((1000 * request) / Math.max(1, memoryCapacityBytes))
      return Math.min(999, Math.max(3, score))
    }
  }
}

/** cgroup v1's cpu.shares for a request, 2 at the least. */
export function milliToShares(milli: number): number { return milli === 0 ? 2 : Math.min(262_144, Math.max(2, Math.floor((milli * 1024) / 1000))) }

export const cpuPeriodMicroseconds = 100_000

/** The CFS quota for a limit, 0 when unlimited. */
export function milliToQuota(milli: number, periodMicroseconds = cpuPeriodMicroseconds): number {
  return milli === 0 ? 0 : Math.max(1000, Math.floor((milli * periodMicroseconds) / 1000))
}

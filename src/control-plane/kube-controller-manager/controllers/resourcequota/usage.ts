// What one object counts for in a quota. Upstream: kubernetes/pkg/quota/v1/evaluator/core
import { addQuantities, compareQuantities, formatQuantity, parseQuantity } from '../../../../lib/apimachinery/quantity.ts'
import { matches, selectorOf } from '../../../../lib/apimachinery/label-selector.ts'
import type { Container, PersistentVolumeClaim, Pod, ResourceQuota, Service } from '../../../../lib/api/generated/types/core-v1.ts'
import { isPodTerminal } from '../shared/pod-state.ts'

/** Quantities by the names that quotas use. */
export type Usage = { readonly [name: string]: string }
type Amounts = { readonly [name: string]: string }

export function podUsage(pod: Pod): Usage {
  // A finished pod still is an object, but uses nothing.
  if (isPodTerminal(pod)) return {}
  const usage: Record<string, string> = { pods: '1' }
  const requests = podAmounts(pod, 'requests')
  const limits = podAmounts(pod, 'limits')
  for (const [name, amount] of Object.entries(requests)) {
    usage[`requests.${name}`] = amount
    if (name === 'cpu' || name === 'memory' || name === 'ephemeral-storage') usage[name] = amount
    if (name.startsWith('hugepages-')) usage[name] = amount
  }
  for (const [name, amount] of Object.entries(limits)) usage[`limits.${name}`] = amount
  return usage
}

/** Containers and sidecars together; init containers one after the other beside the sidecars started before them; whichever is more. */
function podAmounts(pod: Pod, which: 'requests' | 'limits'): Amounts {
  const amountsOf = (container: Container): Amounts => container.resources?.[which] ?? {}
  let together: Amounts = {}
  let sidecars: Amounts = {}
  let most: Amounts = {}
  for (const container of pod.spec.containers ?? []) together = add(together, amountsOf(container))
  for (const container of pod.spec.initContainers ?? []) {
    if (container.restartPolicy === 'Always') {
      sidecars = add(sidecars, amountsOf(container))
      most = larger(most, sidecars)
    } else most = larger(most, add(sidecars, amountsOf(container)))
  }
  const containers = larger(add(together, sidecars), most)
  const whole = pod.spec.resources?.[which]
  return add(whole ? { ...containers, ...whole } : containers, pod.spec.overhead ?? {})
}

function combine(a: Amounts, b: Amounts, choose: (x: string, y: string) => string): Amounts {
  const result: Record<string, string> = { ...a }
  for (const [name, amount] of Object.entries(b)) { const other = result[name]; result[name] = other === undefined ? amount : choose(other, amount) }
  return result
}

function add(a: Amounts, b: Amounts): Amounts {
  return combine(a, b, (x, y) => { const [p, q] = [parseQuantity(x), parseQuantity(y)]; return p && q ? formatQuantity(addQuantities(p, q)) : x })
}

function larger(a: Amounts, b: Amounts): Amounts {
  return combine(a, b, (x, y) => { const [p, q] = [parseQuantity(x), parseQuantity(y)]; return p && q && compareQuantities(p, q) < 0 ? y : x })
}

export function serviceUsage(service: Service): Usage {
  const ports = (service.spec.ports ?? []).length
  switch (service.spec.type) {
    case 'NodePort': return { 'services.nodeports': String(ports) }
    case 'LoadBalancer': return { 'services.loadbalancers': '1', ...(service.spec.allocateLoadBalancerNodePorts === false ? { 'services.nodeports': String((service.spec.ports ?? []).filter((port) => port.nodePort).length) } : { 'services.nodeports': String(ports) }) }
    default: return {}
  }
}

export function claimUsage(claim: PersistentVolumeClaim): Usage {
  const storage = claim.spec?.resources?.requests?.['storage']
  const storageClass = claim.spec?.storageClassName ?? claim.metadata.annotations?.['volume.beta.kubernetes.io/storage-class']
  const prefix = storageClass ? `${storageClass}.storageclass.storage.k8s.io/` : undefined
  return {
    ...(storage === undefined ? {} : { 'requests.storage': storage, ...(prefix ? { [`${prefix}requests.storage`]: storage } : {}) }),
    ...(prefix ? { [`${prefix}persistentvolumeclaims`]: '1' } : {}),
  }
}

/** True when the pod is among those that the quota's scopes are about. */
export function podMatchesScopes(pod: Pod, quota: ResourceQuota): boolean {
  return (quota.spec.scopes ?? []).every((scope) => inScope(pod, scope)) && (quota.spec.scopeSelector?.matchExpressions ?? []).every(({ scopeName, operator, values = [] }) => {
    if (scopeName !== 'PriorityClass') return inScope(pod, scopeName)
    const parsed = selectorOf({ matchExpressions: [{ key: 'priority', operator, values }] })
    return parsed.ok && matches(parsed.selector, pod.spec.priorityClassName ? { priority: pod.spec.priorityClassName } : {})
  })
}

function inScope(pod: Pod, scope: string): boolean {
  switch (scope) {
    case 'Terminating': return pod.spec.activeDeadlineSeconds !== undefined
    case 'NotTerminating': return pod.spec.activeDeadlineSeconds === undefined
    case 'BestEffort': return isBestEffort(pod)
    case 'NotBestEffort': return !isBestEffort(pod)
    case 'PriorityClass': return Boolean(pod.spec.priorityClassName)
    case 'CrossNamespacePodAffinity': return crossesNamespaces(pod)
    default: return false
  }
}

function isBestEffort(pod: Pod): boolean {
  return [...pod.spec.containers ?? [], ...pod.spec.initContainers ?? []].every((container) => [container.resources?.requests, container.resources?.limits]
    .every((amounts) => Object.keys(amounts ?? {}).every((name) => name !== 'cpu' && name !== 'memory')))
}

function crossesNamespaces(pod: Pod): boolean {
  const { podAffinity, podAntiAffinity } = pod.spec.affinity ?? {}
  return [podAffinity, podAntiAffinity].some((affinity) => [
    ...affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [], ...(affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map((weighted) => weighted.podAffinityTerm),
  ].some((term) => (term.namespaces ?? []).length > 0 || term.namespaceSelector !== undefined))
}

// What one object costs its namespace, in the terms of resource quotas. Pure.
// Upstream: pkg/quota/v1/evaluator/core
import { addQuantities, parseQuantity, quantityOf, zeroQuantity } from '../../../lib/apimachinery/quantity.ts'
import type { Quantity } from '../../../lib/apimachinery/quantity.ts'
import type { PersistentVolumeClaim, Pod, ResourceQuotaSpec, Service } from '../../../lib/api/generated/types/core-v1.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'
import { podTotal } from './limit-ranger.ts'

export type Usage = ReadonlyMap<string, Quantity>

const legacyCounts: ReadonlySet<string> = new Set(['pods', 'services', 'replicationcontrollers', 'resourcequotas', 'secrets', 'configmaps', 'persistentvolumeclaims'])
const one = quantityOf(1)

export function usageOf(group: string, resource: string, object: ApiObject): Usage {
  const usage = new Map<string, Quantity>()
  const key = group === '' ? resource : `${resource}.${group}`
  usage.set(`count/${key}`, one)
  if (group !== '') return usage
  if (resource === 'pods') { addPod(object as Pod, usage); return usage } // cast: the resource says it
  if (legacyCounts.has(resource)) usage.set(resource, one)
  if (resource === 'services') addService(object as Service, usage) // cast: as above
  if (resource === 'persistentvolumeclaims') addClaim(object as PersistentVolumeClaim, usage) // cast: as above
  return usage
}

function addPod(pod: Pod, usage: Map<string, Quantity>): void {
  const { phase } = pod.status ?? {}
  // What has ended is counted as an object and costs nothing else.
  if (phase === 'Succeeded' || phase === 'Failed') return
  usage.set('pods', one)
  const { containers = [], initContainers = [], overhead } = pod.spec
  for (const [which, prefix] of [['requests', 'requests.'], ['limits', 'limits.']] as const) {
    const total = { ...podTotal(containers, initContainers, which) }
    for (const [name, text] of Object.entries(overhead ?? {})) if (which === 'requests' || total[name] !== undefined) total[name] = String(total[name] === undefined ? text : sum(total[name], text))
    for (const [name, text] of Object.entries(total)) {
      const quantity = parseQuantity(text) ?? zeroQuantity
      usage.set(`${prefix}${name}`, quantity)
      if (which === 'requests' && (name === 'cpu' || name === 'memory' || name === 'ephemeral-storage' || name.startsWith('hugepages-'))) usage.set(name, quantity)
    }
  }
}

function sum(a: string, b: string): string {
  const { nano } = addQuantities(parseQuantity(a) ?? zeroQuantity, parseQuantity(b) ?? zeroQuantity)
  return `${nano}n`
}

function addService({ spec }: Service, usage: Map<string, Quantity>): void {
  const ports = spec.ports?.length ?? 0
  if (spec.type === 'LoadBalancer') {
    usage.set('services.loadbalancers', one)
    if (spec.allocateLoadBalancerNodePorts !== false) usage.set('services.nodeports', quantityOf(ports))
  } else if (spec.type === 'NodePort') usage.set('services.nodeports', quantityOf(ports))
}

function addClaim({ spec, metadata }: PersistentVolumeClaim, usage: Map<string, Quantity>): void {
  const className = spec?.storageClassName ?? metadata.annotations?.['volume.beta.kubernetes.io/storage-class']
  if (className) usage.set(`${className}.storageclass.storage.k8s.io/persistentvolumeclaims`, one)
  const asked = spec?.resources?.requests?.['storage']
  if (asked === undefined) return
  const quantity = parseQuantity(asked) ?? zeroQuantity
  usage.set('requests.storage', quantity)
  if (className) usage.set(`${className}.storageclass.storage.k8s.io/requests.storage`, quantity)
}

/** True when the quota's scopes take in the object; only pods can be told apart. */
export function quotaCovers(spec: ResourceQuotaSpec | undefined, resource: string, object: ApiObject): boolean {
  const selectors = [...(spec?.scopes ?? []).map((scopeName) => ({ scopeName, operator: 'Exists', values: [] as readonly string[] })), ...(spec?.scopeSelector?.matchExpressions ?? [])] // cast: no values
  if (selectors.length === 0) return true
  if (resource !== 'pods') return false
  const pod = object as Pod // cast: the resource says it
  return selectors.every(({ scopeName, operator, values = [] }) => {
    switch (scopeName) {
      case 'Terminating': return pod.spec.activeDeadlineSeconds !== undefined
      case 'NotTerminating': return pod.spec.activeDeadlineSeconds === undefined
      case 'BestEffort': return isBestEffort(pod)
      case 'NotBestEffort': return !isBestEffort(pod)
      case 'PriorityClass': {
        const name = pod.spec.priorityClassName ?? ''
        switch (operator) {
          case 'In': return values.includes(name)
          case 'NotIn': return !values.includes(name)
          case 'Exists': return name !== ''
          default: return name === ''
        }
      }
      case 'CrossNamespacePodAffinity': {
        const { podAffinity, podAntiAffinity } = pod.spec.affinity ?? {}
        const terms = [podAffinity, podAntiAffinity].flatMap((a) => [...(a?.requiredDuringSchedulingIgnoredDuringExecution ?? []), ...(a?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map((p) => p.podAffinityTerm)])
        return terms.some((term) => (term?.namespaces?.length ?? 0) > 0 || term?.namespaceSelector !== undefined)
      }
      default: return false
    }
  })
}

function isBestEffort(pod: Pod): boolean {
  return [...(pod.spec.containers ?? []), ...(pod.spec.initContainers ?? [])].every((c) => Object.keys(c.resources?.requests ?? {}).length === 0 && Object.keys(c.resources?.limits ?? {}).length === 0)
}

export function addUsage(a: Usage, b: Usage): Usage {
  const sums = new Map(a)
  for (const [name, quantity] of b) sums.set(name, addQuantities(sums.get(name) ?? zeroQuantity, quantity))
  return sums
}

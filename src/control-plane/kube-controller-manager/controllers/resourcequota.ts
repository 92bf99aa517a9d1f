// resourcequota-controller: counts what each namespace uses of what its ResourceQuotas limit. Admission keeps new objects within the limits; this keeps the
// counts true when objects change and go. Upstream: kubernetes/pkg/controller/resourcequota
import { semanticEqual } from '../../../lib/apimachinery/equality.ts'
import { addQuantities, canonicalQuantity, formatQuantity, parseQuantity, zeroQuantity } from '../../../lib/apimachinery/quantity.ts'
import type { Quantity } from '../../../lib/apimachinery/quantity.ts'
import type { ResourceQuota } from '../../../lib/api/generated/types/core-v1.ts'
import type { ApiObject, ResourceKey } from '../../../lib/client/api-client.ts'
import { objectKey, splitObjectKey } from '../../../lib/client/object-references.ts'
import {
  configMaps, cronJobs, deployments, jobs, persistentVolumeClaims, pods, replicaSets, replicationControllers, resourceQuotas, secrets, services, statefulSets,
} from '../../../lib/client/resource-keys.ts'
import { inOrder, updateStatus, watch } from './shared/controller.ts'
import type { Controller, Plan, View } from './shared/controller.ts'
import { claimUsage, podMatchesScopes, podUsage, serviceUsage } from './resourcequota/usage.ts'
import type { Usage } from './resourcequota/usage.ts'

export interface ObservedQuota {
  readonly quota: ResourceQuota
  /** Usage of everything in the namespace that the quota is about. */
  readonly usage: readonly Usage[]
  readonly resyncMs: number
}

/** What can be counted by number, besides what has figures of its own. */
const counted: readonly ResourceKey[] = [configMaps, secrets, replicationControllers, resourceQuotas, services, persistentVolumeClaims, pods, deployments, replicaSets, statefulSets, jobs, cronJobs]
const shortNames: ReadonlySet<string> = new Set(['configmaps', 'secrets', 'replicationcontrollers', 'resourcequotas', 'services', 'persistentvolumeclaims'])

export function syncQuota({ quota, usage, resyncMs }: ObservedQuota): Plan {
  const hard = Object.fromEntries(Object.entries(quota.spec.hard ?? {}).map(([name, value]) => [name, canonicalQuantity(value) ?? value]))
  const totals = new Map<string, Quantity>(Object.keys(hard).map((name) => [name, zeroQuantity]))
  for (const item of usage) {
    for (const [name, amount] of Object.entries(item)) {
      const total = totals.get(name)
      const parsed = parseQuantity(amount)
      if (total && parsed) totals.set(name, addQuantities(total, parsed))
    }
  }
  const used = Object.fromEntries([...totals].map(([name, total]) => [name, formatQuantity(total)]))
  const status = { hard, used }
  return {
    requeueAfterMs: resyncMs,
    steps: semanticEqual(quota.status?.hard, hard) && semanticEqual(quota.status?.used, used, 'used') ? [] : inOrder(updateStatus(resourceQuotas, { ...quota, status }, { tolerates: ['NotFound'] })),
  }
}

/** `count/deployments.apps`, and the older short name where there is one. */
function countUsage(key: ResourceKey, objects: number): Usage {
  const name = key.group === '' ? key.resource : `${key.resource}.${key.group}`
  return { [`count/${name}`]: String(objects), ...(key.group === '' && shortNames.has(key.resource) ? { [key.resource]: String(objects) } : {}) }
}

function usageOf(quota: ResourceQuota, view: View): readonly Usage[] {
  const { namespace = '' } = quota.metadata
  const scoped = (quota.spec.scopes ?? []).length > 0 || (quota.spec.scopeSelector?.matchExpressions ?? []).length > 0
  const podsUsed = view.list(pods, namespace).filter((pod) => podMatchesScopes(pod, quota)).map(podUsage)
  // Scopes are about pods only.
  if (scoped) return podsUsed
  return [
    ...podsUsed, ...counted.map((key) => countUsage(key, view.list(key, namespace).length)), ...view.list(services, namespace).map(serviceUsage), ...view.list(persistentVolumeClaims, namespace).map(claimUsage),
  ]
}

export function createResourceQuotaController(settings: { readonly resourceQuotaSyncPeriodMs: number }): Controller<ObservedQuota> {
  const keysIn = (object: ApiObject, view: View): readonly string[] => view.list(resourceQuotas, object.metadata.namespace).map(objectKey)
  return {
    name: 'resourcequota-controller',
    watches: [watch({ resource: resourceQuotas, keysOf: keysIn }), ...counted.filter((resource) => resource !== resourceQuotas).map((resource) => watch({ resource, keysOf: keysIn }))],
    observe(key, view) {
      const { namespace, name } = splitObjectKey(key)
      const quota = view.get(resourceQuotas, namespace, name)
      return quota && { quota, usage: usageOf(quota, view), resyncMs: settings.resourceQuotaSyncPeriodMs }
    },
    sync: syncQuota,
  }
}

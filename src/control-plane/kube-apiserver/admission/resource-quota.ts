// ResourceQuotas: nothing is created that would take a namespace over what it may use. What is used is counted from the caches, plus what has been
// let through and not been seen there yet; the result is written to the quota's status, which concurrent requests contend for.
// Upstream: apiserver/pkg/admission/plugin/resourcequota
import { compareQuantities, formatQuantity, parseQuantity, zeroQuantity } from '../../../lib/apimachinery/quantity.ts'
import type { Quantity } from '../../../lib/apimachinery/quantity.ts'
import type { Pod, ResourceQuota } from '../../../lib/api/generated/types/core-v1.ts'
import { resourceQuotas } from '../../../lib/client/resource-keys.ts'
import { ApiError } from '../../../lib/client/api-error.ts'
import { deepEqual } from '../../../lib/apimachinery/equality.ts'
import { forbidden } from '../endpoints/api-errors.ts'
import type { ServedResource } from '../endpoints/served-resource.ts'
import { cachedKind } from '../endpoints/server-context.ts'
import { objectKey } from '../storage/storage-keys.ts'
import type { AdmissionPlugin, AdmissionRequest } from './admission.ts'
import type { Usage } from './quota-usage.ts'
import { addUsage, quotaCovers, usageOf } from './quota-usage.ts'

/** What was let through and never seen counts for this long. */
const pendingMs = 5000
const computeNames: ReadonlySet<string> = new Set(['cpu', 'memory', 'requests.cpu', 'requests.memory', 'limits.cpu', 'limits.memory', 'ephemeral-storage', 'requests.ephemeral-storage', 'limits.ephemeral-storage'])

interface Pending { readonly resource: ServedResource; readonly namespace: string; readonly key: string; readonly object: NonNullable<AdmissionRequest['object']>; readonly until: number }

export function resourceQuota(stored: ReadonlyMap<string, ServedResource>): AdmissionPlugin {
  const quotas = cachedKind(stored, resourceQuotas)
  const quotaStore = stored.get('/resourcequotas')
  let pending: Pending[] = []

  /** What the namespace uses of what this quota names. */
  const usedOf = (quota: ResourceQuota, nowMs: number): Usage => {
    const namespace = quota.metadata.namespace ?? ''
    pending = pending.filter((p) => p.until > nowMs && !p.resource.store.cache.get(p.key))
    let used: Usage = new Map()
    for (const resource of countedResources(quota, stored)) {
      const { group, resource: name } = resource.info
      for (const { object } of resource.store.cache.list(`${namespace}/`)) if (quotaCovers(quota.spec, name, object)) used = addUsage(used, usageOf(group, name, object))
      for (const p of pending) if (p.resource === resource && p.namespace === namespace && quotaCovers(quota.spec, name, p.object)) used = addUsage(used, usageOf(group, name, p.object))
    }
    return used
  }

  return {
    name: 'ResourceQuota',
    handles: (request) => request.operation === 'CREATE' && request.info.namespaced && request.subresource === '' && quotas.list(request.namespace).length > 0,
    async validate(request) {
      const { object, info, namespace } = request
      const resource = stored.get(`${info.group}/${info.resource}`)
      if (!object || !resource || !quotaStore || info.resource === 'events') return
      const matching = quotas.list(namespace).filter((quota) => quotaCovers(quota.spec, info.resource, object))
      if (matching.length === 0) return
      const wanted = usageOf(info.group, info.resource, object)
      const refuse = (why: string): Error => forbidden({ group: info.group, resource: info.resource }, request.name, why)
      const mine: Pending = { resource, namespace, key: objectKey(namespace, request.name), object, until: request.nowMs + pendingMs }
      for (const quota of matching) {
        const hard = hardOf(quota)
        const concerned = [...hard.keys()].filter((name) => wanted.has(name) || (info.resource === 'pods' && info.group === '' && computeNames.has(name)))
        if (concerned.length === 0) continue
        if (info.resource === 'pods') { const lacking = missingCompute(object as Pod, concerned); if (lacking !== '') throw refuse(`failed quota: ${quota.metadata.name}: ${lacking}`) } // cast: the resource says it
        const used = usedOf(quota, request.nowMs)
        const over = concerned.filter((name) => compareQuantities(addUsage(used, wanted).get(name) ?? zeroQuantity, hard.get(name) ?? zeroQuantity) > 0 && compareQuantities(wanted.get(name) ?? zeroQuantity, zeroQuantity) > 0).sort()
        if (over.length > 0) throw refuse(`exceeded quota: ${quota.metadata.name}, requested: ${print(over, wanted)}, used: ${print(over, used)}, limited: ${print(over, hard)}`)
      }
      if (request.dryRun) return
      pending.push(mine)
      for (const quota of matching) await writeStatus(quotaStore, quota, usedOf(quota, request.nowMs), request)
    },
  }
}

const hardOf = (quota: ResourceQuota): Usage => new Map(Object.entries(quota.spec?.hard ?? {}).map(([name, text]) => [name, parseQuantity(text) ?? zeroQuantity]))
const print = (names: readonly string[], usage: Usage): string => names.map((name) => `${name}=${formatQuantity(usage.get(name) ?? zeroQuantity)}`).join(',')

/** The resources whose objects a quota's terms count. */
function countedResources(quota: ResourceQuota, stored: ReadonlyMap<string, ServedResource>): readonly ServedResource[] {
  const found = new Set<ServedResource>()
  const add = (key: string): void => { const resource = stored.get(key); if (resource) found.add(resource) }
  for (const name of Object.keys(quota.spec?.hard ?? {})) {
    if (name.startsWith('count/')) {
      const text = name.slice('count/'.length)
      const dot = text.indexOf('.')
      add(dot < 0 ? `/${text}` : `${text.slice(dot + 1)}/${text.slice(0, dot)}`)
    } else if (name.startsWith('services')) add('/services')
    else if (name === 'persistentvolumeclaims' || name === 'requests.storage' || name.includes('.storageclass.')) add('/persistentvolumeclaims')
    else if (stored.has(`/${name}`)) add(`/${name}`)
    else add('/pods')
  }
  return [...found]
}

/** Under a quota on compute, every container must say what it wants. */
function missingCompute(pod: Pod, concerned: readonly string[]): string {
  const missing = new Map<string, string[]>()
  for (const container of [...(pod.spec.containers ?? []), ...(pod.spec.initContainers ?? [])]) {
    for (const name of concerned) {
      if (!computeNames.has(name)) continue
      const which = name.startsWith('limits.') ? 'limits' : 'requests'
      const plain = name.replace(/^(?:requests|limits)\./, '')
      if (container.resources?.[which]?.[plain] !== undefined) continue
      missing.set(name, [...(missing.get(name) ?? []), container.name])
    }
  }
  return missing.size === 0 ? '' : `must specify ${[...missing].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, containers]) => `${name} for: ${containers.join(',')}`).join('; ')}`
}

async function writeStatus(resource: ServedResource, quota: ResourceQuota, used: Usage, request: AdmissionRequest): Promise<void> {
  const { namespace = '', name } = quota.metadata
  try {
    await resource.store.update(objectKey(namespace, name), name, (current) => {
      if (!current) return { type: 'keep' }
      const now = current.object as ResourceQuota // cast: the quotas' store
      const hard = now.spec?.hard ?? {}
      const shown = Object.fromEntries(Object.keys(hard).map((key): [string, string] => [key, formatQuantity(used.get(key) ?? (zeroQuantity satisfies Quantity))]))
      if (deepEqual(now.status, { hard, used: shown })) return { type: 'keep' }
      return { type: 'put', object: { ...now, status: { hard, used: shown } } as ResourceQuota } // cast: a status of the kind
    }, request.signal)
  } catch (error) {
    // The quota has gone meanwhile.
    if (!(error instanceof ApiError)) throw error
  }
}

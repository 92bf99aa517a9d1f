// LimitRanges: what a container gets when it asks for nothing, and what nobody in the namespace may ask for.
// Upstream: plugin/pkg/admission/limitranger
import { addQuantities, asNumber, canonicalQuantity, compareQuantities, formatQuantity, parseQuantity, zeroQuantity } from '../../../lib/apimachinery/quantity.ts'
import type { Quantity } from '../../../lib/apimachinery/quantity.ts'
import type { Container, LimitRange, LimitRangeItem, PersistentVolumeClaim, Pod } from '../../../lib/api/generated/types/core-v1.ts'
import { limitRanges } from '../../../lib/client/resource-keys.ts'
import { forbidden } from '../endpoints/api-errors.ts'
import type { ServedResource } from '../endpoints/served-resource.ts'
import { cachedKind } from '../endpoints/server-context.ts'
import type { AdmissionPlugin } from './admission.ts'
import { isResource } from './admission.ts'
import { asPod, isPodCreate, withPodSpec } from './pod-selection.ts'

type ResourceList = { readonly [name: string]: string }

export function limitRanger(stored: ReadonlyMap<string, ServedResource>): AdmissionPlugin {
  const all = cachedKind(stored, limitRanges)
  return {
    name: 'LimitRanger',
    handles: (request) => isPodCreate(request) || (request.operation === 'CREATE' && isResource(request, '', 'persistentvolumeclaims')),
    mutate(request, object) {
      if (request.info.resource !== 'pods') return object
      return all.list(request.namespace).reduce((pod, range) => withDefaults(pod, range), asPod(object))
    },
    validate(request) {
      if (!request.object) return
      const errors: string[] = []
      for (const range of all.list(request.namespace)) {
        for (const item of range.spec?.limits ?? []) {
          if (request.info.resource === 'pods') errors.push(...checkPod(asPod(request.object), item))
          else if (item.type === 'PersistentVolumeClaim') errors.push(...checkClaim(request.object as PersistentVolumeClaim, item)) // cast: handles() has looked at the resource
        }
      }
      if (errors.length > 0) throw forbidden({ group: request.info.group, resource: request.info.resource }, request.name, errors.length === 1 ? errors[0] ?? '' : `[${errors.join(', ')}]`)
    },
  }
}

/** The pod with what its containers leave open. Pure. */
export function withDefaults(pod: Pod, range: LimitRange): Pod {
  const limits: { [name: string]: string } = {}
  const requests: { [name: string]: string } = {}
  for (const item of range.spec?.limits ?? []) {
    if (item.type !== 'Container') continue
    Object.assign(limits, item.default)
    Object.assign(requests, item.defaultRequest)
  }
  const notes: string[] = []
  const fill = (container: Container, title: string): Container => {
    const have = container.resources ?? {}
    const newRequests = Object.keys(requests).filter((name) => have.requests?.[name] === undefined)
    const newLimits = Object.keys(limits).filter((name) => have.limits?.[name] === undefined)
    if (newRequests.length === 0 && newLimits.length === 0) return container
    if (newRequests.length > 0) notes.push(`${newRequests.sort().join(', ')} request for ${title} ${container.name}`)
    if (newLimits.length > 0) notes.push(`${newLimits.sort().join(', ')} limit for ${title} ${container.name}`)
    return {
      ...container,
      resources: {
        ...have, ...(newLimits.length > 0 && { limits: { ...pick(limits, newLimits), ...have.limits } }), ...(newRequests.length > 0 && { requests: { ...pick(requests, newRequests), ...have.requests } }),
      },
    }
  }
  const containers = (pod.spec.containers ?? []).map((c) => fill(c, 'container'))
  const initContainers = pod.spec.initContainers?.map((c) => fill(c, 'init container'))
  if (notes.length === 0) return pod
  const filled = withPodSpec(pod, { containers, ...(initContainers && { initContainers }) })
  return { ...filled, metadata: { ...filled.metadata, annotations: { ...filled.metadata.annotations, 'kubernetes.io/limit-ranger': `LimitRanger plugin set: ${notes.join('; ')}` } } }
}

const pick = (from: ResourceList, names: readonly string[]): { [name: string]: string } => Object.fromEntries(names.map((name) => [name, from[name] ?? '']))

function checkPod(pod: Pod, item: LimitRangeItem): string[] {
  const containers = pod.spec.containers ?? []
  const inits = pod.spec.initContainers ?? []
  switch (item.type) {
    case 'Container': return [...containers, ...inits].flatMap((c) => checkItem(item, c.resources?.requests ?? {}, c.resources?.limits ?? {}))
    case 'Pod': return checkItem(item, podTotal(containers, inits, 'requests'), podTotal(containers, inits, 'limits'))
    default: return []
  }
}

function checkClaim(claim: PersistentVolumeClaim, item: LimitRangeItem): string[] {
  const requests = claim.spec?.resources?.requests ?? {}
  const errors: string[] = []
  for (const [name, least] of Object.entries(item.min ?? {})) push(errors, minimum(item.type, name, least, requests, {}))
  for (const [name, most] of Object.entries(item.max ?? {})) {
    const asked = requests[name]
    if (asked === undefined) errors.push(`maximum ${name} usage per ${item.type} is ${most}.  No request is specified`)
    else if (compare(asked, most) > 0) errors.push(`maximum ${name} usage per ${item.type} is ${most}, but request is ${canonicalQuantity(asked) ?? asked}`)
  }
  return errors
}

function checkItem(item: LimitRangeItem, requests: ResourceList, limits: ResourceList): string[] {
  const errors: string[] = []
  for (const [name, least] of Object.entries(item.min ?? {})) push(errors, minimum(item.type, name, least, requests, limits))
  for (const [name, most] of Object.entries(item.max ?? {})) push(errors, maximum(item.type, name, most, requests, limits))
  for (const [name, ratio] of Object.entries(item.maxLimitRequestRatio ?? {})) push(errors, ratioError(item.type, name, ratio, requests, limits))
  return errors
}

const push = (errors: string[], error: string | undefined): void => { if (error !== undefined) errors.push(error) }
const compare = (a: string, b: string): number => compareQuantities(parseQuantity(a) ?? zeroQuantity, parseQuantity(b) ?? zeroQuantity)

function minimum(type: string, name: string, least: string, requests: ResourceList, limits: ResourceList): string | undefined {
  const start = `minimum ${name} usage per ${type} is ${least}`
  const request = requests[name]
  const limit = limits[name]
  if (request === undefined) return `${start}.  No request is specified`
  if (compare(request, least) < 0) return `${start}, but request is ${request}`
  return limit !== undefined && compare(limit, least) < 0 ? `${start}, but limit is ${limit}` : undefined
}

function maximum(type: string, name: string, most: string, requests: ResourceList, limits: ResourceList): string | undefined {
  const start = `maximum ${name} usage per ${type} is ${most}`
  const request = requests[name]
  const limit = limits[name]
  if (limit === undefined) return `${start}.  No limit is specified`
  if (compare(limit, most) > 0) return `${start}, but limit is ${limit}`
  return request !== undefined && compare(request, most) > 0 ? `${start}, but request is ${request}` : undefined
}

function ratioError(type: string, name: string, most: string, requests: ResourceList, limits: ResourceList): string | undefined {
  const start = `${name} max limit to request ratio per ${type} is ${most}`
  const request = asNumber(parseQuantity(requests[name] ?? '0') ?? zeroQuantity)
  const limit = asNumber(parseQuantity(limits[name] ?? '0') ?? zeroQuantity)
  if (request === 0) return `${start}, but no request is specified or request is 0`
  if (limit === 0) return `${start}, but no limit is specified or limit is 0`
  const ratio = limit / request
  return ratio > asNumber(parseQuantity(most) ?? zeroQuantity) ? `${start}, but provided ratio is ${ratio.toFixed(6)}` : undefined
}

/** What a pod takes: its containers together, or its hungriest init container where that is more. */
export function podTotal(containers: readonly Container[], inits: readonly Container[], which: 'requests' | 'limits'): ResourceList {
  const total = new Map<string, Quantity>()
  const add = (container: Container): void => {
    for (const [name, text] of Object.entries(container.resources?.[which] ?? {})) total.set(name, addQuantities(total.get(name) ?? zeroQuantity, parseQuantity(text) ?? zeroQuantity))
  }
  for (const container of containers) add(container)
  for (const container of inits) if (container.restartPolicy === 'Always') add(container)
  for (const container of inits) {
    if (container.restartPolicy === 'Always') continue
    for (const [name, text] of Object.entries(container.resources?.[which] ?? {})) {
      const quantity = parseQuantity(text) ?? zeroQuantity
      if (compareQuantities(quantity, total.get(name) ?? zeroQuantity) > 0) total.set(name, quantity)
    }
  }
  return Object.fromEntries([...total].map(([name, quantity]) => [name, formatQuantity(quantity)]))
}

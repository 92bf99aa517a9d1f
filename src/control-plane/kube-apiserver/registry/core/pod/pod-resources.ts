// What a pod asks for in all, and the quality-of-service class that follows from it. Sidecars count beside the containers that start after them; ordinary init
// containers only where one of them needs more than everything else. Upstream: component-helpers/resource, pkg/apis/core/helper/qos
import type { Draft } from '../../../../../lib/base/json.ts'
import type { Container, PodSpec } from '../../../../../lib/api/generated/types/core-v1.ts'
import { addQuantities, compareQuantities, formatQuantity } from '../../../../../lib/apimachinery/quantity.ts'
import type { Quantity } from '../../../../../lib/apimachinery/quantity.ts'
import { compareTexts, quantityOf, signOf } from '../../validation/quantities.ts'

type ResourceList = { readonly [name: string]: string | undefined }
type Totals = Map<string, Quantity>
export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort'

export const isSidecar = (container: Draft<Container>): boolean => container.restartPolicy === 'Always'

function add(totals: Totals, list: ResourceList | undefined): void {
  for (const name in list) {
    const amount = quantityOf(list[name])
    const before = totals.get(name)
    totals.set(name, before ? addQuantities(before, amount) : amount)
  }
}

function keepLarger(totals: Totals, other: Totals): void {
  for (const [name, amount] of other) {
    const before = totals.get(name)
    if (!before || compareQuantities(amount, before) > 0) totals.set(name, amount)
  }
}

/** Amounts of all containers together, by resource. */
export function aggregateContainers(spec: Draft<PodSpec>, part: 'requests' | 'limits'): { readonly [name: string]: string } {
  const totals: Totals = new Map()
  for (const container of spec.containers ?? []) add(totals, container.resources?.[part])
  const sidecars: Totals = new Map()
  const initial: Totals = new Map()
  for (const container of spec.initContainers ?? []) {
    const list = container.resources?.[part]
    if (isSidecar(container)) {
      add(totals, list)
      add(sidecars, list)
      keepLarger(initial, sidecars)
    } else {
      const now: Totals = new Map(sidecars)
      add(now, list)
      keepLarger(initial, now)
    }
  }
  keepLarger(totals, initial)
  return Object.fromEntries([...totals].map(([name, amount]) => [name, formatQuantity(amount)]))
}

const counted = ['cpu', 'memory'] as const

export function computeQosClass(spec: Draft<PodSpec>): QosClass {
  const podLevel = spec.resources
  if (podLevel && (Object.keys(podLevel.requests ?? {}).length > 0 || Object.keys(podLevel.limits ?? {}).length > 0)) return qosOf([podLevel])
  return qosOf([...(spec.containers ?? []), ...(spec.initContainers ?? [])].map((container) => container.resources ?? {}))
}

interface Requirements { readonly requests?: ResourceList, readonly limits?: ResourceList }

function qosOf(all: readonly Requirements[]): QosClass {
  let guaranteed = true
  let any = false
  for (const { requests, limits } of all) {
    for (const name of counted) {
      const limited = signOf(limits?.[name]) > 0
      if (limited || signOf(requests?.[name]) > 0) any = true
      if (!limited) guaranteed = false
      // A limit without a request is a request of the same amount.
      else if (requests?.[name] !== undefined && compareTexts(requests[name], limits?.[name]) !== 0) guaranteed = false
    }
  }
  if (!any) return 'BestEffort'
  return guaranteed ? 'Guaranteed' : 'Burstable'
}

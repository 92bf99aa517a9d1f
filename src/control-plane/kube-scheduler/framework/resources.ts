// Amounts of resources: what a pod asks for and what a node has. cpu in thousandths of a core, memory and ephemeral storage in bytes, the
// rest (extended resources, hugepages) in units by name. Upstream: kube-scheduler framework.Resource, component-helpers/resource
import type { Container, Pod, ResourceRequirements } from '../../../lib/api/generated/types/core-v1.ts'
import { milliValue, wholeValue } from './quantities.ts'

export interface Amounts {
  milliCpu: number
  memory: number
  ephemeralStorage: number
  /** Name → amount; undefined while there are none. */
  scalars: Map<string, number> | undefined
}

export const noAmounts = (): Amounts => ({ milliCpu: 0, memory: 0, ephemeralStorage: 0, scalars: undefined })

type ResourceList = { readonly [name: string]: string }

/** `pods` is left out: nodes count pods apart. */
export function readAmounts(list: ResourceList | undefined): Amounts {
  const amounts = noAmounts()
  for (const [name, text] of Object.entries(list ?? {})) setAmount(amounts, name, name === 'cpu' ? milliValue(text) : wholeValue(text))
  return amounts
}

export function amountOf(amounts: Amounts, name: string): number {
  switch (name) {
    case 'cpu': return amounts.milliCpu
    case 'memory': return amounts.memory
    case 'ephemeral-storage': return amounts.ephemeralStorage
    default: return amounts.scalars?.get(name) ?? 0
  }
}

export function setAmount(amounts: Amounts, name: string, value: number): void {
  switch (name) {
    case 'cpu': amounts.milliCpu = value; break
    case 'memory': amounts.memory = value; break
    case 'ephemeral-storage': amounts.ephemeralStorage = value; break
    case 'pods': break
    default: (amounts.scalars ??= new Map()).set(name, value)
  }
}

/** Adds `sign` times `more` to `to`, in place. */
export function addAmounts(to: Amounts, more: Amounts, sign: 1 | -1 = 1): void {
  to.milliCpu += sign * more.milliCpu
  to.memory += sign * more.memory
  to.ephemeralStorage += sign * more.ephemeralStorage
  if (more.scalars) for (const [name, value] of more.scalars) setAmount(to, name, amountOf(to, name) + sign * value)
}

export function copyAmounts(amounts: Amounts): Amounts {
  return { ...amounts, scalars: amounts.scalars && new Map(amounts.scalars) }
}

function raiseTo(to: Amounts, floor: Amounts): void {
  to.milliCpu = Math.max(to.milliCpu, floor.milliCpu)
  to.memory = Math.max(to.memory, floor.memory)
  to.ephemeralStorage = Math.max(to.ephemeralStorage, floor.ephemeralStorage)
  if (floor.scalars) for (const [name, value] of floor.scalars) setAmount(to, name, Math.max(amountOf(to, name), value))
}

/** What a container counts for where nothing is asked: 0.1 cores and 200 MB. Used for scores only. */
const defaultMilliCpu = 100
const defaultMemory = 200 * 1024 * 1024
/** Pod-level requests of these replace the containers' sum. */
const podLevelResources = (name: string): boolean => name === 'cpu' || name === 'memory' || name.startsWith('hugepages-')

/**
 * What the pod asks of a node: the containers' sum with the sidecars, or the largest moment of the init phase, whichever is more; pod-level requests
 * replace the sum; overhead is added. With `nonZero`, containers that ask for no cpu or memory count for a little.
 */
export function podRequests(pod: Pod, nonZero = false): Amounts {
  const total = noAmounts()
  const spec = pod.spec
  const statuses = spec.nodeName ? new Map([...pod.status?.containerStatuses ?? [], ...pod.status?.initContainerStatuses ?? []].map((s) => [s.name, s])) : undefined
  const podLevel = spec.resources?.requests
  for (const container of spec.containers ?? []) {
    const asked = containerAmounts(container, nonZero, podLevel)
    // While a resize is under way the node holds the larger of what is wished and what is granted.
    const granted = statuses?.get(container.name)
    if (granted?.resources?.requests) raiseTo(asked, readAmounts(granted.resources.requests))
    if (granted?.allocatedResources) raiseTo(asked, readAmounts(granted.allocatedResources))
    addAmounts(total, asked)
  }
  const sidecars = noAmounts()
  const initPeak = noAmounts()
  for (const container of spec.initContainers ?? []) {
    const asked = containerAmounts(container, nonZero, podLevel)
    if (container.restartPolicy === 'Always') {
      addAmounts(total, asked)
      addAmounts(sidecars, asked)
      raiseTo(initPeak, sidecars)
    } else {
      addAmounts(asked, sidecars)
      raiseTo(initPeak, asked)
    }
  }
  raiseTo(total, initPeak)
  for (const [name, text] of Object.entries(podLevel ?? {})) if (podLevelResources(name)) setAmount(total, name, name === 'cpu' ? milliValue(text) : wholeValue(text))
  if (spec.overhead) addAmounts(total, readAmounts(spec.overhead))
  return total
}

function containerAmounts(container: Container, nonZero: boolean, podLevel: ResourceList | undefined): Amounts {
  const requests: ResourceRequirements['requests'] = container.resources?.requests
  const amounts = readAmounts(requests)
  if (nonZero && requests?.['cpu'] === undefined && podLevel?.['cpu'] === undefined) amounts.milliCpu = defaultMilliCpu
  if (nonZero && requests?.['memory'] === undefined && podLevel?.['memory'] === undefined) amounts.memory = defaultMemory
  return amounts
}

// What a pod asks of a node: the sum of its containers, or the most that its init containers need at a time, and its overhead.
// Upstream: component-helpers/resource (PodRequests, PodLimits)
import { addQuantities, compareQuantities, parseQuantity } from '../../../lib/apimachinery/quantity.ts'
import type { Quantity } from '../../../lib/apimachinery/quantity.ts'
import type { Pod } from '../../../lib/api/generated/types/core-v1.ts'

export type ResourceAmounts = ReadonlyMap<string, Quantity>

export function podAmounts(pod: Pod, which: 'requests' | 'limits'): ResourceAmounts {
  const { spec } = pod
  const sum = new Map<string, Quantity>()
  for (const container of spec.containers ?? []) addAmounts(sum, amountsOf(container.resources?.[which]))
  // A restartable init container stays; the others run one after another beside those before them.
  const staying = new Map<string, Quantity>()
  const most = new Map<string, Quantity>()
  for (const container of spec.initContainers ?? []) {
    const own = amountsOf(container.resources?.[which])
    const atOnce = new Map(own)
    if (container.restartPolicy === 'Always') { addAmounts(sum, own); addAmounts(staying, own); raiseAmounts(most, staying); continue }
    addAmounts(atOnce, staying)
    raiseAmounts(most, atOnce)
  }
  raiseAmounts(sum, most)
  for (const [name, amount] of amountsOf(spec.resources?.[which])) if (name === 'cpu' || name === 'memory' || name.startsWith('hugepages-')) sum.set(name, amount)
  for (const [name, amount] of amountsOf(spec.overhead)) if (which === 'requests' || sum.has(name)) addAmounts(sum, new Map([[name, amount]]))
  return sum
}

export function amountsOf(list: { readonly [name: string]: string } | undefined): Map<string, Quantity> {
  return new Map(Object.entries(list ?? {}).flatMap(([name, text]) => { const quantity = parseQuantity(text); return quantity ? [[name, quantity] as const] : [] }))
}

export function addAmounts(to: Map<string, Quantity>, more: ResourceAmounts): void {
  for (const [name, amount] of more) { const now = to.get(name); to.set(name, now ? addQuantities(now, amount) : amount) }
}

function raiseAmounts(to: Map<string, Quantity>, other: ResourceAmounts): void {
  for (const [name, amount] of other) { const now = to.get(name); if (!now || compareQuantities(now, amount) < 0) to.set(name, amount) }
}

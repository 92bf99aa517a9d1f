// Scores from how full a node would be with the pod on it. The plugins and the class heaps call the same functions, so that they cannot differ.
// Every division is rounded down, as the original's integers are. Upstream: plugins/noderesources
import { maxNodeScore } from './plugin.ts'

export interface ResourceWeight {
  readonly name: string
  readonly weight: number
}

/** A bend of the curve: at this utilization (0..100) this score (0..10). */
export interface ShapePoint {
  readonly utilization: number
  readonly score: number
}

export type ScoringStrategy =
  | { readonly type: 'LeastAllocated' | 'MostAllocated'; readonly resources: readonly ResourceWeight[] }
  | { readonly type: 'RequestedToCapacityRatio'; readonly resources: readonly ResourceWeight[]; readonly shape: readonly ShapePoint[] }

export const cpuAndMemory: readonly ResourceWeight[] = [{ name: 'cpu', weight: 1 }, { name: 'memory', weight: 1 }]

type Columns = { readonly [index: number]: number; readonly length: number }

/** `requested` includes the pod; a resource with nothing allocatable doesn't count. All in the order of strategy.resources. */
export function scoreAllocation(strategy: ScoringStrategy, requested: Columns, allocatable: Columns): number {
  let sum = 0
  let weights = 0
  for (let i = 0; i < strategy.resources.length; i++) {
    const capacity = allocatable[i] ?? 0
    if (capacity === 0) continue
    const used = requested[i] ?? 0
    const weight = strategy.resources[i]?.weight ?? 0
    switch (strategy.type) {
      case 'LeastAllocated':
        sum += weight * (used > capacity ? 0 : Math.floor(((capacity - used) * maxNodeScore) / capacity))
        weights += weight
        break
      case 'MostAllocated':
        sum += weight * Math.floor((Math.min(used, capacity) * maxNodeScore) / capacity)
        weights += weight
        break
      case 'RequestedToCapacityRatio': {
        const score = curveAt(strategy.shape, used > capacity ? 100 : Math.floor((used * 100) / capacity))
        if (score > 0) { sum += weight * score; weights += weight }
        break
      }
    }
  }
  if (weights === 0) return 0
  return strategy.type === 'RequestedToCapacityRatio' ? Math.round(sum / weights) : Math.floor(sum / weights)
}

/** The score (0..100) at a utilization: straight lines between the points, flat beyond them. */
function curveAt(shape: readonly ShapePoint[], utilization: number): number {
  const scale = maxNodeScore / 10
  for (let i = 0; i < shape.length; i++) {
    const point = shape[i]
    if (!point || utilization > point.utilization) continue
    const before = shape[i - 1]
    if (!before) return point.score * scale
    return before.score * scale + Math.trunc(((point.score - before.score) * scale * (utilization - before.utilization)) / (point.utilization - before.utilization))
  }
  return (shape.at(-1)?.score ?? 0) * scale
}

/** High when the shares in use of all resources are alike: 100 × (1 − standard deviation). */
export function scoreBalance(requested: Columns, allocatable: Columns): number {
  let count = 0
  let total = 0
  let first = 0
  let second = 0
  for (let i = 0; i < requested.length; i++) {
    const capacity = allocatable[i] ?? 0
    if (capacity === 0) continue
    const share = Math.min(1, (requested[i] ?? 0) / capacity)
    if (count === 0) first = share
    else if (count === 1) second = share
    total += share
    count++
  }
  let deviation = 0
  if (count === 2) deviation = Math.abs((first - second) / 2)
  else if (count > 2) {
    const mean = total / count
    let squares = 0
    for (let i = 0; i < requested.length; i++) {
      const capacity = allocatable[i] ?? 0
      if (capacity !== 0) squares += (Math.min(1, (requested[i] ?? 0) / capacity) - mean) ** 2
    }
    deviation = Math.sqrt(squares / count)
  }
  return Math.trunc((1 - deviation) * maxNodeScore)
}

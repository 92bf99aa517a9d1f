// Prefers nodes on which cpu and memory would be used to the same share, so that neither is left over. Upstream: plugins/noderesources/balanced_allocation.go
import type { Plugin } from '../framework/plugin.ts'
import { cpuAndMemory, scoreBalance } from '../framework/resource-scoring.ts'
import type { ResourceWeight } from '../framework/resource-scoring.ts'
import { skip } from '../framework/status.ts'
import { fillForScore, requestsForScore } from './node-resources-fit.ts'

export interface NodeResourcesBalancedAllocationArgs {
  readonly resources?: readonly ResourceWeight[]
}

export function nodeResourcesBalancedAllocation(args: NodeResourcesBalancedAllocationArgs = {}): Plugin {
  const resources = args.resources ?? cpuAndMemory
  const requested: number[] = []
  const allocatable: number[] = []
  return {
    name: 'NodeResourcesBalancedAllocation',
    // A pod that asks for nothing would always land on the same node.
    preScore: (_state, { template }) => (requestsForScore(template, resources, false).every((asked) => asked === 0) ? skip : undefined),
    score(_state, { template }, node) {
      fillForScore(node, resources, requestsForScore(template, resources, false), false, requested, allocatable)
      return scoreBalance(requested, allocatable)
    },
  }
}

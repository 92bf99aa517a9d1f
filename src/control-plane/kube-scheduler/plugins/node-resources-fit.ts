// Has the node room for what the pod asks, and how full would it be then? Upstream: plugins/noderesources/fit.go
import type { Node, Pod } from '../../../lib/api/generated/types/core-v1.ts'
import type { NodeInfo } from '../framework/node-info.ts'
import type { Plugin } from '../framework/plugin.ts'
import { podInfo } from '../framework/pod-info.ts'
import type { PodTemplate } from '../framework/pod-info.ts'
import { cpuAndMemory, scoreAllocation } from '../framework/resource-scoring.ts'
import type { ResourceWeight, ScoringStrategy } from '../framework/resource-scoring.ts'
import { amountOf, readAmounts } from '../framework/resources.ts'
import { status } from '../framework/status.ts'
import type { MaybeStatus } from '../framework/status.ts'

export interface NodeResourcesFitArgs {
  readonly scoringStrategy?: ScoringStrategy
  /** Extended resources that somebody else looks after (an extender). */
  readonly ignoredResources?: readonly string[]
  /** As above, by the part before the slash. */
  readonly ignoredResourceGroups?: readonly string[]
}

export const defaultScoringStrategy: ScoringStrategy = { type: 'LeastAllocated', resources: cpuAndMemory }

export function isIgnoredResource(args: NodeResourcesFitArgs, name: string): boolean {
  return (args.ignoredResources?.includes(name) ?? false) || (args.ignoredResourceGroups?.includes(name.split('/')[0] ?? '') ?? false)
}

/** All that is missing at once, so that the message names every resource. */
export function fitRefusal(template: PodTemplate, node: NodeInfo, args: NodeResourcesFitArgs): MaybeStatus {
  const reasons: string[] = []
  let unresolvable = false
  if (node.pods.size + 1 > node.allowedPods) {
    reasons.push('Too many pods')
    // A node for fewer than one pod stays too small whoever leaves.
    unresolvable ||= node.allowedPods < 1
  }
  const { requests } = template
  const check = (name: string, asked: number): void => {
    if (asked <= 0) return
    const allocatable = amountOf(node.allocatable, name)
    if (asked <= allocatable - amountOf(node.requested, name)) return
    reasons.push(`Insufficient ${name}`)
    unresolvable ||= asked > allocatable
  }
  check('cpu', requests.milliCpu)
  check('memory', requests.memory)
  check('ephemeral-storage', requests.ephemeralStorage)
  if (requests.scalars) for (const [name, asked] of requests.scalars) if (!(name.includes('/') && isIgnoredResource(args, name))) check(name, asked)
  return reasons.length === 0 ? undefined : status(unresolvable ? 'unresolvable' : 'unschedulable', reasons)
}

/** What the pod counts for in a score: cpu and memory never as nothing when `nonZero`. */
export function requestsForScore(template: PodTemplate, resources: readonly ResourceWeight[], nonZero: boolean): readonly number[] {
  return resources.map(({ name }) => (nonZero && name === 'cpu' ? template.nonZeroMilliCpu : nonZero && name === 'memory' ? template.nonZeroMemory : amountOf(template.requests, name)))
}

const alwaysCounted = new Set(['cpu', 'memory', 'ephemeral-storage'])

/** Fills `requested` (pod included) and `allocatable` in the order of `resources`. An extended resource the pod doesn't ask for counts as absent. */
export function fillForScore(node: NodeInfo, resources: readonly ResourceWeight[], podAsks: readonly number[], nonZero: boolean, requested: number[], allocatable: number[]): void {
  for (let i = 0; i < resources.length; i++) {
    const name = resources[i]?.name ?? ''
    const asked = podAsks[i] ?? 0
    if (asked === 0 && !alwaysCounted.has(name)) { requested[i] = 0; allocatable[i] = 0; continue }
    allocatable[i] = amountOf(node.allocatable, name)
    requested[i] = asked + (nonZero && name === 'cpu' ? node.nonZeroMilliCpu : nonZero && name === 'memory' ? node.nonZeroMemory : amountOf(node.requested, name))
  }
}

export function nodeResourcesFit(args: NodeResourcesFitArgs = {}): Plugin {
  const strategy = args.scoringStrategy ?? defaultScoringStrategy
  const requested: number[] = []
  const allocatable: number[] = []
  return {
    name: 'NodeResourcesFit',
    filter: (_state, { template }, node) => fitRefusal(template, node, args),
    score(_state, { template }, node) {
      fillForScore(node, strategy.resources, requestsForScore(template, strategy.resources, true), true, requested, allocatable)
      return scoreAllocation(strategy, requested, allocatable)
    },
    eventsToRegister: () => [
      { resource: 'AssignedPod', action: 'Delete' },
      { resource: 'AssignedPod', action: 'UpdatePodScaleDown' },
      { resource: 'UnscheduledPod', action: 'UpdatePodScaleDown' },
      { resource: 'Node', action: 'Add', hint: (pod, { new: node }) => (couldFit(pod, node as Node) ? 'queue' : 'skip') }, // cast: events of Node carry nodes
      { resource: 'Node', action: 'UpdateNodeAllocatable', hint: (pod, { new: node }) => (couldFit(pod, node as Node) ? 'queue' : 'skip') }, // cast: as above
    ],
  }
}

/** Would the pod fit if nothing else were there? */
function couldFit(pod: Pod, node: Node): boolean {
  const asked = podInfo(pod).template.requests
  const has = readAmounts(node.status?.allocatable)
  return asked.milliCpu <= has.milliCpu && asked.memory <= has.memory && asked.ephemeralStorage <= has.ephemeralStorage
    && [...asked.scalars ?? []].every(([name, amount]) => amount <= amountOf(has, name))
}


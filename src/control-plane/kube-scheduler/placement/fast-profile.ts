// What the class heaps need to know of a profile: which of the plugins they know are on, with which weights and arguments. A profile with a
// plugin that they don't know is left to the plain way.
import type { Profile } from '../framework/profile.ts'
import type { ResourceWeight, ScoringStrategy } from '../framework/resource-scoring.ts'
import { cpuAndMemory } from '../framework/resource-scoring.ts'
import type { InterPodAffinityArgs } from '../plugins/inter-pod-affinity.ts'
import { compileAddedAffinity } from '../plugins/node-affinity.ts'
import type { AddedAffinity, NodeAffinityArgs } from '../plugins/node-affinity.ts'
import type { NodeResourcesBalancedAllocationArgs } from '../plugins/node-resources-balanced-allocation.ts'
import { defaultScoringStrategy } from '../plugins/node-resources-fit.ts'
import type { NodeResourcesFitArgs } from '../plugins/node-resources-fit.ts'
import type { PodTopologySpreadArgs } from '../plugins/pod-topology-spread.ts'

export interface FastProfile {
  readonly name: string
  readonly filters: ReadonlySet<string>
  /** Plugin → weight; absent: doesn't score. */
  readonly weights: ReadonlyMap<string, number>
  readonly strategy: ScoringStrategy
  readonly balanced: readonly ResourceWeight[]
  readonly fitArgs: NodeResourcesFitArgs
  readonly added: AddedAffinity
  readonly spreadArgs: PodTopologySpreadArgs
  readonly affinityArgs: InterPodAffinityArgs
}

const knownFilters = new Set(['NodeUnschedulable', 'NodeName', 'TaintToleration', 'NodeAffinity', 'NodePorts', 'NodeResourcesFit', 'VolumeRestrictions', 'NodeVolumeLimits', 'VolumeBinding', 'VolumeZone', 'PodTopologySpread', 'InterPodAffinity'])
const knownScores = new Set(['TaintToleration', 'NodeAffinity', 'NodeResourcesFit', 'PodTopologySpread', 'InterPodAffinity', 'NodeResourcesBalancedAllocation', 'ImageLocality'])
/** Their Filter means nothing without their PreFilter. */
const needPreFilter = ['PodTopologySpread', 'InterPodAffinity', 'NodePorts', 'NodeAffinity']
const needPreScore = ['PodTopologySpread', 'InterPodAffinity', 'NodeResourcesBalancedAllocation']

/** @param builtIn names whose implementation is the built-in one */
export function fastProfile(profile: Profile, builtIn: ReadonlySet<string>): FastProfile | undefined {
  const names = (point: keyof Profile['points']): readonly string[] => profile.points[point].map(({ plugin }) => plugin.name)
  const filters = new Set(names('filter'))
  const scores = new Set(names('score'))
  const preFilters = new Set(names('preFilter'))
  const preScores = new Set(names('preScore'))
  const known = (set: ReadonlySet<string>, all: ReadonlySet<string>): boolean => [...set].every((name) => all.has(name) && builtIn.has(name))
  if (!known(filters, knownFilters) || !known(scores, knownScores) || !known(preFilters, knownFilters) || !known(preScores, knownScores)) return undefined
  if (needPreFilter.some((name) => filters.has(name) !== preFilters.has(name)) || needPreScore.some((name) => scores.has(name) !== preScores.has(name))) return undefined
  const args = <T extends object>(name: string): T => (profile.args.get(name) ?? {}) as T // cast: the plugin's own arguments, as it reads them
  const fitArgs = args<NodeResourcesFitArgs>('NodeResourcesFit')
  return {
    name: profile.schedulerName, filters, weights: new Map(profile.points.score.map(({ plugin, weight }) => [plugin.name, weight])), fitArgs,
    strategy: fitArgs.scoringStrategy ?? defaultScoringStrategy, balanced: args<NodeResourcesBalancedAllocationArgs>('NodeResourcesBalancedAllocation').resources ?? cpuAndMemory,
    added: compileAddedAffinity(args<NodeAffinityArgs>('NodeAffinity')), spreadArgs: args<PodTopologySpreadArgs>('PodTopologySpread'), affinityArgs: args<InterPodAffinityArgs>('InterPodAffinity'),
  }
}

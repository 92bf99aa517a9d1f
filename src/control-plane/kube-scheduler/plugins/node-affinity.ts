// The nodes a pod wants by their labels: nodeSelector, required and preferred node affinity, and what the profile adds for all its pods.
// Upstream: plugins/nodeaffinity
import type { Node, NodeAffinity } from '../../../lib/api/generated/types/core-v1.ts'
import { compileNodeSelector, compileNodeTerm, matchesAnyNodeTerm, matchesNodeLabels, matchesNodeTerm, nodeNamesOf } from '../framework/node-selectors.ts'
import type { CompiledNodeTerm } from '../framework/node-selectors.ts'
import { normalizeByMaximum } from '../framework/plugin.ts'
import type { Plugin } from '../framework/plugin.ts'
import { podInfo } from '../framework/pod-info.ts'
import type { PodTemplate } from '../framework/pod-info.ts'
import { skip, status } from '../framework/status.ts'

export interface NodeAffinityArgs {
  /** Holds for every pod of the profile, besides its own. */
  readonly addedAffinity?: NodeAffinity
}

interface Preferred { readonly term: CompiledNodeTerm; readonly weight: number }

export interface AddedAffinity {
  readonly required: readonly CompiledNodeTerm[] | undefined
  readonly preferred: readonly Preferred[]
}

export function compileAddedAffinity(args: NodeAffinityArgs): AddedAffinity {
  const { requiredDuringSchedulingIgnoredDuringExecution: required, preferredDuringSchedulingIgnoredDuringExecution: preferred } = args.addedAffinity ?? {}
  return {
    required: required && compileNodeSelector(required),
    preferred: (preferred ?? []).flatMap(({ weight, preference }) => {
      const term = compileNodeTerm(preference)
      return term && weight !== 0 ? [{ term, weight }] : []
    }),
  }
}

const refusal = status('unresolvable', "node(s) didn't match Pod's node affinity/selector")
const addedRefusal = status('unresolvable', "node(s) didn't match scheduler-enforced node affinity")

/** The pod's own demands; spreading asks this too. */
export function matchesRequiredNodeAffinity(template: PodTemplate, node: Node): boolean {
  return matchesNodeLabels(template.nodeSelector, node.metadata.labels) && (template.requiredNodeTerms === undefined || matchesAnyNodeTerm(template.requiredNodeTerms, node))
}

/** Sum of the weights of the wishes that the node meets. */
export function preferredNodeScore(preferred: readonly Preferred[], node: Node): number {
  let sum = 0
  for (const { term, weight } of preferred) if (matchesNodeTerm(term, node)) sum += weight
  return sum
}

export function nodeAffinity(args: NodeAffinityArgs = {}): Plugin {
  const added = compileAddedAffinity(args)
  return {
    name: 'NodeAffinity',
    preFilter(_state, { template }) {
      if (template.nodeSelector === undefined && template.requiredNodeTerms === undefined && added.required === undefined) return { status: skip }
      const names = template.requiredNodeTerms && nodeNamesOf(template.requiredNodeTerms)
      if (names?.size === 0) return { status: status('unresolvable', 'pod affinity terms conflict') }
      return names ? { nodeNames: names } : undefined
    },
    filter(_state, { template }, node) {
      if (added.required && !matchesAnyNodeTerm(added.required, node.node)) return addedRefusal
      return matchesRequiredNodeAffinity(template, node.node) ? undefined : refusal
    },
    preScore: (_state, { template }) => (template.preferredNodeTerms.length + added.preferred.length === 0 ? skip : undefined),
    score: (_state, { template }, node) => preferredNodeScore(template.preferredNodeTerms, node.node) + preferredNodeScore(added.preferred, node.node),
    normalizeScore: (_state, _pod, scores) => normalizeByMaximum(scores, false),
    eventsToRegister: () => [
      { resource: 'Node', action: 'Add' },
      { resource: 'Node', action: 'UpdateNodeLabel',
        hint: (pod, { new: node }) => (matchesRequiredNodeAffinity(podInfo(pod).template, node as Node) ? 'queue' : 'skip') }, // cast: events of Node carry nodes
    ],
  }
}

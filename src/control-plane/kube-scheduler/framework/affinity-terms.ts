// Which pods a term speaks of: pods of some namespaces with some labels. Terms that mean the same have the same key and share one counter.
// Upstream: kube-scheduler framework.AffinityTerm
import type { Pod, PodAffinityTerm } from '../../../lib/api/generated/types/core-v1.ts'
import { compileSelector, labelOf, matchesSelector } from './labels.ts'
import type { CompiledSelector, LabelRequirement, Labels } from './labels.ts'

/** The labels of a namespace: empty for one nobody knows. */
export type NamespaceLabels = (namespace: string) => Labels

/** Names a set of pods. */
export interface PodScope {
  readonly key: string
  readonly namespaces: readonly string[]
  readonly namespaceSelector: CompiledSelector | undefined
  readonly selector: CompiledSelector
}

export interface AffinityTerm extends PodScope {
  readonly topologyKey: string
}

export interface WeightedTerm {
  readonly term: AffinityTerm
  readonly weight: number
}

/** Pods that are in every one of the scopes. */
export interface PodMatcher {
  readonly key: string
  readonly scopes: readonly PodScope[]
  /** Pods on their way out don't count (spreading); affinity counts them as long as they are there. */
  readonly skipTerminating: boolean
}

export function podScope(namespaces: readonly string[], namespaceSelector: CompiledSelector | undefined, selector: CompiledSelector): PodScope {
  const sorted = [...new Set(namespaces)].sort()
  return { key: `${sorted.join(',')}|${namespaceSelector?.key ?? ''}|${selector.key}`, namespaces: sorted, namespaceSelector, selector }
}

export function podMatcher(scopes: readonly PodScope[], skipTerminating: boolean): PodMatcher {
  return { key: `${skipTerminating ? 'live' : 'all'}&${scopes.map((s) => s.key).join('&')}`, scopes, skipTerminating }
}

/** A term of `pod`: without namespaces and namespaceSelector it speaks of the pod's own; the (mis)matchLabelKeys take the pod's own values. */
export function compileAffinityTerm(pod: Pod, term: PodAffinityTerm): AffinityTerm {
  const own = (term.namespaces ?? []).length === 0 && term.namespaceSelector === undefined
  const more = term.labelSelector === undefined ? [] : [...keyRequirements(pod, term.matchLabelKeys, 'In'), ...keyRequirements(pod, term.mismatchLabelKeys, 'NotIn')]
  const scope = podScope(own ? [pod.metadata.namespace ?? ''] : term.namespaces ?? [],
    term.namespaceSelector && compileSelector(term.namespaceSelector), compileSelector(term.labelSelector, more))
  return { ...scope, key: scope.key, topologyKey: term.topologyKey }
}

/** `key in (the pod's value)` for each key that the pod has. */
export function keyRequirements(pod: Pod, keys: readonly string[] | undefined, operator: 'In' | 'NotIn'): LabelRequirement[] {
  return (keys ?? []).flatMap((key) => {
    const value = labelOf(pod.metadata.labels, key)
    return value === undefined ? [] : [{ key, operator, values: [value] }]
  })
}

export function scopeHolds(scope: PodScope, namespace: string, labels: Labels | undefined, namespaceLabels: NamespaceLabels): boolean {
  if (!matchesSelector(scope.selector, labels)) return false
  return scope.namespaces.includes(namespace) || (scope.namespaceSelector !== undefined && matchesSelector(scope.namespaceSelector, namespaceLabels(namespace)))
}

export function matcherHolds(matcher: PodMatcher, namespace: string, labels: Labels | undefined, namespaceLabels: NamespaceLabels): boolean {
  for (const scope of matcher.scopes) if (!scopeHolds(scope, namespace, labels, namespaceLabels)) return false
  return matcher.scopes.length > 0
}

/** Every match of all scopes carries this pair. */
export function matcherAnchor(matcher: PodMatcher): string | undefined {
  return matcher.scopes.find((scope) => scope.selector.anchor !== undefined)?.selector.anchor
}


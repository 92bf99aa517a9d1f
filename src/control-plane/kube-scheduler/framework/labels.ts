// Label selectors, compiled once and matched often. Each has a canonical key, so that equal selectors written differently share one counter,
// and an anchor (a pair every match must carry), so that a pod's labels lead straight to the selectors that could match.
// Upstream: apimachinery/pkg/labels, metav1.LabelSelectorAsSelector
import type { LabelSelector } from '../../../lib/api/generated/types/meta-v1.ts'

export type Labels = { readonly [key: string]: string }

export interface LabelRequirement {
  readonly key: string
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist'
  readonly values: readonly string[]
}

export interface CompiledSelector {
  /** Equal for selectors that mean the same after sorting. */
  readonly key: string
  readonly requirements: readonly LabelRequirement[]
  /** Matches no labels at all: what an absent selector means. */
  readonly nothing: boolean
  /** `key\0value` that every matching set of labels holds. */
  readonly anchor: string | undefined
}

/** The value of a label, or undefined; safe for keys such as `constructor`. */
export function labelOf(labels: Labels | undefined, key: string): string | undefined {
  const value: unknown = labels?.[key]
  return typeof value === 'string' ? value : undefined
}

export const matchNothing: CompiledSelector = { key: '!', requirements: [], nothing: true, anchor: undefined }
export const matchEverything: CompiledSelector = { key: '*', requirements: [], nothing: false, anchor: undefined }

/** Compiles a LabelSelector; absent matches nothing, empty matches everything, an operator nobody knows matches nothing. */
export function compileSelector(selector: LabelSelector | undefined, more: readonly LabelRequirement[] = []): CompiledSelector {
  if (selector === undefined) return matchNothing
  const requirements: LabelRequirement[] = []
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) requirements.push({ key, operator: 'In', values: [value] })
  for (const { key, operator, values } of selector.matchExpressions ?? []) {
    if (operator !== 'In' && operator !== 'NotIn' && operator !== 'Exists' && operator !== 'DoesNotExist') return matchNothing
    requirements.push({ key, operator, values: values ?? [] })
  }
  return compileRequirements([...requirements, ...more])
}

export function compileRequirements(requirements: readonly LabelRequirement[]): CompiledSelector {
  if (requirements.length === 0) return matchEverything
  const single = requirements.find((r) => r.operator === 'In' && r.values.length === 1)
  const parts = requirements.map((r) => `${r.key}\u0001${r.operator}\u0001${[...r.values].sort().join('\u0002')}`)
  return { key: [...new Set(parts)].sort().join('\u0003'), requirements, nothing: false, anchor: single && `${single.key}\0${single.values[0]}` }
}

export function matchesSelector(selector: CompiledSelector, labels: Labels | undefined): boolean {
  if (selector.nothing) return false
  for (const requirement of selector.requirements) if (!matchesRequirement(requirement, labelOf(labels, requirement.key))) return false
  return true
}

function matchesRequirement(requirement: LabelRequirement, value: string | undefined): boolean {
  switch (requirement.operator) {
    case 'In': return value !== undefined && requirement.values.includes(value)
    case 'NotIn': return value === undefined || !requirement.values.includes(value)
    case 'Exists': return value !== undefined
    case 'DoesNotExist': return value === undefined
  }
}

/** True when the selector was given and empty: it matches everything. */
export function isEmptySelector(selector: CompiledSelector): boolean {
  return !selector.nothing && selector.requirements.length === 0
}

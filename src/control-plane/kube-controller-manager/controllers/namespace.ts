// What a namespace that is being deleted still holds, as its conditions tell it. Pure; runner/namespace-shell.ts deletes and counts.
// Upstream: kubernetes/pkg/controller/namespace/deletion
import type { Namespace, NamespaceCondition } from '../../../lib/api/generated/types/core-v1.ts'
import { formatTime } from '../../../lib/base/clock.ts'

export interface NamespaceContent {
  /** Instances left, by `pods.` or `deployments.apps`. */
  readonly remaining: ReadonlyMap<string, number>
  /** Instances left, by finalizer. */
  readonly finalizers: ReadonlyMap<string, number>
  readonly discoveryErrors: readonly string[]
  readonly deletionErrors: readonly string[]
}

export function isEmpty(content: NamespaceContent): boolean {
  return content.remaining.size === 0 && content.discoveryErrors.length === 0 && content.deletionErrors.length === 0
}

/** The five conditions of a namespace under deletion. Those that tell of trouble appear when there is some and stay. */
export function computeNamespaceConditions(namespace: Namespace, content: NamespaceContent, now: number): readonly NamespaceCondition[] {
  const wanted: readonly (readonly [type: string, trouble: string | undefined, badReason: string, goodReason: string, goodMessage: string])[] = [
    ['NamespaceDeletionDiscoveryFailure', joined('Discovery failed for some groups, ', content.discoveryErrors), 'DiscoveryFailed', 'ResourcesDiscovered', 'All resources successfully discovered'],
    ['NamespaceDeletionGroupVersionParsingFailure', undefined, 'GroupVersionParsingFailed', 'ParsedGroupVersions', 'All legacy kube types successfully parsed'],
    ['NamespaceDeletionContentFailure', joined('Failed to delete all resource types, ', content.deletionErrors), 'ContentDeletionFailed', 'ContentDeleted', 'All content successfully deleted, may be waiting on finalization'],
    ['NamespaceContentRemaining', counted('Some resources are remaining: ', content.remaining, (name, count) => `${name} has ${count} resource instances`), 'SomeResourcesRemain', 'ContentRemoved', 'All content successfully removed'],
    ['NamespaceFinalizersRemaining', counted('Some content in the namespace has finalizers remaining: ', content.finalizers, (name, count) => `${name} in ${count} resource instances`), 'SomeFinalizersRemain', 'ContentHasNoFinalizers', 'All content-preserving finalizers finished'],
  ]
  const conditions = [...namespace.status?.conditions ?? []]
  for (const [type, trouble, badReason, goodReason, goodMessage] of wanted) {
    const at = conditions.findIndex((condition) => condition.type === type)
    const old = conditions[at]
    const status = trouble === undefined ? 'False' : 'True'
    const reason = trouble === undefined ? goodReason : badReason
    const message = trouble ?? goodMessage
    if (old?.status === status && old.reason === reason && old.message === message) continue
    const made: NamespaceCondition = { type, status, reason, message, lastTransitionTime: old?.status === status ? old.lastTransitionTime ?? formatTime(now) : formatTime(now) }
    if (at < 0) conditions.push(made)
    else conditions[at] = made
  }
  return conditions
}

function joined(prefix: string, errors: readonly string[]): string | undefined {
  return errors.length === 0 ? undefined : `${prefix}${errors.toSorted().join('; ')}`
}

function counted(prefix: string, counts: ReadonlyMap<string, number>, show: (name: string, count: number) => string): string | undefined {
  if (counts.size === 0) return undefined
  return `${prefix}${[...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, count]) => show(name, count)).join(', ')}`
}

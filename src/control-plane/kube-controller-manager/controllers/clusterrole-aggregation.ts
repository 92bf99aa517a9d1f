// clusterrole-aggregation-controller: a ClusterRole with an aggregationRule has the rules of all ClusterRoles that its selectors match (so that admin, edit
// and view grow with custom resources). Upstream: kubernetes/pkg/controller/clusterroleaggregation
import { semanticEqual } from '../../../lib/apimachinery/equality.ts'
import { matches } from '../../../lib/apimachinery/label-selector.ts'
import type { ClusterRole, PolicyRule } from '../../../lib/api/generated/types/rbac-v1.ts'
import { clusterRoles } from '../../../lib/client/resource-keys.ts'
import { inOrder, patch, watch } from './shared/controller.ts'
import type { Controller, Plan } from './shared/controller.ts'
import { readSelector } from './shared/selectors.ts'

export interface ObservedRole { readonly role: ClusterRole, readonly all: readonly ClusterRole[] }

export function syncAggregation({ role, all }: ObservedRole): Plan {
  const selectors = role.aggregationRule?.clusterRoleSelectors
  if (selectors === undefined) return {}
  const rules: PolicyRule[] = []
  for (const other of all.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))) {
    if (other.metadata.name === role.metadata.name || !selectors.some((selector) => matches(readSelector(selector), other.metadata.labels))) continue
    for (const rule of other.rules ?? []) if (!rules.some((known) => semanticEqual(known, rule))) rules.push(rule)
  }
  if (semanticEqual(rules, role.rules)) return {}
  return { steps: inOrder(patch(clusterRoles, role, 'application/merge-patch+json', { metadata: { resourceVersion: role.metadata.resourceVersion }, rules: rules.map((rule) => ({ ...rule })) })) }
}

export function createClusterRoleAggregationController(): Controller<ObservedRole> {
  return {
    name: 'clusterrole-aggregation-controller',
    watches: [watch({ resource: clusterRoles, keysOf: (_role, view) => view.list(clusterRoles).filter((role) => role.aggregationRule).map((role) => role.metadata.name) })],
    observe(key, view) {
      const role = view.get(clusterRoles, '', key)
      return role && { role, all: view.list(clusterRoles) }
    },
    sync: syncAggregation,
  }
}

// The default roles and bindings: created at the first start, completed (never cut) at later ones, unless an administrator has said no by
// annotation. Facts are in generated/rbac-objects.ts; here is what is made of them. Pure.
// Upstream: plugin/pkg/auth/authorizer/rbac/bootstrappolicy, pkg/registry/rbac/reconciliation
import type { ClusterRole, PolicyRule, Subject } from '../../../lib/api/generated/types/rbac-v1.ts'
import type { JsonObject } from '../../../lib/base/json.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'
import { matches, selectorOf } from '../../../lib/apimachinery/label-selector.ts'
import { deepEqual } from '../../../lib/apimachinery/equality.ts'
import { rulesCover } from '../authorization/rbac-rules.ts'
import { rbacObjects } from './generated/rbac-objects.ts'
import type { BootstrapObject } from './system-objects.ts'

export interface BootstrapRbacObject {
  readonly kind: string
  readonly name: string
  readonly namespace?: string
  readonly labels?: { readonly [key: string]: string }
  readonly rules?: readonly PolicyRule[] | null
  readonly aggregationRule?: ClusterRole['aggregationRule']
  readonly subjects?: readonly Subject[]
  readonly roleRef?: { readonly apiGroup: string; readonly kind: string; readonly name: string }
}

const autoupdate = 'rbac.authorization.kubernetes.io/autoupdate'

export function bootstrapRbacObjects(): readonly BootstrapObject[] {
  return rbacObjects.map(({ kind, name, namespace, labels, ...rest }) => ({
    resource: `rbac.authorization.k8s.io/${kind.toLowerCase()}s`,
    object: {
      ...rest, ...(rest.rules === null && { rules: aggregated(rest.aggregationRule) }),
      metadata: {
        name, ...(namespace !== undefined && { namespace }), annotations: { [autoupdate]: 'true' }, labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults', ...labels },
      },
    } as unknown as JsonObject, // cast: API types are JSON
  }))
}

/** What the aggregation controller would collect from the default roles. */
function aggregated(rule: ClusterRole['aggregationRule']): readonly PolicyRule[] {
  const rules: PolicyRule[] = []
  for (const selectorObject of rule?.clusterRoleSelectors ?? []) {
    const selector = selectorOf(selectorObject)
    if (!selector.ok) continue
    for (const role of rbacObjects.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      if (role.kind !== 'ClusterRole' || !matches(selector.selector, role.labels)) continue
      for (const own of role.rules === null ? aggregated(role.aggregationRule) : role.rules ?? []) if (!rules.some((r) => deepEqual(r, own))) rules.push(own)
    }
  }
  return rules
}

interface RbacObject extends ApiObject {
  readonly rules?: readonly PolicyRule[] | null
  readonly subjects?: readonly Subject[]
  readonly aggregationRule?: ClusterRole['aggregationRule']
}

/** The stored object with what it lacks of the default one; undefined when it lacks nothing or isn't to be touched. */
export function completedRbacObject(stored: ApiObject, wanted: ApiObject): ApiObject | undefined {
  if (stored.metadata.annotations?.[autoupdate] === 'false') return undefined
  const have = stored as RbacObject // cast: an RBAC kind
  const want = wanted as RbacObject // cast: an RBAC kind
  let next: RbacObject = have
  if (want.rules && !want.aggregationRule) {
    const missing = want.rules.filter((rule) => !rulesCover(have.rules ?? [], rule))
    if (missing.length > 0) next = { ...next, rules: [...(have.rules ?? []), ...missing] }
  }
  if (want.subjects) {
    const missing = want.subjects.filter((subject) => !(have.subjects ?? []).some((s) => s.kind === subject.kind && s.name === subject.name && (s.namespace ?? '') === (subject.namespace ?? '')))
    if (missing.length > 0) next = { ...next, subjects: [...(have.subjects ?? []), ...missing] }
  }
  const labels = { ...want.metadata.labels, ...have.metadata.labels }
  if (!deepEqual(labels, have.metadata.labels)) next = { ...next, metadata: { ...next.metadata, labels } }
  return next === have ? undefined : next
}

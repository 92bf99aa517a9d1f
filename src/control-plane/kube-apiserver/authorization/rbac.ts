// RBAC: who is bound to which rules where. Bindings are indexed by subject when they have changed, so that a question looks only at what concerns
// the one who asks.
// Upstream: plugin/pkg/auth/authorizer/rbac, pkg/registry/rbac/validation
import type { ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, Subject } from '../../../lib/api/generated/types/rbac-v1.ts'
import type { UserInfo } from '../registry/strategy.ts'
import type { ServedResource } from '../endpoints/served-resource.ts'
import type { AuthorizationAttributes, Authorizer, Decision } from './authorizer.ts'
import { ruleAllows } from './rbac-rules.ts'

interface Grant {
  /** undefined: the whole cluster. */
  readonly namespace: string | undefined
  readonly binding: string
  readonly roleKind: string
  readonly roleName: string
  readonly subject: string
}

export interface RoleRules {
  readonly rules: readonly PolicyRule[]
  /** The role doesn't exist. */
  readonly missing?: string
}

export class RbacAuthorizer implements Authorizer {
  readonly #stored: ReadonlyMap<string, ServedResource>
  /** `User:name`, `Group:name` → grants; rebuilt when a binding has changed. */
  #grants: Map<string, Grant[]> | undefined

  constructor(stored: ReadonlyMap<string, ServedResource>) {
    this.#stored = stored
    for (const resource of ['clusterrolebindings', 'rolebindings']) stored.get(`rbac.authorization.k8s.io/${resource}`)?.store.cache.listen(() => { this.#grants = undefined })
  }

  authorize(attributes: AuthorizationAttributes): Decision {
    const missing: string[] = []
    for (const grant of this.#grantsFor(attributes.user, attributes.namespace)) {
      const { rules, missing: none } = this.rulesOf(grant.roleKind, grant.roleName, grant.namespace)
      if (none !== undefined) { missing.push(none); continue }
      if (grant.namespace !== undefined && !attributes.isResource) continue
      for (const rule of rules) if (ruleAllows(rule, attributes)) return { decision: 'allow', reason: `RBAC: allowed by ${grant.binding} of ${grant.roleKind} ${JSON.stringify(grant.roleName)} to ${grant.subject}` }
    }
    return { decision: 'noOpinion', reason: missing.length > 0 ? `RBAC: ${missing.length === 1 ? missing[0] : `[${missing.join(', ')}]`}` : '' }
  }

  /** Every rule that holds for `user` in `namespace` (and in the whole cluster). */
  rulesFor(user: UserInfo, namespace: string): readonly PolicyRule[] {
    return this.#grantsFor(user, namespace).flatMap((grant) => this.rulesOf(grant.roleKind, grant.roleName, grant.namespace).rules)
  }

  rulesOf(kind: string, name: string, namespace: string | undefined): RoleRules {
    const cluster = kind === 'ClusterRole'
    const resource = cluster ? 'clusterroles' : 'roles'
    const found = this.#stored.get(`rbac.authorization.k8s.io/${resource}`)?.store.cache.get(cluster ? name : `${namespace ?? ''}/${name}`)
    if (!found) return { rules: [], missing: `${cluster ? 'clusterrole' : 'role'}.rbac.authorization.k8s.io ${JSON.stringify(name)} not found` }
    const role = found.object as ClusterRole | Role // cast: the roles' caches
    return { rules: role.rules ?? [] }
  }

  #grantsFor(user: UserInfo, namespace: string): readonly Grant[] {
    this.#grants ??= this.#index()
    const found: Grant[] = []
    for (const key of [`User:${user.name}`, ...user.groups.map((group) => `Group:${group}`)]) {
      for (const grant of this.#grants.get(key) ?? []) if (grant.namespace === undefined || (namespace !== '' && grant.namespace === namespace)) found.push(grant)
    }
    return found
  }

  #index(): Map<string, Grant[]> {
    const grants = new Map<string, Grant[]>()
    const add = (binding: ClusterRoleBinding | RoleBinding, namespace: string | undefined): void => {
      for (const subject of binding.subjects ?? []) {
        const key = subjectKey(subject, namespace)
        const title = namespace === undefined ? `ClusterRoleBinding ${JSON.stringify(binding.metadata.name)}` : `RoleBinding ${JSON.stringify(`${binding.metadata.name}/${namespace}`)}`
        const grant: Grant = { namespace, binding: title, roleKind: binding.roleRef.kind, roleName: binding.roleRef.name, subject: `${subject.kind} ${JSON.stringify(subject.kind === 'ServiceAccount' ? `${subject.name}/${subject.namespace ?? ''}` : subject.name)}` }
        const list = grants.get(key)
        if (list) list.push(grant)
        else grants.set(key, [grant])
      }
    }
    // cast: the bindings' caches
    for (const stored of this.#stored.get('rbac.authorization.k8s.io/clusterrolebindings')?.store.cache.list('') ?? []) add(stored.object as ClusterRoleBinding, undefined)
    for (const stored of this.#stored.get('rbac.authorization.k8s.io/rolebindings')?.store.cache.list('') ?? []) add(stored.object as RoleBinding, stored.object.metadata.namespace ?? '') // cast: as above
    return grants
  }
}

function subjectKey(subject: Subject, namespace: string | undefined): string {
  return subject.kind === 'ServiceAccount' ? `User:system:serviceaccount:${subject.namespace ?? namespace ?? ''}:${subject.name}` : `${subject.kind}:${subject.name}`
}

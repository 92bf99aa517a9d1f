// Nobody gives away more than they have: a role's rules must be held by whoever writes it (or they may `escalate`), a binding's role by whoever binds
// it (or they may `bind`).
// Upstream: pkg/registry/rbac/{clusterrole,role,clusterrolebinding,rolebinding}/policybased
import type { PolicyRule } from '../../../lib/api/generated/types/rbac-v1.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'
import { deepEqual } from '../../../lib/apimachinery/equality.ts'
import type { Authorizer } from '../authorization/authorizer.ts'
import { printRule, rulesCover, breakDown } from '../authorization/rbac-rules.ts'
import type { RbacAuthorizer } from '../authorization/rbac.ts'
import { forbidden, notFound } from '../endpoints/api-errors.ts'
import type { AdmissionPlugin, AdmissionRequest } from './admission.ts'

const group = 'rbac.authorization.k8s.io'
const kinds: ReadonlySet<string> = new Set(['roles', 'clusterroles', 'rolebindings', 'clusterrolebindings'])

interface Role extends ApiObject { readonly rules?: readonly PolicyRule[] | null; readonly aggregationRule?: unknown }
interface Binding extends ApiObject { readonly roleRef?: { readonly kind: string; readonly name: string }; readonly subjects?: unknown }

export function rbacEscalation(authorizer: Authorizer, rbac: RbacAuthorizer): AdmissionPlugin {
  const may = (request: AdmissionRequest, verb: string, resource: string, name: string, namespace: string): boolean =>
    authorizer.authorize({ user: request.user, verb, isResource: true, group, version: 'v1', resource, subresource: '', namespace, name, path: '' }).decision === 'allow'

  const checkHeld = (request: AdmissionRequest, rules: readonly PolicyRule[], why: string): void => {
    const own = rbac.rulesFor(request.user, request.namespace)
    const missing = rules.flatMap(breakDown).filter((rule) => !rulesCover(own, rule))
    if (missing.length === 0) return
    const { user } = request
    throw forbidden({ group, resource: request.info.resource }, request.name, `user ${JSON.stringify(user.name)} (groups=[${user.groups.map((g) => JSON.stringify(g)).join(' ')}]) ${why}:\n${missing.map(printRule).join('\n')}`)
  }

  return {
    name: 'RBACEscalation',
    handles: (request) => (request.operation === 'CREATE' || request.operation === 'UPDATE') && request.info.group === group && kinds.has(request.info.resource) && !request.user.groups.includes('system:masters'),
    validate(request) {
      const { info, namespace, object, oldObject } = request
      if (!object) return
      if (info.resource === 'roles' || info.resource === 'clusterroles') {
        const role = object as Role // cast: handles() has looked at the resource
        const old = oldObject as Role | undefined // cast: as above
        if (old && deepEqual(old.rules ?? [], role.rules ?? []) && deepEqual(old.aggregationRule, role.aggregationRule)) return
        if (may(request, 'escalate', info.resource, role.metadata.name, namespace)) return
        if (role.aggregationRule && !deepEqual(old?.aggregationRule, role.aggregationRule)) checkHeld(request, [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }, { verbs: ['*'], nonResourceURLs: ['*'] }], 'must have cluster-admin privileges to use an aggregationRule')
        checkHeld(request, role.rules ?? [], 'is attempting to grant RBAC permissions not currently held')
        return
      }
      const binding = object as Binding // cast: as above
      const old = oldObject as Binding | undefined // cast: as above
      if (old && deepEqual(old.roleRef, binding.roleRef) && deepEqual(old.subjects, binding.subjects)) return
      const { kind, name } = binding.roleRef ?? { kind: '', name: '' }
      const resource = kind === 'ClusterRole' ? 'clusterroles' : 'roles'
      if (may(request, 'bind', resource, name, namespace)) return
      const role = rbac.rulesOf(kind, name, namespace)
      if (role.missing !== undefined) throw notFound({ group, resource }, name)
      checkHeld(request, role.rules, 'is attempting to grant RBAC permissions not currently held')
    },
  }
}

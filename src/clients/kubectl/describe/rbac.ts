// kubectl describe of Roles, ClusterRoles and their bindings: rules taken apart and put together again, one line a resource.
// Upstream: kubectl/pkg/describe, kubectl/pkg/util/rbac
import type { PolicyRule, Role, RoleBinding } from '../../../lib/api/generated/types/rbac-v1.ts'
import { DescribeWriter } from './describe-writer.ts'
import type { DescribeWorld } from './describer.ts'

interface SimpleRule {
  readonly group: string | undefined
  readonly resource: string
  readonly resourceNames: readonly string[]
  readonly nonResourceUrls: readonly string[]
  readonly verbs: readonly string[]
}

/** One rule a resource (or name of one), with all its verbs, sorted as the original sorts. */
export function compactRules(rules: readonly PolicyRule[]): readonly SimpleRule[] {
  const found = new Map<string, SimpleRule & { readonly verbs: string[] }>()
  for (const rule of rules) {
    for (const group of rule.apiGroups ?? []) {
      for (const resource of rule.resources ?? []) {
        for (const resourceNames of rule.resourceNames && rule.resourceNames.length > 0 ? rule.resourceNames.map((n) => [n]) : [[]]) {
          const key = JSON.stringify([group, resource, resourceNames])
          const entry = found.get(key) ?? { group, resource, resourceNames, nonResourceUrls: [], verbs: [] }
          for (const verb of rule.verbs ?? []) if (!entry.verbs.includes(verb)) entry.verbs.push(verb)
          found.set(key, entry)
        }
      }
    }
  }
  // Rules for URLs stay apart, one a verb.
  const urls = rules.flatMap((rule) => (rule.nonResourceURLs ?? []).flatMap((url) => (rule.verbs ?? []).map((verb): SimpleRule => ({ group: undefined, resource: '', resourceNames: [], nonResourceUrls: [url], verbs: [verb] }))))
  const keyOf = (r: SimpleRule): string => `Verbs:[${r.verbs.join(' ')}],APIGroups:[${r.group ?? ''}],Resources:[${r.resource}],ResourceNames:[${r.resourceNames.join(' ')}],NonResourceURLs:[${r.nonResourceUrls.join(' ')}],`
  return [...urls, ...found.values()].map((rule) => ({ rule, key: keyOf(rule) })).sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)).map(({ rule }) => rule)
}

/** `deployments.apps/scale`. */
export function resourceText(rule: SimpleRule): string {
  const [name = '', ...subresource] = rule.resource.split('/')
  return `${name}${rule.group ? `.${rule.group}` : ''}${subresource.length > 0 ? `/${subresource.join('/')}` : ''}`
}

export function describeRole(_world: DescribeWorld, role: Pick<Role, 'metadata' | 'rules'>): string {
  const out = new DescribeWriter()
  out.line(0, `Name:\t${role.metadata.name}`)
  out.labels('Labels', role.metadata.labels)
  out.annotations('Annotations', role.metadata.annotations)
  out.line(0, 'PolicyRule:')
  out.line(1, 'Resources\tNon-Resource URLs\tResource Names\tVerbs')
  out.line(1, '---------\t-----------------\t--------------\t-----')
  for (const rule of compactRules(role.rules ?? [])) out.line(1, `${resourceText(rule)}\t[${rule.nonResourceUrls.join(' ')}]\t[${rule.resourceNames.join(' ')}]\t[${rule.verbs.join(' ')}]`)
  return out.aligned()
}

export function describeRoleBinding(_world: DescribeWorld, binding: RoleBinding): string {
  const out = new DescribeWriter()
  out.line(0, `Name:\t${binding.metadata.name}`)
  out.labels('Labels', binding.metadata.labels)
  out.annotations('Annotations', binding.metadata.annotations)
  out.line(0, 'Role:')
  out.line(1, `Kind:\t${binding.roleRef.kind}`)
  out.line(1, `Name:\t${binding.roleRef.name}`)
  out.line(0, 'Subjects:')
  out.line(1, 'Kind\tName\tNamespace')
  out.line(1, '----\t----\t---------')
  for (const subject of binding.subjects ?? []) out.line(1, `${subject.kind}\t${subject.name}\t${subject.namespace ?? ''}`)
  return out.aligned()
}

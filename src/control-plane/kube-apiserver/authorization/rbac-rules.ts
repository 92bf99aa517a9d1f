// Whether a rule covers a request, or another rule. Pure.
// Upstream: pkg/registry/rbac/validation/{rule,policy_comparator}.go, pkg/apis/rbac/v1/evaluation_helpers.go
import type { PolicyRule } from '../../../lib/api/generated/types/rbac-v1.ts'

export interface RuleQuestion {
  readonly verb: string
  readonly isResource: boolean
  readonly group: string
  readonly resource: string
  readonly subresource: string
  readonly name: string
  readonly path: string
}

export function ruleAllows(rule: PolicyRule, q: RuleQuestion): boolean {
  if (!hasOrAll(rule.verbs, q.verb)) return false
  if (!q.isResource) return (rule.nonResourceURLs ?? []).some((url) => urlMatches(url, q.path))
  return hasOrAll(rule.apiGroups, q.group) && resourceMatches(rule.resources, q.resource, q.subresource) && ((rule.resourceNames?.length ?? 0) === 0 || (rule.resourceNames ?? []).includes(q.name))
}

const hasOrAll = (list: readonly string[] | undefined, wanted: string): boolean => list !== undefined && (list.includes(wanted) || list.includes('*'))

function resourceMatches(resources: readonly string[] | undefined, resource: string, subresource: string): boolean {
  const combined = subresource === '' ? resource : `${resource}/${subresource}`
  for (const entry of resources ?? []) {
    if (entry === '*' || entry === combined) return true
    if (subresource !== '' && entry.startsWith('*/') && entry.slice(2) === subresource) return true
  }
  return false
}

function urlMatches(pattern: string, path: string): boolean {
  return pattern === '*' || pattern === path || (pattern.endsWith('*') && path.startsWith(pattern.slice(0, -1)))
}

/** One verb, one group, one resource, at most one name each: what a rule means, taken apart. */
export function breakDown(rule: PolicyRule): PolicyRule[] {
  const out: PolicyRule[] = []
  for (const verb of rule.verbs ?? []) {
    for (const group of rule.apiGroups ?? []) {
      for (const resource of rule.resources ?? []) {
        const names = rule.resourceNames ?? []
        if (names.length === 0) out.push({ verbs: [verb], apiGroups: [group], resources: [resource] })
        for (const name of names) out.push({ verbs: [verb], apiGroups: [group], resources: [resource], resourceNames: [name] })
      }
    }
    for (const url of rule.nonResourceURLs ?? []) out.push({ verbs: [verb], nonResourceURLs: [url] })
  }
  return out
}

/** True when `rules` together allow everything that `rule` allows. */
export function rulesCover(rules: readonly PolicyRule[], rule: PolicyRule): boolean {
  return breakDown(rule).every((part) => rules.some((owner) => covers(owner, part)))
}

function covers(owner: PolicyRule, part: PolicyRule): boolean {
  if (!hasOrAll(owner.verbs, part.verbs?.[0] ?? '')) return false
  const url = part.nonResourceURLs?.[0]
  if (url !== undefined) return (owner.nonResourceURLs ?? []).some((own) => own === '*' || own === url || (own.endsWith('*') && url.startsWith(own.slice(0, -1))))
  if (!hasOrAll(owner.apiGroups, part.apiGroups?.[0] ?? '')) return false
  const resource = part.resources?.[0] ?? ''
  const slash = resource.indexOf('/')
  const known = (owner.resources ?? []).some((own) => own === '*' || own === resource || (slash >= 0 && own === `*/${resource.slice(slash + 1)}`))
  if (!known) return false
  const names = owner.resourceNames ?? []
  const name = part.resourceNames?.[0]
  return names.length === 0 || (name !== undefined && names.includes(name))
}

/** As the original's escalation errors print a rule. */
export function printRule(rule: PolicyRule): string {
  const list = (name: string, values: readonly string[] | undefined): string[] => ((values?.length ?? 0) > 0 ? [`${name}:[${(values ?? []).map((v) => JSON.stringify(v)).join(' ')}]`] : [])
  return `{${[...list('APIGroups', rule.apiGroups), ...list('Resources', rule.resources), ...list('ResourceNames', rule.resourceNames), ...list('NonResourceURLs', rule.nonResourceURLs), ...list('Verbs', rule.verbs)].join(', ')}}`
}

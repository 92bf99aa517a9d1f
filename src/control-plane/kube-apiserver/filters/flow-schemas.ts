// Which flow schema a request belongs to, for the headers that say so. The first in order of precedence that matches; rules as in the original.
// Upstream: apiserver/pkg/util/flowcontrol/rule.go
import type { FlowSchema, FlowSchemaSpec, PriorityLevelConfiguration } from '../../../lib/api/generated/types/flowcontrol-v1.ts'
import type { RequestInfo } from '../endpoints/request-info.ts'
import type { ServedResource } from '../endpoints/served-resource.ts'
import type { UserInfo } from '../registry/strategy.ts'

const group = 'flowcontrol.apiserver.k8s.io'
type Rules = NonNullable<FlowSchemaSpec['rules']>[number]

interface Entry { readonly schema: FlowSchema; readonly levelUid: string }

export class FlowSchemas {
  readonly #stored: ReadonlyMap<string, ServedResource>
  #entries: readonly Entry[] | undefined

  constructor(stored: ReadonlyMap<string, ServedResource>) {
    this.#stored = stored
    for (const resource of ['flowschemas', 'prioritylevelconfigurations']) stored.get(`${group}/${resource}`)?.store.cache.listen(() => { this.#entries = undefined })
  }

  headers(user: UserInfo, info: RequestInfo): { readonly [name: string]: string } {
    this.#entries ??= this.#read()
    const found = this.#entries.find(({ schema }) => schema.spec?.rules?.some((rules) => matches(rules, user, info)))
    return found ? { 'x-kubernetes-pf-flowschema-uid': found.schema.metadata.uid, 'x-kubernetes-pf-prioritylevel-uid': found.levelUid } : {}
  }

  #read(): readonly Entry[] {
    // cast: the caches of these kinds
    const levels = new Map((this.#stored.get(`${group}/prioritylevelconfigurations`)?.store.cache.list('') ?? []).map(({ object }) => [object.metadata.name, (object as PriorityLevelConfiguration).metadata.uid]))
    const schemas = (this.#stored.get(`${group}/flowschemas`)?.store.cache.list('') ?? []).map(({ object }) => object as FlowSchema) // cast: as above
    return schemas.toSorted((a, b) => (a.spec?.matchingPrecedence ?? 0) - (b.spec?.matchingPrecedence ?? 0) || (a.metadata.name < b.metadata.name ? -1 : 1))
      .flatMap((schema) => { const levelUid = levels.get(schema.spec?.priorityLevelConfiguration.name ?? ''); return levelUid === undefined ? [] : [{ schema, levelUid }] })
  }
}

const has = (list: readonly string[] | undefined, value: string): boolean => list !== undefined && (list.includes('*') || list.includes(value))

function matches(rules: Rules, user: UserInfo, info: RequestInfo): boolean {
  if (!rules.subjects?.some((subject) => subjectMatches(subject, user))) return false
  if (!info.isResource) return (rules.nonResourceRules ?? []).some((rule) => has(rule.verbs, info.verb) && (rule.nonResourceURLs ?? []).some((url) => url === '*' || url === info.path || (url.endsWith('/*') && info.path.startsWith(url.slice(0, -1)))))
  const resource = info.subresource === '' ? info.resource : `${info.resource}/${info.subresource}`
  return (rules.resourceRules ?? []).some((rule) => has(rule.verbs, info.verb) && has(rule.apiGroups, info.group) && has(rule.resources, resource) && (info.namespace === '' ? rule.clusterScope === true : has(rule.namespaces, info.namespace)))
}

function subjectMatches(subject: NonNullable<Rules['subjects']>[number], user: UserInfo): boolean {
  switch (subject.kind) {
    case 'User': return subject.user?.name === '*' || subject.user?.name === user.name
    case 'Group': return subject.group?.name === '*' || user.groups.includes(subject.group?.name ?? '')
    case 'ServiceAccount': {
      const { namespace = '', name = '' } = subject.serviceAccount ?? {}
      return name === '*' ? user.groups.includes(`system:serviceaccounts:${namespace}`) || user.name.startsWith(`system:serviceaccount:${namespace}:`) : user.name === `system:serviceaccount:${namespace}:${name}`
    }
    default: return false
  }
}

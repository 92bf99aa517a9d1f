// Which requests a flow schema is for. Upstream: pkg/apis/flowcontrol/validation/validation.go
import type { Draft } from '../../../../lib/base/json.ts'
import type { NonResourcePolicyRule, PolicyRulesWithSubjects, ResourcePolicyRule, Subject } from '../../../../lib/api/generated/types/flowcontrol-v1.ts'
import { fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../lib/apimachinery/field-error.ts'
import { isDns1123Label, isDns1123Subdomain } from '../../../../lib/apimachinery/validation.ts'
import { pushInvalid } from '../validate-object-meta.ts'

const verbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'proxy', 'update', 'watch']
const subjectFields = { User: 'user', Group: 'group', ServiceAccount: 'serviceAccount' } as const
type Texts = readonly (string | undefined)[]

function validateSubject(subject: Draft<Subject>, path: string, errors: FieldError[]): void {
  const { kind = '' } = subject
  if (kind !== 'User' && kind !== 'Group' && kind !== 'ServiceAccount') { errors.push(fieldNotSupported(`${path}.kind`, kind, ['Group', 'ServiceAccount', 'User'])); return }
  const field = subjectFields[kind]
  const at = `${path}.${field}`
  const named = subject[field]
  if (!named) errors.push(fieldRequired(at, `${field} is required when subject kind is '${kind}'`))
  else if (!named.name) errors.push(fieldRequired(`${at}.name`))
  else if (kind === 'ServiceAccount' && named.name !== '*') pushInvalid(errors, `${at}.name`, named.name, isDns1123Subdomain)
  if (kind === 'ServiceAccount' && subject.serviceAccount) {
    const { namespace } = subject.serviceAccount
    if (namespace) pushInvalid(errors, `${at}.namespace`, namespace, isDns1123Label)
    else errors.push(fieldRequired(`${at}.namespace`, 'must specify namespace for service account'))
  }
  const others = kind === 'User' ? ['ServiceAccount', 'Group'] as const : kind === 'Group' ? ['ServiceAccount', 'User'] as const : ['User', 'Group'] as const
  for (const other of others) {
    if (subject[subjectFields[other]]) errors.push(fieldForbidden(`${path}.${subjectFields[other]}`, `${subjectFields[other]} is forbidden when subject kind is not '${other}'`))
  }
}

function validateVerbs(list: Texts, path: string, errors: FieldError[]): void {
  if (list.length === 0) errors.push(fieldRequired(`${path}.verbs`, 'verbs must contain at least one value'))
  else if (list.includes('*')) { if (list.length > 1) errors.push(fieldInvalid(`${path}.verbs`, list, "if '*' is present, must not specify other verbs")) }
  else if (list.some((verb = '') => !verbs.includes(verb))) errors.push(fieldNotSupported(`${path}.verbs`, list, verbs))
}

function urlError(url: string): string | undefined {
  if (url === '') return 'must not be empty'
  if (url === '/') return undefined
  if (!url.startsWith('/')) return 'must start with slash'
  if (url.includes(' ')) return 'must not contain white-space'
  if (url.includes('//')) return 'must not contain double slash'
  const stars = url.split('*').length - 1
  return stars > 1 || (stars === 1 && !url.endsWith('/*')) ? 'wildcard can only do suffix matching' : undefined
}

function validateNonResourceRule(rule: Draft<NonResourcePolicyRule>, path: string, errors: FieldError[]): void {
  validateVerbs(rule.verbs ?? [], path, errors)
  const urls = rule.nonResourceURLs ?? []
  const at = `${path}.nonResourceURLs`
  if (urls.length === 0) errors.push(fieldRequired(at, 'nonResourceURLs must contain at least one value'))
  else if (urls.includes('*')) { if (urls.length > 1) errors.push(fieldInvalid(at, urls, "if '*' is present, must not specify other non-resource URLs")) }
  else urls.forEach((url, i) => {
    const wrong = urlError(url)
    if (wrong !== undefined) errors.push(fieldInvalid(`${at}[${i}]`, url, wrong))
  })
}

function validateResourceRule(rule: Draft<ResourcePolicyRule>, path: string, errors: FieldError[]): void {
  const { apiGroups = [], resources = [], namespaces = [] } = rule
  validateVerbs(rule.verbs ?? [], path, errors)
  if (apiGroups.length === 0) errors.push(fieldRequired(`${path}.apiGroups`, 'resource rules must supply at least one api group'))
  else if (apiGroups.length > 1 && apiGroups.includes('*')) errors.push(fieldInvalid(`${path}.apiGroups`, apiGroups, "if '*' is present, must not specify other api groups"))
  if (resources.length === 0) errors.push(fieldRequired(`${path}.resources`, 'resource rules must supply at least one resource'))
  else if (resources.length > 1 && resources.includes('*')) errors.push(fieldInvalid(`${path}.resources`, resources, "if '*' is present, must not specify other resources"))
  const at = `${path}.namespaces`
  if (namespaces.length === 0 && rule.clusterScope !== true) errors.push(fieldRequired(at, 'resource rules that are not cluster scoped must supply at least one namespace'))
  else if (namespaces.includes('*')) { if (namespaces.length > 1) errors.push(fieldInvalid(at, namespaces, "if '*' is present, must not specify other namespaces")) }
  else namespaces.forEach((namespace, i) => {
    for (const text of isDns1123Label(namespace)) errors.push(fieldInvalid(`${at}[${i}]`, namespace, `each member of this list must be '*' or a DNS-1123 label; ${text}`))
  })
}

export function validatePolicyRules(rule: Draft<PolicyRulesWithSubjects>, path: string, errors: FieldError[]): void {
  const { subjects = [], resourceRules = [], nonResourceRules = [] } = rule
  if (subjects.length === 0) errors.push(fieldRequired(`${path}.subjects`, 'subjects must contain at least one value'))
  subjects.forEach((subject, i) => validateSubject(subject, `${path}.subjects[${i}]`, errors))
  if (resourceRules.length === 0 && nonResourceRules.length === 0) errors.push(fieldRequired(path, 'at least one of resourceRules and nonResourceRules has to be non-empty'))
  resourceRules.forEach((item, i) => validateResourceRule(item, `${path}.resourceRules[${i}]`, errors))
  nonResourceRules.forEach((item, i) => validateNonResourceRule(item, `${path}.nonResourceRules[${i}]`, errors))
}

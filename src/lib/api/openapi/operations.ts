// OpenAPI operations of a served resource: every path and verb with its parameters, in a form that both versions are printed from.
// Upstream: apiserver/pkg/endpoints/installer.go, kube-openapi/pkg/builder
import { servedResources } from '../generated/resources.ts'
import { messagePlan } from '../message-plan.ts'
import type { ResourceInfo, SubresourceInfo } from '../resource-info.ts'
import { typeIdOf } from '../type-lookup.ts'

export interface Parameter {
  readonly name: string
  readonly in: 'query' | 'path'
  readonly type: 'string' | 'integer' | 'boolean'
  readonly description: string
}

export interface Operation {
  readonly method: 'get' | 'put' | 'post' | 'delete' | 'patch' | 'options' | 'head'
  readonly action: string
  readonly operationId: string
  readonly description: string
  readonly parameters: readonly Parameter[]
  /** Type of the body; `patch` stands for the patch formats. */
  readonly body?: { readonly type: string; readonly required: boolean } | 'patch'
  /** Type of the answer; undefined: a text or a stream. */
  readonly answer: string | undefined
  readonly codes: readonly number[]
  /** The answer may be a watch. */
  readonly streams?: true
  readonly kind: { readonly group: string; readonly version: string; readonly kind: string }
}

export interface PathOperations {
  readonly path: string
  readonly parameters: readonly Parameter[]
  readonly operations: readonly Operation[]
}

const meta = 'io.k8s.apimachinery.pkg.apis.meta.v1'
const query = (name: string, type: Parameter['type'], description: string): Parameter => ({ name, in: 'query', type, description })

const pretty = query('pretty', 'string', 'If true, the answer is printed with indentation. Browsers and curl get that without asking.')
const dryRun = query('dryRun', 'string', 'All: the request is carried out but for storing its result.')
const fieldManager = query('fieldManager', 'string', 'Name of whoever makes the change: at most 128 printable characters. Required for apply patches.')
const fieldValidation = query('fieldValidation', 'string', 'What becomes of unknown and duplicate fields: Ignore drops them, Warn (the default) drops them with a warning, Strict refuses the request.')
const force = query('force', 'boolean', 'Apply patches only: take over fields that belong to others.')
const writeParameters = [dryRun, fieldManager, fieldValidation]
const selectorParameters = {
  fieldSelector: query('fieldSelector', 'string', 'Restricts the objects by their fields. All objects unless told.'),
  labelSelector: query('labelSelector', 'string', 'Restricts the objects by their labels. All objects unless told.'),
  limit: query('limit', 'integer', 'Most objects in one answer. When there are more, metadata.continue says how to go on.'),
  continue: query('continue', 'string', 'Where an earlier answer with a limit left off.'),
  resourceVersion: query('resourceVersion', 'string', 'Which versions of the objects are good enough. Unset: the newest.'),
  resourceVersionMatch: query('resourceVersionMatch', 'string', 'How resourceVersion is meant: Exact or NotOlderThan.'),
  sendInitialEvents: query('sendInitialEvents', 'boolean', 'Watches only: begin with the objects that there are, then a bookmark.'),
  timeoutSeconds: query('timeoutSeconds', 'integer', 'How long the request may take, watches included.'),
}
const listParameters = [
  query('allowWatchBookmarks', 'boolean', 'Watches only: send bookmarks with the version that has been reached.'), selectorParameters.continue, selectorParameters.fieldSelector, selectorParameters.labelSelector, selectorParameters.limit,
  selectorParameters.resourceVersion, selectorParameters.resourceVersionMatch, selectorParameters.sendInitialEvents, selectorParameters.timeoutSeconds, query('watch', 'boolean', 'Answer with a stream of changes instead of a list.'),
]
const deleteParameters = [
  dryRun, query('gracePeriodSeconds', 'integer', 'Seconds before the object goes. 0: at once.'), query('ignoreStoreReadErrorWithClusterBreakingPotential', 'boolean', 'Delete even an object that can’t be read. Breaks what depends on it.'),
  query('orphanDependents', 'boolean', 'Deprecated: use propagationPolicy.'), query('propagationPolicy', 'string', 'What becomes of dependents: Orphan, Background or Foreground.'),
]
const deleteCollectionParameters = [...deleteParameters, ...Object.values(selectorParameters)].toSorted((a, b) => (a.name < b.name ? -1 : 1))

const pathParameter = (name: string, description: string): Parameter => ({ name, in: 'path', type: 'string', description })
const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

/** `rbac.authorization.k8s.io`, `v1` → RbacAuthorizationV1. */
export function groupVersionName(group: string, version: string): string {
  return `${group === '' ? 'Core' : group.replace(/\.k8s\.io$/, '').split('.').map(capital).join('')}${capital(version)}`
}

/** `rbac.authorization.k8s.io`, `v1` → rbacAuthorization_v1. */
export function tagOf(group: string, version: string): string {
  const name = groupVersionName(group, '')
  return `${name.charAt(0).toLowerCase()}${name.slice(1)}_${version}`
}

export function groupVersionPath(group: string, version: string): string { return group === '' ? `/api/${version}` : `/apis/${group}/${version}` }

/** All paths of one group version, those of its subresources included. */
export function operationsOf(group: string, version: string): readonly PathOperations[] {
  return servedResources.filter((info) => info.group === group && info.version === version).flatMap(resourceOperations).toSorted((a, b) => (a.path < b.path ? -1 : 1))
}

function resourceOperations(info: ResourceInfo): PathOperations[] {
  const root = groupVersionPath(info.group, info.version)
  const base = `${root}${info.namespaced ? '/namespaces/{namespace}' : ''}/${info.resource}`
  const gv = groupVersionName(info.group, info.version)
  const scope = info.namespaced ? 'Namespaced' : ''
  const kind = { group: info.group, version: info.version, kind: info.kind }
  const listType = `${info.type}List`
  const namespace = info.namespaced ? [pathParameter('namespace', 'Namespace of the object.')] : []
  const name = pathParameter('name', `Name of the ${info.kind}.`)
  const has = (verb: string): boolean => info.verbs.some((v) => v === verb)

  const collection: Operation[] = []
  if (has('list')) collection.push({ method: 'get', action: 'list', operationId: `list${gv}${scope}${info.kind}`, description: `list or watch objects of kind ${info.kind}`, parameters: listParameters, answer: listType, codes: [200], streams: true, kind })
  if (has('create')) collection.push({ method: 'post', action: 'post', operationId: `create${gv}${scope}${info.kind}`, description: `create a ${info.kind}`, parameters: writeParameters, body: { type: info.type, required: true }, answer: info.type, codes: [200, 201, 202], kind })
  if (has('deletecollection')) collection.push({ method: 'delete', action: 'deletecollection', operationId: `delete${gv}Collection${scope}${info.kind}`, description: `delete collection of ${info.kind}`, parameters: deleteCollectionParameters, body: { type: `${meta}.DeleteOptions`, required: false }, answer: `${meta}.Status`, codes: [200], kind })

  const single: Operation[] = []
  if (has('get')) single.push({ method: 'get', action: 'get', operationId: `read${gv}${scope}${info.kind}`, description: `read the specified ${info.kind}`, parameters: [], answer: info.type, codes: [200], kind })
  if (has('update')) single.push({ method: 'put', action: 'put', operationId: `replace${gv}${scope}${info.kind}`, description: `replace the specified ${info.kind}`, parameters: writeParameters, body: { type: info.type, required: true }, answer: info.type, codes: [200, 201], kind })
  if (has('delete')) single.push({ method: 'delete', action: 'delete', operationId: `delete${gv}${scope}${info.kind}`, description: `delete a ${info.kind}`, parameters: deleteParameters, body: { type: `${meta}.DeleteOptions`, required: false }, answer: `${meta}.Status`, codes: [200, 202], kind })
  if (has('patch')) single.push({ method: 'patch', action: 'patch', operationId: `patch${gv}${scope}${info.kind}`, description: `partially update the specified ${info.kind}`, parameters: [...writeParameters, force], body: 'patch', answer: info.type, codes: [200, 201], kind })

  const paths: PathOperations[] = []
  if (collection.length > 0) paths.push({ path: base, parameters: [...namespace, pretty], operations: collection })
  if (single.length > 0) paths.push({ path: `${base}/{name}`, parameters: [name, ...namespace, pretty], operations: single })
  if (info.namespaced && has('list')) {
    paths.push({
      path: `${root}/${info.resource}`, parameters: [...listParameters, pretty],
      operations: [{ method: 'get', action: 'list', operationId: `list${gv}${info.kind}ForAllNamespaces`, description: `list or watch objects of kind ${info.kind}`, parameters: [], answer: listType, codes: [200], streams: true, kind }],
    })
  }
  for (const sub of info.subresources) paths.push(...subresourceOperations(info, sub, `${base}/{name}`, [name, ...namespace, pretty], `${gv}`, `${scope}${info.kind}`))
  return paths
}

const connectMethods: readonly (readonly [string, Operation['method']])[] = [['delete', 'delete'], ['get', 'get'], ['patch', 'patch'], ['create', 'post'], ['update', 'put']]

function subresourceOperations(info: ResourceInfo, sub: SubresourceInfo, parent: string, parameters: readonly Parameter[], gv: string, target: string): PathOperations[] {
  const group = sub.group || (sub.version === '' ? info.group : '')
  const version = sub.version || info.version
  const kind = { group, version, kind: sub.kind }
  const type = typeIdOf(group, version, sub.kind)
  const suffix = capital(sub.name)
  const path = `${parent}/${sub.name}`
  const has = (verb: string): boolean => sub.verbs.includes(verb)
  if (sub.kind.endsWith('Options')) {
    const options = type === undefined ? [] : optionParameters(type)
    const operations = connectMethods.filter(([verb]) => has(verb)).map(([, method]): Operation => ({ method, action: 'connect', operationId: `connect${gv}${capital(method)}${target}${suffix}`, description: `connect ${method.toUpperCase()} requests to ${sub.name} of ${info.kind}`, parameters: [], answer: undefined, codes: [200], kind }))
    const paths: PathOperations[] = [{ path, parameters: [...parameters.filter((p) => p.name !== 'pretty'), ...options], operations }]
    if (sub.name === 'proxy') {
      paths.push({
        path: `${path}/{path}`, parameters: [...parameters.filter((p) => p.name !== 'pretty'), pathParameter('path', 'Path below the resource that the request goes to.'), ...options],
        operations: operations.map((operation) => ({ ...operation, operationId: `${operation.operationId}WithPath` })),
      })
    }
    return paths
  }
  if (type === undefined) return []
  const log = sub.name === 'log'
  const operations: Operation[] = []
  if (has('get')) operations.push({ method: 'get', action: 'get', operationId: `read${gv}${target}${suffix}`, description: `read ${sub.name} of the specified ${info.kind}`, parameters: [], answer: log ? undefined : type, codes: [200], kind })
  if (has('update')) operations.push({ method: 'put', action: 'put', operationId: `replace${gv}${target}${suffix}`, description: `replace ${sub.name} of the specified ${info.kind}`, parameters: writeParameters, body: { type, required: true }, answer: type, codes: [200, 201], kind })
  if (has('create')) operations.push({ method: 'post', action: 'post', operationId: `create${gv}${target}${suffix}`, description: `create ${sub.name} of a ${info.kind}`, parameters: writeParameters, body: { type, required: true }, answer: type, codes: [200, 201, 202], kind })
  if (has('patch')) operations.push({ method: 'patch', action: 'patch', operationId: `patch${gv}${target}${suffix}`, description: `partially update ${sub.name} of the specified ${info.kind}`, parameters: [...writeParameters, force], body: 'patch', answer: type, codes: [200, 201], kind })
  return operations.length === 0 ? [] : [{ path, parameters: [...parameters, ...(log ? optionParameters('io.k8s.api.core.v1.PodLogOptions') : [])], operations }]
}

/** Query parameters from the fields of an options type. */
function optionParameters(type: string): Parameter[] {
  return messagePlan(type).jsonFields.map((field) => query(field.name, field.kind === 'bool' ? 'boolean' : field.kind === 'int32' || field.kind === 'int64' ? 'integer' : 'string', `The option ${field.name}.`))
}

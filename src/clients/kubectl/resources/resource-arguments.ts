// What command-line arguments name: `pods`, `pods a b`, `pod/a svc/b`, `pods,services`, `all`, with `-f`, `-l`, `--field-selector` and `-A`.
// Upstream: cli-runtime/pkg/resource/builder.go
import type { JsonObject } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { ApiError } from '../../../lib/client/api-error.ts'
import { KubectlError } from '../command.ts'
import type { ServerResource } from '../discovery/resource-mapper.ts'
import type { Session } from '../session.ts'
import { collectionPath, objectPath } from './object-path.ts'

/** One thing that the arguments name: an object, or (without a name) a whole collection. */
export type ResourceTarget =
  | { readonly type: 'object'; readonly resource: ServerResource; readonly namespace: string; readonly name: string }
  | { readonly type: 'collection'; readonly resource: ServerResource; readonly namespace: string }

export interface TargetOptions {
  readonly allNamespaces: boolean
  /** Words that name no known resource are errors of this text's form in the original. */
  readonly requireNames?: boolean
}

/** @throws KubectlError with the original's words */
export async function resolveTargets(session: Session, args: readonly string[], options: TargetOptions): Promise<readonly ResourceTarget[]> {
  const namespaceOf = (resource: ServerResource): string => (resource.namespaced && !options.allNamespaces ? session.namespace : '')
  if (args.some((a) => a.includes('/'))) {
    const targets: ResourceTarget[] = []
    for (const arg of args) {
      const parts = arg.split('/')
      if (parts.length !== 2 || parts[0] === '' || parts[1] === '') {
        throw new KubectlError(arg.includes('/') ? 'arguments in resource/name form may not have more than one slash' : 'there is no need to specify a resource type as a separate argument when passing arguments in resource/name form (e.g. \'kubectl get resource/<resource_name>\' instead of \'kubectl get resource resource/<resource_name>\'')
      }
      for (const resource of await resourcesOf(session, parts[0] ?? '')) targets.push({ type: 'object', resource, namespace: namespaceOf(resource), name: parts[1] ?? '' })
    }
    return targets
  }
  const [types = '', ...names] = args
  const resources = (await Promise.all(types.split(',').map((word) => resourcesOf(session, word)))).flat()
  if (names.length === 0) return resources.map((resource) => ({ type: 'collection', resource, namespace: namespaceOf(resource) }))
  if (options.allNamespaces && resources.some((r) => r.namespaced)) throw new KubectlError('a resource cannot be retrieved by name across all namespaces')
  return resources.flatMap((resource) => names.map((name) => ({ type: 'object' as const, resource, namespace: namespaceOf(resource), name })))
}

async function resourcesOf(session: Session, word: string): Promise<readonly ServerResource[]> {
  const resource = await session.mapper.find(word)
  if (resource) return [resource]
  const category = await session.mapper.inCategory(word)
  if (category.length > 0) return category
  throw new KubectlError(`the server doesn't have a resource type ${JSON.stringify(word)}`)
}

export interface SelectionOptions {
  readonly labelSelector?: string
  readonly fieldSelector?: string
  readonly chunkSize?: number
}

/** Says in the error what was to be listed. Upstream: cli-runtime/pkg/resource (EnhanceListError) */
export async function listErrorsNamed<T>(resource: Pick<ServerResource, 'group' | 'version' | 'resource'>, selection: SelectionOptions, list: () => Promise<T>): Promise<T> {
  try {
    return await list()
  } catch (error) {
    if (!(error instanceof ApiError) || (error.reason !== 'BadRequest' && error.reason !== 'NotFound')) throw error
    const [labels, fields] = [selection.labelSelector ?? '', selection.fieldSelector ?? '']
    const subject = JSON.stringify(`${resource.group}/${resource.version}, Resource=${resource.resource}`)
    const message = labels === '' && fields === '' ? `Unable to list ${subject}: ${error.message}` : `Unable to find ${subject} that match label selector ${JSON.stringify(labels)}, field selector ${JSON.stringify(fields)}: ${error.message}`
    throw new ApiError({ ...error.status, message })
  }
}

/** Gets one object, or every object of a collection page by page. */
export async function fetchObjects(session: Session, target: ResourceTarget, selection: SelectionOptions = {}): Promise<readonly JsonObject[]> {
  if (target.type === 'object') return [await session.request('GET', objectPath(target.resource, target.namespace, target.name))]
  const objects: JsonObject[] = []
  let token = ''
  do {
    const list = await listErrorsNamed(target.resource, selection, () => session.request('GET', collectionPath(target.resource, target.namespace, { labelSelector: selection.labelSelector, fieldSelector: selection.fieldSelector, limit: selection.chunkSize ?? 500, continue: token })))
    const apiVersion = String(list['apiVersion'] ?? '')
    const kind = String(list['kind'] ?? '').replace(/List$/, '')
    // Items of a list carry no kind of their own.
    for (const item of Array.isArray(list['items']) ? list['items'] : []) if (isJsonObject(item)) objects.push({ apiVersion, kind, ...item })
    const metadata = list['metadata']
    token = isJsonObject(metadata) && typeof metadata['continue'] === 'string' ? metadata['continue'] : ''
  } while (token !== '')
  return objects
}

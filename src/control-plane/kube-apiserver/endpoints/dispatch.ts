// From a call to the handler that answers it. Authentication and authorization have passed.
// Upstream: apiserver/pkg/endpoints/installer.go
import type { Answer, ApiCall } from './api-call.ts'
import { textAnswer } from './api-call.ts'
import { methodNotAllowed, pathNotFound } from './api-errors.ts'
import { negotiate } from '../http/negotiate.ts'
import { createObject } from './create.ts'
import { deleteCollection, deleteObject } from './delete.ts'
import { patchObject } from './patch.ts'
import { getObject, listObjects, watchObjects } from './read.ts'
import type { ServedResource } from './served-resource.ts'
import type { ServerContext } from './server-context.ts'
import { updateObject } from './update.ts'

/** Handlers of subresources and of resources that aren't stored, by `group/resource` or `group/resource/subresource`. */
export type CustomHandler = (server: ServerContext, resource: ServedResource | undefined, call: ApiCall) => Promise<Answer>
export type CustomHandlers = ReadonlyMap<string, CustomHandler>

export interface Dispatcher {
  readonly server: ServerContext
  readonly custom: CustomHandlers
  /** Paths that aren't resources: discovery, health, version, OpenAPI, metrics. */
  nonResource(call: ApiCall): Promise<Answer> | Answer
}

export function notFoundPage(): Answer { return textAnswer(404, '404 page not found\n') }

export async function dispatch(dispatcher: Dispatcher, call: ApiCall): Promise<Answer> {
  const { info } = call
  if (!info.isResource) return dispatcher.nonResource(call)
  const { server } = dispatcher
  const resource = server.resources.get(`${info.group}/${info.version}/${info.resource}`)
  const customKey = `${info.group}/${info.resource}${info.subresource === '' ? '' : `/${info.subresource}`}`
  if (!resource) {
    if (isServed(server, info.group, info.version)) throw pathNotFound()
    return notFoundPage()
  }
  const custom = dispatcher.custom.get(customKey)
  const [, name = '', , ...rest] = info.parts
  // What can't be answered in a form that the client takes isn't done either.
  if (!call.inProcess && !isStream(info.subresource)) negotiate(call.headers['accept'], custom ? 'plain' : info.verb === 'list' || info.verb === 'watch' ? info.verb : 'object', false)
  if (info.subresource === '') {
    if (custom) {
      if (!resource.info.verbs.includes(info.verb)) throw methodNotAllowed()
      return custom(server, resource, call)
    }
    if (resource.info.namespaced ? info.namespace === '' && (name !== '' || info.verb === 'create') : info.namespace !== '' && info.resource !== 'namespaces') throw notFoundOrMethod(resource, info.verb)
    // deletecollection over all namespaces doesn't exist.
    if (info.verb === 'deletecollection' && resource.info.namespaced && info.namespace === '') throw methodNotAllowed()
    if (!resource.info.verbs.includes(info.verb)) throw methodNotAllowed()
    switch (info.verb) {
      case 'get': return getObject(resource, call, name)
      case 'list': return listObjects(resource, call)
      case 'watch': return watchObjects(server, resource, call, name === '' ? undefined : name)
      case 'create': if (name !== '') throw methodNotAllowed(); return createObject(server, resource, call)
      case 'update': if (name === '') throw methodNotAllowed(); return updateObject(server, resource, call, name)
      case 'patch': if (name === '') throw methodNotAllowed(); return patchObject(server, resource, call, name)
      case 'delete': return deleteObject(server, resource, call, name)
      case 'deletecollection': return deleteCollection(server, resource, call)
      default: throw methodNotAllowed()
    }
  }
  const subresource = resource.info.subresources.find((s) => s.name === info.subresource)
  if (!subresource || (resource.info.namespaced && info.namespace === '')) throw pathNotFound()
  if (!subresource.verbs.includes(info.verb)) throw methodNotAllowed()
  if (custom) return custom(server, resource, call)
  if (rest.length > 0) throw pathNotFound()
  switch (info.verb) {
    case 'get': return getObject(resource, call, name)
    case 'update': return updateObject(server, resource, call, name)
    case 'patch': return patchObject(server, resource, call, name)
    default: throw methodNotAllowed()
  }
}

function notFoundOrMethod(resource: ServedResource, verb: string): Error {
  return resource.info.namespaced && verb === 'create' ? methodNotAllowed() : pathNotFound()
}

/** Under a group and version that is served an unknown path is a Status, elsewhere a page. */
function isServed(server: ServerContext, group: string, version: string): boolean {
  for (const { info } of server.resources.values()) if (info.group === group && info.version === version) return true
  return false
}

const isStream = (subresource: string): boolean => ['log', 'exec', 'attach', 'portforward', 'proxy'].includes(subresource)

// The filters that every request passes, however it came in: limits in flight, impersonation, authorization; then the handler. Never throws:
// refusals and failures are answers too.
import { ApiError } from '../../../lib/client/api-error.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import { explainForbidden } from '../authorization/authorizer.ts'
import type { AuthorizationAttributes } from '../authorization/authorizer.ts'
import type { Answer, ApiCall } from '../endpoints/api-call.ts'
import { textAnswer } from '../endpoints/api-call.ts'
import { forbidden, forbiddenPath, internalError, timedOut } from '../endpoints/api-errors.ts'
import { dispatch } from '../endpoints/dispatch.ts'
import type { Dispatcher } from '../endpoints/dispatch.ts'
import { isLongRunning } from '../endpoints/request-info.ts'
import type { RequestMetrics } from '../endpoints/metrics.ts'
import type { ServerContext } from '../endpoints/server-context.ts'
import { asJson } from '../storage/stored-object.ts'
import { impersonate } from './impersonation.ts'
import type { MaxInFlight } from './max-in-flight.ts'

export type RequestHandler = (call: ApiCall) => Promise<Answer>

export interface RequestHandlerOptions { readonly dispatcher: Dispatcher; readonly limits: MaxInFlight; readonly metrics: RequestMetrics }

export function requestHandler(options: RequestHandlerOptions): RequestHandler {
  const { dispatcher, metrics } = options
  const { server } = dispatcher
  const handle = filters(options)
  return async (call) => {
    const started = server.clock.monotonic()
    const answer = await handle(call)
    const { info } = call
    metrics.record(info, 'status' in answer && typeof answer.status === 'number' ? answer.status : 200, (server.clock.monotonic() - started) / 1000, !info.isResource || server.resources.has(`${info.group}/${info.version}/${info.resource}`))
    return answer
  }
}

function filters({ dispatcher, limits }: RequestHandlerOptions): RequestHandler {
  const { server } = dispatcher
  return async (given) => {
    let leave: (() => void) | undefined
    try {
      if (!isLongRunning(given.info)) {
        leave = limits.enter(given.info.verb, given.user)
        if (!leave) return textAnswer(429, 'Too many requests, please try again later.\n', { 'retry-after': '1' })
      }
      const user = impersonate(given.user, given.headers, server.authorizer)
      const call = user === given.user ? given : { ...given, user }
      authorize(server, call)
      return await dispatch(dispatcher, call)
    } catch (error) {
      return errorAnswer(given.signal.aborted && !(error instanceof ApiError) ? timedOut('request did not complete within the allotted timeout') : error, server.logger)
    } finally {
      leave?.()
    }
  }
}

/** @throws ApiError 403 */
export function authorize(server: ServerContext, call: ApiCall): void {
  const { info, query } = call
  const selectors = info.verb === 'list' || info.verb === 'watch' || info.verb === 'deletecollection'
  const attributes: AuthorizationAttributes = {
    user: call.user, verb: info.verb, isResource: info.isResource, group: info.group, version: info.version, resource: info.resource, subresource: info.subresource, namespace: info.namespace, name: info.name, path: info.path,
    ...(selectors && { fieldSelector: query.get('fieldSelector') ?? '', labelSelector: query.get('labelSelector') ?? '' }),
  }
  check(server, attributes)
  // Opening a stream into a pod changes things, whatever the method.
  if (info.isResource && info.verb === 'get' && ['exec', 'attach', 'portforward'].includes(info.subresource)) check(server, { ...attributes, verb: 'create' })
}

function check(server: ServerContext, attributes: AuthorizationAttributes): void {
  const decision = server.authorizer.authorize(attributes)
  if (decision.decision === 'allow') return
  // Names may hold what a browser would take for markup.
  const why = explainForbidden(attributes, decision.reason).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
  throw attributes.isResource ? forbidden({ group: attributes.group, resource: attributes.resource }, attributes.name, why) : forbiddenPath(why)
}

/** Any error as an answer: refusals as they are, everything else as 500 with the error in the log. */
export function errorAnswer(error: unknown, logger: Logger): Answer {
  const refusal = error instanceof ApiError ? error : internalError(error instanceof Error ? error.message : String(error))
  if (!(error instanceof ApiError)) logger.error('Request failed', error, { stack: error instanceof Error ? error.stack : undefined })
  return { type: 'object', status: refusal.code, object: asJson(refusal.status), messageType: 'io.k8s.apimachinery.pkg.apis.meta.v1.Status' }
}

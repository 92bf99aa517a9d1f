// Requests from within the process: the same filters and handlers as over the wire, with objects in place of bytes. Nothing is serialised.
import { newBadRequest } from '../../lib/apimachinery/status.ts'
import type { JsonObject } from '../../lib/base/json.ts'
import type { ApiRequest, ApiResponse, ApiTransport } from '../../lib/client/transport.ts'
import type { WatchEvent } from '../../lib/client/watch-event.ts'
import type { Answer, ApiCall, CallBody } from './endpoints/api-call.ts'
import { listObject } from './endpoints/list-object.ts'
import { parseRequestInfo } from './endpoints/request-info.ts'
import type { ServedResource } from './endpoints/served-resource.ts'
import type { UserInfo } from './registry/strategy.ts'
import type { Delivery } from './storage/cache-event.ts'
import { batchesOf } from './storage/cache-watcher.ts'
import { asJson } from './storage/stored-object.ts'

export interface InProcessServer {
  /** Filters and dispatch; never throws, errors are answers. */
  handle(call: ApiCall): Promise<Answer>
  now(): number
  /** Ends the watcher of an answer after its time; the signal says that it ended otherwise. */
  limitWatch(answer: Extract<Answer, { type: 'watch' }>, signal: AbortSignal): void
}

export function inProcessTransport(server: InProcessServer, user: UserInfo): ApiTransport {
  return {
    async request(request: ApiRequest): Promise<ApiResponse> {
      const at = request.path.indexOf('?')
      const path = decodePath(at < 0 ? request.path : request.path.slice(0, at))
      const query = new URLSearchParams(at < 0 ? '' : request.path.slice(at + 1))
      const { signal } = request
      signal.throwIfAborted()
      if (path === undefined) return { status: 400, headers: { 'content-type': 'application/json' }, body: { kind: 'object', object: asJson(newBadRequest('the request path is no valid URL path')) } }
      const call: ApiCall = {
        method: request.method, info: parseRequestInfo(request.method, path, query), query, headers: request.headers ?? {}, user, signal, nowMs: server.now(), inProcess: true, warnings: [],
        readBody: async () => bodyOf(request),
      }
      const answer = await server.handle(call)
      return responseOf(server, call, answer)
    },
  }
}

/** undefined: no valid path. */
function decodePath(path: string): string | undefined {
  try { return decodeURIComponent(path) } catch { return undefined }
}

function bodyOf(request: ApiRequest): CallBody {
  if (request.body === undefined) return { kind: 'none' }
  if (!(request.body instanceof Uint8Array)) return { kind: 'object', object: request.body }
  return { kind: 'bytes', bytes: request.body, mediaType: (request.headers?.['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '' }
}

/** A stored object in the form in which this resource serves it. */
export function servedForm(resource: ServedResource, object: Delivery['object']): JsonObject {
  return asJson(resource.conversion ? resource.conversion.fromStorage(object.object) : object.object)
}

async function responseOf(server: InProcessServer, call: ApiCall, answer: Answer): Promise<ApiResponse> {
  const headers = { 'content-type': 'application/json', ...(call.warnings.length > 0 && { warning: call.warnings.map((text) => `299 - ${JSON.stringify(text)}`).join(', ') }) }
  switch (answer.type) {
    case 'stored': return { status: answer.status, headers, body: { kind: 'object', object: servedForm(answer.resource, answer.object) } }
    case 'object': return { status: answer.status, headers, body: { kind: 'object', object: answer.object } }
    case 'list': return { status: 200, headers, body: { kind: 'object', object: await listObject(answer) } }
    case 'bytes': {
      if (answer.contentType.startsWith('application/json')) return { status: answer.status, headers, body: { kind: 'object', object: JSON.parse(Buffer.from(answer.bytes).toString()) as JsonObject } } // cast: the server's own JSON
      return { status: answer.status, headers, body: { kind: 'bytes', bytes: answer.bytes } }
    }
    case 'stream': return { status: answer.status, headers, body: { kind: 'stream', stream: answer.stream } }
    case 'failedWatch': return { status: 200, headers, body: { kind: 'events', events: oneBatch([{ type: 'ERROR', object: answer.status }]) } }
    case 'watch': {
      const ended = new AbortController()
      // Also when nobody ever reads the events.
      call.signal.addEventListener('abort', () => { answer.watcher[Symbol.dispose](); ended.abort() }, { once: true })
      server.limitWatch(answer, ended.signal)
      return { status: 200, headers, body: { kind: 'events', events: eventsOf(answer, call.signal, ended) } }
    }
    case 'tunnel': {
      return { status: 400, headers, body: { kind: 'object', object: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message: 'Upgrade request required', reason: 'BadRequest', code: 400 } } }
    }
  }
}

async function* oneBatch(events: readonly WatchEvent[]): AsyncGenerator<readonly WatchEvent[]> { yield events }

async function* eventsOf(answer: Extract<Answer, { type: 'watch' }>, signal: AbortSignal, ended: AbortController): AsyncGenerator<readonly WatchEvent[]> {
  try {
    for await (const batch of batchesOf(answer.watcher, signal)) yield batch.map((delivery) => ({ type: delivery.type, object: servedForm(answer.resource, delivery.object) }))
  } finally {
    ended.abort()
  }
}

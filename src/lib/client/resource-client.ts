// The typed client over an ApiTransport: turns method calls into requests and refusals into ApiError.
//
// Rule it keeps: it never copies or mends an object. In one process the object that comes back is the server's own shared value; over HTTP it is
// parsed from the bytes. Both are deeply readonly.
// Upstream: client-go/kubernetes/typed, client-go/rest
import { isJsonObject } from '../base/json.ts'
import type { Draft, JsonObject, JsonValue } from '../base/json.ts'
import type { Status } from '../api/generated/types/meta-v1.ts'
import { ApiError } from './api-error.ts'
import type { ApiClient, ApiList, ApiObject, DeleteOptions, ListOptions, PatchType, ResourceClient, ResourceKey, WatchOptions, WriteOptions } from './api-client.ts'
import { TransportError } from './transport.ts'
import type { ApiRequest, ApiResponse, ApiResponseBody, ApiTransport } from './transport.ts'
import type { WatchEvent } from './watch-event.ts'
import { decodeWatchStream } from './watch-stream.ts'

export interface ApiClientOptions {
  /** Sent with every request; the part before the first `/` is the default field manager. */
  readonly userAgent: string
}

type QueryValue = string | number | boolean | undefined
type Query = { readonly [name: string]: QueryValue }

/** Path of a collection (`name` undefined), of an object, or of its subresource. For cluster-scoped kinds and all namespaces `namespace` is ''. */
export function resourcePath(key: Pick<ResourceKey, 'group' | 'version' | 'resource'>, namespace: string, name?: string, subresource?: string): string {
  let path = key.group === '' ? `/api/${key.version}` : `/apis/${key.group}/${key.version}`
  if (namespace !== '') path += `/namespaces/${encodeURIComponent(namespace)}`
  path += `/${key.resource}`
  if (name !== undefined) path += `/${encodeURIComponent(name)}`
  if (subresource !== undefined) path += `/${subresource}`
  return path
}

function withQuery(path: string, query: Query): string {
  const pairs = Object.entries(query).flatMap(([name, value]) => (value === undefined || value === '' ? [] : [`${name}=${encodeURIComponent(String(value))}`]))
  return pairs.length === 0 ? path : `${path}?${pairs.join('&')}`
}

export function createApiClient(transport: ApiTransport, options: ApiClientOptions): ApiClient {
  const send = async (method: ApiRequest['method'], path: string, body: JsonObject | undefined, signal: AbortSignal, contentType = 'application/json'): Promise<ApiResponse> => {
    const headers: Record<string, string> = { accept: 'application/json', 'user-agent': options.userAgent }
    if (body !== undefined) headers['content-type'] = contentType
    const response = await transport.request({ method, path, headers, signal, ...(body === undefined ? {} : { body }) })
    if (response.status >= 400) throw new ApiError(await statusOf(response))
    return response
  }
  const call = async (method: ApiRequest['method'], path: string, body: JsonObject | undefined, signal: AbortSignal, contentType?: string): Promise<JsonObject> =>
    objectOf((await send(method, path, body, signal, contentType)).body)

  return {
    raw: (method, path, body, signal) => call(method, path, body, signal),
    resource: <T extends ApiObject>(key: ResourceKey<T>): ResourceClient<T> => new TransportResourceClient<T>(key, { send, call }),
  }
}

interface Sender {
  send(method: ApiRequest['method'], path: string, body: JsonObject | undefined, signal: AbortSignal, contentType?: string): Promise<ApiResponse>
  call(method: ApiRequest['method'], path: string, body: JsonObject | undefined, signal: AbortSignal, contentType?: string): Promise<JsonObject>
}

class TransportResourceClient<T extends ApiObject> implements ResourceClient<T> {
  readonly #key: ResourceKey<T>
  readonly #sender: Sender

  constructor(key: ResourceKey<T>, sender: Sender) { this.#key = key; this.#sender = sender }

  async get(namespace: string, name: string, signal: AbortSignal): Promise<T> {
    return asObject<T>(await this.#sender.call('GET', this.#path(namespace, name), undefined, signal))
  }

  async list(namespace: string, options: ListOptions, signal: AbortSignal): Promise<ApiList<T>> {
    const list = await this.#sender.call('GET', withQuery(this.#path(namespace), { ...options }), undefined, signal)
    return list as unknown as ApiList<T> // cast: the server answers a list request with a list of this kind
  }

  async *watch(namespace: string, options: WatchOptions, signal: AbortSignal): AsyncIterable<readonly WatchEvent<T>[]> {
    const response = await this.#sender.send('GET', withQuery(this.#path(namespace), { ...options, watch: true }), undefined, signal)
    yield* eventsOf(response.body) as AsyncIterable<readonly WatchEvent<T>[]> // cast: the server sends events of this kind
  }

  async create(namespace: string, object: Draft<T>, signal: AbortSignal, options: WriteOptions = {}): Promise<T> {
    return asObject<T>(await this.#sender.call('POST', this.#writePath(namespace, undefined, options), this.#bodyOf(object), signal))
  }

  async update(object: T, signal: AbortSignal, options: WriteOptions = {}): Promise<T> {
    const { namespace = '', name = '' } = object.metadata
    return asObject<T>(await this.#sender.call('PUT', this.#writePath(namespace, name, options), this.#bodyOf(object), signal))
  }

  async patch(namespace: string, name: string, type: PatchType, patch: JsonValue, signal: AbortSignal, options: WriteOptions = {}): Promise<T> {
    const path = this.#writePath(namespace, name, options)
    const body = patch as JsonObject // cast: a JSON patch is an array; transports pass any JSON value through
    return asObject<T>(await this.#sender.call('PATCH', path, body, signal, type))
  }

  async delete(namespace: string, name: string, options: DeleteOptions, signal: AbortSignal): Promise<void> {
    await this.#sender.call('DELETE', this.#path(namespace, name), deleteBody(options), signal)
  }

  async deleteCollection(namespace: string, options: DeleteOptions, list: ListOptions, signal: AbortSignal): Promise<void> {
    await this.#sender.call('DELETE', withQuery(this.#path(namespace), { ...list }), deleteBody(options), signal)
  }

  createSubresource(namespace: string, name: string, subresource: string, body: JsonObject, signal: AbortSignal): Promise<JsonObject> {
    return this.#sender.call('POST', this.#path(namespace, name, subresource), body, signal)
  }

  #path(namespace: string, name?: string, subresource?: string): string { return resourcePath(this.#key, this.#key.namespaced ? namespace : '', name, subresource) }

  #writePath(namespace: string, name: string | undefined, options: WriteOptions): string {
    return withQuery(this.#path(namespace, name, options.subresource), { fieldManager: options.fieldManager, dryRun: options.dryRun ? 'All' : undefined })
  }

  /** The object with the kind and version that a body on the wire needs; list items come without. */
  #bodyOf(object: Draft<T> | T): JsonObject {
    const body = object as unknown as JsonObject // cast: API objects are JSON-shaped
    if (body['kind'] !== undefined && body['apiVersion'] !== undefined) return body
    const { group, version, kind } = this.#key
    return { apiVersion: group === '' ? version : `${group}/${version}`, kind, ...body }
  }
}

function asObject<T>(object: JsonObject): T { return object as unknown as T } // cast: the server answers with the kind that was asked for

function deleteBody(options: DeleteOptions): JsonObject {
  return { kind: 'DeleteOptions', apiVersion: 'v1', ...options }
}

/** The object of an answer. Bytes are JSON. */
function objectOf(body: ApiResponseBody): JsonObject {
  switch (body.kind) {
    case 'object': return body.object
    case 'bytes': return parseObject(body.bytes)
    case 'events': case 'stream': throw new TransportError('Unknown', 'the server answered with a stream where an object was asked for')
  }
}

function parseObject(bytes: Uint8Array): JsonObject {
  if (bytes.length === 0) return {}
  const text = new TextDecoder().decode(bytes)
  try {
    const value: unknown = JSON.parse(text)
    if (isJsonObject(value)) return value
  } catch {
    // Plain text, as health checks answer.
  }
  return { text }
}

async function statusOf(response: ApiResponse): Promise<Status> {
  const body = response.body
  if (body.kind === 'object' || body.kind === 'bytes') {
    const object = objectOf(body)
    if (object['kind'] === 'Status') return { code: response.status, ...object } as unknown as Status // cast: its kind says that it is a Status
    const text = object['text']
    if (typeof text === 'string') return bareStatus(response.status, text.trim())
  }
  return bareStatus(response.status, `the server answered ${response.status}`)
}

const reasonByCode: { readonly [code: number]: string } = {
  400: 'BadRequest', 401: 'Unauthorized', 403: 'Forbidden', 404: 'NotFound', 405: 'MethodNotAllowed', 409: 'Conflict', 410: 'Gone', 413: 'RequestEntityTooLarge',
  415: 'UnsupportedMediaType', 422: 'Invalid', 429: 'TooManyRequests', 500: 'InternalError', 503: 'ServiceUnavailable', 504: 'Timeout',
}

function bareStatus(code: number, message: string): Status {
  return { metadata: {}, kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason: reasonByCode[code] ?? '', message } as Status // cast: filled like the server's own
}

function eventsOf(body: ApiResponseBody): AsyncIterable<readonly WatchEvent[]> {
  switch (body.kind) {
    case 'events': return body.events
    case 'stream': return decodeWatchStream(body.stream)
    case 'object': case 'bytes': throw new TransportError('Unknown', 'the server answered a watch without a stream')
  }
}

// How a component reaches the API server: one request in, one response out, over a socket or within the process.
//
// Rule it keeps: both ways pass the same authentication, authorization, admission and validation. Within one process nothing is serialised:
// a body may be an object, an answer may be an object, a watch is a stream of events. Objects that cross it are deeply readonly and shared.
import type { JsonObject } from '../base/json.ts'
import type { WatchEvent } from './watch-event.ts'

export interface ApiRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Path and query, encoded: `/api/v1/namespaces/default/pods?limit=500`. */
  readonly path: string
  /** Lower-case names. */
  readonly headers?: { readonly [name: string]: string }
  /** An object, or bytes that the `content-type` header describes. */
  readonly body?: JsonObject | Uint8Array
  /** Ends the request, and a watch's or log's stream after it. */
  readonly signal: AbortSignal
}

export type ApiResponseBody =
  | { readonly kind: 'object'; readonly object: JsonObject }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** A watch. The iterable ends when the server closes it and throws when the connection breaks. */
  | { readonly kind: 'events'; readonly events: AsyncIterable<readonly WatchEvent[]> }
  /** Logs with follow, proxied bodies. */
  | { readonly kind: 'stream'; readonly stream: AsyncIterable<Uint8Array> }

export interface ApiResponse {
  readonly status: number
  readonly headers: { readonly [name: string]: string }
  readonly body: ApiResponseBody
}

export interface ApiTransport {
  /** Resolves for every answer, errors included; rejects with TransportError when there was no answer. */
  request(request: ApiRequest): Promise<ApiResponse>
}

export type TransportErrorReason = 'ConnectionRefused' | 'ConnectionReset' | 'Timeout' | 'TlsFailure' | 'Unknown'

/** No answer: the server is away, the connection broke, the certificate is wrong. */
export class TransportError extends Error {
  override readonly name = 'TransportError'
  readonly reason: TransportErrorReason
  constructor(reason: TransportErrorReason, message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

// One request on its way through the server, and what comes out: the same for sockets and for callers in the process. The HTTP front turns bytes
// into calls and answers into bytes; the in-process transport passes objects straight through.
import type { JsonObject } from '../../../lib/base/json.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'
import type { UserInfo } from '../registry/strategy.ts'
import type { CacheWatcher } from '../storage/cache-watcher.ts'
import type { StoredObject } from '../storage/stored-object.ts'
import type { RequestInfo } from './request-info.ts'
import type { ServedResource } from './served-resource.ts'

export type CallBody =
  | { readonly kind: 'none' }
  | { readonly kind: 'object'; readonly object: JsonObject }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array; /** Media type without parameters, lower case; empty when the client named none. */ readonly mediaType: string }

export interface ApiCall {
  readonly method: string
  readonly info: RequestInfo
  readonly query: URLSearchParams
  /** Lower-case names. */
  readonly headers: { readonly [name: string]: string }
  readonly user: UserInfo
  /** Ends with the client, or with the request's deadline. */
  readonly signal: AbortSignal
  readonly nowMs: number
  /** From a component of this process. */
  readonly inProcess: boolean
  /** Texts for Warning headers; handlers add to it. */
  readonly warnings: string[]
  /** Reads the body; may throw 413. Called once authorization has passed. */
  readBody(): Promise<CallBody>
}

export type Answer =
  /** One object of a served resource, in the resource's own bytes. */
  | { readonly type: 'stored'; readonly status: number; readonly object: StoredObject; readonly resource: ServedResource }
  /** One object that isn't stored in this form: reviews, Status, dry-run results, Scale. */
  | { readonly type: 'object'; readonly status: number; readonly object: JsonObject; /** Its message in the schema, for protobuf. */ readonly messageType?: string; readonly resource?: ServedResource }
  | { readonly type: 'list'; readonly resource: ServedResource; readonly objects: readonly StoredObject[]; readonly metadata: { readonly resourceVersion: string; readonly continue?: string; readonly remainingItemCount?: number } }
  | { readonly type: 'watch'; readonly resource: ServedResource; readonly watcher: CacheWatcher; /** Milliseconds after which the server ends it. */ readonly timeoutMs: number }
  /** A watch that has failed before it began: one ERROR event, then the end. */
  | { readonly type: 'failedWatch'; readonly resource: ServedResource; readonly status: JsonObject }
  | { readonly type: 'bytes'; readonly status: number; readonly contentType: string; readonly bytes: Uint8Array; readonly headers?: { readonly [name: string]: string } }
  | { readonly type: 'stream'; readonly status: number; readonly headers: { readonly [name: string]: string }; readonly stream: AsyncIterable<Uint8Array> }
  /** The connection is to be joined with the kubelet's: only over a socket. */
  | { readonly type: 'tunnel'; readonly target: TunnelTarget }

/** Where a connection is passed on to, byte by byte, once the upgrade request has been rewritten. */
export interface TunnelTarget {
  readonly host: string
  readonly port: number
  readonly path: string
  readonly tls: boolean
  readonly tlsOptions?: { readonly cert?: string; readonly key?: string; readonly ca?: string; readonly rejectUnauthorized: boolean }
}

export function textAnswer(status: number, text: string, headers: { readonly [name: string]: string } = {}): Answer {
  return { type: 'bytes', status, contentType: 'text/plain; charset=utf-8', bytes: Buffer.from(text), headers: { 'x-content-type-options': 'nosniff', ...headers } }
}

export function jsonAnswer(status: number, body: unknown, headers?: { readonly [name: string]: string }): Answer {
  return { type: 'bytes', status, contentType: 'application/json', bytes: Buffer.from(JSON.stringify(body)), ...(headers && { headers }) }
}

/** An object that was computed, not stored. */
export function objectAnswer(status: number, object: ApiObject | JsonObject, messageType?: string, resource?: ServedResource): Answer {
  // cast: API objects are JSON
  return { type: 'object', status, object: object as unknown as JsonObject, ...(messageType !== undefined && { messageType }), ...(resource && { resource }) }
}

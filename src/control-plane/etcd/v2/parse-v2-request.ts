// Reads a request of the second API out of its path, query and form. Upstream: etcd v3.5, server/etcdserver/api/v2http/client.go
import { cleanPath } from './v2-store.ts'
import type { V2Request } from './v2-request.ts'

export interface V2Wait { readonly path: string; readonly recursive: boolean; readonly sinceIndex: number; readonly stream: boolean }

export type ParsedV2Request =
  | { readonly kind: 'get'; readonly path: string; readonly recursive: boolean; readonly sorted: boolean; readonly quorum: boolean }
  | ({ readonly kind: 'wait' } & V2Wait)
  | { readonly kind: 'change'; readonly request: V2Request; readonly noValueOnSuccess: boolean }
  | { readonly kind: 'bad'; readonly errorCode: number; readonly cause: string }

class Bad extends Error {
  readonly errorCode: number
  constructor(errorCode: number, cause: string) {
    super(cause)
    this.errorCode = errorCode
  }
}

/** @param path below /v2/keys @param form query and body together */
export function parseV2Request(method: string, path: string, form: URLSearchParams, nowMs: number): ParsedV2Request {
  try {
    return parse(method, cleanPath(path), form, nowMs)
  } catch (error) {
    if (error instanceof Bad) return { kind: 'bad', errorCode: error.errorCode, cause: error.message }
    throw error
  }
}

function parse(method: string, path: string, form: URLSearchParams, nowMs: number): ParsedV2Request {
  const prevIndex = count(form, 'prevIndex', 203)
  const waitIndex = count(form, 'waitIndex', 203)
  const recursive = flag(form, 'recursive')
  const sorted = flag(form, 'sorted')
  const wait = flag(form, 'wait')
  const dir = flag(form, 'dir')
  const quorum = flag(form, 'quorum')
  const stream = flag(form, 'stream')
  const refresh = flag(form, 'refresh')
  const noValueOnSuccess = flag(form, 'noValueOnSuccess')
  const isRead = method === 'GET' || method === 'HEAD'
  if (wait && method !== 'GET') throw new Bad(209, '"wait" can only be used with GET requests')
  const prevValue = form.get('prevValue')
  if (prevValue === '') throw new Bad(201, '"prevValue" cannot be empty')
  const ttl = form.get('ttl') ? count(form, 'ttl', 202) : undefined
  const prevExist = form.has('prevExist') ? flag(form, 'prevExist') : undefined
  if (refresh && form.has('value')) throw new Bad(211, 'A value was provided on a refresh')
  if (refresh && ttl === undefined) throw new Bad(212, 'No TTL value set')
  if (wait) return { kind: 'wait', path, recursive, sinceIndex: waitIndex, stream }
  if (isRead) return { kind: 'get', path, recursive, sorted, quorum }
  // A lifetime of nothing ends at once, none lasts for ever.
  const expiresAtMs = ttl === undefined ? 0 : nowMs + ttl * 1000
  return {
    kind: 'change', noValueOnSuccess,
    request: {
      method: method === 'POST' ? 'POST' : method === 'DELETE' ? 'DELETE' : 'PUT', path, value: form.get('value') ?? '', dir, prevIndex, recursive, sorted, refresh, expiresAtMs, timeMs: nowMs,
      ...(prevValue === null ? {} : { prevValue }), ...(prevExist === undefined ? {} : { prevExist: prevExist ? 'yes' : 'no' }),
    },
  }
}

/** Of these two the original leaves out the quotes. */
const unquoted = new Set(['prevExist', 'refresh'])

function flag(form: URLSearchParams, name: string): boolean {
  const text = form.get(name)
  if (text === null) return false
  if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(text)) return true
  if (['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(text)) return false
  throw new Bad(209, `invalid value for ${unquoted.has(name) ? name : `"${name}"`}`)
}

function count(form: URLSearchParams, name: string, errorCode: number): number {
  const text = form.get(name)
  if (text === null) return 0
  if (!/^\d+$/.test(text)) throw new Bad(errorCode, `invalid value for "${name}"`)
  return Number(text)
}

// Where the next page of a list begins: an opaque string for clients, JSON inside, in the original's form.
// Upstream: apiserver/pkg/storage/continue.go
import { isJsonObject } from '../../../lib/base/json.ts'
import { parseJson } from '../../../lib/apimachinery/parse-json.ts'

export interface ContinueToken {
  /** Revision of the first page; -1: read on at the newest, inconsistently. */
  readonly revision: number
  /** First key of the page, relative to the list's prefix. */
  readonly start: string
}

export function encodeContinueToken(token: ContinueToken): string {
  return Buffer.from(JSON.stringify({ v: 'meta.k8s.io/v1', rv: token.revision, start: token.start })).toString('base64url')
}

/** The token, or what is wrong with it, in the original's words. */
export function decodeContinueToken(text: string): ContinueToken | string {
  const illegal = text.search(/[^A-Za-z0-9_-]/)
  if (illegal >= 0 || text.length % 4 === 1) return `continue key is not valid: illegal base64 data at input byte ${illegal >= 0 ? illegal : text.length - 1}`
  const parsed = parseJson(Buffer.from(text, 'base64url'), { maxDepth: 10 })
  if (!parsed.ok) return `continue key is not valid: ${parsed.error}`
  if (!isJsonObject(parsed.value)) return 'continue key is not valid: json: cannot unmarshal into Go value of type storage.continueToken'
  const { v, rv, start } = parsed.value
  if (v !== 'meta.k8s.io/v1') return `continue key is not valid: server does not recognize this encoded version ${typeof v === 'string' ? v : ''}`
  if (typeof rv !== 'number' || !Number.isSafeInteger(rv) || rv === 0) return 'continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)'
  if (typeof start !== 'string' || start === '') return 'continue key is not valid: encoded start key empty (version meta.k8s.io/v1)'
  const key = start.startsWith('/') ? start : `/${start}`
  if (key.split('/').some((part) => part === '..' || part === '.')) return `continue key is not valid: ${start}`
  return { revision: rv, start: key.slice(1) }
}

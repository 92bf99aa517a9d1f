// Where the next page of a list begins: an opaque string for clients, JSON inside, in the original's form.
// Upstream: apiserver/pkg/storage/continue.go

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
  if (!/^[A-Za-z0-9_-]*$/.test(text)) return 'continue key is not valid: illegal base64 data'
  let parsed: unknown
  try { parsed = JSON.parse(Buffer.from(text, 'base64url').toString()) } catch (error) { return `continue key is not valid: ${error instanceof Error ? error.message : 'bad JSON'}` }
  if (typeof parsed !== 'object' || parsed === null) return 'continue key is not valid: not an object'
  const { v, rv, start } = parsed as { readonly v?: unknown; readonly rv?: unknown; readonly start?: unknown } // cast: checked below
  if (v !== 'meta.k8s.io/v1') return `continue key is not valid: server does not recognize this encoded version ${JSON.stringify(v ?? '')}`
  if (typeof rv !== 'number' || !Number.isSafeInteger(rv) || rv === 0) return 'continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)'
  if (typeof start !== 'string' || start === '') return 'continue key is not valid: encoded start key empty (version meta.k8s.io/v1)'
  const key = start.startsWith('/') ? start : `/${start}`
  if (key.split('/').some((part) => part === '..' || part === '.')) return `continue key is not valid: ${start}`
  return { revision: rv, start: key.slice(1) }
}

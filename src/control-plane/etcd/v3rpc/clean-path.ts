// Paths with empty parts or dots are sent on to what they mean, as Go's ServeMux does. Upstream: net/http/server.go
import type { PlainRequest, PlainResponse } from '../../../lib/net/grpc/grpc-server.ts'

/** Undefined when the path is as it should be. */
export function redirectToCleanPath({ method, path }: PlainRequest, hasGateway: boolean): PlainResponse | undefined {
  const [target = '', query] = splitQuery(path)
  const clean = hasGateway && target === '/v3' ? '/v3/' : cleanOf(target)
  if (clean === target) return undefined
  const location = query === undefined ? clean : `${clean}?${query}`
  const headers = { location }
  if (method !== 'GET' && method !== 'HEAD') return { status: 307, headers, body: '' }
  const escaped = location.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&#34;').replaceAll("'", '&#39;')
  return { status: 307, headers: { ...headers, 'content-type': 'text/html; charset=utf-8' }, body: `<a href="${escaped}">Temporary Redirect</a>.\n\n` }
}

function splitQuery(path: string): readonly [string, string | undefined] {
  const at = path.indexOf('?')
  return at < 0 ? [path, undefined] : [path.slice(0, at), path.slice(at + 1)]
}

function cleanOf(path: string): string {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue
    if (part === '..') parts.pop()
    else parts.push(part)
  }
  const joined = `/${parts.join('/')}`
  return joined !== '/' && path.endsWith('/') ? `${joined}/` : joined
}

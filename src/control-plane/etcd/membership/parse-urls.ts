// URLs of members: `http://host:port`, `https://host:port`, `unix:path`; and the list `name=url,name=url` that a cluster begins with.
//
// They are kept as text, as people wrote them: ids are computed from it. (URL would drop port 80.)
// Upstream: etcd/client/pkg/types/urls.go, urlsmap.go

/** An URL or a list of them is wrong; the message is the original's. */
export class UrlError extends Error {
  override readonly name = 'UrlError'
}

export interface MemberUrl {
  readonly text: string
  readonly scheme: 'http' | 'https' | 'unix' | 'unixs'
  /** Without brackets; empty for unix sockets. */
  readonly host: string
  readonly port: number
  /** Of a unix socket: whatever follows the scheme. */
  readonly path: string
}

/** @throws UrlError */
export function parseMemberUrl(given: string): MemberUrl {
  const text = given.trim()
  const [, scheme = '', rest = ''] = /^([A-Za-z][A-Za-z0-9+.-]*):(.*)$/.exec(text) ?? []
  switch (scheme.toLowerCase()) {
    case 'http': case 'https': return parseHttpUrl(text, scheme.toLowerCase() === 'https' ? 'https' : 'http', rest)
    case 'unix': case 'unixs': return { text, scheme: scheme.toLowerCase() === 'unixs' ? 'unixs' : 'unix', host: '', port: 0, path: rest.replace(/^\/\//, '') }
    default: throw new UrlError(`URL scheme must be http, https, unix, or unixs: ${text}`)
  }
}

function parseHttpUrl(text: string, scheme: 'http' | 'https', rest: string): MemberUrl {
  const [, authority, path = ''] = /^\/\/([^/?#]*)(.*)$/.exec(rest) ?? []
  const [, bracketed, plain, port] = /^(?:\[([0-9A-Fa-f:.%]+)\]|([^:[\]]*)):(\d*)$/.exec(authority ?? '') ?? []
  if (port === undefined || Number(port) > 65_535) throw new UrlError(`URL address does not have the form "host:port": ${text}`)
  if (path !== '') throw new UrlError(`URL must not contain a path: ${text}`)
  return { text: `${scheme}:${rest}`, scheme, host: bracketed ?? plain ?? '', port: Number(port), path: '' }
}

/** Sorted. @throws UrlError */
export function parseMemberUrls(texts: readonly string[]): readonly MemberUrl[] {
  if (texts.length === 0) throw new UrlError('no valid URLs given')
  return texts.map(parseMemberUrl).sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0))
}

/** The same URLs as text. @throws UrlError */
export function normalizeUrls(texts: readonly string[]): readonly string[] { return parseMemberUrls(texts).map((url) => url.text) }

/** Names with their URLs; a name may come several times. @throws UrlError */
export function parseInitialCluster(text: string): ReadonlyMap<string, readonly string[]> {
  const lists = new Map<string, string[]>()
  for (const pair of text.split(',')) {
    if (pair === '') continue
    const at = pair.indexOf('=')
    const name = at < 0 ? pair : pair.slice(0, at)
    const urls = lists.get(name) ?? []
    urls.push(at < 0 ? '' : pair.slice(at + 1))
    lists.set(name, urls)
  }
  return new Map([...lists].map(([name, urls]) => [name, normalizeUrls(urls)] as const))
}

/** The list as text, sorted. */
export function formatInitialCluster(cluster: ReadonlyMap<string, readonly string[]>): string {
  return [...cluster].flatMap(([name, urls]) => urls.map((url) => `${name}=${url}`)).sort().join(',')
}

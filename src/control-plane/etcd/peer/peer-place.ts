// Where a peer URL leads: a host and its port, or a unix socket. `unix://name:1` is a socket called `name:1` in the working directory, as with
// the original; `unix:///run/etcd.sock` is that file. Upstream: client/pkg/transport/{transport,unix_listener}.go

export type PeerPlace = { readonly isSecure: boolean } & ({ readonly host: string; readonly port: number } | { readonly socketPath: string })

const longestUrl = 512

/** Undefined when it is none. */
export function placeOfPeerUrl(text: string): PeerPlace | undefined {
  if (text.length > longestUrl) return undefined
  const [, secure, path] = /^unix(s?):(?:\/\/)?([^\0]+)$/.exec(text) ?? []
  if (path !== undefined) return { isSecure: secure === 's', socketPath: path }
  if (!URL.canParse(text)) return undefined
  const url = new URL(text)
  const isSecure = url.protocol === 'https:'
  if ((!isSecure && url.protocol !== 'http:') || url.hostname === '' || (url.pathname !== '/' && url.pathname !== '')) return undefined
  return { isSecure, host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port === '' ? (isSecure ? 443 : 80) : Number(url.port) }
}

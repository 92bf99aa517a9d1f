// Where to listen, from a URL of --listen-client-urls and its like.
import { parseListenUrl } from './check-settings.ts'
import type { ListenAddress } from '../../lib/net/grpc/grpc-server.ts'

export interface ListenPlace {
  readonly url: string
  readonly address: ListenAddress
  readonly secure: boolean
}

/** @throws FlagError, UrlError */
export function listenPlace(text: string, reusePort: boolean): ListenPlace {
  const url = parseListenUrl(text)
  const secure = url.scheme === 'https' || url.scheme === 'unixs'
  if (url.scheme.startsWith('unix')) return { url: url.text, address: { path: url.path }, secure }
  return { url: url.text, address: { host: url.host, port: url.port, ...(reusePort ? { reusePort } : {}) }, secure }
}

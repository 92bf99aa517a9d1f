// Endpoints as etcdctl takes them (`127.0.0.1:2379`, `http://…`, `https://…`, `unix://…`), as targets of a gRPC channel.
//
// A scheme says whether TLS is used; without one it is used when TLS is configured. Upstream: client/v3/internal/endpoint

/** @param secure TLS is configured. `target` has a scheme that GrpcChannel knows. */
export function targetOf(endpoint: string, secure: boolean): { readonly target: string; readonly tls: boolean } {
  if (/^unixs?:/.test(endpoint)) return { target: endpoint.replace(/^unixs:/, 'unix:'), tls: false }
  if (endpoint.startsWith('http://')) return { target: withoutPath(endpoint), tls: false }
  if (endpoint.startsWith('https://')) return { target: withoutPath(endpoint), tls: true }
  const address = endpoint.startsWith(':') ? `localhost${endpoint}` : endpoint
  return { target: `${secure ? 'https' : 'http'}://${address}`, tls: secure }
}

function withoutPath(url: string): string { return url.replace(/^(https?:\/\/[^/]*).*$/, '$1') }

// What stands before every plain HTTP request: the whitelist of host names (against DNS rebinding), CORS headers, names in certificates.
// Upstream: etcd/server/embed/serve.go (accessController)
import type { PlainRequest, PlainResponse } from '../../../lib/net/grpc/grpc-server.ts'

export interface AccessRules {
  /** Origins that pages may come from; empty or with `*`: all. */
  readonly cors?: readonly string[]
  /** Host names under which this server may be asked without TLS; empty or with `*`: all. */
  readonly hostWhitelist?: readonly string[]
}

export interface AccessCircumstances {
  readonly secure: boolean
  /** A name in the client's certificate counts as the user for gRPC, and would be passed over by the gateway. */
  readonly refusesCertificateNames: boolean
}

const text = { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' } as const

function allows(list: readonly string[] | undefined, value: string): boolean { return list === undefined || list.length === 0 || list.includes('*') || list.includes(value) }

/** The name without the port. */
export function hostNameOf(host: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d*)?$/.exec(host)
  if (bracketed) return host.endsWith(']') ? host : bracketed[1] ?? ''
  return /^[^:]*:[^:]*$/.test(host) ? host.slice(0, host.indexOf(':')) : host
}

/** The answer, when the request is not to go further. */
export function refuseAccess(rules: AccessRules, { secure, refusesCertificateNames }: AccessCircumstances, request: Pick<PlainRequest, 'path' | 'headers' | 'clientCommonName'>): PlainResponse | undefined {
  if (!secure) {
    const host = hostNameOf(String(request.headers['host'] ?? request.headers[':authority'] ?? ''))
    if (!allows(rules.hostWhitelist, host)) return { status: 421, headers: text, body: `${hostRefusal(host)}\n` }
  } else if (refusesCertificateNames && request.clientCommonName && /^\/v3(?:beta)?\//.test(request.path)) {
    return { status: 400, headers: text, body: 'CommonName of client sending a request against gateway will be ignored and not used as expected\n' }
  }
  return undefined
}

export function corsHeaders({ cors }: AccessRules, request: Pick<PlainRequest, 'headers'>): { readonly [name: string]: string } {
  const origin = allows(cors, '*') ? '*' : String(request.headers['origin'] ?? '')
  if (!allows(cors, origin)) return {}
  return { 'access-control-allow-methods': 'POST, GET, OPTIONS, PUT, DELETE', 'access-control-allow-origin': origin, 'access-control-allow-headers': 'accept, content-type, authorization' }
}

/** With the headers that all answers have. An OPTIONS request has its answer here. */
export async function underAccessRules(rules: AccessRules, circumstances: AccessCircumstances, request: PlainRequest, answer: (request: PlainRequest) => PlainResponse | Promise<PlainResponse>): Promise<PlainResponse> {
  const refusal = refuseAccess(rules, circumstances, request)
  if (refusal) return refusal
  const headers = corsHeaders(rules, request)
  if (request.method === 'OPTIONS') return { status: 200, headers, body: '' }
  const given = await answer(request)
  return { ...given, headers: { ...headers, ...given.headers } }
}

/** What the original tells whoever is turned away. */
function hostRefusal(host: string): string {
  return `
etcd received your request, but the Host header was unrecognized.

To fix this, choose one of the following options:
- Enable TLS, then any HTTPS request will be allowed.
- Add the hostname you want to use to the whitelist in settings.
  - e.g. etcd --host-whitelist ${JSON.stringify(host)}

This requirement has been added to help prevent "DNS Rebinding" attacks (CVE-2018-5702).
`
}

// Who asks, and may they: client certificates of the cluster, bearer tokens and the check with the API server, as values. The checks themselves
// are functions that are given.
// Upstream: pkg/kubelet/server/auth.go
import type { TLSSocket } from 'node:tls'

export interface KubeletUser {
  readonly name: string
  readonly groups: readonly string[]
}

export interface AccessAttributes {
  /** `get`, `create`, `update`, `patch`, `delete`. */
  readonly verb: string
  /** Of `nodes`: tried in this order, any one allows. */
  readonly subresources: readonly string[]
  readonly path: string
}

export interface AccessRules {
  /** The user of a bearer token; undefined for a bad one. Absent: tokens are not accepted. */
  readonly authenticateToken?: (token: string, signal: AbortSignal) => Promise<KubeletUser | undefined>
  readonly allowAnonymous?: boolean
  /** Absent: whoever is known may do everything. */
  readonly authorize?: (user: KubeletUser, attributes: AccessAttributes, signal: AbortSignal) => Promise<boolean>
}

/** The user of a verified client certificate: its common name, and its organizations as groups. */
export function certificateUser(socket: TLSSocket): KubeletUser | undefined {
  if (!socket.authorized) return undefined
  const subject = socket.getPeerCertificate().subject as { readonly CN?: string | readonly string[]; readonly O?: string | readonly string[] } | undefined // cast: Node gives lists for repeated parts
  const name = Array.isArray(subject?.CN) ? subject.CN[0] : subject?.CN
  if (typeof name !== 'string' || name === '') return undefined
  const organizations = subject?.O === undefined ? [] : typeof subject.O === 'string' ? [subject.O] : subject.O
  return { name, groups: [...organizations, 'system:authenticated'] }
}

const verbs: { readonly [method: string]: string } = { GET: 'get', HEAD: 'get', POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' }

export function accessAttributes(method: string, path: string): AccessAttributes {
  const under = (prefix: string): boolean => path === prefix || path.startsWith(`${prefix}/`)
  const subresources = under('/stats') ? ['stats'] : under('/metrics') ? ['metrics'] : under('/logs') ? ['log'] : under('/checkpoint') ? ['checkpoint'] : under('/statusz') ? ['statusz'] : under('/flagz') ? ['configz']
    : under('/healthz') ? ['healthz', 'proxy'] : under('/pods') || under('/runningpods') ? ['pods', 'proxy'] : under('/configz') ? ['configz', 'proxy'] : ['proxy']
  return { verb: verbs[method] ?? 'get', subresources, path }
}

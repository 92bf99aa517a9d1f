// Members, users and roles over the HTTP API of version 2: /v2/members, /v2/auth. Upstream: client/v2/{members,auth_user,auth_role}.go
import type { HttpCluster } from './http-cluster.ts'

export interface V2Member { readonly id: string; readonly name: string; readonly peerURLs: readonly string[]; readonly clientURLs: readonly string[] }
export interface V2UserDetails { readonly user: string; readonly roles: readonly string[] }
export interface V2RoleDetails { readonly role: string; readonly permissions: { readonly kv: { readonly read: readonly string[] | null; readonly write: readonly string[] | null } } }
export type PathLists = V2RoleDetails['permissions']['kv']

/** The server said no, in its words. */
export class ClusterApiError extends Error {
  override readonly name = 'ClusterApiError'
}

export class ClusterApi {
  readonly http: HttpCluster
  readonly #signal: AbortSignal | undefined
  constructor(http: HttpCluster, signal?: AbortSignal) {
    this.http = http
    this.#signal = signal
  }

  async #call<T>(method: string, path: string, body?: object): Promise<T> {
    const answer = await this.http.send(method, path, body && { type: 'application/json', text: JSON.stringify(body) }, this.#signal)
    if (answer.status < 200 || answer.status > 204) throw new ClusterApiError(messageOf(answer.body) ?? `unrecognized HTTP status ${answer.status}`)
    if (answer.body === '') return undefined as T // cast: the caller expects no answer
    try {
      return JSON.parse(answer.body) as T // cast: the API's answer
    } catch (error) {
      throw new ClusterApiError('client: response is invalid json. The endpoint is probably not valid etcd cluster endpoint', { cause: error })
    }
  }

  async members(): Promise<readonly V2Member[]> { return (await this.#call<{ readonly members?: readonly V2Member[] }>('GET', '/v2/members')).members ?? [] }
  leader(): Promise<V2Member> { return this.#call('GET', '/v2/members/leader') }
  addMember(peerUrl: string): Promise<V2Member> { return this.#call('POST', '/v2/members', { peerURLs: [peerUrl] }) }
  removeMember(id: string): Promise<void> { return this.#call('DELETE', `/v2/members/${encodeURIComponent(id)}`) }
  updateMember(id: string, peerURLs: readonly string[]): Promise<void> { return this.#call('PUT', `/v2/members/${encodeURIComponent(id)}`, { peerURLs }) }

  async users(): Promise<readonly string[]> { return ((await this.#call<{ readonly users?: readonly { readonly user: string }[] | null }>('GET', '/v2/auth/users')).users ?? []).map(({ user }) => user) }
  async user(name: string): Promise<V2UserDetails> {
    const { user, roles } = await this.#call<{ readonly user: string; readonly roles?: readonly ({ readonly role: string } | string)[] | null }>('GET', userPath(name))
    // Roles in full come out behind as many empty names: so the original reads them, and so it shows them.
    const names = (roles ?? []).map((role) => (typeof role === 'string' ? role : role.role))
    return { user, roles: (roles ?? []).some((role) => typeof role !== 'string') ? [...names.map(() => ''), ...names] : names }
  }

  putUser(name: string, change: { readonly password?: string; readonly grant?: readonly string[]; readonly revoke?: readonly string[] }): Promise<void> { return this.#call('PUT', userPath(name), { user: name, roles: null, ...change }) }
  removeUser(name: string): Promise<void> { return this.#call('DELETE', userPath(name)) }

  async roles(): Promise<readonly string[]> { return ((await this.#call<{ readonly roles?: readonly V2RoleDetails[] | null }>('GET', '/v2/auth/roles')).roles ?? []).map(({ role }) => role) }
  role(name: string): Promise<V2RoleDetails> { return this.#call('GET', rolePath(name)) }
  putRole(name: string, change: { readonly grant?: { readonly kv: PathLists }; readonly revoke?: { readonly kv: PathLists } } = {}): Promise<void> {
    return this.#call('PUT', rolePath(name), { role: name, permissions: { kv: { read: null, write: null } }, ...change })
  }

  removeRole(name: string): Promise<void> { return this.#call('DELETE', rolePath(name)) }

  setAuth(enabled: boolean): Promise<void> { return this.#call(enabled ? 'PUT' : 'DELETE', '/v2/auth/enable') }
}

function userPath(name: string): string { return `/v2/auth/users/${encodeURIComponent(name)}` }
function rolePath(name: string): string { return `/v2/auth/roles/${encodeURIComponent(name)}` }

function messageOf(body: string): string | undefined {
  try {
    const { message } = JSON.parse(body) as { readonly message?: unknown } // cast: the API's error
    return typeof message === 'string' ? message : undefined
  } catch {
    return undefined
  }
}

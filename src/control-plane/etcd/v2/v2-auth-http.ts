// /v2/auth: users, roles, and whether they count; and who may ask what of the second API. Upstream: etcd v3.4, etcdserver/api/v2http/client_auth.go
import { isJsonObject, type JsonObject, type JsonValue } from '../../../lib/base/json.ts'
import type { PlainRequest, PlainResponse } from '../../../lib/net/grpc/grpc-server.ts'
import { hashPassword, verifyPassword } from '../auth/bcrypt.ts'
import type { EtcdInternals } from '../embedded.ts'
import { yieldToLoop } from '../yield-to-loop.ts'
import { permissionsOf, textsOf, V2AuthError, V2AuthStore, type V2Permissions, type V2Role, type V2User } from './v2-auth-store.ts'

const json = { 'content-type': 'application/json' } as const
const text = { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' } as const

export function notAllowed(...methods: readonly string[]): PlainResponse { return { status: 405, headers: { ...text, allow: methods.join(',') }, body: 'Method Not Allowed\n' } }
export function httpError(status: number, message: string, headers: { readonly [name: string]: string } = {}): PlainResponse { return { status, headers: { ...headers, ...json }, body: JSON.stringify({ message }) } }
export const noCredentials: PlainResponse = httpError(401, 'Insufficient credentials')

export function openV2Auth(etcd: EtcdInternals, signal: AbortSignal): V2AuthStore {
  const nowMs = etcd.clock.now()
  return new V2AuthStore({
    read: (path) => etcd.member.machine.v2.peek(path, nowMs),
    change: async (request) => {
      const applied = await etcd.client.propose({ type: 'v2', request: { ...request, timeMs: nowMs } }, signal)
      if (applied.type !== 'v2') throw new TypeError('a v2 request gave another result')
      return applied.result
    },
    hashPassword: async (password) => Buffer.from(await hashPassword(Buffer.from(password), etcd.random.bytes(16), etcd.bcryptCost, yieldToLoop)).toString('latin1'),
    verifyPassword: (password, hash) => verifyPassword(Buffer.from(password), hash, yieldToLoop),
  })
}

type Identity = { readonly kind: 'user'; readonly user: V2User } | { readonly kind: 'guest' | 'stranger' }

/** Who asks: by the header, or the certificate where that counts. */
async function identify(etcd: EtcdInternals, auth: V2AuthStore, request: PlainRequest): Promise<Identity> {
  const header = request.headers['authorization']
  if (header === undefined || header === '') {
    const certified = etcd.clientCertAuth && request.clientCommonName ? auth.find(request.clientCommonName) : undefined
    return certified ? { kind: 'user', user: certified } : { kind: 'guest' }
  }
  const encoded = /^Basic (.*)$/i.exec(String(header))?.[1]
  const pair = encoded === undefined ? '' : Buffer.from(encoded, 'base64').toString('utf8')
  const at = pair.indexOf(':')
  const user = at < 0 ? undefined : await auth.identify(pair.slice(0, at), pair.slice(at + 1))
  return user ? { kind: 'user', user } : { kind: 'stranger' }
}

export async function mayAccessKeys(etcd: EtcdInternals, request: PlainRequest, path: string, recursive: boolean): Promise<boolean> {
  const auth = openV2Auth(etcd, request.signal)
  if (!auth.isEnabled) return true
  const identity = await identify(etcd, auth, request)
  if (identity.kind === 'stranger') return false
  return auth.mayAccess(identity.kind === 'user' ? identity.user : undefined, path, request.method !== 'GET' && request.method !== 'HEAD', recursive)
}

export async function hasRootAccess(etcd: EtcdInternals, request: PlainRequest): Promise<boolean> {
  const auth = openV2Auth(etcd, request.signal)
  if (!auth.isEnabled) return true
  const identity = await identify(etcd, auth, request)
  return identity.kind === 'user' && auth.isRoot(identity.user)
}

/** @param path below /v2/auth, such as `/users/joe`; undefined for paths that are not there */
export async function answerAuth(etcd: EtcdInternals, request: PlainRequest, path: string): Promise<PlainResponse | undefined> {
  const [, kind = '', name, ...rest] = path.replace(/\/$/, '').split('/')
  if (kind === 'enable') return name === undefined ? await guarded(etcd, request, ['GET', 'PUT', 'DELETE'], request.method === 'GET', (auth) => answerEnable(auth, request)) : undefined
  if (kind !== 'users' && kind !== 'roles') return undefined
  if (rest.length > 0) return httpError(400, 'Invalid path')
  if (name === undefined) return await guarded(etcd, request, ['GET'], false, async (auth) => (kind === 'users' ? { users: listUsers(auth) } : { roles: auth.roleNames().map((role) => roleJson(auth.role(role))) }))
  return await guarded(etcd, request, ['GET', 'PUT', 'DELETE'], false, (auth) => (kind === 'users' ? answerUser(auth, request, name) : answerRole(auth, request, name)))
}

interface Created { readonly status: 201; readonly value: JsonObject }

/** Asks whether the caller may, and gives refusals and answers their form. */
async function guarded(
  etcd: EtcdInternals, request: PlainRequest, methods: readonly string[], isOpen: boolean, run: (auth: V2AuthStore) => Promise<JsonObject | Created | PlainResponse | undefined>,
): Promise<PlainResponse> {
  if (!methods.includes(request.method)) return notAllowed(...methods)
  if (!isOpen && !await hasRootAccess(etcd, request)) return noCredentials
  const headers = { 'X-Etcd-Cluster-Id': etcd.identity.clusterId.toString(16) }
  try {
    const answer = await run(openV2Auth(etcd, request.signal))
    if (answer === undefined) return { status: 200, headers: { ...headers, ...json }, body: '' }
    if (isPlain(answer)) return { ...answer, headers: { ...headers, ...answer.headers } }
    const created = isCreated(answer)
    return { status: created ? 201 : 200, headers: { ...headers, ...json }, body: `${JSON.stringify(created ? answer.value : answer)}\n` }
  } catch (error) {
    if (error instanceof V2AuthError) return httpError(error.status, error.message, headers)
    throw error
  }
}

function isPlain(answer: JsonObject | Created | PlainResponse): answer is PlainResponse { return 'body' in answer }
function isCreated(answer: JsonObject | Created): answer is Created { return 'status' in answer && 'value' in answer }

async function answerEnable(auth: V2AuthStore, { method }: PlainRequest): Promise<JsonObject | undefined> {
  if (method === 'GET') return { enabled: auth.isEnabled }
  await (method === 'PUT' ? auth.enable() : auth.disable())
  return undefined
}

function roleJson({ role, permissions: { kv: { read, write } } }: V2Role): JsonObject { return { role, permissions: { kv: { read: read === null ? null : [...read], write: write === null ? null : [...write] } } } }

/** A role that is gone is passed over in the list of users, and an error for one user. */
function listUsers(auth: V2AuthStore): JsonValue {
  const users = auth.userNames().map((name) => withRoles(name, (auth.user(name).roles ?? []).flatMap((role) => auth.tryRole(role) ?? [])))
  return users.length > 0 ? users : null
}

function withRoles(user: string, roles: readonly V2Role[]): JsonObject { return { user, ...(roles.length > 0 ? { roles: roles.map(roleJson) } : {}) } }

function parseBody(request: PlainRequest): JsonObject | undefined {
  try {
    const value = JSON.parse(request.body.toString('utf8')) as JsonValue // cast: JSON.parse gives JSON
    return isJsonObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

const notJson = httpError(400, 'Invalid JSON in request body.')

async function answerUser(auth: V2AuthStore, request: PlainRequest, name: string): Promise<JsonObject | Created | PlainResponse | undefined> {
  if (request.method === 'GET') return withRoles(name, (auth.user(name).roles ?? []).map((role) => auth.role(role)))
  if (request.method === 'DELETE') { await auth.deleteUser(name); return undefined }
  const body = parseBody(request)
  if (!body) return notJson
  if (body['user'] !== name) return httpError(400, 'User JSON name does not match the name in the URL')
  const password = typeof body['password'] === 'string' ? body['password'] : ''
  const [roles, grant, revoke] = [textsOf(body['roles']), textsOf(body['grant']), textsOf(body['revoke'])]
  const shown = ({ user, roles: held }: V2User): JsonObject => ({ user, roles: held === null ? null : [...held] })
  if (grant.length > 0 || revoke.length > 0) {
    if (roles.length > 0) return httpError(400, 'User JSON contains both roles and grant/revoke')
    return shown(await auth.updateUser(name, password, grant, revoke))
  }
  if (roles.length > 0) return shown(await auth.createUser(name, password, roles))
  const { user, created } = await auth.createOrUpdateUser(name, password)
  return created ? { status: 201, value: shown(user) } : shown(user)
}

async function answerRole(auth: V2AuthStore, request: PlainRequest, name: string): Promise<JsonObject | Created | PlainResponse | undefined> {
  if (request.method === 'GET') return roleJson(auth.role(name))
  if (request.method === 'DELETE') { await auth.deleteRole(name); return undefined }
  const body = parseBody(request)
  if (!body) return notJson
  if (body['role'] !== name) return httpError(400, 'Role JSON name does not match the name in the URL')
  const permissions = permissionsOf(body['permissions'])
  const changes = (value: JsonValue | undefined): V2Permissions | undefined => {
    const change = permissionsOf(value)
    return isEmpty(change) ? undefined : change
  }
  const [grant, revoke] = [changes(body['grant']), changes(body['revoke'])]
  if (!grant && !revoke) {
    const role: V2Role = { role: name, permissions }
    await auth.createRole(role)
    return { status: 201, value: roleJson(role) }
  }
  if (!isEmpty(permissions)) return httpError(400, 'Role JSON contains both permissions and grant/revoke')
  return roleJson(await auth.updateRole(name, grant, revoke))
}

function isEmpty({ kv: { read, write } }: V2Permissions): boolean { return (read?.length ?? 0) === 0 && (write?.length ?? 0) === 0 }

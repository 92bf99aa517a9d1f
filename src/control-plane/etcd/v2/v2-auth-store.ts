// Users and roles of the second API: kept in its own tree, out of reach of /v2/keys, and changed through the log. A role grants paths, a final `*`
// for all that begin so; root may do everything, guest is whoever brings no name. Upstream: etcd v3.4, etcdserver/api/v2auth
import type { JsonObject, JsonValue } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import type { V2Node, V2Request, V2Result } from './v2-request.ts'

/** The folder of users and roles: hidden, and with a character that paths of keys can't have. */
export const authFolder = '_\u0002auth'
const root = `/${authFolder}`

export const rootRole = 'root'
const guestRole = 'guest'

export interface V2User { readonly user: string; readonly password: string; /** null: never set. */ readonly roles: readonly string[] | null }
export interface V2Permissions { readonly kv: { readonly read: readonly string[] | null; readonly write: readonly string[] | null } }
export interface V2Role { readonly role: string; readonly permissions: V2Permissions }

/** A refusal with its HTTP status. */
export class V2AuthError extends Error {
  override readonly name = 'V2AuthError'
  readonly status: number
  constructor(status: number, message: string) {
    super(`auth: ${message}`)
    this.status = status
  }
}

export interface V2AuthSurroundings {
  read(path: string): V2Result
  /** Through the log. */
  change(request: Pick<V2Request, 'method' | 'path' | 'value' | 'prevExist'>): Promise<V2Result>
  hashPassword(password: string): Promise<string>
  verifyPassword(password: string, hash: string): Promise<boolean>
}

const everything: V2Permissions = { kv: { read: ['/*'], write: ['/*'] } }

export class V2AuthStore {
  readonly #world: V2AuthSurroundings
  constructor(world: V2AuthSurroundings) { this.#world = world }

  get isEnabled(): boolean { return this.#value('enabled') === true }

  #node(path: string): V2Node | undefined {
    const result = this.#world.read(`${root}/${path}`)
    return 'event' in result ? result.event.node : undefined
  }

  #value(path: string): JsonValue | undefined {
    const text = this.#node(path)?.value
    return text === undefined ? undefined : JSON.parse(text) as JsonValue // cast: written by this store
  }

  #names(folder: string): string[] { return (this.#node(folder)?.nodes ?? []).map(({ key = '' }) => key.slice(key.lastIndexOf('/') + 1)).sort() }

  async #put(path: string, value: JsonValue, prevExist: 'yes' | 'no'): Promise<'done' | 'exists' | 'missing'> {
    const result = await this.#world.change({ method: 'PUT', path: `${root}/${path}`, value: JSON.stringify(value), prevExist })
    if ('event' in result) return 'done'
    return result.failure.errorCode === 105 ? 'exists' : 'missing'
  }

  async #remove(path: string): Promise<boolean> { return 'event' in await this.#world.change({ method: 'DELETE', path: `${root}/${path}` }) }

  // ---- users ----

  userNames(): readonly string[] { return this.#names('users') }

  /** @throws V2AuthError */
  user(name: string): V2User {
    const value = isName(name) ? this.#value(`users/${name}`) : undefined
    if (!isJsonObject(value)) throw new V2AuthError(404, `User ${name} does not exist.`)
    const user: V2User = { user: name, password: textOf(value['password']), roles: value['roles'] === null || value['roles'] === undefined ? null : textsOf(value['roles']) }
    return name === 'root' ? withRootRole(user) : user
  }

  #tryUser(name: string): V2User | undefined { return isName(name) && this.#value(`users/${name}`) !== undefined ? this.user(name) : undefined }

  async createUser(name: string, password: string, roles: readonly string[] | null): Promise<V2User> {
    if (password === '') throw new V2AuthError(400, `Cannot create user ${name} with an empty password`)
    if (!isName(name)) throw new V2AuthError(400, `Invalid user name ${name}`)
    const plain: V2User = { user: name, password: await this.#world.hashPassword(password), roles }
    const user = name === 'root' ? withRootRole(plain) : plain
    if (await this.#put(`users/${name}`, { ...user }, 'no') === 'exists') throw new V2AuthError(409, `User ${name} already exists.`)
    return user
  }

  async createOrUpdateUser(name: string, password: string): Promise<{ readonly user: V2User; readonly created: boolean }> {
    if (this.#tryUser(name)) return { user: await this.updateUser(name, password, [], []), created: false }
    return { user: await this.createUser(name, password, null), created: true }
  }

  async updateUser(name: string, password: string, grant: readonly string[], revoke: readonly string[]): Promise<V2User> {
    const old = this.user(name)
    const roles = new Set(old.roles ?? [])
    for (const role of grant) {
      if (roles.has(role)) throw new V2AuthError(409, `Granting duplicate role ${role} for user ${name}`)
      roles.add(role)
    }
    for (const role of revoke) if (!roles.delete(role)) throw new V2AuthError(409, `Revoking ungranted role ${role} for user ${name}`)
    const user: V2User = { user: name, password: password === '' ? old.password : await this.#world.hashPassword(password), roles: [...roles].sort() }
    if (user.password === old.password && JSON.stringify(user.roles) === JSON.stringify(old.roles)) throw new V2AuthError(400, 'User not updated. Use grant/revoke/password to update the user.')
    await this.#put(`users/${name}`, { ...user }, 'yes')
    return user
  }

  async deleteUser(name: string): Promise<void> {
    if (name === 'root' && this.isEnabled) throw new V2AuthError(403, 'Cannot delete root user while auth is enabled.')
    if (!isName(name) || !await this.#remove(`users/${name}`)) throw new V2AuthError(404, `User ${name} does not exist`)
  }

  // ---- roles ----

  roleNames(): readonly string[] { return [...this.#names('roles'), rootRole].sort() }

  /** @throws V2AuthError */
  role(name: string): V2Role {
    if (name === rootRole) return { role: rootRole, permissions: everything }
    const value = isName(name) ? this.#value(`roles/${name}`) : undefined
    if (!isJsonObject(value)) throw new V2AuthError(404, `Role ${name} does not exist.`)
    return { role: name, permissions: permissionsOf(value['permissions']) }
  }

  tryRole(name: string): V2Role | undefined {
    try {
      return this.role(name)
    } catch (error) {
      if (error instanceof V2AuthError) return undefined
      throw error
    }
  }

  async createRole(role: V2Role): Promise<void> {
    notRoot(role.role)
    if (!isName(role.role)) throw new V2AuthError(400, `Invalid role name ${role.role}`)
    if (await this.#put(`roles/${role.role}`, { role: role.role, permissions: jsonPermissions(role.permissions) }, 'no') === 'exists') throw new V2AuthError(409, `Role ${role.role} already exists.`)
  }

  async updateRole(name: string, grant: V2Permissions | undefined, revoke: V2Permissions | undefined): Promise<V2Role> {
    notRoot(name)
    const old = this.role(name)
    const merged = (mode: 'read' | 'write'): readonly string[] | null => {
      if (!grant && !revoke) return old.permissions.kv[mode]
      const paths = new Set(old.permissions.kv[mode] ?? [])
      for (const path of grant?.kv[mode] ?? []) {
        if (paths.has(path)) throw new V2AuthError(409, `Granting duplicate ${mode} permission ${path}`)
        paths.add(path)
      }
      for (const path of revoke?.kv[mode] ?? []) paths.delete(path)
      return [...paths].sort()
    }
    const role: V2Role = { role: name, permissions: { kv: { read: merged('read'), write: merged('write') } } }
    if (JSON.stringify(role) === JSON.stringify(old)) throw new V2AuthError(400, 'Role not updated. Use grant/revoke to update the role.')
    await this.#put(`roles/${name}`, { role: name, permissions: jsonPermissions(role.permissions) }, 'yes')
    return role
  }

  async deleteRole(name: string): Promise<void> {
    notRoot(name)
    if (!isName(name) || !await this.#remove(`roles/${name}`)) throw new V2AuthError(404, `Role ${name} doesn't exist.`)
  }

  // ---- on and off ----

  async enable(): Promise<void> {
    if (this.isEnabled) throw new V2AuthError(409, 'already enabled')
    if (!this.#tryUser('root')) throw new V2AuthError(409, 'No root user available, please create one')
    // Without this role nobody without a name could read any more, all at once.
    if (!this.tryRole(guestRole)) await this.createRole({ role: guestRole, permissions: everything })
    await this.#world.change({ method: 'PUT', path: `${root}/enabled`, value: 'true' })
  }

  async disable(): Promise<void> {
    if (!this.isEnabled) throw new V2AuthError(409, 'already disabled')
    await this.#world.change({ method: 'PUT', path: `${root}/enabled`, value: 'false' })
  }

  // ---- who may what ----

  /** The user of a name and password; undefined when they are wrong. */
  async identify(name: string, password: string): Promise<V2User | undefined> {
    const user = this.#tryUser(name)
    return user && await this.#world.verifyPassword(password, user.password) ? user : undefined
  }

  find(name: string): V2User | undefined { return this.#tryUser(name) }

  isRoot(user: V2User): boolean { return (user.roles ?? []).includes(rootRole) }

  /** @param user undefined: a guest, for whom the whole subtree is never asked */
  mayAccess(user: V2User | undefined, path: string, writes: boolean, recursive: boolean): boolean {
    if (!user) return this.#allows(guestRole, path, writes, false)
    return (user.roles ?? []).some((role) => this.#allows(role, path, writes, recursive))
  }

  #allows(roleName: string, path: string, writes: boolean, recursive: boolean): boolean {
    if (roleName === rootRole) return true
    const patterns = this.tryRole(roleName)?.permissions.kv[writes ? 'write' : 'read'] ?? []
    return patterns.some((pattern) => (pattern.endsWith('*') ? path.startsWith(pattern.slice(0, -1)) : !recursive && path === pattern))
  }
}

function isName(name: string): boolean { return name !== '' && name !== '.' && name !== '..' && !name.includes('/') }
function notRoot(role: string): void { if (role === rootRole) throw new V2AuthError(403, `Cannot modify role ${role}: is root role.`) }
function withRootRole(user: V2User): V2User { return (user.roles ?? []).includes(rootRole) ? user : { ...user, roles: [...user.roles ?? [], rootRole] } }
function textOf(value: JsonValue | undefined): string { return typeof value === 'string' ? value : '' }
export function textsOf(value: JsonValue | undefined): readonly string[] { return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [] }

export function permissionsOf(value: JsonValue | undefined): V2Permissions {
  const kv = isJsonObject(value) && isJsonObject(value['kv']) ? value['kv'] : {}
  const list = (item: JsonValue | undefined): readonly string[] | null => (Array.isArray(item) ? textsOf(item) : null)
  return { kv: { read: list(kv['read']), write: list(kv['write']) } }
}

function jsonPermissions({ kv: { read, write } }: V2Permissions): JsonObject { return { kv: { read: read === null ? null : [...read], write: write === null ? null : [...write] } } }

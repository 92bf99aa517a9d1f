// Users, roles, and what they may do. Pure: part of the state that the log makes, and of its snapshots.
//
// Every change raises the auth revision. A request carries the revision under which its caller was recognised; when the rules have changed
// since, it is refused and the client asks for a new token. Upstream: etcd/server/auth/store.go
import { etcdError, EtcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type { InternalRaftRequest, StoredPermission, StoredRole, StoredUser } from '../../../lib/etcd-api/generated/types.ts'
import { keyRange, keyText, type KeyRange } from '../mvcc/key-text.ts'
import { rootRole, rootUser, type Caller } from './caller.ts'
import { covers, isValidPermission, mergePermissions, type MergedPermissions } from './permissions.ts'

/** The requests of the log that change the auth store; exactly one field is set. */
export type AuthChange = Pick<InternalRaftRequest, 'authEnable' | 'authDisable' | 'authUserAdd' | 'authUserDelete' | 'authUserChangePassword' | 'authUserGrantRole' | 'authUserRevokeRole'
  | 'authRoleAdd' | 'authRoleDelete' | 'authRoleGrantPermission' | 'authRoleRevokePermission'>

export const authChangeFields = [
  'authEnable', 'authDisable', 'authUserAdd', 'authUserDelete', 'authUserChangePassword', 'authUserGrantRole', 'authUserRevokeRole', 'authRoleAdd', 'authRoleDelete',
  'authRoleGrantPermission', 'authRoleRevokePermission',
] as const satisfies readonly (keyof AuthChange)[]

export interface AuthUser {
  readonly name: string
  /** The bcrypt hash; empty for users who come with a certificate only. */
  readonly password: Uint8Array
  /** Sorted. */
  readonly roles: readonly string[]
  readonly noPassword: boolean
}

export interface AuthImage {
  readonly enabled: boolean
  readonly revision: number
  readonly users: readonly StoredUser[]
  readonly roles: readonly StoredRole[]
}

const noBytes = new Uint8Array(0)
const everything: StoredPermission = { permType: 'READWRITE', key: noBytes, rangeEnd: Uint8Array.of(0) }

export class AuthStore {
  #enabled = false
  #revision = 1
  readonly #users = new Map<string, AuthUser>()
  readonly #roles = new Map<string, StoredRole>()
  readonly #merged = new Map<string, MergedPermissions>()
  /** Told when a user's tokens must not count any more; without a name: nobody's. */
  onInvalidated: ((username: string | undefined) => void) | undefined

  get enabled(): boolean { return this.#enabled }
  get revision(): number { return this.#revision }

  // ---- reading ----

  user(name: string): AuthUser | undefined { return this.#users.get(name) }
  userNames(): readonly string[] { return [...this.#users.keys()].sort(byBytes) }
  roleNames(): readonly string[] { return [...this.#roles.keys()].sort(byBytes) }

  /** @throws EtcdError role not found */
  permissionsOf(role: string): readonly StoredPermission[] {
    const found = this.#roles.get(role)
    if (!found) throw etcdError('roleNotFound')
    return role === rootRole ? [everything] : (found.keyPermission ?? [])
  }

  // ---- checks; each throws the EtcdError that the caller gets ----

  checkPut(caller: Caller, key: Uint8Array): void { this.#checkKeys(caller, keyRange(key, undefined), 'write') }
  checkRange(caller: Caller, key: Uint8Array, rangeEnd: Uint8Array | undefined): void { if (this.#enabled) this.#checkKeys(caller, keyRange(key, rangeEnd), 'read') }
  checkDelete(caller: Caller, key: Uint8Array, rangeEnd: Uint8Array | undefined): void { if (this.#enabled) this.#checkKeys(caller, keyRange(key, rangeEnd), 'write') }

  checkAdmin(caller: Caller): void {
    if (!this.#enabled) return
    if (caller.username === '') throw etcdError('userEmpty')
    const user = this.#users.get(caller.username)
    if (!user) throw etcdError('userNotFound')
    if (!user.roles.includes(rootRole)) throw etcdError('permissionDenied')
  }

  isAdmin(caller: Caller): boolean { return !this.#enabled || (this.#users.get(caller.username)?.roles.includes(rootRole) ?? false) }

  /** That somebody is known at all. */
  checkKnown(caller: Caller): void { if (this.#enabled && caller.username === '') throw etcdError('userEmpty') }

  #checkKeys(caller: Caller, range: KeyRange, access: keyof MergedPermissions): void {
    if (!this.#enabled) return
    if (caller.authRevision === 0) throw etcdError('userEmpty')
    if (caller.authRevision < this.#revision) throw etcdError('authOldRevision')
    const user = this.#users.get(caller.username)
    if (!user) throw etcdError('permissionDenied')
    if (user.roles.includes(rootRole)) return
    let merged = this.#merged.get(caller.username)
    if (!merged) {
      merged = mergePermissions(user.roles.flatMap((role) => this.#roles.get(role) ?? []))
      this.#merged.set(caller.username, merged)
    }
    if (!covers(merged[access], range)) throw etcdError('permissionDenied')
  }

  // ---- changing ----

  /** Applies a change of the log. @throws EtcdError when it is refused; then nothing has changed */
  apply(change: AuthChange, caller: Caller): void {
    this.checkAdmin(caller)
    if (change.authEnable) this.#enable()
    else if (change.authDisable) this.#disable()
    else if (change.authUserAdd) this.#addUser(change.authUserAdd)
    else if (change.authUserDelete) this.#deleteUser(change.authUserDelete.name ?? '')
    else if (change.authUserChangePassword) this.#changePassword(change.authUserChangePassword)
    else if (change.authUserGrantRole) this.#grantRole(change.authUserGrantRole.user ?? '', change.authUserGrantRole.role ?? '')
    else if (change.authUserRevokeRole) this.#revokeRole(change.authUserRevokeRole.name ?? '', change.authUserRevokeRole.role ?? '')
    else if (change.authRoleAdd) this.#addRole(change.authRoleAdd.name ?? '')
    else if (change.authRoleDelete) this.#deleteRole(change.authRoleDelete.role ?? '')
    else if (change.authRoleGrantPermission) this.#grantPermission(change.authRoleGrantPermission.name ?? '', change.authRoleGrantPermission.perm)
    else if (change.authRoleRevokePermission) this.#revokePermission(change.authRoleRevokePermission.role ?? '', change.authRoleRevokePermission)
  }

  #committed(): void {
    this.#revision++
    this.#merged.clear()
  }

  #enable(): void {
    if (this.#enabled) return
    const root = this.#users.get(rootUser)
    if (!root) throw etcdError('rootUserNotExist')
    if (!root.roles.includes(rootRole)) throw etcdError('rootRoleNotExist')
    // Enabling is no change of the rules: the revision stays.
    this.#enabled = true
  }

  #disable(): void {
    if (!this.#enabled) return
    this.#enabled = false
    this.#committed()
    this.onInvalidated?.(undefined)
  }

  #knownUser(name: string): AuthUser {
    const user = this.#users.get(name)
    if (!user) throw etcdError('userNotFound')
    return user
  }

  #knownRole(name: string): StoredRole {
    const role = this.#roles.get(name)
    if (!role) throw etcdError('roleNotFound')
    return role
  }

  #addUser(request: NonNullable<AuthChange['authUserAdd']>): void {
    const name = request.name ?? ''
    if (name === '') throw etcdError('userEmpty')
    if (this.#users.has(name)) throw etcdError('userExists')
    const noPassword = request.options?.noPassword === true
    this.#users.set(name, { name, password: noPassword ? noBytes : storedPassword(request.hashedPassword), roles: [], noPassword })
    this.#committed()
  }

  #deleteUser(name: string): void {
    if (this.#enabled && name === rootUser) throw etcdError('invalidAuthManagement')
    this.#knownUser(name)
    this.#users.delete(name)
    this.#committed()
    this.onInvalidated?.(name)
  }

  #changePassword(request: NonNullable<AuthChange['authUserChangePassword']>): void {
    const user = this.#knownUser(request.name ?? '')
    this.#users.set(user.name, { ...user, password: user.noPassword ? noBytes : storedPassword(request.hashedPassword) })
    this.#committed()
    this.onInvalidated?.(user.name)
  }

  #grantRole(name: string, role: string): void {
    const user = this.#knownUser(name)
    // The root role need not have been made.
    if (role !== rootRole) this.#knownRole(role)
    if (user.roles.includes(role)) return
    this.#users.set(name, { ...user, roles: [...user.roles, role].sort(byBytes) })
    this.#committed()
  }

  #revokeRole(name: string, role: string): void {
    if (this.#enabled && name === rootUser && role === rootRole) throw etcdError('invalidAuthManagement')
    const user = this.#knownUser(name)
    if (!user.roles.includes(role)) throw etcdError('roleNotGranted')
    this.#users.set(name, { ...user, roles: user.roles.filter((other) => other !== role) })
    this.#committed()
  }

  #addRole(name: string): void {
    if (name === '') throw etcdError('roleEmpty')
    if (this.#roles.has(name)) throw etcdError('roleExists')
    this.#roles.set(name, { name: utf8.encode(name) })
    this.#committed()
  }

  #deleteRole(name: string): void {
    if (this.#enabled && name === rootRole) throw etcdError('invalidAuthManagement')
    this.#knownRole(name)
    this.#roles.delete(name)
    for (const user of this.#users.values()) if (user.roles.includes(name)) this.#users.set(user.name, { ...user, roles: user.roles.filter((role) => role !== name) })
    this.#committed()
  }

  #grantPermission(name: string, permission: StoredPermission | undefined): void {
    if (!permission) throw etcdError('permissionNotGiven')
    if (!isValidPermission(permission)) throw etcdError('invalidAuthManagement')
    const role = this.#knownRole(name)
    const { key = noBytes, rangeEnd = noBytes, permType = 'READ' } = permission
    const others = (role.keyPermission ?? []).filter((other) => !isSameRange(other, key, rangeEnd))
    const keyPermission = [...others, { permType, key: Uint8Array.from(key), rangeEnd: Uint8Array.from(rangeEnd) }].sort((a, b) => byBytes(keyText(a.key ?? noBytes), keyText(b.key ?? noBytes)))
    this.#roles.set(name, { ...role, keyPermission })
    this.#committed()
  }

  #revokePermission(name: string, { key = noBytes, rangeEnd = noBytes }: StoredPermission): void {
    const role = this.#knownRole(name)
    const before = role.keyPermission ?? []
    const keyPermission = before.filter((permission) => !isSameRange(permission, key, rangeEnd))
    if (keyPermission.length === before.length) throw etcdError('permissionNotGranted')
    this.#roles.set(name, { ...role, keyPermission })
    this.#committed()
  }

  // ---- snapshots ----

  image(): AuthImage {
    const users = this.userNames().map((name): StoredUser => {
      const { password, roles, noPassword } = this.#knownUser(name)
      return { name: utf8.encode(name), password, roles, options: { noPassword } }
    })
    return { enabled: this.#enabled, revision: this.#revision, users, roles: this.roleNames().map((name) => this.#knownRole(name)) }
  }

  restore(image: AuthImage): void {
    this.#enabled = image.enabled
    this.#revision = Math.max(1, image.revision)
    this.#users.clear()
    this.#roles.clear()
    this.#merged.clear()
    for (const { name = noBytes, password = noBytes, roles = [], options } of image.users) {
      const text = fromUtf8.decode(name)
      this.#users.set(text, { name: text, password, roles: [...roles].sort(byBytes), noPassword: options?.noPassword === true })
    }
    for (const role of image.roles) this.#roles.set(fromUtf8.decode(role.name ?? noBytes), role)
  }
}

const utf8 = new TextEncoder()
const fromUtf8 = new TextDecoder()

function byBytes(a: string, b: string): number { return a < b ? -1 : a > b ? 1 : 0 }

function isSameRange(permission: StoredPermission, key: Uint8Array, rangeEnd: Uint8Array): boolean {
  return keyText(permission.key ?? noBytes) === keyText(key) && keyText(permission.rangeEnd ?? noBytes) === keyText(rangeEnd)
}

/** The hash comes in base64. */
function storedPassword(hashed = ''): Uint8Array {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(hashed)) throw new EtcdError('Unknown', 'auth: authentication failed, password was given for no password user')
  return Uint8Array.from(Buffer.from(hashed, 'base64'))
}

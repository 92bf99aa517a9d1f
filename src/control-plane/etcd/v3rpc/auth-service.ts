// etcdserverpb.Auth: users, roles, permissions, and tokens for passwords. Passwords are hashed before they reach the log.
// Upstream: etcd/server/etcdserver/api/v3rpc/auth.go, etcd/server/etcdserver/v3_server.go
import { etcdError, EtcdError } from '../../../lib/etcd-api/etcd-error.ts'
import type {
  AuthRoleGetRequest, AuthRoleGetResponse, AuthRoleListResponse, AuthStatusResponse, AuthUserAddRequest, AuthUserChangePasswordRequest, AuthUserGetRequest, AuthUserGetResponse, AuthUserListResponse,
  AuthenticateRequest, AuthenticateResponse, ResponseHeader,
} from '../../../lib/etcd-api/generated/types.ts'
import type { AuthChange } from '../auth/auth-store.ts'
import { hashPassword, longestPasswordBytes, verifyPassword } from '../auth/bcrypt.ts'
import type { EtcdInternals } from '../embedded.ts'
import { yieldToLoop } from '../yield-to-loop.ts'
import { callerOf, loggedCaller, type Peer } from './access.ts'
import { headerOf } from './response-header.ts'

interface Changed { readonly header: ResponseHeader }
/** Times that a password is checked again because the rules changed meanwhile. */
const authenticateAttempts = 10

export function authImplementation(etcd: EtcdInternals): object {
  const { member, client, random, tokens } = etcd
  const { auth } = member.machine
  /** The method that logs its request as `field`. */
  const change = <K extends keyof AuthChange>(field: K) => async (request: NonNullable<AuthChange[K]>, signal: AbortSignal, peer: Peer): Promise<Changed> => {
    // Asked here already, so that what needs no log entry makes none.
    auth.checkAdmin(callerOf(etcd, peer))
    await client.propose({ type: 'auth', change: { [field]: request }, ...loggedCaller(etcd, peer) }, signal)
    return { header: headerOf(etcd) }
  }
  const hash = async (password: string): Promise<string> => {
    const bytes = Buffer.from(password)
    if (bytes.length > longestPasswordBytes) throw new EtcdError('Unknown', 'bcrypt: password length exceeds 72 bytes')
    return Buffer.from(await hashPassword(bytes, random.bytes(16), etcd.bcryptCost, yieldToLoop)).toString('base64')
  }
  return {
    authEnable: change('authEnable'),
    authDisable: change('authDisable'),
    authStatus: async (): Promise<AuthStatusResponse> => ({ header: headerOf(etcd), enabled: auth.enabled, authRevision: auth.revision }),
    authenticate: async ({ name = '', password = '' }: AuthenticateRequest, signal: AbortSignal): Promise<AuthenticateResponse> => {
      member.checkServing(signal)
      for (let attempt = 0; attempt < authenticateAttempts; attempt++) {
        if (!auth.enabled) throw etcdError('authNotEnabled')
        const user = auth.user(name)
        const { revision } = auth
        if (!user) throw etcdError('authFailed')
        if (user.noPassword) throw new EtcdError('Unknown', 'auth: authentication failed, password was given for no password user')
        if (!(await verifyPassword(Buffer.from(password), Buffer.from(user.password).toString('latin1'), yieldToLoop))) throw etcdError('authFailed')
        const result = await client.propose({ type: 'authenticate', name, simpleToken: tokens.newPrefix() }, signal)
        if (result.type === 'authenticate' && revision === auth.revision) return { header: headerOf(etcd), token: result.token }
      }
      throw etcdError('authOldRevision')
    },
    userAdd: async (request: AuthUserAddRequest, signal: AbortSignal, peer: Peer): Promise<Changed> => {
      auth.checkAdmin(callerOf(etcd, peer))
      const { password = '', hashedPassword: _, ...rest } = request
      return change('authUserAdd')(request.options?.noPassword ? rest : { ...rest, hashedPassword: await hash(password) }, signal, peer)
    },
    userGet: async ({ name = '' }: AuthUserGetRequest, _: AbortSignal, peer: Peer): Promise<AuthUserGetResponse> => {
      const caller = callerOf(etcd, peer)
      if (name !== caller.username) auth.checkAdmin(caller)
      const user = auth.user(name)
      if (!user) throw etcdError('userNotFound')
      return { header: headerOf(etcd), roles: user.roles }
    },
    userList: async (_request: object, _: AbortSignal, peer: Peer): Promise<AuthUserListResponse> => {
      auth.checkAdmin(callerOf(etcd, peer))
      return { header: headerOf(etcd), users: auth.userNames() }
    },
    userDelete: change('authUserDelete'),
    userChangePassword: async (request: AuthUserChangePasswordRequest, signal: AbortSignal, peer: Peer): Promise<Changed> => {
      auth.checkAdmin(callerOf(etcd, peer))
      const { name = '', password = '' } = request
      return change('authUserChangePassword')(password === '' ? { name } : { name, hashedPassword: await hash(password) }, signal, peer)
    },
    userGrantRole: change('authUserGrantRole'),
    userRevokeRole: change('authUserRevokeRole'),
    roleAdd: change('authRoleAdd'),
    roleGet: async ({ role = '' }: AuthRoleGetRequest, _: AbortSignal, peer: Peer): Promise<AuthRoleGetResponse> => {
      const caller = callerOf(etcd, peer)
      if (!auth.user(caller.username)?.roles.includes(role)) auth.checkAdmin(caller)
      return { header: headerOf(etcd), perm: auth.permissionsOf(role) }
    },
    roleList: async (_request: object, _: AbortSignal, peer: Peer): Promise<AuthRoleListResponse> => {
      auth.checkAdmin(callerOf(etcd, peer))
      return { header: headerOf(etcd), roles: auth.roleNames() }
    },
    roleDelete: change('authRoleDelete'),
    roleGrantPermission: change('authRoleGrantPermission'),
    roleRevokePermission: change('authRoleRevokePermission'),
  }
}

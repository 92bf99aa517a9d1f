// auth, user, role. Upstream: etcdctl/ctlv3/command/{auth,user,role}_command.go
import type { FlagSpecs } from '../../../lib/component-base/flags.ts'
import { authService } from '../../../lib/etcd-api/generated/services.ts'
import type {
  AuthDisableResponse, AuthEnableResponse, AuthRoleAddRequest, AuthRoleAddResponse, AuthRoleDeleteRequest, AuthRoleDeleteResponse, AuthRoleGetRequest, AuthRoleGetResponse, AuthRoleGrantPermissionRequest,
  AuthRoleGrantPermissionResponse, AuthRoleListResponse, AuthRoleRevokePermissionRequest, AuthRoleRevokePermissionResponse, AuthStatusResponse, AuthUserAddRequest, AuthUserAddResponse,
  AuthUserChangePasswordRequest, AuthUserChangePasswordResponse, AuthUserDeleteRequest, AuthUserDeleteResponse, AuthUserGetRequest, AuthUserGetResponse, AuthUserGrantRoleRequest, AuthUserGrantRoleResponse,
  AuthUserListResponse, AuthUserRevokeRoleRequest, AuthUserRevokeRoleResponse, StoredType,
} from '../../../lib/etcd-api/generated/types.ts'
import { GrpcError } from '../../../lib/net/grpc/status.ts'
import { fromKey, prefixEnd } from '../client/key-ranges.ts'
import { badArguments, defineCommand, defineGroup } from '../command.ts'
import { bytesOfText, textOfBytes } from '../go-format.ts'
import type { Session } from '../session.ts'

/** Calls about users and roles have no time limit. */
async function call<Response>(session: Session, method: string, request: object, signal: AbortSignal = new AbortController().signal): Promise<Response> {
  return await (await session.connect()).unary<Response>(authService, method, request, signal)
}

function exactly(args: readonly string[], count: 0 | 1 | 2, message: string): readonly [string, string] {
  if (args.length !== count) throw badArguments(message)
  return [args[0] ?? '', args[1] ?? '']
}

// ---- auth ----

const authEnable = defineCommand({
  use: 'enable', short: 'Enables authentication',
  async run(session, { args }) {
    exactly(args, 0, 'auth enable command does not accept any arguments')
    const connection = await session.connect()
    const deadline = await session.commandDeadline()
    for (;;) {
      try {
        await connection.unary<AuthEnableResponse>(authService, 'AuthEnable', {}, deadline)
        break
      } catch (error) {
        // The user root needs the role root: it is made and granted here, once.
        if (!(error instanceof GrpcError) || error.message !== 'etcdserver: root user does not have root role') throw error
        await connection.unary<AuthRoleAddResponse>(authService, 'RoleAdd', { name: 'root' } satisfies AuthRoleAddRequest, deadline)
        await connection.unary<AuthUserGrantRoleResponse>(authService, 'UserGrantRole', { user: 'root', role: 'root' } satisfies AuthUserGrantRoleRequest, deadline)
      }
    }
    session.out('Authentication Enabled\n')
  },
})

const authDisable = defineCommand({
  use: 'disable', short: 'Disables authentication',
  async run(session, { args }) {
    exactly(args, 0, 'auth disable command does not accept any arguments')
    await call<AuthDisableResponse>(session, 'AuthDisable', {}, await session.commandDeadline())
    session.out('Authentication Disabled\n')
  },
})

const authStatus = defineCommand({
  use: 'status', short: 'Returns authentication status',
  async run(session, { args }) {
    exactly(args, 0, 'auth status command does not accept any arguments')
    await session.print({ kind: 'authStatus', response: await call<AuthStatusResponse>(session, 'AuthStatus', {}, await session.commandDeadline()) })
  },
})

export const authCommand = defineGroup(
  { use: 'auth <enable or disable>', short: 'Enable or disable authentication. Use `etcdctl auth --help` to see subcommands', long: 'Enable or disable authentication', group: 'authentication' },
  [authEnable, authDisable, authStatus],
)

// ---- user ----

async function askTwice(session: Session, user: string): Promise<string> {
  const password = await session.askPassword(`Password of ${user}: `)
  if (password === '') throw badArguments('empty password')
  if (password !== await session.askPassword(`Type password of ${user} again for confirmation: `)) throw badArguments('given passwords are different')
  return password
}

/** The first word of standard input's first line. */
async function readPassword(session: Session): Promise<string> {
  const line = await session.nextLine()
  return line === undefined ? '' : textOfBytes(line).trim().split(/\s+/)[0] ?? ''
}

const userAdd = defineCommand({
  use: 'add <user name or user:password> [options]', short: 'Adds a new user',
  flags: {
    interactive: { type: 'bool', default: true, usage: 'Read password from stdin instead of interactive terminal' },
    'new-user-password': { type: 'string', usage: 'Supply password from the command line flag' },
    'no-password': { type: 'bool', usage: 'Create a user without password (CN based auth only)' },
  },
  async run(session, { args, flags }) {
    const [argument] = exactly(args, 1, 'user add command requires user name as its argument')
    let request: AuthUserAddRequest
    const at = argument.indexOf(':')
    if (flags['no-password']) request = { name: argument, options: { noPassword: true } }
    else if (flags['new-user-password'] !== '') request = { name: argument, password: flags['new-user-password'], options: {} }
    else if (at >= 0) {
      if (at === 0) throw badArguments('empty user name is not allowed')
      request = { name: argument.slice(0, at), password: argument.slice(at + 1), options: {} }
    } else request = { name: argument, password: flags.interactive ? await askTwice(session, argument) : await readPassword(session), options: {} }
    const response = await call<AuthUserAddResponse>(session, 'UserAdd', request)
    await session.print({ kind: 'userAdd', response, user: request.name ?? '' })
  },
})

const userDelete = defineCommand({
  use: 'delete <user name>', short: 'Deletes a user',
  async run(session, { args }) {
    const [user] = exactly(args, 1, 'user delete command requires user name as its argument')
    await session.print({ kind: 'userDelete', response: await call<AuthUserDeleteResponse>(session, 'UserDelete', { name: user } satisfies AuthUserDeleteRequest), user })
  },
})

const userGet = defineCommand({
  use: 'get <user name> [options]', short: 'Gets detailed information of a user',
  flags: { detail: { type: 'bool', usage: 'Show permissions of roles granted to the user' } },
  async run(session, { args, flags }) {
    const [user] = exactly(args, 1, 'user get command requires user name as its argument')
    const response = await call<AuthUserGetResponse>(session, 'UserGet', { name: user } satisfies AuthUserGetRequest)
    if (!flags.detail) { await session.print({ kind: 'userGet', response, user }); return }
    session.out(`User: ${user}\n`)
    for (const role of response.roles ?? []) {
      session.out('\n')
      await session.print({ kind: 'roleGet', response: await call<AuthRoleGetResponse>(session, 'RoleGet', { role } satisfies AuthRoleGetRequest), role })
    }
  },
})

const userList = defineCommand({
  use: 'list', short: 'Lists all users',
  async run(session, { args }) {
    exactly(args, 0, 'user list command requires no arguments')
    await session.print({ kind: 'userList', response: await call<AuthUserListResponse>(session, 'UserList', {}) })
  },
})

const userPasswd = defineCommand({
  use: 'passwd <user name> [options]', short: 'Changes password of user',
  flags: { interactive: { type: 'bool', default: true, usage: 'If true, read password from stdin instead of interactive terminal' } },
  async run(session, { args, flags }) {
    const [name] = exactly(args, 1, 'user passwd command requires user name as its argument')
    const request: AuthUserChangePasswordRequest = { name, password: flags.interactive ? await askTwice(session, name) : await readPassword(session) }
    await session.print({ kind: 'userChangePassword', response: await call<AuthUserChangePasswordResponse>(session, 'UserChangePassword', request) })
  },
})

const userGrantRole = defineCommand({
  use: 'grant-role <user name> <role name>', short: 'Grants a role to a user',
  async run(session, { args }) {
    const [user, role] = exactly(args, 2, 'user grant command requires user name and role name as its argument')
    await session.print({ kind: 'userGrantRole', response: await call<AuthUserGrantRoleResponse>(session, 'UserGrantRole', { user, role } satisfies AuthUserGrantRoleRequest), user, role })
  },
})

const userRevokeRole = defineCommand({
  use: 'revoke-role <user name> <role name>', short: 'Revokes a role from a user',
  async run(session, { args }) {
    const [user, role] = exactly(args, 2, 'user revoke-role requires user name and role name as its argument')
    await session.print({ kind: 'userRevokeRole', response: await call<AuthUserRevokeRoleResponse>(session, 'UserRevokeRole', { name: user, role } satisfies AuthUserRevokeRoleRequest), user, role })
  },
})

export const userCommand = defineGroup(
  { use: 'user <subcommand>', short: 'User related commands. Use `etcdctl user --help` to see subcommands', long: 'User related commands', group: 'authentication' },
  [userAdd, userDelete, userGet, userList, userPasswd, userGrantRole, userRevokeRole],
)

// ---- role ----

function rangeFlags(verb: 'grant' | 'revoke') {
  return {
    prefix: { type: 'bool', usage: `${verb} a prefix permission` },
    'from-key': { type: 'bool', usage: `${verb} a permission of keys that are greater than or equal to the given key using byte compare` },
  } as const satisfies FlagSpecs
}

/** The range of a permission: a single key has no end. @throws ExitError */
function permissionRange(args: readonly string[], flags: { readonly prefix: boolean; readonly 'from-key': boolean }): { readonly key: Uint8Array; readonly rangeEnd: Uint8Array } {
  const [text = '', end] = args
  const exclusive = '--from-key and --prefix flags are mutually exclusive'
  const none = new Uint8Array(0)
  if (text === '') {
    if (flags.prefix && flags['from-key']) throw badArguments(exclusive)
    return { key: fromKey, rangeEnd: flags.prefix || flags['from-key'] ? fromKey : none }
  }
  const key = bytesOfText(text)
  if (end !== undefined) {
    if (flags.prefix) throw badArguments('unexpected endkey argument with --prefix flag')
    if (flags['from-key']) throw badArguments('unexpected endkey argument with --from-key flag')
    return { key, rangeEnd: bytesOfText(end) }
  }
  if (flags.prefix && flags['from-key']) throw badArguments(exclusive)
  return { key, rangeEnd: flags.prefix ? prefixEnd(key) : flags['from-key'] ? fromKey : none }
}

const permissionTypes: { readonly [name: string]: StoredType } = { READ: 'READ', WRITE: 'WRITE', READWRITE: 'READWRITE' }

const roleAdd = defineCommand({
  use: 'add <role name>', short: 'Adds a new role',
  async run(session, { args }) {
    const [role] = exactly(args, 1, 'role add command requires role name as its argument')
    await session.print({ kind: 'roleAdd', response: await call<AuthRoleAddResponse>(session, 'RoleAdd', { name: role } satisfies AuthRoleAddRequest), role })
  },
})

const roleDelete = defineCommand({
  use: 'delete <role name>', short: 'Deletes a role',
  async run(session, { args }) {
    const [role] = exactly(args, 1, 'role delete command requires role name as its argument')
    await session.print({ kind: 'roleDelete', response: await call<AuthRoleDeleteResponse>(session, 'RoleDelete', { role } satisfies AuthRoleDeleteRequest), role })
  },
})

const roleGet = defineCommand({
  use: 'get <role name>', short: 'Gets detailed information of a role',
  async run(session, { args }) {
    const [role] = exactly(args, 1, 'role get command requires role name as its argument')
    await session.print({ kind: 'roleGet', response: await call<AuthRoleGetResponse>(session, 'RoleGet', { role } satisfies AuthRoleGetRequest), role })
  },
})

const roleList = defineCommand({
  use: 'list', short: 'Lists all roles',
  async run(session, { args }) {
    exactly(args, 0, 'role list command requires no arguments')
    await session.print({ kind: 'roleList', response: await call<AuthRoleListResponse>(session, 'RoleList', {}) })
  },
})

const roleGrantPermission = defineCommand({
  use: 'grant-permission [options] <role name> <permission type> <key> [endkey]', short: 'Grants a key to a role', flags: rangeFlags('grant'),
  async run(session, { args, flags }) {
    const [role = '', type = '', ...range] = args
    if (range.length === 0) throw badArguments('role grant command requires role name, permission type, and key [endkey] as its argument')
    const permType = Object.hasOwn(permissionTypes, type.toUpperCase()) ? permissionTypes[type.toUpperCase()] : undefined
    if (permType === undefined) throw badArguments(`invalid permission type: ${type}`)
    const request: AuthRoleGrantPermissionRequest = { name: role, perm: { permType, ...permissionRange(range, flags) } }
    await session.print({ kind: 'roleGrantPermission', response: await call<AuthRoleGrantPermissionResponse>(session, 'RoleGrantPermission', request), role })
  },
})

const roleRevokePermission = defineCommand({
  use: 'revoke-permission <role name> <key> [endkey]', short: 'Revokes a key from a role', flags: rangeFlags('revoke'),
  async run(session, { args, flags }) {
    const [role = '', ...range] = args
    if (range.length === 0) throw badArguments('role revoke-permission command requires role name and key [endkey] as its argument')
    const request: AuthRoleRevokePermissionRequest = { role, ...permissionRange(range, flags) }
    const response = await call<AuthRoleRevokePermissionResponse>(session, 'RoleRevokePermission', request)
    await session.print({ kind: 'roleRevokePermission', response, role, key: range[0] ?? '', end: textOfBytes(request.rangeEnd ?? new Uint8Array(0)) })
  },
})

export const roleCommand = defineGroup(
  { use: 'role <subcommand>', short: 'Role related commands. Use `etcdctl role --help` to see subcommands', long: 'Role related commands', group: 'authentication' },
  [roleAdd, roleDelete, roleGet, roleList, roleGrantPermission, roleRevokePermission],
)

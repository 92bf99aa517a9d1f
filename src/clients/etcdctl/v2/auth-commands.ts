// user, role and auth of version 2. Upstream: etcdctl/ctlv2/command/{user,role,auth}_commands.go
import type { ClusterApi, PathLists } from './cluster-api.ts'
import { plain, type V2Command, type V2Context, type V2Flag } from './command-line.ts'

function none({ args }: V2Context): void { if (args.length > 0) throw plain('No arguments accepted') }

function nameOf({ args }: V2Context, what: 'username' | 'role name'): string {
  const [name] = args
  if (name === undefined || args.length !== 1) throw plain(`Please provide a ${what}`)
  return name
}

/** A command on one user. */
function onUser(name: string, usage: string, run: (cluster: ClusterApi, user: string, context: V2Context) => Promise<void>, more: Partial<V2Command> = {}): V2Command {
  return { name, usage, argsUsage: '<user>', ...more, run: async (context) => { const user = nameOf(context, 'username'); await run(await context.cluster(), user, context) } }
}

const rolesFlag: readonly V2Flag[] = [{ names: ['roles'], type: 'strings', usage: 'List of roles to grant or revoke' }]

function changeRoles(name: 'grant' | 'revoke', usage: string): V2Command {
  return {
    name, usage, argsUsage: '<user>', flags: rolesFlag,
    async run(context) {
      const roles = context.flags['roles']
      if (!Array.isArray(roles) || roles.length === 0) throw plain('No roles specified; please use `--roles`')
      const user = nameOf(context, 'username')
      const cluster = await context.cluster()
      await cluster.putUser(user, { [name]: roles })
      context.surroundings.out(`User ${user} updated\n`)
    },
  }
}

export const userCommand: V2Command = {
  name: 'user', usage: 'user add, grant and revoke subcommands',
  commands: [
    onUser('add', 'add a new user for the etcd cluster', async (cluster, argument, { askPassword, surroundings }) => {
      const at = argument.indexOf(':')
      const user = at < 0 ? argument : argument.slice(0, at)
      await cluster.putUser(user, { password: at < 0 ? await askPassword('New password: ') : argument.slice(at + 1) })
      surroundings.out(`User ${user} created\n`)
    }),
    onUser('get', 'get details for a user', async (cluster, name, { surroundings }) => {
      const { user, roles } = await cluster.user(name)
      surroundings.out(`User: ${user}\nRoles: ${roles.join(' ')}\n`)
    }),
    {
      name: 'list', usage: 'list all current users', argsUsage: '<user>',
      async run(context) {
        none(context)
        for (const user of await (await context.cluster()).users()) context.surroundings.out(`${user}\n`)
      },
    },
    onUser('remove', 'remove a user for the etcd cluster', async (cluster, user, { surroundings }) => {
      await cluster.removeUser(user)
      surroundings.out(`User ${user} removed\n`)
    }),
    changeRoles('grant', 'grant roles to an etcd user'), changeRoles('revoke', 'revoke roles for an etcd user'),
    onUser('passwd', 'change password for a user', async (cluster, user, { askPassword, surroundings }) => {
      await cluster.putUser(user, { password: await askPassword('New password: ') })
      surroundings.out('Password updated\n')
    }),
  ],
}

/** A path as Go's servers make it: from the root, without empty parts. */
function canonical(path: string): string {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  const joined = `/${parts.join('/')}`
  return joined !== '/' && path.endsWith('/') ? `${joined}/` : joined
}

function onRole(name: string, usage: string, argsUsage: string, run: (cluster: ClusterApi, role: string, context: V2Context) => Promise<void>): V2Command {
  return { name, usage, argsUsage, run: async (context) => { const role = nameOf(context, 'role name'); await run(await context.cluster(), role, context) } }
}

function changePaths(name: 'grant' | 'revoke', usage: string): V2Command {
  const [verb, done] = name === 'grant' ? ['Grant', 'granted'] : ['Revoke', 'revoked']
  return {
    name, usage, argsUsage: '<role>',
    flags: [
      { names: ['path'], type: 'string', usage: `Path ${done} for the role to access` }, { names: ['read'], type: 'bool', usage: `${verb} read${name === 'grant' ? '-only' : ''} access` },
      { names: ['write'], type: 'bool', usage: `${verb} write${name === 'grant' ? '-only' : ''} access` }, { names: ['readwrite', 'rw'], type: 'bool', usage: `${verb} read-write access` },
    ],
    async run(context) {
      const { path, read, write, readwrite } = context.flags
      if (typeof path !== 'string' || path === '') throw plain('No path specified; please use `--path`')
      if (canonical(path) !== path) throw plain(`Not canonical path; please use \`--path=${canonical(path)}\``)
      if ([read, write, readwrite].filter((flag) => flag === true).length !== 1) throw plain('Please specify exactly one of --read, --write or --readwrite')
      const role = nameOf(context, 'role name')
      const cluster = await context.cluster()
      await cluster.role(role)
      const kv: PathLists = { read: write === true ? null : [path], write: read === true ? null : [path] }
      await cluster.putRole(role, { [name]: { kv } })
      context.surroundings.out(`Role ${role} updated\n`)
    },
  }
}

export const roleCommand: V2Command = {
  name: 'role', usage: 'role add, grant and revoke subcommands',
  commands: [
    onRole('add', 'add a new role for the etcd cluster', '<role> ', async (cluster, role, { surroundings }) => {
      const exists = await cluster.role(role).then(() => true, () => false)
      if (exists) throw plain(`Role ${role} already exists`)
      await cluster.putRole(role)
      surroundings.out(`Role ${role} created\n`)
    }),
    onRole('get', 'get details for a role', '<role>', async (cluster, name, { surroundings }) => {
      const { role, permissions: { kv } } = await cluster.role(name)
      const lines = (paths: readonly string[] | null): string => (paths ?? []).map((path) => `\t${path}\n`).join('')
      surroundings.out(`Role: ${role}\nKV Read:\n${lines(kv.read)}KV Write:\n${lines(kv.write)}`)
    }),
    {
      name: 'list', usage: 'list all roles', argsUsage: ' ',
      async run(context) {
        none(context)
        for (const role of await (await context.cluster()).roles()) context.surroundings.out(`${role}\n`)
      },
    },
    onRole('remove', 'remove a role from the etcd cluster', '<role>', async (cluster, role, { surroundings }) => {
      await cluster.removeRole(role)
      surroundings.out(`Role ${role} removed\n`)
    }),
    changePaths('grant', 'grant path matches to an etcd role'), changePaths('revoke', 'revoke path matches for an etcd role'),
  ],
}

function setAuth(name: 'enable' | 'disable'): V2Command {
  return {
    name, usage: `${name} auth access controls`, argsUsage: ' ',
    async run(context) {
      none(context)
      await (await context.cluster()).setAuth(name === 'enable')
      context.surroundings.out(`Authentication ${name === 'enable' ? 'Enabled' : 'Disabled'}\n`)
    },
  }
}

export const authCommand: V2Command = { name: 'auth', usage: 'overall auth controls', commands: [setAuth('enable'), setAuth('disable')] }

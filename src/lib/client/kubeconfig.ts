// Kubeconfig files: where the cluster is and who we are. Several files merge as kubectl merges them: the first to name a thing wins.
// Upstream: client-go/tools/clientcmd
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { load } from 'js-yaml'
import type { Clock } from '../base/clock.ts'
import type { HttpTransportOptions } from './http-transport.ts'

export interface KubeconfigCluster {
  readonly server?: string
  readonly 'certificate-authority'?: string
  readonly 'certificate-authority-data'?: string
  readonly 'insecure-skip-tls-verify'?: boolean
  readonly 'tls-server-name'?: string
  readonly 'proxy-url'?: string
}

export interface KubeconfigUser {
  readonly 'client-certificate'?: string
  readonly 'client-certificate-data'?: string
  readonly 'client-key'?: string
  readonly 'client-key-data'?: string
  readonly token?: string
  readonly tokenFile?: string
  readonly username?: string
  readonly password?: string
  readonly as?: string
  readonly 'as-groups'?: readonly string[]
  readonly 'as-uid'?: string
  readonly exec?: { readonly command: string; readonly args?: readonly string[]; readonly env?: readonly { readonly name: string; readonly value: string }[]; readonly apiVersion?: string }
}

export interface KubeconfigContext {
  readonly cluster: string
  readonly user: string
  readonly namespace?: string
}

export interface Kubeconfig {
  readonly clusters: ReadonlyMap<string, KubeconfigCluster>
  readonly users: ReadonlyMap<string, KubeconfigUser>
  readonly contexts: ReadonlyMap<string, KubeconfigContext>
  readonly currentContext: string
}

/** What is asked on the command line; wins over the files. */
export interface KubeconfigOverrides {
  readonly context?: string
  readonly cluster?: string
  readonly user?: string
  readonly namespace?: string
  readonly server?: string
  readonly token?: string
  readonly as?: string
  readonly asGroups?: readonly string[]
  readonly certificateAuthority?: string
  readonly clientCertificate?: string
  readonly clientKey?: string
  readonly insecureSkipTlsVerify?: boolean
  readonly tlsServerName?: string
}

/** The kubeconfig can't be used: not there, not YAML, or it names something that it doesn't hold. */
export class KubeconfigError extends Error {
  override readonly name = 'KubeconfigError'
}

type Named<K extends string, V> = { readonly name: string } & { readonly [key in K]?: V }
interface KubeconfigFile {
  readonly clusters?: readonly Named<'cluster', KubeconfigCluster>[]
  readonly users?: readonly Named<'user', KubeconfigUser>[]
  readonly contexts?: readonly Named<'context', KubeconfigContext>[]
  readonly 'current-context'?: string
}

/** Files in the order in which they win: `--kubeconfig`, else $KUBECONFIG, else ~/.kube/config. */
export function kubeconfigPaths(explicit: string | undefined, environment: { readonly [name: string]: string | undefined }): readonly string[] {
  if (explicit) return [explicit]
  const listed = (environment['KUBECONFIG'] ?? '').split(':').filter((path) => path !== '')
  return listed.length > 0 ? listed : [join(environment['HOME'] ?? homedir(), '.kube', 'config')]
}

/** undefined: there is no such file. */
const readIfThere = (path: string): string | undefined => (existsSync(path) ? readFileSync(path, 'utf8') : undefined)

/** Reads and merges. Files that don't exist are passed over, unless `mustExist`. @throws KubeconfigError */
export function loadKubeconfigs(paths: readonly string[], options: { readonly mustExist?: boolean; /** In place of the disk. */ readonly read?: (path: string) => string | undefined } = {}): Kubeconfig {
  const read = options.read ?? readIfThere
  const clusters = new Map<string, KubeconfigCluster>()
  const users = new Map<string, KubeconfigUser>()
  const contexts = new Map<string, KubeconfigContext>()
  let currentContext = ''
  for (const path of paths) {
    let file: KubeconfigFile
    try {
      const text = read(path)
      if (text === undefined) {
        if (options.mustExist) throw new KubeconfigError(`stat ${path}: no such file or directory`)
        continue
      }
      file = checkedFile(load(text, { maxAliases: 100 }) ?? {})
    } catch (cause) {
      if (cause instanceof KubeconfigError) throw cause
      throw new KubeconfigError(`error loading config file "${path}": ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
    }
    const from = dirname(resolve(path))
    const absolute = <T extends object>(value: T, names: readonly string[]): T => {
      const entries = Object.entries(value).map(([k, v]) => [k, names.includes(k) && typeof v === 'string' && v !== '' && !isAbsolute(v) ? join(from, v) : v])
      return Object.fromEntries(entries) as T // cast: same keys, same types
    }
    for (const { name, cluster } of file.clusters ?? []) if (!clusters.has(name)) clusters.set(name, absolute(cluster ?? {}, ['certificate-authority']))
    for (const { name, user } of file.users ?? []) if (!users.has(name)) users.set(name, absolute(user ?? {}, ['client-certificate', 'client-key', 'tokenFile']))
    for (const { name, context } of file.contexts ?? []) if (!contexts.has(name) && context) contexts.set(name, context)
    currentContext ||= file['current-context'] ?? ''
  }
  return { clusters, users, contexts, currentContext }
}

/** @throws Error about the first thing that hasn't the form it should have */
function checkedFile(value: unknown): KubeconfigFile {
  const isMap = (it: unknown): it is { readonly [key: string]: unknown } => typeof it === 'object' && it !== null && !Array.isArray(it)
  if (!isMap(value)) throw new Error('json: cannot unmarshal into Go value of type v1.Config')
  const current = value['current-context'] ?? ''
  if (typeof current !== 'string') throw new Error('current-context is no text')
  for (const [list, field] of [['clusters', 'cluster'], ['users', 'user'], ['contexts', 'context']] as const) {
    const entries = value[list] ?? []
    if (!Array.isArray(entries)) throw new Error(`${list} is no list`)
    for (const entry of entries) {
      if (!isMap(entry) || typeof entry['name'] !== 'string') throw new Error(`${list} holds something without a name`)
      const content = entry[field] ?? {}
      if (!isMap(content)) throw new Error(`${list}: ${field} of ${entry['name']} is no map`)
      for (const [key, item] of Object.entries(content)) checkField(key, item)
    }
  }
  return value as KubeconfigFile // cast: checked above
}

const texts: ReadonlySet<string> = new Set([
  'server', 'certificate-authority', 'certificate-authority-data', 'tls-server-name', 'proxy-url', 'client-certificate', 'client-certificate-data', 'client-key', 'client-key-data',
  'token', 'tokenFile', 'username', 'password', 'as', 'as-uid', 'cluster', 'user', 'namespace',
])
const isTextList = (it: unknown): boolean => Array.isArray(it) && it.every((item) => typeof item === 'string')

function checkField(key: string, value: unknown): void {
  if (value === null || value === undefined) return
  const wrong = (): never => { throw new Error(`${key} has the wrong type`) }
  if (key === 'as-groups') { if (!isTextList(value)) wrong(); return }
  if (key === 'exec') {
    const { command, args, env } = value as { readonly command?: unknown; readonly args?: unknown; readonly env?: unknown } // cast: checked below
    if (typeof value !== 'object' || typeof command !== 'string' || !(args === undefined || args === null || isTextList(args))) wrong()
    const pairs = env ?? []
    if (!Array.isArray(pairs) || !pairs.every((pair: unknown) => typeof pair === 'object' && pair !== null && 'name' in pair && typeof pair.name === 'string' && 'value' in pair && typeof pair.value === 'string')) wrong()
    return
  }
  if ((texts.has(key) && typeof value !== 'string') || (key === 'insecure-skip-tls-verify' && typeof value !== 'boolean')) wrong()
}

export interface ResolvedKubeconfig {
  readonly transport: Omit<HttpTransportOptions, 'clock' | 'userAgent'>
  readonly namespace: string
  readonly contextName: string
}

/** Follows the context to its cluster and user and reads the files they name. @throws KubeconfigError */
export function resolveKubeconfig(config: Kubeconfig, overrides: KubeconfigOverrides = {}): ResolvedKubeconfig {
  const contextName = overrides.context ?? config.currentContext
  const context = config.contexts.get(contextName)
  if (contextName !== '' && !context) throw new KubeconfigError(overrides.context ? `context "${contextName}" does not exist` : `error: current-context "${contextName}" does not exist`)
  const clusterName = overrides.cluster ?? context?.cluster ?? ''
  const cluster = config.clusters.get(clusterName)
  if (clusterName !== '' && !cluster) throw new KubeconfigError(`cluster "${clusterName}" does not exist`)
  const userName = overrides.user ?? context?.user ?? ''
  const user = config.users.get(userName)
  if (userName !== '' && !user) throw new KubeconfigError(`auth info "${userName}" does not exist`)
  const read = (data: string | undefined, path: string | undefined, what: string): string | undefined => {
    if (data) return Buffer.from(data, 'base64').toString('utf8')
    if (!path) return undefined
    try {
      return readFileSync(path, 'utf8')
    } catch (cause) {
      throw new KubeconfigError(`unable to read ${what} ${path}`, { cause })
    }
  }
  const plugin = user?.exec ? runCredentialPlugin(user.exec) : undefined
  const certificateAuthority = overrides.certificateAuthority ? read(undefined, overrides.certificateAuthority, 'certificate-authority') : read(cluster?.['certificate-authority-data'], cluster?.['certificate-authority'], 'certificate-authority')
  const clientCertificate = plugin?.clientCertificateData ?? (overrides.clientCertificate ? read(undefined, overrides.clientCertificate, 'client-cert') : read(user?.['client-certificate-data'], user?.['client-certificate'], 'client-cert'))
  const clientKey = plugin?.clientKeyData ?? (overrides.clientKey ? read(undefined, overrides.clientKey, 'client-key') : read(user?.['client-key-data'], user?.['client-key'], 'client-key'))
  const token = overrides.token ?? plugin?.token ?? user?.token
  const as = overrides.as ?? user?.as
  const groups = overrides.asGroups ?? user?.['as-groups'] ?? []
  const tlsServerName = overrides.tlsServerName ?? cluster?.['tls-server-name']
  return {
    contextName,
    namespace: overrides.namespace ?? context?.namespace ?? 'default',
    transport: {
      server: overrides.server ?? cluster?.server ?? 'http://localhost:8080',
      ...(certificateAuthority ? { certificateAuthority } : {}), ...(clientCertificate ? { clientCertificate } : {}), ...(clientKey ? { clientKey } : {}),
      ...(token ? { token } : {}), ...(!token && user?.tokenFile ? { tokenFile: user.tokenFile } : {}), ...(user?.username ? { username: user.username, password: user.password ?? '' } : {}),
      ...((overrides.insecureSkipTlsVerify ?? cluster?.['insecure-skip-tls-verify']) ? { insecureSkipTlsVerify: true } : {}), ...(tlsServerName ? { tlsServerName } : {}),
      ...(as ? { headers: { 'impersonate-user': as, ...(groups.length > 0 ? { 'impersonate-group': groups } : {}) } } : {}),
    },
  }
}

/** One file, its current context: what components are given with `--kubeconfig`. @throws KubeconfigError */
export function loadKubeconfig(path: string, clock: Clock, userAgent: string): HttpTransportOptions {
  return { ...resolveKubeconfig(loadKubeconfigs([path], { mustExist: true })).transport, clock, userAgent }
}

interface PluginCredential { readonly token?: string; readonly clientCertificateData?: string; readonly clientKeyData?: string }

/** Runs a credential plugin (client.authentication.k8s.io ExecCredential). */
function runCredentialPlugin(exec: NonNullable<KubeconfigUser['exec']>): PluginCredential {
  const info = JSON.stringify({ apiVersion: exec.apiVersion ?? 'client.authentication.k8s.io/v1', kind: 'ExecCredential', spec: { interactive: false } })
  try {
    const output = execFileSync(exec.command, [...(exec.args ?? [])], { env: { ...process.env, ...Object.fromEntries((exec.env ?? []).map((e) => [e.name, e.value])), KUBERNETES_EXEC_INFO: info }, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
    return (JSON.parse(output) as { readonly status?: PluginCredential }).status ?? {} // cast: the plugin's contract
  } catch (cause) {
    throw new KubeconfigError(`getting credentials: exec: executable ${exec.command} failed`, { cause })
  }
}

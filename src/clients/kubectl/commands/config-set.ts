// kubectl config set, unset, set-cluster, set-context and set-credentials. Upstream: kubectl/pkg/cmd/config
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { JsonObject, JsonValue } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { KubectlError, defineCommand } from '../command.ts'
import { changeEntries, changeRest, readConfigFiles } from '../kubeconfig/kubeconfig-files.ts'
import type { ConfigFiles, Section } from '../kubeconfig/kubeconfig-files.ts'

/** Values given, over what is there; empty texts and false take a field away. */
function withFields(entry: JsonObject, fields: { readonly [name: string]: JsonValue | undefined }): JsonObject {
  const merged = { ...entry, ...fields }
  return Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== undefined && value !== '' && value !== false))
}

export const setClusterCommand = defineCommand({
  name: 'set-cluster', short: 'Set a cluster entry in kubeconfig', usage: 'NAME [--server=server] [--certificate-authority=path/to/certificate/authority] [--insecure-skip-tls-verify=true] [--tls-server-name=example.com] [options]',
  flags: { 'embed-certs': { type: 'bool', usage: 'Put the certificate itself into the kubeconfig.' }, 'proxy-url': { type: 'string', usage: 'Proxy to the cluster.' } },
  async run(context, { flags, args, given }) {
    const [name] = args
    if (name === undefined || args.length !== 1) throw new KubectlError(`Unexpected args: [${args.join(' ')}]`)
    if (name === '') throw new KubectlError('you must specify a non-empty cluster name')
    const authority = flags['certificate-authority']
    if (flags['insecure-skip-tls-verify'] && authority) throw new KubectlError('you cannot specify a certificate authority and insecure mode at the same time')
    if (flags['embed-certs'] && authority === '') throw new KubectlError('you must specify a --certificate-authority to embed')
    if (flags['embed-certs'] && !existsSync(authority)) throw new KubectlError(`could not stat certificate-authority file ${authority}: stat ${authority}: no such file or directory`)
    const config = readConfigFiles(flags.kubeconfig, context.environment)
    let entry = config.merged.entries.clusters.get(name) ?? {}
    if (given.has('server')) entry = withFields(entry, { server: flags.server, 'tls-server-name': undefined })
    if (given.has('tls-server-name')) entry = withFields(entry, { 'tls-server-name': flags['tls-server-name'] })
    if (given.has('insecure-skip-tls-verify')) entry = withFields(entry, { 'insecure-skip-tls-verify': flags['insecure-skip-tls-verify'], ...(flags['insecure-skip-tls-verify'] ? { 'certificate-authority': undefined, 'certificate-authority-data': undefined } : {}) })
    if (given.has('certificate-authority')) entry = withFields(entry, flags['embed-certs'] ? { 'certificate-authority-data': readFileSync(authority).toString('base64'), 'certificate-authority': undefined, 'insecure-skip-tls-verify': undefined } : { 'certificate-authority': resolve(authority), 'certificate-authority-data': undefined, 'insecure-skip-tls-verify': undefined })
    if (given.has('proxy-url')) entry = withFields(entry, { 'proxy-url': flags['proxy-url'] })
    changeEntries(config, [{ section: 'clusters', name, entry }])
    context.out(`Cluster ${JSON.stringify(name)} set.\n`)
    return 0
  },
})

export const setContextCommand = defineCommand({
  name: 'set-context', short: 'Set a context entry in kubeconfig', usage: '[NAME | --current] [--cluster=cluster_nickname] [--user=user_nickname] [--namespace=namespace] [options]', flags: { current: { type: 'bool', usage: 'Change the current context.' } },
  async run(context, { flags, args, given }) {
    if (args.length > 1) throw new KubectlError(`Unexpected args: [${args.join(' ')}]`)
    const wanted = args[0] ?? ''
    if (wanted === '' && !flags.current) throw new KubectlError('you must specify a non-empty context name or --current')
    if (wanted !== '' && flags.current) throw new KubectlError('you cannot specify both a context name and --current')
    const config = readConfigFiles(flags.kubeconfig, context.environment)
    if (flags.current && config.merged.currentContext === '') throw new KubectlError('no current context is set')
    const name = flags.current ? config.merged.currentContext : wanted
    const now = config.merged.entries.contexts.get(name)
    const entry = withFields(now ?? {}, { ...(given.has('cluster') ? { cluster: flags.cluster } : {}), ...(given.has('user') ? { user: flags.user } : {}), ...(given.has('namespace') ? { namespace: flags.namespace } : {}) })
    changeEntries(config, [{ section: 'contexts', name, entry }])
    context.out(`Context ${JSON.stringify(name)} ${now ? 'modified' : 'created'}.\n`)
    return 0
  },
})

/** `key=value` pairs, and `key-` to take away. */
function pairsOf(texts: readonly string[], what: string): { readonly set: ReadonlyMap<string, string>; readonly remove: readonly string[] } {
  const set = new Map<string, string>()
  const remove: string[] = []
  for (const text of texts) {
    const at = text.indexOf('=')
    if (at > 0) set.set(text.slice(0, at), text.slice(at + 1))
    else if (text.endsWith('-')) remove.push(text.slice(0, -1))
    else throw new KubectlError(`Error: invalid ${what} format: ${text}`)
  }
  return { set, remove }
}

export const setCredentialsCommand = defineCommand({
  name: 'set-credentials', short: 'Set a user entry in kubeconfig', usage: 'NAME [--client-certificate=path/to/certfile] [--client-key=path/to/keyfile] [--token=bearer_token] [--username=basic_user] [--password=basic_password] [--exec-command=exec_command] [options]',
  flags: {
    'embed-certs': { type: 'bool', usage: 'Put the certificate and key themselves into the kubeconfig.' }, 'exec-command': { type: 'string', usage: 'Command that gives credentials.' }, 'exec-api-version': { type: 'string', usage: 'API version of the command.' }, 'exec-arg': { type: 'strings', usage: 'Arguments of the command.' },
    'exec-env': { type: 'strings', noSplit: true, usage: 'Environment of the command: key=value, or key- to take one away.' }, 'exec-interactive-mode': { type: 'string', usage: 'Never, IfAvailable or Always.' }, 'exec-provide-cluster-info': { type: 'bool', usage: 'Tell the command about the cluster.' },
  },
  async run(context, { flags, args, given }) {
    const [name] = args
    if (name === undefined || args.length !== 1) throw new KubectlError(`Unexpected args: [${args.join(' ')}]`)
    if (name === '') throw new KubectlError('you must specify a non-empty user name')
    if (flags.token && (flags.username || flags.password)) throw new KubectlError('you cannot specify more than one authentication method at the same time: --token, --username/--password')
    const embed = flags['embed-certs']
    if (embed && !flags['client-certificate'] && !flags['client-key']) throw new KubectlError('you must specify a --client-certificate or --client-key to embed')
    const config = readConfigFiles(flags.kubeconfig, context.environment)
    let entry = config.merged.entries.users.get(name) ?? {}
    for (const field of ['client-certificate', 'client-key'] as const) {
      if (!given.has(field)) continue
      if (embed && !existsSync(flags[field])) throw new KubectlError(`could not stat ${field} file ${flags[field]}: stat ${flags[field]}: no such file or directory`)
      entry = withFields(entry, embed ? { [`${field}-data`]: readFileSync(flags[field]).toString('base64'), [field]: undefined } : { [field]: resolve(flags[field]), [`${field}-data`]: undefined })
    }
    if (given.has('token')) entry = withFields(entry, { token: flags.token, ...(flags.token ? { username: undefined, password: undefined } : {}) })
    if (given.has('username')) entry = withFields(entry, { username: flags.username, ...(flags.username ? { token: undefined, tokenFile: undefined } : {}) })
    if (given.has('password')) entry = withFields(entry, { password: flags.password, ...(flags.password ? { token: undefined, tokenFile: undefined } : {}) })
    if (given.has('exec-command') || entry['exec']) {
      const now = isJsonObject(entry['exec']) ? entry['exec'] : {}
      const { set, remove } = pairsOf(flags['exec-env'], 'exec environment')
      const env = (Array.isArray(now['env']) ? now['env'].filter(isJsonObject) : []).filter((e) => !remove.includes(String(e['name'])) && !set.has(String(e['name'])))
      const variables = [...env, ...[...set].map(([key, value]): JsonObject => ({ name: key, value }))]
      entry = { ...entry, exec: {
        ...now, ...(given.has('exec-command') ? { command: flags['exec-command'], args: null } : {}), ...(given.has('exec-api-version') ? { apiVersion: flags['exec-api-version'] } : {}), ...(given.has('exec-arg') ? { args: [...flags['exec-arg']] } : {}),
        env: variables.length > 0 ? variables : null, ...(flags['exec-interactive-mode'] ? { interactiveMode: flags['exec-interactive-mode'] } : {}), provideClusterInfo: given.has('exec-provide-cluster-info') ? flags['exec-provide-cluster-info'] : (now['provideClusterInfo'] ?? false),
      } }
    }
    changeEntries(config, [{ section: 'users', name, entry }])
    context.out(`User ${JSON.stringify(name)} set.\n`)
    return 0
  },
})

const byteFields = new Set(['certificate-authority-data', 'client-certificate-data', 'client-key-data'])
const boolFields = new Set(['insecure-skip-tls-verify', 'disable-compression'])
const knownFields: { readonly [K in Section]: ReadonlySet<string> } = {
  clusters: new Set(['server', 'tls-server-name', 'insecure-skip-tls-verify', 'certificate-authority', 'certificate-authority-data', 'proxy-url', 'disable-compression']),
  contexts: new Set(['cluster', 'user', 'namespace']),
  users: new Set(['client-certificate', 'client-certificate-data', 'client-key', 'client-key-data', 'token', 'tokenFile', 'as', 'as-uid', 'username', 'password']),
}

interface Property { readonly section: Section; readonly name: string; readonly field: string }

/** `clusters.my.cluster.server`-like names; names of entries may have dots. */
function parseProperty(config: ConfigFiles, property: string): Property | 'current-context' | undefined {
  if (property === 'current-context') return property
  const section = (['clusters', 'contexts', 'users'] as const).find((s) => property === s || property.startsWith(`${s}.`))
  if (!section) return undefined
  const rest = property.slice(section.length + 1)
  const known = [...config.merged.entries[section].keys()].find((n) => rest === n || rest.startsWith(`${n}.`))
  if (known !== undefined) return { section, name: known, field: rest.slice(known.length + 1) }
  const field = [...knownFields[section]].find((f) => rest.endsWith(`.${f}`)) ?? ''
  return { section, name: field === '' ? rest : rest.slice(0, -field.length - 1), field }
}

export const setCommand = defineCommand({
  name: 'set', short: 'Set an individual value in a kubeconfig file', usage: 'PROPERTY_NAME PROPERTY_VALUE [options]', flags: { 'set-raw-bytes': { type: 'bool', usage: 'The value of a data field is not in base64.' } },
  async run(context, { flags, args }) {
    const [property, value] = args
    if (property === undefined || value === undefined || args.length !== 2) throw new KubectlError(`Unexpected args: [${args.join(' ')}]`)
    if (value === '') throw new KubectlError('you cannot use set to unset a property')
    if (property === '') throw new KubectlError('you must specify a property')
    const config = readConfigFiles(flags.kubeconfig, context.environment)
    const parsed = parseProperty(config, property)
    if (parsed === undefined) throw new KubectlError(`unable to parse ${property} after [] at api.Config`)
    if (parsed === 'current-context') changeEntries(config, [], value)
    else {
      if (!knownFields[parsed.section].has(parsed.field)) throw new KubectlError(parsed.field === '' ? `can't set a map to a value: ${property}` : `unable to locate path ${parsed.field}`)
      let stored: JsonValue = value
      if (boolFields.has(parsed.field)) {
        if (!['1', 't', 'T', 'true', 'TRUE', 'True', '0', 'f', 'F', 'false', 'FALSE', 'False'].includes(value)) throw new KubectlError(`strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`)
        stored = /^[1tT]/.test(value)
      } else if (byteFields.has(parsed.field)) stored = flags['set-raw-bytes'] ? Buffer.from(value).toString('base64') : Buffer.from(value, 'base64').toString('base64')
      changeEntries(config, [{ section: parsed.section, name: parsed.name, entry: withFields(config.merged.entries[parsed.section].get(parsed.name) ?? {}, { [parsed.field]: stored }) }])
    }
    context.out(`Property ${JSON.stringify(property)} set.\n`)
    return 0
  },
})

export const unsetCommand = defineCommand({
  name: 'unset', short: 'Unset an individual value in a kubeconfig file', usage: 'PROPERTY_NAME [options]', flags: {},
  async run(context, { flags, args }) {
    const [property] = args
    if (property === undefined || args.length !== 1) throw new KubectlError(`Unexpected args: [${args.join(' ')}]`)
    if (property === '') throw new KubectlError('you must specify a property')
    const config = readConfigFiles(flags.kubeconfig, context.environment)
    const parsed = parseProperty(config, property)
    if (parsed === undefined) {
      const { [property]: there, ...rest } = config.merged.rest
      if (there === undefined) throw new KubectlError(`unable to locate path ${property}`)
      changeRest(config, rest)
    } else if (parsed === 'current-context') changeEntries(config, [], '')
    else if (parsed.name === '') changeEntries(config, [...config.merged.entries[parsed.section].keys()].map((name) => ({ section: parsed.section, name, entry: undefined })))
    else if (parsed.field === '') changeEntries(config, [{ section: parsed.section, name: parsed.name, entry: undefined }])
    else {
      const entry = config.merged.entries[parsed.section].get(parsed.name)
      if (!entry) throw new KubectlError(`current map key \`${parsed.name}\` is invalid`)
      changeEntries(config, [{ section: parsed.section, name: parsed.name, entry: withFields(entry, { [parsed.field]: undefined }) }])
    }
    context.out(`Property ${JSON.stringify(property)} unset.\n`)
    return 0
  },
})

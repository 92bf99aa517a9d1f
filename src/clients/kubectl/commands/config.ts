// kubectl config: shows and changes kubeconfig files. Upstream: kubectl/pkg/cmd/config
import { readFileSync } from 'node:fs'
import type { JsonObject, JsonValue } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { KubectlError, UsageError, defineCommand } from '../command.ts'
import type { KubectlCommand, KubectlContext } from '../command.ts'
import { changeEntries, configDocument, readConfigFiles } from '../kubeconfig/kubeconfig-files.ts'
import type { ConfigFiles, Section } from '../kubeconfig/kubeconfig-files.ts'
import { createObjectPrinter, parseOutputFormat } from '../printers/output-format.ts'
import { formatOrderedJson } from '../printers/typed-json.ts'
import { TabWriter } from '../printers/tab-writer.ts'
import { setClusterCommand, setCommand, setContextCommand, setCredentialsCommand, unsetCommand } from './config-set.ts'

type Merged = ConfigFiles['merged']

/** Only what the context uses. @throws KubectlError */
function minify(config: Merged, contextName: string): Merged {
  if (contextName === '') throw new KubectlError('current-context must exist in order to minify')
  const context = config.entries.contexts.get(contextName)
  if (!context) throw new KubectlError(`cannot locate context ${contextName}`)
  const only = (section: Section, name: unknown): ReadonlyMap<string, JsonObject> => {
    const entry = typeof name === 'string' && name !== '' ? config.entries[section].get(name) : undefined
    if (typeof name === 'string' && name !== '' && !entry && section === 'clusters') throw new KubectlError(`cannot locate cluster ${name}`)
    return new Map(entry ? [[String(name), entry]] : [])
  }
  return { ...config, currentContext: contextName, entries: { contexts: new Map([[contextName, context]]), clusters: only('clusters', context['cluster']), users: only('users', context['user']) } }
}

function mapEntries(config: Merged, change: (entry: JsonObject) => JsonObject): Merged {
  const of = (section: Section): ReadonlyMap<string, JsonObject> => new Map([...config.entries[section]].map(([name, entry]) => [name, change(entry)]))
  return { ...config, entries: { clusters: of('clusters'), contexts: of('contexts'), users: of('users') } }
}

const dataFields = { 'certificate-authority': 'certificate-authority-data', 'client-certificate': 'client-certificate-data', 'client-key': 'client-key-data' } as const

/** Puts the files that entries name into the entries. */
function flatten(entry: JsonObject): JsonObject {
  const out: { [key: string]: JsonObject[string] } = { ...entry }
  for (const [field, dataField] of Object.entries(dataFields)) {
    const path = out[field]
    if (typeof path !== 'string' || path === '') continue
    out[dataField] = readFileSync(path).toString('base64')
    delete out[field]
  }
  return out
}

/** Secrets aren't for the screen. */
function redact(entry: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(entry).map(([key, value]) => {
    if (key === 'token' || key === 'password') return [key, value === '' ? value : 'REDACTED']
    return [key, Object.values<string>(dataFields).includes(key) && value !== '' ? 'DATA+OMITTED' : value]
  }))
}

const viewCommand = defineCommand({
  name: 'view', short: 'Display merged kubeconfig settings or a specified kubeconfig file', usage: '[flags] [options]',
  flags: { flatten: { type: 'bool', usage: 'Put the files that are named into the output.' }, merge: { type: 'bool', default: true, usage: 'Merge all kubeconfig files.' }, minify: { type: 'bool', usage: 'Only what the current context uses.' }, output: { type: 'string', short: 'o', default: 'yaml', usage: 'Output format.' }, raw: { type: 'bool', usage: 'Show secrets, too.' }, template: { type: 'string', usage: 'Template for go-template and jsonpath.' }, 'show-managed-fields': { type: 'bool', usage: 'Keep managedFields.' }, 'allow-missing-template-keys': { type: 'bool', default: true, usage: 'Ignore missing fields in templates.' } },
  async run(context, { flags, args, given }) {
    if (args.length > 0) throw new UsageError(`unexpected arguments: [${args.join(' ')}]`, 'config view')
    if (given.has('merge') && !flags.merge && flags.kubeconfig === '') throw new KubectlError('if merge==false a precise file must be specified')
    const format = parseOutputFormat(flags.output, flags.template)
    let config: Merged = readConfigFiles(flags.kubeconfig, context.environment, true).merged
    if (flags.minify) config = minify(config, flags.context || config.currentContext)
    if (flags.flatten) config = mapEntries(config, flatten)
    else if (!flags.raw) config = mapEntries(config, redact)
    if (format.type === 'table') throw new KubectlError('the output format "wide" is not available here')
    if (format.type === 'json') { context.out(formatOrderedJson(inGoOrder(configDocument(config)))); return 0 }
    createObjectPrinter(format, { write: context.out, allowMissingKeys: flags['allow-missing-template-keys'] })(configDocument(config))
    return 0
  },
})

const goOrder = ['kind', 'apiVersion', 'name', 'server', 'tls-server-name', 'insecure-skip-tls-verify', 'certificate-authority', 'certificate-authority-data', 'cluster', 'client-certificate', 'client-certificate-data', 'client-key', 'client-key-data', 'token', 'tokenFile', 'clusters', 'users', 'user', 'contexts', 'context', 'namespace', 'current-context']

/** Keys in the order of the original's types. */
function inGoOrder(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(inGoOrder)
  if (!isJsonObject(value)) return value
  const rank = (key: string): number => { const at = goOrder.indexOf(key); return at < 0 ? goOrder.length : at }
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => rank(a) - rank(b)).map(([key, item]) => [key, inGoOrder(item ?? null)]))
}

function listingCommand(name: string, section: Section, short: string): KubectlCommand {
  return defineCommand({ name, short, usage: '[options]', flags: {},
    async run(context, { flags }) {
      const { merged } = readConfigFiles(flags.kubeconfig, context.environment, true)
      context.out(`NAME\n${[...merged.entries[section].keys()].sort().map((n) => `${n}\n`).join('')}`)
      return 0
    } })
}

const getContextsCommand = defineCommand({
  name: 'get-contexts', short: 'Describe one or many contexts', usage: '[(-o|--output=)name)] [options]', flags: { 'no-headers': { type: 'bool', usage: "Don't print headers." }, output: { type: 'string', short: 'o', usage: "'name' for names only." } },
  async run(context, { flags, args }) {
    if (flags.output !== '' && flags.output !== 'name') throw new KubectlError(`--output ${flags.output} is not available in kubectl config get-contexts; resetting to default output format`)
    const { merged } = readConfigFiles(flags.kubeconfig, context.environment, true)
    const contexts = merged.entries.contexts
    const missing = args.filter((a) => !contexts.has(a))
    const names = (args.length > 0 ? args.filter((a) => contexts.has(a)) : [...contexts.keys()]).toSorted()
    if (flags.output === 'name') for (const name of names) context.out(`${name}\n`)
    else {
      const writer = new TabWriter(context.out)
      if (!flags['no-headers']) writer.row(['CURRENT', 'NAME', 'CLUSTER', 'AUTHINFO', 'NAMESPACE'])
      for (const name of names) {
        const entry = contexts.get(name) ?? {}
        writer.row([name === merged.currentContext ? '*' : ' ', name, String(entry['cluster'] ?? ''), String(entry['user'] ?? ''), String(entry['namespace'] ?? '')])
      }
      writer.flush()
    }
    for (const name of missing) context.err(`error: context ${name} not found\n`)
    return missing.length > 0 ? 1 : 0
  },
})

const currentContextCommand = defineCommand({
  name: 'current-context', short: 'Display the current-context', usage: '[flags] [options]', flags: {},
  async run(context, { flags }) {
    const { merged } = readConfigFiles(flags.kubeconfig, context.environment, true)
    if (merged.currentContext === '') throw new KubectlError('current-context is not set')
    context.out(`${merged.currentContext}\n`)
    return 0
  },
})

const useContextCommand = defineCommand({
  name: 'use-context', aliases: ['use'], short: 'Set the current-context in a kubeconfig file', usage: 'CONTEXT_NAME [options]', flags: {},
  async run(context, { flags, args }) {
    const [name] = args
    if (name === undefined || args.length !== 1) throw new KubectlError(`Unexpected args: [${args.join(' ')}]`)
    const config = readConfigFiles(flags.kubeconfig, context.environment)
    if (name === '') throw new KubectlError('empty context names are not allowed')
    if (!config.merged.entries.contexts.has(name)) throw new KubectlError(`no context exists with the name: ${JSON.stringify(name)}`)
    changeEntries(config, [], name)
    context.out(`Switched to context ${JSON.stringify(name)}.\n`)
    return 0
  },
})

const renameContextCommand = defineCommand({
  name: 'rename-context', short: 'Rename a context from the kubeconfig file', usage: 'CONTEXT_NAME NEW_NAME [options]', flags: {},
  async run(context, { flags, args }) {
    const [from, to] = args
    if (from === undefined || to === undefined || args.length !== 2) throw new KubectlError(`Unexpected args: [${args.join(' ')}]`)
    if (to === '') throw new KubectlError('You must specify a new non-empty context name')
    const config = readConfigFiles(flags.kubeconfig, context.environment)
    const entry = config.merged.entries.contexts.get(from)
    if (!entry) throw new KubectlError(`cannot rename the context ${JSON.stringify(from)}, it's not in ${config.defaultPath}`)
    if (config.merged.entries.contexts.has(to)) throw new KubectlError(`cannot rename the context ${JSON.stringify(from)}, the context ${JSON.stringify(to)} already exists in ${config.defaultPath}`)
    changeEntries(config, [{ section: 'contexts', name: from, entry: undefined }, { section: 'contexts', name: to, entry }], config.merged.currentContext === from ? to : undefined)
    context.out(`Context ${JSON.stringify(from)} renamed to ${JSON.stringify(to)}.\n`)
    return 0
  },
})

function deletingCommand(what: 'cluster' | 'context' | 'user', section: Section): KubectlCommand {
  const command: KubectlCommand = defineCommand({ name: `delete-${what}`, short: `Delete the specified ${what} from the kubeconfig`, usage: 'NAME [options]', flags: {},
    async run(context: KubectlContext, { flags, args }) {
      const [name] = args
      if (name === undefined || args.length !== 1) {
        if (what === 'user') throw new UsageError('user to delete is required', 'config delete-user')
        context.out(`${command.short}.\n\nUsage:\n  kubectl config delete-${what} NAME [options]\n\nUse "kubectl options" for a list of global command-line options (applies to all commands).\n`)
        return 0
      }
      const config = readConfigFiles(flags.kubeconfig, context.environment)
      if (!config.merged.entries[section].has(name)) throw new KubectlError(`cannot delete ${what} ${name}, not in ${config.defaultPath}`)
      if (what === 'context' && config.merged.currentContext === name) context.err('warning: this removed your active context, use "kubectl config use-context" to select a different one\n')
      changeEntries(config, [{ section, name, entry: undefined }])
      context.out(`deleted ${what} ${name} from ${config.defaultPath}\n`)
      return 0
    } })
  return command
}

export const configCommand = defineCommand({
  name: 'config', group: 'Settings Commands', short: 'Modify kubeconfig files', usage: 'SUBCOMMAND [options]', flags: {},
  subcommands: [
    currentContextCommand, deletingCommand('cluster', 'clusters'), deletingCommand('context', 'contexts'), deletingCommand('user', 'users'),
    listingCommand('get-clusters', 'clusters', 'Display clusters defined in the kubeconfig'), getContextsCommand, listingCommand('get-users', 'users', 'Display users defined in the kubeconfig'),
    renameContextCommand, setCommand, setClusterCommand, setContextCommand, setCredentialsCommand, unsetCommand, useContextCommand, viewCommand,
  ],
})


// kubectl create: objects from files, and the generators for simple kinds. Upstream: kubectl/pkg/cmd/create
import { readFileSync, readdirSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { JsonObject } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { ApiError } from '../../../lib/client/api-error.ts'
import type { FlagSpecs } from '../../../lib/component-base/flags.ts'
import { KubectlError, UsageError, defineCommand } from '../command.ts'
import type { KubectlCommand, KubectlContext } from '../command.ts'
import { formatApiError } from '../kubectl.ts'
import { createObjectPrinter, nameOf, parseOutputFormat } from '../printers/output-format.ts'
import { readManifests } from '../resources/manifest-files.ts'
import { collectionPath } from '../resources/object-path.ts'

const outputFlags = {
  'dry-run': { type: 'string', default: 'none', whenAlone: 'unchanged', usage: 'none, server or client.' }, output: { type: 'string', short: 'o', usage: 'Output format.' }, template: { type: 'string', usage: 'Template for go-template and jsonpath.' },
  'field-manager': { type: 'string', default: 'kubectl-create', usage: 'Name under which the fields are owned.' }, validate: { type: 'string', default: 'strict', whenAlone: 'strict', usage: "strict, warn or ignore." },
  'save-config': { type: 'bool', usage: 'Keep the configuration in an annotation for a later apply.' }, 'show-managed-fields': { type: 'bool', usage: 'Keep managedFields in JSON and YAML.' },
} as const satisfies FlagSpecs

interface OutputFlags {
  readonly 'dry-run': string
  readonly output: string
  readonly template: string
  readonly 'field-manager': string
  readonly validate: string
  readonly 'save-config': boolean
  readonly 'show-managed-fields': boolean
}

export function fieldValidationOf(validate: string): string {
  switch (validate) {
    case 'true': case 'strict': return 'Strict'
    case 'false': case 'ignore': return 'Ignore'
    case 'warn': return 'Warn'
    default: throw new KubectlError(`invalid - validate option "${validate}"`)
  }
}

export function dryRunOf(value: string): 'none' | 'client' | 'server' {
  if (value === 'none' || value === 'client' || value === 'server') return value
  if (value === 'unchanged') throw new KubectlError('--dry-run must be "none", "server", or "client"')
  throw new KubectlError(`Invalid dry-run value (${value}). Must be "none", "server", or "client".`)
}

/** Prints what became of an object: a line, or the object in the format asked for. */
export function printOutcome(context: KubectlContext, object: JsonObject, operation: string, flags: Pick<OutputFlags, 'output' | 'template' | 'dry-run' | 'show-managed-fields'>): void {
  const suffix = flags['dry-run'] === 'client' ? ' (dry run)' : flags['dry-run'] === 'server' ? ' (server dry run)' : ''
  const format = parseOutputFormat(flags.output, flags.template)
  if (format.type === 'table') { context.out(`${nameOf(object)} ${operation}${suffix}\n`); return }
  createObjectPrinter(format, { write: context.out, showManagedFields: flags['show-managed-fields'] })(object)
}

export const lastAppliedAnnotation = 'kubectl.kubernetes.io/last-applied-configuration'

/** The object with itself, as JSON, in the annotation that apply compares with. */
export function withLastApplied(object: JsonObject): JsonObject {
  const metadata = isJsonObject(object['metadata']) ? object['metadata'] : {}
  const annotations = isJsonObject(metadata['annotations']) ? metadata['annotations'] : {}
  const { [lastAppliedAnnotation]: _, ...others } = annotations
  const configuration: JsonObject = { ...object, metadata: { ...metadata, annotations: others } }
  return { ...object, metadata: { ...metadata, annotations: { ...others, [lastAppliedAnnotation]: `${JSON.stringify(sorted(configuration))}\n` } } }
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, v]) => [k, sorted(v)]))
  return value
}

async function createObjects(context: KubectlContext, objects: readonly JsonObject[], flags: OutputFlags): Promise<number> {
  const session = context.session()
  const dryRun = dryRunOf(flags['dry-run'])
  let failures = 0
  for (const given of objects) {
    const resource = dryRun === 'client' && !needsServer(given) ? undefined : await session.mapper.forKind(String(given['apiVersion']), String(given['kind']))
    if (!resource && dryRun !== 'client') throw new KubectlError(`resource mapping not found for name: ${JSON.stringify(nameIn(given))} namespace: ${JSON.stringify(namespaceIn(given))}: no matches for kind ${JSON.stringify(String(given['kind']))} in version ${JSON.stringify(String(given['apiVersion']))}\nensure CRDs are installed first`)
    const namespace = resource?.namespaced ? namespaceIn(given) || session.namespace : ''
    if (session.namespaceGiven && namespaceIn(given) !== '' && namespaceIn(given) !== session.namespace) throw new KubectlError(`the namespace from the provided object ${JSON.stringify(namespaceIn(given))} does not match the namespace ${JSON.stringify(session.namespace)}. You must pass '--namespace=${namespaceIn(given)}' to perform this operation.`)
    const object = flags['save-config'] ? withLastApplied(given) : given
    if (dryRun === 'client' || !resource) { printOutcome(context, object, 'created', flags); continue }
    try {
      const answer = await session.request('POST', collectionPath(resource, namespace, { fieldManager: flags['field-manager'], fieldValidation: fieldValidationOf(flags.validate), dryRun: dryRun === 'server' ? 'All' : undefined }), { body: object })
      printOutcome(context, { apiVersion: given['apiVersion'], kind: given['kind'], ...answer }, 'created', flags)
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      failures++
      context.err(`${formatApiError(error)}\n`)
    }
  }
  return failures > 0 ? 1 : 0
}

const needsServer = (object: JsonObject): boolean => object['kind'] === undefined
const metadataOf = (object: JsonObject): JsonObject => (isJsonObject(object['metadata']) ? object['metadata'] : {})
const nameIn = (object: JsonObject): string => String(metadataOf(object)['name'] ?? '')
const namespaceIn = (object: JsonObject): string => String(metadataOf(object)['namespace'] ?? '')

/** A subcommand that makes one object of its arguments. */
function generator<const S extends FlagSpecs>(name: string, aliases: readonly string[], short: string, usage: string, flags: S, make: (args: readonly string[], flags: { readonly [K in keyof S]: never }, namespace: () => string) => JsonObject): KubectlCommand {
  return defineCommand({
    name, aliases, short, usage, flags: { ...outputFlags, ...flags },
    async run(context, parsed) {
      const object = make(parsed.args, parsed.flags as never, () => context.session().namespace) // cast: parsed by the specs above
      return createObjects(context, [object], parsed.flags as never) // cast: outputFlags are among the specs
    },
  })
}

function oneName(args: readonly string[], command: string): string {
  if (args.length !== 1 || args[0] === undefined) throw new UsageError(`exactly one NAME is required, got ${args.length}`, `create ${command}`)
  return args[0]
}

interface DataFlags { readonly 'from-literal': readonly string[]; readonly 'from-file': readonly string[]; readonly 'from-env-file': readonly string[] }

/** Entries from `--from-literal`, `--from-file` and `--from-env-file`. */
function readEntries(flags: DataFlags): ReadonlyMap<string, Buffer> {
  const entries = new Map<string, Buffer>()
  const put = (key: string, value: Buffer): void => {
    if (entries.has(key)) throw new KubectlError(`cannot add key ${JSON.stringify(key)}, another key by that name already exists`)
    entries.set(key, value)
  }
  for (const literal of flags['from-literal']) {
    const at = literal.indexOf('=')
    if (at <= 0) throw new KubectlError(`invalid literal source ${literal}, expected key=value`)
    put(literal.slice(0, at), Buffer.from(literal.slice(at + 1).replace(/^(["'])(.*)\1$/s, '$2')))
  }
  for (const source of flags['from-file']) {
    const at = source.indexOf('=')
    const path = at < 0 ? source : source.slice(at + 1)
    let folder = false
    try { folder = statSync(path).isDirectory() } catch { throw new KubectlError(`error reading ${path}: no such file or directory`) }
    if (folder) for (const entry of readdirSync(path, { withFileTypes: true })) { if (entry.isFile()) put(entry.name, readFileSync(join(path, entry.name))) }
    else put(at < 0 ? basename(path) : source.slice(0, at), readFileSync(path))
  }
  for (const path of flags['from-env-file']) {
    for (const line of readFileSync(path, 'utf8').split('\n')) {
      const text = line.trimStart()
      if (text === '' || text.startsWith('#')) continue
      const at = text.indexOf('=')
      put(at < 0 ? text : text.slice(0, at), Buffer.from(at < 0 ? (process.env[text] ?? '') : text.slice(at + 1)))
    }
  }
  return entries
}

const dataFlags = { 'from-literal': { type: 'strings', noSplit: true, usage: 'Key and value: key=value.' }, 'from-file': { type: 'strings', usage: 'Key from a file: [key=]path.' }, 'from-env-file': { type: 'strings', usage: 'File of key=value lines.' } } as const

export const createCommand = defineCommand({
  name: 'create', group: 'Basic Commands (Beginner)', short: 'Create a resource from a file or from stdin', usage: '-f FILENAME [options]',
  flags: { ...outputFlags, filename: { type: 'strings', short: 'f', usage: 'Files, folders or - for standard input.' }, recursive: { type: 'bool', short: 'R', usage: 'Look for files in folders below, too.' }, raw: { type: 'string', usage: 'Path to POST the file to, as it is.' } },
  subcommands: [
    generator('namespace', ['ns'], 'Create a namespace with the specified name', 'NAME', {}, (args) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: oneName(args, 'namespace') } })),
    generator('configmap', ['cm'], 'Create a config map from a local file, directory or literal value', 'NAME [--from-file=[key=]source] [--from-literal=key1=value1]', dataFlags, (args, flags) => {
      const entries = [...readEntries(flags as unknown as DataFlags)] // cast: parsed by dataFlags
      const texts = entries.filter(([, v]) => Buffer.from(v.toString('utf8')).equals(v))
      const binary = entries.filter(([, v]) => !Buffer.from(v.toString('utf8')).equals(v))
      return { apiVersion: 'v1', ...(texts.length > 0 ? { data: Object.fromEntries(texts.map(([k, v]) => [k, v.toString('utf8')])) } : {}), ...(binary.length > 0 ? { binaryData: Object.fromEntries(binary.map(([k, v]) => [k, v.toString('base64')])) } : {}), kind: 'ConfigMap', metadata: { name: oneName(args, 'configmap') } }
    }),
    defineCommand({
      name: 'secret', short: 'Create a secret using a specified subcommand', usage: '(docker-registry | generic | tls)', flags: {},
      subcommands: [
        generator('generic', [], 'Create a secret from a local file, directory, or literal value', 'NAME [--type=string] [--from-file=[key=]source] [--from-literal=key1=value1]', { ...dataFlags, type: { type: 'string', usage: 'Type of the secret.' } }, (args, flags) => {
          const { type } = flags as unknown as { type: string } // cast: parsed by the specs
          return { apiVersion: 'v1', data: Object.fromEntries([...readEntries(flags as unknown as DataFlags)].map(([k, v]) => [k, v.toString('base64')])), kind: 'Secret', metadata: { name: oneName(args, 'secret generic') }, ...(type ? { type } : {}) } // cast: parsed by dataFlags
        }),
        generator('tls', [], 'Create a TLS secret', 'NAME --cert=path/to/cert/file --key=path/to/key/file', { cert: { type: 'string', usage: 'Path to the certificate.' }, key: { type: 'string', usage: 'Path to the key.' } }, (args, flags) => {
          const { cert, key } = flags as unknown as { cert: string; key: string } // cast: parsed by the specs
          if (!cert || !key) throw new KubectlError('key and cert must be specified')
          return { apiVersion: 'v1', data: { 'tls.crt': readFileSync(cert).toString('base64'), 'tls.key': readFileSync(key).toString('base64') }, kind: 'Secret', metadata: { name: oneName(args, 'secret tls') }, type: 'kubernetes.io/tls' }
        }),
        generator('docker-registry', [], 'Create a secret for use with a Docker registry', 'NAME --docker-username=user --docker-password=password', { 'docker-server': { type: 'string', default: 'https://index.docker.io/v1/', usage: 'Server.' }, 'docker-username': { type: 'string', usage: 'User.' }, 'docker-password': { type: 'string', usage: 'Password.' }, 'docker-email': { type: 'string', usage: 'Mail address.' } }, (args, flags) => {
          const f = flags as unknown as { [name: string]: string } // cast: parsed by the specs
          const auth = { username: f['docker-username'], password: f['docker-password'], ...(f['docker-email'] ? { email: f['docker-email'] } : {}), auth: Buffer.from(`${f['docker-username']}:${f['docker-password']}`).toString('base64') }
          return { apiVersion: 'v1', data: { '.dockerconfigjson': Buffer.from(JSON.stringify({ auths: { [f['docker-server'] ?? '']: auth } })).toString('base64') }, kind: 'Secret', metadata: { name: oneName(args, 'secret docker-registry') }, type: 'kubernetes.io/dockerconfigjson' }
        }),
      ],
    }),
    generator('serviceaccount', ['sa'], 'Create a service account with the specified name', 'NAME', {}, (args) => ({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: oneName(args, 'serviceaccount') } })),
    generator('deployment', ['deploy'], 'Create a deployment with the specified name', 'NAME --image=image -- [COMMAND] [args...]', { image: { type: 'strings', usage: 'Image names.' }, port: { type: 'int', default: -1, usage: 'Port that the container exposes.' }, replicas: { type: 'int', short: 'r', default: 1, usage: 'Number of replicas.' } }, (args, flags) => {
      const f = flags as unknown as { image: readonly string[]; port: number; replicas: number } // cast: parsed by the specs
      const [name, ...command] = args
      if (name === undefined) throw new UsageError('exactly one NAME is required, got 0', 'create deployment')
      if (f.image.length === 0) throw new KubectlError('required flag(s) "image" not set')
      const containers = f.image.map((image) => ({ ...(command.length > 0 ? { command } : {}), image, name: (image.split('/').at(-1) ?? image).split(/[:@]/)[0] ?? image, ...(f.port > 0 ? { ports: [{ containerPort: f.port }] } : {}), resources: {} }))
      return { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { labels: { app: name }, name }, spec: { replicas: f.replicas, selector: { matchLabels: { app: name } }, strategy: {}, template: { metadata: { labels: { app: name } }, spec: { containers } } }, status: {} }
    }),
    defineCommand({
      name: 'service', aliases: ['svc'], short: 'Create a service using a specified subcommand', usage: '(clusterip | externalname | loadbalancer | nodeport)', flags: {},
      subcommands: (['clusterip', 'nodeport', 'loadbalancer'] as const).map((type) => generator(type, [], `Create a ${type} service`, 'NAME [--tcp=<port>:<targetPort>]', { tcp: { type: 'strings', usage: 'Port pairs: port:targetPort.' }, 'node-port': { type: 'int', usage: 'Node port.' }, clusterip: { type: 'string', usage: "The cluster IP, or 'None'." } }, (args, flags) => {
        const f = flags as unknown as { tcp: readonly string[]; 'node-port': number; clusterip: string } // cast: parsed by the specs
        const name = oneName(args, `service ${type}`)
        if (f.tcp.length === 0 && f.clusterip !== 'None') throw new KubectlError('at least one tcp port specifier must be provided')
        const ports = f.tcp.map((pair) => { const [port = '', target = port] = pair.split(':'); return { name: pair.replace(':', '-'), port: Number(port), protocol: 'TCP', targetPort: /^\d+$/.test(target) ? Number(target) : target, ...(f['node-port'] ? { nodePort: f['node-port'] } : {}) } })
        return { apiVersion: 'v1', kind: 'Service', metadata: { labels: { app: name }, name }, spec: { ...(f.clusterip ? { clusterIP: f.clusterip } : {}), ports, selector: { app: name }, type: type === 'clusterip' ? 'ClusterIP' : type === 'nodeport' ? 'NodePort' : 'LoadBalancer' }, status: { loadBalancer: {} } }
      })),
    }),
  ],
  async run(context, { flags, args }) {
    if (args.length > 0) throw new UsageError(`unknown command ${JSON.stringify(args[0] ?? '')} for "kubectl create"`, 'create')
    if (flags.filename.length === 0) throw new UsageError('must specify one of -f and -k', 'create')
    const manifests = await readManifests(flags.filename, { recursive: flags.recursive, stdin: context.stdin })
    if (manifests.length === 0) throw new KubectlError('no objects passed to create')
    return createObjects(context, manifests.map((m) => m.object), flags)
  },
})

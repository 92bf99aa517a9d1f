// What commands that create objects share: their flags, the request itself, what is printed, and generators that make one object of arguments.
// Upstream: kubectl/pkg/cmd/create
import type { JsonObject } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { ApiError } from '../../../lib/client/api-error.ts'
import type { FlagSpecs } from '../../../lib/component-base/flags.ts'
import { KubectlError, UsageError, defineCommand } from '../command.ts'
import type { KubectlCommand, KubectlContext } from '../command.ts'
import { formatApiError } from '../format-api-error.ts'
import { formatOrderedJson, inTypeOrder } from '../printers/typed-json.ts'
import { createObjectPrinter, nameOf, parseOutputFormat, withoutManagedFields } from '../printers/output-format.ts'
import { collectionPath } from '../resources/object-path.ts'

export const outputFlags = {
  'dry-run': { type: 'string', default: 'none', whenAlone: 'unchanged', usage: 'none, server or client.' }, output: { type: 'string', short: 'o', usage: 'Output format.' }, template: { type: 'string', usage: 'Template for go-template and jsonpath.' },
  'field-manager': { type: 'string', default: 'kubectl-create', usage: 'Name under which the fields are owned.' }, validate: { type: 'string', default: 'strict', whenAlone: 'strict', usage: "strict, warn or ignore." },
  'save-config': { type: 'bool', usage: 'Keep the configuration in an annotation for a later apply.' }, 'show-managed-fields': { type: 'bool', usage: 'Keep managedFields in JSON and YAML.' },
} as const satisfies FlagSpecs

export interface OutputFlags {
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
export function printOutcome(context: KubectlContext, object: JsonObject, operation: string, flags: Pick<OutputFlags, 'output' | 'template' | 'dry-run' | 'show-managed-fields'>, typed = false): void {
  const suffix = flags['dry-run'] === 'client' ? ' (dry run)' : flags['dry-run'] === 'server' ? ' (server dry run)' : ''
  const format = parseOutputFormat(flags.output, flags.template)
  if (format.type === 'table') { context.out(`${nameOf(object)} ${operation}${suffix}\n`); return }
  if (typed && format.type === 'json') { context.out(formatOrderedJson(inTypeOrder(flags['show-managed-fields'] ? object : withoutManagedFields(object)))); return }
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

export async function createObjects(context: KubectlContext, objects: readonly JsonObject[], flags: OutputFlags, generated = ''): Promise<number> {
  const session = context.session()
  const dryRun = dryRunOf(flags['dry-run'])
  let failures = 0
  for (const given of objects) {
    const resource = dryRun === 'client' && !needsServer(given) ? undefined : await session.mapper.forKind(String(given['apiVersion']), String(given['kind']))
    if (!resource && dryRun !== 'client') throw new KubectlError(`resource mapping not found for name: ${JSON.stringify(nameIn(given))} namespace: ${JSON.stringify(namespaceIn(given))}: no matches for kind ${JSON.stringify(String(given['kind']))} in version ${JSON.stringify(String(given['apiVersion']))}\nensure CRDs are installed first`)
    const namespace = resource?.namespaced ? namespaceIn(given) || session.namespace : ''
    if (session.namespaceGiven && namespaceIn(given) !== '' && namespaceIn(given) !== session.namespace) throw new KubectlError(`the namespace from the provided object ${JSON.stringify(namespaceIn(given))} does not match the namespace ${JSON.stringify(session.namespace)}. You must pass '--namespace=${namespaceIn(given)}' to perform this operation.`)
    const placed = generated !== '' && session.namespaceGiven && !clusterScoped.has(String(given['kind'])) ? { ...given, metadata: { ...metadataOf(given), namespace: session.namespace } } : given
    const object = flags['save-config'] ? withLastApplied(placed) : placed
    if (dryRun === 'client' || !resource) { printOutcome(context, object, 'created', flags, generated !== ''); continue }
    try {
      const answer = await session.request('POST', collectionPath(resource, namespace, { fieldManager: flags['field-manager'], fieldValidation: fieldValidationOf(flags.validate), dryRun: dryRun === 'server' ? 'All' : undefined }), { body: object })
      printOutcome(context, { apiVersion: given['apiVersion'], kind: given['kind'], ...answer }, 'created', flags, generated !== '')
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      if (generated !== '' && !unwrapped.has(generated)) throw new KubectlError(`failed to create ${generated}${generated === 'secret' ? '' : ':'} ${error.message}`)
      failures++
      context.err(`${formatApiError(error)}\n`)
    }
  }
  return failures > 0 ? 1 : 0
}

const needsServer = (object: JsonObject): boolean => object['kind'] === undefined
export const metadataOf = (object: JsonObject): JsonObject => (isJsonObject(object['metadata']) ? object['metadata'] : {})
export const nameIn = (object: JsonObject): string => String(metadataOf(object)['name'] ?? '')
export const namespaceIn = (object: JsonObject): string => String(metadataOf(object)['namespace'] ?? '')

/** Kinds that generators make outside of namespaces. */
const clusterScoped = new Set(['Namespace', 'ClusterRole', 'ClusterRoleBinding', 'PriorityClass'])
/** Generators whose errors come as the server said them. */
const unwrapped = new Set(['namespace', 'role', 'clusterrole'])
/** How errors name what was to be created, where it isn't the subcommand's name. */
const shownName: { readonly [name: string]: string } = { poddisruptionbudget: 'poddisruptionbudgets', generic: 'secret', tls: 'secret', 'docker-registry': 'secret', clusterip: 'ClusterIP service', nodeport: 'NodePort service', loadbalancer: 'LoadBalancer service', externalname: 'ExternalName service' }

/** A subcommand that makes one object of its arguments. */
export function generator<const S extends FlagSpecs>(name: string, aliases: readonly string[], short: string, usage: string, flags: S, make: (args: readonly string[], flags: { readonly [K in keyof S]: never }, context: KubectlContext, argsBeforeDash: number) => JsonObject | Promise<JsonObject>): KubectlCommand {
  return defineCommand({
    name, aliases, short, usage, flags: { ...outputFlags, ...flags },
    async run(context, parsed) {
      const object = await make(parsed.args, parsed.flags as never, context, parsed.argsBeforeDash) // cast: parsed by the specs above
      return createObjects(context, [object], parsed.flags as never, shownName[name] ?? name) // cast: outputFlags are among the specs
    },
  })
}

export function oneName(args: readonly string[], command: string): string {
  if (args.length !== 1 || args[0] === undefined) throw new UsageError(`exactly one NAME is required, got ${args.length}`, `create ${command}`)
  return args[0]
}

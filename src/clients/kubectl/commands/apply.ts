// kubectl apply: makes the server's objects like the manifests, by a three-way patch (what was applied last, what is wanted, what is there)
// or on the server's side. Upstream: kubectl/pkg/cmd/apply
import type { JsonObject } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { createThreeWayMergePatch } from '../../../lib/apimachinery/merge-patch.ts'
import { createThreeWayStrategicMergePatch } from '../../../lib/api/create-strategic-merge-patch.ts'
import { typeIdOfApiVersion } from '../../../lib/api/type-lookup.ts'
import { ApiError, hasReason } from '../../../lib/client/api-error.ts'
import { KubectlError, UsageError, defineCommand } from '../command.ts'
import type { KubectlContext } from '../command.ts'
import type { ServerResource } from '../discovery/resource-mapper.ts'
import { formatApiError } from '../format-api-error.ts'
import { readManifests } from '../resources/manifest-files.ts'
import { collectionPath, objectPath } from '../resources/object-path.ts'
import { fetchObjects } from '../resources/resource-arguments.ts'
import type { Session } from '../session.ts'
import { dryRunOf, fieldValidationOf, lastAppliedAnnotation, printOutcome, withLastApplied } from './create-objects.ts'
import { nameOf } from '../printers/output-format.ts'
import { sortKeys } from '../printers/json-printer.ts'

const mostRetries = 5

const applyFlags = {
  all: { type: 'bool', usage: 'With --prune: all objects.' }, cascade: { type: 'string', default: 'background', whenAlone: 'background', usage: 'With --prune or --force: background, orphan or foreground.' }, 'dry-run': { type: 'string', default: 'none', whenAlone: 'unchanged', usage: 'none, server or client.' },
  'field-manager': { type: 'string', default: 'kubectl-client-side-apply', usage: 'Name under which the fields are owned.' }, filename: { type: 'strings', short: 'f', usage: 'Files, folders or - for standard input.' }, force: { type: 'bool', usage: 'Delete and make anew what a patch cannot change.' },
  'force-conflicts': { type: 'bool', usage: 'With --server-side: take fields over that others own.' }, output: { type: 'string', short: 'o', usage: 'Output format.' }, overwrite: { type: 'bool', default: true, usage: 'Resolve conflicts in favour of the manifest.' },
  prune: { type: 'bool', usage: 'Delete applied objects that the manifests no longer hold.' }, 'prune-allowlist': { type: 'strings', usage: 'Kinds to prune: group/version/kind.' }, recursive: { type: 'bool', short: 'R', usage: 'Look for files in folders below, too.' }, selector: { type: 'string', short: 'l', usage: 'Selector of labels.' },
  'server-side': { type: 'bool', usage: 'Let the server do the merge.' }, 'show-managed-fields': { type: 'bool', usage: 'Keep managedFields in JSON and YAML.' }, template: { type: 'string', usage: 'Template for go-template and jsonpath.' }, validate: { type: 'string', default: 'strict', whenAlone: 'strict', usage: 'strict, warn or ignore.' },
} as const

export const applyCommand = defineCommand({
  name: 'apply', group: 'Advanced Commands', short: 'Apply a configuration to a resource by file name or stdin', usage: '(-f FILENAME | -k DIRECTORY) [options]', examples: '  kubectl apply -f ./web.yaml\n  cat pod.json | kubectl apply -f -', flags: applyFlags,
  async run(context, { flags, args, given }) {
    if (args.length > 0) throw new UsageError(`Unexpected args: [${args.join(' ')}]`, 'apply')
    if (flags.filename.length === 0) throw new KubectlError('must specify one of -f and -k')
    if (flags['force-conflicts'] && !flags['server-side']) throw new KubectlError('--force-conflicts only works with --server-side')
    const dryRun = dryRunOf(flags['dry-run'])
    if (dryRun === 'client' && flags['server-side']) throw new KubectlError("--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)")
    const session = context.session()
    const manifests = await readManifests(flags.filename, { recursive: flags.recursive, stdin: context.stdin })
    if (manifests.length === 0) throw new KubectlError('no objects passed to apply')
    const applied: { readonly resource: ServerResource; readonly namespace: string; readonly uid: string }[] = []
    const errors: string[] = []
    for (const { object, source } of manifests) {
      try {
        const resource = await session.mapper.forKind(String(object['apiVersion']), String(object['kind']))
        if (!resource) throw new KubectlError(`resource mapping not found for name: ${JSON.stringify(nameIn(object))} namespace: ${JSON.stringify(namespaceIn(object))} from ${JSON.stringify(source)}: no matches for kind ${JSON.stringify(String(object['kind']))} in version ${JSON.stringify(String(object['apiVersion']))}\nensure CRDs are installed first`)
        const namespace = resource.namespaced ? namespaceIn(object) || session.namespace : ''
        if (session.namespaceGiven && resource.namespaced && namespace !== session.namespace) throw new KubectlError(`the namespace from the provided object ${JSON.stringify(namespace)} does not match the namespace ${JSON.stringify(session.namespace)}. You must pass '--namespace=${namespace}' to perform this operation.`)
        if (nameIn(object) === '') throw new KubectlError(isJsonObject(object['metadata']) && object['metadata']['generateName'] ? `from ${String(object['metadata']['generateName'])}: cannot use generate name with apply` : `error when retrieving current configuration of:\n${describeTarget(resource, '', namespace)}\nfrom server for: ${JSON.stringify(source)}: resource name may not be empty`)
        const target: Target = { session, resource, namespace, name: nameIn(object), source, dryRun, fieldValidation: fieldValidationOf(flags.validate), fieldManager: flags['server-side'] && !given.has('field-manager') ? 'kubectl' : flags['field-manager'] }
        const placed: JsonObject = resource.namespaced ? { ...object, metadata: { ...metadataOf(object), namespace } } : object
        const outcome = flags['server-side'] ? await applyOnServer(target, placed, flags['force-conflicts']) : await applyOnClient(context, target, placed, flags)
        applied.push({ resource, namespace, uid: uidIn(outcome.object) })
        printOutcome(context, { apiVersion: object['apiVersion'], kind: object['kind'], ...outcome.object }, outcome.operation, flags)
      } catch (error) {
        if (error instanceof ApiError) errors.push(formatApiError(new ApiError({ ...error.status, message: error.message })).replace(/^Error from server/, `Error from server`))
        else if (error instanceof KubectlError) errors.push(manifests.length > 1 ? error.message : `error: ${error.message}`)
        else throw error
      }
    }
    for (const error of errors) context.err(`${error}\n`)
    if (flags.prune && errors.length === 0) await prune(context, session, applied, flags, dryRun)
    return errors.length > 0 ? 1 : 0
  },
})

/** Which object, as messages about it say. */
function describeTarget(resource: ServerResource, name: string, namespace: string): string {
  const groupVersion = `${resource.group}/${resource.version}`
  return `Resource: "${groupVersion}, Resource=${resource.resource}", GroupVersionKind: "${groupVersion}, Kind=${resource.kind}"\nName: ${JSON.stringify(name)}, Namespace: ${JSON.stringify(namespace)}`
}

interface Target {
  readonly session: Session
  readonly resource: ServerResource
  readonly namespace: string
  readonly name: string
  readonly source: string
  readonly dryRun: 'none' | 'client' | 'server'
  readonly fieldValidation: string
  readonly fieldManager: string
}

interface Outcome {
  readonly object: JsonObject
  readonly operation: string
}

async function applyOnServer(target: Target, object: JsonObject, force: boolean): Promise<Outcome> {
  const { session, resource, namespace, name } = target
  try {
    const answer = await session.request('PATCH', objectPath(resource, namespace, name, '', { fieldManager: target.fieldManager, fieldValidation: target.fieldValidation, force: String(force), dryRun: target.dryRun === 'server' ? 'All' : undefined }), { body: object, contentType: 'application/apply-patch+yaml' })
    return { object: answer, operation: 'serverside-applied' }
  } catch (error) {
    if (hasReason(error, 'UnsupportedMediaType')) throw new KubectlError(`Server-side apply not available on the server: (${error.message})`)
    if (!hasReason(error, 'Conflict')) throw error
    throw new KubectlError(`${error.message}\nPlease review the fields above--they currently have other managers. Here\nare the ways you can resolve this warning:\n* If you intend to manage all of these fields, please re-run the apply\n  command with the \`--force-conflicts\` flag.\n* If you do not intend to manage all of the fields, please edit your\n  manifest to remove references to the fields that should keep their\n  current managers.\n* You may co-own fields by updating your manifest to match the existing\n  value; in this case, you'll become the manager if the other manager(s)\n  stop managing the field (remove it from their configuration).\nSee https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts`)
  }
}

async function applyOnClient(context: KubectlContext, target: Target, given: JsonObject, flags: { readonly force: boolean; readonly overwrite: boolean; readonly cascade: string }): Promise<Outcome> {
  const { session, resource, namespace, name } = target
  const modified = withLastApplied(given)
  const query = { fieldManager: target.fieldManager, fieldValidation: target.fieldValidation, dryRun: target.dryRun === 'server' ? 'All' : undefined }
  const create = async (): Promise<Outcome> => ({ object: target.dryRun === 'client' ? modified : await session.request('POST', collectionPath(resource, namespace, query), { body: modified }), operation: 'created' })
  for (let attempt = 0; ; attempt++) {
    let current: JsonObject
    try {
      current = await session.request('GET', objectPath(resource, namespace, name))
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error
      return create()
    }
    const annotations = isJsonObject(current['metadata']) && isJsonObject(current['metadata']['annotations']) ? current['metadata']['annotations'] : {}
    const lastApplied = annotations[lastAppliedAnnotation]
    if (typeof lastApplied !== 'string') context.err(`Warning: resource ${resource.resource}/${name} is missing the ${lastAppliedAnnotation} annotation which is required by kubectl apply. kubectl apply should only be used on resources created declaratively by either kubectl create --save-config or kubectl apply. The missing annotation will be patched automatically.\n`)
    const original = typeof lastApplied === 'string' ? parseObject(lastApplied) : {}
    const typeId = typeIdOfApiVersion(String(given['apiVersion']), String(given['kind']))
    const patch = typeId !== undefined && !isCustom(resource) ? createThreeWayStrategicMergePatch(typeId, original, modified, current, flags.overwrite) : createThreeWayMergePatch(original, modified, current)
    if (Object.keys(patch).length === 0) return { object: current, operation: 'unchanged' }
    if (target.dryRun === 'client') return { object: current, operation: 'configured' }
    try {
      const answer = await session.request('PATCH', objectPath(resource, namespace, name, '', query), { body: patch, contentType: typeId !== undefined && !isCustom(resource) ? 'application/strategic-merge-patch+json' : 'application/merge-patch+json' })
      const unchanged = JSON.stringify({ ...answer, kind: '', apiVersion: '' }) === JSON.stringify({ ...current, kind: '', apiVersion: '' })
      return { object: answer, operation: unchanged ? 'unchanged' : 'configured' }
    } catch (error) {
      if (hasReason(error, 'Conflict') && attempt < mostRetries) continue
      if (hasReason(error, 'Conflict', 'Invalid') && flags.force) {
        await session.request('DELETE', objectPath(resource, namespace, name), { body: { kind: 'DeleteOptions', apiVersion: 'v1', propagationPolicy: 'Background', gracePeriodSeconds: 0 } })
        for await (const _events of session.watch(collectionPath(resource, namespace, { fieldSelector: `metadata.name=${name}`, watch: true, timeoutSeconds: 30 }))) if (_events.some((e) => e.type === 'DELETED')) break
        return { ...await create(), operation: 'configured' }
      }
      if (!(error instanceof ApiError) || error.reason === 'Invalid') throw error
      throw new ApiError({ ...error.status, message: `error when applying patch:\n${goJson(patch)}\nto:\n${describeTarget(resource, name, namespace)}\nfor: ${JSON.stringify(target.source)}: error when patching ${JSON.stringify(target.source)}: ${error.message}` })
    }
  }
}

/** Built-in kinds have a schema here; kinds of others are patched by RFC 7386. */
function isCustom(resource: ServerResource): boolean {
  return typeIdOfApiVersion(resource.group ? `${resource.group}/${resource.version}` : resource.version, resource.kind) === undefined
}

function parseObject(text: string): JsonObject {
  try {
    const parsed: unknown = JSON.parse(text)
    return isJsonObject(parsed) ? parsed : {}
  } catch {
    return {} // somebody broke the annotation: nothing counts as applied before
  }
}

const defaultPruned: readonly string[] = ['v1/ConfigMap', 'v1/Endpoints', 'v1/Namespace', 'v1/PersistentVolumeClaim', 'v1/PersistentVolume', 'v1/Pod', 'v1/ReplicationController', 'v1/Secret', 'v1/Service', 'batch/v1/Job', 'batch/v1/CronJob', 'networking.k8s.io/v1/Ingress', 'apps/v1/DaemonSet', 'apps/v1/Deployment', 'apps/v1/ReplicaSet', 'apps/v1/StatefulSet']

/** Deletes what was applied before, matches the selector, and isn't among what was applied now. */
async function prune(context: KubectlContext, session: Session, applied: readonly { readonly namespace: string; readonly uid: string }[], flags: { readonly selector: string; readonly all: boolean; readonly 'prune-allowlist': readonly string[] }, dryRun: string): Promise<void> {
  if (!flags.all && flags.selector === '') throw new KubectlError('all resources selected for prune without explicitly passing --all. To prune all resources, pass the --all flag. If you did not mean to prune all resources, specify a label selector')
  const kept = new Set(applied.map((a) => a.uid))
  const namespaces = new Set(applied.map((a) => a.namespace).filter((n) => n !== ''))
  for (const entry of flags['prune-allowlist'].length > 0 ? flags['prune-allowlist'].map((e) => e.replace(/^core\//, '')) : defaultPruned) {
    const at = entry.lastIndexOf('/')
    const resource = await session.mapper.forKind(entry.slice(0, at), entry.slice(at + 1))
    if (!resource) continue
    for (const namespace of resource.namespaced ? namespaces : ['']) {
      for (const object of await fetchObjects(session, { type: 'collection', resource, namespace }, { labelSelector: flags.selector })) {
        const metadata = isJsonObject(object['metadata']) ? object['metadata'] : {}
        const annotations = isJsonObject(metadata['annotations']) ? metadata['annotations'] : {}
        if (annotations[lastAppliedAnnotation] === undefined || kept.has(uidIn(object)) || metadata['deletionTimestamp'] !== undefined) continue
        if (dryRun === 'none') await session.request('DELETE', objectPath(resource, namespace, nameIn(object)), { body: { kind: 'DeleteOptions', apiVersion: 'v1', propagationPolicy: 'Background' } })
        context.out(`${nameOf({ apiVersion: entry.slice(0, at), kind: resource.kind, ...object })} pruned${dryRun === 'none' ? '' : ` (${dryRun === 'server' ? 'server ' : ''}dry run)`}\n`)
      }
    }
  }
}

const metadataOf = (object: JsonObject): JsonObject => (isJsonObject(object['metadata']) ? object['metadata'] : {})
const nameIn = (object: JsonObject): string => String(metadataOf(object)['name'] ?? '')
const namespaceIn = (object: JsonObject): string => String(metadataOf(object)['namespace'] ?? '')
const uidIn = (object: JsonObject): string => String(metadataOf(object)['uid'] ?? '')

/** JSON with sorted keys and Go's escapes, as Go encodes a map. */
function goJson(value: JsonObject): string {
  return JSON.stringify(sortKeys(value)).replace(/[<>&]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

// delete and deletecollection: what happens to the object now (goes, or is marked and kept), decided purely, then written in one transaction.
// Upstream: apiserver/pkg/registry/generic/registry/store.go, apiserver/pkg/registry/rest/delete.go
import { formatTime } from '../../../lib/base/clock.ts'
import { fieldInvalid, fieldNotSupported } from '../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../lib/apimachinery/field-error.ts'
import { newDeleteSuccess } from '../../../lib/apimachinery/status.ts'
import type { DeleteOptions } from '../../../lib/api/generated/types/meta-v1.ts'
import { decodeProtobufEnvelope, hasProtobufPrefix } from '../../../lib/api/protobuf-codec.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'
import { hasReason } from '../../../lib/client/api-error.ts'
import { objectKey } from '../storage/storage-keys.ts'
import type { UpdateOutcome } from '../storage/resource-store.ts'
import { asJson } from '../storage/stored-object.ts'
import type { StoredObject } from '../storage/stored-object.ts'
import type { ResourceStrategy } from '../registry/strategy.ts'
import type { Answer, ApiCall } from './api-call.ts'
import { objectAnswer } from './api-call.ts'
import { conflict, forbidden, invalid, notFound } from './api-errors.ts'
import { admissionRequest, writeRequest } from './create.ts'
import type { WriteRequest } from './create.ts'
import { decodeAs } from './decode-body.ts'
import { parseListOptions } from './list-options.ts'
import { selectObjects } from './read.ts'
import type { ServedResource } from './served-resource.ts'
import type { ServerContext } from './server-context.ts'
import { hasNamespaceFinalizers, isNamespace } from './update.ts'
import { parseBoolean, parseInteger } from './write-options.ts'

const immortalNamespaces: ReadonlySet<string> = new Set(['default', 'kube-system', 'kube-public'])

export async function deleteObject(server: ServerContext, resource: ServedResource, call: ApiCall, name: string): Promise<Answer> {
  const options = await readDeleteOptions(call)
  const request = writeRequest(call, { dryRun: isDryRun(options), fieldManager: '' })
  if (options.ignoreStoreReadErrorWithClusterBreakingPotential === true) return deleteUnreadable(server, resource, call.info.namespace, name, request)
  const result = await removeObject(server, resource, call.info.namespace, name, options, request)
  if (resource.info.group === 'batch' && resource.info.resource === 'jobs' && options.propagationPolicy === undefined && options.orphanDependents === undefined) {
    request.warn('child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning')
  }
  const status = result.gone || options.orphanDependents !== false ? 200 : 202
  if (result.gone && !resource.strategy.returnsDeletedObject) {
    return objectAnswer(status, asJson(newDeleteSuccess(resource.store.resource, name, result.object.object.metadata.uid)), 'io.k8s.apimachinery.pkg.apis.meta.v1.Status')
  }
  return { type: 'stored', status, object: result.object, resource }
}

/** Removes what is in etcd and can't be read, without a look at finalizers: there is nobody to tell what they are. Takes a permission of its own. */
async function deleteUnreadable(server: ServerContext, resource: ServedResource, namespace: string, name: string, request: WriteRequest): Promise<Answer> {
  const { info, store } = resource
  const verb = 'unsafe-delete-ignore-read-errors'
  const allowed = server.authorizer.authorize({ user: request.user, verb, isResource: true, group: info.group, version: info.version, resource: info.resource, subresource: '', namespace: info.namespaced ? namespace : '', name, path: '' })
  if (allowed.decision !== 'allow') throw forbidden(store.resource, name, `not permitted to do ${JSON.stringify(verb)}, reason: ${allowed.reason}`)
  await store.removeUnreadable(objectKey(info.namespaced ? namespace : '', name), name, request.dryRun, request.signal)
  return objectAnswer(200, asJson(newDeleteSuccess(store.resource, name, '')), 'io.k8s.apimachinery.pkg.apis.meta.v1.Status')
}

export async function deleteCollection(server: ServerContext, resource: ServedResource, call: ApiCall): Promise<Answer> {
  const options = await readDeleteOptions(call)
  if (options.ignoreStoreReadErrorWithClusterBreakingPotential === true) {
    throw invalid('meta.k8s.io', 'DeleteOptions', '', [fieldInvalid('ignoreStoreReadErrorWithClusterBreakingPotential', true, 'is not allowed with DELETECOLLECTION, try again after removing the option')])
  }
  const list = parseListOptions(call.query, resource.strategy, false)
  const { objects, metadata } = await selectObjects(resource, call, list)
  const request = writeRequest(call, { dryRun: isDryRun(options), fieldManager: '' })
  let next = 0
  const worker = async (): Promise<void> => {
    for (;;) {
      const object = objects[next++]
      if (!object) return
      const { namespace = '', name } = object.object.metadata
      try { await removeObject(server, resource, namespace, name, options, request) } catch (error) { if (!hasReason(error, 'NotFound')) throw error }
    }
  }
  await Promise.all(Array.from({ length: Math.min(server.deleteCollectionWorkers, objects.length) }, worker))
  return { type: 'list', resource, objects, metadata }
}

/** From the body, or from the query when there is none. @throws ApiError 400, 415, 422 */
export async function readDeleteOptions(call: ApiCall): Promise<DeleteOptions> {
  const body = await call.readBody()
  let options: DeleteOptions
  if (body.kind === 'none' || (body.kind === 'bytes' && body.bytes.length === 0)) {
    const grace = parseInteger(call.query, 'gracePeriodSeconds')
    const orphan = parseBoolean(call.query, 'orphanDependents')
    const policy = call.query.get('propagationPolicy')
    const unreadable = parseBoolean(call.query, 'ignoreStoreReadErrorWithClusterBreakingPotential')
    const uid = call.query.get('preconditions.uid') ?? undefined
    const resourceVersion = call.query.get('preconditions.resourceVersion') ?? undefined
    options = {
      ...(grace !== undefined && { gracePeriodSeconds: grace }), ...(orphan !== undefined && { orphanDependents: orphan }), ...(policy !== null && { propagationPolicy: policy }),
      ...((uid !== undefined || resourceVersion !== undefined) && { preconditions: { ...(uid !== undefined && { uid }), ...(resourceVersion !== undefined && { resourceVersion }) } }),
      ...(call.query.has('dryRun') && { dryRun: call.query.getAll('dryRun') }), ...(unreadable !== undefined && { ignoreStoreReadErrorWithClusterBreakingPotential: unreadable }),
    }
  } else {
    // Any group's version is taken: `policy/v1`, `apps/v1`, …
    const expected = { apiVersion: apiVersionIn(body), kind: 'DeleteOptions', type: 'io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions' }
    options = (await decodeAs(expected, call, body, 'Ignore')) as unknown as DeleteOptions // cast: decoded by the schema
    if (call.query.has('dryRun') && (options.dryRun ?? []).length === 0) options = { ...options, dryRun: call.query.getAll('dryRun') }
  }
  const errors: FieldError[] = []
  if (options.orphanDependents !== undefined && options.propagationPolicy !== undefined) errors.push(fieldInvalid('propagationPolicy', options.propagationPolicy, 'orphanDependents and deletionPropagation cannot be both set'))
  const policies = ['Foreground', 'Background', 'Orphan']
  if (options.propagationPolicy !== undefined && !policies.includes(options.propagationPolicy)) errors.push(fieldNotSupported('propagationPolicy', options.propagationPolicy, [...policies, 'nil']))
  const wrong = (options.dryRun ?? []).filter((value) => value !== 'All')
  if (wrong.length > 0) errors.push(fieldNotSupported('dryRun', wrong, ['All']))
  if (options.ignoreStoreReadErrorWithClusterBreakingPotential === true) {
    for (const other of ['propagationPolicy', 'orphanDependents', 'gracePeriodSeconds', 'preconditions'] as const) {
      if (options[other] !== undefined) errors.push(fieldInvalid('ignoreStoreReadErrorWithClusterBreakingPotential', true, `cannot be set together with .${other}`))
    }
  }
  if (errors.length > 0) throw invalid('meta.k8s.io', 'DeleteOptions', '', errors)
  return options
}

function apiVersionIn(body: Awaited<ReturnType<ApiCall['readBody']>>): string {
  if (body.kind === 'object') return typeof body.object['apiVersion'] === 'string' ? body.object['apiVersion'] : 'v1'
  if (body.kind !== 'bytes') return 'v1'
  if (hasProtobufPrefix(body.bytes)) {
    try { return decodeProtobufEnvelope(body.bytes).apiVersion || 'v1' } catch { return 'v1' }
  }
  const text = Buffer.from(body.bytes.subarray(0, 4096)).toString('latin1')
  const match = body.mediaType === 'application/yaml' ? /^\s*["']?apiVersion["']?\s*:\s*["']?([^\s"'#,}]{1,100})/m.exec(text) : /"apiVersion"\s*:\s*"([^"\\]{1,100})"/.exec(text)
  return match?.[1] ?? 'v1'
}

const isDryRun = (options: DeleteOptions): boolean => (options.dryRun ?? []).includes('All')

/** Deletes one object, or marks it and leaves the rest to those who hold finalizers. @throws ApiError */
export async function removeObject(
  server: ServerContext, resource: ServedResource, namespace: string, name: string, options: DeleteOptions, request: WriteRequest,
): Promise<{ readonly object: StoredObject; readonly gone: boolean }> {
  const { store, strategy } = resource
  const key = objectKey(strategy.info.namespaced ? namespace : '', name)
  if (isNamespace(resource) && immortalNamespaces.has(name)) throw forbidden(store.resource, name, 'this namespace may not be deleted')
  let gone = false
  const result = await store.update(key, name, async (current): Promise<UpdateOutcome> => {
    if (!current) throw notFound(store.resource, name)
    const { object } = current
    const { uid, resourceVersion } = options.preconditions ?? {}
    if (uid !== undefined && uid !== object.metadata.uid) throw conflict(store.resource, name, `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${object.metadata.uid}`)
    if (resourceVersion !== undefined && resourceVersion !== object.metadata.resourceVersion) throw conflict(store.resource, name, `Precondition failed: ResourceVersion in precondition: ${resourceVersion}, ResourceVersion in object meta: ${object.metadata.resourceVersion}`)
    await server.admission.validate(admissionRequest(resource, request, 'DELETE', namespace, name, undefined, object))
    const plan = planDeletion(strategy, object, options, request.nowMs, isNamespace(resource), server.garbageCollection)
    gone = plan.type === 'delete'
    if (request.dryRun) return { type: 'keep' }
    if (plan.type !== 'delete') return plan
    const extra = server.services.releaseOf(resource, object)
    return extra ? { ...plan, extra } : plan
  }, request.signal)
  return { object: result.object, gone }
}

/** What a delete makes of an object. Pure. Where nobody collects dependents, nothing is left for them to do. */
export function planDeletion(strategy: ResourceStrategy, object: ApiObject, options: DeleteOptions, nowMs: number, namespace: boolean, garbageCollection = true): UpdateOutcome {
  const { metadata } = object
  const finalizers = garbageCollection ? finalizersAfter(strategy, metadata.finalizers ?? [], options) : metadata.finalizers ?? []
  if (namespace) {
    if (metadata.deletionTimestamp === undefined) {
      // cast: a Namespace
      const { status } = object as { readonly status?: object }
      const marked = { ...object, metadata: { ...metadata, deletionTimestamp: formatTime(nowMs), ...(finalizers.length > 0 && { finalizers }) }, status: { ...status, phase: 'Terminating' } }
      return hasNamespaceFinalizers(object) || finalizers.length > 0 ? { type: 'put', object: marked } : { type: 'delete' }
    }
    return hasNamespaceFinalizers(object) || finalizers.length > 0 ? { type: 'keep' } : { type: 'delete' }
  }
  const grace = gracePeriod(strategy, object, options)
  const pending = metadata.deletionTimestamp !== undefined
  if (finalizers.length === 0 && grace === 0) return { type: 'delete' }
  const withFinalizers = (meta: ApiObject['metadata']): ApiObject['metadata'] => {
    const { finalizers: _f, ...rest } = meta
    return finalizers.length > 0 ? { ...rest, finalizers } : rest
  }
  if (!pending) {
    const marked = withFinalizers({ ...metadata, ...((metadata.generation ?? 0) > 0 && { generation: (metadata.generation ?? 0) + 1 }), deletionTimestamp: formatTime(nowMs + grace * 1000), deletionGracePeriodSeconds: grace })
    return { type: 'put', object: { ...object, metadata: marked } }
  }
  const already = metadata.deletionGracePeriodSeconds ?? 0
  if (grace >= already) {
    const changed = finalizers.join() !== (metadata.finalizers ?? []).join()
    return changed ? { type: 'put', object: { ...object, metadata: withFinalizers(metadata) } } : { type: 'keep' }
  }
  // A shorter time than was asked for first: count from the first request on, but never into the past.
  const startMs = Date.parse(metadata.deletionTimestamp ?? '') - already * 1000
  const late = startMs + grace * 1000 < nowMs && grace > 0
  const end = late ? nowMs + 1000 : Math.max(startMs + grace * 1000, grace === 0 ? nowMs : 0)
  return { type: 'put', object: { ...object, metadata: withFinalizers({ ...metadata, deletionTimestamp: formatTime(end), deletionGracePeriodSeconds: late ? 1 : grace }) } }
}

/** Seconds that the object is left to stop; 0: it goes at once. */
function gracePeriod(strategy: ResourceStrategy, object: ApiObject, options: DeleteOptions): number {
  const own = strategy.gracePeriodSeconds?.(object)
  if (own === undefined || own === 0 || !strategy.gracePeriodSeconds) return 0
  const asked = options.gracePeriodSeconds ?? own
  return asked < 0 ? 1 : asked
}

function finalizersAfter(strategy: ResourceStrategy, have: readonly string[], options: DeleteOptions): readonly string[] {
  if (strategy.info.resource === 'events') return have
  const policy = options.propagationPolicy ?? (options.orphanDependents === undefined ? undefined : options.orphanDependents ? 'Orphan' : 'Background')
  const others = have.filter((f) => f !== 'orphan' && f !== 'foregroundDeletion')
  switch (policy) {
    case 'Orphan': return [...others, 'orphan']
    case 'Foreground': return [...others, 'foregroundDeletion']
    case undefined:
      if (have.includes('orphan')) return [...others, 'orphan']
      if (have.includes('foregroundDeletion')) return [...others, 'foregroundDeletion']
      return strategy.defaultPropagation === 'Orphan' ? [...others, 'orphan'] : others
    default: return others
  }
}

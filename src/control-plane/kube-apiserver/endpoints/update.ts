// update and patch: one loop for both. What is to be stored is made from the current object, checked, and written if nobody else wrote meanwhile.
// Upstream: apiserver/pkg/endpoints/handlers/{update,patch}.go, apiserver/pkg/registry/generic/registry/store.go
import { fieldInvalid } from '../../../lib/apimachinery/field-error.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'
import { objectKey } from '../storage/storage-keys.ts'
import type { UpdateOutcome } from '../storage/resource-store.ts'
import { badRequest, conflict, forbidden, invalid, modified, notFound } from './api-errors.ts'
import type { Answer, ApiCall } from './api-call.ts'
import { admissionRequest, inNamespaceOf, storeNew, writeAnswer, writeRequest } from './create.ts'
import type { WriteRequest, WriteResult } from './create.ts'
import { decodeObject } from './decode-body.ts'
import { trackFields } from './managed-fields.ts'
import { hasFinalizers, metaForUpdate, withMeta } from './object-meta.ts'
import type { ServedResource } from './served-resource.ts'
import type { ServerContext } from './server-context.ts'
import { explainForbidden } from '../authorization/authorizer.ts'
import { parseWriteOptions } from './write-options.ts'

/** Makes the wanted object from the current one, both in the storage version's shape. */
export type Change = (current: ApiObject) => ApiObject | Promise<ApiObject>

export async function updateObject(server: ServerContext, resource: ServedResource, call: ApiCall, name: string): Promise<Answer> {
  const options = parseWriteOptions(call.query, call.headers, 'UpdateOptions')
  const body = inNamespaceOf(resource, await decodeObject(resource, call, options.fieldValidation), call.info.namespace)
  const given = body.metadata.name ?? ''
  if (given === '') throw badRequest(`the name of the object (${name} based on URL) was undeterminable: name must be provided`)
  if (given !== name) throw badRequest(`the name of the object (${given}) does not match the name on the URL (${name})`)
  const request = writeRequest(call, options)
  const wanted = resource.conversion ? resource.conversion.toStorage(body) : body
  const { subresource } = call.info
  const result = await storeChange(server, resource, call.info.namespace, name, subresource, () => wanted, request, {
    createWhenMissing: subresource === '' && resource.strategy.allowCreateOnUpdate ? () => body : undefined,
  })
  return writeAnswer(resource, result.created ? 201 : 200, result.result)
}

export interface ChangeOptions {
  /** What to create when there is nothing to change. */
  readonly createWhenMissing: (() => ApiObject) | undefined
  /** The change brings its own managedFields. */
  readonly applied?: boolean
  /** The subresource under which the writer's fields are kept; the written one unless told. */
  readonly trackedAs?: string
}

/** The loop. @throws ApiError NotFound, Conflict, Invalid, Forbidden */
export async function storeChange(
  server: ServerContext, resource: ServedResource, namespace: string, name: string, subresource: string, change: Change, request: WriteRequest, options: ChangeOptions,
): Promise<{ readonly result: WriteResult; readonly created: boolean }> {
  const { store, strategy } = resource
  const key = objectKey(strategy.info.namespaced ? namespace : '', name)
  let dryRunResult: ApiObject | undefined
  let created: WriteResult | undefined
  const reservations: { release(): void; commit(): void }[] = []
  try {
    const result = await store.update(key, name, async (current): Promise<UpdateOutcome> => {
      for (const r of reservations.splice(0)) r.release()
      if (!current) {
        if (!options.createWhenMissing) throw notFound(store.resource, name)
        const wanted = options.createWhenMissing()
        if ((wanted.metadata.uid ?? '') !== '') throw conflict(store.resource, name, `Precondition failed: UID in precondition: ${wanted.metadata.uid}, UID in object meta: `)
        const allowed = server.authorizer.authorize({ user: request.user, verb: 'create', isResource: true, group: resource.info.group, version: resource.info.version, resource: resource.info.resource, subresource: '', namespace, name, path: '' })
        if (allowed.decision !== 'allow') {
          throw forbidden(store.resource, name, explainForbidden({ user: request.user, verb: 'create', isResource: true, group: resource.info.group, version: resource.info.version, resource: resource.info.resource, subresource: '', namespace, name, path: '' }, allowed.reason))
        }
        const { resourceVersion: _rv, ...metadata } = wanted.metadata
        // cast: a new object has no version yet
        created = await storeNew(server, resource, { ...wanted, metadata: metadata as ApiObject['metadata'] }, namespace, request, options.applied)
        throw createdInstead
      }
      const old = current.object
      const changed = await change(old)
      if (changed === old) return { type: 'keep' }
      const next = await nextObject(server, resource, namespace, name, subresource, old, changed, request, options)
      const reservation = server.services.reserve(resource, next, old, request.dryRun)
      if (reservation) reservations.push(reservation)
      const object = reservation?.object ?? next
      if (request.dryRun) { dryRunResult = object; return { type: 'keep' } }
      if (goesWithUpdate(resource, object)) return { type: 'delete', last: object, ...withExtra(server.services.releaseOf(resource, old)) }
      const lease = strategy.info.resource === 'events' ? await server.eventLease.get() : undefined
      return { type: 'put', object, ...withExtra(reservation?.extra), ...(lease !== undefined && { lease }) }
    }, request.signal)
    for (const r of reservations.splice(0)) r.commit()
    return { result: dryRunResult ? { dryRun: dryRunResult } : { stored: result.object }, created: result.outcome === 'created' }
  } catch (error) {
    for (const r of reservations.splice(0)) r.release()
    if (error === createdInstead && created) return { result: created, created: true }
    throw error
  }
}

const createdInstead = new Error('created instead of updated')
const withExtra = <T>(extra: T | undefined): { readonly extra?: T } => (extra === undefined ? {} : { extra })

/** The object as it would be stored, after admission, preparation and validation. */
async function nextObject(
  server: ServerContext, resource: ServedResource, namespace: string, name: string, subresource: string, old: ApiObject, wanted: ApiObject, request: WriteRequest, options: ChangeOptions,
): Promise<ApiObject> {
  const { store, strategy } = resource
  const { info } = strategy
  const context = { user: request.user, nowMs: request.nowMs, dryRun: request.dryRun, warn: request.warn }
  const uid = wanted.metadata.uid ?? ''
  if (uid !== '' && uid !== old.metadata.uid) throw conflict(store.resource, name, `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid}`)
  const version = wanted.metadata.resourceVersion ?? ''
  if (version === '' || version === '0') {
    if (!strategy.allowUnconditionalUpdate) throw invalid(info.group, info.kind, name, [fieldInvalid('metadata.resourceVersion', 0, 'must be specified for an update')])
  } else if (version !== old.metadata.resourceVersion) throw modified(store.resource, name)
  const defaulted = strategy.applyDefaults(wanted)
  const admission = admissionRequest(resource, request, 'UPDATE', namespace, name, defaulted, old, subresource)
  const admitted = (await server.admission.mutate(admission)) ?? defaulted
  const withOwn = withMeta(admitted, metaForUpdate(admitted.metadata, old.metadata, strategy, request.warn))
  const rules = subresource === '' ? strategy : subresource === 'status' ? strategy.status : strategy.subresources?.[subresource]
  if (!rules) throw notFound(store.resource, `${name}/${subresource}`)
  let prepared = rules.prepareForUpdate(withOwn, old, context)
  if (strategy.tracksGeneration && subresource !== 'status' && strategy.desiredStateChanged?.(prepared, old)) {
    prepared = withMeta(prepared, { ...prepared.metadata, generation: (old.metadata.generation ?? 0) + 1 })
  }
  // Before validation: who sends managedFields that are none resets them.
  if (!options.applied) prepared = await trackFields(server.clock, resource, options.trackedAs ?? subresource, old, prepared, request)
  const errors = rules.validateUpdate(prepared, old, context)
  if (errors.length > 0) throw invalid(info.group, info.kind, name, errors)
  if (subresource === '') for (const text of strategy.warnings?.(prepared, old, context) ?? []) request.warn(text)
  await server.admission.validate({ ...admission, object: prepared })
  return prepared
}

/** The last finalizer has gone from something that is being deleted. */
function goesWithUpdate(resource: ServedResource, object: ApiObject): boolean {
  const { metadata } = object
  if (metadata.deletionTimestamp === undefined || hasFinalizers(metadata) || (metadata.deletionGracePeriodSeconds ?? 0) !== 0) return false
  return !isNamespace(resource) || !hasNamespaceFinalizers(object)
}

export const isNamespace = (resource: ServedResource): boolean => resource.info.group === '' && resource.info.resource === 'namespaces'

export function hasNamespaceFinalizers(object: ApiObject): boolean {
  const { spec } = object as { readonly spec?: { readonly finalizers?: readonly string[] } } // cast: the caller has a Namespace
  return (spec?.finalizers?.length ?? 0) > 0
}

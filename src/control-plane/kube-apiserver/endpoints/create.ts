// create: defaults, admission, names and identity, validation, and one transaction.
// Upstream: apiserver/pkg/endpoints/handlers/create.go, apiserver/pkg/registry/generic/registry/store.go
import { fieldRequired } from '../../../lib/apimachinery/field-error.ts'
import { newGenericFailure } from '../../../lib/apimachinery/status.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'
import { hasReason } from '../../../lib/client/api-error.ts'
import type { AdmissionRequest } from '../admission/admission.ts'
import type { UserInfo } from '../registry/strategy.ts'
import { objectKey } from '../storage/storage-keys.ts'
import type { StoredObject } from '../storage/stored-object.ts'
import { alreadyExists, badRequest, beingDeleted, invalid, nameNotGenerated, refuse } from './api-errors.ts'
import type { Answer, ApiCall } from './api-call.ts'
import { objectAnswer } from './api-call.ts'
import { decodeObject } from './decode-body.ts'
import { trackFields } from './managed-fields.ts'
import { metaForCreate, withMeta, withoutResourceVersion } from './object-meta.ts'
import type { ServedResource } from './served-resource.ts'
import type { ServerContext } from './server-context.ts'
import { parseWriteOptions } from './write-options.ts'

/** Who writes, and how. */
export interface WriteRequest {
  readonly user: UserInfo
  readonly nowMs: number
  readonly dryRun: boolean
  readonly fieldManager: string
  /** See managed-fields.ts. */
  readonly tracksFields: boolean
  readonly signal: AbortSignal
  warn(text: string): void
}

export type WriteResult = { readonly stored: StoredObject } | { readonly dryRun: ApiObject }

const nameAttempts = 8
const createAttempts = 16

export async function createObject(server: ServerContext, resource: ServedResource, call: ApiCall): Promise<Answer> {
  const options = parseWriteOptions(call.query, call.headers, 'CreateOptions')
  const body = await decodeObject(resource, call, options.fieldValidation)
  const result = await storeNew(server, resource, inNamespaceOf(resource, body, call.info.namespace), call.info.namespace, writeRequest(call, options))
  return writeAnswer(resource, 201, result)
}

export function writeRequest(call: ApiCall, options: { readonly dryRun: boolean; readonly fieldManager: string }): WriteRequest {
  return { user: call.user, nowMs: call.nowMs, dryRun: options.dryRun, fieldManager: options.fieldManager, tracksFields: !call.inProcess || call.query.has('fieldManager'), signal: call.signal, warn: (text) => { call.warnings.push(text) } }
}

export function writeAnswer(resource: ServedResource, status: number, result: WriteResult): Answer {
  if ('dryRun' in result) return objectAnswer(status, resource.conversion ? resource.conversion.fromStorage(result.dryRun) : result.dryRun, resource.info.type, resource)
  return { type: 'stored', status, object: result.stored, resource }
}

/** The body's namespace must be the URL's, or empty. */
export function inNamespaceOf(resource: ServedResource, object: ApiObject, namespace: string): ApiObject {
  const given = object.metadata.namespace ?? ''
  if (!resource.info.namespaced) {
    if (given !== '') throw badRequest('the namespace of the provided object does not match the namespace sent on the request')
    return object
  }
  if (given === namespace) return object
  if (given !== '') throw badRequest('the namespace of the provided object does not match the namespace sent on the request')
  return withMeta(object, { ...object.metadata, namespace })
}

export function admissionRequest(resource: ServedResource, request: WriteRequest, operation: AdmissionRequest['operation'], namespace: string, name: string, object: ApiObject | undefined, oldObject?: ApiObject, subresource = ''): AdmissionRequest {
  return {
    operation, info: resource.strategy.info, subresource, namespace, name, user: request.user, dryRun: request.dryRun, nowMs: request.nowMs, signal: request.signal, warn: request.warn,
    ...(object && { object }), ...(oldObject && { oldObject }),
  }
}

/** Stores a new object. @param applied its managedFields come from server-side apply */
export async function storeNew(server: ServerContext, resource: ServedResource, given: ApiObject, namespace: string, request: WriteRequest, applied = false): Promise<WriteResult> {
  const { strategy, store } = resource
  const { info } = strategy
  if ((given.metadata.resourceVersion ?? '') !== '') throw refuse(newGenericFailure(500, 'resourceVersion should not be set on objects to be created'))
  if ((given.metadata.name ?? '') === '' && (given.metadata.generateName ?? '') === '') {
    throw invalid(info.group, info.kind, '', [fieldRequired('metadata.name', 'name or generateName is required')])
  }
  const context = { user: request.user, nowMs: request.nowMs, dryRun: request.dryRun, warn: request.warn }
  const defaulted = strategy.applyDefaults(resource.conversion ? resource.conversion.toStorage(given) : given)
  const admission = admissionRequest(resource, request, 'CREATE', namespace, given.metadata.name ?? '', defaulted)
  const admitted = (await server.admission.mutate(admission)) ?? defaulted
  const generated = (given.metadata.name ?? '') === ''
  for (let attempt = 0; ; attempt++) {
    const named = withMeta(admitted, metaForCreate(admitted.metadata, strategy, request.nowMs, server.random, namespace, request.warn))
    const fresh = strategy.prepareForCreate(named, context)
    // Before validation: who sends managedFields that are none resets them.
    const prepared = applied ? fresh : await trackFields(server.clock, resource, '', undefined, fresh, request)
    const { name } = prepared.metadata
    const errors = strategy.validateCreate(prepared, context)
    if (errors.length > 0) throw invalid(info.group, info.kind, name, errors)
    if (attempt === 0) {
      for (const text of strategy.warnings?.(prepared, undefined, context) ?? []) request.warn(text)
      await server.admission.validate({ ...admission, name, object: prepared })
    }
    const key = objectKey(info.namespaced ? namespace : '', name)
    const reservation = server.services.reserve(resource, prepared, undefined, request.dryRun)
    const object = reservation?.object ?? prepared
    try {
      if (request.dryRun) {
        if (store.cache.get(key)) throw alreadyExists(store.resource, name)
        return { dryRun: withoutResourceVersion(object) }
      }
      const lease = info.resource === 'events' ? await server.eventLease.get() : undefined
      const stored = await store.create(key, object, request.signal, reservation?.extra, lease)
      reservation?.commit()
      return { stored }
    } catch (error) {
      reservation?.release()
      if (!hasReason(error, 'AlreadyExists')) throw error
      const existing = await store.get(key, request.signal)
      // Something that goes with the object was taken, not the name.
      if (!existing && reservation?.extra && attempt < createAttempts) { reservation.markTaken(); continue }
      if (generated) {
        if (attempt + 1 < nameAttempts) continue
        throw nameNotGenerated(store.resource, name)
      }
      if (existing?.object.metadata.deletionTimestamp !== undefined) throw beingDeleted(store.resource, name)
      throw error
    }
  }
}

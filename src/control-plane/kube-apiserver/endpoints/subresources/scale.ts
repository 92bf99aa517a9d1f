// The scale subresource: one number of a workload in a form that is the same for every kind.
// Upstream: pkg/registry/apps/deployment/storage/storage.go (ScaleREST)
import { isJsonObject } from '../../../../lib/base/json.ts'
import type { JsonObject } from '../../../../lib/base/json.ts'
import { fieldInvalid, fieldRequired } from '../../../../lib/apimachinery/field-error.ts'
import { formatLabelSelector, selectorFromLabels, selectorOf } from '../../../../lib/apimachinery/label-selector.ts'
import type { LabelSelectorObject } from '../../../../lib/apimachinery/label-selector.ts'
import type { Scale } from '../../../../lib/api/generated/types/autoscaling-v1.ts'
import type { ApiObject } from '../../../../lib/client/api-client.ts'
import { asApiObject, asJson } from '../../storage/stored-object.ts'
import { objectKey } from '../../storage/storage-keys.ts'
import type { Answer, ApiCall } from '../api-call.ts'
import { objectAnswer } from '../api-call.ts'
import { badRequest, conflict, invalid, modified, notFound } from '../api-errors.ts'
import { inNamespaceOf, writeRequest } from '../create.ts'
import { decodeAs, decodeChecked } from '../decode-body.ts'
import { readPatch } from '../patch.ts'
import { applyConfiguration } from '../managed-fields.ts'
import { applyPatch, applyPatchType } from '../patch-types.ts'
import type { PatchDocument } from '../patch-types.ts'
import type { ServedResource } from '../served-resource.ts'
import type { ServerContext } from '../server-context.ts'
import { storeChange } from '../update.ts'
import { parseWriteOptions } from '../write-options.ts'

const scaleType = { apiVersion: 'autoscaling/v1', kind: 'Scale', type: 'io.k8s.api.autoscaling.v1.Scale' }

interface Workload extends ApiObject {
  readonly spec: { readonly replicas?: number; readonly selector?: unknown }
  readonly status?: { readonly replicas?: number }
}

export async function scaleWorkload(server: ServerContext, resource: ServedResource | undefined, call: ApiCall): Promise<Answer> {
  if (!resource) throw notFound({ group: call.info.group, resource: call.info.resource }, '')
  const name = call.info.parts[1] ?? ''
  const { namespace } = call.info
  const { store } = resource
  const isReplicationController = resource.info.resource === 'replicationcontrollers'
  if (call.info.verb === 'get') {
    const current = await store.get(objectKey(namespace, name), call.signal)
    if (!current) throw notFound(store.resource, name)
    return objectAnswer(200, scaleOf(current.object as Workload, isReplicationController), scaleType.type) // cast: only workloads have this subresource
  }
  const isPatch = call.info.verb === 'patch'
  const options = parseWriteOptions(call.query, call.headers, isPatch ? 'PatchOptions' : 'UpdateOptions')
  let wanted: (scale: JsonObject) => ApiObject
  if (isPatch) {
    const { type, patch } = readPatch(await call.readBody(), call)
    if (type === applyPatchType) return applyScale(server, resource, call, name, patch)
    wanted = (scale) => asApiObject(decodeChecked(scaleType, applyPatch(type, patch, scale, scaleType.type), [], options.fieldValidation, []))
  } else {
    const body = asApiObject(await decodeAs(scaleType, call, await call.readBody(), options.fieldValidation))
    wanted = () => body
  }
  let answered: JsonObject = {}
  const change = (current: ApiObject): ApiObject => {
    const workload = current as Workload // cast: as above
    const old = scaleOf(workload, isReplicationController)
    const scale = inNamespaceOf(resource, wanted(old), namespace) as unknown as Scale & ApiObject // cast: decoded as Scale
    if ((scale.metadata.name ?? '') !== '' && scale.metadata.name !== name) throw badRequest(`the name of the object (${scale.metadata.name}) does not match the name on the URL (${name})`)
    if (scale.metadata.uid && scale.metadata.uid !== current.metadata.uid) throw conflict(store.resource, name, `Precondition failed: UID in precondition: ${scale.metadata.uid}, UID in object meta: ${current.metadata.uid}`)
    if (scale.metadata.resourceVersion && scale.metadata.resourceVersion !== current.metadata.resourceVersion) throw modified(store.resource, name)
    const replicas = scale.spec?.replicas ?? 0
    if (replicas < 0) throw invalid('autoscaling', 'Scale', name, [fieldInvalid('spec.replicas', replicas, 'must be greater than or equal to 0')])
    const next: Workload = { ...workload, spec: { ...workload.spec, replicas } }
    return next
  }
  const { result } = await storeChange(server, resource, namespace, name, '', change, writeRequest(call, options), { createWhenMissing: undefined, trackedAs: 'scale' })
  answered = scaleOf(('dryRun' in result ? result.dryRun : result.stored.object) as Workload, isReplicationController) // cast: what was stored is a workload
  return objectAnswer(200, answered, scaleType.type)
}

/** Server-side apply of a Scale: its number is the workload's, and belongs to the applier there, under this subresource. */
async function applyScale(server: ServerContext, resource: ServedResource, call: ApiCall, name: string, patch: PatchDocument): Promise<Answer> {
  const options = parseWriteOptions(call.query, call.headers, 'PatchOptions')
  if ((call.query.get('fieldManager') ?? '') === '') throw invalid('meta.k8s.io', 'PatchOptions', '', [fieldRequired('fieldManager', 'is required for apply patch')])
  const scale = decodeChecked(scaleType, isJsonObject(patch) ? patch : {}, [], options.fieldValidation, call.warnings)
  if (!isJsonObject(patch) || patch['apiVersion'] !== scaleType.apiVersion) throw badRequest(`Incorrect version specified in apply patch. Specified patch version: ${isJsonObject(patch) ? String(patch['apiVersion'] ?? '') : ''}, expected: ${scaleType.apiVersion}`)
  const { replicas } = isJsonObject(scale['spec']) ? scale['spec'] : {}
  if (typeof replicas === 'number' && replicas < 0) throw invalid('autoscaling', 'Scale', name, [fieldInvalid('spec.replicas', replicas, 'must be greater than or equal to 0')])
  const { info, apiVersion } = resource
  const applied: JsonObject = { apiVersion, kind: info.kind, metadata: { name, namespace: call.info.namespace }, ...(replicas !== undefined && { spec: { replicas } }) }
  const request = writeRequest(call, options)
  const change = (current: ApiObject): ApiObject => {
    const merged = applyConfiguration(resource, 'scale', current, applied, options.force ?? false, request)
    return merged ? asApiObject(decodeChecked({ apiVersion, kind: info.kind, type: info.type }, merged, [], 'Ignore', [])) : current
  }
  const { result } = await storeChange(server, resource, call.info.namespace, name, '', change, request, { createWhenMissing: undefined, applied: true })
  return objectAnswer(200, scaleOf(('dryRun' in result ? result.dryRun : result.stored.object) as Workload, info.resource === 'replicationcontrollers'), scaleType.type) // cast: only workloads have this subresource
}

/** The Scale of a workload. Pure. */
export function scaleOf(workload: Workload, plainSelector: boolean): JsonObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = workload.metadata
  let selector = ''
  if (plainSelector) selector = formatLabelSelector(selectorFromLabels((workload.spec.selector ?? {}) as { readonly [key: string]: string })) // cast: a ReplicationController's selector is a map
  else {
    const parsed = selectorOf(workload.spec.selector as LabelSelectorObject | undefined) // cast: validated when it was stored
    if (parsed.ok) selector = formatLabelSelector(parsed.selector)
  }
  return asJson({
    kind: 'Scale', apiVersion: 'autoscaling/v1', metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: { ...((workload.spec.replicas ?? 0) !== 0 && { replicas: workload.spec.replicas }) }, status: { replicas: workload.status?.replicas ?? 0, ...(selector !== '' && { selector }) },
  })
}

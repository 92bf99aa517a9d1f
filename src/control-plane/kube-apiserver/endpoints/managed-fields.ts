// Who owns which field: kept with every object that a client has made, so that server-side apply can tell its conflicts.
//
// Objects made by components in this process, and leases and events, begin untracked (their fields would be half of their bytes and nobody applies
// over them); once an object is tracked, every write to it is.
import { applyServerSide, resetFieldsOf, trackUpdateSteps } from '../../../lib/api/managed-fields/apply.ts'
import type { FieldSet } from '../../../lib/api/managed-fields/field-set.ts'
import type { Clock } from '../../../lib/base/clock.ts'
import type { JsonObject } from '../../../lib/base/json.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'
import { asApiObject, asJson } from '../storage/stored-object.ts'
import { refuse } from './api-errors.ts'
import type { ServedResource } from './served-resource.ts'

const untracked: ReadonlySet<string> = new Set(['leases', 'events'])

const resetStatus = resetFieldsOf(['status'])
const resetSpec = resetFieldsOf(['spec'])

function resetFields(resource: ServedResource, subresource: string): FieldSet | undefined {
  if (subresource === 'status') return resetSpec
  return resource.info.subresources.some((s) => s.name === 'status') ? resetStatus : undefined
}

export interface FieldWriter {
  readonly fieldManager: string
  /** Begin to track what isn't tracked yet. */
  readonly tracksFields: boolean
  readonly nowMs: number
}

/** How long one object may keep others waiting. */
const turnMs = 5

/** `object` with its managedFields brought up to date for an ordinary write. */
export async function trackFields(clock: Clock, resource: ServedResource, subresource: string, old: ApiObject | undefined, object: ApiObject, writer: FieldWriter): Promise<ApiObject> {
  if (resource.conversion) return object
  const tracked = (old?.metadata.managedFields?.length ?? 0) > 0 || (object.metadata.managedFields?.length ?? 0) > 0
  if (!tracked && (old !== undefined || !writer.tracksFields || untracked.has(resource.info.resource))) return object
  const reset = resetFields(resource, subresource)
  const steps = trackUpdateSteps({
    typeId: resource.info.type, apiVersion: resource.apiVersion, manager: writer.fieldManager, subresource, nowMs: writer.nowMs, object: asJson(object),
    old: old && asJson(old), ...(reset && { resetFields: reset }),
  })
  for (let since = clock.monotonic(); ;) {
    const step = steps.next()
    if (step.done) return asApiObject(step.value)
    if (clock.monotonic() - since < turnMs) continue
    await new Promise<void>((resolve) => { setImmediate(resolve) })
    since = clock.monotonic()
  }
}

/** What an applied configuration makes of the live object; undefined when nothing changes. @throws ApiError 400, 409 */
export function applyConfiguration(resource: ServedResource, subresource: string, live: ApiObject | undefined, applied: JsonObject, force: boolean, writer: FieldWriter): JsonObject | undefined {
  const reset = resetFields(resource, subresource)
  const result = applyServerSide({
    typeId: resource.info.type, apiVersion: resource.apiVersion, manager: writer.fieldManager, subresource, nowMs: writer.nowMs, live: live && asJson(live), applied, force, ...(reset && { resetFields: reset }),
  })
  if (!result.ok) throw refuse(result.status)
  return live !== undefined && !result.changed && hasEntry(live, writer.fieldManager, subresource) ? undefined : result.object
}

function hasEntry(object: ApiObject, manager: string, subresource: string): boolean {
  return (object.metadata.managedFields ?? []).some((entry) => entry.manager === manager && entry.operation === 'Apply' && (entry.subresource ?? '') === subresource)
}

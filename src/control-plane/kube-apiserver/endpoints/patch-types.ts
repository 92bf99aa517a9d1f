// The patch dialects, each applied to an object as it is served.
import type { JsonObject } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { applyJsonPatchToObject } from '../../../lib/apimachinery/json-patch.ts'
import { applyMergePatch } from '../../../lib/apimachinery/merge-patch.ts'
import { PatchError } from '../../../lib/apimachinery/patch-error.ts'
import { applyStrategicMergePatch } from '../../../lib/api/strategic-merge-patch.ts'
import { newConflict } from '../../../lib/apimachinery/status.ts'
import { badRequest, entityTooLarge, refuse, unprocessable, unsupportedMediaType } from './api-errors.ts'

export const patchTypes = ['application/json-patch+json', 'application/merge-patch+json', 'application/strategic-merge-patch+json', 'application/apply-patch+yaml'] as const
export const applyPatchType = 'application/apply-patch+yaml'
export type PatchType = (typeof patchTypes)[number]

export type PatchDocument = JsonObject | readonly JsonObject[]

/** Not for apply-patch: see managed-fields.ts. @throws ApiError 400, 413, 415, 422 */
export function applyPatch(type: PatchType, patch: PatchDocument, object: JsonObject, messageType: string): JsonObject {
  try {
    if (type === 'application/json-patch+json') return applyJsonPatchToObject(object, patch as JsonObject) // cast: any JSON is taken and checked
    if (!isJsonObject(patch)) throw unsupportedMediaType(patchTypes)
    switch (type) {
      case 'application/merge-patch+json': return applyMergePatch(object, patch) as JsonObject // cast: an object patched with an object
      case 'application/strategic-merge-patch+json': return applyStrategicMergePatch(messageType, object, patch)
      case 'application/apply-patch+yaml': throw unsupportedMediaType(patchTypes)
    }
  } catch (error) {
    if (!(error instanceof PatchError)) throw error
    switch (error.reason) {
      case 'BadRequest': throw badRequest(error.message)
      case 'RequestEntityTooLarge': throw entityTooLarge(error.message)
      case 'Conflict': throw refuse(newConflict({ group: '', resource: '' }, '', error.message))
      case 'Invalid': throw unprocessable()
    }
  }
}

// patch: the current object, changed as the patch says, then checked and stored like an update. Without a resourceVersion in the patch a concurrent
// change means another attempt.
// Upstream: apiserver/pkg/endpoints/handlers/patch.go
import type { JsonObject, JsonValue } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { parseJson } from '../../../lib/apimachinery/parse-json.ts'
import { fieldForbidden, fieldInvalid, fieldRequired } from '../../../lib/apimachinery/field-error.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'
import { asApiObject, asJson } from '../storage/stored-object.ts'
import type { Answer, ApiCall, CallBody } from './api-call.ts'
import { badRequest, invalid, unsupportedMediaType } from './api-errors.ts'
import { writeAnswer, writeRequest } from './create.ts'
import { decodeChecked, goKind, parseYaml } from './decode-body.ts'
import { applyConfiguration } from './managed-fields.ts'
import { applyPatch, applyPatchType, patchTypes } from './patch-types.ts'
import type { PatchDocument, PatchType } from './patch-types.ts'
import type { ServedResource } from './served-resource.ts'
import type { ServerContext } from './server-context.ts'
import { storeChange } from './update.ts'
import { parseWriteOptions } from './write-options.ts'
import type { WriteOptions } from './write-options.ts'

const isPatchType = (text: string): text is PatchType => (patchTypes as readonly string[]).includes(text) // cast: widening for includes

export async function patchObject(server: ServerContext, resource: ServedResource, call: ApiCall, name: string): Promise<Answer> {
  const options = parseWriteOptions(call.query, call.headers, 'PatchOptions')
  const { type, patch, strictErrors } = readPatch(await call.readBody(), call)
  if (type === applyPatchType) return applyObject(server, resource, call, name, options, patch)
  if (options.force !== undefined) throw invalid('meta.k8s.io', 'PatchOptions', '', [fieldForbidden('force', 'may not be specified for non-apply patch')])
  const expected = { apiVersion: resource.apiVersion, kind: resource.info.kind, type: resource.info.type }
  const request = writeRequest(call, options)
  const warned: string[] = []
  const change = (current: ApiObject): ApiObject => {
    warned.length = 0
    const served = resource.conversion ? resource.conversion.fromStorage(current) : current
    const patched = applyPatch(type, patch, asJson(served), resource.info.type)
    const { name: patchedName } = isJsonObject(patched['metadata']) ? patched['metadata'] : {}
    const object = asApiObject(decodeChecked(expected, patched, strictErrors, options.fieldValidation, warned, (why) => invalidPatch(type, patch, patched, why)))
    if (patchedName !== name) throw badRequest(`the name of the object (${String(patchedName ?? '')}) does not match the name on the URL (${name})`)
    return resource.conversion ? resource.conversion.toStorage(object) : object
  }
  const { result, created } = await storeChange(server, resource, call.info.namespace, name, call.info.subresource, change, request, { createWhenMissing: undefined })
  call.warnings.push(...warned)
  return writeAnswer(resource, created ? 201 : 200, result)
}

/** Server-side apply: creates what isn't there. */
async function applyObject(server: ServerContext, resource: ServedResource, call: ApiCall, name: string, options: WriteOptions, patch: PatchDocument): Promise<Answer> {
  if ((call.query.get('fieldManager') ?? '') === '') throw invalid('meta.k8s.io', 'PatchOptions', '', [fieldRequired('fieldManager', 'is required for apply patch')])
  if (!isJsonObject(patch) || resource.conversion) throw unsupportedMediaType(patchTypes.slice(0, 3))
  const expected = { apiVersion: resource.apiVersion, kind: resource.info.kind, type: resource.info.type }
  const { namespace, subresource } = call.info
  const sent = isJsonObject(patch['metadata']) ? patch['metadata'] : {}
  const sentName = sent['name']
  if (sentName !== undefined && sentName !== name) throw badRequest(`the name of the object (${String(sentName)}) does not match the name on the URL (${name})`)
  const applied: JsonObject = { ...patch, metadata: { ...sent, name, ...(resource.info.namespaced && { namespace: sent['namespace'] ?? namespace }) } }
  if (resource.info.namespaced && isJsonObject(applied['metadata']) && applied['metadata']['namespace'] !== namespace) throw badRequest('the namespace of the provided object does not match the namespace sent on the request')
  const request = writeRequest(call, options)
  const warned: string[] = []
  // Unknown fields are found in what was sent, not in what it is merged into.
  decodeChecked(expected, applied, [], options.fieldValidation, warned)
  const merge = (live: ApiObject | undefined): ApiObject | undefined => {
    const merged = applyConfiguration(resource, subresource, live, applied, options.force ?? false, request)
    return merged && asApiObject(decodeChecked(expected, merged, [], 'Ignore', []))
  }
  const { result, created } = await storeChange(server, resource, namespace, name, subresource, (live) => merge(live) ?? live, request, {
    createWhenMissing: subresource === '' ? () => merge(undefined) ?? asApiObject(applied) : undefined, applied: true,
  })
  call.warnings.push(...warned)
  return writeAnswer(resource, created ? 201 : 200, result)
}

/** What a patch makes of the object can't be read as one: told with the patched object, or with the strategic patch as Go prints maps. */
function invalidPatch(type: PatchType, patch: PatchDocument, patched: JsonObject, why: string): Error {
  const strategic = type === 'application/strategic-merge-patch+json'
  return invalid('', '', '', [fieldInvalid('patch', strategic ? formatGoMap(asJson(patch)) : JSON.stringify(patched), why)])
}

/** A value as Go's %+v prints what it has parsed from JSON. */
function formatGoMap(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(formatGoMap).join(' ')}]`
  if (isJsonObject(value)) return `map[${Object.keys(value).sort().map((key) => `${key}:${formatGoMap(value[key] ?? null)}`).join(' ')}]`
  return value === null ? '<nil>' : String(value)
}

/** `strictErrors`: duplicate fields of the patch itself. @throws ApiError 400, 415 */
export function readPatch(body: CallBody, call: ApiCall): { readonly type: PatchType; readonly patch: PatchDocument; readonly strictErrors: readonly string[] } {
  const given = body.kind === 'bytes' ? body.mediaType : (call.headers['content-type'] ?? '').split(';')[0]?.trim() ?? ''
  if (!isPatchType(given)) throw unsupportedMediaType(patchTypes)
  if (body.kind === 'object') return { type: given, patch: body.object, strictErrors: [] }
  const bytes = body.kind === 'bytes' ? body.bytes : new Uint8Array()
  if (given === applyPatchType) return { type: given, patch: parseYaml(bytes, (why) => badRequest(`error encoding patch: ${why}`)), strictErrors: [] }
  const parsed = parseJson(bytes, { maxDepth: 500, maxKeys: 200_000 })
  if (!parsed.ok) throw badRequest(parsed.reason === 'syntax' ? 'invalid JSON patch' : `error decoding patch: ${parsed.error}`)
  const { value } = parsed
  const isJsonPatch = given === 'application/json-patch+json'
  const strictErrors = parsed.duplicateFields.map((path) => (isJsonPatch ? `json patch duplicate field ${JSON.stringify(path)}` : `duplicate field ${JSON.stringify(path)}`))
  if (isJsonPatch) {
    if (!Array.isArray(value)) throw badRequest(`error decoding patch: json: cannot unmarshal ${goKind(value)} into Go value of type []handlers.jsonPatchOp`)
    return { type: given, patch: value as readonly JsonObject[], strictErrors } // cast: entries are checked when they are applied
  }
  if (!isJsonObject(value)) {
    const why = `json: cannot unmarshal ${goKind(value)} into Go value of type map[string]interface {}`
    throw badRequest(given === 'application/merge-patch+json' ? `error decoding patch: ${why}` : why)
  }
  return { type: given, patch: value, strictErrors }
}

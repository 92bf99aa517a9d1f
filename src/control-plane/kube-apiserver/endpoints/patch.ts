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
import { decodeChecked, goKind, parseYaml, readYaml, wrongIdentity } from './decode-body.ts'
import { applyConfiguration } from './managed-fields.ts'
import { applyPatch, applyPatchType, patchTypes } from './patch-types.ts'
import type { PatchDocument, PatchType } from './patch-types.ts'
import type { ServedResource } from './served-resource.ts'
import type { ServerContext } from './server-context.ts'
import { storeChange } from './update.ts'
import { parseWriteOptions } from './write-options.ts'
import type { WriteOptions } from './write-options.ts'
import type { ExpectedType } from './decode-body.ts'

const isPatchType = (text: string): text is PatchType => (patchTypes as readonly string[]).includes(text) // cast: widening for includes

export async function patchObject(server: ServerContext, resource: ServedResource, call: ApiCall, name: string): Promise<Answer> {
  const options = parseWriteOptions(call.query, call.headers, 'PatchOptions')
  const { type, patch, strictErrors } = readPatch(await call.readBody(), call)
  if (type === applyPatchType) return applyObject(server, resource, call, name, options, patch, strictErrors)
  if (options.force !== undefined) throw invalid('meta.k8s.io', 'PatchOptions', '', [fieldForbidden('force', 'may not be specified for non-apply patch')])
  const expected = { apiVersion: resource.apiVersion, kind: resource.info.kind, type: resource.info.type }
  const request = writeRequest(call, options)
  const warned: string[] = []
  const change = (current: ApiObject): ApiObject => {
    warned.length = 0
    const served = resource.conversion ? resource.conversion.fromStorage(current) : current
    const patched = applyPatch(type, patch, asJson(served), resource.info.type)
    const { name: patchedName, namespace: patchedNamespace } = isJsonObject(patched['metadata']) ? patched['metadata'] : {}
    const why = type === 'application/strategic-merge-patch+json' ? undefined : wrongType(expected, patched)
    if (why !== undefined) throw invalidPatch(type, patch, patched, why)
    const object = asApiObject(decodeChecked(expected, patched, strictErrors, options.fieldValidation, warned, (why) => invalidPatch(type, patch, patched, why)))
    if (patchedName !== name) throw badRequest(`the name of the object (${String(patchedName ?? '')}) does not match the name on the URL (${name})`)
    if (resource.info.namespaced && (patchedNamespace ?? '') !== '' && patchedNamespace !== call.info.namespace) throw badRequest(`the namespace of the object (${String(patchedNamespace)}) does not match the namespace on the request (${call.info.namespace})`)
    return resource.conversion ? resource.conversion.toStorage(object) : object
  }
  const { result, created } = await storeChange(server, resource, call.info.namespace, name, call.info.subresource, change, request, { createWhenMissing: undefined })
  call.warnings.push(...warned)
  return writeAnswer(resource, created ? 201 : 200, result)
}

/** Server-side apply: creates what isn't there. */
async function applyObject(server: ServerContext, resource: ServedResource, call: ApiCall, name: string, options: WriteOptions, patch: PatchDocument, strictErrors: readonly string[]): Promise<Answer> {
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
  const sentKind = applied['kind']
  // Unknown fields are refused by the merge itself, whatever the field validation.
  if (applied['apiVersion'] === resource.apiVersion && sentKind !== resource.info.kind) throw badRequest(`failed to create typed patch object (${namespace}/${name}; ${resource.info.group}/${resource.info.version}, Kind=${String(sentKind ?? '')}): no corresponding type for ${resource.info.group}/${resource.info.version}, Kind=${String(sentKind ?? '')}`)
  const merge = (live: ApiObject | undefined): ApiObject | undefined => {
    const merged = applyConfiguration(resource, subresource, live, applied, options.force ?? false, request)
    if (options.fieldValidation === 'Strict' && strictErrors.length > 0) throw badRequest(`error strict decoding patch: ${strictErrors.join(', ')}`)
    return merged && asApiObject(decodeChecked(expected, merged, [], 'Ignore', []))
  }
  const { result, created } = await storeChange(server, resource, namespace, name, subresource, (live) => merge(live) ?? live, request, {
    createWhenMissing: subresource === '' ? () => merge(undefined) ?? asApiObject(applied) : undefined, applied: true,
  })
  if (options.fieldValidation === 'Warn') call.warnings.push(...strictErrors)
  return writeAnswer(resource, created ? 201 : 200, result)
}

/** A patch may not take away or change what the object is. */
function wrongType(expected: ExpectedType, patched: JsonObject): string | undefined {
  if ((patched['kind'] ?? '') === '') return `Object 'Kind' is missing in '${JSON.stringify(patched)}'`
  if ((patched['apiVersion'] ?? '') === '') return `Object 'apiVersion' is missing in '${JSON.stringify(patched)}'`
  return wrongIdentity(expected, patched)
}

/** What a patch makes of the object can't be read as one: told with the patched object, or with the strategic patch as Go prints maps. */
function invalidPatch(type: PatchType, patch: PatchDocument, patched: JsonObject, why: string): Error {
  const strategic = type === 'application/strategic-merge-patch+json'
  return invalid('', '', '', [fieldInvalid('patch', strategic ? formatGoMap(asJson(patch)) : JSON.stringify(patched), strategic ? inConverterWords(why) : why)])
}

/** Strategic patches aren't read as JSON again in the original; its other converter has other words for the same thing. */
function inConverterWords(why: string): string {
  const match = /^json: cannot unmarshal (\w+)(?: \S+)? into Go (?:struct field \S+|value) of type (\S+)$/.exec(why)
  if (!match) return why
  const [, from = '', to = ''] = match
  const kind = from === 'object' ? 'map' : from === 'array' ? 'slice' : from === 'number' ? 'int64' : from
  if (to.startsWith('map[')) return `cannot restore map from ${kind}`
  if (to.startsWith('[]')) return `cannot restore slice from ${kind}`
  return to.includes('.') ? `cannot restore struct from: ${kind}` : `unrecognized type: ${to}`
}

/** A value as Go's %+v prints what it has parsed from JSON. */
function formatGoMap(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(formatGoMap).join(' ')}]`
  if (isJsonObject(value)) return `map[${Object.keys(value).sort().map((key) => `${key}:${formatGoMap(value[key] ?? null)}`).join(' ')}]`
  return value === null ? '<nil>' : String(value)
}

/** @throws ApiError 400 */
function checkOperation(item: JsonValue): void {
  if (!isJsonObject(item)) { if (item === null) return; throw badRequest(`error decoding patch: json: cannot unmarshal ${goKind(item)} into Go value of type handlers.jsonPatchOp`) }
  for (const name of ['op', 'from', 'path']) {
    const value = item[name] ?? ''
    if (typeof value !== 'string') throw badRequest(`error decoding patch: json: cannot unmarshal ${goKind(value)} into Go struct field jsonPatchOp.${name} of type string`)
  }
}

/** `strictErrors`: duplicate fields of the patch itself. @throws ApiError 400, 415 */
export function readPatch(body: CallBody, call: ApiCall): { readonly type: PatchType; readonly patch: PatchDocument; readonly strictErrors: readonly string[] } {
  const given = body.kind === 'bytes' ? body.mediaType : (call.headers['content-type'] ?? '').split(';')[0]?.trim() ?? ''
  if (!isPatchType(given)) throw unsupportedMediaType(patchTypes)
  if (body.kind === 'object') return { type: given, patch: body.object, strictErrors: [] }
  const bytes = body.kind === 'bytes' ? body.bytes : new Uint8Array()
  if (given === applyPatchType) {
    const refuse = (why: string): Error => badRequest(`error encoding patch: ${why}`)
    const { duplicate } = readYaml(bytes, refuse)
    return { type: given, patch: parseYaml(bytes, (why) => badRequest(`error decoding patch: ${why}`)), strictErrors: duplicate === undefined ? [] : [`error converting YAML to JSON: yaml: unmarshal errors:\n  ${duplicate}`] }
  }
  const parsed = parseJson(bytes, { maxDepth: 500, maxKeys: 200_000 })
  if (!parsed.ok) throw badRequest(parsed.reason === 'syntax' ? 'invalid JSON patch' : `error decoding patch: ${parsed.error}`)
  const { value } = parsed
  const isJsonPatch = given === 'application/json-patch+json'
  const strictErrors = parsed.duplicateFields.map((path) => (isJsonPatch ? `json patch duplicate field ${JSON.stringify(path)}` : `duplicate field ${JSON.stringify(path)}`))
  if (isJsonPatch) {
    if (!Array.isArray(value)) throw badRequest(`error decoding patch: json: cannot unmarshal ${goKind(value)} into Go value of type []handlers.jsonPatchOp`)
    for (const item of value as readonly JsonValue[]) checkOperation(item) // cast: checked above
    return { type: given, patch: value as readonly JsonObject[], strictErrors } // cast: as above
  }
  if (!isJsonObject(value)) {
    const why = `json: cannot unmarshal ${goKind(value)} into Go value of type map[string]interface {}`
    throw badRequest(given === 'application/merge-patch+json' ? `error decoding patch: ${why}` : why)
  }
  return { type: given, patch: value, strictErrors }
}

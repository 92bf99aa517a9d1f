// Bodies into objects: JSON, YAML and protobuf, checked against the schema, with unknown fields refused, warned of or ignored as the client asks.
// Upstream: apiserver/pkg/endpoints/handlers/{create,rest}.go, apimachinery/pkg/runtime/serializer
import type { JsonObject, JsonValue } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { parseJson } from '../../../lib/apimachinery/parse-json.ts'
import { decodeJson, strictDecodingTexts } from '../../../lib/api/json-codec.ts'
import { resourceOfKind, typeIdOf } from '../../../lib/api/type-lookup.ts'
import { splitApiVersion } from '../../../lib/apimachinery/owner-reference.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'
import { YamlError, parseYamlBody } from '../../../lib/component-base/yaml.ts'
import { asApiObject, asJson } from '../storage/stored-object.ts'
import type { ApiCall, CallBody } from './api-call.ts'
import { badRequest, unsupportedMediaType } from './api-errors.ts'
import { decodeProtobufBody } from './protobuf-body.ts'
import type { ServedResource } from './served-resource.ts'
import type { FieldValidation } from './write-options.ts'

export const acceptedBodies = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf'] as const

/** Nesting beyond this is refused before anything is built from it. */
const maxDepth = 500
const maxKeys = 200_000

/** What a body should be. */
export interface ExpectedType {
  readonly apiVersion: string
  readonly kind: string
  /** The schema's message. */
  readonly type: string
}

/** The object that a create or update carries. @throws ApiError 400, 415 */
export async function decodeObject(resource: ServedResource, call: ApiCall, fieldValidation: FieldValidation): Promise<ApiObject> {
  const { info } = resource
  return asApiObject(await decodeAs({ apiVersion: resource.apiVersion, kind: info.kind, type: info.type }, call, await call.readBody(), fieldValidation))
}

/** Reads the body as `expected`. */
export async function decodeAs(expected: ExpectedType, call: ApiCall, body: CallBody, fieldValidation: FieldValidation): Promise<JsonObject> {
  if (body.kind === 'bytes' && body.mediaType === 'application/vnd.kubernetes.protobuf') {
    const object = decodeProtobufBody(expected, body.bytes)
    checkIdentity(expected, object)
    return named(expected, object)
  }
  const raw = rawObject(expected, body)
  checkIdentity(expected, raw.value)
  return decodeChecked(expected, raw.value, raw.strictErrors, fieldValidation, call.warnings)
}

/**
 * Checks parsed JSON against the schema and gives its normal form.
 * @param strictErrors what the parser found that strict validation refuses
 * @param refuse makes the error; 400 unless told
 */
export function decodeChecked(
  expected: ExpectedType, value: JsonObject, strictErrors: readonly string[], fieldValidation: FieldValidation, warnings: string[], refuse: (why: string) => Error = (why) => cannotBeHandled(expected, value, why),
): JsonObject {
  const decoded = decodeJson(expected.type, value)
  if (!decoded.ok) throw refuse(decoded.error)
  if (fieldValidation !== 'Ignore') {
    const unknown = strictDecodingTexts(decoded.unknownFields, [])
    // The YAML reader's complaint comes first, the JSON reader's last, as they do in the original.
    const texts = strictErrors[0]?.startsWith('yaml: ') ? [...strictErrors, ...unknown] : [...unknown, ...strictErrors]
    if (fieldValidation === 'Warn') warnings.push(...texts)
    else if (texts.length > 0) throw refuse(`strict decoding error: ${texts.join(', ')}`)
  }
  return named(expected, decoded.object)
}

const named = ({ kind, apiVersion }: ExpectedType, object: JsonObject): JsonObject => {
  const { kind: _k, apiVersion: _v, ...rest } = object
  return { kind, apiVersion, ...rest }
}

/** The body as parsed JSON, before the schema is looked at. `strictErrors`: duplicate fields, in the words of strict validation. @throws ApiError */
export function rawObject(expected: ExpectedType, body: CallBody): { readonly value: JsonObject; readonly strictErrors: readonly string[] } {
  if (body.kind === 'object') return { value: body.object, strictErrors: [] }
  const bytes = body.kind === 'bytes' ? body.bytes : new Uint8Array()
  const mediaType = body.kind === 'bytes' ? body.mediaType : ''
  const unrecognized = (why: string): Error => badRequest(`the object provided is unrecognized (must be of type ${expected.kind}): ${why} (${summarize(bytes)})`)
  let value: JsonValue
  let strictErrors: readonly string[]
  if (mediaType === 'application/yaml') {
    const yaml = readYaml(bytes, unrecognized)
    value = yaml.value
    strictErrors = yaml.duplicate === undefined ? [] : [`yaml: unmarshal errors:\n  ${yaml.duplicate}`]
  } else {
    if (mediaType !== '' && mediaType !== 'application/json') throw unsupportedMediaType(acceptedBodies)
    const parsed = parseJson(bytes, { maxDepth, maxKeys })
    if (!parsed.ok) throw unrecognized(`couldn't get version/kind; json parse error: ${parsed.error}`)
    value = parsed.value
    strictErrors = strictDecodingTexts([], parsed.duplicateFields)
  }
  // Go reads null as an object without anything in it.
  const object = value === null ? {} : value
  const why = isJsonObject(object) ? unreadableIdentity(object) : `couldn't get version/kind; json parse error: json: cannot unmarshal ${goKind(object)} into Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }`
  if (!isJsonObject(object) || why !== undefined) throw unrecognized(why ?? '')
  return { value: object, strictErrors }
}

/** What keeps apiVersion and kind from being read; undefined: nothing. */
function unreadableIdentity(object: JsonObject): string | undefined {
  for (const name of ['apiVersion', 'kind']) {
    const value = object[name]
    if (value !== undefined && value !== null && typeof value !== 'string') return `couldn't get version/kind; json parse error: json: cannot unmarshal ${goKind(value)} into Go struct field .${name} of type string`
  }
  const { apiVersion } = object
  return typeof apiVersion === 'string' && apiVersion.split('/').length > 2 ? `unexpected GroupVersion string: ${apiVersion}` : undefined
}

/** @throws what `refuse` makes */
export function readYaml(bytes: Uint8Array, refuse: (why: string) => Error): ReturnType<typeof parseYamlBody> {
  try { return parseYamlBody(Buffer.from(bytes).toString('utf8')) } catch (error) {
    if (error instanceof YamlError) throw refuse(error.message)
    throw error
  }
}

/** YAML text that holds an object. @throws what `refuse` makes */
export function parseYaml(bytes: Uint8Array, refuse: (why: string) => Error): JsonObject {
  const { value } = readYaml(bytes, refuse)
  const object = value === null ? {} : value
  if (!isJsonObject(object)) throw refuse(`json: cannot unmarshal ${goKind(object)} into Go value of type map[string]interface {}`)
  return object
}

/** apiVersion and kind may be left out; given, they must be the endpoint's. */
function checkIdentity(expected: ExpectedType, object: JsonObject): void {
  const why = wrongIdentity(expected, object)
  if (why !== undefined) throw cannotBeHandled(expected, object, why)
  const { apiVersion } = object
  if (typeof apiVersion === 'string' && apiVersion !== '' && apiVersion !== expected.apiVersion) throw badRequest(`the API version in the data (${apiVersion}) does not match the expected API version (${expected.apiVersion})`)
}

/** Why an object of this apiVersion and kind can't become the expected one; undefined: it can. */
export function wrongIdentity(expected: ExpectedType, object: JsonObject): string | undefined {
  const apiVersion = typeof object['apiVersion'] === 'string' && object['apiVersion'] !== '' ? object['apiVersion'] : expected.apiVersion
  const kind = typeof object['kind'] === 'string' && object['kind'] !== '' ? object['kind'] : expected.kind
  if (kind === expected.kind && apiVersion === expected.apiVersion) return undefined
  const { group, version } = splitApiVersion(apiVersion)
  if (!isRegistered(group, version, kind)) return `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)} in scheme "pkg/api/legacyscheme/scheme.go:30"`
  return kind === expected.kind ? undefined : `converting (${version}.${kind}) to (${internalPackage(expected.apiVersion)}.${expected.kind}): unknown conversion`
}

function isRegistered(group: string, version: string, kind: string): boolean {
  const type = typeIdOf(group, version, kind)
  return type !== undefined && (type.startsWith(metaPackage) || resourceOfKind(group, version, kind.replace(/List$/, '')) !== undefined)
}

const metaPackage = 'io.k8s.apimachinery.pkg.apis.meta.v1.'

/** Name of the Go package of a group's version-less types. */
function internalPackage(apiVersion: string): string {
  const { group } = splitApiVersion(apiVersion)
  return group === '' || group === 'events.k8s.io' ? 'core' : group.split('.')[0] ?? ''
}

export function cannotBeHandled(expected: ExpectedType, object: JsonObject, why: string): Error {
  const kind = typeof object['kind'] === 'string' && object['kind'] !== '' ? object['kind'] : expected.kind
  const apiVersion = typeof object['apiVersion'] === 'string' && object['apiVersion'] !== '' ? object['apiVersion'] : expected.apiVersion
  return badRequest(`${kind} in version ${JSON.stringify(apiVersion.split('/').at(-1))} cannot be handled as a ${expected.kind}: ${why}`)
}

/** The beginning of a body for a message: text when it looks like an object, else hexadecimal. */
export function summarize(bytes: Uint8Array): string {
  if (bytes.length === 0) return '<empty>'
  const head = Buffer.from(bytes.subarray(0, 30))
  return `${bytes[0] === 0x7b ? head.toString('utf8') : head.toString('hex')}${bytes.length > 30 ? ' ...' : ''}`
}

/** The kind of a JSON value in the words of Go's decoder. */
export const goKind = (value: JsonValue): string => (Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value === 'boolean' ? 'bool' : typeof value === 'bigint' ? 'number' : typeof value)

/** A decoded object, as JSON again. */
export const jsonOf = (object: ApiObject): JsonObject => asJson(object)

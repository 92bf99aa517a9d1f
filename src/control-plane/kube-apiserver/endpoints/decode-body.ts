// Bodies into objects: JSON, YAML and protobuf, checked against the schema, with unknown fields refused, warned of or ignored as the client asks.
// Upstream: apiserver/pkg/endpoints/handlers/{create,rest}.go, apimachinery/pkg/runtime/serializer
import { load as loadYaml } from 'js-yaml'
import type { JsonObject, JsonValue } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { parseJson } from '../../../lib/apimachinery/parse-json.ts'
import { decodeJson, strictDecodingError, strictDecodingTexts } from '../../../lib/api/json-codec.ts'
import { typeIdOfApiVersion } from '../../../lib/api/type-lookup.ts'
import type { ApiObject } from '../../../lib/client/api-client.ts'
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
const maxYamlNodes = 200_000

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
  return decodeChecked(expected, raw.value, raw.duplicateFields, fieldValidation, call.warnings)
}

/** Checks parsed JSON against the schema and gives its normal form. */
export function decodeChecked(expected: ExpectedType, value: JsonObject, duplicateFields: readonly string[], fieldValidation: FieldValidation, warnings: string[]): JsonObject {
  const decoded = decodeJson(expected.type, value)
  if (!decoded.ok) throw cannotBeHandled(expected, value, decoded.error)
  if (fieldValidation === 'Strict') {
    const error = strictDecodingError(decoded.unknownFields, duplicateFields)
    if (error !== undefined) throw cannotBeHandled(expected, value, error)
  } else if (fieldValidation === 'Warn') warnings.push(...strictDecodingTexts(decoded.unknownFields, duplicateFields))
  return named(expected, decoded.object)
}

const named = ({ kind, apiVersion }: ExpectedType, object: JsonObject): JsonObject => {
  const { kind: _k, apiVersion: _v, ...rest } = object
  return { kind, apiVersion, ...rest }
}

/** The body as parsed JSON, before the schema is looked at. @throws ApiError */
export function rawObject(expected: ExpectedType, body: CallBody): { readonly value: JsonObject; readonly duplicateFields: readonly string[] } {
  if (body.kind === 'object') return { value: body.object, duplicateFields: [] }
  const bytes = body.kind === 'bytes' ? body.bytes : new Uint8Array()
  const mediaType = body.kind === 'bytes' ? body.mediaType : ''
  const unrecognized = (why: string): Error => badRequest(`the object provided is unrecognized (must be of type ${expected.kind}): ${why} (${summarize(bytes)})`)
  if (mediaType === 'application/yaml') return { value: parseYaml(bytes, unrecognized), duplicateFields: [] }
  if (mediaType !== '' && mediaType !== 'application/json') throw unsupportedMediaType(acceptedBodies)
  const parsed = parseJson(bytes, { maxDepth, maxKeys })
  if (!parsed.ok) throw unrecognized(`couldn't get version/kind; json parse error: ${parsed.error}`)
  if (!isJsonObject(parsed.value)) throw unrecognized(`couldn't get version/kind; json parse error: json: cannot unmarshal ${goKind(parsed.value)} into Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }`)
  return { value: parsed.value, duplicateFields: parsed.duplicateFields }
}

/** YAML text to JSON values. @throws what `unrecognized` makes */
export function parseYaml(bytes: Uint8Array, unrecognized: (why: string) => Error): JsonObject {
  let value: unknown
  try { value = loadYaml(Buffer.from(bytes).toString('utf8')) } catch (error) { throw unrecognized(`yaml: ${error instanceof Error ? error.message.split('\n')[0] ?? '' : 'unreadable'}`) }
  let nodes = 0
  // Aliases are shared references here; written out they may be without end.
  const copy = (node: unknown, depth: number): JsonValue => {
    if (++nodes > maxYamlNodes) throw unrecognized('yaml: document contains excessive aliasing')
    if (depth > maxDepth) throw unrecognized('yaml: exceeded max depth')
    if (Array.isArray(node)) return node.map((item: unknown) => copy(item, depth + 1))
    if (node instanceof Date) return node.toISOString().replace('.000Z', 'Z')
    if (node instanceof Uint8Array) return Buffer.from(node).toString('base64')
    if (typeof node === 'object' && node !== null) return Object.fromEntries(Object.entries(node).map(([key, item]: [string, unknown]) => [key, copy(item, depth + 1)]))
    return typeof node === 'string' || typeof node === 'number' || typeof node === 'boolean' || typeof node === 'bigint' ? node : null
  }
  const object = copy(value, 0)
  if (!isJsonObject(object)) throw unrecognized(`couldn't get version/kind; json parse error: json: cannot unmarshal ${goKind(object)} into Go value of type struct { APIVersion string; Kind string }`)
  return object
}

/** apiVersion and kind may be left out; given, they must be the endpoint's. */
function checkIdentity(expected: ExpectedType, object: JsonObject): void {
  const { apiVersion, kind } = object
  if (typeof kind === 'string' && kind !== '' && kind !== expected.kind) {
    const version = typeof apiVersion === 'string' && apiVersion !== '' ? apiVersion : expected.apiVersion
    const known = typeIdOfApiVersion(version, kind) !== undefined
    throw cannotBeHandled(expected, object, known ? `converting (${version}.${kind}) to (${expected.kind}): unknown conversion` : `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(version)} in scheme "pkg/api/legacyscheme/scheme.go:30"`)
  }
  if (typeof apiVersion === 'string' && apiVersion !== '' && apiVersion !== expected.apiVersion) {
    throw badRequest(`the API version in the data (${apiVersion}) does not match the expected API version (${expected.apiVersion})`)
  }
}

export function cannotBeHandled(expected: ExpectedType, object: JsonObject, why: string): Error {
  const kind = typeof object['kind'] === 'string' && object['kind'] !== '' ? object['kind'] : expected.kind
  const apiVersion = typeof object['apiVersion'] === 'string' && object['apiVersion'] !== '' ? object['apiVersion'] : expected.apiVersion
  return badRequest(`${kind} in version ${JSON.stringify(apiVersion.split('/').at(-1))} cannot be handled as a ${expected.kind}: ${why}`)
}

function summarize(bytes: Uint8Array): string {
  if (bytes.length === 0) return '<empty>'
  const head = Buffer.from(bytes.subarray(0, 30))
  return `${bytes[0] === 0x7b ? head.toString('utf8') : head.toString('hex')}${bytes.length > 30 ? ' ...' : ''}`
}

const goKind = (value: JsonValue): string => (Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value === 'boolean' ? 'bool' : typeof value === 'bigint' ? 'number' : typeof value)

/** A decoded object, as JSON again. */
export const jsonOf = (object: ApiObject): JsonObject => asJson(object)

// OpenAPI v3: one document per group version, as `kubectl explain` and `kubectl apply` fetch them, and the index that names them with their hashes.
// Upstream: kube-openapi/pkg/builder3, kube-openapi/pkg/handler3
import type { JsonObject, JsonValue } from '../../base/json.ts'
import { servedResources } from '../generated/resources.ts'
import { DefinitionBuilder, patchId, type Descriptions } from './definitions.ts'
import { operationsOf, tagOf, type Operation, type Parameter, type PathOperations } from './operations.ts'

export interface OpenApiOptions {
  /** The server's version: `v1.37.0`. */
  readonly version: string
  /** Texts for types and fields (dist/descriptions.json); without them everything else is there all the same. */
  readonly descriptions?: Descriptions
}

const mediaTypes = ['application/cbor', 'application/json', 'application/vnd.kubernetes.protobuf', 'application/yaml']
const streamTypes = ['application/cbor-seq', 'application/json;stream=watch', 'application/vnd.kubernetes.protobuf;stream=watch']
const patchTypes = ['application/apply-patch+cbor', 'application/apply-patch+yaml', 'application/json-patch+json', 'application/merge-patch+json', 'application/strategic-merge-patch+json']
const metaV1 = 'io.k8s.apimachinery.pkg.apis.meta.v1'

/** Names of the documents, as they stand behind `/openapi/v3/`: `api/v1`, `apis/apps/v1`, `apis/apps`, `version`, … */
export function openApiV3Names(): readonly string[] {
  const groupVersions = servedResources.map((info) => (info.group === '' ? `api/${info.version}` : `apis/${info.group}/${info.version}`))
  const groups = servedResources.filter((info) => info.group !== '').map((info) => `apis/${info.group}`)
  return [...new Set([...groupVersions, ...groups, 'api', 'apis', 'version', '.well-known/openid-configuration', 'openid/v1/jwks', 'logs'])].sort()
}

/** The document of one name; undefined when there is none. */
export function buildOpenApiV3(name: string, options: OpenApiOptions): JsonObject | undefined {
  const builder = new DefinitionBuilder(3, options.descriptions)
  const paths = pathsOf(name, builder)
  if (paths === undefined) return undefined
  const schemas = builder.definitions()
  return {
    openapi: '3.0.0', info: { title: 'Kubernetes', version: options.version }, paths,
    components: { ...(Object.keys(schemas).length === 0 ? {} : { schemas }), securitySchemes: { BearerToken: { type: 'apiKey', description: 'Bearer Token authentication', name: 'authorization', in: 'header' } } },
  }
}

/** `/openapi/v3`: where each document is. `hashOf` gives the SHA-512 of a document's JSON in upper-case hex. */
export function buildOpenApiV3Index(hashOf: (name: string) => string): JsonObject {
  return { paths: Object.fromEntries(openApiV3Names().map((name) => [name, { serverRelativeURL: `/openapi/v3/${name}?hash=${hashOf(name)}` }])) }
}

function pathsOf(name: string, builder: DefinitionBuilder): JsonObject | undefined {
  const match = /^(?:api|apis\/([^/]+))\/([^/]+)$/.exec(name)
  if (match !== null) {
    const [, group = '', version = ''] = match
    if (!servedResources.some((info) => info.group === group && info.version === version)) return undefined
    const resources: PathOperations[] = [...operationsOf(group, version)]
    return Object.fromEntries([[`/${name}/`, discovery(`get${name}`, `${metaV1}.APIResourceList`, tagOf(group, version), builder)], ...resources.map((path) => [path.path, pathItem(path, tagOf(group, version), builder)] as const)])
  }
  if (name === 'api') return { '/api/': discovery('getCoreAPIVersions', `${metaV1}.APIVersions`, 'core', builder) }
  if (name === 'apis') return { '/apis/': discovery('getAPIVersions', `${metaV1}.APIGroupList`, 'apis', builder) }
  const group = /^apis\/([^/]+)$/.exec(name)?.[1]
  if (group !== undefined) return servedResources.some((info) => info.group === group) ? { [`/apis/${group}/`]: discovery('getAPIGroup', `${metaV1}.APIGroup`, group, builder) } : undefined
  const plain = (tag: string, operationId: string): JsonObject => ({ get: { tags: [tag], description: 'read', operationId, responses: { 200: { description: 'OK', content: { 'application/json': { schema: { type: 'string' } } } }, 401: { description: 'Unauthorized' } } } })
  switch (name) {
    case 'version': return { '/version/': plain('version', 'getCodeVersion') }
    case '.well-known/openid-configuration': return { '/.well-known/openid-configuration/': plain('WellKnown', 'getServiceAccountIssuerOpenIDConfiguration') }
    case 'openid/v1/jwks': return { '/openid/v1/jwks/': plain('openid', 'getServiceAccountIssuerOpenIDKeyset') }
    case 'logs': return { '/logs/': plain('logs', 'logFileListHandler') }
    default: return undefined
  }
}

function discovery(operationId: string, type: string, tag: string, builder: DefinitionBuilder): JsonObject {
  return { get: { tags: [tag], description: 'what is served here', operationId, responses: { 200: { description: 'OK', content: content(builder.reference(type), mediaTypes.filter((media) => media !== 'application/cbor')) }, 401: { description: 'Unauthorized' } } } }
}

const content = (schema: JsonObject, media: readonly string[]): JsonObject => Object.fromEntries(media.map((type) => [type, { schema }]))

function parameter({ name, in: place, type, description }: Parameter): JsonObject {
  return { name, in: place, description, ...(place === 'path' ? { required: true } : {}), schema: { type, uniqueItems: true } }
}

function pathItem(path: PathOperations, tag: string, builder: DefinitionBuilder): JsonObject {
  return { ...Object.fromEntries(path.operations.map((operation) => [operation.method, operationObject(operation, tag, builder)])), parameters: path.parameters.map(parameter) }
}

function operationObject(operation: Operation, tag: string, builder: DefinitionBuilder): JsonObject {
  const answer: JsonValue = operation.answer === undefined ? content({ type: 'string' }, ['*/*']) : content(builder.reference(operation.answer), operation.streams ? [...mediaTypes, ...streamTypes] : mediaTypes)
  const responseTexts: { readonly [code: number]: string } = { 200: 'OK', 201: 'Created', 202: 'Accepted' }
  return {
    tags: [tag], description: operation.description, operationId: operation.operationId,
    ...(operation.parameters.length === 0 ? {} : { parameters: operation.parameters.map(parameter) }),
    ...(operation.body === undefined ? {} : operation.body === 'patch'
      ? { requestBody: { content: content(builder.reference(patchId), patchTypes), required: true } }
      : { requestBody: { content: content(builder.reference(operation.body.type), ['*/*']), ...(operation.body.required ? { required: true } : {}) } }),
    responses: { ...Object.fromEntries(operation.codes.map((code) => [String(code), { description: responseTexts[code] ?? '', content: answer }])), 401: { description: 'Unauthorized' } },
    'x-kubernetes-action': operation.action, 'x-kubernetes-group-version-kind': { ...operation.kind },
  }
}

// OpenAPI v2 (swagger): the whole API in one document, as older clients and helm read it. Upstream: kube-openapi/pkg/builder
import type { JsonObject } from '../../base/json.ts'
import { servedResources } from '../generated/resources.ts'
import { DefinitionBuilder, patchId } from './definitions.ts'
import type { OpenApiOptions } from './openapi-v3.ts'
import { operationsOf, tagOf, type Operation, type Parameter, type PathOperations } from './operations.ts'

const mediaTypes = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf', 'application/cbor']
const streamTypes = ['application/json;stream=watch', 'application/vnd.kubernetes.protobuf;stream=watch', 'application/cbor-seq']
const patchTypes = ['application/json-patch+json', 'application/merge-patch+json', 'application/strategic-merge-patch+json', 'application/apply-patch+yaml', 'application/apply-patch+cbor']
const metaV1 = 'io.k8s.apimachinery.pkg.apis.meta.v1'

/** The document of everything that is served. */
export function buildOpenApiV2(options: OpenApiOptions): JsonObject {
  const builder = new DefinitionBuilder(2, options.descriptions)
  const paths = new Map<string, JsonObject>()
  paths.set('/api/', discovery('getCoreAPIVersions', `${metaV1}.APIVersions`, 'core', builder))
  paths.set('/apis/', discovery('getAPIVersions', `${metaV1}.APIGroupList`, 'apis', builder))
  for (const key of new Set(servedResources.map((info) => `${info.group}/${info.version}`))) {
    const [group = '', version = ''] = key.split('/')
    const tag = tagOf(group, version)
    paths.set(`${group === '' ? '/api' : `/apis/${group}`}/${version}/`, discovery(`get${tag}APIResources`, `${metaV1}.APIResourceList`, tag, builder))
    if (group !== '') paths.set(`/apis/${group}/`, discovery(`get${tag}APIGroup`, `${metaV1}.APIGroup`, tag, builder))
    for (const path of operationsOf(group, version)) paths.set(path.path, pathItem(path, tag, builder))
  }
  return {
    swagger: '2.0', info: { title: 'Kubernetes', version: options.version }, paths: Object.fromEntries([...paths].sort(([a], [b]) => (a < b ? -1 : 1))), definitions: builder.definitions(),
    securityDefinitions: { BearerToken: { description: 'Bearer Token authentication', type: 'apiKey', name: 'authorization', in: 'header' } }, security: [{ BearerToken: [] }],
  }
}

function discovery(operationId: string, type: string, tag: string, builder: DefinitionBuilder): JsonObject {
  const media = mediaTypes.slice(0, 3)
  return { get: { description: 'what is served here', consumes: media, produces: media, schemes: ['https'], tags: [tag], operationId, responses: { 200: { description: 'OK', schema: builder.reference(type) }, 401: { description: 'Unauthorized' } } } }
}

function parameter({ name, in: place, type, description }: Parameter): JsonObject {
  return { uniqueItems: true, type, description, name, in: place, ...(place === 'path' ? { required: true } : {}) }
}

function pathItem(path: PathOperations, tag: string, builder: DefinitionBuilder): JsonObject {
  return { ...Object.fromEntries(path.operations.map((operation) => [operation.method, operationObject(operation, tag, builder)])), parameters: path.parameters.map(parameter) }
}

function operationObject(operation: Operation, tag: string, builder: DefinitionBuilder): JsonObject {
  const texts: { readonly [code: number]: string } = { 200: 'OK', 201: 'Created', 202: 'Accepted' }
  const body = operation.body === undefined ? [] : [{
    name: 'body', in: 'body', ...(operation.body === 'patch' || operation.body.required ? { required: true } : {}), schema: builder.reference(operation.body === 'patch' ? patchId : operation.body.type),
  }]
  const schema = operation.answer === undefined ? { type: 'string' } : builder.reference(operation.answer)
  const parameters = [...body, ...operation.parameters.map(parameter)]
  return {
    description: operation.description, consumes: operation.body === 'patch' ? patchTypes : ['*/*'], produces: operation.answer === undefined ? ['*/*'] : operation.streams ? [...mediaTypes, ...streamTypes] : mediaTypes, schemes: ['https'],
    tags: [tag], operationId: operation.operationId, ...(parameters.length === 0 ? {} : { parameters }),
    responses: { ...Object.fromEntries(operation.codes.map((code) => [String(code), { description: texts[code] ?? '', schema }])), 401: { description: 'Unauthorized' } },
    'x-kubernetes-action': operation.action, 'x-kubernetes-group-version-kind': { ...operation.kind },
  }
}

import { test } from 'node:test'
import assert from 'node:assert/strict'
import type { JsonObject, JsonValue } from '../../base/json.ts'
import { WireReader } from '../../base/protobuf/wire-reader.ts'
import { buildOpenApiV2 } from './openapi-v2.ts'
import { encodeOpenApiV2Protobuf } from './openapi-v2-protobuf.ts'
import { buildOpenApiV3, buildOpenApiV3Index, openApiV3Names } from './openapi-v3.ts'

const version = 'v1.37.0'
const at = (value: JsonValue | undefined, ...path: readonly string[]): JsonValue | undefined => path.reduce<JsonValue | undefined>((node, key) => (typeof node === 'object' && node !== null ? (node as { readonly [key: string]: JsonValue })[key] : undefined), value)
const refsOf = (value: JsonValue, found: Set<string>): Set<string> => {
  if (Array.isArray(value)) for (const item of value) refsOf(item, found)
  else if (typeof value === 'object' && value !== null) for (const [key, item] of Object.entries(value)) { if (key === '$ref' && typeof item === 'string') found.add(item); else if (item !== undefined) refsOf(item, found) }
  return found
}

test('every document is closed under its references', () => {
  for (const name of openApiV3Names()) {
    const document = buildOpenApiV3(name, { version })
    assert.ok(document, name)
    for (const ref of refsOf(document, new Set())) assert.ok(at(document, 'components', 'schemas', ref.replace('#/components/schemas/', '')), `${name}: ${ref}`)
  }
  const v2 = buildOpenApiV2({ version })
  for (const ref of refsOf(v2, new Set())) assert.ok(at(v2, 'definitions', ref.replace('#/definitions/', '')), ref)
  const ids = Object.values(v2['paths'] as JsonObject).flatMap((path) => Object.values(path as JsonObject)).map((operation) => at(operation, 'operationId')).filter((id) => id !== undefined)
  assert.equal(new Set(ids).size, ids.length, 'operation ids are unique')
})

test('what clients look for in v3', () => {
  const document = buildOpenApiV3('apis/apps/v1', { version, descriptions: { 'io.k8s.api.apps.v1.DeploymentSpec': { replicas: 'How many.' } } })
  const schema = at(document, 'components', 'schemas', 'io.k8s.api.apps.v1.DeploymentSpec')
  assert.deepEqual(at(schema, 'properties', 'replicas'), { description: 'How many.', type: 'integer', format: 'int32' })
  assert.deepEqual(at(schema, 'properties', 'strategy'), { allOf: [{ $ref: '#/components/schemas/io.k8s.api.apps.v1.DeploymentStrategy' }], default: {}, 'x-kubernetes-patch-strategy': 'retainKeys' })
  assert.deepEqual(at(schema, 'required'), ['selector', 'template'])
  assert.deepEqual(at(document, 'components', 'schemas', 'io.k8s.api.apps.v1.Deployment', 'x-kubernetes-group-version-kind'), [{ group: 'apps', kind: 'Deployment', version: 'v1' }])
  const containers = at(document, 'components', 'schemas', 'io.k8s.api.core.v1.PodSpec', 'properties', 'containers')
  assert.equal(at(containers, 'x-kubernetes-patch-merge-key'), 'name')
  assert.deepEqual(at(containers, 'x-kubernetes-list-map-keys'), ['name'])
  const patch = at(document, 'paths', '/apis/apps/v1/namespaces/{namespace}/deployments/{name}', 'patch')
  assert.deepEqual(at(patch, 'x-kubernetes-group-version-kind'), { group: 'apps', version: 'v1', kind: 'Deployment' })
  assert.ok((at(patch, 'parameters') as JsonObject[]).some((p) => p['name'] === 'fieldValidation' && p['in'] === 'query'))
  assert.deepEqual(at(document, 'components', 'schemas', 'io.k8s.apimachinery.pkg.util.intstr.IntOrString'), { format: 'int-or-string', oneOf: [{ type: 'integer' }, { type: 'string' }] })
  assert.equal(at(document, 'paths', '/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale', 'get', 'x-kubernetes-group-version-kind', 'group'), 'autoscaling')
  assert.equal(buildOpenApiV3('apis/apps/v9', { version }), undefined)
})

test('the index names each document with its hash', () => {
  const index = buildOpenApiV3Index((name) => `H-${name}`)
  assert.deepEqual(at(index, 'paths', 'api/v1'), { serverRelativeURL: '/openapi/v3/api/v1?hash=H-api/v1' })
})

test('connect and log in core', () => {
  const document = buildOpenApiV3('api/v1', { version })
  assert.equal(at(document, 'paths', '/api/v1/namespaces/{namespace}/pods/{name}/exec', 'get', 'operationId'), 'connectCoreV1GetNamespacedPodExec')
  assert.ok(at(document, 'paths', '/api/v1/nodes/{name}/proxy/{path}', 'put'))
  assert.ok((at(document, 'paths', '/api/v1/namespaces/{namespace}/pods/{name}/log', 'parameters') as JsonObject[]).some((p) => p['name'] === 'follow'))
})

test('v2 as protobuf begins with its version and is about as long as it should be', () => {
  const bytes = encodeOpenApiV2Protobuf(buildOpenApiV2({ version }))
  const reader = new WireReader(bytes)
  assert.equal(reader.tag(), 10)
  assert.equal(reader.string(), '2.0')
  const seen = new Set<number>([1])
  while (!reader.done) { const tag = reader.tag(); seen.add(Math.floor(tag / 8)); reader.skip(tag & 7) }
  assert.deepEqual([...seen], [1, 2, 8, 9, 12, 13])
})

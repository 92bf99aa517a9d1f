// What clients count on, seen from the wire: headers, discovery, negotiation, tables, watches, pages, deletes, subresources, server-side apply.
// Upstream: apiserver/pkg/endpoints; the rules are those of the original's conformance and of client-go
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import { decodeProtobuf, decodeProtobufWatchEvent, encodeProtobuf } from '../../src/lib/api/protobuf-codec.ts'
import type { JsonObject } from '../../src/lib/base/json.ts'
import { nobodyToken, startHttpsWorld } from './api-server-https.ts'
import type { HttpsWatch, HttpsWorld } from './api-server-https.ts'
import { configMap, json, jsonPatch, mapsPath, mergePatch, podOf, podsPath, strategicPatch } from './api-server-world.ts'
import type { Loose } from './api-server-world.ts'

const deploymentsPath = '/apis/apps/v1/namespaces/default/deployments'
const protobuf = 'application/vnd.kubernetes.protobuf'
const applyPatch = { 'content-type': 'application/apply-patch+yaml' }
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const deployment = (name: string, more: object = {}): JsonObject => ({
  metadata: { name, ...more }, spec: { replicas: 1, selector: { matchLabels: { a: 'b' } }, template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'example.com/i:1' }] } } },
})
const create = (https: HttpsWorld, path: string, body: object): Promise<Loose> => https.ask(201, { method: 'POST', path, body })
const defaultAccount = (https: HttpsWorld): Promise<Loose> => create(https, '/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'default' } })
const patch = (https: HttpsWorld, path: string, headers: { readonly [name: string]: string }, body: object | string, status = 200): Promise<Loose> => https.ask(status, { method: 'PATCH', path, headers, body: typeof body === 'string' ? body : JSON.stringify(body) })
const names = (list: Loose): readonly string[] => list.items.map((item: Loose) => item.metadata.name)
const table = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json'
const partial = (kind: string, media = 'application/json'): string => `${media};as=${kind};g=meta.k8s.io;v=v1`

test('headers that every answer has', async () => {
  await using https = await startHttpsWorld()
  for (const http2 of [false, true]) {
    for (const path of [mapsPath, `${mapsPath}/none`, '/version', '/nope', '/api']) {
      const { headers } = await https.send({ path, http2 })
      assert.match(String(headers['audit-id']), uuid)
      assert.equal(headers['cache-control'], 'no-cache, private')
      assert.equal((await https.send({ path, http2, headers: { 'audit-id': 'mine' } })).headers['audit-id'], 'mine')
    }
    const { headers } = await https.send({ path: mapsPath, http2 })
    assert.equal(headers['content-type'], 'application/json')
    const schemas = await https.ask(200, { path: '/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas' })
    const levels = await https.ask(200, { path: '/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations' })
    assert.ok(schemas.items.some((item: Loose) => item.metadata.uid === headers['x-kubernetes-pf-flowschema-uid']), JSON.stringify(headers))
    assert.ok(levels.items.some((item: Loose) => item.metadata.uid === headers['x-kubernetes-pf-prioritylevel-uid']))
    assert.equal((await https.send({ path: mapsPath, http2, token: 'wrong' })).headers['x-kubernetes-pf-flowschema-uid'], undefined)
  }
  await create(https, mapsPath, configMap('large', { x: 'x'.repeat(200_000) }))
  const packed = await https.send({ path: `${mapsPath}/large`, headers: { 'accept-encoding': 'gzip' } })
  assert.deepEqual([packed.headers['content-encoding'], packed.headers['vary']], ['gzip', 'Accept-Encoding'])
  assert.equal(JSON.parse(gunzipSync(packed.bytes).toString()).data.x.length, 200_000)
  assert.equal((await https.send({ path: `${mapsPath}/large` })).headers['content-encoding'], undefined)
  assert.equal((await https.send({ path: '/version', headers: { 'accept-encoding': 'gzip' } })).headers['content-encoding'], undefined)
  const head = await https.send({ method: 'HEAD', path: `${mapsPath}/large` })
  assert.deepEqual([head.status, head.bytes.length], [200, 0])
})

test('discovery, a document at a time', async () => {
  await using https = await startHttpsWorld()
  const api = await https.ask(200, { path: '/api' })
  assert.deepEqual(api, { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: `127.0.0.1:${https.port}` }] })
  const groups = await https.ask(200, { path: '/apis' })
  assert.deepEqual([groups.kind, groups.apiVersion], ['APIGroupList', 'v1'])
  const autoscaling = groups.groups.find((group: Loose) => group.name === 'autoscaling')
  assert.deepEqual([autoscaling.versions[0], autoscaling.preferredVersion], [{ groupVersion: 'autoscaling/v2', version: 'v2' }, { groupVersion: 'autoscaling/v2', version: 'v2' }])
  for (const group of groups.groups) {
    assert.deepEqual(await https.ask(200, { path: `/apis/${group.name}` }), { kind: 'APIGroup', apiVersion: 'v1', ...group })
    for (const { groupVersion } of group.versions) {
      const list = await https.ask(200, { path: `/apis/${groupVersion}` })
      assert.deepEqual([list.kind, list.apiVersion, list.groupVersion], ['APIResourceList', 'v1', groupVersion])
      for (const resource of list.resources) assert.ok(typeof resource.singularName === 'string' && Array.isArray(resource.verbs) && typeof resource.namespaced === 'boolean' && resource.kind !== '', JSON.stringify(resource))
    }
  }
  const core = await https.ask(200, { path: '/api/v1' })
  assert.deepEqual([core.kind, core.apiVersion, core.groupVersion], ['APIResourceList', undefined, 'v1'])
  const resource = (name: string): Loose => core.resources.find((r: Loose) => r.name === name)
  assert.deepEqual(resource('pods'), { name: 'pods', singularName: 'pod', namespaced: true, kind: 'Pod', verbs: ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'], shortNames: ['po'], categories: ['all'], storageVersionHash: 'xPOwRZ+Yhw8=' })
  assert.deepEqual(resource('pods/eviction'), { name: 'pods/eviction', singularName: '', namespaced: true, group: 'policy', version: 'v1', kind: 'Eviction', verbs: ['create'] })
  assert.deepEqual(resource('serviceaccounts/token'), { name: 'serviceaccounts/token', singularName: '', namespaced: true, group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest', verbs: ['create'] })
  assert.ok(!resource('namespaces').verbs.includes('deletecollection'))
  assert.deepEqual(resource('componentstatuses').verbs, ['get', 'list'])
  const apps = await https.ask(200, { path: '/apis/apps/v1' })
  assert.deepEqual(apps.resources.find((r: Loose) => r.name === 'deployments/scale'), { name: 'deployments/scale', singularName: '', namespaced: true, group: 'autoscaling', version: 'v1', kind: 'Scale', verbs: ['get', 'patch', 'update'] })
  const asProtobuf = await https.send({ path: '/apis/apps/v1', headers: { accept: protobuf } })
  assert.equal(asProtobuf.headers['content-type'], protobuf)
  assert.equal((decodeProtobuf(asProtobuf.bytes, 'io.k8s.apimachinery.pkg.apis.meta.v1.APIResourceList') as Loose).resources.length, apps.resources.length)
})

test('discovery, all at once', async () => {
  await using https = await startHttpsWorld()
  const accept = ['v2', 'v2beta1'].map((version) => `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`)
  for (const path of ['/api', '/apis']) {
    const answer = await https.send({ path, headers: { accept: `${accept.join()},application/json` } })
    assert.equal(answer.headers['content-type'], accept[0])
    assert.deepEqual([answer.headers['vary'], answer.headers['cache-control']], ['Accept', 'public'])
    assert.match(String(answer.headers['etag']), /^"[0-9A-F]{128}"$/)
    assert.equal(answer.headers['etag'], `"${createHash('sha512').update(JSON.stringify(answer.json)).digest('hex').toUpperCase()}"`)
    assert.deepEqual([answer.json.kind, answer.json.apiVersion], ['APIGroupDiscoveryList', 'apidiscovery.k8s.io/v2'])
    const again = await https.send({ path, headers: { accept: accept[0] ?? '', 'if-none-match': String(answer.headers['etag']) } })
    assert.deepEqual([again.status, again.bytes.length], [304, 0])
    for (const group of answer.json.items) for (const version of group.versions) assert.equal(version.freshness, 'Current')
    // The removed beta is passed over, not answered.
    const old = await https.send({ path, headers: { accept: `${accept[1]},application/json` } })
    assert.equal(old.headers['content-type'], 'application/json')
    assert.notEqual(old.json.kind, 'APIGroupDiscoveryList')
  }
  const { json: all } = await https.send({ path: '/apis', headers: { accept: accept[0] ?? '' } })
  const apps = all.items.find((group: Loose) => group.metadata.name === 'apps')
  const found = apps.versions[0].resources.find((r: Loose) => r.resource === 'deployments')
  assert.deepEqual([found.scope, found.singularResource, found.shortNames, found.responseKind.kind], ['Namespaced', 'deployment', ['deploy'], 'Deployment'])
  assert.deepEqual(found.subresources.find((s: Loose) => s.subresource === 'scale').responseKind, { group: 'autoscaling', version: 'v1', kind: 'Scale' })
})

test('/version, health, and the other fixed paths', async () => {
  await using https = await startHttpsWorld()
  const { json: version, headers } = await https.send({ path: '/version', token: null })
  assert.equal(headers['content-type'], 'application/json')
  for (const field of ['major', 'minor', 'gitVersion', 'gitCommit', 'gitTreeState', 'buildDate', 'goVersion', 'compiler', 'platform', 'emulationMajor', 'emulationMinor', 'minCompatibilityMajor', 'minCompatibilityMinor']) assert.ok(typeof version[field] === 'string' && version[field] !== '', field)
  assert.match(version.gitVersion, /^v1\.37\.\d+(\+[0-9A-Za-z.-]+)?$/)
  assert.ok(!Number.isNaN(Date.parse(version.buildDate)))
  for (const path of ['/healthz', '/livez', '/readyz']) {
    const answer = await https.send({ path, token: null })
    assert.deepEqual([answer.status, answer.text, answer.headers['content-type'], answer.headers['x-content-type-options']], [200, 'ok', 'text/plain; charset=utf-8', 'nosniff'])
    const verbose = await https.send({ path: `${path}?verbose` })
    assert.match(verbose.text, new RegExp(`^\\[\\+\\]ping ok\\n[\\s\\S]*\\[\\+\\]etcd ok\\n[\\s\\S]*${path.slice(1)} check passed\\n$`))
    const without = await https.send({ path: `${path}?verbose&exclude=etcd&exclude=nonsense` })
    assert.match(without.text, /\[\+\]etcd excluded: ok\n/)
    assert.match(without.text, /warn: some health checks cannot be excluded: no matches for "nonsense"/)
    assert.deepEqual([(await https.send({ path: `${path}/ping` })).status, (await https.send({ path: `${path}/etcd` })).text], [200, 'ok'])
  }
  const { json: root } = await https.send({ path: '/' })
  for (const path of ['/api', '/api/v1', '/apis', '/apis/apps', '/apis/apps/v1', '/healthz', '/metrics', '/openapi/v2', '/version']) assert.ok(root.paths.includes(path), path)
  assert.deepEqual(root.paths, [...root.paths].sort())
  const configuration = await https.send({ path: '/.well-known/openid-configuration' })
  assert.deepEqual([configuration.json.issuer, configuration.json.response_types_supported, configuration.headers['cache-control']], ['https://kubernetes.default.svc.cluster.local', ['id_token'], 'public, max-age=3600'])
  const keys = await https.send({ path: '/openid/v1/jwks' })
  assert.equal(keys.headers['content-type'], 'application/jwk-set+json')
  assert.ok(keys.json.keys.length > 0)
  assert.match((await https.send({ path: '/metrics' })).text, /apiserver_request_total\{/)
})

test('OpenAPI: both versions, both forms, with ETags that spare the download', async () => {
  await using https = await startHttpsWorld()
  const asJson = await https.send({ path: '/openapi/v2' })
  assert.equal(asJson.json.swagger, '2.0')
  assert.deepEqual(asJson.json.definitions['io.k8s.api.apps.v1.Deployment']['x-kubernetes-group-version-kind'], [{ group: 'apps', kind: 'Deployment', version: 'v1' }])
  const etag = String(asJson.headers['etag'])
  assert.match(etag, /^"[0-9A-F]{128}"$/)
  for (const type of ['application/com.github.proto-openapi.spec.v2@v1.0+protobuf', 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf']) {
    const answer = await https.send({ path: '/openapi/v2', headers: { accept: type } })
    assert.deepEqual([answer.status, answer.headers['content-type'], answer.headers['vary'], answer.headers['etag']], [200, 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf', 'Accept', etag])
    assert.equal(answer.bytes[0], 0x0a)
  }
  assert.equal((await https.send({ path: '/openapi/v2', headers: { 'if-none-match': etag } })).status, 304)
  const refused = await https.send({ path: '/openapi/v2', headers: { accept: 'text/html' } })
  assert.deepEqual([refused.status, refused.bytes.length], [406, 0])
  const { json: index } = await https.send({ path: '/openapi/v3' })
  const { serverRelativeURL: url } = index.paths['apis/apps/v1']
  assert.match(url, /^\/openapi\/v3\/apis\/apps\/v1\?hash=[0-9A-F]+$/)
  const document = await https.send({ path: url })
  assert.deepEqual([document.status, document.headers['cache-control'], document.json.openapi], [200, 'public, immutable', '3.0.0'])
  assert.equal(document.headers['etag'], `"${url.split('=')[1]}"`)
  const patchParameters = document.json.paths['/apis/apps/v1/namespaces/{namespace}/deployments/{name}'].patch.parameters.map((p: Loose) => p.name)
  for (const name of ['dryRun', 'fieldManager', 'fieldValidation', 'force']) assert.ok(patchParameters.includes(name), name)
  const stale = await https.send({ path: '/openapi/v3/apis/apps/v1?hash=0' })
  assert.deepEqual([stale.status, stale.headers['location']], [301, url])
})

test('an object is the same in JSON, YAML and protobuf, whichever way it goes', async () => {
  await using https = await startHttpsWorld()
  await defaultAccount(https)
  const cases: readonly [path: string, type: string, object: JsonObject][] = [
    [mapsPath, 'io.k8s.api.core.v1.ConfigMap', { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'm', labels: { a: 'b', constructor: 'x' } }, data: { x: 'é\u2028' }, binaryData: { b: 'AAEC/w==' } }],
    ['/api/v1/namespaces/default/secrets', 'io.k8s.api.core.v1.Secret', { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, type: 'Opaque', data: { k: 'dg==' } }],
    [podsPath, 'io.k8s.api.core.v1.Pod', { apiVersion: 'v1', kind: 'Pod', ...podOf('p', { containers: [{ name: 'c', image: 'i', resources: { requests: { cpu: '0.5', memory: '1.5Gi' } }, livenessProbe: { httpGet: { port: 'http', path: '/' } }, ports: [{ name: 'http', containerPort: 80 }] }] }) }],
    ['/api/v1/namespaces/default/services', 'io.k8s.api.core.v1.Service', { apiVersion: 'v1', kind: 'Service', metadata: { name: 'w' }, spec: { selector: { a: 'b' }, ports: [{ port: 80, targetPort: 8080 }] } }],
    [deploymentsPath, 'io.k8s.api.apps.v1.Deployment', { apiVersion: 'apps/v1', kind: 'Deployment', ...deployment('d') }],
    ['/apis/coordination.k8s.io/v1/namespaces/default/leases', 'io.k8s.api.coordination.v1.Lease', { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: 'l' }, spec: { holderIdentity: 'me', renewTime: '2026-01-01T00:00:00.123456Z', leaseDurationSeconds: 40 } }],
    ['/apis/rbac.authorization.k8s.io/v1/clusterroles', 'io.k8s.api.rbac.v1.ClusterRole', { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: 'r' }, rules: [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }] }],
    ['/apis/storage.k8s.io/v1/storageclasses', 'io.k8s.api.storage.v1.StorageClass', { apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', metadata: { name: 'sc' }, provisioner: 'example.com/p', parameters: { x: 'y' }, allowVolumeExpansion: false }],
    ['/apis/batch/v1/namespaces/default/jobs', 'io.k8s.api.batch.v1.Job', { apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'j', labels: { a: 'b' } }, spec: { template: { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'i' }] } } } }],
  ]
  for (const [path, type, object] of cases) {
    const { name } = object['metadata'] as { readonly name: string }
    const made = await https.send({ method: 'POST', path, body: encodeProtobuf(type, object), headers: { 'content-type': protobuf, accept: protobuf } })
    assert.deepEqual([made.status, made.headers['content-type']], [201, protobuf], made.text)
    const { json: asJson } = await https.send({ path: `${path}/${name}` })
    const asProtobuf = await https.send({ path: `${path}/${name}`, headers: { accept: `${protobuf},application/json` } })
    assert.equal(asProtobuf.bytes.subarray(0, 4).toString('latin1'), 'k8s\0')
    assert.deepEqual(decodeProtobuf(made.bytes), decodeProtobuf(asProtobuf.bytes))
    // Both ways to the same bytes.
    assert.deepEqual(Buffer.from(encodeProtobuf(type, asJson)), asProtobuf.bytes)
    const list = decodeProtobuf((await https.send({ path, headers: { accept: protobuf } })).bytes) as Loose
    assert.ok(names(list).includes(name))
    const inYaml = await https.send({ path: `${path}/${name}`, headers: { accept: 'application/yaml' } })
    assert.equal(inYaml.headers['content-type'], 'application/yaml')
    const replaced = await https.send({ method: 'PUT', path: `${path}/${name}`, body: inYaml.bytes, headers: { 'content-type': 'application/yaml' } })
    assert.deepEqual([replaced.status, replaced.json?.metadata.resourceVersion], [200, asJson.metadata.resourceVersion], `YAML brought a change: ${replaced.text.slice(0, 2000)}`)
    const again = await https.send({ method: 'PUT', path: `${path}/${name}`, body: asProtobuf.bytes, headers: { 'content-type': protobuf } })
    assert.deepEqual([again.status, again.json?.metadata.resourceVersion], [200, asJson.metadata.resourceVersion], 'protobuf brought a change')
  }
  const missing = await https.send({ path: `${mapsPath}/none`, headers: { accept: protobuf } })
  assert.deepEqual([missing.status, missing.headers['content-type'], (decodeProtobuf(missing.bytes) as Loose).reason], [404, protobuf, 'NotFound'])
  assert.match((await https.send({ path: `${mapsPath}/m?pretty=true` })).text, /^\{\n {2}"kind": "ConfigMap",\n/)
  assert.match((await https.send({ path: `${mapsPath}/m`, headers: { 'user-agent': 'curl/8' } })).text, /^\{\n/)
  for (const [accept, type] of [['*/*', 'application/json'], ['application/*', 'application/json'], [`text/html, ${protobuf};q=0.5, application/yaml;q=0.9`, 'application/yaml'], ['application/json;as=Frob;g=meta.k8s.io;v=v1, application/yaml', 'application/yaml'], ['application/json;charset=utf-8', 'application/json']] as const) {
    assert.equal((await https.send({ path: `${mapsPath}/m`, headers: { accept } })).headers['content-type'], type, accept)
  }
})

test('tables and bare metadata: one object, a list, a watch', async () => {
  await using https = await startHttpsWorld()
  await create(https, mapsPath, configMap('a', { x: '1', y: '2' }))
  const one = await https.send({ path: `${mapsPath}/a`, headers: { accept: table } })
  assert.equal(one.headers['content-type'], 'application/json')
  assert.deepEqual([one.json.kind, one.json.apiVersion, one.json.columnDefinitions.map((c: Loose) => c.name), one.json.rows[0].cells.slice(0, 2)], ['Table', 'meta.k8s.io/v1', ['Name', 'Data', 'Age'], ['a', 2]])
  assert.deepEqual([one.json.rows[0].object.kind, one.json.rows[0].object.apiVersion, one.json.columnDefinitions[0].format], ['PartialObjectMetadata', 'meta.k8s.io/v1', 'name'])
  const list = await https.send({ path: `${mapsPath}?limit=500`, headers: { accept: table } })
  assert.deepEqual([list.json.rows.length, list.json.metadata.resourceVersion], [1, String(await https.world.revision())])
  assert.equal((await https.send({ path: `${mapsPath}?includeObject=Object`, headers: { accept: table } })).json.rows[0].object.kind, 'ConfigMap')
  assert.equal((await https.send({ path: `${mapsPath}?includeObject=None`, headers: { accept: table } })).json.rows[0].object, null)
  assert.equal((await https.send({ path: `${mapsPath}?includeObject=Some`, headers: { accept: table } })).status, 400)
  const metadata = await https.send({ path: `${mapsPath}/a`, headers: { accept: partial('PartialObjectMetadata') } })
  assert.deepEqual([metadata.json.kind, metadata.json.apiVersion, metadata.json.metadata.name, metadata.json.data], ['PartialObjectMetadata', 'meta.k8s.io/v1', 'a', undefined])
  const all = await https.send({ path: mapsPath, headers: { accept: partial('PartialObjectMetadataList') } })
  assert.deepEqual([all.json.kind, names(all.json)], ['PartialObjectMetadataList', ['a']])
  const packed = await https.send({ path: mapsPath, headers: { accept: partial('PartialObjectMetadataList', protobuf) } })
  assert.equal(packed.headers['content-type'], protobuf)
  assert.deepEqual(names(decodeProtobuf(packed.bytes, 'io.k8s.apimachinery.pkg.apis.meta.v1.PartialObjectMetadataList')), ['a'])
  {
    using watch = await https.watch({ path: `${mapsPath}?watch=1`, headers: { accept: table } })
    const first = await watch.next()
    assert.deepEqual([first.type, first.object.kind, first.object.columnDefinitions.length, first.object.rows.length], ['ADDED', 'Table', 3, 1])
    await create(https, mapsPath, configMap('b'))
    const second = await watch.next()
    assert.deepEqual([second.object.columnDefinitions ?? [], second.object.rows[0].cells[0]], [[], 'b'])
  }
  using watch = await https.watch({ path: `${mapsPath}?watch=1`, headers: { accept: partial('PartialObjectMetadata') } })
  const event = await watch.next()
  assert.deepEqual([event.type, event.object.kind, event.object.metadata.name, event.object.data], ['ADDED', 'PartialObjectMetadata', 'a', undefined])
})

async function take(watch: HttpsWatch, count: number): Promise<readonly string[]> {
  const events: string[] = []
  for (let i = 0; i < count; i++) { const event = await watch.next(); events.push(`${event?.type} ${event?.object.metadata?.name ?? ''}`.trim()) }
  return events
}

test('watches: what is there, what changes, where one left off', async () => {
  await using https = await startHttpsWorld()
  const a = await create(https, mapsPath, configMap('a', {}, { kind: 'x' }))
  await create(https, mapsPath, configMap('b'))
  {
    using watch = await https.watch({ path: `${mapsPath}?watch=1` })
    assert.deepEqual([watch.status, watch.headers['content-type'], watch.headers['transfer-encoding']], [200, 'application/json', 'chunked'])
    assert.deepEqual(await take(watch, 2), ['ADDED a', 'ADDED b'])
    await patch(https, `${mapsPath}/a`, mergePatch, { data: { x: '1' } })
    const event = await watch.next()
    assert.deepEqual([event.type, event.object.kind, event.object.apiVersion, event.object.data], ['MODIFIED', 'ConfigMap', 'v1', { x: '1' }])
    const { status, details } = await https.ask(200, { method: 'DELETE', path: `${mapsPath}/b` })
    assert.deepEqual([status, details.name], ['Success', 'b'])
    const deleted = await watch.next()
    assert.equal(deleted.type, 'DELETED')
    // A deletion has a version of its own.
    assert.equal(Number(deleted.object.metadata.resourceVersion), await https.world.revision())
  }
  using resumed = await https.watch({ path: `${mapsPath}?watch=1&resourceVersion=${a.metadata.resourceVersion}` })
  assert.deepEqual(await take(resumed, 3), ['ADDED b', 'MODIFIED a', 'DELETED b'])
  using selected = await https.watch({ path: `${mapsPath}?watch=1&labelSelector=kind%3Dx` })
  assert.deepEqual(await take(selected, 1), ['ADDED a'])
  await patch(https, `${mapsPath}/a`, mergePatch, { metadata: { labels: { kind: 'y' } }, data: { x: '2' } })
  const gone = await selected.next()
  assert.deepEqual([gone.type, gone.object.metadata.labels.kind, gone.object.data.x, Number(gone.object.metadata.resourceVersion)], ['DELETED', 'x', '1', await https.world.revision()])
  await patch(https, `${mapsPath}/a`, mergePatch, { data: { x: '3' } })
  await patch(https, `${mapsPath}/a`, mergePatch, { metadata: { labels: { kind: 'x' } } })
  assert.deepEqual(await take(selected, 1), ['ADDED a'])
  using named = await https.watch({ path: `${mapsPath}?watch=true&fieldSelector=metadata.name%3Dc` })
  using legacy = await https.watch({ path: '/api/v1/watch/namespaces/default/configmaps/c' })
  await create(https, mapsPath, configMap('d'))
  await create(https, mapsPath, configMap('c'))
  assert.deepEqual([await take(named, 1), await take(legacy, 1)], [['ADDED c'], ['ADDED c']])
})

test('a watch in protobuf: frames of their length, objects in their envelope', async () => {
  await using https = await startHttpsWorld()
  await create(https, mapsPath, configMap('a', { x: '1' }))
  using watch = await https.watch({ path: `${mapsPath}?watch=1`, headers: { accept: `${protobuf},application/json` } })
  assert.equal(watch.headers['content-type'], `${protobuf};stream=watch`)
  const frame = await watch.nextFrame()
  assert.ok(frame)
  const event = decodeProtobufWatchEvent(frame)
  assert.equal(event.type, 'ADDED')
  assert.deepEqual((decodeProtobuf(event.object) as Loose).data, { x: '1' })
})

test('a watch from before the compaction: 200, one event that says so, and the end', async () => {
  await using https = await startHttpsWorld()
  const { world } = https
  for (const name of ['a', 'b']) await create(https, mapsPath, configMap(name))
  await world.etcd.compact(await world.revision(), new AbortController().signal)
  // A server that remembers nothing of what was before.
  const other = await world.restart()
  await using listening = await other.listen({ address: '127.0.0.1', port: 0 })
  const { port } = listening
  for (const query of ['watch=1&resourceVersion=2', 'watch=1&resourceVersion=2&allowWatchBookmarks=true&timeoutSeconds=300']) {
    using watch = await https.watch({ path: `${mapsPath}?${query}`, port })
    const event = await watch.next()
    assert.deepEqual([watch.status, event.type, event.object.kind, event.object.reason, event.object.code], [200, 'ERROR', 'Status', 'Expired', 410])
    assert.match(event.object.message, /^too old resource version: 2 \(\d+\)$/)
    assert.equal(await watch.next(), undefined)
  }
  using watch = await https.watch({ path: `${mapsPath}?watch=1&resourceVersion=2`, headers: { accept: protobuf }, port })
  const frame = await watch.nextFrame()
  assert.ok(frame)
  const event = decodeProtobufWatchEvent(frame)
  assert.deepEqual([event.type, (decodeProtobuf(event.object) as Loose).reason], ['ERROR', 'Expired'])
  assert.equal(await watch.nextFrame(), undefined)
  // What is there now can be had, and gone on from.
  const list = await https.ask(200, { path: mapsPath, port })
  using resumed = await https.watch({ path: `${mapsPath}?watch=1&resourceVersion=${list.metadata.resourceVersion}`, port })
  await create(https, mapsPath, configMap('c'))
  assert.deepEqual(await take(resumed, 1), ['ADDED c'])
})

test('the streaming list: everything, the mark, then what comes; bookmarks only for those who asked; and an end in time', async () => {
  await using https = await startHttpsWorld()
  for (const name of ['a', 'b']) await create(https, mapsPath, configMap(name))
  const revision = await https.world.revision()
  using watch = await https.watch({ path: `${mapsPath}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true` })
  assert.deepEqual(await take(watch, 2), ['ADDED a', 'ADDED b'])
  const mark = await watch.next()
  assert.deepEqual([mark.type, mark.object.kind, mark.object.apiVersion, mark.object.metadata.annotations], ['BOOKMARK', 'ConfigMap', 'v1', { 'k8s.io/initial-events-end': 'true' }])
  assert.ok(Number(mark.object.metadata.resourceVersion) >= revision)
  await create(https, mapsPath, configMap('c'))
  assert.deepEqual(await take(watch, 1), ['ADDED c'])
  using live = await https.watch({ path: `${mapsPath}?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan` })
  using plain = await https.watch({ path: `${mapsPath}?watch=1&resourceVersion=${await https.world.revision()}&timeoutSeconds=100` })
  await https.world.clock.advance(61_000)
  assert.equal((await watch.next()).type, 'BOOKMARK')
  await create(https, mapsPath, configMap('d'))
  assert.deepEqual([await take(live, 1), await take(plain, 1)], [['ADDED d'], ['ADDED d']])
  await https.world.clock.advance(40_000)
  assert.equal(await plain.next(), undefined)
})

test('pages: one revision, what remains, and the rules of resourceVersionMatch', async () => {
  await using https = await startHttpsWorld()
  for (const name of ['a', 'b', 'c', 'd', 'e']) await create(https, mapsPath, configMap(name, {}, { odd: String('ace'.includes(name)) }))
  const first = await https.ask(200, { path: `${mapsPath}?limit=2` })
  assert.deepEqual([names(first), first.metadata.remainingItemCount], [['a', 'b'], 3])
  assert.doesNotMatch(first.metadata.continue, /[=+/]/)
  const revision = Number(first.metadata.resourceVersion)
  await create(https, mapsPath, configMap('bb'))
  await https.ask(200, { method: 'DELETE', path: `${mapsPath}/d` })
  const second = await https.ask(200, { path: `${mapsPath}?limit=2&continue=${first.metadata.continue}` })
  assert.deepEqual([names(second), second.metadata.remainingItemCount, Number(second.metadata.resourceVersion)], [['c', 'd'], 1, revision])
  const third = await https.ask(200, { path: `${mapsPath}?limit=2&continue=${second.metadata.continue}` })
  assert.deepEqual([names(third), third.metadata.continue, third.metadata.remainingItemCount], [['e'], undefined, undefined])
  const filtered = await https.ask(200, { path: `${mapsPath}?limit=1&labelSelector=odd%3Dtrue` })
  assert.deepEqual([names(filtered), filtered.metadata.remainingItemCount], [['a'], undefined])
  assert.ok(filtered.metadata.continue)
  for (const item of first.items) assert.deepEqual([item.kind, item.apiVersion], [undefined, undefined])
  assert.deepEqual(names(await https.ask(200, { path: `${mapsPath}?resourceVersion=0&limit=1` })), ['a', 'b', 'bb', 'c', 'e'])
  const exact = await https.ask(200, { path: `${mapsPath}?resourceVersion=${revision}&resourceVersionMatch=Exact` })
  assert.deepEqual([names(exact), Number(exact.metadata.resourceVersion)], [['a', 'b', 'c', 'd', 'e'], revision])
  const legacy = await https.ask(200, { path: `${mapsPath}?resourceVersion=${revision}&limit=4` })
  assert.deepEqual([names(legacy), Number(legacy.metadata.resourceVersion)], [['a', 'b', 'c', 'd'], revision])
  const newer = await https.ask(200, { path: `${mapsPath}?resourceVersion=${revision}&resourceVersionMatch=NotOlderThan&limit=3` })
  assert.deepEqual([names(newer), Number(newer.metadata.resourceVersion) >= revision + 2, newer.metadata.remainingItemCount], [['a', 'b', 'bb'], true, 2])
  const none = await https.send({ path: `${mapsPath}?labelSelector=none` })
  assert.match(none.text, /"items":\[\]/)
  // Bytewise over namespace/name: `a-b` comes before `a`.
  for (const name of ['x', 'x-y']) { await create(https, '/api/v1/namespaces', { metadata: { name } }); await create(https, `/api/v1/namespaces/${name}/configmaps`, configMap('m')) }
  assert.deepEqual((await https.ask(200, { path: '/api/v1/configmaps?fieldSelector=metadata.name%3Dm' })).items.map((item: Loose) => item.metadata.namespace), ['x-y', 'x'])
})

test('generated names and dry runs', async () => {
  await using https = await startHttpsWorld()
  const made = await create(https, mapsPath, { metadata: { generateName: 'x'.repeat(70) } })
  assert.match(made.metadata.name, /^x{58}[bcdfghjklmnpqrstvwxz2456789]{5}$/)
  await create(https, mapsPath, configMap('a'))
  const before = await https.world.revision()
  const dry = await create(https, `${mapsPath}?dryRun=All`, { metadata: { generateName: 'dry-' } })
  assert.match(dry.metadata.name, /^dry-.{5}$/)
  assert.match(dry.metadata.uid, uuid)
  assert.equal(dry.metadata.resourceVersion, undefined)
  assert.deepEqual((await patch(https, `${mapsPath}/a?dryRun=All`, mergePatch, { data: { x: '1' } })).data, { x: '1' })
  assert.equal((await https.ask(200, { method: 'DELETE', path: `${mapsPath}/a?dryRun=All` })).status, 'Success')
  assert.equal((await https.ask(200, { method: 'DELETE', path: `${mapsPath}?dryRun=All` })).kind, 'ConfigMapList')
  assert.equal((await https.send({ method: 'PATCH', path: `${mapsPath}/new?fieldManager=m&dryRun=All`, headers: applyPatch, body: 'apiVersion: v1\nkind: ConfigMap\n' })).status, 201)
  assert.equal(await https.world.revision(), before)
})

test('deletes: what is answered, grace, preconditions, finalizers', async () => {
  await using https = await startHttpsWorld()
  await defaultAccount(https)
  const remove = (path: string, body?: object, status = 200): Promise<Loose> => https.ask(status, { method: 'DELETE', path, ...(body && { body }) })
  const a = await create(https, mapsPath, configMap('a'))
  assert.deepEqual(await remove(`${mapsPath}/a`, { kind: 'DeleteOptions', apiVersion: 'policy/v1', preconditions: { uid: a.metadata.uid } }), { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details: { name: 'a', kind: 'configmaps', uid: a.metadata.uid } })
  await create(https, podsPath, podOf('p'))
  assert.equal((await remove(`${podsPath}/p`)).kind, 'Pod')
  await create(https, podsPath, podOf('q', { nodeName: 'n', terminationGracePeriodSeconds: 20 }))
  const stopping = await remove(`${podsPath}/q?gracePeriodSeconds=10`)
  assert.deepEqual([stopping.metadata.deletionGracePeriodSeconds, stopping.metadata.generation], [10, 2])
  assert.equal(Date.parse(stopping.metadata.deletionTimestamp), https.world.clock.now() - (https.world.clock.now() % 1000) + 10_000)
  assert.equal((await remove(`${podsPath}/q`, { gracePeriodSeconds: 30 })).metadata.deletionGracePeriodSeconds, 10)
  assert.equal((await remove(`${podsPath}/q`, { gracePeriodSeconds: 0 })).kind, 'Pod')
  await https.ask(404, { path: `${podsPath}/q` })
  for (const [policy, finalizer] of [['Orphan', 'orphan'], ['Foreground', 'foregroundDeletion']] as const) {
    await create(https, mapsPath, configMap('f'))
    const marked = await remove(`${mapsPath}/f`, { propagationPolicy: policy })
    assert.deepEqual([marked.kind, marked.metadata.finalizers, marked.metadata.deletionGracePeriodSeconds], ['ConfigMap', [finalizer], 0])
    assert.ok(marked.metadata.deletionTimestamp)
    await patch(https, `${mapsPath}/f`, jsonPatch, [{ op: 'remove', path: '/metadata/finalizers' }])
    await https.ask(404, { path: `${mapsPath}/f` })
  }
  await create(https, mapsPath, { metadata: { name: 'g', finalizers: ['example.com/one'] } })
  await remove(`${mapsPath}/g`)
  const refused = await patch(https, `${mapsPath}/g`, mergePatch, { metadata: { finalizers: ['example.com/one', 'example.com/two'] } }, 422)
  assert.match(refused.message, /metadata\.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers \[\]string\{"example\.com\/two"\}$/)
  const exists = await https.send({ method: 'POST', path: mapsPath, body: configMap('g') })
  assert.deepEqual([exists.status, exists.json.message], [409, 'object is being deleted: configmaps "g" already exists'])
  await patch(https, `${mapsPath}/g`, mergePatch, { metadata: { finalizers: null } })
  await https.ask(404, { path: `${mapsPath}/g` })
  for (const name of ['x', 'y', 'z']) await create(https, mapsPath, configMap(name, {}, { keep: String(name === 'z') }))
  const { json: removed } = await https.send({ method: 'DELETE', path: `${mapsPath}?labelSelector=keep%3Dfalse`, body: { kind: 'DeleteOptions', apiVersion: 'v1' } })
  assert.deepEqual([removed.kind, names(removed), names(await https.ask(200, { path: mapsPath }))], ['ConfigMapList', ['x', 'y'], ['z']])
  await create(https, '/apis/batch/v1/namespaces/default/jobs', { metadata: { name: 'j' }, spec: { template: { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'i' }] } } } })
  const job = await https.send({ method: 'DELETE', path: '/apis/batch/v1/namespaces/default/jobs/j' })
  assert.deepEqual(job.json.metadata.finalizers, ['orphan'])
  assert.match(String(job.headers['warning']), /^299 - "child pods are preserved by default when jobs are deleted/)
})

test('namespaces: ending means nothing new, and an end when they are empty', async () => {
  await using https = await startHttpsWorld()
  const made = await create(https, '/api/v1/namespaces', { metadata: { name: 'x' } })
  assert.deepEqual([made.metadata.labels, made.spec.finalizers, made.status.phase], [{ 'kubernetes.io/metadata.name': 'x' }, ['kubernetes'], 'Active'])
  await create(https, '/api/v1/namespaces/x/configmaps', configMap('m'))
  const marked = await https.ask(200, { method: 'DELETE', path: '/api/v1/namespaces/x' })
  assert.deepEqual([marked.status.phase, typeof marked.metadata.deletionTimestamp, marked.metadata.deletionGracePeriodSeconds], ['Terminating', 'string', undefined])
  const refused = await https.ask(403, { method: 'POST', path: '/api/v1/namespaces/x/configmaps', body: configMap('n') })
  assert.equal(refused.message, 'configmaps "n" is forbidden: unable to create new content in namespace x because it is being terminated')
  assert.deepEqual(refused.details.causes.map((cause: Loose) => [cause.reason, cause.field]), [['NamespaceTerminating', 'metadata.namespace']])
  await patch(https, '/api/v1/namespaces/x/configmaps/m', mergePatch, { data: { x: '1' } })
  await https.ask(200, { method: 'DELETE', path: '/api/v1/namespaces/x/configmaps/m' })
  await https.ask(200, { method: 'PUT', path: '/api/v1/namespaces/x/finalize', body: { ...marked, metadata: { name: 'x' }, spec: { finalizers: [] } } })
  await https.ask(404, { path: '/api/v1/namespaces/x' })
})

test('status and scale are doors of their own; the generation counts what is wanted', async () => {
  await using https = await startHttpsWorld()
  await defaultAccount(https)
  const path = `${deploymentsPath}/d`
  const made = await create(https, deploymentsPath, { ...deployment('d'), status: { replicas: 7 } })
  assert.deepEqual([made.metadata.generation, made.status.replicas], [1, undefined])
  const ignored = await patch(https, path, mergePatch, { status: { replicas: 3 } })
  assert.deepEqual([ignored.status.replicas, ignored.metadata.resourceVersion], [undefined, made.metadata.resourceVersion])
  const status = await patch(https, `${path}/status`, strategicPatch, { spec: { replicas: 9 }, status: { replicas: 3, observedGeneration: 1 } })
  assert.deepEqual([status.spec.replicas, status.status.replicas, status.metadata.generation], [1, 3, 1])
  const scale = await https.ask(200, { path: `${path}/scale` })
  assert.deepEqual([scale.kind, scale.apiVersion, scale.spec, scale.status, scale.metadata.resourceVersion], ['Scale', 'autoscaling/v1', { replicas: 1 }, { replicas: 3, selector: 'a=b' }, status.metadata.resourceVersion])
  assert.equal((await https.ask(200, { method: 'PUT', path: `${path}/scale`, body: { ...scale, spec: { replicas: 4 } } })).spec.replicas, 4)
  await https.ask(409, { method: 'PUT', path: `${path}/scale`, body: { ...scale, spec: { replicas: 5 } } })
  assert.equal((await patch(https, `${path}/scale`, mergePatch, { spec: { replicas: 6 } })).spec.replicas, 6)
  const read = await https.ask(200, { path })
  assert.deepEqual([read.spec.replicas, read.metadata.generation], [6, 3])
  assert.equal((await patch(https, path, mergePatch, { metadata: { labels: { x: 'y' } } })).metadata.generation, 3)
  assert.equal((await patch(https, path, mergePatch, { metadata: { annotations: { x: 'y' } } })).metadata.generation, 4)
  const before = await https.world.revision()
  assert.equal((await patch(https, path, strategicPatch, {})).metadata.generation, 4)
  assert.equal(await https.world.revision(), before)
  for (const [url, body, counted] of [[mapsPath, configMap('m'), undefined], ['/api/v1/namespaces/default/services', { metadata: { name: 's' }, spec: { ports: [{ port: 1 }] } }, undefined], [podsPath, podOf('p'), 1], ['/apis/scheduling.k8s.io/v1/priorityclasses', { metadata: { name: 'pc' }, value: 1 }, 1],
    ['/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', { metadata: { name: 'e' }, addressType: 'IPv4', endpoints: [] }, 1], ['/apis/networking.k8s.io/v1/namespaces/default/networkpolicies', { metadata: { name: 'n' }, spec: { podSelector: {} } }, 1]] as const) {
    assert.equal((await create(https, url, body)).metadata.generation, counted, url)
  }
})

const managers = (object: Loose): readonly string[] => (object.metadata.managedFields ?? []).map((entry: Loose) => `${entry.manager} ${entry.operation}${entry.subresource ? ` ${entry.subresource}` : ''}`)
const apply = (https: HttpsWorld, path: string, manager: string, body: object, status = 200, more = ''): Promise<Loose> => patch(https, `${path}?fieldManager=${manager}${more}`, applyPatch, body, status)

test('server-side apply: who wants what, and who may not', async () => {
  await using https = await startHttpsWorld()
  const path = `${deploymentsPath}/d`
  const wanted = (replicas: number | undefined, image: string, labels: object = {}): object => ({
    apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd', labels },
    spec: { ...(replicas !== undefined && { replicas }), selector: { matchLabels: { a: 'b' } }, template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image }] } } },
  })
  const made = await apply(https, path, 'one', wanted(3, 'i:1', { x: '1', y: '2' }), 201)
  assert.deepEqual(managers(made), ['one Apply'])
  const [entry] = made.metadata.managedFields
  assert.deepEqual([entry.apiVersion, entry.fieldsType, entry.time], ['apps/v1', 'FieldsV1', '2026-01-01T00:00:00Z'])
  assert.deepEqual(entry.fieldsV1['f:spec']['f:template']['f:spec'], { 'f:containers': { 'k:{"name":"c"}': { '.': {}, 'f:image': {}, 'f:name': {} } } })
  assert.equal(made.spec.strategy.type, 'RollingUpdate')
  const before = await https.world.revision()
  assert.equal((await apply(https, path, 'one', wanted(3, 'i:1', { x: '1', y: '2' }))).metadata.resourceVersion, made.metadata.resourceVersion)
  assert.equal(await https.world.revision(), before)
  const conflict = await apply(https, path, 'two', wanted(5, 'i:1'), 409)
  assert.equal(conflict.message, 'Apply failed with 1 conflict: conflict with "one": .spec.replicas')
  assert.deepEqual([conflict.reason, conflict.details.causes], ['Conflict', [{ reason: 'FieldManagerConflict', message: 'conflict with "one"', field: '.spec.replicas' }]])
  const several = await apply(https, path, 'two', wanted(5, 'i:2'), 409)
  assert.equal(several.message, 'Apply failed with 2 conflicts: conflicts with "one":\n- .spec.replicas\n- .spec.template.spec.containers[name="c"].image')
  assert.equal(await https.world.revision(), before)
  const forced = await apply(https, path, 'two', wanted(5, 'i:1'), 200, '&force=true')
  assert.deepEqual([forced.spec.replicas, managers(forced), forced.metadata.generation], [5, ['one Apply', 'two Apply'], 2])
  assert.equal(forced.metadata.managedFields.find((e: Loose) => e.manager === 'one').fieldsV1['f:spec']['f:replicas'], undefined)
  // What one no longer wants goes, unless somebody else wants it.
  const pruned = await apply(https, path, 'one', wanted(undefined, 'i:1', { x: '1' }))
  assert.deepEqual([pruned.metadata.labels, pruned.spec.replicas], [{ x: '1' }, 5])
  // An ordinary write takes what it changes.
  const updated = await patch(https, `${path}?fieldManager=hand`, mergePatch, { spec: { replicas: 8 } })
  assert.deepEqual(managers(updated), ['one Apply', 'two Apply', 'hand Update'])
  assert.equal((await apply(https, path, 'two', wanted(5, 'i:1'), 409)).message, 'Apply failed with 1 conflict: conflict with "hand" using apps/v1: .spec.replicas')
  const status = await patch(https, `${path}/status?fieldManager=controller`, mergePatch, { status: { replicas: 8 } })
  assert.ok(managers(status).includes('controller Update status'), String(managers(status)))
  const scaled = await patch(https, `${path}/scale?fieldManager=scaler`, mergePatch, { spec: { replicas: 9 } })
  assert.equal(scaled.spec.replicas, 9)
  assert.ok(managers(await https.ask(200, { path })).includes('scaler Update scale'), String(managers(await https.ask(200, { path }))))
  assert.equal((await apply(https, `${path}/scale`, 'autoscaler', { apiVersion: 'autoscaling/v1', kind: 'Scale', spec: { replicas: 4 } }, 409)).message, 'Apply failed with 1 conflict: conflict with "scaler" with subresource "scale" using apps/v1: .spec.replicas')
  assert.equal((await apply(https, `${path}/scale`, 'autoscaler', { apiVersion: 'autoscaling/v1', kind: 'Scale', spec: { replicas: 4 } }, 200, '&force=true')).spec.replicas, 4)
  assert.ok(managers(await https.ask(200, { path })).includes('autoscaler Apply scale'))
  const reset = await patch(https, path, mergePatch, { metadata: { managedFields: [{}] } })
  assert.deepEqual(managers(reset), [])
  // Nobody's object belongs to whoever was there before the first apply.
  const adopted = await apply(https, path, 'three', wanted(4, 'i:1'))
  assert.deepEqual(managers(adopted), ['three Apply', 'before-first-apply Update'])
})

test('ordinary writes are tracked under the writer’s name, and identical ones aren’t writes', async () => {
  await using https = await startHttpsWorld()
  const made = await https.ask(201, { method: 'POST', path: mapsPath, body: configMap('a', { x: '1' }), headers: { 'user-agent': 'kubectl-create/v1.37 (linux)' } })
  assert.deepEqual(managers(made), ['kubectl-create Update'])
  assert.deepEqual(made.metadata.managedFields[0].fieldsV1, { 'f:data': { '.': {}, 'f:x': {} } })
  await https.world.clock.advance(5000)
  const same = await https.ask(200, { method: 'PUT', path: `${mapsPath}/a`, body: made, headers: { 'user-agent': 'other/1' } })
  assert.equal(same.metadata.resourceVersion, made.metadata.resourceVersion)
  const changed = await https.ask(200, { method: 'PUT', path: `${mapsPath}/a`, body: { ...made, data: { x: '1', y: '2' } }, headers: { 'user-agent': 'other/1' } })
  assert.deepEqual(managers(changed), ['kubectl-create Update', 'other Update'])
  assert.deepEqual(changed.metadata.managedFields[1].fieldsV1, { 'f:data': { 'f:y': {} } })
})

test('a list or a watch that one may do for one name only', async () => {
  await using https = await startHttpsWorld()
  await create(https, '/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles', { metadata: { name: 'r' }, rules: [{ verbs: ['list', 'watch'], apiGroups: [''], resources: ['configmaps'], resourceNames: ['a'] }] })
  await create(https, '/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings', { metadata: { name: 'r' }, roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'r' }, subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'nobody' }] })
  for (const name of ['a', 'b']) await create(https, mapsPath, configMap(name))
  await https.ask(403, { path: mapsPath, token: nobodyToken })
  assert.deepEqual(names(await https.ask(200, { path: `${mapsPath}?fieldSelector=metadata.name%3Da`, token: nobodyToken })), ['a'])
  await https.ask(403, { path: `${mapsPath}?fieldSelector=metadata.name%3Db`, token: nobodyToken, headers: json })
})

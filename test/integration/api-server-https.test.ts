// The API server over HTTPS on loopback: credentials, both protocols, media types, streams, and the original kubectl.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect as connectHttp2 } from 'node:http2'
import type { ClientHttp2Session } from 'node:http2'
import { request as requestHttps } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer as createTlsServer, connect as connectTls } from 'node:tls'
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { startApiServer } from '../../src/control-plane/kube-apiserver/api-server.ts'
import type { ApiServer } from '../../src/control-plane/kube-apiserver/api-server.ts'
import { openEtcd } from '../../src/control-plane/etcd/embedded.ts'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { decodeProtobuf, decodeProtobufWatchEvent } from '../../src/lib/api/protobuf-codec.ts'
import { encodeProtobuf } from '../../src/lib/api/protobuf-codec.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import { createAuthority, issueCertificate } from '../../src/lib/net/pki/certificates.ts'
import type { CertifiedKey } from '../../src/lib/net/pki/certificates.ts'
import { admin, configMap, forever, mapsPath } from './api-server-world.ts'
import type { Loose } from './api-server-world.ts'

const kubectl = join(import.meta.dirname, '../interop/.bin/kubectl')
const validity = { notBeforeMs: realClock.now() - 60_000, notAfterMs: realClock.now() + 3_600_000 }
const authority = createAuthority('kubernetes', validity, realRandom)
const certificate = (commonName: string, organizations: readonly string[], usage: 'client' | 'server', by: CertifiedKey = authority): CertifiedKey =>
  issueCertificate(by, 'kubernetes', { subject: { commonName, organizations }, names: ['127.0.0.1', 'localhost'], usages: [usage], ...validity, random: realRandom })
const serving = certificate('kube-apiserver', [], 'server')
const adminPair = certificate('admin', ['system:masters'], 'client')
const janePair = certificate('jane', [], 'client')
const strangerPair = certificate('admin', ['system:masters'], 'client', createAuthority('kubernetes', validity, realRandom))

const proxyAuthority = createAuthority('front-proxy-ca', validity, realRandom)
const proxyPair = issueCertificate(proxyAuthority, 'front-proxy-ca', { subject: { commonName: 'front-proxy', organizations: ['system:masters'] }, usages: ['client'], ...validity, random: realRandom })

let api: ApiServer
let port = 0
let kubelet: ReturnType<typeof createTlsServer>
const cleanup: (() => unknown)[] = []

before(async () => {
  const etcd = await openEtcd({ disk: 'memory', clock: realClock, random: realRandom, logger: silentLogger })
  api = await startApiServer({
    etcd: etcd.client, clock: realClock, random: realRandom, logger: silentLogger, freezeObjects: true, tls: { certificate: serving.certificatePem, key: serving.keyPem }, clientCa: authority.certificatePem, requestHeaderClientCa: proxyAuthority.certificatePem, requestHeaderAllowedNames: ['front-proxy'],
    tokens: [{ token: 'secret-token', user: { name: 'joe', uid: '1', groups: ['system:masters'], extra: {} } }], kubeletClient: { certificate: adminPair.certificatePem, key: adminPair.keyPem, certificateAuthority: authority.certificatePem },
  }, forever)
  port = (await api.listen({ address: '127.0.0.1', port: 0 })).port
  cleanup.push(() => api[Symbol.asyncDispose](), () => etcd[Symbol.asyncDispose]())
  // A kubelet that answers logs, and upgrades by echoing what it gets.
  kubelet = createTlsServer({ cert: serving.certificatePem, key: serving.keyPem, ca: authority.certificatePem, requestCert: true, rejectUnauthorized: true }, (socket) => {
    let head = ''
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      if (head.endsWith('\r\n\r\n')) { socket.write(chunk); return }
      head += chunk.toString('latin1')
      if (!head.endsWith('\r\n\r\n')) return
      const line = head.split('\r\n')[0] ?? ''
      if (line.includes('/containerLogs/')) socket.end(`HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n${line}\n`)
      else if (line.includes('/exec/')) socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n')
      else socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n')
    })
  })
  await new Promise<void>((resolve) => { kubelet.listen(0, '127.0.0.1', resolve) })
  cleanup.push(() => kubelet.close())
  const transport = api.transport(admin)
  const make = async (method: 'POST' | 'PATCH', path: string, body: object, headers = {}): Promise<void> => { const answer = await transport.request({ method, path, body: body as Loose, headers, signal: forever }); assert.ok(answer.status < 300, JSON.stringify(answer.body)) }
  await make('POST', '/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'default' } })
  await make('POST', '/api/v1/nodes', { metadata: { name: 'n1' } })
  const address = kubelet.address() as { readonly port: number }
  await make('PATCH', '/api/v1/nodes/n1/status', { status: { addresses: [{ type: 'InternalIP', address: '127.0.0.1' }], daemonEndpoints: { kubeletEndpoint: { Port: address.port } } } }, { 'content-type': 'application/merge-patch+json' })
  await make('POST', '/api/v1/namespaces/default/pods', { metadata: { name: 'p' }, spec: { containers: [{ name: 'main', image: 'x' }] } })
  await make('POST', '/api/v1/namespaces/default/pods/p/binding', { target: { kind: 'Node', name: 'n1' } })
})

after(async () => { for (const undo of cleanup) await undo() })

interface Answer { readonly status: number; readonly headers: { readonly [name: string]: string | string[] | undefined }; readonly bytes: Buffer; readonly object: Loose }
type Identity = { readonly cert?: string; readonly key?: string }
const identity = (pair: CertifiedKey): Identity => ({ cert: pair.certificatePem, key: pair.keyPem })

function http1(method: string, path: string, options: { readonly identity?: Identity; readonly headers?: Record<string, string>; readonly body?: string | Uint8Array } = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = requestHttps({ host: '127.0.0.1', port, path, method, ca: authority.certificatePem, headers: options.headers ?? {}, agent: false, ...options.identity }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => {
        const bytes = Buffer.concat(chunks)
        let object: unknown
        try { object = JSON.parse(bytes.toString()) } catch { object = undefined }
        resolve({ status: response.statusCode ?? 0, headers: response.headers, bytes, object })
      })
    })
    request.on('error', reject)
    request.end(options.body)
  })
}

const asAdmin = { identity: identity(adminPair) }

test('certificates and tokens name users; a bad credential is 401, none is anonymous', async () => {
  assert.equal((await http1('GET', mapsPath, asAdmin)).status, 200)
  assert.equal((await http1('GET', mapsPath, { headers: { authorization: 'Bearer secret-token' } })).status, 200)
  const jane = await http1('GET', mapsPath, { identity: identity(janePair) })
  assert.equal(jane.object.message, 'configmaps is forbidden: User "jane" cannot list resource "configmaps" in API group "" in the namespace "default"')
  for (const bad of [{ identity: identity(strangerPair) }, { headers: { authorization: 'Bearer wrong' } }]) {
    const refused = await http1('GET', '/healthz', bad)
    assert.deepEqual([refused.status, refused.object], [401, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message: 'Unauthorized', reason: 'Unauthorized', code: 401 }])
  }
  assert.equal((await http1('GET', mapsPath)).status, 403)
  const health = await http1('GET', '/healthz')
  assert.deepEqual([health.status, health.bytes.toString(), health.headers['content-type']], [200, 'ok', 'text/plain; charset=utf-8'])
})

test('a front proxy says who its client is; nobody else does, and it is nobody itself', async () => {
  const headers = { 'x-remote-user': 'zoe', 'x-remote-group': 'ops', 'content-type': 'application/json' }
  const review = (pair: CertifiedKey, more: Record<string, string> = headers): Promise<Answer> => http1('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', { identity: identity(pair), headers: more, body: '{}' })
  const { userInfo } = (await review(proxyPair)).object.status
  assert.deepEqual([userInfo.username, userInfo.groups], ['zoe', ['ops', 'system:authenticated']])
  assert.equal((await review(adminPair)).object.status.userInfo.username, 'admin')
  assert.equal((await review(proxyPair, { 'content-type': 'application/json' })).status, 401)
  const published = (await http1('GET', '/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication', asAdmin)).object.data
  assert.equal(published['requestheader-allowed-names'], '["front-proxy"]')
})

test('headers that every answer has', async () => {
  const { headers } = await http1('GET', '/version', { headers: { 'audit-id': 'mine' } })
  assert.deepEqual([headers['audit-id'], headers['cache-control'], headers['content-type']], ['mine', 'no-cache, private', 'application/json'])
  const other = await http1('GET', '/version')
  assert.match(String(other.headers['audit-id']), /^[0-9a-f-]{36}$/)
  assert.ok(other.headers['x-kubernetes-pf-flowschema-uid'])
})

test('discovery, both forms, with an ETag', async () => {
  const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json'
  const aggregated = await http1('GET', '/apis', { headers: { accept, authorization: 'Bearer secret-token' } })
  assert.equal(aggregated.headers['content-type'], 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList')
  assert.equal(aggregated.object.items[0].metadata.name, 'apps')
  const etag = String(aggregated.headers['etag'])
  assert.equal((await http1('GET', '/apis', { headers: { accept, authorization: 'Bearer secret-token', 'if-none-match': etag } })).status, 304)
  const core = await http1('GET', '/api', asAdmin)
  assert.deepEqual([core.object.kind, core.object.versions, core.object.apiVersion], ['APIVersions', ['v1'], undefined])
  const pods = (await http1('GET', '/api/v1', asAdmin)).object.resources.find((r: Loose) => r.name === 'pods')
  assert.deepEqual([pods.storageVersionHash, pods.shortNames, pods.verbs], ['xPOwRZ+Yhw8=', ['po'], ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch']])
})

test('OpenAPI: v2 in both forms, v3 by hash', async () => {
  const old = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf'
  const v2 = await http1('GET', '/openapi/v2', { ...asAdmin, headers: { accept: old } })
  assert.deepEqual([v2.status, v2.headers['content-type']], [200, 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf'])
  assert.equal((await http1('GET', '/openapi/v2', { ...asAdmin, headers: { 'if-none-match': String(v2.headers['etag']) } })).status, 304)
  const { paths } = (await http1('GET', '/openapi/v3', asAdmin)).object
  assert.equal(paths['apis/apiextensions.k8s.io/v1'], undefined)
  const url = paths['apis/apps/v1'].serverRelativeURL
  const document = await http1('GET', url, asAdmin)
  assert.equal(document.headers['cache-control'], 'public, immutable')
  assert.ok(document.object.components.schemas['io.k8s.api.apps.v1.Deployment'])
  const moved = await http1('GET', '/openapi/v3/apis/apps/v1?hash=OLD', asAdmin)
  assert.deepEqual([moved.status, moved.headers['location']], [301, url])
  assert.equal((await http1('GET', '/openapi/v3/apis/none/v1', asAdmin)).status, 404)
})

test('media types: YAML and protobuf in and out, tables, metadata only, what is refused', async () => {
  const yaml = await http1('POST', mapsPath, { ...asAdmin, headers: { 'content-type': 'application/yaml', accept: 'application/yaml' }, body: 'metadata:\n  name: from-yaml\ndata:\n  a: "1"\n' })
  assert.equal(yaml.status, 201)
  assert.match(yaml.bytes.toString(), /^apiVersion: v1\ndata:\n {2}a: ['"]1['"]\nkind: ConfigMap\n/)
  const type = 'io.k8s.api.core.v1.ConfigMap'
  const accept = 'application/vnd.kubernetes.protobuf'
  const made = await http1('POST', mapsPath, { ...asAdmin, headers: { 'content-type': accept, accept }, body: encodeProtobuf(type, { kind: 'ConfigMap', apiVersion: 'v1', ...configMap('from-protobuf', { b: '2' }) }) })
  assert.equal(made.status, 201)
  assert.equal((decodeProtobuf(made.bytes, type) as Loose).data.b, '2')
  const list = decodeProtobuf((await http1('GET', mapsPath, { ...asAdmin, headers: { accept: `${accept},application/json` } })).bytes) as Loose
  assert.deepEqual([list.kind, list.items.length], ['ConfigMapList', 2])
  const table = (await http1('GET', mapsPath, { ...asAdmin, headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json' } })).object
  assert.deepEqual([table.kind, table.columnDefinitions[0].name, table.rows[0].cells[0], table.rows[0].object.kind], ['Table', 'Name', 'from-protobuf', 'PartialObjectMetadata'])
  const partial = (await http1('GET', mapsPath, { ...asAdmin, headers: { accept: 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io' } })).object
  assert.deepEqual([partial.kind, partial.items[0].data], ['PartialObjectMetadataList', undefined])
  const refused = await http1('GET', mapsPath, { ...asAdmin, headers: { accept: 'text/html' } })
  assert.deepEqual([refused.status, refused.object.message], [406, 'only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf'])
  const items = (await http1('GET', mapsPath, asAdmin)).object.items
  assert.deepEqual(Object.keys(items[0]), ['metadata', 'data'])
})

test('a body that is too large, a method that isn’t there, a path that isn’t there', async () => {
  const large = await http1('POST', mapsPath, { ...asAdmin, body: Buffer.alloc(4 * 1024 * 1024, 0x20) })
  assert.deepEqual([large.status, large.object.message], [413, 'Request entity too large: limit is 3145728'])
  assert.equal((await http1('POST', `${mapsPath}/a`, { ...asAdmin, body: '{}' })).status, 405)
  const nowhere = await http1('GET', '/apis/none/v1/things', asAdmin)
  assert.deepEqual([nowhere.status, nowhere.bytes.toString()], [404, '404 page not found\n'])
  assert.equal((await http1('GET', '/version?timeout=never', asAdmin)).status, 400)
})

test('unknown fields come back as warnings', async () => {
  const made = await http1('POST', mapsPath, { ...asAdmin, body: JSON.stringify({ metadata: { name: 'warned' }, dat: {} }) })
  assert.deepEqual([made.status, made.headers['warning']], [201, '299 - "unknown field \\"dat\\""'])
})

const session = (): ClientHttp2Session => { const s = connectHttp2(`https://127.0.0.1:${port}`, { ca: authority.certificatePem, ...identity(adminPair) }); s.on('error', () => {}); return s }

test('HTTP/2: many watches on one connection, JSON and protobuf frames', async () => {
  const client = session()
  const created = (await http1('POST', mapsPath, { ...asAdmin, body: JSON.stringify(configMap('watched')) })).object
  const watch = (accept: string) => {
    const stream = client.request({ ':path': `${mapsPath}?watch=1&resourceVersion=${created.metadata.resourceVersion}`, accept })
    const first = new Promise<Buffer>((resolve) => { stream.once('data', resolve) })
    const headers = new Promise<Loose>((resolve) => { stream.once('response', resolve) })
    return { stream, first, headers }
  }
  const watches = [...Array.from({ length: 20 }, () => watch('application/json')), watch('application/vnd.kubernetes.protobuf')]
  const heads = await Promise.all(watches.map((w) => w.headers))
  assert.deepEqual(new Set(heads.map((h) => h[':status'])), new Set([200]))
  assert.equal(heads.at(-1)?.['content-type'], 'application/vnd.kubernetes.protobuf;stream=watch')
  await http1('DELETE', `${mapsPath}/watched`, asAdmin)
  const frames = await Promise.all(watches.map((w) => w.first))
  for (const frame of frames.slice(0, 20)) assert.equal(JSON.parse(frame.toString()).type, 'DELETED')
  const last = frames.at(-1) ?? Buffer.alloc(0)
  assert.equal(last.readUInt32BE(0), last.length - 4)
  assert.equal(decodeProtobufWatchEvent(last.subarray(4)).type, 'DELETED')
  client.destroy()
})

test('a long list comes in pieces and zipped, and is whole', async () => {
  const text = 'x'.repeat(20_000)
  const transport = api.transport(admin)
  for (let i = 0; i < 40; i++) await transport.request({ method: 'POST', path: '/api/v1/namespaces/kube-public/configmaps', body: configMap(`m${i}`, { text }), signal: forever })
  const path = '/api/v1/namespaces/kube-public/configmaps'
  assert.equal((await http1('GET', path, asAdmin)).object.items.length, 40)
  const zipped = await http1('GET', path, { ...asAdmin, headers: { 'accept-encoding': 'gzip' } })
  assert.equal(zipped.headers['content-encoding'], 'gzip')
  assert.ok(zipped.bytes.length < 100_000)
})

test('logs come from the kubelet; an upgrade is joined with it byte by byte', async () => {
  const log = await http1('GET', '/api/v1/namespaces/default/pods/p/log?tailLines=5&follow=true', asAdmin)
  assert.deepEqual([log.status, log.bytes.toString()], [200, 'GET /containerLogs/default/p/main?follow=true&tailLines=5 HTTP/1.1\n'])
  assert.match((await http1('GET', '/api/v1/namespaces/default/pods/p/log?container=none', asAdmin)).object.message, /^container none is not valid for pod p$/)
  assert.equal((await http1('POST', '/api/v1/namespaces/default/pods/p/exec?command=sh', asAdmin)).object.message, 'Upgrade request required')
  const socket = connectTls({ host: '127.0.0.1', port, ca: authority.certificatePem, ALPNProtocols: ['http/1.1'], ...identity(adminPair) })
  socket.write('POST /api/v1/namespaces/default/pods/p/exec?command=sh&command=-c&stdin=true&stdout=true HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n')
  let seen = ''
  await new Promise<void>((resolve) => { socket.on('data', (chunk) => { seen += chunk.toString(); if (seen.includes('\r\n\r\n') && !seen.includes('hello')) socket.write('hello'); if (seen.endsWith('hello')) resolve() }) })
  assert.match(seen, /^HTTP\/1\.1 101 Switching Protocols\r\n/)
  socket.destroy()
  const refused = await http1('GET', '/api/v1/namespaces/default/pods/p/exec?command=sh', { identity: identity(janePair), headers: { connection: 'Upgrade', upgrade: 'websocket' } })
  assert.equal(refused.status, 403)
})

test('server-side apply: ownership, conflict, force', async () => {
  const apply = (manager: string, data: object, force = false): Promise<Answer> => http1('PATCH', `${mapsPath}/applied?fieldManager=${manager}&force=${force}`, { ...asAdmin, headers: { 'content-type': 'application/apply-patch+yaml' }, body: JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'applied' }, data }) })
  assert.equal((await apply('a', { x: '1', y: '1' })).status, 201)
  const conflict = await apply('b', { x: '2' })
  assert.deepEqual([conflict.status, conflict.object.message], [409, 'Apply failed with 1 conflict: conflict with "a": .data.x'])
  assert.equal((await apply('b', { x: '2' }, true)).object.data.x, '2')
  assert.deepEqual((await apply('a', {})).object.data, { x: '2' })
  const same = await apply('b', { x: '2' })
  assert.equal(same.object.metadata.resourceVersion, (await http1('GET', `${mapsPath}/applied`, asAdmin)).object.metadata.resourceVersion)
})

test('the original kubectl', { skip: existsSync(kubectl) ? false : 'test/interop/.bin/kubectl is not built' }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'k8ts-api-'))
  cleanup.push(() => { rmSync(folder, { recursive: true, force: true }) })
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  const config = join(folder, 'config')
  writeFileSync(config, JSON.stringify({
    apiVersion: 'v1', kind: 'Config', 'current-context': 'x', contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    clusters: [{ name: 'c', cluster: { server: `https://127.0.0.1:${port}`, 'certificate-authority-data': base64(authority.certificatePem) } }],
    users: [{ name: 'u', user: { 'client-certificate-data': base64(adminPair.certificatePem), 'client-key-data': base64(adminPair.keyPem) } }],
  }))
  const run = (...args: readonly string[]): Promise<string> => new Promise((resolve, reject) => {
    const child = spawn(kubectl, ['--kubeconfig', config, '--cache-dir', join(folder, 'cache'), ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    let err = ''
    child.stdout.on('data', (chunk: Buffer) => { out += chunk.toString() })
    child.stderr.on('data', (chunk: Buffer) => { err += chunk.toString() })
    child.on('error', reject)
    child.on('close', (code) => { if (code === 0) resolve(out); else reject(new Error(`kubectl ${args.join(' ')}: ${err}`)) })
  })
  assert.match(await run('version'), /Server Version: v1\.37\.0/)
  assert.match(await run('get', 'namespaces'), /^NAME +STATUS +AGE\ndefault +Active/)
  const manifest = join(folder, 'd.yaml')
  writeFileSync(manifest, 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n  replicas: 2\n  selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: b}}\n    spec: {containers: [{name: c, image: i}]}\n')
  assert.equal(await run('apply', '-f', manifest), 'deployment.apps/d created\n')
  assert.equal(await run('apply', '-f', manifest), 'deployment.apps/d unchanged\n')
  assert.equal(await run('scale', 'deployment', 'd', '--replicas=3'), 'deployment.apps/d scaled\n')
  assert.match(await run('get', 'deployment', 'd', '-o', 'wide'), /d +0\/3 +0 +0 +\S+ +c +i +a=b/)
  assert.equal(await run('set', 'image', 'deployment/d', 'c=j'), 'deployment.apps/d image updated\n')
  assert.equal(await run('logs', 'p'), 'GET /containerLogs/default/p/main HTTP/1.1\n')
  assert.equal(await run('delete', '-f', manifest), 'deployment.apps "d" deleted from default namespace\n')
})

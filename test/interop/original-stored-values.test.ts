// What stands in etcd: the original kube-apiserver's values byte for byte as ours writes them, and each server's encrypted ones read by the other.
// Opt-in, like everything that needs the original kube-apiserver (test/interop/build-kube-apiserver.sh).
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { EncryptionAtRest } from '../../src/control-plane/kube-apiserver/storage/encryption/encryption-at-rest.ts'
import { connectKms, keyManagementService, type KmsService } from '../../src/control-plane/kube-apiserver/storage/encryption/kms-service.ts'
import { storagePrefix } from '../../src/control-plane/kube-apiserver/storage/storage-keys.ts'
import { asApiObject } from '../../src/control-plane/kube-apiserver/storage/stored-object.ts'
import { StoredValues } from '../../src/control-plane/kube-apiserver/storage/stored-values.ts'
import { realClock } from '../../src/lib/async/real-clock.ts'
import { realRandom } from '../../src/lib/async/real-random.ts'
import { servedResources } from '../../src/lib/api/generated/resources.ts'
import { parseExactJson } from '../../src/lib/base/exact-json.ts'
import type { JsonObject } from '../../src/lib/base/json.ts'
import { silentLogger } from '../../src/lib/component-base/log.ts'
import type { EtcdClient, EtcdKeyValue } from '../../src/lib/etcd-client/etcd-client.ts'
import { serveGrpc } from '../../src/lib/net/grpc/grpc-server.ts'
import { serviceHandlers } from '../../src/lib/net/grpc/service-handlers.ts'
import { openServer } from './apiserver-under-test.ts'
import { backendKinds, startBackend, type Backend } from './etcd-backends.ts'
import { missingApiServer, startOriginalApiServer, type OriginalApiServer } from './original-apiserver.ts'

const signal = new AbortController().signal
const kind = backendKinds.find((one) => one.program === 'ours' && one.members === 1)
assert.ok(kind)
const mapsPath = '/api/v1/namespaces/default/configmaps'

async function valuesUnder(etcd: EtcdClient, prefix: string): Promise<readonly EtcdKeyValue[]> {
  return (await etcd.range({ key: Buffer.from(prefix), rangeEnd: Buffer.from(`${prefix.slice(0, -1)}0`) }, signal)).kvs
}

/** A plugin for KMS v2: it turns bytes around. */
const plugin: KmsService = {
  status: () => Promise.resolve({ version: 'v2', healthz: 'ok', keyId: 'key-1' }),
  encrypt: ({ plaintext }) => Promise.resolve({ ciphertext: Uint8Array.from(plaintext).reverse(), keyId: 'key-1', annotations: { 'local.encryption.example.com': Buffer.from('1') } }),
  decrypt: ({ ciphertext }) => Promise.resolve({ plaintext: Uint8Array.from(ciphertext).reverse() }),
}

describe('values in etcd', { ...(missingApiServer !== undefined && { skip: missingApiServer }), timeout: 300_000 }, () => {
  let stack = new AsyncDisposableStack()
  let backend: Backend
  let theirs: OriginalApiServer
  let encryptionFile = ''

  // One original server for all: it encrypts four resources, each in another way, and leaves the others as they are.
  before(async () => {
    if (missingApiServer !== undefined) return
    backend = stack.use(await startBackend(kind))
    const socket = join(backend.folder, 'kms.sock')
    stack.use(await serveGrpc({ clock: realClock, listen: [{ path: socket }], handlers: [...serviceHandlers(keyManagementService, plugin)] }))
    const key = Buffer.alloc(32, 7).toString('base64')
    encryptionFile = join(backend.folder, 'encryption.yaml')
    writeFileSync(encryptionFile, `kind: EncryptionConfiguration
apiVersion: apiserver.config.k8s.io/v1
resources:
- {resources: [configmaps], providers: [{aescbc: {keys: [{name: one, secret: ${key}}]}}, {identity: {}}]}
- {resources: [secrets], providers: [{secretbox: {keys: [{name: one, secret: ${key}}]}}, {identity: {}}]}
- {resources: [limitranges], providers: [{aesgcm: {keys: [{name: one, secret: ${key}}]}}, {identity: {}}]}
- {resources: [resourcequotas], providers: [{kms: {apiVersion: v2, name: vault, endpoint: "unix://${socket}"}}, {identity: {}}]}
`)
    theirs = stack.use(await startOriginalApiServer(backend, [`--encryption-provider-config=${encryptionFile}`]))
    await theirs.ok(['apply', '-f', resolve(import.meta.dirname, 'kubectl-world.yaml')])
    await theirs.ok(['apply', '--server-side', '--force-conflicts', '-f', resolve(import.meta.dirname, 'kubectl-world.yaml')])
  })

  after(async () => {
    await stack.disposeAsync()
    stack = new AsyncDisposableStack()
  })

  test('the original’s, read and written by ours, are the same bytes', async () => {
    const etcd = backend.client()
    const different: string[] = []
    const kinds = new Map<string, number>()
    for (const info of servedResources) {
      if (!info.verbs.includes('get') || !info.verbs.includes('create') || info.group === 'events.k8s.io') continue
      const apiVersion = info.group === '' ? info.version : `${info.group}/${info.version}`
      const values = new StoredValues({ kind: info.kind, apiVersion, type: info.type, mediaType: 'application/vnd.kubernetes.protobuf' })
      for (const kv of await valuesUnder(etcd, storagePrefix(info.group, info.resource))) {
        // Encrypted, JSON as CRDs are, or of another version than this one.
        if (Buffer.from(kv.value).toString('latin1', 0, 4) !== 'k8s\0' || !Buffer.from(kv.value).toString('latin1', 0, 80).includes(`${apiVersion}\x12`)) continue
        const layout = values.open(kv.key, kv.value)
        const object = parseExactJson(Buffer.from(layout.value).toString()) as JsonObject // cast: an object was encoded
        kinds.set(info.kind, (kinds.get(info.kind) ?? 0) + 1)
        if (Buffer.compare(values.seal(kv.key, layout.value, asApiObject(object)), kv.value) !== 0) different.push(Buffer.from(kv.key).toString())
      }
    }
    assert.deepEqual(different, [])
    assert.ok(kinds.size >= 25, `only ${[...kinds.keys()].join(', ')}`)
    assert.ok((kinds.get('ClusterRole') ?? 0) > 50)
  })

  test('encrypted by either, read by both', async () => {
    const etcd = backend.client()
    const stop = new AbortController()
    stack.defer(() => { stop.abort() })
    const encryption = await EncryptionAtRest.open({ readFile: () => readFileSync(encryptionFile), reload: false, clock: realClock, random: realRandom, logger: silentLogger, connectKms: (endpoint, timeoutMs) => connectKms(endpoint, timeoutMs, realClock) }, stop.signal)
    await using ours = await openServer(etcd, { encryption, storageMediaType: 'application/vnd.kubernetes.protobuf' })
    const cases = [
      ['configmaps', 'k8s:enc:aescbc:v1:one:', { data: { a: 'b' } }], ['secrets', 'k8s:enc:secretbox:v1:one:', { data: { a: 'Yg==' } }],
      ['limitranges', 'k8s:enc:aesgcm:v1:one:', { spec: { limits: [{ type: 'Pod' }] } }], ['resourcequotas', 'k8s:enc:kms:v2:vault:', { spec: { hard: { pods: '3' } } }],
    ] as const
    for (const [resource, prefix, body] of cases) {
      const path = `/api/v1/namespaces/default/${resource}`
      await theirs.ok(['create', '--raw', path, '-f', '-'], JSON.stringify({ metadata: { name: 'theirs' }, ...body }))
      await ours.ask(201, 'POST', path, { metadata: { name: 'ours' }, ...body })
      for (const name of ['theirs', 'ours']) {
        const [stored] = (await etcd.range({ key: Buffer.from(`/registry/${resource}/default/${name}`) }, signal)).kvs
        assert.equal(Buffer.from(stored?.value ?? []).toString('latin1', 0, prefix.length), prefix)
        const seen = await ours.ask(200, 'GET', `${path}/${name}`)
        assert.deepEqual(JSON.parse(JSON.stringify(seen)), JSON.parse(await theirs.ok(['get', '--raw', `${path}/${name}`])))
        assert.deepEqual(seen.data ?? seen.spec, 'data' in body ? body.data : seen.spec)
      }
    }
    // A server that starts finds all of it, keys of the plugin included.
    await using again = await openServer(backend.client(), { encryption })
    const quotas = (await again.ask(200, 'GET', '/api/v1/namespaces/default/resourcequotas')).items as readonly { readonly metadata: { readonly name: string } }[] // cast: a list
    assert.deepEqual(quotas.map(({ metadata }) => metadata.name).filter((name) => name === 'ours' || name === 'theirs'), ['ours', 'theirs'])
    // Without the configuration it is no secret that something is missing.
    await using without = await openServer(backend.client())
    assert.match((await without.ask(500, 'GET', mapsPath)).message, /failed to read one or more configmaps from the storage: .*identity transformer tried to read encrypted data/)
    assert.match((await without.ask(500, 'GET', `${mapsPath}/ours`)).message, /data from the storage is not transformable revision=0: identity transformer tried to read encrypted data/)
  })

  test('a no-op update brings what is there into the form that is asked for', async () => {
    const etcd = backend.client()
    const path = '/api/v1/namespaces/default/serviceaccounts'
    const head = async (): Promise<string> => Buffer.from((await etcd.range({ key: Buffer.from('/registry/serviceaccounts/default/form') }, signal)).kvs[0]?.value ?? []).toString('latin1', 0, 4)
    const noop = [`${path}/form`, {}, { 'content-type': 'application/merge-patch+json' }] as const
    await theirs.ok(['create', 'serviceaccount', 'form'])
    assert.equal(await head(), 'k8s\0')
    await using plain = await openServer(backend.client())
    const { metadata } = await plain.ask(200, 'PATCH', ...noop)
    assert.equal(await head(), 'k8s\0', 'nobody has asked for a form')
    await using json = await openServer(backend.client(), { storageMediaType: 'application/json' })
    assert.notEqual((await json.ask(200, 'PATCH', ...noop)).metadata.resourceVersion, metadata.resourceVersion)
    assert.equal(await head(), '{"ki')
    assert.equal(await theirs.ok(['get', 'serviceaccount', 'form', '-o', 'name']), 'serviceaccount/form\n')
    await theirs.ok(['patch', 'serviceaccount', 'form', '--type=merge', '-p', '{}'])
    assert.equal(await head(), 'k8s\0')
  })
})

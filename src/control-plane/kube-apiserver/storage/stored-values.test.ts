// What stands in etcd: every golden object as the original writes it, and each form read where another is written.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { servedResources } from '../../../lib/api/generated/resources.ts'
import { decodeProtobuf, encodeProtobuf } from '../../../lib/api/protobuf-codec.ts'
import { seededRandom } from '../../../lib/base/random.ts'
import { isJsonObject, type JsonObject } from '../../../lib/base/json.ts'
import { apiVersionOf } from '../endpoints/served-resource.ts'
import { aesGcm } from './encryption/aes.ts'
import { identity, prefixed } from './encryption/value-transformer.ts'
import { asApiObject, encodeForStorage } from './stored-object.ts'
import { StoredValues, storageMediaTypes, UnreadableValueError, type StoredValuesOptions } from './stored-values.ts'

const golden = join(import.meta.dirname, '../../../../../shared/reference/wire/golden')
const place = Buffer.from('/registry/configmaps/default/a')
const configMaps: StoredValuesOptions = { kind: 'ConfigMap', apiVersion: 'v1', type: 'io.k8s.api.core.v1.ConfigMap' }
const object = asApiObject({ kind: 'ConfigMap', apiVersion: 'v1', metadata: { name: 'a', namespace: 'default', uid: 'u', resourceVersion: '7', creationTimestamp: '2026-01-01T00:00:00Z' }, data: { a: '<b>', yes: 'no' } })
const { value: json } = encodeForStorage(object)
const served = (values: StoredValues, value: Uint8Array): string => Buffer.from(values.open(place, value).value).toString()

test('golden objects are written as the original writes them', { skip: existsSync(golden) ? false : `golden files are not here: ${golden}` }, () => {
  let checked = 0
  for (const info of servedResources) {
    const file = join(golden, `${info.group || 'core'}.${info.version}.${info.kind}.pb`)
    if (!existsSync(file)) continue
    const values = new StoredValues({ kind: info.kind, apiVersion: apiVersionOf(info.group, info.version), type: info.type, mediaType: 'application/vnd.kubernetes.protobuf' })
    const whole = decodeProtobuf(readFileSync(file), info.type)
    const { metadata } = whole
    if (!isJsonObject(metadata) || typeof metadata['name'] !== 'string') continue
    // The original blanks the version before it writes.
    const { resourceVersion: _version, ...meta } = metadata
    const original = encodeProtobuf(info.type, { ...whole, metadata: meta })
    const layout = values.open(place, original)
    const back = JSON.parse(Buffer.from(layout.value).toString()) as JsonObject // cast: an encoded object
    assert.deepEqual(Buffer.from(values.seal(place, layout.value, asApiObject(back))), Buffer.from(original), info.kind)
    assert.equal(values.isOutdated(place, original), false)
    checked++
  }
  assert.ok(checked > 60, `only ${checked} golden kinds found`)
})

test('each form is written and read; what is in another is read too, and outdated', () => {
  for (const mediaType of storageMediaTypes) {
    const values = new StoredValues({ ...configMaps, mediaType })
    const sealed = values.seal(place, json, object)
    assert.equal(Buffer.from(sealed).toString('latin1', 0, 4), { 'application/json': '{"ki', 'application/yaml': 'apiV', 'application/vnd.kubernetes.protobuf': 'k8s\0' }[mediaType])
    assert.equal(served(values, sealed), Buffer.from(json).toString())
    for (const other of storageMediaTypes) {
      const reader = new StoredValues({ ...configMaps, mediaType: other })
      assert.equal(served(reader, sealed), Buffer.from(json).toString())
      assert.equal(reader.isOutdated(place, sealed), other !== mediaType)
    }
    assert.equal(new StoredValues(configMaps).isOutdated(place, sealed), false, 'nobody has asked for a form')
  }
})

test('JSON in our own order is not copied', () => {
  const values = new StoredValues(configMaps)
  assert.equal(values.seal(place, json, object), json)
  assert.equal(values.open(place, json).value, json)
})

test('integers that a number can’t hold survive every form', () => {
  const lease = asApiObject({ kind: 'Pod', apiVersion: 'v1', metadata: { name: 'a', uid: 'u', generation: 9007199254740993n }, spec: { containers: [{ name: 'c' }], securityContext: { runAsUser: 9223372036854775807n } } } as unknown as JsonObject) // cast: bigint stands for int64
  const text = Buffer.from(encodeForStorage(lease).value)
  for (const mediaType of ['application/json', 'application/vnd.kubernetes.protobuf'] as const) {
    const values = new StoredValues({ kind: 'Pod', apiVersion: 'v1', type: 'io.k8s.api.core.v1.Pod', mediaType })
    const back = Buffer.from(values.open(place, values.seal(place, text, lease)).value).toString()
    assert.match(back, /"generation":9007199254740993[,}]/, mediaType)
    assert.match(back, /"runAsUser":9223372036854775807[,}]/, mediaType)
  }
})

test('kinds without a message are JSON, whatever is asked for', () => {
  const values = new StoredValues({ kind: 'Widget', apiVersion: 'example.com/v1', type: 'com.example.v1.Widget', mediaType: 'application/vnd.kubernetes.protobuf' })
  assert.equal(values.seal(place, json, object), json)
  assert.equal(values.isOutdated(place, json), false)
})

test('encrypted, whatever the form; what can’t be read says why', () => {
  const transformer = prefixed([{ prefix: 'k8s:enc:aesgcm:v1:one:', transformer: aesGcm(Buffer.alloc(32, 1), seededRandom(1)) }, { prefix: '', transformer: identity }], 'no matching prefix found')
  const values = new StoredValues({ ...configMaps, mediaType: 'application/vnd.kubernetes.protobuf', transformer })
  const sealed = values.seal(place, json, object)
  assert.ok(Buffer.from(sealed).toString('latin1').startsWith('k8s:enc:aesgcm:v1:one:'))
  assert.equal(served(values, sealed), Buffer.from(json).toString())
  assert.equal(values.isOutdated(place, sealed), false)
  assert.equal(values.isOutdated(place, json), true)
  const refused = (read: () => unknown, text: RegExp): void => {
    assert.throws(read, (error) => error instanceof UnreadableValueError && text.test(error.describe('/k', 3)))
  }
  refused(() => new StoredValues(configMaps).open(place, sealed), /Key: \/k, .*data from the storage is not transformable revision=0: identity transformer tried to read encrypted data$/)
  refused(() => values.open(Buffer.from('/registry/configmaps/default/b'), sealed), /message authentication failed/)
  for (const text of ['{oops', '[]', '{}', '{"metadata":{"name":1}}', 'text', '', 'k8s\0\xff', '{"metadata":{}}']) refused(() => values.open(place, Buffer.from(text, 'latin1')), /object not decodable revision=3: /)
})

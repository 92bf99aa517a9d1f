import { test } from 'node:test'
import assert from 'node:assert/strict'
import { decodeJson } from './json-codec.ts'
import { decodeProtobuf, decodeProtobufEnvelope, decodeProtobufMessage, decodeProtobufWatchEvent, encodeProtobuf, encodeProtobufMessage, encodeProtobufWatchEvent, ProtobufError } from './protobuf-codec.ts'

const pod = 'io.k8s.api.core.v1.Pod'
const web = decodeJson(pod, { kind: 'Pod', apiVersion: 'v1', metadata: { name: 'web' }, spec: { containers: [{ name: 'c', ports: [{ containerPort: 80 }], livenessProbe: { httpGet: { port: 'http' } }, resources: { limits: { cpu: '100m' } } }] } })
assert.ok(web.ok)
const { object } = web

test('an object comes back as it went', () => {
  assert.deepEqual(decodeProtobuf(encodeProtobuf(pod, object)), object)
  assert.deepEqual(decodeProtobufEnvelope(encodeProtobuf(pod, object)).kind, 'Pod')
})

test('items of a list have no envelope', () => {
  const { kind: _kind, apiVersion: _apiVersion, ...bare } = object
  const list = { kind: 'PodList', apiVersion: 'v1', metadata: { resourceVersion: '5' }, items: [bare] }
  assert.deepEqual(decodeProtobuf(encodeProtobuf('io.k8s.api.core.v1.PodList', list)), list)
})

test('watch events', () => {
  const bytes = encodeProtobuf(pod, object)
  const event = decodeProtobufWatchEvent(encodeProtobufWatchEvent('ADDED', bytes))
  assert.equal(event.type, 'ADDED')
  assert.deepEqual(decodeProtobuf(event.object), object)
})

test('bytes that are no object are refused, never more', () => {
  const bytes = encodeProtobuf(pod, object)
  for (let length = 0; length < bytes.length; length++) {
    try { decodeProtobuf(bytes.subarray(0, length)) } catch (error) { assert.ok(error instanceof ProtobufError, String(error)) }
  }
  assert.throws(() => decodeProtobufMessage(pod, Uint8Array.from([0x0a, 0xff, 0xff, 0xff, 0x0f])), ProtobufError)
  assert.throws(() => decodeProtobuf(new TextEncoder().encode('{}')), ProtobufError)
})

test('negative and large integers', () => {
  const event = { metadata: {}, source: {}, involvedObject: {}, count: -5, reportingComponent: '', reportingInstance: '' }
  assert.equal(decodeProtobufMessage('io.k8s.api.core.v1.Event', encodeProtobufMessage('io.k8s.api.core.v1.Event', event))['count'], -5)
})

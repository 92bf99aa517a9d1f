import { test } from 'node:test'
import assert from 'node:assert/strict'
import type { JsonValue } from '../base/json.ts'
import { decodeJson, decodeJsonBytes, strictDecodingError } from './json-codec.ts'

const deployment = 'io.k8s.api.apps.v1.Deployment'
const pod = 'io.k8s.api.core.v1.Pod'
const object = (type: string, value: JsonValue) => { const decoded = decodeJson(type, value); assert.ok(decoded.ok, decoded.ok ? '' : decoded.error); return decoded.object }
const error = (type: string, value: JsonValue) => { const decoded = decodeJson(type, value); assert.ok(!decoded.ok); return decoded.error }

test('the normal form: schema order, structs present, empty values left out, quantities and times canonical', () => {
  const decoded = object(pod, {
    status: null, spec: { containers: [{ resources: { limits: { cpu: '1000m', memory: 1024 } }, name: 'a', args: [], env: null, securityContext: { runAsUser: 0 } }], hostNetwork: false },
    metadata: { labels: {}, name: 'x', creationTimestamp: null, deletionTimestamp: '2024-01-01T02:00:00.5+02:00' }, kind: 'Pod', apiVersion: 'v1',
  })
  assert.equal(JSON.stringify(decoded), '{"kind":"Pod","apiVersion":"v1","metadata":{"name":"x","deletionTimestamp":"2024-01-01T00:00:00Z"},"spec":{"containers":[{"name":"a","resources":{"limits":{"cpu":"1","memory":"1024"}},"securityContext":{"runAsUser":0}}]},"status":{}}')
  assert.deepEqual(object(pod, decoded), decoded)
})

test('inline structs stand among the parent’s fields', () => {
  const volumes = (object(pod, { spec: { volumes: [{ emptyDir: {}, name: 'v' }, { name: 'w', configMap: { name: 'c' } }], containers: [] } })['spec'] as { volumes: unknown }).volumes
  assert.equal(JSON.stringify(volumes), '[{"name":"v","emptyDir":{}},{"name":"w","configMap":{"name":"c"}}]')
})

test('unknown and duplicate fields are named', () => {
  const bytes = new TextEncoder().encode('{"kind":"Pod","spec":{"containers":[{"name":"a","nam":"b","name":"c"}],"foo":1},"bar":{}}')
  const decoded = decodeJsonBytes(pod, bytes)
  assert.ok(decoded.ok)
  assert.deepEqual(decoded.unknownFields, ['spec.containers[0].nam', 'spec.foo', 'bar'])
  assert.equal(strictDecodingError(decoded.unknownFields, decoded.duplicateFields), 'strict decoding error: unknown field "spec.containers[0].nam", unknown field "spec.foo", unknown field "bar", duplicate field "spec.containers[0].name"')
})

test('type errors read as the original’s', () => {
  assert.equal(error(deployment, { spec: { replicas: 'three' } }), 'json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32')
  assert.equal(error(deployment, { spec: { replicas: 1.5 } }), 'json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32')
  assert.equal(error(deployment, { spec: { replicas: 3000000000 } }), 'json: cannot unmarshal number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32')
  assert.equal(error(deployment, { metadata: { labels: { a: 1 } } }), 'json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string')
  assert.equal(error(deployment, { spec: { template: { spec: { containers: [{ name: 1 }] } } } }), 'json: cannot unmarshal number into Go struct field Container.spec.template.spec.containers.name of type string')
  assert.equal(error(deployment, { spec: { template: { spec: { containers: {} } } } }), 'json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container')
  assert.equal(error(deployment, { spec: { template: [] } }), 'json: cannot unmarshal array into Go struct field DeploymentSpec.spec.template of type v1.PodTemplateSpec')
  assert.equal(error(deployment, []), 'json: cannot unmarshal array into Go value of type v1.Deployment')
  assert.equal(error(pod, { spec: { containers: [{ resources: { limits: { cpu: 'much' } } }] } }), "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
  assert.match(error(pod, { metadata: { creationTimestamp: 'yesterday' } }), /^parsing time "yesterday" as "2006-01-02T15:04:05Z07:00"/)
  assert.equal(error('io.k8s.api.core.v1.Secret', { data: { a: 'a?b=' } }), 'illegal base64 data at input byte 1')
})

test('a map’s keys are data, whatever they are called', () => {
  const decoded = decodeJsonBytes('io.k8s.api.core.v1.ConfigMap', new TextEncoder().encode('{"data":{"__proto__":"a","constructor":"b"}}'))
  assert.ok(decoded.ok)
  assert.deepEqual(Object.keys(decoded.object['data'] as object), ['__proto__', 'constructor'])
})

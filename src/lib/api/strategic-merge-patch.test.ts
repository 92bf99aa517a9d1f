import { test } from 'node:test'
import assert from 'node:assert/strict'
import type { JsonObject } from '../base/json.ts'
import { PatchError } from '../apimachinery/patch-error.ts'
import { createThreeWayStrategicMergePatch, createTwoWayMergePatch } from './create-strategic-merge-patch.ts'
import { applyStrategicMergePatch } from './strategic-merge-patch.ts'

const pod = 'io.k8s.api.core.v1.Pod'
const deployment = 'io.k8s.api.apps.v1.Deployment'
const apply = (document: JsonObject, patch: JsonObject, type = pod) => applyStrategicMergePatch(type, document, patch)
const spec = (containers: JsonObject[], more: JsonObject = {}): JsonObject => ({ spec: { containers, ...more } })

test('lists with a merge key merge item by item', () => {
  const before = spec([{ name: 'a', image: 'a:1', env: [{ name: 'X', value: '1' }] }, { name: 'b', image: 'b:1' }])
  assert.deepEqual(apply(before, spec([{ name: 'a', image: 'a:2', env: [{ name: 'Y', value: '2' }] }])), spec([{ name: 'a', image: 'a:2', env: [{ name: 'Y', value: '2' }, { name: 'X', value: '1' }] }, { name: 'b', image: 'b:1' }]))
  assert.deepEqual(apply(before, spec([{ name: 'c', image: 'c:1' }])), spec([{ name: 'c', image: 'c:1' }, ...((before['spec'] as { containers: JsonObject[] }).containers)]))
  assert.deepEqual(apply(before, spec([{ name: 'a', $patch: 'delete' }])), spec([{ name: 'b', image: 'b:1' }]))
  assert.deepEqual(apply(before, spec([{ $patch: 'replace' }, { name: 'z' }])), spec([{ name: 'z' }]))
})

test('lists without one are replaced; primitive merge lists are united', () => {
  assert.deepEqual(apply(spec([], { tolerations: [{ key: 'a' }, { key: 'b' }] }), { spec: { tolerations: [{ key: 'c' }] } }), spec([], { tolerations: [{ key: 'c' }] }))
  assert.deepEqual(apply({ metadata: { finalizers: ['a', 'b'] } }, { metadata: { finalizers: ['c', 'a'] } }), { metadata: { finalizers: ['c', 'a', 'b'] } })
  assert.deepEqual(apply({ metadata: { finalizers: ['a', 'b', 'c'] } }, { metadata: { '$deleteFromPrimitiveList/finalizers': ['b', 'x'] } }), { metadata: { finalizers: ['a', 'c'] } })
})

test('directives on maps', () => {
  assert.deepEqual(apply({ metadata: { labels: { a: '1', b: '2' } } }, { metadata: { labels: { $patch: 'replace', c: '3' } } }), { metadata: { labels: { c: '3' } } })
  assert.deepEqual(apply({ metadata: { labels: { a: '1' } } }, { metadata: { labels: { $patch: 'delete' } } }), { metadata: { labels: {} } })
  assert.deepEqual(apply({ metadata: { labels: { a: '1' }, name: 'x' } }, { metadata: { labels: null, annotations: { q: null, r: '1' } } }), { metadata: { name: 'x', annotations: { r: '1' } } })
  const strategy = { spec: { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } } } }
  assert.deepEqual(apply(strategy, { spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } } }, deployment), { spec: { strategy: { type: 'Recreate' } } })
})

test('element order', () => {
  const before = spec([{ name: 'a' }, { name: 'b' }, { name: 'server' }, { name: 'c' }])
  assert.deepEqual(apply(before, { spec: { '$setElementOrder/containers': [{ name: 'c' }, { name: 'a' }, { name: 'b' }], containers: [{ name: 'c', image: 'x' }] } }), spec([{ name: 'server' }, { name: 'c', image: 'x' }, { name: 'a' }, { name: 'b' }]))
  assert.throws(() => apply(before, { spec: { '$setElementOrder/containers': [{ name: 'a' }], containers: [{ name: 'b' }] } }), (error) => error instanceof PatchError && error.reason === 'BadRequest')
})

test('refused', () => {
  const bad = (document: JsonObject, patch: JsonObject, message: RegExp) => assert.throws(() => apply(document, patch), (error) => error instanceof PatchError && message.test(error.message))
  bad(spec([{ name: 'a' }]), spec([{ image: 'x' }]), /does not contain declared merge key: name/)
  bad(spec([{ name: 'a' }]), { spec: { $patch: 'explode' } }, /unknown patch type/)
  bad(spec([]), { spec: { $retainKeys: ['a'], b: 1 } }, /retainKeys/)
  bad({ metadata: { finalizers: ['a'] } }, { metadata: { '$deleteFromPrimitiveList': ['a'] } }, /primitive list/)
})

test('two-way patches lead from one to the other', () => {
  const from = { metadata: { name: 'x', labels: { a: '1', b: '2' }, finalizers: ['f', 'g'] }, spec: { containers: [{ name: 'a', image: '1', ports: [{ containerPort: 80 }] }, { name: 'b' }], tolerations: [{ key: 'x' }] } }
  const to = { metadata: { name: 'x', labels: { a: '2' }, finalizers: ['g', 'h'] }, spec: { containers: [{ name: 'c' }, { name: 'a', image: '2', ports: [{ containerPort: 80 }, { containerPort: 81 }] }], tolerations: [] } }
  const patch = createTwoWayMergePatch(pod, from, to)
  assert.deepEqual(patch, {
    metadata: { labels: { a: '2', b: null }, finalizers: ['h'], '$deleteFromPrimitiveList/finalizers': ['f'], '$setElementOrder/finalizers': ['g', 'h'] },
    spec: {
      containers: [{ name: 'c' }, { name: 'a', image: '2', ports: [{ containerPort: 81 }], '$setElementOrder/ports': [{ containerPort: 80 }, { containerPort: 81 }] }, { $patch: 'delete', name: 'b' }],
      '$setElementOrder/containers': [{ name: 'c' }, { name: 'a' }], tolerations: [],
    },
  })
  assert.deepEqual(apply(from, patch), to)
  assert.deepEqual(createTwoWayMergePatch(pod, from, from), {})
})

test('three-way: theirs stay, ours change, ours of old go', () => {
  const last = { spec: { containers: [{ name: 'a', image: '1' }, { name: 'old' }], nodeName: 'n' } }
  const wanted = { spec: { containers: [{ name: 'a', image: '2' }] } }
  const live = { spec: { containers: [{ name: 'a', image: '1', imagePullPolicy: 'Always' }, { name: 'old' }, { name: 'injected' }], nodeName: 'n', restartPolicy: 'Always' } }
  const patch = createThreeWayStrategicMergePatch(pod, last, wanted, live)
  assert.deepEqual(patch, { spec: { containers: [{ name: 'a', image: '2' }, { $patch: 'delete', name: 'old' }], '$setElementOrder/containers': [{ name: 'a' }], nodeName: null } })
  assert.deepEqual(apply(live, patch), { spec: { containers: [{ name: 'a', image: '2', imagePullPolicy: 'Always' }, { name: 'injected' }], restartPolicy: 'Always' } })
  assert.throws(() => createThreeWayStrategicMergePatch(pod, { spec: { nodeName: 'a' } }, { spec: { nodeName: 'b' } }, { spec: { nodeName: 'c' } }, false), PatchError)
})

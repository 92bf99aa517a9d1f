// Every reader of what strangers write, given 20,000 inputs that are nearly right: it never hangs, never fails with anything but its own error, never touches
// a prototype, and what it has read it reads again the same. Seeds are fixed: a failure is the same failure tomorrow.
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { formatDurationNanoseconds, parseDurationMs, parseDurationNanoseconds } from '../../src/lib/apimachinery/duration.ts'
import { deepEqual } from '../../src/lib/apimachinery/equality.ts'
import { formatFieldSelector, parseFieldSelector } from '../../src/lib/apimachinery/field-selector.ts'
import { applyJsonPatch } from '../../src/lib/apimachinery/json-patch.ts'
import { JsonPathError, parseJsonPath, relaxJsonPath } from '../../src/lib/apimachinery/jsonpath.ts'
import { formatLabelSelector, matches, parseLabelSelector } from '../../src/lib/apimachinery/label-selector.ts'
import { applyMergePatch, createMergePatch } from '../../src/lib/apimachinery/merge-patch.ts'
import { parseJson } from '../../src/lib/apimachinery/parse-json.ts'
import { PatchError } from '../../src/lib/apimachinery/patch-error.ts'
import { compareQuantities, formatQuantity, parseQuantity } from '../../src/lib/apimachinery/quantity.ts'
import { decodeJson } from '../../src/lib/api/json-codec.ts'
import { ProtobufError, decodeProtobuf, decodeProtobufWatchEvent, encodeProtobuf, encodeProtobufWatchEvent } from '../../src/lib/api/protobuf-codec.ts'
import { applyStrategicMergePatch } from '../../src/lib/api/strategic-merge-patch.ts'
import { isJsonObject } from '../../src/lib/base/json.ts'
import type { JsonObject, JsonValue } from '../../src/lib/base/json.ts'
import { KubeconfigError, loadKubeconfigs, resolveKubeconfig } from '../../src/lib/client/kubeconfig.ts'
import { parseGoDuration } from '../../src/lib/component-base/flags.ts'
import { YamlError, parseYamlBody, parseYamlDocuments } from '../../src/lib/component-base/yaml.ts'
import { ApiError } from '../../src/lib/client/api-error.ts'
import { parseRequestInfo } from '../../src/control-plane/kube-apiserver/endpoints/request-info.ts'
import { negotiate } from '../../src/control-plane/kube-apiserver/http/negotiate.ts'
import { decodeContinueToken } from '../../src/control-plane/kube-apiserver/storage/continue-token.ts'

const runs = 20_000
/** Far more than any input needs, also on a machine that is busy; a reader that hangs takes forever. */
const slowMs = 5000

const prototypes = [Object.prototype, Array.prototype, String.prototype, Function.prototype, Map.prototype]
const properties = (): readonly string[] => prototypes.flatMap((prototype) => Object.getOwnPropertyNames(prototype))
const untouched = properties()
after(() => { assert.deepEqual(properties(), untouched, 'a prototype has been changed') })

function fuzz<T>(name: string, seed: number, inputs: fc.Arbitrary<T>, read: (input: T) => void): void {
  test(`${name}: ${runs} inputs`, () => {
    fc.assert(fc.property(inputs, (input) => {
      const started = performance.now()
      read(input)
      const tookMs = performance.now() - started
      if (tookMs > slowMs) throw new Error(`took ${tookMs} ms`)
    }), { numRuns: runs, seed, endOnFailure: true })
    assert.deepEqual(properties(), untouched)
  })
}

/** What fits into one of these is fine; anything else is a bug. */
function expecting<T>(errors: readonly (new (...args: never[]) => Error)[], read: () => T): T | undefined {
  try { return read() } catch (error) {
    if (errors.some((type) => error instanceof type)) return undefined
    throw error
  }
}

interface Edit { readonly at: number; readonly kind: number; readonly piece: number }
const edits = fc.array(fc.record({ at: fc.nat(1_000_000), kind: fc.nat(4), piece: fc.nat(1_000_000) }), { minLength: 1, maxLength: 6 })

/** Texts like the seeds, with pieces put in, taken out, doubled and overwritten; now and then something else entirely. */
function mutated(seeds: readonly string[], pieces: readonly string[]): fc.Arbitrary<string> {
  const change = (text: string, { at, kind, piece }: Edit): string => {
    const where = text.length === 0 ? 0 : at % (text.length + 1)
    const part = pieces[piece % pieces.length] ?? ''
    switch (kind) {
      case 0: return text.slice(0, where) + part + text.slice(where)
      case 1: return text.slice(0, where) + text.slice(where + 1 + (piece % 7))
      case 2: return text.slice(0, where) + part + text.slice(where + part.length)
      case 3: return text.slice(0, where) + text.slice(where, where + (piece % 40)).repeat(2) + text.slice(where)
      default: return text.slice(0, where) + String.fromCharCode(piece % 0x250) + text.slice(where)
    }
  }
  return fc.oneof({ weight: 9, arbitrary: fc.tuple(fc.nat(seeds.length - 1), edits).map(([seed, list]) => list.reduce(change, seeds[seed] ?? '')) }, { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 30 }) })
}

const nasty = ['__proto__', 'constructor', 'prototype', 'hasOwnProperty', 'toString', '', ' ', '\0', '\u2028', '\ud800', '99999999999999999999', '-0', '1e400', 'null', 'true']
const pod: JsonObject = {
  apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'default', labels: { a: 'b', constructor: 'c' }, creationTimestamp: '2026-01-01T00:00:00Z', finalizers: ['a', 'b'], ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'n', uid: 'u' }] },
  spec: { containers: [{ name: 'c', image: 'i', ports: [{ containerPort: 80, protocol: 'TCP' }], env: [{ name: 'A', value: '1' }, { name: 'B', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }], resources: { requests: { cpu: '100m', memory: '1Gi' } }, livenessProbe: { httpGet: { port: 'http', path: '/' } } }], volumes: [{ name: 'v', emptyDir: {} }], tolerations: [{ key: 'k', operator: 'Exists' }], restartPolicy: 'Always' },
  status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' }] },
}
const podType = 'io.k8s.api.core.v1.Pod'
const jsonTexts = [JSON.stringify(pod), '{"a":[1,2.5,-3e2,true,false,null,"x\\u00e9\\n"],"b":{"c":{}}}', '[[[[]]]]', '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}', '"text"', '{"a":1,"a":2}', '"\\ud83d\\ude00"']
const jsonPieces = [...nasty, '{', '}', '[', ']', ',', ':', '"', '\\', '\\u', '\\ud800', '"__proto__":', '{"a":', '1', '.', 'e', '-', 'nul', '[[[[[[[[', '}}}}', '\ufeff']

/** Half surrogate pairs become the replacement character, as Go has it. */
function wellFormed(value: JsonValue): JsonValue {
  if (typeof value === 'string') return value.toWellFormed()
  if (Array.isArray(value)) return value.map(wellFormed)
  return isJsonObject(value) ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key.toWellFormed(), wellFormed(item ?? null)])) : value
}

fuzz('JSON', 1, mutated(jsonTexts, jsonPieces), (text) => {
  const parsed = parseJson(Buffer.from(text), { maxDepth: 100 })
  let engine: { readonly value: JsonValue } | undefined
  try { engine = { value: JSON.parse(Buffer.from(text).toString()) as JsonValue } } catch { engine = undefined }
  if (parsed.ok) {
    assert.ok(engine, 'the engine refuses it')
    assert.equal(JSON.stringify(parsed.value), JSON.stringify(wellFormed(engine.value)))
  } else if (parsed.reason === 'syntax') assert.equal(engine, undefined, `the engine takes it: ${parsed.error}`)
})

fuzz('objects from JSON', 2, mutated([JSON.stringify(pod)], jsonPieces), (text) => {
  const parsed = parseJson(Buffer.from(text), { maxDepth: 100 })
  if (!parsed.ok) return
  const decoded = decodeJson(podType, parsed.value)
  if (!decoded.ok) { assert.ok(decoded.error.length > 0); return }
  const again = decodeJson(podType, decoded.object)
  assert.ok(again.ok, `its own form is refused: ${again.ok ? '' : again.error}`)
  assert.equal(JSON.stringify(again.object), JSON.stringify(decoded.object))
  assert.deepEqual(again.unknownFields, [])
})

const yamlTexts = ['apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  labels: {a: b, "c": d}\nspec:\n  containers:\n  - name: c\n    image: i\n', 'a: &a [x, y]\nb: *a\nc: {<<: {d: 1}}\n', 'x: |\n  many\n  lines\ny: >-\n  folded\n  too\n', '- 1\n- 0x1F\n- 1e3\n- .inf\n- yes\n- ~\n- 2020-01-01\n', '--- a\n...\n--- b\n', '{"json": [1, 2]}', 'a: &a [*a, *a]\nb: &b [*a, *a]\n']
const yamlPieces = [...nasty, ': ', '- ', '\n', '\n  ', '&a ', '*a', '*b', '!!binary ', '!x ', '<<: ', '[', ']', '{', '}', '"', "'", '|', '>', '#', '---\n', '...\n', '%YAML 1.2\n', '? ', '\t', '[[[[[[', 'a: &b [*a]\n']
fuzz('YAML', 3, mutated(yamlTexts, yamlPieces), (text) => {
  expecting([YamlError], () => parseYamlDocuments(text))
  const read = expecting([YamlError], () => parseYamlBody(text))
  if (read) JSON.stringify(read.value, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
})

const encoded = [encodeProtobuf(podType, pod), encodeProtobuf('io.k8s.api.core.v1.ConfigMap', { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c' }, data: { a: 'b', __proto_: 'x' }, binaryData: { b: 'AAEC' } }),
  encodeProtobuf('io.k8s.api.coordination.v1.Lease', { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: 'l' }, spec: { renewTime: '2026-01-01T00:00:00.000000Z', leaseDurationSeconds: 40 } }), Buffer.from('k8s\0')]
const byteEdits = fc.tuple(fc.nat(encoded.length - 1), fc.array(fc.tuple(fc.nat(100_000), fc.nat(3), fc.nat(255)), { maxLength: 5 })).map(([seed, list]) => {
  let bytes = Buffer.from(encoded[seed] ?? [])
  for (const [at, kind, byte] of list) {
    const where = at % (bytes.length + 1)
    if (kind === 0) bytes = Buffer.concat([bytes.subarray(0, where), Buffer.of(byte), bytes.subarray(where)])
    else if (kind === 1) bytes = Buffer.concat([bytes.subarray(0, where), bytes.subarray(where + 1)])
    else if (kind === 2) bytes = Buffer.from(bytes.subarray(0, where))
    else if (where < bytes.length) bytes[where] = byte
  }
  return bytes
})
fuzz('protobuf', 4, byteEdits, (bytes) => {
  const object = expecting([ProtobufError], () => decodeProtobuf(bytes))
  if (object) {
    const normal = decodeJson(podType, object)
    if (normal.ok && object['kind'] === 'Pod' && object['apiVersion'] === 'v1') assert.deepEqual(decodeProtobuf(encodeProtobuf(podType, object)), decodeProtobuf(encodeProtobuf(podType, decodeProtobuf(encodeProtobuf(podType, object)))))
  }
  expecting([ProtobufError], () => decodeProtobufWatchEvent(bytes))
  assert.equal(decodeProtobufWatchEvent(encodeProtobufWatchEvent('ADDED', bytes)).type, 'ADDED')
})

const labels = { a: 'b', 'example.com/x': '5', constructor: 'y' }
fuzz('label selectors', 5, mutated(['a=b', 'a==b,c!=d', 'a in (b,c),!d', 'example.com/x notin (1, 2)', 'a>5,b<7', 'constructor', '!__proto__'], [...nasty, '=', '==', '!=', '!', 'in', 'notin', '(', ')', ',', '>', '<', ' ', '/', 'a', '-']), (text) => {
  const parsed = parseLabelSelector(text)
  if (!parsed.ok) { assert.ok(parsed.error.length > 0); return }
  const printed = formatLabelSelector(parsed.selector)
  const again = parseLabelSelector(printed)
  assert.ok(again.ok, `${printed} isn’t read again`)
  assert.equal(formatLabelSelector(again.selector), printed)
  assert.equal(matches(again.selector, labels), matches(parsed.selector, labels))
})

fuzz('field selectors', 6, mutated(['metadata.name=x', 'a==b,c!=d', 'status.phase!=Running,spec.nodeName=', 'a=b\\,c\\=d\\\\'], [...nasty, '=', '==', '!=', ',', '\\', '\\,', '\\q', 'x']), (text) => {
  const parsed = parseFieldSelector(text)
  if (!parsed.ok) { assert.ok(parsed.error.length > 0); return }
  const printed = formatFieldSelector(parsed.selector)
  const again = parseFieldSelector(printed)
  assert.ok(again.ok, `${printed} isn’t read again`)
  assert.deepEqual(again.selector, parsed.selector)
})

fuzz('quantities', 7, mutated(['1', '100m', '1.5Gi', '-2e3', '0.000000001', '12E', '1e-9', '.5', '5.', '9223372036854775807'], [...nasty, '.', '-', '+', 'e', 'E', 'Ki', 'm', 'n', 'u', 'k', 'Ei', '0', '9', 'e9', 'e-9', 'e999999999']), (text) => {
  const parsed = parseQuantity(text)
  if (!parsed) return
  const printed = formatQuantity(parsed)
  const again = parseQuantity(printed)
  assert.ok(again, `${printed} isn’t read again`)
  assert.equal(compareQuantities(parsed, again), 0, printed)
  assert.equal(formatQuantity(again), printed)
})

const jsonOf = (text: string): JsonValue | undefined => { const parsed = parseJson(Buffer.from(text), { maxDepth: 100 }); return parsed.ok ? parsed.value : undefined }
const podText = JSON.stringify(pod)
function leavesAlone<T>(read: () => T): T {
  const result = read()
  assert.equal(JSON.stringify(pod), podText, 'the document itself was changed')
  return result
}

fuzz('JSON patches', 8, mutated(['[{"op":"add","path":"/metadata/labels/x","value":"y"},{"op":"remove","path":"/spec/volumes/0"}]', '[{"op":"test","path":"/kind","value":"Pod"},{"op":"replace","path":"/spec/containers/0/image","value":{"a":[1]}}]', '[{"op":"move","from":"/spec/containers","path":"/status/x"},{"op":"copy","from":"","path":"/metadata/labels/all"}]', '[{"op":"add","path":"/spec/containers/-","value":{}},{"op":"add","path":"/spec/containers/-1","value":1}]'],
  [...jsonPieces, '/', '~0', '~1', '~', '/-', '/0', '/99', '/-1', '/__proto__', '/constructor/prototype', '"op":"copy"', '"path":""', '"from":"/spec"']), (text) => {
  const patch = jsonOf(text)
  if (patch !== undefined) leavesAlone(() => expecting([PatchError], () => applyJsonPatch(pod, patch)))
})

fuzz('merge patches', 9, mutated(['{"metadata":{"labels":{"a":null,"x":"y"}},"spec":null}', '{"spec":{"containers":[{"name":"d"}]}}', '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}', '[]', 'null'], jsonPieces), (text) => {
  const patch = jsonOf(text)
  if (patch === undefined) return
  const patched = leavesAlone(() => applyMergePatch(pod, patch))
  assert.ok(deepEqual(applyMergePatch(patched, patch), patched), 'twice is more than once')
  if (isJsonObject(patched)) { const back = createMergePatch(pod, patched); assert.ok(deepEqual(dropNulls(applyMergePatch(pod, back)), dropNulls(patched)), 'the difference leads elsewhere') }
})
const dropNulls = (value: JsonValue): JsonValue => (isJsonObject(value) ? Object.fromEntries(Object.entries(value).filter(([, item]) => item !== null && item !== undefined).map(([key, item]) => [key, dropNulls(item ?? null)])) : value)

fuzz('strategic merge patches', 10, mutated(['{"spec":{"containers":[{"name":"c","image":"j","env":[{"name":"A","$patch":"delete"}]},{"name":"d"}],"$setElementOrder/containers":[{"name":"d"},{"name":"c"}]}}', '{"metadata":{"$deleteFromPrimitiveList/finalizers":["a"],"finalizers":["c"],"$setElementOrder/finalizers":["b","c"]}}', '{"spec":{"volumes":[{"name":"v","$retainKeys":["name","hostPath"],"hostPath":{"path":"/"}}],"tolerations":null}}', '{"spec":{"$patch":"replace","containers":[]}}', '{"spec":{"volumes":[{"$patch":"replace"},{"name":"w"}]}}'],
  [...jsonPieces, '$patch', '"$patch":"delete"', '"$patch":"merge"', '$setElementOrder/', '$retainKeys', '$deleteFromPrimitiveList/', '"name":"c"', '[{}]', '[[]]']), (text) => {
  const patch = jsonOf(text)
  if (isJsonObject(patch)) leavesAlone(() => expecting([PatchError], () => applyStrategicMergePatch(podType, pod, patch)))
})

fuzz('JSONPath', 11, mutated(['{.metadata.name}', '{range .spec.containers[*]}{.name}{"\\n"}{end}', '{.spec.containers[?(@.name=="c")].image}', '{..name}', '{.spec.containers[0:1:2]}', "{.metadata.labels['a','constructor']}", '{$.spec}{@}', '{.status.conditions[?(@.type=="Ready")].status}', '{.spec.containers[-1:]}', '{["spec"]["containers"][0]}'],
  [...nasty, '{', '}', '[', ']', '(', ')', '?(', '@', '$', '..', '.', '*', ':', '-1', '==', '!=', '<=', '"', "'", '\\', 'range ', 'end', ',', '{range .spec}', '{..}', '999999999']), (text) => {
  const template = expecting([JsonPathError], () => parseJsonPath(text))
  if (template) leavesAlone(() => { for (const allowMissing of [true, false]) expecting([JsonPathError], () => { template.render(pod, { allowMissing }); template.find(pod, { allowMissing }) }) })
  expecting([JsonPathError], () => relaxJsonPath(text))
})

fuzz('durations', 12, mutated(['1h2m3s', '1.5h', '-300ms', '0', '2540400h10m10.000000000s', '1us', '5µs', '.5s'], [...nasty, 'h', 'm', 's', 'ms', 'ns', '.', '-', '+', '0', '9', '999999999999999999999']), (text) => {
  const parsed = parseDurationNanoseconds(text)
  parseDurationMs(text)
  const milliseconds = parseGoDuration(text)
  assert.ok(milliseconds === undefined || !Number.isNaN(milliseconds))
  if (parsed !== undefined) assert.equal(parseDurationNanoseconds(formatDurationNanoseconds(parsed)), parsed)
})

fuzz('kubeconfigs', 13, mutated(['apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts:\n- name: c\n  context: {cluster: k, user: u, namespace: n}\nclusters:\n- name: k\n  cluster: {server: "https://127.0.0.1:6443", certificate-authority-data: YQ==, insecure-skip-tls-verify: false}\nusers:\n- name: u\n  user: {client-certificate-data: YQ==, client-key-data: YQ==, token: t, as-groups: [a, b]}\n', '{"clusters":[],"users":null,"contexts":[{"name":"c","context":{"cluster":"","user":""}}],"current-context":"c"}', 'clusters: 5', 'users: [x]'],
  [...yamlPieces, 'clusters:', 'users:', 'name: ', 'user: ', '[]', '{}', '5', 'true', 'null', '__proto__: {x: y}\n']), (text) => {
  // A credential plugin would be run.
  if (text.includes('exec')) return
  expecting([KubeconfigError], () => resolveKubeconfig(loadKubeconfigs(['/nowhere/config'], { read: () => text })))
})

fuzz('continue tokens', 14, mutated([Buffer.from('{"v":"meta.k8s.io/v1","rv":5,"start":"default/a\\u0000"}').toString('base64url')], ['A', '=', '-', '_', 'e30', '!', '.']), (text) => {
  const token = decodeContinueToken(text)
  if (typeof token !== 'string') assert.ok(Number.isSafeInteger(token.revision) && token.start !== '' && !token.start.split('/').includes('..'))
})

fuzz('Accept headers', 15, mutated(['application/json;as=Table;v=v1;g=meta.k8s.io,application/json', 'application/vnd.kubernetes.protobuf;q=0.5, */*', 'application/yaml;pretty=1'], [...nasty, ',', ';', '=', 'q=', 'as=', '*/*', '/', '"']), (text) => {
  for (const shape of ['object', 'list', 'watch', 'plain'] as const) expecting([ApiError], () => negotiate(text, shape, false))
})

fuzz('paths', 16, mutated(['/api/v1/namespaces/default/pods/x/log', '/apis/apps/v1/deployments', '/api/v1/watch/nodes', '/apis/a/b', '/api/v1/namespaces/x/finalize'], [...nasty, '/', '//', 'watch/', 'namespaces/', 'api', 'apis/', '..', '%2f']), (text) => {
  const info = parseRequestInfo('GET', text, new URLSearchParams('watch=1&fieldSelector=metadata.name=x'))
  assert.equal(typeof info.verb, 'string')
  if (!info.isResource) assert.equal(info.resource, '')
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { JsonPathError, parseJsonPath, relaxJsonPath } from './jsonpath.ts'

const list = { kind: 'List', items: [
  { metadata: { name: 'a', labels: { 'app.kubernetes.io/name': 'web' } }, status: { capacity: { cpu: '4' }, phase: 'Running', ready: true, n: 3 } },
  { metadata: { name: 'b', labels: {} }, status: { capacity: { cpu: '8' }, phase: 'Pending', ready: false, n: 7 } },
] }

const cases: readonly (readonly [string, string])[] = [
  ['{.kind}', 'List'], ['{.items[*].metadata.name}', 'a b'], ['{.items[0].metadata.name}', 'a'], ['{.items[-1:].metadata.name}', 'b'], ['{$.kind}', 'List'],
  ['{range .items[*]}{.metadata.name}{"\\t"}{.status.capacity.cpu}{"\\n"}{end}', 'a\t4\nb\t8\n'],
  ['{.items[?(@.metadata.name=="b")].status.phase}', 'Pending'], ['{.items[?(@.status.ready==true)].metadata.name}', 'a'], ['{.items[?(@.status.n>5)].metadata.name}', 'b'], ['{.items[?(@.status.missing)].metadata.name}', ''],
  ["{.items[0]['metadata.name', 'metadata']['name']}", 'a'], ['{.items[0].metadata.labels.app\\.kubernetes\\.io/name}', 'web'], ["{.items[0].metadata.labels['app\\.kubernetes\\.io/name']}", 'web'],
  ['{..name}', 'a b'], ['{.items[*].status.capacity}', '{"cpu":"4"} {"cpu":"8"}'], ['count: {.items[0].status.n}!', 'count: 3!'], ['{.missing.x}', ''], ['{.items[0:2:2].metadata.name}', 'a'],
  ["{.items[0]['status.phase']}", ''], ['{.items[0,1].metadata.name}', 'a b'], ['{@.kind}', 'List'], ["{'plain'}", 'plain'],
]

for (const [template, expected] of cases) test(`jsonpath ${template}`, () => assert.equal(parseJsonPath(template).render(list), expected))

test('a missing field is an error where the caller says so; broken templates always are', () => {
  assert.throws(() => parseJsonPath('{.missing}').render(list, { allowMissing: false }), JsonPathError)
  for (const bad of ['{.a', '{range .items[*]}{.x}', '{end}', '{.items[abc!]}']) assert.throws(() => parseJsonPath(bad), JsonPathError, bad)
})

test('relaxed expressions', () => {
  for (const text of ['metadata.name', '.metadata.name', '{.metadata.name}', '{metadata.name}']) assert.equal(relaxJsonPath(text), '{.metadata.name}')
  assert.throws(() => relaxJsonPath('{.a}{.b}'), JsonPathError)
})

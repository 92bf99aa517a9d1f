import { test } from 'node:test'
import assert from 'node:assert/strict'
import { canonicalName, parseReference } from './reference.ts'

const digest = `sha256:${'0'.repeat(64)}`
const cases: readonly (readonly [string, string | undefined])[] = [
  ['nginx', 'docker.io/library/nginx:latest'], ['nginx:1.27', 'docker.io/library/nginx:1.27'], ['team/app', 'docker.io/team/app:latest'], ['localhost/app', 'localhost/app:latest'],
  ['localhost:5000/app:x', 'localhost:5000/app:x'], ['k8ts.local/web:1', 'k8ts.local/web:1'], ['registry.k8s.io/pause:3.10', 'registry.k8s.io/pause:3.10'], ['index.docker.io/nginx', 'docker.io/library/nginx:latest'],
  [`a.b/c@${digest}`, `a.b/c@${digest}`], [`a.b/c:tag@${digest}`, `a.b/c@${digest}`], ['[::1]:5000/x', '[::1]:5000/x:latest'], ['a.b/c__d/e-f.g', 'a.b/c__d/e-f.g:latest'],
  ['', undefined], ['UPPER', undefined], ['a b', undefined], ['a.b/', undefined], ['a.b/../c', undefined], ['a:', undefined], ['a:b:c', undefined], ['a@sha256:12', undefined], ['-a', undefined],
  ['0'.repeat(64), undefined], [`a.b/${'x'.repeat(256)}`, undefined], ['a.b//c', undefined], ['http://a.b/c', undefined],
]
for (const [text, expected] of cases) {
  test(`image reference ${JSON.stringify(text.slice(0, 40))}`, () => {
    const reference = parseReference(text)
    assert.equal(reference && canonicalName(reference), expected)
  })
}

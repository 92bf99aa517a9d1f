import { test } from 'node:test'
import assert from 'node:assert/strict'
import type { PolicyRule } from '../../../lib/api/generated/types/rbac-v1.ts'
import { ruleAllows, rulesCover } from './rbac-rules.ts'

const ask = (rule: PolicyRule, verb: string, resource: string, more: { readonly group?: string; readonly name?: string; readonly path?: string } = {}): boolean => {
  const [main = '', subresource = ''] = resource.split('/')
  return ruleAllows(rule, { verb, isResource: more.path === undefined, group: more.group ?? '', resource: main, subresource, name: more.name ?? '', path: more.path ?? '' })
}
const rule = (verbs: string[], resources: string[], more: Partial<PolicyRule> = {}): PolicyRule => ({ verbs, apiGroups: [''], resources, ...more })

test('a rule allows what it names', () => {
  assert.ok(ask(rule(['get'], ['pods']), 'get', 'pods'))
  assert.ok(!ask(rule(['get'], ['pods']), 'get', 'pods/log'))
  assert.ok(ask(rule(['get'], ['pods/log']), 'get', 'pods/log'))
  assert.ok(ask(rule(['*'], ['*/scale'], { apiGroups: ['apps'] }), 'update', 'deployments/scale', { group: 'apps' }))
  assert.ok(ask(rule(['get'], ['*']), 'get', 'pods/log'))
  assert.ok(!ask(rule(['get'], ['pods']), 'get', 'pods', { group: 'apps' }))
  assert.ok(ask(rule(['get'], ['pods'], { resourceNames: ['a'] }), 'get', 'pods', { name: 'a' }))
  assert.ok(!ask(rule(['list'], ['pods'], { resourceNames: ['a'] }), 'list', 'pods'))
  assert.ok(ask({ verbs: ['get'], nonResourceURLs: ['/healthz/*'] }, 'get', '', { path: '/healthz/etcd' }))
  assert.ok(!ask({ verbs: ['get'], nonResourceURLs: ['/healthz'] }, 'get', '', { path: '/healthz/etcd' }))
})

test('rules cover a rule only when nothing of it is left over', () => {
  const own = [rule(['get', 'list'], ['pods']), rule(['get'], ['secrets'], { resourceNames: ['a', 'b'] })]
  assert.ok(rulesCover(own, rule(['get'], ['pods'])))
  assert.ok(rulesCover(own, rule(['get'], ['pods'], { resourceNames: ['x'] })))
  assert.ok(!rulesCover(own, rule(['get', 'delete'], ['pods'])))
  assert.ok(rulesCover(own, rule(['get'], ['secrets'], { resourceNames: ['a'] })))
  assert.ok(!rulesCover(own, rule(['get'], ['secrets'])))
  assert.ok(!rulesCover(own, rule(['get'], ['pods'], { apiGroups: ['*'] })))
})

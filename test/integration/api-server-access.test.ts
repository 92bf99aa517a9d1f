// Who may do what: RBAC, nodes, tokens, reviews, impersonation.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { configMap, mapsPath, mergePatch, podOf, podsPath, startWorld } from './api-server-world.ts'
import type { Loose, World } from './api-server-world.ts'

const rbac = '/apis/rbac.authorization.k8s.io/v1'
const jane = { name: 'jane' }

test('nothing is allowed that no rule allows', async () => {
  await using world = await startWorld()
  const refused = await world.askAs(jane, 403, 'GET', mapsPath)
  assert.equal(refused.message, 'configmaps is forbidden: User "jane" cannot list resource "configmaps" in API group "" in the namespace "default"')
  assert.equal((await world.askAs(jane, 403, 'GET', '/api/v1/nodes')).message, 'nodes is forbidden: User "jane" cannot list resource "nodes" in API group "" at the cluster scope')
  assert.equal((await world.askAs(jane, 403, 'GET', '/nowhere')).message, 'forbidden: User "jane" cannot get path "/nowhere"')
  await world.askAs(jane, 200, 'GET', '/version')
  await world.askAs(jane, 200, 'GET', '/api')
})

test('roles and bindings, at once and only where they hold', async () => {
  await using world = await startWorld()
  await world.ask(201, 'POST', mapsPath, configMap('a'))
  await world.ask(201, 'POST', `${rbac}/namespaces/default/rolebindings`, { metadata: { name: 'jane-edits' }, roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'edit' }, subjects: [{ kind: 'User', name: 'jane', apiGroup: 'rbac.authorization.k8s.io' }] })
  await world.askAs(jane, 200, 'GET', `${mapsPath}/a`)
  await world.askAs(jane, 201, 'POST', mapsPath, configMap('b'))
  await world.askAs(jane, 403, 'GET', '/api/v1/namespaces/kube-system/configmaps')
  await world.askAs(jane, 403, 'GET', '/api/v1/nodes')
  const named = { metadata: { name: 'one' }, rules: [{ apiGroups: [''], resources: ['nodes'], verbs: ['get', 'list', 'watch'], resourceNames: ['n1'] }] }
  await world.ask(201, 'POST', `${rbac}/clusterroles`, named)
  await world.ask(201, 'POST', `${rbac}/clusterrolebindings`, { metadata: { name: 'one' }, roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'one' }, subjects: [{ kind: 'Group', name: 'ops', apiGroup: 'rbac.authorization.k8s.io' }] })
  const ops = { name: 'joe', groups: ['ops'] }
  await world.askAs(ops, 404, 'GET', '/api/v1/nodes/n1')
  await world.askAs(ops, 200, 'GET', '/api/v1/nodes?fieldSelector=metadata.name%3Dn1')
  await world.askAs(ops, 403, 'GET', '/api/v1/nodes')
  await world.ask(200, 'DELETE', `${rbac}/namespaces/default/rolebindings/jane-edits`)
  await world.askAs(jane, 403, 'GET', `${mapsPath}/a`)
})

test('nobody gives away more than they have', async () => {
  await using world = await startWorld()
  await world.ask(201, 'POST', `${rbac}/clusterroles`, { metadata: { name: 'role-maker' }, rules: [{ apiGroups: ['rbac.authorization.k8s.io'], resources: ['*'], verbs: ['create', 'update', 'get'] }, { apiGroups: [''], resources: ['pods'], verbs: ['get'] }] })
  await world.ask(201, 'POST', `${rbac}/clusterrolebindings`, { metadata: { name: 'role-maker' }, roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'role-maker' }, subjects: [{ kind: 'User', name: 'jane', apiGroup: 'rbac.authorization.k8s.io' }] })
  const role = (verbs: string[]): unknown => ({ metadata: { name: 'r' }, rules: [{ apiGroups: [''], resources: ['pods'], verbs }] })
  const before = await world.revision()
  assert.match((await world.askAs(jane, 403, 'POST', `${rbac}/clusterroles`, role(['get', 'delete']))).message, /user "jane" \(groups=\["system:authenticated"\]\) is attempting to grant RBAC permissions not currently held:\n\{APIGroups:\[""\], Resources:\["pods"\], Verbs:\["delete"\]\}/)
  const binding = { metadata: { name: 'b' }, roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' }, subjects: [{ kind: 'User', name: 'jane', apiGroup: 'rbac.authorization.k8s.io' }] }
  await world.askAs(jane, 403, 'POST', `${rbac}/clusterrolebindings`, binding)
  assert.equal(await world.revision(), before)
  await world.askAs(jane, 201, 'POST', `${rbac}/clusterroles`, role(['get']))
})

test('a kubelet sees what its pods need, and touches what is its own', async () => {
  await using world = await startWorld({ enableAdmissionPlugins: ['NodeRestriction'] })
  const node = { name: 'system:node:n1', groups: ['system:nodes'] }
  const core = '/api/v1/namespaces/default'
  await world.ask(201, 'POST', `${core}/serviceaccounts`, { metadata: { name: 'default' } })
  for (const name of ['mine', 'other']) await world.ask(201, 'POST', `${core}/secrets`, { metadata: { name } })
  await world.ask(201, 'POST', podsPath, podOf('p', { volumes: [{ name: 'v', secret: { secretName: 'mine' } }] }))
  await world.askAs(node, 201, 'POST', '/api/v1/nodes', { metadata: { name: 'n1' } })
  assert.deepEqual((await world.ask(200, 'GET', '/api/v1/nodes/n1')).spec.taints, [{ key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' }])
  await world.askAs(node, 403, 'POST', '/api/v1/nodes', { metadata: { name: 'n2' } })
  await world.askAs(node, 403, 'GET', `${core}/secrets/mine`)
  await world.ask(201, 'POST', `${podsPath}/p/binding`, { target: { kind: 'Node', name: 'n1' } })
  await world.askAs(node, 200, 'GET', `${core}/secrets/mine`)
  await world.askAs(node, 403, 'GET', `${core}/secrets/other`)
  await world.askAs(node, 403, 'GET', `${core}/secrets`)
  await world.askAs(node, 200, 'GET', '/api/v1/pods?fieldSelector=spec.nodeName%3Dn1')
  await world.askAs(node, 403, 'GET', '/api/v1/pods')
  await world.askAs(node, 200, 'PATCH', `${podsPath}/p/status`, { status: { phase: 'Running' } }, mergePatch)
  await world.askAs({ name: 'system:node:n2', groups: ['system:nodes'] }, 403, 'PATCH', `${podsPath}/p/status`, { status: { phase: 'Failed' } }, mergePatch)
  const lease = { metadata: { name: 'n1' }, spec: { holderIdentity: 'n1', leaseDurationSeconds: 40 } }
  await world.askAs(node, 201, 'POST', '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases', lease)
  await world.askAs(node, 403, 'POST', '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases', lease)
  await world.askAs(node, 200, 'GET', '/api/v1/services')
  await world.askAs(node, 403, 'PATCH', '/api/v1/nodes/n1', { spec: { taints: [] } }, mergePatch)
  await world.askAs(node, 403, 'PATCH', '/api/v1/nodes/n1', { metadata: { labels: { 'node-restriction.kubernetes.io/x': '1' } } }, mergePatch)
  const token = (uid: string): unknown => ({ spec: { boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'p', uid } } })
  const { uid } = (await world.ask(200, 'GET', `${podsPath}/p`)).metadata
  await world.askAs(node, 201, 'POST', `${core}/serviceaccounts/default/token`, token(uid))
  await world.askAs(node, 403, 'POST', `${core}/serviceaccounts/default/token`, token('other'))
})

const makeToken = async (world: World): Promise<Loose> => {
  const core = '/api/v1/namespaces/default'
  await world.ask(201, 'POST', `${core}/serviceaccounts`, { metadata: { name: 'default' } })
  const pod = await world.ask(201, 'POST', podsPath, podOf('p'))
  return world.ask(201, 'POST', `${core}/serviceaccounts/default/token`, { spec: { expirationSeconds: 3600, boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'p', uid: pod.metadata.uid } } })
}

test('a token says who one is until it runs out or what it is bound to has gone', async () => {
  await using world = await startWorld()
  const { status } = await makeToken(world)
  assert.equal(status.expirationTimestamp, '2026-01-01T01:00:00Z')
  const review = async (token: string): Promise<Loose> => (await world.ask(201, 'POST', '/apis/authentication.k8s.io/v1/tokenreviews', { spec: { token } })).status
  const good = await review(status.token)
  assert.deepEqual([good.authenticated, good.user.username, good.user.groups], [true, 'system:serviceaccount:default:default', ['system:serviceaccounts', 'system:serviceaccounts:default', 'system:authenticated']])
  assert.deepEqual(good.user.extra['authentication.kubernetes.io/pod-name'], ['p'])
  const [head, body, signature] = status.token.split('.')
  const forged = Buffer.from(Buffer.from(body, 'base64url').toString().replace('default:default', 'default:forged0')).toString('base64url')
  for (const token of [`${head}.${forged}.${signature}`, `${Buffer.from('{"alg":"none"}').toString('base64url')}.${body}.`, 'junk']) assert.equal((await review(token)).authenticated, undefined)
  await world.ask(200, 'DELETE', `${podsPath}/p`)
  assert.match((await review(status.token)).error, /Token has been invalidated/)
})

test('a token runs out', async () => {
  await using world = await startWorld()
  const { status } = await makeToken(world)
  await world.clock.advance(3_700_000)
  assert.match((await world.ask(201, 'POST', '/apis/authentication.k8s.io/v1/tokenreviews', { spec: { token: status.token } })).status.error, /expired/)
})

test('access reviews answer as the authorizer would', async () => {
  await using world = await startWorld()
  const group = '/apis/authorization.k8s.io/v1'
  const attributes = { namespace: 'default', verb: 'get', resource: 'pods' }
  assert.equal((await world.ask(201, 'POST', `${group}/subjectaccessreviews`, { spec: { user: 'jane', resourceAttributes: attributes } })).status.allowed, false)
  assert.equal((await world.ask(201, 'POST', `${group}/subjectaccessreviews`, { spec: { user: 'x', groups: ['system:masters'], resourceAttributes: attributes } })).status.allowed, true)
  assert.equal((await world.askAs(jane, 201, 'POST', `${group}/selfsubjectaccessreviews`, { spec: { nonResourceAttributes: { path: '/healthz', verb: 'get' } } })).status.allowed, true)
  await world.ask(422, 'POST', `${group}/subjectaccessreviews`, { spec: { user: 'jane' } })
  const rules = await world.askAs(jane, 201, 'POST', `${group}/selfsubjectrulesreviews`, { spec: { namespace: 'default' } })
  assert.ok(rules.status.resourceRules.some((r: Loose) => r.resources.includes('selfsubjectaccessreviews')))
  assert.equal((await world.askAs(jane, 201, 'POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', {})).status.userInfo.username, 'jane')
})

test('acting as somebody else needs leave', async () => {
  await using world = await startWorld()
  await world.ask(403, 'GET', mapsPath, undefined, { 'impersonate-user': 'jane' })
  await world.ask(200, 'GET', mapsPath, undefined, { 'impersonate-user': 'jane', 'impersonate-group': 'system:masters' })
  assert.match((await world.askAs(jane, 403, 'GET', mapsPath, undefined, { 'impersonate-user': 'admin' })).message, /^users "admin" is forbidden: User "jane" cannot impersonate resource "users" in API group "" at the cluster scope$/)
  await world.ask(400, 'GET', mapsPath, undefined, { 'impersonate-group': 'x' })
})

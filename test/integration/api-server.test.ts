// Objects through the API server: create, read, change, list, delete, and everything that must not happen on the way.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { configMap, forever, json, jsonPatch, mapsPath, mergePatch, podOf, podsPath, startWorld, strategicPatch } from './api-server-world.ts'
import type { Loose, World } from './api-server-world.ts'

const defaultAccount = (world: World): Promise<Loose> => world.ask(201, 'POST', '/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'default' } })

test('an object is created, read, changed, listed and deleted', async () => {
  await using world = await startWorld()
  const made = await world.ask(201, 'POST', mapsPath, configMap('a', { x: '1' }))
  assert.equal(made.kind, 'ConfigMap')
  assert.match(made.metadata.uid, /^[0-9a-f-]{36}$/)
  assert.equal(made.metadata.creationTimestamp, '2026-01-01T00:00:00Z')
  assert.deepEqual(await world.ask(200, 'GET', `${mapsPath}/a`), made)
  const changed = await world.ask(200, 'PUT', `${mapsPath}/a`, { ...made, data: { x: '2' } })
  assert.ok(Number(changed.metadata.resourceVersion) > Number(made.metadata.resourceVersion))
  const refused = await world.ask(409, 'PUT', `${mapsPath}/a`, { ...made, data: { x: '3' } })
  assert.equal(refused.message, 'Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to the latest version and try again')
  assert.deepEqual((await world.ask(200, 'GET', mapsPath)).items, [changed])
  assert.deepEqual((await world.ask(200, 'DELETE', `${mapsPath}/a`)).details, { name: 'a', kind: 'configmaps', uid: made.metadata.uid })
  assert.equal((await world.ask(404, 'GET', `${mapsPath}/a`)).message, 'configmaps "a" not found')
})

test('what etcd holds is the JSON that the API serves, under the key that the original uses', async () => {
  await using world = await startWorld()
  await world.ask(201, 'POST', mapsPath, configMap('a', { x: '1' }))
  const { kvs } = await world.etcd.range({ key: Buffer.from('/registry/configmaps/default/a') }, forever)
  const { metadata: { resourceVersion: _rv, ...metadata }, ...rest } = await world.ask(200, 'GET', `${mapsPath}/a`)
  assert.deepEqual(JSON.parse(Buffer.from(kvs[0]?.value ?? []).toString()), { ...rest, metadata })
  for (const key of ['/registry/services/specs/default/kubernetes', '/registry/namespaces/kube-system', '/registry/clusterroles/cluster-admin', '/registry/priorityclasses/system-node-critical', '/registry/ipaddresses/10.0.0.1', '/registry/servicecidrs/kubernetes']) {
    assert.equal((await world.etcd.range({ key: Buffer.from(key) }, forever)).count, 1, key)
  }
})

test('what somebody writes into etcd by hand, in any order of keys, is served too', async () => {
  await using world = await startWorld()
  const value = Buffer.from('{"metadata":{"uid":"u1","namespace":"default","name":"hand"},"data":{"a":"b"},"apiVersion":"v1","kind":"ConfigMap"}')
  const { revision } = await world.etcd.txn({ compare: [], success: [{ type: 'put', key: Buffer.from('/registry/configmaps/default/hand'), value }], failure: [] }, forever)
  assert.deepEqual(await world.ask(200, 'GET', `${mapsPath}/hand`), { kind: 'ConfigMap', apiVersion: 'v1', metadata: { name: 'hand', namespace: 'default', uid: 'u1', resourceVersion: String(revision) }, data: { a: 'b' } })
})

test('what can’t be read is never left out of a list in silence, and can be removed by those who may', async () => {
  await using world = await startWorld()
  const watch = await world.watch(`${mapsPath}?watch=true`)
  await world.ask(201, 'POST', mapsPath, configMap('junk'))
  assert.equal((await watch()).type, 'ADDED')
  await world.etcd.txn({ compare: [], success: [{ type: 'put', key: Buffer.from('/registry/configmaps/default/junk'), value: Buffer.from('{oops') }], failure: [] }, forever)
  assert.equal((await watch()).type, 'DELETED')
  const list = await world.ask(500, 'GET', mapsPath)
  assert.equal(list.reason, 'StoreReadError')
  assert.match(list.message, /^failed to read one or more configmaps from the storage: StorageError: corrupt object, Code: 7, Key: \/registry\/configmaps\/default\/junk, ResourceVersion: 0, AdditionalErrorMsg: object not decodable revision=\d+: invalid character 'o'/)
  assert.deepEqual(list.details.causes.map((cause: Loose) => [cause.reason, cause.field]), [['UnexpectedServerResponse', '/registry/configmaps/default/junk']])
  assert.match((await world.ask(500, 'GET', `${mapsPath}/junk`)).message, /^Internal error occurred: StorageError: corrupt object/)
  await world.ask(200, 'GET', '/api/v1/namespaces/kube-system/configmaps')
  await world.ask(500, 'DELETE', `${mapsPath}/junk`)
  const unsafe = { kind: 'DeleteOptions', apiVersion: 'v1', ignoreStoreReadErrorWithClusterBreakingPotential: true }
  await world.ask(422, 'DELETE', `${mapsPath}/junk`, { ...unsafe, gracePeriodSeconds: 0 })
  await world.ask(422, 'DELETE', mapsPath, unsafe)
  await world.ask(200, 'DELETE', `${mapsPath}/junk`, { ...unsafe, dryRun: ['All'] })
  assert.equal((await world.ask(200, 'DELETE', `${mapsPath}/junk`, unsafe)).status, 'Success')
  assert.equal((await world.ask(200, 'GET', mapsPath)).items.length, 0)
  await world.ask(404, 'DELETE', `${mapsPath}/junk`, unsafe)
  await world.ask(201, 'POST', mapsPath, configMap('good'))
  assert.match((await world.ask(409, 'DELETE', `${mapsPath}/good`, unsafe)).message, /it can be read/)
})

test('an update that changes nothing writes nothing', async () => {
  await using world = await startWorld()
  const made = await world.ask(201, 'POST', mapsPath, configMap('a', { x: '1' }))
  const before = await world.revision()
  assert.equal((await world.ask(200, 'PUT', `${mapsPath}/a`, made)).metadata.resourceVersion, made.metadata.resourceVersion)
  assert.equal((await world.ask(200, 'PATCH', `${mapsPath}/a`, { data: { x: '1' } }, mergePatch)).metadata.resourceVersion, made.metadata.resourceVersion)
  assert.equal(await world.revision(), before)
})

test('bad input is refused and nothing is stored', async () => {
  await using world = await startWorld()
  await defaultAccount(world)
  const made = await world.ask(201, 'POST', mapsPath, configMap('a', { x: '1' }))
  const before = await world.revision()
  const cases: readonly [status: number, method: 'POST' | 'PUT' | 'PATCH' | 'GET', path: string, body: unknown, headers: Record<string, string>, message: RegExp][] = [
    [400, 'POST', mapsPath, '{"metadata":{"name":"b"}', json, /the object provided is unrecognized \(must be of type ConfigMap\): couldn't get version\/kind; json parse error/],
    [400, 'POST', mapsPath, `{"a":${'['.repeat(10_000)}${']'.repeat(10_000)}}`, json, /exceeded max depth/],
    [400, 'POST', mapsPath, { kind: 'Secret', apiVersion: 'v1', metadata: { name: 'b' } }, {}, /cannot be handled as a ConfigMap/],
    [400, 'POST', mapsPath, { kind: 'ConfigMap', apiVersion: 'apps/v1', metadata: { name: 'b' } }, {}, /does not match the expected API version \(v1\)|cannot be handled as a ConfigMap/],
    [400, 'POST', `${mapsPath}?fieldValidation=Strict`, { metadata: { name: 'b' }, dat: {} }, {}, /strict decoding error: unknown field "dat"/],
    [400, 'POST', mapsPath, { metadata: { name: 'b', namespace: 'other' } }, {}, /^the namespace of the provided object does not match the namespace sent on the request$/],
    [400, 'POST', mapsPath, { metadata: { name: 'b' }, data: { x: 1 } }, {}, /cannot unmarshal number into Go struct field ConfigMap.data of type string/],
    [422, 'POST', mapsPath, { metadata: { name: 'Not Valid' } }, {}, /ConfigMap "Not Valid" is invalid: metadata.name: Invalid value/],
    [422, 'POST', mapsPath, { metadata: {} }, {}, /name or generateName is required/],
    [422, 'POST', `${mapsPath}?dryRun=Some`, configMap('b'), {}, /dryRun: Unsupported value/],
    [500, 'POST', mapsPath, { metadata: { name: 'b', resourceVersion: '1' } }, {}, /^resourceVersion should not be set on objects to be created$/],
    [404, 'POST', '/api/v1/namespaces/nowhere/configmaps', configMap('b'), {}, /^namespaces "nowhere" not found$/],
    [409, 'POST', mapsPath, configMap('a'), {}, /^configmaps "a" already exists$/],
    [422, 'POST', podsPath, podOf('p', { containers: [{ name: 'c', image: 'i', resources: { requests: { cpu: '-1' } } }] }), {}, /must be greater than or equal to 0/],
    [400, 'POST', podsPath, podOf('p', { containers: [{ name: 'c', image: 'i', resources: { requests: { cpu: 'much' } } }] }), {}, /quantities must match/],
    [409, 'PUT', `${mapsPath}/a`, { ...made, metadata: { ...made.metadata, resourceVersion: '1' } }, {}, /the object has been modified/],
    [409, 'PUT', `${mapsPath}/a`, { ...made, metadata: { ...made.metadata, uid: 'other' } }, {}, /Precondition failed: UID in precondition: other/],
    [400, 'PUT', `${mapsPath}/a`, { ...made, metadata: { ...made.metadata, name: 'b' } }, {}, /^the name of the object \(b\) does not match the name on the URL \(a\)$/],
    [404, 'PUT', `${mapsPath}/none`, configMap('none'), {}, /^configmaps "none" not found$/],
    [422, 'PATCH', `${mapsPath}/a`, [{ op: 'test', path: '/data/x', value: '2' }], jsonPatch, /./],
    [400, 'PATCH', `${mapsPath}/a`, '{"op"', jsonPatch, /./],
    [415, 'PATCH', `${mapsPath}/a`, 'x', { 'content-type': 'text/plain' }, /accepted media types include: application\/json-patch\+json/],
    [415, 'POST', mapsPath, 'x', { 'content-type': 'application/cbor' }, /accepted media types include: application\/json, application\/yaml, application\/vnd.kubernetes.protobuf/],
    [400, 'POST', mapsPath, `a: &a [${'x,'.repeat(60)}]\n${Array.from({ length: 12 }, (_, i) => `b${i}: &b${i} [${`*${i === 0 ? 'a' : `b${i - 1}`},`.repeat(10)}]`).join('\n')}`, { 'content-type': 'application/yaml' }, /excessive aliasing|unrecognized/],
    [400, 'GET', `${mapsPath}?labelSelector=a%3D%3D%3Db`, undefined, {}, /unable to parse requirement/],
    [400, 'GET', `${mapsPath}?fieldSelector=spec.foo%3Db`, undefined, {}, /^field label not supported: spec.foo$/],
    [400, 'GET', `${mapsPath}?continue=junk`, undefined, {}, /^invalid continue token: /],
    [400, 'GET', `${mapsPath}?limit=x`, undefined, {}, /invalid syntax/],
    [400, 'GET', `${mapsPath}?resourceVersion=x`, undefined, {}, /resource version/],
    [422, 'GET', `${mapsPath}?resourceVersionMatch=Exact`, undefined, {}, /resourceVersionMatch is forbidden unless resourceVersion is provided/],
  ]
  for (const [status, method, path, body, headers, message] of cases) {
    const answer = await world.ask(status, method, path, typeof body === 'string' ? body : body, typeof body === 'string' || Array.isArray(body) ? headers : headers)
    assert.match(answer.message, message, `${method} ${path}`)
    assert.equal(answer.code, status)
  }
  assert.equal(await world.revision(), before)
})

test('dry run does everything but write', async () => {
  await using world = await startWorld()
  const before = await world.revision()
  const made = await world.ask(201, 'POST', `${mapsPath}?dryRun=All`, configMap('a'))
  assert.equal(made.metadata.resourceVersion, undefined)
  assert.ok(made.metadata.uid)
  await world.ask(201, 'POST', '/api/v1/namespaces/default/services?dryRun=All', { metadata: { name: 's' }, spec: { ports: [{ port: 80 }] } })
  assert.equal(await world.revision(), before)
  await world.ask(201, 'POST', mapsPath, configMap('a', { x: '1' }))
  const then = await world.revision()
  assert.equal((await world.ask(200, 'PATCH', `${mapsPath}/a?dryRun=All`, { data: { x: '2' } }, mergePatch)).data.x, '2')
  await world.ask(200, 'DELETE', `${mapsPath}/a?dryRun=All`)
  assert.equal(await world.revision(), then)
})

test('generated names', async () => {
  await using world = await startWorld()
  const made = await world.ask(201, 'POST', mapsPath, { metadata: { generateName: 'web-' } })
  assert.match(made.metadata.name, /^web-[bcdfghjklmnpqrstvwxz2456789]{5}$/)
  assert.equal(made.metadata.generateName, 'web-')
})

test('the three patches', async () => {
  await using world = await startWorld()
  await defaultAccount(world)
  await world.ask(201, 'POST', mapsPath, configMap('a', { x: '1', y: '2' }))
  assert.deepEqual((await world.ask(200, 'PATCH', `${mapsPath}/a`, { data: { x: null, z: '3' } }, mergePatch)).data, { y: '2', z: '3' })
  assert.deepEqual((await world.ask(200, 'PATCH', `${mapsPath}/a`, JSON.stringify([{ op: 'replace', path: '/data/y', value: '4' }]), jsonPatch)).data, { y: '4', z: '3' })
  await world.ask(201, 'POST', podsPath, podOf('p'))
  const patched = await world.ask(200, 'PATCH', `${podsPath}/p`, { spec: { containers: [{ name: 'main', image: 'example.com/x:2' }] } }, strategicPatch)
  assert.deepEqual(patched.spec.containers.map((c: Loose) => [c.name, c.image]), [['main', 'example.com/x:2']])
  assert.equal(patched.metadata.generation, 2)
  const stale = await world.ask(409, 'PATCH', `${mapsPath}/a`, { metadata: { resourceVersion: '1' }, data: { x: '9' } }, mergePatch)
  assert.equal(stale.reason, 'Conflict')
})

test('a concurrent change makes a patch try again, not fail', async () => {
  await using world = await startWorld()
  await world.ask(201, 'POST', mapsPath, configMap('a'))
  await Promise.all(Array.from({ length: 20 }, (_, i) => world.ask(200, 'PATCH', `${mapsPath}/a`, { data: { [`k${i}`]: '1' } }, mergePatch)))
  assert.equal(Object.keys((await world.ask(200, 'GET', `${mapsPath}/a`)).data).length, 20)
})

test('finalizers keep an object until the last one has gone', async () => {
  await using world = await startWorld()
  const made = await world.ask(201, 'POST', mapsPath, { metadata: { name: 'a', finalizers: ['example.com/x'] } })
  const marked = await world.ask(200, 'DELETE', `${mapsPath}/a`)
  assert.equal(marked.metadata.deletionTimestamp, '2026-01-01T00:00:00Z')
  assert.equal(marked.metadata.deletionGracePeriodSeconds, 0)
  const added = await world.ask(422, 'PATCH', `${mapsPath}/a`, { metadata: { finalizers: ['example.com/x', 'example.com/y'] } }, mergePatch)
  assert.match(added.message, /no new finalizers can be added if the object is being deleted/)
  assert.match((await world.ask(409, 'POST', mapsPath, configMap('a'))).message, /^object is being deleted: configmaps "a" already exists$/)
  assert.equal((await world.ask(200, 'PATCH', `${mapsPath}/a`, { metadata: { finalizers: null } }, mergePatch)).metadata.uid, made.metadata.uid)
  await world.ask(404, 'GET', `${mapsPath}/a`)
})

test('propagation policies become finalizers; preconditions are kept', async () => {
  await using world = await startWorld()
  const made = await world.ask(201, 'POST', mapsPath, configMap('a'))
  assert.match((await world.ask(409, 'DELETE', `${mapsPath}/a`, { kind: 'DeleteOptions', apiVersion: 'v1', preconditions: { uid: 'x' } })).message, /UID in precondition: x/)
  assert.match((await world.ask(422, 'DELETE', `${mapsPath}/a?propagationPolicy=Never`)).message, /propagationPolicy: Unsupported value/)
  assert.deepEqual((await world.ask(200, 'DELETE', `${mapsPath}/a`, { propagationPolicy: 'Foreground', preconditions: { uid: made.metadata.uid } })).metadata.finalizers, ['foregroundDeletion'])
  assert.deepEqual((await world.ask(200, 'DELETE', `${mapsPath}/a?propagationPolicy=Orphan`)).metadata.finalizers, ['orphan'])
  await world.ask(200, 'DELETE', `${mapsPath}/a?propagationPolicy=Background`)
  await world.ask(404, 'GET', `${mapsPath}/a`)
})

test('a pod on a node is left time to stop; the time only gets shorter', async () => {
  await using world = await startWorld()
  await defaultAccount(world)
  await world.ask(201, 'POST', podsPath, podOf('unscheduled'))
  await world.ask(200, 'DELETE', `${podsPath}/unscheduled`)
  await world.ask(404, 'GET', `${podsPath}/unscheduled`)
  await world.ask(201, 'POST', podsPath, podOf('p'))
  await world.ask(201, 'POST', `${podsPath}/p/binding`, { metadata: { name: 'p' }, target: { kind: 'Node', name: 'n1' } })
  const first = await world.ask(200, 'DELETE', `${podsPath}/p`)
  assert.deepEqual([first.metadata.deletionTimestamp, first.metadata.deletionGracePeriodSeconds], ['2026-01-01T00:00:30Z', 30])
  await world.clock.advance(1000)
  assert.equal((await world.ask(200, 'DELETE', `${podsPath}/p?gracePeriodSeconds=60`)).metadata.deletionGracePeriodSeconds, 30)
  const shorter = await world.ask(200, 'DELETE', `${podsPath}/p?gracePeriodSeconds=5`)
  assert.deepEqual([shorter.metadata.deletionTimestamp, shorter.metadata.deletionGracePeriodSeconds], ['2026-01-01T00:00:05Z', 5])
  await world.ask(200, 'DELETE', `${podsPath}/p?gracePeriodSeconds=0`)
  await world.ask(404, 'GET', `${podsPath}/p`)
})

test('a namespace is marked, emptied by others, and gone when it is finalized', async () => {
  await using world = await startWorld()
  const made = await world.ask(201, 'POST', '/api/v1/namespaces', { metadata: { name: 'team' } })
  assert.deepEqual([made.spec.finalizers, made.status.phase, made.metadata.labels], [['kubernetes'], 'Active', { 'kubernetes.io/metadata.name': 'team' }])
  assert.equal((await world.ask(200, 'DELETE', '/api/v1/namespaces/team')).status.phase, 'Terminating')
  const refused = await world.ask(403, 'POST', '/api/v1/namespaces/team/configmaps', configMap('late'))
  assert.match(refused.message, /unable to create new content in namespace team because it is being terminated$/)
  assert.equal(refused.details.causes[0].reason, 'NamespaceTerminating')
  const now = await world.ask(200, 'GET', '/api/v1/namespaces/team')
  await world.ask(200, 'PUT', '/api/v1/namespaces/team/finalize', { ...now, spec: {} })
  await world.ask(404, 'GET', '/api/v1/namespaces/team')
  assert.match((await world.ask(403, 'DELETE', '/api/v1/namespaces/default')).message, /this namespace may not be deleted$/)
})

test('lists: byte order over the whole key, pages, selectors', async () => {
  await using world = await startWorld()
  for (const namespace of ['a', 'a-b']) {
    await world.ask(201, 'POST', '/api/v1/namespaces', { metadata: { name: namespace } })
    for (const name of ['x', 'y', 'z']) await world.ask(201, 'POST', `/api/v1/namespaces/${namespace}/configmaps`, configMap(name, {}, { name }))
  }
  const keys = (list: Loose): string[] => list.items.map((i: Loose) => `${i.metadata.namespace}/${i.metadata.name}`)
  const all = await world.ask(200, 'GET', '/api/v1/configmaps')
  assert.deepEqual(keys(all), ['a-b/x', 'a-b/y', 'a-b/z', 'a/x', 'a/y', 'a/z'])
  const first = await world.ask(200, 'GET', '/api/v1/configmaps?limit=4')
  assert.deepEqual([keys(first).length, first.metadata.remainingItemCount], [4, 2])
  // What happens between pages doesn't show in them.
  await world.ask(200, 'DELETE', '/api/v1/namespaces/a/configmaps/z')
  const second = await world.ask(200, 'GET', `/api/v1/configmaps?limit=4&continue=${first.metadata.continue}`)
  assert.deepEqual([keys(second), second.metadata.continue, second.metadata.resourceVersion], [['a/y', 'a/z'], undefined, first.metadata.resourceVersion])
  assert.deepEqual(keys(await world.ask(200, 'GET', '/api/v1/configmaps?labelSelector=name%20in%20(x,z)')), ['a-b/x', 'a-b/z', 'a/x'])
  assert.deepEqual(keys(await world.ask(200, 'GET', '/api/v1/configmaps?fieldSelector=metadata.name%3Dy')), ['a-b/y', 'a/y'])
  assert.deepEqual(keys(await world.ask(200, 'GET', `/api/v1/configmaps?resourceVersion=${all.metadata.resourceVersion}&resourceVersionMatch=Exact`)).length, 6)
  assert.equal((await world.ask(200, 'GET', '/api/v1/namespaces/none/configmaps')).items.length, 0)
  await world.ask(200, 'DELETE', '/api/v1/namespaces/a-b/configmaps?labelSelector=name!%3Dx')
  assert.deepEqual(keys(await world.ask(200, 'GET', '/api/v1/configmaps')), ['a-b/x', 'a/x', 'a/y'])
})

test('a page after compaction says so, and how to go on', async () => {
  await using world = await startWorld()
  for (const name of ['x', 'y', 'z']) await world.ask(201, 'POST', mapsPath, configMap(name))
  const first = await world.ask(200, 'GET', `${mapsPath}?limit=1`)
  await world.ask(200, 'DELETE', `${mapsPath}/z`)
  await world.etcd.compact(await world.revision(), forever)
  const expired = await world.ask(410, 'GET', `${mapsPath}?limit=1&continue=${first.metadata.continue}`)
  assert.equal(expired.reason, 'Expired')
  const rest = await world.ask(200, 'GET', `${mapsPath}?limit=5&continue=${expired.metadata.continue}`)
  assert.deepEqual(rest.items.map((i: Loose) => i.metadata.name), ['y'])
})

test('status and spec are written apart; the generation counts only what is wanted', async () => {
  await using world = await startWorld()
  const path = '/apis/apps/v1/namespaces/default/deployments'
  const template = { metadata: { labels: { app: 'a' } }, spec: { containers: [{ name: 'c', image: 'i' }] } }
  const made = await world.ask(201, 'POST', path, { metadata: { name: 'd' }, spec: { replicas: 2, selector: { matchLabels: { app: 'a' } }, template }, status: { replicas: 7 } })
  assert.deepEqual([made.metadata.generation, made.status.replicas, made.spec.strategy.type], [1, undefined, 'RollingUpdate'])
  const status = await world.ask(200, 'PUT', `${path}/d/status`, { ...made, spec: { ...made.spec, replicas: 9 }, status: { replicas: 2, observedGeneration: 1 } })
  assert.deepEqual([status.metadata.generation, status.spec.replicas, status.status.replicas], [1, 2, 2])
  const scaled = await world.ask(200, 'PATCH', `${path}/d/scale`, { spec: { replicas: 5 } }, mergePatch)
  assert.deepEqual([scaled.kind, scaled.spec.replicas, scaled.status], ['Scale', 5, { replicas: 2, selector: 'app=a' }])
  const now = await world.ask(200, 'GET', `${path}/d`)
  assert.deepEqual([now.metadata.generation, now.spec.replicas, now.status.replicas], [2, 5, 2])
})

test('binding happens once', async () => {
  await using world = await startWorld()
  await defaultAccount(world)
  await world.ask(201, 'POST', podsPath, podOf('p'))
  const binding = { metadata: { name: 'p' }, target: { kind: 'Node', name: 'n1' } }
  assert.equal((await world.ask(201, 'POST', `${podsPath}/p/binding`, binding)).status, 'Success')
  const pod = await world.ask(200, 'GET', `${podsPath}/p`)
  assert.equal(pod.spec.nodeName, 'n1')
  assert.equal(pod.status.conditions.find((c: Loose) => c.type === 'PodScheduled').status, 'True')
  assert.match((await world.ask(409, 'POST', `${podsPath}/p/binding`, binding)).message, /pod p is already assigned to node "n1"$/)
})

test('an eviction asks the budget', async () => {
  await using world = await startWorld()
  await defaultAccount(world)
  await world.ask(201, 'POST', podsPath, { ...podOf('p'), metadata: { name: 'p', labels: { app: 'a' } } })
  await world.ask(201, 'POST', `${podsPath}/p/binding`, { target: { kind: 'Node', name: 'n1' } })
  await world.ask(200, 'PATCH', `${podsPath}/p/status`, { status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] } }, mergePatch)
  const budgets = '/apis/policy/v1/namespaces/default/poddisruptionbudgets'
  await world.ask(201, 'POST', budgets, { metadata: { name: 'b' }, spec: { minAvailable: 1, selector: { matchLabels: { app: 'a' } } } })
  await world.ask(200, 'PATCH', `${budgets}/b/status`, { status: { observedGeneration: 1, currentHealthy: 1, desiredHealthy: 1, expectedPods: 1, disruptionsAllowed: 0 } }, mergePatch)
  const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'p' } }
  const refused = await world.ask(429, 'POST', `${podsPath}/p/eviction`, eviction)
  assert.deepEqual([refused.details.causes[0].reason, refused.message], ['DisruptionBudget', "Cannot evict pod as it would violate the pod's disruption budget."])
  await world.ask(200, 'PATCH', `${budgets}/b/status`, { status: { disruptionsAllowed: 1 } }, mergePatch)
  assert.equal((await world.ask(201, 'POST', `${podsPath}/p/eviction`, eviction)).status, 'Success')
  assert.ok((await world.ask(200, 'GET', `${podsPath}/p`)).metadata.deletionTimestamp)
  assert.equal((await world.ask(200, 'GET', `${budgets}/b`)).status.disruptionsAllowed, 0)
})

test('cluster IPs and node ports: given out once, given back, never leaked', async () => {
  await using world = await startWorld({ serviceClusterIpRange: '10.0.0.0/29', nodePortRange: { first: 30000, last: 30001 } })
  const path = '/api/v1/namespaces/default/services'
  const service = (name: string, spec: object = {}): unknown => ({ metadata: { name }, spec: { ports: [{ port: 80 }], ...spec } })
  // A /29 has six addresses, one is the API server's own.
  const ips = new Set<string>()
  for (let i = 0; i < 5; i++) ips.add((await world.ask(201, 'POST', path, service(`s${i}`))).spec.clusterIP)
  assert.equal(ips.size, 5)
  assert.match((await world.ask(500, 'POST', path, service('full'))).message, /range is full/)
  const [ip] = ips
  assert.match((await world.ask(422, 'POST', path, service('taken', { clusterIP: ip }))).message, /provided IP is already allocated/)
  const owner = (await world.ask(200, 'GET', path)).items.find((s: Loose) => s.spec.clusterIP === ip).metadata.name
  await world.ask(200, 'DELETE', `${path}/${owner}`)
  assert.equal((await world.etcd.range({ key: Buffer.from(`/registry/ipaddresses/${ip}`) }, forever)).count, 0)
  assert.equal((await world.ask(201, 'POST', path, service('again', { clusterIP: ip, type: 'NodePort' }))).spec.clusterIP, ip)
  const ported = await world.ask(200, 'GET', `${path}/again`)
  assert.ok([30000, 30001].includes(ported.spec.ports[0].nodePort))
  await world.ask(200, 'PATCH', `${path}/again`, { spec: { type: 'ClusterIP' } }, mergePatch)
  assert.equal((await world.ask(200, 'GET', `${path}/again`)).spec.ports[0].nodePort, undefined)
  // A refused Service holds on to nothing.
  await world.ask(422, 'POST', path, { metadata: { name: 'Bad' }, spec: { type: 'NodePort', ports: [{ port: 80 }] } })
  for (const name of [...ips].slice(1, 3).map((_, i) => `s${i}`).filter((n) => n !== owner)) await world.ask(200, 'PATCH', `${path}/${name}`, { spec: { type: 'NodePort' } }, mergePatch)
  const other = await world.restart()
  assert.equal(other.revision, await world.revision())
})

test('pods get an account, a token, tolerations, a priority', async () => {
  await using world = await startWorld()
  assert.match((await world.ask(403, 'POST', podsPath, podOf('p'))).message, /error looking up service account default\/default: serviceaccount "default" not found$/)
  await defaultAccount(world)
  const pod = await world.ask(201, 'POST', podsPath, podOf('p', { priorityClassName: 'system-node-critical' }))
  assert.equal(pod.spec.serviceAccountName, 'default')
  assert.equal(pod.spec.priority, 2_000_001_000)
  assert.match(pod.spec.volumes[0].name, /^kube-api-access-/)
  assert.equal(pod.spec.containers[0].volumeMounts[0].mountPath, '/var/run/secrets/kubernetes.io/serviceaccount')
  assert.deepEqual(pod.spec.tolerations.map((t: Loose) => t.key), ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'])
  assert.match((await world.ask(403, 'POST', podsPath, podOf('q', { priorityClassName: 'none' }))).message, /no PriorityClass with name none was found/)
})

test('limit ranges fill in and refuse; quotas count', async () => {
  await using world = await startWorld()
  await defaultAccount(world)
  const core = '/api/v1/namespaces/default'
  await world.ask(201, 'POST', `${core}/limitranges`, { metadata: { name: 'l' }, spec: { limits: [{ type: 'Container', default: { cpu: '500m' }, defaultRequest: { cpu: '100m' }, max: { cpu: '1' } }] } })
  const pod = await world.ask(201, 'POST', podsPath, podOf('p'))
  assert.deepEqual(pod.spec.containers[0].resources, { limits: { cpu: '500m' }, requests: { cpu: '100m' } })
  const heavy = podOf('heavy', { containers: [{ name: 'c', image: 'i', resources: { limits: { cpu: '2' } } }] })
  assert.match((await world.ask(403, 'POST', podsPath, heavy)).message, /maximum cpu usage per Container is 1, but limit is 2/)
  await world.ask(201, 'POST', `${core}/resourcequotas`, { metadata: { name: 'q' }, spec: { hard: { pods: '2', 'count/configmaps': '1' } } })
  await world.ask(201, 'POST', podsPath, podOf('p2'))
  assert.match((await world.ask(403, 'POST', podsPath, podOf('p3'))).message, /exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2/)
  await world.ask(200, 'DELETE', `${podsPath}/p2`)
  await world.ask(201, 'POST', podsPath, podOf('p3'))
  assert.equal((await world.ask(200, 'GET', `${core}/resourcequotas/q`)).status.used.pods, '2')
})

test('events of both groups are one thing', async () => {
  await using world = await startWorld()
  await world.ask(201, 'POST', '/api/v1/namespaces/default/events', { metadata: { name: 'e' }, involvedObject: { kind: 'Pod', name: 'p', namespace: 'default' }, reason: 'Made', message: 'hello', type: 'Normal', source: { component: 'test' } })
  const other = await world.ask(200, 'GET', '/apis/events.k8s.io/v1/namespaces/default/events/e')
  assert.deepEqual([other.apiVersion, other.note, other.regarding.name], ['events.k8s.io/v1', 'hello', 'p'])
  // They go after an hour.
  await world.clock.advance(3_700_000)
  await world.ask(404, 'GET', '/api/v1/namespaces/default/events/e')
})

// The whole original kube-apiserver on our etcd, spoken to with the original kubectl; then our API server beside it on the same etcd, each reading
// what the other wrote. Opt-in: it is built by test/interop/build-kube-apiserver.sh, which takes minutes; without it everything here is skipped.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { openServer, until } from './apiserver-under-test.ts'
import { backendKinds, startBackend } from './etcd-backends.ts'
import { missingApiServer, startOriginalApiServer } from './original-apiserver.ts'

const signal = new AbortController().signal

const deployment = (name: string): string => JSON.stringify({
  apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name, labels: { app: name } },
  spec: { replicas: 2, selector: { matchLabels: { app: name } }, template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'main', image: 'example.com/web:1' }] } } },
})

for (const kind of backendKinds.filter((one) => one.tls && !(one.program === 'original' && one.members === 3))) {
  const skip = missingApiServer ?? kind.missing
  describe(`the original kube-apiserver on ${kind.name}`, { ...(skip !== undefined && { skip }), timeout: 300_000 }, () => {
    test('starts, takes what kubectl gives, lists it, tells of changes, compacts', { timeout: 180_000 }, async () => {
      await using backend = await startBackend(kind)
      const etcd = backend.client()
      await using server = await startOriginalApiServer(backend, ['--etcd-compaction-interval=4s', '--etcd-count-metric-poll-period=1s', '--etcd-db-metric-poll-interval=1s'])
      for (const name of ['one', 'two', 'three']) assert.equal(await server.ok(['apply', '--server-side', '-f', '-'], deployment(name)), `deployment.apps/${name} serverside-applied\n`)
      assert.equal(await server.ok(['get', 'deployments', '-o', 'name']), 'deployment.apps/one\ndeployment.apps/three\ndeployment.apps/two\n')
      assert.equal(await server.ok(['get', 'deployments', '-o', 'name', '--chunk-size=1']), 'deployment.apps/one\ndeployment.apps/three\ndeployment.apps/two\n')
      const watching = server.kubectl(['get', 'deployments', '--watch-only', '--output-watch-events', '-o', 'jsonpath={.type} {.object.metadata.name} {.object.spec.replicas}{"\\n"}', '--request-timeout=9s'])
      await delay(2000)
      await server.ok(['scale', 'deployment', 'one', '--replicas=5'])
      assert.match(await server.ok(['delete', 'deployment', 'two', '--wait=false']), /deployment.apps "two" deleted/)
      const seen = (await watching).out
      assert.match(seen, /MODIFIED one 5\n(.*\n)*DELETED two 2\n/)
      await server.ok(['create', 'configmap', 'big', `--from-literal=value=${'x'.repeat(100_000)}`])
      // Every four seconds, what is older than the time before.
      await until('history is compacted', async () => { try { await etcd.range({ key: Buffer.from('x'), revision: 2 }, signal); return false } catch { return true } }, 30_000)
      assert.match(Buffer.from((await etcd.range({ key: Buffer.from('compact_rev_key') }, signal)).kvs[0]?.value ?? []).toString(), /^\d+$/)
      const metrics = await server.ok(['get', '--raw', '/metrics'])
      assert.match(metrics, /apiserver_storage_size_bytes\{storage_cluster_id="etcd-0"\} [1-9]/)
      assert.doesNotMatch(await server.ok(['get', '--raw', '/readyz?verbose']), /\[-\]/)
      const lease = (await etcd.range({ key: Buffer.from('/registry/masterleases/192.0.2.10') }, signal)).kvs[0]?.lease ?? 0n
      assert.equal((await etcd.leaseTimeToLive(lease, signal)).grantedTtlSeconds, 15)
    })

    test('our API server on the same etcd reads what it wrote, and it reads what ours writes', { timeout: 180_000 }, async () => {
      await using backend = await startBackend(kind)
      await using theirs = await startOriginalApiServer(backend)
      await theirs.ok(['create', 'namespace', 'shared'])
      await theirs.ok(['create', 'configmap', 'theirs', '-n', 'shared', '--from-literal=value=1'])
      await theirs.ok(['create', '-n', 'shared', '-f', '-'], deployment('web'))
      await using ours = await openServer(backend.client())
      assert.equal((await ours.ask(200, 'GET', '/api/v1/namespaces/shared/configmaps/theirs')).data.value, '1')
      const web = await ours.ask(200, 'GET', '/apis/apps/v1/namespaces/shared/deployments/web')
      const same = JSON.parse(await theirs.ok(['get', 'deployment', 'web', '-n', 'shared', '-o', 'json', '--show-managed-fields'])) as object // cast: kubectl prints an object
      assert.deepEqual(JSON.parse(JSON.stringify(web)), same)
      await ours.ask(201, 'POST', '/api/v1/namespaces/shared/configmaps', { metadata: { name: 'ours' }, data: { value: '2' } })
      assert.equal(await theirs.ok(['get', 'configmap', 'ours', '-n', 'shared', '-o', 'jsonpath={.data.value}']), '2')
      await theirs.ok(['patch', 'configmap', 'ours', '-n', 'shared', '--type=merge', '-p', '{"data":{"value":"3"}}'])
      assert.equal((await ours.ask(200, 'GET', '/api/v1/namespaces/shared/configmaps/ours')).data.value, '3')
      await ours.ask(200, 'PATCH', '/api/v1/namespaces/shared/configmaps/theirs', { data: { value: '4' } }, { 'content-type': 'application/merge-patch+json' })
      assert.equal(await theirs.ok(['get', 'configmap', 'theirs', '-n', 'shared', '-o', 'jsonpath={.data.value}']), '4')
    })

    if (kind.members === 3) {
      test('its etcd’s leader is killed: kubectl goes on', { timeout: 180_000 }, async () => {
        await using backend = await startBackend(kind)
        await using server = await startOriginalApiServer(backend)
        await server.ok(['create', 'configmap', 'before'])
        await (await backend.leader()).signal('SIGKILL')
        await until('a write', async () => (await server.kubectl(['create', 'configmap', 'after', '--request-timeout=5s'])).code === 0 || (await server.kubectl(['get', 'configmap', 'after'])).code === 0, 40_000)
        assert.match(await server.ok(['get', 'configmaps', '-o', 'name']), /configmap\/after\nconfigmap\/before\n/)
      })
    }
  })
}

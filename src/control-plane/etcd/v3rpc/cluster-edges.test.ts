// What clients see at the edges of a cluster of three: tokens, the second API, health and metrics on every member, with and without a leader.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import type { PlainRequest, PlainResponse } from '../../../lib/net/grpc/grpc-server.ts'
import type { GrpcServerCall } from '../../../lib/net/grpc/server-call.ts'
import { SimulatedCluster } from '../consensus/simulated-cluster.ts'
import type { EmbeddedEtcd } from '../embedded.ts'
import { hashState } from '../hash-state.ts'
import { answerV2 } from '../v2/v2-http.ts'
import { authImplementation } from './auth-service.ts'
import { callerOf } from './access.ts'
import { answerHttp } from './http-endpoints.ts'
import { MemberLimits } from './member-limits.ts'

const { signal } = new AbortController()

function requestOf(method: string, path: string, body = ''): PlainRequest {
  return { method, path, headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: Buffer.from(body), signal, clientCommonName: undefined }
}

async function v2(etcd: EmbeddedEtcd, method: string, path: string, body?: string): Promise<{ readonly action?: string; readonly node?: { readonly key: string; readonly value?: string; readonly nodes?: readonly { readonly key: string }[] }; readonly errorCode?: number }> {
  const answer = await answerV2(etcd.internals, requestOf(method, `/v2/keys${path}`, body))
  return JSON.parse(answer?.body ?? '') as Awaited<ReturnType<typeof v2>> // cast: the API's answer
}

function http(etcd: EmbeddedEtcd, path: string): Promise<PlainResponse> { return answerHttp(etcd.internals, requestOf('GET', path)) }

test('a simple token that one member gave is good on all', async () => {
  await using cluster = await SimulatedCluster.start({ size: 3 })
  const call = (etcd: EmbeddedEtcd, method: string, request: object): Promise<unknown> => {
    const service = authImplementation({ ...etcd.internals, bcryptCost: 4 }) as { readonly [name: string]: (...args: unknown[]) => Promise<unknown> } // cast: called by name
    return service[method]?.(request, signal, { headers: {} }) ?? Promise.reject(new Error(method))
  }
  const [first, second, third] = cluster.running.map(({ etcd }) => etcd)
  assert.ok(first && second && third)
  await cluster.until(() => call(first, 'userAdd', { name: 'root', password: 'pw' }))
  await cluster.until(() => call(second, 'roleAdd', { name: 'root' }))
  await cluster.until(() => call(third, 'userGrantRole', { user: 'root', role: 'root' }))
  await cluster.until(() => call(first, 'authEnable', {}))
  await cluster.untilTrue(() => [first, second, third].every(({ internals }) => internals.member.machine.auth.enabled))
  const { token } = await cluster.until(() => call(second, 'authenticate', { name: 'root', password: 'pw' })) as { readonly token: string }
  await cluster.untilTrue(() => [first, second, third].every(({ internals }) => { try { return callerOf(internals, { headers: { token } }).username === 'root' } catch { return false } }))
  assert.throws(() => callerOf(third.internals, { headers: { token: `${token}0` } }), /invalid auth token/)
  // Who lags behind waits for what made the token, wherever in the call it stands.
  const leader = cluster.leader()?.etcd
  const late = leader === third ? second : third
  assert.ok(leader)
  const given: string[] = []
  const limited = new MemberLimits(late.internals).limit('/etcdserverpb.KV/Put', { unary: async (_, { headers }) => { given.push(callerOf(late.internals, { headers }).username); return new Uint8Array() } })
  for (const [place, prefix] of [['token', ''], ['authorization', ''], ['authorization', 'Bearer ']] as const) {
    cluster.network.isolate(late.internals.member.memberId, cluster.nodes.map(({ id }) => id))
    const made = await cluster.until(() => call(leader, 'authenticate', { name: 'root', password: 'pw' })) as { readonly token: string }
    assert.ok('unary' in limited)
    const answer = limited.unary(new Uint8Array(), { headers: { [place]: `${prefix}${made.token}` }, signal } as unknown as GrpcServerCall) // cast: as much of a call as is looked at
    await cluster.clock.advance(200)
    cluster.network.heal()
    await cluster.until(async () => { await answer })
  }
  assert.deepEqual(given, ['root', 'root', 'root'])
})

test('the second API on several members: in-order keys, compare-and-swap, times to live, watches', async () => {
  await using cluster = await SimulatedCluster.start({ size: 3 })
  const members = cluster.running.map(({ etcd }) => etcd)
  const [first, second, third] = members
  assert.ok(first && second && third)
  for (const [i, etcd] of members.entries()) await cluster.until(() => v2(etcd, 'POST', '/queue', `value=${i}`))
  const queue = await cluster.until(() => v2(third, 'GET', '/queue?quorum=true&sorted=true'))
  assert.deepEqual(queue.node?.nodes?.map(({ key }) => key), ['/queue/00000000000000000001', '/queue/00000000000000000002', '/queue/00000000000000000003'])
  // Both ask for the same; one gets it.
  await cluster.until(() => v2(first, 'PUT', '/lock', 'value=free'))
  const swaps = await cluster.until(() => Promise.all([second, third].map((etcd, i) => v2(etcd, 'PUT', '/lock?prevValue=free', `value=${i}`))))
  assert.deepEqual(swaps.map(({ action, errorCode }) => action ?? errorCode).sort(), [101, 'compareAndSwap'])
  // A watch on each member hears of the end of a key that another one set.
  const heard: string[] = []
  for (const etcd of members) etcd.internals.member.machine.v2.watchers.wait({ path: '/short', recursive: false, sinceIndex: 0, onEvent: ({ event, index }) => heard.push(`${event.action} ${index}`) })
  await cluster.until(() => v2(second, 'PUT', '/short', 'value=1&ttl=3'))
  await cluster.untilTrue(() => heard.filter((one) => one.startsWith('expire')).length === 3)
  assert.equal(new Set(heard.filter((one) => one.startsWith('expire'))).size, 1, 'at the same index everywhere')
  assert.equal((await cluster.until(() => v2(first, 'GET', '/short?quorum=true'))).errorCode, 100)
  // What Hash gives is of everything, and the same on all; users count too.
  const hashes = (): Promise<number[]> => Promise.all(members.map(({ internals }) => hashState(internals.member.machine, async () => {})))
  const applied = Math.max(...members.map(({ internals }) => internals.member.appliedIndex))
  await cluster.untilTrue(() => members.every(({ internals }) => internals.member.appliedIndex >= applied))
  const [before, ...same] = await cluster.until(hashes)
  assert.deepEqual(same, [before, before])
  await cluster.until(() => first.internals.client.propose({ type: 'auth', change: { authRoleAdd: { name: 'r' } } }, signal))
  assert.notEqual((await cluster.until(hashes))[0], before)
})

test('health and metrics, with a leader and without', async () => {
  await using cluster = await SimulatedCluster.start({ size: 3 })
  const ask = async (etcd: EmbeddedEtcd, path: string): Promise<string> => { const { status, body } = await cluster.until(() => http(etcd, path)); return `${status} ${body}` }
  const metric = async (etcd: EmbeddedEtcd, name: string): Promise<number> => Number(new RegExp(`^${name} (.*)$`, 'm').exec(await ask(etcd, '/metrics'))?.[1])
  for (const { etcd } of cluster.running) {
    assert.equal(await ask(etcd, '/health'), '200 {"health":"true","reason":""}')
    assert.match(await ask(etcd, '/readyz?verbose'), /^200 \[\+\]data_corruption ok\n\[\+\]serializable_read ok\n\[\+\]linearizable_read ok\n\[\+\]non_learner ok\nok\n$/)
    assert.equal(await metric(etcd, 'etcd_server_has_leader'), 1)
    assert.equal((await ask(etcd, '/metrics')).match(/^etcd_network_known_peers\{/gm)?.length, 3)
  }
  const leading = await Promise.all(cluster.running.map(({ etcd }) => metric(etcd, 'etcd_server_is_leader')))
  assert.deepEqual(leading.sort(), [0, 0, 1])
  const [gone, other] = cluster.nodes
  assert.ok(gone && other)
  await cluster.crash(gone)
  await cluster.crash(other)
  const left = cluster.running[0]?.etcd
  assert.ok(left)
  await cluster.untilTrue(() => left.internals.member.leaderId === 0n)
  assert.equal(await ask(left, '/health'), '503 {"health":"false","reason":"RAFT NO LEADER"}\n')
  assert.equal(await ask(left, '/health?serializable=true'), '200 {"health":"true","reason":""}')
  assert.equal(await ask(left, '/livez'), '200 ok\n')
  assert.match(await ask(left, '/readyz'), /^503 [^]*\[\+\]serializable_read ok\n\[-\]linearizable_read failed: etcdserver: [^\n]+\n\[\+\]non_learner ok\n\n$/)
  assert.match(await ask(left, '/readyz?exclude=linearizable_read'), /^200 /)
  assert.equal(await metric(left, 'etcd_server_has_leader'), 0)
  assert.equal(await metric(left, 'etcd_server_is_leader'), 0)
  assert.ok(await metric(left, 'etcd_server_health_failures') >= 1)
})

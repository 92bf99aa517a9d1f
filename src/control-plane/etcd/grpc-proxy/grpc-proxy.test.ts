// The proxy in front of a member, both in this process, asked as clients ask.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { realClock } from '../../../lib/async/real-clock.ts'
import { realRandom } from '../../../lib/async/real-random.ts'
import { decodeProto3, encodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { silentLogger } from '../../../lib/component-base/log.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import type { LeaseKeepAliveResponse, RangeRequest, RangeResponse, WatchCreateRequest, WatchRequest, WatchResponse } from '../../../lib/etcd-api/generated/types.ts'
import { RemoteEtcdClient } from '../../../lib/etcd-client/remote-etcd-client.ts'
import { GrpcChannel, type GrpcClientCall } from '../../../lib/net/grpc/grpc-channel.ts'
import type { GrpcError } from '../../../lib/net/grpc/status.ts'
import { openEtcd, type EmbeddedEtcd } from '../embedded.ts'
import { serveEtcd } from '../v3rpc/serve-etcd.ts'
import { serveGrpcProxy, type GrpcProxyOptions } from './serve-grpc-proxy.ts'
import { Upstream } from './upstream.ts'

const signal = new AbortController().signal
const bytes = (text: string): Uint8Array => Buffer.from(text)

interface World extends AsyncDisposable {
  readonly etcd: EmbeddedEtcd
  readonly member: string
  readonly url: string
  readonly channel: GrpcChannel
  readonly client: RemoteEtcdClient
  /** Ends the member's server, with all of its connections, and starts it again. */
  restart(): Promise<void>
}

function portOf(addresses: readonly object[]): number {
  const [address] = addresses
  assert.ok(address && 'port' in address && typeof address.port === 'number')
  return address.port
}

async function openWorld(options: Partial<GrpcProxyOptions> = {}): Promise<World> {
  await using stack = new AsyncDisposableStack()
  const etcd = stack.use(await openEtcd({ disk: 'memory', clock: realClock, random: realRandom, logger: silentLogger }))
  let server = await serveEtcd(etcd, { clock: realClock, listen: [{ host: '127.0.0.1', port: 0 }] })
  const port = portOf(server.addresses)
  stack.defer(() => server[Symbol.asyncDispose]())
  const member = `http://127.0.0.1:${port}`
  const upstream = stack.use(new Upstream({ endpoints: [member], clock: realClock, random: realRandom, maxReceiveBytes: 2 ** 31 - 1, maxSendBytes: 1.5 * 1024 * 1024, keepAliveMs: 0, keepAliveTimeoutMs: 10_000, keepAliveWithoutCalls: false }))
  const direct = stack.use(new RemoteEtcdClient({ endpoints: [member], clock: realClock }))
  const proxy = stack.use(await serveGrpcProxy({
    clock: realClock, logger: silentLogger, listen: [{ host: '127.0.0.1', port: 0 }], upstream, client: direct, ownClient: undefined, namespace: '', ordered: false, hostname: 'here', advertiseClientUrl: 'proxy:1', resolverPrefix: '',
    resolverTtlSeconds: 0, memberMetrics: () => Promise.resolve('member'), server: {}, logCalls: false, ...options,
  }))
  const url = `http://127.0.0.1:${portOf(proxy.addresses)}`
  const channel = stack.use(new GrpcChannel({ target: url, clock: realClock }))
  const client = stack.use(new RemoteEtcdClient({ endpoints: [url], clock: realClock }))
  const owned = stack.move()
  return {
    etcd, member, url, channel, client,
    restart: async () => {
      await server[Symbol.asyncDispose]()
      server = await serveEtcd(etcd, { clock: realClock, listen: [{ host: '127.0.0.1', port }] })
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

class Watcher {
  readonly responses: WatchResponse[] = []
  error: GrpcError | undefined
  readonly call: GrpcClientCall
  readonly #waiting: (() => void)[] = []

  constructor(channel: GrpcChannel, requests: readonly WatchCreateRequest[], metadata: { readonly [name: string]: string } = {}) {
    this.call = channel.call('/etcdserverpb.Watch/Watch', { signal, metadata }, {
      message: (message) => { this.responses.push(decodeProto3<WatchResponse>(etcdTable, 'WatchResponse', message)); this.#wake() },
      end: (error) => { this.error = error; this.#wake() },
    })
    for (const createRequest of requests) this.ask({ createRequest })
  }

  #wake(): void { for (const look of this.#waiting.splice(0)) look() }

  ask(request: WatchRequest): void { this.call.send(encodeProto3(etcdTable, 'WatchRequest', request)) }

  async until(is: () => boolean): Promise<void> { while (!is()) await new Promise<void>((look) => { this.#waiting.push(look) }) }

  values(id = 0): readonly string[] { return this.responses.filter(({ watchId = 0 }) => watchId === id).flatMap(({ events = [] }) => events.map(({ type, kv }) => (type === 'DELETE' ? 'deleted' : Buffer.from(kv?.value ?? []).toString()))) }
  get created(): number { return this.responses.filter(({ created }) => created).length }
}

async function put(client: Pick<RemoteEtcdClient, 'txn'>, key: string, value: string): Promise<number> {
  return (await client.txn({ compare: [], success: [{ type: 'put', key: bytes(key), value: bytes(value) }], failure: [] }, signal)).revision
}

async function rangeRaw(channel: GrpcChannel, request: RangeRequest, metadata: { readonly [name: string]: string } = {}): Promise<RangeResponse> {
  return decodeProto3<RangeResponse>(etcdTable, 'RangeResponse', await channel.unary('/etcdserverpb.KV/Range', encodeProto3(etcdTable, 'RangeRequest', request), { signal, metadata }))
}

async function gauge(url: string, name: string): Promise<number> {
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(await (await fetch(url)).text())?.[1])
}

test('100 clients that watch a range are one watch at the member, and each hears everything once', async () => {
  await using world = await openWorld()
  const first = await put(world.client, 'k', '0')
  const fromNow = Array.from({ length: 60 }, () => new Watcher(world.channel, [{ key: bytes('k') }]))
  const fromThen = Array.from({ length: 40 }, (_, i) => new Watcher(world.channel, [{ key: bytes('k'), startRevision: first, prevKv: i % 2 === 0 }]))
  const all = [...fromNow, ...fromThen]
  await Promise.all(all.map((watcher) => watcher.until(() => watcher.created === 1)))
  for (let i = 1; i <= 20; i++) await put(world.client, 'k', String(i))
  await put(world.client, 'other', 'x')
  const upTo = (from: number): readonly string[] => Array.from({ length: 21 - from }, (_, i) => String(from + i))
  await Promise.all(all.map((watcher, i) => watcher.until(() => watcher.values().length >= (i < 60 ? 20 : 21))))
  for (const watcher of fromNow) assert.deepEqual(watcher.values(), upTo(1))
  for (const [i, watcher] of fromThen.entries()) {
    assert.deepEqual(watcher.values(), upTo(0))
    assert.equal(watcher.responses.flatMap(({ events = [] }) => events).filter(({ prevKv }) => prevKv !== undefined).length, i % 2 === 0 ? 20 : 0)
  }
  assert.equal(await gauge(`${world.member}/metrics`, 'etcd_debugging_mvcc_watcher_total'), 1)
  assert.equal(await gauge(`${world.url}/proxy/metrics`, 'etcd_grpc_proxy_watchers_coalescing_total'), 99)
  assert.ok(await gauge(`${world.url}/proxy/metrics`, 'etcd_grpc_proxy_events_coalescing_total') >= 99)
  for (const watcher of all) watcher.ask({ cancelRequest: { watchId: 0 } })
  await Promise.all(all.map((watcher) => watcher.until(() => watcher.responses.at(-1)?.canceled === true)))
  while (await gauge(`${world.member}/metrics`, 'etcd_debugging_mvcc_watcher_total') > 0) await new Promise<void>((next) => { setImmediate(next) })
})

test('watches go on when the member was away: nothing is missed, nothing comes twice', async () => {
  await using world = await openWorld()
  const watchers = Array.from({ length: 5 }, () => new Watcher(world.channel, [{ key: bytes('a'), rangeEnd: bytes('b') }]))
  await Promise.all(watchers.map((watcher) => watcher.until(() => watcher.created === 1)))
  const expected: string[] = []
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 5; i++) {
      await put(world.etcd.client, `a${i}`, `${round} ${i}`)
      expected.push(`${round} ${i}`)
    }
    if (round < 2) await world.restart()
  }
  for (const watcher of watchers) {
    await watcher.until(() => watcher.values().length >= expected.length)
    assert.deepEqual(watcher.values(), expected)
    assert.equal(watcher.error, undefined)
  }
})

test('a watch sees what it asked for: filters, its own id, a compacted past, an empty range, progress', async () => {
  await using world = await openWorld()
  for (let i = 0; i < 5; i++) await put(world.client, 'k', String(i))
  await world.client.compact(4, signal)
  const watcher = new Watcher(world.channel, [{ key: bytes('k'), startRevision: 2 }])
  await watcher.until(() => watcher.responses.length === 2)
  assert.deepEqual(watcher.responses.map(({ created = false, canceled = false, compactRevision = 0 }) => [created, canceled, compactRevision]), [[true, false, 0], [false, true, 4]])
  watcher.ask({ createRequest: { key: bytes('k'), filters: ['NOPUT'], watchId: 7 } })
  watcher.ask({ createRequest: { key: bytes('k'), filters: ['NODELETE'] } })
  watcher.ask({ createRequest: { key: bytes('k'), watchId: 7 } })
  watcher.ask({ createRequest: { key: bytes('z'), rangeEnd: bytes('a') } })
  await watcher.until(() => watcher.created === 5)
  assert.deepEqual(watcher.responses.slice(-2).map(({ watchId, canceled, cancelReason }) => [watchId, canceled, cancelReason]),
    [[-1, true, 'mvcc: duplicate watch ID provided on the WatchStream'], [-1, true, 'mvcc: watcher range is empty']])
  await put(world.client, 'k', 'new')
  const { revision } = await world.client.txn({ compare: [], success: [{ type: 'deleteRange', key: bytes('k') }], failure: [] }, signal)
  await watcher.until(() => watcher.values(7).length > 0 && watcher.values(1).length > 0)
  assert.deepEqual([watcher.values(7), watcher.values(1)], [['deleted'], ['new']])
  const said = watcher.responses.length
  watcher.ask({ progressRequest: {} })
  await watcher.until(() => watcher.responses.length > said)
  const { watchId, events = [], header } = watcher.responses.at(-1) ?? {}
  assert.deepEqual([watchId, events.length, header?.revision], [-1, 0, revision])
})

test('a client that does not read loses nothing, holds up nobody and holds a bounded number of bytes', async () => {
  await using world = await openWorld()
  const [slow, fast] = [new Watcher(world.channel, [{ key: bytes('k') }]), new Watcher(world.channel, [{ key: bytes('k') }])]
  await Promise.all([slow, fast].map((watcher) => watcher.until(() => watcher.created === 1)))
  slow.call.pause()
  const value = 'v'.repeat(400_000)
  for (let i = 0; i < 60; i++) await put(world.client, 'k', `${i} ${value}`)
  await fast.until(() => fast.values().length === 60)
  assert.ok(slow.values().length < 60)
  slow.call.resume()
  await slow.until(() => slow.values().length >= 60)
  assert.deepEqual(slow.values().map((text) => text.split(' ')[0]), Array.from({ length: 60 }, (_, i) => String(i)))
})

test('serializable reads come from the cache until their keys are written; each caller has what was given to himself', async () => {
  await using world = await openWorld()
  await put(world.client, 'k', '1')
  const read = async (serializable: boolean, metadata = {}): Promise<string> => Buffer.from((await rangeRaw(world.channel, { key: bytes('k'), serializable }, metadata)).kvs?.[0]?.value ?? []).toString()
  assert.equal(await read(false), '1')
  // Past the proxy: it does not notice, as serializable reads allow.
  await put(world.etcd.client, 'k', '2')
  assert.deepEqual([await read(true), await read(false), await read(true)], ['1', '2', '2'])
  await put(world.client, 'k', '3')
  assert.equal(await read(true), '3')
  await put(world.etcd.client, 'k', '4')
  assert.equal(await read(true, { token: 'another' }), '4')
  assert.equal(await gauge(`${world.url}/proxy/metrics`, 'etcd_grpc_proxy_cache_hits_total'), 2)
})

test('with authentication: who may not read gets neither answers nor events that others got', async () => {
  await using world = await openWorld()
  const call = (method: string, type: string, request: object, metadata = {}): Promise<Uint8Array> => world.channel.unary(`/etcdserverpb.Auth/${method}`, encodeProto3(etcdTable, type, request), { signal, metadata })
  for (const name of ['root', 'alice', 'bob']) await call('UserAdd', 'AuthUserAddRequest', { name, password: 'p' })
  await call('RoleAdd', 'AuthRoleAddRequest', { name: 'root' })
  await call('UserGrantRole', 'AuthUserGrantRoleRequest', { user: 'root', role: 'root' })
  await call('RoleAdd', 'AuthRoleAddRequest', { name: 'reader' })
  await call('RoleGrantPermission', 'AuthRoleGrantPermissionRequest', { name: 'reader', perm: { permType: 'READWRITE', key: bytes('k') } })
  await call('UserGrantRole', 'AuthUserGrantRoleRequest', { user: 'alice', role: 'reader' })
  await call('AuthEnable', 'AuthEnableRequest', {})
  const tokenOf = async (name: string): Promise<string> => decodeProto3<{ readonly token?: string }>(etcdTable, 'AuthenticateResponse', await call('Authenticate', 'AuthenticateRequest', { name, password: 'p' })).token ?? ''
  const [alice, bob] = [await tokenOf('alice'), await tokenOf('bob')]
  await assert.rejects(rangeRaw(world.channel, { key: bytes('k') }), { code: 'InvalidArgument', message: 'etcdserver: user name is empty' })
  await rangeRaw(world.channel, { key: bytes('k'), serializable: true }, { token: alice })
  await assert.rejects(rangeRaw(world.channel, { key: bytes('k'), serializable: true }, { token: bob }), { code: 'PermissionDenied' })
  const [reader, stranger] = [new Watcher(world.channel, [{ key: bytes('k') }], { token: alice }), new Watcher(world.channel, [{ key: bytes('k') }], { token: bob })]
  await Promise.all([reader, stranger].map((watcher) => watcher.until(() => watcher.created === 1)))
  assert.deepEqual(stranger.responses.map(({ watchId, canceled, cancelReason }) => [watchId, canceled, cancelReason]), [[-1, true, 'etcdserver: permission denied']])
  await world.channel.unary('/etcdserverpb.KV/Put', encodeProto3(etcdTable, 'PutRequest', { key: bytes('k'), value: bytes('v') }), { signal, metadata: { token: alice } })
  await reader.until(() => reader.values().length === 1)
  // Another good token shares the watch; it has been checked for itself.
  const second = new Watcher(world.channel, [{ key: bytes('k') }], { token: await tokenOf('alice') })
  await second.until(() => second.created === 1)
  assert.equal(await gauge(`${world.member}/metrics`, 'etcd_debugging_mvcc_watcher_total'), 1)
  assert.equal(stranger.values().length, 0)
})

test('a namespace: keys, watches, transactions and leases of clients are below its prefix', async () => {
  await using world = await openWorld({ namespace: 'app/' })
  const watcher = new Watcher(world.channel, [{ key: bytes('a'), rangeEnd: bytes('\0') }])
  await watcher.until(() => watcher.created === 1)
  await put(world.etcd.client, 'outside', 'x')
  const { id } = await world.client.leaseGrant(100, signal)
  await world.client.txn({ compare: [{ target: 'VERSION', key: bytes('a'), result: 'EQUAL', number: 0 }], success: [{ type: 'put', key: bytes('a'), value: bytes('1'), lease: id }], failure: [] }, signal)
  await watcher.until(() => watcher.values().length === 1)
  assert.equal(Buffer.from(watcher.responses.at(-1)?.events?.[0]?.kv?.key ?? []).toString(), 'a')
  assert.equal((await world.etcd.client.range({ key: bytes('app/a') }, signal)).kvs.length, 1)
  assert.deepEqual((await world.client.range({ key: bytes('\0'), rangeEnd: bytes('\0') }, signal)).kvs.map(({ key }) => Buffer.from(key).toString()), ['a'])
  assert.deepEqual((await world.client.leaseTimeToLive(id, signal, { keys: true })).keys.map((key) => Buffer.from(key).toString()), ['a'])
})

test('100 clients keep a lease alive with few renewals at the member; a lease that is gone has no time left', async () => {
  await using world = await openWorld()
  const { id } = await world.client.leaseGrant(100, signal)
  const count = async (): Promise<number> => Number(/^grpc_server_msg_received_total\{grpc_method="LeaseKeepAlive"[^}]*\} (\d+)/m.exec(await (await fetch(`${world.member}/metrics`)).text())?.[1] ?? 0)
  const before = await count()
  const renew = (lease: bigint): Promise<LeaseKeepAliveResponse> => new Promise((resolve, reject) => {
    const call = world.channel.call('/etcdserverpb.Lease/LeaseKeepAlive', { signal }, {
      message: (answer) => { resolve(decodeProto3<LeaseKeepAliveResponse>(etcdTable, 'LeaseKeepAliveResponse', answer)); call.finish() },
      end: (error) => { if (error) reject(error) },
    })
    call.send(encodeProto3(etcdTable, 'LeaseKeepAliveRequest', { ID: lease }))
  })
  const answers = await Promise.all(Array.from({ length: 100 }, () => renew(id)))
  for (const { ID, TTL } of answers) assert.deepEqual([ID, TTL], [id, 100])
  assert.ok(await count() - before <= 3)
  assert.equal((await renew(12345n)).TTL ?? 0, 0)
})

test('members are told as proxies: this one, or those that are registered', async () => {
  const list = async ({ channel }: World): Promise<unknown> => decodeProto3<{ readonly members?: readonly object[] }>(etcdTable, 'MemberListResponse', await channel.unary('/etcdserverpb.Cluster/MemberList', new Uint8Array(0), { signal })).members
  {
    await using world = await openWorld()
    assert.deepEqual(await list(world), [{ name: 'here', clientURLs: ['proxy:1'] }])
    assert.equal((await fetch(`${world.url}/health`)).status, 200)
    assert.equal(await (await fetch(`${world.url}/metrics`)).text(), 'member')
    assert.deepEqual([(await fetch(`${world.url}/proxy/health`)).status, (await fetch(`${world.url}/nothing`)).status], [503, 404])
  }
  await using world = await openWorld({ resolverPrefix: '___proxies', resolverTtlSeconds: 60, namespace: 'ns/' })
  await put(world.etcd.client, 'ns/___proxies/other:2', '{"Op":0,"Addr":"other:2","Metadata":"{\\"name\\":\\"there\\"}"}')
  for (;;) {
    const members = await list(world)
    if (Array.isArray(members) && members.length === 2) {
      assert.deepEqual(members.map((member) => (member as { readonly name: string }).name).sort(), ['here', 'there'])
      break
    }
    await new Promise<void>((next) => { setImmediate(next) })
  }
  const { kvs: [kv] } = await world.etcd.client.range({ key: bytes('ns/___proxies/proxy:1') }, signal)
  assert.equal(Buffer.from(kv?.value ?? []).toString(), '{"Op":0,"Addr":"proxy:1","Metadata":"{\\"name\\":\\"here\\"}"}')
  assert.notEqual(kv?.lease, 0n)
})

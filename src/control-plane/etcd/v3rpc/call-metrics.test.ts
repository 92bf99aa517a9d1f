// A server and its client over a socket: what calls add to the metrics, who hears of slow ones, and what health says.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { realClock } from '../../../lib/async/real-clock.ts'
import { realRandom } from '../../../lib/async/real-random.ts'
import { Tracer, type FinishedSpan } from '../../../lib/component-base/tracing/span.ts'
import { RemoteEtcdClient } from '../../../lib/etcd-client/remote-etcd-client.ts'
import { GrpcChannel } from '../../../lib/net/grpc/grpc-channel.ts'
import { recordingLogger } from '../../../lib/testing/recording-logger.ts'
import { openEtcd, type EmbeddedEtcd, type EtcdOptions } from '../embedded.ts'
import { switchFeatures } from '../features.ts'
import { formatMetrics } from './metrics.ts'
import { serveEtcd, type ServeEtcdOptions } from './serve-etcd.ts'

const { signal } = new AbortController()
const b = (text: string): Buffer => Buffer.from(text)

interface World extends AsyncDisposable { readonly etcd: EmbeddedEtcd; readonly target: string; readonly lines: ReturnType<typeof recordingLogger>['lines'] }

async function open(options: Partial<EtcdOptions>, serve: Partial<ServeEtcdOptions>): Promise<World> {
  const { logger, lines } = recordingLogger()
  const etcd = await openEtcd({ disk: 'memory', clock: realClock, random: realRandom, logger, ...options })
  const server = await serveEtcd(etcd, { clock: realClock, listen: [{ host: '127.0.0.1', port: 0 }], ...serve })
  const [address] = server.addresses
  assert.ok(address && 'port' in address)
  return { etcd, target: `http://127.0.0.1:${address.port}`, lines, [Symbol.asyncDispose]: async () => { await server[Symbol.asyncDispose](); await etcd[Symbol.asyncDispose]() } }
}

async function until(condition: () => boolean): Promise<void> { while (!condition()) await new Promise<void>((turn) => { setImmediate(turn) }) }

test('watches, reads and writes are counted and timed; slow ones are told of; all have spans', { timeout: 60_000 }, async () => {
  const spans: FinishedSpan[] = []
  const tracer = new Tracer({ clock: realClock, random: realRandom, samplesPerMillion: 1_000_000, export: (span) => spans.push(span) })
  await using world = await open({}, { requestWarnings: { unaryMs: 0, applyMs: 0 }, tracer })
  const { etcd, target, lines } = world
  {
    using client = new RemoteEtcdClient({ endpoints: [target], clock: realClock })
    const seen: number[] = []
    let isCreated = false
    const watch = client.watch({ key: b('k') }, { created: () => { isCreated = true }, events: (events) => { seen.push(events.length) }, closed: () => {} })
    await until(() => isCreated)
    const { id } = await client.leaseGrant(60, signal)
    await client.txn({ compare: [], success: [{ type: 'put', key: b('k'), value: b('1'), lease: id }], failure: [] }, signal)
    await client.range({ key: b('k') }, signal)
    await assert.rejects(client.range({ key: b('k'), revision: 99 }, signal))
    await until(() => seen.length > 0)
    watch[Symbol.dispose]()
  }
  const { mvcc } = etcd.internals.member.metrics
  assert.deepEqual([mvcc.watchSend.count, mvcc.watchSendPerEvent.count], [1, 1])
  assert.ok(mvcc.watchSendControl.count >= 1)
  const stats = lines.filter(({ message }) => message === 'request stats').map(({ values }) => [values['response type'], values['request count'], values['response count'], values['request content']])
  assert.deepEqual(stats, [
    ['/etcdserverpb.Lease/LeaseGrant', -1, -1, ''], ['/etcdserverpb.KV/Txn', 1, 0, `compare:<> success:<request_put:<key:"k" value_size:1 lease:${String(stats[1]?.[3]).match(/lease:(\d+)/)?.[1]} >> failure:<>`],
    ['/etcdserverpb.KV/Range', 0, 1, 'key:"k"'], ['/etcdserverpb.KV/Range', 0, 0, 'key:"k" revision:99'],
  ])
  assert.match(String(lines.find(({ message }) => message === 'request stats')?.values['remote']), /^127\.0\.0\.1:\d+$/)
  assert.equal(lines.filter(({ message, values }) => message === 'apply request took too long' && values['prefix'] === 'read-only range ').length, 2)
  await until(() => spans.some(({ name }) => name === 'etcdserverpb.Watch/Watch'))
  assert.deepEqual(spans.map(({ name, attributes }) => `${name} ${attributes['rpc.response.status_code']}`).filter((text) => text.includes('KV/')).sort(), ['etcdserverpb.KV/Range OK', 'etcdserverpb.KV/Range OUT_OF_RANGE', 'etcdserverpb.KV/Txn OK'])
  assert.match(formatMetrics(etcd.internals), /etcd_debugging_server_watch_send_loop_control_stream_duration_seconds_count [1-9]/)
})

test('StopGRPCServiceOnDefrag: who watches the health hears that a member which defragments does not serve', { timeout: 60_000 }, async () => {
  for (const stops of [true, false]) {
    await using world = await open({ features: switchFeatures(new Map([['StopGRPCServiceOnDefrag', stops]])) }, {})
    using channel = new GrpcChannel({ target: world.target, clock: realClock })
    const statuses: number[] = []
    channel.call('/grpc.health.v1.Health/Watch', { signal }, { message: (bytes) => { statuses.push(bytes[1] ?? 0) }, end: () => {} }).send(new Uint8Array(0))
    await until(() => statuses.length === 1)
    {
      using running = world.etcd.internals.defragmentation.begin()
      void running
      assert.equal((await channel.unary('/grpc.health.v1.Health/Check', new Uint8Array(0), { signal }))[1], stops ? 2 : 1)
      assert.match(formatMetrics(world.etcd.internals), /\netcd_disk_defrag_inflight 1\n/)
    }
    await channel.unary('/grpc.health.v1.Health/Check', new Uint8Array(0), { signal })
    if (stops) await until(() => statuses.length === 3)
    assert.deepEqual(statuses, stops ? [1, 2, 1] : [1])
    await assert.rejects(channel.unary('/grpc.health.v1.Health/Check', Uint8Array.of(10, 1, 0x78), { signal }), { code: 'NotFound' })
  }
})

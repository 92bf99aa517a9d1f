import { test } from 'node:test'
import assert from 'node:assert/strict'
import { realClock } from '../../../lib/async/real-clock.ts'
import { realRandom } from '../../../lib/async/real-random.ts'
import { decodeProto3, encodeProto3 } from '../../../lib/base/protobuf/proto3.ts'
import { silentLogger } from '../../../lib/component-base/log.ts'
import { etcdTable } from '../../../lib/etcd-api/generated/table.ts'
import type { WatchRequest, WatchResponse } from '../../../lib/etcd-api/generated/types.ts'
import { GrpcChannel, type GrpcClientCall } from '../../../lib/net/grpc/grpc-channel.ts'
import { createGrpcClient } from '../../../lib/net/grpc/grpc-client.ts'
import { healthService, type HealthService } from '../../../lib/net/grpc/health-service.ts'
import { openEtcd, type EmbeddedEtcd } from '../embedded.ts'
import { serveEtcd } from './serve-etcd.ts'

const signal = new AbortController().signal
const key = Buffer.from('k')

class RawWatch {
  readonly answers: WatchResponse[] = []
  readonly call: GrpcClientCall
  #wake = (): void => {}

  constructor(channel: GrpcChannel) {
    this.call = channel.call('/etcdserverpb.Watch/Watch', { signal }, {
      message: (bytes) => { this.answers.push(decodeProto3<WatchResponse>(etcdTable, 'WatchResponse', Uint8Array.from(bytes))); this.#wake() },
      end: () => this.#wake(),
    })
  }

  send(request: WatchRequest): void { this.call.send(encodeProto3(etcdTable, 'WatchRequest', request)) }
  async until(condition: () => boolean): Promise<void> { while (!condition()) await new Promise<void>((resolve) => { this.#wake = resolve }) }
}

async function serve(): Promise<{ readonly etcd: EmbeddedEtcd; readonly channel: GrpcChannel } & AsyncDisposable> {
  const etcd = await openEtcd({ disk: 'memory', clock: realClock, random: realRandom, logger: silentLogger })
  const server = await serveEtcd(etcd, { clock: realClock, listen: [{ host: '127.0.0.1', port: 0 }] })
  const address = server.addresses[0]
  const channel = new GrpcChannel({ target: `http://127.0.0.1:${address && 'port' in address ? address.port : 0}`, clock: realClock })
  return { etcd, channel, [Symbol.asyncDispose]: async () => { channel[Symbol.dispose](); await server[Symbol.asyncDispose](); await etcd[Symbol.asyncDispose]() } }
}

function put(etcd: EmbeddedEtcd, value: Uint8Array): Promise<unknown> {
  return etcd.client.txn({ compare: [], success: [{ type: 'put', key, value }], failure: [] }, signal)
}

test('a client that does not read holds a bounded number of bytes, delays nobody, and misses nothing', { timeout: 20_000 }, async () => {
  await using served = await serve()
  const { etcd, channel } = served
  const slow = new RawWatch(channel)
  slow.send({ createRequest: { key } })
  await slow.until(() => slow.answers.length === 1)
  slow.call.pause()
  let seen = 0
  etcd.client.watch({ key }, { events: (events) => { seen += events.length }, closed: () => {} })
  const count = 150
  for (let i = 0; i < count; i++) {
    await put(etcd, Buffer.alloc(300_000, i))
    await new Promise((resolve) => { setImmediate(resolve) })
  }
  assert.equal(seen, count, 'others hear everything at once')
  assert.equal(etcd.internals.member.hub.slowWatcherCount, 1, 'the watch of the slow client waits')
  slow.call.resume()
  await slow.until(() => slow.answers.reduce((n, answer) => n + (answer.events?.length ?? 0), 0) === count)
  const revisions = slow.answers.flatMap((answer) => (answer.events ?? []).map((event) => event.kv?.modRevision ?? 0))
  assert.deepEqual(revisions, Array.from({ length: count }, (_, i) => i + 2))
})

test('watch ids, duplicate ids, fragments, cancellation, progress for all, bad starts', { timeout: 20_000 }, async () => {
  await using served = await serve()
  const { etcd, channel } = served
  const watch = new RawWatch(channel)
  watch.send({ createRequest: { key } })
  watch.send({ createRequest: { key, watchId: 7, fragment: true } })
  watch.send({ createRequest: { key, watchId: 7 } })
  watch.send({ createRequest: { key, startRevision: -1 } })
  watch.send({ createRequest: { key: Buffer.from('b'), rangeEnd: Buffer.from('a') } })
  await watch.until(() => watch.answers.length === 5)
  const shown = (answer: WatchResponse | undefined): unknown[] => [answer?.watchId ?? 0, answer?.created ?? false, answer?.canceled ?? false, answer?.cancelReason ?? '']
  assert.deepEqual(watch.answers.map(shown).sort(), [
    [0, true, false, ''], [7, true, false, ''],
    [-1, true, true, 'mvcc: duplicate watch ID provided on the WatchStream'], [-1, true, true, 'etcdserver: mvcc: required revision has been compacted'], [-1, true, true, 'mvcc: watcher range is empty'],
  ].sort())
  watch.answers.length = 0
  const big = Buffer.alloc(900_000)
  await etcd.client.txn({ compare: [], success: [{ type: 'put', key, value: big }], failure: [] }, signal)
  watch.send({ progressRequest: {} })
  await watch.until(() => watch.answers.some((answer) => answer.watchId === -1))
  assert.deepEqual(watch.answers.map((answer) => [answer.watchId ?? 0, answer.events?.length ?? 0, answer.header?.revision]).sort(), [[-1, 0, 2], [0, 1, 2], [7, 1, 2]].sort())
  assert.equal(watch.answers.at(-1)?.watchId, -1, 'progress comes last')
  watch.answers.length = 0
  watch.send({ cancelRequest: { watchId: 7 } })
  await watch.until(() => watch.answers.length === 1)
  assert.deepEqual(shown(watch.answers[0]), [7, false, true, ''])
  watch.send({ createRequest: { key: Buffer.from('a'), rangeEnd: Buffer.from('z'), fragment: true, watchId: 9 } })
  await watch.until(() => watch.answers.length === 2)
  watch.answers.length = 0
  await etcd.client.txn({ compare: [], success: ['x', 'y'].map((name) => ({ type: 'put', key: Buffer.from(name), value: Buffer.alloc(700_000) }) as const), failure: [] }, signal)
  await etcd.client.txn({ compare: [], success: ['x', 'y'].map((name) => ({ type: 'put', key: Buffer.from(name), value: Buffer.alloc(700_000) }) as const), failure: [] }, signal)
  await watch.until(() => watch.answers.reduce((n, answer) => n + (answer.events?.length ?? 0), 0) === 4)
  assert.ok(watch.answers.every((answer) => answer.watchId === 9))
  const health = createGrpcClient<HealthService>(channel, healthService)
  assert.deepEqual(await health.check({}, signal), { status: 'SERVING' })
})

test('the progress of a stream is told when all its watches are there, also those that began after the question', { timeout: 20_000 }, async () => {
  await using served = await serve()
  const { etcd, channel } = served
  for (let i = 0; i < 3; i++) await put(etcd, Buffer.from('v'))
  const watch = new RawWatch(channel)
  watch.send({ createRequest: { key } })
  await watch.until(() => watch.answers.length === 1)
  // They come in one piece.
  watch.send({ progressRequest: {} })
  watch.send({ createRequest: { key, startRevision: 2 } })
  await watch.until(() => watch.answers.some((answer) => answer.watchId === -1))
  assert.deepEqual(watch.answers.slice(1).map((answer) => [answer.watchId ?? 0, answer.created ?? false, answer.events?.length ?? 0]), [[1, true, 0], [1, false, 3], [-1, false, 0]])
})

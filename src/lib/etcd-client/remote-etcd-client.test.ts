import { test } from 'node:test'
import assert from 'node:assert/strict'
import { realClock } from '../async/real-clock.ts'
import { decodeProto3, encodeProto3 } from '../base/protobuf/proto3.ts'
import { etcdTable } from '../etcd-api/generated/table.ts'
import type { RangeResponse, WatchRequest, WatchResponse } from '../etcd-api/generated/types.ts'
import { serveGrpc, type GrpcHandler, type GrpcServer, type GrpcServerCall } from '../net/grpc/grpc-server.ts'
import { GrpcError, GrpcNotSentError } from '../net/grpc/status.ts'
import { EtcdError } from './etcd-client.ts'
import { RemoteEtcdClient } from './remote-etcd-client.ts'

const signal = new AbortController().signal
const watchPath = '/etcdserverpb.Watch/Watch'

/** A server that answers watches from a script: it tells the start that each create asked for, and sends what it is told to. */
class ScriptedEtcd {
  readonly starts: number[] = []
  call: GrpcServerCall | undefined
  #created: () => void = () => {}

  readonly stream = (call: GrpcServerCall): { message: (bytes: Uint8Array) => void; end: () => void } => ({
      message: (bytes) => {
        const request = decodeProto3<WatchRequest>(etcdTable, 'WatchRequest', bytes)
        if (!request.createRequest) return
        this.call = call
        this.starts.push(request.createRequest.startRevision ?? 0)
        this.send({ header: { revision: 10 }, created: true })
        this.#created()
      },
      end: () => call.end(),
  })
  readonly handler: GrpcHandler = { stream: this.stream }

  send(response: WatchResponse): void { this.call?.send(encodeProto3(etcdTable, 'WatchResponse', response)) }
  async created(times: number): Promise<void> { while (this.starts.length < times) await new Promise<void>((resolve) => { this.#created = resolve }) }
}

function event(revision: number): NonNullable<WatchResponse['events']>[number] { return { kv: { key: Buffer.from('k'), modRevision: revision, createRevision: 1, version: revision } } }
function portOf(server: GrpcServer): number { const address = server.addresses[0]; return address && 'port' in address ? address.port : 0 }
function listen(handlers: [string, GrpcHandler][], port = 0): Promise<GrpcServer> { return serveGrpc({ clock: realClock, listen: [{ host: '127.0.0.1', port }], handlers }) }

test('a watch goes on behind what it delivered when its stream breaks; fragments come as one', { timeout: 10_000 }, async () => {
  const etcd = new ScriptedEtcd()
  const first = await listen([[watchPath, etcd.handler]])
  const port = portOf(first)
  using client = new RemoteEtcdClient({ endpoints: [`http://127.0.0.1:${port}`], clock: realClock })
  const log: string[] = []
  let wake = (): void => {}
  client.watch({ key: Buffer.from('k') }, {
    created: (revision) => log.push(`created ${revision}`),
    events: (events, revision) => { log.push(`${events.map((e) => e.kv.modRevision).join()} @${revision}`); wake() },
    closed: (end) => { log.push(`closed ${end.compactRevision}`); wake() },
  })
  const until = async (count: number): Promise<void> => { while (log.length < count) await new Promise<void>((resolve) => { wake = resolve }) }
  await etcd.created(1)
  etcd.send({ header: { revision: 13 }, fragment: true, events: [event(12)] })
  etcd.send({ header: { revision: 13 }, events: [event(12), event(13)] })
  await until(2)
  // Half of a fragmented answer, then the end: it must come again from its start.
  etcd.send({ header: { revision: 15 }, fragment: true, events: [event(14)] })
  await first[Symbol.asyncDispose]()
  await using second = await listen([[watchPath, etcd.handler]], port)
  void second
  await etcd.created(2)
  etcd.send({ header: { revision: 20 } })
  etcd.send({ header: { revision: 21 }, canceled: true, compactRevision: 30 })
  await until(4)
  assert.deepEqual(etcd.starts, [0, 14])
  assert.deepEqual(log, ['created 10', '12,12,13 @13', ' @20', 'closed 30'])
})

const rangePath = '/etcdserverpb.KV/Range'
const txnPath = '/etcdserverpb.KV/Txn'
const put = { compare: [], success: [], failure: [] }
const rangeAnswer = (revision: number): Uint8Array => encodeProto3(etcdTable, 'RangeResponse', { header: { revision }, count: 3 } satisfies RangeResponse)
const txnAnswer = (revision: number): Uint8Array => encodeProto3(etcdTable, 'TxnResponse', { header: { revision }, succeeded: true })
const unavailable = (message: string): GrpcError => new GrpcError('Unavailable', message)

test('an endpoint that is away costs nobody anything: reads and changes go where a connection stands', async () => {
  let txns = 0
  await using server = await listen([[rangePath, { unary: () => rangeAnswer(5) }], [txnPath, { unary: () => { txns++; return txnAnswer(6) } }]])
  using client = new RemoteEtcdClient({ endpoints: ['http://127.0.0.1:1', `http://127.0.0.1:${portOf(server)}`], clock: realClock })
  assert.equal((await client.txn(put, signal)).revision, 6)
  assert.equal((await client.range({ key: Buffer.from('a') }, signal)).count, 3)
  assert.equal(txns, 1)
})

test('a read is asked again elsewhere when its server can not serve; a change that a server has seen is not', async () => {
  const asked: string[] = []
  const leaderless = (name: string): [string, GrpcHandler][] => [rangePath, txnPath].map((path) => [path, { unary: () => { asked.push(`${name} ${path.slice(17)}`); throw unavailable('etcdserver: no leader') } }])
  await using first = await listen(leaderless('first'))
  await using second = await listen([[rangePath, { unary: () => { asked.push('second Range'); return rangeAnswer(5) } }], [txnPath, { unary: () => { asked.push('second Txn'); return txnAnswer(6) } }]])
  using client = new RemoteEtcdClient({ endpoints: [`http://127.0.0.1:${portOf(first)}`, `http://127.0.0.1:${portOf(second)}`], clock: realClock })
  await assert.rejects(client.txn(put, signal), { reason: 'Unavailable', message: 'etcdserver: no leader' })
  assert.deepEqual(asked, ['first Txn'])
  asked.length = 0
  using other = new RemoteEtcdClient({ endpoints: [`http://127.0.0.1:${portOf(first)}`, `http://127.0.0.1:${portOf(second)}`], clock: realClock })
  assert.equal((await other.range({ key: Buffer.from('a') }, signal)).revision, 5)
  assert.equal((await other.txn(put, signal)).revision, 6, 'the next change goes where the read was answered')
  assert.deepEqual(asked, ['first Range', 'second Range', 'second Txn'])
})

test('reads are tried again on Unavailable only, and not for ever', async () => {
  let asked = 0
  let answer: () => Uint8Array = () => { throw new GrpcError('ResourceExhausted', 'etcdserver: too many requests') }
  await using server = await listen([[rangePath, { unary: () => { asked++; return answer() } }]])
  using client = new RemoteEtcdClient({ endpoints: [`http://127.0.0.1:${portOf(server)}`], clock: realClock, patienceMs: 300 })
  await assert.rejects(client.range({ key: Buffer.from('a') }, signal), { reason: 'ResourceExhausted' })
  assert.equal(asked, 1)
  asked = 0
  answer = () => { if (asked < 4) throw unavailable('etcdserver: leader changed'); return rangeAnswer(9) }
  assert.equal((await client.range({ key: Buffer.from('a') }, signal)).revision, 9)
  answer = () => { throw unavailable('etcdserver: request timed out') }
  await assert.rejects(client.range({ key: Buffer.from('a') }, signal), { reason: 'Unavailable', message: 'etcdserver: request timed out' })
})

test('calls wait for a server that is being restarted; the outcome of a change that was under way is unknown', { timeout: 20_000 }, async () => {
  let seen = 0
  const first = await listen([[rangePath, { unary: () => rangeAnswer(1) }], [txnPath, { unary: () => { seen++; return new Promise<Uint8Array>(() => {}) } }]])
  const port = portOf(first)
  using client = new RemoteEtcdClient({ endpoints: [`http://127.0.0.1:${port}`], clock: realClock })
  await client.range({ key: Buffer.from('a') }, signal)
  const lost = assert.rejects(client.txn(put, signal), (error) => error instanceof EtcdError && error.reason === 'Unavailable' && !(error.cause instanceof GrpcNotSentError))
  while (seen === 0) await new Promise((done) => { setImmediate(done) })
  await first[Symbol.asyncDispose]()
  await lost
  const waiting = Promise.all([client.txn(put, signal), client.range({ key: Buffer.from('a') }, signal)])
  await using second = await listen([[rangePath, { unary: () => rangeAnswer(2) }], [txnPath, { unary: () => txnAnswer(3) }]], port)
  void second
  assert.deepEqual((await waiting).map((answer) => answer.revision), [3, 2])
})

test('with nobody there a call ends with the reason, and the next ones at once', async () => {
  using client = new RemoteEtcdClient({ endpoints: ['http://127.0.0.1:1', 'http://127.0.0.1:2'], clock: realClock, patienceMs: 200 })
  await assert.rejects(client.txn(put, signal), (error) => error instanceof EtcdError && error.reason === 'Unavailable' && /127\.0\.0\.1:1: .*ECONNREFUSED.*; .*127\.0\.0\.1:2: /.test(error.message))
  await assert.rejects(client.range({ key: Buffer.from('a') }, signal), { reason: 'Unavailable' })
})

test('a watch asks for a leader, leaves a member without one, and asks again for progress there', { timeout: 10_000 }, async () => {
  const metadata: unknown[] = []
  await using leaderless = await listen([[watchPath, { stream: (call) => ({ message: () => { metadata.push(call.headers['hasleader']); call.fail(unavailable('etcdserver: no leader')) }, end: () => {} }) }]])
  const etcd = new ScriptedEtcd()
  let progress = 0
  await using member = await listen([[watchPath, {
    stream: (call) => {
      const sink = etcd.stream(call)
      return { ...sink, message: (bytes: Uint8Array) => { if (decodeProto3<WatchRequest>(etcdTable, 'WatchRequest', bytes).progressRequest) { progress++; etcd.send({ header: { revision: 77 }, watchId: -1 }) } sink.message(bytes) } }
    },
  }]])
  using client = new RemoteEtcdClient({ endpoints: [`http://127.0.0.1:${portOf(leaderless)}`, `http://127.0.0.1:${portOf(member)}`], clock: realClock })
  const told = await new Promise<number>((resolve) => {
    const watch = client.watch({ key: Buffer.from('k'), startRevision: 5 }, { events: (_, revision) => { resolve(revision) }, closed: () => {} })
    watch.requestProgress()
  })
  assert.deepEqual([told, progress, metadata, etcd.starts], [77, 1, ['true'], [5]])
})

test('what a server repeats after a break is not delivered again', { timeout: 10_000 }, async () => {
  const etcd = new ScriptedEtcd()
  await using server = await listen([[watchPath, etcd.handler]])
  using client = new RemoteEtcdClient({ endpoints: [`http://127.0.0.1:${portOf(server)}`], clock: realClock })
  const seen: number[] = []
  let wake = (): void => {}
  client.watch({ key: Buffer.from('k'), startRevision: 11 }, { events: (events) => { seen.push(...events.map((e) => e.kv.modRevision)); wake() }, closed: () => {} })
  await etcd.created(1)
  etcd.send({ header: { revision: 12 }, events: [event(11), event(12)] })
  while (seen.length < 2) await new Promise<void>((done) => { wake = done })
  etcd.call?.fail(unavailable('etcdserver: server stopped'))
  await etcd.created(2)
  etcd.send({ header: { revision: 12 }, events: [event(11), event(12)] })
  etcd.send({ header: { revision: 13 }, events: [event(12), event(13)] })
  while (seen.length < 3) await new Promise<void>((done) => { wake = done })
  assert.deepEqual([seen, etcd.starts], [[11, 12, 13], [11, 13]])
})

test('a user has a token: taken once, renewed when it is refused, for calls and for watches', { timeout: 10_000 }, async () => {
  let given = 0
  let good = 'token-1'
  const etcd = new ScriptedEtcd()
  const tokens: unknown[] = []
  await using server = await listen([
    ['/etcdserverpb.Auth/Authenticate', { unary: () => encodeProto3(etcdTable, 'AuthenticateResponse', { token: `token-${++given}` }) }],
    [rangePath, { unary: (_, call) => { if (call.headers['token'] !== good) throw new GrpcError('Unauthenticated', 'etcdserver: invalid auth token'); return rangeAnswer(4) } }],
    [watchPath, {
      stream: (call) => {
        const token = call.headers['token']
        tokens.push(token)
        if (token === good) return etcd.stream(call)
        return { message: () => { call.send(encodeProto3(etcdTable, 'WatchResponse', { header: { revision: 1 }, created: true, canceled: true, watchId: -1, cancelReason: 'etcdserver: invalid auth token' })) }, end: () => {} }
      },
    }],
  ])
  using client = new RemoteEtcdClient({ endpoints: [`http://127.0.0.1:${portOf(server)}`], clock: realClock, user: { name: 'u', password: 'p' } })
  await Promise.all([client.range({ key: Buffer.from('a') }, signal), client.range({ key: Buffer.from('b') }, signal)])
  assert.equal(given, 1, 'one token for both')
  good = 'token-2'
  await Promise.all([client.range({ key: Buffer.from('a') }, signal), client.range({ key: Buffer.from('b') }, signal)])
  assert.equal(given, 2)
  good = 'token-3'
  client.watch({ key: Buffer.from('k'), startRevision: 5 }, { events: () => {}, closed: () => {} })
  await etcd.created(1)
  assert.deepEqual([tokens, etcd.starts, given], [['token-2', 'token-3'], [5], 3])
  good = 'none'
  await assert.rejects(client.range({ key: Buffer.from('a') }, signal), { reason: 'Unauthenticated' })
  assert.equal(given, 4, 'a new token is asked for once per call')
})

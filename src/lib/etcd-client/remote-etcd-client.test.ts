import { test } from 'node:test'
import assert from 'node:assert/strict'
import { realClock } from '../async/real-clock.ts'
import { decodeProto3, encodeProto3 } from '../base/protobuf/proto3.ts'
import { etcdTable } from '../etcd-api/generated/table.ts'
import type { RangeResponse, WatchRequest, WatchResponse } from '../etcd-api/generated/types.ts'
import { serveGrpc, type GrpcHandler, type GrpcServer, type GrpcServerCall } from '../net/grpc/grpc-server.ts'
import { RemoteEtcdClient } from './remote-etcd-client.ts'

const signal = new AbortController().signal
const watchPath = '/etcdserverpb.Watch/Watch'

/** A server that answers watches from a script: it tells the start that each create asked for, and sends what it is told to. */
class ScriptedEtcd {
  readonly starts: number[] = []
  call: GrpcServerCall | undefined
  #created: () => void = () => {}

  readonly handler: GrpcHandler = {
    stream: (call) => ({
      message: (bytes) => {
        const request = decodeProto3<WatchRequest>(etcdTable, 'WatchRequest', bytes)
        if (!request.createRequest) return
        this.call = call
        this.starts.push(request.createRequest.startRevision ?? 0)
        this.send({ header: { revision: 10 }, created: true })
        this.#created()
      },
      end: () => call.end(),
    }),
  }

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

test('reads go to the next endpoint when one is away; changes are not sent twice', async () => {
  const answer: RangeResponse = { header: { revision: 5 }, count: 3 }
  let txns = 0
  await using server = await listen([
    ['/etcdserverpb.KV/Range', { unary: () => encodeProto3(etcdTable, 'RangeResponse', answer) }],
    ['/etcdserverpb.KV/Txn', { unary: () => { txns++; return encodeProto3(etcdTable, 'TxnResponse', { header: { revision: 6 }, succeeded: true }) } }],
  ])
  using client = new RemoteEtcdClient({ endpoints: ['http://127.0.0.1:1', `http://127.0.0.1:${portOf(server)}`], clock: realClock })
  const put = { compare: [], success: [], failure: [] }
  await assert.rejects(client.txn(put, signal), { reason: 'Unavailable' })
  assert.equal(txns, 0)
  assert.equal((await client.range({ key: Buffer.from('a') }, signal)).count, 3)
  assert.equal((await client.txn(put, signal)).revision, 6, 'the next change goes where reads found an answer')
})

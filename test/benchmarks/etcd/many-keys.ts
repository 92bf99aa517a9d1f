// A large store: how long it takes to fill, what it holds in memory, how long a start takes, and what a list of everything costs, with the
// longest that another client had to wait meanwhile.
import { encodeProto3 } from '../../../src/lib/base/protobuf/proto3.ts'
import { etcdTable } from '../../../src/lib/etcd-api/generated/table.ts'
import { grpcFrame, headerBlock, RawHttp2Client } from '../raw-http2-client.ts'
import { cpuSeconds, pause, residentMb, type EtcdServer } from './servers.ts'

const perTxn = 100
const inFlight = 32
const valueBytes = 256
const prefix = '/registry/pods/'

export const keyOf = (n: number): Buffer => Buffer.from(`${prefix}namespace-${String(n % 1000).padStart(4, '0')}/pod-${String(n).padStart(9, '0')}`)

/** Seconds that creating `count` keys takes, a hundred in a transaction. */
export async function fill(server: EtcdServer, count: number): Promise<{ readonly seconds: number; readonly cpuMicros: number }> {
  const begin = performance.now()
  const cpuBefore = cpuSeconds(server.pid)
  const block = headerBlock('/etcdserverpb.KV/Txn')
  const value = Buffer.alloc(valueBytes, 'v')
  let [asked, ended] = [0, 0]
  const done = Promise.withResolvers<void>()
  const ask = (): void => {
    const success: object[] = []
    for (let i = 0; i < perTxn && asked < count; i++) success.push({ requestPut: { key: keyOf(asked++), value } })
    client.request(block, grpcFrame(encodeProto3(etcdTable, 'TxnRequest', { success })), true)
  }
  const client = await RawHttp2Client.open(server.port, { ended: () => { ended += perTxn; if (asked < count) ask(); else if (ended >= count) done.resolve() } })
  for (let i = 0; i < inFlight && asked < count; i++) ask()
  await done.promise
  client.close()
  return { seconds: (performance.now() - begin) / 1000, cpuMicros: ((cpuSeconds(server.pid) - cpuBefore) / count) * 1e6 }
}

export interface ListSample { readonly ms: number; readonly cpuMs: number; readonly megabytes: number; readonly longestWaitMs: number; readonly peakMb: number }

/** All keys in one answer, or as a stream of answers; beside it a client that reads one key every few milliseconds. */
export async function list(server: EtcdServer, method: 'Range' | 'RangeStream'): Promise<ListSample> {
  let bytes = 0
  let peakMb = residentMb(server.pid)
  const done = Promise.withResolvers<void>()
  const lister = await RawHttp2Client.open(server.port, { data: (_, piece) => { bytes += piece.length }, ended: () => done.resolve() })
  const probe = grpcFrame(encodeProto3(etcdTable, 'RangeRequest', { key: keyOf(0), serializable: true }))
  const probeBlock = headerBlock('/etcdserverpb.KV/Range')
  let [askedMs, longestWaitMs, running] = [0, 0, true]
  const prober = await RawHttp2Client.open(server.port, {
    ended: () => {
      longestWaitMs = Math.max(longestWaitMs, performance.now() - askedMs)
      if (running) setTimeout(ask, 2)
    },
  })
  const ask = (): void => { if (running) { askedMs = performance.now(); prober.request(probeBlock, probe, true) } }
  ask()
  await pause(100)
  longestWaitMs = 0
  const watching = setInterval(() => { peakMb = Math.max(peakMb, residentMb(server.pid)) }, 20)
  const cpuBefore = cpuSeconds(server.pid)
  const begin = performance.now()
  lister.request(headerBlock(`/etcdserverpb.KV/${method}`), grpcFrame(encodeProto3(etcdTable, 'RangeRequest', { key: Buffer.from(prefix), rangeEnd: Buffer.from('/registry/pods0') })), true)
  await done.promise
  const ms = performance.now() - begin
  running = false
  clearInterval(watching)
  const cpuMs = (cpuSeconds(server.pid) - cpuBefore) * 1000
  await pause(20)
  lister.close()
  prober.close()
  return { ms, cpuMs, megabytes: bytes / 2 ** 20, longestWaitMs: Math.max(longestWaitMs, performance.now() - askedMs > ms ? 0 : longestWaitMs), peakMb }
}

/** Milliseconds from the start of the process to the first linearizable read of a key that was written before. */
export async function restart(server: EtcdServer): Promise<{ readonly server: EtcdServer; readonly ms: number; readonly cpuSeconds: number }> {
  await server.stop()
  const begin = performance.now()
  const next = await server.restart()
  const done = Promise.withResolvers<number>()
  let bytes = 0
  const client = await RawHttp2Client.open(next.port, { data: (_, piece) => { bytes += piece.length }, ended: () => done.resolve(bytes) })
  client.request(headerBlock('/etcdserverpb.KV/Range'), grpcFrame(encodeProto3(etcdTable, 'RangeRequest', { key: keyOf(0) })), true)
  if ((await done.promise) < valueBytes) throw new Error(`${next.side}: a key is not there after the restart`)
  const ms = performance.now() - begin
  client.close()
  return { server: next, ms, cpuSeconds: cpuSeconds(next.pid) }
}

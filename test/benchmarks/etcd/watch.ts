// Watch fan-out: one connection and stream with many watches of one prefix, as clientv3 has them; a writer with 16 puts in flight.
import { encodeProto3 } from '../../../src/lib/base/protobuf/proto3.ts'
import { etcdTable } from '../../../src/lib/etcd-api/generated/table.ts'
import { grpcFrame, headerBlock, RawHttp2Client } from '../raw-http2-client.ts'
import { putMessage, type Sample } from './load.ts'
import { cpuSeconds, pause, type EtcdServer } from './servers.ts'

/** Counts the events of a stream's WatchResponses; field 11 of each message is an event. */
class EventCounter {
  events = 0
  /** A message that is not complete: a server may put much into one, and it is put together once. */
  #pieces: Buffer[] = []
  #pieceBytes = 0
  #wanted = 0

  push(chunk: Buffer): void {
    let bytes = chunk
    if (this.#pieceBytes > 0) {
      this.#pieces.push(Buffer.from(chunk))
      this.#pieceBytes += chunk.length
      if (this.#pieceBytes < this.#wanted) return
      bytes = Buffer.concat(this.#pieces, this.#pieceBytes)
      this.#pieces = []
      this.#pieceBytes = 0
    }
    let at = 0
    while (bytes.length - at >= 5) {
      const length = bytes.readUInt32BE(at + 1)
      if (bytes.length - at < 5 + length) break
      this.#message(bytes, at + 5, at + 5 + length)
      at += 5 + length
    }
    if (at === bytes.length) return
    this.#pieces = [Buffer.from(bytes.subarray(at))]
    this.#pieceBytes = bytes.length - at
    this.#wanted = this.#pieceBytes < 5 ? 5 : 5 + bytes.readUInt32BE(at + 1)
  }

  #message(bytes: Buffer, start: number, end: number): void {
    let at = start
    const varint = (): number => {
      let [result, scale] = [0, 1]
      for (;;) {
        const byte = bytes[at++] ?? 0
        result += (byte & 0x7f) * scale
        if (byte < 0x80) return result
        scale *= 128
      }
    }
    while (at < end) {
      const tag = varint()
      if (tag % 8 === 2) { const length = varint(); at += length; if (tag === 90) this.events++ } else varint()
    }
  }
}

/** A fixed number of puts, so that both sides do the same work. `p99Ms` holds puts per second; the CPU is per event. */
export async function measureWatch(server: EtcdServer, watches: number, puts: number): Promise<Sample> {
  const counter = new EventCounter()
  let answers = 0
  const sink = await RawHttp2Client.open(server.port, { data: (_, bytes) => { answers += bytes.length; counter.push(bytes) } })
  const create = grpcFrame(encodeProto3(etcdTable, 'WatchRequest', { createRequest: { key: Buffer.from('/registry/pods/'), rangeEnd: Buffer.from('/registry/pods0') } }))
  const stream = sink.request(headerBlock('/etcdserverpb.Watch/Watch'), create, false)
  for (let i = 1; i < watches; i++) sink.send(stream, create)
  let quiet = -1
  while (quiet !== answers || answers === 0) { quiet = answers; await pause(100) }
  const put = grpcFrame(putMessage)
  const block = headerBlock('/etcdserverpb.KV/Put')
  let [asked, ended] = [0, 0]
  let writtenMs = 0
  const writer = await RawHttp2Client.open(server.port, { ended: () => { ended++; if (asked < puts) ask(); else if (ended === puts) writtenMs = performance.now() } })
  const ask = (): void => { asked++; writer.request(block, put, true) }
  const cpuBefore = cpuSeconds(server.pid)
  const begin = performance.now()
  for (let i = 0; i < 16; i++) ask()
  const limit = begin + 120_000
  while ((ended < puts || counter.events < puts * watches) && performance.now() < limit) await pause(2)
  const wall = (performance.now() - begin) / 1000
  const { events } = counter
  if (events < puts * watches) throw new Error(`${server.side}: ${puts * watches - events} of ${puts * watches} events did not come within 120 s`)
  const sample = { perSecond: events / wall, p50Ms: Number.NaN, p99Ms: puts / ((writtenMs - begin) / 1000), cpuMicros: ((cpuSeconds(server.pid) - cpuBefore) / events) * 1e6 }
  sink.close()
  writer.close()
  await pause(50)
  return sample
}

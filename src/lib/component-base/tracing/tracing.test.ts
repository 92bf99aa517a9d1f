// Spans: whose trace they belong to, which are kept, and how they reach a collector (a gRPC server of ours that reads them back).
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { realClock } from '../../async/real-clock.ts'
import { WireReader } from '../../base/protobuf/wire-reader.ts'
import { seededRandom } from '../../base/random.ts'
import { serveGrpc } from '../../net/grpc/grpc-server.ts'
import { SimulatedClock } from '../../testing/simulated-clock.ts'
import { silentLogger } from '../log.ts'
import { exportPath } from './otlp.ts'
import { SpanExporter } from './span-exporter.ts'
import { parseTraceparent, Tracer, type FinishedSpan } from './span.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
const parentId = '00f067aa0ba902b7'

test('traceparent: the versions there are and those to come, and nothing else', () => {
  const parsed = parseTraceparent(`00-${traceId}-${parentId}-01`)
  assert.ok(parsed)
  assert.deepEqual([hex(parsed.traceId), hex(parsed.spanId), parsed.isSampled], [traceId, parentId, true])
  assert.equal(parseTraceparent(`00-${traceId}-${parentId}-00`)?.isSampled, false)
  assert.equal(parseTraceparent(`cc-${traceId}-${parentId}-01-what-comes`)?.isSampled, true)
  for (const wrong of ['', `00-${traceId}-${parentId}`, `ff-${traceId}-${parentId}-01`, `00-${traceId}-${parentId}-01-more`, `00-${'0'.repeat(32)}-${parentId}-01`, `00-${traceId}-${'0'.repeat(16)}-01`, `00-${traceId.toUpperCase()}-${parentId}-01`]) {
    assert.equal(parseTraceparent(wrong), undefined, wrong)
  }
})

test('sampling: of a million that begin here; who calls decides for theirs', () => {
  const count = (samplesPerMillion: number): number => {
    const tracer = new Tracer({ clock: new SimulatedClock(), random: seededRandom(7), samplesPerMillion, export: () => {} })
    return Array.from({ length: 2000 }, () => tracer.start('x', undefined, {})).filter((span) => span !== undefined).length
  }
  assert.deepEqual([count(0), count(1_000_000)], [0, 2000])
  assert.ok(count(250_000) > 400 && count(250_000) < 600, `${count(250_000)}`)
  const spans: FinishedSpan[] = []
  const tracer = new Tracer({ clock: new SimulatedClock(), random: seededRandom(1), samplesPerMillion: 0, export: (span) => spans.push(span) })
  tracer.start('x', `00-${traceId}-${parentId}-01`, { a: 1 })?.end({ b: 'two' }, 'broken')
  assert.deepEqual(spans.map(({ context, parentSpanId, attributes, error }) => [hex(context.traceId), parentSpanId && hex(parentSpanId), attributes, error]), [[traceId, parentId, { a: 1, b: 'two' }, 'broken']])
  assert.equal(new Tracer({ clock: new SimulatedClock(), random: seededRandom(1), samplesPerMillion: 1_000_000, export: () => {} }).start('x', `00-${traceId}-${parentId}-00`, {}), undefined)
})

test('spans reach a collector, many at once; what finds no room is dropped', async () => {
  const requests: Uint8Array[] = []
  await using server = await serveGrpc({ clock: realClock, listen: [{ host: '127.0.0.1', port: 0 }], handlers: [[exportPath, { unary: (request) => { requests.push(Uint8Array.from(request)); return new Uint8Array(0) } }]] })
  const [address] = server.addresses
  assert.ok(address && 'port' in address)
  const clock = new SimulatedClock()
  {
    await using exporter = new SpanExporter({ address: `127.0.0.1:${address.port}`, resource: { 'service.name': 'etcd', 'service.instance.id': 'm1' }, scope: { name: 'test', version: '1' }, clock, logger: silentLogger })
    const tracer = new Tracer({ clock, random: seededRandom(3), samplesPerMillion: 1_000_000, export: (span) => exporter.add(span) })
    const span = tracer.start('etcdserverpb.KV/Put', undefined, { 'rpc.system.name': 'grpc', 'server.port': 2379 })
    await clock.advance(25)
    span?.end({ 'rpc.response.status_code': 'UNAVAILABLE' }, 'no leader')
    span?.end()
    await exporter.flush()
    assert.equal(requests.length, 1)
    for (let i = 0; i < 3000; i++) tracer.start(`s${i}`, undefined, {})?.end()
    assert.equal(exporter.dropped, 3000 - 2048)
  }
  const fields = (bytes: Uint8Array): readonly (readonly [number, Uint8Array | number])[] => {
    const found: [number, Uint8Array | number][] = []
    for (const r = new WireReader(bytes); !r.done;) {
      const tag = r.tag()
      if (tag % 8 === 2) found.push([Math.floor(tag / 8), r.bytes()])
      else if (tag % 8 === 0) found.push([Math.floor(tag / 8), r.varint()])
      else { r.skip(tag % 8); found.push([Math.floor(tag / 8), -1]) }
    }
    return found
  }
  const inner = (bytes: Uint8Array, ...path: readonly number[]): Uint8Array => path.reduce((at, field) => { const found = fields(at).find(([number]) => number === field)?.[1]; assert.ok(found instanceof Uint8Array); return found }, bytes)
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
  const [first, ...rest] = requests
  assert.ok(first)
  assert.equal(text(inner(first, 1, 1, 1, 1)), 'service.name')
  assert.equal(text(inner(first, 1, 1, 1, 2, 1)), 'etcd')
  const span = inner(first, 1, 2, 2)
  assert.deepEqual([inner(span, 1).length, inner(span, 2).length, text(inner(span, 5)), fields(span).find(([field]) => field === 6)?.[1]], [16, 8, 'etcdserverpb.KV/Put', 2])
  assert.deepEqual(fields(span).filter(([field]) => field === 9).map(([, value]) => text(inner(value as Uint8Array, 1))), ['rpc.system.name', 'server.port', 'rpc.response.status_code']) // cast: a message
  assert.deepEqual([text(inner(span, 15, 2)), fields(inner(span, 15)).find(([field]) => field === 3)?.[1]], ['no leader', 2])
  const [begun, ended] = [7, 8].map((field) => { const at = fields(span).findIndex(([number]) => number === field); assert.ok(at >= 0); return field })
  assert.deepEqual([begun, ended], [7, 8])
  assert.deepEqual(rest.map((request) => fields(inner(request, 1, 2)).filter(([field]) => field === 2).length), [512, 512, 512, 512])
})

test('a collector that is away costs spans and nothing else', async () => {
  const clock = new SimulatedClock()
  const exporter = new SpanExporter({ address: '127.0.0.1:1', resource: {}, scope: { name: 'test', version: '1' }, clock, logger: silentLogger })
  const tracer = new Tracer({ clock, random: seededRandom(3), samplesPerMillion: 1_000_000, export: (span) => exporter.add(span) })
  for (let i = 0; i < 600; i++) tracer.start('x', undefined, {})?.end()
  await exporter.flush()
  assert.ok(exporter.dropped >= 88)
  await exporter[Symbol.asyncDispose]()
  assert.equal(exporter.dropped, 600)
})

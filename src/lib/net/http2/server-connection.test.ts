// Byte transcripts: what a peer sends, and what the connection answers. The cases follow RFC 9113 and what h2spec asks for.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { SimulatedClock } from '../../testing/simulated-clock.ts'
import { clientPreface, errorCodes, flags, FrameReader, frameTypes, makeFrame, settingIds, settingsPayload } from './frame-format.ts'
import { encodeHeaders, HpackDecoder } from './hpack.ts'
import type { KeepAlivePolicy } from './keep-alive.ts'
import { Http2ServerConnection } from './server-connection.ts'
import type { Http2ServerStream } from './server-stream.ts'

interface Seen { readonly type: number; readonly flags: number; readonly stream: number; readonly payload: Buffer }

/** A connection whose socket is a list of frames. Handlers answer with `respond`. */
function world(respond: (stream: Http2ServerStream, body: Buffer) => void = answerOk, options: { maxConcurrentStreams?: number; maxHeaderListBytes?: number; keepAlive?: KeepAlivePolicy } = {}) {
  const clock = new SimulatedClock()
  const seen: Seen[] = []
  // The server's bytes begin without a preface; the reader wants one.
  const reader = new FrameReader({ frame: (type, frameFlags, stream, bytes, start, end) => { seen.push({ type, flags: frameFlags, stream, payload: Buffer.from(bytes.subarray(start, end)) }) } }, 2 ** 24)
  reader.push(clientPreface)
  const socket = {
    writableLength: 0, destroyed: false, ended: false, writes: 0,
    write(bytes: Buffer) { assert.ok(!this.ended, 'nothing is written after the end'); this.writes++; reader.push(Buffer.from(bytes)); return true },
    end() { this.ended = true },
    destroy() { this.destroyed = true },
  }
  const deferred: (() => void)[] = []
  const streams: Http2ServerStream[] = []
  const events: string[] = []
  const connection = new Http2ServerConnection({
    socket, clock, defer: (run) => deferred.push(run), ...options,
    onStream: (stream) => {
      streams.push(stream)
      const chunks: Buffer[] = []
      stream.consumer = {
        data: (chunk) => chunks.push(chunk), requestEnded: () => respond(stream, Buffer.concat(chunks)), drain: () => events.push(`drain ${stream.id}`), closed: () => events.push(`closed ${stream.id}`),
      }
    },
  })
  const flush = (): Seen[] => {
    for (const run of deferred.splice(0)) run()
    return seen.splice(0)
  }
  const send = (...frames: Buffer[]): Seen[] => {
    connection.push(Buffer.concat(frames))
    return flush()
  }
  return { clock, connection, socket, streams, events, flush, send, begin: (...settings: [number, number][]): Seen[] => send(clientPreface, makeFrame(frameTypes.settings, 0, 0, settingsPayload(settings))) }
}

const okBlock = encodeHeaders([[':status', '200']])
function answerOk(stream: Http2ServerStream): void { stream.sendHeaders(okBlock, true) }
function answerWith(size: number): (stream: Http2ServerStream) => void {
  return (stream) => { stream.sendHeaders(okBlock); stream.sendData(Buffer.alloc(0), Buffer.alloc(size, 1)); stream.finish(encodeHeaders([['grpc-status', '0']])) }
}
const request = encodeHeaders([[':method', 'POST'], [':scheme', 'http'], [':path', '/x']])
const headers = (id: number, block = request, frameFlags: number = flags.endHeaders | flags.endStream): Buffer => makeFrame(frameTypes.headers, frameFlags, id, block)
const u32 = (value: number): Buffer => { const b = Buffer.alloc(4); b.writeUInt32BE(value); return b }
const of = (seen: readonly Seen[], type: number): Seen[] => seen.filter((f) => f.type === type)
const goaway = (seen: readonly Seen[]): number | undefined => of(seen, frameTypes.goaway)[0]?.payload.readUInt32BE(4)
const resets = (seen: readonly Seen[]): [number, number][] => of(seen, frameTypes.rstStream).map((f) => [f.stream, f.payload.readUInt32BE(0)])

test('preface, settings, ping, a request and its answer, all in one write', () => {
  const w = world()
  const seen = w.send(clientPreface, makeFrame(frameTypes.settings, 0, 0, Buffer.alloc(0)), makeFrame(frameTypes.ping, 0, 0, Buffer.from('12345678')), headers(1))
  assert.deepEqual(seen.map((f) => [f.type, f.flags & 5, f.stream]), [[4, 0, 0], [8, 0, 0], [4, 1, 0], [6, 1, 0], [1, 5, 1]])
  assert.equal(seen[3]?.payload.toString(), '12345678')
  assert.equal(w.socket.writes, 1)
  assert.deepEqual(w.events, ['closed 1'])
  assert.equal(w.streams[0]?.headers[':path'], '/x')
})

test('a consumer whose data waited is told when they are gone, whatever it sent meanwhile', () => {
  const w = world((stream) => { stream.sendHeaders(okBlock) })
  w.begin([settingIds.initialWindowSize, 1_000_000])
  w.send(makeFrame(frameTypes.windowUpdate, 0, 0, u32(1_000_000)), headers(1))
  const [stream] = w.streams
  assert.ok(stream)
  w.socket.writableLength = 2_000_000
  stream.sendData(Buffer.alloc(0), Buffer.alloc(100_000, 1))
  assert.equal(stream.queuedBytes, 100_000)
  // The socket has taken all, and says so in a moment.
  w.socket.writableLength = 0
  stream.sendData(Buffer.alloc(0), Buffer.alloc(10, 2))
  w.connection.drained()
  assert.equal(stream.queuedBytes, 0)
  assert.deepEqual(w.events, ['drain 1'])
  assert.deepEqual(Buffer.concat(of(w.flush(), frameTypes.data).map((f) => f.payload)), Buffer.concat([Buffer.alloc(100_000, 1), Buffer.alloc(10, 2)]))
})

test('the same bytes cut at every place give the same answers', () => {
  const bytes = Buffer.concat([clientPreface, makeFrame(frameTypes.settings, 0, 0, Buffer.alloc(0)), headers(1, request, flags.endHeaders), makeFrame(frameTypes.data, flags.endStream, 1, Buffer.from('abc')), headers(3)])
  for (let cut = 1; cut < bytes.length; cut++) {
    const bodies: string[] = []
    const w = world((stream, body) => { bodies.push(body.toString()); answerOk(stream) })
    const seen = [...w.send(bytes.subarray(0, cut)), ...w.send(bytes.subarray(cut))]
    assert.deepEqual(of(seen, frameTypes.headers).map((f) => f.stream), [1, 3])
    assert.deepEqual(bodies, ['abc', ''])
  }
})

test('violations end the connection with the code of the standard', () => {
  const { protocolError, frameSizeError, flowControlError, streamClosed, compressionError } = errorCodes
  const half = headers(1, request, flags.endHeaders)
  const cases: { readonly [what: string]: readonly [code: number, ...frames: Buffer[]] } = {
    'DATA on stream 0': [protocolError, makeFrame(0, 0, 0, Buffer.from('a'))],
    'DATA on an idle stream': [protocolError, makeFrame(0, 0, 1, Buffer.from('a'))],
    'DATA on a closed stream': [streamClosed, headers(1), makeFrame(0, 0, 1, Buffer.from('a'))],
    'padding as long as the frame': [protocolError, half, makeFrame(0, flags.padded, 1, Buffer.of(3, 1, 2))],
    'HEADERS on stream 0': [protocolError, headers(0)],
    'HEADERS on an even stream': [protocolError, headers(2)],
    'HEADERS on a smaller stream': [streamClosed, headers(5), headers(3)],
    'HEADERS that depend on themselves': [protocolError, makeFrame(1, flags.endHeaders | flags.priority, 1, Buffer.concat([u32(1), Buffer.of(1), request]))],
    'an invalid header block': [compressionError, headers(1, Buffer.of(0x80))],
    'a frame inside a header block': [protocolError, headers(1, request, 0), makeFrame(6, 0, 0, Buffer.alloc(8))],
    'CONTINUATION of another stream': [protocolError, headers(1, request, 0), makeFrame(9, 4, 3, request)],
    'CONTINUATION without HEADERS': [protocolError, makeFrame(9, 4, 1, request)],
    'PRIORITY on stream 0': [protocolError, makeFrame(2, 0, 0, Buffer.alloc(5))],
    'RST_STREAM on stream 0': [protocolError, makeFrame(3, 0, 0, u32(8))],
    'RST_STREAM on an idle stream': [protocolError, makeFrame(3, 0, 1, u32(8))],
    'RST_STREAM too short': [frameSizeError, half, makeFrame(3, 0, 1, Buffer.alloc(3))],
    'SETTINGS on a stream': [protocolError, makeFrame(4, 0, 1, Buffer.alloc(0))],
    'SETTINGS of 3 bytes': [frameSizeError, makeFrame(4, 0, 0, Buffer.alloc(3))],
    'SETTINGS acknowledgement with content': [frameSizeError, makeFrame(4, 1, 0, Buffer.alloc(6))],
    'ENABLE_PUSH 2': [protocolError, makeFrame(4, 0, 0, settingsPayload([[settingIds.enablePush, 2]]))],
    'INITIAL_WINDOW_SIZE 2^31': [flowControlError, makeFrame(4, 0, 0, settingsPayload([[settingIds.initialWindowSize, 2 ** 31]]))],
    'MAX_FRAME_SIZE too small': [protocolError, makeFrame(4, 0, 0, settingsPayload([[settingIds.maxFrameSize, 16_383]]))],
    'MAX_FRAME_SIZE too large': [protocolError, makeFrame(4, 0, 0, settingsPayload([[settingIds.maxFrameSize, 2 ** 24]]))],
    'PUSH_PROMISE': [protocolError, makeFrame(5, 4, 1, Buffer.alloc(4))],
    'PING on a stream': [protocolError, makeFrame(6, 0, 1, Buffer.alloc(8))],
    'PING of 6 bytes': [frameSizeError, makeFrame(6, 0, 0, Buffer.alloc(6))],
    'GOAWAY on a stream': [protocolError, makeFrame(7, 0, 1, Buffer.alloc(8))],
    'WINDOW_UPDATE of 0': [protocolError, makeFrame(8, 0, 0, u32(0))],
    'WINDOW_UPDATE of 3 bytes': [frameSizeError, makeFrame(8, 0, 0, Buffer.alloc(3))],
    'WINDOW_UPDATE on an idle stream': [protocolError, makeFrame(8, 0, 1, u32(1))],
    'window of the connection above 2^31-1': [flowControlError, makeFrame(8, 0, 0, u32(2 ** 31 - 1))],
    'a frame above 16 KiB': [frameSizeError, half, makeFrame(0, 0, 1, Buffer.alloc(16_385))],
  }
  for (const [what, [code, ...frames]] of Object.entries(cases)) {
    const w = world()
    w.begin()
    assert.equal(goaway(w.send(...frames)), code, what)
    assert.ok(w.socket.ended && w.connection.isClosed && w.connection.openStreams === 0, what)
    assert.deepEqual(w.send(headers(99)), [], `${what}: nothing more is answered`)
  }
  const noPreface = world()
  assert.equal(goaway(noPreface.send(Buffer.from('GET / HTTP/1.1\r\n\r\n'))), protocolError)
  assert.equal(goaway(world().send(clientPreface, makeFrame(6, 0, 0, Buffer.alloc(8)))), protocolError, 'no SETTINGS first')
})

test('malformed requests end their stream alone', () => {
  const base: [string, string][] = [[':method', 'POST'], [':scheme', 'http'], [':path', '/']]
  const bad: { readonly [what: string]: [string, string][] } = {
    'no method': base.slice(1), 'no scheme': [base[0]!, base[2]!], 'no path': base.slice(0, 2), 'empty path': [base[0]!, base[1]!, [':path', '']], 'two methods': [...base, [':method', 'GET']],
    'pseudo-header behind others': [['a', 'b'], ...base], 'unknown pseudo-header': [...base, [':x', 'y']], 'response pseudo-header': [...base, [':status', '200']], 'upper case': [...base, ['X-Y', 'z']],
    connection: [...base, ['connection', 'close']], te: [...base, ['te', 'gzip']], 'line break': [...base, ['a', 'b\r\nc']],
  }
  for (const [what, fields] of Object.entries(bad)) {
    const w = world()
    w.begin()
    const seen = w.send(headers(1, encodeHeaders(fields)), headers(3))
    assert.deepEqual(resets(seen), [[1, errorCodes.protocolError]], what)
    assert.deepEqual(of(seen, frameTypes.headers).map((f) => f.stream), [3], what)
  }
  const w = world()
  w.begin()
  const long = encodeHeaders([...base, ['content-length', '4']])
  assert.deepEqual(resets(w.send(headers(1, long, flags.endHeaders), makeFrame(0, 1, 1, Buffer.from('abc')))), [[1, errorCodes.protocolError]])
  assert.deepEqual(resets(w.send(headers(3, request, flags.endHeaders), headers(3, encodeHeaders([[':path', '/']])))), [[3, errorCodes.protocolError]], 'pseudo-header in trailers')
  assert.deepEqual(resets(w.send(headers(5, request, flags.endHeaders), headers(5, encodeHeaders([['a', 'b']]), flags.endHeaders))), [[5, errorCodes.protocolError]], 'trailers that do not end')
  assert.deepEqual(resets(w.send(headers(7, request, flags.endHeaders), makeFrame(2, 0, 7, Buffer.alloc(4)))), [[7, errorCodes.frameSizeError]], 'PRIORITY of 4 bytes')
  assert.deepEqual(resets(w.send(headers(9, request, flags.endHeaders), makeFrame(8, 0, 9, u32(0)))), [[9, errorCodes.protocolError]], 'window update of 0')
  assert.deepEqual(resets(w.send(headers(11, request, flags.endHeaders), makeFrame(8, 0, 11, u32(2 ** 31 - 1)))), [[11, errorCodes.flowControlError]], 'window too large')
  assert.deepEqual(of(w.send(makeFrame(0, 0, 11, Buffer.from('late'))), frameTypes.goaway), [], 'what comes for a stream that we reset is passed over')
})

test('padding, priority, continuation, trailers, unknown frames, header blocks seen before', () => {
  const bodies: string[] = []
  const w = world((stream, body) => { bodies.push(body.toString()); answerOk(stream) })
  w.begin()
  const padded = makeFrame(1, flags.endHeaders | flags.padded | flags.priority, 1, Buffer.concat([Buffer.of(2), u32(0), Buffer.of(7), request, Buffer.alloc(2)]))
  assert.equal(of(w.send(padded, makeFrame(0, flags.padded, 1, Buffer.from('\x02abcXX')), makeFrame(0xfa, 0xff, 1, Buffer.from('?')), headers(1, encodeHeaders([['t', '1']]))), frameTypes.headers).length, 1)
  assert.equal(of(w.send(makeFrame(1, flags.endStream, 3, request.subarray(0, 2)), makeFrame(9, 0, 3, request.subarray(2, 3)), makeFrame(9, flags.endHeaders, 3, request.subarray(3))), frameTypes.headers).length, 1)
  assert.deepEqual(bodies, ['abc', ''])
  w.send(headers(5), headers(7))
  assert.equal(w.streams[2]?.headers, w.streams[3]?.headers, 'parsed once')
  // A block that changes the table makes what was kept useless: index 62 means another header now.
  w.send(headers(9, Buffer.concat([request, Buffer.from('4001610131', 'hex')])), headers(11, Buffer.concat([request, Buffer.of(0xbe)])), headers(13, Buffer.concat([request, Buffer.from('4001610132', 'hex')])), headers(15, Buffer.concat([request, Buffer.of(0xbe)])))
  assert.deepEqual(w.streams.slice(-4).map((s) => s.headers['a']), ['1', '1', '2', '2'])
})

test('flow control: data waits for the windows, in the order of the streams, and trailers behind it', () => {
  const w = world(answerWith(50_000))
  w.begin()
  const bytes = (seen: readonly Seen[]): [number, number][] => of(seen, frameTypes.data).map((f) => [f.stream, f.payload.length])
  const total = (seen: readonly Seen[]): number => bytes(seen).reduce((sum, [, n]) => sum + n, 0)
  assert.equal(total(w.send(headers(1), headers(3))), 65_535)
  assert.equal(w.streams[1]?.queuedBytes, 100_000 - 65_535)
  assert.deepEqual(bytes(w.send(makeFrame(8, 0, 0, u32(10)))), [[3, 10]])
  const rest = w.send(makeFrame(8, 0, 0, u32(1_000_000)))
  assert.equal(total(rest), 100_000 - 65_545)
  assert.deepEqual(rest.at(-1)?.type, frameTypes.headers)
  assert.deepEqual(w.events, ['closed 1', 'closed 3'])
  // The window of the streams, made smaller below zero and larger again.
  assert.equal(total(w.send(makeFrame(4, 0, 0, settingsPayload([[settingIds.initialWindowSize, 3]])), headers(5))), 3)
  assert.equal(total(w.send(makeFrame(4, 0, 0, settingsPayload([[settingIds.initialWindowSize, 1]])))), 0)
  assert.equal(total(w.send(makeFrame(8, 0, 5, u32(2)))), 0)
  assert.equal(total(w.send(makeFrame(8, 0, 5, u32(5)))), 5)
  assert.equal(total(w.send(makeFrame(4, 0, 0, settingsPayload([[settingIds.initialWindowSize, 60_000]])))), 50_000 - 8)
})

test('a socket that takes nothing keeps data in the streams', () => {
  const w = world(answerWith(50_000))
  w.begin([settingIds.initialWindowSize, 2 ** 30])
  w.send(makeFrame(8, 0, 0, u32(2 ** 30)))
  w.socket.writableLength = 2 * 1024 * 1024
  assert.deepEqual(of(w.send(headers(1)), frameTypes.data), [])
  assert.equal(w.connection.openStreams, 1)
  w.socket.writableLength = 0
  w.connection.drained()
  assert.deepEqual(w.events, ['closed 1'])
})

test('what a client sends too much, and windows that are given back when somebody has read', () => {
  const w = world(() => {})
  w.begin()
  w.send(headers(1, request, flags.endHeaders))
  w.streams[0]?.pause()
  const chunk = makeFrame(0, 0, 1, Buffer.alloc(16_384))
  assert.deepEqual(of(w.send(...Array.from({ length: 256 }, () => chunk)), frameTypes.windowUpdate), [])
  assert.deepEqual(resets(w.send(chunk)), [[1, errorCodes.flowControlError]])
  w.send(headers(3, request, flags.endHeaders))
  const updates = of(w.send(...Array.from({ length: 256 }, () => makeFrame(0, 0, 3, Buffer.alloc(16_384)))), frameTypes.windowUpdate)
  assert.deepEqual(updates.map((f) => [f.stream, f.payload.readUInt32BE(0)]), [[3, 2 ** 21], [3, 2 ** 21]])
})

test('limits: streams, header lists, resets, pings; and timeouts by the clock', async () => {
  const few = world(() => {}, { maxConcurrentStreams: 2 })
  few.begin()
  assert.deepEqual(resets(few.send(headers(1), headers(3), headers(5))), [[5, errorCodes.refusedStream]])
  const large = world(answerOk, { maxHeaderListBytes: 1000 })
  large.begin()
  const [answer] = of(large.send(headers(1, encodeHeaders([[':method', 'GET'], ['a', 'x'.repeat(2000)]]))), frameTypes.headers)
  assert.deepEqual(new HpackDecoder({ maxListBytes: 1000 }).decode(answer?.payload ?? Buffer.alloc(0)).fields, [[':status', '431']])
  assert.equal(goaway(large.send(headers(3, request, 0), makeFrame(9, 0, 3, Buffer.alloc(1001)))), errorCodes.enhanceYourCalm)
  const rapid = world(() => {})
  rapid.begin()
  let code: number | undefined
  for (let id = 1; code === undefined && id < 10_000; id += 2) code = goaway(rapid.send(headers(id), makeFrame(3, 0, id, u32(8))))
  assert.equal(code, errorCodes.enhanceYourCalm, 'rapid reset')
  const pings = world()
  pings.begin()
  assert.equal(goaway(pings.send(...Array.from({ length: 20_001 }, () => makeFrame(6, 0, 0, Buffer.alloc(8))))), errorCodes.enhanceYourCalm)
  const silent = world()
  await silent.clock.advance(10_000)
  silent.connection.check()
  assert.ok(silent.socket.ended)
  const slow = world()
  slow.begin()
  slow.send(headers(1, request, 0))
  await slow.clock.advance(10_000)
  slow.connection.check()
  assert.ok(slow.socket.ended)
  const gone = world()
  gone.begin()
  for (const ms of [5000, 7_200_000, 20_000]) { gone.connection.check(); await gone.clock.advance(ms) }
  gone.connection.check()
  assert.ok(gone.socket.destroyed)
})

test('shutdown: no new streams, and the end when the open ones have ended', () => {
  const open: Http2ServerStream[] = []
  const w = world((stream) => open.push(stream))
  w.begin()
  w.send(headers(1))
  w.connection.shutdown()
  const seen = w.send(headers(3))
  assert.equal(goaway(seen), errorCodes.noError)
  assert.deepEqual(resets(seen), [[3, errorCodes.refusedStream]])
  assert.ok(!w.socket.ended)
  answerOk(open[0]!)
  assert.ok(w.socket.ended)
})

test('any frames, in any order: an answer or a GOAWAY, never an exception, and nothing left behind', () => {
  const frame = fc.oneof(
    fc.tuple(fc.nat(10), fc.nat(255), fc.nat(9), fc.uint8Array({ maxLength: 40 })).map(([type, f, id, payload]) => makeFrame(type, f, id, payload)),
    fc.nat(9).map((id) => headers(id)), fc.nat(9).map((id) => headers(id, request, flags.endHeaders)), fc.tuple(fc.nat(9), fc.nat(1)).map(([id, f]) => makeFrame(0, f, id, Buffer.from('abc'))), fc.nat(9).map((id) => makeFrame(8, 0, id, u32(100))),
  )
  fc.assert(fc.property(fc.array(frame, { maxLength: 25 }), fc.nat(100), (frames, cut) => {
    const w = world(answerWith(200))
    w.begin()
    const bytes = Buffer.concat(frames)
    w.send(bytes.subarray(0, cut))
    w.send(bytes.subarray(cut))
    w.connection.closed()
    assert.equal(w.connection.openStreams, 0)
    assert.equal(w.events.filter((e) => e.startsWith('closed')).length, w.streams.length)
  }), { seed: 9113, numRuns: 3000 })
})

test('a long answer that goes out by and by forgives pings all the way', () => {
  const w = world(answerWith(300_000), { keepAlive: { minPingIntervalMs: 5000 } })
  w.begin()
  let came = of(w.send(headers(1)), frameTypes.data).length
  // Go pings after each piece that it gets, to learn how far away we are.
  for (let i = 0; i < 8; i++) {
    const seen = w.send(makeFrame(frameTypes.ping, 0, 0, Buffer.alloc(8)), makeFrame(frameTypes.windowUpdate, 0, 0, u32(20_000)), makeFrame(frameTypes.windowUpdate, 0, 1, u32(20_000)))
    assert.equal(goaway(seen), undefined)
    came += of(seen, frameTypes.data).length
  }
  assert.ok(came > 8)
})

test('a peer that pings too often is told to be calm; what is sent to it meanwhile forgives', async () => {
  const ping = makeFrame(frameTypes.ping, 0, 0, Buffer.alloc(8))
  const open = headers(1, request, flags.endHeaders)
  const w = world(answerOk, { keepAlive: { minPingIntervalMs: 5000 } })
  w.begin()
  w.send(open)
  for (let i = 0; i < 5; i++) { assert.equal(goaway(w.send(ping)), undefined); await w.clock.advance(5000) }
  for (let i = 0; i < 2; i++) { assert.equal(goaway(w.send(ping)), undefined, 'forgiven'); await w.clock.advance(1000) }
  w.streams[0]?.sendHeaders(okBlock)
  for (let i = 0; i < 3; i++) assert.equal(goaway(w.send(ping)), undefined, 'begins anew')
  const last = w.send(ping)
  assert.equal(goaway(last), errorCodes.enhanceYourCalm)
  assert.equal(of(last, frameTypes.goaway)[0]?.payload.subarray(8).toString(), 'too_many_pings')
  assert.ok(w.socket.ended)

  const idle = world(answerOk, { keepAlive: { minPingIntervalMs: 5000 } })
  idle.begin()
  const told: (number | undefined)[] = []
  for (let i = 0; i < 4; i++) { told.push(goaway(idle.send(ping))); await idle.clock.advance(60_000) }
  assert.deepEqual(told, [undefined, undefined, undefined, errorCodes.enhanceYourCalm], 'without calls nobody asks')
  const free = world()
  free.begin()
  for (let i = 0; i < 10; i++) assert.equal(goaway(free.send(ping)), undefined)
})

test('the server asks a silent peer as often as it is told', async () => {
  const asked = async (silentMs: number): Promise<{ readonly pings: number; readonly w: ReturnType<typeof world> }> => {
    const w = world(answerOk, { keepAlive: { intervalMs: 1000, timeoutMs: 500 } })
    w.begin()
    w.connection.check()
    await w.clock.advance(silentMs)
    w.connection.check()
    return { pings: of(w.flush(), frameTypes.ping).length, w }
  }
  assert.equal((await asked(999)).pings, 0)
  const { pings, w } = await asked(1000)
  assert.equal(pings, 1)
  await w.clock.advance(499)
  w.connection.check()
  assert.ok(!w.socket.destroyed)
  await w.clock.advance(1)
  w.connection.check()
  assert.ok(w.socket.destroyed)
})

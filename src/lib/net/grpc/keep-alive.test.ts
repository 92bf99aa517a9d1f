import { test } from 'node:test'
import assert from 'node:assert/strict'
import { connect, createServer, type Socket } from 'node:net'
import { realClock } from '../../async/real-clock.ts'
import { SimulatedClock, settle } from '../../testing/simulated-clock.ts'
import { GrpcChannel } from './grpc-channel.ts'
import { serveGrpc } from './grpc-server.ts'
import type { GrpcError } from './status.ts'

/** A way to a server that counts what the client sends, and can fall silent in both directions. */
async function silentWay(port: number): Promise<AsyncDisposable & { readonly port: number; readonly received: () => number; silence(): void }> {
  const sockets: Socket[] = []
  let received = 0
  let isSilent = false
  const proxy = createServer((socket) => {
    const upstream = connect(port, '127.0.0.1')
    sockets.push(socket, upstream)
    for (const one of [socket, upstream]) one.on('error', () => {})
    socket.on('data', (chunk) => { received += chunk.length; if (!isSilent) upstream.write(chunk) })
    upstream.on('data', (chunk) => { if (!isSilent) socket.write(chunk) })
  })
  await new Promise<void>((done) => { proxy.listen(0, '127.0.0.1', done) })
  const address = proxy.address()
  assert.ok(address !== null && typeof address === 'object')
  return {
    port: address.port, received: () => received, silence() { isSilent = true },
    async [Symbol.asyncDispose]() { for (const socket of sockets) socket.destroy(); await new Promise<void>((done) => { proxy.close(() => { done() }) }) },
  }
}

test('the server is asked whether it is there while there are calls, and only then; one that is silent is given up', { timeout: 10_000 }, async () => {
  await using server = await serveGrpc({ clock: realClock, listen: [{ host: '127.0.0.1', port: 0 }], handlers: [['/test/Echo', { unary: (request) => request }], ['/test/Watch', { stream: () => ({ message: () => {}, end: () => {} }) }]] })
  const address = server.addresses[0]
  assert.ok(address && 'port' in address)
  await using way = await silentWay(address.port)
  const clock = new SimulatedClock()
  let disconnects = 0
  using channel = new GrpcChannel({ target: `http://127.0.0.1:${way.port}`, clock, keepAliveMs: 10_000, onDisconnect: () => { disconnects++ } })
  const turns = async (condition: () => boolean): Promise<void> => { while (!condition()) await settle(1) }
  // What belongs to the beginning has been received when this is answered.
  await channel.unary('/test/Echo', Buffer.from('x'), { signal: new AbortController().signal })
  await settle(50)
  const quiet = way.received()
  await clock.advance(60_000)
  await settle(50)
  assert.equal(way.received(), quiet, 'without calls nothing is sent')
  const ends: (GrpcError | undefined)[] = []
  channel.call('/test/Watch', { signal: new AbortController().signal }, { message: () => {}, end: (error) => { ends.push(error) } }).send(Buffer.from('x'))
  await turns(() => way.received() > quiet)
  await settle(50)
  const called = way.received()
  await clock.advance(10_000)
  await turns(() => way.received() > called)
  await settle(50)
  assert.equal(ends.length, 0, 'it answered')
  way.silence()
  await clock.advance(10_000)
  await clock.advance(10_000)
  await turns(() => ends.length > 0)
  assert.deepEqual([ends[0]?.code, channel.isReady], ['Unavailable', false])
  await turns(() => disconnects > 0)
  assert.equal(disconnects, 1)
})

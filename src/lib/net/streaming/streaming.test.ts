import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { createDeflate, constants } from 'node:zlib'
import { realClock } from '../../async/real-clock.ts'
import { connectPortForward } from './port-forward-client.ts'
import { connectRemoteCommand, UpgradeRefused } from './remote-command-client.ts'
import { exitCodeOf } from './remote-command-protocol.ts'
import { servePortForward } from './serve-port-forward.ts'
import { serveRemoteCommand } from './serve-remote-command.ts'
import { SpdyConnection } from './spdy-connection.ts'
import { encodeHeaderPairs, HeaderDeflater, HeaderInflater, spdyDictionary } from './spdy-headers.ts'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { RemoteProcess, TerminalSize } from './remote-command-protocol.ts'

const never = new AbortController().signal

/** Echoes its input in capitals until it ends, then exits with 3. */
function shout(sizes: TerminalSize[] = []): RemoteProcess {
  const stdin = new PassThrough()
  const stdout = new PassThrough()
  const stderr = new PassThrough()
  const exit = Promise.withResolvers<{ readonly exitCode: number }>()
  stdin.on('data', (chunk: Buffer) => stdout.write(chunk.toString('utf8').toUpperCase()))
  stdin.on('end', () => { stderr.end('done\n'); stdout.end(); exit.resolve({ exitCode: 3 }) })
  return { stdin, stdout, stderr, exit: exit.promise, resize: (size) => { sizes.push(size) }, async [Symbol.asyncDispose]() {} }
}

async function withServer(handle: (upgrade: { request: import('node:http').IncomingMessage; socket: Duplex; head: Buffer }) => Promise<void>, run: (port: number) => Promise<void>): Promise<void> {
  const server = createServer()
  server.on('upgrade', (request, socket, head) => { void handle({ request, socket, head }) })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    await run((server.address() as AddressInfo).port)
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

test('the dictionary is the protocol\'s: 1423 bytes, and zlib streams made with it are read', async () => {
  assert.equal(spdyDictionary.length, 1423)
  const headers = new Map([['streamtype', ['error']], ['port', ['80']]])
  const deflate = createDeflate({ dictionary: spdyDictionary, flush: constants.Z_SYNC_FLUSH })
  using inflater = new HeaderInflater()
  for (const round of [1, 2]) {
    deflate.write(encodeHeaderPairs(new Map([...headers, ['round', [String(round)]]])))
    await new Promise<void>((resolve) => deflate.flush(constants.Z_SYNC_FLUSH, () => resolve()))
    assert.deepEqual(await inflater.inflate(deflate.read() as Buffer), new Map([...headers, ['round', [String(round)]]]))
  }
})

test('what we compress is read by zlib, block after block', async () => {
  const deflater = new HeaderDeflater()
  using inflater = new HeaderInflater()
  for (const value of ['a', 'b'.repeat(5000), '']) assert.deepEqual(await inflater.inflate(deflater.deflate(new Map([['x', [value]]]))), new Map([['x', [value]]]))
  await assert.rejects(inflater.inflate(Buffer.from('garbage')))
})

async function spdyExec(port: number, tty: boolean, protocols = 'v4.channel.k8s.io, v3.channel.k8s.io'): Promise<{ socket: Socket; head: string }> {
  const socket = connect(port, '127.0.0.1')
  socket.write(`POST /exec HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${protocols}\r\n\r\n`)
  void tty
  let head = ''
  while (!head.includes('\r\n\r\n')) head += String((await once(socket, 'data'))[0])
  return { socket, head }
}

for (const tty of [false, true]) {
  test(`exec over SPDY${tty ? ' with a terminal' : ''}`, async () => {
    const sizes: TerminalSize[] = []
    await withServer((upgrade) => serveRemoteCommand(upgrade, { streams: { stdin: true, stdout: true, stderr: !tty, tty }, open: async () => shout(sizes), clock: realClock, signal: never }), async (port) => {
      const { socket, head } = await spdyExec(port, tty)
      assert.match(head, /^HTTP\/1\.1 101 [^]*X-Stream-Protocol-Version: v4\.channel\.k8s\.io/)
      const connection = new SpdyConnection(socket, { role: 'client' })
      const names = ['error', 'stdin', 'stdout', tty ? 'resize' : 'stderr']
      const [error, stdin, stdout, last] = names.map((streamtype) => connection.open({ streamtype }))
      await Promise.all([error, stdin, stdout, last].map((s) => s?.replied))
      if (tty) last?.write('{"Width":100,"Height":40}{"Width":1')
      stdin?.write('hello ')
      stdin?.end('world')
      const outputs = await Promise.all([text(stdout!), text(error!), tty ? '' : text(last!)])
      assert.equal(outputs[0], 'HELLO WORLD')
      assert.equal(exitCodeOf(JSON.parse(outputs[1] ?? '')), 3)
      assert.equal(outputs[2], tty ? '' : 'done\n')
      if (tty) assert.deepEqual(sizes, [{ width: 100, height: 40 }])
      await connection.closed
    })
  })
}

test('exec over a WebSocket, v5: the end of input is told, the exit code comes back', async () => {
  await withServer((upgrade) => serveRemoteCommand(upgrade, { streams: { stdin: true, stdout: true, stderr: true, tty: false }, open: async () => shout(), clock: realClock, signal: never }), async (port) => {
    const session = await connectRemoteCommand(`ws://127.0.0.1:${port}/exec`, { stdin: true, stdout: true, stderr: true, tty: false }, {}, never)
    const big = 'x'.repeat(300_000)
    session.stdin?.write(big)
    session.stdin?.end('!')
    const [stdout, stderr, status] = await Promise.all([text(session.stdout!), text(session.stderr!), session.status])
    assert.equal(stdout, `${big.toUpperCase()}!`)
    assert.equal(stderr, 'done\n')
    assert.equal(exitCodeOf(status), 3)
  })
})

test('a failure to open is told as a Status; unknown protocols are refused with 403', async () => {
  await withServer((upgrade) => serveRemoteCommand(upgrade, { streams: { stdin: false, stdout: true, stderr: false, tty: false }, open: () => Promise.reject(new Error('container is not running')), clock: realClock, signal: never }), async (port) => {
    const session = await connectRemoteCommand(`ws://127.0.0.1:${port}/exec`, { stdin: false, stdout: true, stderr: false, tty: false }, {}, never)
    session.stdout?.resume()
    const status = await session.status
    assert.equal(status.message, 'container is not running')
    assert.equal(status.reason, 'InternalError')
    const { head } = await spdyExec(port, false, 'v9.channel.k8s.io')
    assert.match(head, /^HTTP\/1\.1 403/)
  })
  await withServer(async (upgrade) => { await serveRemoteCommand(upgrade, { streams: { stdin: false, stdout: false, stderr: false, tty: false }, open: async () => shout(), clock: realClock, signal: never }) }, async (port) => {
    await assert.rejects(connectRemoteCommand(`ws://127.0.0.1:${port}/exec`, { stdin: false, stdout: true, stderr: false, tty: false }, {}, never), (error) => error instanceof UpgradeRefused && error.code === 400)
  })
})

test('port-forward: many connections over one tunnel, and a refused port', async () => {
  const opened: number[] = []
  const open = async (port: number): Promise<Duplex> => {
    opened.push(port)
    if (port === 81) throw new Error('connect: connection refused')
    const pipe = new PassThrough()
    return pipe
  }
  await withServer((upgrade) => servePortForward(upgrade, { open, ports: [], describePod: 'p, uid u', clock: realClock, signal: never }), async (port) => {
    const session = await connectPortForward(`ws://127.0.0.1:${port}/portForward`, {}, never)
    const results = await Promise.all([1, 2, 3].map(async (n) => {
      const [near, far] = pairOfStreams()
      const forwarded = session.forward(far, 80, never)
      near.end(`request ${n} ${'y'.repeat(100_000)}`)
      const answer = await text(near)
      return [answer.slice(0, 9), answer.length, await forwarded]
    }))
    assert.deepEqual(results, [1, 2, 3].map((n) => [`request ${n}`, 100_010, undefined]))
    const [near, far] = pairOfStreams()
    near.on('error', () => {})
    assert.equal(await session.forward(far, 81, never), 'error forwarding port 81 to pod p, uid u: connect: connection refused')
    session.close()
    await session.closed
  })
})

function pairOfStreams(): [Duplex, Duplex] {
  const a = new PassThrough()
  const b = new PassThrough()
  return [duplexOf(a, b), duplexOf(b, a)]
}
function duplexOf(read: PassThrough, write: PassThrough): Duplex {
  return DuplexClass.from({ readable: read, writable: write })
}
import { Duplex as DuplexClass } from 'node:stream'

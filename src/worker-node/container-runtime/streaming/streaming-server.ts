// The streaming server behind CRI's Exec, Attach and PortForward: they answer with a URL that works once, for a minute; whoever dials it by
// WebSocket gets the streams. Channels: 0 stdin, 1 stdout, 2 stderr, 3 the outcome, 4 terminal sizes.
// Upstream: k8s.io/kubelet/pkg/cri/streaming; apimachinery remotecommand protocols v4 and v5
import { createServer } from 'node:http'
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex, Readable, Writable } from 'node:stream'
import { WebSocketServer } from 'ws'
import type { WebSocket } from 'ws'
import type { Clock } from '../../../lib/base/clock.ts'
import type { Random } from '../../../lib/base/random.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { CriError } from '../../../lib/cri-api/cri-services.ts'
import type { ProcessStreams, RuntimeStreams } from '../../../lib/cri-api/streams.ts'

export type StreamOffer =
  | { readonly kind: 'exec'; readonly containerId: string; readonly command: readonly string[]; readonly tty: boolean; readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean }
  | { readonly kind: 'attach'; readonly containerId: string; readonly tty: boolean; readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean }
  | { readonly kind: 'portforward'; readonly podSandboxId: string; readonly ports: readonly number[] }

const offerMs = 60_000
const maxOffers = 1000
const highWaterBytes = 1024 * 1024
const protocols = ['v5.channel.k8s.io', 'v4.channel.k8s.io']
const channel = { stdin: 0, stdout: 1, stderr: 2, outcome: 3, resize: 4, close: 255 } as const

export interface StreamingServer extends AsyncDisposable {
  /** Listens if need be, and returns the URL for one use. @throws CriError Unavailable when too many offers are open */
  offer(request: StreamOffer): Promise<string>
}

export function createStreamingServer(options: { readonly clock: Clock; readonly random: Random; readonly streams: RuntimeStreams; readonly address?: string }): StreamingServer {
  const { clock, random, streams } = options
  const offers = new Map<string, { readonly request: StreamOffer; readonly untilMs: number }>()
  const stop = new AbortController()
  let listening: Promise<{ readonly server: Server; readonly port: number }> | undefined
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: (wanted) => protocols.find((name) => wanted.has(name)) ?? false, maxPayload: 4 * 1024 * 1024 })

  const take = (path: string): StreamOffer | undefined => {
    const [, kind, token = ''] = path.split('/')
    const found = offers.get(token)
    offers.delete(token)
    return found && found.untilMs >= clock.monotonic() && found.request.kind === kind ? found.request : undefined
  }
  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    socket.on('error', () => {})
    const offer = take((request.url ?? '').split('?')[0] ?? '')
    if (!offer) { socket.end('HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n'); return }
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      webSocket.on('error', () => {})
      webSocket.pause() // until somebody listens: what the client sends at once must not be lost
      void serve(webSocket, offer, streams, stop.signal)
    })
  }
  const listen = (): Promise<{ readonly server: Server; readonly port: number }> => new Promise((resolve, reject) => {
    const server = createServer((request, response) => {
      const known = take((request.url ?? '').split('?')[0] ?? '')
      response.writeHead(known ? 400 : 404, { 'content-type': 'text/plain' }).end(known ? 'this server speaks WebSocket\n' : 'not found\n')
    })
    server.on('upgrade', upgrade)
    server.on('error', reject)
    server.listen(0, options.address ?? '127.0.0.1', () => { const found = server.address(); resolve({ server, port: typeof found === 'object' && found ? found.port : 0 }) })
  })

  return {
    async offer(request) {
      const now = clock.monotonic()
      for (const [token, { untilMs }] of offers) if (untilMs < now) offers.delete(token)
      if (offers.size >= maxOffers) throw new CriError('Unavailable', 'maximum number of in-flight requests exceeded')
      listening ??= listen()
      const { port } = await listening
      const token = Buffer.from(random.bytes(12)).toString('base64url')
      offers.set(token, { request, untilMs: now + offerMs })
      return `http://${options.address ?? '127.0.0.1'}:${port}/${request.kind}/${token}`
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      for (const client of sockets.clients) client.terminate()
      const open = await listening?.catch(() => undefined)
      if (open) await new Promise<void>((resolve) => { open.server.close(() => resolve()); open.server.closeAllConnections() })
    },
  }
}

async function serve(socket: WebSocket, offer: StreamOffer, streams: RuntimeStreams, signal: AbortSignal): Promise<void> {
  const closed = new AbortController()
  socket.on('close', () => closed.abort())
  const both = AbortSignal.any([signal, closed.signal])
  try {
    if (offer.kind === 'portforward') { await servePorts(socket, offer.podSandboxId, offer.ports, streams, both); return }
    await using process = offer.kind === 'exec' ? await streams.openExec(offer, both) : await streams.openAttach(offer, both)
    await serveProcess(socket, process)
  } catch (error) {
    send(socket, channel.outcome, Buffer.from(JSON.stringify({ metadata: {}, status: 'Failure', message: error instanceof Error ? error.message : String(error), reason: 'InternalError', code: 500 })))
    socket.resume()
    socket.close(1000)
  }
}

function send(socket: WebSocket, number: number, data: Uint8Array): void {
  if (socket.readyState === socket.OPEN) socket.send(Buffer.concat([Uint8Array.of(number), data]))
}

/** Sends a stream's bytes on a channel; waits while the client is behind. */
async function forward(source: Readable, socket: WebSocket, number: number): Promise<void> {
  for await (const piece of source) {
    const data = piece as Buffer // cast: no encoding is set, so pieces are buffers
    send(socket, number, data)
    while (socket.bufferedAmount > highWaterBytes && socket.readyState === socket.OPEN) await new Promise<void>((resolve) => { setImmediate(resolve) })
  }
}

async function serveProcess(socket: WebSocket, process: ProcessStreams): Promise<void> {
  socket.on('message', (message) => {
    const data = toBuffer(message)
    const [number = 0] = data
    if (number === channel.stdin) writeOrPause(process.stdin, data.subarray(1), socket)
    else if (number === channel.close && data[1] === channel.stdin) process.stdin?.end()
    else if (number === channel.resize) {
      let size: unknown
      try { size = JSON.parse(data.toString('utf8', 1)) } catch { return }
      if (isJsonObject(size) && typeof size.Width === 'number' && typeof size.Height === 'number') process.resize({ width: size.Width, height: size.Height })
    }
  })
  socket.resume()
  for (const number of [channel.stdin, channel.stdout, channel.stderr, channel.outcome]) send(socket, number, new Uint8Array(0)) // tells the client that the channels are open
  const output = [forward(process.stdout, socket, channel.stdout), ...(process.stderr ? [forward(process.stderr, socket, channel.stderr)] : [])]
  const { exitCode } = await process.exit
  await Promise.all(output)
  const outcome = exitCode === 0 ? { metadata: {}, status: 'Success' } : {
    metadata: {}, status: 'Failure', message: `command terminated with non-zero exit code: exit status ${exitCode}`, reason: 'NonZeroExitCode', details: { causes: [{ reason: 'ExitCode', message: String(exitCode) }] },
  }
  send(socket, channel.outcome, Buffer.from(JSON.stringify(outcome)))
  socket.close(1000)
}

/** Each port has two channels: 2i for data, 2i+1 for errors; both begin with the port's number. */
async function servePorts(socket: WebSocket, podSandboxId: string, ports: readonly number[], streams: RuntimeStreams, signal: AbortSignal): Promise<void> {
  const connections: Duplex[] = []
  signal.addEventListener('abort', () => { for (const connection of connections) connection.destroy() })
  await Promise.all(ports.map(async (port, i) => {
    const head = Buffer.alloc(2)
    head.writeUInt16LE(port)
    send(socket, 2 * i, head)
    send(socket, 2 * i + 1, head)
    try {
      const connection = await streams.openPortForward({ podSandboxId, port }, signal)
      connection.on('error', () => {})
      connections[i] = connection
      void forward(connection, socket, 2 * i).catch(() => {}).then(() => { if (connections.every((each) => each.readableEnded)) socket.close(1000) })
    } catch (error) { send(socket, 2 * i + 1, Buffer.from(error instanceof Error ? error.message : String(error))) }
  }))
  socket.on('message', (message) => {
    const data = toBuffer(message)
    const number = data[0] ?? 0
    if (number % 2 === 0) writeOrPause(connections[number / 2], data.subarray(1), socket)
  })
  socket.resume()
}

function toBuffer(message: Buffer | ArrayBuffer | readonly Buffer[]): Buffer {
  return Buffer.isBuffer(message) ? message : message instanceof ArrayBuffer ? Buffer.from(message) : Buffer.concat(message)
}

/** The client waits while the process doesn't read. */
function writeOrPause(target: Writable | undefined, data: Buffer, socket: WebSocket): void {
  if (!target || target.destroyed || data.length === 0) return
  if (target.write(data)) return
  socket.pause()
  target.once('drain', () => socket.resume())
}

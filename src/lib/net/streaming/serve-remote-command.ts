// Serves exec and attach: takes the upgrade in whichever protocol the client speaks, opens the process, joins both, tells how it ended.
// Upstream: cri-streaming/pkg/streaming/remotecommand/{httpstream,websocket,exec,attach}.go
import { sleep } from '../../base/clock.ts'
import type { Clock } from '../../base/clock.ts'
import { chooseProtocol, errorStatus, joinSession, spdyProtocols, webSocketProtocols } from './remote-command-protocol.ts'
import { SpdyConnection } from './spdy-connection.ts'
import { acceptSpdy, headerList, refuseUpgrade, upgradeKind } from './upgrade-request.ts'
import { acceptWebSocket, chooseWebSocketProtocol, WebSocketChannels } from './websocket-channels.ts'
import type { RemoteChannels, RemoteCommandStreams, RemoteProcess, SessionStatus, TerminalSize } from './remote-command-protocol.ts'
import type { SpdyStream } from './spdy-connection.ts'
import type { UpgradeRequest } from './upgrade-request.ts'

export interface RemoteCommandOptions {
  readonly streams: RemoteCommandStreams
  /** Opens the process; its failure is told to the client. */
  readonly open: (signal: AbortSignal) => Promise<RemoteProcess>
  readonly clock: Clock
  readonly signal: AbortSignal
  /** A session in which nothing moves for so long is ended; 0 for never. */
  readonly idleTimeoutMs?: number
}

const streamCreationTimeoutMs = 30_000

/** Resolves when the session is over. */
export async function serveRemoteCommand(upgrade: UpgradeRequest, options: RemoteCommandOptions): Promise<void> {
  const kind = upgradeKind(upgrade.request)
  if (kind === undefined) { refuseUpgrade(upgrade.socket, 400, 'Upgrade request required'); return }
  const { stdin, stdout, stderr } = options.streams
  if (!stdin && !stdout && !stderr) { refuseUpgrade(upgrade.socket, 400, 'you must specify at least 1 of stdin, stdout, stderr'); return }
  const channels = kind === 'websocket' ? await acceptWebSocketChannels(upgrade, options) : await acceptSpdyChannels(upgrade, options)
  if (!channels) return
  const over = new AbortController()
  const signal = AbortSignal.any([options.signal, over.signal])
  void channels.gone.then(() => over.abort(new Error('the client is gone')))
  try {
    await using process = await options.open(signal)
    const idle = options.idleTimeoutMs ? watchIdleness(options, [channels.stdin, process.stdout, process.stderr], signal) : undefined
    const joined = joinSession(channels, process)
    await channels.end(idle ? await Promise.race([joined, idle]) : await joined)
  } catch (error) {
    await channels.end(errorStatus(error instanceof Error ? error.message : String(error))).catch(() => {})
  } finally {
    over.abort(new Error('the session is over'))
  }
}

function watchIdleness(options: RemoteCommandOptions, streams: readonly (NodeJS.ReadableStream | undefined)[], signal: AbortSignal): Promise<SessionStatus> {
  let lastMs = options.clock.monotonic()
  for (const stream of streams) stream?.on('data', () => { lastMs = options.clock.monotonic() })
  const timeoutMs = options.idleTimeoutMs ?? 0
  return (async () => {
    for (;;) {
      const quietMs = options.clock.monotonic() - lastMs
      if (quietMs >= timeoutMs) return errorStatus('the session was idle for too long')
      await sleep(options.clock, timeoutMs - quietMs, signal)
    }
  })().catch(() => new Promise<SessionStatus>(() => {}))
}

async function acceptWebSocketChannels(upgrade: UpgradeRequest, { streams }: RemoteCommandOptions): Promise<RemoteChannels | undefined> {
  const protocol = chooseWebSocketProtocol(upgrade, webSocketProtocols)
  if (protocol === undefined) {
    refuseUpgrade(upgrade.socket, 403, `unable to upgrade: unable to negotiate protocol: client supports ${headerList(upgrade.request, 'sec-websocket-protocol').join(', ')}`)
    return undefined
  }
  const channels = new WebSocketChannels(await acceptWebSocket(upgrade, protocol), protocol, [...(streams.stdin ? [0] : []), ...(streams.tty ? [4] : [])])
  const isJsonStatus = protocol.startsWith('v4.') || protocol.startsWith('v5.')
  // Tells the client that it is connected.
  await channels.send(streams.stdout ? 1 : streams.stderr && !streams.tty ? 2 : 3, new Uint8Array()).catch(() => {})
  return {
    stdin: channels.input(0), stdout: streams.stdout ? channels.output(1) : undefined, stderr: streams.stderr && !streams.tty ? channels.output(2) : undefined,
    onResize: (listener) => readSizes(channels.input(4), listener), gone: channels.gone,
    async end(status) {
      const text = isJsonStatus ? JSON.stringify(status) : status.status === 'Success' ? '' : status.message ?? 'failed'
      if (text !== '') await channels.send(3, Buffer.from(text)).catch(() => {})
      await channels.close()
    },
  }
}

async function acceptSpdyChannels(upgrade: UpgradeRequest, { streams, clock, signal }: RemoteCommandOptions): Promise<RemoteChannels | undefined> {
  const offered = headerList(upgrade.request, 'x-stream-protocol-version')
  if (offered.length === 0) { refuseUpgrade(upgrade.socket, 400, 'unable to upgrade: X-Stream-Protocol-Version header is required'); return undefined }
  const protocol = chooseProtocol(offered, spdyProtocols)
  if (protocol === undefined) {
    refuseUpgrade(upgrade.socket, 403, `unable to upgrade: unable to negotiate protocol: client supports [${offered.join(' ')}], server accepts [${spdyProtocols.join(' ')}]`, { 'X-Accepted-Stream-Protocol-Versions': spdyProtocols.join(', ') })
    return undefined
  }
  const version = protocol === 'channel.k8s.io' ? 1 : Number(protocol[1])
  const hasResize = streams.tty && version >= 3
  const wanted = ['error', ...(streams.stdin ? ['stdin'] : []), ...(streams.stdout ? ['stdout'] : []), ...(streams.stderr && !streams.tty ? ['stderr'] : []), ...(hasResize ? ['resize'] : [])]
  const found = new Map<string, SpdyStream>()
  const complete = Promise.withResolvers<'complete'>()
  acceptSpdy(upgrade, protocol)
  const connection = new SpdyConnection(upgrade.socket, {
    role: 'server',
    onStream: (stream) => {
      const type = stream.header('streamtype') ?? ''
      // With a terminal old clients still open stderr; nothing is written to it.
      if (!wanted.includes(type) && type !== 'stderr' && type !== 'resize') { stream.reset(3); return }
      stream.reply()
      found.set(type, stream)
      if (wanted.every((name) => found.has(name))) complete.resolve('complete')
    },
  })
  const waiting = new AbortController()
  try {
    const outcome = await Promise.race([complete.promise, connection.closed.then(() => 'gone' as const), sleep(clock, streamCreationTimeoutMs, AbortSignal.any([signal, waiting.signal])).then(() => 'late' as const, () => 'gone' as const)])
    if (outcome !== 'complete') { connection.close(); return undefined }
  } finally {
    waiting.abort(new Error('no longer needed'))
  }
  const errorStream = found.get('error')
  return {
    stdin: found.get('stdin'), stdout: found.get('stdout'), stderr: streams.tty ? undefined : found.get('stderr'),
    onResize: (listener) => readSizes(found.get('resize'), listener), gone: connection.closed,
    async end(status) {
      for (const name of ['stdout', 'stderr']) found.get(name)?.end()
      const text = version >= 4 ? JSON.stringify(status) : status.status === 'Success' ? '' : status.message ?? 'failed'
      if (errorStream && !errorStream.destroyed) {
        await new Promise<void>((resolve) => {
          errorStream.once('close', resolve)
          errorStream.end(text, () => resolve())
        })
      }
      connection.close()
    },
  }
}

/** Reads concatenated JSON objects `{"Width":80,"Height":24}`. */
function readSizes(stream: NodeJS.ReadableStream | undefined, listener: (size: TerminalSize) => void): void {
  let text = ''
  stream?.on('data', (chunk: Buffer) => {
    text += chunk.toString('utf8')
    for (let end = text.indexOf('}'); end >= 0; end = text.indexOf('}')) {
      const piece = text.slice(0, end + 1)
      text = text.slice(end + 1)
      try {
        const { Width: width, Height: height } = JSON.parse(piece) as { readonly Width?: unknown; readonly Height?: unknown } // cast: fields are checked below
        if (typeof width === 'number' && typeof height === 'number' && width >= 0 && height >= 0 && width < 65536 && height < 65536) listener({ width, height })
      } catch {
        // A size that can't be read is a size not changed.
      }
    }
    if (text.length > 1024) text = ''
  })
}

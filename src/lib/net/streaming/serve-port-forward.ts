// Serves port-forward: pairs of SPDY streams (bare, or inside a WebSocket tunnel) or channels of a WebSocket, each joined to a TCP connection
// inside the pod.
// Upstream: cri-streaming/pkg/streaming/portforward/{httpstream,websocket}.go, apiserver/pkg/util/proxy/streamtunnel.go
import { createWebSocketStream } from 'ws'
import type { Duplex } from 'node:stream'
import type { Clock, Timer } from '../../base/clock.ts'
import { portForwardProtocol, portForwardTunnelProtocol } from './remote-command-protocol.ts'
import { SpdyConnection } from './spdy-connection.ts'
import { acceptSpdy, headerList, refuseUpgrade, upgradeKind } from './upgrade-request.ts'
import { acceptWebSocket, chooseWebSocketProtocol, WebSocketChannels } from './websocket-channels.ts'
import type { SpdyStream } from './spdy-connection.ts'
import type { UpgradeRequest } from './upgrade-request.ts'

export interface PortForwardOptions {
  /** A TCP connection to the port inside the pod. */
  readonly open: (port: number, signal: AbortSignal) => Promise<Duplex>
  /** The ports of the old WebSocket form, from the query. */
  readonly ports: readonly number[]
  /** Names the pod in error messages. */
  readonly describePod: string
  readonly clock: Clock
  readonly signal: AbortSignal
}

const pairTimeoutMs = 30_000

/** Resolves when the forwarding is over. */
export async function servePortForward(upgrade: UpgradeRequest, options: PortForwardOptions): Promise<void> {
  switch (upgradeKind(upgrade.request)) {
    case 'spdy': {
      const offered = headerList(upgrade.request, 'x-stream-protocol-version')
      if (!offered.includes(portForwardProtocol)) {
        refuseUpgrade(upgrade.socket, 403, `unable to upgrade: unable to negotiate protocol: client supports [${offered.join(' ')}], server accepts [${portForwardProtocol}]`, { 'X-Accepted-Stream-Protocol-Versions': portForwardProtocol })
        return
      }
      acceptSpdy(upgrade, portForwardProtocol)
      return forwardOverSpdy(upgrade.socket, options)
    }
    case 'websocket': {
      const protocol = chooseWebSocketProtocol(upgrade, [portForwardTunnelProtocol, 'v4.channel.k8s.io', 'v4.base64.channel.k8s.io'])
      if (protocol === undefined) { refuseUpgrade(upgrade.socket, 403, 'unable to upgrade: unable to negotiate protocol'); return }
      if (protocol === portForwardTunnelProtocol) {
        const socket = await acceptWebSocket(upgrade, protocol)
        const forwarding = forwardOverSpdy(createWebSocketStream(socket), options)
        socket.resume()
        return forwarding
      }
      if (options.ports.length === 0) { refuseUpgrade(upgrade.socket, 400, 'query parameter "port" is required'); return }
      return forwardOverChannels(upgrade, protocol, options)
    }
    case undefined: refuseUpgrade(upgrade.socket, 400, 'Upgrade request required')
  }
}

interface Pair { data?: SpdyStream; error?: SpdyStream; timer: Timer | undefined }

function forwardOverSpdy(transport: Duplex, options: PortForwardOptions): Promise<void> {
  const pairs = new Map<string, Pair>()
  const over = new AbortController()
  const signal = AbortSignal.any([options.signal, over.signal])
  const connection = new SpdyConnection(transport, {
    role: 'server',
    onStream: (stream) => {
      const type = stream.header('streamtype')
      const port = Number(stream.header('port') ?? '')
      if ((type !== 'data' && type !== 'error') || !Number.isInteger(port) || port < 1 || port > 65535) { stream.reset(3); return }
      stream.reply()
      // Old clients name no request: their data stream follows the error stream.
      const id = stream.header('requestid') ?? String(type === 'error' ? stream.id : stream.id - 2)
      const pair: Pair = pairs.get(id) ?? {
        timer: options.clock.setTimer(pairTimeoutMs, () => {
          const late = pairs.get(id)
          pairs.delete(id)
          late?.error?.end('timed out waiting for streams')
          late?.data?.reset()
        }, { keepAlive: false }),
      }
      pairs.set(id, pair)
      pair[type] = stream
      if (!pair.data || !pair.error) return
      pair.timer?.[Symbol.dispose]()
      pairs.delete(id)
      pair.error.resume()
      void forwardOne(pair.data, pair.error, port, options, signal)
    },
  })
  options.signal.addEventListener('abort', () => connection.close(), { once: true })
  return connection.closed.then(() => {
    over.abort(new Error('the connection is closed'))
    for (const pair of pairs.values()) pair.timer?.[Symbol.dispose]()
  })
}

async function forwardOne(data: SpdyStream, error: SpdyStream, port: number, options: PortForwardOptions, signal: AbortSignal): Promise<void> {
  try {
    const target = await options.open(port, signal)
    await joinDuplexes(data, target, signal)
    error.end()
  } catch (cause) {
    const message = `error forwarding port ${port} to pod ${options.describePod}: ${cause instanceof Error ? cause.message : String(cause)}`
    if (!error.destroyed) error.end(message)
    if (!data.destroyed) data.end()
    data.resume()
  }
}

/** Joins two connections until both directions are over, or one breaks. */
export function joinDuplexes(a: Duplex, b: Duplex, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    let left = 2
    const half = (): void => { if (--left === 0) finish() }
    const finish = (): void => {
      signal.removeEventListener('abort', finish)
      a.destroy()
      b.destroy()
      resolve()
    }
    signal.addEventListener('abort', finish, { once: true })
    for (const [from, to] of [[a, b], [b, a]] as const) {
      from.on('error', finish)
      // A stream that closes in good order leaves the other direction its last bytes.
      from.once('close', () => { if (!from.readableEnded || !from.writableFinished) finish() })
      // A writer that has taken everything counts, not a reader that has read everything: the last bytes must be out before the end.
      to.once('finish', half)
      from.pipe(to)
    }
  })
}

async function forwardOverChannels(upgrade: UpgradeRequest, protocol: string, options: PortForwardOptions): Promise<void> {
  const channels = new WebSocketChannels(await acceptWebSocket(upgrade, protocol), protocol, options.ports.map((_, i) => i * 2))
  const over = new AbortController()
  const signal = AbortSignal.any([options.signal, over.signal])
  void channels.gone.then(() => over.abort(new Error('the client is gone')))
  await Promise.all(options.ports.map(async (port, i) => {
    const number = Buffer.alloc(2)
    number.writeUInt16LE(port)
    try {
      await channels.send(i * 2, number)
      await channels.send(i * 2 + 1, number)
      const target = await options.open(port, signal)
      const input = channels.input(i * 2)
      input?.pipe(target)
      target.on('error', () => {})
      for await (const chunk of target) await channels.send(i * 2, chunk as Buffer) // cast: no encoding is set
    } catch (error) {
      if (!signal.aborted) await channels.send(i * 2 + 1, Buffer.from(`error forwarding port ${port} to pod ${options.describePod}: ${error instanceof Error ? error.message : String(error)}`)).catch(() => {})
    }
  }))
  await channels.close()
}

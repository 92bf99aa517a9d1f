// The client's side of port-forward: SPDY inside a WebSocket, one pair of streams per TCP connection.
// Upstream: client-go/tools/portforward/{portforward,tunneling_dialer}.go
import { createWebSocketStream } from 'ws'
import type { ClientOptions } from 'ws'
import type { Duplex } from 'node:stream'
import { portForwardTunnelProtocol } from './remote-command-protocol.ts'
import { connectWebSocket } from './remote-command-client.ts'
import { joinDuplexes } from './serve-port-forward.ts'
import { SpdyConnection } from './spdy-connection.ts'

export interface PortForwardSession {
  /** Joins a local connection to the pod's port. Resolves with what the server said went wrong, or undefined. */
  forward(local: Duplex, port: number, signal: AbortSignal): Promise<string | undefined>
  /** Resolves when the connection to the server is over. */
  readonly closed: Promise<void>
  close(): void
}

/** @param url the portforward endpoint, `wss:` or `ws:`. */
export async function connectPortForward(url: string, options: ClientOptions, signal: AbortSignal): Promise<PortForwardSession> {
  const { socket } = await connectWebSocket(url, [portForwardTunnelProtocol], options, signal)
  const session = portForwardOver(createWebSocketStream(socket))
  socket.resume()
  return session
}

/** The same over any byte stream that speaks SPDY. */
export function portForwardOver(transport: Duplex): PortForwardSession {
  const connection = new SpdyConnection(transport, { role: 'client' })
  let requests = 0
  return {
    closed: connection.closed,
    close: () => connection.close(),
    async forward(local, port, signal) {
      const headers = { port: String(port), requestid: String(requests++) }
      const error = connection.open({ ...headers, streamtype: 'error' })
      await error.replied
      error.end()
      const problem = (async () => {
        let text = ''
        for await (const chunk of error) text += (chunk as Buffer).toString('utf8') // cast: no encoding is set
        return text
      })().catch(() => '')
      const data = connection.open({ ...headers, streamtype: 'data' })
      await data.replied
      const over = new AbortController()
      void problem.then((text) => { if (text !== '') over.abort(new Error(text)) })
      await joinDuplexes(local, data, AbortSignal.any([signal, over.signal]))
      if (!error.destroyed) error.reset()
      const text = await problem
      return text === '' ? undefined : text
    },
  }
}

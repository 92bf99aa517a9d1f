// The client's side of exec and attach over a WebSocket: v5 where the server has it, v4 else.
// Upstream: client-go/tools/remotecommand/websocket.go
import { WebSocket } from 'ws'
import type { ClientOptions } from 'ws'
import type { Readable, Writable } from 'node:stream'
import type { RemoteCommandStreams, SessionStatus, TerminalSize } from './remote-command-protocol.ts'
import { errorStatus, successStatus } from './remote-command-protocol.ts'
import { WebSocketChannels } from './websocket-channels.ts'

/** The server answered the upgrade with something else. */
export class UpgradeRefused extends Error {
  override readonly name = 'UpgradeRefused'
  readonly code: number
  readonly body: string
  constructor(code: number, body: string) {
    super(`the server answered ${code}: ${body}`)
    this.code = code
    this.body = body
  }
}

export interface RemoteCommandSession {
  readonly stdin: Writable | undefined
  readonly stdout: Readable | undefined
  readonly stderr: Readable | undefined
  resize(size: TerminalSize): void
  /** How the session ended. */
  readonly status: Promise<SessionStatus>
  close(): void
}

export interface ConnectedWebSocket {
  readonly socket: WebSocket
  /** The one that the server chose. */
  readonly protocol: string
}

/**
 * Opens a WebSocket with one of `protocols`; rejects with UpgradeRefused when the server answers otherwise. Kubernetes has a protocol with a
 * slash in its name, which ws rightly refuses, so the header is written and read here. The socket is paused: resume it when somebody listens.
 */
export function connectWebSocket(url: string, protocols: readonly string[], options: ClientOptions, signal: AbortSignal): Promise<ConnectedWebSocket> {
  return new Promise((resolve, reject) => {
    let protocol = ''
    const socket = new WebSocket(url, {
      perMessageDeflate: false, ...options,
      finishRequest: (request) => {
        request.setHeader('Sec-WebSocket-Protocol', protocols.join(', '))
        request.prependListener('upgrade', (response) => {
          protocol = response.headers['sec-websocket-protocol'] ?? ''
          delete response.headers['sec-websocket-protocol']
        })
        request.end()
      },
    })
    const onAbort = (): void => { socket.terminate(); reject(signal.reason) }
    signal.addEventListener('abort', onAbort, { once: true })
    socket.once('open', () => { signal.removeEventListener('abort', onAbort); socket.pause(); resolve({ socket, protocol }) })
    socket.once('error', (error) => { signal.removeEventListener('abort', onAbort); reject(error) })
    socket.once('unexpected-response', (_request, response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => { signal.removeEventListener('abort', onAbort); reject(new UpgradeRefused(response.statusCode ?? 0, Buffer.concat(chunks).toString('utf8'))) })
    })
  })
}

/** @param url the exec or attach endpoint with its query, `wss:` or `ws:`. @param options TLS material and headers (`authorization`). */
export async function connectRemoteCommand(url: string, streams: RemoteCommandStreams, options: ClientOptions, signal: AbortSignal): Promise<RemoteCommandSession> {
  const { socket, protocol } = await connectWebSocket(url, ['v5.channel.k8s.io', 'v4.channel.k8s.io'], options, signal)
  const inputs = [...(streams.stdout ? [1] : []), ...(streams.stderr && !streams.tty ? [2] : []), 3]
  const channels = new WebSocketChannels(socket, protocol, inputs)
  const status = readText(channels.input(3)).then((text): SessionStatus => {
    if (text === '') return successStatus
    try {
      return JSON.parse(text) as SessionStatus // cast: the protocol says so; callers look at single fields
    } catch {
      return errorStatus(text)
    }
  })
  return {
    stdin: streams.stdin ? channels.output(0) : undefined, stdout: channels.input(1), stderr: channels.input(2), status,
    resize: ({ width, height }) => { if (streams.tty) channels.send(4, Buffer.from(JSON.stringify({ Width: width, Height: height }))).catch(() => {}) },
    close: () => socket.close(1000),
  }
}

async function readText(stream: Readable | undefined): Promise<string> {
  let text = ''
  if (stream) for await (const chunk of stream) text += (chunk as Buffer).toString('utf8') // cast: no encoding is set
  return text
}

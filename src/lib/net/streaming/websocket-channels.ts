// Numbered channels over one WebSocket: the first byte of each message is the channel. Text protocols (base64) write it as a digit.
// Rule it keeps: a writer waits until its message is handed to the network; a reader that doesn't read holds the socket back.
// Upstream: streaming/pkg/httpstream/wsstream/conn.go
import { PassThrough, Writable } from 'node:stream'
import { WebSocketServer } from 'ws'
import type { Readable } from 'node:stream'
import type { WebSocket } from 'ws'
import { headerList, refuseUpgrade } from './upgrade-request.ts'
import type { UpgradeRequest } from './upgrade-request.ts'

const closeChannel = 255
const mostMessageBytes = 4 * 2 ** 20

export class WebSocketChannels {
  readonly socket: WebSocket
  readonly protocol: string
  readonly #base64: boolean
  readonly #hasClose: boolean
  readonly #inputs = new Map<number, PassThrough>()
  readonly #outputs = new Map<number, Writable>()
  readonly gone: Promise<void>

  /** @param inputs channels that the peer writes. */
  constructor(socket: WebSocket, protocol: string, inputs: readonly number[]) {
    this.socket = socket
    this.protocol = protocol
    this.#base64 = protocol.includes('base64')
    this.#hasClose = protocol.startsWith('v5.')
    for (const channel of inputs) this.#inputs.set(channel, new PassThrough())
    this.gone = new Promise((resolve) => {
      socket.once('close', () => { for (const input of this.#inputs.values()) input.end(); resolve() })
    })
    socket.on('error', () => socket.terminate())
    socket.on('message', (data, isBinary) => this.#receive(Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as Buffer), isBinary)) // cast: the binary type is nodebuffer
    socket.resume()
  }

  input(channel: number): Readable | undefined { return this.#inputs.get(channel) }

  /** A stream whose chunks go to the peer as messages of the channel. */
  output(channel: number): Writable {
    let output = this.#outputs.get(channel)
    if (!output) {
      output = new Writable({
        write: (chunk: Buffer, _encoding, done) => this.send(channel, chunk).then(() => done(), done),
        // In v5 the end of one stream is told.
        final: (done) => { if (this.#hasClose) this.#sendRaw(Buffer.from([closeChannel, channel])).then(() => done(), () => done()); else done() },
      })
      output.on('error', () => {})
      this.#outputs.set(channel, output)
    }
    return output
  }

  send(channel: number, data: Uint8Array): Promise<void> {
    if (this.#base64) return this.#sendRaw(`${channel}${Buffer.from(data).toString('base64')}`)
    return this.#sendRaw(Buffer.concat([Buffer.from([channel]), data]))
  }

  /** Closes in good order; resolves when the peer has answered or is gone. */
  async close(code = 1000): Promise<void> {
    this.socket.close(code)
    await this.gone
  }

  #sendRaw(message: Buffer | string): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.socket.readyState !== this.socket.OPEN) { reject(new Error('WebSocket is closed')); return }
      this.socket.send(message, { binary: typeof message !== 'string' }, (error) => (error ? reject(error) : resolve()))
    })
  }

  #receive(message: Buffer, isBinary: boolean): void {
    if (message.length === 0) return
    let channel = message[0] ?? 0
    let data = message.subarray(1)
    if (this.#base64 || (!isBinary && channel >= 0x30 && channel <= 0x39 && this.#base64)) {
      channel -= 0x30
      data = Buffer.from(data.toString('latin1'), 'base64')
    }
    if (channel === closeChannel && this.#hasClose) {
      const closed = message.length === 2 ? this.#inputs.get(message[1] ?? 0) : undefined
      if (!closed) { this.socket.close(1002); return }
      closed.end()
      return
    }
    const input = this.#inputs.get(channel)
    if (!input || data.length === 0 || input.writableEnded) return
    if (!input.write(data)) {
      this.socket.pause()
      input.once('drain', () => this.socket.resume())
    }
  }
}

/** The protocol of a WebSocket request: the client's first that is known; '' when it names none; undefined when none of its names is known. */
export function chooseWebSocketProtocol(upgrade: UpgradeRequest, known: readonly string[]): string | undefined {
  const offered = headerList(upgrade.request, 'sec-websocket-protocol')
  return offered.length === 0 ? '' : offered.find((p) => known.includes(p))
}

/**
 * Accepts the WebSocket; resolves to it. Refuses with 400 what is no proper request. The names of protocols are handled here: one of them has a
 * slash in it, at which ws would refuse the request. The socket is paused, so that no message is lost before somebody listens.
 */
export function acceptWebSocket(upgrade: UpgradeRequest, protocol: string): Promise<WebSocket> {
  const server = new WebSocketServer({ noServer: true, maxPayload: mostMessageBytes, perMessageDeflate: false, clientTracking: false })
  delete upgrade.request.headers['sec-websocket-protocol']
  if (protocol !== '') server.on('headers', (headers) => { headers.push(`Sec-WebSocket-Protocol: ${protocol}`) })
  return new Promise((resolve, reject) => {
    server.once('wsClientError', (error) => { refuseUpgrade(upgrade.socket, 400, error.message); reject(error) })
    server.handleUpgrade(upgrade.request, upgrade.socket, upgrade.head, (socket) => { socket.pause(); resolve(socket) })
  })
}

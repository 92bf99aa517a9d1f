// Ties a socket (TCP, TLS or unix) to a connection of the codec.
import type { Socket } from 'node:net'
import type { Clock } from '../../base/clock.ts'
import type { KeepAlivePolicy } from './keep-alive.ts'
import { Http2ServerConnection } from './server-connection.ts'
import type { Http2ServerStream } from './server-stream.ts'

export interface ServeConnectionOptions {
  readonly clock: Clock
  readonly onStream: (stream: Http2ServerStream) => void
  readonly onClose: () => void
  readonly maxConcurrentStreams?: number | undefined
  readonly keepAlive?: KeepAlivePolicy | undefined
}

export function serveHttp2Connection(socket: Socket, options: ServeConnectionOptions): Http2ServerConnection {
  const { clock, onStream, maxConcurrentStreams, keepAlive } = options
  const connection = new Http2ServerConnection({ socket, clock, defer: setImmediate, onStream, ...(maxConcurrentStreams === undefined ? {} : { maxConcurrentStreams }), ...(keepAlive && { keepAlive }) })
  socket.on('data', (chunk: Buffer) => connection.push(chunk))
  socket.on('drain', () => connection.drained())
  // A peer that ends its side has nothing more to ask, and no stream is left half-open in HTTP/2.
  socket.on('end', () => { connection.closed(); socket.end() })
  socket.on('close', () => { connection.closed(); options.onClose() })
  socket.resume()
  return connection
}

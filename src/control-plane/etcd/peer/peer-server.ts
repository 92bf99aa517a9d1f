// The HTTP server on the peer URLs. It speaks HTTP/1.1 only, as members do; what is no request is answered 400 and cut.
import { unlinkSync } from 'node:fs'
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer, Server as HttpsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Clock } from '../../../lib/base/clock.ts'
import { describeError, type Logger } from '../../../lib/component-base/log.ts'
import { answerError, BodyError } from './http-answers.ts'
import type { MemberRoutes } from './member-routes.ts'
import { placeOfPeerUrl } from './peer-place.ts'
import type { PeerTls } from './peer-tls.ts'
import type { RaftRoutes } from './raft-routes.ts'

export interface PeerServerOptions {
  readonly listenUrls: readonly string[]
  readonly tls: PeerTls | undefined
  readonly clock: Clock
  readonly logger: Logger
  readonly raft: RaftRoutes
  readonly members: MemberRoutes
  readonly readTimeoutMs: number
}

/** The URL can't be listened on. */
export class ListenError extends Error {
  override readonly name = 'ListenError'
}

/** Connections at once and address; streams of a cluster need four for each pair of members. */
const connectionLimit = 4096

export class PeerServer implements AsyncDisposable {
  readonly #options: PeerServerOptions
  readonly #servers: Server[] = []
  readonly #closing = new AbortController()
  /** All that was accepted; Node closes none that is still shaking hands. */
  readonly #sockets = new Set<Socket>()
  /** What the check of a client's certificate has found, while it may wait for a name server. */
  readonly #verdicts = new WeakMap<Socket, Promise<string | undefined>>()

  private constructor(options: PeerServerOptions) { this.#options = options }

  /** @throws ListenError, with what was opened closed again */
  static async listen(options: PeerServerOptions): Promise<PeerServer> {
    const server = new PeerServer(options)
    try {
      for (const url of options.listenUrls) await server.#listenOn(url)
      return server
    } catch (error) {
      await server[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Ports as they were given out, in the order of the URLs; 0 for a unix socket. */
  get ports(): readonly number[] { return this.#servers.map((server) => portOf(server.address())) }

  async #listenOn(text: string): Promise<void> {
    const place = placeOfPeerUrl(text)
    if (place === undefined) throw new ListenError(`${text} is no URL to listen on for peers`)
    const { isSecure } = place
    const { tls, readTimeoutMs } = this.#options
    if (isSecure && !tls?.canListen) throw new ListenError(`cannot listen on TLS for ${'host' in place ? `${place.host}:${place.port}` : place.socketPath}: KeyFile and CertFile are not presented`)
    const limits = { keepAlive: true, keepAliveInitialDelay: 30_000, headersTimeout: readTimeoutMs, requestTimeout: 0, keepAliveTimeout: readTimeoutMs, maxHeaderSize: 16 << 10, connectionsCheckingInterval: 1000 }
    const server = isSecure && tls !== undefined ? createHttpsServer({ ...limits, ...tls.serverOptions() }) : createHttpServer(limits)
    server.maxConnections = connectionLimit
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
    server.on('request', (request, response) => { void this.#serve(request, response) })
    server.on('clientError', (error, socket) => { this.#refuseGarbage(error, socket as Socket) }) // cast: HTTP over TCP or TLS
    server.on('tlsClientError', (error, socket) => { this.#options.logger.info('a TLS connection of a peer failed', { error: error.message, address: (socket as Socket).remoteAddress ?? '' }, 2) }) // cast: as above
    server.on('secureConnection', (socket: TLSSocket) => { if (tls !== undefined) this.#verdicts.set(socket, tls.checkClient(socket)) })
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(new ListenError(`${text}: ${error.message}`, { cause: error })))
      if ('host' in place) server.listen(place.port, place.host, resolve)
      else {
        // A socket file that a dead process left would make listening fail.
        try { unlinkSync(place.socketPath) } catch { /* there was none */ }
        server.listen({ path: place.socketPath }, resolve)
      }
    })
    server.on('error', (error) => this.#options.logger.error('a peer listener failed', error, { url: text }))
    this.#servers.push(server)
  }

  /** Certificates have changed. */
  renewCertificates(): void {
    const { tls } = this.#options
    if (tls === undefined) return
    for (const server of this.#servers) if (server instanceof HttpsServer) server.setSecureContext(tls.serverContext())
  }

  #refuseGarbage(error: Error, socket: Socket): void {
    this.#options.logger.info('what came on the peer port is no request', { error: error.message, address: socket.remoteAddress ?? '' }, 2)
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request')
    else socket.destroy()
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { raft, members, logger } = this.#options
    response.on('error', () => {})
    try {
      const refusal = await this.#verdicts.get(request.socket)
      if (refusal !== undefined) {
        logger.warn('a peer was refused because of its certificate', { reason: refusal, address: request.socket?.remoteAddress ?? '' })
        request.destroy()
        return
      }
      const path = (request.url ?? '/').replace(/[?#].*$/s, '')
      if (path === '/raft' || path.startsWith('/raft/')) await raft.serve(path, request, response)
      else await members.serve(path, request, response, this.#closing.signal)
    } catch (error) {
      // The other side has gone: nobody waits for the answer.
      if (response.destroyed || response.writableEnded) return
      if (error instanceof BodyError) answerError(response, error.status, error.message)
      else {
        logger.error('a request of a peer failed', error)
        answerError(response, 500, describeError(error))
      }
    } finally {
      if (!request.complete && !request.destroyed && response.writableEnded) this.#linger(request)
    }
  }

  /** What was refused unread may still be on its way. It is passed over for a moment, so that the answer is not lost with the connection. */
  #linger(request: IncomingMessage): void {
    const timer = this.#options.clock.setTimer(1000, () => { if (!request.complete) request.destroy() }, { keepAlive: false })
    request.once('close', () => timer[Symbol.dispose]())
    request.resume()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    const closed = this.#servers.map((server) => new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    }))
    for (const socket of this.#sockets) socket.destroy()
    await Promise.all(closed)
  }
}

function portOf(address: AddressInfo | string | null): number { return address !== null && typeof address === 'object' ? address.port : 0 }

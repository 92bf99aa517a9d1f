// What other members send: streams that they dial, single messages, whole states, probes. Every request says its cluster, its version and who
// asks; what doesn't fit is refused before a byte of its body is read. Upstream: rafthttp/http.go
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../../../lib/base/clock.ts'
import { describeError, type Logger } from '../../../lib/component-base/log.ts'
import { isLocalMessage, type Message } from '../raft/messages.ts'
import { etcdVersion } from '../version.ts'
import { allowMethod, answer, answerError, answerJsonError, BodyError, BodyWatch, readBody, type BodyBudget } from './http-answers.ts'
import type { Peer, StreamKind } from './peer.ts'
import { checkCompatibility, formatId, headerText, parseId, parsePeerUrls, type LocalPeer } from './peer-headers.ts'
import type { PeerMetrics } from './peer-metrics.ts'
import type { PeerHandler, SnapshotBody } from './peer-transport.ts'
import { decodeMessage } from './raft-wire.ts'
import { isSound } from './stream-frames.ts'

export interface RaftRoutesOptions {
  readonly local: LocalPeer
  readonly clock: Clock
  readonly logger: Logger
  readonly handler: PeerHandler
  readonly metrics: PeerMetrics
  readonly budget: BodyBudget
  /** A body that stops coming for this long is given up. */
  readonly readTimeoutMs: number
  readonly frameLimitBytes: number
  peer(id: bigint): Peer | undefined
  /** A member that the log has not told of yet says where it lives. */
  addRemote(id: bigint, urls: readonly string[]): void
}

/** A state may pause for the sender's disk. */
const snapshotSilenceLimitMs = 30_000
/** The MsgSnap in front of the database holds hardly more than the membership. */
const snapshotMessageLimitBytes = 64 << 20
const snapshotsAtOnce = 2

/** Why a message is not for this member, in the original's words. */
export function refusalOf(message: Message, self: bigint, handler: PeerHandler): string | undefined {
  if (handler.isRemoved(message.from)) return 'cannot process message from removed member'
  return message.to === self ? undefined : 'cannot process message to mismatch member'
}

export class RaftRoutes {
  readonly #options: RaftRoutesOptions
  #snapshotsUnderWay = 0

  constructor(options: RaftRoutesOptions) { this.#options = options }

  /** Answers /raft and everything below. @throws BodyError, or what ended the connection */
  async serve(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (path === '/raft') await this.#takeMessage(request, response)
    else if (path === '/raft/snapshot') await this.#takeSnapshot(request, response)
    else if (path === '/raft/probing') answer(response, 200, 'text/plain; charset=utf-8', `{"OK":true,"Now":"${new Date(this.#options.clock.now()).toISOString()}"}\n`)
    else if (path.startsWith('/raft/stream/')) this.#openStream(path, request, response)
    else answer(response, 404, 'text/plain; charset=utf-8', '404 page not found\n', { 'X-Content-Type-Options': 'nosniff' })
  }

  /** False, and answered, when the request is none of a member of this cluster. */
  #checkSender(request: IncomingMessage, response: ServerResponse, method: 'GET' | 'POST'): boolean {
    if (!allowMethod(request, response, method)) return false
    const { local, logger } = this.#options
    response.setHeader('X-Etcd-Cluster-ID', formatId(local.clusterId))
    const wrong = checkCompatibility(request.headers, local.clusterId)
    if (wrong === undefined) return true
    logger.warn('a request of another member was refused', {
      reason: wrong, from: headerText(request.headers, 'x-server-from').slice(0, 32), version: headerText(request.headers, 'x-server-version').slice(0, 32), address: request.socket?.remoteAddress ?? '',
    })
    answerError(response, 412, wrong)
    return false
  }

  #learnRemote(from: bigint | undefined, request: IncomingMessage): void {
    const urls = parsePeerUrls(headerText(request.headers, 'x-peerurls'))
    if (from !== undefined && urls !== undefined) this.#options.addRemote(from, urls)
  }

  #openStream(path: string, request: IncomingMessage, response: ServerResponse): void {
    const { local, handler, logger, peer } = this.#options
    response.setHeader('X-Server-Version', etcdVersion)
    if (!this.#checkSender(request, response, 'GET')) return
    const [, , , kindText, fromText = '', more] = path.split('/')
    const kind: StreamKind | undefined = kindText === 'msgapp' || kindText === 'message' ? kindText : undefined
    if (kind === undefined || more !== undefined) { answerError(response, 404, 'invalid path'); return }
    const from = parseId(fromText)
    if (from === undefined) { answerError(response, 404, 'invalid from'); return }
    if (handler.isRemoved(from)) { answerError(response, 410, 'removed member'); return }
    const dialler = peer(from)
    if (dialler === undefined) {
      this.#learnRemote(from, request)
      logger.info('a stream of an unknown member was refused', { from: formatId(from) }, 2)
      answerError(response, 404, 'error sender not found')
      return
    }
    if (headerText(request.headers, 'x-raft-to') !== formatId(local.id)) { answerError(response, 412, 'to field mismatch'); return }
    if (response.destroyed || response.socket === null) return
    response.writeHead(200)
    response.flushHeaders()
    request.resume()
    dialler.attach(kind, response)
  }

  async #takeMessage(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!this.#checkSender(request, response, 'POST')) return
    const { local, handler, metrics, clock, budget, frameLimitBytes, readTimeoutMs, logger } = this.#options
    this.#learnRemote(parseId(headerText(request.headers, 'x-server-from')), request)
    const body = await readBody(request, clock, budget, frameLimitBytes, readTimeoutMs)
    let message: Message
    try {
      message = decodeMessage(body)
    } catch (error) {
      logger.warn('a posted message was malformed', { error: describeError(error), address: request.socket?.remoteAddress ?? '' })
      answerError(response, 400, 'error unmarshalling raft message')
      return
    }
    const figures = metrics.known(message.from)
    if (figures !== undefined) figures.receivedBytes += body.length
    const refusal = refusalOf(message, local.id, handler)
    if (refusal !== undefined) { answerJsonError(response, 403, refusal); return }
    // A MsgSnap comes with its state, by another path.
    if (isLocalMessage(message.type) || message.type === 'MsgSnap' || !isSound(message)) { answerError(response, 500, 'error processing raft message'); return }
    handler.step(message)
    response.writeHead(204)
    response.end()
  }

  async #takeSnapshot(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!this.#checkSender(request, response, 'POST')) return
    const { local, handler, metrics, clock, logger, budget } = this.#options
    this.#learnRemote(parseId(headerText(request.headers, 'x-server-from')), request)
    if (this.#snapshotsUnderWay >= snapshotsAtOnce) throw new BodyError(503, 'too many states at once')
    this.#snapshotsUnderWay++
    using watch = new BodyWatch(request, clock, snapshotSilenceLimitMs)
    const startedMs = clock.monotonic()
    try {
      const incoming = new SnapshotReader(request, watch, budget)
      let message: Message
      try {
        message = decodeMessage(await incoming.takeMessage())
      } catch (error) {
        if (request.destroyed) throw error
        answerError(response, 400, `failed to decode raft message (${describeError(error)})`)
        return
      }
      if (message.type !== 'MsgSnap' || message.snapshot === undefined) { answerError(response, 400, 'wrong raft message type'); return }
      const refusal = refusalOf(message, local.id, handler)
      if (refusal !== undefined) { answerJsonError(response, 403, refusal); return }
      const figures = metrics.known(message.from)
      const values = { from: formatId(message.from), index: message.snapshot.metadata.index, bytes: incoming.totalBytes }
      logger.info('receiving the state', values)
      if (figures !== undefined) figures.snapshotReceivesUnderWay++
      try {
        await handler.receiveSnapshot(message, incoming)
      } catch (error) {
        if (figures !== undefined) figures.snapshotReceiveFailures++
        logger.error('the state was not taken over', error, values)
        answerError(response, 500, `failed to save KV snapshot (${describeError(error)})`)
        return
      } finally {
        if (figures !== undefined) {
          figures.snapshotReceivesUnderWay--
          figures.receivedBytes += incoming.readBytes
        }
      }
      logger.info('received the state', { ...values, bytes: incoming.readBytes })
      if (figures !== undefined) {
        figures.snapshotsReceived++
        figures.snapshotReceiveSeconds.observe((clock.monotonic() - startedMs) / 1000)
      }
      response.writeHead(204)
      response.end()
    } finally {
      this.#snapshotsUnderWay--
    }
  }
}

/** A request's body: first a message behind its length, then the pieces of the database. */
class SnapshotReader implements SnapshotBody {
  readonly #request: IncomingMessage
  readonly #chunks: AsyncIterator<Buffer>
  readonly #watch: BodyWatch
  readonly #budget: BodyBudget
  readonly pieces: AsyncIterable<Uint8Array>
  /** What came with the message's last piece. */
  #rest: Buffer = Buffer.alloc(0)
  totalBytes = 0
  readBytes = 0

  constructor(request: IncomingMessage, watch: BodyWatch, budget: BodyBudget) {
    this.#request = request
    this.#chunks = (request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>)[Symbol.asyncIterator]() // cast: no encoding is set, so chunks are buffers
    this.#watch = watch
    this.#budget = budget
    this.pieces = this.#readPieces()
  }

  async #next(): Promise<Buffer | undefined> {
    const result = await this.#chunks.next()
    if (result.done === true) return undefined
    this.#watch.heard()
    return result.value
  }

  /** @throws BodyError when it is too long or cut off */
  async takeMessage(): Promise<Buffer> {
    const chunks: Buffer[] = []
    let length = 0
    let wanted = 8
    try {
      for (;;) {
        while (length < wanted) {
          const chunk = await this.#next()
          if (chunk === undefined) throw new BodyError(400, 'unexpected EOF')
          this.#budget.hold(chunk.length)
          chunks.push(chunk)
          length += chunk.length
        }
        const bytes = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)
        const size = bytes.readUInt32BE(0) * 2 ** 32 + bytes.readUInt32BE(4)
        if (size > snapshotMessageLimitBytes) throw new BodyError(400, 'rafthttp: error limit exceeded')
        wanted = 8 + size
        if (length < wanted) continue
        this.#rest = bytes.subarray(wanted)
        const announced = Number(headerText(this.#request.headers, 'content-length'))
        this.totalBytes = announced > wanted ? announced - wanted : 0
        return bytes.subarray(8, wanted)
      }
    } finally {
      this.#budget.release(length)
    }
  }

  async* #readPieces(): AsyncGenerator<Uint8Array> {
    if (this.#rest.length > 0) {
      this.readBytes += this.#rest.length
      yield this.#rest
    }
    for (let chunk = await this.#next(); chunk !== undefined; chunk = await this.#next()) {
      this.readBytes += chunk.length
      yield chunk
    }
  }
}

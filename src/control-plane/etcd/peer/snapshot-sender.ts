// Sends a follower the whole state: POST /raft/snapshot with the MsgSnap behind its length, then the database. Upstream: rafthttp/snapshot_sender.go
import { once } from 'node:events'
import type { ClientRequest, IncomingMessage } from 'node:http'
import type { Clock } from '../../../lib/base/clock.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { Message } from '../raft/messages.ts'
import { ByteBuffer } from './byte-buffer.ts'
import type { PeerClient } from './peer-client.ts'
import { formatId, peerHeaders, type LocalPeer } from './peer-headers.ts'
import type { PeerFigures } from './peer-metrics.ts'
import type { PeerStatus } from './peer-status.ts'
import type { SnapshotBody } from './peer-transport.ts'
import { checkPostAnswer } from './pipeline.ts'
import { messageSize, writeMessage } from './raft-wire.ts'
import type { UrlPicker } from './url-picker.ts'

/** A peer that takes no byte for this long, or does not say afterwards how it went, has not got it. */
const progressTimeoutMs = 30_000
const answerTimeoutMs = 120_000

export interface SnapshotSenderOptions {
  readonly local: LocalPeer
  readonly client: PeerClient
  readonly picker: UrlPicker
  readonly status: PeerStatus
  readonly figures: PeerFigures
  readonly logger: Logger
  readonly clock: Clock
  removedFromCluster(): void
}

export class SnapshotSender {
  readonly #options: SnapshotSenderOptions
  readonly #requests = new Set<ClientRequest>()
  #stopped = false

  constructor(options: SnapshotSenderOptions) { this.#options = options }

  stop(): void {
    this.#stopped = true
    for (const request of this.#requests) request.destroy()
  }

  /** Never rejects; ends `body` in any case. */
  async send(message: Message, body: SnapshotBody): Promise<'delivered' | 'failed'> {
    const { picker, status, figures, logger, clock } = this.#options
    const startedMs = clock.monotonic()
    const values = { 'peer-id': formatId(message.to), index: message.snapshot?.metadata.index ?? 0, bytes: body.totalBytes }
    const url = picker.pick()
    figures.snapshotSendsUnderWay++
    try {
      logger.info('sending the state', values)
      await this.#post(url, message, body)
      status.activate()
      figures.snapshotsSent++
      figures.sentBytes += body.totalBytes
      figures.snapshotSendSeconds.observe((clock.monotonic() - startedMs) / 1000)
      logger.info('the state was sent', values)
      return 'delivered'
    } catch (error) {
      picker.unreachable(url)
      status.deactivate('post', 'snapshot', error)
      figures.sendFailures++
      figures.snapshotSendFailures++
      logger.error('the state was not sent', error, values)
      return 'failed'
    } finally {
      figures.snapshotSendsUnderWay--
    }
  }

  async #post(url: string, message: Message, body: SnapshotBody): Promise<void> {
    const { client, local, removedFromCluster } = this.#options
    const out = new ByteBuffer(8 + messageSize(message))
    out.uint64(messageSize(message))
    writeMessage(out, message)
    const head = out.take()
    const { request, answer } = client.open(url, '/raft/snapshot', {
      method: 'POST', headers: { ...peerHeaders(local), 'Content-Type': 'application/octet-stream', 'Content-Length': String(head.length + body.totalBytes) }, headTimeoutMs: 0, reuse: false,
    })
    this.#requests.add(request)
    if (this.#stopped) request.destroy()
    // An early refusal ends the sending; its answer is looked at below.
    let answered: IncomingMessage | undefined
    answer.then((response) => { answered = response }, () => {})
    try {
      let sent = 0
      await this.#write(request, head)
      for await (const piece of body.pieces) {
        if (answered !== undefined || request.destroyed) break
        sent += piece.length
        if (sent > body.totalBytes) throw new Error('the state is longer than was said')
        await this.#write(request, piece)
      }
      if (answered === undefined && !request.destroyed && sent !== body.totalBytes) throw new Error('the state is shorter than was said')
      request.end()
      using timer = this.#options.clock.setTimer(answerTimeoutMs, () => { request.destroy(new Error('the peer does not say whether it has the state')) }, { keepAlive: false })
      void timer
      const response = await answer
      let words = ''
      for await (const chunk of response as AsyncIterable<Buffer>) { // cast: no encoding is set, so chunks are buffers
        if (words.length < 4096) words += chunk.toString('latin1')
      }
      checkPostAnswer(response.statusCode ?? 0, words, removedFromCluster)
    } finally {
      this.#requests.delete(request)
      request.destroy()
    }
  }

  async #write(request: ClientRequest, piece: Uint8Array): Promise<void> {
    if (request.write(piece) || request.destroyed) return
    using timer = this.#options.clock.setTimer(progressTimeoutMs, () => { request.destroy(new Error('the peer takes nothing any more')) }, { keepAlive: false })
    void timer
    const ended = new AbortController()
    const wake = (): void => ended.abort()
    request.once('close', wake)
    request.once('response', wake)
    try {
      await once(request, 'drain', { signal: ended.signal })
    } catch (error) {
      // Closed, failed or answered: the caller sees which.
      if (!ended.signal.aborted && !request.destroyed) throw error
    } finally {
      request.off('close', wake)
      request.off('response', wake)
    }
  }
}

// The reading end of a stream: dials the peer, reads until the connection ends, dials again. A connection that says nothing for five seconds
// (`--raft-read-timeout`) is given up (the writer sends heartbeats). Upstream: rafthttp/stream.go (streamReader)
import type { IncomingMessage } from 'node:http'
import { sleep, type Clock } from '../../../lib/base/clock.ts'
import { describeError, type Logger } from '../../../lib/component-base/log.ts'
import type { PeerClient } from './peer-client.ts'
import { clusterIdMismatch, formatId, headerText, incompatibleVersion, peerHeaders, speaksStreams, type LocalPeer } from './peer-headers.ts'
import type { PeerFigures } from './peer-metrics.ts'
import type { PeerStatus } from './peer-status.ts'
import type { FrameReader } from './stream-frames.ts'
import type { UrlPicker } from './url-picker.ts'

/** Between two attempts at least. */
const dialIntervalMs = 100
const graceMs = 50

export interface StreamReaderOptions {
  readonly kind: 'message' | 'msgapp'
  readonly peer: bigint
  readonly local: LocalPeer
  readonly client: PeerClient
  readonly picker: UrlPicker
  readonly status: PeerStatus
  readonly figures: PeerFigures
  readonly logger: Logger
  readonly clock: Clock
  /** One for each connection: frames refer to those before. */
  openFrames(): FrameReader
  removedFromCluster(): void
  /** The connection broke, and another one is refused: nobody listens there any more. */
  ended(): void
}

export class StreamReader {
  readonly #options: StreamReaderOptions
  readonly #stop = new AbortController()
  #connection: { destroy(error?: Error): void } | undefined
  #lastRefusal = ''
  /** There has been a connection since `ended` was said last. */
  #hasBeenOpen = false

  constructor(options: StreamReaderOptions) {
    this.#options = options
    void this.#run()
  }

  /** Ends the connection; it is dialled anew, where the peer is now. */
  redial(): void { this.#connection?.destroy(new Error('the URLs of the peer have changed')) }

  stop(): void {
    this.#stop.abort()
    this.#connection?.destroy()
  }

  async #run(): Promise<void> {
    const { kind, status, clock } = this.#options
    const { signal } = this.#stop
    while (!signal.aborted) {
      const startedMs = clock.monotonic()
      try {
        const response = await this.#dial()
        status.activate()
        this.#lastRefusal = ''
        this.#hasBeenOpen = true
        try {
          await this.#read(response)
        } catch (error) {
          if (!signal.aborted) status.deactivate('read', kind, error)
        }
      } catch (error) {
        if (!signal.aborted) this.#refused(error)
      }
      this.#connection = undefined
      const waitMs = dialIntervalMs - (clock.monotonic() - startedMs)
      if (waitMs > 0) await sleep(clock, waitMs, signal).catch(() => {})
    }
  }

  #refused(error: unknown): void {
    const { kind, status, logger, peer } = this.#options
    status.deactivate('dial', kind, error)
    if (this.#hasBeenOpen && isRefused(error)) {
      this.#hasBeenOpen = false
      this.#options.ended()
    }
    // Attempts repeat ten times a second: the same words are said once.
    const words = describeError(error)
    if (words === this.#lastRefusal) return
    this.#lastRefusal = words
    logger.info('stream not established', { 'peer-id': formatId(peer), stream: kind, error: words }, 2)
  }

  /** Resolves with an open stream. @throws PeerRequestError, Error with the refusal */
  async #dial(): Promise<IncomingMessage> {
    const { kind, peer, local, client, picker } = this.#options
    const url = picker.pick()
    try {
      const { request, answer } = client.open(url, `/raft/stream/${kind}/${formatId(local.id)}`, { method: 'GET', headers: peerHeaders(local, peer), headTimeoutMs: client.timeouts.readMs, reuse: false })
      this.#connection = request
      request.end()
      const response = await answer
      if (response.statusCode === 200 && speaksStreams(response.headers)) return response
      throw new Error(await this.#explain(response))
    } catch (error) {
      picker.unreachable(url)
      throw error
    }
  }

  async #explain(response: IncomingMessage): Promise<string> {
    const { local, peer } = this.#options
    let body = ''
    response.on('error', () => {})
    for await (const chunk of response as AsyncIterable<Buffer>) { // cast: no encoding is set, so chunks are buffers
      body += chunk.toString('latin1')
      if (body.length > 1024) break
    }
    response.destroy()
    body = body.trimEnd()
    switch (response.statusCode) {
      case 200: return 'the peer is too old for streams'
      case 410: this.#options.removedFromCluster(); return 'this member was removed from the cluster'
      case 404: return `peer ${formatId(peer)} does not know this member`
      case 412:
        if (body === incompatibleVersion) return 'the peer refuses this version'
        if (body === clusterIdMismatch) return `the peer belongs to cluster ${headerText(response.headers, 'x-etcd-cluster-id')}, this member to ${formatId(local.clusterId)}`
        return `the peer refuses: ${body}`
      default: return `the peer answers with status ${response.statusCode}`
    }
  }

  /** Ends with the connection. @throws what ended it, when it was not the peer closing it */
  #read(response: IncomingMessage): Promise<void> {
    const { clock, figures, client } = this.#options
    const { readMs } = client.timeouts
    const frames = this.#options.openFrames()
    return new Promise((resolve, reject) => {
      let heardMs = clock.monotonic()
      let isSuspect = false
      let watch = clock.setTimer(readMs, check, { keepAlive: false })
      function check(): void {
        const silentMs = clock.monotonic() - heardMs
        if (silentMs >= readMs && isSuspect) {
          response.destroy(new Error('the peer has been silent for too long'))
          return
        }
        // When it was this process that stood still, what has come meanwhile is read before it is judged.
        isSuspect = silentMs >= readMs
        watch = clock.setTimer(isSuspect ? graceMs : readMs - silentMs, check, { keepAlive: false })
      }
      response.on('data', (chunk: Buffer) => {
        heardMs = clock.monotonic()
        figures.receivedBytes += chunk.length
        try {
          frames.push(chunk)
        } catch (error) {
          figures.receiveFailures++
          response.destroy(error instanceof Error ? error : new Error(String(error)))
        }
      })
      response.on('end', () => { watch[Symbol.dispose](); resolve() })
      response.on('error', (error) => { watch[Symbol.dispose](); reject(error) })
      response.on('close', () => { watch[Symbol.dispose](); resolve() })
    })
  }
}

/** Not silence, which may be anything: the machine says that there is no such listener. */
function isRefused(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof Error && 'code' in cause && cause.code === 'ECONNREFUSED'
}

// Another member, as this one talks with it: two streams that it reads from us, two that we read from it, posts when there are none, and now
// and then a probe of how long a round trip takes. Upstream: rafthttp/{peer,probing_status}.go
import { sleep, type Clock } from '../../../lib/base/clock.ts'
import type { Logger } from '../../../lib/component-base/log.ts'
import type { Writable } from 'node:stream'
import type { Message } from '../raft/messages.ts'
import type { PeerClient } from './peer-client.ts'
import { formatId, type LocalPeer } from './peer-headers.ts'
import type { PeerFigures } from './peer-metrics.ts'
import { PeerStatus } from './peer-status.ts'
import type { SnapshotBody } from './peer-transport.ts'
import { Pipeline } from './pipeline.ts'
import { SnapshotSender } from './snapshot-sender.ts'
import { AppendFrameReader, AppendFrameWriter, MessageFrameReader, MessageFrameWriter } from './stream-frames.ts'
import { StreamReader } from './stream-reader.ts'
import { StreamWriter } from './stream-writer.ts'
import { UrlPicker } from './url-picker.ts'

export interface PeerOptions {
  readonly id: bigint
  readonly urls: readonly string[]
  readonly local: LocalPeer
  readonly client: PeerClient
  readonly clock: Clock
  readonly logger: Logger
  readonly figures: PeerFigures
  readonly frameLimitBytes: number
  /** A message came on a stream; who sent it and to whom is not checked yet. */
  receive(message: Message): void
  unreachable(id: bigint): void
  /** Nobody listens there any more. */
  ended(id: bigint): void
  removedFromCluster(): void
}

export type StreamKind = 'message' | 'msgapp'

export class Peer {
  readonly id: bigint
  readonly status: PeerStatus
  readonly #options: PeerOptions
  readonly #picker: UrlPicker
  readonly #appendWriter: StreamWriter
  readonly #messageWriter: StreamWriter
  readonly #readers: readonly StreamReader[]
  readonly #pipeline: Pipeline
  readonly #snapshots: SnapshotSender
  readonly #stop = new AbortController()

  constructor(options: PeerOptions) {
    const { id, clock, logger, figures, local, client } = options
    this.#options = options
    this.id = id
    this.status = new PeerStatus(id, clock, logger, figures)
    this.#picker = new UrlPicker(options.urls)
    const unreachable = (): void => options.unreachable(id)
    const removedFromCluster = (): void => options.removedFromCluster()
    const way = { local, client, timeouts: client.timeouts, picker: this.#picker, status: this.status, figures, logger, clock, unreachable, removedFromCluster }
    this.#appendWriter = new StreamWriter({ kind: 'msgapp', ...way })
    this.#messageWriter = new StreamWriter({ kind: 'message', ...way })
    this.#pipeline = new Pipeline(way)
    this.#snapshots = new SnapshotSender(way)
    const receive = (message: Message): void => options.receive(message)
    const ended = (): void => options.ended(id)
    this.#readers = [
      new StreamReader({ ...way, kind: 'msgapp', peer: id, ended, openFrames: () => new AppendFrameReader(local.id, id, receive, options.frameLimitBytes) }),
      new StreamReader({ ...way, kind: 'message', peer: id, ended, openFrames: () => new MessageFrameReader(receive, options.frameLimitBytes) }),
    ]
    void this.#probe()
  }

  get urls(): readonly string[] { return this.#picker.urls }

  /** The peer lives elsewhere now. */
  update(urls: readonly string[]): void {
    this.#picker.update(urls)
    for (const reader of this.#readers) reader.redial()
  }

  /** The peer has dialled us for its stream. */
  attach(kind: StreamKind, connection: Writable): void {
    if (kind === 'msgapp') this.#appendWriter.attach(connection, new AppendFrameWriter())
    else this.#messageWriter.attach(connection, new MessageFrameWriter())
  }

  /** False when the message was dropped. */
  send(message: Message): boolean {
    const isSent = message.type === 'MsgApp' && this.#appendWriter.isWorking ? this.#appendWriter.send(message)
      : this.#messageWriter.isWorking ? this.#messageWriter.send(message) : this.#pipeline.send(message)
    if (!isSent) this.#options.figures.sendFailures++
    return isSent
  }

  sendSnapshot(message: Message, body: SnapshotBody): Promise<'delivered' | 'failed'> { return this.#snapshots.send(message, body) }

  stop(): void {
    this.#stop.abort()
    this.#appendWriter.detach()
    this.#messageWriter.detach()
    for (const reader of this.#readers) reader.stop()
    this.#pipeline.stop()
    this.#snapshots.stop()
    this.status.forget()
  }

  async #probe(): Promise<void> {
    const { clock, client, figures, logger } = this.#options
    const { signal } = this.#stop
    const { readMs } = client.timeouts
    // They keep the connection for posts open: the other side closes it after five seconds.
    const intervalMs = readMs - 1000
    let wasDrifting = false
    for (;;) {
      try { await sleep(clock, intervalMs, signal) } catch { return }
      const url = this.#picker.pick()
      const startedMs = clock.monotonic()
      try {
        const answer = await client.ask(url, '/raft/probing', { method: 'GET', timeoutMs: readMs, maxAnswerBytes: 4096, signal })
        if (answer.status !== 200) continue
        const seconds = (clock.monotonic() - startedMs) / 1000
        figures.roundTrip.observe(seconds)
        const driftMs = Math.abs(clock.now() - seconds * 500 - probedTime(answer.body))
        if (driftMs > 1000 && !wasDrifting) logger.warn('clocks differ', { 'peer-id': formatId(this.id), milliseconds: Math.round(driftMs) })
        wasDrifting = driftMs > 1000
      } catch {
        // The streams report that the peer is away; here only the URL changes.
        this.#picker.unreachable(url)
      }
    }
  }
}

/** The peer's wall clock, milliseconds; NaN when it says none. */
function probedTime(body: Buffer): number {
  return Date.parse(/"Now":"([^"]{1,64})"/.exec(body.toString('latin1'))?.[1] ?? '')
}

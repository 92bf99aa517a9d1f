// The writing end of a stream: a peer has dialled this member and reads what is written here.
//
// What is said in one turn of the event loop goes out in one write. While the socket doesn't keep up, messages wait, at most 4,096 of them;
// what comes beyond is dropped, and Raft is told. Three times within a read timeout (every 1.7 s) a heartbeat shows the reader that its connection lives. A new connection of
// the same kind takes the place of the one before. Upstream: rafthttp/stream.go (streamWriter)
import type { Writable } from 'node:stream'
import type { Clock, Timer } from '../../../lib/base/clock.ts'
import type { Message } from '../raft/messages.ts'
import { ByteBuffer } from './byte-buffer.ts'
import type { PeerFigures } from './peer-metrics.ts'
import type { PeerStatus } from './peer-status.ts'
import { defaultPeerTimeouts, type PeerTimeouts } from './peer-timeouts.ts'
import type { FrameWriter } from './stream-frames.ts'

/** Messages that wait for the socket. */
const queueLimit = 4096
/** Bytes given to the socket that it has not sent: beyond, messages wait. */
const backlogBytes = 1 << 20

export interface StreamWriterOptions {
  readonly kind: 'message' | 'msgapp'
  readonly clock: Clock
  readonly status: PeerStatus
  readonly figures: PeerFigures
  readonly timeouts?: PeerTimeouts
  /** Messages were lost on their way to the peer. */
  unreachable(): void
}

export class StreamWriter {
  readonly #options: StreamWriterOptions
  readonly #timeouts: PeerTimeouts
  readonly #out = new ByteBuffer(16 << 10)
  #connection: Writable | undefined
  #frames: FrameWriter | undefined
  #queue: Message[] = []
  /** Messages written into `#out`; they wait for the end of the turn. */
  #collected = 0
  #flushPlanned = false
  #blockedSinceMs: number | undefined
  #wasStuck = false
  #heartbeat: Timer | undefined

  constructor(options: StreamWriterOptions) {
    this.#options = options
    this.#timeouts = options.timeouts ?? defaultPeerTimeouts
  }

  get isWorking(): boolean { return this.#connection !== undefined }

  /** Takes over a connection; the one before is closed. */
  attach(connection: Writable, frames: FrameWriter): void {
    this.detach()
    const lost = (error?: Error): void => { if (this.#connection === connection) this.#lose('write', error ?? new Error('the peer has closed the stream')) }
    this.#connection = connection
    this.#frames = frames
    connection.on('error', lost)
    connection.on('close', () => lost())
    connection.on('drain', () => { if (this.#connection === connection) this.#drained() })
    this.#options.status.activate()
    this.#planHeartbeat()
  }

  /** Closes the stream; what waits is lost. */
  detach(): void {
    const connection = this.#connection
    if (connection === undefined) return
    this.#connection = undefined
    this.#frames = undefined
    this.#heartbeat?.[Symbol.dispose]()
    if (this.#queue.length > 0 || this.#collected > 0) this.#options.unreachable()
    this.#queue = []
    this.#collected = 0
    this.#blockedSinceMs = undefined
    this.#wasStuck = false
    this.#out.take()
    connection.destroy()
  }

  #lose(action: string, error: unknown): void {
    this.#options.status.deactivate(action, this.#options.kind, error)
    this.#options.figures.sendFailures++
    this.detach()
  }

  /** False when the message was dropped, because the peer doesn't keep up. */
  send(message: Message): boolean {
    const { connection, frames } = { connection: this.#connection, frames: this.#frames }
    if (connection === undefined || frames === undefined) return false
    if (this.#queue.length > 0 || connection.writableLength + this.#out.length > backlogBytes) {
      if (this.#queue.length >= queueLimit) return false
      this.#queue.push(message)
      this.#watchBlocked()
    } else {
      frames.message(this.#out, message)
      this.#collected++
    }
    this.#planFlush()
    return true
  }

  #planFlush(): void {
    if (this.#flushPlanned) return
    this.#flushPlanned = true
    queueMicrotask(this.#endTurn)
  }

  readonly #endTurn = (): void => {
    this.#flushPlanned = false
    this.#flush()
    if (this.#queue.length > 0 && this.#connection?.writableNeedDrain === false) this.#drained()
  }

  #flush(): void {
    const connection = this.#connection
    if (connection === undefined || this.#out.length === 0) return
    this.#options.figures.sentBytes += this.#out.length
    this.#collected = 0
    connection.write(this.#out.take())
    if (connection.writableNeedDrain) this.#watchBlocked()
  }

  #watchBlocked(): void { this.#blockedSinceMs ??= this.#options.clock.monotonic() }

  #drained(): void {
    this.#blockedSinceMs = undefined
    let taken = 0
    // A socket that takes a write at once announces no drain behind it: then the next piece follows here.
    for (;;) {
      const { connection, frames } = { connection: this.#connection, frames: this.#frames }
      if (connection === undefined || frames === undefined) return
      for (let message = this.#queue[taken]; message !== undefined && this.#out.length <= backlogBytes; message = this.#queue[taken]) {
        frames.message(this.#out, message)
        this.#collected++
        taken++
      }
      this.#flush()
      if (taken === this.#queue.length || connection.writableNeedDrain) break
    }
    this.#queue = this.#queue.slice(taken)
    if (this.#queue.length > 0) this.#watchBlocked()
  }

  #planHeartbeat(): void { this.#heartbeat = this.#options.clock.setTimer(this.#timeouts.readMs / 3, this.#beat, { keepAlive: false }) }

  readonly #beat = (): void => {
    const connection = this.#connection
    if (connection === undefined) return
    const isStuck = this.#blockedSinceMs !== undefined && this.#options.clock.monotonic() - this.#blockedSinceMs >= this.#timeouts.writeMs
    // Seen twice: when it was this process that stood still, the socket may not have been asked yet.
    if (isStuck && this.#wasStuck) {
      this.#lose('heartbeat', new Error('the peer takes nothing any more'))
      return
    }
    this.#wasStuck = isStuck
    this.#planHeartbeat()
    if (this.#queue.length > 0 || connection.writableNeedDrain) return
    this.#frames?.heartbeat(this.#out)
    this.#planFlush()
  }
}

// The server's side of one HTTP/2 connection: takes the bytes of a socket apart, keeps the streams and both directions' flow control, and
// puts answers together in one buffer a turn (output-stage.ts).
//
// Rules it keeps: a violation of the protocol ends the stream or the connection with the code that RFC 9113 names; whatever a peer can make
// us hold or do is bounded (streams, header bytes, resets, pings, settings, bytes that wait); a blocked stream waits as bytes in its queue and
// as one entry of a set, and window updates touch only streams that can go on.
import type { Clock } from '../../base/clock.ts'
import type { AnswerFrames } from './answer-frames.ts'
import { ByteQueue } from './byte-queue.ts'
import { connectionWindowBytes, continuationLimit, handshakeTimeoutMs, limits, rememberedResets, streamWindowBytes, tooLargeHeaders, unpad, violation } from './connection-limits.ts'
import { defaultFrameBytes, defaultWindowBytes, errorCodes, flags, FrameReader, frameHeadBytes, frameTypes, Http2Error, largestWindowBytes, settingIds, settingsPayload, writeFrameHead, type FrameSink } from './frame-format.ts'
import { FrameWriter } from './frame-writer.ts'
import { HeaderMemo } from './header-memo.ts'
import { HpackDecoder, HpackError } from './hpack.ts'
import { KeepAlive, type KeepAlivePolicy } from './keep-alive.ts'
import { OutputStage, type OutputSocket } from './output-stage.ts'
import { RateLimit } from './rate-limit.ts'
import { areTrailers, requestHeaders } from './request-headers.ts'
import { Http2ServerStream } from './server-stream.ts'

export interface Http2ConnectionOptions {
  readonly socket: OutputSocket
  readonly clock: Clock
  /** Runs something at the end of this turn of the event loop: setImmediate. */
  readonly defer: (run: () => void) => void
  /** A request has come; it must set `consumer` or answer at once. */
  readonly onStream: (stream: Http2ServerStream) => void
  readonly maxConcurrentStreams?: number
  readonly maxHeaderListBytes?: number
  readonly keepAlive?: KeepAlivePolicy
}

const empty = new Uint8Array(0)
interface HeaderBlock { readonly stream: number; readonly endStream: boolean; readonly pieces: Buffer[]; bytes: number }

export class Http2ServerConnection implements FrameSink {
  readonly #options: Http2ConnectionOptions
  readonly #socket: OutputSocket
  readonly #stage: OutputStage
  readonly #out: FrameWriter
  readonly #reader: FrameReader
  readonly #hpack: HpackDecoder
  readonly #streams = new Map<number, Http2ServerStream>()
  /** Streams with data that the connection's window or the socket holds up. */
  readonly #waiting = new Set<Http2ServerStream>()
  /** Streams that this side reset: what the peer sent before it knew is passed over. */
  readonly #reset = new Set<number>()
  /** Requests by the bytes of their header block, while the table stays as it is. */
  readonly #memo = new HeaderMemo()
  readonly #maxConcurrentStreams: number
  readonly #maxHeaderListBytes: number
  readonly #resets: RateLimit
  readonly #controls: RateLimit
  readonly #now: () => number
  #lastStream = 0
  #sendWindow = defaultWindowBytes
  #receiveWindow = connectionWindowBytes
  #consumedBytes = 0
  #peerStreamWindow = defaultWindowBytes
  #block: HeaderBlock | undefined
  #settingsSeen = false
  #isDraining = false
  #isClosed = false
  readonly #keepAlive: KeepAlive
  #openedMs: number
  #blockSinceMs = 0
  #isActive = false

  constructor(options: Http2ConnectionOptions) {
    this.#options = options
    this.#socket = options.socket
    this.#now = () => options.clock.monotonic()
    this.#openedMs = this.#now()
    this.#keepAlive = new KeepAlive(options.keepAlive ?? {}, this.#openedMs)
    this.#maxConcurrentStreams = options.maxConcurrentStreams ?? 100_000
    this.#maxHeaderListBytes = options.maxHeaderListBytes ?? 1024 * 1024
    this.#resets = new RateLimit(limits.resets[0], limits.resets[1], this.#openedMs)
    this.#controls = new RateLimit(limits.controls[0], limits.controls[1], this.#openedMs)
    this.#stage = new OutputStage(options.socket, options.defer)
    this.#out = new FrameWriter(this.#stage)
    this.#reader = new FrameReader(this)
    this.#hpack = new HpackDecoder({ maxListBytes: this.#maxHeaderListBytes })
    this.#out.settings(settingsPayload([
      [settingIds.maxConcurrentStreams, this.#maxConcurrentStreams], [settingIds.initialWindowSize, streamWindowBytes], [settingIds.maxHeaderListSize, this.#maxHeaderListBytes],
    ]))
    this.#out.windowUpdate(0, connectionWindowBytes - defaultWindowBytes)
  }

  /** Those that are open now; they may be closed meanwhile. */
  get openStreams(): number { return this.#streams.size }
  get streams(): Iterable<Http2ServerStream> { return this.#streams.values() }
  get isClosed(): boolean { return this.#isClosed }

  // ---- what comes in ----

  /** Bytes from the socket. Never throws: violations end the connection. */
  push(chunk: Buffer): void {
    if (this.#isClosed) return
    this.#isActive = true
    try {
      this.#reader.push(chunk)
    } catch (error) {
      if (error instanceof Http2Error) this.#fail(error.code, error.message)
      else if (error instanceof HpackError) this.#fail(errorCodes.compressionError, error.message)
      else {
        this.#fail(errorCodes.internalError, 'internal error')
        throw error
      }
    }
  }

  frame(type: number, frameFlags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (this.#isClosed) return
    if (this.#block && (type !== frameTypes.continuation || id !== this.#block.stream)) throw violation('a header block is not complete')
    if (!this.#settingsSeen && type !== frameTypes.settings) throw violation('no SETTINGS first')
    switch (type) {
      case frameTypes.data: this.#onData(frameFlags, id, bytes, start, end); return
      case frameTypes.headers: this.#onHeaders(frameFlags, id, bytes, start, end); return
      case frameTypes.continuation: this.#onContinuation(frameFlags, bytes, start, end); return
      case frameTypes.windowUpdate: this.#onWindowUpdate(id, bytes, start, end); return
      case frameTypes.rstStream: this.#onReset(id, start, end); return
      case frameTypes.settings: this.#onSettings(frameFlags, id, bytes, start, end); return
      case frameTypes.ping: this.#onPing(frameFlags, id, bytes, start, end); return
      case frameTypes.priority: this.#onPriority(id, bytes, start, end); return
      case frameTypes.goaway:
        if (id !== 0) throw violation('GOAWAY on a stream')
        if (end - start < 8) throw new Http2Error(errorCodes.frameSizeError, 'GOAWAY too short')
        this.#isDraining = true
        this.#endWhenDrained()
        return
      case frameTypes.pushPromise: throw violation('PUSH_PROMISE from a client')
      default: this.#control() // an extension: passed over
    }
  }

  #control(): void {
    if (!this.#controls.take(this.#now)) throw new Http2Error(errorCodes.enhanceYourCalm, 'too many control frames')
  }

  #onData(frameFlags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id === 0) throw violation('DATA on the connection')
    const size = end - start
    this.#receiveWindow -= size
    if (this.#receiveWindow < 0) throw new Http2Error(errorCodes.flowControlError, 'window of the connection exceeded')
    const [from, to] = unpad(frameFlags, bytes, start, end)
    const stream = this.#streams.get(id)
    if (!stream || stream.remoteEnded) {
      this.#release(size)
      this.#onStrayFrame(id, stream)
      return
    }
    stream.receiveWindow -= size
    if (stream.receiveWindow < 0) { this.#release(size); this.#refuse(id, errorCodes.flowControlError); return }
    const padding = size - (to - from)
    if (padding > 0) this.release(stream, padding)
    stream.receivedBytes += to - from
    const ends = (frameFlags & flags.endStream) !== 0
    if (size === 0 && !ends) this.#control()
    if (stream.expectedBytes !== undefined && (stream.receivedBytes > stream.expectedBytes || (ends && stream.receivedBytes < stream.expectedBytes))) {
      this.#release(to - from)
      this.#refuse(id, errorCodes.protocolError)
      return
    }
    if (ends) stream.remoteEnded = true
    if (to > from) stream.take(bytes.subarray(from, to))
    if (ends && !stream.isClosed) stream.takeEnd()
  }

  /** A frame for a stream that is not open at the peer's side. */
  #onStrayFrame(id: number, stream: Http2ServerStream | undefined): void {
    if (id > this.#lastStream || id % 2 === 0) throw violation('frame on an idle stream')
    if (stream) { this.#refuse(id, errorCodes.streamClosed); return }
    if (!this.#reset.has(id)) throw new Http2Error(errorCodes.streamClosed, 'frame on a closed stream')
  }

  #onHeaders(frameFlags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id === 0 || id % 2 === 0) throw violation('HEADERS on an illegal stream')
    let [from, to] = unpad(frameFlags, bytes, start, end)
    if ((frameFlags & flags.priority) !== 0) {
      if (to - from < 5) throw new Http2Error(errorCodes.frameSizeError, 'HEADERS too short')
      if ((bytes.readUInt32BE(from) & 0x7fffffff) === id) throw violation('a stream depends on itself')
      from += 5
    }
    const endStream = (frameFlags & flags.endStream) !== 0
    if ((frameFlags & flags.endHeaders) !== 0) { this.#onBlock(id, endStream, bytes, from, to); return }
    this.#blockSinceMs = this.#now()
    this.#block = { stream: id, endStream, pieces: [bytes.subarray(from, to)], bytes: to - from }
  }

  #onContinuation(frameFlags: number, bytes: Buffer, start: number, end: number): void {
    const block = this.#block
    if (!block) throw violation('CONTINUATION without HEADERS')
    block.pieces.push(bytes.subarray(start, end))
    block.bytes += end - start
    if (block.bytes > this.#maxHeaderListBytes || block.pieces.length > continuationLimit) throw new Http2Error(errorCodes.enhanceYourCalm, 'header block too large')
    if ((frameFlags & flags.endHeaders) === 0) return
    this.#block = undefined
    this.#onBlock(block.stream, block.endStream, Buffer.concat(block.pieces, block.bytes), 0, block.bytes)
  }

  #onBlock(id: number, endStream: boolean, bytes: Buffer, start: number, end: number): void {
    const isNew = id > this.#lastStream
    let headers = isNew ? this.#memo.get(bytes, start, end) : undefined
    if (!headers) {
      const before = this.#hpack.generation
      const { fields, tooLarge } = this.#hpack.decode(bytes, start, end)
      const after = this.#hpack.generation
      if (after !== before) this.#memo.clear()
      if (!isNew) { this.#onTrailers(id, endStream, !tooLarge && areTrailers(fields)); return }
      if (tooLarge) { this.#refuseLargeHeaders(id, endStream); return }
      headers = requestHeaders(fields)
      if (headers && before === after) this.#memo.set(bytes, start, end, headers)
    }
    this.#lastStream = id
    if (!headers) { this.#refuse(id, errorCodes.protocolError); return }
    if (this.#isDraining || this.#streams.size >= this.#maxConcurrentStreams) { this.#refuse(id, errorCodes.refusedStream); return }
    const stream = new Http2ServerStream(this, id, headers, this.#peerStreamWindow, streamWindowBytes)
    if (endStream && stream.expectedBytes) { this.#refuse(id, errorCodes.protocolError); return }
    this.#streams.set(id, stream)
    stream.remoteEnded = endStream
    this.#options.onStream(stream)
    if (endStream && !stream.isClosed) stream.takeEnd()
  }

  #onTrailers(id: number, endStream: boolean, valid: boolean): void {
    const stream = this.#streams.get(id)
    if (!stream || stream.remoteEnded) { this.#onStrayFrame(id, stream); return }
    if (!valid || !endStream || (stream.expectedBytes !== undefined && stream.expectedBytes !== stream.receivedBytes)) { this.#refuse(id, errorCodes.protocolError); return }
    stream.remoteEnded = true
    stream.takeEnd()
  }

  #refuseLargeHeaders(id: number, endStream: boolean): void {
    this.#lastStream = id
    this.#out.headers(id, tooLargeHeaders, true)
    if (!endStream) this.#refuse(id, errorCodes.noError)
  }

  #onWindowUpdate(id: number, bytes: Buffer, start: number, end: number): void {
    if (end - start !== 4) throw new Http2Error(errorCodes.frameSizeError, 'WINDOW_UPDATE of a wrong size')
    const increment = bytes.readUInt32BE(start) & 0x7fffffff
    if (id === 0) {
      if (increment === 0) throw violation('window update of 0')
      this.#sendWindow += increment
      if (this.#sendWindow > largestWindowBytes) throw new Http2Error(errorCodes.flowControlError, 'window too large')
      this.#pumpWaiting()
      return
    }
    const stream = this.#streams.get(id)
    if (!stream) {
      if (id > this.#lastStream) throw violation('frame on an idle stream')
      this.#control()
      return
    }
    stream.sendWindow += increment
    if (increment === 0) this.#refuse(id, errorCodes.protocolError)
    else if (stream.sendWindow > largestWindowBytes) this.#refuse(id, errorCodes.flowControlError)
    else this.#pump(stream)
  }

  #onReset(id: number, start: number, end: number): void {
    if (end - start !== 4) throw new Http2Error(errorCodes.frameSizeError, 'RST_STREAM of a wrong size')
    if (id === 0 || id > this.#lastStream) throw violation('RST_STREAM on an idle stream')
    if (!this.#resets.take(this.#now)) throw new Http2Error(errorCodes.enhanceYourCalm, 'too many resets')
    const stream = this.#streams.get(id)
    if (stream) this.#close(stream)
  }

  #onPriority(id: number, bytes: Buffer, start: number, end: number): void {
    if (id === 0) throw violation('PRIORITY on the connection')
    this.#control()
    if (end - start !== 5) this.#refuse(id, errorCodes.frameSizeError)
    else if ((bytes.readUInt32BE(start) & 0x7fffffff) === id) this.#refuse(id, errorCodes.protocolError)
  }

  #onPing(frameFlags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id !== 0) throw violation('PING on a stream')
    if (end - start !== 8) throw new Http2Error(errorCodes.frameSizeError, 'PING of a wrong size')
    if ((frameFlags & flags.ack) !== 0) { this.#keepAlive.answered(); return }
    this.#control()
    if (!this.#keepAlive.allowsPing(this.#now(), this.#streams.size > 0)) throw new Http2Error(errorCodes.enhanceYourCalm, 'too_many_pings')
    this.#out.ping(bytes.subarray(start, end), true)
  }

  #onSettings(frameFlags: number, id: number, bytes: Buffer, start: number, end: number): void {
    if (id !== 0) throw violation('SETTINGS on a stream')
    if ((frameFlags & flags.ack) !== 0) {
      if (end > start) throw new Http2Error(errorCodes.frameSizeError, 'SETTINGS acknowledgement with content')
      return
    }
    if ((end - start) % 6 !== 0) throw new Http2Error(errorCodes.frameSizeError, 'SETTINGS of a wrong size')
    this.#settingsSeen = true
    this.#control()
    for (let at = start; at < end; at += 6) this.#applySetting(bytes.readUInt16BE(at), bytes.readUInt32BE(at + 2))
    this.#out.settingsAck()
    this.#pumpWaiting()
  }

  #applySetting(id: number, value: number): void {
    switch (id) {
      // What we write never uses the table; a smaller one must nevertheless be confirmed in the next block.
      case settingIds.headerTableSize: if (value < 4096) this.#out.mustResizeTable = true; return
      case settingIds.enablePush: if (value > 1) throw violation('illegal setting'); return
      case settingIds.initialWindowSize: {
        if (value > largestWindowBytes) throw new Http2Error(errorCodes.flowControlError, 'window too large')
        const change = value - this.#peerStreamWindow
        this.#peerStreamWindow = value
        for (const stream of this.#streams.values()) {
          stream.sendWindow += change
          if (stream.sendWindow > largestWindowBytes) throw new Http2Error(errorCodes.flowControlError, 'window too large')
          if (stream.queuedBytes > 0) this.#waiting.add(stream)
        }
        return
      }
      case settingIds.maxFrameSize:
        if (value < defaultFrameBytes || value > 2 ** 24 - 1) throw violation('illegal setting')
        this.#out.maxFrameBytes = Math.min(value, 65_536)
        return
      default:
    }
  }

  // ---- what goes out ----

  sendHeaders(stream: Http2ServerStream, block: Buffer, endStream: boolean): void {
    stream.headersSent = true
    this.#keepAlive.hasSent = true
    this.#out.headers(stream.id, block, endStream)
    if (endStream) this.#endLocal(stream)
  }

  sendData(stream: Http2ServerStream, head: Uint8Array, body: Uint8Array, tail: Uint8Array = empty): void {
    const size = head.length + body.length + tail.length
    this.#keepAlive.hasSent = true
    if (stream.queuedBytes === 0 && size <= stream.sendWindow && size <= this.#sendWindow && !this.#stage.isBlocked) {
      stream.sendWindow -= size
      this.#sendWindow -= size
      this.#out.data(stream.id, head, body, tail)
      return
    }
    const { length } = (stream.pending ??= new ByteQueue())
    stream.pending.push(head, body, tail)
    // What waits already goes on with its window or its socket, and then the consumer is told so.
    if (length === 0) this.#pump(stream, false)
  }

  /** Where `reserveWhole` gives room. */
  get outputBytes(): Buffer { return this.#stage.bytes }

  reserveWhole(stream: Http2ServerStream, frames: AnswerFrames, size: number): number {
    if (!stream.remoteEnded || size > stream.sendWindow || size > this.#sendWindow || size > this.#out.maxFrameBytes || this.#out.mustResizeTable || this.#stage.isBlocked) return -1
    this.#sendWindow -= size
    this.#keepAlive.hasSent = true
    const at = this.#stage.take(frames.extraBytes + size)
    const start = frames.write(this.#stage.bytes, at, stream.id, size)
    stream.headersSent = true
    stream.localEnded = true
    this.#close(stream)
    return start
  }

  finish(stream: Http2ServerStream, trailers: Buffer): void {
    stream.trailers = trailers
    if (stream.queuedBytes === 0) this.#finishNow(stream)
  }

  #finishNow(stream: Http2ServerStream): void {
    const { trailers } = stream
    if (!trailers) return
    if (trailers.length > 0) this.#out.headers(stream.id, trailers, true)
    else this.#out.endStream(stream.id)
    this.#endLocal(stream)
  }

  /** Everything is sent. What the client still sends is not wanted. */
  #endLocal(stream: Http2ServerStream): void {
    stream.localEnded = true
    if (stream.remoteEnded) this.#close(stream)
    else this.resetStream(stream.id, errorCodes.noError)
  }

  #pump(stream: Http2ServerStream, tells = true): void {
    const { pending } = stream
    if (pending === undefined || pending.length === 0) return
    while (pending.length > 0) {
      if (this.#sendWindow <= 0 || this.#stage.isBlocked) { this.#waiting.add(stream); return }
      if (stream.sendWindow <= 0) return
      const size = Math.min(pending.length, this.#out.maxFrameBytes, stream.sendWindow, this.#sendWindow)
      this.#keepAlive.hasSent = true // Go pings once per piece of a long answer, which goes out as the windows allow.
      const at = this.#stage.take(frameHeadBytes + size)
      pending.shift(this.#stage.bytes, writeFrameHead(this.#stage.bytes, at, size, frameTypes.data, 0, stream.id), size)
      stream.sendWindow -= size
      this.#sendWindow -= size
    }
    if (stream.trailers) this.#finishNow(stream)
    else if (tells) stream.consumer?.drain()
  }

  #pumpWaiting(): void {
    // Those that are held up again go to the end of the set, behind the ones that have not had their turn.
    for (let count = this.#waiting.size; count > 0 && this.#sendWindow > 0 && !this.#stage.isBlocked; count--) {
      const [stream] = this.#waiting
      if (!stream) return
      this.#waiting.delete(stream)
      this.#pump(stream)
    }
  }

  /** The socket has taken everything. */
  drained(): void { if (!this.#isClosed) this.#pumpWaiting() }

  /** Gives `count` bytes that a consumer has taken back to the peer's windows. */
  release(stream: Http2ServerStream, count: number): void {
    this.#release(count)
    stream.consumedBytes += count
    if (stream.consumedBytes < streamWindowBytes / 2 || stream.remoteEnded) return
    stream.receiveWindow += stream.consumedBytes
    this.#out.windowUpdate(stream.id, stream.consumedBytes)
    stream.consumedBytes = 0
  }

  #release(count: number): void {
    this.#consumedBytes += count
    if (this.#consumedBytes < connectionWindowBytes / 2) return
    this.#receiveWindow += this.#consumedBytes
    this.#out.windowUpdate(0, this.#consumedBytes)
    this.#consumedBytes = 0
  }

  // ---- ends ----

  /** Ends a stream because of what the peer did. It must not make us do that without end. */
  #refuse(id: number, code: number): void {
    if (code !== errorCodes.noError && !this.#resets.take(this.#now)) throw new Http2Error(errorCodes.enhanceYourCalm, 'too many resets')
    this.resetStream(id, code)
  }

  resetStream(id: number, code: number): void {
    this.#out.reset(id, code)
    this.#reset.add(id)
    if (this.#reset.size > rememberedResets) for (const oldest of this.#reset) { this.#reset.delete(oldest); break }
    const stream = this.#streams.get(id)
    if (stream) this.#close(stream)
  }

  #close(stream: Http2ServerStream): void {
    if (stream.isClosed) return
    stream.isClosed = true
    this.#streams.delete(stream.id)
    this.#waiting.delete(stream)
    stream.pending?.clear()
    const unread = stream.dropInbox()
    if (unread > 0) this.#release(unread)
    stream.consumer?.closed()
    this.#endWhenDrained()
  }

  #endWhenDrained(): void {
    if (!this.#isDraining || this.#streams.size > 0 || this.#isClosed) return
    this.#isClosed = true
    this.#stage.close()
    this.#socket.end()
  }

  /** Takes no new streams; the connection ends when those that are open have. */
  shutdown(): void {
    if (this.#isClosed || this.#isDraining) return
    this.#isDraining = true
    this.#out.goaway(this.#lastStream, errorCodes.noError, '')
    this.#endWhenDrained()
  }

  #fail(code: number, reason: string): void {
    if (this.#isClosed) return
    this.#out.goaway(this.#lastStream, code, reason)
    this.#stage.close()
    this.closed()
    this.#socket.end()
  }

  /** The socket is gone. */
  closed(): void {
    this.#isClosed = true
    this.#stage.close()
    for (const stream of this.#streams.values()) this.#close(stream)
  }

  /** To be called every few seconds: ends connections that do not begin, do not go on, or do not answer. */
  check(): void {
    const now = this.#now()
    const wasActive = this.#isActive
    this.#isActive = false
    if (this.#isClosed) { this.#socket.destroy(); return }
    if (!this.#settingsSeen && now - this.#openedMs >= handshakeTimeoutMs) { this.#fail(errorCodes.settingsTimeout, 'no SETTINGS'); return }
    if (this.#block && now - this.#blockSinceMs >= handshakeTimeoutMs) { this.#fail(errorCodes.enhanceYourCalm, 'header block takes too long'); return }
    const found = this.#keepAlive.look(now, wasActive)
    if (found === 'ask') this.#out.ping(Buffer.alloc(8), false)
    else if (found === 'dead') { this.closed(); this.#socket.destroy() }
  }
}

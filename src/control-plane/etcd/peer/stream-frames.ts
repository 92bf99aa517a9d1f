// How messages lie in a stream between two members.
//
// The stream `message` takes every type: eight bytes of length, the message. The stream `msgapp` takes MsgApp alone and saves what both sides
// know: a byte tells what comes, 0 nothing (the peer lives), 1 entries that follow the ones before (count, then length and entry for each, then
// the commit index), 2 a whole message (length, message). All numbers are 64 bits, highest byte first.
//
// Readers are fed whatever the socket gives. They keep at most one frame, grow only with bytes that have come, and refuse a frame that says it
// is larger than the limit. Upstream: rafthttp/{msgappv2,msg}_codec.go
import { noEntries, type Entry, type Message } from '../raft/messages.ts'
import type { ByteBuffer } from './byte-buffer.ts'
import { decodeEntry, decodeMessage, entrySize, messageSize, writeEntry, writeMessage } from './raft-wire.ts'

/** The peer has said what no member says: the connection is of no use any more. */
export class FrameError extends Error {
  override readonly name = 'FrameError'
}

/** The largest frame that is believed. An append has 1 MiB, or one entry, which is as large as the largest request. */
export const defaultFrameLimitBytes = 64 << 20
/** Entries of one frame: an append's 1 MiB holds far fewer. */
const entryLimit = 1 << 18

export interface FrameWriter {
  heartbeat(out: ByteBuffer): void
  message(out: ByteBuffer, message: Message): void
}

export class MessageFrameWriter implements FrameWriter {
  /** A MsgHeartbeat of nobody to nobody. */
  heartbeat(out: ByteBuffer): void {
    out.reserve(10)
    out.uint64(2)
    out.byte(0x08)
    out.byte(0x08)
  }

  message(out: ByteBuffer, message: Message): void {
    const size = messageSize(message)
    out.reserve(8 + size)
    out.uint64(size)
    writeMessage(out, message)
  }
}

const kinds = { heartbeat: 0, entries: 1, message: 2 } as const

export class AppendFrameWriter implements FrameWriter {
  /** Place of the last entry that was written. */
  #term = 0
  #index = 0

  heartbeat(out: ByteBuffer): void {
    out.reserve(1)
    out.byte(kinds.heartbeat)
  }

  message(out: ByteBuffer, message: Message): void {
    const { entries } = message
    if (this.#index === message.index && this.#term === message.logTerm && message.logTerm === message.term) {
      out.reserve(17)
      out.byte(kinds.entries)
      out.uint64(entries.length)
      for (const entry of entries) {
        const size = entrySize(entry)
        out.reserve(8 + size)
        out.uint64(size)
        writeEntry(out, entry)
      }
      out.reserve(8)
      out.uint64(message.commit)
      this.#index += entries.length
      return
    }
    const size = messageSize(message)
    out.reserve(9 + size)
    out.byte(kinds.message)
    out.uint64(size)
    writeMessage(out, message)
    this.#term = message.term
    this.#index = entries.at(-1)?.index ?? message.index
  }
}

/** Bytes as they came, handed out in pieces of wished size. */
class ByteQueue {
  readonly #chunks: Buffer[] = []
  /** Read already from the first chunk. */
  #offset = 0
  length = 0

  push(chunk: Buffer): void {
    if (chunk.length === 0) return
    this.#chunks.push(chunk)
    this.length += chunk.length
  }

  /** Exactly `count` bytes, or undefined while there are fewer. */
  take(count: number): Buffer | undefined {
    if (this.length < count) return undefined
    this.length -= count
    const first = this.#chunks[0]
    if (first !== undefined && first.length - this.#offset >= count) {
      const piece = first.subarray(this.#offset, this.#offset + count)
      this.#offset += count
      if (this.#offset === first.length) { this.#chunks.shift(); this.#offset = 0 }
      return piece
    }
    const joined = Buffer.allocUnsafe(count)
    let filled = 0
    let used = 0
    for (const chunk of this.#chunks) {
      const size = Math.min(chunk.length - this.#offset, count - filled)
      chunk.copy(joined, filled, this.#offset, this.#offset + size)
      filled += size
      if (this.#offset + size < chunk.length) { this.#offset += size; break }
      this.#offset = 0
      used++
      if (filled === count) break
    }
    this.#chunks.splice(0, used)
    return joined
  }
}

/** A 64-bit number that says how much comes. @throws FrameError above the limit */
function readSize(bytes: Buffer, limit: number): number {
  const size = bytes.readUInt32BE(0) * 2 ** 32 + bytes.readUInt32BE(4)
  if (size > limit) throw new FrameError(`a frame of ${size} bytes is larger than ${limit}`)
  return size
}

export interface FrameReader {
  /** Takes what the socket gave; each whole message goes to the sink. @throws FrameError, WireError: the stream is of no use any more */
  push(chunk: Buffer): void
}

export class MessageFrameReader implements FrameReader {
  readonly #queue = new ByteQueue()
  readonly #sink: (message: Message) => void
  readonly #limit: number
  #size = -1

  constructor(sink: (message: Message) => void, limitBytes = defaultFrameLimitBytes) {
    this.#sink = sink
    this.#limit = limitBytes
  }

  push(chunk: Buffer): void {
    this.#queue.push(chunk)
    for (;;) {
      if (this.#size < 0) {
        const header = this.#queue.take(8)
        if (header === undefined) return
        this.#size = readSize(header, this.#limit)
      }
      const body = this.#queue.take(this.#size)
      if (body === undefined) return
      this.#size = -1
      const message = decodeMessage(body)
      if (message.type === 'MsgHeartbeat' && message.from === 0n && message.to === 0n) continue
      this.#sink(message)
    }
  }
}

export class AppendFrameReader implements FrameReader {
  readonly #queue = new ByteQueue()
  readonly #self: bigint
  readonly #peer: bigint
  readonly #sink: (message: Message) => void
  readonly #limit: number
  #expects: 'kind' | 'count' | 'entry size' | 'entry' | 'commit' | 'message size' | 'message' = 'kind'
  #size = 0
  #missing = 0
  #frameBytes = 0
  #entries: Entry[] = []
  #term = 0
  #index = 0

  /** @param self who reads, @param peer who writes: frames of entries don't say it. */
  constructor(self: bigint, peer: bigint, sink: (message: Message) => void, limitBytes = defaultFrameLimitBytes) {
    this.#self = self
    this.#peer = peer
    this.#sink = sink
    this.#limit = limitBytes
  }

  push(chunk: Buffer): void {
    this.#queue.push(chunk)
    while (this.#step()) { /* one part of a frame each */ }
  }

  /** False when bytes are missing. */
  #step(): boolean {
    const bytes = this.#queue.take(this.#needed())
    if (bytes === undefined) return false
    switch (this.#expects) {
      case 'kind': this.#begin(bytes[0]); break
      case 'count':
        this.#missing = readSize(bytes, entryLimit)
        this.#entries = []
        this.#frameBytes = 0
        this.#expects = this.#missing > 0 ? 'entry size' : 'commit'
        break
      case 'entry size':
        this.#size = readSize(bytes, this.#limit - this.#frameBytes)
        this.#frameBytes += this.#size
        this.#expects = 'entry'
        break
      case 'entry':
        this.#entries.push(decodeEntry(bytes))
        this.#expects = --this.#missing > 0 ? 'entry size' : 'commit'
        break
      case 'commit': this.#finishEntries(readSize(bytes, Number.MAX_SAFE_INTEGER)); break
      case 'message size':
        this.#size = readSize(bytes, this.#limit)
        this.#expects = 'message'
        break
      case 'message': this.#finishMessage(bytes); break
    }
    return true
  }

  #needed(): number {
    if (this.#expects === 'kind') return 1
    return this.#expects === 'entry' || this.#expects === 'message' ? this.#size : 8
  }

  #begin(kind: number | undefined): void {
    if (kind === kinds.heartbeat) return
    if (kind === kinds.entries) this.#expects = 'count'
    else if (kind === kinds.message) this.#expects = 'message size'
    else throw new FrameError(`a frame of kind ${kind}`)
  }

  #finishEntries(commit: number): void {
    const entries = this.#entries
    this.#entries = []
    this.#expects = 'kind'
    const index = this.#index
    this.#index += entries.length
    this.#sink({
      type: 'MsgApp', to: this.#self, from: this.#peer, term: this.#term, logTerm: this.#term, index, entries: entries.length > 0 ? entries : noEntries, commit,
      snapshot: undefined, reject: false, rejectHint: 0, context: undefined,
    })
  }

  #finishMessage(bytes: Buffer): void {
    this.#expects = 'kind'
    const message = decodeMessage(bytes)
    this.#term = message.term
    this.#index = message.entries.at(-1)?.index ?? message.index
    this.#sink(message)
  }
}

/** False for an append whose entries don't follow each other: no sound member sends it, and Raft relies on it. */
export function isSound(message: Message): boolean {
  if (message.type !== 'MsgApp') return message.type !== 'MsgSnap' || message.snapshot !== undefined
  let { index, logTerm: term } = message
  for (const entry of message.entries) {
    if (entry.index !== index + 1 || entry.term < term || entry.term > message.term) return false
    index = entry.index
    term = entry.term
  }
  return true
}

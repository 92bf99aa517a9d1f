// raftpb's messages as bytes: what members say to each other. Every append of a cluster passes here twice, so it is written by hand.
//
// Fields that are zero are left out, as the original does. What comes from the network is never trusted: numbers beyond 2^53, lengths beyond
// the buffer and unknown types throw WireError. Upstream: raft/raftpb/raft.proto
import { WireError } from '../../../lib/base/protobuf/wire-reader.ts'
import { emptyConfState, noBytes, noEntries, type ConfState, type Entry, type Message, type MessageType, type Snapshot, type SnapshotMetadata } from '../raft/messages.ts'
import type { ByteBuffer } from './byte-buffer.ts'

/** By number. The four that are missing are a member's talk with its own disk. */
const messageTypes: readonly (MessageType | undefined)[] = [
  'MsgHup', 'MsgBeat', 'MsgProp', 'MsgApp', 'MsgAppResp', 'MsgVote', 'MsgVoteResp', 'MsgSnap', 'MsgHeartbeat', 'MsgHeartbeatResp', 'MsgUnreachable', 'MsgSnapStatus',
  'MsgCheckQuorum', 'MsgTransferLeader', 'MsgTimeoutNow', 'MsgReadIndex', 'MsgReadIndexResp', 'MsgPreVote', 'MsgPreVoteResp', undefined, undefined, undefined, undefined,
  'MsgForgetLeader',
]
const typeNumbers = new Map(messageTypes.flatMap((name, number) => (name === undefined ? [] : [[name, number] as const])))

// ---- sizes, because lengths stand in front ----

function numberSize(value: number): number {
  let size = 1
  for (let v = value; v > 0x7f; v = Math.floor(v / 128)) size++
  return size
}

/** Ids use all 64 bits nearly always: nine or ten bytes. */
function idSize(id: bigint): number {
  let size = 1
  for (let v = BigInt.asUintN(64, id); v > 0x7fn; v >>= 7n) size++
  return size
}

const fieldSize = (value: number): number => (value === 0 ? 0 : 1 + numberSize(value))
const blockSize = (bytes: number): number => 1 + numberSize(bytes) + bytes

/** Bytes of the entry without a length in front. */
export function entrySize(entry: Entry): number {
  return fieldSize(entry.type) + fieldSize(entry.term) + fieldSize(entry.index) + (entry.data.length === 0 ? 0 : blockSize(entry.data.length))
}

function confStateSize(state: ConfState): number {
  let size = 2
  for (const ids of [state.voters, state.learners, state.votersOutgoing, state.learnersNext]) for (const id of ids) size += 1 + idSize(id)
  return size
}

function metadataSize(metadata: SnapshotMetadata): number {
  return blockSize(confStateSize(metadata.confState)) + 2 + numberSize(metadata.index) + numberSize(metadata.term)
}

function snapshotSize(snapshot: Snapshot): number {
  return (snapshot.data.length === 0 ? 0 : blockSize(snapshot.data.length)) + blockSize(metadataSize(snapshot.metadata))
}

/** Bytes of the message without a length in front. */
export function messageSize(message: Message): number {
  let size = 2 + 1 + idSize(message.to) + 1 + idSize(message.from) + fieldSize(message.term) + fieldSize(message.logTerm) + fieldSize(message.index) + fieldSize(message.commit)
    + (message.reject ? 2 : 0) + fieldSize(message.rejectHint)
  for (const entry of message.entries) size += blockSize(entrySize(entry))
  if (message.snapshot !== undefined) size += blockSize(snapshotSize(message.snapshot))
  if (message.context !== undefined && message.context.length > 0) size += blockSize(message.context.length)
  return size
}

// ---- writing: the caller has reserved the room ----

export function writeEntry(out: ByteBuffer, entry: Entry): void {
  writeField(out, 0x08, entry.type)
  writeField(out, 0x10, entry.term)
  writeField(out, 0x18, entry.index)
  if (entry.data.length > 0) { out.byte(0x22); out.block(entry.data) }
}

function writeIds(out: ByteBuffer, tag: number, ids: readonly bigint[]): void {
  for (const id of ids) { out.byte(tag); out.id(id) }
}

function writeConfState(out: ByteBuffer, state: ConfState): void {
  writeIds(out, 0x08, state.voters)
  writeIds(out, 0x10, state.learners)
  writeIds(out, 0x18, state.votersOutgoing)
  writeIds(out, 0x20, state.learnersNext)
  out.byte(0x28); out.byte(state.autoLeave ? 1 : 0)
}

function writeSnapshot(out: ByteBuffer, snapshot: Snapshot): void {
  const { metadata } = snapshot
  if (snapshot.data.length > 0) { out.byte(0x0a); out.block(snapshot.data) }
  out.byte(0x12); out.varint(metadataSize(metadata))
  out.byte(0x0a); out.varint(confStateSize(metadata.confState)); writeConfState(out, metadata.confState)
  out.byte(0x10); out.varint(metadata.index)
  out.byte(0x18); out.varint(metadata.term)
}

function writeField(out: ByteBuffer, tag: number, value: number): void {
  if (value !== 0) { out.byte(tag); out.varint(value) }
}

/** Writes `size` bytes, which `messageSize` has told. */
export function writeMessage(out: ByteBuffer, message: Message): void {
  out.byte(0x08); out.varint(typeNumbers.get(message.type) ?? 0)
  out.byte(0x10); out.id(message.to)
  out.byte(0x18); out.id(message.from)
  writeField(out, 0x20, message.term)
  writeField(out, 0x28, message.logTerm)
  writeField(out, 0x30, message.index)
  for (const entry of message.entries) { out.byte(0x3a); out.varint(entrySize(entry)); writeEntry(out, entry) }
  writeField(out, 0x40, message.commit)
  if (message.snapshot !== undefined) { out.byte(0x4a); out.varint(snapshotSize(message.snapshot)); writeSnapshot(out, message.snapshot) }
  if (message.reject) { out.byte(0x50); out.byte(1) }
  writeField(out, 0x58, message.rejectHint)
  if (message.context !== undefined && message.context.length > 0) { out.byte(0x62); out.block(message.context) }
}

// ---- reading ----

/** Ids that were read lately: a stream has two of them, and making a bigint costs more than the rest of a heartbeat. */
const knownLow = new Uint32Array(64)
const knownHigh = new Uint32Array(64)
const knownIds: bigint[] = Array.from({ length: 64 }, () => 0n)

/** A cursor over [at, end) of one buffer. */
class Cursor {
  readonly bytes: Uint8Array
  at: number
  end: number

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.bytes = bytes
    this.at = at
    this.end = end
  }

  number(): number {
    let value = 0
    let scale = 1
    for (;;) {
      if (this.at >= this.end) throw new WireError('unexpected EOF')
      const byte = this.bytes[this.at++]! // cast: bounded by the line above
      value += (byte & 0x7f) * scale
      if (byte < 0x80) break
      scale *= 128
      if (scale > 2 ** 56) throw new WireError('a number is too large')
    }
    if (value > Number.MAX_SAFE_INTEGER) throw new WireError('a number is too large')
    return value
  }

  id(): bigint {
    let low = 0
    let high = 0
    for (let i = 0; ; i++) {
      if (this.at >= this.end) throw new WireError('unexpected EOF')
      if (i > 9) throw new WireError('varint longer than ten bytes')
      const byte = this.bytes[this.at++]! // cast: bounded by the line above
      const bits = byte & 0x7f
      if (i < 4) low |= bits << (7 * i)
      else if (i === 4) { low |= bits << 28; high = bits >> 4 }
      else if (i < 9) high |= bits << (7 * i - 32)
      else high |= (bits & 1) << 31
      if (byte < 0x80) break
    }
    low >>>= 0
    high >>>= 0
    const slot = (low ^ (low >>> 6)) & 63
    if (knownLow[slot] !== low || knownHigh[slot] !== high) {
      knownLow[slot] = low
      knownHigh[slot] = high
      knownIds[slot] = (BigInt(high) << 32n) | BigInt(low)
    }
    return knownIds[slot]! // cast: 64 slots
  }

  /** Start of a block behind its length; the cursor moves behind it. */
  block(): number {
    const length = this.number()
    if (length > this.end - this.at) throw new WireError('unexpected EOF')
    const start = this.at
    this.at += length
    return start
  }

  view(): Uint8Array {
    const start = this.block()
    return this.at === start ? noBytes : this.bytes.subarray(start, this.at)
  }

  skip(tag: number): void {
    const wireType = tag % 8
    if (tag < 8) throw new WireError('illegal tag')
    if (wireType === 0) this.id()
    else if (wireType === 1) this.#pass(8)
    else if (wireType === 2) this.block()
    else if (wireType === 5) this.#pass(4)
    else throw new WireError('illegal wire type')
  }

  #pass(count: number): void {
    if (count > this.end - this.at) throw new WireError('unexpected EOF')
    this.at += count
  }
}

function readEntry(c: Cursor, end: number): Entry {
  let type = 0, term = 0, index = 0, data = noBytes
  while (c.at < end) {
    const tag = c.number()
    if (tag === 0x10) term = c.number()
    else if (tag === 0x18) index = c.number()
    else if (tag === 0x22) data = c.view()
    else if (tag === 0x08) type = c.number()
    else c.skip(tag)
  }
  if (c.at !== end || type > 2) throw new WireError('malformed entry')
  return { type, term, index, data }
}

/** The entry in bytes[start, end); its data is a view. @throws WireError */
export function decodeEntry(bytes: Uint8Array, start = 0, end = bytes.length): Entry { return readEntry(new Cursor(bytes, start, end), end) }

/** One id, or several in a row: both forms of a repeated number are legal. */
function readIds(c: Cursor, packed: boolean, into: bigint[]): void {
  if (!packed) { into.push(c.id()); return }
  const start = c.block()
  const { at, end } = c
  c.at = start
  c.end = at
  while (c.at < at) into.push(c.id())
  c.end = end
}

function readConfState(c: Cursor, end: number): ConfState {
  const ids: [bigint[], bigint[], bigint[], bigint[]] = [[], [], [], []]
  let autoLeave = false
  while (c.at < end) {
    const tag = c.number()
    const list = ids[(tag >> 3) - 1]
    if (list !== undefined && (tag % 8 === 0 || tag % 8 === 2)) readIds(c, tag % 8 === 2, list)
    else if (tag === 0x28) autoLeave = c.number() !== 0
    else c.skip(tag)
  }
  if (c.at !== end) throw new WireError('malformed configuration')
  return { voters: ids[0], learners: ids[1], votersOutgoing: ids[2], learnersNext: ids[3], autoLeave }
}

function readMetadata(c: Cursor, end: number): SnapshotMetadata {
  let confState = emptyConfState, index = 0, term = 0
  while (c.at < end) {
    const tag = c.number()
    if (tag === 0x0a) confState = nested(c, readConfState)
    else if (tag === 0x10) index = c.number()
    else if (tag === 0x18) term = c.number()
    else c.skip(tag)
  }
  if (c.at !== end) throw new WireError('malformed snapshot')
  return { confState, index, term }
}

function readSnapshot(c: Cursor, end: number): Snapshot {
  let data = noBytes
  let metadata: SnapshotMetadata = { confState: emptyConfState, index: 0, term: 0 }
  while (c.at < end) {
    const tag = c.number()
    if (tag === 0x0a) data = c.view()
    else if (tag === 0x12) metadata = nested(c, readMetadata)
    else c.skip(tag)
  }
  if (c.at !== end) throw new WireError('malformed snapshot')
  return { data, metadata }
}

/** Reads the block that comes next with `read`, which can't leave it. */
function nested<T>(c: Cursor, read: (c: Cursor, end: number) => T): T {
  const outerEnd = c.end
  const start = c.block()
  c.end = c.at
  c.at = start
  const value = read(c, c.end)
  c.end = outerEnd
  return value
}

/** The message in bytes[start, end). Data of entries are views of `bytes`. @throws WireError */
export function decodeMessage(bytes: Uint8Array, start = 0, end = bytes.length): Message {
  const c = new Cursor(bytes, start, end)
  let number = 0, to = 0n, from = 0n, term = 0, logTerm = 0, index = 0, commit = 0, reject = false, rejectHint = 0
  let entries: Entry[] | undefined, snapshot: Snapshot | undefined, context: Uint8Array | undefined
  while (c.at < end) {
    const tag = c.number()
    switch (tag) {
      case 0x08: number = c.number(); break
      case 0x10: to = c.id(); break
      case 0x18: from = c.id(); break
      case 0x20: term = c.number(); break
      case 0x28: logTerm = c.number(); break
      case 0x30: index = c.number(); break
      case 0x3a: (entries ??= []).push(nested(c, readEntry)); break
      case 0x40: commit = c.number(); break
      case 0x4a: snapshot = nested(c, readSnapshot); break
      case 0x50: reject = c.number() !== 0; break
      case 0x58: rejectHint = c.number(); break
      case 0x62: context = c.view(); break
      default: c.skip(tag) // the vote and the answers of a member's talk with its own disk
    }
  }
  const type = messageTypes[number]
  if (type === undefined) throw new WireError(`unknown message type ${number}`)
  // Older members send an empty snapshot with every message.
  if (type !== 'MsgSnap') snapshot = undefined
  return { type, to, from, term, logTerm, index, entries: entries ?? noEntries, commit, snapshot, reject, rejectHint, context: context !== undefined && context.length > 0 ? context : undefined }
}

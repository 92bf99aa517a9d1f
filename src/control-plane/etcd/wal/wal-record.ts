// Records of etcd's write-ahead log: eight bytes of length (with the padding in its top byte), a walpb.Record, zeros up to a multiple of
// eight. Each record's checksum continues the one before it, so a record proves everything before it.
//
// Only this one form of a record is accepted when reading: a flipped bit anywhere, in fields no checksum covers too, makes it invalid.
// Upstream: etcd/server/storage/wal/{encoder,decoder}.go
import { WireWriter } from '../../../lib/base/protobuf/wire-writer.ts'
import { crc32c } from '../../../lib/etcd-api/crc32c.ts'

export const recordTypes = { metadata: 1, entry: 2, state: 3, crc: 4, snapshot: 5 } as const

/** Collects records for one write. */
export class RecordBuffer {
  #bytes = Buffer.alloc(64 * 1024)
  #length = 0
  /** Checksum of everything so far. */
  crc: number

  constructor(crc: number) { this.crc = crc }

  get length(): number { return this.#length }
  /** What was collected; valid until `clear`. */
  get bytes(): Buffer { return this.#bytes.subarray(0, this.#length) }
  clear(): void { this.#length = 0 }

  /** Adds a record whose data `write` makes; for logs that are written once, whole. */
  addWritten(type: number, write: (writer: WireWriter) => void): void {
    const writer = new WireWriter()
    write(writer)
    this.add(type, writer.finish())
  }

  /** Adds a record. Without `data` it has none, as checksum records. @param rest of the data, when it comes in two pieces */
  add(type: number, data?: Uint8Array, rest?: Uint8Array): void {
    const dataLength = (data?.length ?? 0) + (rest?.length ?? 0)
    this.#reserve(8 + 2 + 6 + 6 + dataLength + 8)
    if (data) this.crc = crc32c(this.crc, data)
    if (rest) this.crc = crc32c(this.crc, rest)
    const bytes = this.#bytes
    const start = this.#length
    let at = start + 8
    bytes[at++] = 0x08
    bytes[at++] = type
    bytes[at++] = 0x10
    at = writeVarint(bytes, at, this.crc)
    if (data) {
      bytes[at++] = 0x1a
      at = writeVarint(bytes, at, dataLength)
      bytes.set(data, at)
      if (rest) bytes.set(rest, at + data.length)
      at += dataLength
    }
    const length = at - start - 8
    const padding = (8 - (length % 8)) % 8
    bytes.writeUInt32LE(length, start)
    bytes.writeUInt32LE(padding === 0 ? 0 : ((0x80 | padding) << 24) >>> 0, start + 4)
    bytes.fill(0, at, at + padding)
    this.#length = at + padding
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return
    const grown = Buffer.alloc(Math.max(this.#bytes.length * 2, this.#length + count))
    grown.set(this.bytes)
    this.#bytes = grown
  }
}

function writeVarint(bytes: Buffer, start: number, value: number): number {
  let at = start
  let v = value
  while (v > 0x7f) {
    bytes[at++] = (v % 128) | 0x80
    v = Math.floor(v / 128)
  }
  bytes[at++] = v
  return at
}

export interface WalRecord {
  readonly type: number
  /** As stored; for checksum records the value that the chain has reached. */
  readonly crc: number
  /** Empty for checksum records. */
  readonly data: Buffer
  /** Offset behind the record. */
  readonly end: number
}

/** The record at `at`, or undefined when there is none in valid form. The checksum is not compared. */
export function parseRecord(bytes: Buffer, at: number): WalRecord | undefined {
  if (at + 16 > bytes.length) return undefined
  return parseSized(bytes, at, bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4))
}

function parseSized(bytes: Buffer, at: number, length: number, high: number): WalRecord | undefined {
  const padding = (8 - (length % 8)) % 8
  if (high !== (padding === 0 ? 0 : ((0x80 | padding) << 24) >>> 0)) return undefined
  const bodyEnd = at + 8 + length
  const end = bodyEnd + padding
  if (length < 4 || end > bytes.length) return undefined
  if (bytes[at + 8] !== 0x08 || bytes[at + 10] !== 0x10) return undefined
  const type = bytes[at + 9]! // cast: inside the buffer
  if (type < 1 || type > 5) return undefined
  for (let i = bodyEnd; i < end; i++) if (bytes[i] !== 0) return undefined
  const crc = readVarint(bytes, at + 11, bodyEnd)
  if (!crc || crc.value > 0xffffffff) return undefined
  if (type === recordTypes.crc) return crc.end === bodyEnd ? { type, crc: crc.value, data: bytes.subarray(bodyEnd, bodyEnd), end } : undefined
  if (bytes[crc.end] !== 0x1a) return undefined
  const size = readVarint(bytes, crc.end + 1, bodyEnd)
  if (!size || size.end + size.value !== bodyEnd) return undefined
  return { type, crc: crc.value, data: bytes.subarray(size.end, bodyEnd), end }
}

/** A varint in its shortest form. */
function readVarint(bytes: Buffer, start: number, end: number): { readonly value: number; readonly end: number } | undefined {
  let value = 0
  let scale = 1
  for (let at = start; at < end && at < start + 6; at++) {
    const byte = bytes[at]! // cast: below end
    value += (byte & 0x7f) * scale
    if (byte < 0x80) return byte === 0 && at > start ? undefined : { value, end: at + 1 }
    scale *= 128
  }
  return undefined
}

/** True when the record continues a chain whose checksum is `crc`. */
export function continuesChain(record: WalRecord, crc: number): boolean {
  return record.type === recordTypes.crc ? record.crc === crc : crc32c(crc, record.data) === record.crc
}

const sectorBytes = 512

/**
 * What is wrong at `at`, where no valid record continues the chain: the tail of a write that was never finished (`torn`), or damage to
 * something that was acknowledged (`corrupt`). A number is the length that a record at the end of a sector has lost, while the rest of it is
 * there: either the sector of an unfinished write did not reach the disk, or a bit of a finished one is wrong. Nothing tells which, and
 * keeping the record is right for both.
 *
 * @param isEvidence tells whether a record further on, with the one before it, proves that the write at `at` had been finished.
 */
export function judgeDamage(bytes: Buffer, at: number, crc: number, isEvidence: (record: WalRecord, before: WalRecord) => boolean): 'torn' | 'corrupt' | number {
  if (at + 8 > bytes.length) return 'torn'
  const hidden = findHidden(bytes, at, crc)
  const isLost = hidden !== undefined && at % sectorBytes === sectorBytes - 8 && isZero(bytes, at, at + 8)
  if (hidden !== undefined && !isLost) return 'corrupt'
  // Two records further on that belong together are checked by the first one's checksum; they tell how far the log had come.
  for (let p = at + 8; p + 16 <= bytes.length; p += 8) {
    if (bytes[p + 8] !== 0x08) continue
    const first = parseRecord(bytes, p)
    if (!first) continue
    const second = parseRecord(bytes, first.end)
    if (second && continuesChain(second, first.crc) && isEvidence(second, first)) return 'corrupt'
  }
  if (isLost) return hidden
  const length = bytes.readUInt32LE(at)
  const high = bytes.readUInt32LE(at + 4)
  const end = at + 8 + length + ((high >>> 24) & 7)
  if (end > bytes.length) return 'torn'
  // A sector of a write that did not reach the disk still has its zeros.
  for (let p = at; p < Math.max(end, at + 8);) {
    const chunkEnd = Math.min(p - (p % sectorBytes) + sectorBytes, Math.max(end, at + 8))
    if (isZero(bytes, p, chunkEnd)) return 'torn'
    p = chunkEnd
  }
  return 'corrupt'
}

const zeros = Buffer.alloc(64 * 1024)

/** The length of a record that is there but for one bit of its first eight bytes. */
function findHidden(bytes: Buffer, at: number, crc: number): number | undefined {
  for (let bit = 0; bit < 64; bit++) {
    const low = (bytes.readUInt32LE(at) ^ (bit < 32 ? 1 << bit : 0)) >>> 0
    const high = (bytes.readUInt32LE(at + 4) ^ (bit < 32 ? 0 : 1 << (bit - 32))) >>> 0
    const record = parseSized(bytes, at, low, high)
    if (record && continuesChain(record, crc)) return low
  }
  return undefined
}

/** True when bytes[start, end) are all zero. */
export function isZero(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at += zeros.length) {
    const size = Math.min(zeros.length, end - at)
    if (bytes.compare(zeros, 0, size, at, at + size) !== 0) return false
  }
  return true
}

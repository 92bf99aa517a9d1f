// A version of a key as an entry of the original's bucket `key`: the revision is the key, the key-value message the value. Written and read in
// place, since a store has millions of them.
import type { StoredKeyValue } from '../mvcc/stored-key-value.ts'
import type { EntryCodec } from './bolt-file.ts'
import { BoltError } from './bolt-format.ts'

const fields = { key: 0x0a, createRevision: 0x10, modRevision: 0x18, version: 0x20, value: 0x2a, lease: 0x30 } as const
const underscore = 0x5f
const tombstoneMark = 0x74

export const versionEntries: EntryCodec<StoredKeyValue> = {
  keyLength: (version) => (version.isTombstone ? 18 : 17),
  valueLength: ({ record: { text }, isTombstone, createRevision, modRevision, version, length, lease }) => {
    const key = 1 + varintLength(text.length) + text.length
    if (isTombstone) return key
    return key + 3 + varintLength(createRevision) + varintLength(modRevision) + varintLength(version) + (length > 0 ? 1 + varintLength(length) + length : 0) + (lease === 0n ? 0 : 1 + bigVarintLength(lease))
  },
  write: (version, bytes, start) => {
    let at = writeWord(bytes, start, version.modRevision)
    bytes[at++] = underscore
    at = writeWord(bytes, at, version.subRevision)
    if (version.isTombstone) bytes[at++] = tombstoneMark
    const { text } = version.record
    bytes[at++] = fields.key
    at = writeVarint(bytes, at, text.length)
    at += latin1(bytes).latin1Write(text, at)
    if (version.isTombstone) return
    bytes[at++] = fields.createRevision
    at = writeVarint(bytes, at, version.createRevision)
    bytes[at++] = fields.modRevision
    at = writeVarint(bytes, at, version.modRevision)
    bytes[at++] = fields.version
    at = writeVarint(bytes, at, version.version)
    if (version.length > 0) {
      bytes[at++] = fields.value
      at = writeVarint(bytes, at, version.length)
      bytes.set(version.value, at)
      at += version.length
    }
    if (version.lease !== 0n) {
      bytes[at++] = fields.lease
      writeBigVarint(bytes, at, version.lease)
    }
  },
}

/** What Node's buffers have beside what their types tell; the general methods look the encoding up every time. */
interface Latin1Buffer { latin1Write(text: string, at: number): number; latin1Slice(start: number, end: number): string }
function latin1(bytes: Buffer): Latin1Buffer { return bytes as unknown as Latin1Buffer } // cast: as above

/** What an entry says; one object is used for all. The value is `bytes[valueAt, valueEnd)`. */
export class VersionReader {
  modRevision = 0
  subRevision = 0
  isTombstone = false
  key = ''
  createRevision = 0
  version = 0
  lease = 0n
  valueAt = 0
  valueEnd = 0
  #at = 0

  /** @throws BoltError */
  read(bytes: Buffer, keyAt: number, start: number, end: number): void {
    const length = start - keyAt
    this.isTombstone = length === 18 && bytes[keyAt + 17] === tombstoneMark
    if ((length !== 17 && !this.isTombstone) || bytes[keyAt + 8] !== underscore) throw new BoltError(`cannot parse revision key ${bytes.toString('hex', keyAt, start)}`)
    this.modRevision = readWord(bytes, keyAt)
    this.subRevision = readWord(bytes, keyAt + 9)
    this.key = ''
    this.createRevision = this.version = this.valueAt = this.valueEnd = 0
    this.lease = 0n
    this.#at = start
    while (this.#at < end) {
      const tag = bytes[this.#at++]
      switch (tag) {
        case fields.key: {
          const to = this.#take(bytes, end)
          this.key = latin1(bytes).latin1Slice(this.#at, to)
          this.#at = to
          break
        }
        case fields.value:
          this.valueEnd = this.#take(bytes, end)
          this.valueAt = this.#at
          this.#at = this.valueEnd
          break
        case fields.createRevision: this.createRevision = this.#varint(bytes, end); break
        case fields.modRevision: this.#varint(bytes, end); break
        case fields.version: this.version = this.#varint(bytes, end); break
        case fields.lease: this.lease = this.#bigVarint(bytes, end); break
        default: throw new BoltError(`the key-value of revision ${this.modRevision} has a field that is not known`)
      }
    }
  }

  /** Reads a length; returns where what it measures ends. */
  #take(bytes: Buffer, end: number): number {
    const length = this.#varint(bytes, end)
    const to = this.#at + length
    if (to > end) throw new BoltError(`the key-value of revision ${this.modRevision} is cut off`)
    return to
  }

  #varint(bytes: Buffer, end: number): number {
    let value = 0
    let scale = 1
    while (this.#at < end && scale < 2 ** 64) {
      const byte = bytes[this.#at++]! // cast: below end
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
      scale *= 128
    }
    throw new BoltError(`the key-value of revision ${this.modRevision} is cut off`)
  }

  #bigVarint(bytes: Buffer, end: number): bigint {
    let value = 0n
    for (let shift = 0n; this.#at < end && shift < 70n; shift += 7n) {
      const byte = bytes[this.#at++]! // cast: below end
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asIntN(64, value)
    }
    throw new BoltError(`the key-value of revision ${this.modRevision} is cut off`)
  }
}

/** Eight bytes, the highest first. */
export function readWord(bytes: Buffer, at: number): number { return bytes.readUInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4) }

function writeWord(bytes: Buffer, at: number, value: number): number {
  bytes.writeUInt32BE(Math.floor(value / 2 ** 32), at)
  return bytes.writeUInt32BE(value % 2 ** 32, at + 4)
}

function varintLength(value: number): number {
  let length = 1
  for (let v = value; v > 0x7f; v = Math.floor(v / 128)) length++
  return length
}

function bigVarintLength(value: bigint): number {
  const v = BigInt.asUintN(64, value)
  return v === 0n ? 1 : Math.ceil(v.toString(2).length / 7)
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

function writeBigVarint(bytes: Buffer, start: number, value: bigint): void {
  let at = start
  let v = BigInt.asUintN(64, value)
  while (v > 0x7fn) {
    bytes[at++] = Number(v & 0x7fn) | 0x80
    v >>= 7n
  }
  bytes[at] = Number(v)
}

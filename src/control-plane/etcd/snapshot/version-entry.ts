// A version of a key as an entry of the original's bucket `key`: the revision is the key, the key-value message the value. Written and read in
// place, since a store has millions of them.
import type { MvccStore } from '../mvcc/mvcc-store.ts'
import { writeRevision } from '../mvcc/revision-bytes.ts'
import type { EntryCodec } from './bolt-file.ts'
import { BoltError } from './bolt-format.ts'

const fields = { key: 0x0a, createRevision: 0x10, modRevision: 0x18, version: 0x20, value: 0x2a, lease: 0x30 } as const
const noBytes = Buffer.alloc(0)
const underscore = 0x5f
const tombstoneMark = 0x74

/** Versions by their numbers, in a store that is pinned. What is stored of them is the entry's value. */
export function versionEntries(store: MvccStore): EntryCodec<number> {
  return {
    keyLength: (id) => (store.isTombstone(id) ? 18 : 17),
    valueLength: (id) => store.lengthOf(id),
    writeKey: (id, bytes, at) => writeRevision(bytes, at, store.revisionOf(id), store.subRevisionOf(id), store.isTombstone(id)),
    writeValue: (id, bytes, at) => {
      const start = store.offsetOf(id)
      const from = store.slabOf(id)
      if (from.copy) from.copy(bytes, at, start, start + store.lengthOf(id))
      else bytes.set(from.subarray(start, start + store.lengthOf(id)), at)
    },
  }
}

/** What Node's buffers have beside what their types tell; the general methods look the encoding up every time. */
interface Latin1Buffer { latin1Slice(start: number, end: number): string }
function latin1(bytes: Buffer): Latin1Buffer { return bytes as unknown as Latin1Buffer } // cast: as above

/** What an entry says; one object is used for all. The key is `bytes[keyAt, keyEnd)`, the value `bytes[valueAt, valueEnd)`. */
export class VersionReader {
  modRevision = 0
  subRevision = 0
  isTombstone = false
  /** Written as this project and the original write it: each field once, in the order of their numbers, a tombstone's key alone. */
  isCanonical = false
  keyAt = 0
  keyEnd = 0
  createRevision = 0
  version = 0
  lease = 0n
  valueAt = 0
  valueEnd = 0
  #bytes: Buffer = noBytes
  #at = 0

  get key(): string { return latin1(this.#bytes).latin1Slice(this.keyAt, this.keyEnd) }

  /** @throws BoltError */
  read(bytes: Buffer, keyAt: number, start: number, end: number): void {
    const length = start - keyAt
    this.isTombstone = length === 18 && bytes[keyAt + 17] === tombstoneMark
    if ((length !== 17 && !this.isTombstone) || bytes[keyAt + 8] !== underscore) throw new BoltError(`cannot parse revision key ${bytes.toString('hex', keyAt, start)}`)
    this.modRevision = readWord(bytes, keyAt)
    this.subRevision = readWord(bytes, keyAt + 9)
    this.#bytes = bytes
    this.isCanonical = bytes[start] === fields.key
    this.keyAt = this.keyEnd = 0
    this.createRevision = this.version = this.valueAt = this.valueEnd = 0
    this.lease = 0n
    this.#at = start
    let last = 0
    while (this.#at < end) {
      const tag = bytes[this.#at++]! // cast: below end
      if (tag <= last || (this.isTombstone && tag !== fields.key)) this.isCanonical = false
      last = tag
      switch (tag) {
        case fields.key:
          this.keyEnd = this.#take(bytes, end)
          this.keyAt = this.#at
          this.#at = this.keyEnd
          break
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

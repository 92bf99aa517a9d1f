// A version as bytes: the key-value message of etcd's API, as answers, events, the original's database and the hash over it have it. It is
// written once, when the version is made, and copied from then on. Of a tombstone it holds the key alone.
import { bigSize, bytesSize, nestedSize, numberSize, type ExactWriter } from '../../../lib/base/protobuf/exact-writer.ts'

const tags = { key: 0x0a, createRevision: 0x10, modRevision: 0x18, version: 0x20, value: 0x2a, lease: 0x30 } as const

export function tombstoneSize(keyLength: number): number { return nestedSize(keyLength) }

export function writeTombstone(out: ExactWriter, key: Uint8Array): void {
  out.nested(tags.key, key.length)
  out.raw(key)
}

export function keyValueSize(keyLength: number, createRevision: number, modRevision: number, version: number, valueLength: number, lease: bigint): number {
  return nestedSize(keyLength) + numberSize(createRevision) + numberSize(modRevision) + numberSize(version) + bytesSize(valueLength) + (lease === 0n ? 0 : 1 + bigSize(lease))
}

export function writeKeyValue(out: ExactWriter, key: Uint8Array, createRevision: number, modRevision: number, version: number, value: Uint8Array, lease: bigint): void {
  writeTombstone(out, key)
  out.number(tags.createRevision, createRevision)
  out.number(tags.modRevision, modRevision)
  out.number(tags.version, version)
  out.blob(tags.value, value)
  out.bigNumber(tags.lease, lease)
}

/** Reads messages that were written here; one object is used for many. */
export class KeyValueReader {
  keyAt = 0
  keyEnd = 0
  createRevision = 0
  version = 0
  valueAt = 0
  valueEnd = 0
  lease = 0n
  #at = 0

  /** The message is bytes[start, end). */
  read(bytes: Uint8Array, start: number, end: number): void {
    this.#at = start + 1
    const keyLength = this.#number(bytes)
    this.keyAt = this.#at
    this.keyEnd = this.#at += keyLength
    this.createRevision = this.version = 0
    this.lease = 0n
    this.valueAt = this.valueEnd = end
    while (this.#at < end) {
      switch (bytes[this.#at++]) {
        case tags.createRevision: this.createRevision = this.#number(bytes); break
        case tags.modRevision: this.#number(bytes); break
        case tags.version: this.version = this.#number(bytes); break
        case tags.value: {
          const length = this.#number(bytes)
          this.valueAt = this.#at
          this.valueEnd = this.#at += length
          break
        }
        case tags.lease: this.lease = this.#big(bytes); break
        default: throw new RangeError('a stored key-value has a field that was never written')
      }
    }
  }

  #number(bytes: Uint8Array): number {
    let byte = bytes[this.#at++]! // cast: messages are whole, as below
    if (byte < 0x80) return byte
    let value = byte & 0x7f
    for (let scale = 128; ; scale *= 128) {
      byte = bytes[this.#at++]! // cast: as above
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
    }
  }

  #big(bytes: Uint8Array): bigint {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[this.#at++]! // cast: as above
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asIntN(64, value)
    }
  }
}

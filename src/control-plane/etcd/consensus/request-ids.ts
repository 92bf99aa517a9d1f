// Ids of requests, by which a member recognises its own among the entries that everybody applies: 16 bits of the member's id, then 48 bits
// that no request of this member had before, also not before a restart. Upstream: etcd/pkg/idutil
import { createHash } from 'node:crypto'
import type { Random } from '../../../lib/base/random.ts'

/** The lower 48 bits of an id; 0 is none. */
export type RequestId = number

const lowRange = 2 ** 48
const low42 = 2 ** 42

export class RequestIds {
  /** The member's 16 bits. */
  readonly #high: number
  #low: RequestId
  readonly #scratch = new Uint8Array(10)

  /** @param seenBefore whatever differs from one start to the next: how far the log is, the time */
  constructor(memberId: bigint, random: Random, seenBefore: string) {
    this.#high = Number(BigInt.asUintN(16, memberId))
    this.#low = createHash('sha1').update(`${memberId} ${seenBefore}`).update(random.bytes(8)).digest().readUIntBE(0, 6)
  }

  next(): RequestId {
    this.#low = this.#low + 1 >= lowRange ? 1 : this.#low + 1
    return this.#low
  }

  /** The whole id as a varint; valid until the next call. */
  varintOf(low: RequestId): Uint8Array {
    const bytes = this.#scratch
    let at = 0
    let rest = low
    for (let i = 0; i < 6; i++) {
      bytes[at++] = (rest % 128) | 0x80
      rest = Math.floor(rest / 128)
    }
    rest += this.#high * 64
    while (rest > 0x7f) {
      bytes[at++] = (rest % 128) | 0x80
      rest = Math.floor(rest / 128)
    }
    bytes[at++] = rest
    return bytes.subarray(0, at)
  }

  whole(low: RequestId): bigint { return (BigInt(this.#high) << 48n) | BigInt(low) }

  /** 0 when the id is another member's. */
  ownOf(id: bigint): RequestId { return Number(id >> 48n) === this.#high ? Number(id & 0xffffffffffffn) : 0 }

  /** The id in the header of an entry's request, when it is one of this member's; else 0. */
  readOwn(data: Uint8Array): RequestId {
    // Field 100, a message, whose first field is the id.
    if (data[0] !== 0xa2 || data[1] !== 0x06 || data[3] !== 0x08) return 0
    let low = 0
    let scale = 1
    let at = 4
    for (let i = 0; i < 6; i++) {
      const byte = data[at++] ?? 0
      low += (byte & 0x7f) * scale
      scale *= 128
      if (byte < 0x80) return this.#high === 0 ? low : 0
    }
    let rest = 0
    scale = 1
    for (let byte = 0x80; byte >= 0x80 && at < data.length; scale *= 128) {
      byte = data[at++] ?? 0
      rest += (byte & 0x7f) * scale
    }
    low += (rest % 64) * low42
    return Math.floor(rest / 64) === this.#high ? low : 0
  }
}

// Keys by number: which number a key has, and which version of it is the newest. The key itself stands in the bytes of its versions. A hash
// table in typed arrays outside the JavaScript heap, in many segments that grow each for itself, so that no single step takes long.
import { keyText } from './key-text.ts'
import type { SlabBytes, SlabSpace } from './slab.ts'
import type { VersionTable } from './version-table.ts'

const segmentBits = 8
const smallestSlots = 8
const chunkBits = 14
const keysPerChunk = 1 << chunkBits
const inChunk = keysPerChunk - 1

/** Hash and number of a key beside each other; number 0 is an empty slot. */
interface Segment { slots: Uint32Array; mask: number; used: number }

export class KeyIndex {
  readonly #versions: VersionTable
  readonly #slabs: SlabSpace
  readonly #seed: number
  readonly #segments: (Segment | undefined)[] = Array.from({ length: 1 << segmentBits }, () => undefined)
  /** The newest version of each key; of a free number the next free one. */
  readonly #newest: Uint32Array[] = []
  #free = 0
  #end = 1
  #count = 0
  // Where the key lies that was asked for last.
  #bytes: SlabBytes = new Uint8Array(0)
  #from = 0
  #to = 0

  /** @param seed of the hashes: not known to those who choose the keys */
  constructor(versions: VersionTable, slabs: SlabSpace, seed: number) {
    this.#versions = versions
    this.#slabs = slabs
    this.#seed = seed
  }

  get count(): number { return this.#count }
  /** All numbers are below. */
  get end(): number { return this.#end }

  newest(key: number): number { return this.#newest[key >>> chunkBits]![key & inChunk]! } // cast: the key is there
  setNewest(key: number, version: number): void { this.#newest[key >>> chunkBits]![key & inChunk] = version } // cast: as above

  /** Number of a key, 0 when it isn't there. */
  find(text: string): number {
    const hash = this.#hashText(text)
    const segment = this.#segments[hash >>> (32 - segmentBits)]
    if (segment === undefined) return 0
    const { slots, mask } = segment
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const key = slots[slot * 2 + 1]! // cast: the mask keeps it inside, as below
      if (key === 0) return 0
      if (slots[slot * 2] === hash && this.#equalsText(key, text)) return key
    }
  }

  /** The same for the key bytes[from, to). */
  findBytes(bytes: Uint8Array, from: number, to: number): number {
    const hash = this.#hashBytes(bytes, from, to)
    const segment = this.#segments[hash >>> (32 - segmentBits)]
    if (segment === undefined) return 0
    const { slots, mask } = segment
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const key = slots[slot * 2 + 1]! // cast: as above
      if (key === 0) return 0
      if (slots[slot * 2] === hash && this.#equalsBytes(key, bytes, from, to)) return key
    }
  }

  /** Takes in a key that isn't there yet, bytes[from, to), whose newest version is `version`. Returns its number. */
  add(bytes: Uint8Array, from: number, to: number, version: number): number {
    const key = this.#take()
    this.setNewest(key, version)
    const hash = this.#hashBytes(bytes, from, to)
    const at = hash >>> (32 - segmentBits)
    const segment = this.#segments[at] ??= { slots: new Uint32Array(smallestSlots * 2), mask: smallestSlots - 1, used: 0 }
    if (++segment.used * 4 > (segment.mask + 1) * 3) grow(segment)
    enter(segment, hash, key)
    this.#count++
    return key
  }

  /** Forgets a key; its newest version is still in place. */
  remove(key: number): void {
    this.#locate(key)
    const hash = this.#hashBytes(this.#bytes, this.#from, this.#to)
    const segment = this.#segments[hash >>> (32 - segmentBits)]! // cast: the key is there
    const { slots, mask } = segment
    let slot = hash & mask
    while (slots[slot * 2 + 1] !== key) slot = (slot + 1) & mask
    // Those behind it move up, so that no search stops at the gap too early.
    for (let next = (slot + 1) & mask; slots[next * 2 + 1] !== 0; next = (next + 1) & mask) {
      const home = slots[next * 2]! & mask // cast: as above
      if (((next - home) & mask) < ((next - slot) & mask)) continue
      slots[slot * 2] = slots[next * 2]! // cast: as above
      slots[slot * 2 + 1] = slots[next * 2 + 1]! // cast: as above
      slot = next
    }
    slots[slot * 2 + 1] = 0
    segment.used--
    this.setNewest(key, this.#free)
    this.#free = key
    this.#count--
  }

  #take(): number {
    const free = this.#free
    if (free !== 0) { this.#free = this.newest(free); return free }
    const key = this.#end++
    if (key >>> chunkBits >= this.#newest.length) this.#newest.push(new Uint32Array(keysPerChunk))
    return key
  }

  text(key: number): string {
    this.#locate(key)
    return textOf(this.#bytes, this.#from, this.#to)
  }

  /** Negative when the key lies before `text`, 0 when it is that, positive when it lies behind. */
  compare(key: number, text: string): number {
    this.#locate(key)
    const bytes = this.#bytes
    const from = this.#from
    const length = this.#to - from
    const common = Math.min(length, text.length)
    for (let i = 0; i < common; i++) {
      const difference = bytes[from + i]! - text.charCodeAt(i) // cast: bounded by the loop
      if (difference !== 0) return difference
    }
    return length - text.length
  }

  /** Negative, zero or positive as key `a` lies before, is, or lies behind `b`. */
  compareKeys(a: number, b: number): number {
    this.#locate(a)
    const bytes = this.#bytes
    const from = this.#from
    const length = this.#to - from
    this.#locate(b)
    const other = this.#bytes
    const otherFrom = this.#from
    const otherLength = this.#to - otherFrom
    const common = Math.min(length, otherLength)
    for (let i = 0; i < common; i++) {
      const difference = bytes[from + i]! - other[otherFrom + i]! // cast: bounded by the loop
      if (difference !== 0) return difference
    }
    return length - otherLength
  }

  /**
   * `count` bytes of the key from `start` on as a number, the first the highest; behind its end there are zeros. It has to have its first `start`
   * bytes in common with another, of which `known` are known; when it has only n of them the answer is -n - 1.
   */
  digits(other: number, key: number, known: number, start: number, count: number): number {
    this.#locate(other)
    const common = this.#bytes
    const commonFrom = this.#from
    this.#locate(key)
    const bytes = this.#bytes
    const from = this.#from
    const to = this.#to
    const end = Math.min(start, to - from)
    for (let i = known; i < end; i++) if (bytes[from + i] !== common[commonFrom + i]) return -i - 1
    if (end < start) return -end - 1
    let digits = 0
    for (let at = from + start, last = at + count; at < last; at++) digits = digits * 256 + (at < to ? bytes[at]! : 0) // cast: below the key's end
    return digits
  }

  /** How many bytes from the beginning two keys have in common, at most `limit`, of which the first `known` are known to be the same. */
  commonLength(a: number, b: number, known: number, limit: number): number {
    this.#locate(a)
    const bytes = this.#bytes
    const from = this.#from
    const length = this.#to - from
    this.#locate(b)
    const other = this.#bytes
    const otherFrom = this.#from
    const end = Math.min(limit, length, this.#to - otherFrom)
    let at = known
    while (at < end && bytes[from + at] === other[otherFrom + at]) at++
    return Math.min(at, end)
  }

  #equalsText(key: number, text: string): boolean {
    this.#locate(key)
    const bytes = this.#bytes
    const from = this.#from
    const { length } = text
    if (this.#to - from !== length) return false
    for (let i = 0; i < length; i++) if (bytes[from + i] !== text.charCodeAt(i)) return false
    return true
  }

  #equalsBytes(key: number, bytes: Uint8Array, from: number, to: number): boolean {
    this.#locate(key)
    const own = this.#bytes
    const shift = this.#from - from
    if (this.#to - this.#from !== to - from) return false
    for (let i = from; i < to; i++) if (own[i + shift] !== bytes[i]) return false
    return true
  }

  /** A version's bytes begin with the tag and the length of its key. */
  #locate(key: number): void {
    const version = this.newest(key)
    const bytes = this.#slabs.bytes(this.#versions.slabOf(version))
    let at = this.#versions.offsetOf(version) + 1
    let length = bytes[at++]! // cast: versions are whole, as below
    if (length > 0x7f) {
      length &= 0x7f
      for (let scale = 128; ; scale *= 128) {
        const byte = bytes[at++]! // cast: as above
        length += (byte & 0x7f) * scale
        if (byte < 0x80) break
      }
    }
    this.#bytes = bytes
    this.#from = at
    this.#to = at + length
  }

  #hashText(text: string): number {
    let hash = this.#seed
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x0100_0193)
    return mix(hash)
  }

  #hashBytes(bytes: Uint8Array, from: number, to: number): number {
    let hash = this.#seed
    for (let i = from; i < to; i++) hash = Math.imul(hash ^ bytes[i]!, 0x0100_0193) // cast: bounded by the loop
    return mix(hash)
  }
}

export function textOf(bytes: SlabBytes, from: number, to: number): string {
  return bytes.latin1Slice && to - from > 16 ? bytes.latin1Slice(from, to) : keyText(bytes.subarray(from, to))
}

function mix(hash: number): number {
  let h = hash
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35)
  return (h ^ (h >>> 16)) >>> 0
}

function enter({ slots, mask }: Segment, hash: number, key: number): void {
  let slot = hash & mask
  while (slots[slot * 2 + 1] !== 0) slot = (slot + 1) & mask
  slots[slot * 2] = hash
  slots[slot * 2 + 1] = key
}

function grow(segment: Segment): void {
  const { slots } = segment
  segment.slots = new Uint32Array(slots.length * 2)
  segment.mask = segment.slots.length / 2 - 1
  for (let at = 0; at < slots.length; at += 2) if (slots[at + 1] !== 0) enter(segment, slots[at]!, slots[at + 1]!) // cast: bounded by the loop
}

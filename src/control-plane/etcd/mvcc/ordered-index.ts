// Keys in order: a list of sorted chunks of key numbers, each knowing how many of its keys exist now. Touched only when a key appears or
// disappears; an update of an existing key goes through the key index alone.
import type { KeyIndex } from './key-index.ts'

const largestChunk = 512

interface Chunk {
  readonly keys: Uint32Array
  count: number
  /** Keys whose newest version is not a tombstone. */
  live: number
  /** Its first key. */
  first: string
}

export class OrderedIndex {
  readonly #keys: KeyIndex
  readonly #isLive: (key: number) => boolean
  readonly #chunks: Chunk[] = [newChunk()]

  /** @param isLive whether a key exists now */
  constructor(keys: KeyIndex, isLive: (key: number) => boolean) {
    this.#keys = keys
    this.#isLive = isLive
  }

  /** Fills an empty index with all keys at once; stops now and then. */
  *fill(sorted: Uint32Array): Generator<undefined, void> {
    if (sorted.length === 0) return
    this.#chunks.length = 0
    const some = (largestChunk * 3) >> 2
    for (let at = 0; at < sorted.length; at += some) {
      const chunk = newChunk()
      chunk.count = Math.min(some, sorted.length - at)
      chunk.keys.set(sorted.subarray(at, at + chunk.count))
      this.#renew(chunk)
      this.#chunks.push(chunk)
      yield undefined
    }
  }

  /** Adds a key that isn't there yet and lives. */
  insert(key: number, text: string): void {
    const chunkAt = this.#chunkFor(text)
    const chunk = this.#chunks[chunkAt]! // cast: chunkFor gives an index
    const at = this.#lowerBound(chunk, text)
    chunk.keys.copyWithin(at + 1, at, chunk.count)
    chunk.keys[at] = key
    chunk.count++
    chunk.live++
    if (at === 0) chunk.first = text
    if (chunk.count < largestChunk) return
    // Keys that come in order leave full chunks behind.
    const left = at === chunk.count - 1 && chunkAt === this.#chunks.length - 1 ? largestChunk - 16 : largestChunk >> 1
    const right = newChunk()
    right.count = chunk.count - left
    right.keys.set(chunk.keys.subarray(left, chunk.count))
    this.#renew(right)
    chunk.count = left
    chunk.live -= right.live
    this.#chunks.splice(chunkAt + 1, 0, right)
  }

  /** Removes a key that does not live any more. */
  remove(key: number, text: string): void {
    const chunkAt = this.#chunkFor(text)
    const chunk = this.#chunks[chunkAt]! // cast: chunkFor gives an index
    const at = this.#lowerBound(chunk, text)
    if (at >= chunk.count || chunk.keys[at] !== key) return
    chunk.keys.copyWithin(at, at + 1, chunk.count)
    chunk.count--
    if (chunk.count === 0) { if (this.#chunks.length > 1) this.#chunks.splice(chunkAt, 1); else chunk.first = '' } else if (at === 0) chunk.first = this.#keys.text(chunk.keys[0]!) // cast: not empty
  }

  /** Tells that the key, which is in the index, came to life (+1) or died (-1). */
  addLive(text: string, change: 1 | -1): void {
    this.#chunks[this.#chunkFor(text)]!.live += change // cast: chunkFor gives an index
  }

  /** Calls `visit` for every key in [from, end) in order until it returns false. */
  visit(from: string, end: string | undefined, visit: (key: number) => boolean): void {
    for (let c = this.#chunkFor(from); c < this.#chunks.length; c++) {
      const chunk = this.#chunks[c]! // cast: bounded by the loop
      if (end !== undefined && chunk.count > 0 && chunk.first >= end) return
      const last = end === undefined || this.#isWholeBefore(c, end) ? chunk.count : this.#lowerBound(chunk, end)
      for (let i = chunk.first >= from ? 0 : this.#lowerBound(chunk, from); i < last; i++) if (!visit(chunk.keys[i]!)) return // cast: bounded by the loop
    }
  }

  /** True when more than `count` keys, living or not, lie in [from, end) — or nearly so many: whole chunks are counted without looking inside. */
  holdsMoreThan(count: number, from: string, end: string | undefined): boolean {
    let held = 0
    for (let c = this.#chunkFor(from); c < this.#chunks.length && held <= count; c++) {
      const chunk = this.#chunks[c]! // cast: bounded by the loop
      if (end !== undefined && chunk.count > 0 && chunk.first >= end) break
      held += chunk.count
    }
    return held > count
  }

  /** Number of living keys in [from, end): whole chunks are counted without looking inside. */
  countLive(from: string, end: string | undefined): number {
    let count = 0
    for (let c = this.#chunkFor(from); c < this.#chunks.length; c++) {
      const chunk = this.#chunks[c]! // cast: bounded by the loop
      if (chunk.count === 0) continue
      if (end !== undefined && chunk.first >= end) break
      const isWhole = end === undefined || this.#isWholeBefore(c, end)
      if (chunk.first >= from && isWhole) { count += chunk.live; continue }
      const last = isWhole ? chunk.count : this.#lowerBound(chunk, end)
      for (let i = this.#lowerBound(chunk, from); i < last; i++) if (this.#isLive(chunk.keys[i]!)) count++ // cast: bounded by the loop
    }
    return count
  }

  /** Every key of chunk `c` lies before `end`. */
  #isWholeBefore(c: number, end: string): boolean {
    const next = this.#chunks[c + 1]
    return next !== undefined && next.first <= end
  }

  #renew(chunk: Chunk): void {
    chunk.first = this.#keys.text(chunk.keys[0]!) // cast: not empty
    chunk.live = 0
    for (let i = 0; i < chunk.count; i++) if (this.#isLive(chunk.keys[i]!)) chunk.live++ // cast: bounded by the loop
  }

  /** Index of the chunk that holds `text` or would hold it. */
  #chunkFor(text: string): number {
    let low = 1
    let high = this.#chunks.length - 1
    while (low <= high) {
      const middle = (low + high) >> 1
      if (this.#chunks[middle]!.first <= text) low = middle + 1 // cast: between two indexes
      else high = middle - 1
    }
    return low - 1
  }

  #lowerBound(chunk: Chunk, text: string): number {
    let low = 0
    let high = chunk.count
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#keys.compare(chunk.keys[middle]!, text) < 0) low = middle + 1 // cast: between two indexes
      else high = middle
    }
    return low
  }
}

function newChunk(): Chunk { return { keys: new Uint32Array(largestChunk), count: 0, live: 0, first: '' } }

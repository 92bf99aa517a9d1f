// Keys in order: a list of sorted chunks, each knowing how many of its keys exist now. Touched only when a key appears or disappears;
// an update of an existing key goes through the Map alone.
import type { KeyRecord } from './stored-key-value.ts'

const largestChunk = 512

interface Chunk {
  records: KeyRecord[]
  /** Records whose newest version is not a tombstone. */
  live: number
}

export class OrderedIndex {
  readonly #chunks: Chunk[] = [{ records: [], live: 0 }]

  /** Fills an empty index with all records at once. */
  fill(sorted: readonly KeyRecord[]): void {
    if (sorted.length === 0) return
    this.#chunks.length = 0
    for (let at = 0; at < sorted.length; at += largestChunk >> 1) {
      const records = sorted.slice(at, at + (largestChunk >> 1))
      this.#chunks.push({ records, live: countLive(records) })
    }
  }

  /** Adds a record that isn't there yet and whose key lives. */
  insert(record: KeyRecord): void {
    const chunkAt = this.#chunkFor(record.text)
    const chunk = this.#chunks[chunkAt]! // cast: chunkFor gives an index
    chunk.records.splice(lowerBound(chunk.records, record.text), 0, record)
    chunk.live++
    if (chunk.records.length <= largestChunk) return
    const right = chunk.records.splice(largestChunk >> 1)
    const rightLive = countLive(right)
    chunk.live -= rightLive
    this.#chunks.splice(chunkAt + 1, 0, { records: right, live: rightLive })
  }

  /** Removes a record that does not live any more. */
  remove(record: KeyRecord): void {
    const chunkAt = this.#chunkFor(record.text)
    const chunk = this.#chunks[chunkAt]! // cast: chunkFor gives an index
    const at = lowerBound(chunk.records, record.text)
    if (chunk.records[at] !== record) return
    chunk.records.splice(at, 1)
    if (chunk.records.length === 0 && this.#chunks.length > 1) this.#chunks.splice(chunkAt, 1)
  }

  /** Tells that the key of `record`, which is in the index, came to life (+1) or died (-1). */
  addLive(record: KeyRecord, change: 1 | -1): void {
    this.#chunks[this.#chunkFor(record.text)]!.live += change // cast: chunkFor gives an index
  }

  /** Calls `visit` for every record in [from, end) in order until it returns false. */
  visit(from: string, end: string | undefined, visit: (record: KeyRecord) => boolean): void {
    for (let c = this.#chunkFor(from); c < this.#chunks.length; c++) {
      const { records } = this.#chunks[c]! // cast: bounded by the loop
      for (let i = records[0] !== undefined && records[0].text >= from ? 0 : lowerBound(records, from); i < records.length; i++) {
        const record = records[i]! // cast: bounded by the loop
        if (end !== undefined && record.text >= end) return
        if (!visit(record)) return
      }
    }
  }

  /** True when more than `count` keys, living or not, lie in [from, end) — or nearly so many: whole chunks are counted without looking inside. */
  holdsMoreThan(count: number, from: string, end: string | undefined): boolean {
    let held = 0
    for (let c = this.#chunkFor(from); c < this.#chunks.length && held <= count; c++) {
      const { records } = this.#chunks[c]! // cast: bounded by the loop
      if (end !== undefined && records[0] !== undefined && records[0].text >= end) break
      held += records.length
    }
    return held > count
  }

  /** Number of living keys in [from, end): whole chunks are counted without looking inside. */
  countLive(from: string, end: string | undefined): number {
    let count = 0
    for (let c = this.#chunkFor(from); c < this.#chunks.length; c++) {
      const { records, live } = this.#chunks[c]! // cast: bounded by the loop
      const first = records[0]
      if (first === undefined) continue
      if (end !== undefined && first.text >= end) break
      const last = records[records.length - 1]! // cast: not empty
      if (first.text >= from && (end === undefined || last.text < end)) { count += live; continue }
      for (let i = lowerBound(records, from); i < records.length; i++) {
        const record = records[i]! // cast: bounded by the loop
        if (end !== undefined && record.text >= end) break
        if (record.newest !== undefined && !record.newest.isTombstone) count++
      }
    }
    return count
  }

  /** Index of the chunk that holds `text` or would hold it. */
  #chunkFor(text: string): number {
    let low = 1
    let high = this.#chunks.length - 1
    while (low <= high) {
      const middle = (low + high) >> 1
      const first = this.#chunks[middle]!.records[0] // cast: between two indexes
      if (first !== undefined && first.text <= text) low = middle + 1
      else high = middle - 1
    }
    return low - 1
  }
}

function lowerBound(records: readonly KeyRecord[], text: string): number {
  let low = 0
  let high = records.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (records[middle]!.text < text) low = middle + 1 // cast: between two indexes
    else high = middle
  }
  return low
}

function countLive(records: readonly KeyRecord[]): number {
  let live = 0
  for (const record of records) if (record.newest !== undefined && !record.newest.isTombstone) live++
  return live
}

// All versions that are kept, in the order in which they were made: for watches that start in the past, for compaction, and for what is made of
// everything in that order (the saved state, hashes). One number a version; a version that is freed leaves a gap, and gaps are closed when
// half of a chunk is gone.
import type { VersionTable } from './version-table.ts'

const largestChunk = 1024
const smallestChunk = 16

interface Chunk {
  /** 0: a gap. */
  ids: Uint32Array
  count: number
  gaps: number
  /** Revision of its last version, also when that is gone. */
  last: number
}

export class RevisionLog {
  readonly #versions: VersionTable
  readonly #chunks: Chunk[] = []
  // Where the changes of the next revision begin, for who reads one after the other.
  #nextRevision = -1
  #nextChunk = 0
  #nextAt = 0

  constructor(versions: VersionTable) { this.#versions = versions }

  /** Adds a version of the same revision as the last one or a later one. */
  push(id: number, revision: number): void {
    let chunk = this.#chunks[this.#chunks.length - 1]
    if (chunk === undefined || chunk.count === largestChunk) {
      chunk = { ids: new Uint32Array(smallestChunk), count: 0, gaps: 0, last: revision }
      this.#chunks.push(chunk)
    } else if (chunk.count === chunk.ids.length) {
      const larger = new Uint32Array(Math.min(largestChunk, chunk.count * 2))
      larger.set(chunk.ids.subarray(0, chunk.count))
      chunk.ids = larger
    }
    chunk.ids[chunk.count++] = id
    chunk.last = revision
  }

  /** The versions of `revision` in their order. */
  at(revision: number): readonly number[] {
    const found: number[] = []
    let c = this.#nextChunk
    let i = this.#nextAt
    if (revision !== this.#nextRevision) {
      c = this.#chunkOf(revision)
      i = this.#chunks[c] === undefined ? 0 : this.#lowerBound(this.#chunks[c]!, revision) // cast: looked at just now
    }
    for (; c < this.#chunks.length; c++, i = 0) {
      const { ids, count } = this.#chunks[c]! // cast: bounded by the loop
      for (; i < count; i++) {
        const id = ids[i]! // cast: bounded by the loop
        if (id === 0) continue
        if (this.#versions.revision(id) !== revision) { this.#remember(revision + 1, c, i); return found }
        found.push(id)
      }
      // More may come into the last one.
      if (c === this.#chunks.length - 1) { this.#remember(revision + 1, c, count); return found }
    }
    return found
  }

  /** The first revision behind `revision` of which a version is kept; Infinity: none. */
  nextAfter(revision: number): number {
    for (let c = this.#chunkOf(revision + 1); c < this.#chunks.length; c++) {
      const { ids, count } = this.#chunks[c]! // cast: bounded by the loop
      for (let i = this.#lowerBound(this.#chunks[c]!, revision + 1); i < count; i++) if (ids[i] !== 0) return this.#versions.revision(ids[i]!) // cast: bounded by the loop
    }
    return Infinity
  }

  clear(): void {
    this.#chunks.length = 0
    this.#nextRevision = -1
  }

  #remember(revision: number, chunk: number, at: number): void {
    this.#nextRevision = revision
    this.#nextChunk = chunk
    this.#nextAt = at
  }

  /** Leaves a gap in the place of a version. */
  forget(id: number, revision: number): void {
    // A revision may reach over several chunks.
    for (let c = this.#chunkOf(revision); c < this.#chunks.length; c++) {
      const chunk = this.#chunks[c]! // cast: bounded by the loop
      const at = chunk.ids.indexOf(id)
      if (at < 0 || at >= chunk.count) continue
      chunk.ids[at] = 0
      chunk.gaps++
      if (chunk.gaps * 2 > chunk.count && c < this.#chunks.length - 1) this.#close(c)
      return
    }
  }

  /** Closes the gaps of a chunk, and joins it to the one before when both are small. */
  #close(c: number): void {
    this.#nextRevision = -1
    const chunk = this.#chunks[c]! // cast: the caller's index
    const left = chunk.ids.subarray(0, chunk.count).filter((id) => id !== 0)
    const before = this.#chunks[c - 1]
    if (before !== undefined && before.gaps === 0 && before.count + left.length <= largestChunk) {
      const joined = new Uint32Array(before.count + left.length)
      joined.set(before.ids.subarray(0, before.count))
      joined.set(left, before.count)
      before.ids = joined
      before.count = joined.length
      before.last = chunk.last
      this.#chunks.splice(c, 1)
      return
    }
    if (left.length === 0) { this.#chunks.splice(c, 1); return }
    chunk.ids = left
    chunk.count = left.length
    chunk.gaps = 0
  }

  /** All versions up to `revision` in order, some at a time. What is pushed meanwhile is of a later revision; nothing may be forgotten. */
  *pieces(revision: number): Generator<Uint32Array, void> {
    for (let c = 0; c < this.#chunks.length; c++) {
      const { ids, count, gaps } = this.#chunks[c]! // cast: bounded by the loop
      let piece = ids.subarray(0, count)
      if (gaps > 0) piece = piece.filter((id) => id !== 0)
      const end = piece[piece.length - 1]
      if (end !== undefined && this.#versions.revision(end) > revision) {
        let length = piece.length
        while (length > 0 && this.#versions.revision(piece[length - 1]!) > revision) length-- // cast: above zero
        if (length > 0) yield piece.subarray(0, length)
        return
      }
      if (piece.length > 0) yield piece
    }
  }

  /** As `pieces`, from the newest to the oldest. */
  *piecesBackwards(revision: number): Generator<Uint32Array, void> {
    for (let c = Math.min(this.#chunkOf(revision + 1), this.#chunks.length - 1); c >= 0; c--) {
      const { ids, count } = this.#chunks[c]! // cast: bounded by the loop
      const piece = ids.subarray(0, count).filter((id) => id !== 0 && this.#versions.revision(id) <= revision).reverse()
      if (piece.length > 0) yield piece
    }
  }

  /** The first chunk that reaches to `revision`; behind the last one when none does. */
  #chunkOf(revision: number): number {
    let low = 0
    let high = this.#chunks.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#chunks[middle]!.last < revision) low = middle + 1 // cast: between two indexes
      else high = middle
    }
    return low
  }

  /** The first version of `revision` or later in a chunk. */
  #lowerBound({ ids, count, gaps }: Chunk, revision: number): number {
    if (gaps > 0) {
      let at = 0
      while (at < count && (ids[at] === 0 || this.#versions.revision(ids[at]!) < revision)) at++ // cast: bounded by the loop
      return at
    }
    let low = 0
    let high = count
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#versions.revision(ids[middle]!) < revision) low = middle + 1 // cast: between two indexes
      else high = middle
    }
    return low
  }
}

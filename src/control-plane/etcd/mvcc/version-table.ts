// The versions of keys as rows of numbers: what has to be known of a version without reading its bytes. A row is eight words in a typed array
// outside the JavaScript heap; its number is the version's. Number 0 is nobody's. Rows that are free are used again, and a chunk of rows
// that are all free is let go.
import type { SlabOwners } from './slab.ts'

const chunkBits = 13
const rowsPerChunk = 1 << chunkBits
const inChunk = rowsPerChunk - 1
const wordBits = 3

// Words of a row.
const revisionLow = 0
/** The upper bits of the revision, and the mark of a tombstone. */
const revisionHigh = 1
const subRevision = 2
/** The version of the same key before this one; of a free row the next free one of its chunk. */
const older = 3
const key = 4
/** 0 in a free row: slabs count from one here. */
const slab = 5
const offset = 6
const length = 7

const tombstoneMark = 0x8000_0000
const twoTo32 = 2 ** 32

interface Chunk {
  words: Uint32Array
  /** First of the free rows that were in use before, 0: none. */
  free: number
  /** Rows from here on were never used. */
  fresh: number
  live: number
  /** Whether it is in the list of those that may have room. */
  isListed: boolean
}

const noWords = new Uint32Array(0)

export class VersionTable implements SlabOwners {
  readonly #words: Uint32Array[] = []
  readonly #chunks: Chunk[] = []
  /** Chunks that may have room. */
  readonly #withRoom: number[] = []
  #count = 0

  /** Rows in use. */
  get count(): number { return this.#count }

  /** A new row, without place and without an older version. */
  add(revision: number, sub: number, keyNumber: number, byteLength: number, isTombstone: boolean): number {
    const id = this.#take()
    const words = this.#words[id >>> chunkBits]! // cast: taken just now
    const at = (id & inChunk) << wordBits
    words[at + revisionLow] = revision
    words[at + revisionHigh] = (isTombstone ? tombstoneMark : 0) + Math.floor(revision / twoTo32)
    words[at + subRevision] = sub
    words[at + older] = 0
    words[at + key] = keyNumber
    words[at + slab] = 0
    words[at + offset] = 0
    words[at + length] = byteLength
    return id
  }

  free(id: number): void {
    const number = id >>> chunkBits
    const chunk = this.#chunks[number]! // cast: the row is in use
    this.#count--
    if (!chunk.isListed) {
      chunk.isListed = true
      this.#withRoom.push(number)
    }
    if (--chunk.live === 0 && this.#withRoom[this.#withRoom.length - 1] !== number) {
      chunk.words = this.#words[number] = noWords
      chunk.free = chunk.fresh = 0
      return
    }
    const at = (id & inChunk) << wordBits
    chunk.words[at + slab] = 0
    chunk.words[at + older] = chunk.free
    chunk.free = id
  }

  #take(): number {
    this.#count++
    for (;;) {
      const number = this.#withRoom[this.#withRoom.length - 1]
      if (number === undefined) {
        this.#chunks.push({ words: noWords, free: 0, fresh: 0, live: 0, isListed: true })
        this.#words.push(noWords)
        this.#withRoom.push(this.#chunks.length - 1)
        continue
      }
      const chunk = this.#chunks[number]! // cast: pushed together
      if (chunk.words === noWords) {
        chunk.words = this.#words[number] = new Uint32Array(rowsPerChunk << wordBits)
        // Row 0 of all is nobody's.
        chunk.fresh = number === 0 ? 1 : 0
      }
      if (chunk.free !== 0) {
        const id = chunk.free
        chunk.free = chunk.words[((id & inChunk) << wordBits) + older]! // cast: a row's word
        chunk.live++
        return id
      }
      if (chunk.fresh < rowsPerChunk) {
        chunk.live++
        return number * rowsPerChunk + chunk.fresh++
      }
      chunk.isListed = false
      this.#withRoom.pop()
    }
  }

  /** False when the row was freed, and perhaps given to another version. */
  is(id: number, revision: number, sub: number): boolean {
    const words = this.#words[id >>> chunkBits]
    if (words === undefined || words.length === 0) return false
    return words[((id & inChunk) << wordBits) + slab] !== 0 && this.revision(id) === revision && this.sub(id) === sub
  }

  revision(id: number): number {
    const words = this.#words[id >>> chunkBits]! // cast: the row is in use, as below
    const at = (id & inChunk) << wordBits
    const high = words[at + revisionHigh]! & ~tombstoneMark // cast: a row's word, as below
    const low = words[at + revisionLow]! // cast: as above
    return high === 0 ? low : high * twoTo32 + low
  }

  isTombstone(id: number): boolean { return this.#word(id, revisionHigh) >= tombstoneMark }
  sub(id: number): number { return this.#word(id, subRevision) }
  older(id: number): number { return this.#word(id, older) }
  setOlder(id: number, version: number): void { this.#words[id >>> chunkBits]![((id & inChunk) << wordBits) + older] = version } // cast: as above
  /** 0: the key is forgotten, the version not yet. */
  key(id: number): number { return this.#word(id, key) }
  setKey(id: number, number: number): void { this.#words[id >>> chunkBits]![((id & inChunk) << wordBits) + key] = number } // cast: as above

  slabOf(id: number): number {
    const words = this.#words[id >>> chunkBits]! // cast: as above
    return words.length === 0 ? -1 : words[((id & inChunk) << wordBits) + slab]! - 1 // cast: as above
  }

  offsetOf(id: number): number { return this.#word(id, offset) }
  lengthOf(id: number): number { return this.#word(id, length) }

  setPlace(id: number, slabNumber: number, at: number): void {
    const words = this.#words[id >>> chunkBits]! // cast: as above
    const row = (id & inChunk) << wordBits
    words[row + slab] = slabNumber + 1
    words[row + offset] = at
  }

  #word(id: number, word: number): number { return this.#words[id >>> chunkBits]![((id & inChunk) << wordBits) + word]! } // cast: as above
}

// The answer of a range over very many keys: not the key-values but where their messages lie, three numbers each. It keeps the slabs alive that it
// points into, so the store may go on changing and compacting meanwhile.
import { nestedSize, type ExactWriter } from '../../../lib/base/protobuf/exact-writer.ts'
import type { MvccStore } from './mvcc-store.ts'
import type { SlabBytes } from './slab.ts'

const numbers = 3
const perChunk = 4096

export class MessageList {
  readonly #store: MvccStore
  readonly #chunks: Uint32Array[] = []
  readonly #slabs: SlabBytes[] = []
  readonly #slabNumbers = new Map<SlabBytes, number>()
  length = 0
  /** Bytes of all of them as fields of another message, whose tag is below 128. */
  fieldBytes = 0

  constructor(store: MvccStore) { this.#store = store }

  push(version: number): void {
    const store = this.#store
    const bytes = store.slabOf(version)
    let slab = this.#slabNumbers.get(bytes)
    if (slab === undefined) {
      slab = this.#slabs.push(bytes) - 1
      this.#slabNumbers.set(bytes, slab)
    }
    const place = this.length % perChunk
    if (place === 0) this.#chunks.push(new Uint32Array(perChunk * numbers))
    const chunk = this.#chunks[this.#chunks.length - 1]! // cast: pushed before
    const size = store.lengthOf(version)
    chunk[place * numbers] = slab
    chunk[place * numbers + 1] = store.offsetOf(version)
    chunk[place * numbers + 2] = size
    this.length++
    this.fieldBytes += nestedSize(size)
  }

  /** Bytes of the message at `index`. */
  sizeAt(index: number): number { return this.#chunks[Math.floor(index / perChunk)]![(index % perChunk) * numbers + 2]! } // cast: below the length

  /** Writes it as a field with `tag`. */
  write(index: number, tag: number, out: ExactWriter): void {
    const chunk = this.#chunks[Math.floor(index / perChunk)]! // cast: below the length
    const at = (index % perChunk) * numbers
    const size = chunk[at + 2]! // cast: as above
    const start = chunk[at + 1]! // cast: as above
    out.nested(tag, size)
    out.part(this.#slabs[chunk[at]!]!, start, start + size) // cast: as above
  }
}

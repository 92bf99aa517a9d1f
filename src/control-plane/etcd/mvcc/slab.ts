// What is stored lives here: appended into large byte arrays outside the JavaScript heap, so that a million objects cost the garbage collector
// nothing. Who owns a piece (a version) is a number; where its bytes lie is in the owner's row.
//
// Rules it keeps: bytes once written are never overwritten (a reader may hold a view of them for ever); a slab without live pieces is let
// go as a whole; after a compaction slabs that are mostly dead have their live pieces copied out, a bounded number of bytes at a time.

const smallestSlabBytes = 64 * 1024
const usualSlabBytes = 1024 * 1024
/** Pieces larger than this get a slab of their own. */
const ownSlabBytes = 256 * 1024
/**
 * From this much on slabs are larger than what the C library ever keeps for itself when it is freed (32 MiB): the memory goes back to the
 * system. Of a new one only what is written takes memory.
 */
const largeStoreBytes = 16 * 1024 * 1024
const largestSlabBytes = 33 * 1024 * 1024

/** What Node's byte arrays have beside the standard: several times as fast for what is done with every key. */
export interface SlabBytes extends Uint8Array {
  latin1Slice?(start: number, end: number): string
  copy?(target: Uint8Array, targetStart: number, start: number, end: number): number
}

interface BufferLike { readonly Buffer?: { alloc(size: number): SlabBytes } }
const { Buffer: nodeBuffer } = globalThis as BufferLike // cast: there may be none
const allocate = (size: number): SlabBytes => (nodeBuffer ? nodeBuffer.alloc(size) : new Uint8Array(size))

export class Slab {
  readonly number: number
  readonly bytes: SlabBytes
  used = 0
  live = 0
  /** Everyone who was ever placed here, for moving who still is. */
  owners = new Uint32Array(16)
  ownerCount = 0
  /** Owners that have been moved out already. */
  moved = 0

  constructor(number: number, size: number) {
    this.number = number
    this.bytes = allocate(size)
  }

  addOwner(owner: number): void {
    if (this.ownerCount === this.owners.length) {
      const larger = new Uint32Array(this.ownerCount * 2)
      larger.set(this.owners)
      this.owners = larger
    }
    this.owners[this.ownerCount++] = owner
  }
}

/** Where the owners write down where their bytes are. */
export interface SlabOwners {
  slabOf(owner: number): number
  offsetOf(owner: number): number
  lengthOf(owner: number): number
  setPlace(owner: number, slab: number, offset: number): void
}

export class SlabSpace {
  readonly #owners: SlabOwners
  /** By number; a number is used again when its slab is gone. */
  readonly #slabs: (Slab | undefined)[] = []
  readonly #freeNumbers: number[] = []
  #current: Slab | undefined
  #nextSize = smallestSlabBytes
  #capacity = 0
  #live = 0

  constructor(owners: SlabOwners) { this.#owners = owners }

  /** Bytes of all slabs, without what was never written. */
  get capacityBytes(): number { return this.#current === undefined ? this.#capacity : this.#capacity - this.#current.bytes.length + this.#current.used }
  /** Bytes of pieces that are not freed. */
  get liveBytes(): number { return this.#live }

  bytes(slab: number): SlabBytes { return this.#slabs[slab]!.bytes } // cast: rows name slabs that are there

  /** Makes room for `length` bytes, at the end of what the slab had in use, and tells `owner` where; they have to be written at once. */
  place(owner: number, length: number): Slab {
    const slab = this.#roomFor(length)
    this.#owners.setPlace(owner, slab.number, slab.used)
    slab.used += length
    slab.live += length
    this.#live += length
    slab.addOwner(owner)
    return slab
  }

  /** The owner's bytes are not live any more; they go when nobody reads them. */
  free(owner: number): void {
    const slab = this.#slabs[this.#owners.slabOf(owner)]! // cast: as in bytes()
    const length = this.#owners.lengthOf(owner)
    slab.live -= length
    this.#live -= length
    if (slab.live === 0 && slab !== this.#current) this.#drop(slab)
  }

  /** Moves live pieces out of slabs of whose content less than `leastLive` is live, up to `budgetBytes`. Returns false when nothing is left to move. */
  reclaim(budgetBytes: number, leastLive = 0.5): boolean {
    let left = budgetBytes
    for (const slab of this.#slabs) {
      if (slab === undefined || slab === this.#current || slab.live >= slab.used * leastLive) continue
      while (slab.live > 0 && slab.moved < slab.ownerCount) {
        if (left <= 0) return true
        left -= this.#move(slab, slab.owners[slab.moved++]!) // cast: bounded by the loop
      }
      this.#drop(slab)
    }
    return false
  }

  /** Bytes that it took, as far as one has to count them. */
  #move(slab: Slab, owner: number): number {
    // An owner may have gone, and its number may be somebody else's by now.
    if (this.#owners.slabOf(owner) !== slab.number) return 8
    const from = this.#owners.offsetOf(owner)
    const length = this.#owners.lengthOf(owner)
    slab.live -= length
    this.#live -= length
    const target = this.place(owner, length)
    target.bytes.set(slab.bytes.subarray(from, from + length), this.#owners.offsetOf(owner))
    return length + 64
  }

  #roomFor(length: number): Slab {
    const full = this.#current
    if (full !== undefined && full.bytes.length - full.used >= length) return full
    if (length > ownSlabBytes) return this.#add(length)
    const slab = this.#add(Math.max(this.#nextSize, length))
    this.#nextSize = this.#capacity < largeStoreBytes ? Math.min(usualSlabBytes, this.#nextSize * 2) : largestSlabBytes
    this.#current = slab
    if (full !== undefined && full.live === 0) this.#drop(full)
    return slab
  }

  #add(size: number): Slab {
    const number = this.#freeNumbers.pop() ?? this.#slabs.length
    const slab = new Slab(number, size)
    this.#slabs[number] = slab
    this.#capacity += size
    return slab
  }

  #drop(slab: Slab): void {
    if (this.#slabs[slab.number] !== slab) return
    this.#slabs[slab.number] = undefined
    this.#freeNumbers.push(slab.number)
    this.#capacity -= slab.bytes.length
  }
}

// Values live here: appended into large byte arrays outside the JavaScript heap, so that a million objects cost the garbage collector a
// million small index records and not their contents.
//
// Rules it keeps: bytes once written are never overwritten (a reader may hold a view of them for ever); a slab without live values is let
// go as a whole; after a compaction slabs that are mostly dead have their live values copied out, a bounded number of bytes at a time.

const smallestSlabBytes = 64 * 1024
const largestSlabBytes = 1024 * 1024
/** Values larger than this get a slab of their own. */
const ownSlabBytes = 256 * 1024

export class Slab {
  readonly bytes: Uint8Array
  used = 0
  live = 0
  /** Everything ever placed here, for moving what is still live. */
  owners: SlabOwner[] = []
  constructor(size: number) { this.bytes = new Uint8Array(size) }
}

/** Something whose bytes lie in a slab. */
export interface SlabOwner {
  slab: Slab
  offset: number
  readonly length: number
  /** False once freed: it is not moved any more, and its bytes go when nobody reads them. */
  retained: boolean
}

const emptySlab = new Slab(0)

export class SlabSpace {
  readonly #slabs = new Set<Slab>()
  #current: Slab = emptySlab
  #nextSize = smallestSlabBytes
  #capacity = 0
  #live = 0

  /** Bytes of all slabs. */
  get capacityBytes(): number { return this.#capacity }
  /** Bytes of values that are not freed. */
  get liveBytes(): number { return this.#live }

  /** Copies `bytes` in and points `owner` at them. */
  place(owner: SlabOwner, bytes: Uint8Array): void {
    const length = bytes.length
    if (length === 0) { owner.slab = emptySlab; owner.offset = 0; return }
    const slab = this.#roomFor(length)
    slab.bytes.set(bytes, slab.used)
    owner.slab = slab
    owner.offset = slab.used
    slab.used += length
    slab.live += length
    this.#live += length
    slab.owners.push(owner)
  }

  free(owner: SlabOwner): void {
    if (!owner.retained) return
    owner.retained = false
    const { slab } = owner
    if (slab === emptySlab) return
    slab.live -= owner.length
    this.#live -= owner.length
    if (slab.live === 0 && slab !== this.#current) this.#drop(slab)
  }

  /** Moves live values out of slabs that are less than half live, up to `budgetBytes`. Returns false when nothing is left to move. */
  reclaim(budgetBytes: number): boolean {
    let left = budgetBytes
    for (const slab of this.#slabs) {
      if (slab === this.#current || slab.live * 2 >= slab.bytes.length) continue
      if (left <= 0) return true
      left -= slab.live
      for (const owner of slab.owners) {
        if (!owner.retained || owner.slab !== slab) continue
        const bytes = slab.bytes.subarray(owner.offset, owner.offset + owner.length)
        this.#live -= owner.length
        this.place(owner, bytes)
      }
      this.#drop(slab)
    }
    return false
  }

  #roomFor(length: number): Slab {
    if (length > ownSlabBytes) return this.#add(length)
    if (this.#current.bytes.length - this.#current.used >= length) return this.#current
    const full = this.#current
    const slab = this.#add(Math.max(this.#nextSize, length))
    this.#nextSize = Math.min(largestSlabBytes, this.#nextSize * 2)
    this.#current = slab
    if (full !== emptySlab && full.live === 0) this.#drop(full)
    return slab
  }

  #add(size: number): Slab {
    const slab = new Slab(size)
    this.#slabs.add(slab)
    this.#capacity += size
    return slab
  }

  #drop(slab: Slab): void {
    if (!this.#slabs.delete(slab)) return
    this.#capacity -= slab.bytes.length
    slab.owners = []
  }
}

export { emptySlab }

// Writes a bbolt database in order, piece by piece, so that it never is in memory as a whole: the meta pages, the pages of each bucket's B+tree
// (leaves first, then the branches above them), the free list, the leaf that names the buckets, the seal.
//
// The first pages say how long the file is and where its tree begins. So everything is added twice: to a file without a layout, which only
// counts (an entry's size is enough for that), and to one with the layout that this gave.
import { bucketElement, boltPageBytes, elementBytes, encodeMetaPage, pageFlags, pageHeadBytes, SealBuilder, sealBytes, writePageHead } from './bolt-format.ts'

const pieceBytes = 256 * 1024
const sparePieces = 4

interface Child { readonly page: number; readonly keyLength: number; readonly key: Buffer | undefined }

/** What has to be known before the first page can be written. */
export interface BoltLayout {
  readonly root: number
  readonly freeList: number
  readonly pages: number
  /** Bytes of the whole file. */
  readonly totalBytes: number
}

/** How entries of a bucket are written. */
export interface EntryCodec<T> {
  keyLength(entry: T): number
  valueLength(entry: T): number
  writeKey(entry: T, bytes: Buffer, at: number): void
  writeValue(entry: T, bytes: Buffer, at: number): void
  isBucket?(entry: T): boolean
}

export interface PlainEntry { readonly key: Uint8Array; readonly value: Uint8Array; readonly isBucket?: true }

export const plainEntries: EntryCodec<PlainEntry> = {
  keyLength: ({ key }) => key.length,
  valueLength: ({ value }) => value.length,
  writeKey: ({ key }, bytes, at) => { bytes.set(key, at) },
  writeValue: ({ value }, bytes, at) => { bytes.set(value, at) },
  isBucket: (entry) => entry.isBucket === true,
}

export class BoltFile {
  readonly #layout: BoltLayout | undefined
  readonly #transaction: bigint
  readonly #seal = new SealBuilder()
  readonly #buckets: PlainEntry[] = []
  #pieces: Buffer[] = []
  readonly #spare: Buffer[] = []
  #piece: Buffer | undefined
  #pieceLength = 0
  #nextPage = 2

  /** @param transaction of the file's state: at least 1, and higher for a later state of the same store */
  constructor(transaction: number, layout?: BoltLayout) {
    this.#transaction = BigInt(transaction) * 2n
    this.#layout = layout
    if (!layout) return
    for (const id of [0n, 1n]) {
      const { bytes, at } = this.#room(1)
      encodeMetaPage({ pageBytes: boltPageBytes, root: layout.root, freeList: layout.freeList, pages: layout.pages, transaction: this.#transaction + id }).copy(bytes, at)
    }
  }

  get onlyCounts(): boolean { return this.#layout === undefined }

  /** What has been finished since the last call. */
  take(): readonly Buffer[] {
    const pieces = this.#pieces
    this.#pieces = []
    return pieces
  }

  /** A piece that was taken is not read any more: its room is used again. */
  giveBack(piece: Buffer): void {
    const whole = piece.byteOffset === 0 && piece.buffer.byteLength === pieceBytes ? Buffer.from(piece.buffer) : undefined
    if (whole && this.#spare.length < sparePieces) this.#spare.push(whole)
  }

  /** Starts a bucket; its entries have to be added in the order of their keys, and the buckets themselves in the order of their names. */
  bucket<T>(name: string, codec: EntryCodec<T>): BoltBucket<T> {
    return new BoltBucket(codec, this, (root) => {
      const value = Buffer.alloc(16)
      value.writeBigUInt64LE(BigInt(root))
      this.#buckets.push({ key: Buffer.from(name), value, isBucket: true })
    })
  }

  /** Adds a whole small bucket. */
  smallBucket(name: string, entries: readonly PlainEntry[]): void {
    const bucket = this.bucket(name, plainEntries)
    for (const entry of entries) bucket.add(entry)
    bucket.finish()
  }

  finish(): BoltLayout {
    const freeList = this.allocate(pageHeadBytes, pageFlags.freeList, 0).page
    let size = pageHeadBytes
    for (const { key, value } of this.#buckets) size += elementBytes + key.length + value.length
    const root = this.writeLeaf(this.#buckets, plainEntries, size)
    const pages = this.#nextPage
    if (this.#layout) {
      this.#closePiece()
      this.#pieces.push(this.#seal.finish(boltPageBytes))
    }
    return { root, freeList, pages, totalBytes: pages * boltPageBytes + sealBytes(pages, boltPageBytes) }
  }

  /** Room for `size` bytes under a page head; `bytes` is undefined while only counting. */
  allocate(size: number, flag: number, count: number): { readonly page: number; readonly bytes: Buffer | undefined; readonly at: number } {
    const pages = Math.ceil(size / boltPageBytes)
    const page = this.#nextPage
    this.#nextPage += pages
    if (!this.#layout) return { page, bytes: undefined, at: 0 }
    const { bytes, at } = this.#room(pages)
    writePageHead(bytes, at, page, flag, count, pages - 1)
    return { page, bytes, at }
  }

  writeLeaf<T>(entries: readonly T[], codec: EntryCodec<T>, size: number): number {
    const { page, bytes, at: start } = this.allocate(size, pageFlags.leaf, entries.length)
    if (!bytes) return page
    let head = start + pageHeadBytes
    let at = head + entries.length * elementBytes
    for (const entry of entries) {
      const keyLength = codec.keyLength(entry)
      const valueLength = codec.valueLength(entry)
      bytes.writeUInt32LE(codec.isBucket?.(entry) ? bucketElement : 0, head)
      bytes.writeUInt32LE(at - head, head + 4)
      bytes.writeUInt32LE(keyLength, head + 8)
      bytes.writeUInt32LE(valueLength, head + 12)
      codec.writeKey(entry, bytes, at)
      codec.writeValue(entry, bytes, at + keyLength)
      at += keyLength + valueLength
      head += elementBytes
    }
    return page
  }

  /** Zeroed bytes for so many pages, in the piece that is being filled. */
  #room(pages: number): { readonly bytes: Buffer; readonly at: number } {
    const size = pages * boltPageBytes
    if (this.#piece && this.#pieceLength + size > this.#piece.length) this.#closePiece()
    this.#piece ??= size > pieceBytes ? Buffer.alloc(size) : (this.#spare.pop()?.fill(0) ?? Buffer.alloc(pieceBytes))
    const at = this.#pieceLength
    this.#pieceLength += size
    return { bytes: this.#piece, at }
  }

  #closePiece(): void {
    if (!this.#piece || this.#pieceLength === 0) return
    const piece = this.#piece.subarray(0, this.#pieceLength)
    this.#seal.add(piece)
    this.#pieces.push(piece)
    this.#piece = undefined
    this.#pieceLength = 0
  }
}

/** Fills leaves as entries come, and puts branches above them at the end. */
export class BoltBucket<T> {
  readonly #codec: EntryCodec<T>
  readonly #file: BoltFile
  readonly #done: (root: number) => void
  readonly #entries: T[] = []
  #bytes = pageHeadBytes
  readonly #leaves: Child[] = []

  constructor(codec: EntryCodec<T>, file: BoltFile, done: (root: number) => void) {
    this.#codec = codec
    this.#file = file
    this.#done = done
  }

  add(entry: T): void {
    const size = elementBytes + this.#codec.keyLength(entry) + this.#codec.valueLength(entry)
    if (this.#entries.length > 0 && this.#bytes + size > boltPageBytes) this.#flush()
    this.#entries.push(entry)
    this.#bytes += size
  }

  #flush(): void {
    const first = this.#entries[0]
    const page = this.#file.writeLeaf(this.#entries, this.#codec, this.#bytes)
    this.#leaves.push({ page, keyLength: first === undefined ? 0 : this.#codec.keyLength(first), key: first === undefined || this.#file.onlyCounts ? undefined : this.#keyOf(first) })
    this.#entries.length = 0
    this.#bytes = pageHeadBytes
  }

  #keyOf(entry: T): Buffer {
    const bytes = Buffer.allocUnsafe(this.#codec.keyLength(entry))
    this.#codec.writeKey(entry, bytes, 0)
    return bytes
  }

  finish(): void {
    if (this.#entries.length > 0 || this.#leaves.length === 0) this.#flush()
    let level: readonly Child[] = this.#leaves
    while (level.length > 1) {
      const above: Child[] = []
      for (let from = 0; from < level.length;) {
        let to = from
        let size = pageHeadBytes
        for (; to < level.length; to++) {
          const more = elementBytes + level[to]!.keyLength // cast: below length
          // A branch has at least two children, however long their keys.
          if (size + more > boltPageBytes && to - from >= 2) break
          size += more
        }
        above.push(this.#branch(level.slice(from, to), size))
        from = to
      }
      level = above
    }
    this.#done(level[0]!.page) // cast: a level has a page
  }

  #branch(children: readonly Child[], size: number): Child {
    const { page, bytes, at: start } = this.#file.allocate(size, pageFlags.branch, children.length)
    const first = children[0]! // cast: at least one child
    if (bytes) {
      let head = start + pageHeadBytes
      let at = head + children.length * elementBytes
      for (const { page: child, keyLength, key } of children) {
        bytes.writeUInt32LE(at - head, head)
        bytes.writeUInt32LE(keyLength, head + 4)
        bytes.writeBigUInt64LE(BigInt(child), head + 8)
        if (key) bytes.set(key, at)
        at += keyLength
        head += elementBytes
      }
    }
    return { page, keyLength: first.keyLength, key: first.key }
  }
}

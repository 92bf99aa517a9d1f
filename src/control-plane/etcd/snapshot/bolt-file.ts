// Writes a bbolt database, etcd's own file format: what `etcdctl snapshot save` stores and `etcdutl snapshot restore` reads.
//
// Pages of 4 KiB: two copies of the meta page, the pages of each bucket's B+tree (leaves first, then the branches above them), the free list,
// and the leaf that names the buckets. Everything is written once, in key order. Upstream: go.etcd.io/bbolt
export const boltPageBytes = 4096
const pageBytes = boltPageBytes
const pageHeadBytes = 16
const elementBytes = 16
const flags = { branch: 0x01, leaf: 0x02, meta: 0x04, freeList: 0x10 } as const
const bucketElement = 0x01

interface Element { readonly key: Uint8Array; readonly value: Uint8Array; readonly isBucket?: true }
interface Child { readonly key: Uint8Array; readonly page: number }

/** What has to be known before the first page can be written. */
export interface BoltLayout {
  readonly root: number
  readonly freeList: number
  readonly pages: number
}

/**
 * Written twice: without a layout it only counts pages, and `finish` gives the layout; with it, `take` gives the file piece by piece, and the
 * same buckets with the same contents have to be added again.
 */
export class BoltFile {
  readonly #layout: BoltLayout | undefined
  #pieces: Buffer[] = []
  #nextPage = 2
  readonly #buckets: Element[] = []

  constructor(layout?: BoltLayout) {
    this.#layout = layout
    if (layout) this.#pieces.push(this.#meta(0, layout), this.#meta(1, layout))
  }

  /** What has been written since the last call. */
  take(): readonly Buffer[] {
    const pieces = this.#pieces
    this.#pieces = []
    return pieces
  }

  /** Starts a bucket; its keys have to be added in order, and the buckets themselves in the order of their names. */
  bucket(name: string): BoltBucket {
    return new BoltBucket((elements) => this.#leaf(elements), (children) => this.#branch(children), (root) => {
      this.#buckets.push({ key: Buffer.from(name), value: rootOf(root), isBucket: true })
    })
  }

  #leaf(elements: readonly Element[]): number {
    const size = pageHeadBytes + elements.reduce((sum, { key, value }) => sum + elementBytes + key.length + value.length, 0)
    const { page, bytes } = this.#allocate(size, flags.leaf, elements.length)
    if (!bytes) return page
    let at = pageHeadBytes + elements.length * elementBytes
    elements.forEach(({ key, value, isBucket }, i) => {
      const head = pageHeadBytes + i * elementBytes
      bytes.writeUInt32LE(isBucket ? bucketElement : 0, head)
      bytes.writeUInt32LE(at - head, head + 4)
      bytes.writeUInt32LE(key.length, head + 8)
      bytes.writeUInt32LE(value.length, head + 12)
      bytes.set(key, at)
      bytes.set(value, at + key.length)
      at += key.length + value.length
    })
    return page
  }

  #branch(children: readonly Child[]): number {
    const size = pageHeadBytes + children.reduce((sum, { key }) => sum + elementBytes + key.length, 0)
    const { page, bytes } = this.#allocate(size, flags.branch, children.length)
    if (!bytes) return page
    let at = pageHeadBytes + children.length * elementBytes
    children.forEach((child, i) => {
      const head = pageHeadBytes + i * elementBytes
      bytes.writeUInt32LE(at - head, head)
      bytes.writeUInt32LE(child.key.length, head + 4)
      bytes.writeBigUInt64LE(BigInt(child.page), head + 8)
      bytes.set(child.key, at)
      at += child.key.length
    })
    return page
  }

  #allocate(size: number, flag: number, count: number): { readonly page: number; readonly bytes: Buffer | undefined } {
    const pages = Math.ceil(size / pageBytes)
    const page = this.#nextPage
    this.#nextPage += pages
    if (!this.#layout) return { page, bytes: undefined }
    const bytes = Buffer.alloc(pages * pageBytes)
    writePageHead(bytes, page, flag, count, pages - 1)
    this.#pieces.push(bytes)
    return { page, bytes }
  }

  finish(): BoltLayout {
    const freeList = this.#allocate(pageHeadBytes, flags.freeList, 0).page
    const root = this.#leaf(this.#buckets)
    return { root, freeList, pages: this.#nextPage }
  }

  #meta(id: 0 | 1, { root, freeList, pages }: BoltLayout): Buffer {
    const bytes = Buffer.alloc(pageBytes)
    writePageHead(bytes, id, flags.meta, 0, 0)
    const at = pageHeadBytes
    bytes.writeUInt32LE(0xed0cdaed, at)
    bytes.writeUInt32LE(2, at + 4)
    bytes.writeUInt32LE(pageBytes, at + 8)
    bytes.writeBigUInt64LE(BigInt(root), at + 16)
    bytes.writeBigUInt64LE(BigInt(freeList), at + 32)
    bytes.writeBigUInt64LE(BigInt(pages), at + 40)
    bytes.writeBigUInt64LE(BigInt(id), at + 48)
    bytes.writeBigUInt64LE(fnv64a(bytes.subarray(at, at + 56)), at + 56)
    return bytes
  }
}

/** Fills leaves as keys come, and puts branches above them at the end. */
export class BoltBucket {
  readonly #writeLeaf: (elements: readonly Element[]) => number
  readonly #writeBranch: (children: readonly Child[]) => number
  readonly #done: (root: number) => void
  #elements: Element[] = []
  #bytes = pageHeadBytes
  #leaves: Child[] = []

  constructor(writeLeaf: (elements: readonly Element[]) => number, writeBranch: (children: readonly Child[]) => number, done: (root: number) => void) {
    this.#writeLeaf = writeLeaf
    this.#writeBranch = writeBranch
    this.#done = done
  }

  put(key: Uint8Array, value: Uint8Array): void {
    const size = elementBytes + key.length + value.length
    if (this.#elements.length > 0 && this.#bytes + size > pageBytes) this.#flush()
    this.#elements.push({ key, value })
    this.#bytes += size
  }

  #flush(): void {
    this.#leaves.push({ key: this.#elements[0]?.key ?? new Uint8Array(0), page: this.#writeLeaf(this.#elements) })
    this.#elements = []
    this.#bytes = pageHeadBytes
  }

  finish(): void {
    if (this.#elements.length > 0 || this.#leaves.length === 0) this.#flush()
    let level = this.#leaves
    while (level.length > 1) {
      const above: Child[] = []
      for (let from = 0; from < level.length;) {
        let to = from
        for (let bytes = pageHeadBytes; to < level.length; to++) {
          bytes += elementBytes + level[to]!.key.length // cast: below length
          // A branch has at least two children, however long their keys.
          if (bytes > pageBytes && to - from >= 2) break
        }
        const children = level.slice(from, to)
        above.push({ key: children[0]!.key, page: this.#writeBranch(children) }) // cast: at least one child
        from = to
      }
      level = above
    }
    this.#done(level[0]!.page) // cast: a level has a page
  }
}

function writePageHead(bytes: Buffer, page: number, flag: number, count: number, overflow: number): void {
  bytes.writeBigUInt64LE(BigInt(page), 0)
  bytes.writeUInt16LE(flag, 8)
  bytes.writeUInt16LE(count, 10)
  bytes.writeUInt32LE(overflow, 12)
}

/** A bucket's value: the page of its root, and a sequence that etcd doesn't use. */
function rootOf(page: number): Uint8Array {
  const bytes = Buffer.alloc(16)
  bytes.writeBigUInt64LE(BigInt(page))
  return bytes
}

function fnv64a(bytes: Uint8Array): bigint {
  let hash = 0xcbf29ce484222325n
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n)
  return hash
}

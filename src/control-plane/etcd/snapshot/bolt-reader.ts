// Reads a bbolt database: ours, snapshots, and those of the original. The file comes in large pieces, of which a bounded number is kept; what
// lies in a piece is decoded without waiting. Of a sealed file every piece is checked before anything in it is believed.
// Upstream: go.etcd.io/bbolt
import type { DiskFile } from '../disk/disk.ts'
import { yieldToLoop } from '../yield-to-loop.ts'
import { BoltError, bucketElement, decodeMetaPage, decodeSeal, elementBytes, metaKind, pageFlags, pageHeadBytes, sealBlockBytes, sealBytes, type MetaPage } from './bolt-format.ts'
import { crc32c } from '../../../lib/etcd-api/crc32c.ts'

const pieceBytes = 512 * 1024
const piecesKept = 64
const deepest = 64
/** Leaves between two pauses. */
const leavesPerTurn = 64
const pageSizes = [4096, 8192, 16_384, 32_768, 65_536]

export interface BoltEntry { readonly key: Buffer; readonly value: Buffer }

/** Called for an entry: the key is bytes[keyAt, valueAt), the value bytes[valueAt, end). The bytes are valid during the call. */
export type EntryVisitor = (bytes: Buffer, keyAt: number, valueAt: number, end: number) => void

export class BoltReader {
  readonly #file: DiskFile
  readonly #meta: MetaPage
  readonly #checksums: Uint32Array | undefined
  readonly #checked = new Set<number>()
  readonly #pieces = new Map<number, Buffer>()
  #roots: ReadonlyMap<string, Buffer> = new Map()
  #ahead: { readonly index: number; readonly reading: Promise<Buffer> } | undefined
  #visitedPages = 0
  /** Bytes of the database, without what may follow it. */
  readonly size: number

  private constructor(file: DiskFile, meta: MetaPage, checksums: Uint32Array | undefined) {
    this.#file = file
    this.#meta = meta
    this.#checksums = checksums
    this.size = meta.pages * meta.pageBytes
  }

  /** @throws BoltError */
  static async open(file: DiskFile): Promise<BoltReader> {
    const { newest, isSealed, isTorn } = await readMetaPages(file)
    const length = newest.pages * newest.pageBytes
    const size = await file.size()
    if (length > size) throw new BoltError(`the database is cut off: ${size} of ${length} bytes are there`)
    let checksums: Uint32Array | undefined
    if (isSealed) {
      const seal = Buffer.alloc(sealBytes(newest.pages, newest.pageBytes))
      checksums = (await file.read(seal, length)) === seal.length ? decodeSeal(seal, length) : undefined
      // The original may have begun to write behind our last page, and have been stopped before it said so.
      if (!checksums && !isTorn) throw new BoltError('the checksums behind the last page are damaged')
    }
    const reader = new BoltReader(file, newest, checksums)
    const roots = new Map<string, Buffer>()
    await reader.#visitTree(newest.root, (bytes, keyAt, valueAt, end, isBucket) => {
      if (isBucket && end - valueAt >= 16) roots.set(bytes.toString('latin1', keyAt, valueAt), Buffer.from(bytes.subarray(valueAt, end)))
    })
    reader.#roots = roots
    return reader
  }

  /** Whether every bit is covered by checksums. */
  get isSealed(): boolean { return this.#checksums !== undefined }
  get transaction(): bigint { return this.#meta.transaction }
  /** The names of the buckets, in order. */
  get buckets(): readonly string[] { return [...this.#roots.keys()] }

  /** Visits the entries of a bucket in order; none when there is no such bucket. @throws BoltError */
  async visit(bucket: string, visitor: EntryVisitor): Promise<void> {
    const value = this.#roots.get(bucket)
    if (!value) return
    const root = Number(value.readBigUInt64LE(0))
    // A small bucket lies inside its value, behind the head.
    if (root === 0) visitElements(value, 16, value.length, visitor)
    else await this.#visitTree(root, visitor)
  }

  /** The entries of a small bucket, copied. @throws BoltError */
  async entries(bucket: string): Promise<readonly BoltEntry[]> {
    const entries: BoltEntry[] = []
    await this.visit(bucket, (bytes, keyAt, valueAt, end) => {
      const copy = Buffer.from(bytes.subarray(keyAt, end))
      entries.push({ key: copy.subarray(0, valueAt - keyAt), value: copy.subarray(valueAt - keyAt) })
    })
    return entries
  }

  /** Checks what has not been read. @throws BoltError */
  async checkRest(): Promise<void> {
    if (!this.#checksums) return
    for (let piece = 0; piece * pieceBytes < this.size; piece++) if (!this.#checked.has(piece)) await this.#load(piece)
  }

  async #visitTree(root: number, visit: (bytes: Buffer, keyAt: number, valueAt: number, end: number, isBucket: boolean) => void): Promise<void> {
    this.#visitedPages = 0
    const walk = async (page: number, depth: number): Promise<void> => {
      if (depth > deepest) throw new BoltError(`page ${page} lies too deep`)
      const bytes = this.#cached(page) ?? await this.#fetch(page)
      // A damaged tree may lead in circles.
      if (++this.#visitedPages > this.#meta.pages) throw new BoltError(`page ${page} is part of two trees`)
      const flag = bytes.readUInt16LE(8)
      if (flag === pageFlags.leaf) {
        visitElements(bytes, 0, bytes.length, visit)
        if (this.#visitedPages % leavesPerTurn === 0) await yieldToLoop()
        return
      }
      if (flag !== pageFlags.branch) throw new BoltError(`page ${page}: unexpected type ${flag}`)
      for (const child of childrenOf(bytes)) {
        const leaf = depth < deepest ? this.#cached(child) : undefined
        if (leaf && leaf.readUInt16LE(8) === pageFlags.leaf && this.#visitedPages % leavesPerTurn !== leavesPerTurn - 1) {
          this.#visitedPages++
          visitElements(leaf, 0, leaf.length, visit)
        } else await walk(child, depth + 1)
      }
    }
    await walk(root, 0)
  }

  /** The page, when it lies in one of the pieces at hand. */
  #cached(page: number): Buffer | undefined {
    const { pageBytes } = this.#meta
    const offset = page * pageBytes
    const piece = this.#pieces.get(Math.floor(offset / pieceBytes))
    if (!piece) return undefined
    const at = offset % pieceBytes
    if (page < 2 || offset >= this.size || at + pageBytes > piece.length) return undefined
    const end = at + (piece.readUInt32LE(at + 12) + 1) * pageBytes
    if (end > piece.length || readPageId(piece, at) !== page) return undefined
    return piece.subarray(at, end)
  }

  async #fetch(page: number): Promise<Buffer> {
    const { pageBytes } = this.#meta
    const offset = page * pageBytes
    if (page < 2 || offset >= this.size) throw new BoltError(`page ${page} lies outside the database`)
    const first = await this.#load(Math.floor(offset / pieceBytes))
    const at = offset % pieceBytes
    const id = readPageId(first, at)
    if (id !== page) throw new BoltError(`page ${page} names itself ${id}`)
    const length = (first.readUInt32LE(at + 12) + 1) * pageBytes
    if (offset + length > this.size) throw new BoltError(`page ${page} is cut off`)
    if (at + length <= first.length) return first.subarray(at, at + length)
    const whole = Buffer.allocUnsafe(length)
    for (let done = 0; done < length;) {
      const piece = await this.#load(Math.floor((offset + done) / pieceBytes))
      done += piece.copy(whole, done, (offset + done) % pieceBytes)
    }
    return whole
  }

  async #load(index: number): Promise<Buffer> {
    const known = this.#pieces.get(index)
    if (known) return known
    const ahead = this.#ahead
    this.#ahead = undefined
    const piece = await (ahead?.index === index ? ahead.reading : this.#read(index))
    // Ours are read from the front to the end: the disk goes on while this piece is looked at.
    if (this.#checked.has(index - 1) && (index + 1) * pieceBytes < this.size && !this.#pieces.has(index + 1)) {
      const reading = this.#read(index + 1)
      // Whoever needs it hears of a failure.
      reading.catch(() => {})
      this.#ahead = { index: index + 1, reading }
    }
    const start = index * pieceBytes
    this.#check(piece, start)
    this.#checked.add(index)
    this.#pieces.set(index, piece)
    return piece
  }

  async #read(index: number): Promise<Buffer> {
    const start = index * pieceBytes
    const piece = this.#roomFor(Math.min(pieceBytes, this.size - start))
    if ((await this.#file.read(piece, start)) < piece.length) throw new BoltError(`the database is cut off behind byte ${start}`)
    return piece
  }

  /** Of the piece that was read first, when there are many: nobody holds one over a pause. */
  #roomFor(length: number): Buffer {
    if (this.#pieces.size >= piecesKept) {
      for (const [oldest, piece] of this.#pieces) {
        this.#pieces.delete(oldest)
        if (piece.length === length) return piece
        break
      }
    }
    return Buffer.allocUnsafeSlow(length)
  }

  #check(piece: Buffer, start: number): void {
    if (!this.#checksums) return
    for (let at = 0; at < piece.length; at += sealBlockBytes) {
      const end = Math.min(piece.length, at + sealBlockBytes)
      if (crc32c(0, piece, at, end) !== this.#checksums[(start + at) / sealBlockBytes]) throw new BoltError(`bytes ${start + at} to ${start + end} are damaged: their checksum differs`)
    }
  }
}

/** The newest meta page that is whole. `isTorn`: the other one is not whole, as a write of the original that was interrupted leaves it. */
async function readMetaPages(file: DiskFile): Promise<{ readonly newest: MetaPage; readonly isSealed: boolean; readonly isTorn: boolean }> {
  const readPage = async (offset: number): Promise<{ readonly meta: MetaPage | undefined; readonly isSealed: boolean }> => {
    const bytes = Buffer.alloc(4096)
    await file.read(bytes, offset)
    const kind = metaKind(bytes)
    if (kind === 'damaged') throw new BoltError(`the meta page at byte ${offset} is damaged`)
    return { meta: decodeMetaPage(bytes), isSealed: kind === 'sealed' }
  }
  const first = await readPage(0)
  for (const pageBytes of first.meta ? [first.meta.pageBytes] : pageSizes) {
    if (!pageSizes.includes(pageBytes)) throw new BoltError(`pages of ${pageBytes} bytes`)
    const second = await readPage(pageBytes)
    const found = [first, second].flatMap(({ meta, isSealed }) => (meta?.pageBytes === pageBytes ? [{ meta, isSealed }] : []))
    const newest = found.reduce<(typeof found)[number] | undefined>((best, next) => (best && best.meta.transaction >= next.meta.transaction ? best : next), undefined)
    if (newest) return { newest: newest.meta, isSealed: newest.isSealed, isTorn: found.length < 2 }
  }
  throw new BoltError('invalid database')
}

function readPageId(bytes: Buffer, at: number): number { return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32 }

function childrenOf(bytes: Buffer): readonly number[] {
  const count = bytes.readUInt16LE(10)
  if (pageHeadBytes + count * elementBytes > bytes.length) throw new BoltError('a branch has more children than room')
  return Array.from({ length: count }, (_, i) => readPageId(bytes, pageHeadBytes + i * elementBytes + 8))
}

function visitElements(bytes: Buffer, start: number, limit: number, visit: (bytes: Buffer, keyAt: number, valueAt: number, end: number, isBucket: boolean) => void): void {
  const count = bytes.readUInt16LE(start + 10)
  let head = start + pageHeadBytes
  if (head + count * elementBytes > limit) throw new BoltError('a leaf has more entries than room')
  for (let i = 0; i < count; i++, head += elementBytes) {
    const keyAt = head + bytes.readUInt32LE(head + 4)
    const valueAt = keyAt + bytes.readUInt32LE(head + 8)
    const end = valueAt + bytes.readUInt32LE(head + 12)
    if (end > limit) throw new BoltError('an entry lies outside its page')
    visit(bytes, keyAt, valueAt, end, (bytes.readUInt32LE(head) & bucketElement) !== 0)
  }
}

// Reads a bbolt database, a page at a time: snapshots of the original, and of ours. Upstream: go.etcd.io/bbolt
import type { DiskFile } from '../disk/disk.ts'

const pageHeadBytes = 16
const elementBytes = 16
const flags = { branch: 0x01, leaf: 0x02 } as const
const bucketElement = 0x01
const deepest = 64

/** The file is no database, or damaged. */
export class BoltError extends Error {
  override readonly name = 'BoltError'
}

export interface BoltEntry { readonly key: Buffer; readonly value: Buffer }

export class BoltReader {
  readonly #file: DiskFile
  readonly #pageBytes: number
  readonly #root: number
  /** Bytes of the database, without what may follow it. */
  readonly size: number

  private constructor(file: DiskFile, pageBytes: number, root: number, pages: number) {
    this.#file = file
    this.#pageBytes = pageBytes
    this.#root = root
    this.size = pages * pageBytes
  }

  /** @throws BoltError */
  static async open(file: DiskFile): Promise<BoltReader> {
    const first = Buffer.alloc(4096)
    await file.read(first, 0)
    const pageBytes = first.readUInt32LE(pageHeadBytes + 8)
    // Either copy of the meta page may be a torn one: the newest that is whole counts.
    const metas = [first]
    if (pageBytes >= 512 && pageBytes <= 65_536) {
      const second = Buffer.alloc(4096)
      await file.read(second, pageBytes)
      metas.push(second)
    }
    let newest: { readonly root: number; readonly pages: number; readonly pageBytes: number; readonly id: bigint } | undefined
    for (const bytes of metas) {
      const at = pageHeadBytes
      if (bytes.readUInt32LE(at) !== 0xed0cdaed || bytes.readUInt32LE(at + 4) !== 2 || fnv64a(bytes.subarray(at, at + 56)) !== bytes.readBigUInt64LE(at + 56)) continue
      const id = bytes.readBigUInt64LE(at + 48)
      if (newest && newest.id >= id) continue
      newest = { root: Number(bytes.readBigUInt64LE(at + 16)), pages: Number(bytes.readBigUInt64LE(at + 40)), pageBytes: bytes.readUInt32LE(at + 8), id }
    }
    if (!newest) throw new BoltError('invalid database')
    return new BoltReader(file, newest.pageBytes, newest.root, newest.pages)
  }

  /** The names of the buckets, in order. */
  async buckets(): Promise<readonly string[]> {
    const names: string[] = []
    for await (const { key, isBucket } of this.#walk(this.#root, 0)) if (isBucket) names.push(key.toString('latin1'))
    return names
  }

  /** The entries of a bucket, in order; none when there is no such bucket. */
  async *entries(bucket: string): AsyncGenerator<BoltEntry> {
    for await (const { key, value, isBucket } of this.#walk(this.#root, 0)) {
      if (!isBucket || key.toString('latin1') !== bucket) continue
      const root = Number(value.readBigUInt64LE(0))
      // A small bucket lies inside its value, behind the head.
      if (root === 0) yield* this.#elements(value.subarray(16))
      else yield* this.#walk(root, 0)
      return
    }
  }

  async *#walk(page: number, depth: number): AsyncGenerator<BoltEntry & { readonly isBucket: boolean }> {
    if (depth > deepest) throw new BoltError(`page ${page} lies too deep`)
    const bytes = await this.#page(page)
    const flag = bytes.readUInt16LE(8)
    if (flag === flags.leaf) { yield* this.#elements(bytes); return }
    if (flag !== flags.branch) throw new BoltError(`page ${page}: unexpected type ${flag}`)
    const count = bytes.readUInt16LE(10)
    for (let i = 0; i < count; i++) yield* this.#walk(Number(bytes.readBigUInt64LE(pageHeadBytes + i * elementBytes + 8)), depth + 1)
  }

  *#elements(bytes: Buffer): Generator<BoltEntry & { readonly isBucket: boolean }> {
    const count = bytes.readUInt16LE(10)
    for (let i = 0; i < count; i++) {
      const head = pageHeadBytes + i * elementBytes
      const at = head + bytes.readUInt32LE(head + 4)
      const keyEnd = at + bytes.readUInt32LE(head + 8)
      const end = keyEnd + bytes.readUInt32LE(head + 12)
      if (end > bytes.length) throw new BoltError('an element lies outside its page')
      yield { key: bytes.subarray(at, keyEnd), value: bytes.subarray(keyEnd, end), isBucket: (bytes.readUInt32LE(head) & bucketElement) !== 0 }
    }
  }

  async #page(id: number): Promise<Buffer> {
    const offset = id * this.#pageBytes
    if (id < 2 || offset >= this.size) throw new BoltError(`page ${id} lies outside the database`)
    const first = Buffer.alloc(this.#pageBytes)
    if ((await this.#file.read(first, offset)) < first.length) throw new BoltError(`page ${id} is cut off`)
    if (Number(first.readBigUInt64LE(0)) !== id) throw new BoltError(`page ${id} names itself ${first.readBigUInt64LE(0)}`)
    const more = first.readUInt32LE(12)
    if (more === 0) return first
    const bytes = Buffer.alloc((more + 1) * this.#pageBytes)
    if (offset + bytes.length > this.size || (await this.#file.read(bytes, offset)) < bytes.length) throw new BoltError(`page ${id} is cut off`)
    return bytes
  }
}

function fnv64a(bytes: Uint8Array): bigint {
  let hash = 0xcbf29ce484222325n
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n)
  return hash
}

// The format of bbolt databases, etcd's own file: pages of (mostly) 4 KiB; two copies of the meta page that tell where the tree of buckets
// begins; leaves with the entries, branches above them. bbolt has no checksums but those of its two meta pages.
//
// Files of ours are sealed: behind the last page stands a CRC-32C of every 64 KiB, and both meta pages say so in the part of theirs that bbolt
// leaves zero. bbolt reads such a file as any other. When it writes to one, it writes a meta page without our mark: the seal then says nothing
// any more, and nobody can mistake a changed file for a damaged one. Upstream: go.etcd.io/bbolt
import { crc32c } from '../../../lib/etcd-api/crc32c.ts'
import { isZero } from '../wal/wal-record.ts'

export const boltPageBytes = 4096
export const pageHeadBytes = 16
export const elementBytes = 16
export const pageFlags = { branch: 0x01, leaf: 0x02, meta: 0x04, freeList: 0x10 } as const
export const bucketElement = 0x01
/** Bytes under one checksum of the seal. */
export const sealBlockBytes = 64 * 1024

const metaMagic = 0xed0cdaed
const metaVersion = 2
const metaEnd = pageHeadBytes + 64
const sealMagic = Buffer.from('K8TSSEAL', 'latin1')
const sealEnd = metaEnd + 16

/** The file is no database, or damaged. */
export class BoltError extends Error {
  override readonly name = 'BoltError'
}

export interface MetaPage {
  readonly pageBytes: number
  /** The page where the list of buckets begins. */
  readonly root: number
  readonly freeList: number
  /** Pages in use, the metas included. */
  readonly pages: number
  readonly transaction: bigint
}

/** `sealed`: ours, every bit of it. `plain`: written by bbolt. `damaged`: neither. */
export type MetaKind = 'sealed' | 'plain' | 'damaged'

export function writePageHead(bytes: Buffer, at: number, page: number, flag: number, count: number, overflow: number): void {
  bytes.writeUInt32LE(page % 2 ** 32, at)
  bytes.writeUInt32LE(Math.floor(page / 2 ** 32), at + 4)
  bytes.writeUInt16LE(flag, at + 8)
  bytes.writeUInt16LE(count, at + 10)
  bytes.writeUInt32LE(overflow, at + 12)
}

/** A meta page with our mark; its place is the last bit of the transaction. */
export function encodeMetaPage(meta: MetaPage): Buffer {
  const bytes = Buffer.alloc(meta.pageBytes)
  const at = pageHeadBytes
  writePageHead(bytes, 0, Number(meta.transaction % 2n), pageFlags.meta, 0, 0)
  bytes.writeUInt32LE(metaMagic, at)
  bytes.writeUInt32LE(metaVersion, at + 4)
  bytes.writeUInt32LE(meta.pageBytes, at + 8)
  bytes.writeBigUInt64LE(BigInt(meta.root), at + 16)
  bytes.writeBigUInt64LE(BigInt(meta.freeList), at + 32)
  bytes.writeBigUInt64LE(BigInt(meta.pages), at + 40)
  bytes.writeBigUInt64LE(meta.transaction, at + 48)
  bytes.writeBigUInt64LE(fnv64a(bytes.subarray(at, at + 56)), at + 56)
  sealMagic.copy(bytes, metaEnd)
  bytes.writeUInt32LE(sealBlockBytes, metaEnd + 8)
  bytes.writeUInt32LE(crc32c(0, bytes, 0, metaEnd + 12), metaEnd + 12)
  return bytes
}

/** What bbolt would take from the page; undefined when it would not take it. */
export function decodeMetaPage(bytes: Buffer): MetaPage | undefined {
  const at = pageHeadBytes
  if (bytes.length < metaEnd || bytes.readUInt32LE(at) !== metaMagic || bytes.readUInt32LE(at + 4) !== metaVersion) return undefined
  if (fnv64a(bytes.subarray(at, at + 56)) !== bytes.readBigUInt64LE(at + 56)) return undefined
  const word = (offset: number): number => Number(bytes.readBigUInt64LE(at + offset))
  return { pageBytes: bytes.readUInt32LE(at + 8), root: word(16), freeList: word(32), pages: word(40), transaction: bytes.readBigUInt64LE(at + 48) }
}

/** @param bytes the whole page */
export function metaKind(bytes: Buffer): MetaKind {
  if (isZero(bytes, metaEnd, bytes.length)) return 'plain'
  const isSealed = bytes.subarray(metaEnd, metaEnd + 8).equals(sealMagic) && bytes.readUInt32LE(metaEnd + 8) === sealBlockBytes
    && bytes.readUInt32LE(metaEnd + 12) === crc32c(0, bytes, 0, metaEnd + 12) && isZero(bytes, sealEnd, bytes.length)
  return isSealed ? 'sealed' : 'damaged'
}

/** Bytes of the seal of a file of `pages` pages: the checksums, one over themselves, zeros up to a whole page. */
export function sealBytes(pages: number, pageBytes: number): number {
  const count = Math.ceil((pages * pageBytes) / sealBlockBytes)
  return Math.ceil((count * 4 + 4) / pageBytes) * pageBytes
}

/** Takes a file's bytes in order, and gives the seal that goes behind them. */
export class SealBuilder {
  readonly #checksums: number[] = []
  #crc = 0
  #inBlock = 0

  add(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const end = Math.min(bytes.length, at + sealBlockBytes - this.#inBlock)
      this.#crc = crc32c(this.#crc, bytes, at, end)
      this.#inBlock += end - at
      at = end
      if (this.#inBlock === sealBlockBytes) this.#closeBlock()
    }
  }

  #closeBlock(): void {
    this.#checksums.push(this.#crc)
    this.#crc = 0
    this.#inBlock = 0
  }

  finish(pageBytes: number): Buffer {
    if (this.#inBlock > 0) this.#closeBlock()
    const count = this.#checksums.length
    const bytes = Buffer.alloc(Math.ceil((count * 4 + 4) / pageBytes) * pageBytes)
    this.#checksums.forEach((crc, i) => bytes.writeUInt32LE(crc, i * 4))
    bytes.writeUInt32LE(crc32c(0, bytes, 0, count * 4), count * 4)
    return bytes
  }
}

/** The checksums in a seal over `length` bytes; undefined when it is damaged itself. */
export function decodeSeal(bytes: Buffer, length: number): Uint32Array | undefined {
  const count = Math.ceil(length / sealBlockBytes)
  if (bytes.length < count * 4 + 4 || bytes.readUInt32LE(count * 4) !== crc32c(0, bytes, 0, count * 4)) return undefined
  if (!isZero(bytes, count * 4 + 4, bytes.length)) return undefined
  return Uint32Array.from({ length: count }, (_, i) => bytes.readUInt32LE(i * 4))
}

function fnv64a(bytes: Uint8Array): bigint {
  let hash = 0xcbf29ce484222325n
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n)
  return hash
}

// Fills an empty store with versions that were saved: in the order of their revisions, as databases have them, or key by key, as old snapshots do.
import { ExactWriter } from '../../../lib/base/protobuf/exact-writer.ts'
import { keyBytes, keyText } from './key-text.ts'
import { KeyValueReader, keyValueSize, tombstoneSize, writeKeyValue, writeTombstone } from './key-value-bytes.ts'
import type { LeaseAttachments, StoreParts } from './mvcc-store.ts'
import type { SlabBytes } from './slab.ts'
import { sortKeys } from './sort-keys.ts'

/** A version as a snapshot keeps it. */
export interface VersionImage {
  readonly key: string
  readonly createRevision: number
  readonly modRevision: number
  readonly subRevision: number
  /** 0 for a tombstone. */
  readonly version: number
  readonly lease: bigint
  readonly value: Uint8Array
}

/** Numbers that name keys or versions, gathered between two pauses. */
const numbersPerTurn = 10_000

export class Restoring {
  readonly #parts: StoreParts
  readonly #leases: LeaseAttachments
  readonly #compacted: number
  readonly #done: (revision: number) => void
  readonly #reader = new KeyValueReader()
  readonly #out = new ExactWriter()
  /** Versions that something later made unreadable: they go at the end, so that their numbers are not somebody else's before. */
  readonly #dead: number[] = []
  #isInOrder = true
  #lastRevision = 0
  #lastSub = 0

  constructor(parts: StoreParts, leases: LeaseAttachments, compacted: number, done: (revision: number) => void) {
    this.#parts = parts
    this.#leases = leases
    this.#compacted = compacted
    this.#done = done
  }

  add({ key, createRevision, modRevision, subRevision, version, lease, value }: VersionImage): void {
    const bytes = keyBytes(key)
    const size = version === 0 ? tombstoneSize(bytes.length) : keyValueSize(bytes.length, createRevision, modRevision, version, value.length, lease)
    const id = this.#enter(bytes, 0, bytes.length, modRevision, subRevision, version === 0, lease, size)
    if (id === 0) return
    this.#out.bytes = this.#parts.slabs.place(id, size).bytes
    this.#out.at = this.#parts.versions.offsetOf(id)
    if (version === 0) writeTombstone(this.#out, bytes)
    else writeKeyValue(this.#out, bytes, createRevision, modRevision, version, value, lease)
    this.#link(id, bytes, 0, bytes.length)
  }

  /** The same of a key-value message bytes[start, end) that is written as it is stored here; its key is bytes[keyAt, keyEnd). */
  addMessage(bytes: SlabBytes, start: number, end: number, keyAt: number, keyEnd: number, modRevision: number, subRevision: number, isTombstone: boolean, lease: bigint): void {
    const size = end - start
    const id = this.#enter(bytes, keyAt, keyEnd, modRevision, subRevision, isTombstone, lease, size)
    if (id === 0) return
    const target = this.#parts.slabs.place(id, size).bytes
    const at = this.#parts.versions.offsetOf(id)
    if (bytes.copy) bytes.copy(target, at, start, end)
    else target.set(bytes.subarray(start, end), at)
    this.#link(id, bytes, keyAt, keyEnd)
  }

  /** A row for a version, and what it makes of the versions before it. 0: nobody can read it. */
  #enter(bytes: SlabBytes, keyAt: number, keyEnd: number, modRevision: number, subRevision: number, isTombstone: boolean, lease: bigint, size: number): number {
    const { versions, keys } = this.#parts
    let key = keys.findBytes(bytes, keyAt, keyEnd)
    const before = key === 0 ? 0 : keys.newest(key)
    const oldLease = this.#leaseOf(before)
    const text = lease === 0n && oldLease === 0n ? '' : keyText(bytes.subarray(keyAt, keyEnd))
    if (oldLease !== 0n) this.#leases.detach(oldLease, text)
    if (lease !== 0n) this.#leases.attach(lease, text)
    let chain = before
    if (modRevision <= this.#compacted) {
      chain = 0
      if (isTombstone && key !== 0) { keys.remove(key); key = 0 }
      for (let old = before; old !== 0; old = versions.older(old)) this.#dead.push(old)
      // Watches may begin at the compacted revision itself.
      if (isTombstone && modRevision < this.#compacted) return 0
    }
    const id = versions.add(modRevision, subRevision, key, size, isTombstone)
    versions.setOlder(id, chain)
    return id
  }

  #leaseOf(id: number): bigint {
    const { versions, slabs } = this.#parts
    if (id === 0 || versions.isTombstone(id)) return 0n
    const start = versions.offsetOf(id)
    this.#reader.read(slabs.bytes(versions.slabOf(id)), start, start + versions.lengthOf(id))
    return this.#reader.lease
  }

  #link(id: number, bytes: Uint8Array, keyAt: number, keyEnd: number): void {
    const { versions, keys, log, detached } = this.#parts
    const revision = versions.revision(id)
    const sub = versions.sub(id)
    const key = versions.key(id)
    if (versions.isTombstone(id) && revision <= this.#compacted) detached.push(id)
    else if (key === 0) versions.setKey(id, keys.add(bytes, keyAt, keyEnd, id))
    else keys.setNewest(key, id)
    if (revision < this.#lastRevision || (revision === this.#lastRevision && sub < this.#lastSub)) this.#isInOrder = false
    this.#lastRevision = revision
    this.#lastSub = sub
    log.push(id, revision)
  }

  /** The end: told the newest revision. Stops now and then to let others go first. */
  *finish(revision: number): Generator<undefined, void> {
    const { versions, keys, log, order } = this.#parts
    if (!this.#isInOrder) {
      const ids: number[] = []
      for (const piece of log.pieces(Infinity)) ids.push(...piece)
      ids.sort((a, b) => versions.revision(a) - versions.revision(b) || versions.sub(a) - versions.sub(b))
      log.clear()
      for (const id of ids) log.push(id, versions.revision(id))
      yield undefined
    }
    for (const [i, id] of this.#dead.entries()) {
      log.forget(id, versions.revision(id))
      this.#parts.freeVersion(id)
      if (i % numbersPerTurn === 0) yield undefined
    }
    const found = new Uint32Array(keys.count)
    let count = 0
    for (const piece of log.pieces(Infinity)) {
      for (const id of piece) {
        const key = versions.key(id)
        if (key !== 0 && keys.newest(key) === id) found[count++] = key
      }
      yield undefined
    }
    yield* sortKeys(found, keys)
    yield* order.fill(found)
    this.#done(revision)
  }
}

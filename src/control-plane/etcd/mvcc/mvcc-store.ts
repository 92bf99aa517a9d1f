// The keys and all their versions: every change is a new revision, and every revision since the last compaction can be read.
//
// Pure and synchronous. A write is begin → put/delete … → commit: all its changes get the same revision, and without a change there is no
// new revision. Reads between begin and commit see what the write did so far.
//
// Nothing is an object on the heap: a version's bytes lie in a slab, what has to be known of it in a row of numbers, a key is a number in a
// hash table and in an ordered index; all of that in typed arrays. Who asks for a version gets a view. Upstream: etcd/server/storage/mvcc
import { etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import { assert } from '../../../lib/base/assert.ts'
import { ExactWriter } from '../../../lib/base/protobuf/exact-writer.ts'
import { KeyIndex } from './key-index.ts'
import { keyText, type KeyRange } from './key-text.ts'
import { KeyValueReader, keyValueSize, tombstoneSize, writeKeyValue, writeTombstone } from './key-value-bytes.ts'
import { OrderedIndex } from './ordered-index.ts'
import { Restoring, type VersionImage } from './restoring.ts'
import { RevisionLog } from './revision-log.ts'
import { SlabSpace, type SlabBytes } from './slab.ts'
import { StoredKeyValue, type VersionHistory } from './stored-key-value.ts'
import { VersionTable } from './version-table.ts'

export type { VersionImage } from './restoring.ts'

/** Told about every key that gains or loses a lease. */
export interface LeaseAttachments {
  attach(lease: bigint, key: string): void
  detach(lease: bigint, key: string): void
}

/** The changes of one revision, in the order they were made. */
export type RevisionChanges = readonly StoredKeyValue[]

const none: RevisionChanges = []
/** What a version takes beside its bytes (its row, its place in the order), and a key (its slots in the two indexes), roughly. */
const versionBytes = 40
const keyBytes = 24

/** Everything that is replaced when a store becomes another. */
export class StoreParts {
  readonly versions = new VersionTable()
  readonly slabs = new SlabSpace(this.versions)
  readonly keys: KeyIndex
  readonly order: OrderedIndex
  readonly log = new RevisionLog(this.versions)
  /** Tombstones whose key is forgotten, while watches may still begin at their revision. */
  detached: number[] = []

  constructor(seed: number) {
    this.keys = new KeyIndex(this.versions, this.slabs, seed)
    this.order = new OrderedIndex(this.keys, (key) => !this.versions.isTombstone(this.keys.newest(key)))
  }

  /** The bytes of a version and its row go; who has a view keeps it. */
  freeVersion(id: number): void {
    this.slabs.free(id)
    this.versions.free(id)
  }
}

export class MvccStore implements VersionHistory {
  #parts: StoreParts
  readonly #leases: LeaseAttachments
  readonly #out = new ExactWriter()
  readonly #reader = new KeyValueReader()
  #revision = 1
  #compacted = 0
  /** Everything up to here has been compacted in fact, not only in name. */
  #scrubbed = 0
  /** Changes of the next revision that have been looked at already. */
  #scrubbedChanges = 0
  /** Changes of the write that is going on. */
  #changes = 0
  /** How often what was done, the bytes of all values put, and the versions that compactions removed. */
  readonly operations = { puts: 0, deletes: 0, commits: 0, putBytes: 0, forgotten: 0 }
  /** Called when the last pin is gone: scrubbing can go on. */
  onUnpinned: (() => void) | undefined
  /** While someone walks all versions (a snapshot, a hash) nothing is scrubbed. */
  #pins = 0
  readonly #losers = new Set<() => void>()

  /** @param seed of hashes: a number that those who choose keys don't know */
  constructor(leases: LeaseAttachments, seed = 0) {
    this.#leases = leases
    this.#parts = new StoreParts(seed)
  }

  /** The newest revision; 1 when nothing was ever written. */
  get revision(): number { return this.#revision }
  /** Revision that reads inside the write that is going on see. */
  get viewRevision(): number { return this.#changes > 0 ? this.#revision + 1 : this.#revision }
  /** The last compaction; 0 when there was none. Reads below it are refused. */
  get compactedRevision(): number { return this.#compacted }
  /** Bytes held for keys, values and indexes, roughly. */
  get sizeBytes(): number { return this.#parts.slabs.capacityBytes + this.#indexBytes }
  get sizeInUseBytes(): number { return this.#parts.slabs.liveBytes + this.#indexBytes }
  get #indexBytes(): number { return this.#parts.versions.count * versionBytes + this.#parts.keys.count * keyBytes }
  /** Keys with at least one version left, deleted ones included. */
  get keyCount(): number { return this.#parts.keys.count }

  /** @throws EtcdError when `revision` can't be read: compacted, or not written yet. */
  checkRevision(revision: number): void {
    if (revision > this.viewRevision) throw etcdError('futureRevision')
    if (revision > 0 && revision < this.#compacted) throw etcdError('compacted')
  }

  /** The living version of one key at `revision` (0: newest). */
  get(text: string, revision = 0): StoredKeyValue | undefined {
    const key = this.#parts.keys.find(text)
    if (key === 0) return undefined
    const id = this.#livingAt(key, revision > 0 ? revision : Infinity)
    return id === 0 ? undefined : this.view(id)
  }

  /** The living versions in `range` at `revision` (0: newest), in key order, at most `limit` (0: all). */
  list(range: KeyRange, revision: number, limit: number): StoredKeyValue[] {
    if (range.single) {
      const one = this.get(range.from, revision)
      return one === undefined ? [] : [one]
    }
    const found: StoredKeyValue[] = []
    const at = revision > 0 && revision < this.viewRevision ? revision : Infinity
    this.#parts.order.visit(range.from, range.end, (key) => {
      const id = this.#livingAt(key, at)
      if (id !== 0) found.push(this.view(id))
      return limit === 0 || found.length < limit
    })
    return found
  }

  /** True when a range is so long that it should be read in pieces. */
  holdsMoreThan(count: number, range: KeyRange): boolean { return !range.single && this.#parts.order.holdsMoreThan(count, range.from, range.end) }

  /** Calls `visit` for the versions that lived at `revision`, of up to `maxKeys` keys of [from, end). Returns where to go on, undefined at the end. Hold a pin meanwhile. */
  visitPiece(from: string, end: string | undefined, revision: number, maxKeys: number, visit: (id: number) => void): string | undefined {
    const { keys, order } = this.#parts
    let visited = 0
    let next: string | undefined
    order.visit(from, end, (key) => {
      if (visited++ === maxKeys) { next = keys.text(key); return false }
      const id = this.#livingAt(key, revision)
      if (id !== 0) visit(id)
      return true
    })
    return next
  }

  /** Number of living keys in `range` at `revision` (0: newest). */
  count(range: KeyRange, revision: number): number {
    if (range.single) return this.get(range.from, revision) === undefined ? 0 : 1
    if (revision === 0 || revision >= this.viewRevision) return this.#parts.order.countLive(range.from, range.end)
    let count = 0
    this.#parts.order.visit(range.from, range.end, (key) => {
      if (this.#livingAt(key, revision) !== 0) count++
      return true
    })
    return count
  }

  /** Changes of a revision that is not compacted. */
  changesAt(revision: number): RevisionChanges {
    const ids = this.#parts.log.at(revision)
    return ids.length === 0 ? none : ids.map((id) => this.view(id))
  }

  /** What readers and answers get of a version. */
  view(id: number): StoredKeyValue {
    const { versions, slabs } = this.#parts
    const start = versions.offsetOf(id)
    return new StoredKeyValue(this, id, slabs.bytes(versions.slabOf(id)), start, start + versions.lengthOf(id), versions.revision(id), versions.sub(id), versions.isTombstone(id))
  }

  /** Where the message of a version lies. */
  slabOf(id: number): SlabBytes { return this.#parts.slabs.bytes(this.#parts.versions.slabOf(id)) }
  offsetOf(id: number): number { return this.#parts.versions.offsetOf(id) }
  lengthOf(id: number): number { return this.#parts.versions.lengthOf(id) }
  revisionOf(id: number): number { return this.#parts.versions.revision(id) }
  subRevisionOf(id: number): number { return this.#parts.versions.sub(id) }
  isTombstone(id: number): boolean { return this.#parts.versions.isTombstone(id) }

  previous(id: number, modRevision: number, subRevision: number): StoredKeyValue | undefined {
    const { versions } = this.#parts
    if (!versions.is(id, modRevision, subRevision)) return undefined
    let before = versions.older(id)
    while (before !== 0 && versions.revision(before) === modRevision) before = versions.older(before)
    return before === 0 || versions.isTombstone(before) ? undefined : this.view(before)
  }

  /** The version of a key that was current at `revision`, 0 when there was none or it was a tombstone. */
  #livingAt(key: number, revision: number): number {
    const { versions, keys } = this.#parts
    let id = keys.newest(key)
    if (revision !== Infinity) while (id !== 0 && versions.revision(id) > revision) id = versions.older(id)
    return id === 0 || versions.isTombstone(id) ? 0 : id
  }

  // ---- writing ----

  put(key: Uint8Array, value: Uint8Array, lease: bigint): void {
    const { versions, slabs, keys, order, log } = this.#parts
    const known = keys.findBytes(key, 0, key.length)
    const before = known === 0 ? 0 : keys.newest(known)
    const lives = before !== 0 && !versions.isTombstone(before)
    const revision = this.#revision + 1
    let createRevision = revision
    let count = 1
    let oldLease = 0n
    if (lives) {
      const start = versions.offsetOf(before)
      const reader = this.#reader
      reader.read(slabs.bytes(versions.slabOf(before)), start, start + versions.lengthOf(before))
      createRevision = reader.createRevision
      count = reader.version + 1
      oldLease = reader.lease
    }
    const size = keyValueSize(key.length, createRevision, revision, count, value.length, lease)
    const id = versions.add(revision, this.#changes, known, size, false)
    const out = this.#roomFor(id, size)
    writeKeyValue(out, key, createRevision, revision, count, value, lease)
    if (known === 0) {
      const number = keys.add(key, 0, key.length, id)
      versions.setKey(id, number)
      order.insert(number, keyText(key))
    } else {
      versions.setOlder(id, before)
      keys.setNewest(known, id)
      if (!lives) order.addLive(keyText(key), 1)
    }
    if (oldLease !== 0n && oldLease !== lease) this.#leases.detach(oldLease, keyText(key))
    if (lease !== 0n) this.#leases.attach(lease, keyText(key))
    log.push(id, revision)
    this.#changes++
    this.operations.puts++
    this.operations.putBytes += value.length
  }

  /** Deletes the living keys of `range`; returns what they were. */
  deleteRange(range: KeyRange): readonly StoredKeyValue[] {
    const { versions, keys, order, log } = this.#parts
    const victims = this.list(range, 0, 0)
    const revision = this.#revision + 1
    for (const victim of victims) {
      const { text, key, lease } = victim
      const number = keys.find(text)
      const size = tombstoneSize(key.length)
      const id = versions.add(revision, this.#changes, number, size, true)
      writeTombstone(this.#roomFor(id, size), key)
      versions.setOlder(id, keys.newest(number))
      keys.setNewest(number, id)
      order.addLive(text, -1)
      if (lease !== 0n) this.#leases.detach(lease, text)
      log.push(id, revision)
      this.#changes++
    }
    this.operations.deletes += victims.length
    return victims
  }

  #roomFor(id: number, size: number): ExactWriter {
    const out = this.#out
    out.bytes = this.#parts.slabs.place(id, size).bytes
    out.at = this.#parts.versions.offsetOf(id)
    return out
  }

  /** Ends the write; returns how much it changed, 0 when there is no new revision. */
  commit(): number {
    const changes = this.#changes
    if (changes === 0) return 0
    this.#changes = 0
    this.operations.commits++
    this.#revision++
    return changes
  }

  // ---- compaction ----

  /** Makes revisions below `revision` unreadable; `scrub` then frees them. @throws EtcdError compacted or future revision */
  compact(revision: number): void {
    if (revision <= this.#compacted) throw etcdError('compacted')
    if (revision > this.#revision) throw etcdError('futureRevision')
    this.#compacted = revision
  }

  /** Frees what compaction made unreadable, a piece at a time: so many changes, then so many bytes. Returns true while there is more to do now. */
  scrub(maxChanges: number, maxBytes: number): boolean {
    if (this.#pins > 0) return false
    for (let left = maxChanges; this.#scrubbed < this.#compacted;) {
      if (left <= 0) return true
      const ids = this.#parts.log.at(this.#scrubbed + 1)
      const begin = this.#scrubbedChanges
      const end = Math.min(ids.length, begin + left)
      for (let i = begin; i < end; i++) this.#forgetBefore(ids[i]!) // cast: bounded by the loop
      left -= end - begin
      this.#scrubbedChanges = end
      if (end < ids.length) return true
      this.#scrubbedChanges = 0
      // A restored store may have far less changes than revisions.
      this.#scrubbed = ids.length > 0 ? this.#scrubbed + 1 : Math.min(this.#compacted, this.#parts.log.nextAfter(this.#scrubbed) - 1)
      this.#forgetDetached()
    }
    return this.#parts.slabs.reclaim(maxBytes)
  }

  /** Moves what is left together more closely than `scrub` does, up to `maxBytes`. Returns true while there is more to do now. */
  defragment(maxBytes: number): boolean { return this.#pins === 0 && this.#parts.slabs.reclaim(maxBytes, 0.9) }

  /** Walks of all versions that go on now: snapshots, hashes. */
  get walks(): number { return this.#pins }
  /** Up to here nothing unreadable is left. */
  get scrubbedRevision(): number { return this.#scrubbed }
  get needsScrub(): boolean { return this.#scrubbed < this.#compacted }

  /** Frees the versions of a key before one that nobody can read below. */
  #forgetBefore(id: number): void {
    const { versions, keys, order, log, detached } = this.#parts
    const revision = versions.revision(id)
    let oldest = id
    let before = versions.older(id)
    while (before !== 0 && versions.revision(before) === revision) { oldest = before; before = versions.older(before) }
    versions.setOlder(oldest, 0)
    while (before !== 0) {
      const next = versions.older(before)
      log.forget(before, versions.revision(before))
      this.#parts.freeVersion(before)
      this.operations.forgotten++
      before = next
    }
    if (!versions.isTombstone(id) || oldest !== id) return
    const key = versions.key(id)
    // Behind a version that came later it does no harm, and goes with the next compaction that reaches that one.
    if (keys.newest(key) !== id) return
    order.remove(key, keys.text(key))
    keys.remove(key)
    versions.setKey(id, 0)
    detached.push(id)
    this.operations.forgotten++
  }

  #forgetDetached(): void {
    const { versions, log, detached } = this.#parts
    if (detached.length === 0) return
    let gone = 0
    for (; gone < detached.length; gone++) {
      const id = detached[gone]! // cast: bounded by the loop
      const revision = versions.revision(id)
      if (revision >= this.#scrubbed) break
      log.forget(id, revision)
      this.#parts.freeVersion(id)
    }
    if (gone > 0) detached.splice(0, gone)
  }

  // ---- walking and restoring everything ----

  get isPinned(): boolean { return this.#pins > 0 }

  /** Takes all that another store holds, which must not be used any more; nobody may hold a pin. */
  become(other: MvccStore): void {
    assert(this.#pins === 0 && this.#changes === 0, 'nobody walks the store that is replaced')
    this.#parts = other.#parts
    this.#revision = other.#revision
    this.#compacted = other.#compacted
    this.#scrubbed = other.#scrubbed
    this.#scrubbedChanges = other.#scrubbedChanges
  }

  /** Keeps all versions where they are until disposed. @param onLost for who holds it long: called when it is taken away; nothing is to be looked at any more */
  pin(onLost?: () => void): Disposable {
    this.#pins++
    let held = true
    const pin = {
      [Symbol.dispose]: () => {
        if (!held) return
        held = false
        this.#losers.delete(lose)
        if (--this.#pins === 0) this.onUnpinned?.()
      },
    }
    const lose = (): void => {
      pin[Symbol.dispose]()
      onLost?.()
    }
    if (onLost) this.#losers.add(lose)
    return pin
  }

  /** Takes the pins away from those who were ready for it. */
  losePins(): void { for (const lose of this.#losers) lose() }

  /**
   * Every version up to `revision` that a reader of `compacted` or later can meet, in the order in which they were made, some at a time: also
   * what was deleted at `compacted` itself, since watches may begin there. Hold a pin meanwhile, and pause between the pieces.
   */
  *versionsInOrder(revision: number, compacted: number): Generator<Uint32Array, void> {
    const { versions, keys, log } = this.#parts
    let newest: Uint32Array | undefined
    if (compacted > this.#scrubbed) {
      // Not all that is unreadable has been freed yet: of each key the newest version counts.
      newest = new Uint32Array(keys.end)
      for (const piece of log.piecesBackwards(compacted)) {
        for (const id of piece) if (newest[versions.key(id)] === 0) newest[versions.key(id)] = id
        yield noIds
      }
    }
    for (const piece of log.pieces(revision)) {
      if (compacted === 0 || versions.revision(piece[0]!) > compacted) yield piece // cast: pieces are not empty
      else {
        yield piece.filter((id) => {
          const made = versions.revision(id)
          if (made > compacted) return true
          const key = versions.key(id)
          return versions.isTombstone(id) ? made === compacted && (key === 0 || newest === undefined || newest[key] === id) : newest === undefined || newest[key] === id
        })
      }
    }
  }

  /** Whether a version was its key's newest at `revision`, and no tombstone. */
  livesAt(id: number, revision: number): boolean {
    const key = this.#parts.versions.key(id)
    return key !== 0 && this.#livingAt(key, revision) === id
  }

  /** Whether any key lived at `revision`; stops now and then. */
  *holdsLiving(revision: number): Generator<undefined, boolean> {
    for (let from: string | undefined = ''; from !== undefined;) {
      let isFound = false
      from = this.visitPiece(from, undefined, revision, 500, () => { isFound = true })
      if (isFound) return true
      yield undefined
    }
    return false
  }

  /** Fills an empty store. The images come per key in key order, each key's versions oldest first. */
  restore(revision: number, compactedRevision: number, images: Iterable<VersionImage>): void {
    const restoring = this.beginRestore(compactedRevision)
    for (const image of images) restoring.add(image)
    for (const _ of restoring.finish(revision)) void _
  }

  /** Like `restore`, in pieces; the images may also come in the order of their revisions, which takes less time. What nobody can read any more is left out. */
  beginRestore(compactedRevision: number): Restoring {
    assert(this.#revision === 1 && this.keyCount === 0, 'only an empty store is restored')
    return new Restoring(this.#parts, this.#leases, compactedRevision, (revision) => {
      this.#revision = revision
      this.#compacted = compactedRevision
      this.#scrubbed = compactedRevision
    })
  }
}

const noIds = new Uint32Array(0)

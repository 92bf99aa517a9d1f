// The keys and all their versions: every change is a new revision, and every revision since the last compaction can be read.
//
// Pure and synchronous. A write is begin → put/delete … → commit: all its changes get the same revision, and without a change there is no
// new revision. Reads between begin and commit see what the write did so far. Upstream: etcd/server/storage/mvcc
import { etcdError } from '../../../lib/etcd-api/etcd-error.ts'
import { assert } from '../../../lib/base/assert.ts'
import { keyText, type KeyRange } from './key-text.ts'
import { OrderedIndex } from './ordered-index.ts'
import { RevisionHistory, type RevisionChanges } from './revision-history.ts'
import { SlabSpace } from './slab.ts'
import { sortRecords } from './sort-records.ts'
import { KeyRecord, StoredKeyValue } from './stored-key-value.ts'

/** Told about every key that gains or loses a lease. */
export interface LeaseAttachments {
  attach(lease: bigint, key: string): void
  detach(lease: bigint, key: string): void
}

/** A version as a snapshot keeps it. */
export interface VersionImage {
  readonly key: string
  readonly createRevision: number
  readonly modRevision: number
  readonly subRevision: number
  readonly version: number
  readonly lease: bigint
  readonly value: Uint8Array
}

/** Revisions of a history between two pauses, when it is loaded. */
const historyPerTurn = 10_000

export class MvccStore {
  #records = new Map<string, KeyRecord>()
  #order = new OrderedIndex()
  #slabs = new SlabSpace()
  readonly #leases: LeaseAttachments
  #history = new RevisionHistory(2)
  #revision = 1
  #compacted = 0
  /** Everything up to here has been compacted in fact, not only in name. */
  #scrubbed = 0
  #changes: StoredKeyValue[] = []
  /** How often what was done, and the bytes of all values put. */
  readonly operations = { puts: 0, deletes: 0, commits: 0, putBytes: 0 }
  /** Called when the last pin is gone: scrubbing can go on. */
  onUnpinned: (() => void) | undefined
  /** While someone walks all versions (a snapshot, a hash) nothing is scrubbed. */
  #pins = 0

  constructor(leases: LeaseAttachments) { this.#leases = leases }

  /** The newest revision; 1 when nothing was ever written. */
  get revision(): number { return this.#revision }
  /** Revision that reads inside the write that is going on see. */
  get viewRevision(): number { return this.#changes.length > 0 ? this.#revision + 1 : this.#revision }
  /** The last compaction; 0 when there was none. Reads below it are refused. */
  get compactedRevision(): number { return this.#compacted }
  /** Bytes held for values and index, roughly. */
  get sizeBytes(): number { return this.#slabs.capacityBytes + this.#records.size * 256 }
  get sizeInUseBytes(): number { return this.#slabs.liveBytes + this.#records.size * 256 }
  /** Keys with at least one version left, deleted ones included. */
  get keyCount(): number { return this.#records.size }

  /** @throws EtcdError when `revision` can't be read: compacted, or not written yet. */
  checkRevision(revision: number): void {
    if (revision > this.viewRevision) throw etcdError('futureRevision')
    if (revision > 0 && revision < this.#compacted) throw etcdError('compacted')
  }

  /** The living version of one key at `revision` (0: newest). */
  get(text: string, revision = 0): StoredKeyValue | undefined {
    const record = this.#records.get(text)
    const found = revision > 0 ? record?.at(revision) : record?.newest
    return found === undefined || found.isTombstone ? undefined : found
  }

  /** The living versions in `range` at `revision` (0: newest), in key order, at most `limit` (0: all). */
  list(range: KeyRange, revision: number, limit: number): StoredKeyValue[] {
    if (range.single) {
      const one = this.get(range.from, revision)
      return one === undefined ? [] : [one]
    }
    const found: StoredKeyValue[] = []
    const at = revision >= this.viewRevision ? 0 : revision
    this.#order.visit(range.from, range.end, (record) => {
      const version = at > 0 ? record.at(at) : record.newest
      if (version !== undefined && !version.isTombstone) found.push(version)
      return limit === 0 || found.length < limit
    })
    return found
  }

  /** True when a range is so long that it should be read in pieces. */
  holdsMoreThan(count: number, range: KeyRange): boolean { return !range.single && this.#order.holdsMoreThan(count, range.from, range.end) }

  /** Calls `visit` for the versions that lived at `revision`, of up to `maxKeys` keys of [from, end). Returns where to go on, undefined at the end. Hold a pin meanwhile. */
  visitPiece(from: string, end: string | undefined, revision: number, maxKeys: number, visit: (version: StoredKeyValue) => void): string | undefined {
    let keys = 0
    let next: string | undefined
    this.#order.visit(from, end, (record) => {
      if (keys++ === maxKeys) { next = record.text; return false }
      const version = record.at(revision)
      if (version !== undefined && !version.isTombstone) visit(version)
      return true
    })
    return next
  }

  /** Number of living keys in `range` at `revision` (0: newest). */
  count(range: KeyRange, revision: number): number {
    if (range.single) return this.get(range.from, revision) === undefined ? 0 : 1
    if (revision === 0 || revision >= this.viewRevision) return this.#order.countLive(range.from, range.end)
    let count = 0
    this.#order.visit(range.from, range.end, (record) => {
      const version = record.at(revision)
      if (version !== undefined && !version.isTombstone) count++
      return true
    })
    return count
  }

  /** Changes of a revision that is not compacted. */
  changesAt(revision: number): RevisionChanges { return this.#history.at(revision) }

  // ---- writing ----

  put(key: Uint8Array, value: Uint8Array, lease: bigint): void {
    const text = keyText(key)
    const known = this.#records.get(text)
    const record = known ?? new KeyRecord(text)
    const before = record.newest
    const lives = before !== undefined && !before.isTombstone
    const revision = this.#revision + 1
    const version = new StoredKeyValue(record, lives ? before.createRevision : revision, revision, this.#changes.length, lives ? before.version + 1 : 1, lease, value.length)
    this.#slabs.place(version, value)
    // An array that is pushed to keeps room for sixteen more; most keys of a large store have one version.
    if (record.versions.length === 0) record.versions = [version]
    else record.versions.push(version)
    if (known === undefined) {
      this.#records.set(text, record)
      this.#order.insert(record)
    } else if (!lives) this.#order.addLive(record, 1)
    if (lives && before.lease !== 0n && before.lease !== lease) this.#leases.detach(before.lease, text)
    if (lease !== 0n) this.#leases.attach(lease, text)
    this.#changes.push(version)
    this.operations.puts++
    this.operations.putBytes += value.length
  }

  /** Deletes the living keys of `range`; returns what they were. */
  deleteRange(range: KeyRange): readonly StoredKeyValue[] {
    const victims = this.list(range, 0, 0)
    for (const victim of victims) {
      const { record } = victim
      record.versions.push(new StoredKeyValue(record, 0, this.#revision + 1, this.#changes.length, 0, 0n, 0))
      this.#order.addLive(record, -1)
      if (victim.lease !== 0n) this.#leases.detach(victim.lease, record.text)
      this.#changes.push(record.newest!) // cast: pushed above
    }
    this.operations.deletes += victims.length
    return victims
  }

  /** Ends the write; returns its changes, none when it changed nothing. */
  commit(): RevisionChanges {
    const changes = this.#changes
    if (changes.length === 0) return changes
    this.#changes = []
    this.operations.commits++
    this.#revision++
    this.#history.push(changes)
    return changes
  }

  // ---- compaction ----

  /** Makes revisions below `revision` unreadable; `scrub` then frees them. @throws EtcdError compacted or future revision */
  compact(revision: number): void {
    if (revision <= this.#compacted) throw etcdError('compacted')
    if (revision > this.#revision) throw etcdError('futureRevision')
    this.#compacted = revision
  }

  /** Frees what compaction made unreadable, a piece at a time. Returns true while there is more to do now. */
  scrub(maxRevisions: number, maxBytes: number): boolean {
    if (this.#pins > 0) return false
    const end = Math.min(this.#compacted, this.#scrubbed + maxRevisions)
    for (let revision = this.#scrubbed + 1; revision <= end; revision++) {
      for (const change of this.#history.at(revision)) this.#forgetBefore(change)
    }
    this.#scrubbed = Math.max(this.#scrubbed, end)
    this.#history.dropBefore(this.#scrubbed)
    if (this.#scrubbed < this.#compacted) return true
    return this.#slabs.reclaim(maxBytes)
  }

  get needsScrub(): boolean { return this.#scrubbed < this.#compacted }

  #forgetBefore(change: StoredKeyValue): void {
    const { record } = change
    const { versions } = record
    let count = 0
    while (count < versions.length && versions[count]!.modRevision < change.modRevision) this.#slabs.free(versions[count++]!) // cast: bounded by the loop
    if (change.isTombstone && versions[count] === change) count++
    if (count === 0) return
    versions.splice(0, count)
    if (versions.length > 0) return
    this.#records.delete(record.text)
    this.#order.remove(record)
  }

  // ---- walking and restoring everything ----

  get isPinned(): boolean { return this.#pins > 0 }

  /** Takes all that another store holds, which must not be used any more; nobody may hold a pin. */
  become(other: MvccStore): void {
    assert(this.#pins === 0 && this.#changes.length === 0, 'nobody walks the store that is replaced')
    this.#records = other.#records
    this.#order = other.#order
    this.#slabs = other.#slabs
    this.#history = other.#history
    this.#revision = other.#revision
    this.#compacted = other.#compacted
    this.#scrubbed = other.#scrubbed
  }

  /** Keeps all versions where they are until disposed. */
  pin(): Disposable {
    this.#pins++
    let held = true
    return {
      [Symbol.dispose]: () => {
        if (!held) return
        held = false
        if (--this.#pins === 0) this.onUnpinned?.()
      },
    }
  }

  /** Every version with modRevision <= revision of up to `maxKeys` keys after `after`. `next` is where to go on, undefined at the end. Hold a pin meanwhile. */
  walk(after: string | undefined, revision: number, maxKeys: number): { readonly versions: readonly StoredKeyValue[]; readonly next: string | undefined } {
    const versions: StoredKeyValue[] = []
    let last: string | undefined
    let keys = 0
    let more = false
    this.#order.visit(after === undefined ? '' : `${after}\0`, undefined, (record) => {
      if (keys === maxKeys) { more = true; return false }
      keys++
      last = record.text
      for (const version of record.versions) if (version.modRevision <= revision) versions.push(version)
      return true
    })
    return { versions, next: more ? last : undefined }
  }

  /** Fills an empty store. The images come per key in key order, each key's versions oldest first. */
  restore(revision: number, compactedRevision: number, images: Iterable<VersionImage>): void {
    assert(this.#revision === 1 && this.#records.size === 0, 'only an empty store is restored')
    const restoring = this.beginRestore(compactedRevision)
    for (const image of images) restoring.add(image)
    for (const _ of restoring.finish(revision)) void _
  }

  *#finishRestore(revision: number, compactedRevision: number, changes: readonly StoredKeyValue[]): Generator<undefined, void> {
    this.#revision = revision
    this.#compacted = compactedRevision
    this.#scrubbed = compactedRevision
    const records = [...this.#records.values()]
    yield* sortRecords(records)
    this.#order.fill(records)
    yield undefined
    const first = Math.max(2, compactedRevision)
    this.#history = new RevisionHistory(first)
    let at = 0
    for (let r = first; r <= revision; r++) {
      const start = at
      while (changes[at]?.modRevision === r) at++
      this.#history.push(changes.slice(start, at))
      if (r % historyPerTurn === 0) yield undefined
    }
  }

  /**
   * Like `restore`, in pieces; the images may also come in the order of their revisions. What nobody can read any more is left out.
   * `finish` is told the newest revision, and stops now and then to let others go first.
   */
  beginRestore(compactedRevision: number): { add(image: VersionImage): void; finish(revision: number): Generator<undefined, void> } {
    const changes: StoredKeyValue[] = []
    let inOrder = true
    const remember = (version: StoredKeyValue): void => {
      if (version.modRevision < compactedRevision) return
      const last = changes[changes.length - 1]
      if (last !== undefined && compareRevisions(last, version) > 0) inOrder = false
      changes.push(version)
    }
    return {
      add: (image) => {
        const { key, createRevision, modRevision, subRevision, version: count, lease, value } = image
        let record = this.#records.get(key)
        const before = record?.newest
        if (before !== undefined && before.lease !== 0n) this.#leases.detach(before.lease, key)
        if (modRevision <= compactedRevision) {
          if (record !== undefined) for (const old of record.versions.splice(0)) this.#slabs.free(old)
          if (count === 0) {
            this.#records.delete(key)
            // Watches may still begin here.
            remember(new StoredKeyValue(record ?? new KeyRecord(key), 0, modRevision, subRevision, 0, 0n, 0))
            return
          }
        }
        const isNew = record === undefined
        record ??= new KeyRecord(key)
        const version = new StoredKeyValue(record, createRevision, modRevision, subRevision, count, lease, value.length)
        this.#slabs.place(version, value)
        if (isNew) {
          record.versions = [version]
          this.#records.set(key, record)
        } else record.versions.push(version)
        if (lease !== 0n) this.#leases.attach(lease, key)
        remember(version)
      },
      finish: (revision) => this.#finishRestore(revision, compactedRevision, inOrder ? changes : changes.sort(compareRevisions)),
    }
  }
}

function compareRevisions(a: StoredKeyValue, b: StoredKeyValue): number { return a.modRevision - b.modRevision || a.subRevision - b.subRevision }

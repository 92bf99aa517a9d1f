// A member's whole log: the storage's durable part and the unstable end behind it, and how far it is committed and applied.
//
// Invariant: applied <= applying <= committed <= lastIndex, and nothing is given out for applying before it is on disk here.
// Upstream: raft/log.go
import { assert } from '../../../lib/base/assert.ts'
import { entrySizeBytes, entryTypes, noEntries, takeEntries, type Entry, type EntryId, type Snapshot } from './messages.ts'
import type { RaftStorage } from './storage.ts'
import { UnstableLog } from './unstable-log.ts'

export class RaftLog {
  readonly storage: RaftStorage
  readonly unstable: UnstableLog
  /** The highest index known to be on a quorum's disks. */
  committed: number
  /** Given to the shell for applying. */
  applying: number
  /** Applied by the shell. */
  applied: number
  /** Batches that are with the shell: last index and size of each. */
  #handedOut: { readonly lastIndex: number; readonly sizeBytes: number }[] = []
  #handedOutBytes = 0

  constructor(storage: RaftStorage) {
    this.storage = storage
    this.unstable = new UnstableLog(storage.lastIndex() + 1)
    const { snapshotIndex } = storage.initialState()
    assert(snapshotIndex >= storage.firstIndex() - 1, 'the log begins in the snapshot or right behind it')
    this.committed = this.applying = this.applied = snapshotIndex
  }

  firstIndex(): number { return this.unstable.firstIndex() ?? this.storage.firstIndex() }
  lastIndex(): number { return this.unstable.lastIndex() ?? Math.min(this.storage.lastIndex(), this.unstable.offset - 1) }
  /** The last index that is on this member's disk as the log has it now. */
  stableIndex(): number { return this.unstable.snapshot === undefined ? this.unstable.offset - 1 : 0 }

  /** The term of an entry, or of the one before the first; undefined when it is compacted or not there yet. */
  term(index: number): number | undefined {
    if (index < this.firstIndex() - 1 || index > this.lastIndex()) return undefined
    const term = this.unstable.term(index)
    return term ?? this.storage.term(index)
  }

  lastEntryId(): EntryId {
    const index = this.lastIndex()
    const term = this.term(index)
    assert(term !== undefined, 'the last entry has a term')
    return { index, term }
  }

  matchTerm(id: EntryId): boolean { return this.term(id.index) === id.term }

  /** Whether a candidate with this last entry has at least what this log has (thesis 3.6.1): the vote's condition. */
  isUpToDate(candidate: EntryId): boolean {
    const own = this.lastEntryId()
    return candidate.term > own.term || (candidate.term === own.term && candidate.index >= own.index)
  }

  /** Appends a leader's entries when the entry before them matches; gives the index up to which the logs agree then, else undefined. */
  maybeAppend(previous: EntryId, entries: readonly Entry[], leaderCommit: number): number | undefined {
    if (!this.matchTerm(previous)) return undefined
    const lastNewIndex = previous.index + entries.length
    const conflict = this.#firstNew(entries)
    if (conflict !== undefined) {
      assert(conflict.index > this.committed, 'a leader never replaces a committed entry')
      this.append(entries.slice(conflict.index - previous.index - 1))
    }
    this.commitTo(Math.min(leaderCommit, lastNewIndex))
    return lastNewIndex
  }

  /** The first entry that the log doesn't have: it conflicts or is beyond the end. */
  #firstNew(entries: readonly Entry[]): Entry | undefined { return entries.find((entry) => !this.matchTerm(entry)) }

  append(entries: readonly Entry[]): void {
    const first = entries[0]
    if (first === undefined) return
    assert(first.index > this.committed, 'a committed entry is never replaced')
    this.unstable.truncateAndAppend(entries)
  }

  /**
   * The highest place at or before `index` whose term is at most `term`: a guess of where two logs part that skips whole terms (thesis 3.5).
   * The term is 0 when it isn't known any more.
   */
  findConflictByTerm(index: number, term: number): EntryId {
    for (let at = index; at > 0; at--) {
      const ours = this.term(at)
      if (ours === undefined) return { index: at, term: 0 }
      if (ours <= term) return { index: at, term: ours }
    }
    return { index: 0, term: 0 }
  }

  commitTo(index: number): void {
    if (index <= this.committed) return
    assert(index <= this.lastIndex(), 'what a leader says is committed is in the log: otherwise this member lost entries that it acknowledged')
    this.committed = index
  }

  /** A leader's commit by count: only an entry of its own term counts, older ones are committed with it (paper, figure 8). */
  maybeCommit(index: number, term: number): boolean {
    if (index <= this.committed || this.term(index) !== term) return false
    this.commitTo(index)
    return true
  }

  /** Entries in [from, to), as many as fit but at least one; undefined when `from` is compacted. */
  slice(from: number, to: number, maxBytes: number): readonly Entry[] | undefined {
    if (from >= to) return noEntries
    if (from < this.firstIndex()) return undefined
    const { offset } = this.unstable
    if (from >= offset) return takeEntries(this.unstable.entries, from - offset, to - offset, maxBytes)
    const stored = this.storage.entries(from, Math.min(to, offset), maxBytes)
    if (stored === undefined || to <= offset || stored.length < offset - from) return stored
    const behind = [...stored, ...this.unstable.entries.slice(0, to - offset)]
    return takeEntries(behind, 0, behind.length, maxBytes)
  }

  entriesFrom(from: number, maxBytes: number): readonly Entry[] | undefined { return this.slice(from, this.lastIndex() + 1, maxBytes) }

  /** Hands out the next committed entries for applying; none while the shell has `maxBytes` in its hands, or a snapshot comes first. */
  takeCommitted(maxBytes: number): readonly Entry[] {
    if (!this.hasCommittedToTake(maxBytes)) return noEntries
    const to = Math.min(this.committed, this.stableIndex()) + 1
    const entries = this.slice(this.applying + 1, to, maxBytes - this.#handedOutBytes)
    const last = entries?.at(-1)
    assert(entries !== undefined && last !== undefined, 'entries that are not applied are not compacted')
    const sizeBytes = entries.reduce((size, entry) => size + entrySizeBytes(entry), 0)
    this.#handedOut.push({ lastIndex: last.index, sizeBytes })
    this.#handedOutBytes += sizeBytes
    this.applying = last.index
    return entries
  }

  hasCommittedToTake(maxBytes: number): boolean {
    return this.unstable.snapshot === undefined && this.#handedOutBytes < maxBytes && Math.min(this.committed, this.stableIndex()) > this.applying
  }

  appliedTo(index: number): void {
    if (index <= this.applied) return
    assert(index <= this.applying, 'only what was given out is applied')
    this.applied = index
    while (this.#handedOut[0] !== undefined && this.#handedOut[0].lastIndex <= index) this.#handedOutBytes -= this.#handedOut.shift()?.sizeBytes ?? 0
  }

  /** Everything up to the snapshot is replaced by it. */
  restore(snapshot: Snapshot): void {
    assert(snapshot.metadata.index > this.committed, 'a snapshot that is taken is ahead of what is committed here')
    this.committed = snapshot.metadata.index
    this.unstable.restore(snapshot)
  }

  /** The snapshot is on disk and is the state now. */
  snapshotInstalled(index: number): void {
    this.unstable.stableSnapshotTo(index)
    this.applying = Math.max(this.applying, index)
    this.appliedTo(index)
  }

  /** A member that doesn't know the newest membership must not campaign by the old one. */
  hasUnappliedConfChange(): boolean { return this.confChangesIn(this.applied + 1, this.committed).length > 0 }

  /** The membership changes among the entries from `first` to `last`. */
  confChangesIn(first: number, last: number): readonly Entry[] {
    const pageBytes = 1 << 20
    const found: Entry[] = []
    for (let from = first; from <= last;) {
      const page = this.slice(from, last + 1, pageBytes)
      assert(page !== undefined && page.length > 0, 'entries that are not applied are not compacted')
      for (const entry of page) if (entry.type !== entryTypes.normal) found.push(entry)
      from += page.length
    }
    return found
  }
}

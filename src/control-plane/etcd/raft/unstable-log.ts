// The end of the log that is not known to be on disk: entries from `offset` on, and perhaps a snapshot from the leader before them.
//
// Where it overlaps the storage it wins: a leader may replace entries that are just being written. Upstream: raft/log_unstable.go
import { assert } from '../../../lib/base/assert.ts'
import type { Entry, Snapshot } from './messages.ts'

export class UnstableLog {
  snapshot: Snapshot | undefined
  entries: Entry[] = []
  /** Index of entries[0], or of the entry that will come there. */
  offset: number

  constructor(offset: number) { this.offset = offset }

  firstIndex(): number | undefined { return this.snapshot === undefined ? undefined : this.snapshot.metadata.index + 1 }

  lastIndex(): number | undefined {
    if (this.entries.length > 0) return this.offset + this.entries.length - 1
    return this.snapshot?.metadata.index
  }

  term(index: number): number | undefined {
    if (index >= this.offset) return this.entries[index - this.offset]?.term
    return index === this.snapshot?.metadata.index ? this.snapshot.metadata.term : undefined
  }

  /** Entries up to this place are on disk now. Not so when they were replaced meanwhile: then nothing changes. */
  stableTo(index: number, term: number): void {
    if (index < this.offset || this.term(index) !== term) return
    this.entries = this.entries.slice(index + 1 - this.offset)
    this.offset = index + 1
  }

  stableSnapshotTo(index: number): void {
    if (this.snapshot?.metadata.index === index) this.snapshot = undefined
  }

  restore(snapshot: Snapshot): void {
    this.snapshot = snapshot
    this.entries = []
    this.offset = snapshot.metadata.index + 1
  }

  /** Adds entries, replacing those from the first one's index on. */
  truncateAndAppend(entries: readonly Entry[]): void {
    const first = entries[0]
    if (first === undefined) return
    if (first.index <= this.offset) {
      // All of what was here is replaced; a smaller offset also hides what the storage has from there on.
      this.entries = [...entries]
      this.offset = first.index
      return
    }
    const kept = first.index - this.offset
    assert(kept <= this.entries.length, 'appended entries follow the log without a gap')
    if (kept < this.entries.length) this.entries = this.entries.slice(0, kept)
    for (const entry of entries) this.entries.push(entry)
  }
}

// A log in memory behind the Storage interface: what the shell keeps beside its files, and what tests use. Upstream: raft.MemoryStorage
import { assert } from '../../../lib/base/assert.ts'
import { emptyConfState, emptyHardState, noBytes, takeEntries, type ConfState, type Entry, type HardState, type Snapshot } from './messages.ts'
import type { InitialState, RaftStorage } from './storage.ts'

export class MemoryStorage implements RaftStorage {
  #hardState = emptyHardState
  #snapshot: Snapshot = { data: noBytes, metadata: { confState: emptyConfState, index: 0, term: 0 } }
  /** Place of the entry before the first. */
  #before = { index: 0, term: 0 }
  #entries: Entry[] = []

  initialState(): InitialState {
    return { hardState: this.#hardState, confState: this.#snapshot.metadata.confState, snapshotIndex: this.#snapshot.metadata.index }
  }

  firstIndex(): number { return this.#before.index + 1 }
  lastIndex(): number { return this.#before.index + this.#entries.length }

  term(index: number): number | undefined {
    return index === this.#before.index ? this.#before.term : this.#entries[index - this.#before.index - 1]?.term
  }

  entries(from: number, to: number, maxBytes: number): readonly Entry[] | undefined {
    if (from <= this.#before.index) return undefined
    assert(to <= this.lastIndex() + 1, 'entries are read up to the last one')
    return takeEntries(this.#entries, from - this.#before.index - 1, to - this.#before.index - 1, maxBytes)
  }

  snapshot(): Snapshot | undefined { return this.#snapshot.metadata.index > 0 ? this.#snapshot : undefined }

  setHardState(hardState: HardState): void { this.#hardState = hardState }

  /** Adds entries behind the log; those that it has from the first one's index on are replaced. */
  append(entries: readonly Entry[]): void {
    const first = entries[0]
    if (first === undefined) return
    const kept = first.index - this.#before.index - 1
    assert(kept <= this.#entries.length, 'appended entries follow the log without a gap')
    if (kept < 0) {
      // The start is compacted already.
      this.append(entries.slice(-kept))
      return
    }
    this.#entries.length = kept
    for (const entry of entries) this.#entries.push(entry)
  }

  /** Takes a snapshot that came from the leader: it stands for the whole log. */
  installSnapshot(snapshot: Snapshot): void {
    if (snapshot.metadata.index <= this.#snapshot.metadata.index) return
    this.#snapshot = snapshot
    this.#before = { index: snapshot.metadata.index, term: snapshot.metadata.term }
    this.#entries = []
  }

  /** Makes a snapshot of the state at `index`, which is applied; the log stays until `compact`. */
  createSnapshot(index: number, confState: ConfState, data: Uint8Array): Snapshot {
    const term = this.term(index)
    assert(term !== undefined && index > this.#snapshot.metadata.index, 'a snapshot is newer than the one before and inside the log')
    this.#snapshot = { data, metadata: { confState, index, term } }
    return this.#snapshot
  }

  /** Drops entries up to `index`, which a snapshot covers. */
  compact(index: number): void {
    if (index <= this.#before.index) return
    const term = this.term(index)
    assert(term !== undefined && index <= this.#snapshot.metadata.index, 'what is dropped from the log is in the snapshot')
    this.#entries.splice(0, index - this.#before.index)
    this.#before = { index, term }
  }
}

// What Raft reads back from the shell's durable log. It never writes: what has to be written comes out of `RaftNode.ready()`.
//
// The shell keeps the persisted entries in memory (or an index of them) so that reading is synchronous. Upstream: raft/storage.go
import type { ConfState, Entry, HardState, Snapshot } from './messages.ts'

export interface RaftStorage {
  /** Read once, when the member starts. `confState` is that of the snapshot: later changes are applied again from the log. */
  initialState(): { readonly hardState: HardState; readonly confState: ConfState }
  /** Index of the first entry that can be read; entries before it are only in the snapshot. lastIndex() + 1 when there are none. */
  firstIndex(): number
  lastIndex(): number
  /** Term of an entry in [firstIndex() - 1, lastIndex()]: the one before the first is kept for the check of what follows. Undefined outside. */
  term(index: number): number | undefined
  /**
   * Entries in [from, to), as many as fit into `maxBytes` but at least one; undefined when `from` is before firstIndex().
   * `to` is never beyond lastIndex() + 1.
   */
  entries(from: number, to: number, maxBytes: number): readonly Entry[] | undefined
  /** The newest snapshot, for a follower whose next entry is compacted; undefined while none can be had: Raft asks again later. */
  snapshot(): Snapshot | undefined
}

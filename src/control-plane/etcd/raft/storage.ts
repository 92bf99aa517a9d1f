// What Raft reads back from the shell's durable log. It never writes: what has to be written comes out of `RaftNode.ready()`.
//
// The shell keeps the persisted entries in memory (or an index of them) so that reading is synchronous. Upstream: raft/storage.go
import type { ConfState, Entry, HardState, Snapshot } from './messages.ts'

export interface InitialState {
  readonly hardState: HardState
  /** The membership of the snapshot that the member starts from; later changes come again from the log. */
  readonly confState: ConfState
  /** That snapshot's index, 0 without one: the entries behind it are given out again for applying as far as they are committed. */
  readonly snapshotIndex: number
}

export interface RaftStorage {
  /** Read once, when the member starts. */
  initialState(): InitialState
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
  /**
   * A snapshot for a follower whose next entry is compacted, best of the state as it is applied now: it has to know the follower as a member.
   * Undefined while none can be had: Raft asks again later.
   */
  snapshot(): Snapshot | undefined
}

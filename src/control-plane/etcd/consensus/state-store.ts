// Where whole states are kept and come from: the saved one on the member's disk, those that a leader sends, and those that go to followers.
import type { SnapshotBody } from '../peer/peer-transport.ts'
import type { ConfState } from '../raft/messages.ts'
import type { StateMachine } from '../state-machine.ts'

/** Up to which entry a state holds everything, and who the members are there. */
export interface StateMark {
  readonly index: number
  readonly term: number
  readonly confState: ConfState
}

export interface LoadedState {
  readonly mark: StateMark
  /** The state holds what entries up to here did; at or behind the mark. The log's commit index may be lower: what is applied was committed. */
  readonly appliedIndex: number
  /** 0 when it is not known (databases before version 3.5): the log tells. */
  readonly appliedTerm: number
  /** The state itself as a mark, for a log that doesn't reach back to `mark`. */
  readonly database: StateMark
  /** Up to where entries did what versions before 3.5 kept apart from the database: keys of the second API, names of members. */
  readonly v2Index: number
}

export interface StateStore {
  /** Saves the state as it is at the call, durably; the state may go on changing meanwhile. */
  save(machine: StateMachine, mark: StateMark): Promise<void>
  /** Fills an empty machine with the newest state that the log knows of. @throws StorageError CorruptSnapshot */
  load(machine: StateMachine, isKnown: (mark: { readonly index: number; readonly term: number }) => boolean): Promise<LoadedState | undefined>
  /**
   * The state as it is at the call, in pieces, for another member. Nothing is freed in the store until the pieces have been taken, or begun and
   * given up: else it has to be disposed.
   */
  export(machine: StateMachine, mark: StateMark): Promise<SnapshotBody & Disposable>
  /** Keeps a state that a leader sends, durably, beside the saved one. */
  receive(mark: StateMark, body: SnapshotBody): Promise<void>
  /** The received state at this mark becomes the saved one. */
  install(mark: StateMark): Promise<void>
}

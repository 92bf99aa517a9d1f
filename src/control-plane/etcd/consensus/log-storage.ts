// The durable log as Raft reads it: what is on disk behind the last saved state is also kept here in memory, and after it was applied as much of
// it as slow followers may still need. Who needs more gets the whole state.
import { assert } from '../../../lib/base/assert.ts'
import { noBytes, takeEntries, type ConfState, type Entry, type HardState, type Snapshot } from '../raft/messages.ts'
import type { InitialState, RaftStorage } from '../raft/storage.ts'

export interface LogStart {
  readonly hardState: HardState
  /** Who is a member, and up to where the state machine is, when Raft starts. */
  readonly confState: ConfState
  readonly applied: { readonly index: number; readonly term: number }
  /** Entries behind `applied`. */
  readonly tail: readonly Entry[]
}

/** Entries that are dropped are cut off the list when they are so many, and half of it. */
const cutAt = 1024

export class LogStorage implements RaftStorage {
  readonly #start: LogStart
  /** From `#head` on. */
  #entries: Entry[]
  #head = 0
  /** Place of the entry before the first. */
  #before: { readonly index: number; readonly term: number }
  #keptBytes = 0
  /** A snapshot for a follower, of the state as it is applied; undefined while there can't be one. */
  snapshotNow: () => Snapshot | undefined = () => undefined

  constructor(start: LogStart) {
    this.#start = start
    this.#entries = [...start.tail]
    this.#before = start.applied
    for (const entry of start.tail) this.#keptBytes += entry.data.length
  }

  initialState(): InitialState { return { hardState: this.#start.hardState, confState: this.#start.confState, snapshotIndex: this.#start.applied.index } }

  firstIndex(): number { return this.#before.index + 1 }
  lastIndex(): number { return this.#before.index + this.#entries.length - this.#head }

  term(index: number): number | undefined {
    return index === this.#before.index ? this.#before.term : index < this.#before.index ? undefined : this.#entries[this.#at(index)]?.term
  }

  entries(from: number, to: number, maxBytes: number): readonly Entry[] | undefined {
    if (from <= this.#before.index) return undefined
    assert(to <= this.lastIndex() + 1, 'entries are read up to the last one')
    return takeEntries(this.#entries, this.#at(from), this.#at(to), maxBytes)
  }

  snapshot(): Snapshot | undefined { return this.snapshotNow() }

  #at(index: number): number { return this.#head + index - this.#before.index - 1 }

  /** Adds entries that are on disk; those that it has from the first one's index on are replaced. */
  append(entries: readonly Entry[]): void {
    const first = entries[0]
    if (first === undefined) return
    const at = this.#at(first.index)
    assert(at >= this.#head && at <= this.#entries.length, 'appended entries follow the log without a gap')
    for (let i = at; i < this.#entries.length; i++) this.#keptBytes -= this.#entries[i]?.data.length ?? 0
    this.#entries.length = at
    for (const entry of entries) {
      this.#entries.push(entry)
      this.#keptBytes += entry.data.length
    }
  }

  /** A state from the leader took the place of the whole log. */
  restart(index: number, term: number): void {
    this.#before = { index, term }
    this.#entries = []
    this.#head = 0
    this.#keptBytes = 0
  }

  /** Drops what is applied, but not the last `count` entries of it nor the last `bytes` bytes. */
  dropApplied(index: number, count: number, bytes: number): void {
    // A state that is being taken over may be ahead of all entries.
    const applied = Math.min(index, this.lastIndex())
    let drop = 0
    let kept = this.#keptBytes
    while (this.#before.index + drop < applied) {
      if (this.#before.index + drop >= applied - count && kept <= bytes) break
      kept -= this.#entries[this.#head + drop]?.data.length ?? 0
      drop++
    }
    if (drop === 0) return
    const last = this.#entries[this.#head + drop - 1]! // cast: counted above
    this.#before = { index: last.index, term: last.term }
    this.#keptBytes = kept
    this.#head += drop
    if (this.#head === this.#entries.length) {
      this.#entries = []
      this.#head = 0
    } else if (this.#head > cutAt && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head)
      this.#head = 0
    }
  }

  /** As a message to a follower carries it; the state itself goes beside it. */
  static snapshotOf(index: number, term: number, confState: ConfState): Snapshot { return { data: noBytes, metadata: { index, term, confState } } }
}

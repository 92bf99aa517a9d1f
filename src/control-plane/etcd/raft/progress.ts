// What a leader knows of one member, and how fast it may send to it.
//
//   probe      where the logs part is not known: one message, then wait for its answer (or the next heartbeat's)
//   replicate  they agree up to `match`: send ahead optimistically, as far as the window allows
//   snapshot   it needs entries that are compacted: nothing until the snapshot's fate is known
//
// Invariant: match < next; in snapshot state next is the pending snapshot's index + 1. Upstream: raft/tracker/progress.go
import { assert, unreachable } from '../../../lib/base/assert.ts'
import type { Inflights } from './inflights.ts'

export type ProgressState = 'probe' | 'replicate' | 'snapshot'

export class Progress {
  /** The highest index that is known to be on the member's disk. */
  match: number
  /** The index of the next entry to send. */
  next: number
  state: ProgressState = 'probe'
  /** Snapshot state: the index of the snapshot on its way. */
  pendingSnapshot = 0
  /** Something came from it since the last check of the quorum. */
  recentActive = false
  /** Probe: the one message is out. Replicate: the window is full. A heartbeat's answer lets one more message through. */
  flowPaused = false
  /** The highest commit index it has been told; entries beyond `match` count only once they arrive. */
  sentCommit = 0
  readonly inflights: Inflights
  isLearner: boolean

  constructor(match: number, next: number, inflights: Inflights, isLearner: boolean) {
    assert(match < next, 'match < next')
    this.match = match
    this.next = next
    this.inflights = inflights
    this.isLearner = isLearner
  }

  #reset(state: ProgressState): void {
    this.state = state
    this.flowPaused = false
    this.pendingSnapshot = 0
    this.inflights.reset()
  }

  becomeProbe(): void {
    // The snapshot may have arrived though nobody said so: the probe starts behind it.
    const next = Math.max(this.match, this.state === 'snapshot' ? this.pendingSnapshot : 0) + 1
    this.#reset('probe')
    this.next = next
    this.sentCommit = Math.min(this.sentCommit, next - 1)
  }

  becomeReplicate(): void {
    this.#reset('replicate')
    this.next = this.match + 1
  }

  becomeSnapshot(index: number): void {
    this.#reset('snapshot')
    this.pendingSnapshot = index
    this.next = index + 1
    this.sentCommit = index
  }

  /** An append with these entries went out. */
  sentEntries(count: number, sizeBytes: number, commit: number): void {
    switch (this.state) {
      case 'probe':
        this.flowPaused = true
        break
      case 'replicate':
        if (count > 0) {
          this.next += count
          this.inflights.add(this.next - 1, sizeBytes)
        }
        this.flowPaused = this.inflights.isFull
        break
      case 'snapshot': throw new TypeError('no appends are sent in snapshot state')
      default: unreachable(this.state)
    }
    this.sentCommit = Math.max(this.sentCommit, commit)
  }

  get isPaused(): boolean { return this.state === 'snapshot' || this.flowPaused }

  /** A new append would tell it of a commit that it doesn't know and can use. */
  canBumpCommit(committed: number): boolean { return committed > this.sentCommit && this.sentCommit < this.next - 1 }

  /** It acknowledged `index`; false when that is old news. */
  maybeUpdate(index: number): boolean {
    if (index <= this.match) return false
    this.match = index
    this.next = Math.max(this.next, index + 1)
    this.flowPaused = false
    return true
  }

  /** It rejected an append behind `rejected`, and might match at `hint`; false when the rejection is out of date. */
  maybeDecrease(rejected: number, hint: number): boolean {
    // A snapshot is on its way because appends were rejected: this is one of those.
    if (this.state === 'snapshot') return false
    if (this.state === 'replicate') {
      if (rejected <= this.match) return false
      this.next = this.match + 1
    } else {
      if (this.next - 1 !== rejected) return false
      this.next = Math.max(Math.min(rejected, hint + 1), this.match + 1)
      this.flowPaused = false
    }
    this.sentCommit = Math.min(this.sentCommit, this.next - 1)
    return true
  }
}

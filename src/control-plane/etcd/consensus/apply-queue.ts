// Committed entries on their way into the state machine: in order, and in pieces, so that a member that catches up still answers its peers.
import { assert } from '../../../lib/base/assert.ts'
import type { Entry } from '../raft/messages.ts'
import { yieldToLoop } from '../yield-to-loop.ts'

export interface ApplyQueueOptions {
  readonly start: { readonly index: number; readonly term: number }
  readonly apply: (entry: Entry) => void
  readonly pieceApplied: (index: number) => void
  readonly failed: (error: unknown) => void
}

const pieceEntries = 512
const pieceBytes = 1024 * 1024

export class ApplyQueue {
  readonly #options: ApplyQueueOptions
  #entries: readonly Entry[] = []
  #at = 0
  #waiting = false
  #stopped = false
  appliedIndex: number
  appliedTerm: number

  constructor(options: ApplyQueueOptions) {
    this.#options = options
    this.appliedIndex = options.start.index
    this.appliedTerm = options.start.term
  }

  /** Applies the first piece at once. */
  add(entries: readonly Entry[]): void {
    this.#entries = this.#at === this.#entries.length ? entries : [...this.#entries.slice(this.#at), ...entries]
    this.#at = 0
    if (!this.#waiting) this.#applyPiece()
  }

  #applyPiece(): void {
    if (this.#stopped || this.#at === this.#entries.length) return
    try {
      let bytes = 0
      for (let count = 0; count < pieceEntries && bytes < pieceBytes && this.#at < this.#entries.length; count++) {
        const entry = this.#entries[this.#at++]! // cast: bounded by the loop
        assert(entry.index === this.appliedIndex + 1, 'entries are applied one after the other')
        this.#options.apply(entry)
        bytes += entry.data.length
        this.appliedIndex = entry.index
        this.appliedTerm = entry.term
      }
      if (this.#at === this.#entries.length) { this.#entries = []; this.#at = 0 }
      this.#options.pieceApplied(this.appliedIndex)
    } catch (error) {
      this.#options.failed(error)
      return
    }
    if (this.#at === this.#entries.length) return
    this.#waiting = true
    void yieldToLoop().then(() => {
      this.#waiting = false
      this.#applyPiece()
    })
  }

  /** The state is replaced by one at this place: what waits is in it. */
  restart(index: number, term: number): void {
    this.#entries = []
    this.#at = 0
    this.appliedIndex = index
    this.appliedTerm = term
  }

  stop(): void { this.#stopped = true }
}

// What changed at which revision, for watches that start in the past and for compaction: one entry per revision, without gaps.
import type { StoredKeyValue } from './stored-key-value.ts'

export type RevisionChanges = readonly StoredKeyValue[]

const none: RevisionChanges = []

export class RevisionHistory {
  /** Most revisions have one change: it stands here without an array around it. */
  #items: (RevisionChanges | StoredKeyValue)[] = []
  #head = 0
  /** Revision of the entry at #head. */
  #first: number

  constructor(first: number) { this.#first = first }

  /** The changes of the next revision. */
  push(changes: RevisionChanges): void { this.#items.push(changes.length === 1 ? changes[0]! : changes) } // cast: of length 1

  /** The changes of `revision`, in the order they were made; empty when unknown. */
  at(revision: number): RevisionChanges {
    const item = revision < this.#first ? none : (this.#items[this.#head + revision - this.#first] ?? none)
    return 'record' in item ? [item] : item
  }

  /** Forgets everything before `revision`. */
  dropBefore(revision: number): void {
    const count = Math.min(revision - this.#first, this.#items.length - this.#head)
    if (count <= 0) return
    for (let i = this.#head; i < this.#head + count; i++) this.#items[i] = none
    this.#head += count
    this.#first += count
    if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
  }
}

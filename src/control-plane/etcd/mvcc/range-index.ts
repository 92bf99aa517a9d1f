// Which of many key ranges contain a key. Ranges change seldom, keys are asked for with every write: a sorted list with, at each place, the
// furthest end so far, so that a search stops where nothing before it can reach.
import type { KeyRange } from './key-text.ts'

interface Ranged { readonly range: KeyRange }

export class RangeIndex<T extends Ranged> {
  readonly #all = new Set<T>()
  /** Those without an upper bound. */
  #open: T[] = []
  #sorted: T[] = []
  #furthest: string[] = []
  #isStale = false

  add(item: T): void { this.#all.add(item); this.#isStale = true }
  delete(item: T): void { if (this.#all.delete(item)) this.#isStale = true }

  /** Calls `visit` for every item whose range contains `text`. */
  visit(text: string, visit: (item: T) => void): void {
    if (this.#isStale) this.#rebuild()
    for (const item of this.#open) if (text >= item.range.from) visit(item)
    let low = 0
    let high = this.#sorted.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#sorted[middle]!.range.from <= text) low = middle + 1 // cast: between two indexes
      else high = middle
    }
    for (let i = low - 1; i >= 0 && this.#furthest[i]! > text; i--) { // cast: one end per item
      const item = this.#sorted[i]! // cast: bounded by the loop
      if (item.range.end !== undefined && text < item.range.end) visit(item)
    }
  }

  #rebuild(): void {
    this.#isStale = false
    const items = [...this.#all]
    this.#open = items.filter((item) => item.range.end === undefined)
    this.#sorted = items.filter((item) => item.range.end !== undefined).sort((a, b) => (a.range.from < b.range.from ? -1 : a.range.from > b.range.from ? 1 : 0))
    let furthest = ''
    this.#furthest = this.#sorted.map(({ range: { end = '' } }) => (furthest = end > furthest ? end : furthest))
  }
}

// The keys of one resource in byte order, for lists and pages: sorted runs of up to 256 keys. Keys are ASCII, so string order is byte order.
//
// A lookup never comes here (the cache has a Map for that); only a creation or deletion of a key does, at the cost of two binary searches.

const runLimit = 256

export class SortedKeys {
  readonly #runs: string[][] = []
  #size = 0

  get size(): number { return this.#size }

  add(key: string): void {
    const r = this.#runOf(key)
    const run = this.#runs[r]
    if (!run) { this.#runs.push([key]); this.#size++; return }
    const at = lowerBound(run, key)
    if (run[at] === key) return
    run.splice(at, 0, key)
    this.#size++
    if (run.length > runLimit) this.#runs.splice(r + 1, 0, run.splice(runLimit / 2))
  }

  delete(key: string): void {
    const r = this.#runOf(key)
    const run = this.#runs[r]
    if (!run) return
    const at = lowerBound(run, key)
    if (run[at] !== key) return
    run.splice(at, 1)
    this.#size--
    if (run.length === 0) this.#runs.splice(r, 1)
  }

  /** Keys from `start` on (inclusive) that begin with `prefix`, at most `limit`. */
  range(prefix: string, start = prefix, limit = Infinity): string[] {
    const from = start > prefix ? start : prefix
    const out: string[] = []
    for (let r = this.#runOf(from); r < this.#runs.length; r++) {
      const run = this.#runs[r]! // cast: bounded by the loop
      for (let i = run[0]! >= from ? 0 : lowerBound(run, from); i < run.length; i++) { // cast: runs are never empty
        const key = run[i]! // cast: bounded by the loop
        if (!key.startsWith(prefix) || out.length >= limit) return out
        out.push(key)
      }
    }
    return out
  }

  /** Number of keys after `key` that begin with `prefix`. */
  countAfter(prefix: string, key: string): number {
    let count = 0
    for (let r = this.#runOf(key); r < this.#runs.length; r++) {
      const run = this.#runs[r]! // cast: bounded by the loop
      if (prefix === '' && run[0]! > key) { count += run.length; continue } // cast: runs are never empty
      for (const k of run) {
        if (k <= key) continue
        if (!k.startsWith(prefix)) return count
        count++
      }
    }
    return count
  }

  /** Index of the last run whose first key is not after `key`; 0 when there is none. */
  #runOf(key: string): number {
    let low = 0
    let high = this.#runs.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.#runs[middle]![0]! <= key) low = middle // cast: within bounds, runs are never empty
      else high = middle - 1
    }
    return low
  }
}

function lowerBound(run: readonly string[], key: string): number {
  let low = 0
  let high = run.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (run[middle]! < key) low = middle + 1 // cast: within bounds
    else high = middle
  }
  return low
}

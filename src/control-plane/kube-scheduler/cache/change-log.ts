// Which rows changed, in order: a ring of row numbers. A reader remembers its position and catches up when it next needs to know; one that is
// too far behind starts over.

export class ChangeLog {
  readonly #rows: Int32Array
  readonly #mask: number
  /** Number of changes ever written. */
  position = 0

  /** @param capacity a power of two */
  constructor(capacity = 1 << 16) {
    this.#rows = new Int32Array(capacity)
    this.#mask = capacity - 1
  }

  append(row: number): void { this.#rows[this.position++ & this.#mask] = row }

  /** False: changes since `position` have been overwritten. */
  reaches(position: number): boolean { return this.position - position <= this.#mask }

  at(position: number): number { return this.#rows[position & this.#mask] ?? 0 }
}

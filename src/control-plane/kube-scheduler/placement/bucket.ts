// Nodes of one class that are alike in all but their own score: same tolerated wishes, same zone, same count of sibling pods. What normalising
// adds is the same for all of them, so the best of a bucket is the top of its heap.

export class Bucket {
  /** Untolerated PreferNoSchedule taints; weight of the node wishes met. */
  readonly taints: number
  readonly wishes: number
  /** Lacks a topology key of soft spreading: scores nothing there. */
  readonly ignored: boolean
  /** Domain by coarse topology key, in the class's order. */
  readonly domains: readonly number[]
  /** Value by fine channel, in the class's order. */
  readonly values: readonly number[]
  readonly rows: number[] = []
  /** For the placement under way. */
  feasible = false
  spreadCost = 0
  affinity = 0

  constructor(taints: number, wishes: number, ignored: boolean, domains: readonly number[], values: readonly number[]) {
    this.taints = taints
    this.wishes = wishes
    this.ignored = ignored
    this.domains = domains
    this.values = values
  }
}

/** Row → its number; higher score first, ties by a shuffled order. */
export interface HeapColumns {
  score: Float64Array
  /** Row → place in its bucket's heap. */
  place: Int32Array
  tie: Int32Array
}

function before(columns: HeapColumns, a: number, b: number): boolean {
  const x = columns.score[a] ?? 0
  const y = columns.score[b] ?? 0
  return x !== y ? x > y : (columns.tie[a] ?? 0) < (columns.tie[b] ?? 0)
}

export function insertRow(bucket: Bucket, row: number, columns: HeapColumns): void {
  bucket.rows.push(row)
  columns.place[row] = bucket.rows.length - 1
  moveUp(bucket.rows, bucket.rows.length - 1, columns)
}

export function removeRow(bucket: Bucket, row: number, columns: HeapColumns): void {
  const { rows } = bucket
  const place = columns.place[row] ?? 0
  const last = rows.pop()
  if (last === undefined || last === row) return
  rows[place] = last
  columns.place[last] = place
  moveDown(rows, moveUp(rows, place, columns), columns)
}

/** The row's score has changed. */
export function reorderRow(bucket: Bucket, row: number, columns: HeapColumns): void {
  moveDown(bucket.rows, moveUp(bucket.rows, columns.place[row] ?? 0, columns), columns)
}

function moveUp(rows: number[], from: number, columns: HeapColumns): number {
  const row = rows[from] ?? 0
  let place = from
  while (place > 0) {
    const parent = (place - 1) >> 1
    const above = rows[parent] ?? 0
    if (!before(columns, row, above)) break
    rows[place] = above
    columns.place[above] = place
    place = parent
  }
  rows[place] = row
  columns.place[row] = place
  return place
}

function moveDown(rows: number[], from: number, columns: HeapColumns): void {
  const row = rows[from] ?? 0
  let place = from
  for (;;) {
    let child = 2 * place + 1
    if (child >= rows.length) break
    if (child + 1 < rows.length && before(columns, rows[child + 1] ?? 0, rows[child] ?? 0)) child++
    const below = rows[child] ?? 0
    if (!before(columns, below, row)) break
    rows[place] = below
    columns.place[below] = place
    place = child
  }
  rows[place] = row
  columns.place[row] = place
}

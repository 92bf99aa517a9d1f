// Long work in pieces: a walk over an object leaves the items of a long list for later instead of going through them at once, and whoever drives it
// lets others run between two pieces. Order doesn't matter to the walks, so a queue is all it takes.

const itemsPerPiece = 500

export class Pieces {
  readonly #queue: (() => void)[] = []
  #at = 0

  /** Does one piece. @returns false when nothing is left */
  next(): boolean {
    const piece = this.#queue[this.#at++]
    if (!piece) { this.#queue.length = 0; this.#at = 0; return false }
    piece()
    return true
  }

  later(piece: () => void): void { this.#queue.push(piece) }
}

/** `work` for each item: at once, or a long list's later, in pieces, in order. */
export function eachInPieces<T>(pieces: Pieces | undefined, items: readonly T[], work: (item: T) => void): void {
  if (!pieces || items.length <= itemsPerPiece) { for (const item of items) work(item); return }
  for (let at = 0; at < items.length; at += itemsPerPiece) {
    const end = at + itemsPerPiece
    const start = at
    pieces.later(() => { for (const item of items.slice(start, end)) work(item) })
  }
}

/** `work` after what eachInPieces has left for later of `items`. */
export function afterPieces(pieces: Pieces | undefined, count: number, work: () => void): void {
  if (pieces && count > itemsPerPiece) pieces.later(work)
  else work()
}

/** A computation that may be interrupted wherever it yields. */
export type Steps<T> = Generator<undefined, T, undefined>

/** Goes through all steps at once. */
export function finishSteps<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next()
    if (step.done) return step.value
  }
}

// Sorting many versions without holding up everything else.
import type { StoredKeyValue } from './stored-key-value.ts'

const chunkLength = 4096

type Order = (a: StoredKeyValue, b: StoredKeyValue) => number

/** The versions in order; equal ones stay as they were. @param pause called between pieces */
export async function sortInPieces(versions: readonly StoredKeyValue[], order: Order, pause: () => Promise<void>): Promise<StoredKeyValue[]> {
  let sorted: StoredKeyValue[][] = []
  for (let at = 0; at < versions.length; at += chunkLength) {
    sorted.push(versions.slice(at, at + chunkLength).sort(order))
    await pause()
  }
  while (sorted.length > 1) {
    const merged: StoredKeyValue[][] = []
    for (let at = 0; at < sorted.length; at += 2) {
      const [a, b] = [sorted[at]!, sorted[at + 1]] // cast: below length
      merged.push(b ? await merge(a, b, order, pause) : a)
    }
    sorted = merged
  }
  return sorted[0] ?? []
}

async function merge(a: readonly StoredKeyValue[], b: readonly StoredKeyValue[], order: Order, pause: () => Promise<void>): Promise<StoredKeyValue[]> {
  const out: StoredKeyValue[] = []
  for (let i = 0, j = 0; i < a.length || j < b.length;) {
    const left = a[i]
    const right = b[j]
    if (left !== undefined && (right === undefined || order(left, right) <= 0)) { out.push(left); i++ } else if (right !== undefined) { out.push(right); j++ }
    if (out.length % (chunkLength * 4) === 0) await pause()
  }
  return out
}

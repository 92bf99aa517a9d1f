// Sorts very many keys, when a store is loaded: four bytes of each key and its place become one float, floats are sorted natively, and only keys
// that are equal so far are looked at further. Several times as fast as comparing keys, each of which has to be fetched from memory.
import type { KeyIndex } from './key-index.ts'

/** Below this, comparing is faster. */
const fewKeys = 16
/** A float holds integers of 53 bits: the place of a key, and as many of its bytes as fit beside it. */
const wholeBits = 53

const sampledKeys = 16
/** Keys sorted between two pauses. */
const keysPerTurn = 4096

/** In place. Stops now and then, to let others go first. */
export function* sortKeys(keys: Uint32Array, index: KeyIndex): Generator<undefined, void> { yield* sortPart(keys, index, 0) }

/** Sorts keys that have their first `depth` bytes in common. */
function* sortPart(keys: Uint32Array, index: KeyIndex, depth: number): Generator<undefined, void> {
  const count = keys.length
  const first = keys[0]
  if (first === undefined || count === 1) return
  const digitBytes = count <= 2 ** 21 ? 4 : 3
  const scale = 2 ** (wholeBits - digitBytes * 8)
  const floats = new Float64Array(count)
  // What a few have in common most likely all have.
  let start = commonLength(keys, index, depth, Math.ceil(count / sampledKeys))
  for (let i = 0; i < count; i++) {
    const digits = index.digits(first, keys[i]!, depth, start, digitBytes) // cast: bounded by the loop
    if (digits < 0) {
      start = commonLength(keys, index, depth, 1)
      i = -1
    } else floats[i] = digits * scale + i
  }
  floats.sort()
  const unsorted = keys.slice()
  for (let i = 0; i < count; i++) keys[i] = unsorted[floats[i]! % scale]! // cast: the remainder is a place
  let sinceTurn = 0
  for (let i = 0; i < count;) {
    const digit = Math.floor(floats[i]! / scale) // cast: bounded by the loop
    let end = i + 1
    while (end < count && Math.floor(floats[end]! / scale) === digit) end++ // cast: bounded by the loop
    if (end - i > 1) {
      const equal = keys.subarray(i, end)
      if (end - i <= fewKeys) sortByComparing(equal, index)
      // A key that has ended looks as if zeros followed.
      else if (digit % 256 === 0) equal.sort((a, b) => index.compareKeys(a, b))
      else yield* sortPart(equal, index, start + digitBytes)
    }
    sinceTurn += end - i
    if (sinceTurn >= keysPerTurn) {
      sinceTurn = 0
      yield undefined
    }
    i = end
  }
}

/** How many bytes every `step`-th key has in common with the first, which is not alone. */
function commonLength(keys: Uint32Array, index: KeyIndex, depth: number, step: number): number {
  let common = Infinity
  for (let i = keys.length - 1; i > 0 && common > depth; i -= step) common = index.commonLength(keys[0]!, keys[i]!, depth, common) // cast: bounded by the loop
  return common
}

/** By insertion: there are few. */
function sortByComparing(keys: Uint32Array, index: KeyIndex): void {
  for (let i = 1; i < keys.length; i++) {
    const key = keys[i]! // cast: bounded by the loop
    let at = i
    for (; at > 0 && index.compareKeys(keys[at - 1]!, key) > 0; at--) keys[at] = keys[at - 1]! // cast: above zero
    keys[at] = key
  }
}

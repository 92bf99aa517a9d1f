// Sorts very many keys, when a store is loaded: four bytes of each key and its number become one float, floats are sorted natively, and only keys
// that are equal so far are looked at further. Several times as fast as comparing texts, each of which has to be fetched from memory.
import type { KeyRecord } from './stored-key-value.ts'

/** Below this, comparing is faster. */
const fewRecords = 16
/** A float holds integers of 53 bits: the number of a record, and as many bytes of its key as fit beside it. */
const wholeBits = 53

/** Records sorted between two pauses. */
const recordsPerTurn = 4096

/** In place, by key. Stops now and then, to let others go first. */
export function* sortRecords(records: KeyRecord[]): Generator<undefined, void> { yield* sortPart(records, 0, records.length, 0) }

/** Sorts records[from, to), whose keys have their first `depth` bytes in common. */
function* sortPart(records: KeyRecord[], from: number, to: number, depth: number): Generator<undefined, void> {
  const count = to - from
  const part = records.slice(from, to)
  const start = commonLength(part, depth)
  const digitBytes = count <= 2 ** 21 ? 4 : 3
  const scale = 2 ** (wholeBits - digitBytes * 8)
  const floats = new Float64Array(count)
  for (let i = 0; i < count; i++) floats[i] = digitOf(part[i]!.text, start, digitBytes) * scale + i // cast: bounded by the loop
  floats.sort()
  for (let i = 0; i < count; i++) records[from + i] = part[floats[i]! % scale]! // cast: the remainder is an index of part
  let sinceTurn = 0
  for (let i = 0; i < count;) {
    const digit = Math.floor(floats[i]! / scale) // cast: bounded by the loop
    let end = i + 1
    while (end < count && Math.floor(floats[end]! / scale) === digit) end++ // cast: bounded by the loop
    if (end - i > 1) {
      // A key that has ended looks as if zeros followed.
      if (digit % 256 === 0) sortEnded(records, from + i, from + end)
      else if (end - i <= fewRecords) sortByComparing(records, from + i, from + end)
      else yield* sortPart(records, from + i, from + end, start + digitBytes)
    }
    sinceTurn += end - i
    if (sinceTurn >= recordsPerTurn) {
      sinceTurn = 0
      yield undefined
    }
    i = end
  }
}

function digitOf(text: string, start: number, bytes: number): number {
  let digit = 0
  for (let at = start; at < start + bytes; at++) digit = digit * 256 + (at < text.length ? text.charCodeAt(at) : 0)
  return digit
}

/** How many bytes all keys have in common. */
function commonLength(part: readonly KeyRecord[], depth: number): number {
  const first = part[0]?.text ?? ''
  let common = first.length
  for (const { text } of part) {
    let at = depth
    const end = Math.min(common, text.length)
    while (at < end && text.charCodeAt(at) === first.charCodeAt(at)) at++
    common = at
    if (common === depth) return depth
  }
  return common
}

function sortEnded(records: KeyRecord[], from: number, to: number): void {
  const part = records.slice(from, to).sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0))
  for (let i = 0; i < part.length; i++) records[from + i] = part[i]! // cast: bounded by the loop
}

/** By insertion: there are few. */
function sortByComparing(records: KeyRecord[], from: number, to: number): void {
  for (let i = from + 1; i < to; i++) {
    const record = records[i]! // cast: bounded by the loop
    let at = i
    for (; at > from && records[at - 1]!.text > record.text; at--) records[at] = records[at - 1]! // cast: at least from
    records[at] = record
  }
}

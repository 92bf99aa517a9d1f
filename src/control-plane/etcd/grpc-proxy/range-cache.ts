// Answers to ranges, for serializable reads that ask the same again. What goes through the proxy makes them old; what doesn't is not noticed, as
// serializable reads allow.
//
// Rules it keeps: an answer is never kept when something has written its keys while it was on its way; who asks gets only what the same caller was
// given. The least recently used goes first, and the whole is bounded. Upstream: etcd/server/proxy/grpcproxy/cache/store.go
import { compareBytes } from '../mvcc/range.ts'

export interface KeyRange {
  readonly key: Uint8Array
  /** Absent or empty: the key alone; a zero byte: everything from the key on. */
  readonly rangeEnd?: Uint8Array | undefined
}

interface Entry {
  readonly range: KeyRange
  /** 0: of the moment when it was asked; others never grow old. */
  readonly revision: number
  readonly answer: Uint8Array
}

/** An answer that is on its way. */
export interface Fill { readonly range: KeyRange; isOld: boolean }

const mostEntries = 2048
const mostBytes = 64 * 1024 * 1024

export class RangeCache {
  readonly #entries = new Map<string, Entry>()
  /** Names of answers that grow old: of a single key by that key, and the others. */
  readonly #points = new Map<string, Set<string>>()
  readonly #intervals = new Set<string>()
  readonly #fills = new Set<Fill>()
  #bytes = 0
  #compacted = -1

  get size(): number { return this.#entries.size }

  /** @param name what was asked, and by whom */
  find(name: string, revision: number): Uint8Array | 'compacted' | undefined {
    const entry = this.#entries.get(name)
    if (revision > 0 && revision < this.#compacted) {
      if (entry) this.#remove(name, entry)
      return 'compacted'
    }
    if (!entry) return undefined
    // The last in the map is the one that was used last.
    this.#entries.delete(name)
    this.#entries.set(name, entry)
    return entry.answer
  }

  begin(range: KeyRange): Fill {
    const fill = { range, isOld: false }
    this.#fills.add(fill)
    return fill
  }

  /** @param answer undefined: there was none */
  end(fill: Fill, name: string, revision: number, answer: Uint8Array | undefined): void {
    this.#fills.delete(fill)
    if (answer === undefined || (fill.isOld && revision === 0) || (revision > 0 && revision <= this.#compacted) || answer.length > mostBytes / 16) return
    const before = this.#entries.get(name)
    if (before) this.#remove(name, before)
    // A copy of its own: answers are pieces of larger buffers.
    this.#entries.set(name, { range: fill.range, revision, answer: Uint8Array.from(answer) })
    this.#bytes += answer.length + name.length
    if (revision === 0) this.#index(name, fill.range)
    for (const [oldest, entry] of this.#entries) {
      if (this.#entries.size <= mostEntries && this.#bytes <= mostBytes) break
      this.#remove(oldest, entry)
    }
  }

  #index(name: string, range: KeyRange): void {
    if (!isPoint(range)) { this.#intervals.add(name); return }
    const key = keyText(range)
    const names = this.#points.get(key)
    if (names) names.add(name)
    else this.#points.set(key, new Set([name]))
  }

  #remove(name: string, { answer, range, revision }: Entry): void {
    this.#entries.delete(name)
    this.#bytes -= answer.length + name.length
    if (revision !== 0) return
    this.#intervals.delete(name)
    if (!isPoint(range)) return
    const key = keyText(range)
    const names = this.#points.get(key)
    names?.delete(name)
    if (names?.size === 0) this.#points.delete(key)
  }

  /** These keys may have been written. */
  invalidate(range: KeyRange): void {
    for (const fill of this.#fills) if (overlaps(fill.range, range)) fill.isOld = true
    // A write of one key, which nearly all are, does not look at the answers to other keys.
    const names = isPoint(range) ? [...this.#points.get(keyText(range)) ?? [], ...this.#intervals] : this.#entries.keys()
    for (const name of names) {
      const entry = this.#entries.get(name)
      if (entry && entry.revision === 0 && overlaps(entry.range, range)) this.#remove(name, entry)
    }
  }

  compact(revision: number): void { this.#compacted = Math.max(this.#compacted, revision) }
}

function keyText({ key }: KeyRange): string { return Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1') }
function isPoint({ rangeEnd }: KeyRange): boolean { return rangeEnd === undefined || rangeEnd.length === 0 }
function isOpen({ rangeEnd }: KeyRange): boolean { return rangeEnd?.length === 1 && rangeEnd[0] === 0 }

/** Whether `key` lies before the end of `range`. */
function isBeforeEnd(key: Uint8Array, range: KeyRange): boolean {
  if (isPoint(range)) return compareBytes(key, range.key) <= 0
  return isOpen(range) || compareBytes(key, range.rangeEnd ?? range.key) < 0
}

export function overlaps(a: KeyRange, b: KeyRange): boolean { return isBeforeEnd(a.key, b) && isBeforeEnd(b.key, a) }

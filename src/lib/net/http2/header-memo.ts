// What header blocks meant, by their bytes: clients send the same few again and again. Valid while the table of the decoder stays as it is.
import { memoLimit } from './connection-limits.ts'
import type { RequestHeaders } from './request-headers.ts'

interface Recent { readonly bytes: Uint8Array; readonly headers: RequestHeaders }
const recentBlocks = 4
/** Longer blocks are looked up at once. */
const recentBytes = 64

export class HeaderMemo {
  readonly #known = new Map<string, RequestHeaders>()
  /** The last ones: calls of one kind follow each other, and comparing a few bytes is cheaper than making a text and looking it up. */
  readonly #recent: Recent[] = []
  #nextRecent = 0

  get(bytes: Buffer, start: number, end: number): RequestHeaders | undefined {
    const length = end - start
    if (this.#known.size === 0 || length > memoLimit) return undefined
    for (const { bytes: known, headers } of this.#recent) {
      if (known.length !== length) continue
      let i = 0
      while (i < length && known[i] === bytes[start + i]) i++
      if (i === length) return headers
    }
    const headers = this.#known.get(bytes.toString('latin1', start, end))
    if (headers && length <= recentBytes) {
      this.#recent[this.#nextRecent] = { bytes: Uint8Array.from(bytes.subarray(start, end)), headers }
      this.#nextRecent = (this.#nextRecent + 1) % recentBlocks
    }
    return headers
  }

  /** What a block means that left the table as it was. */
  set(bytes: Buffer, start: number, end: number, headers: RequestHeaders): void {
    if (end - start <= memoLimit && this.#known.size < memoLimit) this.#known.set(bytes.toString('latin1', start, end), headers)
  }

  /** The table has changed. */
  clear(): void {
    if (this.#known.size === 0) return
    this.#known.clear()
    this.#recent.length = 0
    this.#nextRecent = 0
  }
}

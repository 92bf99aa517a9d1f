// Keys as text: one character per byte. JavaScript compares such strings as bytes, hashes them well in a Map, and stores them in one byte
// per character; so the index works on text and the wire on bytes.

const piece = 4096

/** What Node's byte arrays have beside the standard: the same text, several times as fast for long keys. */
interface WithLatin1 { latin1Slice?(start: number, end: number): string }

/** One character (0 to 255) per byte. */
export function keyText(bytes: Uint8Array & WithLatin1): string {
  if (bytes.length > 16 && bytes.latin1Slice) return bytes.latin1Slice(0, bytes.length)
  if (bytes.length <= piece) return String.fromCharCode.apply(null, bytes as unknown as number[]) // cast: apply takes anything array-like
  let text = ''
  for (let i = 0; i < bytes.length; i += piece) text += String.fromCharCode.apply(null, bytes.subarray(i, i + piece) as unknown as number[]) // cast: as above
  return text
}

export function keyBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i)
  return bytes
}

/** A half-open range of keys. `end` undefined: no upper bound. `single`: `from` alone. */
export interface KeyRange {
  readonly from: string
  readonly end: string | undefined
  readonly single: boolean
}

/** What `key` and `rangeEnd` of a request mean: no end is one key, an end of one zero byte is everything from `key` on. */
export function keyRange(key: Uint8Array, rangeEnd: Uint8Array | undefined): KeyRange {
  const from = keyText(key)
  if (rangeEnd === undefined || rangeEnd.length === 0) return { from, end: `${from}\0`, single: true }
  if (rangeEnd.length === 1 && rangeEnd[0] === 0) return { from, end: undefined, single: false }
  return { from, end: keyText(rangeEnd), single: false }
}

export function isInRange(range: KeyRange, text: string): boolean {
  return range.single ? text === range.from : text >= range.from && (range.end === undefined || text < range.end)
}

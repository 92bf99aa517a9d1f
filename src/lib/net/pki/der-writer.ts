// Writes DER, the binary form of ASN.1 in which X.509 certificates are. Each function returns one encoded value.
// Source: ITU-T X.690.

/** One value: tag, length, content. */
export function derValue(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(contents)
  const length = content.length
  const head = length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff]
  return Buffer.concat([Uint8Array.from(head), content])
}

export const derSequence = (...items: readonly Uint8Array[]): Uint8Array => derValue(0x30, ...items)
export const derSet = (...items: readonly Uint8Array[]): Uint8Array => derValue(0x31, ...items)
export const derOctets = (bytes: Uint8Array): Uint8Array => derValue(0x04, bytes)
export const derBoolean = (value: boolean): Uint8Array => derValue(0x01, Uint8Array.of(value ? 0xff : 0))
export const derNull = (): Uint8Array => derValue(0x05)
export const derText = (text: string): Uint8Array => derValue(0x0c, Buffer.from(text, 'utf8'))
/** Context tag `number`, around whole values or (with `primitive`) around raw content. */
export const derTagged = (number: number, content: Uint8Array, primitive = false): Uint8Array => derValue((primitive ? 0x80 : 0xa0) | number, content)
export const derBits = (bytes: Uint8Array, unusedBits = 0): Uint8Array => derValue(0x03, Uint8Array.of(unusedBits), bytes)

/** A non-negative integer, big-endian. */
export function derInteger(bytes: Uint8Array): Uint8Array {
  let start = 0
  while (start < bytes.length - 1 && bytes[start] === 0) start++
  const trimmed = bytes.subarray(start)
  return (trimmed[0] ?? 0) & 0x80 ? derValue(0x02, Uint8Array.of(0), trimmed) : derValue(0x02, trimmed)
}

/** An object identifier in dotted form. */
export function derOid(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const bytes = [first * 40 + second]
  for (const arc of rest) {
    const groups = [arc & 0x7f]
    for (let v = arc >> 7; v > 0; v >>= 7) groups.unshift((v & 0x7f) | 0x80)
    bytes.push(...groups)
  }
  return derValue(0x06, Uint8Array.from(bytes))
}

/** UTCTime until 2049, GeneralizedTime after, as RFC 5280 asks. */
export function derTime(epochMs: number): Uint8Array {
  const text = `${new Date(epochMs).toISOString().slice(0, 19).replace(/[-:T]/g, '')}Z`
  return Number(text.slice(0, 4)) < 2050 ? derValue(0x17, Buffer.from(text.slice(2))) : derValue(0x18, Buffer.from(text))
}

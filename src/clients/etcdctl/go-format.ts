// Values as Go prints and reads them: quoted strings, byte sizes, durations, integers. Scripts that read etcdctl's output know these forms.
//
// Texts that may hold any bytes (keys, values) travel as strings in which a byte that is not UTF-8 is the lone surrogate U+DC00 + byte, so
// that nothing is lost between a command line and the wire.

/** Text of bytes; see above for bytes that are not UTF-8. */
export function textOfBytes(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
  if (!text.includes('\uFFFD')) return text
  let out = ''
  for (const { text: piece, byte } of decodeUtf8(bytes)) out += byte === undefined ? piece : String.fromCharCode(0xdc00 + byte)
  return out
}

/** Bytes of a text made by textOfBytes, or of any text. */
export function bytesOfText(text: string): Uint8Array {
  if (!/[\uDC80-\uDCFF]/.test(text)) return Buffer.from(text, 'utf8')
  const parts: Buffer[] = []
  for (const char of text) {
    const code = char.codePointAt(0) ?? 0
    parts.push(code >= 0xdc80 && code <= 0xdcff ? Buffer.from([code - 0xdc00]) : Buffer.from(char, 'utf8'))
  }
  return Buffer.concat(parts)
}

/** Characters of UTF-8; a byte that begins none is given as itself. */
function* decodeUtf8(bytes: Uint8Array): Generator<{ readonly text: string; readonly byte?: number }> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  for (let i = 0; i < bytes.length;) {
    const first = bytes[i] ?? 0
    const length = first < 0x80 ? 1 : first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xf0 && first < 0xf5 ? 4 : 0
    let text: string | undefined
    if (length > 0 && i + length <= bytes.length) {
      try { text = decoder.decode(bytes.subarray(i, i + length)) } catch { text = undefined }
    }
    if (text === undefined) { yield { text: '', byte: first }; i += 1 } else { yield { text }; i += length }
  }
}

const escapes: { readonly [char: string]: string } = { '\x07': '\\a', '\b': '\\b', '\f': '\\f', '\n': '\\n', '\r': '\\r', '\t': '\\t', '\v': '\\v', '\\': '\\\\', '"': '\\"' }
const printable = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u

/** `%q` of a string, of a byte array. */
export function quote(value: string | Uint8Array): string {
  let out = '"'
  for (const { text, byte } of decodeUtf8(typeof value === 'string' ? bytesOfText(value) : value)) {
    if (byte !== undefined) { out += `\\x${byte.toString(16).padStart(2, '0')}`; continue }
    const escape = escapes[text]
    const code = text.codePointAt(0) ?? 0
    if (escape !== undefined) out += escape
    else if (printable.test(text)) out += text
    else if (code < 0x20 || code === 0x7f) out += `\\x${code.toString(16).padStart(2, '0')}`
    else out += code > 0xffff ? `\\U${code.toString(16).padStart(8, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`
  }
  return `${out}"`
}

const unescapes: { readonly [char: string]: number } = { a: 7, b: 8, f: 12, n: 10, r: 13, t: 9, v: 11, '\\': 92, '"': 34, "'": 39 }

/** The text of a Go string literal in double quotes or backquotes; undefined when it is none. */
export function unquote(literal: string): string | undefined {
  if (/^`[^`]*`$/s.test(literal)) return literal.slice(1, -1)
  if (!/^"(?:[^"\\\n]|\\.)*"$/s.test(literal)) return undefined
  const parts: Uint8Array[] = []
  const body = literal.slice(1, -1)
  const pattern = /\\x([0-9a-fA-F]{2})|\\([0-7]{3})|\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})|\\(.)|([^\\]+)/gsu
  for (const [, hex, octal, unicode, unicodeLong, single, plain] of body.matchAll(pattern)) {
    if (hex !== undefined) parts.push(Uint8Array.of(Number.parseInt(hex, 16)))
    else if (octal !== undefined) parts.push(Uint8Array.of(Number.parseInt(octal, 8) & 0xff))
    else if (unicode !== undefined || unicodeLong !== undefined) {
      const code = Number.parseInt(unicode ?? unicodeLong ?? '', 16)
      if (code > 0x10ffff) return undefined
      parts.push(Buffer.from(String.fromCodePoint(code)))
    } else if (single !== undefined) {
      const byte = unescapes[single]
      if (byte === undefined || single === "'") return undefined
      parts.push(Uint8Array.of(byte))
    } else parts.push(bytesOfText(plain ?? ''))
  }
  return textOfBytes(Buffer.concat(parts))
}

/** Words of a line as a simple shell has them: double quotes with Go's escapes, single quotes without. Undefined when a quoted word is malformed. */
export function splitWords(line: string): readonly string[] | undefined {
  const words = line.match(/"(?:[^"\\]|\\.)*"|'[^']*'|[^'"\s]\S*[^'"\s]?/g) ?? []
  const out: string[] = []
  for (const word of words) {
    const text = word.startsWith("'") ? word.slice(1, -1) : word.startsWith('"') ? unquote(word) : word
    if (text === undefined) return undefined
    out.push(text)
  }
  return out
}

/** `\x61\x62`: what `--hex` makes of keys and values. */
export function hexEscaped(bytes: Uint8Array): string {
  let out = ''
  for (const byte of bytes) out += `\\x${byte.toString(16).padStart(2, '0')}`
  return out
}

/** `%016x` */
export function hex16(id: bigint | undefined): string { return (id ?? 0n).toString(16).padStart(16, '0') }

/** `20 kB`, `2.1 GB`: powers of 1000, as go-humanize has them. */
export function humanBytes(count: number): string {
  if (count < 10) return `${count} B`
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB']
  const exponent = Math.min(units.length - 1, Math.floor(Math.log10(count) / 3 + 1e-12))
  const value = Math.floor((count / 1000 ** exponent) * 10 + 0.5) / 10
  // Go rounds halves to even.
  const whole = value % 1 === 0.5 ? 2 * Math.round(value / 2) : Math.round(value)
  return `${value < 10 ? value.toFixed(1) : whole} ${units[exponent] ?? ''}`
}

/** A duration as Go prints it: `3.879741ms`, `1.5s`, `2m0s`. */
export function goDuration(milliseconds: number): string {
  const nanoseconds = Math.round(milliseconds * 1e6)
  if (nanoseconds === 0) return '0s'
  const fraction = (value: number, digits: number): string => value.toFixed(digits).replace(/\.?0+$/, '')
  if (nanoseconds < 1e3) return `${nanoseconds}ns`
  if (nanoseconds < 1e6) return `${fraction(nanoseconds / 1e3, 3)}µs`
  if (nanoseconds < 1e9) return `${fraction(nanoseconds / 1e6, 6)}ms`
  const hours = Math.floor(nanoseconds / 3.6e12)
  const minutes = Math.floor((nanoseconds - hours * 3.6e12) / 6e10)
  const seconds = (nanoseconds - hours * 3.6e12 - minutes * 6e10) / 1e9
  const tail = `${seconds === 0 ? '0' : fraction(seconds, 9)}s`
  return hours > 0 ? `${hours}h${minutes}m${tail}` : minutes > 0 ? `${minutes}m${tail}` : tail
}

/** An integer, or Go's words for why it is none. */
export type ParsedInteger = { readonly value: bigint } | { readonly problem: string }

/** strconv.ParseInt, or ParseUint, with 64 bits. */
export function parseInteger(text: string, base: 10 | 16, kind: 'Int' | 'Uint' = 'Int'): ParsedInteger {
  const pattern = base === 10 ? /^([+-]?)(\d+)$/ : /^([+-]?)([0-9a-fA-F]+)$/
  const match = pattern.exec(text)
  const problem = (why: string): ParsedInteger => ({ problem: `strconv.Parse${kind}: parsing ${quote(text)}: ${why}` })
  if (!match || (kind === 'Uint' && match[1] !== '')) return problem('invalid syntax')
  const size = BigInt(base === 16 ? `0x${match[2]}` : `${match[2]}`)
  const value = match[1] === '-' ? -size : size
  const inRange = kind === 'Uint' ? value < 1n << 64n : value < 1n << 63n && value >= -(1n << 63n)
  return inRange ? { value } : problem('value out of range')
}

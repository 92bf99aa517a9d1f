// Writes YAML as kubectl prints it: keys sorted, lists not indented under their key, long text folded at 80 columns, quotes only where plain
// text would mean something else. Upstream: sigs.k8s.io/yaml over go-yaml v2's emitter
import type { JsonValue } from '../base/json.ts'
import { resolvePlainScalar } from './yaml.ts'

const foldColumn = 80

/** One document, ending in a newline. */
export function formatYaml(value: JsonValue): string {
  const lines = new LineWriter()
  writeNode(lines, value, 0, 'document')
  return lines.finish()
}

class LineWriter {
  readonly #parts: string[] = []
  column = 0
  write(text: string): void {
    this.#parts.push(text)
    const end = text.lastIndexOf('\n')
    this.column = end < 0 ? this.column + text.length : text.length - end - 1
  }
  newLine(indent: number): void { this.write(`\n${' '.repeat(indent)}`) }
  finish(): string { return `${this.#parts.join('')}\n` }
}

type Place = 'document' | 'mappingValue' | 'listItem'

function writeNode(out: LineWriter, value: JsonValue | undefined, indent: number, place: Place): void {
  if (Array.isArray(value)) {
    if (value.length === 0) { out.write(place === 'mappingValue' ? ' []' : '[]'); return }
    // A list under a key stands at the key's own column.
    value.forEach((item, i) => {
      if (!(place === 'document' && i === 0) && !(place === 'listItem' && i === 0)) out.newLine(indent)
      out.write('- ')
      writeNode(out, item, indent + 2, 'listItem')
    })
    return
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined).sort(([a], [b]) => compareKeys(a, b))
    if (entries.length === 0) { out.write(place === 'mappingValue' ? ' {}' : '{}'); return }
    entries.forEach(([key, item], i) => {
      if (place === 'mappingValue' || i > 0) out.newLine(indent)
      writeText(out, key, indent, true)
      out.write(':')
      const nested = typeof item === 'object' && item !== null
      if (!nested) out.write(' ')
      writeNode(out, item, Array.isArray(item) ? indent : indent + 2, 'mappingValue')
    })
    return
  }
  if (typeof value === 'string') writeText(out, value, place === 'mappingValue' ? indent : indent, false)
  else if (value === null || value === undefined) out.write('null')
  else out.write(String(value))
}

/** go-yaml's order: runs of digits by number, letters after other characters. */
export function compareKeys(a: string, b: string): number {
  const [x, y] = [[...a], [...b]]
  let digits = false
  for (let i = 0; i < x.length && i < y.length; i++) {
    const [p, q] = [x[i] ?? '', y[i] ?? '']
    if (p === q) { digits = /\d/.test(p); continue }
    const [pl, ql] = [/\p{L}/u.test(p), /\p{L}/u.test(q)]
    if (pl && ql) return p < q ? -1 : 1
    if (pl || ql) return digits ? (pl ? -1 : 1) : pl ? 1 : -1
    const numberAt = (chars: string[], from: number): [number, number] => {
      let at = from
      let n = 0
      while (at < chars.length && /\d/.test(chars[at] ?? '')) n = n * 10 + Number(chars[at++])
      return [n, at]
    }
    let zero = false
    if (p === '0' || q === '0') for (let j = i - 1; j >= 0 && /\d/.test(x[j] ?? ''); j--) if (x[j] !== '0') { zero = true; break }
    if (zero || !/\d/.test(p) || !/\d/.test(q)) {
      if (/\d/.test(p) && /\d/.test(q)) {
        const [n, ni] = numberAt(x, i)
        const [m, mi] = numberAt(y, i)
        if (n !== m) return n - m
        if (ni !== mi) return ni - mi
      }
      return p < q ? -1 : 1
    }
    const [n, ni] = numberAt(x, i)
    const [m, mi] = numberAt(y, i)
    if (n !== m) return n - m
    if (ni !== mi) return ni - mi
    return p < q ? -1 : 1
  }
  return x.length - y.length
}

const base60Float = /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$/
const timestamp = /^\d{4}-\d{1,2}-\d{1,2}(?:[Tt ]|\s*$)/

/** Plain text would be read as something else. */
function isAmbiguous(text: string): boolean {
  if (resolvePlainScalar(text) !== undefined || text === '<<' || text === '=') return true
  if (/^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$/.test(text)) return true
  return base60Float.test(text) || timestamp.test(text)
}

function writeText(out: LineWriter, text: string, indent: number, isKey: boolean): void {
  if (isAmbiguous(text)) { writeDouble(out, text, indent, isKey); return }
  if (text.includes('\n') && !isKey && !hasUnprintable(text)) { writeLiteral(out, text, indent); return }
  if (hasUnprintable(text)) { writeDouble(out, text, indent, isKey); return }
  if (canBePlain(text)) { writeFolded(out, text, indent, isKey); return }
  if (text.includes('\n') || / \n|\n /.test(text)) { writeDouble(out, text, indent, isKey); return }
  out.write("'")
  writeFolded(out, text.replaceAll("'", "''"), indent, isKey)
  out.write("'")
}

function hasUnprintable(text: string): boolean {
  return /[^\n\x20-\x7e\u0085\u00a0-\ud7ff\ue000-\ufefe\uff00-\ufffd\u{10000}-\u{10ffff}]/u.test(text)
}

function canBePlain(text: string): boolean {
  if (text === '' || text.includes('\n') || /^\s|\s$/.test(text) || /^(---|\.\.\.)/.test(text)) return false
  if (/^[#,[\]{}&*!|>'"%@`]/.test(text)) return false
  if (/^[-?:](?:\s|$)/.test(text)) return false
  if (/: |:$| #/.test(text)) return false
  return true
}

/** Breaks at single spaces past the 80th column, as the emitter does for plain and single-quoted text. */
function writeFolded(out: LineWriter, text: string, indent: number, isKey: boolean): void {
  if (isKey || out.column + text.length <= foldColumn) { out.write(text); return }
  for (let i = 0; i < text.length; i++) {
    const c = text[i] ?? ''
    if (c === ' ' && out.column > foldColumn && text[i - 1] !== ' ' && text[i + 1] !== ' ' && i > 0 && i < text.length - 1) out.newLine(indent)
    else out.write(c)
  }
}

function writeLiteral(out: LineWriter, text: string, indent: number): void {
  const body = text.replace(/\n+$/, '')
  const trailing = text.length - body.length
  const hint = /^[ \n]/.test(text) ? '2' : ''
  out.write(`|${hint}${trailing === 0 ? '-' : trailing > 1 ? '+' : ''}`)
  const pad = ' '.repeat(indent)
  const lines = text.split('\n')
  if (trailing > 0) lines.pop()
  for (const line of lines) out.write(line === '' ? '\n' : `\n${pad}${line}`)
}

function writeDouble(out: LineWriter, text: string, indent: number, isKey: boolean): void {
  out.write('"')
  const characters = [...text]
  for (let i = 0; i < characters.length; i++) {
    const c = characters[i] ?? ''
    if (c === ' ' && !isKey && out.column > foldColumn && i > 0 && i < characters.length - 1 && characters[i - 1] !== ' ') {
      out.newLine(indent)
      if (characters[i + 1] === ' ') out.write('\\')
    } else out.write(escapes[c] ?? (hasUnprintable(c) ? escapeCode(c) : c))
  }
  out.write('"')
}

const escapes: { readonly [character: string]: string } = { '\0': '\\0', '\x07': '\\a', '\b': '\\b', '\t': '\\t', '\n': '\\n', '\v': '\\v', '\f': '\\f', '\r': '\\r', '\x1b': '\\e', '"': '\\"', '\\': '\\\\', '\u0085': '\\N', '\u00a0': '\\_', '\u2028': '\\L', '\u2029': '\\P' }

function escapeCode(c: string): string {
  const code = c.codePointAt(0) ?? 0
  if (code <= 0xff) return `\\x${code.toString(16).toUpperCase().padStart(2, '0')}`
  if (code <= 0xffff) return `\\u${code.toString(16).toUpperCase().padStart(4, '0')}`
  return `\\U${code.toString(16).toUpperCase().padStart(8, '0')}`
}

// Reads JSON that strangers sent. The engine's own parser does the work; a scan before it refuses texts that are too deep or have too many keys,
// and finds the rare ones that need care: duplicate keys, integers that a number can't hold, numbers too large, syntax errors. Those go through a
// parser of our own, which names duplicates by path and words errors as Go does, because clients see them. Upstream: sigs.k8s.io/json
import type { JsonValue } from '../base/json.ts'

export interface ParseJsonOptions {
  /** Nesting of objects and lists; deeper texts are refused. 500 unless told. */
  readonly maxDepth?: number
  /** Keys in all objects together; more are refused. No limit unless told. */
  readonly maxKeys?: number
}

export type ParsedJson =
  /** `duplicateFields` holds paths like `spec.replicas`; the last value of a duplicate counts. */
  | { readonly ok: true; readonly value: JsonValue; readonly duplicateFields: readonly string[] }
  | { readonly ok: false; readonly reason: 'syntax' | 'tooDeep' | 'tooManyKeys' | 'number'; readonly error: string }

const textDecoder = new TextDecoder('utf-8', { ignoreBOM: true })

interface Scan { readonly depth: number; readonly keys: number; readonly careful: boolean; /** The bracket that went too deep. */ readonly opened: string }

/** One pass over the bytes: nesting, keys, and whether a number needs care. */
function scan(bytes: Uint8Array, maxDepth: number): Scan {
  let depth = 0
  let deepest = 0
  let keys = 0
  let digits = 0
  let careful = false
  let opened = ''
  const { length } = bytes
  for (let i = 0; i < length; i++) {
    const c = bytes[i]! // cast: inside the bounds
    if (c === 0x22) {
      i++
      while (i < length && bytes[i] !== 0x22) {
        if (bytes[i] !== 0x5c) { i++; continue }
        // Half of a surrogate pair, perhaps.
        if (bytes[i + 1] === 0x75 && (bytes[i + 2] === 0x64 || bytes[i + 2] === 0x44)) careful = true
        i += 2
      }
      digits = 0
    } else if (c >= 0x30 && c <= 0x39) {
      if (++digits > 15) careful = true
    } else {
      if (c === 0x7b || c === 0x5b) { if (++depth > deepest) { deepest = depth; if (deepest > maxDepth) { opened = String.fromCharCode(c); break } } }
      else if (c === 0x7d || c === 0x5d) depth--
      else if (c === 0x3a) keys++
      else if ((c === 0x65 || c === 0x45) && digits > 0) careful = true
      digits = 0
    }
  }
  return { depth: deepest, keys, careful, opened }
}

function countKeys(value: JsonValue): number {
  if (typeof value !== 'object' || value === null) return 0
  let count = 0
  if (Array.isArray(value)) {
    for (const item of value) count += countKeys(item)
    return count
  }
  for (const key in value) count += 1 + countKeys((value as { readonly [key: string]: JsonValue })[key] ?? null) // cast: an object; JSON has no undefined
  return count
}

/** Reads one JSON value from UTF-8. */
export function parseJson(bytes: Uint8Array, options: ParseJsonOptions = {}): ParsedJson {
  const maxDepth = options.maxDepth ?? 500
  const found = scan(bytes, maxDepth)
  if (found.depth > maxDepth) return { ok: false, reason: 'tooDeep', error: `invalid character '${found.opened}' exceeded max depth` }
  if (options.maxKeys !== undefined && found.keys > options.maxKeys) return { ok: false, reason: 'tooManyKeys', error: `the document has more than ${options.maxKeys} keys` }
  const text = textDecoder.decode(bytes)
  if (!found.careful) {
    let value: JsonValue | undefined
    try { value = JSON.parse(text) as JsonValue } catch { value = undefined } // cast: JSON.parse gives JSON
    if (value !== undefined && countKeys(value) === found.keys) return { ok: true, value, duplicateFields: [] }
  }
  try {
    return new CarefulParser(text, maxDepth).parse()
  } catch (error) {
    if (error instanceof JsonError) return { ok: false, reason: error.reason, error: error.message }
    throw error
  }
}

/** The same for a text. */
export function parseJsonText(text: string, options: ParseJsonOptions = {}): ParsedJson { return parseJson(new TextEncoder().encode(text), options) }

class JsonError extends Error {
  override readonly name = 'JsonError'
  readonly reason: 'syntax' | 'tooDeep' | 'number'
  constructor(message: string, reason: 'syntax' | 'tooDeep' | 'number' = 'syntax') {
    super(message)
    this.reason = reason
  }
}

function quoteCharacter(c: string): string {
  if (c === "'") return "'\\''"
  if (c === '"') return `'"'`
  const quoted = JSON.stringify(c)
  return `'${quoted.slice(1, -1)}'`
}

const escapes: { readonly [c: string]: string } = { '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }

class CarefulParser {
  readonly #text: string
  readonly #maxDepth: number
  readonly #duplicates: string[] = []
  #at = 0

  constructor(text: string, maxDepth: number) {
    this.#text = text
    this.#maxDepth = maxDepth
  }

  parse(): ParsedJson {
    const value = this.#value('', 0)
    this.#skipSpace()
    if (this.#at < this.#text.length) throw this.#unexpected('after top-level value')
    return { ok: true, value, duplicateFields: this.#duplicates }
  }

  #unexpected(where: string): JsonError {
    const c = this.#text.codePointAt(this.#at)
    if (c === undefined) return new JsonError('unexpected end of JSON input')
    return new JsonError(`invalid character ${quoteCharacter(String.fromCodePoint(c))} ${where}`)
  }

  #skipSpace(): string {
    for (;;) {
      const c = this.#text.charAt(this.#at)
      if (c !== ' ' && c !== '\n' && c !== '\t' && c !== '\r') return c
      this.#at++
    }
  }

  #value(path: string, depth: number): JsonValue {
    if (depth > this.#maxDepth) throw new JsonError('exceeded max depth', 'tooDeep')
    const c = this.#skipSpace()
    if (c === '{') return this.#object(path, depth)
    if (c === '[') return this.#list(path, depth)
    if (c === '"') return this.#string()
    if (c === 't') return this.#literal('true', true)
    if (c === 'f') return this.#literal('false', false)
    if (c === 'n') return this.#literal('null', null)
    if (c === '-' || (c >= '0' && c <= '9')) return this.#number()
    throw this.#unexpected('looking for beginning of value')
  }

  #literal<T>(word: string, value: T): T {
    for (let i = 0; i < word.length; i++) {
      if (this.#text.charAt(this.#at) !== word.charAt(i)) throw this.#unexpected(`in literal ${word} (expecting '${word.charAt(i)}')`)
      this.#at++
    }
    return value
  }

  #number(): number {
    const start = this.#at
    const digits = (where: string): void => {
      if (!/[0-9]/.test(this.#text.charAt(this.#at))) throw this.#unexpected(where)
      while (/[0-9]/.test(this.#text.charAt(this.#at))) this.#at++
    }
    if (this.#text.charAt(this.#at) === '-') this.#at++
    if (this.#text.charAt(this.#at) === '0') this.#at++
    else digits('in numeric literal')
    let whole = true
    if (this.#text.charAt(this.#at) === '.') { whole = false; this.#at++; digits('after decimal point in numeric literal') }
    if (/[eE]/.test(this.#text.charAt(this.#at))) {
      whole = false
      this.#at++
      if (/[+-]/.test(this.#text.charAt(this.#at))) this.#at++
      digits('in exponent of numeric literal')
    }
    const literal = this.#text.slice(start, this.#at)
    const value = Number(literal)
    if (whole ? !Number.isSafeInteger(value) : !Number.isFinite(value)) throw new JsonError(`json: cannot unmarshal number ${literal} into Go value of type ${whole ? 'int64' : 'float64'}`, 'number')
    return value
  }

  #string(): string {
    this.#at++
    let out = ''
    for (;;) {
      const c = this.#text.charAt(this.#at)
      if (c === '') throw new JsonError('unexpected end of JSON input')
      if (c < ' ') throw this.#unexpected('in string literal')
      this.#at++
      // Half of a surrogate pair isn't text: Go reads the replacement character.
      if (c === '"') return out.toWellFormed()
      if (c !== '\\') { out += c; continue }
      const escaped = this.#text.charAt(this.#at)
      if (escaped === 'u') {
        this.#at++
        let code = 0
        for (let i = 0; i < 4; i++) {
          const digit = this.#text.charAt(this.#at)
          if (!/^[0-9a-fA-F]$/.test(digit)) throw this.#unexpected('in \\u hexadecimal character escape')
          code = code * 16 + Number.parseInt(digit, 16)
          this.#at++
        }
        out += String.fromCharCode(code)
      } else {
        const character = Object.hasOwn(escapes, escaped) ? escapes[escaped] : undefined
        if (character === undefined) throw this.#unexpected('in string escape code')
        out += character
        this.#at++
      }
    }
  }

  #list(path: string, depth: number): JsonValue {
    const items: JsonValue[] = []
    this.#at++
    if (this.#skipSpace() === ']') { this.#at++; return items }
    for (;;) {
      items.push(this.#value(`${path}[${items.length}]`, depth + 1))
      const c = this.#skipSpace()
      if (c !== ',' && c !== ']') throw this.#unexpected('after array element')
      this.#at++
      if (c === ']') return items
    }
  }

  #object(path: string, depth: number): JsonValue {
    const out: { [key: string]: JsonValue } = {}
    this.#at++
    if (this.#skipSpace() === '}') { this.#at++; return out }
    for (;;) {
      if (this.#skipSpace() !== '"') throw this.#unexpected('looking for beginning of object key string')
      const key = this.#string()
      if (this.#skipSpace() !== ':') throw this.#unexpected('after object key')
      this.#at++
      const keyPath = path === '' ? key : `${path}.${key}`
      if (Object.hasOwn(out, key)) this.#duplicates.push(keyPath)
      // Defined, not assigned: a key may be called __proto__.
      Object.defineProperty(out, key, { value: this.#value(keyPath, depth + 1), enumerable: true, configurable: true, writable: true })
      const c = this.#skipSpace()
      if (c !== ',' && c !== '}') throw this.#unexpected('after object key:value pair')
      this.#at++
      if (c === '}') return out
    }
  }
}

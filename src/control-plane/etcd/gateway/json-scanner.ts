// Finds where a JSON value ends in bytes that may hold several, and says what is wrong with one in the words of Go's encoding/json, which clients
// of the gateway see. Upstream: encoding/json/scanner.go
import { GrpcError } from '../../../lib/net/grpc/status.ts'

/** Values may lie this deep in each other; real requests are a few levels deep. */
const deepest = 1000

function syntaxError(message: string): GrpcError { return new GrpcError('InvalidArgument', message) }

/** A byte as Go writes it between single quotes. */
function quoted(byte: number): string {
  if (byte === 0x27) return "'\\''"
  if (byte === 0x5c) return "'\\\\'"
  const named: { readonly [byte: number]: string } = { 7: '\\a', 8: '\\b', 9: '\\t', 10: '\\n', 11: '\\v', 12: '\\f', 13: '\\r' }
  if (named[byte] !== undefined) return `'${named[byte]}'`
  if (byte < 0x20 || byte === 0x7f) return `'\\x${byte.toString(16).padStart(2, '0')}'`
  if (byte >= 0x80 && byte < 0xa1 || byte === 0xad) return `'\\u${byte.toString(16).padStart(4, '0')}'`
  return `'${String.fromCharCode(byte)}'`
}

function isSpace(byte: number): boolean { return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09 }
function isDigit(byte: number): boolean { return byte >= 0x30 && byte <= 0x39 }
function isHex(byte: number): boolean { return isDigit(byte) || (byte >= 0x61 && byte <= 0x66) || (byte >= 0x41 && byte <= 0x46) }

export function skipSpace(bytes: Uint8Array, from: number): number {
  let at = from
  while (at < bytes.length && isSpace(bytes[at] ?? 0)) at++
  return at
}

/** Where the value that begins at `from` ends. @throws GrpcError InvalidArgument */
export function scanValue(bytes: Uint8Array, from: number): number { return new Scanner(bytes, from).value(0) }

class Scanner {
  readonly #bytes: Uint8Array
  #at: number

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes
    this.#at = at
  }

  /** The next byte, without taking it. */
  #peek(): number {
    const byte = this.#bytes[this.#at]
    if (byte === undefined) throw syntaxError('unexpected EOF')
    return byte
  }

  #fail(where: string): never { throw syntaxError(`invalid character ${quoted(this.#peek())} ${where}`) }

  #space(): void { this.#at = skipSpace(this.#bytes, this.#at) }

  value(depth: number): number {
    if (depth > deepest) throw syntaxError('exceeded max depth')
    const byte = this.#peek()
    switch (byte) {
      case 0x7b: this.#object(depth); break
      case 0x5b: this.#array(depth); break
      case 0x22: this.#string(); break
      case 0x74: this.#literal('true'); break
      case 0x66: this.#literal('false'); break
      case 0x6e: this.#literal('null'); break
      default:
        if (byte !== 0x2d && !isDigit(byte)) this.#fail('looking for beginning of value')
        this.#number()
    }
    return this.#at
  }

  #object(depth: number): void {
    this.#at++
    this.#space()
    if (this.#peek() === 0x7d) { this.#at++; return }
    for (;;) {
      this.#space()
      if (this.#peek() !== 0x22) this.#fail('looking for beginning of object key string')
      this.#string()
      this.#space()
      if (this.#peek() !== 0x3a) this.#fail('after object key')
      this.#at++
      this.#space()
      this.value(depth + 1)
      this.#space()
      const byte = this.#peek()
      if (byte !== 0x2c && byte !== 0x7d) this.#fail('after object key:value pair')
      this.#at++
      if (byte === 0x7d) return
    }
  }

  #array(depth: number): void {
    this.#at++
    this.#space()
    if (this.#peek() === 0x5d) { this.#at++; return }
    for (;;) {
      this.#space()
      this.value(depth + 1)
      this.#space()
      const byte = this.#peek()
      if (byte !== 0x2c && byte !== 0x5d) this.#fail('after array element')
      this.#at++
      if (byte === 0x5d) return
    }
  }

  #string(): void {
    this.#at++
    for (;;) {
      const byte = this.#peek()
      if (byte < 0x20) this.#fail('in string literal')
      this.#at++
      if (byte === 0x22) return
      if (byte !== 0x5c) continue
      const escape = this.#peek()
      if (escape === 0x75) {
        this.#at++
        for (let i = 0; i < 4; i++, this.#at++) if (!isHex(this.#peek())) this.#fail('in \\u hexadecimal character escape')
      } else if ('bfnrt\\/"'.includes(String.fromCharCode(escape))) this.#at++
      else this.#fail('in string escape code')
    }
  }

  #literal(word: string): void {
    for (let i = 1; i < word.length; i++) {
      this.#at++
      if (this.#peek() !== word.charCodeAt(i)) this.#fail(`in literal ${word} (expecting '${word.charAt(i)}')`)
    }
    this.#at++
  }

  #number(): void {
    const digits = (): void => { while (isDigit(this.#bytes[this.#at] ?? 0)) this.#at++ }
    if (this.#peek() === 0x2d) {
      this.#at++
      if (!isDigit(this.#peek())) this.#fail('in numeric literal')
    }
    if (this.#peek() === 0x30) this.#at++
    else digits()
    if (this.#bytes[this.#at] === 0x2e) {
      this.#at++
      if (!isDigit(this.#peek())) this.#fail('after decimal point in numeric literal')
      digits()
    }
    const e = this.#bytes[this.#at]
    if (e === 0x65 || e === 0x45) {
      this.#at++
      if (this.#peek() === 0x2b || this.#peek() === 0x2d) this.#at++
      if (!isDigit(this.#peek())) this.#fail('in exponent of numeric literal')
      digits()
    }
  }
}

// A JSON value with the places where its parts stand, for error messages that say where something is wrong. Reads only what the scanner has passed.
import { scanValue, skipSpace } from './json-scanner.ts'

interface Place {
  /** Where it begins in the text. */
  readonly at: number
  /** As it stands there; of objects and arrays the bracket. */
  readonly raw: string
}

export interface JsonMember { readonly at: number; readonly raw: string; readonly name: string; readonly value: JsonNode }

export type JsonNode =
  | (Place & { readonly kind: 'object'; readonly members: readonly JsonMember[] })
  | (Place & { readonly kind: 'array'; readonly items: readonly JsonNode[] })
  | (Place & { readonly kind: 'string'; readonly text: string })
  | (Place & { readonly kind: 'number' | 'true' | 'false' | 'null' })

/** The text of one value and its parts. */
export interface JsonDocument { readonly text: string; readonly root: JsonNode }

/** The values in a body, one after the other. Parsing goes on only as far as it is asked for. @throws GrpcError InvalidArgument */
export function* readDocuments(body: Uint8Array): Generator<JsonDocument> {
  for (let at = skipSpace(body, 0); at < body.length; at = skipSpace(body, at)) {
    const end = scanValue(body, at)
    const text = Buffer.from(body.buffer, body.byteOffset + at, end - at).toString('utf8')
    yield { text, root: new Reader(text).value() }
    at = end
  }
}

class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) { this.#text = text }

  #space(): void { while (/[\s]/.test(this.#text.charAt(this.#at)) && this.#at < this.#text.length) this.#at++ }

  value(): JsonNode {
    const at = this.#at
    switch (this.#text.charAt(at)) {
      case '{': return { kind: 'object', at, raw: '{', members: this.#members() }
      case '[': return { kind: 'array', at, raw: '[', items: this.#items() }
      case '"': {
        const raw = this.#string()
        return { kind: 'string', at, raw, text: JSON.parse(raw) as string } // cast: it is a string
      }
      default: {
        const raw = /[^\s,\]}]*/y
        raw.lastIndex = at
        const word = raw.exec(this.#text)?.[0] ?? ''
        this.#at += word.length
        return { kind: word === 'true' || word === 'false' || word === 'null' ? word : 'number', at, raw: word }
      }
    }
  }

  #string(): string {
    const from = this.#at
    let at = from + 1
    while (this.#text.charAt(at) !== '"') at += this.#text.charAt(at) === '\\' ? 2 : 1
    this.#at = at + 1
    return this.#text.slice(from, this.#at)
  }

  #members(): JsonMember[] {
    const members: JsonMember[] = []
    this.#at++
    for (;;) {
      this.#space()
      if (this.#text.charAt(this.#at) === '}') { this.#at++; return members }
      if (this.#text.charAt(this.#at) === ',') { this.#at++; continue }
      const at = this.#at
      const raw = this.#string()
      this.#space()
      this.#at++
      this.#space()
      members.push({ at, raw, name: JSON.parse(raw) as string, value: this.value() }) // cast: it is a string
    }
  }

  #items(): JsonNode[] {
    const items: JsonNode[] = []
    this.#at++
    for (;;) {
      this.#space()
      if (this.#text.charAt(this.#at) === ']') { this.#at++; return items }
      if (this.#text.charAt(this.#at) === ',') { this.#at++; continue }
      items.push(this.value())
    }
  }
}

// Label selectors: `app=web,tier in (a,b),!canary` and the LabelSelector objects in specs, both as one list of requirements that must all hold.
// Error texts are the original's, because clients see them. Upstream: apimachinery/pkg/labels, apimachinery/pkg/apis/meta/v1/helpers.go
import type { FieldError } from './field-error.ts'
import { fieldInvalid } from './field-error.ts'
import { isQualifiedName, isValidLabelValue } from './validation.ts'

export type SelectorOperator = '=' | '==' | '!=' | 'in' | 'notin' | 'exists' | '!' | 'gt' | 'lt'

export interface SelectorRequirement {
  readonly key: string
  readonly operator: SelectorOperator
  /** Sorted and without repeats. */
  readonly values: readonly string[]
}

/** All requirements must hold; sorted by key. `nothing` matches no object at all (an absent LabelSelector). */
export interface LabelSelector {
  readonly requirements: readonly SelectorRequirement[]
  readonly nothing?: true
}

export type ParsedSelector = { readonly ok: true; readonly selector: LabelSelector } | { readonly ok: false; readonly error: string }

export type Labels = { readonly [key: string]: string | undefined }

/** The object in a spec. */
export interface LabelSelectorObject {
  readonly matchLabels?: { readonly [key: string]: string | undefined }
  readonly matchExpressions?: readonly { readonly key?: string; readonly operator?: string; readonly values?: readonly string[] }[]
}

export const everything: LabelSelector = { requirements: [] }
export const nothing: LabelSelector = { requirements: [], nothing: true }

/** True when the selector lets every object through, so that nobody needs to look at labels. */
export const selectsEverything = (selector: LabelSelector): boolean => selector.nothing !== true && selector.requirements.length === 0

/** True when labels fulfil every requirement. */
export function matches(selector: LabelSelector, labels: Labels | undefined): boolean {
  if (selector.nothing) return false
  for (const requirement of selector.requirements) if (!requirementMatches(requirement, labels)) return false
  return true
}

function requirementMatches({ key, operator, values }: SelectorRequirement, labels: Labels | undefined): boolean {
  const value = labels !== undefined && Object.hasOwn(labels, key) ? labels[key] : undefined
  switch (operator) {
    case '=': case '==': case 'in': return value !== undefined && values.includes(value)
    case '!=': case 'notin': return value === undefined || !values.includes(value)
    case 'exists': return value !== undefined
    case '!': return value === undefined
    case 'gt': case 'lt': {
      const have = parseInteger(value)
      const limit = parseInteger(values[0])
      if (have === undefined || limit === undefined) return false
      return operator === 'gt' ? have > limit : have < limit
    }
  }
}

function parseInteger(text: string | undefined): bigint | undefined {
  if (text === undefined || !/^[+-]?\d{1,19}$/.test(text)) return undefined
  const value = BigInt(text.replace(/^\+/, ''))
  return BigInt.asIntN(64, value) === value ? value : undefined
}

/** Prints a selector as query parameters carry it. */
export function formatLabelSelector(selector: LabelSelector): string {
  return selector.requirements.map(({ key, operator, values }) => {
    switch (operator) {
      case '=': case '==': case '!=': return `${key}${operator}${values.join(',')}`
      case 'in': case 'notin': return `${key} ${operator} (${values.join(',')})`
      case 'gt': return `${key}>${values.join(',')}`
      case 'lt': return `${key}<${values.join(',')}`
      case 'exists': return key
      case '!': return `!${key}`
    }
  }).join(',')
}

/** The value that the selector demands for a label, when it demands exactly one. */
export function requiredExactValue(selector: LabelSelector, key: string): string | undefined {
  const requirement = selector.requirements.find((r) => r.key === key)
  if (requirement === undefined || requirement.values.length !== 1) return undefined
  return requirement.operator === '=' || requirement.operator === '==' || requirement.operator === 'in' ? requirement.values[0] : undefined
}

/** A selector that demands exactly these labels. Keys and values are trusted. */
export function selectorFromLabels(labels: Labels): LabelSelector {
  const requirements = Object.keys(labels).sort().map((key): SelectorRequirement => ({ key, operator: '=', values: [labels[key] ?? ''] }))
  return { requirements }
}

/** Reads the LabelSelector of a spec. Absent selects nothing, empty selects everything. */
export function selectorOf(object: LabelSelectorObject | undefined | null): ParsedSelector {
  if (object === undefined || object === null) return { ok: true, selector: nothing }
  const requirements: SelectorRequirement[] = []
  for (const [key, value] of Object.entries(object.matchLabels ?? {})) {
    const made = makeRequirement(key, '=', [value ?? ''])
    if (typeof made === 'string') return { ok: false, error: made }
    requirements.push(made)
  }
  for (const { key = '', operator = '', values = [] } of object.matchExpressions ?? []) {
    const mapped = objectOperators.get(operator)
    if (mapped === undefined) return { ok: false, error: `${JSON.stringify(operator)} is not a valid label selector operator` }
    const made = makeRequirement(key, mapped, values)
    if (typeof made === 'string') return { ok: false, error: made }
    requirements.push(made)
  }
  return { ok: true, selector: sorted(requirements) }
}

/** The same for node affinity, which also knows Gt and Lt: one term of `matchExpressions`. */
export function selectorOfNodeExpressions(expressions: LabelSelectorObject['matchExpressions']): ParsedSelector {
  const requirements: SelectorRequirement[] = []
  for (const { key = '', operator = '', values = [] } of expressions ?? []) {
    const mapped = objectOperators.get(operator) ?? (operator === 'Gt' ? 'gt' : operator === 'Lt' ? 'lt' : undefined)
    if (mapped === undefined) return { ok: false, error: `${JSON.stringify(operator)} is not a valid node selector operator` }
    const made = makeRequirement(key, mapped, values)
    if (typeof made === 'string') return { ok: false, error: made }
    requirements.push(made)
  }
  return { ok: true, selector: sorted(requirements) }
}

const objectOperators: ReadonlyMap<string, SelectorOperator> = new Map([['In', 'in'], ['NotIn', 'notin'], ['Exists', 'exists'], ['DoesNotExist', '!']])

function sorted(requirements: readonly SelectorRequirement[]): LabelSelector {
  return { requirements: requirements.toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)) }
}

/** A checked requirement, or what is wrong with it. */
function makeRequirement(key: string, operator: SelectorOperator, values: readonly string[]): SelectorRequirement | string {
  const errors: FieldError[] = []
  const keyErrors = isQualifiedName(key)
  if (keyErrors.length > 0) errors.push(fieldInvalid('key', key, keyErrors.join('; ')))
  switch (operator) {
    case 'in': case 'notin':
      if (values.length === 0) errors.push(fieldInvalid('values', values, "for 'in', 'notin' operators, values set can't be empty"))
      break
    case '=': case '==': case '!=':
      if (values.length !== 1) errors.push(fieldInvalid('values', values, 'exact-match compatibility requires one single value'))
      break
    case 'exists': case '!':
      if (values.length > 0) errors.push(fieldInvalid('values', values, 'values set must be empty for exists and does not exist'))
      break
    case 'gt': case 'lt':
      if (values.length !== 1) errors.push(fieldInvalid('values', values, "for 'Gt', 'Lt' operators, exactly one value is required"))
      values.forEach((value, i) => { if (parseInteger(value) === undefined) errors.push(fieldInvalid(`values[${i}]`, value, "for 'Gt', 'Lt' operators, the value must be an integer")) })
      break
  }
  values.forEach((value, i) => {
    const valueErrors = isValidLabelValue(value)
    if (valueErrors.length > 0) errors.push(fieldInvalid(`values[${i}][${key}]`, value, valueErrors.join('; ')))
  })
  if (errors.length > 0) {
    const texts = [...new Set(errors.map((error) => `${error.field}: ${error.body}`))]
    return texts.length === 1 ? texts[0] ?? '' : `[${texts.join(', ')}]`
  }
  return { key, operator, values: [...new Set(values)].sort() }
}

type TokenKind = 'identifier' | 'end' | 'error' | ')' | ',' | '!' | '==' | '=' | '>' | 'in' | '<' | '!=' | 'notin' | '('
interface Token { readonly kind: TokenKind; readonly text: string }

const symbols: ReadonlySet<string> = new Set([')', ',', '!', '==', '=', '>', '<', '!=', '('])
const isSymbolCharacter = (c: string): boolean => c !== '' && '=!(),><'.includes(c)
const isSpace = (c: string): boolean => c === ' ' || c === '\t' || c === '\r' || c === '\n'

function tokenize(text: string): Token[] {
  const tokens: Token[] = []
  let at = 0
  while (at < text.length) {
    const c = text.charAt(at)
    if (isSpace(c)) { at++; continue }
    if (isSymbolCharacter(c)) {
      // The longest symbol that starts here.
      const two = text.slice(at, at + 2)
      const symbol = symbols.has(two) ? two : c
      tokens.push({ kind: symbol as TokenKind, text: symbol }) // cast: every symbol is a token kind
      at += symbol.length
      continue
    }
    let end = at
    while (end < text.length && !isSymbolCharacter(text.charAt(end)) && !isSpace(text.charAt(end))) end++
    const word = text.slice(at, end)
    tokens.push({ kind: word === 'in' || word === 'notin' ? word : 'identifier', text: word })
    at = end
  }
  tokens.push({ kind: 'end', text: '' })
  return tokens
}

/** Reads the text form. */
export function parseLabelSelector(text: string): ParsedSelector {
  if (text === '') return { ok: true, selector: everything }
  const parser = new SelectorParser(tokenize(text))
  try {
    return { ok: true, selector: sorted(parser.parse()) }
  } catch (error) {
    if (error instanceof SelectorSyntaxError) return { ok: false, error: error.message }
    throw error
  }
}

class SelectorSyntaxError extends Error {
  override readonly name = 'SelectorSyntaxError'
}

/** Recursive descent over the tokens; `in` and `notin` are ordinary words where a key or value may stand. */
class SelectorParser {
  readonly #tokens: readonly Token[]
  #at = 0
  constructor(tokens: readonly Token[]) { this.#tokens = tokens }

  #peek(words = true): Token {
    const token = this.#tokens[Math.min(this.#at, this.#tokens.length - 1)] ?? { kind: 'end', text: '' }
    return words && (token.kind === 'in' || token.kind === 'notin') ? { kind: 'identifier', text: token.text } : token
  }

  #next(words = true): Token { const token = this.#peek(words); this.#at++; return token }

  parse(): SelectorRequirement[] {
    const requirements: SelectorRequirement[] = []
    for (;;) {
      const token = this.#peek()
      if (token.kind === 'end') return requirements
      if (token.kind !== 'identifier' && token.kind !== '!') throw new SelectorSyntaxError(`found '${token.text}', expected: !, identifier, or 'end of string'`)
      try {
        requirements.push(this.#requirement())
      } catch (error) {
        if (error instanceof SelectorSyntaxError) throw new SelectorSyntaxError(`unable to parse requirement: ${error.message}`)
        throw error
      }
      const after = this.#next()
      if (after.kind === 'end') return requirements
      if (after.kind !== ',') throw new SelectorSyntaxError(`found '${after.text}', expected: ',' or 'end of string'`)
      const following = this.#peek()
      if (following.kind !== 'identifier' && following.kind !== '!') throw new SelectorSyntaxError(`found '${following.text}', expected: identifier after ','`)
    }
  }

  #requirement(): SelectorRequirement {
    let token = this.#next()
    const absent = token.kind === '!'
    if (absent) token = this.#next()
    if (token.kind !== 'identifier') throw new SelectorSyntaxError(`found '${token.text}', expected: identifier`)
    const key = token.text
    const keyErrors = isQualifiedName(key)
    if (keyErrors.length > 0) throw new SelectorSyntaxError(`<nil>: ${fieldInvalid('', key, keyErrors.join('; ')).body}`)
    const after = this.#peek().kind
    if (absent || after === 'end' || after === ',') return this.#checked(key, absent ? '!' : 'exists', [])
    const operator = this.#operator()
    const values = operator === 'in' || operator === 'notin' ? this.#valueList() : this.#singleValue()
    return this.#checked(key, operator, [...new Set(values)].sort())
  }

  #checked(key: string, operator: SelectorOperator, values: readonly string[]): SelectorRequirement {
    const made = makeRequirement(key, operator, values)
    if (typeof made === 'string') throw new SelectorSyntaxError(made)
    return made
  }

  #operator(): SelectorOperator {
    const { kind, text } = this.#next(false)
    switch (kind) {
      case 'in': case 'notin': case '=': case '==': case '!=': return kind
      case '>': return 'gt'
      case '<': return 'lt'
      default: throw new SelectorSyntaxError(`found '${text}', expected: in, notin, =, ==, !=, gt, lt`)
    }
  }

  #singleValue(): string[] {
    const { kind } = this.#peek()
    if (kind === 'end' || kind === ',') return ['']
    const token = this.#next()
    if (token.kind === 'identifier') return [token.text]
    throw new SelectorSyntaxError(`found '${token.text}', expected: identifier`)
  }

  #valueList(): string[] {
    const open = this.#next()
    if (open.kind !== '(') throw new SelectorSyntaxError(`found '${open.text}' expected: '('`)
    const first = this.#peek()
    if (first.kind === ')') { this.#next(); return [''] }
    if (first.kind !== 'identifier' && first.kind !== ',') throw new SelectorSyntaxError(`found '${first.text}', expected: ',', ')' or identifier`)
    const values = this.#identifiers()
    const close = this.#next()
    if (close.kind !== ')') throw new SelectorSyntaxError(`found '${first.text}', expected: ')'`)
    return values
  }

  #identifiers(): string[] {
    const values: string[] = []
    for (;;) {
      const token = this.#next()
      if (token.kind === 'identifier') {
        values.push(token.text)
        const after = this.#peek()
        if (after.kind === ')') return values
        if (after.kind !== ',') throw new SelectorSyntaxError(`found '${after.text}', expected: ',' or ')'`)
      } else if (token.kind === ',') {
        if (values.length === 0) values.push('') // `(,`
        const after = this.#peek()
        if (after.kind === ')') return [...values, ''] // `,)`
        if (after.kind === ',') values.push('') // `,,`
      } else throw new SelectorSyntaxError(`found '${token.text}', expected: ',', or identifier`)
    }
  }
}

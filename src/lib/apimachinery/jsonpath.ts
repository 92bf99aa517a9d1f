// kubectl's dialect of JSONPath: text with expressions in braces, `{.items[*].metadata.name}`, `{range .items[*]}…{end}`, filters, slices,
// unions. Pure. Upstream: client-go/util/jsonpath
import type { JsonValue } from '../base/json.ts'
import { isJsonObject } from '../base/json.ts'

/** The template can't be parsed, or a field is missing and must not be. */
export class JsonPathError extends Error {
  override readonly name = 'JsonPathError'
}

type Step =
  | { readonly type: 'field'; readonly name: string }
  | { readonly type: 'wildcard' }
  | { readonly type: 'recursive' }
  | { readonly type: 'slice'; readonly start: number | undefined; readonly end: number | undefined; readonly step: number }
  | { readonly type: 'index'; readonly index: number }
  | { readonly type: 'union'; readonly members: readonly (readonly Step[])[] }
  | { readonly type: 'filter'; readonly left: Operand; readonly operator: Comparison | 'exists'; readonly right: Operand | undefined }

type Comparison = '==' | '!=' | '<' | '<=' | '>' | '>='
type Operand = { readonly type: 'literal'; readonly value: JsonValue } | { readonly type: 'path'; readonly root: boolean; readonly steps: readonly Step[] }

type Node =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'path'; readonly root: boolean; readonly steps: readonly Step[] }
  | { readonly type: 'range'; readonly root: boolean; readonly steps: readonly Step[]; readonly body: readonly Node[] }

export interface JsonPathTemplate {
  /** The text for one object. @throws JsonPathError when a field is missing and `allowMissing` is false */
  render(value: JsonValue, options?: { readonly allowMissing?: boolean }): string
  /** The values of the first expression. */
  find(value: JsonValue, options?: { readonly allowMissing?: boolean }): readonly JsonValue[]
}

/** @throws JsonPathError */
export function parseJsonPath(template: string): JsonPathTemplate {
  const { nodes } = parseNodes(tokenize(template), 0, false)
  return {
    render: (value, options = {}) => renderNodes(nodes, value, value, options.allowMissing ?? true),
    find: (value, options = {}) => {
      const first = nodes.find((n) => n.type === 'path')
      return first?.type === 'path' ? evaluate(first.steps, value, value, options.allowMissing ?? true) : []
    },
  }
}

/** `metadata.name`, `.metadata.name` and `{.metadata.name}` all mean the last, for custom columns and sorting. @throws JsonPathError */
export function relaxJsonPath(expression: string): string {
  if (expression === '') return ''
  const match = /^\{\.?([^{}]+)\}$|^\.?([^{}]+)$/.exec(expression)
  if (!match) throw new JsonPathError(`unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or '{.name1.name2}'`)
  return `{.${match[1] ?? match[2] ?? ''}}`
}

type Token = { readonly type: 'text'; readonly text: string } | { readonly type: 'expression'; readonly text: string }

function tokenize(template: string): readonly Token[] {
  const tokens: Token[] = []
  let at = 0
  while (at < template.length) {
    const open = template.indexOf('{', at)
    if (open < 0) { tokens.push({ type: 'text', text: template.slice(at) }); break }
    if (open > at) tokens.push({ type: 'text', text: template.slice(at, open) })
    let quote = ''
    let end = open + 1
    for (; end < template.length; end++) {
      const c = template[end] ?? ''
      if (quote !== '') { if (c === '\\') end++; else if (c === quote) quote = '' } else if (c === '"' || c === "'") quote = c
      else if (c === '}') break
    }
    if (end >= template.length) throw new JsonPathError('unclosed action')
    tokens.push({ type: 'expression', text: template.slice(open + 1, end).trim() })
    at = end + 1
  }
  return tokens
}

function parseNodes(tokens: readonly Token[], from: number, inRange: boolean): { readonly nodes: readonly Node[]; readonly next: number } {
  const nodes: Node[] = []
  let i = from
  while (i < tokens.length) {
    const token = tokens[i]
    if (!token) break
    i++
    if (token.type === 'text') { nodes.push({ type: 'text', text: token.text }); continue }
    if (token.text === 'end') {
      if (!inRange) throw new JsonPathError('not in range, nothing to end')
      return { nodes, next: i }
    }
    const range = /^range\s+(.*)$/s.exec(token.text)
    if (range) {
      const path = parsePath(range[1] ?? '')
      const { nodes: body, next } = parseNodes(tokens, i, true)
      nodes.push({ type: 'range', ...path, body })
      i = next
      continue
    }
    nodes.push(...parseExpression(token.text))
  }
  if (inRange) throw new JsonPathError('unterminated range, missing {end}')
  return { nodes, next: i }
}

/** Several paths and quoted texts may stand in one pair of braces. */
function parseExpression(text: string): readonly Node[] {
  if (text === '') return []
  const nodes: Node[] = []
  let rest = text
  while (rest !== '') {
    const quoted = /^"((?:[^"\\]|\\.)*)"|^'((?:[^'\\]|\\.)*)'/s.exec(rest)
    if (quoted) {
      nodes.push({ type: 'text', text: unescapeText(quoted[1] ?? quoted[2] ?? '') })
      rest = rest.slice(quoted[0].length).trimStart()
      continue
    }
    const parser = new PathParser(rest)
    nodes.push({ type: 'path', ...parser.path() })
    if (parser.position === 0) throw new JsonPathError(`unrecognized character in action: ${rest[0] ?? ''}`)
    rest = rest.slice(parser.position).trimStart()
  }
  return nodes
}

function unescapeText(text: string): string {
  return text.replace(/\\(.)/gs, (_, c: string) => ({ n: '\n', t: '\t', r: '\r' })[c] ?? c)
}

function parsePath(text: string): { readonly root: boolean; readonly steps: readonly Step[] } {
  const parser = new PathParser(text)
  const path = parser.path()
  if (parser.position < text.trimEnd().length) throw new JsonPathError(`unrecognized character in action: ${text[parser.position] ?? ''}`)
  return path
}

class PathParser {
  readonly #text: string
  position = 0

  constructor(text: string) { this.#text = text }

  #peek(): string { return this.#text[this.position] ?? '' }

  path(): { readonly root: boolean; readonly steps: readonly Step[] } {
    const steps: Step[] = []
    const root = this.#peek() === '$'
    if (root || this.#peek() === '@') this.position++
    for (;;) {
      if (this.#peek() === '.') {
        this.position++
        if (this.#peek() === '.') { this.position++; steps.push({ type: 'recursive' }) }
        if (this.#peek() === '[' || this.position >= this.#text.length || /\s/.test(this.#peek())) continue
        if (this.#peek() === '*') { this.position++; steps.push({ type: 'wildcard' }); continue }
        steps.push({ type: 'field', name: this.#identifier() })
      } else if (this.#peek() === '[') steps.push(this.#bracket())
      else if (steps.length === 0 && !root && /[\w-]/.test(this.#peek()) && this.position === 0) steps.push({ type: 'field', name: this.#identifier() })
      else return { root, steps }
    }
  }

  #identifier(): string {
    let name = ''
    while (this.position < this.#text.length && !/[.[\]\s$@{}(),=!<>&|'"?]/.test(this.#peek())) {
      if (this.#peek() === '\\') this.position++
      name += this.#peek()
      this.position++
    }
    if (name === '') throw new JsonPathError(`unrecognized character in action: ${this.#peek()}`)
    return name
  }

  #bracket(): Step {
    const start = ++this.position
    let depth = 1
    let quote = ''
    for (; this.position < this.#text.length; this.position++) {
      const c = this.#peek()
      if (quote !== '') { if (c === '\\') this.position++; else if (c === quote) quote = '' } else if (c === "'" || c === '"') quote = c
      else if (c === '[') depth++
      else if (c === ']' && --depth === 0) break
    }
    if (depth > 0) throw new JsonPathError('unterminated array')
    const inside = this.#text.slice(start, this.position).trim()
    this.position++
    return parseBracket(inside)
  }
}

function parseBracket(inside: string): Step {
  if (inside === '*') return { type: 'wildcard' }
  const filter = /^\?\((.*)\)$/s.exec(inside)
  if (filter) return parseFilter((filter[1] ?? '').trim())
  const members = splitOutsideQuotes(inside)
  if (members.length > 1) return { type: 'union', members: members.map((m) => [parseBracket(m.trim())]) }
  const quoted = /^'((?:[^'\\]|\\.)*)'$|^"((?:[^"\\]|\\.)*)"$/s.exec(inside)
  if (quoted) return { type: 'field', name: unescapeText(quoted[1] ?? quoted[2] ?? '') }
  if (/^-?\d+$/.test(inside)) return { type: 'index', index: Number(inside) }
  const slice = /^(-?\d*):(-?\d*)(?::(-?\d*))?$/.exec(inside)
  if (slice) {
    const number = (text: string | undefined): number | undefined => (text ? Number(text) : undefined)
    const step = number(slice[3]) ?? 1
    if (step <= 0) throw new JsonPathError('step must be > 0')
    return { type: 'slice', start: number(slice[1]), end: number(slice[2]), step }
  }
  if (/^[\w.-]+$/.test(inside)) return { type: 'field', name: inside }
  throw new JsonPathError(`invalid array index ${inside}`)
}

function splitOutsideQuotes(text: string): readonly string[] {
  const parts: string[] = []
  let quote = ''
  let start = 0
  for (let i = 0; i < text.length; i++) {
    const c = text[i] ?? ''
    if (quote !== '') { if (c === '\\') i++; else if (c === quote) quote = '' } else if (c === "'" || c === '"') quote = c
    else if (c === ',') { parts.push(text.slice(start, i)); start = i + 1 }
  }
  return [...parts, text.slice(start)]
}

function parseFilter(text: string): Step {
  let quote = ''
  for (let i = 0; i < text.length; i++) {
    const c = text[i] ?? ''
    if (quote !== '') { if (c === '\\') i++; else if (c === quote) quote = ''; continue }
    if (c === "'" || c === '"') { quote = c; continue }
    const operator = ['==', '!=', '<=', '>=', '<', '>'].find((o) => text.startsWith(o, i))
    if (operator) return { type: 'filter', left: parseOperand(text.slice(0, i).trim()), operator: operator as Comparison, right: parseOperand(text.slice(i + operator.length).trim()) } // cast: from the list above
  }
  return { type: 'filter', left: parseOperand(text), operator: 'exists', right: undefined }
}

function parseOperand(text: string): Operand {
  const quoted = /^'((?:[^'\\]|\\.)*)'$|^"((?:[^"\\]|\\.)*)"$/s.exec(text)
  if (quoted) return { type: 'literal', value: unescapeText(quoted[1] ?? quoted[2] ?? '') }
  if (/^-?\d+(\.\d+)?$/.test(text)) return { type: 'literal', value: Number(text) }
  if (text === 'true' || text === 'false') return { type: 'literal', value: text === 'true' }
  if (text === 'null' || text === 'nil') return { type: 'literal', value: null }
  return { type: 'path', ...parsePath(text) }
}

function evaluate(steps: readonly Step[], from: JsonValue, root: JsonValue, allowMissing: boolean): readonly JsonValue[] {
  let values: readonly JsonValue[] = [from]
  for (const step of steps) values = values.flatMap((value) => applyStep(step, value, root, allowMissing))
  return values
}

const childrenOf = (value: JsonValue): readonly JsonValue[] => (Array.isArray(value) ? value : isJsonObject(value) ? Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, v]) => (v === undefined ? [] : [v])) : [])

function applyStep(step: Step, value: JsonValue, root: JsonValue, allowMissing: boolean): readonly JsonValue[] {
  switch (step.type) {
    case 'field': {
      if (isJsonObject(value) && Object.hasOwn(value, step.name)) { const found = value[step.name]; return found === undefined ? [] : [found] }
      if (allowMissing) return []
      throw new JsonPathError(`${step.name} is not found`)
    }
    case 'wildcard': return childrenOf(value)
    case 'recursive': {
      const all: JsonValue[] = [value]
      for (let i = 0; i < all.length; i++) { const item = all[i]; if (item !== undefined) all.push(...childrenOf(item)) }
      return all
    }
    case 'index': {
      if (!Array.isArray(value)) { if (allowMissing) return []; throw new JsonPathError(`${typeof value} is not array or slice`) }
      const index = step.index < 0 ? value.length + step.index : step.index
      if (index < 0 || index >= value.length) {
        if (allowMissing) return []
        throw new JsonPathError(`array index out of bounds: index ${step.index}, length ${value.length}`)
      }
      return [value[index] as JsonValue] // cast: inside the bounds
    }
    case 'slice': {
      if (!Array.isArray(value)) return []
      const at = (n: number | undefined, fallback: number): number => (n === undefined ? fallback : Math.max(0, Math.min(value.length, n < 0 ? value.length + n : n)))
      const out: JsonValue[] = []
      for (let i = at(step.start, 0); i < at(step.end, value.length); i += step.step) out.push(value[i] as JsonValue) // cast: inside the bounds
      return out
    }
    case 'union': return step.members.flatMap((member) => evaluate(member, value, root, allowMissing))
    case 'filter': return childrenOf(value).filter((item) => matches(step, item, root))
  }
}

function matches(step: Extract<Step, { type: 'filter' }>, item: JsonValue, root: JsonValue): boolean {
  const valuesOf = (operand: Operand): readonly JsonValue[] => (operand.type === 'literal' ? [operand.value] : evaluate(operand.steps, operand.root ? root : item, root, true))
  const left = valuesOf(step.left)
  if (step.operator === 'exists' || !step.right) return left.length > 0
  const right = valuesOf(step.right)
  if (left.length === 0 || right.length === 0) return false
  const [a, b] = [left[0], right[0]]
  switch (step.operator) {
    case '==': return a === b || String(a) === String(b)
    case '!=': return String(a) !== String(b)
    default: {
      if (typeof a !== typeof b || (typeof a !== 'number' && typeof a !== 'string') || (typeof b !== 'number' && typeof b !== 'string')) return false
      return step.operator === '<' ? a < b : step.operator === '<=' ? a <= b : step.operator === '>' ? a > b : a >= b
    }
  }
}

function renderNodes(nodes: readonly Node[], value: JsonValue, root: JsonValue, allowMissing: boolean): string {
  let text = ''
  for (const node of nodes) {
    switch (node.type) {
      case 'text': text += node.text; break
      case 'path': text += evaluate(node.steps, node.root ? root : value, root, allowMissing).map(formatJsonPathValue).join(' '); break
      case 'range': for (const item of evaluate(node.steps, node.root ? root : value, root, allowMissing)) text += renderNodes(node.body, item, root, allowMissing)
    }
  }
  return text
}

/** Text plain, numbers and booleans as Go prints them, lists and objects as JSON. */
export function formatJsonPathValue(value: JsonValue): string {
  if (typeof value === 'string') return value
  if (value === null) return ''
  if (typeof value === 'object') return JSON.stringify(value)
  return String(value)
}

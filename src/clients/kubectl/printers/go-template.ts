// Go's text/template at the width that `-o go-template` users need: fields, pipelines, variables, if/else, range/else, with, comments, trim
// markers, the built-in functions and kubectl's base64decode and exists. Upstream: text/template, kubectl/pkg/util/templates
import type { JsonValue } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'
import { KubectlError } from '../command.ts'

type Term =
  | { readonly type: 'literal'; readonly value: JsonValue }
  | { readonly type: 'field'; readonly path: readonly string[] }
  | { readonly type: 'variable'; readonly name: string; readonly path: readonly string[] }
  | { readonly type: 'function'; readonly name: string }
  | { readonly type: 'group'; readonly pipeline: Pipeline; readonly path: readonly string[] }
type Pipeline = { readonly assign: readonly string[]; readonly declare: boolean; readonly commands: readonly (readonly Term[])[] }
type Node =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'action'; readonly pipeline: Pipeline }
  | { readonly type: 'if' | 'with' | 'range'; readonly pipeline: Pipeline; readonly body: readonly Node[]; readonly otherwise: readonly Node[] }
  | { readonly type: 'break' | 'continue' }

export interface GoTemplate {
  render(value: JsonValue, options?: { readonly allowMissing?: boolean }): string
}

const fail = (message: string): never => { throw new KubectlError(`error parsing template: ${message}`) }

export function parseGoTemplate(template: string): GoTemplate {
  const pieces = splitActions(template)
  const parser = new Parser(pieces)
  const nodes = parser.block([])
  return { render: (value, options = {}) => new Renderer(value, options.allowMissing ?? true).run(nodes) }
}

type Piece = { readonly type: 'text' | 'action'; readonly text: string }

function splitActions(template: string): readonly Piece[] {
  const pieces: Piece[] = []
  let rest = template
  let trimNext = false
  for (;;) {
    const open = rest.indexOf('{{')
    let text = open < 0 ? rest : rest.slice(0, open)
    if (trimNext) text = text.trimStart()
    if (open < 0) { if (text !== '') pieces.push({ type: 'text', text }); return pieces }
    const trimBefore = /^\{\{-\s/.test(rest.slice(open))
    if (trimBefore) text = text.trimEnd()
    if (text !== '') pieces.push({ type: 'text', text })
    let end = open + 2
    let quote = ''
    for (; end < rest.length; end++) {
      const c = rest[end] ?? ''
      if (quote !== '') { if (c === '\\' && quote === '"') end++; else if (c === quote) quote = '' } else if (c === '"' || c === '`') quote = c
      else if (rest.startsWith('}}', end)) break
    }
    if (end >= rest.length) fail('unclosed action')
    let action = rest.slice(open + 2, end)
    trimNext = /\s-$/.test(action)
    if (trimNext) action = action.slice(0, -1)
    if (trimBefore) action = action.slice(1)
    action = action.trim()
    if (!action.startsWith('/*')) pieces.push({ type: 'action', text: action })
    rest = rest.slice(end + 2)
  }
}

class Parser {
  readonly #pieces: readonly Piece[]
  #at = 0
  #ended = ''

  constructor(pieces: readonly Piece[]) { this.#pieces = pieces }

  /** Nodes up to one of `ends`, which is left in `#ended`. */
  block(ends: readonly string[]): readonly Node[] {
    const nodes: Node[] = []
    while (this.#at < this.#pieces.length) {
      const piece = this.#pieces[this.#at++]
      if (!piece) break
      if (piece.type === 'text') { nodes.push({ type: 'text', text: piece.text }); continue }
      const [word = ''] = /^\S+/.exec(piece.text) ?? []
      const rest = piece.text.slice(word.length).trim()
      if (ends.includes(word)) { this.#ended = piece.text; return nodes }
      switch (word) {
        case 'if': case 'with': case 'range': nodes.push(this.#branch(word, rest)); break
        case 'break': case 'continue': nodes.push({ type: word }); break
        case 'end': case 'else': fail(`unexpected {{${word}}}`); break
        default: nodes.push({ type: 'action', pipeline: parsePipeline(piece.text) })
      }
    }
    if (ends.length > 0) fail('unexpected EOF')
    return nodes
  }

  #branch(type: 'if' | 'with' | 'range', rest: string): Node {
    const pipeline = parsePipeline(rest)
    const body = this.block(['else', 'end'])
    let otherwise: readonly Node[] = []
    const chained = /^else\s+(if|with)\s+(.*)$/s.exec(this.#ended)
    if (chained) otherwise = [this.#branch(chained[1] as 'if' | 'with', chained[2] ?? '')] // cast: the pattern's two words
    else if (this.#ended.startsWith('else')) otherwise = this.block(['end'])
    return { type, pipeline, body, otherwise }
  }
}

function parsePipeline(text: string): Pipeline {
  const assigned = /^((?:\$\w*\s*,\s*)?\$\w*)\s*(:?=)\s*(.*)$/s.exec(text)
  const tokens = lex(assigned ? (assigned[3] ?? '') : text)
  const { commands, next } = parseCommands(tokens, 0)
  if (next < tokens.length) fail(`unexpected ${tokens[next] ?? ''} in command`)
  return { assign: assigned ? (assigned[1] ?? '').split(',').map((n) => n.trim()) : [], declare: assigned?.[2] === ':=', commands }
}

function lex(text: string): readonly string[] {
  const tokens: string[] = []
  const pattern = /\s+|"(?:[^"\\]|\\.)*"|`[^`]*`|'(?:[^'\\]|\\.)'|[|()]|\.?[\w$][\w$.-]*|\.[\w$][\w$.]*|\.|-?\d+(?:\.\d+)?/gy
  let at = 0
  while (at < text.length) {
    pattern.lastIndex = at
    const match = pattern.exec(text)
    if (!match) return fail(`unexpected ${JSON.stringify(text[at] ?? '')} in operand`)
    if (match[0].trim() !== '') tokens.push(match[0])
    at = pattern.lastIndex
  }
  return tokens
}

function parseCommands(tokens: readonly string[], from: number): { readonly commands: readonly (readonly Term[])[]; readonly next: number } {
  const commands: Term[][] = [[]]
  let i = from
  while (i < tokens.length) {
    const token = tokens[i] ?? ''
    if (token === ')') break
    i++
    if (token === '|') { commands.push([]); continue }
    if (token === '(') {
      const inner = parseCommands(tokens, i)
      if (tokens[inner.next] !== ')') fail('unclosed left paren')
      i = inner.next + 1
      const after = tokens[i]
      const path = after !== undefined && /^\.\w/.test(after) ? (i++, after.slice(1).split('.')) : []
      commands.at(-1)?.push({ type: 'group', pipeline: { assign: [], declare: false, commands: inner.commands }, path })
      continue
    }
    commands.at(-1)?.push(parseTerm(token))
  }
  if (commands.some((c) => c.length === 0)) fail('missing value for command')
  return { commands, next: i }
}

function parseTerm(token: string): Term {
  if (token.startsWith('"')) return { type: 'literal', value: JSON.parse(token.replace(/\\'/g, "'")) as string } // cast: a quoted text
  if (token.startsWith('`')) return { type: 'literal', value: token.slice(1, -1) }
  if (token === '.') return { type: 'field', path: [] }
  if (token.startsWith('.')) return { type: 'field', path: token.slice(1).split('.') }
  if (token.startsWith('$')) { const [name = '$', ...path] = token.split('.'); return { type: 'variable', name, path } }
  if (/^-?\d+(\.\d+)?$/.test(token)) return { type: 'literal', value: Number(token) }
  if (token === 'true' || token === 'false') return { type: 'literal', value: token === 'true' }
  if (token === 'nil') return { type: 'literal', value: null }
  return { type: 'function', name: token }
}

const missing = Symbol('no value')
type Value = JsonValue | typeof missing

class LoopControl extends Error {
  readonly kind: 'break' | 'continue'
  constructor(kind: 'break' | 'continue') { super(kind); this.kind = kind }
}

class Renderer {
  readonly #allowMissing: boolean
  #scopes: Map<string, Value>[]
  #dot: Value
  #out = ''

  constructor(root: JsonValue, allowMissing: boolean) {
    this.#dot = root
    this.#allowMissing = allowMissing
    this.#scopes = [new Map<string, Value>([['$', root]])]
  }

  run(nodes: readonly Node[]): string {
    this.#block(nodes)
    return this.#out
  }

  #block(nodes: readonly Node[]): void {
    for (const node of nodes) {
      switch (node.type) {
        case 'text': this.#out += node.text; break
        case 'break': case 'continue': throw new LoopControl(node.type)
        case 'action': {
          const value = this.#pipeline(node.pipeline)
          if (node.pipeline.assign.length === 0) this.#out += formatValue(value)
          break
        }
        case 'if': { const value = this.#pipeline(node.pipeline); this.#scoped(this.#dot, [], () => this.#block(isTrue(value) ? node.body : node.otherwise)); break }
        case 'with': { const value = this.#pipeline(node.pipeline); this.#scoped(isTrue(value) ? value : this.#dot, [], () => this.#block(isTrue(value) ? node.body : node.otherwise)); break }
        case 'range': this.#range(node)
      }
    }
  }

  #range(node: Extract<Node, { body: readonly Node[] }>): void {
    const value = this.#evaluate(node.pipeline)
    const entries: readonly (readonly [Value, Value])[] = Array.isArray(value) ? value.map((v, i) => [i, v as JsonValue] as const) // cast: items of JSON
      : typeof value !== 'symbol' && isJsonObject(value) ? Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, v]) => [k, v ?? null] as const)
        : typeof value === 'number' ? Array.from({ length: value }, (_, i) => [i, i] as const) : []
    if (entries.length === 0) { this.#block(node.otherwise); return }
    const names = node.pipeline.assign
    for (const [key, item] of entries) {
      const variables: (readonly [string, Value])[] = names.length === 2 ? [[names[0] ?? '', key], [names[1] ?? '', item]] : names.length === 1 ? [[names[0] ?? '', item]] : []
      try {
        this.#scoped(item, variables, () => this.#block(node.body))
      } catch (error) {
        if (!(error instanceof LoopControl)) throw error
        if (error.kind === 'break') break
      }
    }
  }

  #scoped(dot: Value, variables: readonly (readonly [string, Value])[], action: () => void): void {
    const outer = this.#dot
    const depth = this.#scopes.length
    this.#dot = dot
    this.#scopes.push(new Map(variables))
    try {
      action()
    } finally {
      this.#scopes.length = depth
      this.#dot = outer
    }
  }

  #pipeline(pipeline: Pipeline): Value {
    const value = this.#evaluate(pipeline)
    const [name] = pipeline.assign
    if (name !== undefined) {
      const scope = pipeline.declare ? this.#scopes.at(-1) : this.#scopes.findLast((s) => s.has(name))
      if (!scope) return fail(`undefined variable ${JSON.stringify(name)}`)
      scope.set(name, value)
    }
    return value
  }

  #evaluate(pipeline: Pipeline): Value {
    let value: Value | undefined
    for (const command of pipeline.commands) {
      const [head, ...rest] = command
      if (!head) continue
      const piped: readonly Value[] = value === undefined ? [] : [value]
      if (head.type === 'function') value = this.#call(head.name, [...rest.map((t) => this.#term(t)), ...piped])
      else value = this.#term(head)
    }
    return value ?? missing
  }

  #term(term: Term): Value {
    switch (term.type) {
      case 'literal': return term.value
      case 'field': return this.#walk(this.#dot, term.path)
      case 'group': return this.#walk(this.#evaluate(term.pipeline), term.path)
      case 'function': return this.#call(term.name, [])
      case 'variable': {
        const scope = this.#scopes.findLast((s) => s.has(term.name))
        if (!scope) return fail(`undefined variable ${JSON.stringify(term.name)}`)
        return this.#walk(scope.get(term.name) ?? missing, term.path)
      }
    }
  }

  #walk(from: Value, path: readonly string[]): Value {
    let value = from
    for (const name of path) {
      if (typeof value === 'symbol' || value === null) return missing
      if (!isJsonObject(value)) throw new KubectlError(`error executing template: can't evaluate field ${name} in type ${Array.isArray(value) ? '[]interface {}' : typeof value}`)
      const next: JsonValue | undefined = Object.hasOwn(value, name) ? value[name] : undefined
      if (next === undefined && !this.#allowMissing) throw new KubectlError(`error executing template: map has no entry for key ${JSON.stringify(name)}`)
      value = next === undefined ? missing : next
    }
    return value
  }

  #call(name: string, args: readonly Value[]): Value {
    const json = args.map((a) => (typeof a === 'symbol' ? null : a))
    const [first = null, second = null] = json
    switch (name) {
      case 'and': return args.find((a) => !isTrue(a)) ?? args.at(-1) ?? missing
      case 'or': return args.find(isTrue) ?? args.at(-1) ?? missing
      case 'not': return !isTrue(args[0] ?? missing)
      case 'len': return typeof first === 'string' ? Buffer.byteLength(first) : Array.isArray(first) ? first.length : isJsonObject(first) ? Object.keys(first).length : fail('len of something without a length')
      case 'index': return json.slice(1).reduce<Value>((value, key) => {
        if (Array.isArray(value)) { const item: unknown = value[Number(key)]; if (item === undefined) throw new KubectlError(`error executing template: error calling index: index out of range: ${String(key)}`); return item as JsonValue } // cast: an item of JSON
        return typeof value !== 'symbol' && isJsonObject(value) && Object.hasOwn(value, String(key)) ? (value[String(key)] ?? missing) : missing
      }, first)
      case 'slice': return typeof first === 'string' || Array.isArray(first) ? first.slice(Number(second ?? 0), json[2] === undefined ? undefined : Number(json[2])) as JsonValue : missing // cast: a part of JSON
      case 'print': return json.map((v) => formatValue(v)).join('')
      case 'println': return `${json.map((v) => formatValue(v)).join(' ')}\n`
      case 'printf': return formatPrintf(String(first ?? ''), json.slice(1))
      case 'html': return String(first ?? '').replace(/[&<>"']/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&#34;', "'": '&#39;' })[c] ?? c)
      case 'js': return JSON.stringify(String(first ?? '')).slice(1, -1)
      case 'urlquery': return encodeURIComponent(String(first ?? ''))
      case 'eq': return json.slice(1).some((v) => v === first)
      case 'ne': return first !== second
      case 'lt': case 'le': case 'gt': case 'ge': return compare(name, first, second)
      case 'base64decode': return Buffer.from(String(first ?? ''), 'base64').toString('utf8')
      case 'exists': { let value: Value = first; for (const key of json.slice(1)) value = typeof value !== 'symbol' && isJsonObject(value) ? (value[String(key)] ?? missing) : missing; return value !== missing }
      default: return fail(`function ${JSON.stringify(name)} not defined`)
    }
  }
}

function compare(operator: string, a: JsonValue, b: JsonValue): boolean {
  const [x, y] = typeof a === 'number' && typeof b === 'number' ? [a, b] : [String(a), String(b)]
  return operator === 'lt' ? x < y : operator === 'le' ? x <= y : operator === 'gt' ? x > y : x >= y
}

function isTrue(value: Value): boolean {
  if (typeof value === 'symbol' || value === null) return false
  if (typeof value === 'object') return Array.isArray(value) ? value.length > 0 : Object.keys(value).length > 0
  return Boolean(value)
}

function formatValue(value: Value): string {
  if (typeof value === 'symbol') return '<no value>'
  if (value === null) return '<no value>'
  if (Array.isArray(value)) return `[${value.map((v) => formatValue(v as JsonValue)).join(' ')}]` // cast: items of JSON
  if (typeof value === 'object') return `map[${Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, v]) => `${k}:${formatValue(v ?? null)}`).join(' ')}]`
  return String(value)
}

function formatPrintf(format: string, args: readonly JsonValue[]): string {
  let next = 0
  return format.replace(/%([-+# 0]*)(\d+)?(?:\.(\d+))?([vsdqtfxX%])/g, (_, flags: string, width: string | undefined, precision: string | undefined, verb: string) => {
    if (verb === '%') return '%'
    const value = args[next++] ?? null
    let text: string
    switch (verb) {
      case 'd': text = String(Math.trunc(Number(value))); break
      case 'f': text = Number(value).toFixed(precision === undefined ? 6 : Number(precision)); break
      case 'q': text = JSON.stringify(typeof value === 'string' ? value : formatValue(value)); break
      case 'x': text = typeof value === 'number' ? value.toString(16) : Buffer.from(String(value)).toString('hex'); break
      case 'X': text = typeof value === 'number' ? value.toString(16).toUpperCase() : Buffer.from(String(value)).toString('hex').toUpperCase(); break
      default: text = formatValue(value)
    }
    const size = Number(width ?? 0)
    return flags.includes('-') ? text.padEnd(size) : text.padStart(size, flags.includes('0') && verb !== 's' ? '0' : ' ')
  })
}

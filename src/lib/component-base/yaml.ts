// YAML as kubectl and the API server read it: sigs.k8s.io/yaml's scalar rules (YAML 1.1's booleans and octals, no base 60, timestamps stay
// text), duplicate keys refused, aliases and depth bounded so that a small file can't become a huge object.
import { NOT_RESOLVED, Schema, YAMLException, defineScalarTag, loadAll, mapTag, mergeTag, seqTag, strTag } from 'js-yaml'
import type { JsonValue } from '../base/json.ts'

/** The text is no YAML, or more than we accept. */
export class YamlError extends Error {
  override readonly name = 'YamlError'
}

const truths = new Set(['y', 'Y', 'yes', 'Yes', 'YES', 'true', 'True', 'TRUE', 'on', 'On', 'ON'])
const falsehoods = new Set(['n', 'N', 'no', 'No', 'NO', 'false', 'False', 'FALSE', 'off', 'Off', 'OFF'])
const nulls = new Set(['', '~', 'null', 'Null', 'NULL'])
const floatPattern = /^[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?$/

/** What a plain scalar means: undefined for plain text. */
export function resolvePlainScalar(text: string): { readonly value: null | boolean | number | bigint } | undefined {
  if (nulls.has(text)) return { value: null }
  if (truths.has(text)) return { value: true }
  if (falsehoods.has(text)) return { value: false }
  const first = text[0] ?? ''
  if (!/[-+.0-9]/.test(first)) return undefined
  const plain = text.replaceAll('_', '')
  const integer = parseInteger(plain)
  if (integer !== undefined) return { value: integer >= BigInt(Number.MIN_SAFE_INTEGER) && integer <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(integer) : integer }
  if (floatPattern.test(plain)) return { value: Number(plain) }
  return undefined
}

function parseInteger(text: string): bigint | undefined {
  const match = /^([-+]?)(?:0b([01]+)|0x([0-9a-fA-F]+)|0o?([0-7]+)|(\d+))$/.exec(text)
  if (!match) return undefined
  const [, sign, binary, hex, octal, decimal] = match
  const size = binary ? BigInt(`0b${binary}`) : hex ? BigInt(`0x${hex}`) : octal ? BigInt(`0o${octal}`) : BigInt(decimal ?? '0')
  return sign === '-' ? -size : size
}

const plainTag = defineScalarTag<null | boolean | number | bigint>('tag:yaml.org,2002:k8s-plain', {
  implicit: true,
  resolve: (text) => {
    const found = resolvePlainScalar(text)
    return found ? found.value : NOT_RESOLVED
  },
  identify: () => false,
})
const explicit = (name: string, wanted: (value: unknown) => boolean) => defineScalarTag<unknown>(`tag:yaml.org,2002:${name}`, {
  resolve: (text) => {
    const found = resolvePlainScalar(text)
    return found && wanted(found.value) ? found.value : NOT_RESOLVED
  },
  identify: () => false,
})
const schema = new Schema([strTag, seqTag, mapTag, mergeTag, plainTag, explicit('null', (v) => v === null), explicit('bool', (v) => typeof v === 'boolean'),
  explicit('int', (v) => typeof v === 'number' || typeof v === 'bigint'), explicit('float', (v) => typeof v === 'number'),
  defineScalarTag<string>('tag:yaml.org,2002:binary', { resolve: (text) => Buffer.from(text, 'base64').toString('latin1'), identify: () => false })])

const mostAliases = 100
const mostDepth = 500
/** Values that may come out of aliases: a few aliases of aliases are enough to fill any memory. */
const mostAliasedValues = 100_000

/** Every document of a YAML (or JSON) text; empty documents are left out. @throws YamlError */
export function parseYamlDocuments(text: string): readonly JsonValue[] {
  try {
    return loadAll(text, options).filter((d) => d !== null && d !== undefined).map((document) => toJson(document, newCopy(), 0))
  } catch (error) {
    if (error instanceof YAMLException) throw new YamlError(`error converting YAML to JSON: yaml: ${describe(error)}`, { cause: error })
    if (error instanceof YamlError) throw new YamlError(`error converting YAML to JSON: ${error.message}`)
    throw error
  }
}

const options = { schema, maxAliases: mostAliases, maxDepth: mostDepth }

/**
 * The first document, as servers read a body; null when there is none. The last of a duplicate key counts, and `duplicate` says where the first one was found:
 * `line 3: key "x" already set in map`. @throws YamlError
 */
export function parseYamlBody(text: string): { readonly value: JsonValue; readonly duplicate: string | undefined } {
  let duplicate: string | undefined
  const read = (json: boolean): JsonValue => toJson(loadAll(text, { ...options, json })[0] ?? null, newCopy(), 0)
  try {
    try { return { value: read(false), duplicate } } catch (error) {
      if (!(error instanceof YAMLException) || error.reason !== 'duplicated mapping key') throw error
      const line = error.mark?.line ?? 0
      const key = /^\s*(?:- )*["']?([^"':]*)/.exec((text.split('\n')[line] ?? '').slice(error.mark?.column ?? 0))?.[1] ?? ''
      duplicate = `line ${line + 1}: key ${JSON.stringify(key)} already set in map`
    }
    return { value: read(true), duplicate }
  } catch (error) {
    if (error instanceof YAMLException) throw new YamlError(`yaml: ${describe(error)}`, { cause: error })
    throw error
  }
}

function describe(error: YAMLException): string {
  const line = error.mark?.line
  return line === undefined ? error.reason : `line ${line + 1}: ${error.reason}`
}

/** What has been copied once is an alias when it comes again. */
interface Copy { readonly seen: Set<object>; aliasedValues: number }
const newCopy = (): Copy => ({ seen: new Set(), aliasedValues: 0 })

/** Keys become text, shared aliases become copies, of which there may only be so many. */
function toJson(value: unknown, copy: Copy, depth: number, inAlias = false): JsonValue {
  if (inAlias && ++copy.aliasedValues > mostAliasedValues) throw new YamlError('yaml: document contains excessive aliasing')
  if (depth > mostDepth) throw new YamlError('yaml: nested too deeply')
  if (typeof value !== 'object' || value === null) return value as JsonValue // cast: the schema makes only JSON's scalars
  const aliased = inAlias || copy.seen.has(value)
  copy.seen.add(value)
  if (Array.isArray(value)) return value.map((item) => toJson(item, copy, depth + 1, aliased))
  const out: Record<string, JsonValue> = {}
  for (const [key, item] of Object.entries(value)) Object.defineProperty(out, key, { value: toJson(item, copy, depth + 1, aliased), enumerable: true, writable: true, configurable: true })
  return out
}

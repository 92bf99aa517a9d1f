// Makes wrong objects out of a right one, for tests: every value in turn is left out, emptied, or replaced by one that is likely to break a rule, and the keys of maps too. The variants
// are of the right shape, as everything that comes out of the decoder is, and come in a fixed order.
import type { JsonObject, JsonValue } from '../../../lib/base/json.ts'
import { isJsonObject } from '../../../lib/base/json.ts'

export interface ObjectVariant {
  /** `spec.ports[0].port = -1` */
  readonly description: string
  readonly object: JsonObject
}

const texts: readonly string[] = ['', 'Bad_Value!', `a${'b'.repeat(300)}`, '../up', 'a/b/c', '-x', '10.0.0.300', 'two words', '/', '$(', 'A..b']
const numbers: readonly number[] = [-1, -2147483648, 0, 70000, 2147483648]
const keys: readonly string[] = ['', 'Bad Key!', `k${'e'.repeat(300)}`, '..']
/** The fields whose keys are the client's own. */
const mapFields = new Set(['labels', 'annotations', 'matchLabels', 'nodeSelector', 'selector', 'data', 'stringData', 'binaryData', 'hard', 'limits', 'requests', 'capacity', 'allocatable', 'parameters', 'overhead'])

function replacements(value: JsonValue): readonly JsonValue[] {
  if (typeof value === 'string') return texts
  if (typeof value === 'number') return numbers
  if (typeof value === 'boolean') return [!value]
  if (Array.isArray(value)) return value.length === 0 ? [] : [[], [...value, ...value.slice(0, 1)]]
  return isJsonObject(value) && Object.keys(value).length > 0 ? [{}] : []
}

/** `rebuild` puts a value in place of the one at `path`; undefined leaves it out. */
function* variantsOf(value: JsonValue, path: string, rebuild: (value: JsonValue | undefined) => JsonObject): Generator<ObjectVariant> {
  if (path !== '') yield { description: `${path} left out`, object: rebuild(undefined) }
  if (path !== '') for (const other of replacements(value)) yield { description: `${path} = ${JSON.stringify(other).slice(0, 60)}`, object: rebuild(other) }
  if (Array.isArray(value)) {
    // cast: Array.isArray loses the readonly element type
    const items = value as readonly JsonValue[]
    for (const [i, item] of items.entries()) {
      yield* variantsOf(item, `${path}[${i}]`, (next) => rebuild(next === undefined ? items.filter((_, j) => j !== i) : items.map((other, j) => j === i ? next : other)))
    }
  } else if (isJsonObject(value)) {
    for (const key of Object.keys(value)) {
      const member = value[key]
      if (member === undefined || (path === '' && (key === 'apiVersion' || key === 'kind'))) continue
      if (/[./-]/.test(key) || mapFields.has(path.slice(path.lastIndexOf('.') + 1))) {
        for (const other of keys) {
          const { [key]: _renamed, ...rest } = value
          yield { description: `${path}: ${JSON.stringify(key)} renamed to ${JSON.stringify(other).slice(0, 60)}`, object: rebuild({ ...rest, [other]: member }) }
        }
      }
      yield* variantsOf(member, path === '' ? key : `${path}.${key}`, (next) => {
        const { [key]: _replaced, ...rest } = value
        return rebuild(next === undefined ? rest : { ...value, [key]: next })
      })
    }
  }
}

export function objectVariants(object: JsonObject): Generator<ObjectVariant> {
  // cast: the root is only ever replaced by an object
  return variantsOf(object, '', (next) => next as JsonObject)
}

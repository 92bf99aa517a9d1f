// JSON in which integers that a double can't hold stay what they are: bigint among the values, plain digits in the text.
import type { JsonValue } from './json.ts'

const bigDigits = /[0-9]{16}/

/** @throws SyntaxError */
export function parseExactJson(text: string): JsonValue {
  // cast: JSON.parse gives JSON
  if (!bigDigits.test(text)) return JSON.parse(text) as JsonValue
  // cast: the third argument is in V8 since Node 21 and not yet in TypeScript's library
  return JSON.parse(text, ((_key: string, value: unknown, context: { readonly source?: string }) =>
    (typeof value === 'number' && !Number.isSafeInteger(value) && context.source !== undefined && /^-?\d+$/.test(context.source) ? BigInt(context.source) : value)) as (key: string, value: unknown) => unknown) as JsonValue
}

/** @param indent spaces per level; none: on one line */
export function stringifyExactJson(value: unknown, indent?: number): string {
  try {
    return JSON.stringify(value, null, indent)
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    return JSON.stringify(value, (_key, v: unknown) => (typeof v === 'bigint' ? rawJson(String(v)) : v), indent)
  }
}

// cast: JSON.rawJSON is in V8 since Node 22 and not yet in TypeScript's library
const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON

// JSON text to values, with integers that a double can't hold kept exactly, as bigint.
import type { JsonValue } from '../../../lib/base/json.ts'

const bigDigits = /[0-9]{16}/

/** @throws SyntaxError */
export function parseJson(text: string): JsonValue {
  // cast: JSON.parse gives JSON
  if (!bigDigits.test(text)) return JSON.parse(text) as JsonValue
  // cast: the third argument is in V8 since Node 21 and not yet in TypeScript's library
  return JSON.parse(text, ((_key: string, value: unknown, context: { readonly source?: string }) =>
    (typeof value === 'number' && !Number.isSafeInteger(value) && context.source !== undefined && /^-?\d+$/.test(context.source) ? BigInt(context.source) : value)) as (key: string, value: unknown) => unknown) as JsonValue
}

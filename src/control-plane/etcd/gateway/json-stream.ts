// Several JSON values one after the other, as a body of a stream has them.
import type { JsonValue } from '../../../lib/base/json.ts'
import { GrpcError } from '../../../lib/net/grpc/status.ts'

/** @throws GrpcError InvalidArgument, in Go's words */
export function parseJsonStream(text: string): readonly JsonValue[] {
  const values: JsonValue[] = []
  for (let at = 0; at < text.length;) {
    if (/\s/.test(text.charAt(at))) { at++; continue }
    const end = endOfValue(text, at)
    if (end < 0) throw new GrpcError('InvalidArgument', 'unexpected EOF')
    try {
      values.push(JSON.parse(text.slice(at, end)) as JsonValue) // cast: JSON.parse gives JSON
    } catch (error) {
      throw new GrpcError('InvalidArgument', `invalid character '${text.charAt(at)}' looking for beginning of value`, { cause: error })
    }
    at = end
  }
  // No body means an empty message.
  return values.length > 0 ? values : [{}]
}

/** Where the value that begins at `from` ends; -1 when it doesn't. */
function endOfValue(text: string, from: number): number {
  let depth = 0
  let inString = false
  for (let at = from; at < text.length; at++) {
    const c = text.charAt(at)
    if (inString) {
      if (c === '\\') at++
      else if (c === '"') inString = false
      continue
    }
    if (c === '"') inString = true
    else if (c === '{' || c === '[') depth++
    else if (c === '}' || c === ']') { if (--depth === 0) return at + 1 } else if (depth === 0 && /\s/.test(c)) return at
  }
  return depth === 0 && !inString ? text.length : -1
}

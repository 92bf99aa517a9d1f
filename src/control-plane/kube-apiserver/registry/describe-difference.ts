// Tells people what differs between two objects, for errors about fields that may not change: one line a value, removed ones with a minus, added ones with a plus.
// (The original prints Go structs here; nobody reads these lines by program.)
import { semanticEqual } from './semantic-equal.ts'

const mostLines = 50

export function describeDifference(old: unknown, now: unknown): string {
  const lines: string[] = []
  collect('', old, now, lines)
  if (lines.length > mostLines) lines.splice(mostLines, lines.length - mostLines, '  … and more')
  return lines.join('\n')
}

// cast: reads a member of a JSON object or list by its key
const member = (value: object, key: string): unknown => (value as { readonly [key: string]: unknown })[key]
const isContainer = (value: unknown): value is object => typeof value === 'object' && value !== null

function collect(path: string, old: unknown, now: unknown, lines: string[]): void {
  if (lines.length > mostLines || semanticEqual(old, now)) return
  if (isContainer(old) && isContainer(now) && Array.isArray(old) === Array.isArray(now)) {
    for (const key of new Set([...Object.keys(old), ...Object.keys(now)])) {
      collect(Array.isArray(old) ? `${path}[${key}]` : `${path}${path && '.'}${key}`, member(old, key), member(now, key), lines)
    }
    return
  }
  if (old !== undefined) lines.push(`- ${path}: ${JSON.stringify(old)}`)
  if (now !== undefined) lines.push(`+ ${path}: ${JSON.stringify(now)}`)
}

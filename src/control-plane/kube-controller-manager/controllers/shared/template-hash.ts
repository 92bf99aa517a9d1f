// Hashes of pod templates, for names and labels that tell generations apart. They need be stable, not equal to the original's: controllers find what
// they own by comparing templates. Upstream: kubernetes/pkg/controller/controller_utils.go (ComputeHash), apimachinery/pkg/util/rand (SafeEncodeString)
import { isJsonObject } from '../../../../lib/base/json.ts'

/** JSON with sorted keys and without empty values, so that values that mean the same print the same. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (!isJsonObject(value)) return JSON.stringify(value ?? null)
  const fields = Object.keys(value).sort().flatMap((key) => {
    const text = canonicalJson(value[key])
    return text === 'null' || text === '{}' || text === '[]' ? [] : [`${JSON.stringify(key)}:${text}`]
  })
  return `{${fields.join(',')}}`
}

/** FNV-1a, 32 bits, of the text's UTF-8. */
export function fnv32a(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}

const safeLetters = 'bcdfghjklmnpqrstvwxz2456789'

/** Spells a number with letters that make no words. */
export function safeEncode(number: number): string {
  return [...String(number)].map((digit) => safeLetters[digit.charCodeAt(0) % safeLetters.length]).join('')
}

/** The value of the label pod-template-hash (controller-revision-hash) for this template. */
export function templateHash(template: unknown, collisionCount: number | undefined): string {
  return safeEncode(fnv32a(`${canonicalJson(template)}${collisionCount === undefined ? '' : `#${collisionCount}`}`))
}

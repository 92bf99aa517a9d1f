// Chance as an argument: nothing under src/ calls Math.random or crypto.randomUUID; it takes a Random.

export interface Random {
  /** A number in [0, 1). */
  float(): number
  /** `length` random bytes. */
  bytes(length: number): Uint8Array
}

/** An integer in [0, bound). */
export function randomInteger(random: Random, bound: number): number { return Math.floor(random.float() * bound) }

/** A version 4 UUID in lower case. */
export function randomUuid(random: Random): string {
  const b = random.bytes(16)
  b[6] = (b[6]! & 0x0f) | 0x40 // cast: index 6 and 8 exist, the array has 16 bytes
  b[8] = (b[8]! & 0x3f) | 0x80 // cast: as above
  const hex = Array.from(b, (x) => x.toString(16).padStart(2, '0')).join('')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** The alphabet of generated names: no vowels and no look-alikes, so that no words appear. Upstream: apimachinery/pkg/util/rand */
const nameAlphabet = 'bcdfghjklmnpqrstvwxz2456789'

/** `length` characters that are safe in a name. */
export function randomName(random: Random, length: number): string {
  let out = ''
  for (let i = 0; i < length; i++) out += nameAlphabet[randomInteger(random, nameAlphabet.length)]
  return out
}

/** A generator that gives the same values for the same seed (mulberry32): for simulations and tests, never for secrets. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return (t ^ (t >>> 14)) >>> 0
  }
  return { float: () => next() / 2 ** 32, bytes: (length) => Uint8Array.from({ length }, () => next() & 0xff) }
}

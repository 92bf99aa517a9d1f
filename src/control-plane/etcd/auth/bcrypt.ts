// Password hashes as etcd stores them: bcrypt. Slow on purpose (about a tenth of a second), so the work pauses every few milliseconds.
// Upstream: golang.org/x/crypto/bcrypt
import { cyclicWords, encipher, expandKey, initialBlowfish } from './blowfish.ts'

const alphabet = './ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
const saltBytes = 16
const hashBytes = 23
/** Longest password, bytes: bcrypt takes no more into account. */
export const longestPasswordBytes = 72
export const smallestCost = 4
export const largestCost = 31
const roundsPerPiece = 32

/** Lets others run between two pieces of work. */
export type Pause = () => Promise<void>

/** The hash as text, `$2a$10$…`. @param cost the work doubles with every step */
export async function hashPassword(password: Uint8Array, salt: Uint8Array, cost: number, pause: Pause): Promise<string> {
  const hash = await bcrypt(password, salt.subarray(0, saltBytes), cost, pause)
  return `$2a$${String(cost).padStart(2, '0')}$${encode(salt.subarray(0, saltBytes))}${encode(hash)}`
}

/** Whether `stored` is the hash of `password`. False, too, for what is no hash. */
export async function verifyPassword(password: Uint8Array, stored: string, pause: Pause): Promise<boolean> {
  const match = /^\$2[abxy]?\$(\d\d)\$([./A-Za-z0-9]{22})([./A-Za-z0-9]{31})$/.exec(stored)
  const cost = Number(match?.[1])
  if (!match || cost < smallestCost || cost > largestCost) return false
  const wanted = decode(match[3]!) // cast: the pattern has three groups
  const got = await bcrypt(password, decode(match[2]!), cost, pause) // cast: as above
  // Compared as a whole, so that the time says nothing.
  let difference = wanted.length ^ got.length
  for (let i = 0; i < got.length; i++) difference |= got[i]! ^ (wanted[i] ?? 0) // cast: bounded by the loop
  return difference === 0
}

async function bcrypt(password: Uint8Array, salt: Uint8Array, cost: number, pause: Pause): Promise<Uint8Array> {
  const key = new Uint8Array(Math.min(password.length, longestPasswordBytes) + 1)
  key.set(password.subarray(0, longestPasswordBytes))
  // A key longer than 18 words never counts beyond them.
  const keyWords = cyclicWords(key, 18)
  const saltWords = cyclicWords(salt, 4)
  const saltKey = cyclicWords(salt, 18)
  const state = initialBlowfish()
  expandKey(state, keyWords, saltWords)
  const rounds = 2 ** cost
  for (let round = 0; round < rounds; round++) {
    if (round % roundsPerPiece === roundsPerPiece - 1) await pause()
    expandKey(state, keyWords)
    expandKey(state, saltKey)
  }
  const block = cyclicWords(new TextEncoder().encode('OrpheanBeholderScryDoubt'), 6)
  for (let at = 0; at < block.length; at += 2) for (let i = 0; i < 64; i++) encipher(state, block, at)
  const bytes = new Uint8Array(24)
  const view = new DataView(bytes.buffer)
  block.forEach((word, i) => view.setInt32(i * 4, word))
  return bytes.subarray(0, hashBytes)
}

function encode(bytes: Uint8Array): string {
  let out = ''
  for (let bit = 0; bit < bytes.length * 8; bit += 6) {
    const at = bit >> 3
    const pair = (bytes[at]! << 8) | (bytes[at + 1] ?? 0) // cast: below the length
    out += alphabet.charAt((pair >> (10 - (bit & 7))) & 63)
  }
  return out
}

function decode(text: string): Uint8Array {
  const bytes = new Uint8Array((text.length * 6) >> 3)
  for (let i = 0; i < text.length; i++) {
    const value = alphabet.indexOf(text.charAt(i))
    const bit = i * 6
    const pair = value << (10 - (bit & 7))
    const at = bit >> 3
    if (at < bytes.length) bytes[at]! |= pair >> 8 // cast: checked in the same line
    if (at + 1 < bytes.length) bytes[at + 1]! |= pair & 255 // cast: as above
  }
  return bytes
}

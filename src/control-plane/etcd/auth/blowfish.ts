// The Blowfish cipher's key schedule as bcrypt uses it. Its tables are the hexadecimal digits of π behind the point, so they are computed
// when they are first needed (some 15 ms) instead of being listed here. Upstream: golang.org/x/crypto/blowfish
const boxWords = 1024
const roundKeyWords = 18

/** Round keys and substitution boxes; both change with every key that is mixed in. */
export interface BlowfishState {
  readonly roundKeys: Int32Array
  readonly boxes: Int32Array
}

let digits: Int32Array | undefined

export function initialBlowfish(): BlowfishState {
  digits ??= digitsOfPi(roundKeyWords + boxWords)
  return { roundKeys: digits.slice(0, roundKeyWords), boxes: digits.slice(roundKeyWords) }
}

/** The first `words` times 32 bits of π's fraction, by Machin's formula. */
function digitsOfPi(words: number): Int32Array {
  const guardBits = 64n
  const bits = BigInt(words * 32) + guardBits
  const one = 1n << bits
  const arctanOfInverse = (x: bigint): bigint => {
    let power = one / x
    let sum = power
    for (let n = 3n, sign = -1n; power > 0n; n += 2n, sign = -sign) {
      power /= x * x
      sum += (sign * power) / n
    }
    return sum
  }
  const fraction = (16n * arctanOfInverse(5n) - 4n * arctanOfInverse(239n)) & (one - 1n)
  const hex = (fraction >> guardBits).toString(16).padStart(words * 8, '0')
  return Int32Array.from({ length: words }, (_, i) => Number.parseInt(hex.slice(i * 8, i * 8 + 8), 16) | 0)
}

/** Enciphers the two words at `at` in place. */
export function encipher({ roundKeys, boxes }: BlowfishState, block: Int32Array, at: number): void {
  let left = block[at]! ^ roundKeys[0]! // cast: callers pass an index inside; round keys have 18 words
  let right = block[at + 1]! // cast: as above
  for (let round = 1; round <= 16; round += 2) {
    right ^= (((boxes[left >>> 24]! + boxes[256 + ((left >>> 16) & 255)]!) ^ boxes[512 + ((left >>> 8) & 255)]!) + boxes[768 + (left & 255)]!) ^ roundKeys[round]! // cast: 1024 box words, 18 round keys
    left ^= (((boxes[right >>> 24]! + boxes[256 + ((right >>> 16) & 255)]!) ^ boxes[512 + ((right >>> 8) & 255)]!) + boxes[768 + (right & 255)]!) ^ roundKeys[round + 1]! // cast: as above
  }
  block[at] = right ^ roundKeys[17]! // cast: as above
  block[at + 1] = left
}

/** Mixes `key` in, and `salt` too when there is one; both repeat as often as needed. */
export function expandKey(state: BlowfishState, key: Int32Array, salt?: Int32Array): void {
  const { roundKeys, boxes } = state
  for (let i = 0; i < roundKeyWords; i++) roundKeys[i]! ^= key[i % key.length]! // cast: bounded by the loop; keys are not empty
  const block = new Int32Array(2)
  let saltAt = 0
  const fill = (target: Int32Array): void => {
    for (let i = 0; i < target.length; i += 2) {
      if (salt) {
        block[0]! ^= salt[saltAt]! // cast: a salt has four words
        block[1]! ^= salt[saltAt + 1]! // cast: as above
        saltAt = (saltAt + 2) % salt.length
      }
      encipher(state, block, 0)
      target[i] = block[0]! // cast: a block has two words
      target[i + 1] = block[1]! // cast: as above
    }
  }
  fill(roundKeys)
  fill(boxes)
}

/** `words` big-endian words of `bytes`, repeated. */
export function cyclicWords(bytes: Uint8Array, words: number): Int32Array {
  return Int32Array.from({ length: words }, (_, i) => {
    let word = 0
    for (let j = 0; j < 4; j++) word = (word << 8) | bytes[(i * 4 + j) % bytes.length]! // cast: the remainder is below the length
    return word
  })
}

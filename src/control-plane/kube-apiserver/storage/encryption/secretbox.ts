// The secretbox provider: NaCl's XSalsa20 with Poly1305. 24 bytes of nonce, 16 bytes of tag, then the ciphertext. OpenSSL has neither, so both are here.
// Source: D. J. Bernstein, "Extending the Salsa20 nonce"; cr.yp.to/mac/poly1305-20050329.pdf
// Upstream: apiserver/pkg/storage/value/encrypt/secretbox
import { timingSafeEqual } from 'node:crypto'
import type { Random } from '../../../../lib/base/random.ts'
import { TransformError, type ValueTransformer } from './value-transformer.ts'

const nonceBytes = 24
const tagBytes = 16

/** @param key 32 bytes */
export function secretbox(key: Uint8Array, random: Random): ValueTransformer {
  return {
    toStorage(data) {
      const nonce = random.bytes(nonceBytes)
      return Buffer.concat([nonce, sealSecretbox(data, nonce, key)])
    },
    fromStorage(data) {
      if (data.length < nonceBytes) throw new TransformError('the stored data was shorter than the required size')
      const opened = openSecretbox(data.subarray(nonceBytes), data.subarray(0, nonceBytes), key)
      if (!opened) throw new TransformError('output array was not large enough for encryption')
      return { data: opened, stale: false }
    },
  }
}

/** Tag and ciphertext. */
export function sealSecretbox(message: Uint8Array, nonce: Uint8Array, key: Uint8Array): Uint8Array {
  const { macKey, stream } = keystream(nonce, key, message.length)
  const sealed = new Uint8Array(tagBytes + message.length)
  for (let i = 0; i < message.length; i++) sealed[tagBytes + i] = message[i]! ^ stream[i]! // cast: the stream is as long as the message
  sealed.set(poly1305(sealed.subarray(tagBytes), macKey))
  return sealed
}

/** undefined: it was sealed with another key, or changed since. */
export function openSecretbox(sealed: Uint8Array, nonce: Uint8Array, key: Uint8Array): Uint8Array | undefined {
  if (sealed.length < tagBytes) return undefined
  const ciphertext = sealed.subarray(tagBytes)
  const { macKey, stream } = keystream(nonce, key, ciphertext.length)
  if (!timingSafeEqual(poly1305(ciphertext, macKey), sealed.subarray(0, tagBytes))) return undefined
  const message = new Uint8Array(ciphertext.length)
  for (let i = 0; i < message.length; i++) message[i] = ciphertext[i]! ^ stream[i]! // cast: the stream is as long as the message
  return message
}

/** `expand 32-byte k` */
const sigma = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574] as const

const wordsOf = (bytes: Uint8Array): number[] => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  return Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(i * 4, true))
}

/** Salsa20's matrix: constants on the diagonal, the key in two halves, four words of input between them. */
function matrix(key: readonly number[], input: readonly number[]): Int32Array {
  return Int32Array.from([sigma[0], ...key.slice(0, 4), sigma[1], ...input, sigma[2], ...key.slice(4), sigma[3]])
}

/** Twenty rounds, in place. */
function mix(x: Int32Array): void {
  const quarter = (a: number, b: number, c: number, d: number): void => {
    x[b] = x[b]! ^ rotate(x[a]! + x[d]!, 7) // cast: the matrix has 16 words
    x[c] = x[c]! ^ rotate(x[b]! + x[a]!, 9) // cast: as above
    x[d] = x[d]! ^ rotate(x[c]! + x[b]!, 13) // cast: as above
    x[a] = x[a]! ^ rotate(x[d]! + x[c]!, 18) // cast: as above
  }
  for (let round = 0; round < 20; round += 2) {
    quarter(0, 4, 8, 12); quarter(5, 9, 13, 1); quarter(10, 14, 2, 6); quarter(15, 3, 7, 11)
    quarter(0, 1, 2, 3); quarter(5, 6, 7, 4); quarter(10, 11, 8, 9); quarter(15, 12, 13, 14)
  }
}

const rotate = (value: number, bits: number): number => (value << bits) | (value >>> (32 - bits))

/** The first 32 bytes of the stream are the authenticator's key, what follows is the message's. */
function keystream(nonce: Uint8Array, key: Uint8Array, length: number): { readonly macKey: Uint8Array; readonly stream: Uint8Array } {
  const nonceWords = wordsOf(nonce)
  // HSalsa20: a key of its own for the first sixteen bytes of the nonce.
  const derived = matrix(wordsOf(key), nonceWords.slice(0, 4))
  mix(derived)
  const subkey = [0, 5, 10, 15, 6, 7, 8, 9].map((i) => derived[i]!) // cast: the matrix has 16 words
  const start = matrix(subkey, [...nonceWords.slice(4), 0, 0])
  const blocks = Math.ceil((length + 32) / 64)
  const bytes = new Uint8Array(blocks * 64)
  const out = new DataView(bytes.buffer)
  const x = new Int32Array(16)
  for (let block = 0; block < blocks; block++) {
    // Values are far too small for the counter's upper half.
    start[8] = block
    x.set(start)
    mix(x)
    for (let i = 0; i < 16; i++) out.setInt32(block * 64 + i * 4, x[i]! + start[i]!, true) // cast: the matrix has 16 words
  }
  return { macKey: bytes.subarray(0, 32), stream: bytes.subarray(32, 32 + length) }
}

const limbs = 6
const limbSize = 2 ** 22
const limbMask = limbSize - 1

/** 128 bits in six limbs of 22: products of two, six of them added, stay below 2^53. */
function limbsOf(view: DataView, at: number): number[] {
  const [a, b, c, d] = [view.getUint32(at, true), view.getUint32(at + 4, true), view.getUint32(at + 8, true), view.getUint32(at + 12, true)]
  return [a & limbMask, ((a >>> 22) | (b << 10)) & limbMask, ((b >>> 12) | (c << 20)) & limbMask, (c >>> 2) & limbMask, ((c >>> 24) | (d << 8)) & limbMask, d >>> 14]
}

/** The tag of a message under a key that is used once. */
export function poly1305(message: Uint8Array, key: Uint8Array): Uint8Array {
  const clamped = Uint8Array.from(key.subarray(0, 16))
  for (const i of [3, 7, 11, 15]) clamped[i]! &= 15 // cast: sixteen bytes
  for (const i of [4, 8, 12]) clamped[i]! &= 252 // cast: sixteen bytes
  const r = limbsOf(new DataView(clamped.buffer), 0)
  const h = new Float64Array(limbs)
  const products = new Float64Array(limbs)
  const last = new Uint8Array(16)
  const messageView = new DataView(message.buffer, message.byteOffset, message.length)
  for (let at = 0; at < message.length; at += 16) {
    const whole = message.length - at >= 16
    let block
    if (whole) {
      block = limbsOf(messageView, at)
      block[5]! += 2 ** 18 // cast: six limbs
    } else {
      last.fill(0)
      last.set(message.subarray(at))
      last[message.length - at] = 1
      block = limbsOf(new DataView(last.buffer), 0)
    }
    for (let i = 0; i < limbs; i++) h[i]! += block[i]! // cast: six limbs
    for (let k = 0; k < limbs; k++) {
      let sum = 0
      // 2^132 is 20, modulo 2^130 - 5.
      for (let i = 0; i < limbs; i++) sum += i <= k ? h[i]! * r[k - i]! : h[i]! * r[k + limbs - i]! * 20 // cast: six limbs
      products[k] = sum
    }
    let carry = 0
    for (let k = 0; k < limbs; k++) {
      const value = products[k]! + carry // cast: six limbs
      carry = Math.floor(value / limbSize)
      h[k] = value - carry * limbSize
    }
    const low = h[0]! + carry * 20 // cast: six limbs
    carry = Math.floor(low / limbSize)
    h[0] = low - carry * limbSize
    h[1]! += carry // cast: six limbs
  }
  const prime = 2n ** 130n - 5n
  let sum = 0n
  for (let i = limbs - 1; i >= 0; i--) sum = sum * BigInt(limbSize) + BigInt(h[i]!) // cast: six limbs
  const pad = wordsOf(key.subarray(16, 32)).reduceRight((all, word) => (all << 32n) + BigInt(word), 0n)
  const tag = BigInt.asUintN(128, (sum % prime) + pad)
  const bytes = new DataView(new ArrayBuffer(16))
  bytes.setBigUint64(0, BigInt.asUintN(64, tag), true)
  bytes.setBigUint64(8, tag >> 64n, true)
  return new Uint8Array(bytes.buffer)
}

// The AES providers. CBC: 16 bytes of initialization vector, then the padded ciphertext. GCM: 12 bytes of nonce, the ciphertext, 16 bytes of tag,
// bound to the value's key in etcd, so that a value can't be moved to another. The extended form of KMS v2 takes a new key for every value,
// derived from a seed by 32 bytes that stand before it. Upstream: apiserver/pkg/storage/value/encrypt/aes
import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto'
import type { Random } from '../../../../lib/base/random.ts'
import { TransformError, type ValueTransformer } from './value-transformer.ts'

const blockBytes = 16
const nonceBytes = 12
const tagBytes = 16
export const seedBytes = 32
const infoBytes = 32

/** @param key 16, 24 or 32 bytes */
export function aesCbc(key: Uint8Array, random: Random): ValueTransformer {
  const algorithm = `aes-${key.length * 8}-cbc`
  return {
    toStorage(data) {
      const iv = random.bytes(blockBytes)
      const cipher = createCipheriv(algorithm, key, iv)
      return Buffer.concat([iv, cipher.update(data), cipher.final()])
    },
    fromStorage(data) {
      if (data.length < blockBytes) throw new TransformError('the stored data was shorter than the required size')
      if (data.length % blockBytes !== 0) throw new TransformError('the stored data is not a multiple of the block size')
      const decipher = createDecipheriv(algorithm, key, data.subarray(0, blockBytes))
      try {
        return { data: Buffer.concat([decipher.update(data.subarray(blockBytes)), decipher.final()]), stale: false }
      } catch (error) {
        throw new TransformError('invalid padding on input', { cause: error })
      }
    },
  }
}

/** @param key 16, 24 or 32 bytes */
export function aesGcm(key: Uint8Array, random: Random): ValueTransformer {
  return {
    toStorage: (data, etcdKey) => seal(key, random.bytes(nonceBytes), data, etcdKey),
    fromStorage: (data, etcdKey) => ({ data: open(key, data, etcdKey), stale: false }),
  }
}

function seal(key: Uint8Array, nonce: Uint8Array, data: Uint8Array, etcdKey: Uint8Array): Uint8Array {
  const cipher = createCipheriv(gcmName(key), key, nonce).setAAD(etcdKey)
  return Buffer.concat([nonce, cipher.update(data), cipher.final(), cipher.getAuthTag()])
}

function open(key: Uint8Array, data: Uint8Array, etcdKey: Uint8Array): Uint8Array {
  if (data.length < nonceBytes + tagBytes) throw new TransformError('the stored data was shorter than the required size')
  const end = data.length - tagBytes
  const decipher = createDecipheriv(gcmName(key), key, data.subarray(0, nonceBytes), { authTagLength: tagBytes }).setAAD(etcdKey).setAuthTag(data.subarray(end))
  try {
    return Buffer.concat([decipher.update(data.subarray(nonceBytes, end)), decipher.final()])
  } catch (error) {
    throw new TransformError('cipher: message authentication failed', { cause: error })
  }
}

function gcmName(key: Uint8Array): 'aes-128-gcm' | 'aes-192-gcm' | 'aes-256-gcm' { return key.length === 16 ? 'aes-128-gcm' : key.length === 24 ? 'aes-192-gcm' : 'aes-256-gcm' }

/** @param seed 32 bytes or more */
export function extendedNonceGcm(seed: Uint8Array, random: Random): ValueTransformer {
  if (seed.length < seedBytes) throw new TransformError(`invalid seed length ${seed.length} used for key generation`)
  // HKDF's second half with SHA-256, whose first block is all that a key takes.
  const derivedKey = (info: Uint8Array): Uint8Array => createHmac('sha256', seed).update(info).update(Uint8Array.of(1)).digest()
  return {
    toStorage(data, etcdKey) {
      const info = random.bytes(infoBytes)
      return Buffer.concat([info, seal(derivedKey(info), random.bytes(nonceBytes), data, etcdKey)])
    },
    fromStorage(data, etcdKey) {
      if (data.length < infoBytes) throw new TransformError('the stored data was shorter than the required size')
      return { data: open(derivedKey(data.subarray(0, infoBytes)), data.subarray(infoBytes), etcdKey), stale: false }
    },
  }
}

// What stands between an object's encoded bytes and etcd: encryption at rest. A value begins with the name of what encrypted it, so that several
// may be read while one writes: `k8s:enc:aescbc:v1:key1:` and then the ciphertext.
// Upstream: apiserver/pkg/storage/value/transformer.go, apiserver/pkg/storage/value/encrypt/identity

/** The value can't be encrypted or decrypted with what is configured. */
export class TransformError extends Error {
  override readonly name = 'TransformError'
}

export interface Decrypted {
  readonly data: Uint8Array
  /** A write today would encrypt it in another way: worth writing again. */
  readonly stale: boolean
}

export interface ValueTransformer {
  /** `key` is the value's place in etcd. @throws TransformError */
  toStorage(data: Uint8Array, key: Uint8Array): Uint8Array
  /** @throws TransformError */
  fromStorage(data: Uint8Array, key: Uint8Array): Decrypted
  /** What has to be waited for before `fromStorage` can work: a key that somebody else must open. undefined: nothing. Never rejects. */
  prepare?(data: Uint8Array): Promise<void> | undefined
}

export interface PrefixedTransformer {
  /** Empty: takes what nobody has encrypted. */
  readonly prefix: string
  readonly transformer: ValueTransformer
}

const encryptedPrefix = 'k8s:enc:'

export function startsWith(data: Uint8Array, prefix: string): boolean {
  if (data.length < prefix.length) return false
  for (let i = 0; i < prefix.length; i++) if (data[i] !== prefix.charCodeAt(i)) return false
  return true
}

/** Stores what it is given, and reads nothing that is encrypted. */
export const identity: ValueTransformer = {
  toStorage: (data) => data,
  fromStorage(data) {
    if (startsWith(data, encryptedPrefix)) throw new TransformError('identity transformer tried to read encrypted data')
    return { data, stale: false }
  },
}

/** The first one writes; whoever's prefix a value has reads it, and several may have the same one. */
export function prefixed(transformers: readonly PrefixedTransformer[], noMatch: string): ValueTransformer {
  const [first] = transformers
  if (!first) throw new TransformError('no transformers')
  // Keys' names may be in any script: a prefix is compared and written as UTF-8.
  const byteNames = transformers.map(({ prefix }) => Buffer.from(prefix))
  const head = byteNames[0] ?? Buffer.alloc(0)
  const has = (data: Uint8Array, name: Buffer): boolean => data.length >= name.length && Buffer.compare(data.subarray(0, name.length), name) === 0
  return {
    toStorage(data, key) {
      const value = first.transformer.toStorage(data, key)
      return head.length === 0 ? value : Buffer.concat([head, value])
    },
    fromStorage(data, key) {
      const errors: TransformError[] = []
      for (const [i, { transformer }] of transformers.entries()) {
        const name = byteNames[i]! // cast: as many names as transformers
        if (!has(data, name)) continue
        try {
          const read = transformer.fromStorage(data.subarray(name.length), key)
          return i === 0 ? read : { data: read.data, stale: true }
        } catch (error) {
          if (!(error instanceof TransformError)) throw error
          // identity refuses what is encrypted: another one may follow that knows it.
          if (name.length > 0) errors.push(error)
        }
      }
      if (errors.length === 0) throw new TransformError(noMatch)
      throw errors.length === 1 ? errors[0] : new TransformError(`[${errors.map(({ message }) => message).join(', ')}]`, { cause: errors[0] })
    },
    prepare(data) {
      const waits = transformers.flatMap(({ transformer }, i) => {
        const name = byteNames[i]! // cast: as many names as transformers
        const wait = has(data, name) ? transformer.prepare?.(data.subarray(name.length)) : undefined
        return wait ? [wait] : []
      })
      return waits.length === 0 ? undefined : Promise.all(waits).then(() => undefined)
    },
  }
}

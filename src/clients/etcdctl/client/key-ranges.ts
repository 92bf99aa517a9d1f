// Ranges of keys as etcd writes them: a prefix as the range up to the next key that hasn't it, one zero byte for no end.

/** Everything from the key on. */
export const fromKey = Uint8Array.of(0)

/** The end of the range of all keys with this prefix; `fromKey` when there is none greater. */
export function prefixEnd(prefix: Uint8Array): Uint8Array {
  const end = Uint8Array.from(prefix)
  for (let i = end.length - 1; i >= 0; i--) {
    const byte = end[i] ?? 0
    if (byte < 0xff) {
      end[i] = byte + 1
      return end.subarray(0, i + 1)
    }
  }
  return fromKey
}

/** What a command's key and flags select. An empty key with a prefix or from-key is everything. */
export function selectRange(key: Uint8Array, how: { readonly prefix: boolean; readonly fromKey: boolean }): { readonly key: Uint8Array; readonly rangeEnd?: Uint8Array } {
  if (!how.prefix && !how.fromKey) return { key }
  if (key.length === 0) return { key: fromKey, rangeEnd: fromKey }
  return { key, rangeEnd: how.prefix ? prefixEnd(key) : fromKey }
}

// A revision as etcd's key bucket has it: main and sub as eight big-endian bytes each, an underscore between, `t` behind a tombstone.

/** The most that one takes. */
export const revisionBytes = 18

/** Writes one at `start`; returns where it ends. */
export function writeRevision(bytes: Uint8Array, start: number, revision: number, sub: number, isTombstone: boolean): number {
  writeWord(bytes, start, revision)
  bytes[start + 8] = 0x5f
  writeWord(bytes, start + 9, sub)
  if (!isTombstone) return start + 17
  bytes[start + 17] = 0x74
  return start + 18
}

function writeWord(bytes: Uint8Array, at: number, value: number): void {
  const high = Math.floor(value / 2 ** 32)
  bytes[at] = high >>> 24
  bytes[at + 1] = high >>> 16
  bytes[at + 2] = high >>> 8
  bytes[at + 3] = high
  bytes[at + 4] = value / 2 ** 24
  bytes[at + 5] = value / 2 ** 16
  bytes[at + 6] = value / 2 ** 8
  bytes[at + 7] = value
}

// CRC-32C (Castagnoli): the checksum of etcd's log records, snapshots and key hashes. Eight tables, eight bytes a step.

const tables: readonly Int32Array[] = makeTables()

function makeTables(): Int32Array[] {
  const first = new Int32Array(256)
  for (let n = 0; n < 256; n++) {
    let c = n
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1
    first[n] = c
  }
  const all = [first]
  for (let t = 1; t < 8; t++) {
    const previous = all[t - 1]! // cast: made in the step before
    all.push(previous.map((c) => (c >>> 8) ^ first[c & 0xff]!)) // cast: 256 entries
  }
  return all
}

const [t0, t1, t2, t3, t4, t5, t6, t7] = tables as [Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array] // cast: makeTables gives eight

/** Continues checksum `crc` (0 to begin) over `bytes[start, end)`. Returns an unsigned 32-bit number. */
export function crc32c(crc: number, bytes: Uint8Array, start = 0, end = bytes.length): number {
  let c = ~crc
  let i = start
  // The index reads below are all inside [start, end).
  for (const stop = end - 7; i < stop; i += 8) {
    c ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24) // cast: in range
    c = t7[c & 0xff]! ^ t6[(c >>> 8) & 0xff]! ^ t5[(c >>> 16) & 0xff]! ^ t4[c >>> 24]! // cast: tables hold 256
      ^ t3[bytes[i + 4]!]! ^ t2[bytes[i + 5]!]! ^ t1[bytes[i + 6]!]! ^ t0[bytes[i + 7]!]! // cast: in range
  }
  for (; i < end; i++) c = (c >>> 8) ^ t0[(c ^ bytes[i]!) & 0xff]! // cast: in range
  return ~c >>> 0
}

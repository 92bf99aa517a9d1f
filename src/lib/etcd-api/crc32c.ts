// CRC-32C (Castagnoli): the checksum of etcd's log records, snapshots and key hashes. Sixteen tables, sixteen bytes a step.
//
// Every byte that is written goes through here, so the loop is WebAssembly, whose 64-bit loads make it two to three times as fast as the same
// in JavaScript. The module is a few instructions, assembled below; where WebAssembly is not to be had the JavaScript loop does the same.

const tableCount = 16
const tableBytes = 1024
/** Where the bytes go that are summed: behind the tables, a piece at a time. */
const inputAt = tableCount * tableBytes
const pieceBytes = 64 * 1024 - inputAt
/** Below this, copying costs more than it gains. */
const shortBytes = 64

const tables: readonly Int32Array[] = makeTables()

function makeTables(): Int32Array[] {
  const first = new Int32Array(256)
  for (let n = 0; n < 256; n++) {
    let c = n
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1
    first[n] = c
  }
  const all = [first]
  for (let t = 1; t < tableCount; t++) {
    const previous = all[t - 1]! // cast: made in the step before
    all.push(previous.map((c) => (c >>> 8) ^ first[c & 0xff]!)) // cast: 256 entries
  }
  return all
}

const [t0, t1, t2, t3, t4, t5, t6, t7] = tables as [Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array] // cast: makeTables gives more than eight

/** Continues checksum `crc` (0 to begin) over `bytes[start, end)`. Returns an unsigned 32-bit number. */
export function crc32c(crc: number, bytes: Uint8Array, start = 0, end = bytes.length): number {
  if (loop === undefined || end - start < shortBytes) return ~plainLoop(~crc, bytes, start, end) >>> 0
  const { memory, sum } = loop
  let c = ~crc
  for (let at = start; at < end; at += pieceBytes) {
    const length = Math.min(end - at, pieceBytes)
    memory.set(length === bytes.length ? bytes : bytes.subarray(at, at + length), inputAt)
    c = sum(c, inputAt, inputAt + length)
  }
  return ~c >>> 0
}

/** The same in JavaScript. @param c the checksum's complement; so is the result */
export function plainLoop(c: number, bytes: Uint8Array, start: number, end: number): number {
  let i = start
  // The index reads below are all inside [start, end).
  for (const stop = end - 7; i < stop; i += 8) {
    c ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24) // cast: in range
    c = t7[c & 0xff]! ^ t6[(c >>> 8) & 0xff]! ^ t5[(c >>> 16) & 0xff]! ^ t4[c >>> 24]! // cast: tables hold 256
      ^ t3[bytes[i + 4]!]! ^ t2[bytes[i + 5]!]! ^ t1[bytes[i + 6]!]! ^ t0[bytes[i + 7]!]! // cast: in range
  }
  for (; i < end; i++) c = (c >>> 8) ^ t0[(c ^ bytes[i]!) & 0xff]! // cast: in range
  return c
}

// ---- the WebAssembly ----

interface Loop {
  readonly memory: Uint8Array
  /** Continues `c` over the memory's bytes [at, end). */
  readonly sum: (c: number, at: number, end: number) => number
}

/** What of WebAssembly is used. */
interface WebAssemblyLike {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: { readonly m: { readonly buffer: ArrayBuffer }; readonly f: Loop['sum'] } }
}

const loop = openLoop()

function openLoop(): Loop | undefined {
  const { WebAssembly: wasm } = globalThis as { readonly WebAssembly?: WebAssemblyLike } // cast: there may be none
  if (!wasm) return undefined
  try {
    const { m, f } = new wasm.Instance(new wasm.Module(assemble())).exports
    const words = new Int32Array(m.buffer)
    tables.forEach((table, k) => words.set(table, (k * tableBytes) / 4))
    return { memory: new Uint8Array(m.buffer), sum: f }
  } catch {
    return undefined
  }
}

/** One function (c, at, end) → c and one page of memory. Locals 3 and 4 are the two 64-bit words of a step. */
function assemble(): Uint8Array {
  const [c, at, end, low, high] = [0, 1, 2, 3, 4]
  const get = (local: number): number[] => [0x20, local]
  const set = (local: number): number[] => [0x21, local]
  const constant = (value: number): number[] => [0x41, ...signed(value)]
  const [i32Add, i32Xor, i32And, i32Shl, i32ShrU, i64Xor, i64ShrU, wrap, extend] = [0x6a, 0x73, 0x71, 0x74, 0x76, 0x85, 0x88, 0xa7, 0xad]
  /** The entry of table `k` for the byte of `word` that begins at bit `shift`. */
  const look = (word: number, shift: number, k: number): number[] =>
    [...get(word), ...(shift > 0 ? [0x42, ...signed(shift), i64ShrU] : []), wrap, ...constant(255), i32And, ...constant(2), i32Shl, 0x28, 2, ...unsigned(k * tableBytes)]
  const eight = [0, 1, 2, 3, 4, 5, 6, 7]
  const step = [
    ...get(at), 0x29, 0, 0, ...get(c), extend, i64Xor, ...set(low), // low = load64(at) ^ c
    ...get(at), 0x29, 0, 8, ...set(high), // high = load64(at + 8)
    ...eight.flatMap((n) => [...look(low, 8 * n, 15 - n), ...(n > 0 ? [i32Xor] : [])]), ...eight.flatMap((n) => [...look(high, 8 * n, 7 - n), i32Xor]), ...set(c),
    ...get(at), ...constant(16), i32Add, ...set(at),
  ]
  const single = [
    ...get(c), ...constant(8), i32ShrU, ...get(c), ...get(at), 0x2d, 0, 0, i32Xor, ...constant(255), i32And, ...constant(2), i32Shl, 0x28, 2, 0, i32Xor, ...set(c),
    ...get(at), ...constant(1), i32Add, ...set(at),
  ]
  /** Repeats `body` until `condition` is true. */
  const until = (condition: readonly number[], body: readonly number[]): number[] => [0x02, 0x40, 0x03, 0x40, ...condition, 0x0d, 1, ...body, 0x0c, 0, 0x0b, 0x0b]
  const code = [1, 2, 0x7e, ...until([...get(at), ...constant(16), i32Add, ...get(end), 0x4b], step), ...until([...get(at), ...get(end), 0x4f], single), ...get(c), 0x0b]
  return Uint8Array.from([
    0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...section(1, [1, 0x60, 3, 0x7f, 0x7f, 0x7f, 1, 0x7f]), ...section(3, [1, 0]), ...section(5, [1, 0, 1]),
    ...section(7, [2, 1, 0x6d, 2, 0, 1, 0x66, 0, 0]), ...section(10, [1, ...unsigned(code.length), ...code]),
  ])
}

function section(id: number, content: readonly number[]): number[] { return [id, ...unsigned(content.length), ...content] }

function unsigned(value: number): number[] {
  const out: number[] = []
  let v = value
  for (; v > 0x7f; v >>>= 7) out.push((v & 0x7f) | 0x80)
  out.push(v)
  return out
}

/** For small positive numbers. */
function signed(value: number): number[] {
  const out: number[] = []
  let v = value
  for (; v > 0x3f; v >>= 7) out.push((v & 0x7f) | 0x80)
  out.push(v)
  return out
}

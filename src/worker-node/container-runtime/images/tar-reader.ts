// Reads tar archives (ustar, pax, GNU long names, base-256 numbers) from bytes that arrive in pieces. Written for hostile input: every size
// is checked, extended headers are bounded, and attribute values stay bytes (file capabilities are no text).
// Upstream: POSIX.1-2008 pax; GNU tar manual, "Basic Tar Format"

export type TarEntryType = 'file' | 'link' | 'symlink' | 'character-device' | 'block-device' | 'directory' | 'fifo' | 'other'

export interface TarEntry {
  readonly name: string
  readonly type: TarEntryType
  readonly linkName: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  /** Seconds since the epoch. */
  readonly modifiedSeconds: number
  readonly deviceMajor: number
  readonly deviceMinor: number
  /** Extended attributes of the file, by name. */
  readonly attributes: ReadonlyMap<string, Uint8Array>
}

/** The archive is broken or breaks a bound. */
export class TarError extends Error {
  override readonly name = 'TarError'
}

const maxHeaderBytes = 1024 * 1024
const blockSize = 512

/** Bytes on demand from an iterable of pieces. */
class ByteSource {
  readonly #pieces: AsyncIterator<Uint8Array>
  #current: Uint8Array = new Uint8Array(0)
  constructor(pieces: AsyncIterable<Uint8Array>) { this.#pieces = pieces[Symbol.asyncIterator]() }

  /** At least one and at most `most` bytes; undefined at the end. */
  async some(most: number): Promise<Uint8Array | undefined> {
    while (this.#current.length === 0) {
      const next = await this.#pieces.next()
      if (next.done) return undefined
      this.#current = next.value
    }
    const out = this.#current.subarray(0, most)
    this.#current = this.#current.subarray(out.length)
    return out
  }

  /** Exactly `count` bytes; undefined when the end comes before the first. @throws TarError when it comes in between */
  async exactly(count: number): Promise<Buffer | undefined> {
    const parts: Uint8Array[] = []
    let have = 0
    while (have < count) {
      const part = await this.some(count - have)
      if (!part) { if (have === 0) return undefined; throw new TarError('archive ends in the middle of an entry') }
      parts.push(part)
      have += part.length
    }
    return Buffer.concat(parts)
  }

  async skip(count: number): Promise<void> {
    for (let left = count; left > 0;) {
      const part = await this.some(left)
      if (!part) throw new TarError('archive ends in the middle of an entry')
      left -= part.length
    }
  }

  /** Reads to the end, so that whoever counts or hashes the bytes sees all of them. */
  async drain(): Promise<void> { while (await this.some(65536)) { /* thrown away */ } }

  async close(): Promise<void> { await this.#pieces.return?.() }
}

/**
 * Calls `visit` for each entry in order; `body` gives the entry's bytes and may be left unread.
 * @throws TarError, and whatever `visit` throws
 */
export async function readTar(pieces: AsyncIterable<Uint8Array>, visit: (entry: TarEntry, body: () => AsyncIterable<Uint8Array>) => Promise<void>): Promise<void> {
  const source = new ByteSource(pieces)
  try {
    let globalPax = new Map<string, Buffer>()
    let pax = new Map<string, Buffer>()
    let longName: string | undefined
    let longLink: string | undefined
    for (;;) {
      const block = await source.exactly(blockSize)
      if (!block || block.every((byte) => byte === 0)) break
      checkSum(block)
      const flag = String.fromCharCode(block[156] ?? 0)
      const ownSize = readNumber(block, 124, 12)
      if (flag === 'x' || flag === 'g' || flag === 'L' || flag === 'K') {
        if (ownSize > maxHeaderBytes) throw new TarError(`extended header of ${ownSize} bytes`)
        const data = (await source.exactly(ownSize)) ?? Buffer.alloc(0)
        await source.skip(padding(ownSize))
        if (flag === 'x') pax = parsePax(data)
        else if (flag === 'g') globalPax = new Map([...globalPax, ...parsePax(data)])
        else if (flag === 'L') longName = cutAtZero(data)
        else longLink = cutAtZero(data)
        continue
      }
      const entry = makeEntry(block, flag, new Map([...globalPax, ...pax]), longName, longLink)
      pax = new Map()
      longName = undefined
      longLink = undefined
      const bodySize = entry.type === 'file' ? entry.size : ownSize
      let left = bodySize
      await visit(entry, async function* () {
        while (left > 0) {
          const part = await source.some(Math.min(left, 65536))
          if (!part) throw new TarError('archive ends in the middle of an entry')
          left -= part.length
          yield part
        }
      })
      await source.skip(left + padding(bodySize))
    }
    await source.drain()
  } finally { await source.close() }
}

const padding = (size: number): number => (blockSize - (size % blockSize)) % blockSize

function cutAtZero(bytes: Buffer): string {
  const end = bytes.indexOf(0)
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end)
}

function checkSum(block: Buffer): void {
  let sum = 8 * 32
  for (let i = 0; i < blockSize; i++) if (i < 148 || i >= 156) sum += block[i] ?? 0
  if (sum !== readNumber(block, 148, 8)) throw new TarError('header checksum is wrong')
}

/** Octal text, or GNU's base-256 for what doesn't fit. */
function readNumber(block: Buffer, offset: number, length: number): number {
  const first = block[offset] ?? 0
  if (first & 0x80) {
    let value = first & 0x40 ? -1 : first & 0x3f
    for (let i = 1; i < length; i++) value = value * 256 + (block[offset + i] ?? 0)
    if (!Number.isSafeInteger(value) || value < 0) throw new TarError('number out of range')
    return value
  }
  const text = cutAtZero(block.subarray(offset, offset + length)).trim()
  if (text === '') return 0
  if (!/^[0-7]+$/.test(text)) throw new TarError(`${JSON.stringify(text)} is no octal number`)
  return parseInt(text, 8)
}

/** Records of the form `<length> <key>=<value>\n`. */
export function parsePax(data: Buffer): Map<string, Buffer> {
  const out = new Map<string, Buffer>()
  for (let at = 0; at < data.length;) {
    const space = data.indexOf(0x20, at)
    const lengthText = space < 0 ? '' : data.toString('latin1', at, space)
    if (!/^[1-9]\d{0,7}$/.test(lengthText)) throw new TarError('broken pax record')
    const end = at + Number(lengthText)
    const equals = data.indexOf(0x3d, space)
    if (end > data.length || equals < 0 || equals >= end || data[end - 1] !== 0x0a) throw new TarError('broken pax record')
    out.set(data.toString('utf8', space + 1, equals), data.subarray(equals + 1, end - 1))
    at = end
  }
  return out
}

function typeOf(flag: string): TarEntryType {
  switch (flag) {
    case '\0': case '0': case '7': return 'file'
    case '1': return 'link'
    case '2': return 'symlink'
    case '3': return 'character-device'
    case '4': return 'block-device'
    case '5': return 'directory'
    case '6': return 'fifo'
    default: return 'other'
  }
}

function makeEntry(block: Buffer, flag: string, pax: ReadonlyMap<string, Buffer>, longName: string | undefined, longLink: string | undefined): TarEntry {
  const paxNumber = (key: string): number | undefined => {
    const text = pax.get(key)?.toString()
    if (text === undefined || text === '') return undefined
    const value = Number(text)
    if (!Number.isFinite(value) || Math.abs(value) > Number.MAX_SAFE_INTEGER) throw new TarError(`pax ${key} ${JSON.stringify(text)} is no number`)
    return value
  }
  const isUstar = block.toString('latin1', 257, 262) === 'ustar'
  const prefix = isUstar && block[262] === 0 ? cutAtZero(block.subarray(345, 500)) : ''
  const shortName = cutAtZero(block.subarray(0, 100))
  const name = pax.get('path')?.toString() ?? longName ?? (prefix ? `${prefix}/${shortName}` : shortName)
  const attributes = new Map<string, Uint8Array>()
  for (const [key, value] of pax) if (key.startsWith('SCHILY.xattr.')) attributes.set(key.slice(13), value)
  const size = paxNumber('size') ?? readNumber(block, 124, 12)
  if (size < 0 || !Number.isInteger(size)) throw new TarError('size out of range')
  const type = typeOf(flag)
  return {
    name, type: type === 'file' && name.endsWith('/') ? 'directory' : type, size,
    linkName: pax.get('linkpath')?.toString() ?? longLink ?? cutAtZero(block.subarray(157, 257)),
    mode: readNumber(block, 100, 8) & 0o7777, uid: paxNumber('uid') ?? readNumber(block, 108, 8), gid: paxNumber('gid') ?? readNumber(block, 116, 8),
    modifiedSeconds: paxNumber('mtime') ?? readNumber(block, 136, 12), attributes,
    deviceMajor: isUstar ? readNumber(block, 329, 8) : 0, deviceMinor: isUstar ? readNumber(block, 337, 8) : 0,
  }
}

// Header blocks of SPDY/3.1: name-value pairs, compressed with zlib under a dictionary that the protocol fixes, one stream per direction.
//
// Outgoing blocks are written as stored (uncompressed) deflate blocks, which every zlib reads and which needs no state; incoming ones go through
// one inflater in order. Upstream: moby/spdystream/spdy/dictionary.go, the SPDY/3 draft
import { constants, createInflate } from 'node:zlib'
import type { Inflate } from 'node:zlib'

/** Lower-case names; several values of one name are kept apart. */
export type SpdyHeaders = ReadonlyMap<string, readonly string[]>

const dictionaryWords: readonly string[] = [
  ...'options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow authorization cache-control connection content-base content-encoding'.split(' '),
  ...'content-language content-length content-location content-md5 content-range content-type date etag expect expires from host if-match if-modified-since if-none-match if-range'.split(' '),
  ...'if-unmodified-since last-modified location max-forwards pragma proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade'.split(' '),
  ...'user-agent vary via warning www-authenticate method get status'.split(' '), '200 OK', 'version', 'HTTP/1.1', 'url', 'public', 'set-cookie', 'keep-alive', 'origin',
]
const dictionaryTail = `${'100 101 201 202 205 206 300 302 303 304 305 306 307 402 405 406 407 408 409 410 411 412 413 414 415 416 417 502 504 505'.replaceAll(' ', '')}203 Non-Authoritative Information`
  + '204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable'
  + 'Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,'
  + 'application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.'

function lengthPrefixed(text: string): Buffer {
  const body = Buffer.from(text, 'utf8')
  const out = Buffer.alloc(4 + body.length)
  out.writeUInt32BE(body.length)
  body.copy(out, 4)
  return out
}

export const spdyDictionary: Buffer = Buffer.concat([...dictionaryWords.map(lengthPrefixed), Buffer.from(dictionaryTail)])

function adler32(data: Uint8Array): number {
  let a = 1
  let b = 0
  for (const byte of data) { a = (a + byte) % 65521; b = (b + a) % 65521 }
  return ((b << 16) | a) >>> 0
}

/** Largest header block that is read, uncompressed: nothing legitimate comes near. */
const mostHeaderBytes = 64 * 1024
const mostStored = 65_535

export function encodeHeaderPairs(headers: SpdyHeaders): Buffer {
  const count = Buffer.alloc(4)
  count.writeUInt32BE(headers.size)
  return Buffer.concat([count, ...[...headers].flatMap(([name, values]) => [lengthPrefixed(name.toLowerCase()), lengthPrefixed(values.join('\0'))])])
}

/** Undefined for what is no header block. */
export function decodeHeaderPairs(block: Buffer): SpdyHeaders | undefined {
  if (block.length < 4) return undefined
  const headers = new Map<string, readonly string[]>()
  let at = 4
  const text = (): string | undefined => {
    if (at + 4 > block.length) return undefined
    const length = block.readUInt32BE(at)
    if (at + 4 + length > block.length) return undefined
    at += 4 + length
    return block.toString('utf8', at - length, at)
  }
  for (let i = block.readUInt32BE(0); i > 0; i--) {
    const name = text()
    const value = text()
    if (name === undefined || value === undefined) return undefined
    headers.set(name.toLowerCase(), value.split('\0'))
  }
  return headers
}

/** Writes the header blocks of one direction. */
export class HeaderDeflater {
  #begun = false

  deflate(headers: SpdyHeaders): Buffer {
    const data = encodeHeaderPairs(headers)
    const parts: Buffer[] = []
    if (!this.#begun) {
      // zlib's own header: 32 KiB window, a preset dictionary, and the check that makes it a multiple of 31.
      const head = Buffer.from([0x78, 0x20, 0, 0, 0, 0])
      head[1] = 0x20 | ((31 - ((0x78 * 256 + 0x20) % 31)) % 31)
      head.writeUInt32BE(adler32(spdyDictionary), 2)
      parts.push(head)
      this.#begun = true
    }
    for (let at = 0; at < data.length; at += mostStored) {
      const piece = data.subarray(at, at + mostStored)
      parts.push(storedHead(piece.length), piece)
    }
    // An empty stored block is what a sync flush leaves; readers hand on what they have when they see it.
    parts.push(storedHead(0))
    return Buffer.concat(parts)
  }
}

function storedHead(length: number): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt16LE(length, 1)
  head.writeUInt16LE(~length & 0xffff, 3)
  return head
}

/** Reads the header blocks of one direction, in their order. */
export class HeaderInflater implements Disposable {
  readonly #inflate: Inflate = createInflate({ dictionary: spdyDictionary, finishFlush: constants.Z_SYNC_FLUSH })
  #chunks: Buffer[] = []
  #length = 0
  #failed: Error | undefined
  #reject: ((error: Error) => void) | undefined

  constructor() {
    this.#inflate.on('data', (chunk: Buffer) => {
      this.#length += chunk.length
      if (this.#length > mostHeaderBytes) { this.#fail(new Error('SPDY header block too large')); return }
      this.#chunks.push(chunk)
    })
    this.#inflate.on('error', (error) => this.#fail(error))
  }

  #fail(error: Error): void {
    this.#failed ??= error
    this.#reject?.(this.#failed)
  }

  /** Rejects for what can't be decompressed or is no header block. */
  inflate(block: Uint8Array): Promise<SpdyHeaders> {
    return new Promise((resolve, reject) => {
      if (this.#failed) { reject(this.#failed); return }
      this.#reject = reject
      this.#inflate.write(block, (error) => {
        if (error ?? this.#failed) { reject(error ?? this.#failed); return }
        this.#inflate.flush(constants.Z_SYNC_FLUSH, () => {
          if (this.#failed) { reject(this.#failed); return }
          const headers = decodeHeaderPairs(Buffer.concat(this.#chunks))
          this.#chunks = []
          this.#length = 0
          if (headers) resolve(headers)
          else reject(new Error('malformed SPDY header block'))
        })
      })
    })
  }

  [Symbol.dispose](): void { this.#inflate.destroy() }
}

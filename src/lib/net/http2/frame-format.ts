// HTTP/2's frames as numbers: types, flags, error codes, settings, and the nine bytes in front of each. Upstream: RFC 9113

export const frameTypes = { data: 0, headers: 1, priority: 2, rstStream: 3, settings: 4, pushPromise: 5, ping: 6, goaway: 7, windowUpdate: 8, continuation: 9 } as const
export const flags = { ack: 1, endStream: 1, endHeaders: 4, padded: 8, priority: 0x20 } as const
export const errorCodes = {
  noError: 0, protocolError: 1, internalError: 2, flowControlError: 3, settingsTimeout: 4, streamClosed: 5, frameSizeError: 6, refusedStream: 7, cancel: 8, compressionError: 9, enhanceYourCalm: 11,
} as const
export const settingIds = { headerTableSize: 1, enablePush: 2, maxConcurrentStreams: 3, initialWindowSize: 4, maxFrameSize: 5, maxHeaderListSize: 6 } as const

export const frameHeadBytes = 9
export const defaultFrameBytes = 16_384
export const defaultWindowBytes = 65_535
export const largestWindowBytes = 2 ** 31 - 1
/** What a client sends first. */
export const clientPreface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')

/** Writes a frame head at `at`; returns the offset behind it. */
export function writeFrameHead(target: Uint8Array, at: number, length: number, type: number, frameFlags: number, stream: number): number {
  target[at] = length >>> 16
  target[at + 1] = (length >>> 8) & 0xff
  target[at + 2] = length & 0xff
  target[at + 3] = type
  target[at + 4] = frameFlags
  target[at + 5] = (stream >>> 24) & 0x7f
  target[at + 6] = (stream >>> 16) & 0xff
  target[at + 7] = (stream >>> 8) & 0xff
  target[at + 8] = stream & 0xff
  return at + frameHeadBytes
}

export function makeFrame(type: number, frameFlags: number, stream: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(frameHeadBytes + payload.length)
  bytes.set(payload, writeFrameHead(bytes, 0, payload.length, type, frameFlags, stream))
  return bytes
}

export function settingsPayload(settings: readonly (readonly [id: number, value: number])[]): Buffer {
  const bytes = Buffer.alloc(settings.length * 6)
  settings.forEach(([id, value], i) => {
    bytes.writeUInt16BE(id, i * 6)
    bytes.writeUInt32BE(value, i * 6 + 2)
  })
  return bytes
}

/** A violation that ends the connection, with the code for GOAWAY. */
export class Http2Error extends Error {
  override readonly name = 'Http2Error'
  readonly code: number
  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

export interface FrameSink {
  /** The payload lies in `bytes[start, end)`. */
  frame(type: number, frameFlags: number, stream: number, bytes: Buffer, start: number, end: number): void
}

/** Cuts a connection's bytes into frames. Payloads are views of the chunks they came in where a frame lies in one chunk. */
export class FrameReader {
  readonly #sink: FrameSink
  readonly #maxFrameBytes: number
  #prefaceLeft = clientPreface.length
  /** A frame that is not complete: its pieces, and how many bytes it needs. */
  #pieces: Buffer[] = []
  #pieceBytes = 0
  #wanted = 0

  constructor(sink: FrameSink, maxFrameBytes = defaultFrameBytes) {
    this.#sink = sink
    this.#maxFrameBytes = maxFrameBytes
  }

  get isInsideFrame(): boolean { return this.#pieceBytes > 0 || this.#prefaceLeft > 0 }

  /** @throws Http2Error and what the sink throws */
  push(chunk: Buffer): void {
    let bytes = chunk
    if (this.#prefaceLeft > 0) {
      const count = Math.min(this.#prefaceLeft, bytes.length)
      const from = clientPreface.length - this.#prefaceLeft
      if (bytes.compare(clientPreface, from, from + count, 0, count) !== 0) throw new Http2Error(errorCodes.protocolError, 'no connection preface')
      this.#prefaceLeft -= count
      bytes = bytes.subarray(count)
    }
    if (this.#pieceBytes > 0) {
      this.#pieces.push(bytes)
      this.#pieceBytes += bytes.length
      if (this.#pieceBytes < this.#wanted) return
      bytes = Buffer.concat(this.#pieces, this.#pieceBytes)
      this.#pieces = []
      this.#pieceBytes = 0
    }
    let at = 0
    const { length } = bytes
    while (length - at >= frameHeadBytes) {
      const size = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]! // cast: in range
      if (size > this.#maxFrameBytes) throw new Http2Error(errorCodes.frameSizeError, 'frame too large')
      const start = at + frameHeadBytes
      if (length - start < size) break
      const stream = ((bytes[at + 5]! & 0x7f) << 24) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 8) | bytes[at + 8]! // cast: in range
      this.#sink.frame(bytes[at + 3]!, bytes[at + 4]!, stream, bytes, start, start + size) // cast: in range
      at = start + size
    }
    if (at === length) return
    const rest = bytes.subarray(at)
    this.#pieces = [rest]
    this.#pieceBytes = rest.length
    this.#wanted = rest.length < frameHeadBytes ? frameHeadBytes : frameHeadBytes + rest.readUIntBE(0, 3)
  }
}

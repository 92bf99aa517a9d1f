// A short answer as three frames in one piece: HEADERS, DATA and HEADERS again as trailers, the constant parts encoded once.
import { flags, frameHeadBytes, frameTypes, writeFrameHead } from './frame-format.ts'

export class AnswerFrames {
  readonly #front: Uint8Array
  readonly #trailers: Uint8Array
  readonly #frontData: number
  /** Bytes beside the data. */
  readonly extraBytes: number

  /** Both are header blocks that change nobody's table, short enough for one frame. */
  constructor(headers: Uint8Array, trailers: Uint8Array) {
    this.#frontData = frameHeadBytes + headers.length
    this.#front = new Uint8Array(this.#frontData + frameHeadBytes)
    writeFrameHead(this.#front, 0, headers.length, frameTypes.headers, flags.endHeaders, 0)
    this.#front.set(headers, frameHeadBytes)
    writeFrameHead(this.#front, this.#frontData, 0, frameTypes.data, 0, 0)
    this.#trailers = new Uint8Array(frameHeadBytes + trailers.length)
    writeFrameHead(this.#trailers, 0, trailers.length, frameTypes.headers, flags.endHeaders | flags.endStream, 0)
    this.#trailers.set(trailers, frameHeadBytes)
    this.extraBytes = this.#front.length + this.#trailers.length
  }

  /** Writes everything but the data, which belongs at the offset that is returned. */
  write(target: Uint8Array, at: number, stream: number, size: number): number {
    target.set(this.#front, at)
    putStream(target, at, stream)
    const data = at + this.#frontData
    target[data] = size >>> 16
    target[data + 1] = (size >>> 8) & 0xff
    target[data + 2] = size & 0xff
    putStream(target, data, stream)
    const content = data + frameHeadBytes
    target.set(this.#trailers, content + size)
    putStream(target, content + size, stream)
    return content
  }
}

function putStream(target: Uint8Array, frame: number, stream: number): void {
  target[frame + 5] = (stream >>> 24) & 0x7f
  target[frame + 6] = (stream >>> 16) & 0xff
  target[frame + 7] = (stream >>> 8) & 0xff
  target[frame + 8] = stream & 0xff
}

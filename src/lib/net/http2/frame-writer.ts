// Frames that are not data, written to the output of a connection.
import { defaultFrameBytes, flags, frameHeadBytes, frameTypes, makeFrame, writeFrameHead } from './frame-format.ts'
import type { OutputStage } from './output-stage.ts'

export class FrameWriter {
  readonly #stage: OutputStage
  /** Largest payload that the peer takes, at most 64 KiB. */
  maxFrameBytes = defaultFrameBytes
  /** The peer has a smaller header table than the default: the next header block confirms it. */
  mustResizeTable = false

  constructor(stage: OutputStage) { this.#stage = stage }

  headers(id: number, block: Buffer, endStream: boolean): void {
    const resize = this.mustResizeTable ? 1 : 0
    const length = block.length + resize
    if (length > this.maxFrameBytes) { this.#longHeaders(id, block, endStream); return }
    const start = this.#stage.take(frameHeadBytes + length)
    const { bytes } = this.#stage
    let at = writeFrameHead(bytes, start, length, frameTypes.headers, endStream ? flags.endHeaders | flags.endStream : flags.endHeaders, id)
    if (resize === 1) { bytes[at++] = 0x20; this.mustResizeTable = false }
    bytes.set(block, at)
  }

  #longHeaders(id: number, block: Buffer, endStream: boolean): void {
    const whole = this.mustResizeTable ? Buffer.concat([Buffer.of(0x20), block]) : block
    this.mustResizeTable = false
    for (let at = 0; at < whole.length; at += this.maxFrameBytes) {
      const piece = whole.subarray(at, at + this.maxFrameBytes)
      const last = at + this.maxFrameBytes >= whole.length ? flags.endHeaders : 0
      this.#stage.write(makeFrame(at === 0 ? frameTypes.headers : frameTypes.continuation, last | (at === 0 && endStream ? flags.endStream : 0), id, piece))
    }
  }

  /** Three parts behind each other, in as many frames as they take. The windows are the caller's business. */
  data(id: number, head: Uint8Array, body: Uint8Array, tail: Uint8Array): void {
    const size = head.length + body.length + tail.length
    if (size > this.maxFrameBytes) { this.#longData(id, [head, body, tail], size); return }
    const at = this.#stage.take(frameHeadBytes + size)
    const { bytes } = this.#stage
    fillParts(bytes, writeFrameHead(bytes, at, size, frameTypes.data, 0, id), head, body, tail)
  }

  #longData(id: number, parts: readonly Uint8Array[], size: number): void {
    let part = 0
    let offset = 0
    for (let left = size; left > 0;) {
      const length = Math.min(left, this.maxFrameBytes)
      left -= length
      const start = this.#stage.take(frameHeadBytes + length)
      const { bytes } = this.#stage
      let at = writeFrameHead(bytes, start, length, frameTypes.data, 0, id)
      for (let room = length; room > 0;) {
        const from = parts[part]! // cast: the parts add up to the size
        const count = Math.min(room, from.length - offset)
        bytes.set(from.subarray(offset, offset + count), at)
        at += count
        room -= count
        offset += count
        if (offset === from.length) { part++; offset = 0 }
      }
    }
  }

  windowUpdate(id: number, increment: number): void { this.#number(frameTypes.windowUpdate, id, increment) }
  reset(id: number, code: number): void { this.#number(frameTypes.rstStream, id, code) }
  settings(payload: Buffer): void { this.#stage.write(makeFrame(frameTypes.settings, 0, 0, payload)) }
  settingsAck(): void { this.#stage.write(makeFrame(frameTypes.settings, flags.ack, 0, Buffer.alloc(0))) }
  ping(payload: Uint8Array, ack: boolean): void { this.#stage.write(makeFrame(frameTypes.ping, ack ? flags.ack : 0, 0, payload)) }
  endStream(id: number): void { this.#stage.write(makeFrame(frameTypes.data, flags.endStream, id, Buffer.alloc(0))) }

  goaway(lastStream: number, code: number, reason: string): void {
    const payload = Buffer.alloc(8 + reason.length)
    payload.writeUInt32BE(lastStream, 0)
    payload.writeUInt32BE(code, 4)
    payload.write(reason, 8, 'latin1')
    this.#stage.write(makeFrame(frameTypes.goaway, 0, 0, payload))
  }

  #number(type: number, id: number, value: number): void {
    const payload = Buffer.alloc(4)
    payload.writeUInt32BE(value)
    this.#stage.write(makeFrame(type, 0, id, payload))
  }
}

export function fillParts(target: Uint8Array, start: number, head: Uint8Array, body: Uint8Array, tail: Uint8Array): void {
  let at = start
  // The head is a few bytes: a loop is faster than `set`.
  for (let i = 0; i < head.length; i++) target[at++] = head[i]! // cast: in range
  target.set(body, at)
  if (tail.length > 0) target.set(tail, at + body.length)
}

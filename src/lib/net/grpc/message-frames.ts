// gRPC's framing of messages inside an HTTP/2 stream: one byte (compressed or not), four bytes of length, the message.
import { GrpcError } from './status.ts'

const headBytes = 5

/** The message behind its head, ready to be written. */
export function frameMessage(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(headBytes + message.length)
  frame[0] = 0
  frame.writeUInt32BE(message.length, 1)
  frame.set(message, headBytes)
  return frame
}

/** Cuts a stream of bytes into messages. Messages are views of the chunks they came in where possible. */
export class MessageReader {
  readonly #maxBytes: number
  readonly #onMessage: (message: Uint8Array) => void
  #rest: Buffer | undefined
  /** Chunks of a message that is not complete, and how many bytes it needs with its head. */
  #parts: Buffer[] = []
  #partBytes = 0
  #wanted = 0

  constructor(maxBytes: number, onMessage: (message: Uint8Array) => void) {
    this.#maxBytes = maxBytes
    this.#onMessage = onMessage
  }

  /** True when the bytes so far end with a whole message. */
  get isComplete(): boolean { return this.#rest === undefined && this.#partBytes === 0 }

  /** @throws GrpcError when a message is too large or compressed */
  push(chunk: Buffer): void {
    if (this.#wanted > 0) {
      this.#parts.push(chunk)
      this.#partBytes += chunk.length
      if (this.#partBytes < this.#wanted) return
      const whole = this.#parts.length === 1 ? chunk : Buffer.concat(this.#parts, this.#partBytes)
      this.#parts = []
      this.#partBytes = 0
      this.#wanted = 0
      this.#cut(whole)
      return
    }
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk])
    this.#rest = undefined
    this.#cut(bytes)
  }

  #cut(bytes: Buffer): void {
    let at = 0
    while (bytes.length - at >= headBytes) {
      if (bytes[at] !== 0) throw new GrpcError('Unimplemented', 'grpc: compressed messages are not supported')
      const length = bytes.readUInt32BE(at + 1)
      if (length > this.#maxBytes) throw new GrpcError('ResourceExhausted', `grpc: received message larger than max (${length} vs. ${this.#maxBytes})`)
      if (bytes.length - at < headBytes + length) {
        this.#wanted = headBytes + length
        this.#parts = [bytes.subarray(at)]
        this.#partBytes = bytes.length - at
        return
      }
      this.#onMessage(bytes.subarray(at + headBytes, at + headBytes + length))
      at += headBytes + length
    }
    if (at < bytes.length) this.#rest = bytes.subarray(at)
  }
}
